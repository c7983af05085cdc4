"""A histogram that loses less than a thousandth of any time, in memory that does not grow with their number.

Buckets are as wide as a 1,024th of the power of two below them, so a time and the largest time of its bucket differ by
less than one part in 1,024 (:data:`RESOLUTION`); below 1,024 ns every time has a bucket of its own. It is what HDR
histograms do (G. Tene, HdrHistogram, 2012), with the exponent and the first ten bits of a float64 as the bucket.
"""

from decimal import Decimal

import numpy as np
import numpy.typing as npt

from pipesim.engine.quantiles import rank

Integers = npt.NDArray[np.int64]

RESOLUTION = 2.0**-10
"""A quantile is reported too large by at most this share of it, and never too small."""
_DROPPED_BITS = 42
_ONE = int(np.float64(1).view(np.int64)) >> _DROPPED_BITS


class Histogram:
    """How many times there were in each bucket, and their sum, least and largest, which are exact."""

    def __init__(self) -> None:
        self._counts = np.zeros(0, np.int64)
        self._first = 0  # the bucket of the first count
        self.count = 0
        """How many there are."""
        self.sum_ns = 0
        """Their sum in nanoseconds."""
        self.max_ns = -1
        """The largest of them, -1 if there are none."""

    def add(self, times_ns: Integers) -> None:
        """Count times, int64, not negative."""
        if not times_ns.size:
            return
        buckets = _buckets(times_ns)
        first, last = int(buckets.min()), int(buckets.max())
        self._cover(first, last)
        self._counts[first - self._first : last - self._first + 1] += np.bincount(buckets - first)
        self.count += times_ns.size
        self.sum_ns += int(times_ns.sum())
        self.max_ns = max(self.max_ns, int(times_ns.max()))

    def merge(self, other: "Histogram") -> None:
        """Count what another histogram counted too."""
        if not other.count:
            return
        self._cover(other._first, other._first + other._counts.size - 1)
        place = other._first - self._first
        self._counts[place : place + other._counts.size] += other._counts
        self.count, self.sum_ns = self.count + other.count, self.sum_ns + other.sum_ns
        self.max_ns = max(self.max_ns, other.max_ns)

    def quantile_ns(self, quantile: Decimal) -> int:
        """Return the q-quantile by nearest rank: the largest time of its bucket, or the largest of all."""
        return self.at_rank_ns(rank(quantile, self.count))

    def at_rank_ns(self, place: int) -> int:
        """Return the time of a rank (1 is the least), as :meth:`quantile_ns`."""
        bucket = int(np.searchsorted(np.cumsum(self._counts), max(1, place)))
        return min(_largest(self._first + bucket), self.max_ns)

    def count_above(self, time_ns: int) -> int:
        """Return how many lie in the buckets above that of a time."""
        bucket = int(_buckets(np.array([time_ns]))[0]) - self._first
        return int(self._counts[max(0, bucket + 1) :].sum())

    def _cover(self, first: int, last: int) -> None:
        """Make room for buckets."""
        if not self._counts.size:
            self._first = first
        low, high = min(first, self._first), max(last + 1, self._first + self._counts.size)
        if high - low > self._counts.size:
            counts = np.zeros(high - low, np.int64)
            counts[self._first - low : self._first - low + self._counts.size] = self._counts
            self._first, self._counts = low, counts


def _buckets(times_ns: Integers) -> Integers:
    """Return the buckets of times; 1 ns is added, as 0 has no exponent."""
    return ((times_ns + 1).astype(np.float64).view(np.int64) >> _DROPPED_BITS) - _ONE


def _largest(bucket: int) -> int:
    """Return the largest time of a bucket."""
    next_one = np.int64((bucket + 1 + _ONE) << _DROPPED_BITS).view(np.float64)
    return int(np.ceil(next_one)) - 2
