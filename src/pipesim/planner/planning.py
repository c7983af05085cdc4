"""The one way into the planner."""

from pipesim.engine import Workload
from pipesim.model import Scenario
from pipesim.planner.evaluator import Progress
from pipesim.planner.greedy import plan_greedily
from pipesim.planner.result import PlanningResult


def plan(
    scenario: Scenario | Workload, *, max_evaluations: int = 10_000, progress: Progress | None = None
) -> PlanningResult:
    """Return the cheapest plan found that meets the scenario's objectives, or why there is none.

    Parameters
    ----------
    scenario
        The scenario, or its workload if it is at hand.
    max_evaluations
        How many simulations may be run.
    progress
        Called after each simulation with how many there were and the cost of the cheapest feasible plan.

    Raises
    ------
    FileFormatError, InvalidInputError
        If the traffic cannot be read, or does not carry what the pipeline needs.
    """
    workload = scenario if isinstance(scenario, Workload) else Workload.of(scenario)
    return plan_greedily(workload, max_evaluations=max_evaluations, progress=progress)
