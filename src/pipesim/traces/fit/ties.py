"""Queries of one instant: a clock that counts coarse ticks, or arrivals that bring several queries."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pipesim.traces.arrivals import Nanoseconds
from pipesim.units import NS_PER_S

_LEAST_SHARE = 0.02
_LEAST_TICK_NS = 1_000
_TICK_TOLERANCE = 0.02
_NEARLY = 1e-3
_LEAST_BATCHED = 20
_RESONANT = 3


@dataclass(frozen=True, slots=True)
class Ties:
    """How queries come to share instants.

    Parameters
    ----------
    tick_ns
        The tick that all times are multiples of; None if the clock is fine.
    batch_mean
        Queries that an arrival brings; 1 if it brings one.
    batch_dispersion
        Variance over mean of that number.
    batch_fixed
        Whether the number is always the same.
    tick_is_exact
        Whether all times are whole ticks to the nanosecond.
    """

    tick_ns: int | None = None
    batch_mean: float = 1.0
    batch_dispersion: float = 0.0
    batch_fixed: bool = False
    tick_is_exact: bool = True

    def resonant(self, windows_s: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
        """Return which windows are of one to three ticks of a clock that is not exact: what they hold is its jitter."""
        if self.tick_ns is None or self.tick_is_exact:
            return np.zeros(windows_s.shape, dtype=bool)
        ticks = windows_s * NS_PER_S / self.tick_ns
        return np.asarray(
            (np.abs(ticks - np.rint(ticks)) < _TICK_TOLERANCE) & (np.rint(ticks) <= _RESONANT) & (ticks > 0.5)
        )


def ties_of(times_ns: Nanoseconds) -> Ties:
    """Return how queries come to share instants.

    Where less than 2 % of gaps are 0, they do not. Where all gaps are whole multiples of one length, to 2 % of it, the
    clock ticks. Else queries come in batches, unless gaps that are nearly 0 (below a thousandth of the mean) are common
    too: then gaps of 0 are the shortest of very variable ones.
    """
    gaps = np.diff(times_ns)
    positive = gaps[gaps > 0]
    if not positive.size or np.mean(gaps == 0) < _LEAST_SHARE:
        return Ties()
    tick_ns = _tick_ns(positive)
    if tick_ns is not None:
        return Ties(tick_ns=tick_ns, tick_is_exact=not (positive % tick_ns).any())
    if np.mean(positive < _NEARLY * positive.mean()) > _LEAST_SHARE or positive.size < _LEAST_BATCHED:
        return Ties()
    sizes = np.diff(np.flatnonzero(np.concatenate([[True], gaps > 0, [True]])))
    mean = float(sizes.mean())
    if (sizes[:-1] == sizes[0]).all() and sizes[-1] <= sizes[0]:
        return Ties(batch_mean=float(sizes[0]), batch_fixed=True)
    return Ties(batch_mean=mean, batch_dispersion=mean - 1)


def _tick_ns(positive: npt.NDArray[np.int64]) -> int | None:
    """Return the tick of which all gaps are multiples, to four digits; None if there is none of a microsecond."""
    tick = float(positive.min())
    for _ in range(3):
        tick = positive.sum() / np.rint(positive / tick).sum()
    off = np.abs(positive - np.rint(positive / tick) * tick)
    if tick < _LEAST_TICK_NS or (off > _TICK_TOLERANCE * tick).any():
        return None
    return int(float(f"{tick:.4g}"))
