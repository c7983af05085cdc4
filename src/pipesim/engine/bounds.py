"""What no queue changes: the latency that service alone takes, and the most that a stage can serve."""

from collections.abc import Sequence

import numpy as np

from pipesim.engine.inputs import EngineInputs, StageInputs
from pipesim.engine.propagation import arrivals_ns, latest_ns, visit_ends_ns
from pipesim.engine.run import Integers
from pipesim.units import NS_PER_S


def unqueued_latency_ns(inputs: EngineInputs, service_ns: Sequence[Integers]) -> Integers:
    """Return what each query takes if nobody waits and each item is served in a given time.

    Parameters
    ----------
    inputs
        Routes and delays.
    service_ns
        For every stage, shape ``(items,)``, int64.

    Returns
    -------
    Integers
        Shape ``(queries,)``, int64.
    """
    finish_ns: list[Integers] = []
    ends_ns: list[Integers] = []
    for index, stage in enumerate(inputs.stages):
        finish_ns.append(arrivals_ns(index, inputs, finish_ns, ends_ns) + service_ns[index])
        ends_ns.append(visit_ends_ns(stage, finish_ns[-1]))
    return latest_ns(inputs, ends_ns) - inputs.arrival_ns


def least_service_ns(stage: StageInputs) -> Integers:
    """Return a time below which no item of a stage is served, whatever batch it is in, shape ``(items,)``, int64.

    At a batch limit of 1 it is the item's own service time. In a larger batch an item shares the noise of the first,
    and in a ``packed`` one the sizes of all, so the smallest noise and size drawn at the stage are taken; in a
    ``padded`` one the size counts at least as its own. The table's fastest batch counts, for some curves fall.
    """
    alone = stage.max_batch_size == 1
    service = np.full(stage.items, float(stage.table_ns[1:].min()))
    if stage.size is not None and stage.items:
        service *= stage.size if alone or stage.combine == "padded" else stage.size.min()
    if stage.noise is not None and stage.items:
        service *= stage.noise if alone else stage.noise.min()
    return np.asarray(np.maximum(1, np.rint(service).astype(np.int64) + stage.overhead_ns))


def full_batch_throughput_qps(stage: StageInputs) -> float:
    """Return the queries a second that one replica serves while batches are always full; infinite without items.

    Measured on the stage's own draws: its items are served in order in batches of `max_batch_size`. (With the
    ``window`` policy batches may not fill, however many items come.)
    """
    if not stage.items:
        return float("inf")
    batch_size = min(stage.max_batch_size, stage.items)
    batches = stage.items // batch_size
    served = batches * batch_size
    service = np.full(batches, float(stage.table_ns[batch_size]))
    if stage.size is not None:
        sizes = stage.size[:served].reshape(batches, batch_size)
        service *= sizes.max(axis=1) if stage.combine == "padded" else sizes.mean(axis=1)
    if stage.noise is not None:
        service *= stage.noise[:served:batch_size]
    total_ns = float(np.maximum(1, np.rint(service) + stage.overhead_ns).sum())
    queries_per_item = stage.routes.joined.size / stage.items
    return served / (total_ns / NS_PER_S) * queries_per_item
