"""Latency quantiles and miss rates, with confidence intervals that respect autocorrelation.

Latencies of neighbouring queries are alike, so the textbook interval for independent samples is far too narrow. The
intervals here are Woodruff's: the uncertainty of *the share of queries above the estimate* is found by batch means
and turned back into order statistics. Batch means rather than a block bootstrap, because they need no randomness of
their own, cost one pass, and the only choice is the number of batches: 20 contiguous ones, the middle of the 10 to 30
that Schmeiser found to be enough and not too many. The standard error is never taken smaller than for independent
queries. If the run is shorter than some 20 times the longest burst or backlog, the interval is still too narrow.

Sources: Woodruff, "Confidence intervals for medians and other position measures", JASA 1952; Schmeiser, "Batch size
effects in the analysis of simulation output", Operations Research 1982.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

import numpy as np
import numpy.typing as npt
from scipy.special import expit, logit
from scipy.stats import t as student_t

from pipesim.errors import invalid

BATCHES = 20
CONFIDENCE = 0.95
_T = float(student_t.ppf((1 + CONFIDENCE) / 2, BATCHES - 1))


@dataclass(frozen=True, slots=True)
class Interval:
    """A confidence interval; an end is infinite or NaN where the data cannot give one."""

    low: float
    high: float


NO_INTERVAL = Interval(float("nan"), float("nan"))


def nearest_rank(sorted_ns: npt.NDArray[np.int64], quantile: Decimal) -> int:
    """Return the q-quantile of sorted latencies: the ⌈q · n⌉-th smallest, an observed one.

    Raises
    ------
    InvalidInputError
        If there are no latencies.

    >>> nearest_rank(np.arange(1, 101), Decimal("0.99")), nearest_rank(np.arange(1, 102), Decimal("0.99"))
    (99, 100)
    """
    if not sorted_ns.size:
        raise invalid("quantile", str(quantile), "of no queries does not exist", "use a trace with queries")
    return int(sorted_ns[max(1, rank(quantile, sorted_ns.size)) - 1])


def rank(quantile: Decimal | Fraction, count: int) -> int:
    """Return the nearest rank of a quantile, ⌈q · n⌉; 0 for q = 0."""
    return -int(-Fraction(quantile) * count // 1)


def quantile_interval_ns(latencies_ns: npt.NDArray[np.int64], quantile: Decimal) -> Interval:
    """Return the 95 % confidence interval of a latency quantile.

    Parameters
    ----------
    latencies_ns
        Shape ``(queries,)``, int64, in order of arrival.
    quantile
        q, above 0 and up to 1.

    Returns
    -------
    Interval
        In nanoseconds; the high end is infinite where the data cannot bound the quantile from above (always for q = 1),
        and both are NaN with fewer than 20 queries.
    """
    count = latencies_ns.size
    if count < BATCHES:
        return NO_INTERVAL
    ordered = np.sort(latencies_ns)
    above = latencies_ns > nearest_rank(ordered, quantile)
    low, high = rank_interval(quantile, count, standard_error(_means(above), float(1 - quantile), count))
    return Interval(float(ordered[low - 1]), float("inf") if high is None else float(ordered[high - 1]))


def rank_interval(quantile: Decimal, count: int, error: float) -> tuple[int, int | None]:
    """Return the ranks (1 is the least) between which a quantile lies, given the standard error of the share above it.

    The upper one is None where `count` values cannot bound it.
    """
    half_width = Fraction(_T * error)
    low, high = rank(Fraction(quantile) - half_width, count), rank(Fraction(quantile) + half_width, count)
    return max(low, 1), high if high <= count and quantile < 1 else None


def share_interval(hits: npt.NDArray[np.bool_]) -> Interval:
    """Return the 95 % confidence interval of a share, such as the miss rate, from hits in order of arrival.

    It is symmetric on the logit scale, which covers small shares better. Where nothing or everything is a hit, the
    other end is 3 / n away, the rule of three. NaN with fewer than 20 queries.
    """
    if hits.size < BATCHES:
        return NO_INTERVAL
    return share_interval_of_batches(_means(hits), float(hits.mean()), hits.size)


def share_interval_of_batches(means: Sequence[float], share: float, count: int) -> Interval:
    """Return :func:`share_interval` for a share of `count` queries, from the shares of 20 batches of them."""
    if share in (0, 1):
        return Interval(max(0.0, share - 3 / count), min(1.0, share + 3 / count))
    half_width = _T * standard_error(means, share, count) / (share * (1 - share))
    return Interval(float(expit(logit(share) - half_width)), float(expit(logit(share) + half_width)))


def standard_error(means: Sequence[float], share: float, count: int) -> float:
    """Return the standard error of a share, by the means of batches; at least as for independent draws."""
    return max(float(np.std(means, ddof=1)) / math.sqrt(BATCHES), math.sqrt(share * (1 - share) / count))


def _means(hits: npt.NDArray[np.bool_]) -> list[float]:
    return [float(batch.mean()) for batch in np.array_split(hits, BATCHES)]
