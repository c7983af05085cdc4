"""The one way into the engines."""

from pipesim.engine.inputs import Workload
from pipesim.engine.reference import run_reference
from pipesim.engine.result import SimulationResult
from pipesim.model import Plan, Scenario


def simulate(scenario: Scenario | Workload, plan: Plan) -> SimulationResult:
    """Return what a plan does under a scenario's traffic.

    Parameters
    ----------
    scenario
        The scenario, or its workload if several plans are to be compared: drawing it once saves time.
    plan
        Hardware, replicas and batch limits of every stage.

    Raises
    ------
    InvalidInputError
        If the plan does not fit the scenario, or the traffic does not carry what the pipeline needs.
    """
    workload = scenario if isinstance(scenario, Workload) else Workload.of(scenario)
    run = run_reference(workload.engine_inputs(plan))
    assert run is not None
    return SimulationResult(workload, plan, run)


def meets_slos(workload: Workload, plan: Plan) -> bool:
    """Return whether a plan meets all objectives; the run ends as soon as it cannot."""
    limits = workload.miss_limits(workload.scenario.slos)
    return run_reference(workload.engine_inputs(plan), limits) is not None
