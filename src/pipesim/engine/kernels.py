"""The loops of the compiled engine: one stage, from the arrivals at it to the batches that it serves.

A kernel is handed its luck and decides nothing that is not in its arguments. Positions count a stage's items in order
of admission: by arrival, then by index. Batches come out as they are found; the caller numbers them.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar, cast

import numpy as np
import numpy.typing as npt
from numba import njit

F = TypeVar("F", bound=Callable[..., Any])
Integers = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

ROUND_ROBIN, RANDOM, POWER_OF_TWO, LEAST_LOADED = range(4)
_NEVER = np.iinfo(np.int64).max
_NONE = -1


class Arrivals(NamedTuple):
    """The items of a stage by position: arrival, and noise and size (empty: 1 everywhere)."""

    at_ns: Integers
    noise: Floats
    size: Floats


class Server(NamedTuple):
    """What serves them: see :class:`pipesim.engine.inputs.StageInputs`."""

    replicas: int
    max_batch_size: int
    is_window: bool
    delay_ns: int
    table_ns: Integers
    overhead_ns: int
    is_packed: bool


class Batches(NamedTuple):
    """Batches: start, finish, replica, number of items, and the position of the first."""

    start_ns: Integers
    finish_ns: Integers
    replica: Integers
    size: Integers
    first: Integers


class _Queues(NamedTuple):
    """The replicas' queues, by replica; `following`, by position, links the items of a queue."""

    first: Integers
    last: Integers
    waiting: Integers
    following: Integers
    serving: Integers
    free_at: Integers
    ready_at: Integers  # of the first batch, without regard to the replica
    open_items: Integers  # of the window policy: the end of the queue that is still open …
    open_until: Integers
    closed_first: Integers  # … and a linked list of the batches before it
    closed_last: Integers


class _Closed(NamedTuple):
    """Closed batches that wait for a replica, linked; `made` holds how many there ever were."""

    size: Integers
    at_ns: Integers
    following: Integers
    made: Integers


def _compiled(function: F) -> F:
    return cast("F", njit(cache=True, nogil=True)(function))


@_compiled
def _no_batches(items: int) -> Batches:
    return Batches(
        np.empty(items, np.int64),
        np.empty(items, np.int64),
        np.empty(items, np.int64),
        np.empty(items, np.int64),
        np.empty(items, np.int64),
    )


@_compiled
def _first_of(batches: Batches, count: int) -> Batches:
    return Batches(
        batches.start_ns[:count],
        batches.finish_ns[:count],
        batches.replica[:count],
        batches.size[:count],
        batches.first[:count],
    )


@_compiled
def _service_ns(server: Server, batch_size: int, size: float, noise: float) -> int:
    """Return max(1, rint(table · size · noise) + overhead): float64, left to right, half to even."""
    service = np.float64(server.table_ns[batch_size]) * size * noise
    return max(1, np.int64(np.rint(service)) + server.overhead_ns)  # type: ignore[return-value]


@_compiled
def serve_central(arrivals: Arrivals, server: Server) -> Batches:
    """Return the batches of a stage with one queue.

    The replicas wait in a ring sorted by (idle since, number): the first serves next, and as services are of similar
    length the place of a replica that comes back is near the end.
    """
    at_ns, replicas, limit = arrivals.at_ns, server.replicas, server.max_batch_size
    items = at_ns.size
    batches = _no_batches(items)
    idle_since, number = np.full(replicas, -1, np.int64), np.arange(replicas)
    head = count = position = 0
    while position < items:
        start, end = max(idle_since[head], at_ns[position]), position + 1
        due = at_ns[position] + server.delay_ns
        if server.is_window:
            while end < items and end - position < limit and at_ns[end] <= due:
                end += 1
            start = max(start, at_ns[end - 1] if end - position == limit else due)
        else:
            if start < due:
                full = position + limit - 1
                start = max(start, min(due, at_ns[full]) if full < items else due)
            while end < items and end - position < limit and at_ns[end] <= start:
                end += 1
        size = _combined(arrivals.size[position:end], server.is_packed) if arrivals.size.size else 1.0
        noise = arrivals.noise[position] if arrivals.noise.size else 1.0
        finish = start + _service_ns(server, end - position, size, noise)
        replica = number[head]
        batches.start_ns[count], batches.finish_ns[count], batches.replica[count] = start, finish, replica
        batches.size[count], batches.first[count] = end - position, position
        count += 1
        position = end
        # The place at the head has become free, and is also the place behind the last.
        place = head
        head = head + 1 if head + 1 < replicas else 0
        while place != head:
            before = place - 1 if place > 0 else replicas - 1
            if idle_since[before] < finish or (idle_since[before] == finish and number[before] < replica):
                break
            idle_since[place], number[place] = idle_since[before], number[before]
            place = before
        idle_since[place], number[place] = finish, replica
    return _first_of(batches, count)


