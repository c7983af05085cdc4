"""What replicas can serve in time, whatever they do: the fewest that an interval of the traffic needs.

Take one stage, one hardware, one path and its queries, and let n be the replicas. Of an in-time query, an item on the
path arrives at the stage no earlier than the query enters plus what lies before, and finishes no later than the bound
allows for what lies behind. So the batch that serves it starts and ends within a window as long as the *slack*: the
bound less the network delays and the least service of the path's other stages. Hence:

Size
    A batch with c items of in-time queries takes at least t(c), the shortest time of a batch of c or more. It holds at
    least m queries, if those with the most items are packed into it; m queries that pass enter over a span of at least
    g(m), the shortest of m in a row; it starts no earlier than the last of them allows, and ends no later than the
    first of them allows. So t(c) + g(m) is at most the slack. (Batch *limits* are not bounded by this: a limit of 16
    may never fill. And late queries may ride in any batch, so c counts those in time only.)
Capacity
    The in-time items of queries that enter during an interval of length w are served in batches that start and end
    within w + slack. Each of the n replicas serves its batches one after the other, so in that time it carries no more
    of these items than the best sequence of whole batches, K(w + slack): a knapsack.
Misses
    What an interval brings beyond n K(w + slack) belongs to queries that are late. The fewest queries that it can
    belong to are those with the most items. The queries of disjoint intervals are different ones, so their late ones
    add up; the worst family of disjoint intervals is found by a dynamic program. If that is more than the objective
    allows, no plan with n replicas on this hardware is feasible.

All of it holds for every dispatch and batching policy, and for every way in which the other stages are set, since only
least times are used. With *noise*, a batch's time is multiplied with that of its first item, and j batches have j
different first items: they cost at least the j smallest multipliers drawn at the stage.

More replicas never make this count of late queries larger, so the fewest are found by bisection; nor, without noise, do
more slack and larger batches. (All three change a simulation for the worse at times.) With noise, capacity is counted
in batches of the largest size, so that more slack, which allows larger ones, can make the count a little larger. A
count with more slack holds with less all the same: the windows of the shorter slack lie within those of the longer.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from pipesim.engine.bounds import least_mean_size
from pipesim.engine.compiled.jit import kernel
from pipesim.engine.inputs import Floats, StageInputs
from pipesim.engine.run import Integers
from pipesim.planner.bound.paths import Traffic

CELLS = 2048
"""Intervals begin and end at so many places at most, with equally many queries in between."""
MAX_SEQUENCE = 4096
"""The most items for which the best sequence of batches is computed; beyond, the best rate is taken."""
_GROWTH = 1.25
"""Of the lengths of intervals, in cells."""


@dataclass(frozen=True)
class Batches:
    """How long batches take at least on one hardware.

    Parameters
    ----------
    time_ns
        Shape ``(sizes + 1,)``, int64, ascending: the least time of a batch that carries so many items; entry 0 is 0.
    model_ns
        The same without noise and overhead, float64.
    overhead_ns
        Of each batch.
    noise
        The multipliers drawn at the stage, ascending; empty without noise.
    """

    time_ns: Integers
    model_ns: Floats
    overhead_ns: float
    noise: Floats

    @classmethod
    def of(cls, stage: StageInputs) -> "Batches":
        """Return the least times of a stage's batches, from its table, its smallest size, its noise and overhead."""
        size = 1.0
        if stage.size is not None and stage.size.size:
            size = least_mean_size(stage) if stage.combine == "packed" else float(stage.size.min())
        noise = np.zeros(0) if stage.noise is None or not stage.noise.size else np.sort(stage.noise)
        model_ns = stage.table_ns[1:].astype(np.float64) * size
        least_noise = float(noise[0]) if noise.size else 1.0
        # As an engine computes it, so that with smaller factors rounding gives no more.
        time_ns = np.maximum(1, np.rint(model_ns * least_noise).astype(np.int64) + stage.overhead_ns)
        return cls(_at_least(time_ns), _at_least(model_ns), float(stage.overhead_ns), noise)

    @property
    def least_ns(self) -> int:
        """Return a time that no batch is below."""
        return int(self.time_ns[1])


