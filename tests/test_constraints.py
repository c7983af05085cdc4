"""The constraints that users have: hardware left out, quotas, prices by class, a running plan, objectives by window."""

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from build import MS, make_plan, make_scenario, make_trace
from pipesim.engine import MissLimit, SimulationResult, Workload, simulate, summarise
from pipesim.engine.compiled.tally import summary_of_pieces
from pipesim.engine.histogram import RESOLUTION
from pipesim.engine.quantiles import nearest_rank
from pipesim.errors import InvalidInputError
from pipesim.model import Plan, Scenario, Slo, load_scenario, parse_catalogue, scenario_from_dict
from pipesim.planner import FeasiblePlan, Infeasible, plan
from pipesim.report import simulation_report
from pipesim.traces import ArrivalTrace
from strategies import Case, cases
from test_parity import PARITY

DOCUMENT: dict[str, Any] = {
    "name": "shop",
    "slo": {"p99": "1s"},
    "traffic": {"poisson": {"rate_qps": 10, "queries": 10}},
    "pipeline": {"translate": {"model": "nmt"}, "rank": {"model": "ranker", "after": ["translate"]}},
    "profiles": {
        "nmt": {"cpu-4": {1: "40ms"}, "t4": {1: "9ms", 32: "40ms"}, "v100": {1: "5ms", 32: "20ms"}},
        "ranker": {"cpu-4": {1: "8ms"}, "t4": {1: "2ms"}},
    },
    "prices": {
        "units": {
            "core": {"kind": "cpu", "unit": "core", "price_usd_per_hour": 0.05},
            "t4": {"kind": "gpu", "unit": "gpu", "price_usd_per_hour": 0.35, "prices": {"spot": 0.11, "1y": 0.2}},
            "v100": {"kind": "gpu", "unit": "gpu", "price_usd_per_hour": 2.48, "prices": {"spot": 0.74}},
        },
        "bundles": {"cpu-4": {"core": 4}, "t4": {"t4": 1, "core": 2}, "v100": {"v100": 1, "core": 4}},
    },
}
PLAN = {
    "stages": {
        "translate": {"hardware": "t4", "replicas": 3, "max_batch_size": 8},
        "rank": {"hardware": "cpu-4", "replicas": 2, "max_batch_size": 1},
    }
}


def shop(search: dict[str, Any] | None = None, **fields: Any) -> Scenario:
    return scenario_from_dict({**DOCUMENT, "search": search or {}, **fields})


def hardware(scenario: Scenario) -> dict[str, list[str]]:
    return {stage: [option.hardware for option in space.options] for stage, space in scenario.space.items()}


class TestHardwareLeftOut:
    def test_what_is_excluded_is_left_out_for_all_stages_or_for_one(self) -> None:
        assert hardware(shop()) == {"translate": ["v100", "t4", "cpu-4"], "rank": ["t4", "cpu-4"]}
        everywhere, there = {"exclude": ["t4"]}, {"stages": {"translate": {"exclude": ["cpu-4"]}}}
        assert hardware(shop(everywhere)) == {"translate": ["v100", "cpu-4"], "rank": ["cpu-4"]}
        assert hardware(shop(there)) == {"translate": ["v100", "t4"], "rank": ["t4", "cpu-4"]}
        assert hardware(shop(everywhere | there)) == {"translate": ["v100"], "rank": ["cpu-4"]}

    def test_what_is_both_listed_and_excluded_is_left_out(self) -> None:
        search = {"hardware": ["t4", "cpu-4"], "exclude": ["t4"]}
        assert hardware(shop(search)) == {"translate": ["cpu-4"], "rank": ["cpu-4"]}


