"""Answers of the planner as notebooks show them."""

from pipesim.engine.notebook import simulated_parts
from pipesim.markup import card, line
from pipesim.planner.result import FeasiblePlan, Infeasible, MissedPlan, PlanningResult
from pipesim.units import format_usd


def planning_html(result: PlanningResult) -> str:
    """Return an answer: the plan and how sure it is, or why there is none."""
    title = f"{result.workload.scenario.name}: {result.status}"
    parts = []
    if isinstance(result, FeasiblePlan):
        bound, gap = result.bound_usd_per_hour, result.gap
        if result.proof.excluded:
            parts.append(line("it is optimal: every cheaper plan of the search space is excluded"))
        elif bound is not None and gap is not None:
            parts.append(line(f"no plan is below {format_usd(bound)} an hour: at most {gap:.1%} can be saved"))
    if isinstance(result, FeasiblePlan | MissedPlan):
        parts += [*simulated_parts(result.simulation), *(line(f"Note: {note}") for note in result.caveats)]
    if isinstance(result, Infeasible):
        parts += [line(result.reason), *(line(f"· {remedy}") for remedy in result.remedies)]
    return card(title, parts, good=isinstance(result, FeasiblePlan))
