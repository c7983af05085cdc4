"""The rules of the simulation, each by an example that a reader checks by hand: (arrival, start, finish) in ms."""

import dataclasses

import numpy as np
import pytest

from build import MS, make_plan, make_scenario, make_trace, run_ms, run_trace
from pipesim.engine import Workload, run_reference
from pipesim.model.profile import ProfilePoint, profile_set


def test_one_replica_serves_in_order_of_arrival() -> None:
    stage = make_scenario({"a": {}})
    assert run_ms(stage, [0, 4, 30]) == {"a": [(0, 0, 10), (4, 10, 20), (30, 30, 40)]}


def test_two_replicas_share_one_queue() -> None:
    stage = make_scenario({"a": {}})
    assert run_ms(stage, [0, 1, 2, 3], replicas=2) == {"a": [(0, 0, 10), (1, 1, 11), (2, 10, 20), (3, 11, 21)]}


def test_the_replica_that_was_idle_longest_serves_and_ties_go_to_the_lowest_number() -> None:
    run = run_trace(make_scenario({"a": {}}), make_trace([0, 5, 40, 41, 60]), replicas=3)
    # all idle at the start: 0, then 1; at 40 replica 2 was never used; at 41 replica 0 is idle since 10, 1 since 15
    assert run.stages[0].batch_replica.tolist() == [0, 1, 2, 0, 1]


def test_a_greedy_replica_takes_what_waits_up_to_the_limit() -> None:
    stage = make_scenario({"a": {}}, {"a": {1: 10, 4: 16}})
    # 1 alone: 10 ms; then 2, 3 and 4 together, at 14 ms by interpolation; then 5
    assert run_ms(stage, [0, 1, 2, 3, 4], max_batch_size=3)["a"] == [
        (0, 0, 10),
        (1, 10, 24),
        (2, 10, 24),
        (3, 10, 24),
        (4, 24, 34),
    ]


def test_a_batch_sees_every_item_that_arrives_at_the_instant_it_starts() -> None:
    stage = make_scenario({"a": {}}, {"a": {1: 10, 4: 10}})
    # the third query arrives exactly when the replica becomes idle, and joins the second
    assert run_ms(stage, [0, 5, 10], max_batch_size=4)["a"] == [(0, 0, 10), (5, 10, 20), (10, 10, 20)]


def test_below_the_smallest_measured_batch_its_latency_is_taken() -> None:
    assert run_ms(make_scenario({"a": {}}, {"a": {4: 12, 8: 16}}), [0], max_batch_size=8)["a"] == [(0, 0, 12)]


class TestGreedyWithDelay:
    stage = make_scenario({"a": {"batching": {"max_queue_delay": "6ms"}}})

    def test_a_batch_that_is_not_full_waits_for_the_delay_of_its_oldest_item(self) -> None:
        assert run_ms(self.stage, [0, 4], max_batch_size=4)["a"] == [(0, 6, 16), (4, 6, 16)]

    def test_a_full_batch_starts_at_once(self) -> None:
        assert run_ms(self.stage, [0, 1, 2], max_batch_size=2)["a"] == [(0, 1, 11), (1, 1, 11), (2, 11, 21)]

    def test_past_the_delay_a_replica_takes_everything_at_once(self) -> None:
        # both waited longer than 6 ms when the replica becomes idle at 16
        assert run_ms(self.stage, [0, 7, 8, 15], max_batch_size=4)["a"] == [
            (0, 6, 16),
            (7, 16, 26),
            (8, 16, 26),
            (15, 16, 26),
        ]

    def test_an_item_that_arrives_as_the_delay_ends_joins(self) -> None:
        assert run_ms(self.stage, [0, 6], max_batch_size=4)["a"] == [(0, 6, 16), (6, 6, 16)]


class TestWindow:
    stage = make_scenario({"a": {"batching": {"policy": "window", "max_queue_delay": "6ms"}}})

    def test_a_batch_closes_at_its_timer_even_if_no_replica_is_free(self) -> None:
        # the second batch closes at 13 while the replica is busy until 16: the item of 14 may not join it
        assert run_ms(self.stage, [0, 7, 14], max_batch_size=4)["a"] == [(0, 6, 16), (7, 16, 26), (14, 26, 36)]

    def test_a_batch_closes_when_it_is_full(self) -> None:
        assert run_ms(self.stage, [0, 1, 2], max_batch_size=2)["a"] == [(0, 1, 11), (1, 1, 11), (2, 11, 21)]

    def test_an_item_that_arrives_as_the_timer_ends_joins_if_there_is_room(self) -> None:
        assert run_ms(self.stage, [0, 6], max_batch_size=4)["a"] == [(0, 6, 16), (6, 6, 16)]

    def test_what_is_left_of_the_instant_that_fills_a_batch_opens_the_next(self) -> None:
        assert run_ms(self.stage, [0, 5, 5], max_batch_size=2, replicas=2)["a"] == [(0, 5, 15), (5, 5, 15), (5, 11, 21)]

    def test_a_window_of_zero_collects_one_instant_only(self) -> None:
        stage = make_scenario({"a": {"batching": {"policy": "window"}}})
        run = run_trace(stage, make_trace([0, 1, 2, 2]), max_batch_size=4)
        assert run.stages[0].batch_size.tolist() == [1, 1, 2]


