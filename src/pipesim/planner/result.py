"""What a planner answers: a feasible plan, why there is none, or that its budget did not suffice."""

from dataclasses import dataclass
from functools import cached_property

import pandas as pd

from pipesim.engine import SimulationResult, Workload
from pipesim.planner.explain import caveats, one_replica_less, tail
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
    def tail(self) -> pd.DataFrame:
        """Return where the slowest queries spend their time: see :func:`pipesim.planner.explain.tail`."""
        return tail(self.simulation)

    @property
    def binding_stage(self) -> str:
        """Return the stage where the slowest queries spend most of their time."""
        return str(self.tail["share"].idxmax())

    @property
    def bottleneck(self) -> str:
        """Return the stage with the least headroom of throughput."""
        return str(self.simulation.stages["throughput_qps"].idxmin())

    @cached_property
    def one_replica_less(self) -> pd.DataFrame:
        """Return why not less: see :func:`pipesim.planner.explain.one_replica_less`."""
        return one_replica_less(self.simulation)

    @cached_property
    def caveats(self) -> tuple[str, ...]:
        """Return what a reader should know before buying: see :func:`pipesim.planner.explain.caveats`."""
        notes = caveats(self.simulation)
        return notes if self.complete else ("the search was stopped by its budget: a longer one may save more", *notes)


@dataclass(frozen=True)
class Infeasible(_Answer):
    """No plan of the search space was found to meet the objectives.

    Parameters
    ----------
    proved
        Whether there is none, or the planner found none.
    reason
        What stands in the way.
    remedies
        What would have to give, one sentence each.
    """

    proved: bool
    reason: str
    remedies: tuple[str, ...]

    status = "infeasible"


@dataclass(frozen=True)
class OutOfBudget(_Answer):
    """The budget of simulations was used up before any feasible plan was found."""

    status = "out of time"


PlanningResult = FeasiblePlan | Infeasible | OutOfBudget