class TestQuota:
    plan = Plan.model_validate(PLAN)

    def test_a_plan_occupies_the_units_of_all_bundles_of_all_replicas(self) -> None:
        assert self.plan.units(shop().catalogue) == {"t4": 3, "core": 3 * 2 + 2 * 4}

    def test_a_plan_is_over_quota_by_what_it_occupies_beyond(self) -> None:
        assert shop().over_quota(self.plan) == {}
        assert shop({"quota": {"core": 14, "t4": 3, "v100": 0}}).over_quota(self.plan) == {}
        assert shop({"quota": {"core": 10, "t4": 0, "v100": 1}}).over_quota(self.plan) == {"core": 4, "t4": 3}

    def test_without_a_quota_nothing_is_limited(self) -> None:
        assert shop().quota == {}
        assert shop({"quota": {"t4": 0}}).quota == {"t4": 0}

    def test_hardware_of_which_the_fewest_replicas_exceed_it_is_left_out(self) -> None:
        assert hardware(shop({"quota": {"v100": 0, "core": 4}})) == {
            "translate": ["t4", "cpu-4"],
            "rank": ["t4", "cpu-4"],
        }
        assert hardware(shop({"quota": {"core": 3}})) == {"translate": ["t4"], "rank": ["t4"]}
        search = {"quota": {"core": 7}, "stages": {"rank": {"min_replicas": 2}}}
        assert hardware(shop(search)) == {"translate": ["v100", "t4", "cpu-4"], "rank": ["t4"]}
        assert hardware(shop({"quota": {"core": 7}, "min_replicas": 2})) == {"translate": ["t4"], "rank": ["t4"]}

    def test_a_stage_without_any_hardware_says_what_exceeds_the_quota(self) -> None:
        message = (
            r"search\.stages\.rank: 'ranker' is left without any hardware and batch size: "
            r"2 replicas on cpu-4 would occupy 8 core of a quota of 3, "
            r"2 replicas on t4 would occupy 4 core of a quota of 3; widen the search or its quota"
        )
        with pytest.raises(InvalidInputError, match=message):
            shop({"quota": {"core": 3}, "stages": {"rank": {"min_replicas": 2}}})


class TestPrices:
    def test_the_catalogue_has_the_prices_of_the_class(self) -> None:
        prices = {name: shop(price_class="spot").catalogue.price_usd_per_hour(name) for name in ("cpu-4", "t4", "v100")}
        assert prices == {"cpu-4": Decimal("0.20"), "t4": Decimal("0.21"), "v100": Decimal("0.94")}
        assert shop().catalogue.price_usd_per_hour("t4") == Decimal("0.45")
        assert shop(price_class="1y").catalogue.price_usd_per_hour("v100") == Decimal("2.68")

    def test_costs_and_the_order_of_the_search_space_follow(self) -> None:
        spot = shop(price_class="spot")
        assert Plan.model_validate(PLAN).cost_usd_per_hour(spot.catalogue) == Decimal("1.03")
        assert [option.price_usd_per_hour for option in spot.space["rank"].options] == [
            Decimal("0.21"),
            Decimal("0.20"),
        ]

    def test_units_that_have_no_price_of_the_class_are_a_caveat_if_a_plan_can_use_them(self) -> None:
        assert shop().caveats == ()
        assert shop(price_class="spot").caveats == ("core has no spot price: it is counted at its price on demand",)
        assert shop(price_class="1y").caveats == (
            "core has no 1y price: it is counted at its price on demand",
            "v100 has no 1y price: it is counted at its price on demand",
        )
        assert len(shop({"exclude": ["v100"]}, price_class="1y").caveats) == 1

    def test_a_csv_price_list_has_a_column_for_each_class_and_units_may_leave_it_empty(self) -> None:
        rows = (
            "name,kind,unit,price_usd_per_hour,price_usd_per_hour:spot,price_usd_per_hour:reserved-1y",
            "core,cpu,core,0.05,,0.03",
            "t4,gpu,gpu,0.35,0.11,",
        )
        catalogue = parse_catalogue("\n".join(rows).encode(), "prices.csv")
        assert catalogue.price_classes == ("reserved-1y", "spot")
        assert {name: unit.prices for name, unit in catalogue.units.items()} == {
            "core": {"reserved-1y": Decimal("0.03")},
            "t4": {"spot": Decimal("0.11")},
        }

    def test_another_seed_pays_the_same_prices(self) -> None:
        assert shop(price_class="spot").with_seed(7).catalogue == shop(price_class="spot").catalogue


