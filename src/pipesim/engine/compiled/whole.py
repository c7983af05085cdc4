"""A run over the whole trace."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from pipesim.engine.compiled.admission import admitted
from pipesim.engine.compiled.flow import AT_ONCE, NEVER, Flow
from pipesim.engine.compiled.memory import empty
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
    return Run(_StageRuns(records), finish_ns)


def arrivals_at(index: int, deliveries: Deliveries, departures: Mapping[int, Flow]) -> Flow:
    """Return the arrivals at a stage, from outside or from the departures of all stages upstream."""
    routes = deliveries.stages[index]
    if not routes.upstream:
        return Flow(*deliveries.arrivals)
    flows = [departures[stage].delayed(delay) for stage, delay in zip(routes.upstream, routes.delay_ns, strict=True)]
    routes = replace(routes, expected=routes.expected.copy())
    return admitted(flows, routes, deliveries.items[index], NEVER)[0]


class _StageRuns(Sequence[StageRun]):
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
