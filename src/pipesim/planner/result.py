"""What a planner answers: a feasible plan, why there is none, or that its budget did not suffice."""

from dataclasses import dataclass
from functools import cached_property

import pandas as pd

from pipesim.engine import SimulationResult, Workload
from pipesim.planner.explain import binding_stage, capacity, one_replica_less
from pipesim.planner.verification import Verification


@dataclass(frozen=True)
class _Answer:
    """What every answer says.

    Parameters
    ----------
    workload
        The question: scenario and traffic.
    method
        The name of the planner.
    history
        The steps of the search: ``round``, ``action``, ``stage``, the stage's ``hardware``, ``replicas`` and
        ``max_batch_size`` after it, ``cost_usd_per_hour`` of the plan, whether it was ``feasible`` and ``taken``, and
        the ``evaluations`` so far.
    evaluations
        Simulations that the search took.
    """

    workload: Workload
    method: str
    history: pd.DataFrame
    evaluations: int


@dataclass(frozen=True)
class FeasiblePlan(_Answer):
    """A plan that meets all objectives on the workload.

    Parameters
    ----------
    simulation
        The plan put through the whole trace.
    verification
        Over how much of the trace the reference engine confirmed it.
    complete
        Whether the search ended by itself, not by its budget.
    """

    simulation: SimulationResult
    verification: Verification
    complete: bool

    status = "feasible"

    @cached_property
    def binding_stage(self) -> str:
        """Return the stage where the slowest queries spend most of their time."""
        return binding_stage(self.simulation)

    @cached_property
    def bottleneck(self) -> str:
        """Return the stage with the least headroom of throughput."""
        return str(self.capacity["throughput_qps"].idxmin())

    @cached_property
    def capacity(self) -> pd.DataFrame:
        """Return what each stage could serve: see :func:`pipesim.planner.explain.capacity`."""
        return capacity(self.simulation)

    @cached_property
    def one_replica_less(self) -> pd.DataFrame:
        """Return why not less: see :func:`pipesim.planner.explain.one_replica_less`."""
        return one_replica_less(self.simulation)

    @cached_property
    def caveats(self) -> tuple[str, ...]:
        """Return what the plan rests on that was not measured, and what else a reader should know before buying."""
        scenario, plan = self.workload.scenario, self.simulation.plan
        notes = [
            f"{stage} is offered its whole capacity or more over the trace: its backlog would grow with a longer one."
            for stage in self.simulation.overloaded
        ]
        if not self.complete:
            notes.append("The search was stopped by its budget; a longer one may find a cheaper plan.")
        for stage, chosen in plan.stages.items():
            notes.extend(scenario.profiles[scenario.pipeline.stages[stage].model, chosen.hardware].caveats)
        return tuple(dict.fromkeys(notes))


@dataclass(frozen=True)
class Infeasible(_Answer):
    """No plan of the search space was found to meet the objectives.

    Parameters
    ----------
    reason
        What stands in the way.
    remedies
        What would have to give, one sentence each.
    """

    reason: str
    remedies: tuple[str, ...]

    status = "infeasible"


@dataclass(frozen=True)
class OutOfBudget(_Answer):
    """The budget of simulations was used up before any feasible plan was found."""

    status = "out of time"


PlanningResult = FeasiblePlan | Infeasible | OutOfBudget