class TestDispatch:
    @staticmethod
    def replicas(
        dispatch: str, arrivals_ms: list[float], replicas: int, draws: list[tuple[float, float]] | None = None
    ) -> list[int]:
        scenario = make_scenario({"a": {"dispatch": dispatch}})
        inputs = Workload.of(scenario, make_trace(arrivals_ms)).engine_inputs(make_plan(scenario, replicas))
        if draws is not None:
            stage = dataclasses.replace(inputs.stages[0], dispatch_draws=np.array(draws))
            inputs = dataclasses.replace(inputs, stages=(stage,))
        run = run_reference(inputs)
        return run.stages[0].batch_replica[run.stages[0].batch].tolist()

    def test_round_robin_counts_admitted_items(self) -> None:
        assert self.replicas("round_robin", [0, 0, 1, 50], 3) == [0, 1, 2, 0]

    def test_random_takes_the_replica_of_the_first_draw(self) -> None:
        assert self.replicas("random", [0, 1, 2], 4, [(0.0, 0), (0.99, 0), (0.5, 0)]) == [0, 3, 2]

    def test_power_of_two_takes_the_lower_load_of_two_different_replicas_then_the_lower_number(self) -> None:
        # candidates (0, 1): equal, 0; (0, 1): 0 is loaded, 1; (2, 0): 2 is free; (1, 0): equal loads, 0
        draws = [(0.1, 0.1), (0.1, 0.1), (0.9, 0.1), (0.4, 0.1)]
        assert self.replicas("power_of_two", [0, 0, 0, 1], 3, draws) == [0, 1, 2, 0]

    def test_power_of_two_with_one_replica_takes_it(self) -> None:
        assert self.replicas("power_of_two", [0, 1], 1) == [0, 0]

    def test_least_loaded_counts_what_is_assigned_and_not_completed(self) -> None:
        # at 10 the first completes before the arrival of that instant is assigned, so replica 0 is free again
        assert self.replicas("least_loaded", [0, 1, 2, 10], 2) == [0, 1, 0, 0]

    def test_an_item_waits_for_its_own_replica_though_another_is_idle(self) -> None:
        stage = make_scenario({"a": {"dispatch": "round_robin"}})
        assert run_ms(stage, [0, 1, 2, 3, 21], replicas=2)["a"][4] == (21, 21, 31)
        assert run_ms(stage, [0, 8, 9], replicas=2)["a"][2] == (9, 10, 20)


class TestRoutes:
    def test_a_join_waits_for_the_last_branch_and_its_network_delay(self) -> None:
        pipeline = {"a": {}, "b": {"after": ["a"]}, "c": {"after": {"a": {}, "b": {"network_delay": "3ms"}}}}
        assert run_ms(make_scenario(pipeline), [0])["c"] == [(23, 23, 33)]

    def test_every_source_receives_every_query_and_the_query_ends_with_its_last_visit(self) -> None:
        run = run_trace(make_scenario({"a": {}, "b": {}}, {"b": {1: 25}}), make_trace([0, 1]))
        assert (run.finish_ns / MS).tolist() == [25, 50]

    def test_a_query_that_an_edge_does_not_pass_on_does_not_visit_and_nobody_waits_for_it(self) -> None:
        pipeline = {
            "a": {},
            "b": {"after": {"a": {"choice": "lang", "values": ["fr"]}}},
            "c": {"after": ["a", "b"]},
        }
        run = run_trace(make_scenario(pipeline), make_trace([0, 100], lang=["fr", "en"]))
        assert [stage.arrival_ns.size for stage in run.stages] == [2, 1, 2]
        assert (run.finish_ns / MS).tolist() == [30, 120]

    def test_fan_out_per_query_waits_for_the_whole_upstream_visit(self) -> None:
        pipeline = {"a": {}, "b": {"after": {"a": {"fan_out": 2}}}, "c": {"after": ["b"]}}
        assert run_ms(make_scenario(pipeline), [0]) == {
            "a": [(0, 0, 10)],
            "b": [(10, 10, 20), (10, 20, 30)],
            "c": [(30, 30, 40)],
        }

    def test_fan_out_per_item_does_not_wait_for_siblings(self) -> None:
        pipeline = {"a": {}, "b": {"after": {"a": {"fan_out": 2}}}, "c": {"after": {"b": {"per": "item"}}}}
        assert run_ms(make_scenario(pipeline), [0])["c"] == [(20, 20, 30), (30, 30, 40)]

    def test_a_join_has_as_many_items_as_the_largest_fan_out(self) -> None:
        pipeline = {"a": {}, "b": {}, "c": {"after": {"a": {"fan_out": 3}, "b": {"fan_out": 2}}}}
        assert len(run_ms(make_scenario(pipeline), [0])["c"]) == 3

    def test_items_are_numbered_joined_first_then_edge_then_upstream_item_then_copy(self) -> None:
        pipeline = {
            "a": {},
            "b": {"after": {"a": {"fan_out": 2}}},
            "c": {"after": {"b": {"per": "item", "fan_out": 2}, "a": {"network_delay": "50ms"}}},
        }
        # item 0 is the joined one from a (at 60); 1 and 2 come from b's first item (20), 3 and 4 from its second (30)
        assert [arrival for arrival, _, _ in run_ms(make_scenario(pipeline), [0])["c"]] == [60, 20, 20, 30, 30]

    def test_arrivals_of_one_instant_are_admitted_in_query_and_item_order_whatever_their_source(self) -> None:
        # query 1 reaches c at 20 from the fast branch before query 0 does from the slow one, at the same instant
        pipeline = {
            "a": {},
            "slow": {"after": {"a": {"choice": "way", "values": ["slow"]}}},
            "c": {"after": {"a": {"choice": "way", "values": ["fast"]}, "slow": {}}},
        }
        run = run_trace(make_scenario(pipeline, {"slow": {1: 10}}), make_trace([0, 10], way=["slow", "fast"]))
        assert (run.stages[2].arrival_ns / MS).tolist() == [20, 20]
        assert (run.stages[2].start_ns / MS).tolist() == [20, 30]