def _at_least(times: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return for each size the least time of that or a larger one, with 0 for size 0."""
    return np.concatenate((np.zeros(1, times.dtype), np.minimum.accumulate(times[::-1])[::-1]))


class Demand:
    """The intervals of one path's traffic at one stage.

    Parameters
    ----------
    traffic
        The queries that the path's objective is for.
    """

    def __init__(self, traffic: Traffic) -> None:
        arrival_ns, items = traffic.arrival_ns, traffic.items
        queries = arrival_ns.size
        edges = np.unique(np.linspace(0, queries, min(queries, CELLS) + 1).astype(np.int64))
        cells = edges.size - 1
        self.queries = queries
        self.items_before: Integers = np.concatenate(([0], np.cumsum(items)))[edges]
        self.lengths: Integers = _lengths(cells)
        first_ns, last_ns = arrival_ns[edges[:-1]], arrival_ns[edges[1:] - 1]
        # of the interval of each length that ends with each cell; those that would begin before the first are not used
        begin = np.arange(cells) - self.lengths[:, None] + 1
        self.span_ns: Integers = last_ns - first_ns[np.maximum(begin, 0)]
        self.most_items: Integers = np.cumsum(np.sort(items)[::-1])
        """Entry k - 1: the most items that k queries have."""
        self.arrival_ns = arrival_ns
        self._span_of_ns: dict[int, int] = {}

    def span_of_ns(self, queries: int) -> int:
        """Return the shortest time over which so many queries in a row enter."""
        if queries <= 1:
            return 0
        if queries not in self._span_of_ns:
            spans_ns = self.arrival_ns[queries - 1 :] - self.arrival_ns[: 1 - queries]
            self._span_of_ns[queries] = int(spans_ns.min())
        return self._span_of_ns[queries]

    def spans_ns(self, most: int) -> Integers:
        """Return, for batches of 0 … `most` items, the least span over which the queries in it enter, if all can pass.

        Sizes that all queries together do not fill take forever.
        """
        sizes = np.arange(most + 1)
        needed = np.searchsorted(self.most_items, sizes) + 1
        needed[0] = 0
        span_of = {int(count): self.span_of_ns(int(count)) for count in np.unique(needed) if count <= self.queries}
        return np.array([span_of.get(int(count), _FOREVER) for count in needed])


_FOREVER = 2**61


def _lengths(cells: int) -> Integers:
    """Return lengths of intervals from one cell to all, each a quarter longer than the one before."""
    lengths = [1]
    while lengths[-1] < cells:
        lengths.append(min(cells, max(lengths[-1] + 1, int(lengths[-1] * _GROWTH))))
    return np.array(lengths)


class Capacity:
    """What one replica can serve in time: :class:`Batches` against a :class:`Demand`, for any slack.

    Parameters
    ----------
    batches, demand
        Both of one stage.
    """

    def __init__(self, batches: Batches, demand: Demand) -> None:
        self.batches, self.demand = batches, demand
        self._needed_ns = batches.time_ns + demand.spans_ns(batches.time_ns.size - 1)

    def largest(self, slack_ns: int) -> int:
        """Return the most in-time items that a batch can carry, 0 if not even one."""
        fits = np.flatnonzero(self._needed_ns[1:] <= slack_ns)
        return int(fits[-1]) + 1 if fits.size else 0

    def at(self, slack_ns: int) -> "Service":
        """Return what one replica can serve with that slack."""
        return Service(self, slack_ns)


class Service:
    """What replicas can serve of each interval, for one slack."""

    def __init__(self, capacity: Capacity, slack_ns: int) -> None:
        self._demand, self._batches = capacity.demand, capacity.batches
        self._largest = capacity.largest(slack_ns)
        self._window_ns = self._demand.span_ns + slack_ns
        if self._largest:
            self._of_one = self._knapsack()

    def _knapsack(self) -> Integers:
        """Return the most items that one replica carries in whole batches within each interval's window."""
        time_ns = self._batches.time_ns[: self._largest + 1]
        total_ns = _best_sequence(time_ns, MAX_SEQUENCE)
        carried = np.searchsorted(total_ns, self._window_ns, side="right") - 1
        beyond = self._window_ns >= total_ns[-1]
        rate = float((np.arange(1, time_ns.size) / time_ns[1:]).max())
        items = float(self._demand.items_before[-1])
        most = np.floor(np.minimum(self._window_ns * rate * (1 + 1e-12), items)).astype(np.int64) + 1
        return np.where(beyond, np.maximum(most, carried), carried)

    def _with_noise(self, replicas: int) -> Integers:
        """Return the most items that the replicas carry if batches have the smallest multipliers that were drawn."""
        model_ns, noise = self._batches.model_ns[1 : self._largest + 1], self._batches.noise
        sizes = np.arange(1, self._largest + 1)
        # a batch may be rounded down by half a nanosecond, which is the largest share of the shortest one
        kept = max(0.0, 1 - 0.5 / max(1e-9, float(model_ns[0] * noise[0])))
        per_item_ns = float((model_ns / sizes).min()) * kept
        batches = np.arange(1, noise.size + 1)
        # m items take at least m / largest batches; those with the smallest multipliers carry the most
        total_ns = per_item_ns * self._largest * np.cumsum(noise) + self._batches.overhead_ns * batches
        total_ns = np.maximum.accumulate(np.concatenate(([0.0], total_ns)))
        there = np.searchsorted(total_ns, self._window_ns * float(replicas) * (1 + 1e-9), side="right")
        return np.minimum(there, noise.size) * self._largest

    def late(self, replicas: int) -> int:
        """Return how many queries are late at least with so many replicas."""
        demand = self._demand
        if not self._largest:
            return demand.queries
        carried = self._of_one * replicas
        if self._batches.noise.size:
            carried = np.minimum(carried, self._with_noise(replicas))
        return int(_worst_family(demand.items_before, demand.lengths, carried, demand.most_items))

    def fewest(self, allowed: int, most: int) -> int | None:
        """Return the fewest replicas that leave no more queries late than allowed, None if `most` do not suffice."""
        if self.late(most) > allowed:
            return None
        low, high = 0, 1
        while high < most and self.late(high) > allowed:
            low, high = high, min(2 * high, most)
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if self.late(middle) > allowed else (low, middle)
        return high


@kernel
def _best_sequence(time_ns: Integers, most: int) -> Integers:
    """Return the least time in which one replica carries 0 … most items, batch after batch."""
    total_ns = np.zeros(most + 1, np.int64)
    for items in range(1, most + 1):
        best = np.iinfo(np.int64).max
        for size in range(1, min(items, time_ns.size - 1) + 1):
            best = min(best, total_ns[items - size] + time_ns[size])
        total_ns[items] = best
    return total_ns


@kernel
def _worst_family(items_before: Integers, lengths: Integers, carried: Integers, most_items: Integers) -> int:
    """Return the most queries that are late, added up over disjoint intervals.

    Parameters
    ----------
    items_before
        Shape ``(cells + 1,)``: items before each cell.
    lengths
        Of intervals, in cells, ascending.
    carried
        Shape ``(lengths, cells)``: the most items in time of the interval of each length that ends with each cell.
    most_items
        Entry k - 1: the most items that k queries have.
    """
    cells = items_before.size - 1
    single = most_items[-1] == most_items.size
    worst = np.zeros(cells + 1, np.int64)
    for last in range(cells):
        best = worst[last]
        for place in range(lengths.size):
            begin = last + 1 - lengths[place]
            if begin < 0:
                break
            excess = items_before[last + 1] - items_before[begin] - carried[place, last]
            if excess > 0:
                queries = excess if single else np.searchsorted(most_items, excess) + 1
                best = max(best, worst[begin] + queries)
        worst[last + 1] = best
    return int(worst[cells])
