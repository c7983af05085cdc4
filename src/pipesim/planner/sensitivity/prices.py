"""How much prices, models and hardware may change before the cheapest plan does."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from fractions import Fraction

import pandas as pd

from pipesim.errors import InvalidInputError, invalid
from pipesim.model import Plan, Scenario
from pipesim.planner.evaluator import Question
from pipesim.planner.result import FeasiblePlan
from pipesim.planner.sensitivity.cheapest import (
    MAX_EVALUATIONS,
    Asked,
    Cheapest,
    cheapest,
    cheapest_of,
    plan_in_short,
)
from pipesim.planner.sensitivity.steps import last_held, meets
from pipesim.planner.sensitivity.variants import (
    changed,
    with_price_factor,
    with_profile_factor,
    without,
    without_cost_ceiling,
)

MOST_PRICE = 10
"""Up to how many times dearer or cheaper :func:`price_sensitivity` looks if nothing else is said."""
MOST_SLOWDOWN = 2.0
"""Up to how many times slower :func:`profile_sensitivity` looks if nothing else is said."""
_GRID = Decimal("0.001")
"""Price factors at which plans are made, so that prices stay short decimals."""
_PRICE_COLUMNS = [
    "unit", "direction", "price_usd_per_hour", "factor", "changes", "proved", "plan_then",
]  # fmt: skip
_PROFILE_COLUMNS = [
    "model", "hardware", "stages", "holds_to_factor", "misses", "costs_same_to_factor", "dearer",
    "cost_then_usd_per_hour", "proved", "plan_then",
]  # fmt: skip
_HARDWARE_COLUMNS = [
    "hardware", "units", "replicas", "status", "cost_usd_per_hour", "difference_usd_per_hour", "bound_usd_per_hour",
    "proved", "plan", "reason",
]  # fmt: skip


def price_sensitivity(
    result: FeasiblePlan, *, most: float = MOST_PRICE, max_evaluations: int = MAX_EVALUATIONS
) -> pd.DataFrame:
    """Return how far the price of each hardware unit may rise and fall before another plan is cheaper, one row each.

    Which plans are feasible does not depend on prices, and what a plan costs is linear in the price of a unit. So the
    prices at which a plan is the cheapest are one interval, and where another becomes cheaper is where two lines cross.
    The search goes there from the farthest price: the cheapest plan there crosses this plan's line somewhere, the
    cheapest plan at the crossing crosses it nearer, until none is cheaper. This takes a few planning runs, and none for
    a unit that is free, or one that the plan does not occupy and that becomes dearer: there nothing can change.

    Parameters
    ----------
    result
        With the plan. If a cheaper one is found at today's prices, the factor is 1.
    most
        Prices are tried from 1 / `most` to `most` times today's.
    max_evaluations
        Tests of plans, or of parts of plans, that each planning run may take.

    Returns
    -------
    pandas.DataFrame
        Two rows for each unit in the search space, in the order of the catalogue: ``unit``; ``direction`` (``rise`` or
        ``fall``); ``price_usd_per_hour`` (today's); ``factor`` (of the price, up to which the plan stays the cheapest:
        exactly where it and ``plan_then`` cost the same; with a limit on costs, where that is reached); ``changes``
        (whether it then changes, or `factor` is as far as was looked; infinite, or 0, if it never does); ``proved``
        (whether it is certain that no plan is cheaper before, to a thousandth of today's price); ``plan_then`` (see
        :func:`~pipesim.planner.sensitivity.cheapest.plan_in_short`; empty if it does not change, or none is within the
        limit).

    Raises
    ------
    InvalidInputError
        If `most` is not a finite number above 1, or the budget is out of range.
    """
    if not 1 < most < math.inf:
        raise invalid("most", most, "is not allowed", "use a finite number above 1")
    scenario = result.workload.scenario
    used = {
        unit
        for stage in scenario.space.values()
        for option in stage.options
        for unit in scenario.catalogue.bundle(option.hardware)
    }
    prices = _Prices(result, max_evaluations)
    farthest = Fraction(str(most))
    rows = []
    for unit in (name for name in scenario.catalogue.units if name in used):
        for direction, far in (("rise", farthest), ("fall", 1 / farthest)):
            turn = prices.turn(unit, far)
            rows.append(
                {
                    "unit": unit,
                    "direction": direction,
                    "price_usd_per_hour": float(scenario.catalogue.units[unit].price_usd_per_hour),
                    "factor": float(turn.factor),
                    "changes": turn.changes,
                    "proved": turn.proved,
                    "plan_then": "" if turn.plan is None else plan_in_short(turn.plan),
                }
            )
    return pd.DataFrame(rows, columns=_PRICE_COLUMNS)


@dataclass(frozen=True, slots=True)
class _Turn:
    """Up to which price factor a plan is the cheapest, and what comes then."""

    factor: Fraction | float
    changes: bool
    proved: bool
    plan: Plan | None = None


@dataclass(frozen=True, slots=True)
class _Line:
    """What a plan costs by the factor of one price."""

    fixed: Fraction
    slope: Fraction

    def at(self, factor: Fraction) -> Fraction:
        return self.fixed + self.slope * factor

    def meeting(self, other: "_Line") -> Fraction:
        return (other.fixed - self.fixed) / (self.slope - other.slope)


class _Prices:
    """One plan among all others, while the price of a unit moves."""

    def __init__(self, result: FeasiblePlan, max_evaluations: int) -> None:
        self._plan, self._max_evaluations = result.simulation.plan, max_evaluations
        self._scenario = result.workload.scenario
        self._question = changed(result.question, without_cost_ceiling)
        bound = result.bound_usd_per_hour
        self._is_cheapest = bound is not None and bound >= result.weighed_usd_per_hour
        self._others: list[Plan] = []

    def turn(self, unit: str, far: Fraction) -> _Turn:
        """Return where the plan stops being the cheapest on the way from today's price to `far` times that."""
        own, rises = self._line(self._plan, unit), far > 1
        never = math.inf if rises else 0.0
        free = not self._scenario.catalogue.units[unit].price_usd_per_hour
        if free or (rises and not own.slope):  # nothing moves; or others only become dearer
            return _Turn(never, False, self._is_cheapest)
        turn = self._crossing(own, unit, far)
        ceiling = self._scenario.max_cost_usd_per_hour
        if rises and ceiling is not None:
            reached = (Fraction(ceiling) - own.fixed) / own.slope
            if reached < turn.factor:
                return _Turn(reached, True, turn.proved)
        return turn

    def _crossing(self, own: _Line, unit: str, far: Fraction) -> _Turn:
        rises, best, probe = far > 1, None, _toward_one(far)
        factor = Fraction(probe)
        for plan in self._others:  # found for other prices, and feasible all the same
            line = self._line(plan, unit)
            if line.at(factor) < own.at(factor):
                best, factor = plan, self._meets(own, line, rises)
                probe = _toward_one(factor)
        while probe != 1 or not self._is_cheapest:
            found, at = cheapest(self._at(unit, probe), self._max_evaluations), Fraction(probe)
            lower = found.plan is not None and self._line(found.plan, unit).at(at) < own.at(at)
            if found.plan is None or not lower:
                proved = self._is_cheapest and found.least_usd_per_hour >= _as_decimal(own.at(at))
                return _Turn(factor, best is not None, proved, best)
            self._others.append(found.plan)
            best, factor = found.plan, self._meets(own, self._line(found.plan, unit), rises)
            if probe == 1:
                break
            probe = _toward_one(factor)
        return _Turn(factor, best is not None, self._is_cheapest, best)

    def _meets(self, own: _Line, other: _Line, rises: bool) -> Fraction:
        """Return where a line that is lower farther out meets the plan's; 1 if it is lower today, too."""
        if other.at(Fraction(1)) < own.at(Fraction(1)):
            return Fraction(1)
        meeting = own.meeting(other)
        return max(meeting, Fraction(1)) if rises else min(meeting, Fraction(1))

    def _at(self, unit: str, factor: Decimal) -> Question:
        return changed(self._question, lambda scenario: with_price_factor(scenario, unit, factor))

    def _line(self, plan: Plan, unit: str) -> _Line:
        catalogue = self._scenario.catalogue
        slope = plan.units(catalogue).get(unit, 0) * Fraction(catalogue.units[unit].price_usd_per_hour)
        return _Line(Fraction(self._scenario.weighed_cost_usd_per_hour(plan)) - slope, slope)


