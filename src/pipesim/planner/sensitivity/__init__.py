"""What the cheapest plan depends on: bounds, load, prices, models and hardware, and what binds it."""

from pipesim.planner.sensitivity.prices import price_sensitivity, profile_sensitivity, without_hardware
from pipesim.planner.sensitivity.reasons import binding, relaxations
from pipesim.planner.sensitivity.staircases import SustainedLoad, load_staircase, slo_staircase, sustained_load

__all__ = [
    "SustainedLoad",
    "binding",
    "load_staircase",
    "price_sensitivity",
    "profile_sensitivity",
    "relaxations",
    "slo_staircase",
    "sustained_load",
    "without_hardware",
]
