"""Generated traffic: renewal processes of a given rate and variability, and attributes of queries.

Gaps are rounded to whole nanoseconds one by one and summed as integers, so a trace made in pieces equals the trace
made at once. The process starts at time 0 with a whole gap.
"""

import math
from collections.abc import Iterable, Iterator, Mapping

import numpy as np

from pipesim.errors import invalid
from pipesim.model.fields import MAX_QPS, MAX_SCV, MIN_QPS
from pipesim.model.traffic import MAX_QUERIES, DrawnAttribute, DrawnCategory, DrawnGamma, check_length
from pipesim.streams import Streams, stream
from pipesim.traces.arrivals import ArrivalTrace, Column
from pipesim.units import NS_PER_S

PIECE = 1 << 16
"""Queries in a piece, where nothing else is asked for: small enough for the processor's cache."""


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
    check_memory(queries if queries is not None else (duration_s or 0) * rate_qps)
    return joined(gamma_pieces(rate_qps, scv, duration_s, queries, seed=seed, size=PIECE))


def check_memory(queries: float) -> None:
    """Check that so many queries may be held at once.

    Raises
    ------
    InvalidInputError
        If they are more than 50 million.
    """
    if queries > MAX_QUERIES:
        remedy = f"use at most {MAX_QUERIES} (pipesim simulate --summary takes more)"
        raise invalid("traffic", f"{queries:.0f}", "queries are too many to hold at once", remedy)


def joined(pieces: Iterable[ArrivalTrace]) -> ArrivalTrace:
    """Return pieces of one trace as the whole; there must be at least one.

    Raises
    ------
    InvalidInputError
        If there are more queries than may be held in memory.
    """
    held: list[ArrivalTrace] = []
    queries = 0
    for piece in pieces:
        held.append(piece)
        queries += len(piece)
        check_memory(queries)
    first, last = held[0], held[-1]
    if len(held) == 1:
        return first
    attributes = {name: np.concatenate([piece.attributes[name] for piece in held]) for name in first.attributes}
    times_ns = np.concatenate([piece.times_ns for piece in held])
    return ArrivalTrace(times_ns, last.duration_ns, first.epoch_ns, attributes, first.inputs)


def gamma_pieces(
    rate_qps: float, scv: float, duration_s: float | None, queries: int | None, *, seed: int, size: int
) -> Iterator[ArrivalTrace]:
    """Return the arrivals of :func:`gamma` in pieces of `size` queries, the last one shorter, of any length in all.

    Times count from the beginning of the whole. The duration of a piece is that of the whole if it is known, else it
    ends with the piece's last query, and the whole ends with the last piece. There is at least one piece.
    """
    rng, mean_gap_ns = stream(seed, "arrivals"), NS_PER_S / rate_qps
    last_ns, left = 0, queries
    duration_ns = None if duration_s is None else round(duration_s * NS_PER_S)
    while True:
        count = size if left is None else min(size, left)
        if scv == 0:
            gaps_ns = np.full(count, round(mean_gap_ns), dtype=np.int64)
        else:
            unit = rng.standard_exponential(count) if scv == 1 else rng.standard_gamma(1 / scv, count) * scv
            gaps_ns = np.rint(unit * mean_gap_ns).astype(np.int64)
        times_ns = last_ns + np.cumsum(gaps_ns)
        times_ns.flags.writeable = False  # so that nobody copies it
        last_ns = int(times_ns[-1]) if count else last_ns
        if left is not None:
            left -= count
            yield ArrivalTrace(times_ns, last_ns)
        else:
            assert duration_ns is not None
            yield ArrivalTrace(times_ns[: np.searchsorted(times_ns, duration_ns, side="right")], duration_ns)
        if left == 0 or (duration_ns is not None and last_ns > duration_ns):
            return


def with_attributes(trace: ArrivalTrace, drawn: Mapping[str, DrawnAttribute], streams: Streams) -> ArrivalTrace:
    """Return the trace with attributes of queries drawn, each from a stream of its own, from where it was left.

    Raises
    ------
    InvalidInputError
        If the trace carries an attribute of that name already.
    """
    attributes = dict(trace.attributes)
    for name, law in drawn.items():
        if name in attributes:
            raise invalid(f"traffic.attributes.{name}", name, "is a column of the trace already", "rename one of them")
        attributes[name] = _drawn(law, len(trace), streams.of("attribute", name))
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
