"""One queue for all replicas of a stage."""

import numpy as np

from pipesim.engine.compiled.flow import Flow, Indices, Integers
from pipesim.engine.compiled.jit import kernel
from pipesim.engine.compiled.server import (
    BATCH,
    COUNT,
    HEAD,
    IDLE_SINCE,
    NUMBER,
    Batches,
    Luck,
    Server,
    batch_time_ns,
    combined_size,
)

POSITION, GROUP = range(2, 4)
"""Entries of the cursor: the first item that waits, and its group."""


@kernel
def serve_central(
    arrivals: Flow,
    luck: Luck,
    server: Server,
    until_ns: int,
    ring: Integers,
    cursor: Integers,
    batches: Batches,
    order: Indices,
) -> int:
    """Form all batches that start before an instant; return how many finish before it.

    The items are served in their order, so a batch is a range of them. The replicas wait in a ring sorted by (idle
    since, number); its first serves next, and that is when the batch that it served before departs. So batches depart
    in order of time, and need not be sorted. A replica that comes back belongs near the end of the ring, as services
    are of similar length.

    Parameters
    ----------
    arrivals
        All that arrives before `until_ns` must be among them.
    ring, cursor
        Where the run stands, for the next call: see :data:`pipesim.engine.compiled.server.IDLE_SINCE`.
    batches
        A buffer, filled from ``cursor[COUNT]`` on.
    order
        A buffer, filled from its beginning: the batches that finish before `until_ns`, in order of finish.
    """
    at_ns, end, item = arrivals
    groups, replicas, limit, delay_ns = at_ns.size, server.replicas, server.max_batch_size, server.delay_ns
    is_plain = luck.noise.size == 0 and luck.size.size == 0
    head, position, group, count = cursor[HEAD], cursor[POSITION], cursor[GROUP], cursor[COUNT]
    departed = 0
    while group < groups:
        start, due = max(ring[head, IDLE_SINCE], at_ns[group]), at_ns[group] + delay_ns
        full, last = position + limit, group
        if server.is_window or start < due:
            while end[np.uintp(last)] < full and last + 1 < groups and at_ns[np.uintp(last + 1)] <= due:
                last += 1
            start = max(start, at_ns[last] if end[last] >= full else due)
        if not server.is_window:
            while end[np.uintp(last)] < full and last + 1 < groups and at_ns[np.uintp(last + 1)] <= start:
                last += 1
        if start >= until_ns:
            break
        stop = min(int(end[np.uintp(last)]), full)
        if is_plain:
            finish = start + luck.service_ns[stop - position]
        else:
            size = combined_size(luck.size, item, position, stop, server.is_packed) if luck.size.size else 1.0
            noise = luck.noise[item[position]] if luck.noise.size else 1.0
            finish = start + batch_time_ns(luck.table_ns[stop - position], size, noise, server.overhead_ns)
        number = ring[head, NUMBER]
        if ring[head, BATCH] >= 0:
            order[departed] = ring[head, BATCH]
            departed += 1
        batches.start_ns[count], batches.finish_ns[count] = start, finish
        batches.replica[count], batches.end[count] = number, stop

        # The place at the head has become free, and is also the place behind the last.
        place = head
        head = head + 1 if head + 1 < replicas else 0
        while place != head:
            before = place - 1 if place > 0 else replicas - 1
            if ring[before, IDLE_SINCE] < finish:
                break
            if ring[before, IDLE_SINCE] == finish and ring[before, NUMBER] < number:
                break
            ring[place, IDLE_SINCE], ring[place, NUMBER] = ring[before, IDLE_SINCE], ring[before, NUMBER]
            ring[place, BATCH] = ring[before, BATCH]
            place = before
        ring[place, IDLE_SINCE], ring[place, NUMBER], ring[place, BATCH] = finish, number, count
        count += 1
        position, group = stop, last + (end[last] == stop)
    cursor[HEAD], cursor[POSITION], cursor[GROUP], cursor[COUNT] = head, position, group, count

    for turn in range(replicas):
        place = head + turn if head + turn < replicas else head + turn - replicas
        if ring[place, IDLE_SINCE] >= until_ns:
            break
        if ring[place, BATCH] >= 0:
            order[departed] = ring[place, BATCH]
            departed += 1
            ring[place, BATCH] = -1
    return departed
