"""What binds a plan, and what would have to give where there is none."""

from collections.abc import Callable
from fractions import Fraction

import pandas as pd

from pipesim.engine import SimulationResult, Workload, simulate_all
from pipesim.errors import invalid
from pipesim.model import Plan, Scenario
from pipesim.model.fields import MAX_REPLICAS, MAX_UNITS
from pipesim.planner.evaluator import Question
from pipesim.planner.explain import plans_with_one_less
from pipesim.planner.result import FeasiblePlan
from pipesim.planner.sensitivity.cheapest import MAX_EVALUATIONS, Asked, Cheapest, cheapest, cheapest_of
from pipesim.planner.sensitivity.steps import least_slo_factor
from pipesim.planner.sensitivity.variants import (
    at_load,
    changed,
    with_max_replicas,
    with_quota,
    with_slo_factor,
    without_cost_ceiling,
)
from pipesim.units import NS_PER_S

LOOSEST_BOUNDS = 10.0
LEAST_LOAD = 0.1
MOST_REPLICAS = 1024
"""How far :func:`relaxations` looks if nothing else is said."""
_BINDING_COLUMNS = ["constraint", "value", "limit", "slack", "unit", "binds"]
_RELAXATION_COLUMNS = [
    "relaxation", "now", "needed", "limit", "unit", "factor", "status", "cost_usd_per_hour", "bound_usd_per_hour",
    "smallest", "plan",
]  # fmt: skip


def binding(result: FeasiblePlan) -> pd.DataFrame:
    """Return each constraint on the plan, how much of it is left, and whether it binds, one row each.

    A constraint *binds* if it stands in the way of the smallest step from the plan: one replica less of some stage
    (objectives, and the fewest replicas of a stage), or one more on the hardware that the stage has (the most replicas
    of a stage, quotas, the limit on costs). An objective binds if some plan with one replica less misses it; each of
    them is simulated. A quota binds, too, if it keeps some hardware out of the search altogether. Other steps, such as
    other hardware, are what the search has tried.

    Parameters
    ----------
    result
        With the plan.

    Returns
    -------
    pandas.DataFrame
        Objectives first, then replicas by stage, quotas, and the limit on costs: ``constraint``; ``value`` (what the
        plan has) and ``limit``; ``slack`` (what is left between them); ``unit`` (of these three: ``queries`` that miss,
        in the worst window of an objective that has windows; ``replicas``; the name of a unit of hardware;
        ``usd_per_hour``; ``s`` for the upper end of a confidence interval, if the question asks for it); ``binds``. Of
        a question with several workloads each has its objectives.
    """
    rows = _objectives(result)
    scenario, plan = result.workload.scenario, result.simulation.plan
    for stage, space in scenario.space.items():
        replicas = plan.stages[stage].replicas
        fewest, most = space.min_replicas, space.max_replicas
        rows.append(_row(f"min_replicas of {stage}", replicas, fewest, "replicas", replicas == fewest))
        rows.append(_row(f"max_replicas of {stage}", replicas, most, "replicas", replicas == most))
    occupied = plan.units(scenario.catalogue)
    for unit, most in scenario.quota.items():
        more = [scenario.catalogue.bundle(chosen.hardware).get(unit, 0) for chosen in plan.stages.values()]
        binds = max(more) > most - occupied.get(unit, 0) or _keeps_out(scenario, unit)
        rows.append(_row(f"quota of {unit}", occupied.get(unit, 0), most, unit, binds))
    ceiling = scenario.max_cost_usd_per_hour
    if ceiling is not None:
        cost = result.weighed_usd_per_hour
        dearest = max(scenario.catalogue.price_usd_per_hour(chosen.hardware) for chosen in plan.stages.values())
        binds = cost + dearest > ceiling
        rows.append(_row("max_cost_usd_per_hour", float(cost), float(ceiling), "usd_per_hour", binds))
    return pd.DataFrame(rows, columns=_BINDING_COLUMNS)


def _row(constraint: str, value: float, limit: float, unit: str, binds: bool) -> dict[str, object]:
    return {
        "constraint": constraint,
        "value": value,
        "limit": limit,
        "slack": abs(limit - value),
        "unit": unit,
        "binds": binds,
    }


def _objectives(result: FeasiblePlan) -> list[dict[str, object]]:
    workloads, less = result.question.workloads, list(plans_with_one_less(result.simulation).values())
    runs: list[tuple[Scenario | Workload, Plan]] = [(one, other) for one in workloads for other in less]
    simulated = simulate_all(runs)
    rows = []
    for number, here in enumerate((result.simulation, *result.other_simulations)):
        poorer = simulated[number * len(less) : (number + 1) * len(less)]
        place = f" on workload {number + 1}" if len(workloads) > 1 else ""
        for index, outcome in enumerate(here.slos):
            binds = any(not one.slos[index].met for one in poorer)
            name = f"{outcome.slo}{place}"
            rows.append(_row(name, outcome.misses, outcome.allowed_misses, "queries", binds))
            if result.question.confident and outcome.queries:
                rows.append(_confidence(name, here, index, poorer))
    return rows


