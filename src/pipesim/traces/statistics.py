"""The numbers that describe a trace: rates, peaks, variability and burstiness."""

import numpy as np
import pandas as pd

from pipesim.traces.arrivals import ArrivalTrace
from pipesim.units import NS_PER_S, format_duration

WINDOWS_NS = tuple(round(seconds * NS_PER_S) for seconds in (0.1, 1, 10, 60))


def gap_scv(trace: ArrivalTrace) -> float:
    """Return the squared coefficient of variation of the gaps; NaN with fewer than two gaps or none above 0."""
    gaps = np.diff(trace.times_ns).astype(np.float64)
    return float(gaps.var() / gaps.mean() ** 2) if gaps.size > 1 and gaps.any() else float("nan")


def _window_counts(trace: ArrivalTrace, window_ns: int) -> tuple[list[int], int]:
    """Return the arrivals in the windows that hold any, and how many windows there are.

    Windows are consecutive and start at the first query; the last, which holds the last query, may be cut short.
    Windows without arrivals are counted and not stored: a trace may span years.
    """
    if not len(trace):
        return [], 0
    windows, counts = np.unique((trace.times_ns - trace.times_ns[0]) // window_ns, return_counts=True)
    return counts.tolist(), int(windows[-1]) + 1


def index_of_dispersion(trace: ArrivalTrace, window_ns: int) -> float:
    """Return the variance of the counts in whole windows over their mean: 1 for Poisson, above 1 for bursts or drift.

    Source: Gusella, "Characterizing the variability of arrival processes with indexes of dispersion", JSAC 1991.
    """
    counts, windows = _window_counts(trace, window_ns)
    whole, total = counts[:-1], sum(counts[:-1])
    if windows < 3 or not total:
        return float("nan")
    return sum(count**2 for count in whole) / total - total / (windows - 1)


def peak_count(trace: ArrivalTrace, window_ns: int) -> int:
    """Return the most arrivals in any window [t, t + w): the trace's envelope at w.

    >>> peak_count(ArrivalTrace(np.array([0, 4, 6, 9]), 9), 5)
    2
    >>> peak_count(ArrivalTrace(np.array([0, 4, 6, 9]), 9), 6)
    3
    """
    times = trace.times_ns
    if not times.size:
        return 0
    last = np.searchsorted(times, times + window_ns, side="left")
    return int((last - np.arange(times.size)).max())


def describe(trace: ArrivalTrace) -> pd.DataFrame:
    """Return one row per window length, as `pipesim trace info` prints them.

    Columns: ``window`` (text), ``window_s``, ``mean_qps``, ``peak_qps`` (fixed windows; NaN if longer than the trace),
    ``peak_count`` (any window of that length), ``index_of_dispersion``, ``empty_share`` (of whole windows).
    """
    rows = []
    for window_ns in WINDOWS_NS:
        counts, windows = _window_counts(trace, window_ns)
        peak = max(counts, default=0) * NS_PER_S / window_ns
        rows.append(
            {
                "window": format_duration(window_ns),
                "window_s": window_ns / NS_PER_S,
                "mean_qps": trace.mean_rate_qps,
                "peak_qps": peak if window_ns <= trace.duration_ns else float("nan"),
                "peak_count": peak_count(trace, window_ns),
                "index_of_dispersion": index_of_dispersion(trace, window_ns),
                "empty_share": 1 - (len(counts) - 1) / (windows - 1) if windows > 1 else float("nan"),
            }
        )
    return pd.DataFrame(rows)
