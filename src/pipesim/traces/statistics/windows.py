"""Arrivals in windows of many lengths: peaks, bursts against drift, and memory."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import gammaincinv

from pipesim.traces.arrivals import ArrivalTrace
from pipesim.traces.statistics.bins import (
    autocorrelations,
    bin_counts,
    check_window,
    dispersion,
    local_dispersion,
)
from pipesim.traces.statistics.gaps import correlations, gap_histogram
from pipesim.traces.statistics.rates import rate_curve
from pipesim.units import NS_PER_S, format_duration

_TENTH_NS = NS_PER_S // 10
_TENTHS = (1, 10, 100, 600)
_CURVE_TENTHS = tuple(digit * 10**power for power in range(4) for digit in (1, 2, 5))
_SHORTEST_NS, _LONGEST_NS = 10_000_000, 60 * NS_PER_S


def index_of_dispersion(trace: ArrivalTrace, window_ns: int) -> float:
    """Return the variance of the counts in whole windows over their mean: 1 for Poisson, above 1 for bursts or drift.

    Windows start at the first query; the last, which holds the last query, is no whole one. NaN with fewer than two.
    Source: Gusella, "Characterizing the variability of arrival processes with indexes of dispersion", JSAC 1991.
    """
    return dispersion(bin_counts(trace, window_ns).whole())


def local_index_of_dispersion(trace: ArrivalTrace, window_ns: int) -> float:
    """Return half the mean square of the steps between counts of neighbouring windows, over the mean count.

    It is 1 for Poisson, and what a slowly changing rate adds to the index of dispersion it leaves out: a large index
    with a small local one tells of drift, two large ones tell of bursts. Windows are those of
    :func:`index_of_dispersion`; the source is that of :func:`local_dispersion_of_counts`.
    """
    return local_dispersion(bin_counts(trace, window_ns).whole())


def empty_share(trace: ArrivalTrace, window_ns: int = NS_PER_S) -> float:
    """Return the share of whole windows without arrivals; NaN if there is none."""
    return bin_counts(trace, window_ns).whole().empty_share


def peak_count(trace: ArrivalTrace, window_ns: int) -> int:
    """Return the most arrivals in any window [t, t + w): the trace's envelope at w.

    >>> peak_count(ArrivalTrace(np.array([0, 4, 6, 9]), 9), 5)
    2
    >>> peak_count(ArrivalTrace(np.array([0, 4, 6, 9]), 9), 6)
    3
    """
    return _peak(trace.times_ns, window_ns, bin_counts(trace, window_ns).peak)


def doubling_windows(first_ns: int, last_ns: int = _LONGEST_NS) -> tuple[int, ...]:
    """Return windows that double from the first, and the last one, as InferLine's tuner watches them.

    Parameters
    ----------
    first_ns
        The service time of the pipeline, at the tuner.
    last_ns
        A minute, at the tuner.

    Source: Crankshaw et al., "InferLine", arXiv 1812.01776, section 5.

    >>> doubling_windows(100, 500)
    (100, 200, 400, 500)
    """
    check_window(first_ns)
    windows = []
    while first_ns < last_ns:
        windows.append(first_ns)
        first_ns *= 2
    return (*windows, last_ns)


def envelope(trace: ArrivalTrace, windows_ns: Sequence[int] | None = None) -> pd.DataFrame:
    """Return the most arrivals in any window of each length.

    Columns: ``window_s``, ``peak_count`` (in any [t, t + w)), ``peak_qps`` (that count over w). The lengths, if not
    given, double from 10 ms to a minute, as far as the trace is as long.

    Raises
    ------
    InvalidInputError
        If a window is not at least 1 ns.
    """
    if windows_ns is None:
        windows_ns = [window for window in doubling_windows(_SHORTEST_NS) if window <= trace.duration_ns]
    peaks = np.array([peak_count(trace, window) for window in windows_ns], dtype=np.int64)
    windows = np.array(windows_ns, dtype=np.int64)
    return pd.DataFrame({"window_s": windows / NS_PER_S, "peak_count": peaks, "peak_qps": peaks * NS_PER_S / windows})


def describe(trace: ArrivalTrace) -> pd.DataFrame:
    """Return one row per window length, as `pipesim trace info` prints them.

    Columns: ``window`` (text), ``window_s``, ``mean_qps``, ``peak_qps`` (fixed windows; NaN if longer than the trace),
    ``peak_count`` (any window of that length), ``index_of_dispersion``, ``local_index_of_dispersion``, ``poisson_low``
    and ``poisson_high`` (95 % of indexes of dispersion of a Poisson process of this length), ``empty_share`` (of whole
    windows).
    """
    rows = []
    tenths = bin_counts(trace, _TENTH_NS)
    for length in _TENTHS:
        window_ns = length * _TENTH_NS
        counts = tenths.merged(length)
        whole = counts.whole()
        low, high = _dispersion_band(whole.bins)
        rows.append(
            {
                "window": format_duration(window_ns),
                "window_s": window_ns / NS_PER_S,
                "mean_qps": trace.mean_rate_qps,
                "peak_qps": counts.peak * NS_PER_S / window_ns if window_ns <= trace.duration_ns else float("nan"),
                "peak_count": _peak(trace.times_ns, window_ns, counts.peak),
                "index_of_dispersion": dispersion(whole),
                "local_index_of_dispersion": local_dispersion(whole),
                "poisson_low": low,
                "poisson_high": high,
                "empty_share": whole.empty_share,
            }
        )
    return pd.DataFrame(rows)


def dispersion_curve(trace: ArrivalTrace) -> pd.DataFrame:
    """Return how the index of dispersion grows with the window: 0.1, 0.2, 0.5 … 500 s, to a third of the trace.

    A curve that stays at 1 is that of a Poisson process. One that rises and levels off is that of bursts, and the local
    index rises with it; one that goes on rising while the local index stays low is that of a changing rate.

    Columns: ``window_s``, ``index_of_dispersion``, ``local_index_of_dispersion``, ``poisson`` (1, what both are for a
    Poisson process), and the bands in which 95 % of a Poisson process's values lie for a trace of this length:
    ``poisson_low`` and ``poisson_high``, and ``local_poisson_low`` and ``local_poisson_high`` of the local index.

    The bands are approximations for n whole windows. n times the index is chi-square with n − 1 degrees of freedom
    (Fisher, "Statistical Methods for Research Workers", section 19; Cox & Lewis, "The Statistical Analysis of Series of
    Events", 1966). The local one is taken as chi-square over its degrees of freedom, ν = 2(n − 1)²/(3n − 4), which
    gives the variance that von Neumann et al. (1941) found for normal values.
    """
    columns: dict[str, list[float]] = {name: [] for name in _CURVE_COLUMNS}
    tenths = bin_counts(trace, _TENTH_NS)
    span = int(trace.times_ns[-1] - trace.times_ns[0]) if len(trace) else 0
    for length in _CURVE_TENTHS:
        if 3 * length * _TENTH_NS > span:
            break
        counts = tenths.merged(length).whole()
        row = (
            length / 10,
            dispersion(counts),
            local_dispersion(counts),
            1.0,
            *_dispersion_band(counts.bins),
            *_local_band(counts.bins),
        )
        for name, value in zip(_CURVE_COLUMNS, row, strict=True):
            columns[name].append(value)
    return pd.DataFrame(columns, dtype=np.float64)


_CURVE_COLUMNS = (
    "window_s",
    "index_of_dispersion",
    "local_index_of_dispersion",
    "poisson",
    "poisson_low",
    "poisson_high",
    "local_poisson_low",
    "local_poisson_high",
)


def autocorrelation(trace: ArrivalTrace, window_ns: int = NS_PER_S, lags: int = 60) -> pd.DataFrame:
    """Return how alike the counts of whole windows are that lie so far apart: 0 for a Poisson process.

    Columns: ``lag`` (1 to `lags`, and to a quarter of the windows at most), ``lag_s``, ``autocorrelation`` (NaN if all
    counts are equal), ``independent_low`` and ``independent_high``: 95 % of values lie between ±1.96/√n if the n counts
    are independent. Source: Box, Jenkins & Reinsel, "Time Series Analysis", section 2.1.

    Raises
    ------
    InvalidInputError
        If the window is not at least 1 ns.
    """
    counts = bin_counts(trace, window_ns).whole()
    lags = min(lags, max(0, counts.bins) // 4)
    frame = correlations(autocorrelations(counts, lags) if lags else [], max(0, counts.bins))
    frame.insert(1, "lag_s", frame["lag"] * window_ns / NS_PER_S)
    return frame


def overview(trace: ArrivalTrace) -> dict[str, pd.DataFrame]:
    """Return the frames of the picture of a trace, by the arguments of `pipesim.plot.trace_figure`."""
    return {
        "rate": rate_curve(trace),
        "gaps": gap_histogram(trace),
        "dispersion": dispersion_curve(trace),
        "envelope": envelope(trace),
        "autocorrelation": autocorrelation(trace),
    }


def _peak(times: npt.NDArray[np.int64], window_ns: int, known: int) -> int:
    """Return the most arrivals in any window [t, t + w), of which so many are known to lie in one.

    Only where that many lie in a window can more do so, so that each step looks at fewer places.
    """
    if not known:
        return 0
    starts = np.flatnonzero(times[known - 1 :] - times[: times.size - known + 1] < window_ns)
    step, growing = 1, True
    while step:
        kept = starts[starts + known + step <= times.size]
        kept = kept[times[kept + known + step - 1] - times[kept] < window_ns]
        if kept.size:
            starts, known = kept, known + step
        else:
            growing = False
        step = 2 * step if growing else step // 2
    return known


def _dispersion_band(bins: int) -> tuple[float, float]:
    """Return between what the index of dispersion of a Poisson process lies in 95 % of cases; NaN below two bins."""
    return _chi_square_band(bins - 1, bins) if bins > 1 else (float("nan"), float("nan"))


def _local_band(bins: int) -> tuple[float, float]:
    freedom = 2 * (bins - 1) ** 2 / (3 * bins - 4)
    return _chi_square_band(freedom, freedom)


def _chi_square_band(freedom: float, divisor: float) -> tuple[float, float]:
    low, high = (2 * float(gammaincinv(freedom / 2, share)) / divisor for share in (0.025, 0.975))
    return low, high
