"""A second simulation, written from the semantics alone: slow, obvious, and without an event queue.

The reference engine runs all stages together in order of time. Here every stage is run to its end before the stages
that it feeds, as an instant-by-instant loop over plain lists. Of the routes only the fan-outs of edges are used: which
items a stage has, and how they are numbered, is worked out anew.
"""

from dataclasses import dataclass, field

import numpy as np

from pipesim.engine import EngineInputs, Run, StageRun
from pipesim.engine.inputs import StageInputs


def run_oracle(inputs: EngineInputs) -> Run:
    """Return what happened to every query, item and batch."""
    items_of: list[list[range]] = []
    runs: list[StageRun] = []
    leaves = [int(at) for at in inputs.arrival_ns]
    for place, stage in enumerate(inputs.stages):
        arrival: list[int] = []
        items_of.append([])
        for query in range(inputs.queries):
            visit = _visit(inputs, place, query, items_of, runs)
            items_of[place].append(range(len(arrival), len(arrival) + len(visit)))
            arrival += visit
        runs.append(_serve(stage, arrival))
        for query, items in enumerate(items_of[place]):
            leaves[query] = max([leaves[query], *(int(runs[place].finish_ns[item]) for item in items)])
    return Run(tuple(runs), np.array(leaves, dtype=np.int64))


def _visit(
    inputs: EngineInputs, place: int, query: int, items_of: list[list[range]], runs: list[StageRun]
) -> list[int]:
    """Return when each item of a query arrives at a stage: joined items, then those of ``per: item`` edges."""
    incoming = [edge for edge in inputs.edges if edge.downstream == place]
    if not incoming:
        return [int(inputs.arrival_ns[query])]
    joined, children, deliveries = 0, [], []
    for edge in incoming:
        upstream = [(item, int(runs[edge.upstream].finish_ns[item])) for item in items_of[edge.upstream][query]]
        if edge.per == "query":
            if edge.fan_out[query] >= 1:
                joined = max(joined, int(edge.fan_out[query]))
                deliveries.append(max(finish for _, finish in upstream) + edge.delay_ns)
        else:
            for item, finish in upstream:
                children += [finish + edge.delay_ns] * int(edge.fan_out[item])
    return [max(deliveries)] * joined + children if joined else children


@dataclass
class _Replica:
    number: int
    idle_since: int = -1
    batch: list[int] | None = None
    finish: int = 0


@dataclass
class _Batcher:
    waiting: list[int] = field(default_factory=list)
    """Items in no closed batch, in the order of admission."""
    closed: list[list[int]] = field(default_factory=list)
    """Batches that a window has closed and no replica has taken."""


def _serve(stage: StageInputs, arrival: list[int]) -> StageRun:
    """Return what happens to items that arrive at a stage at the given instants."""
    upcoming = sorted(range(len(arrival)), key=lambda item: (arrival[item], item))
    replicas = [_Replica(number) for number in range(stage.replicas)]
    central = stage.dispatch == "central"
    batchers = [_Batcher() for _ in range(1 if central else stage.replicas)]
    assigned: list[set[int]] = [set() for _ in replicas]
    admitted = 0
    started: list[tuple[int, int, int, list[int]]] = []
    now = -1
    while instants := _instants_after(now, stage, arrival, upcoming, replicas, batchers):
        now = min(instants)

        for replica in replicas:
            if replica.batch is not None and replica.finish == now:
                assigned[replica.number] -= set(replica.batch)
                replica.batch, replica.idle_since = None, now

        while upcoming and arrival[upcoming[0]] == now:
            item = upcoming.pop(0)
            chosen = 0
            if not central:
                chosen = _assign(stage, item, admitted, [len(items) for items in assigned])
                assigned[chosen].add(item)
            admitted += 1
            batchers[chosen].waiting.append(item)
            if stage.policy == "window" and len(batchers[chosen].waiting) == stage.max_batch_size:
                _close(batchers[chosen])

        if stage.policy == "window":
            for batcher in batchers:
                if batcher.waiting and arrival[batcher.waiting[0]] + stage.max_queue_delay_ns == now:
                    _close(batcher)

        for replica in sorted(replicas, key=lambda replica: (replica.idle_since, replica.number)):
            if replica.batch is None:
                batch = _take(stage, arrival, batchers[0 if central else replica.number], now)
                if batch:
                    replica.batch, replica.finish = batch, now + _service_ns(stage, batch)
                    started.append((now, replica.number, replica.finish, batch))
    return _stage_run(arrival, started)


