"""What no queue changes: the latency that service alone takes, and the most that a stage can serve."""

from collections.abc import Sequence

import numpy as np

from pipesim.engine.inputs import EngineInputs, Floats, StageInputs
from pipesim.engine.propagation import arrivals_ns, latest_ns, visit_ends_ns
from pipesim.engine.run import Integers
from pipesim.engine.stages import total_ns
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
        service *= stage.size if alone or stage.combine == "padded" else least_mean_size(stage)
    if stage.noise is not None and stage.items:
        service *= stage.noise if alone else stage.noise.min()
    return np.asarray(np.maximum(1, np.rint(service).astype(np.int64) + stage.overhead_ns))


def least_mean_size(stage: StageInputs) -> float:
    """Return a size that no batch is below: the smallest of its items', which the mean of equal ones can fall short of.

    A sum of b floats is too small by a share of at most b · 2⁻⁵³, and so is its b-th part, rounded once more.
    """
    assert stage.size is not None
    return float(stage.size.min()) * (1 - (stage.max_batch_size + 1) * 2.0**-52)


class FullBatches:
    """The throughput of one replica while batches are always full, from a stage's items piece by piece.

    The items are served in order in batches of `max_batch_size`, on their own sizes and noise; if there are fewer, in
    one batch. (With the ``window`` policy batches may not fill, however many items come.)
    """

    def __init__(self) -> None:
        self._served = self._total_ns = self._left = 0
        self._factors = np.zeros((2, 0))  # size and noise of the items left over

    def add(self, stage: StageInputs) -> None:
        """Serve the items of a stage, together with those that earlier ones left over."""
        items = self._left + stage.items
        served = items - items % stage.max_batch_size
        if stage.noise is None and stage.size is None:
            self._total_ns += served // stage.max_batch_size * _batches_ns(stage, np.ones((2, stage.max_batch_size)))
        else:
            ones = np.ones(stage.items)
            more = [ones if factor is None else factor for factor in (stage.size, stage.noise)]
            factors = np.concatenate((self._factors, more), axis=1)
            self._total_ns += _batches_ns(stage, factors[:, :served].reshape(2, -1, stage.max_batch_size))
            self._factors = factors[:, served:]
        self._served, self._left = self._served + served, items - served

    def throughput_qps(self, stage: StageInputs, queries: int) -> float:
        """Return the queries a second that one replica serves; infinite without items.

        Parameters
        ----------
        stage
            The last piece.
        queries
            How many there were in all.
        """
        served, total_ns = self._served, self._total_ns
        if not served + self._left:
            return float("inf")
        items_per_query = (served + self._left) / queries
        if not served:
            factors = self._factors if self._factors.size else np.ones((2, self._left))
            served, total_ns = self._left, _batches_ns(stage, factors)
        return served / (total_ns / NS_PER_S) / items_per_query


def _batches_ns(stage: StageInputs, factors: Floats) -> int:
    """Return how long batches take one after the other, for size and noise of shape ``(2, …, batch_size)``."""
    size, noise = factors
    factor = size.max(axis=-1) if stage.combine == "padded" else size.mean(axis=-1)
    service = float(stage.table_ns[size.shape[-1]]) * factor * noise[..., 0]
    return total_ns(np.maximum(1, np.rint(service).astype(np.int64) + stage.overhead_ns))


def full_batch_throughput_qps(stage: StageInputs) -> float:
    """Return the queries a second that one replica serves while batches are always full: see :class:`FullBatches`."""
    batches = FullBatches()
    batches.add(stage)
    return batches.throughput_qps(stage, stage.routes.joined.size)
