"""InferLine's greedy planner, on scenarios small enough to follow by hand."""

from pathlib import Path
from typing import Any

import pytest

from build import make_scenario, make_trace
from pipesim.engine import Workload, simulate
from pipesim.model import Scenario, load_scenario
from pipesim.planner import FeasiblePlan, Infeasible, OutOfBudget, PlanningResult, plan

PRICES = {
    "units": {
        "slow": {"kind": "cpu", "unit": "core", "price_usd_per_hour": 1},
        "fast": {"kind": "gpu", "unit": "gpu", "price_usd_per_hour": 5},
    }
}


Curves = dict[str, dict[str, dict[int, str]]]


def scenario_of(curves: Curves, slo: str = "100ms", objectives: Any = None, **fields: Any) -> Scenario:
    """Return a chain of stages with the given curves, by default under 50 queries a second and p99 <= 100 ms."""
    before = ["", *curves][: len(curves)]
    pipeline = {stage: {"after": [up]} if up else {} for stage, up in zip(curves, before, strict=True)}
    traffic = {"poisson": {"rate_qps": 50, "queries": 1000}}
    given = {"traffic": traffic, "slo": objectives or {"p99": slo}, "seed": 1} | fields
    return make_scenario(pipeline, profiles=curves, prices=PRICES, **given)


def feasible(result: PlanningResult) -> FeasiblePlan:
    assert isinstance(result, FeasiblePlan)
    return result


def test_the_plan_meets_the_objective_when_it_is_simulated_again() -> None:
    scenario = scenario_of({"a": {"fast": {1: "10ms", 8: "30ms"}}, "b": {"slow": {1: "15ms"}, "fast": {1: "5ms"}}})
    result = feasible(plan(scenario))
    assert simulate(scenario, result.simulation.plan).met
    assert result.complete


def test_hardware_is_downgraded_where_the_slower_one_is_cheaper_and_fast_enough() -> None:
    result = feasible(plan(scenario_of({"a": {"slow": {1: "10ms"}, "fast": {1: "5ms"}}})))
    chosen = result.simulation.plan.stages["a"]
    assert (chosen.hardware, result.simulation.cost_usd_per_hour) == ("slow", chosen.replicas)


def test_hardware_is_kept_where_the_slower_one_cannot_meet_the_objective() -> None:
    result = feasible(plan(scenario_of({"a": {"slow": {1: "120ms"}, "fast": {1: "5ms"}}})))
    assert result.simulation.plan.stages["a"].hardware == "fast"


def test_a_larger_batch_is_taken_at_equal_cost_so_that_a_replica_can_go() -> None:
    # 50 queries a second of 30 ms each keep 1.5 replicas busy; in batches one replica is enough
    scenario = scenario_of({"a": {"fast": {1: "30ms", 8: "44ms"}}}, slo="200ms")
    result = feasible(plan(scenario))
    chosen = result.simulation.plan.stages["a"]
    assert (chosen.replicas, chosen.max_batch_size) == (1, 8)
    taken = result.history[result.history["taken"]]
    assert {"add replica", "increase batch", "remove replica"} <= set(taken["action"])


def test_the_search_never_takes_a_dearer_plan_and_ends() -> None:
    scenario = scenario_of(
        {"a": {"fast": {1: "10ms", 8: "10ms"}, "slow": {1: "30ms", 8: "60ms"}}, "b": {"slow": {1: "8ms"}}}
    )
    history = feasible(plan(scenario)).history
    steps = history[history["taken"] & history["feasible"]]["cost_usd_per_hour"]
    assert steps.is_monotonic_decreasing


def test_the_first_plan_has_the_fastest_hardware_at_batch_1_and_grows_at_the_bottleneck() -> None:
    scenario = scenario_of({"a": {"slow": {1: "10ms"}}, "b": {"slow": {1: "45ms"}}})
    history = feasible(plan(scenario)).history
    added = history[history["action"] == "add replica"]
    assert added["stage"].tolist()[:2] == ["b", "b"]


