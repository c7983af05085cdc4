"""The frames that pictures are drawn from: numbers that a reader checks by hand, and laws."""

import itertools
from typing import Any

import numpy as np
import pandas as pd
import pytest

from build import MS, make_plan, make_scenario, make_trace
from pipesim import InvalidInputError
from pipesim.engine import SimulationResult, Workload, simulate, summarise
from pipesim.engine.capacity import capacity_curves
from pipesim.engine.series import (
    latency_distribution,
    latency_over_time,
    objectives,
    pipeline_stages,
    replicas_over_time,
    stage_times,
    stages_over_time,
)
from pipesim.model import Scenario
from pipesim.model.frames import edges_frame, profile_curves, stages_frame
from pipesim.planner import FeasiblePlan, Infeasible, compare, plan
from pipesim.planner.frames import convergence, method_latencies, nearby_plans
from pipesim.planner.sensitivity.study import study


def run(
    scenario: Scenario, arrivals_ms: list[float], replicas: int = 1, batch: int = 1, **carried: Any
) -> SimulationResult:
    workload = Workload.of(scenario, make_trace(arrivals_ms, **carried))
    return simulate(workload, make_plan(scenario, replicas, batch))


@pytest.fixture(scope="module")
def bursty() -> SimulationResult:
    scenario = make_scenario(
        {"a": {}, "b": {"after": {"a": {"probability": 0.6, "fan_out": 2}}}},
        {"a": {1: 10, 8: 25}, "b": {1: 8, 8: 20}},
        traffic={"gamma": {"rate_qps": 100, "scv": 4, "duration": "30s"}},
        slo={"p50": "40ms", "p99": "300ms"},
    )
    return simulate(scenario, make_plan(scenario, 2, 4))


class TestLatencies:
    def test_each_latency_has_the_exact_share_of_queries_that_take_no_longer(self) -> None:
        frame = latency_distribution(run(make_scenario({"a": {}}), [0, 0, 0, 100]))  # 10, 20, 30 and 10 ms
        assert frame["latency_s"].tolist() == [0.01, 0.02, 0.03]
        assert frame["share_at_most"].tolist() == [0.5, 0.75, 1]
        assert frame["share_above"].tolist() == [0.5, 0.25, 0]
        assert set(frame["queries"]) == {"all queries"}

    def test_of_many_queries_the_shares_stay_exact_and_the_slowest_are_all_there(
        self, bursty: SimulationResult
    ) -> None:
        frame, latency_s = latency_distribution(bursty), np.sort(bursty.latency_ns) / 1e9
        assert len(frame) < 900 < len(latency_s)
        for row in frame.to_dict("records"):
            assert row["share_at_most"] == np.count_nonzero(latency_s <= row["latency_s"]) / latency_s.size
            assert row["share_above"] == np.count_nonzero(latency_s > row["latency_s"]) / latency_s.size
        assert set(latency_s[-20:]) <= set(frame["latency_s"])
        at = frame["latency_s"].to_numpy()
        between = np.searchsorted(latency_s, at[1:], "left") - np.searchsorted(latency_s, at[:-1], "right")
        assert between.max() < 0.01 * latency_s.size

    def test_a_class_that_an_objective_is_for_has_a_distribution_of_its_own(self) -> None:
        scenario = make_scenario(
            {"a": {}},
            slo=[{"quantile": "p99", "bound": "15ms", "where": {"class": "gold"}}, {"quantile": "p50", "bound": "1s"}],
        )
        result = run(scenario, [0, 0, 50], **{"class": ["gold", "tin", "gold"]})
        frame = latency_distribution(result)
        assert frame[["queries", "latency_s", "share_at_most"]].to_numpy().tolist() == [
            ["all queries", 0.01, 2 / 3], ["all queries", 0.02, 1], ["class = gold", 0.01, 1],
        ]  # fmt: skip
        told = objectives(result)
        assert told["queries"].tolist() == ["class = gold", "all queries"]
        assert told[["quantile", "bound_s", "latency_s", "met"]].to_numpy().tolist() == [
            [0.99, 0.015, 0.01, True], [0.5, 1, 0.01, True],
        ]  # fmt: skip

    def test_over_time_it_is_the_series_of_the_summary_with_exact_quantiles(self, bursty: SimulationResult) -> None:
        exact = latency_over_time(bursty, 0.5)
        series = summarise(bursty.scenario, bursty.plan, interval_s=0.5).series
        assert exact.columns.tolist() == series.columns.tolist()
        same = ["time_s", "queries", "finished", "mean_latency_s", "max_latency_s"]
        pd.testing.assert_frame_equal(exact[same], series[same], check_exact=True)
        for name in ("p50_latency_s", "p95_latency_s", "p99_latency_s"):
            np.testing.assert_allclose(series[name], exact[name], rtol=1e-3)
        assert exact["queries"].sum() == exact["finished"].sum() == len(bursty.traffic)

    def test_intervals_are_round_and_150_of_them_suffice(self, bursty: SimulationResult) -> None:
        times = latency_over_time(bursty)["time_s"]
        assert times.iloc[1] == 0.5
        assert len(times) <= 150

    @pytest.mark.parametrize("length", [0, -1, float("nan"), float("inf"), 1e-7])
    def test_intervals_out_of_range_are_refused(self, bursty: SimulationResult, length: float) -> None:
        with pytest.raises(InvalidInputError, match=r"interval_s: .* use at least 0\.0003"):
            latency_over_time(bursty, length)
        with pytest.raises(InvalidInputError, match="interval_s"):
            stages_over_time(bursty, length)


