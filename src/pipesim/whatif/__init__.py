"""Many scenarios that differ in a few fields, each simulated or planned: a frame with one row for each."""

from pipesim.whatif.metrics import DEFAULT_METRICS, PLAN_METRICS, SIMULATION_METRICS
from pipesim.whatif.rows import MAX_ROWS, zipped
from pipesim.whatif.sweep import Progress, what_if

__all__ = [
    "DEFAULT_METRICS",
    "MAX_ROWS",
    "PLAN_METRICS",
    "SIMULATION_METRICS",
    "Progress",
    "what_if",
    "zipped",
]
