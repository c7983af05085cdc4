"""The loops of the compiled engine: one stage, from the arrivals at it to the batches that it serves.

A kernel is handed its luck and decides nothing that is not in its arguments. Positions count a stage's items in order
of admission: by arrival, then by index. `at_ns`, `noise` and `size` are by position; empty `noise` or `size` stand for
1 everywhere. Batches come out as they are found; the caller numbers them.

State is rows of integers, one row a replica or a batch, because a row is one array and lies together in memory.
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

START, FINISH, REPLICA, SIZE, FIRST = range(5)
"""Columns of batches: start and finish in ns, replica, number of items, position of the first of them."""

# Columns of a replica with a queue of its own.
_FIRST, _LAST, _WAITING = 0, 1, 2  # its queue: positions, linked, and how many
_SERVING, _FREE_AT = 3, 4  # its last batch: how many items, and when it finishes
_READY_AT = 5  # when the first batch of the queue may go, if the replica is free
_OPEN, _OPEN_UNTIL = 6, 7  # of the window policy: the end of the queue that is still open …
_CLOSED_FIRST, _CLOSED_LAST = 8, 9  # … and the batches before it, linked
_COLUMNS = 10
_CLOSED_SIZE, _CLOSED_AT, _CLOSED_NEXT = range(3)

_NEVER = np.iinfo(np.int64).max
_NONE = -1


class Server(NamedTuple):
    """What serves a stage: see :class:`pipesim.engine.inputs.StageInputs`."""

    replicas: int
    max_batch_size: int
    is_window: bool
    delay_ns: int
    overhead_ns: int
    is_packed: bool


def _compiled(function: F) -> F:
    """Compile a function when it is first called, and keep the machine code on disk where there is a place for it."""
    try:
        return cast("F", njit(cache=True, nogil=True)(function))
    except RuntimeError:  # neither the package's folder nor the user's cache can be written to
        return cast("F", njit(nogil=True)(function))


@_compiled
def serve_central(at_ns: Integers, noise: Floats, size: Floats, table_ns: Integers, server: Server) -> Integers:
    """Return the batches of a stage with one queue, shape ``(batches, 5)``.

    The replicas wait in a ring sorted by (idle since, number): the first serves next, and as services are of similar
    length the place of a replica that comes back is near the end.
    """
    items, replicas, limit = at_ns.size, server.replicas, server.max_batch_size
    batches = np.empty((items, 5), np.int64)
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
        factor = 1.0
        if size.size:
            factor = 0.0
            for place in range(position, end):
                factor = factor + size[place] if server.is_packed else max(factor, size[place])
            if server.is_packed:
                factor /= end - position
        multiplier = noise[position] if noise.size else 1.0
        finish = start + _service_ns(table_ns[end - position], factor, multiplier, server.overhead_ns)
        replica = number[head]
        _note(batches[count], start, finish, replica, end - position, position)
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
    return batches[:count]


@_compiled
def _service_ns(table_ns: int, size: float, noise: float, overhead_ns: int) -> int:
    """Return max(1, rint(table · size · noise) + overhead): float64, left to right, half to even."""
    service = np.float64(table_ns) * size * noise
    return max(1, np.int64(np.rint(service)) + overhead_ns)  # type: ignore[return-value]


@_compiled
def _note(batch: Integers, start: int, finish: int, replica: int, size: int, first: int) -> None:
    batch[START], batch[FINISH], batch[REPLICA], batch[SIZE], batch[FIRST] = start, finish, replica, size, first


@_compiled
def serve_separate(
    at_ns: Integers,
    noise: Floats,
    size: Floats,
    table_ns: Integers,
    server: Server,
    dispatch: int,
    draws: Floats,
) -> tuple[Integers, Integers]:
    """Return the batches of a stage whose replicas have queues of their own, and the position after each in its queue.

    `draws` has two columns, by position. A replica is brought up to date when an item is assigned to it or its load is
    asked for. Then all that it started before this instant is known, and what waits in its queue had arrived by then.
    """
    items, replicas = at_ns.size, server.replicas
    batches, count = np.empty((items, 5), np.int64), 0
    following = np.full(items, _NONE, np.int64)
    closed = np.empty((items if server.is_window else 0, 3), np.int64)
    closed_count = 0
    state = np.zeros((replicas, _COLUMNS), np.int64)
    for replica in range(replicas):
        state[replica, _FREE_AT] = _NONE
        state[replica, _CLOSED_FIRST] = _NONE
    for position in range(items + 1):
        # After the last item everything runs out, as if one more came at the end of time.
        now = at_ns[position] if position < items else _NEVER
        asks_all = position == items or dispatch == LEAST_LOADED
        chosen, others = 0, replicas
        if not asks_all:
            others = 1
            if dispatch == ROUND_ROBIN:
                chosen = position % replicas
            else:
                chosen = int(draws[position, 0] * replicas)
                others = 2 if dispatch == POWER_OF_TWO and replicas > 1 else 1
        lowest, best = _NEVER, chosen
        for ask in range(others):
            replica = chosen
            if asks_all:
                replica = ask
            elif ask == 1:
                replica = int(draws[position, 1] * (replicas - 1))
                replica += replica >= chosen
            row = state[replica]
            while _starts_before(row, now, server, closed):
                if server.is_window and row[_OPEN] > 0 and row[_OPEN_UNTIL] < now:
                    _close(row, row[_OPEN_UNTIL], closed, closed_count)
                    closed_count += 1
                    continue
                batch_size = min(row[_WAITING], server.max_batch_size)
                ready_at = row[_READY_AT]
                if server.is_window:
                    batch_size = closed[row[_CLOSED_FIRST], _CLOSED_SIZE]
                    ready_at = closed[row[_CLOSED_FIRST], _CLOSED_AT]
                start = max(row[_FREE_AT], ready_at)
                first = after = row[_FIRST]
                factor = 0.0
                for _ in range(batch_size):
                    if size.size:
                        factor = factor + size[after] if server.is_packed else max(factor, size[after])
                    after = following[after]
                if size.size == 0:
                    factor = 1.0
                elif server.is_packed:
                    factor /= batch_size
                multiplier = noise[first] if noise.size else 1.0
                finish = start + _service_ns(table_ns[batch_size], factor, multiplier, server.overhead_ns)
                _note(batches[count], start, finish, replica, batch_size, first)
                count += 1
                row[_FREE_AT], row[_SERVING], row[_FIRST] = finish, batch_size, after
                row[_WAITING] -= batch_size
                if server.is_window:
                    row[_CLOSED_FIRST] = closed[row[_CLOSED_FIRST], _CLOSED_NEXT]
                elif row[_WAITING] >= server.max_batch_size:
                    row[_READY_AT] = start
                elif row[_WAITING] > 0:
                    row[_READY_AT] = at_ns[after] + server.delay_ns
            load = row[_WAITING] + (row[_SERVING] if row[_FREE_AT] > now else 0)
            if load < lowest or (load == lowest and replica < best):
                lowest, best = load, replica
        if position < items:
            row = state[best]
            _join(row, position, now, server, following)
            if server.is_window and row[_OPEN] == server.max_batch_size:
                _close(row, now, closed, closed_count)
                closed_count += 1
    return batches[:count], following


@_compiled
def _starts_before(row: Integers, now: int, server: Server, closed: Integers) -> bool:
    """Return whether a replica starts or closes a batch before this instant."""
    if not server.is_window:
        return row[_WAITING] > 0 and max(row[_FREE_AT], row[_READY_AT]) < now  # type: ignore[no-any-return]
    if row[_OPEN] > 0 and row[_OPEN_UNTIL] < now:
        return True
    first = row[_CLOSED_FIRST]
    return first != _NONE and max(row[_FREE_AT], closed[first, _CLOSED_AT]) < now  # type: ignore[no-any-return]


@_compiled
def _join(row: Integers, position: int, now: int, server: Server, following: Integers) -> None:
    """Let an item join a replica's queue."""
    if row[_WAITING] == 0:
        row[_FIRST], row[_READY_AT] = position, now + server.delay_ns
    else:
        following[row[_LAST]] = position
    row[_LAST] = position
    row[_WAITING] += 1
    if server.is_window:
        if row[_OPEN] == 0:
            row[_OPEN_UNTIL] = now + server.delay_ns
        row[_OPEN] += 1
    elif row[_WAITING] == server.max_batch_size:
        row[_READY_AT] = min(row[_READY_AT], now)