class TestStages:
    def test_who_waits_and_who_is_busy_in_each_interval(self) -> None:
        frame = stages_over_time(run(make_scenario({"a": {}}), [0, 0, 0, 25]), 0.01)  # served at 0, 10, 20 and 30 ms
        assert frame["time_s"].tolist() == [0, 0.01, 0.02, 0.03]
        assert frame["mean_waiting"].tolist() == [2, 1, 0.5, 0]
        assert frame["max_waiting"].tolist() == [2, 1, 1, 0]
        assert frame["utilisation"].tolist() == [1, 1, 1, 1]

    def test_a_short_rest_widens_the_last_interval_and_a_long_one_is_another(self) -> None:
        result = run(make_scenario({"a": {}}), [0, 0])  # over at 20 ms
        assert stages_over_time(result, 0.014)["width_s"].tolist() == [0.02]
        assert stages_over_time(result, 0.013)["width_s"].tolist() == [0.013, 0.007]
        assert stages_over_time(result, 0.013)["utilisation"].tolist() == [1, 1]

    def test_a_run_that_takes_no_time_has_no_intervals(self) -> None:
        frame = stages_over_time(run(make_scenario({"a": {}}), []))
        assert frame.empty
        assert frame.columns.tolist() == stages_over_time(run(make_scenario({"a": {}}), [0])).columns.tolist()

    @pytest.mark.parametrize("interval_s", [0.011, 0.5, 100])
    def test_over_all_intervals_it_adds_up_to_what_items_waited_and_batches_took(
        self, bursty: SimulationResult, interval_s: float
    ) -> None:
        frame = stages_over_time(bursty, interval_s)
        for name, stage in zip(bursty.workload.routes.names, bursty.run.stages, strict=True):
            rows = frame[frame["stage"] == name]
            waited_s = (stage.start_ns - stage.arrival_ns).sum() / 1e9
            busy_s = (stage.batch_finish_ns - stage.batch_start_ns).sum() / 1e9
            assert (rows["mean_waiting"] * rows["width_s"]).sum() == pytest.approx(waited_s)
            assert (rows["utilisation"] * rows["width_s"] * rows["replicas"]).sum() == pytest.approx(busy_s)
            assert (rows["max_waiting"] >= rows["mean_waiting"] - 1e-9).all()
            assert rows["max_waiting"].max() == bursty.queue_length(name)["waiting"].max()
            assert rows["utilisation"].between(0, 1 + 1e-9).all()

    def test_the_most_that_wait_in_each_interval_are_those_of_the_queue_length(self, bursty: SimulationResult) -> None:
        rows = stages_over_time(bursty, 0.25).query("stage == 'b'")
        queue = bursty.queue_length("b")
        for row in rows.head(60).to_dict("records"):
            first, end = row["time_s"] * (1 + 1e-12), row["time_s"] + row["width_s"] - 1e-10
            before = queue[queue["time_s"] <= first]["waiting"].tail(1).tolist() or [0]
            within = queue[(queue["time_s"] > first) & (queue["time_s"] < end)]["waiting"].tolist()
            assert row["max_waiting"] == max(before + within)

    def test_time_at_a_stage_is_waiting_and_service_of_all_items_and_of_the_slowest(self) -> None:
        frame = stage_times(run(make_scenario({"a": {}}), [0, 0, 0]))
        assert frame.to_numpy().tolist() == [["a", "all", 3, 0.01, 0.01], ["a", "slowest 1%", 1, 0.02, 0.01]]

    def test_means_of_all_items_are_those_of_the_stages_frame(self, bursty: SimulationResult) -> None:
        frame = stage_times(bursty)
        for name in ("mean_queue_delay_s", "mean_service_time_s"):
            assert frame.loc[frame["items"] == "all", name].tolist() == bursty.stages[name].tolist()

    def test_replicas_of_a_plan_are_the_same_until_the_end(self) -> None:
        result = run(make_scenario({"a": {}, "b": {"after": ["a"]}}), [0, 50], replicas=3)
        assert replicas_over_time(result).to_numpy().tolist() == [
            ["a", 0, 3],
            ["a", 0.07, 3],
            ["b", 0, 3],
            ["b", 0.07, 3],
        ]

    def test_the_boxes_of_the_pipeline_say_what_the_plan_and_the_run_are(self, bursty: SimulationResult) -> None:
        frame = pipeline_stages(bursty)
        assert frame["source"].tolist() == [True, False]
        assert frame["rate_per_s"].tolist() == pytest.approx((bursty.stages["items"] / 30).tolist())
        assert frame.loc["b", ["model", "hardware", "replicas", "max_batch_size"]].tolist() == ["b", "cpu", 2, 4]


