"""The least that queries can take when nobody waits: every item served alone and at once."""

import numpy as np

from pipesim.engine.inputs import EngineInputs, StageInputs
from pipesim.engine.run import Integers


def unqueued_latency_ns(inputs: EngineInputs) -> Integers:
    """Return what each query would take if every stage had a free replica for every item, at batch size 1.

    Shape ``(queries,)``, int64. It equals a run with as many replicas as items and ``max_batch_size`` 1.
    """
    arrived = [np.zeros(stage.items, dtype=np.int64) for stage in inputs.stages]
    sources = set(range(len(inputs.stages))) - {edge.downstream for edge in inputs.edges}
    for source in sources:
        arrived[source][:] = inputs.arrival_ns
    delivered = [np.zeros(inputs.queries, dtype=np.int64) for _ in inputs.stages]
    left = inputs.arrival_ns.copy()
    for index, stage in enumerate(inputs.stages):
        offsets, joined, query = stage.routes.offsets, stage.routes.joined, stage.routes.query_of_item
        if index not in sources:
            is_joined = np.arange(stage.items) < (offsets[:-1] + joined)[query]
            arrived[index][is_joined] = delivered[index][query[is_joined]]
        finish = arrived[index] + service_alone_ns(stage)
        ended = np.zeros(inputs.queries, dtype=np.int64)
        np.maximum.at(ended, query, finish)
        np.maximum(left, ended, out=left)
        for edge in inputs.edges:
            if edge.upstream != index:
                continue
            if edge.per == "query":
                active = edge.fan_out > 0
                into = delivered[edge.downstream]
                into[active] = np.maximum(into[active], ended[active] + edge.delay_ns)
            else:
                parents = np.repeat(np.arange(stage.items), edge.fan_out)
                copies = np.arange(parents.size) - np.repeat(np.cumsum(edge.fan_out) - edge.fan_out, edge.fan_out)
                arrived[edge.downstream][edge.first_child[parents] + copies] = finish[parents] + edge.delay_ns
    return left - inputs.arrival_ns


def service_alone_ns(stage: StageInputs) -> Integers:
    """Return the service time of each item in a batch of its own, shape ``(items,)``, int64."""
    service = np.full(stage.items, float(stage.table_ns[1]))
    if stage.size is not None:
        service *= stage.size
    if stage.noise is not None:
        service *= stage.noise
    return np.asarray(np.maximum(1, np.rint(service).astype(np.int64) + stage.overhead_ns))
