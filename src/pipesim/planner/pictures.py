"""Pictures of answers, of methods side by side, and of what a plan depends on."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipesim.planner.explain import tightest
from pipesim.planner.frames import convergence, method_latencies, nearby_plans
from pipesim.planner.result import FeasiblePlan, MissedPlan, PlanningResult
from pipesim.units import NS_PER_S

if TYPE_CHECKING:
    from pipesim.planner.comparison import Comparison
    from pipesim.planner.sensitivity.study import Study
    from pipesim.plot import Axes


@dataclass(frozen=True, slots=True)
class AnswerPictures:
    """Pictures of an answer. Each is drawn in the axes given, or in a new figure; none is shown."""

    answer: PlanningResult

    def convergence(self, ax: "Axes | None" = None) -> "Axes":
        """Draw how the search went: see :func:`pipesim.planner.frames.convergence`."""
        from pipesim import plot

        return plot.convergence(convergence(self.answer), ax)


@dataclass(frozen=True, slots=True)
class PlanPictures(AnswerPictures):
    """Pictures of an answer with a plan; those of its simulation are under ``answer.simulation.plot``."""

    answer: FeasiblePlan | MissedPlan

    def pareto(self, ax: "Axes | None" = None, *, steps: int = 2) -> "Axes":
        """Draw cost and latency of plans near this one: see :func:`pipesim.planner.frames.nearby_plans`."""
        from pipesim import plot

        simulation = self.answer.simulation
        outcome = tightest(simulation)
        latency_s = float("nan") if outcome.latency_ns is None else outcome.latency_ns / NS_PER_S
        chosen = float(simulation.cost_usd_per_hour), latency_s
        bound_s = outcome.slo.bound_ns / NS_PER_S
        return plot.pareto(nearby_plans(self.answer, steps=steps), chosen, outcome.slo.label, bound_s, ax)


@dataclass(frozen=True, slots=True)
class ComparisonPictures:
    """Pictures of methods side by side. Each is drawn in the axes given, or in a new figure; none is shown."""

    comparison: "Comparison"

    def costs(self, ax: "Axes | None" = None) -> "Axes":
        """Draw what the plan of each method costs: see :meth:`pipesim.planner.Comparison.frame`."""
        from pipesim import plot

        return plot.method_costs(self.comparison.frame(), ax)

    def latencies(self, ax: "Axes | None" = None) -> "Axes":
        """Draw cost and latency of the plan of each method: see :func:`pipesim.planner.frames.method_latencies`."""
        from pipesim import plot

        return plot.method_latencies(method_latencies(self.comparison), ax)


@dataclass(frozen=True, slots=True)
class StudyPictures:
    """Pictures of what the cheapest plan depends on, one for each topic that was studied.

    Each is drawn in the axes given, or in a new figure; none is shown. A topic that was not studied is refused.
    """

    study: "Study"

    def slo(self, ax: "Axes | None" = None) -> "Axes":
        """Draw cost against bounds: see :func:`pipesim.planner.sensitivity.slo_staircase`."""
        from pipesim import plot

        return plot.slo_staircase(self.study.frame("slo"), ax)

    def load(self, ax: "Axes | None" = None) -> "Axes":
        """Draw cost against load: see :func:`pipesim.planner.sensitivity.load_staircase`."""
        from pipesim import plot

        return plot.load_staircase(self.study.frame("load"), ax)

    def prices(self, ax: "Axes | None" = None) -> "Axes":
        """Draw how far prices may move: see :func:`pipesim.planner.sensitivity.price_sensitivity`."""
        from pipesim import plot

        return plot.price_tornado(self.study.frame("prices"), ax)

    def profiles(self, ax: "Axes | None" = None) -> "Axes":
        """Draw how much slower models may become: see :func:`pipesim.planner.sensitivity.profile_sensitivity`."""
        from pipesim import plot

        return plot.slowdown_tornado(self.study.frame("profiles"), ax)

    def hardware(self, ax: "Axes | None" = None) -> "Axes":
        """Draw what each hardware is worth: see :func:`pipesim.planner.sensitivity.without_hardware`."""
        from pipesim import plot

        return plot.hardware_differences(self.study.frame("hardware"), ax)

    def relax(self, ax: "Axes | None" = None) -> "Axes":
        """Draw what would have to give: see :func:`pipesim.planner.sensitivity.relaxations`."""
        from pipesim import plot

        return plot.relaxations(self.study.frame("relax"), ax)
