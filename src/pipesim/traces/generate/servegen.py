"""Arrivals of the clients of a ServeGen pool.

Every client is a renewal process of its own in *operational* time, in which its rate is 1: gaps have mean 1, and the
law of the window in which they begin. Real time follows from the client's rate, which is constant in each window, so a
gap may reach into later windows, at whose rates it goes on; time in which the client is idle does not count.

The process has been running for ever: time 0 falls into a gap. Where a window with another law begins, the gap that is
under way becomes the gap of the new law with the same rank, and as large a share of it is left. So every window begins
as if its law had always held. That makes the mean number of queries in a window the rate times its length, exactly;
with whole gaps of the old law it would be off by half the difference of the squared coefficients of variation, up to
hundreds of queries. Nothing is conditioned on the number of queries, which is a matter of luck.

Source: Xiang et al., arXiv 2505.09999, where each client is drawn by itself and the clients are merged; for the gap
that an instant falls into, Cox, "Renewal Theory", 1962, chapter 5. Luck is drawn client by client and window by window,
whatever the size of the pieces.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import gammaincc, gammainccinv, gammaln

from pipesim.errors import invalid
from pipesim.model.fields import MAX_QPS, MAX_SCV
from pipesim.model.traffic import MAX_QUERIES_IN_PIECES
from pipesim.model.traffic.laws import GapFamily
from pipesim.model.traffic.recorded import ServegenPool
from pipesim.streams import stream
from pipesim.traces.arrivals import ArrivalTrace, Nanoseconds
from pipesim.traces.generate.gaps import unit_gaps, weibull_shape
from pipesim.traces.generate.pieces import joined, regrouped
from pipesim.traces.pools import CLIENT, ClientPool, Floats, TokenLaws
from pipesim.units import NS_PER_S, format_duration

_EVEN_SCV = 1e-8
"""Below it the gap that an instant falls into is as long as all others, but for a ten-thousandth."""
_RAREST = 1e-16
_BLOCK = 1 << 14
"""The most gaps of a client that are drawn at once."""
_SLICE = 1 << 18
"""About the most queries of all clients that are put in order at once."""


@dataclass(frozen=True, slots=True, eq=False)
class _Part:
    """The chosen clients of a pool from the start to the end that were asked for: arrays ``(clients, windows)``.

    Parameters
    ----------
    clients
        Their places in the pool.
    edges_ns
        Shape ``(windows + 1,)``, int64: where windows begin and end, from the start.
    rates_qps, scv, weibull
        The rate; the squared coefficient of variation and the family of the gaps.
    replaced
        Windows in which the fitted shape implies more than the largest scv, so that the measured one is taken.
    capped
        Windows in which the measured one is larger too.
    """

    clients: tuple[int, ...]
    edges_ns: Nanoseconds
    rates_qps: Floats
    scv: Floats
    weibull: npt.NDArray[np.bool_]
    replaced: npt.NDArray[np.bool_]
    capped: npt.NDArray[np.bool_]

    @property
    def expected(self) -> Floats:
        """Return how many queries each client sends in each window, on average."""
        return np.asarray(self.rates_qps * (np.diff(self.edges_ns) / NS_PER_S))


def expected_queries(pool: ClientPool, spec: ServegenPool) -> float:
    """Return how many queries :func:`servegen_pieces` draws, on average; errors are the same."""
    return float(_part(pool, spec).expected.sum())


def servegen_caveats(pool: ClientPool, spec: ServegenPool) -> tuple[str, ...]:
    """Return what was not drawn as the pool has it, a sentence for each kind; errors are those of the drawing."""
    part = _part(pool, spec)
    active, largest = int(np.count_nonzero(part.rates_qps)), MAX_SCV**0.5
    kinds = (
        (part.replaced, f"the fitted shape implies a CV above {largest:.3g}; gaps have the measured one instead"),
        (part.capped, f"the measured CV is above {largest:.3g}; gaps have this CV instead"),
    )
    return tuple(f"in {n} of {active} client windows {what}" for where, what in kinds if (n := int(where.sum())))


def servegen_pieces(
    pool: ClientPool, spec: ServegenPool, *, seed: int, name: str = "", size: int
) -> Iterator[ArrivalTrace]:
    """Return the arrivals of a pool's clients in pieces of `size` queries, the last one shorter; at least one piece.

    Times count from the start that `spec` names; the duration of each piece is that of the whole. Queries of one
    instant are in the order of the clients' numbers. Queries carry the attribute ``client``, and the fields of the
    dataset, if the pool has one, as numbers drawn independently from the laws of their client and time.

    Parameters
    ----------
    pool, spec
        The pool; which part of it to draw, and how.
    seed, name
        Of the streams ``servegen`` (gaps) and ``servegen tokens``, one of each for each client.
    size
        At least 1.

    Raises
    ------
    InvalidInputError
        If a client is not in the pool or has no data that queries are to carry, the part asked for ends after the pool
        or has no queries, or there are too many.
    """
    part = _part(pool, spec)
    fields = _fields(pool, part)
    sources = [
        _Source(_times(part, row, stream(seed, "servegen", _key(name, pool.clients[client]))))
        for row, client in enumerate(part.clients)
    ]
    luck = [stream(seed, "servegen tokens", _key(name, pool.clients[client])) for client in part.clients if fields]

    queries = (
        _merged(pool, part, fields, [source.until(end_ns) for source in sources], luck, spec)
        for end_ns in _slice_ends(part)
    )
    yield from map(joined, regrouped(queries, size, len, ArrivalTrace.between))


def _merged(
    pool: ClientPool,
    part: _Part,
    fields: tuple[str, ...],
    drawn: list[Nanoseconds],
    luck: list[np.random.Generator],
    spec: ServegenPool,
) -> ArrivalTrace:
    """Return the queries of all clients in order of time, with what they carry."""
    times_ns = np.concatenate(drawn)
    order = np.argsort(times_ns, kind="stable")
    clients = np.array(pool.clients)[list(part.clients)]
    attributes = {CLIENT: np.repeat(clients, [times.size for times in drawn])[order]}
    if fields:
        carried = [
            _tokens(pool.tokens[client], fields, spec.start + times, rng) if times.size else np.empty((0, len(fields)))
            for client, times, rng in zip(clients.tolist(), drawn, luck, strict=True)
        ]
        attributes |= dict(zip(fields, np.concatenate(carried)[order].T.copy(), strict=True))
    times_ns = times_ns[order]
    for array in (times_ns, *attributes.values()):
        array.flags.writeable = False  # so that nobody copies it
    return ArrivalTrace(times_ns, spec.duration, 0, attributes, pool.inputs)


def _key(name: str, client: str) -> str:
    return f"{name}\0{client}"


def _part(pool: ClientPool, spec: ServegenPool) -> _Part:
    end_ns = spec.start + spec.duration
    if end_ns > pool.duration_ns:
        remedy = f"use up to {format_duration(pool.duration_ns)}, where the pool ends"
        raise invalid("servegen.duration", format_duration(end_ns), "is where it ends", remedy)
    clients = _clients(pool, spec)
    first, last = spec.start // pool.window_ns, -(-end_ns // pool.window_ns)
    edges_ns = np.clip(np.arange(first, last + 1) * pool.window_ns, spec.start, end_ns) - spec.start
    chosen = (list(clients), slice(first, last))
    rates_qps = pool.rates_qps[chosen]
    mean_qps = float((rates_qps * (np.diff(edges_ns) / spec.duration)).sum())
    if not mean_qps:
        raise invalid("servegen.start", format_duration(spec.start), "begins a time without queries", "use another")
    if spec.rate_qps is not None:
        rates_qps = rates_qps * (spec.rate_qps / mean_qps)
        mean_qps = spec.rate_qps
    if mean_qps * spec.duration / NS_PER_S > MAX_QUERIES_IN_PIECES:
        remedy = f"use at most {MAX_QUERIES_IN_PIECES:,}: a lower rate or a shorter time"
        raise invalid("servegen.duration", f"{mean_qps * spec.duration / NS_PER_S:.3g}", "queries are too many", remedy)
    if rates_qps.max() > MAX_QPS:
        raise invalid(
            "servegen.rate_qps", float(rates_qps.max()), "is the rate of a client", f"use at most {MAX_QPS:g}"
        )
    active, weibull, measured = rates_qps > 0, pool.weibull[chosen], pool.cvs[chosen] ** 2
    replaced = np.zeros(active.shape, dtype=bool)
    scv = measured
    if spec.gaps == "fitted":
        implied = _implied_scv(pool.shapes[chosen], weibull, active)
        replaced = active & ~(implied <= MAX_SCV)
        scv = np.where(replaced, measured, implied)
    capped = active & (scv > MAX_SCV)
    return _Part(clients, edges_ns, rates_qps, np.minimum(scv, MAX_SCV), weibull, replaced, capped)


def _clients(pool: ClientPool, spec: ServegenPool) -> tuple[int, ...]:
    """Return the places in the pool of the clients that are asked for, ascending."""
    if spec.clients is not None:
        for index, client in enumerate(spec.clients):
            if client not in pool.clients:
                known = f"{len(pool.clients)} clients, {pool.clients[0]} to {pool.clients[-1]}"
                raise invalid(f"servegen.clients.{index}", client, "is not in the pool", f"it has {known}")
        wanted = set(spec.clients)
        return tuple(place for place, client in enumerate(pool.clients) if client in wanted)
    if spec.largest is not None:
        order = np.argsort(-pool.rates_qps.sum(axis=1), kind="stable")
        return tuple(sorted(order[: spec.largest].tolist()))
    return tuple(range(len(pool.clients)))


def _implied_scv(shapes: Floats, weibull: npt.NDArray[np.bool_], active: npt.NDArray[np.bool_]) -> Floats:
    """Return the squared coefficient of variation of the fitted laws; infinite beyond what a float holds.

    Of a gamma law with shape k it is 1 / k, of a Weibull law Γ(1 + 2/k) / Γ(1 + 1/k)² - 1.
    """
    power = np.divide(1, shapes, out=np.ones(shapes.shape), where=active)
    with np.errstate(over="ignore"):
        return np.asarray(np.where(weibull, np.expm1(gammaln(1 + 2 * power) - 2 * gammaln(1 + power)), power))


def _times(part: _Part, row: int, rng: np.random.Generator) -> Iterator[Nanoseconds]:
    """Return the arrivals of one client, ascending, in blocks."""
    expected = part.expected[row]
    starts_ns, widths_ns = part.edges_ns[:-1], np.diff(part.edges_ns)
    gap = share = 0.0  # the gap that the time falls into, and how much of it is left
    before: _Law | None = None
    for window in np.flatnonzero(expected).tolist():
        law = _Law("weibull" if part.weibull[row, window] else "gamma", float(part.scv[row, window]))
        if before is None:
            gap, share = law.covering.drawn(rng), rng.random()
        elif before != law:
            gap = law.covering.of_equal_rank(gap, before.covering, rng)
        before = law
        length, following = float(expected[window]), gap * share
        if following < length:
            gaps, scale_ns = unit_gaps(law.family, law.scv, rng), float(widths_ns[window]) / length
            while following < length:
                left = length - following
                count = min(_BLOCK, math.ceil(left + 3 * math.sqrt(law.scv * left)) + 1)
                at = following + np.concatenate([[0.0], np.cumsum(gaps(count))])
                inside = int(np.searchsorted(at[:-1], length))
                yield starts_ns[window] + np.rint(at[:inside] * scale_ns).astype(np.int64)
                following, gap = float(at[inside]), float(at[inside] - at[inside - 1])
        share = (following - length) / gap if gap else 0.0


@dataclass(frozen=True, slots=True)
class _Covering:
    """The law of the gap that an instant falls into: scale · G^power, where G is gamma with a shape; 1 without one.

    Its density is x f(x), where f is that of the gaps, of mean 1 (Cox, "Renewal Theory", 1962, chapter 5). For gamma
    gaps of shape k this is the gamma law of shape k + 1. Weibull gaps are E^p / Γ(1 + p), with E exponential and p the
    inverse of their shape; here E^p has the density x^(1/p) exp(-x^(1/p)) up to a factor, so E becomes gamma of shape
    1 + p.
    """

    shape: float | None
    power: float
    scale: float

    def drawn(self, rng: np.random.Generator) -> float:
        """Return a gap."""
        return 1.0 if self.shape is None else self.scale * math.pow(rng.standard_gamma(self.shape), self.power)

    def of_equal_rank(self, gap: float, other: "_Covering", rng: np.random.Generator) -> float:
        """Return the gap that as many are longer than, of this law, as are longer than `gap` of another law."""
        if self.shape is None:
            return 1.0
        if other.shape is None:  # all its gaps are equal, so any rank
            return self.drawn(rng)
        longer = float(gammaincc(other.shape, (gap / other.scale) ** (1 / other.power)))
        return self.scale * math.pow(gammainccinv(self.shape, min(max(longer, _RAREST), 1 - _RAREST)), self.power)


@dataclass(frozen=True, slots=True)
class _Law:
    """The law of gaps with mean 1."""

    family: GapFamily
    scv: float

    @property
    def covering(self) -> _Covering:
        """Return the law of the gap that an instant falls into."""
        if self.scv < _EVEN_SCV:
            return _Covering(None, 1.0, 1.0)
        if self.family == "gamma":
            return _Covering(1 + 1 / self.scv, 1.0, self.scv)
        power = 1 / weibull_shape(self.scv)
        return _Covering(1 + power, power, 1 / math.gamma(1 + power))


class _Source:
    """The arrivals of one client, taken as time goes on."""

    def __init__(self, blocks: Iterator[Nanoseconds]) -> None:
        self._blocks = blocks
        self._held: Nanoseconds = np.empty(0, dtype=np.int64)

    def until(self, end_ns: int) -> Nanoseconds:
        """Return the arrivals up to a time, after those that were returned before."""
        taken = []
        while True:
            count = int(np.searchsorted(self._held, end_ns, side="right"))
            taken.append(self._held[:count])
            self._held = self._held[count:]
            if self._held.size:
                break
            following = next(self._blocks, None)
            if following is None:
                break
            self._held = following
        return taken[0] if len(taken) == 1 else np.concatenate(taken)


def _slice_ends(part: _Part) -> Iterator[int]:
    """Return the ends of the slices of time in which queries are put in order."""
    for start, end, queries in zip(
        part.edges_ns[:-1].tolist(), part.edges_ns[1:].tolist(), part.expected.sum(axis=0).tolist(), strict=True
    ):
        count = max(1, min(math.ceil(queries / _SLICE), end - start))
        yield from (start + (end - start) * (index + 1) // count for index in range(count))


def _fields(pool: ClientPool, part: _Part) -> tuple[str, ...]:
    """Return the fields that queries carry, in the order of the first client."""
    if not pool.tokens:
        return ()
    active = [client for row, client in enumerate(part.clients) if part.rates_qps[row].any()]
    known = [pool.tokens.get(pool.clients[client], TokenLaws((), {})).fields for client in active]
    fields = {name: None for one in known for name in one}
    for client, one in zip(active, known, strict=True):
        for name in fields or ("any field",):
            if name not in one:
                where = f"{pool.inputs[-1].name if pool.inputs else 'servegen.dataset'}: client {pool.clients[client]}"
                raise invalid(where, name, "has no data", "leave out the client, or the dataset")
    return tuple(fields)


def _tokens(laws: TokenLaws, fields: tuple[str, ...], times_ns: Nanoseconds, rng: np.random.Generator) -> Floats:
    """Return what queries at times since midnight carry: shape ``(queries, fields)``."""
    luck = rng.random((times_ns.size, len(fields)))
    window = np.maximum(np.searchsorted(np.array(laws.starts_ns), times_ns, side="right") - 1, 0)
    edges = np.searchsorted(window, np.arange(len(laws.starts_ns) + 1))
    for index in np.unique(window).tolist():
        rows = slice(edges[index], edges[index + 1])
        for column, name in enumerate(fields):
            luck[rows, column] = laws.fields[name][index].at(luck[rows, column])
    return luck
