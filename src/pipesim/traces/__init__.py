"""Arrival traces: generated, read from files, transformed and described."""

from pipesim.traces.arrivals import ArrivalTrace
from pipesim.traces.generate import PIECE, gamma, poisson
from pipesim.traces.of_scenario import expected_duration_ns, scenario_trace, scenario_trace_pieces
from pipesim.traces.read import parse_trace
from pipesim.traces.statistics import describe, gap_scv, index_of_dispersion, peak_count
from pipesim.traces.transform import compress_time, compress_to_rate, thin
from pipesim.traces.write import trace_csv

__all__ = [
    "PIECE",
    "ArrivalTrace",
    "compress_time",
    "compress_to_rate",
    "describe",
    "expected_duration_ns",
    "gamma",
    "gap_scv",
    "index_of_dispersion",
    "parse_trace",
    "peak_count",
    "poisson",
    "scenario_trace",
    "scenario_trace_pieces",
    "thin",
    "trace_csv",
]
