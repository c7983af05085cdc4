"""Plans put to the test: does a plan meet the objectives on the workload? Each plan is simulated once."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal

import numpy as np

from pipesim.engine import Workload
from pipesim.engine.bounds import full_batch_throughput_qps, least_service_ns, unqueued_latency_ns
from pipesim.engine.run import Integers
from pipesim.model import Plan, StagePlan

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
        from pipesim.engine.compiled import Departures, meets_limits  # here, because numba takes its time to import

        self._meets_limits, self._departures = meets_limits, Departures()
        self.workload = workload
        self.evaluations = 0
        self.cheapest: Decimal | None = None
        self._limits = workload.miss_limits(workload.scenario.slos)
        self._max_evaluations = max_evaluations
        self._progress = progress
        self._known: dict[object, bool] = {}
        self._throughputs: dict[tuple[str, str, int], float] = {}

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

    def feasible_without_queues(self, settings: Mapping[str, Sequence[StagePlan]]) -> bool:
        """Return whether the objectives hold if no item ever waits: if not, no plan of these settings is feasible.

        Parameters
        ----------
        settings
            What each stage may run on. Of every setting the time below which it serves no item is taken (see
            :func:`pipesim.engine.bounds.least_service_ns`), and of those the least for each item.
        """
        latency_ns = least_latency_ns(self.workload, settings)
        return not any(limit.is_missed(latency_ns) for limit in self._limits)

    def bottleneck(self, plan: Plan, stages: Iterable[str]) -> str:
        """Return which of some stages can serve the fewest queries per second in full batches, the first of equals."""
        return min(stages, key=lambda stage: self._throughput_qps(plan, stage))

    def _throughput_qps(self, plan: Plan, stage: str) -> float:
        chosen = plan.stages[stage]
        key = stage, chosen.hardware, chosen.max_batch_size
        if key not in self._throughputs:
            inputs = self.workload.engine_inputs(plan)
            found = next(inputs for inputs in inputs.stages if inputs.name == stage)
            self._throughputs[key] = full_batch_throughput_qps(found)
        return chosen.replicas * self._throughputs[key]

    def cost(self, plan: Plan) -> Decimal:
        """Return what the plan costs an hour."""
        return plan.cost_usd_per_hour(self.workload.scenario.catalogue)


def least_latency_ns(workload: Workload, settings: Mapping[str, Sequence[StagePlan]]) -> Integers:
    """Return a latency below which no query stays, whichever of these settings a plan has, shape ``(queries,)``."""
    rounds = max(map(len, settings.values()))
    least: list[Integers] | None = None
    for index in range(rounds):
        plan = Plan(stages={name: some[min(index, len(some) - 1)] for name, some in settings.items()})
        inputs = workload.engine_inputs(plan)
        service = [least_service_ns(stage) for stage in inputs.stages]
        least = service if least is None else [np.minimum(*pair) for pair in zip(least, service, strict=True)]
    assert least is not None
    return unqueued_latency_ns(inputs, least)
