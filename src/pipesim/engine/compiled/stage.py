"""A stage as the compiled engine runs it: buffers around the kernels, and where the run stands."""

import numpy as np

from pipesim.engine.compiled.central import serve_central
from pipesim.engine.compiled.flow import NEVER, Flow
from pipesim.engine.compiled.records import StageRecord
from pipesim.engine.compiled.separate import (
    COLUMNS,
    DUE,
    LEAST_LOADED,
    POWER_OF_TWO,
    RANDOM,
    ROUND_ROBIN,
    TIMER,
    Memory,
    serve_separate,
)
from pipesim.engine.compiled.server import NUMBER, Batches, Luck, Server, batch_time_ns
from pipesim.engine.inputs import StageInputs
from pipesim.model import Dispatch

_DISPATCH: dict[Dispatch, int] = {
    "central": 0,
    "round_robin": ROUND_ROBIN,
    "random": RANDOM,
    "power_of_two": POWER_OF_TWO,
    "least_loaded": LEAST_LOADED,
}
_NO_FLOATS = np.zeros(0)
_NO_DRAWS = np.zeros((0, 2))
CURSOR, RING = 6, 3  # entries and columns of the kernels' state


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


def luck_of(stage: StageInputs) -> Luck:
    """Return what was drawn for a stage as kernels take it."""
    table_ns = stage.table_ns.astype(np.float64)
    return Luck(
        np.array([batch_time_ns(time_ns, 1.0, 1.0, stage.overhead_ns) for time_ns in table_ns], np.int64),
        table_ns,
        _NO_FLOATS if stage.noise is None else stage.noise,
        _NO_FLOATS if stage.size is None else stage.size,
        _NO_DRAWS if stage.dispatch_draws is None else stage.dispatch_draws,
    )


def serve(stage: StageInputs, arrivals: Flow) -> StageRecord:
    """Return what happens at a stage when it is run to its end."""
    server, luck, items, replicas = server_of(stage), luck_of(stage), arrivals.item.size, stage.replicas
    cursor, ring = np.zeros(CURSOR, np.int64), np.full((replicas, RING), -1, np.int64)
    batches, order = Batches.empty(items), np.empty(items, np.int32)
    if stage.dispatch == "central":
        served = arrivals.item
        ring[:, NUMBER] = np.arange(replicas)
        departed = serve_central(arrivals, luck, server, NEVER, ring, cursor, batches, order)
    else:
        served = np.empty(items, np.int32)
        queues = np.zeros((replicas, COLUMNS), np.int64)
        queues[:, DUE] = cursor[TIMER] = NEVER
        memory = Memory(
            np.empty(items, np.int32),
            np.empty(items if server.delay_ns else 0, np.int64),
            np.empty(items if server.is_window else 0, np.int32),
        )
        state = ring, cursor, queues, np.arange(replicas)
        departed = serve_separate(arrivals, luck, server, NEVER, *state, memory, served, batches, order)
    return StageRecord(arrivals, served, batches.first(departed), order[:departed])
