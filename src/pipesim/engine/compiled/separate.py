"""A queue of its own for every replica of a stage."""

from typing import NamedTuple

import numpy as np

from pipesim.engine.compiled.flow import NEVER, Flow, Indices, Integers
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

ROUND_ROBIN, RANDOM, POWER_OF_TWO, LEAST_LOADED = range(1, 5)

BUSY, SERVED, TURN, TIMER = range(2, 6)
"""Entries of the cursor: replicas in the ring, which are the busy ones; items served; whose turn it is (round robin);
an instant before which no timer ends."""

OLDEST, NEWEST, WAITING = range(3)
"""Columns of queues: the items of a replica, linked, and how many."""
FIRST_OPEN, OPEN, CLOSED = range(3, 6)
"""With windows: the first of the items that others may join, how many these are, and how many batches are before."""
IS_BUSY, IS_TOUCHED = range(6, 8)
"""Whether a batch is served; whether one may be started at the end of this instant."""
COLUMNS = 8

_SHIFT = 20
"""A key holds the load of a replica above so many bits, and below them its number."""
_NUMBER_MASK = (1 << _SHIFT) - 1


class Memory(NamedTuple):
    """What is remembered of items, by item.

    Parameters
    ----------
    following
        int32: the next one in its queue.
    arrived_ns
        int64: when it arrived; kept if a batch waits for others (`max_queue_delay`).
    closed_size
        int32: how many are in the closed batch that it begins; kept with windows.
    """

    following: Indices
    arrived_ns: Integers
    closed_size: Indices