@pytest.fixture
def running(tmp_path: Path) -> Callable[..., Scenario]:
    """Return a function that loads a scenario whose running plan is `PLAN`, from a folder of its own."""

    def load(**previous: Any) -> Scenario:
        (tmp_path / "running.yaml").write_text(yaml.safe_dump(PLAN))
        document = {**DOCUMENT, "search": {"previous": {"plan": "running.yaml", **previous}}}
        (tmp_path / "shop.yaml").write_text(yaml.safe_dump(document, sort_keys=False))
        return load_scenario(tmp_path / "shop.yaml")

    return load


class TestTheRunningPlan:
    def test_it_is_read_and_is_an_input(self, running: Callable[..., Scenario]) -> None:
        scenario = running()
        assert scenario.previous == Plan.model_validate(PLAN)
        assert [file.name for file in scenario.inputs] == ["shop.yaml", "running.yaml"]
        assert len(scenario.inputs[1].sha256) == 64
        assert scenario.with_seed(5).previous == scenario.previous

    def test_a_stage_is_changed_if_any_of_its_settings_is(self, running: Callable[..., Scenario]) -> None:
        scenario, now = running(change_usd_per_hour=0.5), Plan.model_validate(PLAN)
        assert scenario.changed_stages(now) == ()
        for change in ({"replicas": 2}, {"hardware": "v100"}, {"max_batch_size": 4}):
            assert scenario.changed_stages(now.with_stage("translate", **change)) == ("translate",)
        both = now.with_stage("rank", replicas=1).with_stage("translate", replicas=1)
        assert scenario.changed_stages(both) == ("translate", "rank")

    def test_each_changed_stage_adds_to_the_cost_that_plans_are_compared_by(
        self, running: Callable[..., Scenario]
    ) -> None:
        scenario, now = running(change_usd_per_hour=0.5), Plan.model_validate(PLAN)
        assert scenario.change_usd_per_hour == Decimal("0.5")
        cost = now.cost_usd_per_hour(scenario.catalogue)
        assert scenario.weighed_cost_usd_per_hour(now) == cost
        less = now.with_stage("translate", replicas=2)
        assert scenario.weighed_cost_usd_per_hour(less) == cost - Decimal("0.45") + Decimal("0.5")
        both = less.with_stage("rank", replicas=1)
        assert scenario.weighed_cost_usd_per_hour(both) == cost - Decimal("0.65") + 2 * Decimal("0.5")

    def test_a_change_costs_nothing_if_that_is_not_said(self, running: Callable[..., Scenario]) -> None:
        assert running().change_usd_per_hour == 0

    def test_without_one_no_stage_is_changed(self) -> None:
        scenario, now = shop(), Plan.model_validate(PLAN)
        assert scenario.previous is None
        assert scenario.changed_stages(now) == ()
        assert scenario.weighed_cost_usd_per_hour(now) == now.cost_usd_per_hour(scenario.catalogue)


def test_a_ceiling_on_the_cost_is_exact_money() -> None:
    assert shop().max_cost_usd_per_hour is None
    assert shop({"max_cost_usd_per_hour": 2.1}).max_cost_usd_per_hour == Decimal("2.1")


