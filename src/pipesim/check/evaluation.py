"""What becomes of a committed plan under a scenario: whether it may stay, and what runs and is paid if not."""

from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property

from pipesim.errors import InvalidInputError
from pipesim.model import Plan, Scenario
from pipesim.planner import FeasiblePlan, PlanningResult, Question, plan
from pipesim.planner.planning import MAX_EVALUATIONS
from pipesim.planner.sensitivity.steps import meets


@dataclass(frozen=True)
class Evaluation:
    """A committed plan under a scenario. The cheapest plan is looked for when it is first asked for.

    Parameters
    ----------
    scenario
        With all changes.
    committed
        The plan that runs; None if there is none yet.
    max_evaluations
        Tests of plans that the search for the cheapest plan may take.
    """

    scenario: Scenario
    committed: Plan | None
    max_evaluations: int = MAX_EVALUATIONS

    @cached_property
    def question(self) -> Question:
        """Return the scenario with its traffic."""
        return Question.of(self.scenario)

    @cached_property
    def unfit(self) -> str | None:
        """Return why the committed plan cannot be simulated at all; None if it can."""
        if self.committed is None:
            return "there is no committed plan"
        try:
            self.scenario.check_plan(self.committed)
        except InvalidInputError as error:
            return str(error)
        return None

    @cached_property
    def misfit(self) -> str | None:
        """Return why the committed plan is none that the search may choose, whatever it does; None if it is."""
        if self.unfit is not None or self.committed is None:
            return self.unfit
        return _beyond_space(self.scenario, self.committed) or _beyond_limits(self.scenario, self.committed)

    @cached_property
    def met(self) -> bool:
        """Return whether the committed plan fits and meets all objectives."""
        return self.misfit is None and self.committed is not None and meets(self.question, self.committed)

    @cached_property
    def search(self) -> PlanningResult:
        """Return the search for the cheapest plan, which is not run again on the reference engine."""
        return plan(self.question, max_evaluations=self.max_evaluations, verified=False)

    @property
    def best(self) -> Plan | None:
        """Return the cheapest plan, no dearer than the committed one if that meets the objectives."""
        found = self.search.simulation.plan if isinstance(self.search, FeasiblePlan) else None
        if self.committed is None or not self.met:
            return found
        return self.committed if found is None or self._cost(self.committed) <= self._cost(found) else found

    @property
    def best_usd_per_hour(self) -> Decimal | None:
        """Return what the cheapest plan costs."""
        return None if self.best is None else self._cost(self.best)

    @property
    def runs(self) -> Plan | None:
        """Return the plan that would run: the committed one where it meets the objectives, else the cheapest."""
        return self.committed if self.met else self.best

    @property
    def cost_usd_per_hour(self) -> Decimal | None:
        """Return what the plan costs that would run; None if there is none."""
        return None if self.runs is None else self._cost(self.runs)

    def _cost(self, chosen: Plan) -> Decimal:
        return chosen.cost_usd_per_hour(self.scenario.catalogue)


def _beyond_space(scenario: Scenario, committed: Plan) -> str | None:
    for name, space in scenario.space.items():
        stage = committed.stages[name]
        option = next((one for one in space.options if one.hardware == stage.hardware), None)
        if option is None:
            return f"{name} is on {stage.hardware}, which the search leaves out"
        if not space.min_replicas <= stage.replicas <= space.max_replicas:
            return f"{name} has {stage.replicas} replicas, the search allows {space.min_replicas}–{space.max_replicas}"
        if stage.max_batch_size > option.batch_sizes[-1]:
            return f"{name} has batches of up to {stage.max_batch_size}, the search allows {option.batch_sizes[-1]}"
    return None


def _beyond_limits(scenario: Scenario, committed: Plan) -> str | None:
    for unit, beyond in scenario.over_quota(committed).items():
        return f"it occupies {scenario.quota[unit] + beyond} {unit}, the quota is {scenario.quota[unit]}"
    most = scenario.max_cost_usd_per_hour
    if most is not None and committed.cost_usd_per_hour(scenario.catalogue) > most:
        return f"it costs more than the ceiling of ${most} an hour"
    return None
