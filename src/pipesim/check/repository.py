"""Checks of the files of a repository: scenarios, their baseline, the settings, and the same files as they were."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipesim.check.baseline import Baseline, Entry, path_in_baseline, read_baseline, write_baseline
from pipesim.check.checking import SEEDS, Subject, check, entry_of
from pipesim.check.report import BaselineNote, CheckReport
from pipesim.check.settings import Settings, settings_in
from pipesim.check.thresholds import Rule
from pipesim.check.wording import value
from pipesim.errors import InvalidInputError, invalid
from pipesim.files import Workspace, sha256
from pipesim.model import Plan, Scenario, load_scenario
from pipesim.planner.planning import MAX_EVALUATIONS

DEFAULT_BASELINE = "pipesim-baseline.yaml"

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
        cls, scenarios: Sequence[Path] = (), baseline: Path | None = None, *, allow_outside: bool = False
    ) -> "Repository":
        """Return what the settings of the current folder name, as far as it is not given.

        Raises
        ------
        FileFormatError, InvalidInputError
            If the settings cannot be read, or neither they nor the arguments name a scenario.
        """
        settings = settings_in(Path())
        chosen = tuple(dict.fromkeys(scenarios)) or settings.scenario_files()
        if not chosen:
            remedy = 'name scenario files, or list them in pipesim.toml: [check] scenarios = ["scenarios/*.yaml"]'
            raise InvalidInputError(f"there is no scenario to check; {remedy}", "SCENARIO")
        held = baseline or settings.baseline_path or Path(DEFAULT_BASELINE)
        return cls(chosen, held, settings, allow_outside)

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
        settings, old_entries = self.settings, dict[str, Entry]()
        if base_dir is not None:
            if not base_dir.is_dir():
                raise invalid("--base-dir", str(base_dir), "is not a folder", "give a checkout of the old files")
            settings, differ = self._settings_before(base_dir)
            notes += ["the rules are those of the old files; they are changed here"] if differ else []
            old_entries = self._entries_before(base_dir)
        subjects = []
        for file in self.scenarios:
            path = path_in_baseline(file, self.baseline)
            before = None if base_dir is None else self._before(file, base_dir)
            judged_as = file if settings is self.settings or base_dir is None else base_dir / self._place(file)
            scenario = load_scenario(file, allow_outside=self.allow_outside)
            replaced = _replaced(path, old_entries.get(path), held.entries.get(path))
            rules_here = settings.rules_for(judged_as, rules)
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

    def _place(self, file: Path) -> Path:
        """Return where a file is in its repository; of a file outside of any, in the current folder."""
        root = Workspace.around(file).root or Path()
        target = file.parent.resolve() / file.name
        for folder in (root, Path().resolve()):
            is_top = (folder / ".git").exists() or folder == Path().resolve()
            if is_top and target.is_relative_to(folder):
                return target.relative_to(folder)
        return Path(file.name)

    def _before(self, file: Path, base_dir: Path) -> Scenario | None:
        """Return a scenario as it was; None if it was not there."""
        old = base_dir / self._place(file)
        return load_scenario(old, allow_outside=self.allow_outside, root=base_dir) if old.is_file() else None

    def _entries_before(self, base_dir: Path) -> dict[str, Entry]:
        old = base_dir / self._place(self.baseline)
        return dict(read_baseline(old).entries) if old.is_file() else {}

    def _settings_before(self, base_dir: Path) -> tuple[Settings, bool]:
        """Return the settings of the old files, and whether what they say of rules was changed since."""
        now = self.settings
        old = settings_in(base_dir / self._place(now.folder / "pipesim.toml").parent, root=base_dir)
        said = [(one.fail_if, one.warn_if, one.scenario) for one in (old, now)]
        return old, said[0] != said[1]


def _replaced(path: str, old: Entry | None, now: Entry | None) -> list[str]:
    """Return that the change brings another baseline for a scenario, and at what cost."""
    if old is None or now is None or old == now:
        return []
    costs = [value(entry.cost_usd_per_hour, "usd_per_hour") for entry in (old, now)]
    return [f"{path}: this change replaces the baseline itself, cost {costs[0]} → {costs[1]}"]