def _instants_after(
    now: int,
    stage: StageInputs,
    arrival: list[int],
    upcoming: list[int],
    replicas: list[_Replica],
    batchers: list[_Batcher],
) -> list[int]:
    """Return the instants after `now` at which something may happen, as far as they are known."""
    instants = [arrival[item] for item in upcoming[:1]]
    instants += [replica.finish for replica in replicas if replica.batch is not None]
    instants += [arrival[batcher.waiting[0]] + stage.max_queue_delay_ns for batcher in batchers if batcher.waiting]
    return [instant for instant in instants if instant > now]


def _assign(stage: StageInputs, item: int, admitted: int, load: list[int]) -> int:
    """Return the replica that an item is assigned to; `admitted` counts the items before it."""
    numbers = range(stage.replicas)
    if stage.dispatch == "round_robin":
        return admitted % stage.replicas
    if stage.dispatch == "least_loaded":
        return min(numbers, key=lambda number: (load[number], number))
    first_draw, second_draw = (float(draw) for draw in stage.dispatch_draws[item])
    first = int(first_draw * stage.replicas)
    if stage.dispatch == "random" or stage.replicas == 1:
        return first
    others = [number for number in numbers if number != first]
    second = others[int(second_draw * len(others))]
    return min(first, second, key=lambda number: (load[number], number))


def _close(batcher: _Batcher) -> None:
    batcher.closed.append(batcher.waiting)
    batcher.waiting = []


def _take(stage: StageInputs, arrival: list[int], batcher: _Batcher, now: int) -> list[int]:
    """Return the batch that an idle replica takes at `now`, removed from its batcher; empty if there is none."""
    if stage.policy == "window":
        return batcher.closed.pop(0) if batcher.closed else []
    waiting, limit = batcher.waiting, stage.max_batch_size
    if waiting and (len(waiting) >= limit or now >= arrival[waiting[0]] + stage.max_queue_delay_ns):
        batcher.waiting = waiting[limit:]
        return waiting[:limit]
    return []


def _service_ns(stage: StageInputs, batch: list[int]) -> int:
    """Return how long a batch takes; Python's ``round`` takes a half to even."""
    time = float(stage.table_ns[len(batch)])
    if stage.size is not None:
        sizes = [float(stage.size[item]) for item in batch]
        total = 0.0
        for size in sizes:
            total += size
        time *= max(sizes) if stage.combine == "padded" else total / len(batch)
    if stage.noise is not None:
        time *= float(stage.noise[batch[0]])
    return max(1, round(time) + stage.overhead_ns)


def _stage_run(arrival: list[int], started: list[tuple[int, int, int, list[int]]]) -> StageRun:
    started = sorted(started)
    batch_of = {item: number for number, (*_, batch) in enumerate(started) for item in batch}
    batches = [batch_of[item] for item in range(len(arrival))]

    def array(values: list[int]) -> np.ndarray:
        return np.array(values, dtype=np.int64)

    return StageRun(
        arrival_ns=array(arrival),
        start_ns=array([started[batch][0] for batch in batches]),
        finish_ns=array([started[batch][2] for batch in batches]),
        batch=array(batches),
        batch_start_ns=array([start for start, _, _, _ in started]),
        batch_finish_ns=array([finish for _, _, finish, _ in started]),
        batch_replica=array([replica for _, replica, _, _ in started]),
        batch_size=array([len(batch) for *_, batch in started]),
    )
