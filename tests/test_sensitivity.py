"""What the cheapest plan depends on, on scenarios small enough to follow by hand.

In most of them two queries come at once, every 100 ms, so that one replica makes the second wait for the first.
"""

import itertools
import json
import math
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import typer
from typer.testing import CliRunner

from bad_input.answers import scenario
from build import make_scenario, make_trace
from pipesim.cli.sensitivity import sensitivity
from pipesim.engine import Workload
from pipesim.errors import InvalidInputError
from pipesim.model import Plan, StagePlan
from pipesim.planner import FeasiblePlan, MissedPlan, Question, plan
from pipesim.planner.sensitivity.prices import price_sensitivity, profile_sensitivity, without_hardware
from pipesim.planner.sensitivity.reasons import binding, relaxations
from pipesim.planner.sensitivity.staircases import load_staircase, slo_staircase, sustained_load
from pipesim.planner.sensitivity.steps import last_held, least_slo_factor, meets
from pipesim.planner.sensitivity.variants import (
    at_load,
    changed,
    with_max_replicas,
    with_price_factor,
    with_profile_factor,
    with_quota,
    with_slo_factor,
    without,
)

PAIRS = [100 * (n // 2) for n in range(20)]
CURVES = {"a": {"slow": {1: "10ms"}, "fast": {1: "5ms"}}}
BOTH = {"a": {"slow": {1: "10ms"}, "twin": {1: "14ms"}}}
SLOW = {"a": {"slow": {1: "10ms"}}}


def prices(**usd_per_hour: float) -> dict[str, Any]:
    known = {"slow": 1, "fast": 5, "twin": 1} | usd_per_hour
    return {"units": {n: {"kind": "cpu", "unit": "core", "price_usd_per_hour": usd} for n, usd in known.items()}}


def workload_of(
    curves: dict[str, Any] = CURVES, bound: str = "20ms", arrivals_ms: list[float] | None = None, **fields: Any
) -> Workload:
    """Return a chain of stages in which every query must leave within the bound."""
    before = ["", *curves][: len(curves)]
    pipeline = {stage: {"after": [up]} if up else {} for stage, up in zip(curves, before, strict=True)}
    given = {"profiles": curves, "prices": prices(), "slo": {"p100": bound}} | fields
    return Workload.of(make_scenario(pipeline, **given), make_trace(PAIRS if arrivals_ms is None else arrivals_ms))


def planned(workload: Workload | Question) -> FeasiblePlan:
    result = plan(workload, verified=False)
    assert isinstance(result, FeasiblePlan)
    return result


def costs(frame: pd.DataFrame) -> dict[float, float]:
    return dict(zip(frame["factor"], frame["cost_usd_per_hour"], strict=True))


# variants


def test_bounds_are_scaled_to_the_nanosecond_in_either_form_of_the_objectives() -> None:
    by_name = workload_of(bound="7ms").scenario
    listed = workload_of(slo=[{"quantile": "p99", "bound": "7ms", "every": "1s"}, {"quantile": "p50", "bound": "2ms"}])
    assert [slo.bound_ns for slo in with_slo_factor(by_name, Fraction(2, 3)).slos] == [4_666_667]
    scaled = with_slo_factor(listed.scenario, 1.1).slos
    assert [(slo.bound_ns, slo.every_ns) for slo in scaled] == [(7_700_000, 10**9), (2_200_000, None)]


def test_a_price_is_scaled_exactly_and_in_bundles_too() -> None:
    units = {"gpu": {"kind": "gpu", "unit": "gpu", "price_usd_per_hour": 0.7},
             "core": {"kind": "cpu", "unit": "core", "price_usd_per_hour": 0.1}}  # fmt: skip
    catalogue = {"units": units, "bundles": {"slow": {"gpu": 1, "core": 2}}}
    scenario = workload_of(SLOW, prices=catalogue).scenario
    dearer = with_price_factor(scenario, "core", 1.1)
    assert dearer.space["a"].options[0].price_usd_per_hour == Decimal("0.92")
    assert scenario.space["a"].options[0].price_usd_per_hour == Decimal("0.9")


def test_one_profile_is_scaled_and_no_other() -> None:
    scenario = workload_of().scenario
    slower = with_profile_factor(scenario, "a", "slow", 1.25)
    assert slower.profiles["a", "slow"].table_ns[1] == 12_500_000
    assert slower.profiles["a", "fast"] == scenario.profiles["a", "fast"]


def test_limits_of_replicas_are_raised_where_they_are_lower() -> None:
    search = {"max_replicas": 4, "stages": {"a": {"max_replicas": 2}, "b": {"max_replicas": 9}}}
    scenario = workload_of(SLOW | {"b": {"slow": {1: "1ms"}}, "c": {"slow": {1: "1ms"}}}, search=search).scenario
    raised = with_max_replicas(scenario, 6)
    assert [space.max_replicas for space in raised.space.values()] == [6, 9, 6]


def test_the_same_queries_come_faster_at_a_larger_load_with_their_routes_and_luck() -> None:
    question = Question((workload_of(),), held_out=workload_of())
    twice = at_load(question, 2)
    assert twice.workloads[0].trace.times_ns.tolist() == [time // 2 for time in question.workloads[0].trace.times_ns]
    assert twice.held_out is not None
    assert twice.held_out.trace.mean_rate_qps == 2 * question.workloads[0].trace.mean_rate_qps


def test_a_changed_question_keeps_trace_and_routes() -> None:
    question = Question((workload_of(),), held_out=workload_of())
    other = changed(question, lambda scenario: with_slo_factor(scenario, 2))
    assert other.workloads[0].routes is question.workloads[0].routes
    assert other.held_out is not None
    assert other.held_out.scenario.slos[0].bound_ns == 40_000_000


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda one: with_slo_factor(one, 0), "slo factor: 0"),
        (lambda one: with_slo_factor(one, math.nan), "slo factor: nan"),
        (lambda one: with_slo_factor(one, 1e-12), "keep it in 1 ns"),
        (lambda one: with_slo_factor(one, 1e12), "400 days"),
        (lambda one: with_price_factor(one, "slow", -1), "at least 0"),
        (lambda one: with_price_factor(one, "slow", 1e9), "cost"),
        (lambda one: with_price_factor(one, "none", 1), "is not a unit"),
        (lambda one: with_profile_factor(one, "a", "none", 1), "a is profiled on slow, fast"),
        (lambda one: with_profile_factor(one, "a", "slow", 0), "profile factor: 0"),
        (lambda one: with_profile_factor(one, "a", "slow", 1e12), "too slow"),
        (lambda one: without(one, "none"), "has no price"),
        (lambda one: without(without(one, "slow"), "fast"), "left without any hardware"),
        (lambda one: with_max_replicas(one, 0), "max_replicas: 0"),
        (lambda one: with_quota(one, "none", 1), "is not a unit"),
        (lambda one: with_quota(one, "slow", -1), "quota: -1"),
    ],
)
def test_changes_out_of_range_are_refused(change: Any, words: str) -> None:
    with pytest.raises(InvalidInputError, match=words):
        change(workload_of().scenario)


