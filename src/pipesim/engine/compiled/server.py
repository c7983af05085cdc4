"""What serves a stage, how long a batch takes, and how batches depart."""

from typing import NamedTuple

import numpy as np

from pipesim.engine.compiled.flow import Floats, Flow, Indices, Integers
from pipesim.engine.compiled.jit import kernel
from pipesim.engine.compiled.memory import empty

IDLE_SINCE, NUMBER, BATCH = range(3)
"""Columns of a ring of replicas: when its last batch finishes, by which the ring is sorted, its number, and that batch,
or -1 if it has departed."""

RING = 3
"""Columns of a ring."""
HEAD, COUNT = range(2)
"""The first entries of a cursor: the first replica of the ring, and batches so far; others are the kernels' own."""
CURSOR = 6
"""Entries of a cursor."""

_MAX_STEPS = 8
"""Steps that an item may take on average while a group is sorted by insertion; then it is sorted as a whole."""


class Server(NamedTuple):
    """The settings of a stage: see :class:`pipesim.engine.inputs.StageInputs`."""

    replicas: int
    max_batch_size: int
    is_window: bool
    delay_ns: int
    dispatch: int
    overhead_ns: int
    is_packed: bool


class Luck(NamedTuple):
    """Service times by batch size, and what was drawn for the items of a stage.

    Parameters
    ----------
    service_ns
        Shape ``(max_batch_size + 1,)``, int64: service time if noise and sizes are 1.
    table_ns
        The same shape, float64: the time of the model alone.
    noise, size
        Shape ``(items,)``, float64; empty ones stand for 1.
    draws
        Shape ``(items, 2)``, float64, or empty.
    """

    service_ns: Integers
    table_ns: Floats
    noise: Floats
    size: Floats
    draws: Floats


class Batches(NamedTuple):
    """The batches of a stage in order of start.

    Parameters
    ----------
    start_ns, finish_ns
        Shape ``(batches,)``, int64.
    replica
        Shape ``(batches,)``, int32.
    end
        Shape ``(batches,)``, int32: how many items are in all batches up to the end of this one.
    """

    start_ns: Integers
    finish_ns: Integers
    replica: Indices
    end: Indices

    @classmethod
    def empty(cls, batches: int) -> "Batches":
        """Return a buffer for so many batches."""
        times = empty(batches, np.int64), empty(batches, np.int64)
        return cls(*times, empty(batches, np.int32), empty(batches, np.int32))

    def first(self, batches: int) -> "Batches":
        """Return the first batches, without a copy."""
        start_ns, finish_ns, replica, end = self
        return Batches(start_ns[:batches], finish_ns[:batches], replica[:batches], end[:batches])

    def begin_with(self, others: "Batches") -> None:
        """Write other batches in front."""
        count = others.end.size
        self.start_ns[:count], self.finish_ns[:count] = others.start_ns, others.finish_ns
        self.replica[:count], self.end[:count] = others.replica, others.end

    @property
    def size(self) -> Indices:
        """Return how many items each batch holds."""
        return np.diff(self.end, prepend=np.int32(0))


@kernel
def batch_time_ns(table_ns: float, size: float, noise: float, overhead_ns: int) -> int:
    """Return max(1, rint(table · size · noise) + overhead): float64, left to right, half to even."""
    return max(1, int(np.rint(table_ns * size * noise)) + overhead_ns)


@kernel
def combined_size(size: Floats, item: Indices, first: int, last: int, is_packed: bool) -> float:
    """Return the size of ``item[first:last]`` as a batch: the mean, summed in order, or the largest."""
    total = largest = 0.0
    for place in range(first, last):
        total = total + size[item[place]]
        largest = max(largest, size[item[place]])
    return total / (last - first) if is_packed else largest


@kernel
def depart(order: Indices, batches: Batches, item: Indices, departures: Flow) -> int:
    """Write the items of batches as a flow, in the order in which batches finish; return how many groups it has.

    What leaves at one instant is one group, sorted. The items of a batch are sorted or nearly so, and are inserted from
    the back; if that takes long the group is sorted as a whole.
    """
    groups = count = begin = 0
    for turn in range(order.size):
        batch = order[turn]
        finish = batches.finish_ns[batch]
        first = batches.end[batch - 1] if batch else 0
        last = batches.end[batch]
        if groups == 0 or departures.at_ns[groups - 1] != finish:
            begin = count
            departures.at_ns[groups] = finish
            groups += 1
        steps, gave_up = 0, False
        largest = departures.item[count - 1] if count > begin else np.int32(-1)
        for source in range(first, last):
            one, place = item[source], count
            if one < largest and not gave_up:
                while place > begin and departures.item[place - 1] > one:
                    departures.item[place] = departures.item[place - 1]
                    place -= 1
                steps += count - place
                gave_up = steps > _MAX_STEPS * (count - begin) + 64
            else:
                largest = one
            departures.item[place] = one
            count += 1
        if gave_up:
            departures.item[begin:count].sort()
        departures.end[groups - 1] = count
    return groups


@kernel
def note_finishes(
    batches: Batches, item: Indices, query_of_item: Indices, later_ns: Integers, ended_ns: Integers
) -> None:
    """Raise the time at which each query has ended to the finish of its items; no `query_of_item` is one item each.

    `later_ns` is added to the finish of each item, if it is not empty.
    """
    first = 0
    for batch in range(batches.end.size):
        finish = batches.finish_ns[batch]
        for place in range(np.uintp(first), np.uintp(batches.end[batch])):
            one = np.uintp(item[place])
            query = np.uintp(query_of_item[one]) if query_of_item.size else one
            ended_ns[query] = max(ended_ns[query], finish + later_ns[one] if later_ns.size else finish)
        first = batches.end[batch]
