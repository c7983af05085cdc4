"""The reference engine: the definition of the simulation, in SimPy.

Time is an integer number of nanoseconds. Whatever happens at one instant happens in five phases, which are the
priorities of SimPy's events:

1. *completions*: batches finish; their items leave, and replicas become idle;
2. *arrivals*: items reach stages, from outside and from upstream;
3. *admission*: the arrivals of the instant join the queues, in (query, item) order whatever their source;
4. *timers*: batches that have waited long enough are let go;
5. *dispatch*: idle replicas take batches.

So a replica that takes a batch at t has seen every item that arrived at or before t. A service lasts at least 1 ns,
and nothing later in an instant causes anything earlier in it, so each instant passes through the phases once.
"""

import heapq
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, cast

import numpy as np
import simpy
from simpy.events import EventPriority

from pipesim.engine.inputs import EngineInputs, StageInputs
from pipesim.engine.routing import EdgeRoutes
from pipesim.engine.run import Integers, Run, StageRun


class Phase:
    """The order of events within one instant, as SimPy's priorities."""

    COMPLETIONS = EventPriority(0)
    ARRIVALS = EventPriority(1)
    ADMISSION = EventPriority(2)
    TIMERS = EventPriority(3)
    DISPATCH = EventPriority(4)


def run_reference(inputs: EngineInputs) -> Run:
    """Return what happens to every query.

    Parameters
    ----------
    inputs
        Arrivals, stages and edges, with all luck drawn.
    """
    simulation = _Simulation(inputs)
    simulation.arrive_from_outside()
    simulation.environment.run()
    return Run(tuple(stage.result() for stage in simulation.stages), np.array(simulation.finish_ns, dtype=np.int64))


class _Happening(simpy.Event):
    """An event that has its value from the start, as a timeout has, and calls one action when its time comes."""

    _ok = True
    _value = None

    def __init__(self, environment: simpy.Environment, action: Callable[..., None], arguments: tuple[Any, ...]) -> None:
        self.env = environment
        self.callbacks = [_Happening.act]
        self.action, self.arguments = action, arguments

    def act(self: Any) -> None:
        self.action(*self.arguments)


class _Simulation:
    """The clock, the stages, and the queries on their way."""

    def __init__(self, inputs: EngineInputs) -> None:
        self.environment = simpy.Environment()
        self.arrival_ns = inputs.arrival_ns.tolist()
        self.finish_ns = [0] * inputs.queries
        self.stages = [_Stage(self, stage) for stage in inputs.stages]
        for edge in inputs.edges:
            _connect(self.stages[edge.upstream], self.stages[edge.downstream], edge)
        fed = {edge.downstream for edge in inputs.edges}
        self.sources = [stage for index, stage in enumerate(self.stages) if index not in fed]
        self.visits_left = sum((stage.routes.items > 0).astype(int) for stage in inputs.stages).tolist()  # type: ignore[union-attr]

    @property
    def now(self) -> int:
        return cast("int", self.environment.now)

    def at(self, instant: int, phase: EventPriority, action: Callable[..., None], *arguments: Any) -> None:
        """Schedule `action` for a phase of an instant."""
        happening = _Happening(self.environment, action, arguments)
        self.environment.schedule(happening, phase, instant - self.environment.now)

    def arrive_from_outside(self, query: int = 0) -> None:
        """Let the queries of the next instant arrive at every source stage, then wait for the one after."""
        first = query
        while query < len(self.arrival_ns) and self.arrival_ns[query] == self.arrival_ns[first]:
            query += 1
        if query > first:
            for source in self.sources:
                self.at(self.arrival_ns[first], Phase.ARRIVALS, source.arrive, range(first, query))
            self.at(self.arrival_ns[first], Phase.ARRIVALS, self.arrive_from_outside, query)

    def end_visit(self, query: int) -> None:
        """Note that one of the query's visits has ended; with the last one the query leaves."""
        self.visits_left[query] -= 1
        if self.visits_left[query] == 0:
            self.finish_ns[query] = self.now


