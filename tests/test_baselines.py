"""The baselines that need no knowledge of queues: division, InferLine's black boxes, and differential evolution."""

import dataclasses
import itertools
import math
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from build import MS, make_scenario, make_trace
from pipesim.engine import Workload, simulate
from pipesim.errors import InvalidInputError
from pipesim.model import HardwareOption, Plan, Profile, ProfilePoint, StagePlan, StageSpace
from pipesim.model.profile import profile_set
from pipesim.planner.methods.ceiling import ceil_plan, mean_rate_qps
from pipesim.planner.methods.coarse import coarse_grained_plan, peak_rate_qps
from pipesim.planner.methods.evolution import evolve

Curves = dict[str, dict[str, dict[int, float]]]
EVERY_20_MS = [20.0 * n for n in range(1, 101)]  # 100 queries in 2 s: 50 a second


def workload_of(
    curves: Curves,
    arrivals_ms: list[float] = EVERY_20_MS,
    slo: str | dict[str, str] = "200ms",
    prices: Mapping[str, float] | None = None,
    pipeline: dict[str, Any] | None = None,
    attributes: Mapping[str, list[float]] | None = None,
    **search: Any,
) -> Workload:
    """Return stages with curves by hardware in milliseconds; by default a chain, slow at 1 $/h and fast at 5 $/h."""
    before = ["", *curves][: len(curves)]
    chain = {stage: {"after": [up]} if up else {} for stage, up in zip(curves, before, strict=True)}
    scenario = make_scenario(
        pipeline or chain,
        slo={"p99": slo} if isinstance(slo, str) else slo,
        profiles={
            stage: {name: {size: f"{ms:f}ms" for size, ms in curve.items()} for name, curve in by_hardware.items()}
            for stage, by_hardware in curves.items()
        },
        prices={
            "units": {
                name: {"kind": "gpu", "unit": "gpu", "price_usd_per_hour": price}
                for name, price in (prices or {"slow": 1, "fast": 5}).items()
            }
        },
        search=search,
    )
    return Workload.of(scenario, make_trace(arrivals_ms, **(attributes or {})))


def with_noise(workload: Workload, scv: float) -> Workload:
    points = [
        ("", ProfilePoint(**{**dict(point), "noise_scv": scv}))
        for profile in workload.scenario.profiles.values()
        for point in profile.points
    ]
    return Workload.of(dataclasses.replace(workload.scenario, profiles=profile_set(points)), workload.trace)


def chosen(plan: Plan | None) -> dict[str, tuple[str, int, int]]:
    """Return (hardware, replicas, batch limit) of every stage."""
    assert plan is not None
    return {stage: (one.hardware, one.replicas, one.max_batch_size) for stage, one in plan.stages.items()}


# ceil_plan


def test_replicas_are_the_offered_rate_over_the_throughput_rounded_up() -> None:
    # 50 a second keep 50 · 30 ms = 1.5 replicas of a busy, and 50 · 50 ms = 2.5 of b
    workload = workload_of({"a": {"slow": {1: 30}}, "b": {"slow": {1: 50}}})
    assert chosen(ceil_plan(workload)) == {"a": ("slow", 2, 1), "b": ("slow", 3, 1)}


@pytest.mark.parametrize("service_ms", [20, 60, 580, 1160])  # of the last two floats make 29.000000000000004 and so on
def test_replicas_that_are_exactly_enough_are_enough(service_ms: float) -> None:
    workload = workload_of({"a": {"slow": {1: service_ms}}}, slo="2s")
    assert chosen(ceil_plan(workload)) == {"a": ("slow", service_ms / 20, 1)}


def test_the_cheapest_hardware_and_batch_limit_win() -> None:
    # slow: 5 replicas at batch 1 (5 $), 3 at batch 4 (50 · 200 / 4 ms = 2.5, 3 $); fast: 1 replica (5 $)
    curves: Curves = {"a": {"slow": {1: 100, 4: 200}, "fast": {1: 10, 4: 20}}}
    assert chosen(ceil_plan(workload_of(curves))) == {"a": ("slow", 3, 4)}
    assert chosen(ceil_plan(workload_of(curves, prices={"slow": 2, "fast": 5}))) == {"a": ("fast", 1, 1)}


def test_a_batch_that_alone_takes_longer_than_the_bound_is_not_considered() -> None:
    curves: Curves = {"a": {"slow": {1: 100, 4: 200}}}
    assert chosen(ceil_plan(workload_of(curves, slo="200ms"))) == {"a": ("slow", 3, 4)}
    # batch 2 takes 133 ms: 50 · 133 / 2 ms = 3.3 replicas
    assert chosen(ceil_plan(workload_of(curves, slo="199ms"))) == {"a": ("slow", 4, 2)}


