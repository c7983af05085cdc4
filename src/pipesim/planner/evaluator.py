"""Plans put to the test: does a plan meet the objectives on the workload? Each plan is simulated once."""

from collections.abc import Callable, Iterable
from decimal import Decimal

from pipesim.engine import Workload
from pipesim.engine.unqueued import unqueued_latency_ns
from pipesim.model import Plan

Progress = Callable[[int, Decimal | None], None]
"""Called after each simulation with how many there were and the cost of the best feasible plan so far, if any."""


class OutOfEvaluationsError(Exception):
    """The budget of simulations is used up. For the planner only: it never reaches a caller."""


class Evaluator:
    """Answers whether plans are feasible, and remembers.

    Parameters
    ----------
    workload
        What every plan is put through.
    max_evaluations
        How many simulations may be run.
    progress
        Called after each.
    """

    def __init__(self, workload: Workload, max_evaluations: int, progress: Progress | None = None) -> None:
        self.workload = workload
        self.evaluations = 0
        self.cheapest: Decimal | None = None
        self._max_evaluations = max_evaluations
        self._progress = progress
        self._known: dict[object, bool] = {}
        from pipesim.engine.compiled import Departures, meets_limits  # here, because numba takes its time to import

        self._meets_limits, self._departures = meets_limits, Departures()
        self._limits = workload.miss_limits(workload.scenario.slos)

    def feasible(self, plan: Plan) -> bool:
        """Return whether the plan meets all objectives.

        Raises
        ------
        OutOfEvaluationsError
            If that takes a simulation and the budget is used up.
        """
        key = tuple(plan.stages.items())
        if key not in self._known:
            if self.evaluations == self._max_evaluations:
                raise OutOfEvaluationsError
            self.evaluations += 1
            inputs = self.workload.engine_inputs(plan)
            self._known[key] = self._meets_limits(inputs, self._limits, self._departures)
            if self._known[key] and (self.cheapest is None or self.cost(plan) < self.cheapest):
                self.cheapest = self.cost(plan)
            if self._progress is not None:
                self._progress(self.evaluations, self.cheapest)
        return self._known[key]

    def feasible_without_queues(self, plan: Plan) -> bool:
        """Return whether the objectives hold if no item ever waits and each is served alone on the plan's hardware."""
        latency_ns = unqueued_latency_ns(self.workload.engine_inputs(plan))
        return not any(limit.is_missed(latency_ns) for limit in self._limits)

    def cost(self, plan: Plan) -> Decimal:
        """Return what the plan costs an hour."""
        return plan.cost_usd_per_hour(self.workload.scenario.catalogue)


def throughput_qps(workload: Workload, plan: Plan, stage: str) -> float:
    """Return the queries per second that a stage can serve with full batches, infinite if no query visits it.

    Replicas × batch size / (service time at that batch size × mean size + overhead) / scale factor.
    """
    scale_factor = workload.routes.scale_factors()[stage]
    if not scale_factor > 0:
        return float("inf")
    chosen = plan.stages[stage]
    inputs = next(inputs for inputs in workload.engine_inputs(plan).stages if inputs.name == stage)
    size = 1.0 if inputs.size is None else float(inputs.size.mean())
    service_s = (float(inputs.table_ns[chosen.max_batch_size]) * size + inputs.overhead_ns) / 1e9
    return chosen.replicas * chosen.max_batch_size / service_s / scale_factor


def bottleneck(workload: Workload, plan: Plan, stages: Iterable[str]) -> str:
    """Return which of some stages can serve the fewest queries per second, the first of equals."""
    return min(stages, key=lambda stage: throughput_qps(workload, plan, stage))
