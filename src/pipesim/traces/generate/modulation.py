"""Random modulation as lines: the states of a chain, one after the other."""

from bisect import bisect_right
from collections.abc import Callable, Iterator
from itertools import accumulate

import numpy as np
import numpy.typing as npt

from pipesim.model.traffic.modulation import Modulation
from pipesim.traces.generate.lines import BLOCK, END_NS, Lines, level_lines

_FIRST_BLOCK = 64
"""Sojourns that are drawn at first; twice as many each time, so that short traffic does not pay for long."""
_LARGEST_EXPONENT = 700.0  # e to this is a float, and more nanoseconds than there will be


def modulation_lines(modulation: Modulation, rng: np.random.Generator) -> Iterator[Lines]:
    """Return the levels of a modulation from time 0, as if it had been running for ever; they end with time itself.

    The first state is drawn by the share of time that the chain spends in each, and what is left of it from the
    stationary residual law of its sojourn: the same law for an exponential one, uniform for a fixed one, and Lomax with
    shape a - 1 and the same scale for a Lomax one of shape a (Cox, "Renewal Theory", 1962, section 5.3: the residual
    life has density P(sojourn > x) / mean). Sojourns are rounded to whole nanoseconds.
    """
    levels, sojourns_ns = np.array(modulation.levels), np.array(modulation.sojourns_ns)
    shares = np.cumsum(modulation.shares)
    state = min(int(np.searchsorted(shares, rng.random(), side="right")), shares.size - 1)
    residual_ns = _residual_ns(modulation, float(sojourns_ns[state]), rng)
    end_ns = float(np.rint(min(residual_ns, END_NS)))
    yield level_lines(np.array([end_ns], dtype=np.int64), levels[[state]], 0)
    start_ns = int(end_ns)
    following = _chain(modulation, rng)
    count = _FIRST_BLOCK
    while start_ns < END_NS:
        states = following(state, count)
        lengths_ns = np.rint(np.minimum(_unit_sojourns(modulation, rng, count) * sojourns_ns[states], END_NS))
        # Floats say only where time ends; what is kept is a sum of integers.
        beyond = int(np.searchsorted(start_ns + np.cumsum(lengths_ns), float(END_NS)))
        ends_ns = start_ns + np.cumsum(lengths_ns[:beyond].astype(np.int64))
        if beyond < count:
            ends_ns, states = np.append(ends_ns, END_NS), states[: beyond + 1]
        yield level_lines(ends_ns, levels[states], start_ns)
        start_ns, state, count = int(ends_ns[-1]), int(states[-1]), min(2 * count, BLOCK)


def _unit_sojourns(modulation: Modulation, rng: np.random.Generator, count: int) -> npt.NDArray[np.float64]:
    """Return sojourns with mean 1."""
    if modulation.periods == "fixed":
        return np.ones(count)
    exponential = rng.standard_exponential(count)
    if modulation.periods == "exponential":
        return exponential
    shape = modulation.pareto_shape
    return np.asarray(np.expm1(np.minimum(exponential / shape, _LARGEST_EXPONENT)) * (shape - 1))


def _residual_ns(modulation: Modulation, mean_ns: float, rng: np.random.Generator) -> float:
    """Return what is left of the sojourn of the state at time 0."""
    if modulation.periods == "fixed":
        return rng.random() * mean_ns
    exponential = rng.standard_exponential()
    if modulation.periods == "exponential":
        return exponential * mean_ns
    left = modulation.pareto_shape - 1
    return float(np.expm1(min(exponential / left, _LARGEST_EXPONENT))) * left * mean_ns


def _chain(modulation: Modulation, rng: np.random.Generator) -> Callable[[int, int], npt.NDArray[np.int64]]:
    """Return what gives the next so many states after a state."""
    if len(modulation.levels) == 2:  # none follows itself
        return lambda state, count: (state + 1 + np.arange(count)) % 2
    rows = [list(accumulate(row)) for row in modulation.transitions]
    possible = [[index for index, share in enumerate(row) if share] for row in modulation.transitions]

    def following(state: int, count: int) -> npt.NDArray[np.int64]:
        states = []
        for luck in rng.random(count).tolist():
            state = min(bisect_right(rows[state], luck), possible[state][-1])
            states.append(state)
        return np.array(states)

    return following