class _Stage:
    """One stage: its replicas, the batchers that feed them, and the way on for items that have been served."""

    def __init__(self, simulation: _Simulation, inputs: StageInputs) -> None:
        self.simulation, self.inputs = simulation, inputs
        self.offsets = inputs.routes.offsets.tolist()
        self.query_of_item = inputs.routes.query_of_item.tolist()
        self.joined = inputs.routes.joined.tolist()
        self.items_left = inputs.routes.items.tolist()
        self.table_ns = inputs.table_ns.tolist()
        self.noise = None if inputs.noise is None else inputs.noise.tolist()
        self.size = None if inputs.size is None else inputs.size.tolist()
        self.edges_per_query: list[_Way] = []
        self.edges_per_item: list[_Way] = []
        self.deliveries_left = [0] * len(self.joined)
        self.delivered_ns = [0] * len(self.joined)

        make = _WindowBatcher if inputs.policy == "window" else _GreedyBatcher
        replicas = range(inputs.replicas)
        if inputs.dispatch == "central":
            self.batchers: list[_Batcher] = [make(self, replicas)]
        else:
            self.batchers = [make(self, [replica]) for replica in replicas]
        self.admitted = 0
        self.arriving: list[int] = []
        self.dispatch_at = -1

        self.arrival_ns, self.start_ns, self.finish_ns, self.batch = ([0] * inputs.items for _ in range(4))
        self.batches: list[tuple[int, int, int, int]] = []  # start, finish, replica, size

    def arrive(self, items: Iterable[int]) -> None:
        """Collect what arrives at this instant; it is admitted together."""
        if not self.arriving:
            simulation = self.simulation
            simulation.at(simulation.now, Phase.ADMISSION, self._admit)
        self.arriving.extend(items)

    def _admit(self) -> None:
        now, items, self.arriving = self.simulation.now, sorted(self.arriving), []
        for item in items:
            self.arrival_ns[item] = now
            batcher = self._assign(item)
            batcher.load += 1
            batcher.admit(item)
            self.admitted += 1
            self.dispatch_soon(batcher)

    def _assign(self, item: int) -> "_Batcher":
        """Return the batcher that the dispatch policy assigns to an item: the stage's, or that of one replica."""
        batchers, draws = self.batchers, self.inputs.dispatch_draws
        match self.inputs.dispatch:
            case "central":
                return batchers[0]
            case "round_robin":
                return batchers[self.admitted % len(batchers)]
            case "random":
                assert draws is not None
                return batchers[int(draws[item, 0] * len(batchers))]
            case "power_of_two":
                assert draws is not None
                one = int(draws[item, 0] * len(batchers))
                if len(batchers) == 1:
                    return batchers[one]
                other = int(draws[item, 1] * (len(batchers) - 1))
                other += other >= one
                return batchers[min(one, other, key=lambda replica: (batchers[replica].load, replica))]
            case "least_loaded":
                return min(batchers, key=lambda batcher: batcher.load)

    def dispatch_soon(self, batcher: "_Batcher") -> None:
        """Let idle replicas take what waits at the end of this instant, if there are both."""
        now = self.simulation.now
        if batcher.idle and batcher.waiting and self.dispatch_at != now:
            self.dispatch_at = now
            self.simulation.at(now, Phase.DISPATCH, self._dispatch)

    def _dispatch(self) -> None:
        for batcher in self.batchers:
            while batcher.idle and (batch := batcher.next_batch()):
                _, replica = heapq.heappop(batcher.idle)
                self._serve(batcher, replica, batch)

    def _serve(self, batcher: "_Batcher", replica: int, batch: list[int]) -> None:
        start = self.simulation.now
        finish = start + self._service_ns(batch)
        for item in batch:
            self.start_ns[item], self.finish_ns[item], self.batch[item] = start, finish, len(self.batches)
        self.batches.append((start, finish, replica, len(batch)))
        self.simulation.at(finish, Phase.COMPLETIONS, self._complete, batcher, replica, batch)

    def _service_ns(self, batch: list[int]) -> int:
        """Return max(1, rint(table · size · noise) + overhead): float64, left to right, half to even."""
        service = float(self.table_ns[len(batch)])
        if self.size is not None:
            service *= self._batch_size_factor(batch)
        if self.noise is not None:
            service *= self.noise[batch[0]]
        return max(1, round(service) + self.inputs.overhead_ns)

    def _batch_size_factor(self, batch: list[int]) -> float:
        assert self.size is not None
        if self.inputs.combine == "padded":
            return float(max(self.size[item] for item in batch))
        total = 0.0
        for item in batch:  # not sum(), which compensates rounding in newer Pythons
            total += self.size[item]
        return total / len(batch)

    def _complete(self, batcher: "_Batcher", replica: int, batch: list[int]) -> None:
        heapq.heappush(batcher.idle, (self.simulation.now, replica))
        batcher.load -= len(batch)
        self.dispatch_soon(batcher)
        for item in batch:
            self._leave(item)

    def _leave(self, item: int) -> None:
        """Pass an item's children on, and with the last item of a visit what the visit passes on."""
        now, query = self.simulation.now, self.query_of_item[item]
        for way in self.edges_per_item:
            if way.fan_out[item]:
                first = way.first_child[item]
                children = range(first, first + way.fan_out[item])
                self.simulation.at(now + way.delay_ns, Phase.ARRIVALS, way.downstream.arrive, children)
        self.items_left[query] -= 1
        if self.items_left[query] == 0:
            for way in self.edges_per_query:
                if way.fan_out[query]:
                    way.downstream.deliver(query, now + way.delay_ns)
            self.simulation.end_visit(query)

    def deliver(self, query: int, instant: int) -> None:
        """Note one delivery to a query's visit; after the last, its joined items arrive at the latest of them."""
        self.delivered_ns[query] = max(self.delivered_ns[query], instant)
        self.deliveries_left[query] -= 1
        if self.deliveries_left[query] == 0:
            first = self.offsets[query]
            joined = range(first, first + self.joined[query])
            self.simulation.at(self.delivered_ns[query], Phase.ARRIVALS, self.arrive, joined)

    def result(self) -> StageRun:
        """Return what happened, with the batches numbered by start, then replica."""
        batches = np.array(self.batches, dtype=np.int64).reshape(-1, 4)
        order = np.lexsort((batches[:, 2], batches[:, 0]))
        number = np.empty(order.size, dtype=np.int64)
        number[order] = np.arange(order.size)
        start, finish, replica, size = batches[order].T
        return StageRun(
            _integers(self.arrival_ns),
            _integers(self.start_ns),
            _integers(self.finish_ns),
            number[_integers(self.batch)],
            start,
            finish,
            replica,
            size,
        )


