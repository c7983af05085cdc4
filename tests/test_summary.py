"""A summary says what the whole run says, whatever the pieces."""

import math
from dataclasses import replace
from decimal import Decimal
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from build import MS, make_plan, make_scenario, make_trace
from pipesim.engine import QUANTILES, Summary, Workload, simulate, simulate_all, summarise
from pipesim.engine.compiled.tally import summary_of_pieces
from pipesim.engine.histogram import RESOLUTION, Histogram, bucket
from pipesim.engine.quantiles import nearest_rank
from pipesim.errors import InvalidInputError
from pipesim.model import Scenario
from pipesim.report import simulation_report, to_json
from pipesim.traces import ArrivalTrace, scenario_trace, scenario_trace_pieces
from strategies import Case, cases
from test_parity import PARITY


def histogram_of(times_ns: list[int] | np.ndarray) -> Histogram:
    histogram = Histogram()
    for time in times_ns:
        counts = np.zeros(bucket(int(time)) + 1, dtype=np.int64)
        counts[-1] = 1
        histogram.add_counted(
            counts, counts.size - 1, counts.size - 1, int(time) >> 32, int(time) & 0xFFFFFFFF, int(time)
        )
    return histogram


class TestHistogram:
    @given(st.lists(st.integers(0, 2**50), min_size=1, max_size=30), st.sampled_from([0, 0.25, 0.5, 0.9, 0.99, 1]))
    def test_a_quantile_is_never_too_small_and_hardly_too_large(self, times: list[int], quantile: float) -> None:
        exact = nearest_rank(np.sort(np.array(times)), Decimal(str(quantile)))
        assert exact <= histogram_of(times).quantile_ns(Decimal(str(quantile))) <= exact * (1 + RESOLUTION)

    def test_below_1024_ns_it_is_exact(self) -> None:
        assert all(histogram_of([time, 10**9]).quantile_ns(Decimal("0.5")) == time for time in range(1023))

    @pytest.mark.parametrize("power", range(10, 53))
    def test_times_on_both_sides_of_a_power_of_two_are_told_apart(self, power: int) -> None:
        histogram = histogram_of([2**power - 2, 2**power - 1, 2**power])
        assert histogram.quantile_ns(Decimal("0.3")) == 2**power - 2
        assert histogram.max_ns == 2**power

    @given(st.lists(st.integers(0, 2**40)), st.lists(st.integers(0, 2**40), min_size=1))
    def test_merged_histograms_are_one_of_all(self, some: list[int], more: list[int]) -> None:
        merged, whole = histogram_of(some), histogram_of(some + more)
        merged.merge(histogram_of(more))
        assert (merged.count, merged.sum_ns, merged.max_ns) == (whole.count, whole.sum_ns, whole.max_ns)
        for place in range(1, merged.count + 1):
            assert merged.at_rank_ns(place) == whole.at_rank_ns(place)

    @given(st.lists(st.integers(0, 2**40), min_size=1), st.integers(0, 2**40))
    def test_a_packed_one_says_the_same_and_can_be_added_to(self, times: list[int], more: int) -> None:
        packed, plain = histogram_of(times), histogram_of(times)
        packed.pack()
        for _ in range(2):
            assert [packed.at_rank_ns(rank) for rank in range(packed.count + 1)] == [
                plain.at_rank_ns(rank) for rank in range(plain.count + 1)
            ]
            assert packed.count_above(times[0]) == plain.count_above(times[0])
            packed.merge(histogram_of([more]))
            plain.merge(histogram_of([more]))
            packed.pack()

    def test_it_counts_what_lies_above(self) -> None:
        assert [histogram_of([1, 5, 5, 9]).count_above(time) for time in (0, 1, 5, 9, 10**9)] == [4, 3, 1, 0, 0]


def pieces_of(trace: ArrivalTrace, cuts: list[int]) -> list[ArrivalTrace]:
    bounds = [0, *sorted(cut for cut in cuts if cut <= len(trace)), len(trace)]
    return [trace.between(first, last) for first, last in pairwise(bounds)]


