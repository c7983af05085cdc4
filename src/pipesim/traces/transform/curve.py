"""Traces whose rate over time has another shape, by moving the arrivals: none is added, none is lost.

Both transforms change time: an arrival goes to where the new cumulative curve of counts reaches the height that the
old one has at its old time. So the queries keep their order, and those that were simultaneous still are.
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from pipesim.errors import invalid
from pipesim.model.transforms import MAX_BURST_FACTOR, MAX_SWING_EXPONENT
from pipesim.traces.arrivals import ArrivalTrace
from pipesim.units import format_duration

BINS_PER_WINDOW = 32
"""How finely the rate is seen: structure within a bin is stretched as a whole."""
MAX_BINS = 20_000_000
"""Enough for a year in windows of a minute."""
MIN_WINDOW_NS = 1_000

Curve = npt.NDArray[np.float64]


def amplify_bursts(trace: ArrivalTrace, factor: float, window_ns: int) -> ArrivalTrace:
    """Return the trace with what its rate deviates from its moving average multiplied by `factor`.

    In bins of a 32nd of the window, let A be the cumulative count and S its moving average over the window (at the
    ends A goes on as its reflection, so S begins and ends as A does). The new cumulative count is that closest to
    S + factor · (A - S), in least squares, of all that never fall: where the rate would be negative it is 0, and what
    that adds is taken from the arrivals next to it. So the number of queries and the duration are kept exactly, the
    curve of the rate at scales above the window is kept nearly, and the variance of counts around that curve, at scales
    from a bin to a window, grows with the square of the factor until rates reach 0, and more slowly from there. Hence
    the index of dispersion rises with the factor, reliably at windows well below `window_ns`; close to it, where slow
    and fast meet, that of a trace with few queries may not.

    Parameters
    ----------
    trace
        The arrivals. Those at one instant stay together: a quantised trace should be spread before.
    factor
        0 to 100. 0 leaves the moving average, 1 the trace exactly as it is, more makes it burstier.
    window_ns
        From 1 µs to the trace's duration. What is slower than this is no burst.

    Raises
    ------
    InvalidInputError
        If a parameter is out of range, or the trace has too many windows.

    >>> from pipesim.traces import index_of_dispersion, poisson
    >>> calm, second = poisson(20, duration_s=600, seed=1), 10**9
    >>> bursty = amplify_bursts(calm, 2, 60 * second)
    >>> [round(index_of_dispersion(trace, 5 * second), 1) for trace in (calm, bursty)]
    [1.1, 3.7]
    """
    if not 0 <= factor <= MAX_BURST_FACTOR:
        raise invalid("amplify_bursts.factor", factor, "is not allowed", f"use 0 to {MAX_BURST_FACTOR:g}")

    def amplified(counts: Curve, smooth: Curve) -> tuple[Curve, Curve]:
        from scipy.optimize import isotonic_regression  # slow to import, and few traces are amplified

        wanted = np.clip(smooth + factor * (counts - smooth), 0, counts[-1])
        return counts, isotonic_regression(wanted).x

    return _with_time_changed(trace, factor, window_ns, "amplify_bursts", amplified)


def amplify_swing(trace: ArrivalTrace, exponent: float, window_ns: int) -> ArrivalTrace:
    """Return the trace with the swing of its slow rate changed: the moving average of the rate to the power `exponent`.

    The slow rate is the moving average over the window, in bins of a 32nd of it. Where it was r times as high at one
    time as at another it becomes r to the power `exponent` times as high: with 2 a day whose peak is three times its
    trough has one of nine times. The number of queries and the duration are kept exactly, so the mean rate is. Bursts
    ride along; time runs faster where the rate grows and slower where it falls, and arrivals move towards the peaks,
    by as much as that takes.

    Parameters
    ----------
    trace
        The arrivals. Those at one instant stay together.
    exponent
        0 to 10. 0 makes the slow rate constant, 1 leaves the trace exactly as it is, more makes its peaks higher.
    window_ns
        From 1 µs to the trace's duration. What is faster than this belongs to the bursts.

    Raises
    ------
    InvalidInputError
        If a parameter is out of range, or the trace has too many windows.

    >>> quiet, busy = np.arange(0, 1000, 10), np.arange(1000, 2000, 5)
    >>> day = ArrivalTrace(np.concatenate([quiet, busy]) * 1000, 2_000_000)
    >>> halves = [amplify_swing(day, exponent, 100_000).times_ns < 1_000_000 for exponent in (0, 1, 2)]
    >>> [int(half.sum()) for half in halves]
    [150, 100, 63]
    """
    if not 0 <= exponent <= MAX_SWING_EXPONENT:
        raise invalid("amplify_swing.exponent", exponent, "is not allowed", f"use 0 to {MAX_SWING_EXPONENT:g}")

    def amplified(counts: Curve, smooth: Curve) -> tuple[Curve, Curve]:
        slow = np.diff(smooth)
        height = np.concatenate([[0.0], np.cumsum((slow / slow.max()) ** exponent)])
        return smooth, counts[-1] * (height / height[-1])  # so that it ends where the other does, exactly

    return _with_time_changed(trace, exponent, window_ns, "amplify_swing", amplified)


def _with_time_changed(
    trace: ArrivalTrace,
    strength: float,
    window_ns: int,
    where: str,
    amplified: Callable[[Curve, Curve], tuple[Curve, Curve]],
) -> ArrivalTrace:
    """Return the trace moved from one cumulative curve to another: those that `amplified` makes of A and S."""
    duration_ns = trace.duration_ns
    if not MIN_WINDOW_NS <= window_ns <= duration_ns:
        remedy = f"use 1 us to the trace's duration, {format_duration(duration_ns)}"
        raise invalid(f"{where}.window", format_duration(window_ns), "is not allowed", remedy)
    bins = round(BINS_PER_WINDOW * duration_ns / window_ns)
    if bins > MAX_BINS:
        rule = f"is too short for a trace of {format_duration(duration_ns)}"
        remedy = f"use {format_duration(BINS_PER_WINDOW * duration_ns / MAX_BINS)} or more"
        raise invalid(f"{where}.window", format_duration(window_ns), rule, remedy)
    if strength == 1 or not len(trace):
        return trace
    edges = np.linspace(0, duration_ns, bins + 1)
    counts, smooth = _cumulative_counts(trace, edges)
    old, new = amplified(counts, smooth)
    moved = np.rint(np.interp(np.interp(trace.times_ns, edges, old), new, edges)).astype(np.int64)
    in_order = np.minimum(np.maximum.accumulate(moved), duration_ns)  # floats promise neither to the last digit
    return replace(trace, times_ns=in_order)


def _cumulative_counts(trace: ArrivalTrace, edges: Curve) -> tuple[Curve, Curve]:
    """Return the arrivals before each edge, those at an edge by half, and the moving average of that curve.

    The average is over the piecewise linear curve, which goes on before the beginning and after the end as its own
    reflection in those points.
    """
    before, until = (np.searchsorted(trace.times_ns, edges, side=side) for side in ("left", "right"))
    twice = before + until
    twice[0], twice[-1] = 0, 2 * len(trace)
    half = BINS_PER_WINDOW // 2
    extended = np.concatenate([-twice[half:0:-1], twice, 2 * twice[-1] - twice[-2 : -half - 2 : -1]])
    area = np.concatenate([[0], np.cumsum(extended[1:] + extended[:-1])])  # in integers, so that nothing is lost
    return twice / 2, (area[BINS_PER_WINDOW:] - area[:-BINS_PER_WINDOW]) / (4 * BINS_PER_WINDOW)
