"""Routes as the items see them: what each one, when it leaves a stage, delivers to the next.

The items of a stage arrive in *runs*, ranges that arrive together: all joined items of a query, or the children of one
item upstream. A run arrives with the last of its deliveries. An item upstream is one delivery to the run that its edge
leads to: a ``per: query`` edge delivers when the last item of the visit has finished, which is when all of them have.
So every edge is a map from items to runs, and a join is a count of deliveries.
"""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from pipesim.engine.routing import EdgeRoutes, Routes

Integers = npt.NDArray[np.int64]
Indices = npt.NDArray[np.int32]
NONE = np.zeros(0, np.int32)


@dataclass(frozen=True, slots=True)
class StageDeliveries:
    """How items come to one stage.

    Parameters
    ----------
    upstream, delay_ns
        For each edge that ends here: the stage that it comes from, in topological order, and its network delay.
    child
        For each edge, shape ``(items upstream,)``, int32: the first item of the run that an item delivers to; -1 for
        none. Empty if `is_plain`: each item delivers to the item of its own number.
    expected
        Shape ``(items,)``, int32: at the first item of each run, its deliveries. Empty if each run has one.
    length
        Shape ``(items,)``, int32: at the first item of each run, its items. Empty if each run has one.
    is_plain
        Whether there is one edge, and what leaves the stage upstream arrives as it is.
    """

    upstream: tuple[int, ...]
    delay_ns: tuple[int, ...]
    child: tuple[Indices, ...]
    expected: Indices
    length: Indices
    is_plain: bool = False


@dataclass(frozen=True, slots=True)
class Deliveries:
    """How items come to every stage, and what they belong to.

    Parameters
    ----------
    queries
        How many there are.
    arrivals
        Of queries from outside: the instants, int64; how many queries there are up to the end of each, int32; and the
        queries, int32.
    stages
        In topological order.
    items
        How many items visit each stage.
    query_of_item
        For each stage, shape ``(items,)``, int32; empty if item and query have the same number.
    ends_queries
        For each stage, whether a query may end there: else each of its visits is followed by another one.
    feeds_others
        For each stage, whether an edge begins there.
    """

    queries: int
    arrivals: tuple[Integers, Indices, Indices]
    stages: tuple[StageDeliveries, ...]
    items: tuple[int, ...]
    query_of_item: tuple[Indices, ...]
    ends_queries: tuple[bool, ...]
    feeds_others: tuple[bool, ...]

    @classmethod
    def of(cls, times_ns: Integers, routes: Routes) -> "Deliveries":
        """Return what routes mean for the items of queries that arrive at these times."""
        followed = {edge.upstream for edge in routes.edges if edge.always}
        return cls(
            times_ns.size,
            _groups(times_ns, _numbers(times_ns.size)),
            tuple(_stage_deliveries(routes, stage) for stage in range(len(routes.stages))),
            tuple(int(stage.offsets[-1]) for stage in routes.stages),
            tuple(NONE if stage.each_once else stage.query_of_item.astype(np.int32) for stage in routes.stages),
            tuple(stage not in followed for stage in range(len(routes.stages))),
            tuple(any(edge.upstream == stage for edge in routes.edges) for stage in range(len(routes.stages))),
        )

    def at(self, times_ns: Integers) -> "Deliveries":
        """Return the same for the same queries at other times."""
        return replace(self, arrivals=_groups(times_ns, self.arrivals[2]))

    def copied(self) -> "Deliveries":
        """Return the same, for a run that counts deliveries down."""
        stages = tuple(replace(stage, expected=stage.expected.copy()) for stage in self.stages)
        return replace(self, stages=stages)

    def continued_by(self, later: "Deliveries", left: int) -> tuple["Deliveries", tuple[int, ...]]:
        """Return the deliveries without the first queries and with later ones; and the items let go at each stage.

        Queries and items are counted from the first one that is kept. The arrivals are those of the later queries.
        """
        kept_queries = self.queries - left
        shifts = tuple(
            int(np.searchsorted(query, left)) if query.size else min(left, items)
            for query, items in zip(self.query_of_item, self.items, strict=True)
        )
        kept_items = tuple(items - shift for items, shift in zip(self.items, shifts, strict=True))
        query_of_item = []
        for place, (query, more) in enumerate(zip(self.query_of_item, later.query_of_item, strict=True)):
            is_same = not (query.size or more.size) and kept_items[place] == kept_queries
            kept = (query if query.size else _numbers(self.items[place]))[shifts[place] :] - np.int32(left)
            added = (more if more.size else _numbers(later.items[place])) + np.int32(kept_queries)
            query_of_item.append(NONE if is_same else np.concatenate((kept, added)))
        at_ns, end, query = later.arrivals
        continued = Deliveries(
            self.queries - left + later.queries,
            (at_ns, end, query + np.int32(kept_queries)),
            tuple(self._continued_stage(place, later, shifts, kept_items) for place in range(len(self.stages))),
            tuple(kept + more for kept, more in zip(kept_items, later.items, strict=True)),
            tuple(query_of_item),
            self.ends_queries,
            self.feeds_others,
        )
        return continued, shifts

    def _continued_stage(
        self, place: int, later: "Deliveries", shifts: tuple[int, ...], kept_items: tuple[int, ...]
    ) -> StageDeliveries:
        own, more, shift = self.stages[place], later.stages[place], shifts[place]
        if own.is_plain and more.is_plain:
            return more
        children = []
        for upstream, kept, added in zip(own.upstream, own.child, more.child, strict=True):
            kept = (_numbers(self.items[upstream]) if own.is_plain else kept)[shifts[upstream] :] - np.int32(shift)
            added = _numbers(later.items[upstream]) if more.is_plain else added
            children.append(np.concatenate((kept, np.where(added < 0, -1, added + np.int32(kept_items[place])))))
        counts = [
            NONE
            if not (kept.size or added.size)
            else np.concatenate((_ones(kept, self.items[place])[shift:], _ones(added, later.items[place])))
            for kept, added in ((own.expected, more.expected), (own.length, more.length))
        ]
        return StageDeliveries(own.upstream, own.delay_ns, tuple(children), counts[0], counts[1])