def test_the_tightest_objective_counts() -> None:
    curves: Curves = {"a": {"slow": {1: 100, 4: 200}}}
    workload = workload_of(curves, slo={"p50": "199ms", "p99": "1s"})
    assert chosen(ceil_plan(workload)) == {"a": ("slow", 4, 2)}
    assert coarse_grained_plan(workload_of(curves, slo={"p50": "99ms", "p99": "1s"}), "mean") is None


def test_a_batch_that_cannot_fill_takes_as_long_as_all_items_in_one() -> None:
    # there are 2 queries: a batch of 2 takes 100 ms, however large the limit
    curves: Curves = {"a": {"slow": {1: 50, 9: 450}, "fast": {1: 1, 9: 1}}}
    stages = {"a": {"batch_sizes": [9]}}
    assert chosen(ceil_plan(workload_of(curves, [0.0, 1000], "100ms", stages=stages))) == {"a": ("slow", 1, 9)}
    assert chosen(ceil_plan(workload_of(curves, [0.0, 1000], "99ms", stages=stages))) == {"a": ("fast", 1, 9)}


def test_if_every_batch_takes_longer_than_the_bound_the_fastest_hardware_serves_one_at_a_time() -> None:
    curves: Curves = {"a": {"slow": {1: 30, 4: 30}, "fast": {1: 20, 4: 40}}}
    assert chosen(ceil_plan(workload_of(curves, slo="10ms"))) == {"a": ("fast", 1, 1)}


def test_hardware_of_which_max_replicas_are_not_enough_is_left_out() -> None:
    curves: Curves = {"a": {"slow": {1: 90}, "fast": {1: 25}}}
    assert chosen(ceil_plan(workload_of(curves))) == {"a": ("slow", 5, 1)}
    assert chosen(ceil_plan(workload_of(curves, max_replicas=5))) == {"a": ("slow", 5, 1)}
    assert chosen(ceil_plan(workload_of(curves, max_replicas=4))) == {"a": ("fast", 2, 1)}


def test_if_max_replicas_of_nothing_are_enough_those_that_serve_the_most_are_taken() -> None:
    curves: Curves = {"a": {"slow": {1: 90, 2: 120}, "fast": {1: 70, 2: 130}}}
    assert chosen(ceil_plan(workload_of(curves, max_replicas=2))) == {"a": ("slow", 2, 2)}


def test_min_replicas_count_in_the_choice() -> None:
    # one fast replica would do for 5 $, but 6 must be paid for
    curves: Curves = {"a": {"slow": {1: 180}, "fast": {1: 20}}}
    assert chosen(ceil_plan(workload_of(curves))) == {"a": ("fast", 1, 1)}
    assert chosen(ceil_plan(workload_of(curves, stages={"a": {"min_replicas": 6}}))) == {"a": ("slow", 9, 1)}


def test_of_equal_costs_fewer_replicas_go_first_then_the_smaller_batch_then_the_name() -> None:
    prices = {"single": 2, "pair": 1, "same": 2}
    # 2 replicas of pair; 1 of single or same, at batch 1 or 2
    curves: Curves = {"a": {"single": {1: 15, 2: 20}, "pair": {1: 30}, "same": {1: 15, 2: 20}}}
    assert chosen(ceil_plan(workload_of(curves, prices=prices))) == {"a": ("same", 1, 1)}


def test_hardware_without_a_price_is_taken_in_the_fewest_replicas() -> None:
    curves: Curves = {"a": {"slow": {1: 90}, "fast": {1: 30}}}
    assert chosen(ceil_plan(workload_of(curves, prices={"slow": 0, "fast": 0}))) == {"a": ("fast", 2, 1)}


def test_every_item_of_a_fan_out_is_served() -> None:
    # 3 items a query: 50 · 3 · 10 ms = 1.5 replicas
    pipeline = {"a": {"model": "a"}, "b": {"model": "b", "after": {"a": {"fan_out": 3}}}}
    workload = workload_of({"a": {"slow": {1: 10}}, "b": {"slow": {1: 10}}}, pipeline=pipeline)
    assert chosen(ceil_plan(workload)) == {"a": ("slow", 1, 1), "b": ("slow", 2, 1)}


def test_the_drawn_noise_is_in_the_throughput() -> None:
    calm = workload_of({"a": {"slow": {1: 100}}}, arrivals_ms=[20.0 * n for n in range(1, 11)])
    noisy = with_noise(calm, 4)
    noise = noisy.engine_inputs(ceil_plan(noisy)).stages[0].noise
    assert noise is not None
    assert chosen(ceil_plan(calm)) == {"a": ("slow", 5, 1)}
    assert chosen(ceil_plan(noisy)) == {"a": ("slow", math.ceil(5 * noise.mean()), 1)} != chosen(ceil_plan(calm))


