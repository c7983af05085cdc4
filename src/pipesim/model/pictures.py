"""Pictures of what a scenario says: its pipeline, and the profiles of its models."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipesim.model.profile import ProfileSet
    from pipesim.model.scenario import Scenario
    from pipesim.plot import Axes


@dataclass(frozen=True, slots=True)
class ProfilePictures:
    """Pictures of profiles. Each is drawn in the axes given, or in a new figure; none is shown."""

    profiles: "ProfileSet"

    def latency(self, model: str, ax: "Axes | None" = None) -> "Axes":
        """Draw the latency of a model by batch size: see :func:`pipesim.model.frames.profile_curves`."""
        from pipesim import plot
        from pipesim.model.frames import profile_curves

        return plot.profile_latency(profile_curves(self.profiles, model), ax)

    def throughput(self, model: str, ax: "Axes | None" = None) -> "Axes":
        """Draw the throughput of a model by batch size: see :func:`pipesim.model.frames.profile_curves`."""
        from pipesim import plot
        from pipesim.model.frames import profile_curves

        return plot.profile_throughput(profile_curves(self.profiles, model), ax)


@dataclass(frozen=True, slots=True)
class ScenarioPictures:
    """Pictures of a scenario. Each is drawn in the axes given, or in a new figure; none is shown."""

    scenario: "Scenario"

    def pipeline(self, ax: "Axes | None" = None) -> "Axes":
        """Draw the pipeline: see :func:`pipesim.model.frames.edges_frame`."""
        from pipesim import plot
        from pipesim.model.frames import edges_frame, stages_frame

        pipeline = self.scenario.pipeline
        return plot.pipeline_graph(stages_frame(pipeline), edges_frame(pipeline), ax)
