"""What the cheapest plan costs against the objectives and against the load, and what load a plan sustains."""

import itertools
import math
from collections.abc import Sequence
from fractions import Fraction
from typing import NamedTuple

import pandas as pd

from pipesim.errors import invalid
from pipesim.model import Plan, StagePlan
from pipesim.planner.evaluator import Question
from pipesim.planner.result import FeasiblePlan, MissedPlan
from pipesim.planner.sensitivity.cheapest import MAX_EVALUATIONS, Asked, Cheapest, cheapest, cheapest_of, question_in
from pipesim.planner.sensitivity.steps import last_held, least_slo_factor, meets
from pipesim.planner.sensitivity.variants import at_load, changed, with_slo_factor
from pipesim.units import NS_PER_S

SLO_FACTORS = (0.5, 0.75, 1.0, 1.25, 1.5, 2.0)
LOAD_FACTORS = (0.5, 0.75, 1.0, 1.25, 1.5, 2.0, 3.0)
RESOLUTION = 0.02
"""How near steps may be to each other before :func:`slo_staircase` takes them for one, if nothing else is said."""
MOST_LOAD = 10.0
"""Up to what factor :func:`sustained_load` looks if nothing else is said."""
_SLO_COLUMNS = [
    "factor", "bound_s", "status", "cost_usd_per_hour", "bound_usd_per_hour", "proved", "least_factor", "plan",
]  # fmt: skip
_LOAD_COLUMNS = [
    "factor", "rate_qps", "status", "cost_usd_per_hour", "bound_usd_per_hour", "usd_per_million_queries", "proved",
    "plan",
]  # fmt: skip


def slo_staircase(
    scenario: Asked,
    *,
    factors: Sequence[float] = SLO_FACTORS,
    resolution: float | None = RESOLUTION,
    max_evaluations: int = MAX_EVALUATIONS,
) -> pd.DataFrame:
    """Return what the cheapest plan costs if all bounds are multiplied by a factor, one row each, tightest first.

    A plan's latencies do not depend on bounds. So from what the cheapest plan reaches it is known, to the nanosecond,
    down to which factor this same plan meets the objectives; and what is feasible stays so under looser bounds. The
    cost can therefore only fall as bounds grow, and between a factor and the least one of its cheapest plan nothing is
    planned again. Steps are found by going down them: a little below the least factor of a plan the next one is
    planned, and where plans of equal cost follow each other, the interval is bisected in between. This is no assumption
    but a proof, as far as rows are `proved`; where a budget ended a search, a step may lie lower.

    Parameters
    ----------
    scenario
        The scenario, its workload, a question, or its planning result.
    factors
        Of the bounds; each is a row.
    resolution
        The steps between the smallest and the largest of them are rows too, each at the least factor of its cost,
        exactly. Then the cost of a row holds up to the next row's factor, but for a share of `resolution` just below
        that, in which there may be more steps; with 0 there are none. With None steps are not looked for, and between
        rows nothing is known but that costs lie between theirs.
    max_evaluations
        Tests of plans, or of parts of plans, that each planning run may take.

    Returns
    -------
    pandas.DataFrame
        ``factor``; ``bound_s`` (the tightest bound then, in seconds); ``status``; ``cost_usd_per_hour`` (NaN if none
        is feasible); ``bound_usd_per_hour`` (a cost that no feasible plan is below: weighed, if the scenario names a
        previous plan); ``proved`` (whether it is certain that no plan is cheaper, or that there is none);
        ``least_factor`` (down to which this plan meets the objectives; NaN without one); ``plan`` (for each stage
        replicas×hardware/largest batch).

    Raises
    ------
    InvalidInputError
        If a factor, the resolution or the budget is out of range.
    """
    if resolution is not None and not 0 <= resolution < math.inf:
        raise invalid("resolution", resolution, "is not allowed", "use a finite share of at least 0")
    asked = [_exactly(factor, "factors") for factor in factors]
    if not asked:
        raise invalid("factors", list(factors), "is empty", "give at least one")
    stairs = _SloStairs(scenario, max_evaluations)
    stairs.plan_at(asked)
    if resolution is not None:
        for low, high in itertools.pairwise(sorted(set(asked))):
            stairs.find_steps(low, high, 1 + Fraction(resolution))
    return stairs.frame()