@_compiled
def _close(row: Integers, at_ns: int, closed: Integers, number: int) -> None:
    """Close the open batch of a replica, as the batch of that number."""
    closed[number, _CLOSED_SIZE], closed[number, _CLOSED_AT], closed[number, _CLOSED_NEXT] = row[_OPEN], at_ns, _NONE
    if row[_CLOSED_FIRST] == _NONE:
        row[_CLOSED_FIRST] = number
    else:
        closed[row[_CLOSED_LAST], _CLOSED_NEXT] = number
    row[_CLOSED_LAST] = number
    row[_OPEN] = 0


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
def finish_of_items(order: Integers, following: Integers, batches: Integers) -> Integers:
    """Return the finish of every item by index.

    `order` maps positions to indices. With an empty `following` the items of a batch follow each other in `order`.
    """
    finish = np.empty(order.size, np.int64)
    for number in range(len(batches)):
        position = batches[number, FIRST]
        for _ in range(batches[number, SIZE]):
            finish[order[position]] = batches[number, FINISH]
            position = following[position] if following.size else position + 1
    return finish


@_compiled
def start_and_batch_of_items(order: Integers, following: Integers, batches: Integers) -> tuple[Integers, Integers]:
    """Return the start of every item by index, and the number of its batch: see :func:`finish_of_items`."""
    start, batch = np.empty(order.size, np.int64), np.empty(order.size, np.int64)
    for number in range(len(batches)):
        position = batches[number, FIRST]
        for _ in range(batches[number, SIZE]):
            start[order[position]], batch[order[position]] = batches[number, START], number
            position = following[position] if following.size else position + 1
    return start, batch
