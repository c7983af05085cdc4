"""Plans put to the test: does a plan meet the objectives on every workload? Nothing is simulated twice."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import NamedTuple

import numpy as np

from pipesim.engine import Workload, available_cores
from pipesim.engine.bounds import full_batch_throughput_qps, least_service_ns, unqueued_latency_ns
from pipesim.engine.inputs import check_clock
from pipesim.engine.quantiles import quantile_interval_ns
from pipesim.engine.run import Integers
from pipesim.model import Plan, Scenario, StagePlan, StageSpace
from pipesim.planner.money import Money

BLOCK = 8
"""How many parts are tested side by side: the same number on every machine, so that searches are the same."""


Part = tuple[tuple[int, StagePlan], ...]
"""Settings of some stages, by their place in topological order; each comes after those that feed it."""


class State(NamedTuple):
    """How far a search has come."""

    evaluations: int
    best_usd_per_hour: Decimal | None
    """The cost of the cheapest feasible plan so far, if any."""
    bound_usd_per_hour: Decimal | None
    """A cost that no feasible plan is below, if one is known."""


Progress = Callable[[State], None]
"""Called after each block of tests."""


class StopSearchError(Exception):
    """The budget of a search is used up. For the planner only: it never reaches a caller."""


@dataclass(frozen=True)
class Question:
    """What a plan must stand: one workload or several, and how surely.

    Parameters
    ----------
    workloads
        A plan must meet the objectives on each; the first one is reported. Their scenarios share pipeline, search space
        and prices.
    confident
        Whether the upper end of each objective's confidence interval must meet its bound, too.
    held_out
        A workload that the plan is not made for, but judged on.
    labels
        What each of the workloads is, for people.
    """

    workloads: tuple[Workload, ...]
    confident: bool = False
    held_out: Workload | None = None
    labels: tuple[str, ...] = ("the scenario's own",)

    @classmethod
    def of(cls, asked: "Scenario | Workload | Question") -> "Question":
        """Return the question that a scenario, or a workload that is at hand, asks by itself."""
        if isinstance(asked, Question):
            return asked
        return cls((asked if isinstance(asked, Workload) else Workload.of(asked),))


@dataclass(frozen=True, slots=True)
class Budget:
    """How much a search may take.

    Parameters
    ----------
    max_evaluations
        Tests of plans, or of parts of plans. A search that ends by it is the same on every machine.
    time_limit_s
        Seconds; a search that ends by it is not reproducible.
    threads
        How many tests go on side by side, by default as many as this process may use cores. It changes no result.
    """

    max_evaluations: int
    time_limit_s: float | None = None
    threads: int | None = None


class Evaluator:
    """Answers whether plans, and parts of plans, meet all objectives, and remembers.

    Parameters
    ----------
    question
        What every plan is put through.
    budget
        How much that may take.
    progress
        Called after each block of tests.
    """

    def __init__(self, question: Question, budget: Budget, progress: Progress | None = None) -> None:
        from pipesim.engine.compiled import MAX_KEPT_BYTES, Trials  # here, because numba takes its time to import

        self.question, self.workload = question, question.workloads[0]
        self.scenario = self.workload.scenario
        self.space: Mapping[str, StageSpace] = self.scenario.space
        self.order = self.workload.routes.names
        self.money = Money(self.scenario)
        self.evaluations = 0
        self.best: Plan | None = None
        """The cheapest feasible plan within the ceiling that was tested."""
        self.bound_usd_per_hour: Decimal | None = None
        self.stopped_by: str | None = None
        self._budget, self._progress = budget, progress
        self._deadline = None if budget.time_limit_s is None else time.monotonic() + budget.time_limit_s
        self.largest = {
            name: [option.setting(1, option.batch_sizes[-1]) for option in stage.options]
            for name, stage in self.space.items()
        }
        """For each stage its hardware, each with the largest batch limit."""
        self._limits, self._trials = [], []
        for workload in question.workloads:
            _check_clock(workload, self.largest)
            self._limits.append(workload.miss_limits(workload.scenario.slos))
            least_ns, share = least_services_ns(workload, self.largest), MAX_KEPT_BYTES // len(question.workloads)
            self._trials.append(Trials(workload, self._limits[-1], least_ns, share))
        self._seen: set[Part] = set()
        self._throughputs: dict[tuple[str, str, int], float] = {}
        self._threads = budget.threads or available_cores()
        self.pool = ThreadPoolExecutor(self._threads) if self._threads > 1 else None

    @property
    def best_usd_per_hour(self) -> Decimal | None:
        """Return the cost of the cheapest feasible plan so far."""
        return None if self.best is None else self.cost(self.best)

    def feasible(self, plan: Plan) -> bool:
        """Return whether the plan is within the quotas and meets all objectives.

        Raises
        ------
        StopSearchError
            If that takes a simulation and the budget is used up.
        """
        return not self.scenario.over_quota(plan) and self.test([self.part(plan)])[0] is not None

    def stands(self, plan: Plan) -> bool:
        """Return the same, whatever is left of the budget."""
        return not self.scenario.over_quota(plan) and self._test(self.part(plan)) is not None

    def part(self, plan: Plan) -> Part:
        """Return a whole plan as the part that has all stages."""
        return tuple((index, plan.stages[name]) for index, name in enumerate(self.order))

    def test(self, parts: Sequence[Part]) -> list[object | None]:
        """Return for each part of a plan whether it can be part of a feasible one, and for a whole plan whether it is.

        Parameters
        ----------
        parts
            Each names stages by their place in topological order, in an order in which every stage comes after those
            that feed it.

        Returns
        -------
        list
            None where a part fails; else something that is equal for parts that fare equally, whatever follows.

        Raises
        ------
        StopSearchError
            If the budget is used up; what could be tested has been.
        """
        if self._deadline is not None and time.monotonic() > self._deadline:
            self.stopped_by = "time limit"
            raise StopSearchError
        left = self._budget.max_evaluations - self.evaluations
        new: list[Part] = []
        stops = False
        for index, part in enumerate(parts):
            if part in self._seen:
                continue
            if len(new) == left:
                parts, stops = parts[:index], True
                break
            self._seen.add(part)
            new.append(part)
        run = map if self.pool is None or len(parts) == 1 else self.pool.map
        outcomes = list(run(self._test, parts))
        self.evaluations += len(new)
        for part, outcome in zip(parts, outcomes, strict=True):
            if outcome is not None and len(part) == len(self.order):
                plan = self.plan(part)
                if self.is_affordable(plan) and (self.best is None or self.cost(plan) < self.cost(self.best)):
                    self.best = plan
        if new and self._progress is not None:
            self._progress(State(self.evaluations, self.best_usd_per_hour, self.bound_usd_per_hour))
        if stops:
            self.stopped_by = "budget"
            raise StopSearchError
        return outcomes

    def plan(self, part: Iterable[tuple[int, StagePlan]]) -> Plan:
        """Return the plan that a part with all stages is; its stages are in the order of the file."""
        chosen = {self.order[index]: setting for index, setting in part}
        return Plan.model_construct(stages={name: chosen[name] for name in self.space})

    def _test(self, part: Part) -> object | None:
        keys = []
        for trials in self._trials:
            trial = trials.test(part)
            if not trial.passed:
                return None
            keys.append(trial.keys)
        if self.question.confident and len(part) == len(self.order) and not self._is_confident(part):
            return None
        return tuple(keys)

    def _is_confident(self, part: Part) -> bool:
        """Return whether the upper ends of the confidence intervals meet the bounds."""
        return all(
            is_confident(workload, trials.finish_ns(part) - workload.trace.times_ns)
            for workload, trials in zip(self.question.workloads, self._trials, strict=True)
        )

    def excess(self, plan: Plan) -> float:
        """Return how far the plan misses its worst objective, 0 if it is feasible.

        It is the share of its queries that miss beyond those that may, plus the median of how much too late those are,
        relative to the bound and squeezed into 0 … 1: of two plans that are overrun the less late one is better. What
        is beyond a quota, relative to it, comes on top.
        """
        if self.feasible(plan):
            return 0.0
        quota = self.scenario.quota
        worst = sum((beyond / max(1, quota[unit]) for unit, beyond in self.scenario.over_quota(plan).items()), 0.0)
        missed = 0.0
        for workload, limits, trials in zip(self.question.workloads, self._limits, self._trials, strict=True):
            latency_ns = trials.finish_ns(self.part(plan)) - workload.trace.times_ns
            for limit in limits:
                beyond = limit.misses(latency_ns) - limit.allowed
                if not (beyond > 0).any():
                    continue
                late = latency_ns[(latency_ns > limit.bound_ns) & (limit.group >= 0)]
                lateness = float(np.median(late)) / limit.bound_ns - 1
                share = float(beyond.max()) / max(1, int(np.count_nonzero(limit.group >= 0)))
                missed = max(missed, share + lateness / (1 + lateness))
        return worst + missed or 1e-9  # only the confidence interval misses

    def feasible_without_queues(self, settings: Mapping[str, Sequence[StagePlan]]) -> bool:
        """Return whether the objectives hold if no item ever waits: see :meth:`too_slow`."""
        return self.too_slow(settings) is None

    def too_slow(self, settings: Mapping[str, Sequence[StagePlan]]) -> Workload | None:
        """Return a workload on which the objectives do not hold even if no item ever waits, None if there is none.

        If there is one, no plan of these settings is feasible.

        Parameters
        ----------
        settings
            What each stage may run on. Of every setting the time below which it serves no item is taken (see
            :func:`pipesim.engine.bounds.least_service_ns`), and of those the least for each item.
        """
        for workload, limits in zip(self.question.workloads, self._limits, strict=True):
            latency_ns = least_latency_ns(workload, settings)
            if any(limit.is_missed(latency_ns) for limit in limits):
                return workload
        return None

    def room(self, plan: Plan) -> float:
        """Return by how much of its bound the worst objective could be tighter."""
        room = 1.0
        for workload, limits, trials in zip(self.question.workloads, self._limits, self._trials, strict=True):
            latency_ns = trials.finish_ns(self.part(plan)) - workload.trace.times_ns
            for limit in limits:
                reached_ns = limit.quantiles_ns(latency_ns)
                room = min(room, 1.0 - float(reached_ns.max(initial=0)) / float(limit.bound_ns))
        return room

    def prefer(self, plan: Plan) -> None:
        """Take a feasible plan for the best one, which costs as much."""
        assert self.best is not None
        assert self.is_affordable(plan)
        if plan.stages != self.best.stages:
            self.best = plan

    @contextmanager
    def at_most(self, share: float) -> Iterator[None]:
        """Let what follows take no more than a share of the tests that are left."""
        budget = self._budget
        left = budget.max_evaluations - self.evaluations
        self._budget = replace(budget, max_evaluations=self.evaluations + int(share * left))
        try:
            yield
        finally:
            self._budget, self.stopped_by = budget, None

    def bottleneck(self, plan: Plan, stages: Iterable[str]) -> str:
        """Return which of some stages can serve the fewest queries per second in full batches, the first of equals."""
        return min(
            stages, key=lambda stage: plan.stages[stage].replicas * self.throughput_qps(stage, plan.stages[stage])
        )

    def throughput_qps(self, stage: str, chosen: StagePlan) -> float:
        """Return the queries a second that one replica of a stage serves in full batches."""
        key = stage, chosen.hardware, chosen.max_batch_size
        if key not in self._throughputs:
            self._throughputs[key] = full_batch_throughput_qps(self.workload.stage_inputs(stage, chosen))
        return self._throughputs[key]

    def too_dear(self) -> int:
        """Return a cost, in whole units, that no plan of the space and under its ceiling reaches."""
        dearest = sum(
            max(space.max_replicas * self.money.price(name, option.hardware) for option in space.options)
            for name, space in self.space.items()
        )
        if self.scenario.max_cost_usd_per_hour is not None:
            dearest = min(dearest, self.money.whole_units(self.scenario.max_cost_usd_per_hour))
        return dearest + len(self.space) * self.money.whole_change + 1

    def is_affordable(self, plan: Plan) -> bool:
        """Return whether the plan costs no more than the scenario's ceiling."""
        ceiling = self.scenario.max_cost_usd_per_hour
        return ceiling is None or plan.cost_usd_per_hour(self.scenario.catalogue) <= ceiling

    def cost(self, plan: Plan) -> Decimal:
        """Return what the plan costs an hour, with what its changes against the previous plan are counted as."""
        return self.scenario.weighed_cost_usd_per_hour(plan)

    def close(self) -> None:
        """Let the threads go."""
        if self.pool is not None:
            self.pool.shutdown()