class _Way:
    """An edge as its upstream stage sees it."""

    def __init__(self, downstream: _Stage, edge: EdgeRoutes) -> None:
        self.downstream, self.delay_ns = downstream, edge.delay_ns
        self.fan_out, self.first_child = edge.fan_out.tolist(), edge.first_child.tolist()


class _Batcher(ABC):
    """Forms batches for the replicas of one queue: all of a stage's, or one."""

    waiting: deque[Any]

    def __init__(self, stage: _Stage, replicas: Iterable[int]) -> None:
        self.stage = stage
        # A heap of (idle since, replica): the one idle longest serves, ties go to the lowest number.
        self.idle = [(-1, replica) for replica in replicas]
        self.load = 0  # items admitted and not completed

    @abstractmethod
    def admit(self, item: int) -> None:
        """Let an item join the queue."""

    @abstractmethod
    def next_batch(self) -> list[int] | None:
        """Return the batch that a replica may take now, removed from the queue; None if there is none yet."""


class _GreedyBatcher(_Batcher):
    """An idle replica takes what waits, up to the limit: at once if that fills a batch or nobody may be waited for.

    Else when the oldest item has waited for `max_queue_delay`.
    """

    def __init__(self, stage: _Stage, replicas: Iterable[int]) -> None:
        super().__init__(stage, replicas)
        self.waiting: deque[int] = deque()  # items
        self.timer = -1

    def admit(self, item: int) -> None:
        self.waiting.append(item)

    def next_batch(self) -> list[int] | None:
        limit, simulation = self.stage.inputs.max_batch_size, self.stage.simulation
        if not self.waiting:
            return None
        due = self.stage.arrival_ns[self.waiting[0]] + self.stage.inputs.max_queue_delay_ns
        if len(self.waiting) < limit and simulation.now < due:
            if self.timer != due:
                self.timer = due
                simulation.at(due, Phase.TIMERS, self.stage.dispatch_soon, self)
            return None
        return [self.waiting.popleft() for _ in range(min(limit, len(self.waiting)))]


class _WindowBatcher(_Batcher):
    """A batch is closed when it is full, or `max_queue_delay` after its first item arrived, replicas free or not.

    Closed batches are served first come, first served. An item that arrives as the timer ends still joins.
    """

    def __init__(self, stage: _Stage, replicas: Iterable[int]) -> None:
        super().__init__(stage, replicas)
        self.open: list[int] = []
        self.waiting: deque[list[int]] = deque()  # closed batches

    def admit(self, item: int) -> None:
        if not self.open:
            simulation = self.stage.simulation
            due = simulation.now + self.stage.inputs.max_queue_delay_ns
            simulation.at(due, Phase.TIMERS, self._time_out, self.open)
        self.open.append(item)
        if len(self.open) == self.stage.inputs.max_batch_size:
            self._close()

    def _time_out(self, batch: list[int]) -> None:
        if self.open is batch:  # else it was filled earlier
            self._close()
            self.stage.dispatch_soon(self)

    def _close(self) -> None:
        self.waiting.append(self.open)
        self.open = []

    def next_batch(self) -> list[int] | None:
        return self.waiting.popleft() if self.waiting else None


def _connect(upstream: _Stage, downstream: _Stage, edge: EdgeRoutes) -> None:
    if edge.per == "item":
        upstream.edges_per_item.append(_Way(downstream, edge))
        return
    upstream.edges_per_query.append(_Way(downstream, edge))
    for query in np.flatnonzero(edge.fan_out):
        downstream.deliveries_left[query] += 1


def _integers(values: list[int]) -> Integers:
    return np.array(values, dtype=np.int64)
