"""Traces whose clock is coarse: what arrived within a tick, put back into it."""

from dataclasses import replace
from typing import Literal

import numpy as np

from pipesim.errors import invalid
from pipesim.streams import stream
from pipesim.traces.arrivals import ArrivalTrace
from pipesim.traces.transform.columns import LONGEST_NS
from pipesim.units import format_duration


def spread(
    trace: ArrivalTrace,
    window_ns: int,
    how: Literal["uniformly", "evenly"] = "uniformly",
    *,
    seed: int = 0,
    name: str = "",
) -> ArrivalTrace:
    """Return the trace with the arrivals of each instant spread over the window that the instant stands for.

    Logs that count whole seconds, or ticks of three, show queries as simultaneous that were not. This puts them back
    by an **assumption**, as the log does not say: that times were rounded down, and that within a window the rate is
    constant. Burstiness at windows below `window_ns` is thus the assumption's and not the trace's.

    The order of the queries is kept. The trace lasts at least to the end of its last window.

    Parameters
    ----------
    trace
        Arrivals at instants that are `window_ns` or more apart.
    window_ns
        How long an instant stands for, above 0.
    how
        ``uniformly``: each arrival anywhere in the window, independently, as a Poisson process has them.
        ``evenly``: k arrivals at equal distances, the first at the instant itself; the least bursty there is.
    seed, name
        Of the stream ``spread``, for ``uniformly``.

    Raises
    ------
    InvalidInputError
        If a parameter is out of range, or instants of the trace are closer than the window.

    >>> spread(ArrivalTrace(np.array([0, 0, 0, 30]), 30), 30, "evenly").times_ns.tolist()
    [0, 10, 20, 30]
    """
    if window_ns <= 0:
        raise invalid("spread.window", format_duration(window_ns), "is not allowed", "use more than 0")
    if how not in ("uniformly", "evenly"):
        raise invalid("spread.how", how, "is not allowed", "use uniformly or evenly")
    if not len(trace):
        return trace
    instants, first, counts = np.unique(trace.times_ns, return_index=True, return_counts=True)
    closest_ns = int(np.diff(instants).min(initial=LONGEST_NS))
    if window_ns > closest_ns:
        rule = f"is longer than the {format_duration(closest_ns)} between two instants of the trace"
        raise invalid("spread.window", format_duration(window_ns), rule, "use the tick of its clock")
    duration_ns = max(trace.duration_ns, int(instants[-1]) + window_ns)
    if duration_ns >= LONGEST_NS:
        rule = "makes the trace last longer than 146 years"
        raise invalid("spread.window", format_duration(window_ns), rule, "use a smaller one")
    if how == "uniformly":
        drawn_ns = stream(seed, "spread", name).integers(0, window_ns, size=len(trace))
        times_ns = np.sort(trace.times_ns + drawn_ns)  # windows do not overlap, so each keeps its own
    else:
        rank = np.arange(len(trace)) - np.repeat(first, counts)
        quotient, rest = np.divmod(window_ns, counts)
        each = np.repeat(quotient, counts), np.repeat(rest, counts), np.repeat(counts, counts)
        times_ns = trace.times_ns + rank * each[0] + rank * each[1] // each[2]  # the floor of rank · window / count
    return replace(trace, times_ns=times_ns, duration_ns=duration_ns)