def _check_clock(workload: Workload, settings: Mapping[str, Sequence[StagePlan]]) -> None:
    """Check that the clock cannot overflow, whichever of these settings a plan has."""
    inputs = workload.engine_inputs(Plan(stages={name: some[0] for name, some in settings.items()}))
    longest_ns = [
        max(workload.stage_inputs(name, setting).longest_ns for setting in settings[name])
        for name in workload.routes.names
    ]
    latest_ns = int(inputs.arrival_ns[-1]) if inputs.queries else 0
    check_clock(inputs, [stage.items for stage in inputs.stages], longest_ns, latest_ns)


def is_confident(workload: Workload, latency_ns: Integers) -> bool:
    """Return whether the upper end of each objective's confidence interval meets its bound."""
    highs_ns = interval_highs_ns(workload, latency_ns)
    return all(high_ns <= slo.bound_ns for slo, high_ns in zip(workload.scenario.slos, highs_ns, strict=True))


def interval_highs_ns(workload: Workload, latency_ns: Integers) -> list[float]:
    """Return the upper end of each objective's confidence interval, in ns; 0 without queries."""
    highs_ns = []
    for slo in workload.scenario.slos:
        concerned = latency_ns[workload.concerned(slo)]
        highs_ns.append(quantile_interval_ns(concerned, slo.quantile).high if concerned.size else 0.0)
    return highs_ns


def least_services_ns(workload: Workload, settings: Mapping[str, Sequence[StagePlan]]) -> list[Integers]:
    """Return for each stage a time below which no item is served, whichever of these settings it has."""
    least = []
    for name in workload.routes.names:
        service = [least_service_ns(workload.stage_inputs(name, setting)) for setting in settings[name]]
        least.append(np.asarray(np.minimum.reduce(service)))
    return least


def least_latency_ns(workload: Workload, settings: Mapping[str, Sequence[StagePlan]]) -> Integers:
    """Return a latency below which no query stays, whichever of these settings a plan has, shape ``(queries,)``."""
    inputs = workload.engine_inputs(Plan(stages={name: some[0] for name, some in settings.items()}))
    return unqueued_latency_ns(inputs, least_services_ns(workload, settings))