def assert_summary_is_that_of(summary: Summary, case: Case) -> None:
    result = case.result
    exact = [column for column in result.stages if column != "p99_queue_delay_s"]
    pd.testing.assert_frame_equal(summary.stages[exact], result.stages[exact], check_exact=True)
    assert_hardly_above(summary.stages["p99_queue_delay_s"], result.stages["p99_queue_delay_s"])
    assert [(one.misses, one.queries, one.met) for one in summary.slos] == [
        (one.misses, one.queries, one.met) for one in result.slos
    ]
    assert summary.overloaded == result.overloaded
    assert summary.cost_usd_per_hour == result.cost_usd_per_hour
    if len(case.trace):
        assert summary.mean_latency_s == pytest.approx(result.latency_ns.mean() / 1e9)
        assert summary.max_latency_s == result.latency_ns.max() / 1e9
        assert_hardly_above(summary.latency()["latency_s"], result.latency()["latency_s"])
    assert summary.series["queries"].sum() == summary.series["finished"].sum() == len(case.trace)


def assert_hardly_above(found: "pd.Series[float]", exact: "pd.Series[float]") -> None:
    found, exact = found.dropna(), exact.dropna()
    assert found.index.equals(exact.index)
    assert ((exact <= found) & (found <= exact * (1 + RESOLUTION) + 1e-9)).all()


@settings(PARITY, max_examples=150)
@given(cases(), st.lists(st.integers(0, 40), max_size=4), st.sampled_from([MS, 7 * MS, 10**12]))
def test_a_summary_is_that_of_the_whole_run(case: Case, cuts: list[int], interval_ns: int) -> None:
    pieces = pieces_of(case.trace, cuts)
    assert_summary_is_that_of(summary_of_pieces(case.scenario, case.plan, iter(pieces), interval_ns), case)


ATTRIBUTES: dict[str, Any] = {
    "tokens": {"lognormal": {"mean": 100, "scv": 1}},
    "tier": {"weights": {"gold": 0.3, "basic": 0.7}},
}
PIPELINE: dict[str, Any] = {
    "a": {"size": {"attribute": "tokens", "reference": 100}},
    "b": {"after": {"a": {"probability": 0.5, "fan_out": {"poisson": 1.5}}}, "dispatch": "power_of_two"},
    "c": {"after": {"a": {}, "b": {"per": "item", "network_delay": "3ms"}}},
}
SLOS = [{"quantile": "p99", "bound": "80ms"}, {"quantile": "p95", "bound": "60ms", "where": {"tier": "gold"}}]


def scenario_of(traffic: dict[str, Any], **fields: Any) -> Scenario:
    return make_scenario(PIPELINE, traffic=traffic | {"attributes": ATTRIBUTES}, slo=SLOS, seed=3, **fields)


TRAFFIC = [
    {"poisson": {"rate_qps": 300, "queries": 5000}},
    {"poisson": {"rate_qps": 300, "duration": "15s"}},
    {"gamma": {"rate_qps": 300, "scv": 4, "duration": "15s"}, "load": 1.5},
    {"gamma": {"rate_qps": 100, "scv": 4, "queries": 5000}, "compress_to_qps": 250},
    {"gamma": {"rate_qps": 600, "scv": 0, "duration": "10s"}, "thin": 0.4},
]


@pytest.mark.parametrize("traffic", TRAFFIC)
def test_the_pieces_of_traffic_make_up_the_whole(traffic: dict[str, Any]) -> None:
    scenario = scenario_of(traffic)
    whole = scenario_trace(scenario)
    for size in (1, 700) if len(whole) < 100 else (700, 4999):
        pieces = list(scenario_trace_pieces(scenario, size))
        assert np.array_equal(np.concatenate([piece.times_ns for piece in pieces]), whole.times_ns)
        assert pieces[-1].duration_ns == whole.duration_ns
        for name, values in whole.attributes.items():
            assert np.array_equal(np.concatenate([piece.attributes[name] for piece in pieces]), values)