@pytest.mark.parametrize("factor", [0, -1, math.nan, math.inf])
def test_loads_out_of_range_are_refused(factor: float) -> None:
    with pytest.raises(InvalidInputError, match="load"):
        at_load(Question((workload_of(),)), factor)


# objectives


def test_the_steps_of_the_staircase_are_found_to_the_nanosecond() -> None:
    # one slow replica: 20 ms; two of them: 10 ms; two fast ones: 5 ms, and nothing is faster
    frame = slo_staircase(workload_of(bound="40ms"), factors=(0.1, 1))
    assert costs(frame) == pytest.approx({0.1: math.nan, 0.125: 10, 0.25: 2, 0.5: 1, 1: 1}, nan_ok=True)
    assert frame["bound_s"].tolist() == pytest.approx([0.004, 0.005, 0.01, 0.02, 0.04])
    assert frame["least_factor"].tolist() == pytest.approx([math.nan, 0.125, 0.25, 0.5, 0.5], nan_ok=True)
    assert frame["status"].tolist() == ["infeasible", *["optimal"] * 4]
    assert frame["proved"].all()
    assert frame["plan"].tolist() == ["", "a 2×fast/1", "a 2×slow/1", "a 1×slow/1", "a 1×slow/1"]


def test_without_a_resolution_only_the_factors_named_are_rows() -> None:
    frame = slo_staircase(workload_of(bound="40ms"), factors=(1, 0.3, 0.3), resolution=None)
    assert costs(frame) == {0.3: 2, 1: 1}


def test_steps_nearer_than_the_resolution_may_be_one() -> None:
    frame = slo_staircase(workload_of(bound="40ms"), factors=(0.125, 1), resolution=10)
    assert costs(frame) == {0.125: 10, 0.5: 1, 1: 1}


def test_an_objective_for_a_class_decides_its_step() -> None:
    slo = [{"quantile": "p100", "bound": "100ms"}, {"quantile": "p100", "bound": "40ms", "where": {"tier": "gold"}}]
    scenario = make_scenario(
        {"a": {}},
        profiles=SLOW,
        prices=prices(),
        slo=slo,
        traffic={"poisson": {"rate_qps": 1, "queries": 1}, "attributes": {"tier": {"weights": {"gold": 1.0}}}},
    )
    trace = make_trace(PAIRS, tier=["gold", "basic"] * 10)  # the gold ones are served first
    frame = slo_staircase(Workload.of(scenario, trace), factors=(0.15, 1))
    assert costs(frame) == pytest.approx({0.15: math.nan, 0.25: 1, 1: 1}, nan_ok=True)


