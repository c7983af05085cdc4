"""The best latency that money buys: the plan with the tightest objectives that costs no more than a ceiling."""

from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from pipesim.engine import Workload, simulate
from pipesim.errors import invalid
from pipesim.model import Scenario
from pipesim.planner.evaluator import Question
from pipesim.planner.finding import Proof
from pipesim.planner.planning import MAX_EVALUATIONS, plan
from pipesim.planner.result import FeasiblePlan, Infeasible, MissedPlan, PlanningResult
from pipesim.planner.sensitivity.steps import least_slo_factor
from pipesim.planner.sensitivity.variants import changed, with_slo_factor
from pipesim.planner.verification import verify
from pipesim.units import format_usd

STEP = Fraction(1, 100)
"""How much tighter the objectives would have to be, as a share, before it counts."""
_LOOSEST = Fraction(64)


@dataclass(frozen=True)
class FastestPlan:
    """The plan with the best latency under a ceiling.

    Parameters
    ----------
    factor
        By what the bounds of all objectives can be multiplied so that the plan just meets them: 0.8 is 20 % tighter
        than asked for; above 1 the objectives are missed.
    proved
        Whether no plan under the ceiling meets bounds that are tighter by another 1 %.
    result
        The plan, judged by the objectives as they were asked for.
    """

    factor: float
    proved: bool
    result: FeasiblePlan | MissedPlan


def fastest_plan(
    scenario: Scenario | Workload | Question,
    max_cost_usd_per_hour: Decimal | None = None,
    *,
    max_evaluations: int = MAX_EVALUATIONS,
) -> FastestPlan | Infeasible:
    """Return the plan that meets the objectives with the most room and costs no more than a ceiling.

    All bounds are scaled by one factor, and a plan under the ceiling is looked for, with ever tighter bounds:
    what a plan reaches is where the search goes on, half way to the tightest bounds that are known to be out of reach.

    Parameters
    ----------
    scenario
        The question.
    max_cost_usd_per_hour
        The ceiling, if not the scenario's own.
    max_evaluations
        How many tests each of the searches may take.

    Returns
    -------
    FastestPlan or Infeasible
        The latter if not even bounds of 64 times those asked for are met under the ceiling.

    Raises
    ------
    InvalidInputError
        If there is no ceiling, or what :func:`pipesim.planner.plan` raises.
    """
    question = Question.of(scenario)
    if max_cost_usd_per_hour is not None:
        ceiling = max_cost_usd_per_hour
        question = changed(question, lambda one: one.with_max_cost(ceiling))
    asked = question.workloads[0].scenario
    if asked.max_cost_usd_per_hour is None:
        raise invalid("max_cost_usd_per_hour", None, "is no ceiling", "say what the plan may cost at most")

    def answer(factor: Fraction) -> PlanningResult:
        tighter = changed(question, lambda one: with_slo_factor(one, factor))
        found = plan(tighter, max_evaluations=max_evaluations, verified=False)
        if isinstance(found, FeasiblePlan) and not found.reproducible:
            raise KeyboardInterrupt  # it ended one search of several
        return found

    factor = Fraction(1)
    best = answer(factor)
    while not isinstance(best, FeasiblePlan):
        if factor >= _LOOSEST:
            ceiling = asked.max_cost_usd_per_hour
            proved = isinstance(best, Infeasible) and best.proved
            verb = "meets" if proved else "was found that meets"
            reason = (
                f"No plan that costs at most {format_usd(ceiling)} an hour {verb} even {_LOOSEST} times the bounds."
            )
            remedies = ("Raise the ceiling.", "Widen the search space: cheaper hardware, larger batches.")
            return Infeasible(question, "search", best.history, best.evaluations, None, proved, reason, remedies)
        factor *= 2
        best = answer(factor)
    reached, out_of_reach, proved = least_slo_factor(question, best.simulation.plan), Fraction(0), True
    while reached * (1 - STEP) > out_of_reach:
        # Half way to what is out of reach, and in the end as little tighter as counts.
        tried = reached * (1 - STEP)
        if tried > out_of_reach + 4 * STEP * reached:
            tried = (tried + out_of_reach) / 2
        found = answer(tried)
        if isinstance(found, FeasiblePlan):
            best, reached = found, min(tried, least_slo_factor(question, found.simulation.plan))
        else:
            proved = proved and getattr(found, "proved", False)
            out_of_reach = tried
    simulation = simulate(question.workloads[0], best.simulation.plan)
    common = (question, "search", best.history, best.evaluations, None, simulation, verify(simulation))
    if reached > 1:
        return FastestPlan(float(reached), proved, MissedPlan(*common))
    plain = FeasiblePlan(*common, best.complete, best.reproducible, Proof())
    return FastestPlan(float(reached), proved, plain)
