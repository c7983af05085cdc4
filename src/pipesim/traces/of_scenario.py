"""The traffic of a scenario as an arrival trace, whole or in pieces."""

from collections.abc import Iterator

from pipesim.errors import invalid
from pipesim.files import MAX_TABLE_BYTES, read_bytes
from pipesim.model.scenario import Scenario
from pipesim.model.traffic import GammaTraffic, PoissonTraffic, RecordedTraffic
from pipesim.streams import Streams
from pipesim.traces.arrivals import ArrivalTrace
from pipesim.traces.generate import PIECE, check_memory, gamma_pieces, joined, with_attributes
from pipesim.traces.read import parse_trace
from pipesim.traces.transform import compressed, thinned
from pipesim.units import NS_PER_S


def scenario_trace(scenario: Scenario) -> ArrivalTrace:
    """Return the arrivals that the scenario's traffic describes: drawn or read, then scaled, thinned, given attributes.

    Raises
    ------
    FileFormatError, InvalidInputError
        If a recorded trace cannot be read or scaled, or there are too many queries to hold at once.
    """
    traffic = scenario.file.traffic
    if not isinstance(traffic, RecordedTraffic):
        law = traffic.poisson if isinstance(traffic, PoissonTraffic) else traffic.gamma
        check_memory(law.expected_queries * (traffic.thin or 1))
    return joined(scenario_trace_pieces(scenario, PIECE))


def scenario_trace_pieces(scenario: Scenario, size: int) -> Iterator[ArrivalTrace]:
    """Return the arrivals of :func:`scenario_trace` in pieces made from `size` queries each, whose number has no limit.

    A piece has fewer queries if it is thinned, or the last. All times count from the beginning of the whole trace. The
    duration of the last piece is that of the whole trace.

    Raises
    ------
    FileFormatError, InvalidInputError
        As :func:`scenario_trace`.
    """
    traffic, streams = scenario.file.traffic, Streams(scenario.seed)
    recorded = _recorded(scenario) if isinstance(traffic, RecordedTraffic) else None
    factor, field, value = traffic.load, "load", traffic.load
    if traffic.compress_to_qps is not None:
        field, value = "compress_to_qps", traffic.compress_to_qps
        factor = _factor_to_rate(_pieces(scenario, recorded, size), value)
    for piece in _pieces(scenario, recorded, size):
        scaled = piece if factor is None or value is None else compressed(piece, factor, field, value)
        if traffic.thin is not None:
            scaled = thinned(scaled, traffic.thin, streams.of("thin"))
        yield with_attributes(scaled, traffic.attributes, streams)


def expected_duration_ns(scenario: Scenario, first: ArrivalTrace) -> int:
    """Return how long the traffic of a scenario lasts, given its first piece; on average, if only chance knows."""
    traffic = scenario.file.traffic
    if not isinstance(traffic, RecordedTraffic):
        law = traffic.poisson if isinstance(traffic, PoissonTraffic) else traffic.gamma
        if law.queries is not None:
            rate_qps = traffic.compress_to_qps or law.rate_qps * (traffic.load or 1)
            return round(law.queries / rate_qps * NS_PER_S)
    return first.duration_ns


def _factor_to_rate(pieces: Iterator[ArrivalTrace], rate_qps: float) -> float:
    """Return the factor that gives a trace a mean rate when its time is compressed by it."""
    queries, duration_ns = 0, 0
    for piece in pieces:
        queries, duration_ns = queries + len(piece), piece.duration_ns
    if not (queries and duration_ns):
        raise invalid("compress_to_qps", rate_qps, "cannot be reached: the trace has no duration", "use another trace")
    return rate_qps / (queries / (duration_ns / NS_PER_S))


def _recorded(scenario: Scenario) -> ArrivalTrace:
    assert isinstance(scenario.file.traffic, RecordedTraffic)
    assert scenario.trace_path is not None
    return parse_trace(read_bytes(scenario.trace_path, MAX_TABLE_BYTES), scenario.file.traffic)


def _pieces(scenario: Scenario, recorded: ArrivalTrace | None, size: int) -> Iterator[ArrivalTrace]:
    """Return the traffic as it is recorded or drawn, in pieces."""
    traffic, seed = scenario.file.traffic, scenario.seed
    if recorded is not None:
        for first in range(0, max(1, len(recorded)), size):
            yield recorded.between(first, first + size)
    elif isinstance(traffic, PoissonTraffic):
        law = traffic.poisson
        yield from gamma_pieces(law.rate_qps, 1.0, law.duration_s, law.queries, seed=seed, size=size)
    elif isinstance(traffic, GammaTraffic):
        gamma = traffic.gamma
        yield from gamma_pieces(gamma.rate_qps, gamma.gap_scv, gamma.duration_s, gamma.queries, seed=seed, size=size)
