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
    """How many times there were in each bucket, and their sum and largest, which are exact."""

    def __init__(self) -> None:
        self._counts = np.zeros(0, np.int64)
        self._first = 0  # the bucket of the first count
        self._packed: npt.NDArray[np.int32] | None = None  # the places of counts that are not 0, if only those are kept
        self.count = 0
        """How many there are."""
        self.sum_ns = 0
        """Their sum in nanoseconds."""
        self.max_ns = -1
        """The largest of them, -1 if there are none."""

    def add_counted(self, counts: Integers, first: int, last: int, high: int, low: int, max_ns: int) -> None:
        """Add times that were counted elsewhere.

        Parameters
        ----------
        counts
            Int64: how many there were in each bucket (see :func:`bucket`), from bucket 0 up to the last one at least.
        first, last
            The buckets from which and up to which there were any.
        high, low
            The sums of all that is above the low 32 bits of each time, and of these bits: the sum may exceed 64 bits.
        max_ns
            The largest of these times.
        """
        self._add(first, counts[first : last + 1], (int(high) << 32) + int(low), int(max_ns))

    def merge(self, other: "Histogram") -> None:
        """Add what another histogram holds."""
        self._add(other._first, other._unpacked(), other.sum_ns, other.max_ns)

    def pack(self) -> None:
        """Keep no empty buckets: for a histogram that is only read from now on."""
        if self._packed is None:
            self._packed = np.flatnonzero(self._counts).astype(np.int32)
            self._counts = self._counts[self._packed]

    def quantile_ns(self, quantile: Decimal) -> int:
        """Return the q-quantile by nearest rank: the largest time of its bucket, or the largest of all."""
        return self.at_rank_ns(rank(quantile, self.count))

    def at_rank_ns(self, place: int) -> int:
        """Return the time of a rank (1 is the least), as :meth:`quantile_ns`."""
        number = self._first + int(np.searchsorted(np.cumsum(self._unpacked()), max(1, place)))
        return min(_largest(number), self.max_ns)

    def count_above(self, time_ns: int) -> int:
        """Return how many lie in the buckets above that of a time."""
        return int(self._unpacked()[max(0, bucket(time_ns) - self._first + 1) :].sum())

    def _unpacked(self) -> Integers:
        """Return the counts, one for each bucket from the first."""
        if self._packed is None or not self._packed.size:
            return self._counts
        counts = np.zeros(int(self._packed[-1]) + 1, np.int64)
        counts[self._packed] = self._counts
        return counts

    def _add(self, first: int, counts: Integers, sum_ns: int, max_ns: int) -> None:
        if not counts.size:
            return
        self._counts, self._packed = self._unpacked(), None
        if not self._counts.size:
            self._first = first
        low, high = min(first, self._first), max(first + counts.size, self._first + self._counts.size)
        if high - low > self._counts.size:  # make room
            wider = np.zeros(high - low, np.int64)
            wider[self._first - low : self._first - low + self._counts.size] = self._counts
            self._first, self._counts = low, wider
        self._counts[first - low : first - low + counts.size] += counts
        self.count += int(counts.sum())
        self.sum_ns += sum_ns
        self.max_ns = max(self.max_ns, max_ns)


def bucket(time_ns: int) -> int:
    """Return the bucket of a time: its exponent and its first bits, of one nanosecond more, as 0 has no exponent."""
    return (int(np.float64(time_ns + 1).view(np.int64)) >> DROPPED_BITS) - FIRST_BUCKET


def _largest(number: int) -> int:
    """Return the largest time of a bucket."""
    next_one = np.int64((number + 1 + FIRST_BUCKET) << DROPPED_BITS).view(np.float64)
    return int(np.ceil(next_one)) - 2
