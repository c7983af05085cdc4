"""Pictures of simulations: ``result.plot.latency_cdf()`` draws a frame that a function gives under the same noun."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipesim.engine.capacity import capacity_curves
from pipesim.engine.series import (
    latency_distribution,
    latency_over_time,
    objectives,
    pipeline_stages,
    replicas_over_time,
    stage_times,
    stages_over_time,
)
from pipesim.engine.summary import Summary
from pipesim.model.frames import edges_frame

if TYPE_CHECKING:
    from pipesim.engine.result import SimulationResult
    from pipesim.plot import Axes


@dataclass(frozen=True, slots=True)
class SimulationPictures:
    """Pictures of a simulation. Each is drawn in the axes given, or in a new figure; none is shown."""

    result: "SimulationResult"

    def latency_cdf(self, ax: "Axes | None" = None) -> "Axes":
        """Draw the distribution of latencies: see :func:`pipesim.engine.series.latency_distribution`."""
        from pipesim import plot

        return plot.latency_cdf(latency_distribution(self.result), objectives(self.result), ax)

    def latency_ccdf(self, ax: "Axes | None" = None) -> "Axes":
        """Draw the tail of the latencies: see :func:`pipesim.engine.series.latency_distribution`."""
        from pipesim import plot

        return plot.latency_ccdf(latency_distribution(self.result), objectives(self.result), ax)

    def latency_over_time(self, ax: "Axes | None" = None, *, interval_s: float | None = None) -> "Axes":
        """Draw quantiles of the latency over time: see :func:`pipesim.engine.series.latency_over_time`."""
        from pipesim import plot

        return plot.latency_over_time(latency_over_time(self.result, interval_s), objectives(self.result), ax)

    def stage_times(self, ax: "Axes | None" = None) -> "Axes":
        """Draw waiting and service at each stage: see :func:`pipesim.engine.series.stage_times`."""
        from pipesim import plot

        return plot.stage_times(stage_times(self.result), ax)

    def queue_over_time(self, ax: "Axes | None" = None, *, interval_s: float | None = None) -> "Axes":
        """Draw the items that wait over time: see :func:`pipesim.engine.series.stages_over_time`."""
        from pipesim import plot

        return plot.queue_over_time(stages_over_time(self.result, interval_s), ax)

    def utilisation_over_time(self, ax: "Axes | None" = None, *, interval_s: float | None = None) -> "Axes":
        """Draw how busy the stages are over time: see :func:`pipesim.engine.series.stages_over_time`."""
        from pipesim import plot

        return plot.utilisation_over_time(stages_over_time(self.result, interval_s), ax)

    def batch_sizes(self, ax: "Axes | None" = None) -> "Axes":
        """Draw the sizes of batches: see :attr:`pipesim.engine.SimulationResult.batch_sizes`."""
        from pipesim import plot

        return plot.batch_sizes(self.result.batch_sizes, self.result.stages, ax)

    def capacity(self, ax: "Axes | None" = None) -> "Axes":
        """Draw arrivals against capacity: see :func:`pipesim.engine.capacity.capacity_curves`."""
        from pipesim import plot

        return plot.capacity(capacity_curves(self.result), objectives(self.result), ax)

    def pipeline(self, ax: "Axes | None" = None) -> "Axes":
        """Draw the pipeline with its plan: see :func:`pipesim.engine.series.pipeline_stages`."""
        from pipesim import plot

        return plot.pipeline_graph(pipeline_stages(self.result), edges_frame(self.result.scenario.pipeline), ax)

    def cost_by_stage(self, ax: "Axes | None" = None) -> "Axes":
        """Draw what each stage costs: see :attr:`pipesim.engine.SimulationResult.stages`."""
        from pipesim import plot

        return plot.cost_by_stage(self.result.stages, ax)

    def replicas(self, ax: "Axes | None" = None) -> "Axes":
        """Draw the replicas of each stage over time: see :func:`pipesim.engine.series.replicas_over_time`."""
        from pipesim import plot

        return plot.replica_timeline(replicas_over_time(self.result), ax)


@dataclass(frozen=True, slots=True)
class SummaryPictures:
    """Pictures of a run that was too long to keep. Each is drawn in the axes given, or in a new figure."""

    summary: Summary

    def latency_over_time(self, ax: "Axes | None" = None) -> "Axes":
        """Draw quantiles of the latency over time: see :attr:`pipesim.engine.Summary.series`."""
        from pipesim import plot

        return plot.latency_over_time(self.summary.series, objectives(self.summary), ax)

    def cost_by_stage(self, ax: "Axes | None" = None) -> "Axes":
        """Draw what each stage costs: see :attr:`pipesim.engine.Summary.stages`."""
        from pipesim import plot

        return plot.cost_by_stage(self.summary.stages, ax)
