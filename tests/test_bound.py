"""The bound: no feasible plan costs less, has fewer replicas, or is left out of the search; and what the search proves.

First each fact alone, with numbers to be checked by hand; then all of them, against every plan of small search spaces.
"""

import itertools
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from build import MS, make_plan, make_scenario, make_trace
from pipesim.engine import Workload, run_engine
from pipesim.model import Plan, ProfilePoint, StagePlan
from pipesim.model.profile import profile_set
from pipesim.model.search import PreviousPlan
from pipesim.planner import FeasiblePlan, Infeasible, PlanningResult, plan
from pipesim.planner.bound import Bound
from pipesim.planner.bound.averages import average_service_ns, intervals
from pipesim.planner.bound.capacity import Batches, Capacity, Demand
from pipesim.planner.bound.paths import MAX_PATHS, Path, Traffic, paths_of
from pipesim.planner.bound.stands import MAX_LOSSES, Losses
from pipesim.planner.evaluator import Budget, Evaluator, Question
from pipesim.planner.methods.choices import choices_below
from pipesim.planner.money import Money
from pipesim.traces import ArrivalTrace
from strategies import Problem, problems
from test_parity import PARITY

FREE = {"overhead_ns": 0.0, "noise": np.zeros(0)}


def batches_of(
    curve: dict[int, float], trace: ArrivalTrace | None = None, stage: dict[str, Any] | None = None, **noise: Any
) -> Batches:
    """Return the least times of batches on a curve in milliseconds, up to its largest size."""
    scenario = make_scenario({"a": stage or {}}, {"a": curve})
    points = [ProfilePoint(**{**vars(point), **noise}) for one in scenario.profiles.values() for point in one.points]
    scenario = replace(scenario, profiles=profile_set(("test", point) for point in points))
    workload = Workload.of(scenario, make_trace([0]) if trace is None else trace)
    return Batches.of(workload.stage_inputs("a", StagePlan(hardware="cpu", replicas=1, max_batch_size=max(curve))))


def traffic(arrivals_ms: Sequence[float], items: Sequence[int] | None = None) -> Traffic:
    arrival_ns = np.array([round(at * MS) for at in arrivals_ms], np.int64)
    return Traffic(arrival_ns, np.array(items or [1] * len(arrivals_ms), np.int64))


def capacity(curve: dict[int, float], arrivals_ms: Sequence[float], items: Sequence[int] | None = None) -> Capacity:
    return Capacity(batches_of(curve), Demand(traffic(arrivals_ms, items)))


