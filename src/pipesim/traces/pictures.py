"""Pictures of arrival traces."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipesim.plot import Axes
    from pipesim.traces.arrivals import ArrivalTrace


@dataclass(frozen=True, slots=True)
class TracePictures:
    """Pictures of a trace. Each is drawn in the axes given, or in a new figure; none is shown."""

    trace: "ArrivalTrace"

    def rate(self, ax: "Axes | None" = None) -> "Axes":
        """Draw the rate over time: see :func:`pipesim.traces.rate_curve`."""
        from pipesim import plot
        from pipesim.traces.statistics import rate_curve

        return plot.rate_curve(rate_curve(self.trace), ax)

    def gaps(self, ax: "Axes | None" = None) -> "Axes":
        """Draw the distribution of gaps: see :func:`pipesim.traces.gap_histogram`."""
        from pipesim import plot
        from pipesim.traces.statistics import gap_histogram

        return plot.gap_histogram(gap_histogram(self.trace), ax)

    def dispersion(self, ax: "Axes | None" = None) -> "Axes":
        """Draw the index of dispersion by window: see :func:`pipesim.traces.dispersion_curve`."""
        from pipesim import plot
        from pipesim.traces.statistics import dispersion_curve

        return plot.dispersion_curve(dispersion_curve(self.trace), ax)

    def envelope(self, ax: "Axes | None" = None) -> "Axes":
        """Draw the busiest window of each length: see :func:`pipesim.traces.envelope`."""
        from pipesim import plot
        from pipesim.traces.statistics import envelope

        return plot.envelope(envelope(self.trace), ax, self.trace.mean_rate_qps)

    def autocorrelation(self, ax: "Axes | None" = None) -> "Axes":
        """Draw the autocorrelation of counts: see :func:`pipesim.traces.autocorrelation`."""
        from pipesim import plot
        from pipesim.traces.statistics import autocorrelation

        return plot.autocorrelation(autocorrelation(self.trace), ax)
