"""A stage as the compiled engine runs it: buffers around the kernels, and where the run stands."""

from typing import Any

import numpy as np
import numpy.typing as npt

from pipesim.engine.compiled.central import GROUP, POSITION, serve_central
from pipesim.engine.compiled.flow import NEVER, Flow
from pipesim.engine.compiled.memory import empty
from pipesim.engine.compiled.records import StageRecord
from pipesim.engine.compiled.separate import (
    BUSY,
    COLUMNS,
    FIRST_OPEN,
    LEAST_LOADED,
    NEWEST,
    OLDEST,
    POWER_OF_TWO,
    RANDOM,
    ROUND_ROBIN,
    SERVED,
    TIMER,
    WAITING,
    Memory,
    serve_separate,
)
from pipesim.engine.compiled.server import (
    BATCH,
    COUNT,
    CURSOR,
    HEAD,
    NUMBER,
    RING,
    Batches,
    Luck,
    Server,
)
from pipesim.engine.inputs import StageInputs
from pipesim.model import Dispatch

CENTRAL = 0
_DISPATCH: dict[Dispatch, int] = {
    "central": CENTRAL,
    "round_robin": ROUND_ROBIN,
    "random": RANDOM,
    "power_of_two": POWER_OF_TWO,
    "least_loaded": LEAST_LOADED,
}
Array = npt.NDArray[Any]
_NO_FLOATS = np.zeros(0)
_NO_DRAWS = np.zeros((0, 2))


def server_of(stage: StageInputs) -> Server:
    """Return the settings of a stage as kernels take them."""
    return Server(
        stage.replicas,
        stage.max_batch_size,
        stage.policy == "window",
        stage.max_queue_delay_ns,
        _DISPATCH[stage.dispatch],
        stage.overhead_ns,
        stage.combine == "packed",
    )


def luck_of(stage: StageInputs, items: int) -> Luck:
    """Return what was drawn for the first items of a stage as kernels take it."""
    table_ns = stage.table_ns.astype(np.float64)
    return Luck(
        np.maximum(1, np.rint(table_ns).astype(np.int64) + stage.overhead_ns),
        table_ns,
        _NO_FLOATS if stage.noise is None else stage.noise[:items],
        _NO_FLOATS if stage.size is None else stage.size[:items],
        _NO_DRAWS if stage.dispatch_draws is None else stage.dispatch_draws[:items],
    )


def extended(kept: Array, shift: int, more: Array) -> Array:
    """Return an array without its first entries, and with more at its end."""
    return np.concatenate((kept[shift:], more)) if kept.size and len(kept) > shift else more