class _SloStairs:
    """Answers by factor of the bounds; what one says about others is used and never planned again."""

    def __init__(self, asked: Asked, max_evaluations: int) -> None:
        self._asked, self._question, self._max_evaluations = asked, question_in(asked), max_evaluations
        self._bounds_ns = [slo.bound_ns for slo in self._question.workloads[0].scenario.slos]
        self._answers: dict[Fraction, Cheapest] = {}
        self._least: dict[tuple[tuple[str, StagePlan], ...], Fraction] = {}

    def plan_at(self, factors: Sequence[Fraction]) -> None:
        """Answer for some factors, from the largest down."""
        above: Cheapest | None = None
        for factor in sorted(set(factors), reverse=True):
            above = self._answers[factor] = self._answer(factor, above)

    def _answer(self, factor: Fraction, above: Cheapest | None) -> Cheapest:
        """Return the cheapest plan at a factor, given that of a larger one."""
        question = self._at(factor)
        if above is not None and above.proved and self._stays(above.plan, factor):
            return above.elsewhere(question)
        return cheapest_of(self._asked if factor == 1 else question, self._max_evaluations)

    def _stays(self, plan: Plan | None, factor: Fraction) -> bool:
        """Return whether the cheapest plan, or none, of a larger factor is that of this one."""
        return plan is None or self._least_factor(plan) <= factor

    def _at(self, factor: Fraction) -> Question:
        return changed(self._question, lambda scenario: with_slo_factor(scenario, factor))

    def _least_factor(self, plan: Plan) -> Fraction:
        settings = tuple(plan.stages.items())
        if settings not in self._least:
            self._least[settings] = least_slo_factor(self._question, plan)
        return self._least[settings]

    def find_steps(self, low: Fraction, high: Fraction, apart: Fraction) -> None:
        """Answer at the least factor of every cost between two factors that were answered, if so many times apart."""
        upper, lower = self._answers[high], self._answers[low]
        while upper.plan is not None and lower.weighed_usd_per_hour > upper.weighed_usd_per_hour:
            upper, factor, below = self._foot(upper, low, lower, apart)
            self._answers.setdefault(factor, upper.elsewhere(self._at(factor)))
            upper = below

    def _foot(
        self, upper: Cheapest, low: Fraction, lower: Cheapest, apart: Fraction
    ) -> tuple[Cheapest, Fraction, Cheapest]:
        """Return a plan that costs no more than one, the least factor of such plans, and the answer below it.

        Parameters
        ----------
        upper
            The plan.
        low, lower
            A factor below it, and its answer, which is dearer.
        apart
            How many times less the factor of the answer below may be.
        """
        assert upper.plan is not None
        top, bisects = self._least_factor(upper.plan), False
        while (below := min(self._next_lower(top), top / apart)) > low:
            probe = (low + below) / 2 if bisects else below
            found = cheapest(self._at(probe), self._max_evaluations)
            if found.plan is not None and found.weighed_usd_per_hour <= upper.weighed_usd_per_hour:
                upper, top = found, min(probe, self._least_factor(found.plan))
                bisects = not bisects
            else:
                low, lower, bisects = probe, found, False
        return upper, top, lower

    def _next_lower(self, factor: Fraction) -> Fraction:
        """Return the factor at which the first bound is a nanosecond less."""
        return max(Fraction(-int(-factor * bound_ns // 1) - 1, bound_ns) for bound_ns in self._bounds_ns)

    def frame(self) -> pd.DataFrame:
        """Return all answers, each with what the others say about it."""
        factors = sorted(self._answers)
        answers = [self._answers[factor] for factor in factors]
        for place in range(1, len(answers)):  # what a tighter bound allows, a looser one does
            tighter, looser = answers[place - 1], answers[place]
            if tighter.weighed_usd_per_hour < looser.weighed_usd_per_hour:
                answers[place] = looser.elsewhere(looser.question, tighter.plan)
        for place in reversed(range(len(answers) - 1)):  # what a looser bound does not allow, a tighter one does not
            answers[place] = answers[place].no_less_than(answers[place + 1].least_usd_per_hour)
        rows = [
            {
                "factor": float(factor),
                "bound_s": min(slo.bound_ns for slo in answer.scenario.slos) / NS_PER_S,
                "least_factor": float("nan") if answer.plan is None else float(self._least_factor(answer.plan)),
                **answer.row(),
            }
            for factor, answer in zip(factors, answers, strict=True)
        ]
        return pd.DataFrame(rows, columns=_SLO_COLUMNS)


def load_staircase(
    scenario: Asked, *, factors: Sequence[float] = LOAD_FACTORS, max_evaluations: int = MAX_EVALUATIONS
) -> pd.DataFrame:
    """Return what the cheapest plan costs if the load is multiplied by a factor, one row each, least first.

    Load is time compression: the same queries in less time, their bursts kept. Windows of objectives keep their length
    and hold more queries. With batching more load can be easier to serve, so each factor is planned by itself, and
    nothing is known between rows.

    Parameters
    ----------
    scenario
        The scenario, its workload, a question, or its planning result.
    factors
        Of the load; each is a row.
    max_evaluations
        Tests of plans, or of parts of plans, that each planning run may take.

    Returns
    -------
    pandas.DataFrame
        ``factor``; ``rate_qps`` (NaN if the trace has no duration); ``status``; ``cost_usd_per_hour`` (NaN if none is
        feasible); ``bound_usd_per_hour`` (a cost that no feasible plan is below); ``usd_per_million_queries`` (at the
        mean rate); ``proved``; ``plan``: see :func:`slo_staircase`.

    Raises
    ------
    InvalidInputError
        If a factor or the budget is out of range.
    """
    question, rows = question_in(scenario), []
    for factor in sorted({_exactly(factor, "factors") for factor in factors}):
        loaded = question if factor == 1 else at_load(question, factor)
        answer = cheapest_of(scenario if factor == 1 else loaded, max_evaluations)
        row, rate_qps = answer.row(), loaded.workloads[0].trace.mean_rate_qps
        per_query = float(str(row["cost_usd_per_hour"])) / (rate_qps * 3600) if rate_qps else float("nan")
        rows.append(
            {"factor": float(factor), "rate_qps": rate_qps, "usd_per_million_queries": per_query * 10**6, **row}
        )
    return pd.DataFrame(rows, columns=_LOAD_COLUMNS)


class SustainedLoad(NamedTuple):
    """The largest load that a plan sustains."""

    factor: float
    """Of the load that it was planned for."""
    rate_qps: float
    """The mean rate then; NaN if the trace has no duration."""
    limited: bool
    """Whether that is as far as was looked, so that it may sustain more."""


def sustained_load(result: FeasiblePlan | MissedPlan, *, most: float = MOST_LOAD) -> SustainedLoad | None:
    """Return the largest load, in steps of 1 % of today's, at which a plan meets the objectives, and did at all below.

    With batching a plan can miss at some load and meet the objectives again at a larger one. So every step from 1.0
    up is simulated until one misses; what is beyond that step is not asked. Between steps nothing is known.

    Parameters
    ----------
    result
        With the plan, and the workloads that it must stand.
    most
        The largest factor to try.

    Returns
    -------
    SustainedLoad or None
        None if the plan misses an objective at today's load.

    Raises
    ------
    InvalidInputError
        If `most` is not a finite number of at least 1.
    """
    last = int(_exactly(most, "most") * 100)
    if last < 100:
        raise invalid("most", most, "is not allowed", "use at least 1")
    question, plan = result.question, result.simulation.plan

    def holds(step: int) -> bool:
        return meets(question if step == 100 else at_load(question, Fraction(step, 100)), plan)

    step = last_held(holds, 100, last)
    if step is None:
        return None
    rate_qps = question.workloads[0].trace.mean_rate_qps * step / 100
    return SustainedLoad(step / 100, rate_qps, step == last)


def _exactly(factor: float, field: str) -> Fraction:
    """Return a factor as it is written, and not as binary fractions have it."""
    try:
        exact = Fraction(repr(float(factor)))
    except ValueError:  # not finite
        exact = Fraction(0)
    if exact <= 0:
        raise invalid(field, factor, "is not allowed", "use finite numbers above 0")
    return exact
