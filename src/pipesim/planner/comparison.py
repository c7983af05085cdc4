"""The methods of planning side by side, on one question."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd

from pipesim.engine import Workload
from pipesim.errors import invalid
from pipesim.model import Scenario
from pipesim.planner.evaluator import Question
from pipesim.planner.explain import tightest
from pipesim.planner.planning import MAX_EVALUATIONS, METHODS, Method, plan
from pipesim.planner.result import FeasiblePlan, Infeasible, MissedPlan, PlanningResult
from pipesim.units import NS_PER_S

if TYPE_CHECKING:
    from pipesim.planner.pictures import ComparisonPictures


@dataclass(frozen=True)
class Comparison:
    """What each method answers.

    Parameters
    ----------
    results
        By method.
    seconds
        How long each took, with the verification of its plan: the only thing here that differs from run to run.
    """

    results: dict[Method, PlanningResult]
    seconds: dict[Method, float]

    @property
    def plot(self) -> "ComparisonPictures":
        """Return the pictures of it: ``comparison.plot.costs()``."""
        from pipesim.planner.pictures import ComparisonPictures

        return ComparisonPictures(self)

    def frame(self) -> pd.DataFrame:
        """Return one row for each method (index ``method``).

        Columns: ``status``, ``cost_usd_per_hour`` (NaN without a plan), ``over_best`` (how much dearer than the
        cheapest feasible plan, as a share of its cost), ``latency_s`` (of the tightest objective, at its quantile),
        ``miss_rate`` (of it), ``evaluations``, ``gap`` (to the best bound that any method has proved).
        """
        bounds = [one.bound_usd_per_hour for one in self.results.values() if one.bound_usd_per_hour is not None]
        bound = float(max(bounds)) if bounds else float("nan")
        costs = [float(one.weighed_usd_per_hour) for one in self.results.values() if isinstance(one, FeasiblePlan)]
        best = min(costs, default=float("nan"))
        rows = []
        for method, result in self.results.items():
            row: dict[str, object] = {
                "method": method,
                "status": _status(result),
                "cost_usd_per_hour": float("nan"),
                "over_best": float("nan"),
                "latency_s": float("nan"),
                "miss_rate": float("nan"),
                "evaluations": result.evaluations,
                "gap": float("nan"),
            }
            if isinstance(result, FeasiblePlan | MissedPlan):
                outcome, cost = tightest(result.simulation), float(result.weighed_usd_per_hour)
                row |= {
                    "cost_usd_per_hour": float(result.simulation.cost_usd_per_hour),
                    "latency_s": float("nan") if outcome.latency_ns is None else outcome.latency_ns / NS_PER_S,
                    "miss_rate": outcome.miss_rate,
                }
                if best:
                    row["over_best"] = cost / best - 1
                if isinstance(result, FeasiblePlan) and cost:
                    row["gap"] = max(0.0, 1 - bound / cost)
            rows.append(row)
        return pd.DataFrame(rows).set_index("method")


def _status(result: PlanningResult) -> str:
    if isinstance(result, Infeasible):
        return "infeasible" if result.proved else "none found"
    return result.status


def compare(
    scenario: Scenario | Workload | Question,
    methods: Sequence[Method] = METHODS,
    *,
    max_evaluations: int = MAX_EVALUATIONS,
    time_limit_s: float | None = None,
    on_method: Callable[[Method], None] | None = None,
) -> Comparison:
    """Return what each method answers to one question, under one budget.

    Parameters
    ----------
    scenario
        The question.
    methods
        Those to run, in this order.
    max_evaluations, time_limit_s
        Of each method: see :func:`pipesim.planner.plan`.
    on_method
        Called before each.
    """
    question = Question.of(scenario)
    if not methods:
        raise invalid("methods", list(methods), "is empty", f"name some of {', '.join(METHODS)}")
    results: dict[Method, PlanningResult] = {}
    seconds: dict[Method, float] = {}
    for method in methods:
        if on_method is not None:
            on_method(method)
        started = time.perf_counter()
        results[method] = plan(question, method=method, max_evaluations=max_evaluations, time_limit_s=time_limit_s)
        seconds[method] = time.perf_counter() - started
        found = results[method]
        if time_limit_s is None and isinstance(found, FeasiblePlan) and not found.reproducible:
            raise KeyboardInterrupt  # it ended one method of several
    return Comparison(results, seconds)