def _toward_one(factor: Fraction) -> Decimal:
    """Return a factor on the grid, no farther from 1."""
    rounding = ROUND_FLOOR if factor > 1 else ROUND_CEILING
    return (Decimal(factor.numerator) / Decimal(factor.denominator)).quantize(_GRID, rounding)


def _as_decimal(amount: Fraction) -> Decimal:
    return Decimal(amount.numerator) / Decimal(amount.denominator)


def profile_sensitivity(
    result: FeasiblePlan, *, most: float = MOST_SLOWDOWN, max_evaluations: int = MAX_EVALUATIONS
) -> pd.DataFrame:
    """Return how much slower each model in the plan may become before the plan misses, and before plans cost more.

    All latencies of the model on the plan's hardware are multiplied, in steps of 1 %. With batching a slower model can
    meet what a faster one misses, so no step is skipped: the plan is simulated at each until it misses. Then, at the
    next step, another plan is looked for; if it costs no more, it is simulated in its turn, and so on, until the
    cheapest plan costs more. So up to the factors given all steps are known to hold; what is beyond the next one is not
    asked.

    Parameters
    ----------
    result
        With the plan.
    most
        The largest factor to try.
    max_evaluations
        Tests of plans, or of parts of plans, that each planning run may take.

    Returns
    -------
    pandas.DataFrame
        One row for each model and its hardware in the plan: ``model``; ``hardware``; ``stages`` (that have it);
        ``holds_to_factor`` (of the latencies, at which and below which the plan meets the objectives); ``misses``
        (whether it misses at the next step, or that is as far as was looked); ``costs_same_to_factor`` (the same for
        the cheapest plan: one that costs no more exists); ``dearer`` (whether none was found at the next step);
        ``cost_then_usd_per_hour`` and ``plan_then`` (of the cheapest plan at that step; NaN and empty if there is none,
        or `dearer` is false); ``proved`` (whether it is certain that it costs more then; true if `dearer` is false).

    Raises
    ------
    InvalidInputError
        If `most` is not a finite number of at least 1, or the budget is out of range.
    """
    if not 1 <= most < math.inf:
        raise invalid("most", most, "is not allowed", "use a finite number of at least 1")
    last = int(Fraction(repr(float(most))) * 100)
    question, plan, scenario = result.question, result.simulation.plan, result.workload.scenario
    placed: dict[tuple[str, str], list[str]] = {}
    for stage, chosen in plan.stages.items():
        placed.setdefault((scenario.pipeline.stages[stage].model, chosen.hardware), []).append(stage)
    rows = []
    for (model, hardware), stages in placed.items():

        def slower(step: int, model: str = model, hardware: str = hardware) -> Question:
            factor = Fraction(step, 100)
            return changed(question, lambda one: with_profile_factor(one, model, hardware, factor))

        rows.append(
            {"model": model, "hardware": hardware, "stages": ", ".join(stages)}
            | _slowdown(plan, slower, last, result.weighed_usd_per_hour, max_evaluations)
        )
    return pd.DataFrame(rows, columns=_PROFILE_COLUMNS)


