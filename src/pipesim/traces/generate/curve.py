"""Rate curves as lines."""

from collections.abc import Iterator

import numpy as np

from pipesim.model.traffic.curves import RateCurve
from pipesim.traces.generate.lines import BLOCK, Lines


def curve_lines(curve: RateCurve, mean_qps: float) -> Iterator[Lines]:
    """Return a curve over its mean rate as lines, which end with its last knot; jumps take no line."""
    times_ns, levels = np.array(curve.times_ns), np.array(curve.rates_qps) / mean_qps
    begin = np.flatnonzero(np.diff(times_ns) > 0)
    are_level = bool((levels[begin] == levels[begin + 1]).all())
    for block in range(0, begin.size, BLOCK):
        at = begin[block : block + BLOCK]
        first = levels[at]
        yield Lines(times_ns[at], times_ns[at + 1], first, first if are_level else levels[at + 1])
