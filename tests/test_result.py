"""What a simulation result tells: frames, quantiles, misses, cost."""

from decimal import Decimal

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from build import MS, make_plan, make_scenario, make_trace
from pipesim.engine import SimulationResult, Workload, run_reference, simulate
from pipesim.engine.bounds import full_batch_throughput_qps, least_service_ns, unqueued_latency_ns
from strategies import Case, cases


def result_of(arrivals_ms: list[float], **fields: object) -> SimulationResult:
    pipeline = {"a": {}, "b": {"after": {"a": {"fan_out": 2, "network_delay": "1ms"}}}}
    scenario = make_scenario(pipeline, {"b": {1: 4, 2: 6}}, **fields)
    return simulate(Workload.of(scenario, make_trace(arrivals_ms)), make_plan(scenario, max_batch_size=2))


def test_frames_have_their_documented_columns_and_values() -> None:
    result = result_of([0, 100])
    assert result.queries.to_dict("list") == {
        "arrival_s": [0.0, 0.1],
        "finish_s": [0.017, 0.117],
        "latency_s": [0.017, 0.017],
    }
    assert result.visits.astype({"stage": str}).values.tolist() == [
        ["a", 0, 1, 0.0, 0.0, 0.01, 0.01],
        ["a", 1, 1, 0.1, 0.1, 0.11, 0.01],
        ["b", 0, 2, 0.011, 0.011, 0.017, 0.006],
        ["b", 1, 2, 0.111, 0.111, 0.117, 0.006],
    ]
    assert list(result.items.columns) == [
        "stage", "query", "item", "arrival_s", "start_s", "finish_s", "queue_delay_s", "service_time_s", "batch",
    ]  # fmt: skip
    assert result.batches.astype({"stage": str}).values.tolist()[-1] == ["b", 1, 0, 2, 0.111, 0.117, 0.006]
    assert result.batch_sizes.values.tolist() == [["a", 1, 2, 1.0], ["b", 2, 2, 1.0]]


def test_stage_statistics_are_those_of_the_run() -> None:
    stage = result_of([0, 100]).stages.loc["b"]
    assert stage[["visits", "items", "batches", "scale_factor", "mean_batch_size"]].tolist() == [2, 4, 2, 2.0, 2.0]
    assert stage["utilisation"] == pytest.approx(6 / 100)  # the second batch is served after the last arrival
    assert stage["throughput_qps"] == pytest.approx(1 / 0.006)  # two items a query, in batches of two at 6 ms
    assert stage["headroom"] == pytest.approx(1 / 0.006 / 20)
    assert stage["cost_usd_per_hour"] == 1.0


def test_the_queue_length_steps_at_arrivals_starts_and_finishes() -> None:
    assert result_of([0, 4]).queue_length("a").values.tolist() == [
        [0.0, 0, 1],
        [0.004, 1, 1],
        [0.01, 0, 1],
        [0.02, 0, 0],
    ]


def test_an_slo_holds_with_as_many_misses_as_it_allows_and_not_one_more() -> None:
    met, missed = (
        result_of([200 * n for n in range(98)] + [200 * 98, 200 * 98 + 1][:late], slo={"p99": "20ms"}).slos[0]
        for late in (1, 2)
    )
    assert (met.misses, met.met) == (0, True)
    assert (missed.queries, missed.misses, missed.allowed_misses, missed.met) == (100, 1, 1, True)


def test_an_slo_for_a_class_counts_that_class_only() -> None:
    objectives = [
        {"quantile": "p50", "bound": "12ms", "where": {"tier": "gold"}},
        {"quantile": "p100", "bound": "12ms", "where": {"tier": "basic"}},
    ]
    scenario = make_scenario({"a": {}}, slo=objectives, traffic=scenario_traffic())
    trace = make_trace([0, 1, 2], tier=["gold", "basic", "gold"])
    outcomes = simulate(Workload.of(scenario, trace), make_plan(scenario)).slos
    assert [(outcome.queries, outcome.misses, outcome.met) for outcome in outcomes] == [(2, 1, True), (1, 1, False)]


def scenario_traffic() -> dict[str, object]:
    return {
        "poisson": {"rate_qps": 10, "queries": 5},
        "attributes": {"tier": {"weights": {"gold": 0.5, "basic": 0.5}}},
    }


def test_a_stage_that_gets_more_than_it_can_serve_is_flagged_even_if_the_slo_holds() -> None:
    result = result_of([0, 4, 8, 12, 16])
    assert result.met
    assert result.overloaded == ("a", "b")  # 312 queries a second arrive; a can serve 200, b 167


def test_a_greedy_stage_that_is_always_busy_and_keeps_up_is_not_flagged() -> None:
    scenario = make_scenario(
        {"a": {}}, {"a": {1: 90, 16: 95}}, traffic={"poisson": {"rate_qps": 100, "duration": "20s"}}
    )
    result = simulate(scenario, make_plan(scenario, max_batch_size=16))
    assert result.stages.loc["a", "utilisation"] > 0.99
    assert result.stages.loc["a", "headroom"] == pytest.approx(16 / 0.095 / result.workload.trace.mean_rate_qps)
    assert result.overloaded == ()