def _slowdown(
    plan: Plan, slower: Callable[[int], Question], last: int, usd_per_hour: Decimal, max_evaluations: int
) -> dict[str, object]:
    """Return what :func:`profile_sensitivity` says of one model, given what it is at each step."""

    def held(plan: Plan, first: int) -> int | None:
        return last_held(lambda step: meets(slower(step), plan), first, last)

    step = holds = held(plan, 100)
    assert step is not None, "this plan is feasible"
    dearer: Cheapest | None = None
    while step < last:
        found = cheapest(slower(step + 1), max_evaluations)
        if found.weighed_usd_per_hour > usd_per_hour:
            dearer = found
            break
        assert found.plan is not None
        reached = held(found.plan, step + 1)
        assert reached is not None, "it was found to be feasible"
        step = reached
    row = {} if dearer is None else dearer.row()
    return {
        "holds_to_factor": float(Fraction(holds or 0, 100)),
        "misses": holds != last,
        "costs_same_to_factor": step / 100,
        "dearer": dearer is not None,
        "cost_then_usd_per_hour": row.get("cost_usd_per_hour", float("nan")),
        "proved": dearer is None or dearer.least_usd_per_hour > usd_per_hour,
        "plan_then": row.get("plan", ""),
    }


def without_hardware(scenario: Asked, *, max_evaluations: int = MAX_EVALUATIONS) -> pd.DataFrame:
    """Return what the cheapest plan costs without each hardware bundle that the cheapest plan uses, one row each.

    Parameters
    ----------
    scenario
        The scenario, its workload, a question, or its planning result.
    max_evaluations
        Tests of plans, or of parts of plans, that each planning run may take.

    Returns
    -------
    pandas.DataFrame
        In the order of the pipeline: ``hardware``; ``units`` (of a replica's bundle: ``1 v100``); ``replicas`` (that
        the cheapest plan has on it); ``status``; ``cost_usd_per_hour`` (NaN if none is feasible without it);
        ``difference_usd_per_hour`` (how much dearer; NaN likewise); ``bound_usd_per_hour``; ``proved``; ``plan``: see
        :func:`~pipesim.planner.sensitivity.staircases.slo_staircase`; ``reason`` (if a stage is left without any
        hardware, else empty). No rows if there is no feasible plan with all hardware.

    Raises
    ------
    InvalidInputError
        If the budget is out of range.
    """
    base = cheapest_of(scenario, max_evaluations)
    rows: list[dict[str, object]] = []
    if base.plan is not None:
        cost = base.plan.cost_usd_per_hour(base.scenario.catalogue)
        for hardware in dict.fromkeys(chosen.hardware for chosen in base.plan.stages.values()):
            found, reason = _without(base.question, hardware, max_evaluations)
            bundle = base.scenario.catalogue.bundle(hardware)
            replicas = sum(one.replicas for one in base.plan.stages.values() if one.hardware == hardware)
            row = found.no_less_than(base.least_usd_per_hour).row()
            difference = float("nan")
            if found.plan is not None:
                difference = float(found.plan.cost_usd_per_hour(base.scenario.catalogue) - cost)
            rows.append(
                {
                    "hardware": hardware,
                    "units": ", ".join(f"{count} {unit}" for unit, count in bundle.items()),
                    "replicas": replicas,
                    "difference_usd_per_hour": difference,
                    "reason": reason,
                    **row,
                }
            )
    return pd.DataFrame(rows, columns=_HARDWARE_COLUMNS)


def _without(question: Question, hardware: str, max_evaluations: int) -> tuple[Cheapest, str]:
    """Return the cheapest plan without some hardware, and why there can be none."""

    def narrower(scenario: Scenario) -> Scenario:
        return without(scenario, hardware)

    try:
        left = changed(question, narrower)
    except InvalidInputError as error:
        return Cheapest(question, None, "infeasible", Decimal("Infinity")), str(error)
    return cheapest(left, max_evaluations), ""
