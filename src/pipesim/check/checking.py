"""Scenarios checked against a baseline: evaluated anew where they changed, compared, and blamed on what changed."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from importlib.metadata import version
from pathlib import Path
from typing import Literal

from pipesim.check.attribution import NoCostError, players_of, shapley
from pipesim.check.baseline import Entry, Measured
from pipesim.check.changes import described_changes, relative_to
from pipesim.check.comparing import Side, compared
from pipesim.check.costs import changed_costs, exact_before, exact_now, new_costs, prices_between, unchanged_costs
from pipesim.check.evaluation import Evaluation
from pipesim.check.fields import UPDATE, Part, Verdict
from pipesim.check.measures import SEEDS, measured, seeds_from
from pipesim.check.parts import WHOLE, Item, changed_items, hashes_of, mixed, prices_of, truly_changed
from pipesim.check.report import BaselineNote, CheckReport, Costs, Effect, MetricChange, ScenarioCheck, StageChange
from pipesim.check.thresholds import Rule, quantiles_in
from pipesim.check.verdicts import (
    MISSED_BEFORE,
    NONE_BEFORE,
    TAMPERED,
    judged,
    notes_on,
    verdict_on,
    why_none,
    worst,
)
from pipesim.check.wording import value
from pipesim.errors import InvalidInputError
from pipesim.model import Plan, Scenario
from pipesim.planner.planning import MAX_EVALUATIONS
from pipesim.units import NS_PER_S

_FEWEST_TO_OFFSET = 2
"""Changes that can make up for each other."""


@dataclass(frozen=True, slots=True)
class Subject:
    """A scenario to check.

    Parameters
    ----------
    path
        How the baseline names its file.
    file
        Where that is.
    scenario
        What it says now.
    rules
        What is asked of it.
    entry
        What the baseline says of it; None if it does not know it.
    before
        What it said, if the old files are at hand.
    old_entry
        What the old baseline said of it, if that is at hand.
    is_doubted
        Whether it is evaluated although it is unchanged, since the change brought its entry in the baseline.
    notes
        What else a reader should know of it.
    """

    path: str
    file: Path
    scenario: Scenario
    rules: tuple[Rule, ...]
    entry: Entry | None
    before: Scenario | None = None
    old_entry: Entry | None = None
    is_doubted: bool = False
    notes: tuple[str, ...] = ()


def check(
    subjects: Sequence[Subject],
    baseline: BaselineNote,
    folder: Path,
    *,
    seeds: int | None = None,
    recheck: bool = False,
    at_least: Verdict = "pass",
    max_evaluations: int = MAX_EVALUATIONS,
    on_scenario: Callable[[str], None] | None = None,
) -> CheckReport:
    """Return what became of scenarios, and whether that may pass.

    Parameters
    ----------
    subjects
        The scenarios.
    baseline
        What the report says of the baseline.
    folder
        What the report tells files relative to.
    seeds
        Under how many seeds plans are simulated: the first of the baseline's. By default as many as it has.
    recheck
        Whether what is unchanged is evaluated anew too, which tells whether the baseline is what this program finds.
    at_least
        The best verdict that the whole may have.
    max_evaluations
        Tests of plans that each search may take.
    on_scenario
        Called with its path before each.

    Raises
    ------
    FileFormatError, InvalidInputError
        If traffic cannot be read, or a rule names a metric that there is not.
    """
    checked = []
    for subject in subjects:
        if on_scenario is not None:
            on_scenario(subject.path)
        with named(subject.path):
            if subject.entry is None:
                found = _new(subject, seeds or SEEDS, max_evaluations)
            else:
                found = _Check(subject, subject.entry, folder, seeds, recheck, max_evaluations).run()
        file = relative_to(subject.file, folder)
        if file != subject.path:
            found = found.model_copy(update={"file": file})
        checked.append(found.model_copy(update={"notes": (*subject.notes, *found.notes)}))
    return CheckReport(
        pipesim_version=version("pipesim"),
        baseline=baseline,
        verdict=worst([at_least, *(one.verdict for one in checked)]),
        scenarios=tuple(checked),
    )


@contextmanager
def named(path: str) -> Iterator[None]:
    """Let complaints about a scenario, or a rule for it, name it."""
    try:
        yield
    except InvalidInputError as error:
        raise InvalidInputError(error.reason, f"{path}: {error.where}") from None


@dataclass(frozen=True)
class _Check:
    """One scenario that the baseline knows."""

    subject: Subject
    entry: Entry
    folder: Path
    seeds: int | None
    recheck: bool
    max_evaluations: int

    def run(self) -> ScenarioCheck:
        """Return what became of it."""
        entry, scenario = self.entry, self.subject.scenario
        hashes = hashes_of(scenario)
        items, is_stale = changed_items(entry.inputs, hashes), False
        is_same = not items and entry.pipesim_version == version("pipesim")
        is_known = entry.measured.latency_ns.keys() >= set(self._quantiles())
        if is_same and is_known and not (self.recheck or self.subject.is_doubted):
            return self._unchanged()
        evaluation = Evaluation(scenario, entry.plan, self.max_evaluations)
        costs, seeds = changed_costs(entry, evaluation), self._used_seeds()
        samples = {}
        if evaluation.unfit is None:
            samples = _samples(measured(scenario, entry.plan, seeds, self._quantiles()))
        now = Side(seeds, exact_now(costs), samples)
        metrics = compared(self._side_before(costs), now, self.subject.rules)
        before, differs = self.subject.before, any(metric.change for metric in metrics)
        if before is not None and not is_same:
            old = hashes_of(before)
            items = truly_changed(changed_items(old, hashes), before, scenario)
            is_stale = bool(changed_items(entry.inputs, old))
        attribution, note = self._attributed(evaluation, costs, items, is_stale=is_stale)
        verdict, reasons = verdict_on(evaluation, metrics, missed_before=self._missed_before())
        return ScenarioCheck(
            path=self.subject.path,
            name=scenario.name,
            state="unchanged" if is_same and not differs else "changed",
            verdict=verdict,
            reasons=reasons,
            changes=described_changes(
                items, before, scenario, entry.prices_usd_per_hour, self.subject.file, self.folder
            ),
            met_before=entry.met,
            met_now=evaluation.met,
            misfit=evaluation.misfit,
            metrics=metrics,
            costs=costs,
            committed_plan=entry.plan,
            plan_now=evaluation.runs,
            best_plan=evaluation.best,
            plan_changes=_stage_changes(entry.plan, evaluation.runs),
            best_changes=_stage_changes(entry.plan, evaluation.best),
            attribution=attribution,
            attribution_note=note,
            prices=prices_between(entry.prices_usd_per_hour, prices_of(scenario)),
            seeds=seeds,
            notes=(*notes_on(entry, evaluation, is_stale=is_stale), *((TAMPERED,) if is_same and differs else ())),
        )

    def _unchanged(self) -> ScenarioCheck:
        """Return what the baseline says: it is what a simulation would find again."""
        entry = self.entry
        costs = unchanged_costs(entry)
        side = Side(entry.seeds, exact_now(costs), _samples(entry.measured))
        metrics = compared(side, side, self.subject.rules)
        verdict, reasons = judged(metrics)
        if not entry.met:
            verdict, reasons = worst([verdict, "warn"]), (MISSED_BEFORE, *reasons)
        if not entry.met and entry.best_plan is None:
            verdict, reasons = "infeasible", (NONE_BEFORE, *reasons)
        runs = entry.paid_plan
        return ScenarioCheck(
            path=self.subject.path,
            name=self.subject.scenario.name,
            state="unchanged",
            verdict=verdict,
            reasons=reasons,
            met_before=entry.met,
            met_now=entry.met,
            metrics=metrics,
            costs=costs,
            committed_plan=entry.plan,
            plan_now=runs,
            best_plan=entry.best_plan,
            plan_changes=_stage_changes(entry.plan, runs),
            best_changes=_stage_changes(entry.plan, entry.best_plan),
            prices=prices_between(entry.prices_usd_per_hour, entry.prices_usd_per_hour),
            seeds=entry.seeds,
        )

    def _missed_before(self) -> bool:
        """Return whether the committed plan missed an objective before, in the old baseline too."""
        old = self.subject.old_entry
        return not self.entry.met and (old is None or not old.met)

    def _quantiles(self) -> tuple[str, ...]:
        """Return the quantiles that the baseline has, and those that rules are about."""
        return (*self.entry.measured.latency_ns, *quantiles_in(self.subject.rules))

    def _used_seeds(self) -> tuple[int, ...]:
        seeds = self.entry.seeds
        if self.seeds is None:
            return seeds
        return (*seeds, *seeds_from(seeds[-1] + 1, self.seeds))[: self.seeds]

    def _side_before(self, costs: Costs) -> Side:
        """Return the baseline's side, with the seeds that are used now as far as it has them."""
        seeds, kept = self.entry.seeds, len(self._used_seeds())
        samples = {name: values[:kept] for name, values in _samples(self.entry.measured).items()}
        return Side(seeds[:kept], exact_before(costs), samples)

    def _attributed(
        self, evaluation: Evaluation, costs: Costs, items: Sequence[Item], *, is_stale: bool
    ) -> tuple[tuple[Effect, ...], str]:
        """Return what each change is to blame for, and what that leaves open."""
        entry, before = self.entry, self.subject.before
        if costs.before is None or costs.now is None:
            return (), "without a plan that meets the objectives on both sides there is no difference of costs"
        same_version = entry.pipesim_version == version("pipesim")
        players = players_of(items)
        if costs.now == costs.before and (len(players) < _FEWEST_TO_OFFSET or before is None):
            return (), ""
        if is_stale and not players:
            return (), "the baseline is not that of the old files: they cost what these cost"
        if before is None and len(players) + (not same_version) > 1:
            return (), "several inputs changed: pass the old ones with --base-dir to tell what each costs"
        if not players:
            return (_effect(None, costs.now - costs.before, costs.before),), ""
        known = {
            frozenset[Item](): costs.before if same_version and not is_stale else None,
            frozenset(players): costs.now,
        }

        def cost(chosen: frozenset[Item]) -> Decimal:
            if (found := known.get(chosen)) is not None:
                return found
            assert before is not None
            taken = [item for player in chosen for item in players[player]]
            try:
                mix = mixed(before, evaluation.scenario, taken)
                found = Evaluation(mix, entry.plan, self.max_evaluations).cost_usd_per_hour
            except InvalidInputError:
                raise NoCostError("some of the changes make no scenario without the others") from None
            if found is None:
                raise NoCostError("with some of the changes and without the others no plan meets the objectives")
            known[chosen] = found
            return found

        try:
            values = shapley(tuple(players), cost)
        except NoCostError as why:
            return (), f"{why}: what each costs cannot be told"
        effects = [_effect(player, value, costs.before) for player, value in values.items() if value]
        old, note = known[frozenset()], ""
        if old is not None and old != costs.before:
            if is_stale:
                note = f"the baseline is not that of the old files, whose plan costs {value(old, 'usd_per_hour')}"
            else:
                effects.append(_effect(None, old - costs.before, costs.before))
        return tuple(sorted(effects, key=lambda effect: (-abs(effect.usd_per_hour), effect.part, effect.item))), note


