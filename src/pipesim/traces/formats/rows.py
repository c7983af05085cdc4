"""What a trace file holds, and the trace that it makes."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from pipesim.errors import InvalidInputError
from pipesim.files import InputFile
from pipesim.traces.arrivals import ArrivalTrace, Column, Nanoseconds
from pipesim.units import format_duration

_PIECE = 1 << 18


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows of a trace file, in the order of the file.

    Parameters
    ----------
    times_ns
        Shape ``(rows,)``, int64: arrivals from the earliest on.
    origin_ns
        When the earliest is: since 1970 if `dated`, else from the origin that the file counts from.
    dated
        Whether the times are dates.
    where
        Names a row by its index, as ``file:line: column``, for complaints.
    attributes
        What the queries carry: arrays of shape ``(rows,)``, float64 or text.
    skipped
        Rows that could not be read and were left out.
    zone
        The time zone that dates without one were taken in; None if no date needed it.
    ordered
        Whether the format promises that rows are in order of arrival.
    """

    times_ns: Nanoseconds
    origin_ns: int
    dated: bool
    where: Callable[[int], str]
    attributes: Mapping[str, Column] = field(default_factory=dict)
    skipped: int = 0
    zone: str | None = None
    ordered: bool = True


@dataclass(frozen=True, slots=True)
class Reading:
    """What reading a trace file found, beside the trace.

    Parameters
    ----------
    format
        The format that it was read as.
    rows, skipped
        Rows read, and rows left out because they could not be.
    out_of_order
        Rows that are earlier than the row before them.
    simultaneous
        Queries that arrive at the same nanosecond as the one before.
    longest_gap_ns, longest_gap_at_ns
        The longest time without an arrival, and when it begins, from the first arrival.
    zone
        The time zone that dates without one were taken in.
    """

    format: str
    rows: int
    skipped: int
    out_of_order: int
    simultaneous: int
    longest_gap_ns: int
    longest_gap_at_ns: int
    zone: str | None


def arrange(rows: Rows, format_name: str, unsorted: str, source: InputFile) -> tuple[ArrivalTrace, Reading]:
    """Return the trace that rows make, times counted from the first arrival, and what was found on the way.

    Rows of one instant stay in the order of the file.

    Raises
    ------
    InvalidInputError
        If a row is earlier than the row before it in a format that promises order, and `unsorted` is ``refuse``.
    """
    times = rows.times_ns
    earlier = np.flatnonzero(times[1:] < times[:-1])
    if earlier.size and rows.ordered and unsorted == "refuse":
        before, row = times[earlier[0] : earlier[0] + 2].tolist()
        reason = f"is {format_duration(before - row)} earlier than the row before it; say unsorted: sort"
        raise InvalidInputError(reason, rows.where(int(earlier[0]) + 1))
    attributes = dict(rows.attributes)
    if earlier.size:
        order = np.argsort(times, kind="stable")
        times = times[order]
        attributes = {name: values[order] for name, values in attributes.items()}
    simultaneous = int(np.count_nonzero(times[1:] == times[:-1]))
    gap, at = _longest_gap(times)
    reading = Reading(format_name, len(times), rows.skipped, len(earlier), simultaneous, gap, at, rows.zone)
    for column in (times, *attributes.values()):
        column.flags.writeable = False  # what nobody can change need not be copied
    duration_ns = int(times[-1]) if times.size else 0
    return ArrivalTrace(times, duration_ns, rows.origin_ns if rows.dated else 0, attributes, (source,)), reading


def _longest_gap(times: Nanoseconds) -> tuple[int, int]:
    """Return the longest time without an arrival and when it begins, found in pieces that need little memory."""
    gap, at = 0, 0
    for start in range(0, times.size - 1, _PIECE):
        piece = times[start : start + _PIECE + 1]
        gaps = np.diff(piece)
        longest = int(gaps.argmax())
        if gaps[longest] > gap:
            gap, at = int(gaps[longest]), int(piece[longest])
    return gap, at