def _confidence(name: str, here: SimulationResult, index: int, poorer: list[SimulationResult]) -> dict[str, object]:
    bound_ns = here.slos[index].slo.bound_ns
    binds = any(not one.slos[index].interval_ns.high <= bound_ns for one in poorer)
    high_ns = here.slos[index].interval_ns.high
    return _row(f"{name}, confidently", high_ns / NS_PER_S, bound_ns / NS_PER_S, "s", binds)


def _keeps_out(scenario: Scenario, unit: str) -> bool:
    """Return whether a quota of a unit leaves a stage without hardware that it could have with more of the unit."""
    wider = with_quota(scenario, unit, _most_units(scenario, unit)).space
    return any(len(wider[stage].options) > len(space.options) for stage, space in scenario.space.items())


def _most_units(scenario: Scenario, unit: str) -> int:
    """Return how many of a unit any plan can occupy at most, and at least its quota."""
    most = max(scenario.catalogue.bundle(name).get(unit, 0) for name in scenario.catalogue.names)
    replicas = sum(space.max_replicas for space in scenario.space.values())
    return max(min(most * replicas, MAX_UNITS), scenario.quota[unit])


def relaxations(
    scenario: Asked,
    *,
    loosest_bounds: float = LOOSEST_BOUNDS,
    least_load: float = LEAST_LOAD,
    most_replicas: int = MOST_REPLICAS,
    max_evaluations: int = MAX_EVALUATIONS,
) -> pd.DataFrame:
    """Return for a scenario without a feasible plan the smallest change of one thing that gives it one, one row each.

    Each is tried alone, by bisection: with all bounds of the objectives looser and with less load, both in steps of
    1 %; with more replicas allowed at all stages; with more of each unit that has a quota; and without the limit on
    costs, if there is one. Looser bounds and more room only add feasible plans, so there the bisection finds the
    smallest change: the plan found is feasible, and one step less is not, which is certain if `smallest` says so. Less
    load can be harder to serve (batches are smaller), so there the load found is feasible and one step more was found
    not to be, but at a still larger load there may be a plan.

    Parameters
    ----------
    scenario
        The scenario, its workload, a question, or its planning result.
    loosest_bounds, least_load
        How far bounds and load are changed: factors.
    most_replicas
        How many replicas all stages may have at most.
    max_evaluations
        Tests of plans, or of parts of plans, that each planning run may take.

    Returns
    -------
    pandas.DataFrame
        ``relaxation`` (``bounds``, ``load``, ``max_replicas``, ``quota of UNIT``, ``max_cost_usd_per_hour``); ``now``;
        ``needed`` (NaN if even the limit does not suffice); ``limit`` (how far was looked; infinite for costs);
        ``unit`` (of these three: ``s`` of the tightest bound; ``qps``, NaN if the trace has no duration; ``replicas``,
        where `now` is the least of any stage's limits; ``units``; ``usd_per_hour``); ``factor`` (needed over now);
        ``status``, ``cost_usd_per_hour`` and ``bound_usd_per_hour`` (of the cheapest plan then; NaN without one);
        ``smallest`` (whether it is certain that one step less does not suffice; or, without a plan, that the limit does
        not); ``plan``. No rows if there is a feasible plan as it is.

    Raises
    ------
    InvalidInputError
        If a limit or the budget is out of range.
    """
    if not 1 < loosest_bounds < float("inf"):
        raise invalid("loosest_bounds", loosest_bounds, "is not allowed", "use a finite factor above 1")
    if not 0.01 <= least_load < 1:
        raise invalid("least_load", least_load, "is not allowed", "use a factor from 0.01 to below 1")
    if not 1 <= most_replicas <= MAX_REPLICAS:
        raise invalid("most_replicas", most_replicas, "is not allowed", f"use 1 to {MAX_REPLICAS}")
    base = cheapest_of(scenario, max_evaluations)
    if base.plan is not None:
        return pd.DataFrame([], columns=_RELAXATION_COLUMNS)
    ways = _Ways(base, max_evaluations)
    rows = [ways.bounds(loosest_bounds), ways.load(least_load), ways.replicas(most_replicas)]
    rows += [ways.quota(unit) for unit in base.scenario.quota]
    if base.scenario.max_cost_usd_per_hour is not None:
        rows.append(ways.ceiling())
    return pd.DataFrame(rows, columns=_RELAXATION_COLUMNS)


