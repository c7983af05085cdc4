"""Paths: ways through the pipeline that some queries take, on which the times of stages add up."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pipesim.engine import MissLimit, Workload
from pipesim.engine.run import Integers

MAX_PATHS = 16
"""With more ways than that through a pipeline, only the longest ones through some stage are looked at."""
MAX_WINDOWS = 4
"""Of an objective that must hold in every window, those that are looked at."""

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Traffic:
    """The queries of one path at one stage, as far as an objective is for them.

    Parameters
    ----------
    arrival_ns
        Shape ``(queries,)``, int64, ascending: when they enter the pipeline.
    items
        Shape ``(queries,)``, int64, at least 1: the items at the stage that lie on the path.
    """

    arrival_ns: Integers
    items: Integers


@dataclass(frozen=True)
class Path:
    """A way from a source to the end, for one objective of one workload.

    An item at a stage *lies on the path* if it comes from an item on the path before, and leads to one after. The query
    ends no earlier than such a chain of items, so what the chain takes at all stages and edges adds up to no more than
    the bound, if the query is in time.

    Parameters
    ----------
    stages
        Places of its stages in topological order.
    budget_ns
        The objective's bound less the network delays of its edges.
    allowed
        How many queries may miss.
    traffic
        For each of its stages.
    sums
        For each of its stages, whether the longest service among a query's items there adds up with those of the other
        stages: all edges around it are ``per: query`` and wait for all items, or there is one item.
    """

    stages: tuple[int, ...]
    budget_ns: int
    allowed: int
    traffic: tuple[Traffic, ...]
    sums: tuple[bool, ...]


def paths_of(workload: Workload, limits: Sequence[MissLimit], least_ns: Sequence[int]) -> list[Path]:
    """Return the paths that can decide: ways that more queries take than may miss, for each objective.

    Parameters
    ----------
    workload
        Whose routes are looked at.
    limits
        The objectives; each window of one counts as one.
    least_ns
        For each stage the least that any service takes, to tell long ways from short ones.
    """
    ways = [(way, _items_on(workload, way)) for way in _ways(workload, least_ns)]
    found = []
    for limit in limits:
        for window in _deciding_windows(limit):
            counts = limit.group == window
            found += [_path(workload, way, items, limit, counts, int(limit.allowed[window])) for way, items in ways]
    return [path for path in found if path.traffic[0].arrival_ns.size > path.allowed]


class _Way(NamedTuple):
    """A way from a source to a stage that leads nowhere else."""

    stages: tuple[int, ...]
    edges: tuple[int, ...]


def _deciding_windows(limit: MissLimit) -> list[int]:
    """Return the windows of an objective that are looked at: those with the most queries beyond the misses allowed."""
    queries = np.bincount(limit.group[limit.group >= 0], minlength=limit.allowed.size)
    order = np.argsort(limit.allowed - queries, kind="stable")
    return [int(window) for window in order[:MAX_WINDOWS] if queries[window] > limit.allowed[window]]


def _ways(workload: Workload, least_ns: Sequence[int]) -> list[_Way]:
    """Return the ways through the pipeline; if they are too many, for some stages the longest one through it."""
    edges, stages = workload.routes.edges, range(len(workload.routes.names))
    into = [[number for number, edge in enumerate(edges) if edge.downstream == stage] for stage in stages]
    out = [[number for number, edge in enumerate(edges) if edge.upstream == stage] for stage in stages]
    to_the_end = [1] * len(stages)
    for stage in reversed(stages):
        to_the_end[stage] = sum(to_the_end[edges[number].downstream] for number in out[stage]) or 1
    sources = [stage for stage in stages if not into[stage]]
    if sum(to_the_end[stage] for stage in sources) <= MAX_PATHS:
        ways = [_Way((source,), ()) for source in sources]
        while any(out[way.stages[-1]] for way in ways):
            ways = [longer for way in ways for longer in _prolonged(way, out[way.stages[-1]], workload)]
        return ways
    before: list[tuple[int, tuple[int, ...]]] = []
    for stage in stages:
        reached = [(edges[number], *before[edges[number].upstream], number) for number in into[stage]]
        options = [(length + edge.delay_ns, (*way, number)) for edge, length, way, number in reached]
        length, way = max(options, default=(0, ()))
        before.append((length + least_ns[stage], way))
    after: list[tuple[int, tuple[int, ...]]] = [(0, ())] * len(stages)
    for stage in reversed(stages):
        going = [(edges[number], *after[edges[number].downstream], number) for number in out[stage]]
        after[stage] = max(
            (
                (length + edge.delay_ns + least_ns[edge.downstream], (number, *way))
                for edge, length, way, number in going
            ),
            default=(0, ()),
        )
    longest = {(*before[stage][1], *after[stage][1]): before[stage][0] + after[stage][0] for stage in stages}
    chosen = sorted((way for way in longest if way), key=lambda way: -longest[way])[:MAX_PATHS]
    return [_Way((edges[way[0]].upstream, *(edges[number].downstream for number in way)), way) for way in chosen]


def _prolonged(way: _Way, out: Sequence[int], workload: Workload) -> list[_Way]:
    """Return the ways that go on from the last stage of a way."""
    longer = [_Way((*way.stages, workload.routes.edges[one].downstream), (*way.edges, one)) for one in out]
    return longer or [way]


def _items_on(workload: Workload, way: _Way) -> list[Mask]:
    """Return for each stage of a way which of its items lie on it, shape ``(items,)``."""
    deliveries, edges = workload.deliveries, workload.routes.edges
    leads = []  # for each edge, the run that each item upstream delivers to, -1 for none; and the items of each run
    for number in way.edges:
        edge = edges[number]
        stage = deliveries.stages[edge.downstream]
        place = [one for one, other in enumerate(edges) if other.downstream == edge.downstream].index(number)
        items = deliveries.items[edge.downstream]
        run = np.arange(items) if stage.is_plain else stage.child[place]
        leads.append((run, stage.length if stage.length.size else np.ones(items, np.int64)))
    comes = [np.ones(deliveries.items[way.stages[0]], dtype=bool)]
    for run, length in leads:
        reached = np.zeros(length.size, dtype=bool)
        reached[run[comes[-1] & (run >= 0)]] = True
        comes.append(np.repeat(reached[length > 0], length[length > 0]))
    goes = [np.ones(comes[-1].size, dtype=bool)]
    for run, length in reversed(leads):
        first = np.flatnonzero(length > 0)
        passes = np.zeros(length.size, dtype=bool)
        if first.size:
            passes[first] = np.logical_or.reduceat(goes[-1], first)
        goes.append((run >= 0) & passes[np.maximum(run, 0)] if length.size else np.zeros(run.size, dtype=bool))
    return [there & onward for there, onward in zip(comes, reversed(goes), strict=True)]


def _path(
    workload: Workload, way: _Way, items_on: Sequence[Mask], limit: MissLimit, counts: Mask, allowed: int
) -> Path:
    edges, deliveries = [workload.routes.edges[number] for number in way.edges], workload.deliveries
    traffic, sums = [], []
    for turn, stage in enumerate(way.stages):
        query_of_item = deliveries.query_of_item[stage]
        queries = query_of_item[items_on[turn]] if query_of_item.size else np.flatnonzero(items_on[turn])
        items = np.bincount(queries, minlength=len(workload.trace))
        items[~counts] = 0
        there = np.flatnonzero(items)
        traffic.append(Traffic(workload.trace.times_ns[there], items[there]))
        around = edges[max(0, turn - 1) : turn + 1]
        sums.append(all(edge.per == "query" for edge in around) or bool((items <= 1).all()))
    budget_ns = limit.bound_ns - sum(edge.delay_ns for edge in edges)
    return Path(way.stages, budget_ns, allowed, tuple(traffic), tuple(sums))
