"""A bound on the cost of every feasible plan: sound, whatever the plan does.

:mod:`~pipesim.planner.bound.paths` finds ways through the pipeline on which times add up,
:mod:`~pipesim.planner.bound.capacity` and :mod:`~pipesim.planner.bound.averages` say what a stage cannot escape,
:mod:`~pipesim.planner.bound.stands` puts that together for a stage on a path, and
:mod:`~pipesim.planner.bound.program` for all stages, in an integer program.
"""

from pipesim.planner.bound.program import Bound

__all__ = ["Bound"]