def test_the_sizes_are_in_the_throughput_and_in_the_time_of_a_batch() -> None:
    # queries are twice the reference size: 60 ms, and 160 ms for a batch of 4
    pipeline = {"a": {"model": "a", "size": {"attribute": "tokens", "reference": 10}}}
    curves: Curves = {"a": {"slow": {1: 30, 4: 80}}}
    tokens = {"tokens": [20.0] * 100}
    workload = workload_of(curves, pipeline=pipeline, attributes=tokens, slo="160ms")
    assert chosen(ceil_plan(workload)) == {"a": ("slow", 2, 4)}
    tight = workload_of(
        curves, pipeline=pipeline, attributes=tokens, slo="159ms", stages={"a": {"batch_sizes": [1, 4]}}
    )
    assert chosen(ceil_plan(tight)) == {"a": ("slow", 3, 1)}


def test_nothing_is_simulated_so_a_burst_breaks_the_objective() -> None:
    burst = [1000.0] * 50 + [2000.0] * 50
    workload = workload_of({"a": {"slow": {1: 20}}}, arrivals_ms=burst)
    plan = ceil_plan(workload)
    assert chosen(plan) == {"a": ("slow", 1, 1)}
    assert not simulate(workload, plan).met


@pytest.mark.parametrize("arrivals_ms", [[], [0.0], [5.0]])
def test_one_query_or_none_needs_one_replica_of_the_cheapest(arrivals_ms: list[float]) -> None:
    workload = workload_of({"a": {"slow": {1: 100}, "fast": {1: 1}}}, arrivals_ms=arrivals_ms)
    assert chosen(ceil_plan(workload)) == {"a": ("slow", 1, 1)}


def test_several_queries_at_one_instant_take_the_most_that_the_space_allows() -> None:
    workload = workload_of({"a": {"slow": {1: 10}, "fast": {1: 1}}}, arrivals_ms=[0.0, 0.0], max_replicas=7)
    assert mean_rate_qps(workload.trace) == math.inf
    assert chosen(ceil_plan(workload)) == {"a": ("fast", 7, 1)}


def test_a_stage_that_nobody_visits_needs_one_replica_even_then() -> None:
    pipeline = {"a": {"model": "a"}, "b": {"model": "b", "after": {"a": {"probability": 1e-9}}}}
    workload = workload_of({"a": {"slow": {1: 10}}, "b": {"slow": {1: 10}}}, [0.0, 0.0], pipeline=pipeline)
    assert chosen(ceil_plan(workload)) == {"a": ("slow", 128, 1), "b": ("slow", 1, 1)}


def test_a_stage_that_no_query_visits_gets_the_cheapest_replica() -> None:
    pipeline = {"a": {"model": "a"}, "b": {"model": "b", "after": {"a": {"probability": 1e-9}}}}
    curves: Curves = {"a": {"slow": {1: 10}}, "b": {"slow": {1: 9000}, "fast": {1: 1}}}
    for plan in (ceil_plan, lambda workload: coarse_grained_plan(workload, "mean")):
        assert chosen(plan(workload_of(curves, pipeline=pipeline)))["b"] == ("slow", 1, 1)


# coarse_grained_plan


def test_the_whole_pipeline_is_replicated_for_its_slowest_stage() -> None:
    # b keeps 2.5 replicas busy, so there are 3 boxes, and 3 of a too, which needs one
    workload = workload_of({"a": {"slow": {1: 10}}, "b": {"slow": {1: 50}}})
    assert chosen(coarse_grained_plan(workload, "mean")) == {"a": ("slow", 3, 1), "b": ("slow", 3, 1)}


def test_the_peak_rate_is_the_fullest_window_as_long_as_the_bound() -> None:
    # from 500 ms on there are 4 queries within 100 ms, 40 a second; on average there are 6 a second
    arrivals_ms = [100.0, 500, 520, 590, 599, 1000]
    workload = workload_of({"a": {"slow": {1: 60}}}, arrivals_ms=arrivals_ms, slo="100ms")
    assert peak_rate_qps(workload.trace, 100 * MS) == 40
    assert chosen(coarse_grained_plan(workload, "mean")) == {"a": ("slow", 1, 1)}
    assert chosen(coarse_grained_plan(workload, "peak")) == {"a": ("slow", 3, 1)}


