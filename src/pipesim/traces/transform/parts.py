"""Parts of a trace in time, and traces one after another."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from pipesim.errors import invalid
from pipesim.traces.arrivals import ArrivalTrace
from pipesim.traces.transform.columns import LONGEST_NS, check_queries, joined_columns, joined_inputs
from pipesim.units import format_duration


def slice_time(trace: ArrivalTrace, start_ns: int = 0, end_ns: int | None = None) -> ArrivalTrace:
    """Return the arrivals from `start_ns` to before `end_ns`, their times counted from `start_ns`.

    A part that ends with the trace keeps arrivals at its last instant too, where recorded traces have one, so parts
    that follow each other hold every arrival once. The part lasts from start to end, whatever falls into it.

    Parameters
    ----------
    trace
        All arrivals.
    start_ns, end_ns
        From 0 to the trace's duration, the start before the end; without `end_ns`, to the end of the trace.

    Raises
    ------
    InvalidInputError
        If the start is not before the end, or one of them is outside the trace.

    >>> part = slice_time(ArrivalTrace(np.array([0, 10, 20, 20, 30]), 30), 10, 25)
    >>> part.times_ns.tolist(), part.duration_ns
    ([0, 10, 10], 15)
    """
    if end_ns is None:
        end_ns = trace.duration_ns
    elif end_ns > trace.duration_ns:
        remedy = f"end it at {format_duration(trace.duration_ns)} or before"
        raise invalid("slice.end", format_duration(end_ns), "is after the end of the trace", remedy)
    if not 0 <= start_ns < end_ns:
        remedy = f"start at 0 or later and before the end, {format_duration(end_ns)}"
        raise invalid("slice.start", format_duration(start_ns), "is not allowed", remedy)
    return _part(trace, start_ns, end_ns)


def hold_out(trace: ArrivalTrace, share: float) -> tuple[ArrivalTrace, ArrivalTrace]:
    """Return the trace up to an instant, and the trace from then on, which begins anew at time 0.

    Parameters
    ----------
    trace
        All arrivals.
    share
        The share of its duration, at the end, that the second part has: above 0 and below 1.

    Raises
    ------
    InvalidInputError
        If the share is out of range, or one of the parts is without queries.

    >>> first, last = hold_out(ArrivalTrace(np.array([0, 10, 20, 30]), 30), 0.5)
    >>> first.times_ns.tolist(), last.times_ns.tolist()
    ([0, 10], [5, 15])
    """
    if not 0 < share < 1:
        raise invalid("holdout", share, "is not allowed", "use a share of the trace, above 0 and below 1")
    cut_ns = round(trace.duration_ns * (1 - share))
    first, last = _part(trace, 0, cut_ns), _part(trace, cut_ns, trace.duration_ns)
    if not 0 < cut_ns < trace.duration_ns or not len(first) or not len(last):
        raise invalid("holdout", share, f"of {len(trace)} queries leaves a part without any", "use a longer trace")
    return first, last


def concatenate(traces: Sequence[ArrivalTrace]) -> ArrivalTrace:
    """Return traces one after another, each beginning where the one before it ends; their durations add up.

    The epoch is that of the first.

    Raises
    ------
    InvalidInputError
        If there is none, or their attributes differ, or they are too long together.

    >>> first, then = ArrivalTrace(np.array([0, 10]), 20), ArrivalTrace(np.array([5]), 6)
    >>> both = concatenate([first, then])
    >>> both.times_ns.tolist(), both.duration_ns
    ([0, 10, 25], 26)
    """
    if not traces:
        raise invalid("concatenate", 0, "traces are not allowed", "give at least one")
    duration_ns = sum(trace.duration_ns for trace in traces)
    if duration_ns >= LONGEST_NS:
        raise invalid("concatenate", len(traces), "traces last longer than 146 years", "use fewer")
    check_queries(sum(map(len, traces)), "concatenate", len(traces))
    begins_ns = np.cumsum([0, *(trace.duration_ns for trace in traces)])
    times_ns = np.concatenate([trace.times_ns + begin for trace, begin in zip(traces, begins_ns[:-1], strict=True)])
    return replace(
        traces[0],
        times_ns=times_ns,
        duration_ns=duration_ns,
        attributes=joined_columns(traces),
        inputs=joined_inputs(traces),
    )


def _part(trace: ArrivalTrace, start_ns: int, end_ns: int) -> ArrivalTrace:
    first = int(np.searchsorted(trace.times_ns, start_ns))
    last = len(trace) if end_ns == trace.duration_ns else int(np.searchsorted(trace.times_ns, end_ns))
    part = trace.between(first, last)
    epoch_ns = trace.epoch_ns and trace.epoch_ns + start_ns  # 0 says that the epoch is not known
    return replace(part, times_ns=part.times_ns - start_ns, duration_ns=end_ns - start_ns, epoch_ns=epoch_ns)