@pytest.mark.parametrize("traffic", TRAFFIC)
def test_the_size_of_pieces_changes_no_byte_of_a_report(traffic: dict[str, Any]) -> None:
    scenario = scenario_of(traffic)
    plan = make_plan(scenario, replicas=4, max_batch_size=8)
    reports = {to_json(simulation_report(summarise(scenario, plan, piece=piece))) for piece in (64, 1000, 10**6)}
    assert len(reports) == 1


def test_objectives_of_classes_and_intervals_are_those_of_the_whole_run() -> None:
    scenario = scenario_of(TRAFFIC[2])
    plan = make_plan(scenario, replicas=4, max_batch_size=8)
    summary, result = summarise(scenario, plan, piece=500, interval_s=0.1), simulate(scenario, plan)
    for mine, exact in zip(summary.slos, result.slos, strict=True):
        assert (mine.queries, mine.misses, mine.allowed_misses) == (exact.queries, exact.misses, exact.allowed_misses)
        assert mine.latency_ns == pytest.approx(exact.latency_ns, rel=RESOLUTION)
        # batches of whole intervals hold somewhat different queries
        assert mine.interval_ns.low == pytest.approx(exact.interval_ns.low, rel=0.1)
        assert mine.interval_ns.high == pytest.approx(exact.interval_ns.high, rel=0.1)
        assert mine.miss_rate_interval.low == pytest.approx(exact.miss_rate_interval.low, rel=0.5, abs=0.005)
        assert mine.miss_rate_interval.high == pytest.approx(exact.miss_rate_interval.high, rel=0.5, abs=0.005)
    assert summary.misses.groupby("objective")["misses"].sum().tolist() == [
        outcome.misses for outcome in sorted(result.slos, key=lambda outcome: str(outcome.slo))
    ]


def test_the_series_is_of_the_queries_that_arrive_in_each_interval() -> None:
    scenario = make_scenario({"a": {}}, slo={"p50": "15ms"})
    trace = make_trace([0, 1, 2, 45])  # finish at 10, 20, 30 and 55 ms
    plan = make_plan(scenario)
    series = summary_of_pieces(scenario, plan, iter([trace]), 20 * MS).series
    assert series["time_s"].tolist() == [0, 0.02, 0.04]
    assert series["queries"].tolist() == [3, 0, 1]
    assert series["finished"].tolist() == [1, 2, 1]
    assert series["mean_latency_s"].tolist() == [pytest.approx(0.019), pytest.approx(math.nan, nan_ok=True), 0.01]
    assert series["max_latency_s"].tolist()[::2] == [0.028, 0.01]
    misses = summary_of_pieces(scenario, plan, iter([trace]), 20 * MS).misses
    assert misses[["time_s", "queries", "misses"]].to_numpy().tolist() == [[0, 3, 2], [0.04, 1, 0]]


def test_what_is_served_after_the_trace_is_no_utilisation() -> None:
    scenario = make_scenario({"a": {}})
    trace = ArrivalTrace(np.array([0, 5, 90]) * MS, 95 * MS)
    for cuts in ([], [1], [2], [1, 2]):
        summary = summary_of_pieces(scenario, make_plan(scenario), iter(pieces_of(trace, cuts)), MS)
        assert summary.stages["utilisation"].tolist() == [25 / 95]


def test_delays_that_64_bits_cannot_add_up_are_added_up() -> None:
    """Fifty thousand queries wait up to six days each: some 10¹⁹ ns in all."""
    scenario = make_scenario(
        {"a": {}}, {"a": {1: 10_000}}, traffic={"poisson": {"rate_qps": 100, "queries": 50_000}}, slo={"p99": "1h"}
    )
    plan = make_plan(scenario)
    result, summary = simulate(scenario, plan), summarise(scenario, plan, interval_s=10)
    waits_s = (result.run.stages[0].start_ns - result.run.stages[0].arrival_ns) / 1e9
    assert result.stages["mean_queue_delay_s"].tolist() == [pytest.approx(waits_s.mean())]
    assert summary.stages["mean_queue_delay_s"].tolist() == result.stages["mean_queue_delay_s"].tolist()
    assert summary.mean_latency_s == pytest.approx(result.latency_ns.mean() / 1e9)
    assert result.tail_breakdown(result.slos[0].slo)["share"].tolist() == [pytest.approx(1)]
    # what finishes after the traffic is one row of the series, however long that takes
    assert len(summary.series) == math.ceil(summary.traffic.duration_s / 10) + 1
    assert summary.series["finished"].sum() == 50_000


