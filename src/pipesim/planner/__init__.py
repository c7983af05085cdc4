"""The search for the cheapest plan that meets the objectives."""

from pipesim.planner.greedy import plan_greedily
from pipesim.planner.planning import plan
from pipesim.planner.result import FeasiblePlan, Infeasible, OutOfBudget, PlanningResult

__all__ = ["FeasiblePlan", "Infeasible", "OutOfBudget", "PlanningResult", "plan", "plan_greedily"]
