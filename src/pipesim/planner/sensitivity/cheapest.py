"""The cheapest plan of many questions that differ in one thing, and what is certain of its cost.

These plans are not run again on the reference engine, which takes longer than the search; the one that is bought should
be.
"""

from dataclasses import dataclass, replace
from decimal import Decimal

from pipesim.engine import Workload
from pipesim.model import Plan, Scenario
from pipesim.planner.evaluator import Question
from pipesim.planner.planning import plan
from pipesim.planner.result import FeasiblePlan, Infeasible, PlanningResult

MAX_EVALUATIONS = 2000
"""Tests of plans that one planning run may take if nothing else is said."""
NEVER = Decimal("Infinity")
"""The cost of what cannot be had."""

Asked = Scenario | Workload | Question | PlanningResult
"""What a function of sensitivity is asked about; a result that is at hand saves planning it again."""


def question_in(asked: Asked) -> Question:
    """Return the question."""
    if isinstance(asked, PlanningResult):
        return asked.question
    return Question.of(asked)


@dataclass(frozen=True)
class Cheapest:
    """The cheapest plan found, and between which amounts the cost of the cheapest there is lies.

    What is minimised is the cost with what changes against a previous plan are counted as, if the scenario names one:
    ``weighed``.

    Parameters
    ----------
    question
        What was asked.
    plan
        The plan; None if none was found.
    found
        The status of the search: see :class:`pipesim.planner.FeasiblePlan`, ``infeasible``, or ``out of budget``.
    least_usd_per_hour
        A weighed cost that no feasible plan is below; infinite if it is certain that there is no feasible plan.
    """

    question: Question
    plan: Plan | None
    found: str
    least_usd_per_hour: Decimal

    @property
    def scenario(self) -> Scenario:
        """Return the scenario."""
        return self.question.workloads[0].scenario

    @property
    def weighed_usd_per_hour(self) -> Decimal:
        """Return the weighed cost of the plan; infinite without one."""
        return NEVER if self.plan is None else self.scenario.weighed_cost_usd_per_hour(self.plan)

    @property
    def proved(self) -> bool:
        """Return whether it is certain that no plan is cheaper, or that there is none."""
        return self.least_usd_per_hour >= self.weighed_usd_per_hour

    @property
    def status(self) -> str:
        """Return what is certain: ``optimal`` where the bound says so, else what the search ended with."""
        return "optimal" if self.plan is not None and self.proved else self.found

    def row(self) -> dict[str, object]:
        """Return what a frame says of it.

        ``status``, ``cost_usd_per_hour`` and ``bound_usd_per_hour`` (NaN without a plan), ``proved`` and ``plan`` (see
        :func:`plan_in_short`; empty without one).
        """
        if self.plan is None:
            nothing = float("nan")
            return {"status": self.status, "cost_usd_per_hour": nothing, "bound_usd_per_hour": nothing,
                    "proved": self.proved, "plan": ""}  # fmt: skip
        return {
            "status": self.status,
            "cost_usd_per_hour": float(self.plan.cost_usd_per_hour(self.scenario.catalogue)),
            "bound_usd_per_hour": float(min(self.least_usd_per_hour, self.weighed_usd_per_hour)),
            "proved": self.proved,
            "plan": plan_in_short(self.plan),
        }

    def elsewhere(self, question: Question, other: Plan | None = None) -> "Cheapest":
        """Return a plan, by default this one, as the answer to a question whose answer costs no less than this."""
        kept = self.plan if other is None else other
        return Cheapest(question, kept, "infeasible" if kept is None else "feasible", self.least_usd_per_hour)

    def no_less_than(self, usd_per_hour: Decimal) -> "Cheapest":
        """Return it with what is known from elsewhere: no feasible plan costs less than this."""
        return replace(self, least_usd_per_hour=max(self.least_usd_per_hour, usd_per_hour))


def cheapest(question: Question, max_evaluations: int = MAX_EVALUATIONS) -> Cheapest:
    """Return the cheapest plan that the default method finds.

    Raises
    ------
    InvalidInputError
        If `max_evaluations` is not at least 1.
    """
    result = plan(question, max_evaluations=max_evaluations, verified=False)
    if isinstance(result, FeasiblePlan) and not result.reproducible:
        raise KeyboardInterrupt  # it ended this run; it is meant for all that would follow
    return _known(result)


def cheapest_of(asked: Asked, max_evaluations: int = MAX_EVALUATIONS) -> Cheapest:
    """Return the cheapest plan of what is asked: the one at hand if it is certain that it is, else a search's."""
    if isinstance(asked, PlanningResult):
        known = _known(asked)
        return known if known.proved else cheapest(known.question, max_evaluations)
    return cheapest(question_in(asked), max_evaluations)


def _known(result: PlanningResult) -> Cheapest:
    bound = result.bound_usd_per_hour or Decimal(0)
    if isinstance(result, FeasiblePlan):
        return Cheapest(result.question, result.simulation.plan, result.status, bound)
    proved = isinstance(result, Infeasible) and result.proved
    return Cheapest(result.question, None, result.status, NEVER if proved else bound)


def plan_in_short(chosen: Plan) -> str:
    """Return a plan in one line: for each stage its replicas, hardware and largest batch.

    >>> from pipesim.model import StagePlan
    >>> plan_in_short(Plan(stages={"detect": StagePlan(hardware="t4", replicas=3, max_batch_size=8)}))
    'detect 3×t4/8'
    """
    return ", ".join(
        f"{stage} {one.replicas}×{one.hardware}/{one.max_batch_size}" for stage, one in chosen.stages.items()
    )
