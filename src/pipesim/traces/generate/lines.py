"""Levels of a rate over time, as straight lines one after the other: what curves and bursts both are."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pipesim.traces.arrivals import Nanoseconds

Levels = npt.NDArray[np.float64]

BLOCK = 4096
"""Lines that are worked on at once."""
END_NS = 2**62
"""Where time ends: after 146 years."""


@dataclass(frozen=True, slots=True)
class Lines:
    """Straight lines, one after the other without gaps.

    Parameters
    ----------
    starts_ns, ends_ns
        Shape ``(lines,)``, int64, ascending; each line ends where the next one starts.
    first, last
        Shape ``(lines,)``, float64, at least 0: the level at each start and end. They are one object if every line is
        level.
    """

    starts_ns: Nanoseconds
    ends_ns: Nanoseconds
    first: Levels
    last: Levels

    @property
    def are_level(self) -> bool:
        """Return whether the level is the same all along each line."""
        return self.first is self.last

    def after(self, time_ns: int) -> "Lines | None":
        """Return the lines that end after a time; None if there are none."""
        begin = int(np.searchsorted(self.ends_ns, time_ns, side="right"))
        if begin == self.ends_ns.size:
            return None
        first = self.first[begin:]
        return Lines(
            self.starts_ns[begin:], self.ends_ns[begin:], first, first if self.are_level else self.last[begin:]
        )

    def within(self, starts_ns: Nanoseconds, ends_ns: Nanoseconds) -> tuple[Levels, Levels]:
        """Return the levels at the starts and ends of shorter lines, each of which lies in one of these."""
        index = np.searchsorted(self.ends_ns, starts_ns, side="right")
        first = self.first[index]
        if self.are_level:
            return first, first
        origin = self.starts_ns[index]
        slope = (self.last[index] - first) / (self.ends_ns[index] - origin)
        at_start, at_end = first + slope * (starts_ns - origin), first + slope * (ends_ns - origin)
        return np.maximum(at_start, 0), np.maximum(at_end, 0)


def level_lines(ends_ns: Nanoseconds, levels: Levels, start_ns: int) -> Lines:
    """Return level lines, the first of which starts at a time; those without length are left out."""
    starts_ns = np.concatenate([[start_ns], ends_ns[:-1]])
    kept = np.flatnonzero(ends_ns > starts_ns)
    levels = levels[kept]
    return Lines(starts_ns[kept], ends_ns[kept], levels, levels)


def product(factors: Sequence[Iterator[Lines]], end_ns: int) -> Iterator[Lines]:
    """Return the product of levels that all start at 0, until one of them ends or a line has passed `end_ns`.

    At most one of them has lines that are not level, so that the product is made of straight lines again. Where its
    blocks end follows from the factors alone.
    """
    held: list[Lines | None] = [None] * len(factors)
    start_ns = 0
    while start_ns <= end_ns:
        for index, factor in enumerate(factors):
            while (lines := held[index]) is None or not lines.ends_ns.size:
                following = next(factor, None)
                if following is None:
                    return
                held[index] = following
        now = [lines for lines in held if lines is not None]
        if len(now) == 1:
            yield now[0]
            start_ns, held = int(now[0].ends_ns[-1]), [None]
            continue
        horizon_ns = min(int(lines.ends_ns[-1]) for lines in now)
        corners = [lines.ends_ns[: np.searchsorted(lines.ends_ns, horizon_ns, side="right")] for lines in now]
        ends_ns = np.unique(np.concatenate(corners))
        starts_ns = np.concatenate([[start_ns], ends_ns[:-1]])
        level = np.ones(ends_ns.size)
        slanted: list[Lines] = []
        for lines in now:
            if lines.are_level:
                level = level * lines.within(starts_ns, ends_ns)[0]
            else:
                slanted.append(lines)
        first = last = level
        for lines in slanted:
            at_start, at_end = lines.within(starts_ns, ends_ns)
            first, last = level * at_start, level * at_end
        yield Lines(starts_ns, ends_ns, first, last)
        start_ns, held = horizon_ns, [lines.after(horizon_ns) for lines in now]