def test_a_service_time_above_the_objective_is_infeasible_and_says_what_would_have_to_give() -> None:
    result = plan(scenario_of({"a": {"fast": {1: "60ms"}}, "b": {"slow": {1: "70ms"}}}))
    assert isinstance(result, Infeasible)
    assert result.evaluations == 0
    assert result.proved
    assert "130 ms" in result.reason
    assert "100 ms" in result.reason
    assert any("p99" in remedy and "130 ms" in remedy for remedy in result.remedies)
    assert any("b faster" in remedy for remedy in result.remedies)


def test_a_service_time_that_equals_the_objective_is_not_infeasible() -> None:
    result = plan(scenario_of({"a": {"fast": {1: "100ms"}}}, traffic={"poisson": {"rate_qps": 1, "queries": 1}}))
    assert feasible(result).simulation.plan.stages["a"].replicas == 1


def test_too_few_replicas_in_the_space_are_infeasible_and_the_reason_names_them() -> None:
    result = plan(scenario_of({"a": {"fast": {1: "90ms"}}}, search={"max_replicas": 2}))
    assert isinstance(result, Infeasible)
    assert not result.proved
    assert "Even with 2 replicas of a on fast" in result.reason
    assert any("max_replicas" in remedy for remedy in result.remedies)


def test_a_budget_that_ends_before_the_first_feasible_plan_says_so() -> None:
    scenario = scenario_of({"a": {"fast": {1: "90ms"}}})
    assert isinstance(plan(scenario, max_evaluations=1), OutOfBudget)


def test_a_budget_that_ends_the_search_keeps_the_best_plan_and_says_so() -> None:
    scenario = scenario_of({"a": {"fast": {1: "5ms"}, "slow": {1: "10ms"}}})
    result = feasible(plan(scenario, max_evaluations=1))
    assert not result.complete
    assert any("budget" in caveat for caveat in result.caveats)
    assert result.simulation.plan.stages["a"].hardware == "fast"


def test_min_replicas_are_kept() -> None:
    scenario = scenario_of({"a": {"slow": {1: "2ms"}}}, search={"stages": {"a": {"min_replicas": 3}}})
    assert feasible(plan(scenario)).simulation.plan.stages["a"].replicas == 3


def test_the_same_seed_gives_the_same_search_and_another_seed_another_trace() -> None:
    scenario = scenario_of({"a": {"fast": {1: "10ms", 8: "30ms"}, "slow": {1: "25ms", 8: "60ms"}}})
    one, again = feasible(plan(scenario)), feasible(plan(scenario))
    assert one.history.equals(again.history)
    other = feasible(plan(scenario.with_seed(2)))
    assert other.simulation.latency_ns.tolist() != one.simulation.latency_ns.tolist()


@pytest.mark.parametrize("queries", [0, 1])
def test_a_trace_of_none_or_one_query_is_planned(queries: int) -> None:
    scenario = scenario_of({"a": {"slow": {1: "10ms"}}}, traffic={"poisson": {"rate_qps": 1, "queries": queries}})
    assert feasible(plan(scenario)).simulation.cost_usd_per_hour == 1


def test_every_objective_must_hold() -> None:
    curves = {"a": {"slow": {1: "18ms"}}}
    one = feasible(plan(scenario_of(curves, slo="500ms")))
    both = feasible(plan(scenario_of(curves, objectives={"p99": "500ms", "p50": "20ms"})))
    assert both.simulation.met
    assert both.simulation.cost_usd_per_hour > one.simulation.cost_usd_per_hour


def test_the_binding_stage_is_where_the_slowest_queries_spend_their_time() -> None:
    scenario = scenario_of({"a": {"slow": {1: "1ms"}}, "b": {"slow": {1: "40ms"}}}, slo="300ms")
    result = feasible(plan(scenario))
    assert (result.binding_stage, result.bottleneck) == ("b", "b")
    assert not result.one_replica_less.loc["b", "met"]


def test_batches_are_tried_before_a_scenario_is_called_infeasible() -> None:
    scenario = scenario_of({"a": {"fast": {1: "10ms", 16: "40ms"}}}, slo="500ms", search={"max_replicas": 1},
                           traffic={"poisson": {"rate_qps": 150, "queries": 3000}})  # fmt: skip
    chosen = feasible(plan(scenario)).simulation.plan.stages["a"]
    assert chosen.replicas == 1
    assert chosen.max_batch_size > 1


