"""The compiled engine: the same inputs and outputs as the reference engine, equal on every timestamp, and much faster.

The stages form an acyclic graph and influence each other downstream only, so each is run to its end before the next
begins: no global queue of events. What the reference engine does in phases of an instant is here an order of items by
(arrival, index) and comparisons that are strict or not.
"""

from collections.abc import Sequence

import numpy as np

from pipesim.engine.inputs import EngineInputs, MissLimit, StageInputs
from pipesim.engine.kernels import (
    LEAST_LOADED,
    POWER_OF_TWO,
    RANDOM,
    ROUND_ROBIN,
    Arrivals,
    Batches,
    Server,
    nearly_sorted_order,
    serve_central,
    serve_separate,
    spread,
)
from pipesim.engine.run import Integers, Run, StageRun
from pipesim.model import Dispatch

_NO_FLOATS = np.zeros(0)
_NO_DRAWS = np.zeros((0, 2))
_NO_INTEGERS = np.zeros(0, dtype=np.int64)
_SEPARATE: dict[Dispatch, int] = {
    "round_robin": ROUND_ROBIN,
    "random": RANDOM,
    "power_of_two": POWER_OF_TWO,
    "least_loaded": LEAST_LOADED,
}


def run_compiled(inputs: EngineInputs, limits: Sequence[MissLimit] = ()) -> Run | None:
    """Return what happens to every query, or None if more queries miss than one of the `limits` allows.

    It is :func:`pipesim.engine.run_reference`, timestamp for timestamp.
    """
    fed = {edge.downstream for edge in inputs.edges}
    arrivals = [np.zeros(stage.items, dtype=np.int64) for stage in inputs.stages]
    delivered = [np.zeros(inputs.queries, dtype=np.int64) for _ in inputs.stages]
    left_ns = inputs.arrival_ns.copy()
    runs: list[StageRun] = []
    for index, stage in enumerate(inputs.stages):
        if index not in fed:
            arrivals[index] = inputs.arrival_ns
        else:
            offsets, joined = stage.routes.offsets, stage.routes.joined
            items = _ranges(offsets[:-1], joined)
            arrivals[index][items] = np.repeat(delivered[index], joined)
        run = _serve(stage, arrivals[index])
        runs.append(run)
        ended_ns = _ends(stage, run.finish_ns)
        np.maximum(left_ns, ended_ns, out=left_ns)
        if any(limit.is_missed(left_ns - inputs.arrival_ns) for limit in limits):
            return None
        for edge in inputs.edges:
            if edge.upstream != index:
                continue
            if edge.per == "query":
                into = delivered[edge.downstream]
                np.maximum(into, ended_ns + edge.delay_ns, out=into, where=edge.fan_out > 0)
            else:
                children = _ranges(edge.first_child, edge.fan_out)
                arrivals[edge.downstream][children] = np.repeat(run.finish_ns + edge.delay_ns, edge.fan_out)
    return Run(tuple(runs), left_ns)


def _ranges(first: Integers, count: Integers) -> Integers:
    """Return ``first[i], first[i] + 1, …`` for ``count[i]`` numbers each, one after the other."""
    before = np.cumsum(count) - count
    return np.asarray(np.arange(int(count.sum())) + np.repeat(first - before, count))


def _ends(stage: StageInputs, finish_ns: Integers) -> Integers:
    """Return when each query's visit ended, shape ``(queries,)``; 0 where it did not visit."""
    items = stage.routes.items
    visited = np.flatnonzero(items)
    ended_ns = np.zeros(items.size, dtype=np.int64)
    if visited.size:
        ended_ns[visited] = np.maximum.reduceat(finish_ns, stage.routes.offsets[visited])
    return ended_ns


def _order(first_key: Integers, second_key: Integers) -> Integers:
    """Return the order that sorts by two keys (the second may be empty) and then by index."""
    order = nearly_sorted_order(first_key, second_key)
    if order.size == first_key.size:
        return order
    return np.lexsort((second_key, first_key)) if second_key.size else np.argsort(first_key, kind="stable")


def _serve(stage: StageInputs, arrival_ns: Integers) -> StageRun:
    """Return what happens at one stage, given when its items arrive."""
    order = _order(arrival_ns, _NO_INTEGERS)
    arrivals = Arrivals(
        arrival_ns[order],
        _NO_FLOATS if stage.noise is None else stage.noise[order],
        _NO_FLOATS if stage.size is None else stage.size[order],
    )
    server = Server(
        stage.replicas,
        stage.max_batch_size,
        stage.policy == "window",
        stage.max_queue_delay_ns,
        stage.table_ns,
        stage.overhead_ns,
        stage.combine == "packed",
    )
    following = _NO_INTEGERS
    if stage.dispatch == "central":
        found = serve_central(arrivals, server)
    else:
        draws = _NO_DRAWS if stage.dispatch_draws is None else stage.dispatch_draws[order]
        found, following = serve_separate(arrivals, server, _SEPARATE[stage.dispatch], draws)
    number = _order(found.start_ns, found.replica)
    batches = Batches(*(column[number] for column in found))
    start, finish, batch = spread(order, following, batches)
    return StageRun(
        arrival_ns, start, finish, batch, batches.start_ns, batches.finish_ns, batches.replica, batches.size
    )