class TestPaths:
    def paths(
        self, pipeline: dict[str, Any], arrivals: Sequence[float] = (0, 1, 2), slo: Any = None, **attributes: Any
    ) -> list[Path]:
        scenario = make_scenario(pipeline, slo=slo or {"p100": "100ms"})
        workload = Workload.of(scenario, make_trace(list(arrivals), **attributes))
        return paths_of(workload, workload.miss_limits(scenario.slos), [1] * len(pipeline))

    def test_every_way_is_one_and_its_network_delays_are_taken_off_the_bound(self) -> None:
        pipeline = {
            "a": {},
            "b": {"after": {"a": {"network_delay": "3ms"}}},
            "c": {"after": {"a": {"network_delay": "20ms"}, "b": {}}},
        }
        found = {path.stages: path.budget_ns / MS for path in self.paths(pipeline)}
        assert found == {(0, 1, 2): 97, (0, 2): 80}

    def test_a_stage_that_nothing_feeds_or_follows_is_one(self) -> None:
        assert [path.stages for path in self.paths({"a": {}, "b": {}})] == [(0,), (1,)]

    def test_only_the_queries_that_take_a_way_are_on_it(self) -> None:
        gold, basic = ({"after": {"a": {"choice": "tier", "values": [tier]}}} for tier in ("gold", "basic"))
        first, second = self.paths({"a": {}, "b": gold, "c": basic}, tier=["gold", "basic", "gold"])
        assert [one.arrival_ns.tolist() for one in first.traffic] == [[0, 2 * MS]] * 2
        assert [one.arrival_ns.tolist() for one in second.traffic] == [[1 * MS]] * 2

    def test_items_that_do_not_lead_on_are_not_on_it(self) -> None:
        pipeline = {
            "a": {},
            "b": {"after": {"a": {"fan_out": 40}}},
            "c": {"after": {"b": {"per": "item", "probability": 0.5}}},
        }
        (path,) = self.paths(pipeline, [0])
        a, b, c = (one.items.tolist() for one in path.traffic)
        assert (a, b) == ([1], c)
        assert 5 < c[0] < 35

    def test_a_join_puts_all_items_of_the_visit_on_each_way(self) -> None:
        pipeline = {
            "a": {},
            "b": {"after": {"a": {"fan_out": 2}}},
            "c": {"after": {"a": {"fan_out": 3}, "b": {"fan_out": 1}}},
        }
        found = {path.stages: [one.items[0] for one in path.traffic] for path in self.paths(pipeline, [0])}
        assert found == {(0, 2): [1, 3], (0, 1, 2): [1, 2, 3]}

    def test_children_of_single_items_are_on_the_way_of_their_edge_alone(self) -> None:
        pipeline = {
            "a": {},
            "b": {"after": {"a": {"fan_out": 2}}},
            "c": {"after": {"a": {}, "b": {"per": "item", "fan_out": 3}}},
        }
        found = {path.stages: [one.items[0] for one in path.traffic] for path in self.paths(pipeline, [0])}
        assert found == {(0, 2): [1, 1], (0, 1, 2): [1, 2, 6]}

    def test_longest_services_add_up_where_edges_wait_for_all_items_or_there_is_one(self) -> None:
        pipeline = {
            "a": {},
            "b": {"after": {"a": {"fan_out": 2}}},
            "c": {"after": {"b": {"fan_out": 2}}},
            "d": {"after": {"c": {"per": "item"}}},
        }
        (path,) = self.paths(pipeline, [0])
        assert path.sums == (True, True, False, False)

    def test_an_objective_counts_the_queries_that_it_is_for(self) -> None:
        slo = [{"quantile": "p50", "bound": "50ms", "where": {"tier": "gold"}}]
        (path,) = self.paths({"a": {}}, slo=slo, tier=["gold", "basic", "gold"])
        assert (path.traffic[0].arrival_ns.tolist(), path.allowed, path.budget_ns) == ([0, 2 * MS], 1, 50 * MS)

    def test_each_window_counts_as_one(self) -> None:
        slo = [{"quantile": "p60", "bound": "50ms", "every": "10ms"}]
        paths = self.paths({"a": {}}, [0, 1, 2, 11, 25, 26], slo=slo)
        assert [(path.traffic[0].arrival_ns.tolist(), path.allowed) for path in paths] == [
            ([0, MS, 2 * MS], 1),
            ([25 * MS, 26 * MS], 0),
            ([11 * MS], 0),
        ]

    def test_a_way_of_no_more_queries_than_may_miss_decides_nothing(self) -> None:
        edge = {"after": {"a": {"choice": "tier", "values": ["gold"]}}}
        paths = self.paths({"a": {}, "b": edge}, slo={"p50": "1s"}, tier=["gold", "basic", "basic"])
        assert paths == []
        assert self.paths({"a": {}}, []) == []

    def test_of_many_ways_some_are_taken_that_lead_from_a_source_to_the_end(self) -> None:
        stages = [f"s{number:02}" for number in range(12)]
        pipeline = {stage: {"after": stages[max(0, n - 2) : n]} if n else {} for n, stage in enumerate(stages)}
        found = [path.stages for path in self.paths(pipeline)]
        assert 0 < len(found) <= MAX_PATHS
        for way in found:
            assert (way[0], way[-1]) == (0, 11)
            assert all(after - before in (1, 2) for before, after in itertools.pairwise(way))
        assert set(itertools.chain(*found)) == set(range(12))


class TestBatches:
    def test_times_are_those_of_the_table_and_the_overhead(self) -> None:
        assert batches_of({1: 10, 3: 20}, stage={"batch_overhead": "2ms"}).time_ns.tolist() == [
            0,
            12 * MS,
            17 * MS,
            22 * MS,
        ]

    def test_where_a_curve_falls_the_larger_batch_counts_for_the_smaller_too(self) -> None:
        assert (batches_of({1: 30, 2: 20, 3: 25}).time_ns / MS).tolist() == [0, 20, 20, 25]

    def test_the_smallest_noise_and_size_that_were_drawn_count(self) -> None:
        stage = {"size": {"attribute": "length", "reference": 10, "combine": "padded"}}
        trace = make_trace([0, 1, 2], length=[20.0, 5.0, 10.0])
        assert batches_of({1: 8}, trace, stage).least_ns == 4 * MS
        noisy = batches_of({1: 8}, make_trace([0, 1, 2]), noise_scv=0.5)
        assert noisy.noise.tolist() == sorted(noisy.noise)
        assert noisy.noise.size == 3
        assert noisy.least_ns == round(8 * MS * noisy.noise[0])
        assert noisy.model_ns[1] == 8 * MS

    def test_the_mean_of_equal_sizes_that_falls_short_of_them_is_no_way_out(self) -> None:
        # 0.7 + 0.7 + 0.7 is a little less than three times as much, and 5 ns times the mean rounds to 3 ns
        stage = {"size": {"attribute": "length", "reference": 1, "combine": "packed"}}
        trace = make_trace([0, 0, 0], length=[0.7, 0.7, 0.7])
        assert batches_of({3: 5e-6}, trace, stage).time_ns.tolist() == [0, 3, 3, 3]

    def test_no_items_have_times_all_the_same(self) -> None:
        assert batches_of({1: 8}, make_trace([]), noise_scv=0.5).least_ns == 8 * MS


