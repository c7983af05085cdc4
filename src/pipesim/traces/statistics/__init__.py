"""The numbers that describe a trace: rates, peaks, variability, burstiness, and how arrivals depend on one another."""

from pipesim.traces.statistics.bins import (
    autocorrelation_of_counts,
    dispersion_of_counts,
    local_dispersion_of_counts,
)
from pipesim.traces.statistics.gaps import gap_autocorrelation, gap_histogram, gap_scv, simultaneous_share
from pipesim.traces.statistics.rates import rate_curve
from pipesim.traces.statistics.windows import (
    autocorrelation,
    describe,
    dispersion_curve,
    doubling_windows,
    empty_share,
    envelope,
    index_of_dispersion,
    local_index_of_dispersion,
    overview,
    peak_count,
)

__all__ = [
    "autocorrelation",
    "autocorrelation_of_counts",
    "describe",
    "dispersion_curve",
    "dispersion_of_counts",
    "doubling_windows",
    "empty_share",
    "envelope",
    "gap_autocorrelation",
    "gap_histogram",
    "gap_scv",
    "index_of_dispersion",
    "local_dispersion_of_counts",
    "local_index_of_dispersion",
    "overview",
    "peak_count",
    "rate_curve",
    "simultaneous_share",
]
