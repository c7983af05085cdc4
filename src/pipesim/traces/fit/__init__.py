"""Laws fitted to traces: their rate curve, and their burstiness on all time scales."""

from pipesim.traces.fit.fitting import fit
from pipesim.traces.fit.recipe import recipe_yaml, traffic_document
from pipesim.traces.fit.result import Fit

__all__ = ["Fit", "fit", "recipe_yaml", "traffic_document"]
