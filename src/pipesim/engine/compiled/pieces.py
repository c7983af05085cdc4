"""A run piece by piece: for traffic that does not fit in memory.

Queries come in pieces, in order of arrival. With each piece all stages run up to the instant at which the next one
begins, which is how far the arrivals at every stage are known: what starts at an instant finishes later. What is under
way is carried over. Queries and items are counted from the oldest query that has not left; that moves on with every
piece, and what is kept by query or by item is cut off in front and grows at its end. So memory holds one piece and what
is under way.
"""

from typing import NamedTuple

import numpy as np

from pipesim.engine.compiled.admission import admitted
from pipesim.engine.compiled.flow import AT_ONCE, NEVER, Flow, Integers, note_ends
from pipesim.engine.compiled.records import StageRecord
from pipesim.engine.compiled.stage import RunningStage, extended
from pipesim.engine.deliveries import Deliveries
from pipesim.engine.inputs import EngineInputs, check_clock


class Piece(NamedTuple):
    """What happened up to an instant, and not before the last one.

    Parameters
    ----------
    records
        For each stage, its arrivals and its batches; items are counted from the first one that is kept.
    shifts
        For each stage, how many items are not kept any more since the last piece.
    queries
        How many queries have left, in order of arrival: all before them had left before.
    arrival_ns, finish_ns
        Shape ``(queries,)``, int64: theirs.
    """

    records: list[StageRecord]
    shifts: tuple[int, ...]
    queries: int
    arrival_ns: Integers
    finish_ns: Integers


class PiecewiseRun:
    """A run that is handed its queries piece by piece.

    Parameters
    ----------
    first
        The first piece: what it says of stages and edges holds for all. It is handed to :meth:`advance` all the same.
    """

    def __init__(self, first: EngineInputs) -> None:
        self._stages = [RunningStage(stage) for stage in first.stages]
        self._routes: Deliveries | None = None
        self._on_the_way = [[Flow.empty(0)] * max(1, len(stage.upstream)) for stage in first.deliveries.stages]
        self._arrival_ns, self._finish_ns = np.zeros(0, np.int64), np.zeros(0, np.int64)
        self._items_left, self._left = np.zeros(0, np.int32), 0
        self._latest_ns, self._longest_ns = 0, [0.0] * len(first.stages)

    def advance(self, piece: EngineInputs, until_ns: int = NEVER) -> Piece:
        """Take the next queries in, run up to an instant, and return what happened.

        Parameters
        ----------
        piece
            The next queries, with what was drawn for them.
        until_ns
            When the piece after this one begins: not before any query of this one.
        """
        routes, shifts = self._take_in(piece)
        self._check_clock(piece, routes)
        records: list[StageRecord] = []
        departures: list[Flow] = []
        for index, running in enumerate(self._stages):
            running.extend(piece.stages[index], shifts[index])
            records.append(running.serve(self._arrivals(index, routes, departures, shifts, until_ns), until_ns))
            departures.append(records[-1].departures())
            if routes.ends_queries[index]:
                note_ends(departures[-1], routes.query_of_item[index], AT_ONCE, self._finish_ns, self._items_left)
            self._latest_ns = max(self._latest_ns, int(records[-1].batches.finish_ns.max(initial=0)))
        self._routes = routes
        under_way = np.flatnonzero(self._items_left)
        self._left = int(under_way[0]) if under_way.size else self._items_left.size
        return Piece(records, shifts, self._left, self._arrival_ns[: self._left], self._finish_ns[: self._left])

    def _take_in(self, piece: EngineInputs) -> tuple[Deliveries, tuple[int, ...]]:
        """Take the next queries in and let go of those that have left; return all routes, and the items let go."""
        if self._routes is not None:
            routes, shifts = self._routes.continued_by(piece.deliveries, self._left)
        else:
            routes, shifts = piece.deliveries.copied(), (0,) * len(self._stages)
        items = np.zeros(piece.queries, np.int32)
        for stage, ends_queries in zip(piece.stages, routes.ends_queries, strict=True):
            if ends_queries:
                items += np.int32(1) if stage.routes.each_once else stage.routes.items.astype(np.int32)
        self._arrival_ns = extended(self._arrival_ns, self._left, piece.arrival_ns)
        self._finish_ns = extended(self._finish_ns, self._left, piece.arrival_ns.copy())
        self._items_left = extended(self._items_left, self._left, items)
        return routes, shifts

    def _check_clock(self, piece: EngineInputs, routes: Deliveries) -> None:
        """Check that the clock would not overflow if all items that are kept were served one after the other."""
        self._longest_ns = [
            max(longest_ns, stage.longest_ns) for longest_ns, stage in zip(self._longest_ns, piece.stages, strict=True)
        ]
        latest_ns = max(self._latest_ns, int(self._arrival_ns[-1]) if self._arrival_ns.size else 0)
        check_clock(piece, routes.items, self._longest_ns, latest_ns)

    def _arrivals(
        self, index: int, routes: Deliveries, departures: list[Flow], shifts: tuple[int, ...], until_ns: int
    ) -> Flow:
        """Return what arrives at a stage before an instant; the rest stays on the way."""
        stage, kept = routes.stages[index], self._on_the_way[index]
        if not stage.upstream:
            coming = kept[0].counted_from(shifts[index]).followed_by(Flow(*routes.arrivals))
            arrivals, later = coming.split(until_ns)
            self._on_the_way[index] = [later]
            return arrivals
        flows = [
            flow.counted_from(shifts[upstream]).followed_by(departures[upstream].delayed(delay_ns))
            for flow, upstream, delay_ns in zip(kept, stage.upstream, stage.delay_ns, strict=True)
        ]
        arrivals, self._on_the_way[index] = admitted(flows, stage, routes.items[index], until_ns)
        return arrivals