class TestCapacity:
    def test_replicas_finish_the_best_batches_that_fit_in_the_window(self) -> None:
        scenario = make_scenario({"a": {}, "b": {"after": {"a": {"fan_out": 2}}}}, {"a": {1: 10, 2: 15}, "b": {1: 5}})
        workload = Workload.of(scenario, make_trace([0, 1, 2, 100]))
        result = simulate(workload, make_plan(scenario, 2, 1, a={"max_batch_size": 2}))
        frame = capacity_curves(result, [1 * MS, 10 * MS, 15 * MS, 25 * MS, 31 * MS, 200 * MS])
        curves = {stage: rows["queries"].tolist() for stage, rows in frame.groupby("stage")}
        assert curves == {"": [1, 3, 3, 3, 3, 4], "a": [0, 2, 4, 4, 8, 52], "b": [0, 2, 3, 5, 6, 40]}
        assert frame["kind"].tolist() == ["arrivals"] * 6 + ["capacity"] * 12
        assert frame["window_s"].tolist()[:6] == [0.001, 0.01, 0.015, 0.025, 0.031, 0.2]

    def test_the_overhead_of_batches_counts(self) -> None:
        result = run(make_scenario({"a": {"batch_overhead": "10ms"}}), [0])
        assert capacity_curves(result, [10 * MS, 20 * MS])["queries"].tolist() == [1, 1, 0, 1]

    def test_windows_go_to_three_bounds_or_as_far_as_the_trace(self, bursty: SimulationResult) -> None:
        assert capacity_curves(bursty)["window_s"].max() == 0.9
        assert capacity_curves(run(make_scenario({"a": {}}), [0, 500]))["window_s"].max() == 0.5

    def test_a_stage_that_nothing_comes_to_has_no_curve_and_no_traffic_no_frame(self) -> None:
        scenario = make_scenario({"a": {}, "b": {"after": {"a": {"probability": 1e-9}}}})
        assert set(capacity_curves(run(scenario, [0, 9]))["stage"]) == {"", "a"}
        assert capacity_curves(run(scenario, [])).empty


