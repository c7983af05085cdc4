"""pipesim: the cheapest hardware, batch sizes and replicas that meet a pipeline's tail-latency objective.

::

    import pipesim as ps

    scenario = ps.load("examples/social-media.yaml")
    answer = ps.plan(scenario)
    result = ps.simulate(scenario, answer.simulation.plan)
    frame = ps.what_if(scenario, {"load": [1, 1.5, 2]}, plan=answer.simulation.plan)

Names are loaded when they are first used, so importing the package is quick.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pipesim.engine import SimulationResult, Summary, Workload, simulate, simulate_all, summarise
    from pipesim.errors import FileFormatError, InvalidInputError, PipesimError
    from pipesim.model import Plan, Scenario, StagePlan, read_plan, write_plan
    from pipesim.model import load_scenario as load
    from pipesim.planner import (
        FeasiblePlan,
        Infeasible,
        MissedPlan,
        PlanningResult,
        compare,
        fastest_plan,
        plan,
        question_of,
    )
    from pipesim.traces import ArrivalTrace
    from pipesim.whatif import what_if, zipped
    from pipesim.whatif.panel import explore

_HOMES = {
    "ArrivalTrace": "pipesim.traces",
    "FeasiblePlan": "pipesim.planner",
    "FileFormatError": "pipesim.errors",
    "Infeasible": "pipesim.planner",
    "MissedPlan": "pipesim.planner",
    "InvalidInputError": "pipesim.errors",
    "PipesimError": "pipesim.errors",
    "Plan": "pipesim.model",
    "PlanningResult": "pipesim.planner",
    "Scenario": "pipesim.model",
    "SimulationResult": "pipesim.engine",
    "StagePlan": "pipesim.model",
    "Summary": "pipesim.engine",
    "Workload": "pipesim.engine",
    "compare": "pipesim.planner",
    "explore": "pipesim.whatif.panel",
    "fastest_plan": "pipesim.planner",
    "load": "pipesim.model",
    "plan": "pipesim.planner",
    "question_of": "pipesim.planner",
    "read_plan": "pipesim.model",
    "simulate": "pipesim.engine",
    "simulate_all": "pipesim.engine",
    "summarise": "pipesim.engine",
    "what_if": "pipesim.whatif",
    "write_plan": "pipesim.model",
    "zipped": "pipesim.whatif",
}
_RENAMED = {"load": "load_scenario"}

__all__ = [
    "ArrivalTrace",
    "FeasiblePlan",
    "FileFormatError",
    "Infeasible",
    "InvalidInputError",
    "MissedPlan",
    "PipesimError",
    "Plan",
    "PlanningResult",
    "Scenario",
    "SimulationResult",
    "StagePlan",
    "Summary",
    "Workload",
    "compare",
    "explore",
    "fastest_plan",
    "load",
    "plan",
    "question_of",
    "read_plan",
    "simulate",
    "simulate_all",
    "summarise",
    "what_if",
    "write_plan",
    "zipped",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'pipesim' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), _RENAMED.get(name, name))


def __dir__() -> list[str]:
    return __all__
