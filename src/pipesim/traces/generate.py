"""Generated traffic: renewal processes of a given rate and variability, and attributes of queries.

Gaps are rounded to whole nanoseconds one by one and summed as integers, so a trace made in pieces equals the trace
made at once. The process starts at time 0 with a whole gap.
"""

import math
from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt

from pipesim.errors import invalid
from pipesim.model.fields import MAX_QPS, MAX_SCV, MIN_QPS
from pipesim.model.traffic import MAX_QUERIES, DrawnAttribute, DrawnCategory, DrawnGamma, check_length
from pipesim.streams import stream
from pipesim.traces.arrivals import ArrivalTrace, Column
from pipesim.units import NS_PER_S

_BLOCK = 1 << 16


def poisson(
    rate_qps: float, *, duration_s: float | None = None, queries: int | None = None, seed: int = 0
) -> ArrivalTrace:
    """Return Poisson arrivals: exponential gaps with mean 1 / `rate_qps`.

    Parameters
    ----------
    rate_qps
        Mean arrivals per second.
    duration_s, queries
        Where the trace ends: one of them.
    seed
        Of the stream ``arrivals``.

    Raises
    ------
    InvalidInputError
        If the rate is not from 0.001 to 10⁷, or not exactly one end is given, or the trace would be too long.

    >>> len(poisson(100, queries=1000, seed=1))
    1000
    """
    return gamma(rate_qps, 1.0, duration_s=duration_s, queries=queries, seed=seed)


def gamma(
    rate_qps: float, scv: float, *, duration_s: float | None = None, queries: int | None = None, seed: int = 0
) -> ArrivalTrace:
    """Return a renewal process whose gaps are gamma-distributed with mean 1 / `rate_qps`.

    Parameters
    ----------
    rate_qps
        Mean arrivals per second.
    scv
        Squared coefficient of variation of the gaps: 0 is a metronome, 1 is Poisson, above 1 is bursty. The shape of
        the law is 1 / scv. InferLine (arXiv 1812.01776) calls this quantity CV.
    duration_s, queries, seed
        As for :func:`poisson`.

    Raises
    ------
    InvalidInputError
        As :func:`poisson`, and if `scv` is not from 0 to 1,000.
    """
    if not MIN_QPS <= rate_qps <= MAX_QPS:
        raise invalid("rate_qps", rate_qps, "is not allowed", f"use {MIN_QPS:g} to {MAX_QPS:g}")
    if not 0 <= scv <= MAX_SCV:
        raise invalid("scv", scv, "is not allowed", f"use 0 to {MAX_SCV:g}")
    check_length(rate_qps, duration_s, queries)
    rng = stream(seed, "arrivals")
    mean_gap_ns = NS_PER_S / rate_qps

    def gaps_ns(count: int) -> npt.NDArray[np.int64]:
        if scv == 0:
            return np.full(count, round(mean_gap_ns), dtype=np.int64)
        unit = rng.standard_exponential(count) if scv == 1 else rng.standard_gamma(1 / scv, count) * scv
        return np.rint(unit * mean_gap_ns).astype(np.int64)

    if queries is not None:
        times = np.cumsum(gaps_ns(queries))
        return ArrivalTrace(times, int(times[-1]) if queries else 0)
    assert duration_s is not None
    duration_ns = round(duration_s * NS_PER_S)
    return ArrivalTrace(_until(duration_ns, gaps_ns), duration_ns)


def _until(duration_ns: int, gaps_ns: Callable[[int], npt.NDArray[np.int64]]) -> npt.NDArray[np.int64]:
    blocks: list[npt.NDArray[np.int64]] = []
    last, count = 0, 0
    while last <= duration_ns:
        block = last + np.cumsum(gaps_ns(_BLOCK))
        blocks.append(block)
        last, count = int(block[-1]), count + _BLOCK
        if count > 2 * MAX_QUERIES:
            raise invalid("traffic", count, "queries are too many", f"use at most {MAX_QUERIES}")
    times = np.concatenate(blocks)
    return times[: np.searchsorted(times, duration_ns, side="right")]


def with_attributes(trace: ArrivalTrace, drawn: Mapping[str, DrawnAttribute], seed: int) -> ArrivalTrace:
    """Return the trace with attributes of queries drawn, each from a stream of its own.

    Raises
    ------
    InvalidInputError
        If the trace carries an attribute of that name already.
    """
    attributes = dict(trace.attributes)
    for name, law in drawn.items():
        if name in attributes:
            raise invalid(f"traffic.attributes.{name}", name, "is a column of the trace already", "rename one of them")
        attributes[name] = _drawn(law, len(trace), stream(seed, "attribute", name))
    return ArrivalTrace(trace.times_ns, trace.duration_ns, trace.epoch_ns, attributes, trace.inputs)


def _drawn(law: DrawnAttribute, count: int, rng: np.random.Generator) -> Column:
    if isinstance(law, DrawnCategory):
        edges = np.cumsum(list(law.weights.values()))
        index = np.minimum(np.searchsorted(edges, rng.random(count), side="right"), len(edges) - 1)
        return np.array(list(law.weights))[index]
    if isinstance(law, DrawnGamma):
        mean, scv = law.gamma.mean, law.gamma.scv
        return np.full(count, mean) if scv == 0 else rng.standard_gamma(1 / scv, count) * (mean * scv)
    mean, variance = law.lognormal.mean, math.log1p(law.lognormal.scv)
    return np.asarray(mean * np.exp(rng.standard_normal(count) * math.sqrt(variance) - variance / 2))
