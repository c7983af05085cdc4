"""Checks of the files of a repository: scenarios, their baseline, the settings, and the same files as they were."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipesim.check.baseline import Baseline, Entry, path_in_baseline, read_baseline, write_baseline
from pipesim.check.checking import Subject, check, named
from pipesim.check.committing import entry_of
from pipesim.check.fields import UPDATE
from pipesim.check.measures import SEEDS
from pipesim.check.old_files import DEFAULT_BASELINE, OldFiles, top_of
from pipesim.check.report import BaselineNote, CheckReport
from pipesim.check.settings import Settings, settings_in
from pipesim.check.thresholds import Rule, quantiles_in
from pipesim.check.wording import value
from pipesim.errors import InvalidInputError, invalid
from pipesim.files import place_of, sha256
from pipesim.model import Plan, load_scenario
from pipesim.planner.planning import MAX_EVALUATIONS

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
    are_named, is_baseline_named
        Whether the scenarios, and the baseline, are named by who asks, and not by the settings.
    allow_outside
        Let paths in scenarios lead out of the repository.
    """

    scenarios: tuple[Path, ...]
    baseline: Path
    settings: Settings
    are_named: bool = False
    is_baseline_named: bool = False
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
        files = {place_of(Path(file), Path("/")): Path(file) for file in reversed(scenarios)}
        chosen = tuple(reversed(files.values())) or settings.scenario_files()
        if not chosen:
            remedy = 'name scenario files, or list them in pipesim.toml: [check] scenarios = ["scenarios/*.yaml"]'
            raise InvalidInputError(f"there is no scenario to check; {remedy}", "SCENARIO")
        held = baseline or settings.baseline_path or settings.folder / DEFAULT_BASELINE
        return cls(chosen, Path(held), settings, bool(files), baseline is not None, allow_outside)

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
        held, top = read_baseline(self.baseline), top_of(self.baseline.parent)
        old = None if base_dir is None else self._old_files(base_dir, top)
        subjects = [self._subject(file, held.entries, rules, old) for file in self.scenarios]
        lost = [] if old is None else self._lost(old, held.entries, top)
        notes = [*([] if old is None else self._changed_here(old, top)), *lost]
        for path in held.entries:
            if not (self.baseline.parent / path).is_file():
                notes.append(f"{path} is in the baseline, and there is no such file: {UPDATE}")
        return check(
            subjects,
            BaselineNote(name=self.baseline.name, sha256=sha256(self.baseline.read_bytes()), notes=tuple(notes)),
            top,
            seeds=seeds,
            recheck=recheck,
            at_least="warn" if lost else "pass",
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
            with named(path):
                entries[path] = entry_of(
                    load_scenario(file, allow_outside=self.allow_outside),
                    kept,
                    seeds=seeds or self.settings.seeds_for(file) or SEEDS,
                    quantiles=quantiles_in(self.settings.rules_for(file)),
                    max_evaluations=max_evaluations,
                )
        baseline = Baseline(entries=entries)
        write_baseline(baseline, self.baseline)
        return baseline, gone

    def _old_files(self, base_dir: Path, top: Path) -> OldFiles:
        named = self.baseline if self.is_baseline_named else None
        return OldFiles.read(base_dir, top, self.settings, named, self.scenarios, allow_outside=self.allow_outside)

    def _subject(
        self, file: Path, entries: Mapping[str, Entry], rules: Sequence[Rule], old: OldFiles | None
    ) -> Subject:
        """Return a scenario, and what it is judged by and compared with."""
        path = path_in_baseline(file, self.baseline)
        scenario = load_scenario(file, allow_outside=self.allow_outside)
        entry = entries.get(path)
        if old is None:
            return Subject(path, file, scenario, self.settings.rules_for(file, rules), entry)
        place = place_of(file, old.top) or path
        old_entry, notes = old.entries.get(place), []
        if place not in old.scenarios:
            notes.append("it is not in the old files")
        elif entry is None and old_entry is not None:
            notes.append("its entry is taken out of the baseline here: it is compared with that")
        elif entry is not None and old_entry is not None and entry != old_entry:
            notes.append(f"the change replaces its entry in the baseline, {_told(old_entry)} → {_told(entry)}")
        return Subject(
            path,
            file,
            scenario,
            old.settings.rules_for(old.judged_as(file), rules),
            entry or old_entry,
            old.scenarios.get(place),
            old_entry,
            is_doubted=entry != old_entry,
            notes=tuple(notes),
        )

    def _changed_here(self, old: OldFiles, top: Path) -> list[str]:
        """Return what of the rules and the baseline the change replaces as a whole."""
        rules = [(one.fail_if, one.warn_if, one.scenario) for one in (old.settings, self.settings)]
        notes = [*old.notes, *([] if rules[0] == rules[1] else [_OTHER_RULES])]
        if old.baseline not in (None, place_of(self.baseline, top)):
            notes.append(f"the baseline was {old.baseline}, and is another file here")
        gone = (place for place in sorted(old.entries) if not (top / place).is_file())
        return [*notes, *(f"{place} was in the baseline, and the file is gone" for place in gone)]

    def _lost(self, old: OldFiles, entries: Mapping[str, Entry], top: Path) -> list[str]:
        """Return which scenarios were checked before, are there, and are checked no more."""
        here = {place_of(file, top) for file in self.scenarios}
        known = {place_of(self.baseline.parent / path, top) for path in entries}
        asked = {place: "was checked, and is not any more" for place in old.listed if not self.are_named}
        gone = {place: "was in the baseline, and is not any more" for place in old.entries if place not in known}
        return [
            f"{place} {what}"
            for place, what in sorted({**gone, **asked}.items())
            if place not in here and (top / place).is_file()
        ]


def _told(entry: Entry) -> str:
    """Return what a baseline says of a scenario, in short."""
    cost = value(entry.cost_usd_per_hour, "usd_per_hour")
    return cost if entry.met else f"{cost}, which misses an objective"