@kernel
def serve_separate(
    arrivals: Flow,
    luck: Luck,
    server: Server,
    until_ns: int,
    ring: Integers,
    cursor: Integers,
    queues: Integers,
    keys: Integers,
    due_ns: Integers,
    memory: Memory,
    served: Indices,
    batches: Batches,
    order: Indices,
) -> int:
    """Run all that happens before an instant, one instant after the other; return how many batches finish before it.

    The busy replicas are in a ring sorted by finish, so batches complete and depart in order of time. Timers are not
    kept in order: the next one is looked for when the last has passed. The least key is the least loaded replica, of
    equals the one of the lowest number.

    Parameters
    ----------
    arrivals
        All that arrives before `until_ns` must be among them, and nothing else.
    ring, cursor, queues, keys, due_ns
        Where the run stands, for the next call; `queues` has a row for each replica, and `keys` and `due_ns` an entry:
        load and number, and when the timer ends.
    memory
        Buffers by item.
    served
        A buffer, filled from ``cursor[SERVED]`` on: the items in order of service.
    batches
        A buffer, filled from ``cursor[COUNT]`` on.
    order
        A buffer, filled from its beginning: the batches that finish before `until_ns`, in order of finish.
    """
    at_ns, end, item = arrivals
    groups, replicas, limit, delay_ns = at_ns.size, server.replicas, server.max_batch_size, server.delay_ns
    is_window, waits = server.is_window, delay_ns > 0 and not server.is_window
    is_plain = luck.noise.size == 0 and luck.size.size == 0
    head, busy, taken, count = cursor[HEAD], cursor[BUSY], cursor[SERVED], cursor[COUNT]
    turn, timer = cursor[TURN], cursor[TIMER]
    touched = np.empty(replicas, np.int64)
    departed = group = position = 0
    arrival = at_ns[0] if groups else NEVER
    while True:
        now = min(arrival, timer)
        if busy:
            now = min(now, ring[head, IDLE_SINCE])
        if now >= until_ns:
            break
        touches = 0

        # Completions.
        while busy and ring[head, IDLE_SINCE] == now:
            replica, batch = ring[head, NUMBER], ring[head, BATCH]
            order[departed] = batch
            departed += 1
            keys[replica] -= (batches.end[batch] - (batches.end[batch - 1] if batch else 0)) << _SHIFT
            queues[replica, IS_BUSY], queues[replica, IS_TOUCHED] = 0, 1
            touched[touches] = replica
            touches += 1
            busy -= 1
            head = head + 1 if head + 1 < replicas else 0

        # Admission.
        while arrival == now:
            while position < end[group]:
                one = item[position]
                position += 1
                if server.dispatch == ROUND_ROBIN:
                    replica = turn
                    turn = turn + 1 if turn + 1 < replicas else 0
                elif server.dispatch == LEAST_LOADED:
                    key = keys[0]
                    for other in range(1, replicas):
                        key = min(key, keys[other])
                    replica = key & _NUMBER_MASK
                else:
                    replica = int(luck.draws[one, 0] * replicas)
                    if server.dispatch == POWER_OF_TWO and replicas > 1:
                        other = int(luck.draws[one, 1] * (replicas - 1))
                        other += other >= replica
                        replica = min(keys[replica], keys[other]) & _NUMBER_MASK
                keys[replica] += 1 << _SHIFT
                waiting = queues[replica, WAITING]
                queues[replica, OLDEST] = queues[replica, OLDEST] if waiting else one
                memory.following[queues[replica, NEWEST] if waiting else one] = one
                queues[replica, NEWEST] = one
                queues[replica, WAITING] = waiting + 1
                if is_window:
                    if queues[replica, OPEN] == 0:
                        queues[replica, FIRST_OPEN], due_ns[replica] = one, now + delay_ns
                        timer = min(timer, now + delay_ns)
                    queues[replica, OPEN] += 1
                    if queues[replica, OPEN] == limit:
                        memory.closed_size[queues[replica, FIRST_OPEN]] = limit
                        queues[replica, OPEN], due_ns[replica] = 0, NEVER
                        queues[replica, CLOSED] += 1
                elif waits:
                    memory.arrived_ns[one] = now
                if not (queues[replica, IS_BUSY] or queues[replica, IS_TOUCHED]):
                    queues[replica, IS_TOUCHED] = 1
                    touched[touches] = replica
                    touches += 1
            group += 1
            arrival = at_ns[group] if group < groups else NEVER

        # Timers.
        if timer <= now:
            for replica in range(replicas):
                if due_ns[replica] <= now:
                    due_ns[replica] = NEVER
                    if is_window:
                        memory.closed_size[queues[replica, FIRST_OPEN]] = queues[replica, OPEN]
                        queues[replica, OPEN] = 0
                        queues[replica, CLOSED] += 1
                    if not (queues[replica, IS_BUSY] or queues[replica, IS_TOUCHED]):
                        queues[replica, IS_TOUCHED] = 1
                        touched[touches] = replica
                        touches += 1
            timer = NEVER
            for replica in range(replicas):
                timer = min(timer, due_ns[replica])

        # Dispatch.
        for touch in range(touches):
            replica = touched[touch]
            queues[replica, IS_TOUCHED] = 0
            oldest = queues[replica, OLDEST]
            if is_window:
                if queues[replica, CLOSED] == 0:
                    continue
                queues[replica, CLOSED] -= 1
                batch_size = int(memory.closed_size[oldest])
            else:
                batch_size = min(queues[replica, WAITING], limit)
                if batch_size == 0:
                    continue
                if waits:
                    due = memory.arrived_ns[oldest] + delay_ns
                    if batch_size < limit and now < due:
                        due_ns[replica] = due
                        timer = min(timer, due)
                        continue
                    due_ns[replica] = NEVER
            first = taken
            for _ in range(batch_size):
                served[taken] = oldest
                oldest = int(memory.following[oldest])
                taken += 1
            queues[replica, OLDEST] = oldest
            queues[replica, WAITING] -= batch_size
            queues[replica, IS_BUSY] = 1
            if is_plain:
                finish = now + luck.service_ns[batch_size]
            else:
                size = combined_size(luck.size, served, first, taken, server.is_packed) if luck.size.size else 1.0
                noise = luck.noise[served[first]] if luck.noise.size else 1.0
                finish = now + batch_time_ns(luck.table_ns[batch_size], size, noise, server.overhead_ns)
            batches.start_ns[count], batches.finish_ns[count] = now, finish
            batches.replica[count], batches.end[count] = replica, taken
            place = head + busy if head + busy < replicas else head + busy - replicas
            while place != head:
                before = place - 1 if place > 0 else replicas - 1
                if ring[before, IDLE_SINCE] <= finish:
                    break
                ring[place, IDLE_SINCE], ring[place, NUMBER] = ring[before, IDLE_SINCE], ring[before, NUMBER]
                ring[place, BATCH] = ring[before, BATCH]
                place = before
            ring[place, IDLE_SINCE], ring[place, NUMBER], ring[place, BATCH] = finish, replica, count
            busy += 1
            count += 1
    cursor[HEAD], cursor[BUSY], cursor[SERVED], cursor[COUNT] = head, busy, taken, count
    cursor[TURN], cursor[TIMER] = turn, timer
    return departed