def test_there_is_one_batch_size_and_stages_that_cannot_have_it_use_their_largest() -> None:
    # at batch 4 a box serves 4 / 80 ms = 50 a second, the rate; at batch 2 (40 ms, and 50 ms) only 40
    curves: Curves = {"a": {"slow": {1: 20, 2: 20}}, "b": {"slow": {1: 35, 2: 50, 4: 80}}}
    workload = workload_of(curves)
    assert chosen(coarse_grained_plan(workload, "mean")) == {"a": ("slow", 1, 2), "b": ("slow", 1, 4)}


def test_hardware_whose_batch_limits_are_all_larger_is_left_out() -> None:
    curves: Curves = {"a": {"slow": {1: 10}}, "b": {"slow": {1: 10, 4: 10}, "fast": {1: 10, 4: 10}}}
    workload = workload_of(curves, stages={"b": {"batch_sizes": [4]}})
    assert chosen(coarse_grained_plan(workload, "mean")) == {"a": ("slow", 1, 1), "b": ("slow", 1, 4)}


def test_the_longest_path_of_batches_and_network_delays_must_meet_the_bound() -> None:
    # a 30, then b 20 after 10 ms or c 50 at once, then d 20: 100 ms by c, 80 by b
    pipeline = {
        "a": {"model": "a"},
        "b": {"model": "b", "after": {"a": {"network_delay": "10ms"}}},
        "c": {"model": "c", "after": ["a"]},
        "d": {"model": "d", "after": ["b", "c"]},
    }
    curves: Curves = {"a": {"slow": {1: 30}}, "b": {"slow": {1: 20}}, "c": {"slow": {1: 50}}, "d": {"slow": {1: 20}}}
    few = [0.0, 1000, 2000]
    assert coarse_grained_plan(workload_of(curves, few, "100ms", pipeline=pipeline), "mean") is not None
    assert coarse_grained_plan(workload_of(curves, few, "99ms", pipeline=pipeline), "mean") is None


def test_an_edge_that_no_query_takes_is_on_no_path() -> None:
    pipeline = {
        "a": {"model": "a"},
        "b": {"model": "b", "after": {"a": {"probability": 1e-9, "network_delay": "10s"}}},
    }
    workload = workload_of({"a": {"slow": {1: 10}}, "b": {"slow": {1: 10}}}, pipeline=pipeline)
    assert coarse_grained_plan(workload, "mean") is not None


def test_the_bound_makes_one_stage_of_several_faster_the_one_where_it_costs_least() -> None:
    # 60 + 60 ms is too long; going fast saves 50 ms at a for 4 $, 30 ms at b for 4 $; 100 ms needs one, 85 ms needs a
    curves: Curves = {"a": {"slow": {1: 60}, "fast": {1: 10}}, "b": {"slow": {1: 60}, "fast": {1: 30}}}
    few = [0.0, 1000, 2000]
    assert chosen(coarse_grained_plan(workload_of(curves, few, "120ms"), "mean")) == {
        "a": ("slow", 1, 1),
        "b": ("slow", 1, 1),
    }
    assert chosen(coarse_grained_plan(workload_of(curves, few, "85ms"), "mean")) == {
        "a": ("fast", 1, 1),
        "b": ("slow", 1, 1),
    }
    assert chosen(coarse_grained_plan(workload_of(curves, few, "40ms"), "mean")) == {
        "a": ("fast", 1, 1),
        "b": ("fast", 1, 1),
    }
    assert coarse_grained_plan(workload_of(curves, few, "39ms"), "mean") is None


def test_a_fan_out_counts_in_the_throughput_of_a_box_and_not_in_its_latency() -> None:
    pipeline = {"a": {"model": "a"}, "b": {"model": "b", "after": {"a": {"fan_out": 3}}}}
    workload = workload_of({"a": {"slow": {1: 10}}, "b": {"slow": {1: 10}}}, slo="20ms", pipeline=pipeline)
    assert chosen(coarse_grained_plan(workload, "mean")) == {"a": ("slow", 2, 1), "b": ("slow", 2, 1)}


def test_of_equal_costs_fewer_boxes_are_taken() -> None:
    # 2 boxes of small (38 ms) and middle (25 ms) cost 2 · (0.5 + 1.5) $, 1 box of large (19 ms) costs 2 + 2 $; 2 boxes
    # of small alone would cost less, and take 76 ms
    by_hardware: dict[str, dict[int, float]] = {"small": {1: 38}, "middle": {1: 25}, "large": {1: 19}}
    prices = {"small": 0.5, "middle": 1.5, "large": 2}
    workload = workload_of({"a": by_hardware, "b": by_hardware}, slo="65ms", prices=prices)
    assert chosen(coarse_grained_plan(workload, "mean")) == {"a": ("large", 1, 1), "b": ("large", 1, 1)}