class TestSize:
    """A batch is served within the slack, and the queries in it enter within what is left of that."""

    def test_a_batch_carries_no_more_queries_than_come_in_time(self) -> None:
        some = capacity({1: 10, 4: 10}, [0, 10, 20, 30])
        assert [some.largest(slack * MS) for slack in (9, 10, 19, 20, 39, 40)] == [0, 1, 1, 2, 3, 4]

    def test_it_takes_its_time(self) -> None:
        some = capacity({1: 10, 4: 40}, [0, 0, 0, 0])
        assert [some.largest(slack * MS) for slack in (9, 10, 20, 39, 40)] == [0, 1, 2, 3, 4]

    def test_queries_of_many_items_fill_it_sooner(self) -> None:
        some = capacity({1: 10, 8: 10}, [0, 10, 20], [1, 5, 2])
        assert [some.largest(slack * MS) for slack in (10, 20, 30)] == [5, 7, 8]

    def test_what_all_queries_do_not_fill_is_never_carried(self) -> None:
        assert capacity({1: 10, 8: 10}, [0, 0]).largest(10**6 * MS) == 2


class TestLate:
    def test_a_burst_that_is_not_served_in_time_is_late(self) -> None:
        service = capacity({1: 10}, [0] * 10).at(25 * MS)  # each replica serves two of the ten
        assert [service.late(replicas) for replicas in (1, 2, 4, 5)] == [8, 6, 2, 0]
        assert [service.fewest(allowed, 100) for allowed in (0, 1, 2, 3, 4, 8, 9)] == [5, 5, 4, 4, 3, 1, 1]

    def test_if_the_most_replicas_do_not_suffice_there_are_none(self) -> None:
        service = capacity({1: 10}, [0] * 10).at(25 * MS)
        assert (service.fewest(0, 4), service.fewest(0, 5), service.fewest(2, 4)) == (None, 5, 4)

    def test_a_replica_carries_the_best_sequence_of_whole_batches(self) -> None:
        # four items in 25 ms, or one in 10 ms: in 60 ms 4 + 4 + 1
        service = capacity({1: 10, 2: 15, 3: 20, 4: 25}, [0] * 20).at(60 * MS)
        assert [service.late(replicas) for replicas in (1, 2)] == [11, 2]

    def test_the_traffic_of_an_interval_has_the_interval_and_the_slack(self) -> None:
        # one every millisecond, ten in all: served within 9 + 20 ms, two at a time
        service = capacity({1: 10}, list(range(10))).at(20 * MS)
        assert service.late(1) == 10 - 2

    def test_bursts_apart_from_each_other_add_up(self) -> None:
        one, both = ([0] * 5, [0] * 5 + [1000] * 4)
        assert capacity({1: 10}, one).at(20 * MS).late(1) == 3
        assert capacity({1: 10}, both).at(20 * MS).late(1) == 3 + 2

    def test_what_is_too_much_belongs_to_the_fewest_queries(self) -> None:
        # 2 + 3 + 3 + 1 + 1 items, of which two are served: the other eight can be those of three queries
        service = capacity({1: 10}, [0] * 5, [2, 3, 3, 1, 1]).at(20 * MS)
        assert [service.late(replicas) for replicas in (1, 2, 3, 5)] == [3, 2, 2, 0]

    def test_with_too_little_slack_for_any_batch_all_are_late(self) -> None:
        service = capacity({1: 10}, [0, 5, 100]).at(10 * MS - 1)
        assert service.late(10**6) == 3
        assert service.fewest(2, 10**6) is None

    def test_beyond_the_longest_sequence_the_best_rate_counts(self) -> None:
        many = 10_000
        service = capacity({1: 1, 2: 1.5}, [0] * many).at(6000 * MS)
        assert many - 8001 <= service.late(1) <= many - 8000

    def test_very_fast_batches_in_a_very_long_time_are_no_more_than_there_are_items(self) -> None:
        batches = Batches(np.ones(65_537, np.int64) - (np.arange(65_537) == 0), np.ones(65_537), 0.0, np.zeros(0))
        service = Capacity(batches, Demand(traffic([0.0] * 70_000))).at(2**60)
        assert service.late(100_000) == 0

    def test_as_many_batches_have_as_many_multipliers(self) -> None:
        noise = np.array([0.1, 0.5, 1.0, 1.0, 2.0])
        batches = Batches(np.array([0, 1 * MS]), np.array([0.0, 10.0 * MS]), 0.0, noise)
        service = Capacity(batches, Demand(traffic([0] * 5))).at(16 * MS)
        # 1 + 5 + 10 ms by one replica; 1 + 5 + 10 + 10 ms by two. What is begun counts as done
        assert [service.late(replicas) for replicas in (1, 2)] == [1, 0]


def brute_average_ns(time_ns: Sequence[float], queries: int, replicas: int, window_ns: float) -> float:
    """Return the least average service of queries of one item, for any mixture of batches that fits."""
    sizes = np.arange(1, len(time_ns) + 1)
    found = linprog(time_ns, [np.array(time_ns) / sizes * queries], [replicas * window_ns], [np.ones(sizes.size)], [1])
    return float(found.fun) if found.status == 0 else np.inf


