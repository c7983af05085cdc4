"""All that the cheapest plan of a scenario depends on, in one go."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd

from pipesim.engine import Workload
from pipesim.errors import invalid
from pipesim.planner.planning import plan
from pipesim.planner.result import FeasiblePlan, PlanningResult
from pipesim.planner.sensitivity.prices import price_sensitivity, profile_sensitivity, without_hardware
from pipesim.planner.sensitivity.reasons import binding, relaxations
from pipesim.planner.sensitivity.staircases import SustainedLoad, load_staircase, slo_staircase, sustained_load

if TYPE_CHECKING:
    from pipesim.planner.pictures import StudyPictures

OF_A_PLAN = ("slo", "load", "prices", "profiles", "hardware")
WITHOUT_A_PLAN = ("slo", "load", "relax")


@dataclass(frozen=True)
class Study:
    """What was found.

    Parameters
    ----------
    result
        The cheapest plan, or why there is none.
    frames
        By topic; a topic that does not apply has no rows.
    binds
        The constraints on the plan; None without one.
    sustained
        The largest load that the plan sustains, if load is a topic and there is a plan.
    """

    result: PlanningResult
    frames: dict[str, pd.DataFrame]
    binds: pd.DataFrame | None
    sustained: SustainedLoad | None

    @property
    def plot(self) -> "StudyPictures":
        """Return the pictures of it: ``study.plot.slo()``."""
        from pipesim.planner.pictures import StudyPictures

        return StudyPictures(self)

    def frame(self, topic: str) -> pd.DataFrame:
        """Return the frame of a topic.

        Raises
        ------
        InvalidInputError
            If it was not studied.
        """
        if topic not in self.frames:
            raise invalid("topic", topic, "was not studied", f"use one of {', '.join(self.frames)}, or study it")
        return self.frames[topic]


def study(
    workload: Workload,
    topics: Sequence[str] = (),
    *,
    max_evaluations: int,
    on_topic: Callable[[str], None] | None = None,
) -> Study:
    """Return what the cheapest plan of a workload depends on.

    Parameters
    ----------
    workload
        The scenario and its traffic.
    topics
        ``slo``, ``load``, ``prices``, ``profiles``, ``hardware``, ``relax``; all that apply if none is named.
    max_evaluations
        Tests of plans that each planning run may take.
    on_topic
        Called before the plan, and before each topic.
    """
    tell = on_topic or (lambda topic: None)
    tell("plan")
    result = plan(workload, max_evaluations=max_evaluations)
    feasible = result if isinstance(result, FeasiblePlan) else None
    frames: dict[str, pd.DataFrame] = {}
    for topic in topics or (OF_A_PLAN if feasible else WITHOUT_A_PLAN):
        tell(topic)
        frames[topic] = _frame(topic, result, max_evaluations)
    sustained = sustained_load(feasible) if feasible and "load" in frames else None
    return Study(result, frames, None if feasible is None else binding(feasible), sustained)


def _frame(topic: str, result: PlanningResult, max_evaluations: int) -> pd.DataFrame:
    if topic in ("prices", "profiles"):
        if not isinstance(result, FeasiblePlan):
            return pd.DataFrame()
        of_plan = price_sensitivity if topic == "prices" else profile_sensitivity
        return of_plan(result, max_evaluations=max_evaluations)
    of_any = {"slo": slo_staircase, "load": load_staircase, "hardware": without_hardware, "relax": relaxations}
    return of_any[topic](result, max_evaluations=max_evaluations)