class TestReplicas:
    def test_all_stages_have_at_least_the_fewest_replicas_unless_one_says_otherwise(self) -> None:
        space = shop({"min_replicas": 2, "stages": {"rank": {"min_replicas": 1}}}).space
        assert [stage.min_replicas for stage in space.values()] == [2, 1]
        assert [stage.min_replicas for stage in shop().space.values()] == [1, 1]

    def test_a_plan_has_them(self) -> None:
        scenario = make_scenario({"a": {}, "b": {"after": ["a"]}}, search={"min_replicas": 2})
        found = plan(scenario)
        assert isinstance(found, FeasiblePlan)
        assert [stage.replicas for stage in found.simulation.plan.stages.values()] == [2, 2]


P50 = {"quantile": "p50", "bound": "20ms", "every": "100ms"}
"""With one replica at 10 ms a query, the third that arrives at once is late."""


def windowed(
    arrivals_ms: list[float], *slos: dict[str, Any], duration_ms: int = 0, **attributes: Any
) -> SimulationResult:
    scenario = make_scenario({"a": {}}, slo=list(slos) or [P50])
    trace = make_trace(arrivals_ms, **attributes)
    trace = replace(trace, duration_ns=max(duration_ms * MS, trace.duration_ns))
    return simulate(Workload.of(scenario, trace), make_plan(scenario))


class TestWindows:
    def test_an_objective_holds_over_the_trace_and_still_not_in_every_window(self) -> None:
        arrivals = [0, 20, 40, 60, 80, 100, 100, 100, 100, 100, 220, 240]
        result = windowed(arrivals, P50, {"quantile": "p50", "bound": "20ms"})
        by_window, whole = result.slos
        assert (whole.queries, whole.misses, whole.allowed_misses, whole.met) == (12, 3, 6, True)
        assert (by_window.queries, by_window.misses, by_window.allowed_misses, by_window.met) == (5, 3, 2, False)
        assert (by_window.windows, by_window.windows_missed, by_window.worst_window) == (3, 1, 1)
        assert by_window.worst_window_ns == 100 * MS
        assert by_window.latency_ns == 30 * MS
        assert (whole.windows, whole.windows_missed, whole.worst_window_ns) == (1, 0, None)
        assert not result.met

    def test_a_query_belongs_to_the_window_in_which_it_arrives(self) -> None:
        outcome = windowed([*[99.999999] * 4, 100], duration_ms=300).slos[0]  # finish at 110 … 150 ms
        assert (outcome.worst_window, outcome.queries, outcome.misses, outcome.windows_missed) == (1, 1, 1, 1)

    def test_windows_without_queries_hold_and_the_last_one_may_be_shorter(self) -> None:
        outcome = windowed([0, 310], duration_ms=350).slos[0]
        assert (outcome.windows, outcome.windows_missed, outcome.queries) == (4, 0, 1)

    def test_what_arrives_at_the_very_end_belongs_to_the_last_window(self) -> None:
        outcome = windowed([0, 100, 200, 200], {**P50, "bound": "15ms"}).slos[0]
        assert (outcome.windows, outcome.worst_window, outcome.queries) == (2, 1, 3)

    def test_of_windows_without_misses_the_slowest_is_the_worst(self) -> None:
        outcome = windowed([0, 100, 100, 200, 300, 300], {**P50, "quantile": "p100"}).slos[0]
        assert (outcome.worst_window, outcome.latency_ns, outcome.misses) == (1, 20 * MS, 0)

    def test_a_window_longer_than_the_trace_is_the_whole_trace(self) -> None:
        long, whole = windowed([0, 0, 0, 150], {**P50, "every": "1h"}, {"quantile": "p50", "bound": "20ms"}).slos
        assert (long.queries, long.misses, long.windows, long.latency_ns) == (4, 1, 1, whole.latency_ns)

    def test_no_queries_meet_it(self) -> None:
        outcome = windowed([], duration_ms=250).slos[0]
        assert (outcome.queries, outcome.met, outcome.latency_ns, outcome.windows) == (0, True, None, 3)

    def test_it_may_be_for_a_class_of_queries(self) -> None:
        slo = {**P50, "where": {"tier": "gold"}}
        tiers = ["gold", "basic", "basic", "gold", "gold", "gold", "gold"]
        outcome = windowed([0, 0, 0, 100, 150, 150, 150], slo, tier=tiers).slos[0]
        assert (outcome.queries, outcome.misses, outcome.allowed_misses, outcome.met) == (4, 1, 2, True)
        assert outcome.worst_window == 1

    def test_the_slowest_queries_are_those_of_the_worst_window(self) -> None:
        result = windowed([0, 0, 0, 100, 100, 100, 100], duration_ms=200)
        assert result.tail_breakdown(result.slos[0].slo).loc["a"].tolist() == [0.02, 0.01, 1.0]  # waits 10, 20, 30 ms

    def test_a_report_has_the_windows(self) -> None:
        report = simulation_report(
            windowed([0, 100, 100, 100, 100, 100, 300], P50, {"quantile": "p50", "bound": "20ms"})
        )
        fields = ("every_s", "windows", "windows_missed", "worst_window_s", "met")
        assert [[slo[field] for field in fields] for slo in report["slos"]] == [
            [0.1, 3, 1, 0.1, False],
            [None, 1, 0, None, True],
        ]

    def test_too_many_windows_are_refused_before_they_are_counted(self) -> None:
        with pytest.raises(InvalidInputError, match=r"^slo\.every: '1 ns' makes 2,000,000,000 windows of traffic"):
            windowed([0, 2000], {**P50, "every": "1ns"})