@_compiled
def _combined(sizes: Floats, is_packed: bool) -> float:
    """Return the size that a batch takes: the mean, summed in queue order, or the largest."""
    combined = 0.0
    for size in sizes:
        combined = combined + size if is_packed else max(combined, size)
    return combined / sizes.size if is_packed else combined


@_compiled
def serve_separate(arrivals: Arrivals, server: Server, dispatch: int, draws: Floats) -> tuple[Batches, Integers]:
    """Return the batches of a stage whose replicas have queues of their own, and the position after each in its queue.

    `draws` has two columns, by position. A replica is brought up to date when an item is assigned to it or its load is
    asked for. Then all that it started before this instant is known, and what waits in its queue had arrived by then.
    """
    items, replicas = arrivals.at_ns.size, server.replicas
    batches, count = _no_batches(items), 0
    queues = _Queues(
        np.full(replicas, _NONE, np.int64),
        np.full(replicas, _NONE, np.int64),
        np.zeros(replicas, np.int64),
        np.full(items, _NONE, np.int64),
        np.zeros(replicas, np.int64),
        np.full(replicas, -1, np.int64),
        np.full(replicas, _NEVER, np.int64),
        np.zeros(replicas, np.int64),
        np.full(replicas, _NEVER, np.int64),
        np.full(replicas, _NONE, np.int64),
        np.full(replicas, _NONE, np.int64),
    )
    windows = items if server.is_window else 0
    closed = _Closed(
        np.empty(windows, np.int64), np.empty(windows, np.int64), np.empty(windows, np.int64), np.zeros(1, np.int64)
    )
    for position in range(items):
        now = arrivals.at_ns[position]
        if dispatch == ROUND_ROBIN:
            chosen = position % replicas
            count = _advance(chosen, now, arrivals, server, queues, closed, batches, count)
        elif dispatch == LEAST_LOADED:
            chosen, lowest = 0, _NEVER
            for replica in range(replicas):
                count = _advance(replica, now, arrivals, server, queues, closed, batches, count)
                load = _load(replica, now, queues)
                if load < lowest:
                    chosen, lowest = replica, load
        else:
            chosen = int(draws[position, 0] * replicas)
            count = _advance(chosen, now, arrivals, server, queues, closed, batches, count)
            if dispatch == POWER_OF_TWO and replicas > 1:
                other = int(draws[position, 1] * (replicas - 1))
                if other >= chosen:
                    other += 1
                count = _advance(other, now, arrivals, server, queues, closed, batches, count)
                load, other_load = _load(chosen, now, queues), _load(other, now, queues)
                if other_load < load or (other_load == load and other < chosen):
                    chosen = other
        _admit(chosen, position, now, server, queues, closed)
    for replica in range(replicas):
        count = _advance(replica, _NEVER, arrivals, server, queues, closed, batches, count)
    return _first_of(batches, count), queues.following


@_compiled
def _load(replica: int, now: int, queues: _Queues) -> int:
    """Return the items assigned to a replica and not completed at this instant."""
    return queues.waiting[replica] + (queues.serving[replica] if queues.free_at[replica] > now else 0)  # type: ignore[no-any-return]


@_compiled
def _admit(replica: int, position: int, now: int, server: Server, queues: _Queues, closed: _Closed) -> None:
    """Let an item join a replica's queue."""
    if queues.waiting[replica] == 0:
        queues.first[replica] = position
        queues.ready_at[replica] = now + server.delay_ns
    else:
        queues.following[queues.last[replica]] = position
    queues.last[replica] = position
    queues.waiting[replica] += 1
    if server.is_window:
        if queues.open_items[replica] == 0:
            queues.open_until[replica] = now + server.delay_ns
        queues.open_items[replica] += 1
        if queues.open_items[replica] == server.max_batch_size:
            _close(replica, now, queues, closed)
    elif queues.waiting[replica] == server.max_batch_size:
        queues.ready_at[replica] = min(queues.ready_at[replica], now)


