"""Where each query's latency was spent: its critical path, exact to the nanosecond."""

import numpy as np
import numpy.typing as npt

from pipesim.engine.routing import EdgeRoutes, Routes, StageRoutes
from pipesim.engine.run import Integers, Run

_NONE = -1


def critical_items(routes: Routes, run: Run) -> tuple[Integers, ...]:
    """Return for every stage the item that each query's latency hung on there, shape ``(queries,)``; -1 where none.

    The path is followed backwards: from the item that finished last, to the item whose delivery it had waited for, up
    to the arrival of the query. Where two would do, the earlier edge of the pipeline is taken. So a query's latency is
    the sum of queue delay and service time of its critical items and of the network delays between them.
    """
    queries = run.finish_ns.size
    critical = [np.full(queries, _NONE, dtype=np.int64) for _ in routes.stages]
    last_item = [_last_items(stage, done.finish_ns) for stage, done in zip(routes.stages, run.stages, strict=True)]
    open_ = np.ones(queries, dtype=bool)
    for stage, done in enumerate(run.stages):
        last = last_item[stage]
        ends = open_ & (last != _NONE)
        ends[ends] = done.finish_ns[last[ends]] == run.finish_ns[ends]
        critical[stage][ends] = last[ends]
        open_ &= ~ends
    for stage in range(len(routes.stages) - 1, -1, -1):
        waiting = critical[stage] != _NONE
        for edge in routes.edges:
            if edge.downstream == stage:
                found, item = _delivering(edge, routes, run, critical[stage], waiting, last_item[edge.upstream])
                critical[edge.upstream][found] = item[found]
                waiting &= ~found
    return tuple(critical)


def _last_items(stage: StageRoutes, finish_ns: Integers) -> Integers:
    """Return the item of each query that finishes last at a stage, the first of equals; -1 where it has none."""
    last = np.full(stage.joined.size, _NONE, dtype=np.int64)
    visited = np.flatnonzero(stage.items)
    if visited.size:
        order = np.lexsort((-np.arange(finish_ns.size), finish_ns, stage.query_of_item))
        last[visited] = order[stage.offsets[visited + 1] - 1]
    return last


def _delivering(
    edge: EdgeRoutes,
    routes: Routes,
    run: Run,
    critical: Integers,
    waiting: npt.NDArray[np.bool_],
    upstream_last: Integers,
) -> tuple[npt.NDArray[np.bool_], Integers]:
    """Return the queries whose critical item arrived by this edge, and the upstream items that it waited for."""
    stage, upstream = routes.stages[edge.downstream], routes.stages[edge.upstream]
    query = np.flatnonzero(waiting)
    item = critical[query]
    joined = item < stage.offsets[query] + stage.joined[query]
    if edge.per == "query":
        candidate = np.where(joined & (edge.fan_out[query] > 0), upstream_last[query], _NONE)
    else:
        parents = np.flatnonzero(edge.fan_out)
        place = np.searchsorted(edge.first_child[parents], item, side="right") - 1
        candidate = np.full(item.size, _NONE, dtype=np.int64)
        if parents.size:
            parent = parents[np.maximum(place, 0)]
            is_child = ~joined & (place >= 0) & (item < edge.first_child[parent] + edge.fan_out[parent])
            is_child &= upstream.query_of_item[parent] == query
            candidate[is_child] = parent[is_child]
    arrived = run.stages[edge.downstream].arrival_ns[item]
    known = candidate != _NONE
    known[known] = run.stages[edge.upstream].finish_ns[candidate[known]] + edge.delay_ns == arrived[known]
    found = np.zeros(waiting.size, dtype=bool)
    items = np.full(waiting.size, _NONE, dtype=np.int64)
    found[query[known]], items[query[known]] = True, candidate[known]
    return found, items