def _numbers(count: int) -> Indices:
    return np.arange(count, dtype=np.int32)


def _ones(counts: Indices, count: int) -> Indices:
    """Return counts that, if they are not written down, are 1."""
    return counts if counts.size else np.ones(count, dtype=np.int32)


def _groups(times_ns: Integers, query: Indices) -> tuple[Integers, Indices, Indices]:
    """Return queries that arrive at these times as `arrivals` has them."""
    is_last = np.ones(times_ns.size, dtype=bool)
    np.not_equal(times_ns[1:], times_ns[:-1], out=is_last[:-1])
    end = query[is_last]
    end += 1
    return times_ns[is_last], end, query


def _stage_deliveries(routes: Routes, stage: int) -> StageDeliveries:
    """Return how items come to a stage (its place in topological order)."""
    edges = [edge for edge in routes.edges if edge.downstream == stage]
    upstream, delay_ns = tuple(edge.upstream for edge in edges), tuple(edge.delay_ns for edge in edges)
    own = routes.stages[stage]
    if not edges:
        return StageDeliveries((), (), (), NONE, NONE)
    if len(edges) == 1 and own.each_once and routes.stages[upstream[0]].each_once:
        return StageDeliveries(upstream, delay_ns, (NONE,), NONE, NONE, is_plain=True)
    items = int(own.offsets[-1])
    expected, length = np.zeros(items, np.int32), np.zeros(items, np.int32)
    joined = np.flatnonzero(own.joined)
    length[own.offsets[joined]] = own.joined[joined]
    children = []
    for edge in edges:
        child = _children(edge, routes)
        children.append(child)
        active = edge.fan_out > 0
        if edge.per == "query":
            expected[own.offsets[:-1][active]] += routes.stages[edge.upstream].items[active].astype(np.int32)
        else:
            expected[child[active]] = 1
            length[child[active]] = edge.fan_out[active]
    runs = length > 0
    return StageDeliveries(
        upstream,
        delay_ns,
        tuple(children),
        NONE if (expected[runs] == 1).all() else expected,
        NONE if (length[runs] == 1).all() else length,
    )


def _children(edge: EdgeRoutes, routes: Routes) -> Indices:
    if edge.per == "item":
        return np.where(edge.fan_out > 0, edge.first_child, -1).astype(np.int32)
    first = np.where(edge.fan_out > 0, routes.stages[edge.downstream].offsets[:-1], -1).astype(np.int32)
    upstream = routes.stages[edge.upstream]
    return first if upstream.each_once else first[upstream.query_of_item]