def test_a_curve_that_falls_is_not_called_infeasible_for_its_batch_of_one() -> None:
    scenario = scenario_of({"a": {"fast": {1: "30ms", 2: "20ms"}}}, slo="25ms", search={"max_replicas": 3})
    workload = Workload.of(scenario, make_trace([100 * (n // 2) for n in range(40)]))
    assert feasible(plan(workload)).simulation.plan.stages["a"].max_batch_size == 2


def test_a_search_that_ends_in_exactly_its_budget_is_complete() -> None:
    scenario = scenario_of({"a": {"fast": {1: "5ms"}, "slow": {1: "10ms"}}})
    needed = feasible(plan(scenario)).evaluations
    assert feasible(plan(scenario, max_evaluations=needed)).complete
    assert not feasible(plan(scenario, max_evaluations=needed - 1)).complete


def test_the_history_counts_the_evaluations_step_by_step() -> None:
    history = feasible(plan(scenario_of({"a": {"fast": {1: "10ms", 8: "30ms"}, "slow": {1: "25ms"}}}))).history
    assert history["evaluations"].is_monotonic_increasing
    assert history["round"].is_monotonic_increasing


def test_a_removal_that_min_replicas_forbids_is_not_offered() -> None:
    scenario = scenario_of({"a": {"slow": {1: "2ms"}}}, search={"stages": {"a": {"min_replicas": 3}}})
    assert feasible(plan(scenario)).one_replica_less.empty


def test_an_objective_that_no_query_tests_is_a_caveat() -> None:
    scenario = scenario_of(
        {"a": {"slow": {1: "10ms"}}},
        traffic={"poisson": {"rate_qps": 1, "queries": 0}},
        search={"stages": {"a": {"min_replicas": 2}}},
    )
    assert any("no queries" in caveat for caveat in feasible(plan(scenario)).caveats)


def test_luck_is_a_caveat_when_the_interval_crosses_the_bound_or_queries_are_few() -> None:
    few = feasible(plan(scenario_of({"a": {"slow": {1: "10ms"}}}, traffic={"poisson": {"rate_qps": 9, "queries": 90}})))
    assert any("too few" in caveat for caveat in few.caveats)
    crossing = feasible(plan(scenario_of({"a": {"slow": {1: "19ms"}}}, slo="120ms")))
    high_ns = crossing.simulation.slos[0].interval_ns.high
    assert any("crosses the bound" in caveat for caveat in crossing.caveats) == (high_ns > 120e6)


def test_a_long_trace_is_verified_in_part_even_if_a_class_comes_late(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipesim.planner.verification.MAX_ITEMS", 100)
    slo = [{"quantile": "p50", "bound": "1s", "where": {"tier": "gold"}}]
    traffic = {"poisson": {"rate_qps": 9, "queries": 9}, "attributes": {"tier": {"weights": {"gold": 1.0}}}}
    scenario = scenario_of({"a": {"slow": {1: "10ms"}}}, objectives=slo, traffic=traffic)
    trace = make_trace([50 * n for n in range(200)], tier=["basic"] * 199 + ["gold"])
    verification = feasible(plan(Workload.of(scenario, trace))).verification
    assert (verification.queries, verification.whole_trace) == (100, False)


def test_a_ladder_of_stages_is_planned_in_time() -> None:
    # each stage after the two before it: the number of paths doubles every two stages
    stages = [f"s{n}" for n in range(40)]
    pipeline = {stage: {"after": stages[max(0, n - 2) : n]} if n else {} for n, stage in enumerate(stages)}
    scenario = make_scenario(pipeline, slo={"p99": "2s"}, traffic={"poisson": {"rate_qps": 9, "queries": 9}})
    assert feasible(plan(scenario, max_evaluations=2)).status == "feasible"


def test_a_plan_says_what_its_figures_rest_on() -> None:
    scenario = load_scenario(Path(__file__).parents[1] / "examples" / "tf-cascade.yaml")
    workload = Workload.of(scenario)
    result = feasible(plan(workload))
    assert any("is derived" in caveat for caveat in result.caveats)
