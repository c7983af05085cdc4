"""The one way into the planner: a question, a method and a budget go in, an answer comes out."""

from collections.abc import Callable
from typing import Literal, get_args

import pandas as pd

from pipesim.engine import Workload, simulate
from pipesim.errors import invalid
from pipesim.model import Plan, Scenario
from pipesim.planner.evaluator import Budget, Evaluator, Progress, Question, StopSearchError
from pipesim.planner.explain import describe_ceiling
from pipesim.planner.finding import Finding, Obstacle
from pipesim.planner.methods.ceiling import ceil_plan
from pipesim.planner.methods.coarse import coarse_grained_plan
from pipesim.planner.methods.evolution import evolve
from pipesim.planner.methods.exact import enumerate_plans
from pipesim.planner.methods.greedy import plan_greedily
from pipesim.planner.methods.search import search
from pipesim.planner.result import FeasiblePlan, Infeasible, MissedPlan, OutOfBudget, PlanningResult
from pipesim.planner.verification import verify

Method = Literal["search", "greedy", "evolution", "exact", "cg-mean", "cg-peak", "ceil"]
METHODS: tuple[Method, ...] = get_args(Method)
MAX_EVALUATIONS = 50_000
"""Tests of plans that a search may take if nothing else is said."""


def plan(
    scenario: Scenario | Workload | Question,
    *,
    method: Method = "search",
    max_evaluations: int = MAX_EVALUATIONS,
    time_limit_s: float | None = None,
    threads: int | None = None,
    verified: bool = True,
    progress: Progress | None = None,
) -> PlanningResult:
    """Return the cheapest plan found that meets the scenario's objectives, or why there is none.

    Parameters
    ----------
    scenario
        The scenario; its workload if that is at hand; or a question that asks for more (:func:`question_of`).
    method
        ``search`` finds the cheapest plan it can, and how far it can be from the cheapest there is; ``greedy`` is
        InferLine's planner, ``evolution`` is differential evolution, ``exact`` tries all plans in order of cost;
        ``cg-mean`` and ``cg-peak`` are InferLine's coarse-grained baselines and ``ceil`` is division: these three do
        not simulate, and their plans may miss.
    max_evaluations
        How many tests of plans, or of parts of plans, may be made.
    time_limit_s
        After how many seconds to stop with what was found. The result then says that it is not reproducible, as it does
        after an interruption from the keyboard.
    threads
        How many tests go on at once, by default as many as this process may use cores. It changes no result.
    verified
        Whether the plan is run again on the reference engine, which can take longer than the search. A plan that money
        is spent on should be.
    progress
        Called after each block of tests with where the search stands.

    Raises
    ------
    FileFormatError, InvalidInputError
        If the traffic cannot be read, or does not carry what the pipeline needs, or an argument is out of range.
    """
    if method not in METHODS:
        raise invalid("method", method, "is not known", f"use one of {', '.join(METHODS)}")
    if max_evaluations < 1:
        raise invalid("max_evaluations", max_evaluations, "is not allowed", "use at least 1")
    if threads is not None and threads < 1:
        raise invalid("threads", threads, "is not allowed", "use at least 1")
    if time_limit_s is not None and not time_limit_s > 0:
        raise invalid("time_limit_s", time_limit_s, "is not allowed", "use more than 0")
    question = Question.of(scenario)
    evaluator = Evaluator(question, Budget(max_evaluations, time_limit_s, threads), progress)
    try:
        finding = _METHODS[method](evaluator)
    except KeyboardInterrupt:
        if evaluator.best is None:
            raise
        evaluator.stopped_by = "keyboard"
        finding = Finding(evaluator.best, pd.DataFrame(), complete=False)
    finally:
        evaluator.close()
    return _answer(evaluator, method, finding, verified=verified)


def _answer(evaluator: Evaluator, method: Method, finding: Finding, *, verified: bool) -> PlanningResult:
    common = (evaluator.question, method, finding.history, evaluator.evaluations, evaluator.bound_usd_per_hour)
    if finding.plan is None:
        if finding.obstacle is not None:
            why = finding.obstacle
            return Infeasible(*common, why.proved, why.reason, why.remedies)
        return OutOfBudget(*common)
    if not evaluator.is_affordable(finding.plan):
        ceiling = evaluator.scenario.max_cost_usd_per_hour
        assert ceiling is not None
        return Infeasible(*common, False, *describe_ceiling(evaluator.scenario, ceiling, proved=False))
    result = simulate(evaluator.workload, finding.plan)
    verification = verify(result) if verified else None
    if method in _RULES and not evaluator.stands(finding.plan):
        return MissedPlan(*common, result, verification)
    reproducible = evaluator.stopped_by not in ("time limit", "keyboard")
    return FeasiblePlan(*common, result, verification, finding.complete, reproducible, finding.proof)


def _by_rule(rule: Callable[[Evaluator], Plan | None]) -> Callable[[Evaluator], Finding]:
    def method(evaluator: Evaluator) -> Finding:
        plan = rule(evaluator)
        if plan is None:
            reason = "No number of copies of the whole pipeline, with one batch size, meets the bound and the rate."
            obstacle = Obstacle(False, reason, ("Use another method.",))
            return Finding(None, pd.DataFrame(), obstacle=obstacle)
        return Finding(plan, pd.DataFrame())

    return method


def _evolution(evaluator: Evaluator) -> Finding:
    try:
        plan = evolve(evaluator, seed=evaluator.scenario.seed)
        if plan is None:
            reason = "None of the plans that evolution tried meets the objectives within the quotas."
            return Finding(None, pd.DataFrame(), obstacle=Obstacle(False, reason, ("Use another method.",)))
        return Finding(plan, pd.DataFrame())
    except StopSearchError:
        return Finding(evaluator.best, pd.DataFrame(), complete=False)


_RULES = ("cg-mean", "cg-peak", "ceil")
_METHODS: dict[Method, Callable[[Evaluator], Finding]] = {
    "search": search,
    "greedy": plan_greedily,
    "evolution": _evolution,
    "exact": enumerate_plans,
    "cg-mean": _by_rule(lambda evaluator: coarse_grained_plan(evaluator.workload, "mean")),
    "cg-peak": _by_rule(lambda evaluator: coarse_grained_plan(evaluator.workload, "peak")),
    "ceil": _by_rule(lambda evaluator: ceil_plan(evaluator.workload)),
}
