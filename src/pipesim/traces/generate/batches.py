"""Arrivals that bring several queries at one instant."""

from collections.abc import Iterator

import numpy as np

from pipesim.model.traffic.laws import Batch
from pipesim.traces.arrivals import Nanoseconds
from pipesim.traces.generate.pieces import PIECE


def with_batches(instants: Iterator[Nanoseconds], batch: Batch, rng: np.random.Generator) -> Iterator[Nanoseconds]:
    """Return each instant as often as its batch has queries, in blocks of at most :data:`PIECE`.

    Sizes are all the mean, or geometric on 1, 2, … with that mean.
    """
    for times_ns in instants:
        if batch.sizes == "fixed":
            sizes = np.full(times_ns.size, round(batch.mean))
        else:
            sizes = rng.geometric(1 / batch.mean, times_ns.size)
        until = np.cumsum(sizes)
        for begin in range(0, int(until[-1]), PIECE):
            end = min(begin + PIECE, int(until[-1]))
            first, last = np.searchsorted(until, (begin, end - 1), side="right").tolist()
            counts = np.diff(np.clip(until[first : last + 1], begin, end), prepend=begin)
            yield np.repeat(times_ns[first : last + 1], counts)