class TestService:
    def test_overhead_is_added_to_every_batch(self) -> None:
        assert run_ms(make_scenario({"a": {"batch_overhead": "5ms"}}), [0])["a"] == [(0, 0, 15)]

    @pytest.mark.parametrize(("combine", "finish_ms"), [("padded", 40), ("packed", 30)])
    def test_a_batch_takes_the_largest_size_or_the_mean(self, combine: str, finish_ms: float) -> None:
        size = {"attribute": "tokens", "reference": 100, "combine": combine}
        run = run_trace(
            make_scenario({"a": {"size": size}}), make_trace([0, 0], tokens=[200.0, 400.0]), max_batch_size=2
        )
        assert (run.stages[0].finish_ns / MS).tolist() == [finish_ms, finish_ms]

    def test_noise_belongs_to_the_first_item_of_a_batch(self) -> None:
        scenario = make_scenario({"a": {}})
        inputs = Workload.of(scenario, make_trace([0, 0])).engine_inputs(make_plan(scenario, 1, 2))
        stage = dataclasses.replace(inputs.stages[0], noise=np.array([1.5, 9.0]))
        run = run_reference(dataclasses.replace(inputs, stages=(stage,)))
        assert (run.stages[0].finish_ns / MS).tolist() == [15, 15]

    def test_a_half_nanosecond_is_rounded_to_even_and_a_service_takes_at_least_1_ns(self) -> None:
        scenario = make_scenario({"a": {}}, {"a": {1: 5e-6}})
        inputs = Workload.of(scenario, make_trace([0, 1, 2])).engine_inputs(make_plan(scenario))
        stage = dataclasses.replace(inputs.stages[0], noise=np.array([0.5, 0.7, 0.0]))
        run = run_reference(dataclasses.replace(inputs, stages=(stage,)))
        assert (run.stages[0].finish_ns - run.stages[0].start_ns).tolist() == [2, 4, 1]

    def test_noise_has_mean_1_and_its_scv_and_is_the_same_luck_on_every_hardware(self) -> None:
        scenario = make_scenario({"a": {}}, traffic={"poisson": {"rate_qps": 1, "queries": 20_000}})
        noise = {}
        for law in ("gamma", "lognormal"):
            point = ProfilePoint(model="a", hardware="cpu", batch_size=1, latency_ms=10, noise_scv=0.25, noise_law=law)
            noisy = dataclasses.replace(scenario, profiles=profile_set([("", point)]))
            drawn = Workload.of(noisy).engine_inputs(make_plan(scenario)).stages[0].noise
            noise[law] = drawn
            # the mean of 20,000 has a standard error of 0.0035, the variance about 0.005
            assert drawn.mean() == pytest.approx(1, abs=0.0106)
            assert drawn.var() == pytest.approx(0.25, abs=0.02)
        assert np.array_equal(np.argsort(noise["gamma"]), np.argsort(noise["lognormal"]))


def test_no_queries_is_a_run_without_events() -> None:
    run = run_trace(make_scenario({"a": {}, "b": {"after": ["a"]}}), make_trace([]))
    assert run.finish_ns.size == 0
    assert [stage.batch_size.size for stage in run.stages] == [0, 0]