def outcomes_by_window(result: SimulationResult, slo: Slo) -> list[list[int]]:
    """Return the latencies of each window, found query by query."""
    assert slo.every_ns is not None
    latencies: list[list[int]] = [[] for _ in range(max(1, -(-result.traffic.duration_ns // slo.every_ns)))]
    for arrival, latency, concerned in zip(
        result.traffic.times_ns, result.latency_ns, result.workload.concerned(slo), strict=True
    ):
        if concerned:
            latencies[min(int(arrival) // slo.every_ns, len(latencies) - 1)].append(int(latency))
    return latencies


quantiles = st.sampled_from(["p1", "p50", "p90", "p99", "p100"])


def with_windows(case: Case, quantile: str, bound_ms: int, windows: int, of_class: bool) -> Case:
    where = {"where": {"class": "a"}} if of_class and (case.trace.attributes["class"] == "a").any() else {}
    every = f"{max(1, case.trace.duration_ns // windows)}ns"
    slo = [
        {"quantile": quantile, "bound": f"{bound_ms}ms", "every": every, **where},
        {"quantile": "p50", "bound": "9ms"},
    ]
    return replace(case, document={**case.document, "slo": slo})


windowed_cases = st.builds(with_windows, cases(), quantiles, st.integers(1, 60), st.integers(1, 9), st.booleans())


@settings(PARITY, max_examples=150)
@given(windowed_cases)
def test_an_objective_with_windows_holds_when_it_holds_in_each(case: Case) -> None:
    result = case.result
    outcome, slo = result.slos[0], result.scenario.slos[0]
    latencies = outcomes_by_window(result, slo)
    missed = [bool(some) and nearest_rank(np.sort(np.array(some)), slo.quantile) > slo.bound_ns for some in latencies]
    assert (outcome.windows, outcome.windows_missed, outcome.met) == (len(latencies), sum(missed), not any(missed))
    worst = latencies[outcome.worst_window]
    assert (outcome.queries, outcome.misses) == (len(worst), sum(latency > slo.bound_ns for latency in worst))
    assert (outcome.misses <= outcome.allowed_misses) == outcome.met
    shares = [sum(latency > slo.bound_ns for latency in some) / len(some) for some in latencies if some]
    assert outcome.miss_rate == max(shares, default=0.0)


@settings(PARITY, max_examples=150)
@given(windowed_cases)
def test_the_limit_that_an_engine_checks_is_the_outcome(case: Case) -> None:
    result = case.result
    for limit, outcome in zip(result.workload.miss_limits(result.scenario.slos), result.slos, strict=True):
        assert limit.is_missed(result.latency_ns) == (not outcome.met)
        assert limit.misses(result.latency_ns)[outcome.worst_window] == outcome.misses
        assert limit.queries[outcome.worst_window] == outcome.queries
        assert limit.allowed[outcome.worst_window] == outcome.allowed_misses
        least_ns = int(limit.quantiles_ns(result.latency_ns).max())
        assert not replace(limit, bound_ns=least_ns).is_missed(result.latency_ns)
        assert least_ns < 0 or replace(limit, bound_ns=least_ns - 1).is_missed(result.latency_ns)


@settings(PARITY, max_examples=150)
@given(windowed_cases, st.lists(st.integers(0, 40), max_size=3), st.integers(1, 4))
def test_a_summary_has_the_windows_of_the_whole_run(case: Case, cuts: list[int], parts: int) -> None:
    result = case.result
    every_ns = result.scenario.slos[0].every_ns
    assert every_ns is not None
    bounds = sorted({0, len(case.trace), *(cut for cut in cuts if cut <= len(case.trace))})
    pieces = [case.trace.between(first, last) for first, last in pairwise(bounds)] or [case.trace]
    interval_ns = every_ns // parts if every_ns % parts == 0 else every_ns
    summary = summary_of_pieces(case.scenario, case.plan, iter(pieces), interval_ns)
    for mine, exact in zip(summary.slos, result.slos, strict=True):
        assert (mine.met, mine.windows, mine.windows_missed) == (exact.met, exact.windows, exact.windows_missed)
        assert mine.miss_rate == exact.miss_rate
        if mine.worst_window == exact.worst_window:  # of those that are equal to a thousandth, it may be another one
            assert (mine.queries, mine.misses, mine.allowed_misses) == (
                exact.queries,
                exact.misses,
                exact.allowed_misses,
            )
        if exact.latency_ns is not None:
            assert mine.latency_ns == pytest.approx(exact.latency_ns, rel=2 * RESOLUTION)


def test_one_miss_more_than_a_window_allows_breaks_a_limit() -> None:
    group = np.array([0, 0, 0, 1, 1, -1], dtype=np.int32)
    limit = MissLimit(10, group, np.array([1, 0]))
    assert limit.misses(np.array([11, 10, 9, 10, 10, 99])).tolist() == [1, 0]
    assert not limit.is_missed(np.array([11, 10, 9, 10, 10, 99]))
    assert limit.is_missed(np.array([11, 11, 9, 10, 10, 99]))
    assert limit.is_missed(np.array([10, 10, 9, 11, 10, 99]))


class TestSummaries:
    TRAFFIC = {"poisson": {"rate_qps": 60, "duration": "20s"}}

    def summarised(self, every: str, **options: Any) -> Any:
        scenario = make_scenario({"a": {}}, slo=[{**P50, "every": every}], traffic=self.TRAFFIC)
        return summarise(scenario, make_plan(scenario), **options)

    @pytest.mark.parametrize("every", ["5s", "7s", "70ms", "1.0001s", "300s", "25s"])
    def test_intervals_that_are_not_given_divide_the_windows(self, every: str) -> None:
        summary = self.summarised(every)
        (slo,), (outcome,) = summary.scenario.slos, summary.slos
        assert slo.every_ns % summary.interval_ns == 0
        exact = simulate(summary.scenario, summary.plan).slos[0]
        assert (outcome.windows, outcome.windows_missed) == (exact.windows, exact.windows_missed)
        assert len(summary.series) <= 20_001

    def test_a_window_of_20_intervals_has_an_interval_of_confidence(self) -> None:
        outcome = self.summarised("5s", interval_s=0.1).slos[0]
        assert outcome.interval_ns.low <= outcome.latency_ns <= outcome.interval_ns.high
        assert np.isnan(self.summarised("5s", interval_s=1).slos[0].interval_ns.low)

    def test_intervals_that_do_not_divide_the_windows_are_refused(self) -> None:
        message = r"^interval_s: 0\.3 does not divide the windows of the objectives \(5 s\); use for example 0\.05 s$"
        with pytest.raises(InvalidInputError, match=message):
            self.summarised("5s", interval_s=0.3)

    def test_windows_too_short_for_a_summary_are_refused(self) -> None:
        message = r"^slo\.every: '100 us' .* too short for a summary; use multiples of 0\.001 s or more, or simulate"
        with pytest.raises(InvalidInputError, match=message):
            self.summarised("100us")


class TestPlanning:
    """Quiet traffic with one burst of four: a p50 of the whole trace does not see it, that of its window does."""

    TRACE = ArrivalTrace(np.array([*range(0, 900, 50), 950, 950, 950, 950]) * MS, 1000 * MS)

    @pytest.mark.parametrize(("every", "replicas"), [(None, 1), ("100ms", 2)])
    def test_a_plan_meets_an_objective_in_every_window(self, every: str | None, replicas: int) -> None:
        slo = {"quantile": "p75", "bound": "20ms", **({"every": every} if every else {})}
        scenario = make_scenario({"a": {}}, {"a": {1: 10}}, slo=[slo])
        found = plan(Workload.of(scenario, self.TRACE))
        assert isinstance(found, FeasiblePlan)
        assert found.simulation.met
        assert found.simulation.plan.stages["a"].replicas == replicas
        assert found.binding_stage == "a"

    def test_without_a_feasible_plan_the_bound_that_the_worst_window_needs_is_named(self) -> None:
        slo = [{"quantile": "p50", "bound": "15ms", "every": "100ms"}]
        scenario = make_scenario({"a": {"size": {"attribute": "tokens", "reference": 1}}}, {"a": {1: 10}}, slo=slo)
        trace = make_trace([0, 20, 40, 60, 150], tokens=[1.0, 1.0, 1.0, 1.0, 3.0])
        found = plan(Workload.of(scenario, trace))
        assert isinstance(found, Infeasible)
        assert found.proved
        assert "Raise the bound of p50 to 30 ms or more" in found.remedies[0]

    def test_a_window_with_few_queries_is_a_caveat(self) -> None:
        scenario = make_scenario({"a": {}}, slo=[{"quantile": "p50", "bound": "1s", "every": "100ms"}])
        found = plan(Workload.of(scenario, self.TRACE))
        assert isinstance(found, FeasiblePlan)
        (caveat,) = [one for one in found.caveats if "too few" in one]
        assert "in every 100 ms: " in caveat
        assert caveat.endswith(" queries of the worst window are too few to test it; use longer windows")


def test_the_command_line_shows_the_worst_window(pipesim: Callable[..., Any], folder: Path) -> None:
    slos = [{**P50, "every": "500ms"}, {"quantile": "p50", "bound": "1h", "every": "5min"}]
    traffic = {"gamma": {"rate_qps": 90, "scv": 4, "duration": "3s"}}
    profiles = {model: {"t4": {1: "10ms"}} for model in ("nmt", "ranker")}
    (folder / "s.yaml").write_text(yaml.safe_dump({**DOCUMENT, "slo": slos, "traffic": traffic, "profiles": profiles}))
    stages = {stage: {"hardware": "t4", "replicas": 1} for stage in DOCUMENT["pipeline"]}
    (folder / "p.yaml").write_text(yaml.safe_dump({"stages": stages}))
    for options in ((), ("--summary",)):
        shown = pipesim("simulate", "s.yaml", "--plan", "p.yaml", *options)
        assert shown.code == 3
        for words in ("p50 in every 500 ms", "MISSED in ", " of 6", "the worst", "p50 in every 5 min", "met in 1 of 1"):
            assert words in shown.out