def test_a_class_without_queries_is_refused() -> None:
    where = {"quantile": "p99", "bound": "1s", "where": {"tier": "silver"}}
    scenario = make_scenario({"a": {}}, traffic=TRAFFIC[0] | {"attributes": ATTRIBUTES}, slo=[where])
    with pytest.raises(InvalidInputError, match=r"^slo\.where: \{'tier': 'silver'\} holds for no query"):
        summarise(scenario, make_plan(scenario, replicas=4))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"piece": 0}, r"^piece: 0 is not allowed; use 1 to"),
        ({"interval_s": 1e-9}, r"^interval_s: 1e-09 is not allowed; use 0\.0007"),
        ({"interval_s": math.nan}, r"^interval_s: nan is not allowed"),
        ({"interval_s": math.inf}, r"^interval_s: inf is not allowed"),
        ({"interval_s": -1}, r"^interval_s: -1 is not allowed"),
        ({"interval_s": 1e9}, r"^interval_s: 1000000000\.0 is not allowed"),
    ],
)
def test_impossible_pieces_and_intervals_are_refused(options: dict[str, Any], message: str) -> None:
    scenario = scenario_of(TRAFFIC[1])
    with pytest.raises(InvalidInputError, match=message):
        summarise(scenario, make_plan(scenario), **options)


class TestSimulateAll:
    def test_runs_side_by_side_are_those_one_after_the_other(self) -> None:
        scenario = scenario_of(TRAFFIC[1])
        plans = [make_plan(scenario, replicas=replicas, max_batch_size=8) for replicas in (3, 4, 5, 6)]
        together = simulate_all([(Workload.of(scenario), plan) for plan in plans], threads=4)
        for plan, result in zip(plans, together, strict=True):
            assert result.plan is plan
            assert np.array_equal(result.latency_ns, simulate(scenario, plan).latency_ns)

    def test_runs_of_one_workload_share_its_luck(self) -> None:
        """Were the draws made by each thread, the streams would be read on and all would differ."""
        scenario = scenario_of(TRAFFIC[1])
        workload, plan = Workload.of(scenario), make_plan(scenario, replicas=4, max_batch_size=8)
        runs = simulate_all([(workload, plan)] * 8, threads=8)
        assert all(np.array_equal(run.latency_ns, runs[0].latency_ns) for run in runs)
        assert runs[0].traffic is runs[7].traffic

    def test_other_seeds_may_run_beside_each_other(self) -> None:
        scenario = scenario_of(TRAFFIC[1])
        plan = make_plan(scenario, replicas=4, max_batch_size=8)
        runs = simulate_all([(scenario.with_seed(seed), plan) for seed in (1, 2)])
        assert [run.scenario.seed for run in runs] == [1, 2]
        assert not np.array_equal(runs[0].latency_ns[:100], runs[1].latency_ns[:100])

    def test_no_threads_are_refused(self) -> None:
        with pytest.raises(InvalidInputError, match=r"^threads: 0 is not allowed; use at least 1"):
            simulate_all([], threads=0)


def test_quantiles_of_a_summary_carry_the_names_of_those_of_a_result() -> None:
    scenario = replace(scenario_of(TRAFFIC[0]))
    summary = summarise(scenario, make_plan(scenario, replicas=4, max_batch_size=8))
    assert summary.latency().index.tolist() == simulate(scenario, summary.plan).latency().index.tolist()
    assert len(summary.latency()) == len(QUANTILES)
