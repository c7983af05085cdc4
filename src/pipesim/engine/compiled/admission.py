"""How items that leave stages become arrivals at the next one."""

from collections.abc import Sequence

import numpy as np

from pipesim.engine.compiled.flow import NEVER, Flow, Indices, Integers, joined_flows
from pipesim.engine.compiled.jit import kernel
from pipesim.engine.compiled.memory import concatenated
from pipesim.engine.deliveries import StageDeliveries

ROOM = 4
"""Items that are written at a time, more than arrive or not."""


def admitted(flows: Sequence[Flow], routes: StageDeliveries, items: int, until_ns: int) -> tuple[Flow, list[Flow]]:
    """Return the arrivals at a stage before an instant, and what is left over of each edge.

    Parameters
    ----------
    flows
        What travels on each edge, delay included.
    routes
        Where it leads; `routes.expected` is counted down.
    items
        How many items may arrive.
    """
    if routes.is_plain:
        arrivals, left = flows[0].split(until_ns)
        return arrivals, [left]
    if len(flows) == 1 and not (routes.expected.size or routes.length.size):
        departures, left = flows[0].split(until_ns)
        arrivals = Flow.empty(departures.item.size + 1)
        return arrivals.first(_let_through(departures, routes.child[0], arrivals)), [left]
    groups = np.array([flow.at_ns.size for flow in flows])
    last_group = np.cumsum(groups)
    next_group = last_group - groups
    first_child = np.cumsum([0, *(child.size for child in routes.child[:-1])])
    child = routes.child[0] if len(flows) == 1 else concatenated(routes.child)
    arrivals = Flow.empty(items + ROOM)
    edges = next_group, last_group, child, first_child
    count = _admit(joined_flows(flows), until_ns, *edges, routes.expected, routes.length, arrivals)
    taken = next_group - (last_group - groups)
    return arrivals.first(count), [flow.rest(int(done)) for flow, done in zip(flows, taken, strict=True)]


@kernel
def _let_through(departures: Flow, child: Indices, arrivals: Flow) -> int:
    """Write what one edge delivers, where each delivery is a run of one item, and return how many groups arrive.

    It does what :func:`_admit` does, without a choice that depends on luck: neither which items arrive nor how many are
    in a group can be guessed by a processor. As items ascend within a group, so do their runs.

    Parameters
    ----------
    departures, child
        As there, of one edge.
    arrivals
        A buffer, filled from its beginning, with one to spare.
    """
    groups = count = begin = group = 0
    for place in range(departures.item.size):
        item = departures.item[place]
        run = child[np.uintp(item)] if item >= 0 else np.int32(-1)
        arrivals.item[np.uintp(count)] = run
        count += int(run >= 0)
        arrivals.at_ns[np.uintp(groups)] = departures.at_ns[np.uintp(group)]
        arrivals.end[np.uintp(groups)] = count
        is_last = int(departures.end[np.uintp(group)] == place + 1)
        groups += is_last * int(count > begin)
        begin += is_last * (count - begin)
        group += is_last
    return groups


@kernel
def _admit(
    departures: Flow,
    until_ns: int,
    next_group: Integers,
    last_group: Integers,
    child: Indices,
    first_child: Integers,
    expected: Indices,
    length: Indices,
    arrivals: Flow,
) -> int:
    """Merge what several edges deliver before an instant into the arrivals at a stage; return how many groups they are.

    A *run* is a range of items of a stage that arrive together, when the last of their deliveries has been made: all
    joined items of a query, or the children of one item. An item that leaves a stage upstream is one delivery.

    Parameters
    ----------
    departures
        What travels on each edge, delay included, edge after edge. An item below 0 belongs to a query that has left.
    next_group, last_group
        Shape ``(edges,)``: where the groups of each edge begin and end; `next_group` is moved on to what is left over.
    child, first_child
        The first item of the run that each item upstream delivers to, -1 for none, edge after edge; shape ``(edges,)``:
        where each edge begins.
    expected
        By item, at the first of each run: deliveries that are still to come. Empty if each run has one.
    length
        By item, at the first of each run: its items. Empty if each run has one.
    arrivals
        A buffer, filled from its beginning, with :data:`ROOM` to spare.
    """
    groups = count = 0
    edges = next_group.size
    counts_down, is_long = expected.size > 0, length.size > 0
    heads_ns = np.empty(edges, np.int64)
    for edge in range(edges):
        group = next_group[edge]
        heads_ns[edge] = departures.at_ns[group] if group < last_group[edge] else NEVER
    while True:
        now = heads_ns[0]
        for edge in range(1, edges):
            now = min(now, heads_ns[edge])
        if now >= until_ns:
            return groups
        begin, previous, misplaced = count, -1, 0
        for edge in range(edges):
            while heads_ns[edge] == now:
                group, base = next_group[edge], first_child[edge]
                first = departures.end[np.uintp(group - 1)] if group else 0
                for place in range(first, departures.end[np.uintp(group)]):
                    # What arrives is a matter of luck, which no processor guesses: it is computed, not branched on.
                    item = departures.item[np.uintp(place)]
                    run = int(child[np.uintp(base + item)]) if item >= 0 else -1
                    arrives = int(run >= 0)
                    if counts_down:
                        first_item = np.uintp(run * arrives)
                        left = expected[first_item] - arrives
                        expected[first_item] = left
                        arrives &= int(left == 0)
                    misplaced |= arrives & int(run < previous)
                    previous += (run - previous) * arrives
                    if is_long:
                        items = int(length[run * arrives]) * arrives
                        for one in range(ROOM):
                            arrivals.item[count + one] = run + one
                        for one in range(ROOM, items):
                            arrivals.item[count + one] = run + one
                        count += items
                    else:
                        arrivals.item[np.uintp(count)] = run
                        count += arrives
                next_group[edge] = group + 1
                heads_ns[edge] = departures.at_ns[group + 1] if group + 1 < last_group[edge] else NEVER
        if count > begin:
            if misplaced:
                arrivals.item[begin:count].sort()
            arrivals.at_ns[np.uintp(groups)], arrivals.end[np.uintp(groups)] = now, count
            groups += 1