def test_boxes_are_raised_to_min_replicas_and_not_available_beyond_max_replicas() -> None:
    curves: Curves = {"a": {"slow": {1: 10}}, "b": {"slow": {1: 50}}}
    raised = workload_of(curves, stages={"a": {"min_replicas": 4}})
    assert chosen(coarse_grained_plan(raised, "mean")) == {"a": ("slow", 4, 1), "b": ("slow", 3, 1)}
    assert coarse_grained_plan(workload_of(curves, stages={"a": {"max_replicas": 3}}), "mean") is not None
    assert coarse_grained_plan(workload_of(curves, stages={"a": {"max_replicas": 2}}), "mean") is None


def test_of_boxes_without_a_price_the_fewest_are_taken() -> None:
    curves: Curves = {"a": {"slow": {1: 90}, "fast": {1: 30}}}
    workload = workload_of(curves, prices={"slow": 0, "fast": 0})
    assert chosen(coarse_grained_plan(workload, "mean")) == {"a": ("fast", 2, 1)}


@pytest.mark.parametrize("rate", ["mean", "peak"])
@pytest.mark.parametrize("arrivals_ms", [[], [0.0], [5.0]])
def test_one_query_or_none_needs_one_box(arrivals_ms: list[float], rate: Literal["mean", "peak"]) -> None:
    workload = workload_of({"a": {"slow": {1: 100}, "fast": {1: 1}}}, arrivals_ms=arrivals_ms)
    assert chosen(coarse_grained_plan(workload, rate)) == {"a": ("slow", 1, 1)}


def test_several_queries_at_one_instant_have_a_peak_and_no_mean() -> None:
    workload = workload_of({"a": {"slow": {1: 100}}}, arrivals_ms=[0.0, 0.0])
    assert coarse_grained_plan(workload, "mean") is None
    assert chosen(coarse_grained_plan(workload, "peak")) == {"a": ("slow", 1, 1)}  # 2 in 200 ms


def test_the_drawn_noise_is_in_the_box() -> None:
    noisy = with_noise(workload_of({"a": {"slow": {1: 100}}}), 4)
    noise = noisy.engine_inputs(ceil_plan(noisy)).stages[0].noise
    assert noise is not None
    assert chosen(coarse_grained_plan(noisy, "mean")) == {"a": ("slow", math.ceil(5 * noise.mean()), 1)}


SHAPES: dict[str, dict[str, list[str]]] = {
    "chain": {"a": [], "b": ["a"], "c": ["b"], "d": ["c"]},
    "diamond": {"a": [], "b": ["a"], "c": ["a"], "d": ["b", "c"]},
    "tree": {"a": [], "b": ["a"], "c": ["a"], "d": ["b"]},
    "sources": {"a": [], "b": [], "c": ["a", "b"], "d": ["b"]},
    "ladder": {"a": [], "b": ["a"], "c": ["a", "b"], "d": ["b", "c"]},
}
DELAYS_MS = {"a": 0, "b": 7, "c": 13, "d": 0}  # into each stage


@st.composite
def box_workloads(draw: st.DrawFn) -> Workload:
    """Draw a pipeline of four stages with three kinds of hardware each."""
    shape = SHAPES[draw(st.sampled_from(sorted(SHAPES)))]
    pipeline = {
        stage: {"model": stage, "after": {up: {"network_delay": f"{DELAYS_MS[stage]}ms"} for up in after}}
        if after
        else {"model": stage}
        for stage, after in shape.items()
    }
    names = {"x": (30, 60), "y": (15, 40), "z": (1, 20)}
    prices = {"x": draw(st.integers(0, 2)), "y": draw(st.integers(1, 4)), "z": draw(st.integers(2, 9))}
    curves: Curves = {
        stage: {name: {1: draw(st.integers(*bounds)), 2: draw(st.integers(*bounds))} for name, bounds in names.items()}
        for stage in shape
    }
    return workload_of(
        curves,
        slo=f"{draw(st.integers(60, 200))}ms",
        prices=prices,
        pipeline=pipeline,
        stages={stage: {"min_replicas": draw(st.integers(1, 2)), "max_replicas": 3} for stage in shape},
    )


