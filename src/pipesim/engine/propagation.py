"""How departures become arrivals: the way of items from stage to stage, once each stage's departures are known."""

from collections.abc import Sequence

import numpy as np

from pipesim.engine.deliveries import Deliveries
from pipesim.engine.inputs import EngineInputs, StageInputs
from pipesim.engine.run import Integers


def arrivals_ns(
    index: int, inputs: EngineInputs, finish_ns: Sequence[Integers], ends_ns: Sequence[Integers]
) -> Integers:
    """Return when the items of a stage arrive, by index.

    Parameters
    ----------
    index
        Of the stage, in topological order.
    inputs
        Routes and delays.
    finish_ns, ends_ns
        Of every stage upstream: when each item finished, and when each query's visit ended.
    """
    stage = inputs.stages[index]
    incoming = [edge for edge in inputs.edges if edge.downstream == index]
    if not incoming:
        return inputs.arrival_ns
    arrival_ns = np.zeros(stage.items, dtype=np.int64)
    delivered_ns = np.zeros(inputs.queries, dtype=np.int64)
    for edge in incoming:
        if edge.per == "query":
            at_ns = ends_ns[edge.upstream] + edge.delay_ns
            np.maximum(delivered_ns, at_ns, out=delivered_ns, where=edge.fan_out > 0)
        else:
            children = _ranges(edge.first_child, edge.fan_out)
            arrival_ns[children] = np.repeat(finish_ns[edge.upstream] + edge.delay_ns, edge.fan_out)
    offsets, joined = stage.routes.offsets, stage.routes.joined
    arrival_ns[_ranges(offsets[:-1], joined)] = np.repeat(delivered_ns, joined)
    return arrival_ns


def _ranges(first: Integers, count: Integers) -> Integers:
    """Return ``first[i], first[i] + 1, …`` for ``count[i]`` numbers each, one after the other."""
    before = np.cumsum(count) - count
    return np.asarray(np.arange(int(count.sum())) + np.repeat(first - before, count))


def visit_ends_ns(stage: StageInputs, finish_ns: Integers) -> Integers:
    """Return when each query's visit ended, shape ``(queries,)``; 0 where it did not visit."""
    items = stage.routes.items
    visited = np.flatnonzero(items)
    ended_ns = np.zeros(items.size, dtype=np.int64)
    if visited.size:
        ended_ns[visited] = np.maximum.reduceat(finish_ns, stage.routes.offsets[visited])
    return ended_ns


def latest_ns(inputs: EngineInputs, ends_ns: Sequence[Integers]) -> Integers:
    """Return when each query's last visit ended, of those known; its arrival if none is."""
    return np.asarray(np.maximum.reduce([inputs.arrival_ns, *ends_ns]))


def ways_out_ns(deliveries: Deliveries, service_ns: Sequence[Integers]) -> list[Integers]:
    """Return a time below which no query ends after an item of it has finished, for every stage and item.

    An item that finishes delivers to a run of items, which do not arrive before it is there, are served in no less than
    the time given, and go on from there. Of all ways that begin so the longest counts: it must be gone.

    Parameters
    ----------
    deliveries
        Where each item leads.
    service_ns
        For every stage in topological order, shape ``(items,)``, int64: the least that each item's service takes.

    Returns
    -------
    list
        For every stage, shape ``(items,)``, int64; 0 where nothing follows.
    """
    ways_ns = [np.zeros(items, np.int64) for items in deliveries.items]
    for index in reversed(range(len(deliveries.stages))):
        stage = deliveries.stages[index]
        through_ns = service_ns[index] + ways_ns[index]
        if stage.length.size:  # a run is as long as its longest item
            first = np.flatnonzero(stage.length)
            through_ns[first] = np.maximum.reduceat(through_ns, first) if first.size else 0
        for upstream, delay_ns, child in zip(stage.upstream, stage.delay_ns, stage.child, strict=True):
            if stage.is_plain:
                np.maximum(ways_ns[upstream], through_ns + delay_ns, out=ways_ns[upstream])
            else:
                there = np.flatnonzero(child >= 0)
                ways_ns[upstream][there] = np.maximum(ways_ns[upstream][there], through_ns[child[there]] + delay_ns)
    return ways_ns
