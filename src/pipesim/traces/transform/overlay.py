"""Traces on top of each other: more users of the same kind, or users of several kinds."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import numpy as np

from pipesim.errors import invalid
from pipesim.model.transforms import MAX_COPIES
from pipesim.streams import stream
from pipesim.traces.arrivals import ArrivalTrace
from pipesim.traces.transform.columns import check_queries, joined_columns, joined_inputs, taken
from pipesim.units import format_duration


def superpose(
    trace: ArrivalTrace, copies: int, *, shift_ns: int | Literal["random"] = "random", seed: int = 0, name: str = ""
) -> ArrivalTrace:
    """Return copies of the trace, shifted in time and merged: as many more users, who know nothing of each other.

    A copy is shifted round a circle: what would pass the end of the trace comes in at its beginning. The first copy
    stays where it is. The rate is multiplied exactly, the duration is kept. Counts of copies shifted at random are
    uncorrelated on average over the shifts, so the variance of the counts grows as their mean does: the index of
    dispersion stays about the same, while what peaks rise above the mean gets smaller relative to it, about by the
    square root of the number of copies. Whoever wants the bursts of all users at once asks for ``multiply_rate``, or
    for a shift of 0.

    Parameters
    ----------
    trace
        What one group of users does.
    copies
        1 to 100,000.
    shift_ns
        How much later each copy is than the one before it, from 0 to the trace's duration; or ``random``: each is
        shifted by a whole number of nanoseconds drawn evenly from the duration.
    seed, name
        Of the stream ``superpose``. More copies begin with the same shifts as fewer.

    Raises
    ------
    InvalidInputError
        If a parameter is out of range, or there would be more queries than may be held at once.

    >>> superpose(ArrivalTrace(np.array([0, 10, 70]), 100), 2, shift_ns=50).times_ns.tolist()
    [0, 10, 20, 50, 60, 70]
    """
    if not 1 <= copies <= MAX_COPIES:
        raise invalid("superpose.copies", copies, "is not allowed", f"use 1 to {MAX_COPIES}")
    check_queries(copies * len(trace), "superpose.copies", copies)
    if shift_ns == "random":
        drawn = stream(seed, "superpose", name).integers(0, max(1, trace.duration_ns), size=copies - 1)
        shifts = [0, *drawn.tolist()]
    elif 0 <= shift_ns <= trace.duration_ns:
        shifts = [copy * shift_ns % max(1, trace.duration_ns) for copy in range(copies)]
    else:
        remedy = f"use 0 to the trace's duration, {format_duration(trace.duration_ns)}, or random"
        raise invalid("superpose.shift", format_duration(shift_ns), "is not allowed", remedy)
    return _overlaid([_shifted(trace, shift) for shift in shifts])


def merge(traces: Sequence[ArrivalTrace]) -> ArrivalTrace:
    """Return several traces as one, over the longest of their durations: users of several kinds at once.

    All begin at time 0, whatever their epochs; the epoch is kept where all agree. Queries that arrive at the same time
    are in the order of the traces.

    Raises
    ------
    InvalidInputError
        If there is none, or their attributes differ, or there are more queries than may be held at once.

    >>> merge([ArrivalTrace(np.array([0, 20]), 20), ArrivalTrace(np.array([10, 20]), 30)]).times_ns.tolist()
    [0, 10, 20, 20]
    """
    if not traces:
        raise invalid("merge", 0, "traces are not allowed", "give at least one")
    check_queries(sum(map(len, traces)), "merge", len(traces))
    return _overlaid(traces)


def _shifted(trace: ArrivalTrace, shift_ns: int) -> ArrivalTrace:
    passed = int(np.searchsorted(trace.times_ns, trace.duration_ns - shift_ns, side="right"))
    order = np.roll(np.arange(len(trace)), -passed)
    times_ns = trace.times_ns[order] + shift_ns
    times_ns[: len(trace) - passed] -= trace.duration_ns
    return taken(trace, order, times_ns)


def _overlaid(traces: Sequence[ArrivalTrace]) -> ArrivalTrace:
    times_ns = np.concatenate([trace.times_ns for trace in traces])
    order = np.argsort(times_ns, kind="stable")
    epochs = {trace.epoch_ns for trace in traces}
    return replace(
        traces[0],
        times_ns=times_ns[order],
        duration_ns=max(trace.duration_ns for trace in traces),
        epoch_ns=epochs.pop() if len(epochs) == 1 else 0,
        attributes={name: values[order] for name, values in joined_columns(traces).items()},
        inputs=joined_inputs(traces),
    )
