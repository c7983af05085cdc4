"""What an engine gives back: integer timestamps, the same from either engine."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Integers = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class StageRun:
    """What happened at one stage.

    Parameters
    ----------
    arrival_ns, start_ns, finish_ns, batch
        Shape ``(items,)``, int64, by item index: when the item arrived, when its batch started and finished, and which
        batch it was.
    batch_start_ns, batch_finish_ns, batch_replica, batch_size
        Shape ``(batches,)``, int64. Batches are numbered by start, then by replica.
    """

    arrival_ns: Integers
    start_ns: Integers
    finish_ns: Integers
    batch: Integers
    batch_start_ns: Integers
    batch_finish_ns: Integers
    batch_replica: Integers
    batch_size: Integers


@dataclass(frozen=True, slots=True)
class Run:
    """What happened to every query, item and batch.

    Parameters
    ----------
    stages
        In topological order.
    finish_ns
        Shape ``(queries,)``, int64: when the last of the query's visits ended.
    """

    stages: Sequence[StageRun]
    finish_ns: Integers


def same(one: Run, other: Run) -> bool:
    """Return whether two runs agree on every timestamp, batch and replica."""
    pairs = zip(one.stages, other.stages, strict=True)
    return np.array_equal(one.finish_ns, other.finish_ns) and all(
        np.array_equal(getattr(a, field), getattr(b, field))
        for a, b in pairs
        for field in StageRun.__dataclass_fields__
    )
