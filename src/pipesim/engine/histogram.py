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
DROPPED_BITS = 42
"""The bits of a float64 that do not matter."""
FIRST_BUCKET = int(np.float64(1).view(np.int64)) >> DROPPED_BITS
"""What is left of those of 1, which is counted in bucket 0."""
BUCKETS = (63 << 10) + 1
"""How many there are."""


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

    def add_counted(self, counts: Integers, first: int, last: int, sum_ns: int, max_ns: int) -> None:
        """Add times that were counted elsewhere.

        Parameters
        ----------
        counts
            Shape ``(BUCKETS,)``, int64: how many there were in each bucket (see :func:`bucket`).
        first, last
            The buckets from which and up to which there were any.
        sum_ns, max_ns
            The sum of these times, and the largest.
        """
        self._add(first, counts[first : last + 1], sum_ns, max_ns)

    def merge(self, other: "Histogram") -> None:
        """Add what another histogram holds."""
        self._add(other._first, other._counts, other.sum_ns, other.max_ns)

    def _add(self, first: int, counts: Integers, sum_ns: int, max_ns: int) -> None:
        if counts.size:
            self._cover(first, first + counts.size - 1)
            self._counts[first - self._first : first - self._first + counts.size] += counts
            self.count += int(counts.sum())
            self.sum_ns += sum_ns
            self.max_ns = max(self.max_ns, max_ns)

    def quantile_ns(self, quantile: Decimal) -> int:
        """Return the q-quantile by nearest rank: the largest time of its bucket, or the largest of all."""
        return self.at_rank_ns(rank(quantile, self.count))

    def at_rank_ns(self, place: int) -> int:
        """Return the time of a rank (1 is the least), as :meth:`quantile_ns`."""
        number = self._first + int(np.searchsorted(np.cumsum(self._counts), max(1, place)))
        return min(_largest(number), self.max_ns)

    def count_above(self, time_ns: int) -> int:
        """Return how many lie in the buckets above that of a time."""
        return int(self._counts[max(0, bucket(time_ns) - self._first + 1) :].sum())

    def _cover(self, first: int, last: int) -> None:
        """Make room for buckets."""
        if not self._counts.size:
            self._first = first
        low, high = min(first, self._first), max(last + 1, self._first + self._counts.size)
        if high - low > self._counts.size:
            counts = np.zeros(high - low, np.int64)
            counts[self._first - low : self._first - low + self._counts.size] = self._counts
            self._first, self._counts = low, counts


def bucket(time_ns: int) -> int:
    """Return the bucket of a time: its exponent and its first bits, of one nanosecond more, as 0 has no exponent."""
    return (int(np.float64(time_ns + 1).view(np.int64)) >> DROPPED_BITS) - FIRST_BUCKET


def _largest(number: int) -> int:
    """Return the largest time of a bucket."""
    next_one = np.int64((number + 1 + FIRST_BUCKET) << DROPPED_BITS).view(np.float64)
    return int(np.ceil(next_one)) - 2
