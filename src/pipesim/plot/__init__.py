"""Pictures: frames in, matplotlib axes out; nothing is shown, and no state of pyplot is touched."""

from matplotlib.axes import Axes

from pipesim.plot.capacity import capacity
from pipesim.plot.image import IMAGE_FORMATS, image
from pipesim.plot.latency import latency_ccdf, latency_cdf, latency_over_time
from pipesim.plot.pipeline import pipeline_graph
from pipesim.plot.plans import convergence, method_costs, method_latencies, pareto
from pipesim.plot.profiles import profile_latency, profile_throughput
from pipesim.plot.sensitivity import (
    hardware_differences,
    load_staircase,
    price_tornado,
    relaxations,
    slo_staircase,
    slowdown_tornado,
)
from pipesim.plot.stages import (
    batch_sizes,
    cost_by_stage,
    queue_over_time,
    replica_timeline,
    stage_times,
    utilisation_over_time,
)
from pipesim.plot.traces import autocorrelation, dispersion_curve, envelope, gap_histogram, rate_curve, trace_figure

__all__ = [
    "IMAGE_FORMATS",
    "Axes",
    "autocorrelation",
    "batch_sizes",
    "capacity",
    "convergence",
    "cost_by_stage",
    "dispersion_curve",
    "envelope",
    "gap_histogram",
    "hardware_differences",
    "image",
    "latency_ccdf",
    "latency_cdf",
    "latency_over_time",
    "load_staircase",
    "method_costs",
    "method_latencies",
    "pareto",
    "pipeline_graph",
    "price_tornado",
    "profile_latency",
    "profile_throughput",
    "queue_over_time",
    "rate_curve",
    "relaxations",
    "replica_timeline",
    "slo_staircase",
    "slowdown_tornado",
    "stage_times",
    "trace_figure",
    "utilisation_over_time",
]
