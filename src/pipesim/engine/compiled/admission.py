"""How items that leave stages become arrivals at the next one."""

from pipesim.engine.compiled.flow import NEVER, Flow, Indices, Integers
from pipesim.engine.compiled.jit import kernel


@kernel
def admit(
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
        What travels on each edge, delay included, edge after edge.
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
        A buffer, filled from its beginning.
    """
    groups = count = 0
    edges = next_group.size
    while True:
        now = NEVER
        for edge in range(edges):
            if next_group[edge] < last_group[edge]:
                now = min(now, departures.at_ns[next_group[edge]])
        if now >= until_ns:
            return groups
        begin, is_sorted = count, True
        for edge in range(edges):
            while next_group[edge] < last_group[edge] and departures.at_ns[next_group[edge]] == now:
                group = next_group[edge]
                next_group[edge] += 1
                first = departures.end[group - 1] if group else 0
                for place in range(first, departures.end[group]):
                    run = child[first_child[edge] + departures.item[place]]
                    if run < 0:
                        continue
                    if expected.size:
                        expected[run] -= 1
                        if expected[run] > 0:
                            continue
                    stop = run + length[run] if length.size else run + 1
                    if count > begin and run < arrivals.item[count - 1]:
                        is_sorted = False
                    for item in range(run, stop):
                        arrivals.item[count] = item
                        count += 1
        if count > begin:
            if not is_sorted:
                arrivals.item[begin:count].sort()
            arrivals.at_ns[groups], arrivals.end[groups] = now, count
            groups += 1
