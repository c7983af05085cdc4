"""The traffic of a scenario as an arrival trace."""

from pipesim.files import MAX_TABLE_BYTES, read_bytes
from pipesim.model.scenario import Scenario
from pipesim.model.traffic import GammaTraffic, PoissonTraffic, RecordedTraffic
from pipesim.traces.arrivals import ArrivalTrace
from pipesim.traces.generate import gamma, poisson, with_attributes
from pipesim.traces.read import parse_trace
from pipesim.traces.transform import compress_time, compress_to_rate, thin
from pipesim.units import NS_PER_S


def scenario_trace(scenario: Scenario) -> ArrivalTrace:
    """Return the arrivals that the scenario's traffic describes: drawn or read, then scaled, thinned, given attributes.

    Raises
    ------
    FileFormatError, InvalidInputError
        If a recorded trace cannot be read or scaled.
    """
    traffic, seed = scenario.file.traffic, scenario.seed
    match traffic:
        case RecordedTraffic():
            assert scenario.trace_path is not None
            trace = parse_trace(read_bytes(scenario.trace_path, MAX_TABLE_BYTES), traffic)
        case PoissonTraffic(poisson=law):
            trace = poisson(law.rate_qps, duration_s=_seconds(law.duration_ns), queries=law.queries, seed=seed)
        case GammaTraffic(gamma=law):
            trace = gamma(
                law.rate_qps, law.gap_scv, duration_s=_seconds(law.duration_ns), queries=law.queries, seed=seed
            )
    if traffic.load is not None:
        trace = compress_time(trace, traffic.load)
    if traffic.compress_to_qps is not None:
        trace = compress_to_rate(trace, traffic.compress_to_qps)
    if traffic.thin is not None:
        trace = thin(trace, traffic.thin, seed)
    return with_attributes(trace, traffic.attributes, seed)


def _seconds(duration_ns: int | None) -> float | None:
    return None if duration_ns is None else duration_ns / NS_PER_S