def _new(subject: Subject, seed_count: int, max_evaluations: int) -> ScenarioCheck:
    """Return what a scenario costs that the baseline does not know."""
    evaluation = Evaluation(subject.scenario, None, max_evaluations)
    best, cost = evaluation.best, evaluation.best_usd_per_hour
    costs = new_costs(cost)
    seeds: tuple[int, ...] = ()
    if best is None:
        verdict: Verdict = "infeasible"
        reasons: tuple[str, ...] = (why_none(evaluation),)
        metrics: tuple[MetricChange, ...] = ()
    else:
        seeds = seeds_from(subject.scenario.seed, seed_count)
        samples = measured(subject.scenario, best, seeds, quantiles_in(subject.rules))
        metrics = compared(None, Side(seeds, exact_now(costs), _samples(samples)), subject.rules)
        rules_say, why = judged(metrics)
        verdict, reasons = worst([rules_say, "warn"]), (f"it is not in the baseline: {UPDATE}", *why)
    return ScenarioCheck(
        path=subject.path,
        name=subject.scenario.name,
        state="new",
        verdict=verdict,
        reasons=reasons,
        metrics=metrics,
        costs=costs,
        plan_now=best,
        best_plan=best,
        prices=prices_between({}, prices_of(subject.scenario)),
        seeds=seeds,
    )


