"""The search for the cheapest plan that meets the objectives."""

from pipesim.planner.comparison import Comparison, compare
from pipesim.planner.evaluator import Budget, Question, State
from pipesim.planner.fastest import FastestPlan, fastest_plan
from pipesim.planner.planning import METHODS, Method, plan
from pipesim.planner.result import FeasiblePlan, Infeasible, MissedPlan, OutOfBudget, PlanningResult
from pipesim.planner.robust import question_of

__all__ = [
    "METHODS",
    "Budget",
    "Comparison",
    "FastestPlan",
    "FeasiblePlan",
    "Infeasible",
    "Method",
    "MissedPlan",
    "OutOfBudget",
    "PlanningResult",
    "Question",
    "State",
    "compare",
    "fastest_plan",
    "plan",
    "question_of",
]