def cheapest_boxes(workload: Workload) -> Decimal | None:
    """Return the cost of the cheapest boxes for 50 queries a second, by trying all hardware of all stages."""
    scenario, costs = workload.scenario, []
    for size in (1, 2):
        for options in itertools.product(*(space.options for space in scenario.space.values())):
            ends: dict[str, int] = {}
            for stage, option in zip(scenario.space, options, strict=True):  # in the file, sources come first
                edges = scenario.pipeline.edges_into(stage)
                start = max((ends[edge.upstream] + edge.options.network_delay_ns for edge in edges), default=0)
                ends[stage] = start + int(option.profile.table_ns[size])
            boxes = max(-(-int(option.profile.table_ns[size]) // (20 * MS * size)) for option in options)
            spaces = scenario.space.values()
            if max(ends.values()) <= scenario.slos[0].bound_ns and boxes <= min(space.max_replicas for space in spaces):
                prices = zip(spaces, (option.price_usd_per_hour for option in options), strict=True)
                costs.append(sum((max(boxes, space.min_replicas) * price for space, price in prices), Decimal(0)))
    return min(costs, default=None)


@given(box_workloads())
def test_no_combination_of_hardware_is_cheaper(workload: Workload) -> None:
    plan = coarse_grained_plan(workload, "mean")
    found = None if plan is None else plan.cost_usd_per_hour(workload.scenario.catalogue)
    assert found == cheapest_boxes(workload)


def test_many_stages_on_many_kinds_of_hardware_are_planned_in_time() -> None:
    # 8^40 combinations, and as in the ladder of the planner's tests the number of paths doubles every two stages
    stages, prices = [f"s{n}" for n in range(40)], {f"h{n}": 1.37**n for n in range(8)}
    pipeline = {
        stage: {"model": stage, "after": stages[max(0, n - 2) : n]} if n else {"model": stage}
        for n, stage in enumerate(stages)
    }
    curves: Curves = {
        stage: {name: {1: 30 / price + n % 7, 8: 120 / price + n % 5} for name, price in prices.items()}
        for n, stage in enumerate(stages)
    }
    workload = workload_of(curves, slo="600ms", prices=prices, pipeline=pipeline)
    assert coarse_grained_plan(workload, "mean") is not None


# evolve


class OutOfTestsError(Exception):
    pass


class ByFormula:
    """Tests plans by a formula: `late` says how far a plan misses, 0 or less if it does not."""

    def __init__(self, space: Mapping[str, StageSpace], late: Callable[[Plan], float], limit: float = math.inf) -> None:
        self.space, self._late, self._limit = space, late, limit
        self.best: Plan | None = None
        self.tested: list[Plan] = []

    def cost(self, plan: Plan) -> Decimal:
        prices = {stage: space.option(plan.stages[stage].hardware) for stage, space in self.space.items()}
        return sum((plan.stages[name].replicas * prices[name].price_usd_per_hour for name in prices), Decimal(0))

    def feasible(self, plan: Plan) -> bool:
        if len(self.tested) == self._limit:
            raise OutOfTestsError
        self.tested.append(plan)
        feasible = self._late(plan) <= 0
        if feasible and (self.best is None or self.cost(plan) < self.cost(self.best)):
            self.best = plan
        return feasible

    def excess(self, plan: Plan) -> float:
        return max(0.0, self._late(plan))


def space_of(
    curves: Curves, prices: Mapping[str, str], min_replicas: int = 1, max_replicas: int = 8
) -> dict[str, StageSpace]:
    def option(stage: str, name: str, curve: dict[int, float]) -> HardwareOption:
        points = (
            ProfilePoint(model=stage, hardware=name, batch_size=size, latency_ms=ms) for size, ms in curve.items()
        )
        return HardwareOption(Profile(tuple(points)), Decimal(prices[name]), tuple(curve))

    return {
        stage: StageSpace(
            tuple(option(stage, name, by_hardware[name]) for name in prices if name in by_hardware),
            min_replicas,
            max_replicas,
        )
        for stage, by_hardware in curves.items()
    }


def overrun(space: Mapping[str, StageSpace], rate_qps: float, bound_ms: float) -> Callable[[Plan], float]:
    """Return by how much a plan is too slow: its busiest stage above full, or its chain of batches above the bound."""

    def late(plan: Plan) -> float:
        busy, batches_ms = [], 0.0
        for stage, one in plan.stages.items():
            batch_ms = float(space[stage].option(one.hardware).profile.table_ns[one.max_batch_size]) / MS
            busy.append(rate_qps * batch_ms / 1000 / one.max_batch_size / one.replicas)
            batches_ms += batch_ms
        return max(max(busy) - 1, batches_ms / bound_ms - 1)

    return late


TWO_STAGES: Curves = {
    "a": {"fast": {1: 10, 4: 25}, "slow": {1: 40, 2: 60}},
    "b": {"fast": {1: 20, 2: 30, 8: 90}, "slow": {1: 70}},
}
TWO_PRICES = {"fast": "2.9", "slow": "1"}


def cheapest_of_all(evaluator: ByFormula) -> Decimal:
    """Return the cost of the cheapest feasible plan, by trying them all."""
    settings = {
        stage: [
            StagePlan(hardware=option.hardware, replicas=replicas, max_batch_size=size)
            for option in space.options
            for size in option.batch_sizes
            for replicas in range(space.min_replicas, space.max_replicas + 1)
        ]
        for stage, space in evaluator.space.items()
    }
    plans = (Plan(stages=dict(zip(settings, some, strict=True))) for some in itertools.product(*settings.values()))
    return min(evaluator.cost(plan) for plan in plans if evaluator.excess(plan) == 0)


@pytest.mark.parametrize(("rate_qps", "bound_ms"), [(30, 200), (100, 200), (100, 60), (250, 120)])
def test_evolution_finds_the_cheapest_of_a_small_space(rate_qps: float, bound_ms: float) -> None:
    space = space_of(TWO_STAGES, TWO_PRICES)
    evaluator = ByFormula(space, overrun(space, rate_qps, bound_ms))
    plan = evolve(evaluator, seed=1)
    assert plan is not None
    assert evaluator.excess(plan) == 0
    assert evaluator.cost(plan) == cheapest_of_all(evaluator)


def test_the_same_seed_tests_the_same_plans_and_another_seed_others() -> None:
    space = space_of(TWO_STAGES, TWO_PRICES)
    one, again, other = (ByFormula(space, overrun(space, 100, 200)) for _ in range(3))
    assert evolve(one, seed=1) == evolve(again, seed=1)
    evolve(other, seed=2)
    assert one.tested == again.tested != other.tested


def test_equal_candidates_are_tested_once() -> None:
    space = space_of({"a": {"fast": {1: 10}}}, {"fast": "1"}, max_replicas=3)
    evaluator = ByFormula(space, overrun(space, 1000, 200))  # 10 replicas would be needed
    assert evolve(evaluator, seed=1) is None
    # 1, 2 and 4, cut to 3, were tested four times over while a first plan was sought, and then each one once
    assert sorted(plan.stages["a"].replicas for plan in evaluator.tested[12:]) == [1, 2, 3]


def test_without_a_feasible_plan_in_the_space_there_is_none() -> None:
    space = space_of(TWO_STAGES, TWO_PRICES)
    assert evolve(ByFormula(space, overrun(space, 100, 29)), seed=1, max_generations=5) is None


def test_of_what_is_not_feasible_the_nearer_survives() -> None:
    # of ten billion plans one is feasible, and the doubling misses it
    space = space_of({"a": {"fast": {1: 10}}, "b": {"fast": {1: 10}}}, {"fast": "1"}, max_replicas=100_000)
    replicas = {"a": 37, "b": 1234}
    evaluator = ByFormula(
        space, lambda plan: sum(abs(plan.stages[stage].replicas - number) for stage, number in replicas.items())
    )
    assert chosen(evolve(evaluator, seed=1)) == {"a": ("fast", 37, 1), "b": ("fast", 1234, 1)}


def test_of_what_is_feasible_the_cheaper_survives() -> None:
    # each of ten stages keeps 9.9 replicas busy: 10 stages of 10, of more than 10^30 plans
    space = space_of({f"s{n}": {"fast": {1: 33}} for n in range(10)}, {"fast": "1"}, max_replicas=10_000)
    evaluator = ByFormula(space, overrun(space, 300, 1000))
    plan = evolve(evaluator, seed=1)
    assert plan is not None
    assert 100 <= evaluator.cost(plan) < 110


def test_first_candidates_have_few_replicas_rather_than_many() -> None:
    space = space_of({"a": {"fast": {1: 10}}}, {"fast": "1"}, max_replicas=10_000)
    evaluator = ByFormula(space, lambda plan: 1.0)
    evolve(evaluator, seed=1, max_generations=0, population=100)
    sought = 4 * 15  # 1, 2, 4 … 8192 and 10,000 replicas, each four times over
    first = [plan.stages["a"].replicas for plan in evaluator.tested[sought:]]
    assert len(first) > 50
    assert 20 < sorted(first)[len(first) // 2] < 500  # drawn evenly, the median would be 5,000


def test_a_few_replicas_are_found_in_a_space_of_thousands() -> None:
    space = space_of(TWO_STAGES, TWO_PRICES, max_replicas=10_000)
    evaluator = ByFormula(space, overrun(space, 100, 200))
    plan = evolve(evaluator, seed=1)
    assert plan is not None
    small = ByFormula(space_of(TWO_STAGES, TWO_PRICES), overrun(space, 100, 200))
    assert evaluator.cost(plan) == cheapest_of_all(small)
    assert max(plan.stages["a"].replicas for plan in evaluator.tested) < 100


def test_a_plan_that_is_known_is_never_given_up_for_a_dearer_one() -> None:
    space = space_of(TWO_STAGES, TWO_PRICES)
    evaluator = ByFormula(space, overrun(space, 100, 200))
    cheapest = evolve(evaluator, seed=1)
    assert cheapest is not None
    again = ByFormula(space, overrun(space, 100, 200))
    again.feasible(cheapest)
    assert evolve(again, seed=2, max_generations=0, population=5) == cheapest
    assert again.tested.count(cheapest) == 2  # it is one of the first candidates
    assert len(again.tested) <= 6


def test_a_known_plan_is_searched_from_even_if_one_stage_has_all_that_it_costs() -> None:
    # slow, with 5 of a and 1 of b: at 6 $, nothing is left for b but its least
    space = space_of({"a": {"fast": {1: 10}, "slow": {1: 10}}, "b": {"fast": {1: 10}, "slow": {1: 10}}}, TWO_PRICES)
    evaluator = ByFormula(space, overrun(space, 490, 200))
    stages = {"a": StagePlan(hardware="slow", replicas=5), "b": StagePlan(hardware="slow", replicas=1)}
    evaluator.best = Plan(stages=stages)
    evolve(evaluator, seed=1, max_generations=0)
    assert evaluator.best in evaluator.tested


def test_min_replicas_are_kept_on_hardware_that_is_too_dear_for_them() -> None:
    space = space_of({"a": {"fast": {1: 10}, "slow": {1: 10}}}, TWO_PRICES, min_replicas=3)
    evaluator = ByFormula(space, overrun(space, 100, 200))
    evaluator.best = Plan(stages={"a": StagePlan(hardware="slow", replicas=3)})
    evolve(evaluator, seed=1)
    assert {plan.stages["a"].replicas for plan in evaluator.tested} == {3}


@pytest.mark.parametrize("changes", [{"hardware": "other"}, {"max_batch_size": 3}])
def test_a_known_plan_outside_of_the_space_only_says_what_is_too_dear(changes: dict[str, Any]) -> None:
    space = space_of(TWO_STAGES, TWO_PRICES)

    class Previous(ByFormula):
        def cost(self, plan: Plan) -> Decimal:
            return Decimal(8) if plan == self.known else super().cost(plan)

        known = Plan(
            stages={
                "a": StagePlan(hardware="fast", replicas=2, max_batch_size=4),
                "b": StagePlan(hardware="fast", replicas=2),
            }
        ).with_stage("a", **changes)

    evaluator = Previous(space, overrun(space, 30, 200))
    evaluator.best = evaluator.known
    plan = evolve(evaluator, seed=1)
    assert plan is not None
    assert plan != evaluator.known
    assert evaluator.cost(plan) == cheapest_of_all(evaluator)
    assert max(evaluator.cost(plan) for plan in evaluator.tested) <= 14  # each stage alone: 8 and no more


def test_hardware_that_lacks_a_batch_limit_takes_its_next_smaller_one_or_else_its_smallest() -> None:
    curves: Curves = {"a": {"fast": {4: 10, 16: 10}, "slow": {1: 10, 2: 10}}}
    space = space_of(curves, TWO_PRICES, max_replicas=1)
    evaluator = ByFormula(space, lambda plan: 1.0)
    evolve(evaluator, seed=1)
    assert {(plan.stages["a"].hardware, plan.stages["a"].max_batch_size) for plan in evaluator.tested} == {
        ("fast", 4), ("fast", 16), ("slow", 1), ("slow", 2)
    }  # fmt: skip


def test_plans_without_a_price_are_all_as_good() -> None:
    space = space_of(TWO_STAGES, {"fast": "0", "slow": "0"}, min_replicas=2)
    evaluator = ByFormula(space, overrun(space, 30, 200))
    plan = evolve(evaluator, seed=1)
    assert plan is not None
    assert evaluator.excess(plan) == 0
    assert min(plan.stages["a"].replicas for plan in evaluator.tested) == 2


def test_an_evaluator_that_has_had_enough_ends_the_search_and_knows_the_best() -> None:
    space = space_of(TWO_STAGES, TWO_PRICES)
    evaluator = ByFormula(space, overrun(space, 30, 200), limit=20)
    with pytest.raises(OutOfTestsError):
        evolve(evaluator, seed=1)
    assert evaluator.best is not None


def test_a_seed_must_be_in_its_range() -> None:
    space = space_of(TWO_STAGES, TWO_PRICES)
    with pytest.raises(InvalidInputError, match="seed"):
        evolve(ByFormula(space, overrun(space, 30, 200)), seed=-1)