class RunningStage:
    """A stage on its way: run up to one instant, then, when more has arrived, up to a later one.

    Items are counted from the first one that is still of interest, which moves on from piece to piece.

    Parameters
    ----------
    stage
        Its settings; what was drawn for items comes with :meth:`extend`.
    """

    def __init__(self, stage: StageInputs) -> None:
        replicas = stage.replicas
        self._server = server_of(stage)
        self._luck = luck_of(stage, items=0)
        self._cursor, self._ring = np.zeros(CURSOR, np.int64), np.full((replicas, RING), -1, np.int64)
        self._waiting, self._in_flight, self._carried = Flow.empty(0), np.empty(0, np.int32), Batches.empty(0)
        if self._is_central:
            self._ring[:, NUMBER] = np.arange(replicas)
        else:
            self._cursor[TIMER] = NEVER
            self._queues = np.zeros((replicas, COLUMNS), np.int64)
            self._keys, self._due_ns = np.arange(replicas), np.full(replicas, NEVER)
            self._memory = Memory(np.empty(0, np.int32), np.empty(0, np.int64), np.empty(0, np.int32))

    @property
    def _is_central(self) -> bool:
        return self._server.dispatch == CENTRAL

    def extend(self, stage: StageInputs, shift: int = 0) -> None:
        """Let go of the first `shift` items, which must have left, and take in what was drawn for more items."""
        new = luck_of(stage, items=stage.items)
        self._luck = Luck(
            new.service_ns,
            new.table_ns,
            *(extended(kept, shift, more) for kept, more in zip(self._luck[2:], new[2:], strict=True)),
        )
        self._waiting, self._in_flight = self._waiting.counted_from(shift), self._in_flight - np.int32(shift)
        if not self._is_central:
            self._queues[:, [OLDEST, NEWEST, FIRST_OPEN]] -= shift
            following, arrived_ns, closed_size = self._memory
            is_window, delays = self._server.is_window, self._server.delay_ns > 0
            self._memory = Memory(
                extended(following - np.int32(shift), shift, empty(stage.items, np.int32)),
                extended(arrived_ns, shift, empty(stage.items if delays else 0, np.int64)),
                extended(closed_size, shift, empty(stage.items if is_window else 0, np.int32)),
            )

    def serve(self, arrivals: Flow, until_ns: int = NEVER) -> StageRecord:
        """Return what happens before an instant, before which all `arrivals` are; those until then are known."""
        in_service, carried = self._in_flight.size, self._carried.end.size
        waiting = self._waiting.item.size if self._is_central else int(self._queues[:, WAITING].sum())
        items = in_service + waiting + arrivals.item.size
        batches, order = Batches.empty(carried + waiting + arrivals.item.size), empty(items, np.int32)
        if carried:
            batches.begin_with(self._carried)
        self._cursor[COUNT] = carried
        if self._is_central:
            flow = self._waiting.followed_by(arrivals) if waiting else arrivals
            if in_service:
                item = np.concatenate((self._in_flight, flow.item))
                flow = Flow(flow.at_ns, flow.end + np.int32(in_service), item)
            served = flow.item
            self._cursor[POSITION], self._cursor[GROUP] = in_service, 0
            departed = serve_central(flow, self._luck, self._server, until_ns, self._ring, self._cursor, batches, order)
            self._waiting = flow.after(int(self._cursor[GROUP]), int(self._cursor[POSITION]))
            arrivals = flow
        else:
            served = empty(items, np.int32)
            served[:in_service] = self._in_flight
            self._cursor[SERVED] = in_service
            departed = serve_separate(
                arrivals,
                self._luck,
                self._server,
                until_ns,
                self._ring,
                self._cursor,
                self._queues,
                self._keys,
                self._due_ns,
                self._memory,
                served,
                batches,
                order,
            )
        record = StageRecord(arrivals, served, batches.first(int(self._cursor[COUNT])), order[:departed], carried)
        if until_ns != NEVER:
            self._carry(record)
        return record

    def _carry(self, record: StageRecord) -> None:
        """Keep the batches that are in service, counted anew, and their items."""
        rows = np.flatnonzero(self._ring[:, BATCH] >= 0)
        if not self._is_central:  # replicas that have left the ring are not wiped out
            rows = (self._cursor[HEAD] + np.arange(self._cursor[BUSY])) % len(self._ring)
        rows = rows[np.argsort(self._ring[rows, BATCH])]
        numbers = self._ring[rows, BATCH]
        start_ns, finish_ns, replica, end = record.batches
        sizes = record.batches.size[numbers]
        ranges = [record.served[last - size : last] for last, size in zip(end[numbers], sizes, strict=True)]
        self._in_flight = np.concatenate(ranges) if ranges else np.empty(0, np.int32)
        self._carried = Batches(
            start_ns[numbers], finish_ns[numbers], replica[numbers], np.cumsum(sizes, dtype=np.int32)
        )
        self._ring[rows, BATCH] = np.arange(rows.size)


def serve(stage: StageInputs, arrivals: Flow) -> StageRecord:
    """Return what happens at a stage when it is run to its end."""
    running = RunningStage(stage)
    running.extend(stage)
    return running.serve(arrivals)