class TestModel:
    def test_edges_say_what_they_pass_on(self) -> None:
        scenario = make_scenario(
            {
                "a": {},
                "b": {"after": {"a": {"probability": 0.25, "choice": "way", "network_delay": "2ms"}}},
                "c": {"after": {"a": {"probability": 0.5, "choice": "way", "fan_out": {"weights": {1: 0.5, 4: 0.5}}}}},
                "d": {"after": {"b": {"fan_out": {"poisson": 1.5}, "per": "item"}, "c": {"fan_out": 3}}},
                "e": {"after": {"d": {"choice": "lang", "values": ["de", 7]}}},
            }
        )
        frame = edges_frame(scenario.pipeline).fillna(-1)
        assert frame.to_numpy().tolist() == [
            ["a", "b", 0.25, "way", "", 1, "count", "query", 0.002],
            ["a", "c", 0.5, "way", "", 2.5, "weights", "query", 0],
            ["b", "d", 1, "", "", 1.5, "poisson", "item", 0],
            ["c", "d", 1, "", "", 3, "count", "query", 0],
            ["d", "e", -1, "lang", "de, 7", 1, "count", "query", 0],
        ]
        assert stages_frame(scenario.pipeline)["source"].tolist() == [True, False, False, False, False]

    def test_profile_curves_have_every_batch_size_and_mark_the_measured(self) -> None:
        profiles = make_scenario({"a": {}}, {"a": {2: 10, 4: 20}}).profiles
        frame = profile_curves(profiles, "a")
        assert frame["batch_size"].tolist() == [1, 2, 3, 4]
        assert frame["latency_s"].tolist() == [0.01, 0.01, 0.015, 0.02]
        assert frame["items_per_s"].tolist() == [100, 200, 200, 200]
        assert frame["measured"].tolist() == [False, True, False, True]
        assert set(frame["hardware"]) == {"cpu"}
        with pytest.raises(InvalidInputError, match="model: 'b' has no profile; use one of a"):
            profile_curves(profiles, "b")


@pytest.fixture(scope="module")
def asked() -> Scenario:
    return make_scenario(
        {"a": {}, "b": {"after": ["a"]}},
        {"a": {1: 20, 4: 50}, "b": {1: 30, 8: 90}},
        traffic={"gamma": {"rate_qps": 60, "scv": 3, "duration": "20s"}},
        slo={"p99": "400ms"},
        search={"max_replicas": 8},
    )


@pytest.fixture(scope="module")
def answer(asked: Scenario) -> FeasiblePlan:
    found = plan(asked, verified=False)
    assert isinstance(found, FeasiblePlan)
    return found


