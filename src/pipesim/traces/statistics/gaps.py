"""The gaps between arrivals: how they vary, and whether a short one follows a short one."""

import numpy as np
import pandas as pd

from pipesim.traces.arrivals import ArrivalTrace
from pipesim.units import NS_PER_S

_PER_DECADE = 10
_EDGES_NS = np.append(
    np.unique(np.rint(10 ** (np.arange(19 * _PER_DECADE - 1) / _PER_DECADE)).astype(np.int64)), np.iinfo(np.int64).max
)
Z95 = 1.959963984540054
"""The normal quantile of a two-sided 95 % interval."""


def gap_scv(trace: ArrivalTrace) -> float:
    """Return the squared coefficient of variation of the gaps; NaN with fewer than two gaps or none above 0."""
    gaps = np.diff(trace.times_ns).astype(np.float64)
    return float(gaps.var() / gaps.mean() ** 2) if gaps.size > 1 and gaps.any() else float("nan")


def simultaneous_share(trace: ArrivalTrace) -> float:
    """Return the share of gaps of length 0; NaN without gaps.

    Recorded times are often whole milliseconds or seconds: much of what is simultaneous is so in the record only.
    """
    times = trace.times_ns
    return np.count_nonzero(times[1:] == times[:-1]) / (times.size - 1) if times.size > 1 else float("nan")


def gap_histogram(trace: ArrivalTrace) -> pd.DataFrame:
    """Return how long the gaps are, in bins of a tenth of a decade, beside the exponential law of the same mean.

    Columns: ``from_s``, ``to_s`` (the bin, its end not included), ``count`` (gaps), ``share`` (of all gaps),
    ``exponential_share`` (what a Poisson process of that rate has; NaN if all gaps are 0). The first row goes from 0
    to the first edge and holds the gaps of length 0 alone: simultaneous arrivals. No rows without gaps.
    """
    gaps = np.diff(trace.times_ns)
    longest = int(gaps.max()) if gaps.size else 0
    shortest = int(gaps.min(where=gaps > 0, initial=np.iinfo(np.int64).max)) if longest else 1
    first, last = np.searchsorted(_EDGES_NS, [shortest, longest], side="right")
    edges = np.concatenate([[0], _EDGES_NS[first - 1 : last + 1 if longest else 1]])
    counts = np.bincount(np.searchsorted(edges, gaps, side="right") - 1, minlength=edges.size - 1)
    with np.errstate(invalid="ignore", divide="ignore"):
        above = np.exp(-edges / gaps.mean()) if longest else np.full(edges.size, np.nan)
    frame = pd.DataFrame(
        {
            "from_s": edges[:-1] / NS_PER_S,
            "to_s": edges[1:] / NS_PER_S,
            "count": counts,
            "share": counts / max(1, gaps.size),
            "exponential_share": above[:-1] - above[1:],
        }
    )
    return frame if gaps.size else frame.iloc[:0]


def gap_autocorrelation(trace: ArrivalTrace, lags: int = 20) -> pd.DataFrame:
    """Return how alike gaps are that are so many apart: 0 for a Poisson process, and for every renewal process.

    Columns: ``lag`` (1 to `lags`, and to a quarter of the gaps at most), ``autocorrelation`` (NaN if all gaps are
    equal), ``independent_low`` and ``independent_high``: 95 % of values lie between ±1.96/√n if the n gaps are
    independent. Source: Box, Jenkins & Reinsel, "Time Series Analysis", section 2.1.
    """
    gaps = np.diff(trace.times_ns).astype(np.float64)
    lags = min(lags, gaps.size // 4)
    deviations = gaps - gaps.mean() if gaps.size else gaps
    spread = float(np.dot(deviations, deviations)) or float("nan")
    found = [float(np.dot(deviations[:-lag], deviations[lag:])) / spread for lag in range(1, lags + 1)]
    return correlations(found, gaps.size)


def correlations(found: list[float], count: int) -> pd.DataFrame:
    """Return autocorrelations of `count` values at lags from 1, with the band in which independent values have them."""
    band = Z95 / count**0.5 if count else float("nan")
    lags = np.arange(1, len(found) + 1, dtype=np.int64)
    return pd.DataFrame(
        {
            "lag": lags,
            "autocorrelation": np.array(found, dtype=np.float64),
            "independent_low": np.full(lags.size, -band),
            "independent_high": np.full(lags.size, band),
        }
    )