class TestAverages:
    @pytest.mark.parametrize("replicas", [1, 2, 3, 5, 8])
    @pytest.mark.parametrize("curve", [{1: 10, 4: 25, 8: 30}, {1: 10, 8: 10}, {1: 10, 2: 11, 8: 60}])
    def test_it_is_nearly_that_of_the_best_mixture_of_batches(self, replicas: int, curve: dict[int, float]) -> None:
        batches, window_ns = batches_of(curve), 400 * MS
        (bound,) = average_service_ns(batches, 8, traffic([0] * 100), 0, window_ns, [replicas])
        best = brute_average_ns(batches.time_ns[1:].tolist(), 100, replicas, window_ns)
        if best == np.inf:
            assert bound > max(batches.time_ns)
        else:
            assert 0.97 * best <= bound <= best * (1 + 1e-12)

    def test_with_replicas_to_spare_it_is_the_shortest(self) -> None:
        found = average_service_ns(batches_of({1: 10, 4: 25}), 4, traffic([0] * 20), 0, 10**6 * MS, [1, 9])
        assert found.tolist() == [10 * MS, 10 * MS]

    def test_those_that_may_miss_are_the_ones_with_the_most_items(self) -> None:
        batches = batches_of({1: 10, 2: 20})  # 10 ms an item, whatever the batch
        items = [1] * 10 + [50] * 2
        found = [
            average_service_ns(batches, 2, traffic([0] * 12, items), allowed, 100 * MS, [1])[0] for allowed in (0, 1, 2)
        ]
        assert found[2] == pytest.approx(10 * MS)
        assert found[0] > found[1] > 100 * MS  # there is no way to do it

    def test_intervals_are_the_densest_of_each_length_while_enough_must_be_in_time(self) -> None:
        some = traffic([*range(0, 320, 10), *range(320, 352), *range(360, 680, 10)])
        assert intervals(some, 0) == [slice(0, 96), slice(17, 65), slice(32, 56)]  # of 671, 190 and 23 ms
        assert intervals(some, 40) == [slice(0, 96)]
        assert intervals(some, 48) == []


class TestLosses:
    def test_they_are_the_sums_that_can_be_and_below_each_lies_the_middle(self) -> None:
        losses = Losses.of([[0, 4], [0, 10]])
        assert losses.at_least_ns == (0, 4, 10, 14)
        assert losses.below_ns == (0, 2, 7, 12)

    def test_without_other_stages_there_is_none(self) -> None:
        assert Losses.of([]) == Losses((0,), (0.0,))

    @given(st.lists(st.lists(st.integers(0, 50), min_size=1, max_size=4), max_size=5))
    def test_no_loss_that_is_less_exceeds_what_lies_below(self, excess: list[list[int]]) -> None:
        losses = Losses.of(excess)
        assert 1 <= len(losses.at_least_ns) <= MAX_LOSSES
        sums = {sum(some) for some in itertools.product(*excess)}
        for at_least_ns, below_ns in zip(losses.at_least_ns, losses.below_ns, strict=True):
            assert below_ns <= at_least_ns or not at_least_ns
            assert all(loss <= below_ns for loss in sums if loss < at_least_ns)

    def test_of_very_many_some_are_looked_at(self) -> None:
        losses = Losses.of([list(range(0, 1000, 100))] * 6)
        assert losses.at_least_ns == (0, 600, 1200, 1800, 2400, 3000, 3600, 4200, 4800, 5400)


PRICES = {
    "units": {
        "slow": {"kind": "cpu", "unit": "core", "price_usd_per_hour": 1},
        "fast": {"kind": "gpu", "unit": "gpu", "price_usd_per_hour": 5},
    }
}


def two_stages(**fields: Any) -> Workload:
    """Return ten queries at once for two stages, each 10 ms on fast hardware and 30 ms on slow."""
    curves = {"slow": {1: "30ms"}, "fast": {1: "10ms"}}
    given = {"slo": {"p100": "100ms"}, "prices": PRICES, "profiles": {"a": curves, "b": curves}} | fields
    return Workload.of(make_scenario({"a": {}, "b": {"after": ["a"]}}, **given), make_trace([0] * 10))


def bound_of(*workloads: Workload) -> Bound:
    return Bound(workloads, Money(workloads[0].scenario))


def slow(replicas: int) -> Plan:
    setting = StagePlan(hardware="slow", replicas=replicas)
    return Plan(stages={"a": setting, "b": setting})