def test_every_objective_counts_on_every_workload_and_so_does_confidence() -> None:
    fields = {"slo": {"p50": "30ms", "p60": "60ms"}}
    steady = workload_of(arrivals_ms=[25 * n for n in range(200)], **fields)
    pairs = workload_of(arrivals_ms=[100 * (n // 2) for n in range(200)], **fields)
    question = Question((steady, pairs), confident=True)
    chosen = planned(question).simulation.plan
    least = least_slo_factor(question, chosen)
    assert meets(changed(question, lambda one: with_slo_factor(one, least)), chosen)
    assert not meets(changed(question, lambda one: with_slo_factor(one, least - Fraction(1, 30_000_000))), chosen)
    assert least == Fraction(20, 30)  # half of the pairs' queries take 10 ms, but more might not


@pytest.mark.parametrize("seed", range(6))
def test_the_staircase_is_that_of_all_plans_tried(seed: int) -> None:
    curves = {"a": {"slow": {1: "12ms", 4: "20ms"}, "fast": {1: "6ms"}}, "b": {"slow": {1: "7ms"}, "twin": {1: "9ms"}}}
    scenario = workload_of(
        curves, "80ms", slo={"p90": "80ms"}, seed=seed, prices=prices(fast=2.5, twin=0.6), search={"max_replicas": 3},
        traffic={"poisson": {"rate_qps": 90, "queries": 60}},
    ).scenario  # fmt: skip
    workload = Workload.of(scenario)
    settings = [
        [
            StagePlan(hardware=option.hardware, replicas=replicas, max_batch_size=size)
            for option in space.options
            for replicas in range(1, 4)
            for size in option.batch_sizes
        ]
        for space in scenario.space.values()
    ]
    question = Question((workload,))
    plans = [Plan(stages={"a": a, "b": b}) for a, b in itertools.product(*settings)]
    known = [(least_slo_factor(question, one), float(one.cost_usd_per_hour(scenario.catalogue))) for one in plans]
    frame = slo_staircase(workload, factors=(0.2, 2), resolution=0)
    best, steps = math.inf, {}
    for factor in sorted(
        {least for least, _ in known if Fraction("0.2") <= least <= 2} | {Fraction("0.2"), Fraction(2)}
    ):
        cost = min((cost for least, cost in known if least <= factor), default=math.inf)
        if cost < best or factor in (Fraction("0.2"), 2):
            best = steps[float(factor)] = cost
    assert costs(frame) == pytest.approx({k: math.nan if math.isinf(v) else v for k, v in steps.items()}, nan_ok=True)
    assert frame["proved"].all()


def test_a_budget_that_ends_searches_is_not_called_a_proof() -> None:
    frame = slo_staircase(workload_of(bound="40ms"), factors=(0.3, 1), max_evaluations=1, resolution=None)
    assert set(frame[~frame["proved"]]["status"]) <= {"feasible", "out of time"}
    assert frame["cost_usd_per_hour"].dropna().is_monotonic_decreasing


def test_a_plan_for_tighter_bounds_is_taken_where_a_search_found_a_dearer_one(monkeypatch: pytest.MonkeyPatch) -> None:
    from pipesim.planner.sensitivity import staircases

    def poor(question: Question, max_evaluations: int) -> Any:
        tight = question.workloads[0].scenario.slos[0].bound_ns < 40_000_000
        plans = {True: ("slow", 2), False: ("fast", 2)}
        hardware, replicas = plans[tight]
        chosen = Plan(stages={"a": StagePlan(hardware=hardware, replicas=replicas)})
        return staircases.Cheapest(question, chosen, "feasible", Decimal(1))

    monkeypatch.setattr(staircases, "cheapest_of", poor)
    frame = slo_staircase(Question((workload_of(bound="40ms"),)), factors=(0.5, 2), resolution=None)
    assert costs(frame) == {0.5: 2, 2: 2}
    assert not frame["proved"].any()


def test_no_queries_meet_any_bound() -> None:
    frame = slo_staircase(workload_of(arrivals_ms=[]), factors=(0.001, 1))
    assert costs(frame) == {0.001: 1, 1: 1}
    assert frame["least_factor"].tolist() == [0, 0]


def test_free_hardware_has_a_flat_staircase() -> None:
    frame = slo_staircase(workload_of(bound="40ms", prices=prices(slow=0)), factors=(0.125, 1), resolution=0)
    assert costs(frame) == {0.125: 10, 0.25: 0, 1: 0}
    assert frame["least_factor"].tolist() == [0.125, 0.25, 0.5]


def test_plans_of_equal_cost_that_follow_each_other_are_gone_through(monkeypatch: pytest.MonkeyPatch) -> None:
    from pipesim.planner.sensitivity import staircases

    def roomless(question: Question, max_evaluations: int) -> Any:
        # free replicas, as few as will do: plans of equal cost, down to where one must pay
        for hardware, replicas in (("slow", 1), ("slow", 2), ("slow", 3), ("slow", 4), ("fast", 4)):
            chosen = Plan(stages={"a": StagePlan(hardware=hardware, replicas=replicas)})
            if meets(question, chosen):
                bound = Decimal(20 if hardware == "fast" else 0)
                return staircases.Cheapest(question, chosen, "optimal", bound)
        raise AssertionError

    monkeypatch.setattr(staircases, "cheapest", roomless)
    monkeypatch.setattr(staircases, "cheapest_of", roomless)
    fours = workload_of(bound="80ms", prices=prices(slow=0), arrivals_ms=[100 * (n // 4) for n in range(20)])
    frame = slo_staircase(Question((fours,)), factors=(0.07, 1), resolution=0)
    assert costs(frame) == {0.07: 20, 0.125: 0, 1: 0}


@pytest.mark.parametrize("factors", [(), (0,), (-1,), (math.nan,), (math.inf,)])
def test_factors_out_of_range_are_refused(factors: tuple[float, ...]) -> None:
    with pytest.raises(InvalidInputError, match="factors"):
        slo_staircase(workload_of(), factors=factors)


@pytest.mark.parametrize("resolution", [-1, math.nan, math.inf])
def test_resolutions_out_of_range_are_refused(resolution: float) -> None:
    with pytest.raises(InvalidInputError, match="resolution"):
        slo_staircase(workload_of(), resolution=resolution)


# load


def test_cost_grows_with_the_load_where_replicas_must_come() -> None:
    # at four times the load pairs come every 25 ms, at eight times every 12.5 ms: too fast for one slow replica
    frame = load_staircase(workload_of(bound="20ms"), factors=(8, 1, 4))
    assert costs(frame) == {1: 1, 4: 1, 8: 2}
    rate = 20 / 0.9
    assert frame["rate_qps"].tolist() == pytest.approx([rate, 4 * rate, 8 * rate])
    assert frame["usd_per_million_queries"].tolist() == pytest.approx(
        [1e6 / rate / 3600, 1e6 / rate / 4 / 3600, 2e6 / rate / 8 / 3600]
    )


def test_a_load_that_no_plan_serves_is_a_row() -> None:
    frame = load_staircase(workload_of(SLOW, search={"max_replicas": 1}), factors=(1, 8))
    assert costs(frame) == pytest.approx({1: 1, 8: math.nan}, nan_ok=True)
    assert frame["proved"].all()


def test_a_trace_without_queries_or_duration_has_no_rate() -> None:
    assert load_staircase(workload_of(arrivals_ms=[]), factors=(1,))["rate_qps"].isna().all()
    assert load_staircase(workload_of(arrivals_ms=[0, 0]), factors=(2,))["usd_per_million_queries"].isna().all()


def test_a_plan_sustains_the_load_at_which_pairs_come_as_fast_as_they_are_served() -> None:
    found = sustained_load(planned(workload_of(bound="20ms")))
    assert found is not None
    assert (found.factor, found.limited) == (5.0, False)
    assert found.rate_qps == pytest.approx(5 * 20 / 0.9)


def test_a_plan_sustains_no_load_that_only_holds_above_one_that_misses() -> None:
    assert last_held(lambda step: step != 7, 3, 99) == 6
    assert last_held(lambda step: step > 3, 3, 99) is None
    assert last_held(lambda step: True, 3, 99) == 99


def test_a_plan_that_misses_sustains_nothing_and_one_without_queries_all_that_is_tried() -> None:
    missed = plan(workload_of(SLOW, bound="10ms"), method="cg-mean", verified=False)
    assert isinstance(missed, MissedPlan)
    assert sustained_load(missed) is None
    idle = sustained_load(planned(workload_of(arrivals_ms=[])), most=1.5)
    assert idle is not None
    assert (idle.factor, idle.limited, math.isnan(idle.rate_qps)) == (1.5, True, True)


def test_a_plan_must_sustain_the_load_on_all_workloads() -> None:
    alone = workload_of()
    question = Question((alone, Workload.of(alone.scenario, make_trace([50 * (n // 2) for n in range(20)]))))
    found = sustained_load(planned(question))
    assert found is not None
    assert found.factor == 2.5  # the second has twice the rate


@pytest.mark.parametrize("most", [0.5, 0, math.nan, math.inf])
def test_limits_of_load_out_of_range_are_refused(most: float) -> None:
    with pytest.raises(InvalidInputError, match="most"):
        sustained_load(planned(workload_of()), most=most)


# prices


def price_rows(frame: pd.DataFrame) -> dict[tuple[str, str], tuple[float, bool, str]]:
    return {
        (row["unit"], row["direction"]): (row["factor"], row["changes"], row["plan_then"])
        for row in frame.to_dict("records")
    }


def test_a_price_may_move_to_where_two_plans_cost_the_same() -> None:
    # one slow replica for 1 $/h, or one fast for 5 $/h
    frame = price_sensitivity(planned(workload_of()))
    assert price_rows(frame) == {
        ("slow", "rise"): (5.0, True, "a 1×fast/1"),
        ("slow", "fall"): (0.1, False, ""),
        ("fast", "rise"): (math.inf, False, ""),
        ("fast", "fall"): (0.2, True, "a 1×fast/1"),
    }
    assert frame["price_usd_per_hour"].tolist() == [1, 1, 5, 5]
    assert frame["proved"].all()


def test_where_two_plans_cost_the_same_is_exact_between_the_prices_planned() -> None:
    frame = price_sensitivity(planned(workload_of(prices=prices(slow=3, fast=7))))
    assert price_rows(frame)["slow", "rise"][0] == 7 / 3
    assert price_rows(frame)["fast", "fall"][0] == 3 / 7


def test_the_nearest_of_several_changes_is_found() -> None:
    # at its tenfold price slow is replaced by fast, but at twice its price by the twin
    curves = BOTH | {"a": BOTH["a"] | {"fast": {1: "5ms"}}}
    rows = price_rows(price_sensitivity(planned(workload_of(curves, "30ms", prices=prices(twin=2)))))
    assert rows["slow", "rise"] == (2.0, True, "a 1×twin/1")
    assert rows["twin", "fall"] == (0.5, True, "a 1×twin/1")


def test_what_costs_the_same_today_may_not_rise_at_all() -> None:
    rows = price_rows(price_sensitivity(planned(workload_of(BOTH, "30ms"))))
    assert rows["slow", "rise"] == (1.0, True, "a 1×twin/1")
    assert rows["twin", "fall"] == (1.0, True, "a 1×twin/1")
    assert rows["slow", "fall"] == (0.1, False, "")
    assert rows["twin", "rise"] == (math.inf, False, "")


def test_units_of_bundles_count_as_often_as_they_are_in_one() -> None:
    catalogue = {"units": prices()["units"], "bundles": {"wide": {"slow": 2, "twin": 1}}}
    curves = {"a": {"wide": {1: "10ms"}, "fast": {1: "5ms"}}}  # 3 $/h against 5
    rows = price_rows(price_sensitivity(planned(workload_of(curves, prices=catalogue))))
    assert rows["slow", "rise"][0] == 2.0
    assert rows["twin", "rise"][0] == 3.0


def test_a_free_unit_has_no_price_that_a_factor_changes() -> None:
    rows = price_rows(price_sensitivity(planned(workload_of(prices=prices(slow=0)))))
    assert rows["slow", "rise"] == (math.inf, False, "")
    assert rows["slow", "fall"] == (0.0, False, "")


def test_a_limit_on_costs_ends_a_rise() -> None:
    rows = price_rows(price_sensitivity(planned(workload_of(search={"max_cost_usd_per_hour": 3}))))
    assert rows["slow", "rise"] == (3.0, True, "")
    assert rows["fast", "fall"] == (0.2, True, "a 1×fast/1")
    higher = price_rows(price_sensitivity(planned(workload_of(search={"max_cost_usd_per_hour": 7}))))
    assert higher["slow", "rise"] == (5.0, True, "a 1×fast/1")


def dear_plan() -> FeasiblePlan:
    """Return a plan for 5 $/h as the answer of a method without proofs, where 1 $/h is enough."""
    dear = planned(workload_of(search={"stages": {"a": {"hardware": ["fast"]}}}))
    open_to_all = Question((workload_of(),))
    return FeasiblePlan(
        open_to_all, "greedy", dear.history, 1, None, dear.simulation, None, True, True, type(dear.proof)()
    )


def test_a_plan_that_is_not_the_cheapest_today_has_no_room_and_no_proof() -> None:
    frame = price_sensitivity(dear_plan())
    assert price_rows(frame)["fast", "rise"] == (1.0, True, "a 1×slow/1")
    assert not frame["proved"].any()


@pytest.mark.parametrize("seed", range(4))
def test_beyond_the_price_another_plan_is_cheaper_and_before_it_none_is(seed: int) -> None:
    curves = {"a": {"slow": {1: "12ms", 4: "20ms"}, "fast": {1: "6ms"}}, "b": {"slow": {1: "7ms"}, "twin": {1: "9ms"}}}
    scenario = workload_of(
        curves, slo={"p90": "60ms"}, seed=seed, prices=prices(fast=1.7, twin=0.9), search={"max_replicas": 4},
        traffic={"poisson": {"rate_qps": 150, "queries": 80}},
    ).scenario  # fmt: skip
    workload = Workload.of(scenario)
    result = planned(workload)
    for row in price_sensitivity(result).to_dict("records"):
        assert row["proved"]
        if not row["changes"]:
            continue
        outward = 0.002 if row["direction"] == "rise" else -0.002
        for step, changes in ((-outward, False), (outward, True)):
            factor = round(row["factor"] + step, 4)
            if (factor - 1) * outward < 0:
                continue
            other = Question((workload,))
            other = changed(other, lambda one, row=row, factor=factor: with_price_factor(one, row["unit"], factor))  # type: ignore[misc]
            cheapest = plan(other, method="exact", verified=False)
            assert isinstance(cheapest, FeasiblePlan)
            catalogue = other.workloads[0].scenario.catalogue
            own = result.simulation.plan.cost_usd_per_hour(catalogue)
            assert (cheapest.simulation.cost_usd_per_hour < own) == changes, row


@pytest.mark.parametrize("most", [1, 0, math.nan, math.inf])
def test_limits_of_prices_out_of_range_are_refused(most: float) -> None:
    with pytest.raises(InvalidInputError, match="most"):
        price_sensitivity(planned(workload_of()), most=most)


# profiles


def test_a_model_may_slow_down_until_the_second_of_a_pair_is_late() -> None:
    (row,) = profile_sensitivity(planned(workload_of(SLOW, "30ms"))).to_dict("records")
    assert (row["model"], row["hardware"], row["stages"]) == ("a", "slow", "a")
    assert (row["holds_to_factor"], row["misses"]) == (1.5, True)
    assert (row["costs_same_to_factor"], row["dearer"], row["proved"]) == (1.5, True, True)
    assert (row["cost_then_usd_per_hour"], row["plan_then"]) == (2, "a 2×slow/1")


def test_another_plan_of_the_same_cost_may_take_over() -> None:
    (row,) = profile_sensitivity(planned(workload_of(BOTH, "30ms")), most=1.8).to_dict("records")
    assert (row["holds_to_factor"], row["misses"]) == (1.5, True)
    assert (row["costs_same_to_factor"], row["dearer"], row["plan_then"]) == (1.8, False, "")


def test_a_model_that_must_not_slow_down_at_all_may_leave_no_plan() -> None:
    (row,) = profile_sensitivity(planned(workload_of(SLOW, "10ms"))).to_dict("records")
    assert (row["holds_to_factor"], row["costs_same_to_factor"], row["dearer"]) == (1.0, 1.0, True)
    assert math.isnan(row["cost_then_usd_per_hour"])


def test_stages_with_one_model_on_one_hardware_slow_down_together() -> None:
    scenario = make_scenario(
        {"a": {"model": "m"}, "b": {"model": "m", "after": ["a"]}},
        profiles={"m": {"slow": {1: "10ms"}}},
        prices=prices(),
        slo={"p100": "30ms"},
    )
    (row,) = profile_sensitivity(planned(Workload.of(scenario, make_trace([0, 100, 200])))).to_dict("records")
    assert row["stages"] == "a, b"
    assert row["holds_to_factor"] == 1.5


def test_without_queries_no_slowdown_matters() -> None:
    (row,) = profile_sensitivity(planned(workload_of(SLOW, arrivals_ms=[])), most=1.2).to_dict("records")
    assert (row["holds_to_factor"], row["misses"], row["dearer"]) == (1.2, False, False)


@pytest.mark.parametrize("most", [0.9, 0, math.nan, math.inf])
def test_limits_of_slowdowns_out_of_range_are_refused(most: float) -> None:
    with pytest.raises(InvalidInputError, match="most"):
        profile_sensitivity(planned(workload_of()), most=most)


# hardware


def test_without_hardware_the_next_best_is_taken() -> None:
    (row,) = without_hardware(workload_of()).to_dict("records")
    assert (row["hardware"], row["units"], row["replicas"]) == ("slow", "1 slow", 1)
    assert (row["cost_usd_per_hour"], row["difference_usd_per_hour"], row["plan"]) == (5, 4, "a 1×fast/1")
    assert (row["status"], row["proved"], row["reason"]) == ("optimal", True, "")


def test_hardware_without_which_nothing_is_left_is_a_row_with_the_reason() -> None:
    (row,) = without_hardware(planned(workload_of(SLOW))).to_dict("records")
    assert (row["status"], row["proved"], row["plan"]) == ("infeasible", True, "")
    assert math.isnan(row["difference_usd_per_hour"])
    assert "a is left without any hardware" in row["reason"].replace("'", "")


def test_hardware_without_which_what_is_left_is_too_slow_is_a_row() -> None:
    (row,) = without_hardware(workload_of({"a": {"slow": {1: "10ms"}, "twin": {1: "50ms"}}})).to_dict("records")
    assert (row["hardware"], row["status"], row["reason"]) == ("slow", "infeasible", "")


def test_a_result_without_a_proof_is_planned_again() -> None:
    assert without_hardware(dear_plan())["hardware"].tolist() == ["slow"]


def test_no_plan_uses_no_hardware() -> None:
    frame = without_hardware(workload_of(bound="4ms"))
    assert frame.empty
    assert "difference_usd_per_hour" in frame


# what binds


def binds(result: FeasiblePlan) -> dict[str, tuple[float, bool]]:
    return {row["constraint"]: (row["slack"], row["binds"]) for row in binding(result).to_dict("records")}


def test_what_stands_in_the_way_of_one_replica_less_or_more_binds() -> None:
    search = {"max_replicas": 2, "quota": {"slow": 3}, "max_cost_usd_per_hour": 2.5}
    curves = SLOW | {"b": {"slow": {1: "1ms"}}}
    assert binds(planned(workload_of(curves, "30ms", search=search | {"quota": {"slow": 2}}))) == {
        "p100 <= 30 ms": (0, False),  # no replica can go
        "min_replicas of a": (0, True),
        "max_replicas of a": (1, False),
        "min_replicas of b": (0, True),
        "max_replicas of b": (1, False),
        "quota of slow": (0, True),
        "max_cost_usd_per_hour": (0.5, True),
    }
    found = binds(planned(workload_of(curves, "15ms", search=search | {"max_cost_usd_per_hour": 5})))
    assert found["p100 <= 15 ms"] == (0, True)  # the second replica of a
    assert found["min_replicas of a"] == (1, False)
    assert found["max_replicas of a"] == (0, True)
    assert found["quota of slow"] == (0, True)
    assert found["max_cost_usd_per_hour"] == (2, False)


def test_a_quota_that_keeps_hardware_out_binds() -> None:
    found = binds(planned(workload_of(search={"quota": {"fast": 0, "slow": 2}})))
    assert found["quota of fast"] == (0, True)
    assert found["quota of slow"] == (1, False)


def test_misses_are_counted_against_those_allowed_on_each_workload() -> None:
    fields = {"slo": {"p60": "15ms"}}
    pairs = workload_of(SLOW, arrivals_ms=[100 * (n // 2) for n in range(200)], **fields)
    steady = workload_of(SLOW, arrivals_ms=[25 * n for n in range(100)], **fields)
    rows = binding(planned(Question((pairs, steady), confident=True))).to_dict("records")
    assert [tuple(row.values()) for row in rows[:4]] == [
        ("p60 <= 15 ms on workload 1", 0, 80, 80, "queries", True),  # half of the queries with one replica
        ("p60 <= 15 ms on workload 1, confidently", 0.01, 0.015, pytest.approx(0.005), "s", True),
        ("p60 <= 15 ms on workload 2", 0, 40, 40, "queries", False),
        ("p60 <= 15 ms on workload 2, confidently", 0.01, 0.015, pytest.approx(0.005), "s", False),
    ]


# what would have to give


def relaxed(workload: Workload, **limits: Any) -> dict[str, dict[str, Any]]:
    return {str(row["relaxation"]): row for row in relaxations(workload, **limits).to_dict("records")}  # type: ignore[misc]


def test_bounds_are_loosened_as_little_as_will_do() -> None:
    rows = relaxed(workload_of(SLOW, "5ms"))
    assert list(rows) == ["bounds", "load", "max_replicas"]
    bounds = rows["bounds"]
    assert (bounds["now"], bounds["needed"], bounds["factor"], bounds["unit"]) == (0.005, 0.01, 2.0, "s")
    assert (bounds["cost_usd_per_hour"], bounds["plan"], bounds["smallest"]) == (2, "a 2×slow/1", True)
    for name in ("load", "max_replicas"):  # a query takes 10 ms alone
        assert math.isnan(rows[name]["needed"])
        assert math.isnan(rows[name]["cost_usd_per_hour"])
    assert rows["max_replicas"]["smallest"]
    assert not rows["load"]["smallest"]  # at a tenth of the load there is none; in between nobody knows


def test_a_smallest_change_is_certain_only_if_the_step_before_it_is_certain_not_to_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from pipesim.planner.sensitivity import reasons

    def cheapest(question: Question, max_evaluations: int) -> Any:
        found = reasons_cheapest(question, max_evaluations)
        return found if found.plan is not None else replace(found, least_usd_per_hour=Decimal(0))

    reasons_cheapest = reasons.cheapest
    monkeypatch.setattr(reasons, "cheapest", cheapest)
    rows = relaxed(workload_of(SLOW, "5ms"))
    assert (rows["bounds"]["factor"], rows["bounds"]["smallest"]) == (2.0, False)


def test_replicas_are_allowed_as_few_more_as_will_do() -> None:
    rows = relaxed(workload_of(SLOW, "15ms", search={"max_replicas": 1}))
    assert rows["bounds"]["factor"] == pytest.approx(1.34)  # 20 ms in whole per cent
    more = rows["max_replicas"]
    assert (more["now"], more["needed"], more["cost_usd_per_hour"], more["smallest"]) == (1, 2, 2, True)


def test_load_is_taken_away_as_little_as_will_do() -> None:
    rows = relaxed(workload_of(SLOW, "10ms", [5 * n for n in range(20)], search={"max_replicas": 1}))
    load = rows["load"]
    assert (load["factor"], load["cost_usd_per_hour"], load["smallest"]) == (pytest.approx(0.5), 1, True)
    assert load["needed"] == pytest.approx(0.5 * load["now"])


def test_quotas_and_the_limit_on_costs_are_relaxed_each_alone() -> None:
    rows = relaxed(workload_of(SLOW, "15ms", search={"quota": {"slow": 1}}))
    assert (rows["quota of slow"]["needed"], rows["quota of slow"]["factor"]) == (2, 2.0)
    rows = relaxed(workload_of(SLOW, "15ms", search={"max_cost_usd_per_hour": 1}))
    ceiling = rows["max_cost_usd_per_hour"]
    assert (ceiling["needed"], ceiling["factor"], ceiling["smallest"]) == (2, 2.0, True)
    assert math.isnan(rows["max_replicas"]["needed"])
    none = relaxed(workload_of(SLOW, "5ms", search={"max_cost_usd_per_hour": 1, "quota": {"slow": 1}}))
    assert math.isnan(none["max_cost_usd_per_hour"]["needed"])
    assert math.isnan(none["quota of slow"]["needed"])


def test_limits_that_do_not_suffice_leave_a_row_without_numbers() -> None:
    rows = relaxed(workload_of(SLOW, "5ms"), loosest_bounds=1.5, most_replicas=1)
    assert math.isnan(rows["bounds"]["needed"])
    assert (rows["bounds"]["limit"], rows["bounds"]["smallest"]) == (pytest.approx(0.0075), True)
    assert rows["max_replicas"]["limit"] == 128


def test_a_scenario_with_a_plan_needs_no_relaxation() -> None:
    frame = relaxations(workload_of())
    assert frame.empty
    assert "needed" in frame


def test_no_answer_within_the_budget_is_not_called_impossible() -> None:
    frame = relaxations(workload_of(SLOW, "15ms", search={"max_replicas": 1}), max_evaluations=1)
    assert not frame.empty


@pytest.mark.parametrize(
    "limits",
    [{"loosest_bounds": 1}, {"loosest_bounds": math.nan}, {"least_load": 0}, {"least_load": 1}, {"most_replicas": 0}],
)
def test_limits_of_relaxations_out_of_range_are_refused(limits: dict[str, Any]) -> None:
    with pytest.raises(InvalidInputError, match=next(iter(limits))):
        relaxations(workload_of(), **limits)


# all of it


def test_a_budget_out_of_range_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="max_evaluations"):
        load_staircase(workload_of(), max_evaluations=0)


def test_an_interruption_ends_all_planning_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    result = planned(workload_of())
    monkeypatch.setattr(
        "pipesim.planner.sensitivity.cheapest.plan", lambda *_, **__: replace(result, reproducible=False)
    )
    with pytest.raises(KeyboardInterrupt):
        load_staircase(workload_of())


def test_the_same_question_has_the_same_answer() -> None:
    workload = workload_of(bound="40ms")
    assert slo_staircase(workload).equals(slo_staircase(workload))
    result = planned(workload)
    assert price_sensitivity(result).equals(price_sensitivity(result))


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.chdir(tmp_path)
    Path("good.yaml").write_text(scenario())
    Path("bad.yaml").write_text(scenario(slo="slo: {p99: 9ms}"))
    app = typer.Typer()
    app.command()(sensitivity)

    def run(*arguments: str) -> Any:
        return CliRunner().invoke(app, arguments)

    return run


@pytest.mark.slow
def test_the_command_says_what_moves_the_cost(command: Any) -> None:
    answer = command("good.yaml", "--out", "report.json")
    assert answer.exit_code == 0, answer.output
    for words in (
        "base: what the cheapest plan depends on", "Binding: ", "If all bounds were multiplied", "At other loads",
        "sustains", "How far the price", "How much slower", "Without hardware",
    ):  # fmt: skip
        assert words in answer.output
    report = json.loads(Path("report.json").read_text())
    assert report["kind"] == "sensitivity"
    assert list(report["sensitivity"]) == ["slo", "load", "prices", "profiles", "hardware"]
    assert report["sensitivity"]["hardware"][0]["cost_usd_per_hour"] is None
    assert report["sustained_load"]["factor"] >= 1
    assert any(row["binds"] for row in report["binding"])
    assert command("good.yaml", "--json").output == Path("report.json").read_text()


def test_the_command_says_what_would_have_to_give(command: Any) -> None:
    answer = command("bad.yaml")
    assert answer.exit_code == 3
    for words in ("no plan meets the objectives", "service time alone", "What would have to give", "bounds"):
        assert words in answer.output
    tight = "search: {max_replicas: 1, quota: {gpu: 1}, max_cost_usd_per_hour: 1}"
    Path("bad.yaml").write_text(scenario(rest=tight))
    for words in ("quota of gpu", "$1.00", "$1.10", " /s", "none found up to"):
        assert words in command("bad.yaml", "--what", "relax").output
    chosen = command("bad.yaml", "--what", "prices", "--what", "hardware", "--json")
    assert json.loads(chosen.output)["sensitivity"] == {"prices": [], "hardware": []}


def test_the_command_marks_what_is_not_certain(command: Any) -> None:
    assert "Nothing: there is a plan." in command("good.yaml", "--what", "relax", "--seed", "3").output
    answer = command("good.yaml", "--what", "load", "--max-evaluations", "1")
    assert "* not certain" in answer.output


def test_the_command_refuses_a_topic_that_it_does_not_know(command: Any) -> None:
    answer = command("good.yaml", "--what", "weather")
    assert isinstance(answer.exception, InvalidInputError)
    assert "--what: 'weather' is not known" in str(answer.exception)
