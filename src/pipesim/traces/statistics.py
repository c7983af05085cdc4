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


def counts(trace: ArrivalTrace, window_ns: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Return the arrivals in consecutive windows that start at the first query; the last may be cut short."""
    if not len(trace):
        return np.zeros(0, dtype=np.int64)
    return np.bincount((trace.times_ns - trace.times_ns[0]) // window_ns)


def index_of_dispersion(trace: ArrivalTrace, window_ns: int) -> float:
    """Return the variance of the counts in whole windows over their mean: 1 for Poisson, above 1 for bursts or drift.

    Source: Gusella, "Characterizing the variability of arrival processes with indexes of dispersion", JSAC 1991.
    """
    whole = counts(trace, window_ns)[:-1]
    return float(whole.var() / whole.mean()) if whole.size > 1 and whole.any() else float("nan")


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

    Columns: ``window`` (text), ``window_s``, ``mean_qps``, ``peak_qps`` (fixed windows), ``peak_count`` (any window of
    that length), ``index_of_dispersion``, ``empty_share`` (of whole windows).
    """
    rows = []
    for window_ns in WINDOWS_NS:
        in_windows = counts(trace, window_ns)
        rows.append(
            {
                "window": format_duration(window_ns),
                "window_s": window_ns / NS_PER_S,
                "mean_qps": trace.mean_rate_qps,
                "peak_qps": float(in_windows.max() * NS_PER_S / window_ns) if in_windows.size else 0.0,
                "peak_count": peak_count(trace, window_ns),
                "index_of_dispersion": index_of_dispersion(trace, window_ns),
                "empty_share": float(np.mean(in_windows[:-1] == 0)) if in_windows.size > 1 else float("nan"),
            }
        )
    return pd.DataFrame(rows)