class _Ways:
    """Ways to give a question an answer that has none."""

    def __init__(self, base: Cheapest, max_evaluations: int) -> None:
        self._base, self._question, self._max_evaluations = base, base.question, max_evaluations
        self._scenario = base.scenario

    def bounds(self, most: float) -> dict[str, object]:
        """Loosen the bounds."""

        def at(step: int) -> Question:
            return changed(self._question, lambda scenario: with_slo_factor(scenario, Fraction(step, 100)))

        def reached(plan: Plan) -> int:
            return -int(-least_slo_factor(self._question, plan) * 100 // 1)

        last = int(Fraction(repr(float(most))) * 100)
        now = min(slo.bound_ns for slo in self._scenario.slos) / NS_PER_S
        return self._row("bounds", "s", now, last / 100 * now, *self._least(at, 100, last, reached), now / 100)

    def load(self, least: float) -> dict[str, object]:
        """Take load away: step n is n % less."""
        last = 100 - -int(-Fraction(repr(float(least))) * 100 // 1)
        now = self._question.workloads[0].trace.mean_rate_qps
        step, answer, smallest = self._least(
            lambda step: at_load(self._question, Fraction(100 - step, 100)), 0, last, None
        )
        share = None if step is None else 100 - step
        return self._row("load", "qps", now, (100 - last) / 100 * now, share, answer, smallest, now / 100)

    def replicas(self, most: int) -> dict[str, object]:
        """Allow more replicas."""
        limits = {stage: space.max_replicas for stage, space in self._scenario.space.items()}

        def at(step: int) -> Question:
            return changed(self._question, lambda scenario: with_max_replicas(scenario, step))

        def reached(plan: Plan) -> int:
            return max((one.replicas for stage, one in plan.stages.items() if one.replicas > limits[stage]), default=0)

        now = min(limits.values())
        found = self._least(at, now, max(now, most), reached)
        return self._row("max_replicas", "replicas", now, max(now, most), *found)

    def quota(self, unit: str) -> dict[str, object]:
        """Allow more of a unit: at most as many as all replicas together could occupy."""
        now, last = self._scenario.quota[unit], _most_units(self._scenario, unit)

        def at(step: int) -> Question:
            return changed(self._question, lambda scenario: with_quota(scenario, unit, step))

        def reached(plan: Plan) -> int:
            return plan.units(self._scenario.catalogue).get(unit, 0)

        return self._row(f"quota of {unit}", "units", now, last, *self._least(at, now, last, reached))

    def ceiling(self) -> dict[str, object]:
        """Allow any cost: what is needed is what the cheapest plan costs."""
        answer = cheapest(changed(self._question, without_cost_ceiling), self._max_evaluations)
        ceiling = self._scenario.max_cost_usd_per_hour
        assert ceiling is not None
        row = self._row(
            "max_cost_usd_per_hour", "usd_per_hour", float(ceiling), float("inf"), None, answer, answer.proved
        )
        if answer.plan is not None:
            needed = answer.weighed_usd_per_hour
            row |= {"needed": float(needed), "factor": float(needed / ceiling)}
        return row

    def _least(
        self, at: Callable[[int], Question], first: int, last: int, reached: Callable[[Plan], int] | None
    ) -> tuple[int | None, Cheapest, bool]:
        """Return a step at which there is a plan, its answer, and whether it is certain that one less does not suffice.

        Parameters
        ----------
        at
            The question at a step.
        first, last
            Without a plan as far as is known; and the last step to try.
        reached
            The least step at which a plan is feasible, if it then is at all that follow.
        """
        if last <= first:
            return None, self._base, self._base.proved
        good, answer = last, cheapest(at(last), self._max_evaluations)
        if answer.plan is None:
            return None, answer, answer.proved and reached is not None
        bad = self._base
        while True:
            if reached is not None and answer.plan is not None:
                good = max(first + 1, min(good, reached(answer.plan)))
            if good - first == 1:
                return good, answer, bad.proved
            middle = (first + good) // 2
            found = cheapest(at(middle), self._max_evaluations)
            if found.plan is None:
                first, bad = middle, found
            else:
                good, answer = middle, found

    def _row(
        self,
        relaxation: str,
        unit: str,
        now: float,
        limit: float,
        step: int | None,
        answer: Cheapest,
        smallest: bool,
        per_step: float = 1,
    ) -> dict[str, object]:
        needed = float("nan") if step is None else step * per_step
        row = answer.row()
        row.pop("proved")
        return {
            "relaxation": relaxation,
            "now": now,
            "needed": needed,
            "limit": limit,
            "unit": unit,
            "factor": needed / now if now else float("nan"),
            "smallest": smallest,
            **row,
        }
