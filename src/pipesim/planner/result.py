"""What a planner answers: a feasible plan, one that misses, why there is none, or that its budget did not suffice."""

from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from typing import TYPE_CHECKING, Any, cast

import pandas as pd

from pipesim.engine import SimulationResult, Workload, simulate
from pipesim.model import Plan
from pipesim.planner.evaluator import Question
from pipesim.planner.explain import caveats, one_replica_less, tail
from pipesim.planner.finding import Obstacle, Proof
from pipesim.planner.verification import Verification

if TYPE_CHECKING:
    from pipesim.planner.pictures import AnswerPictures, PlanPictures


@dataclass(frozen=True)
class _Answer:
    """What every answer says.

    Parameters
    ----------
    question
        Scenario, traffic, and what else a plan must stand.
    method
        The name of the planner.
    history
        The steps of the search; what a row is depends on the method.
    evaluations
        Tests of plans, or of parts of plans, that the search took.
    bound_usd_per_hour
        A cost that no feasible plan of the search space is below, if the method found one.
    """

    question: Question
    method: str
    history: pd.DataFrame
    evaluations: int
    bound_usd_per_hour: Decimal | None

    @property
    def workload(self) -> Workload:
        """Return the scenario and its traffic."""
        return self.question.workloads[0]

    def to_frame(self) -> pd.DataFrame:
        """Return one row per stage of the plan, as its simulation does; the history where there is no plan."""
        simulation: SimulationResult | None = getattr(self, "simulation", None)
        return self.history.copy() if simulation is None else simulation.to_frame()

    def to_dict(self) -> dict[str, Any]:
        """Return the report, as ``pipesim plan --json`` prints it."""
        from pipesim.report import planning_report

        return planning_report(cast("PlanningResult", self))

    def _repr_html_(self) -> str:
        from pipesim.planner.notebook import planning_html

        return planning_html(cast("PlanningResult", self))

    @property
    def plot(self) -> "AnswerPictures":
        """Return the pictures of it: ``answer.plot.convergence()``."""
        from pipesim.planner.pictures import AnswerPictures

        return AnswerPictures(cast("PlanningResult", self))


@dataclass(frozen=True)
class _Planned(_Answer):
    """An answer with a plan.

    Parameters
    ----------
    simulation
        The plan put through the whole trace.
    verification
        Over how much of the trace the reference engine confirmed it; None if it was not asked to.
    """

    simulation: SimulationResult
    verification: Verification | None

    @property
    def plan(self) -> Plan:
        """Return the plan."""
        return self.simulation.plan

    @property
    def plot(self) -> "PlanPictures":
        """Return the pictures of it: ``answer.plot.pareto()``."""
        from pipesim.planner.pictures import PlanPictures

        return PlanPictures(cast("FeasiblePlan | MissedPlan", self))

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

    @property
    def weighed_usd_per_hour(self) -> Decimal:
        """Return what was minimised: the cost, and what changes against the previous plan are counted as."""
        return self.workload.scenario.weighed_cost_usd_per_hour(self.simulation.plan)

    @cached_property
    def other_simulations(self) -> tuple[SimulationResult, ...]:
        """Return the plan put through the other workloads that it must stand, if there are any."""
        return tuple(simulate(workload, self.simulation.plan) for workload in self.question.workloads[1:])

    @cached_property
    def validation(self) -> SimulationResult | None:
        """Return the plan put through the part of the trace that was held out, if one was."""
        held_out = self.question.held_out
        return None if held_out is None else simulate(held_out, self.simulation.plan)


@dataclass(frozen=True)
class FeasiblePlan(_Planned):
    """A plan that meets all objectives on the workload.

    Parameters
    ----------
    complete
        Whether the search ended by itself, not by its budget.
    reproducible
        Whether nothing but the inputs, the seed and the budget of tests decided it: no clock, and nobody's patience.
    proof
        How much is certain of it.
    """

    complete: bool
    reproducible: bool
    proof: Proof

    @property
    def status(self) -> str:
        """Return how much is certain: ``optimal``, ``2-exchange optimal`` (or another number), or ``feasible``."""
        if self.proof.excluded:
            return "optimal"
        return f"{self.proof.exchanged}-exchange optimal" if self.proof.exchanged else "feasible"

    @property
    def gap(self) -> float | None:
        """Return how much cheaper, as a share of its cost, another plan could be at most; None without a bound."""
        if self.bound_usd_per_hour is None:
            return None
        cost = self.weighed_usd_per_hour
        return float(max(Decimal(0), 1 - self.bound_usd_per_hour / cost)) if cost else 0.0

    @cached_property
    def one_replica_less(self) -> pd.DataFrame:
        """Return why not less: see :func:`pipesim.planner.explain.one_replica_less`."""
        return one_replica_less(self.simulation)

    @cached_property
    def caveats(self) -> tuple[str, ...]:
        """Return what a reader should know before buying: see :func:`pipesim.planner.explain.caveats`."""
        notes = list(caveats(self.simulation))
        if not self.complete:
            more = "find more room at the same cost" if self.proof.excluded else "save more"
            notes.insert(0, f"the search was stopped by its budget: a longer one may {more}")
        if not self.reproducible:
            notes[0] = "the search was stopped by the clock, or by hand: another run may end with another plan"
        return tuple(notes)


@dataclass(frozen=True)
class MissedPlan(_Planned):
    """The plan that a rule of thumb gives, which does not meet the objectives."""

    status = "missed"

    @cached_property
    def caveats(self) -> tuple[str, ...]:
        """Return what a reader should know: above all, quotas that it exceeds."""
        scenario = self.workload.scenario
        over = [
            f"over the quota: {scenario.quota[unit] + beyond} {unit} of {scenario.quota[unit]}"
            for unit, beyond in scenario.over_quota(self.simulation.plan).items()
        ]
        return (*over, *caveats(self.simulation))


@dataclass(frozen=True)
class Infeasible(Obstacle, _Answer):
    """No plan of the search space was found to meet the objectives, and why."""

    status = "infeasible"


@dataclass(frozen=True)
class OutOfBudget(_Answer):
    """The budget was used up before any feasible plan was found."""

    status = "out of budget"


PlanningResult = FeasiblePlan | MissedPlan | Infeasible | OutOfBudget
