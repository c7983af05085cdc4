"""What is kept of a stage's run, and the times of its items made from it when somebody asks."""

from typing import NamedTuple

import numpy as np

from pipesim.engine.compiled.flow import Flow, Indices, Integers
from pipesim.engine.compiled.jit import kernel
from pipesim.engine.compiled.server import Batches, depart
from pipesim.engine.run import StageRun


class StageRecord(NamedTuple):
    """What happened at one stage, as the kernels write it.

    Parameters
    ----------
    arrivals
        The items in order of admission. With one queue for the stage: those that waited already, and counted behind
        those that were in service.
    served
        The items in order of service, batch after batch.
    batches
        In order of start.
    order
        Shape ``(batches,)``, int32: the batches that have finished, in order of finish.
    carried
        How many of the batches, the first ones, had started in an earlier piece of the run.
    """

    arrivals: Flow
    served: Indices
    batches: Batches
    order: Indices
    carried: int

    def departures(self) -> Flow:
        """Return what leaves the stage."""
        flow = Flow.empty(self.served.size)
        return flow.first(depart(self.order, self.batches, self.served, flow))

    def stage_run(self) -> StageRun:
        """Return the times of all items and batches, with batches numbered by start, then replica."""
        items = self.served.size
        arrival_ns, start_ns, finish_ns, batch = (np.empty(items, np.int64) for _ in range(4))
        order = _order_of_batches(self.batches)
        note_arrivals(self.arrivals, arrival_ns)
        _times_of_items(self.batches, order, self.served, start_ns, finish_ns, batch)
        start, finish, replica, _ = self.batches
        columns = (start[order], finish[order], replica[order].astype(np.int64))
        return StageRun(arrival_ns, start_ns, finish_ns, batch, *columns, self.batches.size[order].astype(np.int64))


@kernel
def _order_of_batches(batches: Batches) -> Integers:
    """Return the order of batches by start, then replica; they are in order of start already."""
    start_ns, replica = batches.start_ns, batches.replica
    order = np.empty(start_ns.size, np.int64)
    for number in range(start_ns.size):
        place = number
        while place > 0:
            before = order[place - 1]
            if start_ns[before] < start_ns[number] or replica[before] < replica[number]:
                break
            order[place] = before
            place -= 1
        order[place] = number
    return order


@kernel
def note_arrivals(arrivals: Flow, arrival_ns: Integers) -> None:
    """Write when each item arrives."""
    first = 0
    for group in range(arrivals.at_ns.size):
        for place in range(first, arrivals.end[group]):
            arrival_ns[arrivals.item[place]] = arrivals.at_ns[group]
        first = arrivals.end[group]


@kernel
def _times_of_items(
    batches: Batches, order: Integers, served: Indices, start_ns: Integers, finish_ns: Integers, batch: Integers
) -> None:
    for number in range(order.size):
        row = order[number]
        first = batches.end[row - 1] if row else 0
        for place in range(first, batches.end[row]):
            item = served[place]
            start_ns[item], finish_ns[item], batch[item] = batches.start_ns[row], batches.finish_ns[row], number
