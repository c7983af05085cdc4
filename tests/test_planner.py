"""What a planner answers, on scenarios small enough to follow by hand."""

from pathlib import Path
from typing import Any

import pytest

from build import make_scenario, make_trace
from pipesim.engine import Workload, simulate
from pipesim.model import Scenario, load_scenario
from pipesim.planner import FeasiblePlan, Infeasible, PlanningResult, plan

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


@pytest.mark.slow
def test_a_plan_says_what_its_figures_rest_on() -> None:
    scenario = load_scenario(Path(__file__).parents[1] / "examples" / "tf-cascade.yaml")
    workload = Workload.of(scenario)
    result = feasible(plan(workload))
    assert any("is derived" in caveat for caveat in result.caveats)
