"""Laws fitted to traces: their rate curve, and their burstiness on all time scales."""

from pipesim.traces.fit.fitting import fit
from pipesim.traces.fit.recipe import fit_report, recipe_yaml
from pipesim.traces.fit.result import Fit

__all__ = ["Fit", "fit", "fit_report", "recipe_yaml"]
