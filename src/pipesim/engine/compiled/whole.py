"""A run over the whole trace."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from pipesim.engine.compiled.admission import admitted
from pipesim.engine.compiled.flow import AT_ONCE, NEVER, Flow, Integers
from pipesim.engine.compiled.jit import kernel
from pipesim.engine.compiled.memory import concatenated, empty
from pipesim.engine.compiled.records import StageRecord
from pipesim.engine.compiled.server import note_finishes
from pipesim.engine.compiled.stage import serve
from pipesim.engine.deliveries import Deliveries
from pipesim.engine.inputs import EngineInputs
from pipesim.engine.run import Run, StageRun


def run_compiled(inputs: EngineInputs) -> Run:
    """Return what happens to every query: timestamp for timestamp what the reference engine returns."""
    departures: dict[int, Flow] = {}
    records = []
    finish_ns = empty(inputs.queries, np.int64)
    finish_ns[:] = inputs.arrival_ns
    for index, stage in enumerate(inputs.stages):
        record = serve(stage, arrivals_at(index, inputs.deliveries, departures))
        records.append(record)
        if inputs.deliveries.feeds_others[index]:
            departures[index] = record.departures()
        if inputs.deliveries.ends_queries[index]:
            query_of_item = inputs.deliveries.query_of_item[index]
            note_finishes(record.batches, record.served, query_of_item, AT_ONCE, finish_ns)
    return Run(StageRuns(records), finish_ns)


def arrivals_at(index: int, deliveries: Deliveries, departures: Mapping[int, Flow]) -> Flow:
    """Return the arrivals at a stage, from outside or from the departures of all stages upstream."""
    routes = deliveries.stages[index]
    if not routes.upstream:
        return Flow(*deliveries.arrivals)
    flows = [departures[stage].delayed(delay) for stage, delay in zip(routes.upstream, routes.delay_ns, strict=True)]
    routes = replace(routes, expected=concatenated([routes.expected]))
    return admitted(flows, routes, deliveries.items[index], NEVER)[0]


class StageRuns(Sequence[StageRun]):
    """The runs of stages, each made from its record when it is asked for."""

    def __init__(self, records: Sequence[StageRecord]) -> None:
        self._found: list[StageRecord | StageRun] = list(records)

    def __len__(self) -> int:
        return len(self._found)

    def __getitem__(self, index: int) -> StageRun:  # type: ignore[override]
        found = self._found[index]
        if isinstance(found, StageRecord):
            found = self._found[index] = found.stage_run()
        return found

    def busy_ns(self, index: int, end_ns: int) -> int:
        """Return the time before an instant for which a stage's replicas were busy, of all together.

        The times of its items are not made for that.
        """
        found = self._found[index]
        if isinstance(found, StageRecord):
            high, low = _busy_ns(found.batches.start_ns, found.batches.finish_ns, end_ns)
        else:
            high, low = _busy_ns(found.batch_start_ns, found.batch_finish_ns, end_ns)
        return (high << 32) + low


@kernel
def _busy_ns(start_ns: Integers, finish_ns: Integers, end_ns: int) -> tuple[int, int]:
    """Return the sum of the times of batches before an instant, which 64 bits may not hold, as high and low halves."""
    high, low = 0, 0
    for batch in range(start_ns.size):
        busy_ns = min(finish_ns[batch], end_ns) - min(start_ns[batch], end_ns)
        high, low = high + (busy_ns >> 32), low + (busy_ns & 0xFFFFFFFF)
    return high, low
