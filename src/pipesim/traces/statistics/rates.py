"""How the rate goes over time, and how it varies within each piece of it."""

import numpy as np
import numpy.typing as npt
import pandas as pd

from pipesim.errors import invalid
from pipesim.traces.arrivals import ArrivalTrace
from pipesim.units import NS_PER_S

MOST_BINS = 1_000_000
_BINS, _QUERIES = 200, 10
_PERCENTS = (5, 50, 95, 100)
_MIN, _HOUR, _DAY = 60 * NS_PER_S, 3600 * NS_PER_S, 86_400 * NS_PER_S
_ROUND_NS = (
    *(digit * 10**power for power in range(2, 10) for digit in (1, 2, 5)),
    *(10 * NS_PER_S, 20 * NS_PER_S, 30 * NS_PER_S),
    *(_MIN, 2 * _MIN, 5 * _MIN, 10 * _MIN, 20 * _MIN, 30 * _MIN),
    *(_HOUR, 2 * _HOUR, 6 * _HOUR, 12 * _HOUR),
    *(_DAY, 2 * _DAY, 7 * _DAY, 14 * _DAY, 28 * _DAY, 56 * _DAY, 140 * _DAY, 364 * _DAY, 728 * _DAY),
)


def rate_curve(trace: ArrivalTrace, bin_ns: int | None = None) -> pd.DataFrame:
    """Return how many queries arrive in each piece of the duration, and how unevenly.

    Bins start at time 0. A rest of the duration of half a bin or more is a bin of its own, a shorter one widens the
    last bin: so every query counts once, and no rate stands on a sliver of time.

    Parameters
    ----------
    trace
        The trace.
    bin_ns
        The width of bins; if not given, the least round one that makes 200 bins or fewer, of ten queries on average.

    Returns
    -------
    DataFrame
        Columns ``time_s`` (the bin's start), ``width_s``, ``count``, ``rate_qps`` (NaN if the trace has no duration),
        and of the rates in windows inside the bin, ``window_s`` long, their 5th, 50th, 95th percentile (nearest rank)
        and largest: ``p5_qps``, ``p50_qps``, ``p95_qps``, ``max_qps``. The windows are a sixtieth of a bin of a minute
        or more, else one second, or a twentieth of a bin if that is less; one cut short counts as it is.

    Raises
    ------
    InvalidInputError
        If bins are not at least 1 ns wide, or there would be more than a million.
    """
    duration = trace.duration_ns
    most = min(_BINS, max(1, len(trace) // _QUERIES))
    width = next((width for width in _ROUND_NS if duration <= most * width), duration) if bin_ns is None else bin_ns
    if width < 1 or duration > MOST_BINS * width:
        raise invalid("bin_ns", width, "is not allowed", f"at least {max(1, -(-duration // MOST_BINS))}")
    bins = max(1, (2 * duration + width) // (2 * width))
    starts = np.arange(bins, dtype=np.int64) * width
    widths = np.diff(starts, append=duration)
    window = max(1, width // 60 if width >= _MIN else min(NS_PER_S, width // 20))
    windows = np.maximum(1, -(-widths // window))

    inside = np.minimum(trace.times_ns // width, bins - 1)
    counts = np.bincount(inside, minlength=bins)
    nth = np.minimum((trace.times_ns - starts[inside]) // window, windows[inside] - 1)
    percentiles = _percentiles(inside, nth, windows) * (NS_PER_S / window)
    with np.errstate(invalid="ignore", divide="ignore"):
        rates = np.where(widths > 0, counts * NS_PER_S / widths, np.nan)
    return pd.DataFrame(
        {
            "time_s": starts / NS_PER_S,
            "width_s": widths / NS_PER_S,
            "count": counts,
            "rate_qps": rates,
            "window_s": np.full(bins, window / NS_PER_S),
            "p5_qps": percentiles[0],
            "p50_qps": percentiles[1],
            "p95_qps": percentiles[2],
            "max_qps": percentiles[3],
        }
    )


def _percentiles(
    inside: npt.NDArray[np.int64], nth: npt.NDArray[np.int64], windows: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    """Return percentiles of the counts per window, for every bin: shape ``(percentiles, bins)``.

    Windows without arrivals are not stored: they are the lowest in rank.

    Parameters
    ----------
    inside, nth
        The bin of every arrival and its window in that bin, ascending.
    windows
        How many windows every bin has.
    """
    number = inside * windows.max() + nth
    first = np.flatnonzero(np.diff(number, prepend=-1))
    counts, bins = np.diff(first, append=number.size), inside[first]
    counts = np.append(counts[np.lexsort((counts, bins))], 0)
    begin, end = (np.searchsorted(bins, np.arange(windows.size), side=side) for side in ("left", "right"))
    empty = windows - (end - begin)
    rows = []
    for percent in _PERCENTS:
        rank = -(-percent * windows // 100)
        rows.append(np.where(rank > empty, counts[np.maximum(begin + rank - empty, 1) - 1], 0))
    return np.array(rows)