class TestAnswers:
    def test_a_search_ends_where_its_answer_says(self, answer: FeasiblePlan) -> None:
        frame = convergence(answer)
        best, bound = frame["best_usd_per_hour"], frame["bound_usd_per_hour"]
        assert frame.iloc[-1].tolist() == [
            answer.evaluations, float(answer.weighed_usd_per_hour), float(answer.bound_usd_per_hour or 0),
        ]  # fmt: skip
        assert frame["evaluations"].is_monotonic_increasing
        assert best.dropna().is_monotonic_decreasing
        assert bound.dropna().is_monotonic_increasing
        assert (best.dropna() >= bound[best.notna()]).all()

    def test_the_greedy_planner_tells_each_plan_that_it_took(self, asked: Scenario) -> None:
        found = plan(asked, method="greedy", verified=False)
        frame = convergence(found)
        taken = found.history[found.history["feasible"] & found.history["taken"]]
        assert frame["best_usd_per_hour"].iloc[0] == taken["cost_usd_per_hour"].iloc[0]
        assert frame["best_usd_per_hour"].iloc[-1] == taken["cost_usd_per_hour"].iloc[-1]
        assert frame["bound_usd_per_hour"].isna().all()

    def test_of_a_rule_of_thumb_only_the_end_is_known_and_of_no_plan_nothing(self, asked: Scenario) -> None:
        assert len(convergence(plan(asked, method="cg-peak", verified=False))) == 1
        none = plan(make_scenario({"a": {}}, slo={"p99": "1ms"}), verified=False)
        assert isinstance(none, Infeasible)
        assert convergence(none)["best_usd_per_hour"].isna().all()

    def test_nearby_plans_hold_this_one_and_those_a_replica_or_a_batch_away(self, answer: FeasiblePlan) -> None:
        frame = nearby_plans(answer, steps=1)
        (own,) = frame[frame["stages_changed"] == 0].to_dict("records")
        outcome = answer.simulation.slos[0]
        assert own["cost_usd_per_hour"] == float(answer.simulation.cost_usd_per_hour)
        assert own["latency_s"] == (outcome.latency_ns or 0) / 1e9
        assert own["met"]
        chosen = answer.simulation.plan.stages
        replicas = chosen["a"].replicas + 1
        more = (
            f"a {replicas}×cpu/{chosen['a'].max_batch_size}, b {chosen['b'].replicas}×cpu/{chosen['b'].max_batch_size}"
        )
        assert more in set(frame["plan"])
        assert frame["plan"].is_unique
        assert any(f"×cpu/{1}," in one for one in frame["plan"])
        assert frame["stages_changed"].max() == 2

    def test_no_plan_is_at_least_as_good_in_both_as_one_of_the_front(self, answer: FeasiblePlan) -> None:
        frame = nearby_plans(answer)
        points = frame[["cost_usd_per_hour", "latency_s"]].to_numpy()
        beaten = [any((other <= one).all() and (other < one).any() for other in points) for one in points]
        front = frame["on_front"].to_numpy()
        assert not any(np.array(beaten)[front])
        unbeaten = {tuple(one) for one, lost in zip(points.tolist(), beaten, strict=True) if not lost}
        assert {tuple(one) for one in points[front].tolist()} == unbeaten
        assert frame["cost_usd_per_hour"].is_monotonic_increasing
        assert frame["on_front"].sum() > 1

    def test_nearby_plans_keep_within_the_search_space(self, asked: Scenario) -> None:
        narrow = make_scenario(
            {"a": {}},
            {"a": {1: 20, 4: 50}},
            search={"max_replicas": 2, "min_replicas": 2, "stages": {"a": {"batch_sizes": [2]}}},
        )
        found = plan(narrow, verified=False)
        assert isinstance(found, FeasiblePlan)
        assert nearby_plans(found)["plan"].tolist() == ["a 2×cpu/2"]

    def test_nearby_plans_keep_within_the_quotas(self) -> None:
        scenario = make_scenario({"a": {}}, {"a": {1: 20}}, search={"max_replicas": 8, "quota": {"cpu": 2}})
        found = plan(scenario, verified=False)
        assert isinstance(found, FeasiblePlan)
        assert nearby_plans(found, steps=3)["plan"].tolist() == ["a 1×cpu/1", "a 2×cpu/1"]

    @pytest.mark.parametrize("steps", [0, -1, 200])
    def test_steps_out_of_range_are_refused(self, answer: FeasiblePlan, steps: int) -> None:
        with pytest.raises(InvalidInputError, match="steps"):
            nearby_plans(answer, steps=steps)

    def test_methods_by_latency_over_bound(self, asked: Scenario) -> None:
        found = compare(asked, ["search", "cg-mean"])
        frame = method_latencies(found)
        assert frame.index.tolist() == ["search", "cg-mean"]
        for row, result in zip(frame.to_dict("records"), found.results.values(), strict=True):
            assert row["over_bound"] == row["latency_s"] / 0.4
            assert (row["over_bound"] <= 1) == isinstance(result, FeasiblePlan)

    def test_a_topic_that_was_not_studied_is_refused(self, asked: Scenario) -> None:
        found = study(Workload.of(asked), ["slo"], max_evaluations=50)
        assert len(found.frame("slo"))
        with pytest.raises(InvalidInputError, match="topic: 'load' was not studied; use one of slo, or study it"):
            found.plot.load()


def test_the_rows_of_a_frame_do_not_depend_on_who_asks(bursty: SimulationResult) -> None:
    for one, other in itertools.pairwise([stages_over_time(bursty) for _ in range(2)]):
        pd.testing.assert_frame_equal(one, other)
