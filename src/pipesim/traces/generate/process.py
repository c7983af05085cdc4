"""Arrivals of a law, in pieces or whole."""

from collections.abc import Iterator, Mapping, Sequence

from pipesim.errors import invalid
from pipesim.model.fields import MAX_QPS, MAX_SCV, MIN_QPS
from pipesim.model.traffic.laws import LAWS, GammaLaw, Law, WeibullLaw, check_length
from pipesim.model.validation import validated_fields
from pipesim.streams import stream
from pipesim.traces.arrivals import ArrivalTrace, Nanoseconds
from pipesim.traces.generate.batches import with_batches
from pipesim.traces.generate.clock import real_times
from pipesim.traces.generate.curve import curve_lines
from pipesim.traces.generate.gaps import operational_times, unit_gaps
from pipesim.traces.generate.lines import END_NS, product
from pipesim.traces.generate.modulation import modulation_lines
from pipesim.traces.generate.pieces import PIECE, check_memory, first_queries, in_pieces, joined, until
from pipesim.units import NS_PER_S

_SMALLEST_BLOCK = 256


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
    return _whole_renewal(GammaLaw, rate_qps, scv, duration_s, queries, seed)


def weibull(
    rate_qps: float, scv: float, *, duration_s: float | None = None, queries: int | None = None, seed: int = 0
) -> ArrivalTrace:
    """Return a renewal process whose gaps are Weibull-distributed with mean 1 / `rate_qps`.

    Parameters are those of :func:`gamma`, and so are the errors.

    >>> len(weibull(100, 2.5, queries=1000, seed=1))
    1000
    """
    return _whole_renewal(WeibullLaw, rate_qps, scv, duration_s, queries, seed)


def law_trace(law: Law | Mapping[str, Mapping[str, object]], seed: int = 0, name: str = "") -> ArrivalTrace:
    """Return the arrivals of a law.

    Parameters
    ----------
    law
        A law, or what a scenario file says under ``traffic`` for one, without load and attributes.
    seed, name
        Of the streams ``arrivals``, ``modulation`` and ``batch``: what bears another name has luck of its own.

    Raises
    ------
    InvalidInputError
        If the law is not one, or there are too many queries to hold at once.

    >>> law_trace({"constant": {"rate_qps": 2, "duration": "2s"}}).times_ns.tolist()
    [500000000, 1000000000, 1500000000, 2000000000]
    """
    checked = law if isinstance(law, Law) else _law(law)
    check_memory(checked.expected_queries)
    return joined(law_pieces(checked, seed=seed, name=name, size=PIECE))


def law_pieces(law: Law, *, seed: int, name: str = "", size: int = PIECE) -> Iterator[ArrivalTrace]:
    """Return the arrivals of :func:`law_trace` in pieces of `size` queries, the last one shorter, of any length in all.

    Times count from the beginning of the whole. The duration of a piece is that of the whole if it is known, else it
    ends with the piece's last query, and the whole ends with the last piece. There is at least one piece.

    Raises
    ------
    InvalidInputError
        If bursts are so extreme that times do not fit into int64.
    """
    curve = law.rate_curve
    duration_ns = law.duration_ns if curve is None else law.curve_end_ns
    factors = [] if curve is None else [curve_lines(curve, law.mean_rate_qps)]
    factors += [
        modulation_lines(modulation, stream(seed, "modulation", f"{name}/{index}"))
        for index, modulation in enumerate(law.modulations)
    ]
    per_arrival = 1.0 if law.batch is None else law.batch.mean
    expected = law.expected_queries / per_arrival
    gaps = unit_gaps(law.family, law.gap_scv, stream(seed, "arrivals", name))
    times = operational_times(gaps, per_arrival * NS_PER_S / law.mean_rate_qps, _block(size / per_arrival, expected))
    if factors:
        times = real_times(times, product(factors, END_NS if duration_ns is None else duration_ns))
    if law.batch is not None:
        times = with_batches(times, law.batch, stream(seed, "batch", name))
    ended = _ended(times, duration_ns, law.queries)
    if (tick_ns := law.tick_ns) is not None:
        ended = (block // tick_ns * tick_ns for block in ended)
    return in_pieces(ended, size, duration_ns)


def _whole_renewal(
    law: type[GammaLaw], rate_qps: float, scv: float, duration_s: float | None, queries: int | None, seed: int
) -> ArrivalTrace:
    if not MIN_QPS <= rate_qps <= MAX_QPS:
        raise invalid("rate_qps", rate_qps, "is not allowed", f"use {MIN_QPS:g} to {MAX_QPS:g}")
    if not 0 <= scv <= MAX_SCV:
        raise invalid("scv", scv, "is not allowed", f"use 0 to {MAX_SCV:g}")
    check_length(rate_qps, duration_s, queries)
    check_memory(queries if queries is not None else (duration_s or 0) * rate_qps)
    duration_ns = None if duration_s is None else round(duration_s * NS_PER_S)
    # What is asked for was checked: a rate, a variability and a duration may be 0 or finer here than in a file.
    checked = law.model_construct(rate_qps=rate_qps, scv=scv, duration_ns=duration_ns, queries=queries)
    return joined(law_pieces(checked, seed=seed))


def _law(traffic: Mapping[str, Mapping[str, object]]) -> Law:
    names: Sequence[str] = list(traffic)
    if len(names) != 1 or names[0] not in LAWS:
        raise invalid("traffic", ", ".join(map(str, names)), "is not a law", f"use one of {', '.join(LAWS)}")
    return validated_fields(LAWS[names[0]], names[0], traffic[names[0]])


def _block(size: float, expected: float) -> int:
    """Return how many arrivals to draw at once; for all that it matters to, a matter of speed and memory alone."""
    return int(min(PIECE, max(_SMALLEST_BLOCK, min(size, 1.05 * expected))))


def _ended(times: Iterator[Nanoseconds], duration_ns: int | None, queries: int | None) -> Iterator[Nanoseconds]:
    """Return times up to the end of the traffic, given by its duration or its number of queries."""
    if duration_ns is not None:
        yield from until(times, duration_ns)
        return
    assert queries is not None
    left = queries
    for block in first_queries(times, queries):
        left -= block.size
        yield block
    if left:
        rule = "have not all arrived after 146 years, so long are the quiet times"
        raise invalid("queries", queries, rule, "give a duration, or make quiet times shorter")