class TestProgram:
    def test_the_fewest_replicas_are_those_with_the_fastest_hardware_elsewhere(self) -> None:
        bound = bound_of(two_stages())
        # 90 ms are left: 9 services on fast hardware, 3 on slow
        assert [bound.fewest(0, hardware, 1) for hardware in ("fast", "slow")] == [2, 4]

    def test_what_others_lose_is_missing_here(self) -> None:
        # b on slow hardware leaves a 70 ms, 7 services on fast hardware or 2 on slow; so does a for b
        bound = bound_of(two_stages())
        number = {
            (bound.columns[n].stage, bound.columns[n].option, bound.columns[n].fewest): n
            for n in range(len(bound.columns))
        }
        (slow, four) = 1, 4
        assert bound.columns[number[0, slow, four]].cost == 4
        assert bound.units == 5 + 5  # both on slow hardware: five replicas each
        # whoever has four of them needs fast hardware elsewhere, of which two are enough
        assert bound.cheapest(number[0, slow, four]) == 4 + 2 * 5

    def test_a_column_stands_some_loss_but_not_more(self) -> None:
        # The one replica of a, 8 ms a query, has 90, 80 or 60 ms: it serves 11, 10 or 7 queries of ten.
        curves = {"a": {"fastest": {1: "8ms"}}, "b": {"fastest": {1: "10ms"}, "fast": {1: "20ms"}, "slow": {1: "40ms"}}}
        prices = {
            name: {"kind": "gpu", "unit": "gpu", "price_usd_per_hour": price}
            for name, price in (("fastest", 9), ("fast", 2), ("slow", 1))
        }
        search = {"stages": {"a": {"max_replicas": 1}}}
        bound = bound_of(two_stages(profiles=curves, prices={"units": prices}, search=search))
        # b has 92 ms: a replica serves 9, 4 or 2
        assert [bound.fewest(1, name, 1) for name in prices] == [2, 3, 5]
        assert bound.units == 9 + 3 * 2
        on_slow = [number for number, column in enumerate(bound.columns) if (column.stage, column.option) == (1, 2)]
        assert {bound.cheapest(number) for number in on_slow} == {None}

    @pytest.mark.parametrize("growth", [1.2, 5])
    def test_a_range_of_replicas_has_the_averages_of_the_most(
        self, growth: float, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        # as above, with ten times the queries: with the fewest replicas, 49, batches take too long at both stages
        monkeypatch.setattr("pipesim.planner.bound.program._GROWTH", growth)
        curve = {"slow": {1: "20ms", 10: "110ms"}}
        scenario = make_scenario(
            {"a": {}, "b": {"after": ["a"]}}, slo={"p100": "120ms"}, prices=PRICES, profiles={"a": curve, "b": curve}
        )
        workload = Workload.of(scenario, make_trace([0] * 440))
        bound, cheapest = bound_of(workload), plan(workload, threads=1)
        assert isinstance(cheapest, FeasiblePlan)
        assert bound.units is not None
        assert bound.units <= cheapest.weighed_usd_per_hour

    def test_a_plan_of_the_bound_is_known(self) -> None:
        found = bound_of(two_stages()).cheapest_plan()
        assert found is not None
        assert {stage.hardware: stage.replicas for stage in found.stages.values()} == {"slow": 5}

    def test_few_replicas_must_serve_large_batches_which_take_their_time(self) -> None:
        # 10 ms and 10 ms an item: in the 100 ms that are left, five replicas serve the 45 queries in batches of 9,
        # but twice 100 ms are too long. Six can do with batches of 3 or so, of 40 ms.
        curve = {"slow": {1: "20ms", 10: "110ms"}}
        scenario = make_scenario(
            {"a": {}, "b": {"after": ["a"]}}, slo={"p100": "120ms"}, prices=PRICES, profiles={"a": curve, "b": curve}
        )
        bound = bound_of(Workload.of(scenario, make_trace([0] * 45)))
        assert [bound.fewest(stage, "slow", 10) for stage in (0, 1)] == [5, 5]
        assert bound.units == 6 + 6

    def test_a_quota_takes_part(self) -> None:
        assert bound_of(two_stages(search={"quota": {"slow": 9}})).units == 4 + 10
        assert bound_of(two_stages(search={"quota": {"slow": 9, "fast": 1}})).units is None

    def test_a_change_of_the_previous_plan_counts(self) -> None:
        workload = two_stages()
        free = with_previous(workload, slow(5), "2.5")
        assert bound_of(free).usd_per_hour == 10
        other = with_previous(workload, slow(6), "2.5")
        assert bound_of(other).usd_per_hour == 12
        dearer = with_previous(workload, slow(9), "2.5")
        assert bound_of(dearer).usd_per_hour == 5 + 5 + 2 * Decimal("2.5")

    def test_it_is_rounded_up_to_what_prices_can_add_up_to(self) -> None:
        prices = {"units": {name: {**unit, "price_usd_per_hour": 0.3} for name, unit in PRICES["units"].items()}}
        assert bound_of(two_stages(prices=prices)).usd_per_hour == Decimal("1.2")

    @pytest.mark.parametrize("scale", [1e-9, 1e-4, 1e4])
    def test_it_does_not_depend_on_the_currency(self, scale: float) -> None:
        units = {
            name: {**unit, "price_usd_per_hour": unit["price_usd_per_hour"] * scale}
            for name, unit in PRICES["units"].items()
        }
        assert bound_of(two_stages(prices={"units": units})).usd_per_hour == 10 * Decimal(str(scale))

    def test_free_hardware_costs_nothing(self) -> None:
        units = {name: {**unit, "price_usd_per_hour": 0} for name, unit in PRICES["units"].items()}
        assert bound_of(two_stages(prices={"units": units})).usd_per_hour == 0

    def test_without_queries_the_fewest_replicas_are_the_bound(self) -> None:
        workload = two_stages(search={"min_replicas": 3})
        bound = bound_of(Workload.of(workload.scenario, make_trace([])))
        assert bound.usd_per_hour == 3 + 3

    def test_a_stage_that_no_setting_saves_is_named(self) -> None:
        search = {"stages": {"b": {"max_replicas": 1}}}
        bound = bound_of(two_stages(search=search))
        assert (bound.units, bound.usd_per_hour, bound.dead_stages()) == (None, None, ["b"])
        assert bound.cheapest_plan() is None

    def test_a_plan_must_stand_every_workload(self) -> None:
        quiet, busy = two_stages(), two_stages()
        quiet = Workload.of(quiet.scenario, make_trace([0]))
        assert bound_of(quiet).units == 2
        assert bound_of(quiet, busy).units == bound_of(busy, quiet).units == 10

    def test_columns_begin_later_when_settings_have_failed(self) -> None:
        bound = bound_of(two_stages())
        bound.learn((0, StagePlan(hardware="slow", replicas=count)) for count in (4, 5))
        assert bound.units == 6 + 5
        bound.learn((0, StagePlan(hardware="slow", replicas=count)) for count in range(6, 129))
        assert bound.units == 2 * 5 + 4
        assert not [column for column, _ in bound.columns_below(0, 10**9) if column.option == 1]

    def test_a_setting_with_a_batch_limit_needs_more_replicas(self) -> None:
        workload = Workload.of(
            make_scenario({"a": {}}, {"a": {1: 10, 4: 10}}, slo={"p100": "20ms"}), make_trace([0] * 16)
        )
        bound = bound_of(workload)
        assert [bound.fewest(0, "cpu", size) for size in (1, 2, 4)] == [8, 4, 2]


def with_previous(workload: Workload, previous: Plan, change: str) -> Workload:
    scenario = workload.scenario
    now = PreviousPlan(plan="running.yaml", change_usd_per_hour=Decimal(change))
    search = scenario.file.search.model_copy(update={"previous": now})
    scenario = replace(scenario, previous=previous, file=scenario.file.model_copy(update={"search": search}))
    return Workload.of(scenario, workload.trace)


def evaluator_of(problem: Problem, max_evaluations: int = 10**6) -> Evaluator:
    return Evaluator(Question((problem.workload,)), Budget(max_evaluations, threads=1))


def feasible_plans(problem: Problem) -> dict[tuple[StagePlan, ...], int]:
    """Return all feasible plans by their settings, with what they cost in whole units: each is run."""
    workload, scenario = problem.workload, problem.scenario
    money, limits, ceiling = Money(scenario), workload.miss_limits(scenario.slos), scenario.max_cost_usd_per_hour
    found = {}
    for one in problem.plans:
        if scenario.over_quota(one) or (ceiling is not None and one.cost_usd_per_hour(scenario.catalogue) > ceiling):
            continue
        latency_ns = run_engine(workload.engine_inputs(one)).finish_ns - workload.trace.times_ns
        if not any(limit.is_missed(latency_ns) for limit in limits):
            found[settings_of(problem, one)] = money.units(scenario.weighed_cost_usd_per_hour(one))
    return found


def settings_of(problem: Problem, one: Plan) -> tuple[StagePlan, ...]:
    return tuple(one.stages[name] for name in problem.workload.routes.names)


def check_bound(problem: Problem) -> None:
    evaluator, names = evaluator_of(problem), problem.workload.routes.names
    bound, money, feasible = Bound((problem.workload,), evaluator.money), evaluator.money, feasible_plans(problem)
    number: dict[tuple[int, int], list[int]] = {(column.stage, column.option): [] for column in bound.columns}
    for place, column in enumerate(bound.columns):
        number[column.stage, column.option].append(place)
    for chosen, cost in feasible.items():
        assert cost == sum(money.stage(name, setting) for name, setting in zip(names, chosen, strict=True))
        assert bound.units is not None
        assert bound.units <= cost
        places = []
        for stage, setting in enumerate(chosen):
            fewest = bound.fewest(stage, setting.hardware, setting.max_batch_size)
            assert fewest is not None
            assert fewest <= setting.replicas
            option = [one.hardware for one in problem.scenario.space[names[stage]].options].index(setting.hardware)
            (place,) = [
                one
                for one in number[stage, option]
                if bound.columns[one].fewest <= setting.replicas <= bound.columns[one].most
            ]
            places.append(place)
            least = bound.cheapest(place)
            assert least is not None
            more = setting.replicas - bound.columns[place].fewest
            assert least + more * money.price(names[stage], setting.hardware) <= cost
        for row in bound.rows:
            assert row.weights[places].sum() <= row.most * (1 + 1e-9)
    for below in sorted({*feasible.values(), max(feasible.values(), default=0) + 1}):
        choices = choices_below(evaluator, bound, below)
        for chosen, cost in feasible.items():
            if cost < below:
                assert choices is not None
                assert all(
                    setting in [choice.setting for choice in some]
                    for setting, some in zip(chosen, choices, strict=True)
                )


@pytest.mark.slow
@settings(PARITY, max_examples=80)
@given(problems())
def test_no_feasible_plan_is_below_the_bound_or_left_out(problem: Problem) -> None:
    check_bound(problem)


@settings(PARITY, max_examples=20)
@given(problems(counts=(40, 60), stages=(3, 2), choices=("none",)), st.sampled_from((1e-9, 1e-6, 1e5)))
def test_prices_of_any_size_lead_to_no_other_bound(problem: Problem, scale: float) -> None:
    check_bound(rescaled(problem, scale))


def rescaled(problem: Problem, scale: float) -> Problem:
    """Return the problem with all prices multiplied."""
    scenario = problem.scenario
    units = {
        name: unit.model_copy(update={"price_usd_per_hour": unit.price_usd_per_hour * Decimal(str(scale))})
        for name, unit in scenario.catalogue.units.items()
    }
    scenario = replace(scenario, catalogue=scenario.catalogue.model_copy(update={"units": units}))
    return Problem(scenario, Workload.of(scenario, problem.workload.trace))


COARSE = {
    "capacity.CELLS": 4,
    "capacity.MAX_SEQUENCE": 5,
    "paths.MAX_PATHS": 1,
    "paths.MAX_WINDOWS": 1,
    "stands.MAX_LOSSES": 2,
    "stands._MAX_COMBINATIONS": 1,
    "program.MAX_NODES": 1,
    "program._GROWTH": 4,
}
"""What limits the work, so low that it does so in small problems."""


@pytest.mark.slow
@settings(PARITY, max_examples=50)
@given(problems(stages=(2, 3), hardware=(3, 2)), st.sets(st.sampled_from(sorted(COARSE)), min_size=1))
def test_a_bound_from_which_something_is_left_out_holds_all_the_same(problem: Problem, left_out: set[str]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        for name in left_out:
            patch.setattr(f"pipesim.planner.bound.{name}", COARSE[name])
        check_bound(problem)


@pytest.mark.slow
@settings(PARITY, max_examples=3000)
@given(problems())
def test_no_feasible_plan_of_thousands_of_problems_is(problem: Problem) -> None:
    check_bound(problem)


@settings(PARITY, max_examples=12)
@given(problems(stages=(2,)), problems(stages=(2,)), st.data())
def test_a_bound_for_two_workloads_holds_for_plans_that_stand_both(
    problem: Problem, other: Problem, data: st.DataObject
) -> None:
    trace = other.workload.trace
    seed = data.draw(st.integers(0, 100))
    if any(slo.where and not trace.matching(slo.where, "").any() for slo in problem.scenario.slos):
        return
    second = Problem(problem.scenario, Workload.of(problem.scenario.with_seed(seed), trace))
    bound = bound_of(problem.workload, second.workload)
    both = feasible_plans(problem).keys() & feasible_plans(second)
    feasible = {chosen: cost for chosen, cost in feasible_plans(problem).items() if chosen in both}
    for chosen, cost in feasible.items():
        assert bound.units is not None
        assert bound.units <= cost
        for stage, setting in enumerate(chosen):
            fewest = bound.fewest(stage, setting.hardware, setting.max_batch_size)
            assert fewest is not None
            assert fewest <= setting.replicas
    check_answer(problem, plan(Question((problem.workload, second.workload)), threads=1), feasible)


def check_answer(
    problem: Problem, answer: PlanningResult, feasible: dict[tuple[StagePlan, ...], int], *, ended: bool = True
) -> None:
    """Check every claim of an answer; without a limit on the tests the best plan must be proved to be."""
    money, least = Money(problem.scenario), min(feasible.values(), default=None)
    assert answer.bound_usd_per_hour is None or least is None or money.units(answer.bound_usd_per_hour) <= least
    if isinstance(answer, FeasiblePlan):
        chosen = settings_of(problem, answer.simulation.plan)
        cost = money.units(answer.weighed_usd_per_hour)
        assert feasible[chosen] == cost
        assert cost == least or not answer.proof.excluded
        assert (answer.status == "optimal") == answer.proof.excluded
        for other, other_cost in feasible.items():
            exchanged = sum(one != setting for one, setting in zip(chosen, other, strict=True))
            assert other_cost >= cost or exchanged > answer.proof.exchanged
        if ended:
            assert (answer.status, answer.complete) == ("optimal", True)
    elif isinstance(answer, Infeasible):
        assert not feasible
        assert answer.proved or not ended
    else:
        assert not ended


def facts_of(answer: PlanningResult) -> tuple[object, ...]:
    """Return all that must be the same however many threads there are."""
    found = (answer.simulation.plan, answer.proof, answer.complete) if isinstance(answer, FeasiblePlan) else ()
    return type(answer), answer.evaluations, answer.bound_usd_per_hour, answer.history.to_csv(), *found


SEARCHES = st.sampled_from(((1500, 500, 8), (1, 1, 1), (1, 3, 8), (4, 2, 2), (12, 5, 4)))
"""Tests of the tree before seeds and exchanges, tests of a turn, and parts that are tested side by side."""


def check_search(
    problem: Problem, search: tuple[int, int, int], budgets: Sequence[int], *, is_bounded: bool, in_threads: bool
) -> None:
    feasible = feasible_plans(problem)
    with pytest.MonkeyPatch.context() as patch:
        for name, number in zip(("FIRST_TESTS", "TURN_TESTS"), search[:2], strict=True):
            patch.setattr(f"pipesim.planner.methods.search.{name}", number)
        patch.setattr("pipesim.planner.methods.tree.BLOCK", search[2])
        if not is_bounded:  # then the tree, seeds and exchanges have more to do
            patch.setattr("pipesim.planner.bound.program.paths_of", lambda *_: [])
        whole = plan(problem.workload, threads=1)
        check_answer(problem, whole, feasible)
        for budget in (*budgets, max(1, whole.evaluations - 1)):
            check_answer(problem, plan(problem.workload, threads=1, max_evaluations=budget), feasible, ended=False)
        if in_threads:
            assert facts_of(whole) == facts_of(plan(problem.workload, threads=2))


@pytest.mark.slow
@settings(PARITY, max_examples=40)
@given(problems(), SEARCHES, st.lists(st.integers(1, 40), max_size=2), st.booleans(), st.booleans())
def test_the_search_finds_the_cheapest_plan_and_claims_nothing_that_is_not_so(
    problem: Problem, search: tuple[int, int, int], budgets: list[int], is_bounded: bool, in_threads: bool
) -> None:
    check_search(problem, search, budgets, is_bounded=is_bounded, in_threads=in_threads)


@pytest.mark.slow
@settings(PARITY, max_examples=800)
@given(problems(), SEARCHES, st.lists(st.integers(1, 40), max_size=3), st.booleans(), st.booleans())
def test_it_does_so_for_many_problems(
    problem: Problem, search: tuple[int, int, int], budgets: list[int], is_bounded: bool, in_threads: bool
) -> None:
    check_search(problem, search, budgets, is_bounded=is_bounded, in_threads=in_threads)


@settings(PARITY, max_examples=40)
@given(problems())
def test_so_does_the_method_that_tries_all_plans(problem: Problem) -> None:
    answer = plan(problem.workload, method="exact", max_evaluations=10**6, threads=1)
    check_answer(problem, answer, feasible_plans(problem))


@pytest.mark.slow
def test_a_plan_that_no_exchange_of_one_or_two_stages_betters_is_said_to_be_that_and_no_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    curves = {"a": (30, 19, 12), "b": (10, 6, 4), "c": (28, 18, 11)}
    prices = {"slow": 2, "mid": 3, "fast": 5}
    units = {name: {"kind": "cpu", "unit": "core", "price_usd_per_hour": price} for name, price in prices.items()}
    scenario = make_scenario(
        {"a": {}, "b": {"after": ["a"]}, "c": {"after": ["b"]}},
        slo={"p100": "105ms"},
        profiles={
            stage: {hardware: {1: f"{latency}ms"} for hardware, latency in zip(prices, latencies, strict=True)}
            for stage, latencies in curves.items()
        },
        prices={"units": units},
        search={"max_replicas": 3},
    )
    problem = Problem(scenario, Workload.of(scenario, make_trace([6, 7, 11, 19, 21, 30, 39, 43, 45, 48, 49, 55])))
    for name in ("search.FIRST_TESTS", "search.TURN_TESTS", "tree.BLOCK"):
        monkeypatch.setattr(f"pipesim.planner.methods.{name}", 1)
    monkeypatch.setattr("pipesim.planner.bound.program.paths_of", lambda *_: [])  # the bound would leave nothing to do
    feasible, money, claims = feasible_plans(problem), Money(scenario), set()
    for budget in range(30, 100, 2):
        answer = plan(problem.workload, threads=1, max_evaluations=budget, verified=False)
        check_answer(problem, answer, feasible, ended=False)
        assert isinstance(answer, FeasiblePlan)
        chosen, cost = settings_of(problem, answer.simulation.plan), money.units(answer.weighed_usd_per_hour)
        cheaper = [other for other, other_cost in feasible.items() if other_cost < cost]
        fewest = min((sum(one != it for one, it in zip(chosen, other, strict=True)) for other in cheaper), default=None)
        claims.add((answer.status, fewest))  # and in how few stages a cheaper plan differs
    assert claims >= {("1-exchange optimal", 2), ("2-exchange optimal", 3)}


def test_settings_that_fare_alike_are_told_apart_if_they_occupy_more_of_a_quota() -> None:
    # a needs two replicas, and keeping the three it has is cheaper; but b needs two of the four that there are
    scenario = make_scenario(
        {"a": {}, "b": {"after": ["a"]}},
        {"a": {1: 10}, "b": {1: 10}},
        slo={"p99": "20ms"},
        prices={"units": {"cpu": {"kind": "cpu", "unit": "core", "price_usd_per_hour": 0.5}}},
        search={"quota": {"cpu": 4}, "max_replicas": 3},
    )
    workload = Workload.of(scenario, make_trace([0, 0, 100, 100]))
    workload = with_previous(workload, make_plan(scenario, 2, a={"replicas": 3}), "1")
    for method in ("search", "exact"):
        answer = plan(workload, method=method, threads=1)
        assert isinstance(answer, FeasiblePlan)
        assert [stage.replicas for stage in answer.simulation.plan.stages.values()] == [2, 2]


def test_a_pipeline_of_one_stage_keeps_to_the_quota_too() -> None:
    fast, slow = {"fast": {1: "10ms"}}, {"slow": {1: "15ms"}}
    workload = Workload.of(
        make_scenario({"a": {}}, slo={"p100": "30ms"}, profiles={"a": fast | slow}, prices=PRICES,
                      search={"quota": {"slow": 2}}),  # three slow ones would be cheaper
        make_trace([0] * 6),
    )  # fmt: skip
    answer = plan(workload, threads=1)
    assert isinstance(answer, FeasiblePlan)
    assert answer.status == "optimal"
    assert answer.simulation.plan.stages["a"] == StagePlan(hardware="fast", replicas=2)
