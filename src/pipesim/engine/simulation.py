"""The one way into the engines."""

from typing import Literal

from pipesim.engine.inputs import EngineInputs, Workload
from pipesim.engine.reference import run_reference
from pipesim.engine.result import SimulationResult
from pipesim.engine.run import Run
from pipesim.model import Plan, Scenario

Engine = Literal["compiled", "reference"]


def simulate(scenario: Scenario | Workload, plan: Plan, *, engine: Engine = "compiled") -> SimulationResult:
    """Return what a plan does under a scenario's traffic.

    Parameters
    ----------
    scenario
        The scenario, or its workload if several plans are to be compared: drawing it once saves time.
    plan
        Hardware, replicas and batch limits of every stage.
    engine
        The compiled engine, or the reference engine (SimPy), which gives the same timestamps and is the definition.

    Raises
    ------
    InvalidInputError
        If the plan does not fit the scenario, or the traffic does not carry what the pipeline needs.
    """
    workload = scenario if isinstance(scenario, Workload) else Workload.of(scenario)
    return SimulationResult(workload, plan, run_engine(workload.engine_inputs(plan), engine))


def run_engine(inputs: EngineInputs, engine: Engine = "compiled") -> Run:
    """Return what happens to every query."""
    if engine == "reference":
        return run_reference(inputs)
    from pipesim.engine.compiled import run_compiled  # here, because numba takes its time to import

    return run_compiled(inputs)
