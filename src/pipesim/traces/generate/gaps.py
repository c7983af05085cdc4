"""Gaps of a renewal process, with mean 1."""

import math
from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt

from pipesim.model.traffic.laws import GapFamily
from pipesim.traces.arrivals import Nanoseconds

UnitGaps = Callable[[int], npt.NDArray[np.float64]]
"""Returns the next so many gaps, float64 with mean 1."""

LEAST_SCV = 1e-30
"""Below it all values are one: the standard deviation is beyond the digits of a float."""


def unit_gaps(family: GapFamily, scv: float, rng: np.random.Generator) -> UnitGaps:
    """Return what draws the gaps of a law with mean 1 and this squared coefficient of variation.

    Gamma gaps have shape 1 / scv and scale scv. Weibull gaps are E^(1/k) / Γ(1 + 1/k) with E exponential and the shape
    k of :func:`weibull_shape`. With an scv of 1 both are exponential, with 0 constant.
    """
    if scv < LEAST_SCV:
        return np.ones
    if scv == 1:
        return rng.standard_exponential
    if family == "gamma":
        return lambda count: rng.standard_gamma(1 / scv, count) * scv
    power = 1 / weibull_shape(scv)
    mean = math.gamma(1 + power)
    return lambda count: np.asarray(rng.standard_exponential(count) ** power / mean)


def weibull_shape(scv: float) -> float:
    """Return the shape k of the Weibull law with this squared coefficient of variation, above 0.

    It solves Γ(1 + 2/k) / Γ(1 + 1/k)² = 1 + scv, whose left side grows with 1/k, by bisection of 1/k.

    >>> round(weibull_shape(1), 6), round(weibull_shape(5), 6)
    (1.0, 0.5)
    """
    low, high = 0.0, 1.0

    def excess(power: float) -> float:
        return math.lgamma(1 + 2 * power) - 2 * math.lgamma(1 + power) - math.log1p(scv)

    while excess(high) < 0:
        low, high = high, 2 * high
    while low < (middle := (low + high) / 2) < high:
        low, high = (middle, high) if excess(middle) < 0 else (low, middle)
    return 1 / high


def operational_times(gaps: UnitGaps, mean_gap_ns: float, block: int) -> Iterator[Nanoseconds]:
    """Return the times of a renewal process that starts at 0 with a whole gap, `block` at a time, without end.

    Each gap is rounded to whole nanoseconds, a half to even, and they are summed as integers.
    """
    last_ns = 0
    while True:
        times_ns = last_ns + np.cumsum(np.rint(gaps(block) * mean_gap_ns).astype(np.int64))
        last_ns = int(times_ns[-1])
        yield times_ns