def _samples(measured: Measured) -> dict[str, tuple[float, ...]]:
    """Return what was measured by the names of metrics, latencies in seconds."""
    latencies = {name: tuple(ns / NS_PER_S for ns in values) for name, values in measured.latency_ns.items()}
    shares = {"miss_rate": measured.miss_rate, "utilisation": measured.utilisation, "headroom": measured.headroom}
    return {**latencies, **shares}


def _stage_changes(before: Plan, now: Plan | None) -> tuple[StageChange, ...]:
    """Return the stages that differ between two plans; none without a second plan."""
    if now is None:
        return ()
    names = dict.fromkeys((*before.stages, *now.stages))
    return tuple(
        StageChange(stage=name, before=_stage(before, name), now=_stage(now, name))
        for name in names
        if before.stages.get(name) != now.stages.get(name)
    )


def _stage(plan: Plan, name: str) -> str | None:
    stage = plan.stages.get(name)
    return None if stage is None else f"{stage.replicas} × {stage.hardware}, batch {stage.max_batch_size}"


def _effect(player: Item | None, value: Decimal, before: Decimal) -> Effect:
    part: Part | Literal["pipesim"] = "pipesim" if player is None else player.part
    item = WHOLE if player is None else player.name
    return Effect(part=part, item=item, usd_per_hour=value, relative=float(value / before) if before else None)
