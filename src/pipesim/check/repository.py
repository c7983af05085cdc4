"""Checks of the files of a repository: scenarios, their baseline, the settings, and the same files as they were."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipesim.check.baseline import Baseline, Entry, path_in_baseline, read_baseline, write_baseline
from pipesim.check.checking import Subject, check
from pipesim.check.committing import entry_of
from pipesim.check.measures import SEEDS
from pipesim.check.report import BaselineNote, CheckReport
from pipesim.check.settings import Settings, settings_in
from pipesim.check.thresholds import Rule
from pipesim.check.wording import value
from pipesim.errors import InvalidInputError, invalid
from pipesim.files import Workspace, sha256
from pipesim.model import Plan, Scenario, load_scenario
from pipesim.planner.planning import MAX_EVALUATIONS

DEFAULT_BASELINE = "pipesim-baseline.yaml"
_OTHER_RULES = "the rules are those of the old files; they are changed here"

OnScenario = Callable[[str], None]


@dataclass(frozen=True)
class Repository:
    """What is checked, and against what.

    Parameters
    ----------
    scenarios
        The scenario files.
    baseline
        The baseline file.
    settings
        Those that hold.
    allow_outside
        Let paths in scenarios lead out of the repository.
    """

    scenarios: tuple[Path, ...]
    baseline: Path
    settings: Settings
    allow_outside: bool = False

    @classmethod
    def of(
        cls,
        scenarios: Sequence[str | Path] = (),
        baseline: str | Path | None = None,
        *,
        allow_outside: bool = False,
    ) -> "Repository":
        """Return what the settings of the current folder name, as far as it is not given.

        Raises
        ------
        FileFormatError, InvalidInputError
            If the settings cannot be read, or neither they nor the arguments name a scenario.
        """
        settings = settings_in(Path())
        chosen = tuple(dict.fromkeys(map(Path, scenarios))) or settings.scenario_files()
        if not chosen:
            remedy = 'name scenario files, or list them in pipesim.toml: [check] scenarios = ["scenarios/*.yaml"]'
            raise InvalidInputError(f"there is no scenario to check; {remedy}", "SCENARIO")
        held = baseline or settings.baseline_path or DEFAULT_BASELINE
        return cls(chosen, Path(held), settings, allow_outside)

    def check(
        self,
        *,
        rules: Sequence[Rule] = (),
        base_dir: Path | None = None,
        seeds: int | None = None,
        recheck: bool = False,
        max_evaluations: int = MAX_EVALUATIONS,
        on_scenario: OnScenario | None = None,
    ) -> CheckReport:
        """Return what became of the scenarios since the baseline.

        Parameters
        ----------
        rules
            In place of those that the settings have for the same metric and level.
        base_dir
            A folder with the repository as it was: what changed is then told in full, and what each change costs. The
            rules are those of its settings, so that a change cannot loosen the rules that it is judged by; and what the
            baseline says is not taken for granted where the change replaced it.
        seeds, recheck, max_evaluations, on_scenario
            As for :func:`pipesim.check.checking.check`.

        Raises
        ------
        FileFormatError, InvalidInputError
            With file, field, value, rule and remedy, if a file cannot be read as what it should be.
        """
        held = read_baseline(self.baseline)
        folder = self.baseline.parent
        notes: list[str] = []
        settings, old_entries, old = self.settings, dict[str, Entry](), None
        if base_dir is not None:
            if not base_dir.is_dir():
                raise invalid("--base-dir", str(base_dir), "is not a folder", "give a checkout of the old files")
            old = _OldFiles(base_dir, self.allow_outside)
            settings, old_entries = old.settings(self.settings), old.entries(self.baseline)
            notes += [] if _same_rules(settings, self.settings) else [_OTHER_RULES]
        subjects = []
        for file in self.scenarios:
            path = path_in_baseline(file, self.baseline)
            scenario = load_scenario(file, allow_outside=self.allow_outside)
            before = None if old is None else old.scenario(file)
            rules_here = settings.rules_for(file if old is None else old.place_of(file), rules)
            replaced = _replaced(path, old_entries.get(path), held.entries.get(path))
            subjects.append(Subject(path, file, scenario, before, rules_here, is_doubted=bool(replaced)))
            notes += replaced
        notes += [
            f"{path} is in the baseline, and there is no such file: run pipesim baseline update"
            for path in held.entries
            if not (folder / path).is_file()
        ]
        note = BaselineNote(name=self.baseline.name, sha256=sha256(self.baseline.read_bytes()), notes=tuple(notes))
        return check(
            subjects,
            held.entries,
            note,
            Path(),
            seeds=seeds,
            recheck=recheck,
            max_evaluations=max_evaluations,
            on_scenario=on_scenario,
        )

    def update(
        self,
        *,
        plan: Plan | None = None,
        keep_plans: bool = False,
        seeds: int | None = None,
        max_evaluations: int = MAX_EVALUATIONS,
        on_scenario: OnScenario | None = None,
    ) -> tuple[Baseline, tuple[str, ...]]:
        """Write the baseline anew for the scenarios; entries of other scenarios stay, of files that are gone do not.

        Parameters
        ----------
        plan
            The plan to commit to, of the only scenario; by default the cheapest that meets the objectives.
        keep_plans
            Commit to the plans that the baseline has.
        seeds
            Under how many seeds plans are simulated; by default as the settings say.
        max_evaluations, on_scenario
            As for :func:`pipesim.check.checking.entry_of`.

        Returns
        -------
        Baseline and tuple
            What was written, and the paths of the entries that are gone.

        Raises
        ------
        FileFormatError, InvalidInputError
            As :meth:`check`, or if a scenario has no plan to commit to.
        """
        if plan is not None and (len(self.scenarios) > 1 or keep_plans):
            rule = "is for one scenario, without --keep-plans"
            raise invalid("--plan", f"{len(self.scenarios)} scenarios", rule, "name the one that it is for")
        paths = {path_in_baseline(file, self.baseline): file for file in self.scenarios}
        held: dict[str, Entry] = {}
        if self.baseline.is_file():
            held = dict(read_baseline(self.baseline, leave_out=() if keep_plans else paths.keys()).entries)
        entries = {path: entry for path, entry in held.items() if (self.baseline.parent / path).is_file()}
        gone = tuple(sorted(held.keys() - entries.keys()))
        for path, file in paths.items():
            if on_scenario is not None:
                on_scenario(path)
            kept = entries[path].plan if keep_plans and path in entries else plan
            entries[path] = entry_of(
                load_scenario(file, allow_outside=self.allow_outside),
                kept,
                seeds=seeds or self.settings.seeds_for(file) or SEEDS,
                max_evaluations=max_evaluations,
            )
        baseline = Baseline(entries=entries)
        write_baseline(baseline, self.baseline)
        return baseline, gone


@dataclass(frozen=True, slots=True)
class _OldFiles:
    """The files of a repository as they were.

    Parameters
    ----------
    folder
        The top of them.
    allow_outside
        Let paths in scenarios lead out of it.
    """

    folder: Path
    allow_outside: bool

    def settings(self, now: Settings) -> Settings:
        """Return the settings that held where those of now hold."""
        return settings_in(self.place_of(now.folder / "pipesim.toml").parent, root=self.folder)

    def entries(self, baseline: Path) -> dict[str, Entry]:
        """Return what a baseline said; nothing if it was not there."""
        old = self.place_of(baseline)
        return dict(read_baseline(old).entries) if old.is_file() else {}

    def scenario(self, file: Path) -> Scenario | None:
        """Return what a scenario file said; None if it was not there."""
        old = self.place_of(file)
        return load_scenario(old, allow_outside=self.allow_outside, root=self.folder) if old.is_file() else None

    def place_of(self, file: Path) -> Path:
        """Return where a file was: as in its repository, or, outside of any, as in the current folder."""
        target, here = file.parent.resolve() / file.name, Path().resolve()
        top = Workspace.around(file).root
        tops = [folder for folder in (top, here) if folder is not None and target.is_relative_to(folder)]
        tops = [folder for folder in tops if folder == here or (folder / ".git").exists()]
        return self.folder / (target.relative_to(tops[0]) if tops else file.name)


def _same_rules(one: Settings, other: Settings) -> bool:
    return (one.fail_if, one.warn_if, one.scenario) == (other.fail_if, other.warn_if, other.scenario)


def _replaced(path: str, old: Entry | None, now: Entry | None) -> list[str]:
    """Return that the change brings another baseline for a scenario, and at what cost."""
    if old is None or now is None or old == now:
        return []
    costs = [value(entry.cost_usd_per_hour, "usd_per_hour") for entry in (old, now)]
    return [f"{path}: this change replaces the baseline itself, cost {costs[0]} → {costs[1]}"]