@pytest.mark.parametrize("combine", ["padded", "packed"])
@pytest.mark.parametrize("policy", ["greedy", "window"])
def test_a_saturated_stage_serves_what_its_throughput_says(combine: str, policy: str) -> None:
    stage = {
        "size": {"attribute": "tokens", "reference": 100, "combine": combine},
        "batching": {"policy": policy, "max_queue_delay": "1s"},
        "batch_overhead": "1ms",
    }
    traffic = {
        "poisson": {"rate_qps": 5000, "queries": 4000},
        "attributes": {"tokens": {"lognormal": {"mean": 100, "scv": 1}}},
    }
    scenario = make_scenario({"a": stage}, {"a": {1: 10, 16: 40}}, traffic=traffic)
    result = simulate(scenario, make_plan(scenario, replicas=2, max_batch_size=16))
    served_qps = 4000 / (result.run.finish_ns.max() / 1e9)
    assert result.stages.loc["a", "throughput_qps"] == pytest.approx(served_qps, rel=0.01)
    assert result.overloaded == ("a",)


def test_a_window_that_does_not_fill_serves_no_more_than_its_batches_let_it() -> None:
    stage = {"batching": {"policy": "window"}}  # no waiting: batches of one
    traffic = {"poisson": {"rate_qps": 150, "duration": "10s"}}
    scenario = make_scenario({"a": stage}, {"a": {1: 10, 16: 40}}, traffic=traffic)
    result = simulate(scenario, make_plan(scenario, max_batch_size=16))
    assert result.stages.loc["a", "throughput_qps"] == pytest.approx(100, rel=0.01)
    assert result.overloaded == ("a",)


def test_the_tail_of_an_objective_for_a_class_is_that_class_s() -> None:
    objectives = [{"quantile": "p50", "bound": "1s", "where": {"tier": "gold"}}]
    pipeline = {"a": {}, "b": {"after": {"a": {"choice": "tier", "values": ["basic"]}}}}
    scenario = make_scenario(pipeline, {"b": {1: 500}}, slo=objectives, traffic=scenario_traffic())
    result = simulate(
        Workload.of(scenario, make_trace([0, 1, 2], tier=["basic", "gold", "basic"])), make_plan(scenario)
    )
    tail = result.tail_breakdown(scenario.slos[0])
    assert tail["share"].to_dict() == {"a": 1.0, "b": 0.0}


def test_without_queries_there_are_no_quantiles_and_every_slo_holds() -> None:
    result = result_of([])
    assert result.met
    assert result.latency().empty
    assert result.slos[0].latency_ns is None
    assert result.stages["utilisation"].isna().all()


def test_a_month_has_730_hours_and_money_stays_decimal() -> None:
    result = result_of([0])
    assert result.cost_usd_per_hour == Decimal(2)


def test_the_breakdown_adds_up_to_the_latency_less_network_delays() -> None:
    result = result_of([0, 1, 2, 3, 50])
    parts = result.breakdown.groupby("query")[["queue_delay_ns", "service_time_ns"]].sum().sum(axis=1)
    assert np.array_equal(parts.to_numpy() + MS, result.latency_ns)


def test_the_latency_without_queues_is_that_of_a_run_with_a_replica_for_every_item() -> None:
    pipeline = {
        "a": {"batch_overhead": "2ms"},
        "b": {"after": {"a": {"fan_out": {"poisson": 1.5}, "network_delay": "1ms"}}},
        "c": {"after": {"b": {"per": "item", "fan_out": {"weights": {0: 0.3, 2: 0.7}}}, "a": {"probability": 0.5}}},
        "d": {"after": ["b", "c"]},
    }
    scenario = make_scenario(pipeline, {"b": {1: 7.25}, "c": {1: 3.5}})
    workload = Workload.of(scenario, make_trace([0, 0, 0.5, 1, 1, 2, 2, 2, 30]))
    inputs = workload.engine_inputs(make_plan(scenario, replicas=100))
    run = run_reference(inputs)
    alone = [least_service_ns(stage) for stage in inputs.stages]
    assert np.array_equal(unqueued_latency_ns(inputs, alone), run.finish_ns - inputs.arrival_ns)


@settings(max_examples=200, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))
@given(cases())
def test_no_item_is_served_in_less_than_the_bound_and_no_query_leaves_before_it(case: Case) -> None:
    """Batches share the noise of their first item and the sizes of all: with an item's own it would break."""
    inputs = case.inputs
    run = run_reference(inputs)
    least = [least_service_ns(stage) for stage in inputs.stages]
    for stage, bound in zip(run.stages, least, strict=True):
        assert (stage.finish_ns - stage.start_ns >= bound).all()
    assert (run.finish_ns - inputs.arrival_ns >= unqueued_latency_ns(inputs, least)).all()


def test_throughput_is_that_of_full_batches() -> None:
    # at 4 the stage would be faster, but once batches are full they stay full
    scenario = make_scenario({"a": {}}, {"a": {1: 10, 4: 16, 8: 80}})
    inputs = Workload.of(scenario).engine_inputs(make_plan(scenario, max_batch_size=8))
    assert full_batch_throughput_qps(inputs.stages[0]) == pytest.approx(8 / 0.08)
