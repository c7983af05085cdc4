"""Frames of an answer that pictures are drawn from: how the search went, and what plans near its plan do."""

import itertools
from collections.abc import Iterator
from typing import Any

import pandas as pd

from pipesim.engine import simulate_all
from pipesim.errors import invalid
from pipesim.model import Plan, Scenario, StagePlan
from pipesim.planner.comparison import Comparison
from pipesim.planner.explain import tightest
from pipesim.planner.result import FeasiblePlan, MissedPlan, PlanningResult
from pipesim.planner.sensitivity.cheapest import plan_in_short
from pipesim.units import NS_PER_S

MOST_NEARBY = 20_000
_NEARBY_COLUMNS = ["plan", "stages_changed", "cost_usd_per_hour", "latency_s", "met", "on_front"]


def convergence(result: PlanningResult) -> pd.DataFrame:
    """Return how the cheapest feasible plan and the bound came to meet, one row for each time that either changed.

    Columns: ``evaluations`` (tests taken by then), ``best_usd_per_hour`` (of the cheapest feasible plan; NaN before the
    first) and ``bound_usd_per_hour`` (no feasible plan costs less; NaN if the method proves none). Costs are weighed,
    if the scenario names a previous plan. The last row is the end. Of methods that keep no such history only the end is
    known.
    """
    history = result.history
    rows: list[dict[Any, Any]] = []
    if "best_usd_per_hour" in history:
        rows += history[["evaluations", "best_usd_per_hour", "bound_usd_per_hour"]].to_dict("records")
    elif "taken" in history:  # the greedy planner: each step that was feasible and taken
        rows += [
            {"evaluations": row["evaluations"], "best_usd_per_hour": row["cost_usd_per_hour"]}
            for row in history[history["feasible"] & history["taken"]].to_dict("records")
        ]
    bound, nan = result.bound_usd_per_hour, float("nan")
    end = {
        "evaluations": result.evaluations,
        "best_usd_per_hour": float(result.weighed_usd_per_hour) if isinstance(result, FeasiblePlan) else nan,
        "bound_usd_per_hour": nan if bound is None else float(bound),
    }
    frame = pd.DataFrame([*rows, end], columns=list(end)).astype({"evaluations": int})
    costs = frame.drop(columns="evaluations").astype(float).fillna(-1)
    changes = (costs != costs.shift()).any(axis=1)
    changes.iloc[-1] = True
    return frame[changes].reset_index(drop=True)


def nearby_plans(result: FeasiblePlan | MissedPlan, *, steps: int = 2) -> pd.DataFrame:
    """Return what plans near the answer's plan cost and how fast they are, cheapest first, the plan itself among them.

    Searches keep no latencies, so these plans are simulated, on the first workload of the question: all that differ in
    one stage or two by up to some replicas each, and those whose one stage has another batch limit or other hardware of
    the search space, with as many replicas as serve as many items a second at least. Quotas hold. This shows the trade
    between cost and latency around the plan; it proves nothing.

    Parameters
    ----------
    result
        With the plan.
    steps
        By how many replicas a stage may differ.

    Returns
    -------
    pandas.DataFrame
        ``plan`` (in short), ``stages_changed``, ``cost_usd_per_hour``, ``latency_s`` (at the quantile of the answer's
        tightest objective, in its worst window if it has windows; NaN without queries), ``met`` (all objectives),
        ``on_front`` (none of these plans is at least as good in both cost and latency, and better in one).

    Raises
    ------
    InvalidInputError
        If `steps` is not at least 1, or more than 20,000 plans would be simulated.
    """
    if steps < 1:
        raise invalid("steps", steps, "is not allowed", "use at least 1")
    scenario, workload = result.workload.scenario, result.workload
    stages = len(scenario.pipeline.stages)
    most = stages * stages * (2 * steps + 1) ** 2 // 2
    if most > MOST_NEARBY:
        raise invalid("steps", steps, f"makes some {most:,} plans", "use fewer")
    plans, slo = list(_nearby(scenario, result, steps)), tightest(result.simulation).slo
    rows = []
    for one in simulate_all((workload, plan) for plan in plans):
        outcome = one.slo_outcome(slo)
        rows.append(
            {
                "plan": plan_in_short(one.plan),
                "stages_changed": sum(one.plan.stages[name] != before for name, before in plans[0].stages.items()),
                "cost_usd_per_hour": float(one.cost_usd_per_hour),
                "latency_s": float("nan") if outcome.latency_ns is None else outcome.latency_ns / NS_PER_S,
                "met": one.met,
            }
        )
    frame = pd.DataFrame(rows).sort_values(["cost_usd_per_hour", "latency_s"], kind="stable", ignore_index=True)
    cheaper = frame["latency_s"].cummin().shift(fill_value=float("inf"))
    return frame.assign(on_front=frame["latency_s"] < cheaper)[_NEARBY_COLUMNS]


