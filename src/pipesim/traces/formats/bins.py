"""Rows of a file as consecutive bins: what is out of place, what is absent, and counters as counts."""

from collections.abc import Callable
from typing import Literal

import numpy as np
import numpy.typing as npt

from pipesim.errors import InvalidInputError, invalid
from pipesim.traces.arrivals import Nanoseconds
from pipesim.traces.counts import MAX_BINS, Floats
from pipesim.units import format_duration

Missing = Literal["refuse", "zero", "gap"]
Numbers = npt.NDArray[np.int64]


def bin_numbers(
    times_ns: Nanoseconds, bin_ns: int, where: Callable[[int], str], shown: Callable[[int], str]
) -> Numbers:
    """Return the number of the bin that each row is of, from 0 for the first row; there must be a row.

    Parameters
    ----------
    where, shown
        The place of a row, and how a time is written, for complaints.

    Raises
    ------
    InvalidInputError
        With the place of the first row that is not later than the row before it or does not begin where a bin does, or
        if there would be too many bins.
    """
    numbers, rest = np.divmod(times_ns - times_ns[0], bin_ns)
    wrong = np.flatnonzero((np.diff(times_ns) <= 0) | (rest[1:] != 0))
    if wrong.size:
        row = int(wrong[0]) + 1
        time = shown(int(times_ns[row]))
        if times_ns[row] < times_ns[row - 1]:
            raise invalid(where(row), time, "is earlier than the row before it", "sort the rows by time")
        if times_ns[row] == times_ns[row - 1]:
            raise invalid(where(row), time, "is the time of the row before it too", "keep one of them")
        rule = f"is not a whole number of bins of {format_duration(bin_ns)} after the first"
        raise invalid(where(row), time, rule, "correct the time, or say another bin")
    if int(numbers[-1]) >= MAX_BINS:
        rule = f"is more than {MAX_BINS:,} bins of {format_duration(bin_ns)} after the first"
        raise invalid(where(len(times_ns) - 1), shown(int(times_ns[-1])), rule, "say a wider bin, or cut it")
    return np.asarray(numbers)


def laid_out(numbers: Numbers, values: Floats) -> Floats:
    """Return a value for each bin, NaN where there is no row."""
    laid = np.full(int(numbers[-1]) + 1, np.nan)
    laid[numbers] = values
    return laid


def increases(counter: Floats, missing: Missing) -> Floats:
    """Return how much a counter grows from each sample to the next.

    A counter that drops was reset and has counted from 0 again, as Prometheus takes it. If an absent sample means that
    nothing came (`missing` is ``zero``), the counter stands still until the next sample; else the steps before and
    after it are not known.

    >>> increases(np.array([5.0, 8.0, 2.0, np.nan, 6.0]), "zero").tolist()
    [3.0, 2.0, 0.0, 4.0]
    """
    if missing == "zero":
        counter = counter[np.maximum.accumulate(np.where(np.isnan(counter), 0, np.arange(counter.size)))]
    steps = np.diff(counter)
    return np.where(steps < 0, counter[1:], steps)


def completed(
    counts: Floats, missing: Missing, absent: Callable[[int], InvalidInputError]
) -> npt.NDArray[np.int64] | Floats:
    """Return counts with the absent ones, NaN, taken as `missing` says: whole numbers as int64, if all are.

    Parameters
    ----------
    absent
        Makes the complaint that a bin is absent, given its number.

    Raises
    ------
    InvalidInputError
        If a bin is absent and `missing` is ``refuse``.
    """
    nowhere = np.isnan(counts)
    if missing == "refuse" and nowhere.any():
        raise absent(int(np.flatnonzero(nowhere)[0]))
    if missing == "zero":
        counts = np.where(nowhere, 0.0, counts)
    return counts.astype(np.int64) if bool((counts == np.rint(counts)).all()) else counts


def refused(where: str, time: str, absent: int, bins: int) -> InvalidInputError:
    """Return the complaint about the first absent bin."""
    rule = f"is absent, the first of {absent:,} such bins of {bins:,}"
    remedy = "say missing: zero (no query came) or missing: gap (not known; the rate is drawn between its neighbours)"
    return invalid(where, time, rule, remedy)