@_compiled
def _close(replica: int, at_ns: int, queues: _Queues, closed: _Closed) -> None:
    """Close the open batch of a replica."""
    batch = closed.made[0]
    closed.made[0] += 1
    closed.size[batch], closed.at_ns[batch], closed.following[batch] = queues.open_items[replica], at_ns, _NONE
    if queues.closed_first[replica] == _NONE:
        queues.closed_first[replica] = batch
    else:
        closed.following[queues.closed_last[replica]] = batch
    queues.closed_last[replica] = batch
    queues.open_items[replica] = 0


@_compiled
def _advance(
    replica: int,
    now: int,
    arrivals: Arrivals,
    server: Server,
    queues: _Queues,
    closed: _Closed,
    batches: Batches,
    count: int,
) -> int:
    """Let a replica start all batches that it starts before this instant; return how many batches there are then."""
    while True:
        if server.is_window:
            if queues.open_items[replica] > 0 and queues.open_until[replica] < now:
                _close(replica, queues.open_until[replica], queues, closed)
            batch = queues.closed_first[replica]
            if batch == _NONE:
                return count
            batch_size, ready_at = closed.size[batch], closed.at_ns[batch]
        else:
            if queues.waiting[replica] == 0:
                return count
            batch, batch_size = _NONE, min(queues.waiting[replica], server.max_batch_size)
            ready_at = queues.ready_at[replica]
        start = max(queues.free_at[replica], ready_at)
        if start >= now:
            return count
        first = queues.first[replica]
        after, size = first, 0.0
        for _ in range(batch_size):
            if arrivals.size.size:
                size = size + arrivals.size[after] if server.is_packed else max(size, arrivals.size[after])
            after = queues.following[after]
        if arrivals.size.size == 0:
            size = 1.0
        elif server.is_packed:
            size /= batch_size
        noise = arrivals.noise[first] if arrivals.noise.size else 1.0
        finish = start + _service_ns(server, batch_size, size, noise)
        batches.start_ns[count], batches.finish_ns[count], batches.replica[count] = start, finish, replica
        batches.size[count], batches.first[count] = batch_size, first
        count += 1
        queues.free_at[replica], queues.serving[replica] = finish, batch_size
        queues.first[replica] = after
        queues.waiting[replica] -= batch_size
        if server.is_window:
            queues.closed_first[replica] = closed.following[batch]
        elif queues.waiting[replica] >= server.max_batch_size:
            queues.ready_at[replica] = start
        elif queues.waiting[replica] > 0:
            queues.ready_at[replica] = arrivals.at_ns[after] + server.delay_ns


@_compiled
def nearly_sorted_order(first_key: Integers, second_key: Integers) -> Integers:
    """Return the order that sorts by two keys (the second may be empty) and then by index, by insertion from the back.

    That is linear for keys that are nearly in order already, as the departures of a stage are. If it takes more than 32
    steps for each entry it is given up, and an empty order returned.
    """
    count = first_key.size
    order = np.empty(count, np.int64)
    steps_left = 32 * count
    for entry in range(count):
        place, first = entry, first_key[entry]
        while place > 0:
            before = order[place - 1]
            if first_key[before] < first:
                break
            if first_key[before] == first and (second_key.size == 0 or second_key[before] <= second_key[entry]):
                break
            order[place] = before
            place -= 1
        order[place] = entry
        steps_left -= entry - place
        if steps_left < 0:
            return np.empty(0, np.int64)
    return order


@_compiled
def finish_of_items(order: Integers, following: Integers, batches: Batches) -> Integers:
    """Return the finish of every item by index.

    `order` maps positions to indices. With an empty `following` the items of a batch follow each other in `order`.
    """
    finish = np.empty(order.size, np.int64)
    for number in range(batches.size.size):
        position = batches.first[number]
        for _ in range(batches.size[number]):
            finish[order[position]] = batches.finish_ns[number]
            position = following[position] if following.size else position + 1
    return finish


@_compiled
def start_and_batch_of_items(order: Integers, following: Integers, batches: Batches) -> tuple[Integers, Integers]:
    """Return the start of every item by index, and the number of its batch: see :func:`finish_of_items`."""
    start, batch = np.empty(order.size, np.int64), np.empty(order.size, np.int64)
    for number in range(batches.size.size):
        position = batches.first[number]
        for _ in range(batches.size[number]):
            start[order[position]], batch[order[position]] = batches.start_ns[number], number
            position = following[position] if following.size else position + 1
    return start, batch