def method_latencies(comparison: Comparison) -> pd.DataFrame:
    """Return what the plan of each method costs and how it fares (index ``method``; only those with a plan).

    Columns: ``status``, ``cost_usd_per_hour``, ``objective`` (the tightest of that plan), ``latency_s`` (at its
    quantile, in its worst window if it has windows; NaN without queries), ``bound_s``, ``over_bound`` (latency over
    bound: above 1 the objective is missed).
    """
    rows = []
    for method, answer in comparison.results.items():
        if isinstance(answer, FeasiblePlan | MissedPlan):
            outcome = tightest(answer.simulation)
            latency_s = float("nan") if outcome.latency_ns is None else outcome.latency_ns / NS_PER_S
            bound_s = outcome.slo.bound_ns / NS_PER_S
            rows.append(
                {
                    "method": method,
                    "status": answer.status,
                    "cost_usd_per_hour": float(answer.simulation.cost_usd_per_hour),
                    "objective": str(outcome.slo),
                    "latency_s": latency_s,
                    "bound_s": bound_s,
                    "over_bound": latency_s / bound_s,
                }
            )
    columns = ["method", "status", "cost_usd_per_hour", "objective", "latency_s", "bound_s", "over_bound"]
    return pd.DataFrame(rows, columns=columns).set_index("method")


def _nearby(scenario: Scenario, result: FeasiblePlan | MissedPlan, steps: int) -> Iterator[Plan]:
    """Yield the plan, then those near it, each once."""
    plan, space = result.simulation.plan, scenario.space
    seen = {tuple(plan.stages.items())}
    yield plan
    settings: dict[str, list[StagePlan]] = {}
    for name, chosen in plan.stages.items():
        counts = range(max(space[name].min_replicas, chosen.replicas - steps), chosen.replicas + steps + 1)
        fewest = [count for count in counts if count <= max(space[name].max_replicas, chosen.replicas)]
        settings[name] = [chosen.model_copy(update={"replicas": count}) for count in fewest]
    changes: list[dict[str, StagePlan]] = [
        {one: first, other: second}
        for one, other in itertools.combinations(settings, 2)
        for first in settings[one]
        for second in settings[other]
    ]
    changes += [{name: setting} for name, some in settings.items() for setting in some]
    for name, chosen in plan.stages.items():
        for option in space[name].options:
            for size in option.batch_sizes:
                setting = _as_strong(scenario, name, chosen, option.setting(1, size))
                if setting is not None:
                    changes.append({name: setting})
    for change in changes:
        stages = {**plan.stages, **change}
        other, key = Plan(stages=stages), tuple(stages.items())
        if key not in seen and not scenario.over_quota(other):
            seen.add(key)
            yield other


def _as_strong(scenario: Scenario, stage: str, chosen: StagePlan, other: StagePlan) -> StagePlan | None:
    """Return another setting of a stage with the fewest replicas that serve as many full batches' items a second."""
    if (chosen.hardware, chosen.max_batch_size) == (other.hardware, other.max_batch_size):
        return None

    def items_per_s(setting: StagePlan) -> float:
        spec = scenario.pipeline.stages[stage]
        latency_ns = int(scenario.profiles[spec.model, setting.hardware].table_ns[setting.max_batch_size])
        return setting.max_batch_size / ((latency_ns + spec.batch_overhead_ns) / NS_PER_S)

    replicas = -int(-chosen.replicas * items_per_s(chosen) // items_per_s(other))
    space = scenario.space[stage]
    if replicas > space.max_replicas:
        return None
    return other.model_copy(update={"replicas": max(space.min_replicas, replicas)})
