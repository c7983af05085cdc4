"""Counts of arrivals per bin, and what their variation says: dispersion and autocorrelation, in exact arithmetic.

Bins without arrivals are counted and not stored, as a trace may span years and hold few queries. Sums are integers,
of any size; the one rounding is that of the last division.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pipesim.errors import invalid
from pipesim.traces.arrivals import ArrivalTrace

Counts = npt.NDArray[np.int64]

_LARGEST = 2**62
_DENSE = 4
"""Bins are laid out in full where there are at most so many for each that holds arrivals."""


@dataclass(frozen=True, slots=True, eq=False)
class BinCounts:
    """Arrivals in consecutive bins of one width.

    Parameters
    ----------
    bins
        How many bins there are, with and without arrivals.
    index
        The bins that hold arrivals: shape ``(occupied,)``, int64, ascending, from 0.
    count
        How many they hold, each above 0: int64, or Python integers where sums of squares would not fit into 63 bits.
    """

    bins: int
    index: Counts
    count: npt.NDArray[Any]

    @property
    def total(self) -> int:
        """Return the arrivals in all bins."""
        return int(self.count.sum())

    @property
    def peak(self) -> int:
        """Return the most arrivals in one bin; 0 without bins."""
        return int(self.count.max()) if self.count.size else 0

    @property
    def empty_share(self) -> float:
        """Return the share of bins without arrivals; NaN without bins."""
        return 1 - self.index.size / self.bins if self.bins else float("nan")

    def whole(self) -> "BinCounts":
        """Return the bins but the last, which holds the last query and may be cut short."""
        return BinCounts(self.bins - 1, self.index[:-1], self.count[:-1]) if self.bins else self

    def merged(self, bins: int) -> "BinCounts":
        """Return the counts in bins that are so many times as wide."""
        if not self.bins:
            return self
        wide = self.index // bins
        first = _run_starts(wide)
        return BinCounts(-(-self.bins // bins), wide[first], _exact(np.add.reduceat(self.count, first)))


def bin_counts(trace: ArrivalTrace, window_ns: int) -> BinCounts:
    """Return the arrivals in consecutive windows from the first query to the one that holds the last.

    Raises
    ------
    InvalidInputError
        If the window is not at least 1 ns.
    """
    check_window(window_ns)
    times = trace.times_ns
    if not times.size:
        return BinCounts(0, times, times)
    index = (times - times[0]) // window_ns
    first = _run_starts(index)
    return BinCounts(int(index[-1]) + 1, index[first], _exact(np.diff(first, append=times.size)))


def check_window(window_ns: int) -> None:
    """Raise `InvalidInputError` if a window is not at least 1 ns."""
    if window_ns < 1:
        raise invalid("window_ns", window_ns, "is not allowed", "at least 1")


def dispersion(counts: BinCounts) -> float:
    """Return the variance of the counts over their mean; NaN with fewer than two bins or without arrivals."""
    total = counts.total
    if counts.bins < 2 or not total:
        return float("nan")
    return (counts.bins * int(np.dot(counts.count, counts.count)) - total**2) / (counts.bins * total)


def local_dispersion(counts: BinCounts) -> float:
    """Return half the mean square of the steps from count to count, over the mean count.

    NaN with fewer than two bins or without arrivals.
    """
    total = counts.total
    if counts.bins < 2 or not total:
        return float("nan")
    count, adjacent = counts.count, np.diff(counts.index) == 1
    steps = np.diff(count)[adjacent]
    # a count beside an empty bin is a step of its own size, up from nothing and down to nothing
    up = count[1:][~adjacent] if counts.index[0] == 0 else count[np.append(True, ~adjacent)]
    down = count[:-1][~adjacent] if counts.index[-1] == counts.bins - 1 else count[np.append(~adjacent, True)]
    squares = sum(int(np.dot(values, values)) for values in (steps, up, down))
    return squares * counts.bins / (2 * (counts.bins - 1) * total)


def autocorrelations(counts: BinCounts, lags: int) -> list[float]:
    """Return the autocorrelation of the counts at the lags 1 to `lags`, below the number of bins; NaN if all are equal.

    The covariance at a lag is divided by the number of all bins, as usual, so that it fades as pairs become few.
    Source: Box, Jenkins & Reinsel, "Time Series Analysis", section 2.1.
    """
    bins, total = counts.bins, counts.total
    spread = bins * int(np.dot(counts.count, counts.count)) - total**2
    if not spread:
        return [float("nan")] * lags
    sums = np.concatenate([[0], np.cumsum(counts.count)])
    found = []
    for lag, product in zip(range(1, lags + 1), _lagged_products(counts, lags), strict=True):
        earlier = int(sums[np.searchsorted(counts.index, bins - lag)])
        later = total - int(sums[np.searchsorted(counts.index, lag)])
        covariance = bins**2 * product - bins * total * (earlier + later) + (bins - lag) * total**2
        found.append(covariance / (bins * spread))
    return found


def dispersion_of_counts(counts: npt.ArrayLike) -> float:
    """Return the index of dispersion of counts per bin: their variance over their mean, 1 for Poisson.

    Parameters
    ----------
    counts
        Shape ``(bins,)``, integers from 0: one count for every bin, of which none is cut short.

    Raises
    ------
    InvalidInputError
        If they are not whole numbers from 0.

    >>> dispersion_of_counts([0, 4, 0, 4])
    2.0
    """
    return dispersion(_of_counts(counts))


def local_dispersion_of_counts(counts: npt.ArrayLike) -> float:
    """Return half the mean square of the steps from count to count, over the mean count: 1 for Poisson.

    A slow drift of the rate leaves it alone; bursts of about a bin's length raise it as they do the index of
    dispersion. Parameters and errors are those of :func:`dispersion_of_counts`.
    Source: von Neumann, Kent, Bellinson & Hart, "The mean square successive difference", Annals of Mathematical
    Statistics 1941.

    >>> local_dispersion_of_counts([1, 2, 3, 4, 5]), dispersion_of_counts([1, 2, 3, 4, 5])
    (0.16666666666666666, 0.6666666666666666)
    """
    return local_dispersion(_of_counts(counts))


def autocorrelation_of_counts(counts: npt.ArrayLike, lags: int) -> list[float]:
    """Return the autocorrelation of counts per bin at the lags from 1; NaN if all counts are equal.

    Parameters
    ----------
    counts
        As :func:`dispersion_of_counts` takes them.
    lags
        The largest lag, below the number of bins.

    Raises
    ------
    InvalidInputError
        If the counts are not whole numbers from 0, or the lag is not below their number.

    >>> autocorrelation_of_counts([0, 4, 0, 4], 3)
    [-0.75, 0.5, -0.25]
    """
    found = _of_counts(counts)
    if not 1 <= lags < found.bins:
        raise invalid("lags", lags, "is not allowed", f"at least 1 and below the {found.bins} bins")
    return autocorrelations(found, lags)


def _of_counts(counts: npt.ArrayLike) -> BinCounts:
    values = np.asarray(counts)
    if values.ndim != 1 or (values.size and (values.dtype.kind not in "iu" or values.min() < 0)):
        raise invalid("counts", values.tolist()[:3], "and so on are not counts", "give one whole number from 0 per bin")
    index = np.flatnonzero(values)
    return BinCounts(values.size, index, _exact(values[index].astype(np.int64)))


def _run_starts(values: Counts) -> Counts:
    """Return where each run of equal values starts; the values ascend, and there is one at least."""
    return np.concatenate([[0], np.flatnonzero(values[1:] != values[:-1]) + 1])


def _exact(count: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return counts in a type in which sums of products of them are exact."""
    if count.size and int(count.max()) * int(count.sum()) > _LARGEST:
        return count.astype(object)
    return count


def _lagged_products(counts: BinCounts, lags: int) -> list[int]:
    """Return, for the lags from 1, the sum of the products of counts that are so many bins apart."""
    index, count = counts.index, counts.count
    if counts.bins <= _DENSE * index.size:
        dense = np.zeros(counts.bins, dtype=count.dtype)
        dense[index] = count
        return [int(np.dot(dense[:-lag], dense[lag:])) for lag in range(1, lags + 1)]
    products = np.zeros(lags + 1, dtype=count.dtype)
    near = np.arange(index.size)
    # bins that are `lags` apart have fewer than `lags` occupied ones between them
    for offset in range(1, lags + 1):
        near = near[near + offset < index.size]
        apart = index[near + offset] - index[near]
        near = near[apart <= lags]
        if not near.size:
            break
        np.add.at(products, apart[apart <= lags], count[near] * count[near + offset])
    return [int(product) for product in products[1:]]
