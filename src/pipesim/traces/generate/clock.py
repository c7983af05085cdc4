"""Operational time, in which arrivals come at the mean rate, and real time, in which the rate varies."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from pipesim.errors import invalid
from pipesim.traces.arrivals import Nanoseconds
from pipesim.traces.generate.lines import END_NS, Lines
from pipesim.units import NS_PER_S

_T = TypeVar("_T", np.int64, np.float64)
_S_PER_YEAR = 365 * 86_400
_TINY = 1e-300  # keeps 0 / 0 away where a line starts at level 0


@dataclass(frozen=True, slots=True)
class Clock:
    """The operational time of every real time along some lines: the integral of the level from 0 on.

    Parameters
    ----------
    lines
        The levels, whose mean is about 1.
    marks_ns
        Shape ``(lines + 1,)``, int64: the operational time at the start of every line and at the end of the last, to
        the nearest nanosecond, so that a line which holds so many arrivals by the numbers of a file holds them.
    carry_ns
        What rounding left of the last mark, from -0.5 to 0.5.
    """

    lines: Lines
    marks_ns: Nanoseconds
    carry_ns: float

    @classmethod
    def of(cls, lines: Lines, start_ns: int, carry_ns: float) -> "Clock":
        """Return the clock of lines, given the operational time at the start of the first and what it left.

        Raises
        ------
        InvalidInputError
            If so many arrivals pile up in bursts that operational time does not fit into int64.
        """
        level = lines.first if lines.are_level else (lines.first + lines.last) / 2
        area_ns = level * (lines.ends_ns - lines.starts_ns)
        total_ns = start_ns + float(area_ns.sum())
        if not total_ns < END_NS:
            rule = "years of arrivals at the mean rate pile up in bursts"
            raise invalid("traffic", f"{total_ns / NS_PER_S / _S_PER_YEAR:.3g}", rule, "make bursts weaker or shorter")
        # A float holds no nanoseconds of a year, so whole ones are summed as integers.
        whole_ns = np.floor(area_ns)
        left_ns = carry_ns + np.cumsum(area_ns - whole_ns)
        rounded_ns = np.rint(left_ns)
        ends_ns = start_ns + np.cumsum(whole_ns.astype(np.int64)) + rounded_ns.astype(np.int64)
        return cls(lines, np.concatenate([[start_ns], ends_ns]), float(left_ns[-1] - rounded_ns[-1]))

    def real(self, operational_ns: Nanoseconds) -> Nanoseconds:
        """Return the real times of ascending operational times that lie in these lines, to the nearest nanosecond.

        An operational time at which the level is 0 for a while is the beginning of that while. Along a line from level
        r₀ with slope s, the time x after its start at which the integral is y solves r₀ x + s x² / 2 = y: it is
        2 y / (r₀ + √(r₀² + 2 s y)), the form of the root that does not cancel.
        """
        ends_ns = self.marks_ns[1:]
        begin, end = np.searchsorted(ends_ns, operational_ns[[0, -1]]).tolist()
        chosen = slice(begin, end + 1)
        spread = _spreader(np.diff(np.searchsorted(operational_ns, ends_ns[chosen], side="right"), prepend=0))
        lines = self.lines
        starts_ns, first = lines.starts_ns[chosen], lines.first[chosen]
        width_ns = (lines.ends_ns[chosen] - starts_ns).astype(np.float64)
        x = (operational_ns - spread(self.marks_ns[chosen])).astype(np.float64)
        if lines.are_level:
            x *= spread(np.divide(1.0, first, out=np.zeros(first.size), where=first > 0))
        else:
            r0 = spread(first)
            root = x * spread(2 * (lines.last[chosen] - first) / width_ns)
            root += spread(first * first)
            np.maximum(root, 0, out=root)
            np.sqrt(root, out=root)
            root += r0
            root += _TINY
            x *= 2
            x /= root
        np.minimum(x, spread(width_ns), out=x)
        np.rint(x, out=x)
        return spread(starts_ns) + x.astype(np.int64)


def _spreader(counts: npt.NDArray[np.int64]) -> Callable[[npt.NDArray[_T]], npt.NDArray[_T]]:
    """Return what gives every arrival the value of its line, given how many arrivals each line has."""
    return (lambda values: values) if counts.size == 1 else (lambda values: np.asarray(np.repeat(values, counts)))


def real_times(operational: Iterator[Nanoseconds], lines: Iterator[Lines]) -> Iterator[Nanoseconds]:
    """Return the real times of operational times until the lines end, ascending, in blocks that are not empty."""
    mark_ns, carry_ns, last_ns = 0, 0.0, 0
    pending = next(operational)
    for some in lines:
        clock = Clock.of(some, mark_ns, carry_ns)
        mark_ns, carry_ns = int(clock.marks_ns[-1]), clock.carry_ns
        while inside := int(np.searchsorted(pending, mark_ns, side="right")):
            times_ns = clock.real(pending[:inside])
            # The last digits of a root may be out of order, which rounding can make a nanosecond.
            times_ns[0] = max(int(times_ns[0]), last_ns)
            np.maximum.accumulate(times_ns, out=times_ns)
            last_ns = int(times_ns[-1])
            yield times_ns
            pending = pending[inside:] if inside < pending.size else next(operational)
