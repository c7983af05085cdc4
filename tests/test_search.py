"""The default planner: what it finds, what it proves, and what it does at the edges."""

from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from build import make_scenario, make_trace
from pipesim.engine import Workload, simulate
from pipesim.errors import InvalidInputError
from pipesim.model import load_scenario
from pipesim.planner import FastestPlan, FeasiblePlan, Infeasible, MissedPlan, compare, fastest_plan, plan, question_of
from pipesim.planner import evaluator as evaluating
from pipesim.planner.methods import search
from test_planner import feasible, scenario_of

EXAMPLES = Path(__file__).parents[1] / "examples"
TWO_STAGES = {
    "a": {"fast": {1: "10ms", 8: "30ms"}, "slow": {1: "25ms", 8: "60ms"}},
    "b": {"slow": {1: "15ms", 4: "30ms"}, "fast": {1: "5ms", 16: "20ms"}},
}


@pytest.mark.slow
def test_greedy_is_30_percent_dearer_than_the_plan_that_is_proved_optimal() -> None:
    workload = Workload.of(load_scenario(EXAMPLES / "social-media.yaml"))
    best, greedy = (feasible(plan(workload, method=name, verified=False)) for name in ("search", "greedy"))
    assert best.status == "optimal"
    assert greedy.weighed_usd_per_hour >= Decimal("1.30") * best.weighed_usd_per_hour
    assert best.bound_usd_per_hour == best.weighed_usd_per_hour


def test_every_method_that_searches_agrees_on_a_small_space_and_none_is_cheaper() -> None:
    scenario = scenario_of(TWO_STAGES, search={"max_replicas": 4})
    found = compare(scenario, max_evaluations=3000)
    frame = found.frame()
    best = frame.loc["search", "cost_usd_per_hour"]
    assert frame.loc["search", "status"] == frame.loc["exact", "status"] == "optimal"
    assert frame.loc["exact", "cost_usd_per_hour"] == best
    for method, result in found.results.items():
        if not isinstance(result, MissedPlan | Infeasible):
            assert frame.loc[method, "cost_usd_per_hour"] >= best
    assert frame.loc["search", "gap"] == 0


def test_a_rule_of_thumb_that_misses_says_so() -> None:
    scenario = scenario_of({"a": {"slow": {1: "19ms"}}}, slo="40ms")
    result = plan(scenario, method="ceil")
    assert isinstance(result, MissedPlan)
    assert not result.simulation.met
    assert simulate(scenario, result.simulation.plan).slos == result.simulation.slos


@pytest.mark.parametrize("method", ["search", "exact", "greedy"])
def test_prices_of_zero_cost_nothing(method: str) -> None:
    free = {"units": {"slow": {"kind": "cpu", "unit": "core", "price_usd_per_hour": 0}}}
    scenario = replace_prices({"a": {"slow": {1: "10ms"}}}, free)
    result = feasible(plan(scenario, method=method))  # type: ignore[arg-type]
    assert result.weighed_usd_per_hour == 0
    assert result.gap in (0.0, None)


def replace_prices(curves: dict[str, dict[str, dict[int, str]]], prices: object) -> object:
    return make_scenario(
        {name: {} for name in curves}, profiles=curves, prices=prices, slo={"p99": "100ms"},
        traffic={"poisson": {"rate_qps": 50, "queries": 300}}, search={"max_replicas": 3},
    )  # fmt: skip


def test_of_hardware_at_equal_prices_the_faster_one_is_found() -> None:
    prices = {"units": {name: {"kind": "gpu", "unit": "gpu", "price_usd_per_hour": 1} for name in ("alpha", "beta")}}
    scenario = replace_prices({"a": {"alpha": {1: "70ms"}, "beta": {1: "15ms"}}}, prices)
    chosen = feasible(plan(scenario)).simulation.plan.stages["a"]  # type: ignore[arg-type]
    assert (chosen.hardware, chosen.replicas) == ("beta", 1)


def test_a_trace_of_one_burst_needs_as_many_replicas_as_fit_into_the_bound() -> None:
    # 40 queries at once, 10 ms each, all within 100 ms: each replica serves 10 of them
    scenario = scenario_of({"a": {"slow": {1: "10ms"}}}, slo="100ms")
    result = feasible(plan(Workload.of(scenario, make_trace([0.0] * 40))))
    assert result.simulation.plan.stages["a"].replicas == 4
    assert (result.status, result.bound_usd_per_hour) == ("optimal", 4)


def test_a_stage_that_batching_does_not_help_keeps_small_batches_from_hurting() -> None:
    scenario = scenario_of({"a": {"slow": {1: "10ms", 8: "80ms"}}}, slo="60ms")
    result = feasible(plan(scenario))
    assert result.status == "optimal"


def test_two_objectives_bind_together() -> None:
    one = feasible(plan(scenario_of(TWO_STAGES, objectives={"p99": "120ms"})))
    both = feasible(plan(scenario_of(TWO_STAGES, objectives={"p99": "120ms", "p50": "18ms"})))
    assert both.simulation.met
    assert both.weighed_usd_per_hour >= one.weighed_usd_per_hour


def test_an_infeasible_burst_is_proved_before_any_simulation() -> None:
    scenario = scenario_of({"a": {"slow": {1: "10ms"}}}, slo="30ms", search={"max_replicas": 2})
    result = plan(Workload.of(scenario, make_trace([0.0] * 40)))
    assert isinstance(result, Infeasible)
    assert (result.proved, result.evaluations) == (True, 0)
    assert "even 2 replicas" in result.reason


def test_threads_change_nothing() -> None:
    scenario = scenario_of(TWO_STAGES, slo="45ms", search={"max_replicas": 6})
    one, two = (feasible(plan(scenario, threads=threads, verified=False)) for threads in (1, 2))
    assert one.simulation.plan == two.simulation.plan
    assert one.evaluations == two.evaluations
    assert one.history.equals(two.history)


def test_exchanges_find_the_optimum_when_the_tree_has_no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    scenario = scenario_of(TWO_STAGES, slo="45ms", search={"max_replicas": 6})
    whole = feasible(plan(scenario, verified=False))
    monkeypatch.setattr(search, "FIRST_TESTS", 1)
    monkeypatch.setattr(search, "TURN_TESTS", 1)
    exchanged = feasible(plan(scenario, verified=False))
    assert exchanged.weighed_usd_per_hour == whole.weighed_usd_per_hour
    assert any(phase.startswith("exchange") for phase in exchanged.history["phase"])


def test_a_time_limit_ends_the_search_and_the_answer_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = iter(range(10**6))
    monkeypatch.setattr(evaluating.time, "monotonic", lambda: float(next(ticks)))
    scenario = scenario_of(TWO_STAGES, slo="45ms", search={"max_replicas": 40})
    monkeypatch.setattr(search, "FIRST_TESTS", 1)
    result = plan(scenario, time_limit_s=12.5, verified=False)
    if hasattr(result, "reproducible"):
        assert not result.reproducible
        assert any("clock" in caveat for caveat in result.caveats)
    else:
        assert result.status == "out of budget"


def test_an_interruption_keeps_the_best_plan_found() -> None:
    scenario = scenario_of(TWO_STAGES, slo="45ms", search={"max_replicas": 6})

    def interrupt(state: evaluating.State) -> None:
        if state.best_usd_per_hour is not None:
            raise KeyboardInterrupt

    result = feasible(plan(scenario, method="greedy", progress=interrupt, verified=False))
    assert (result.complete, result.reproducible) == (False, False)
    with pytest.raises(KeyboardInterrupt):
        plan(scenario, progress=lambda state: (_ for _ in ()).throw(KeyboardInterrupt))


def test_quotas_change_hardware_ceilings_forbid_and_a_previous_plan_is_kept(tmp_path: Path) -> None:
    free = feasible(plan(scenario_of(TWO_STAGES, slo="45ms")))
    used = free.simulation.plan.units(free.workload.scenario.catalogue)
    unit = max(used, key=lambda name: used[name])
    bound = feasible(plan(scenario_of(TWO_STAGES, slo="45ms", search={"quota": {unit: used[unit] - 1}})))
    assert bound.weighed_usd_per_hour >= free.weighed_usd_per_hour
    assert bound.simulation.plan.units(free.workload.scenario.catalogue).get(unit, 0) < used[unit]
    assert bound.status == "optimal"
    tight = {"max_cost_usd_per_hour": float(free.weighed_usd_per_hour) - 0.5}
    dear = plan(scenario_of(TWO_STAGES, slo="45ms", search=tight))
    assert isinstance(dear, Infeasible)
    assert dear.proved
    assert "at most" in dear.reason


def test_a_change_is_made_only_if_it_saves_more_than_it_is_counted_as(tmp_path: Path) -> None:
    scenario = scenario_of(TWO_STAGES, slo="45ms")
    best = feasible(plan(scenario))
    wider = best.simulation.plan.with_stage("a", replicas=best.simulation.plan.stages["a"].replicas + 1)
    assert simulate(scenario, wider).met
    extra = scenario.weighed_cost_usd_per_hour(wider) - best.weighed_usd_per_hour

    def kept(change: Decimal) -> bool:
        search = scenario.file.search.model_copy(update={"previous": _previous(change)})
        asked = replace(scenario, file=scenario.file.model_copy(update={"search": search}), previous=wider)
        return feasible(plan(asked)).simulation.plan == wider

    assert kept(extra + 1)
    assert not kept(extra / 4)


def _previous(change: Decimal) -> object:
    from pipesim.model.search import PreviousPlan

    return PreviousPlan.model_construct(plan="plan.yaml", change_usd_per_hour=change)


class TestRobustPlans:
    scenario = scenario_of({"a": {"slow": {1: "18ms"}}}, slo="150ms")

    def test_slower_profiles_are_stood(self) -> None:
        result = feasible(plan(question_of(self.scenario, profile_error=0.2)))
        assert len(result.question.workloads) == 2
        assert all(one.met for one in result.other_simulations)
        slower = result.other_simulations[0]
        assert slower.scenario.profiles["a", "slow"].table_ns[1] == 21_600_000
        assert result.weighed_usd_per_hour >= feasible(plan(self.scenario)).weighed_usd_per_hour

    def test_other_seeds_bring_other_traffic_and_must_be_met_too(self) -> None:
        result = feasible(plan(question_of(self.scenario, seeds=[2, 3])))
        assert [one.scenario.seed for one in result.question.workloads] == [1, 2, 3]
        assert all(one.met for one in result.other_simulations)

    def test_a_part_held_out_is_not_planned_for_but_judged_on(self) -> None:
        result = feasible(plan(question_of(self.scenario, holdout=0.4)))
        validation = result.validation
        assert validation is not None
        assert len(result.workload.trace) + len(validation.workload.trace) == 1000
        assert validation.workload.trace.times_ns[0] >= 0
        assert result.workload.trace.duration_ns + validation.workload.trace.duration_ns == pytest.approx(
            Workload.of(self.scenario).trace.duration_ns
        )

    def test_a_confident_plan_keeps_the_upper_end_of_the_interval_within_the_bound(self) -> None:
        result = feasible(plan(question_of(self.scenario, confident=True)))
        outcome = result.simulation.slos[0]
        assert outcome.interval_ns.high <= outcome.slo.bound_ns


def test_the_fastest_plan_under_a_ceiling_meets_tighter_bounds_and_costs_no_more() -> None:
    scenario = scenario_of(TWO_STAGES, slo="100ms", search={"max_replicas": 6})
    found = fastest_plan(scenario, Decimal(12))
    assert isinstance(found, FastestPlan)
    assert found.factor < 1
    assert found.result.weighed_usd_per_hour <= 12
    worst = max(one.latency_ns or 0 for one in simulate(scenario, found.result.simulation.plan).slos)
    assert worst == pytest.approx(found.factor * 100e6, rel=0.02)


def test_objectives_in_every_window_ask_for_more() -> None:
    trace = make_trace([20.0 * number for number in range(900)] + [18_000.0 + number for number in range(100)])
    curves = {"a": {"slow": {1: "10ms"}}}
    whole = [{"quantile": "p90", "bound": "200ms"}]
    windows = [{"quantile": "p90", "bound": "200ms", "every": "2s"}]
    costs = [
        feasible(plan(Workload.of(scenario_of(curves, objectives=some), trace))).weighed_usd_per_hour
        for some in (whole, windows)
    ]
    assert costs[0] < costs[1]


def test_under_a_ceiling_the_plan_that_runs_is_not_gone_back_to_if_it_costs_more() -> None:
    scenario = scenario_of(TWO_STAGES, slo="45ms", search={"max_replicas": 6})
    best = feasible(plan(scenario)).simulation.plan
    wider = best.with_stage("b", replicas=best.stages["b"].replicas + 1)
    extra = scenario.weighed_cost_usd_per_hour(wider) - scenario.weighed_cost_usd_per_hour(best)
    for change in (extra, extra + 1, extra * 2):
        limits = {"previous": _previous(change), "max_cost_usd_per_hour": scenario.weighed_cost_usd_per_hour(best)}
        search_ = scenario.file.search.model_copy(update=limits)
        asked = replace(scenario, file=scenario.file.model_copy(update={"search": search_}), previous=wider)
        costs = {method: feasible(plan(asked, method=method)).weighed_usd_per_hour for method in ("search", "exact")}
        assert costs["search"] == costs["exact"]


def test_a_workload_that_is_too_slow_by_itself_is_named() -> None:
    scenario = scenario_of({"a": {"slow": {1: "30ms"}}}, slo="100ms")
    for method in ("search", "greedy"):
        result = plan(question_of(scenario, profile_error=9.0), method=method)  # type: ignore[arg-type]
        assert isinstance(result, Infeasible)
        assert "300 ms" in result.reason


def test_what_a_ceiling_buys_is_judged_by_the_objectives_as_they_were_asked_for() -> None:
    scenario = scenario_of({"a": {"slow": {1: "18ms"}}}, slo="40ms", search={"max_replicas": 6})
    needed = feasible(plan(scenario)).weighed_usd_per_hour
    found = fastest_plan(scenario, needed - 1)
    assert isinstance(found, FastestPlan)
    assert isinstance(found.result, MissedPlan)
    assert found.factor > 1
    assert [one.slo.bound_ns for one in found.result.simulation.slos] == [40_000_000]


@pytest.mark.parametrize("amount", ["NaN", "Infinity", "0", "-1"])
def test_a_ceiling_is_a_finite_amount_above_0(amount: str) -> None:
    with pytest.raises(InvalidInputError, match="max_cost_usd_per_hour"):
        fastest_plan(scenario_of({"a": {"slow": {1: "18ms"}}}), Decimal(amount))


def test_confidence_is_not_promised_where_there_is_no_interval() -> None:
    curves = {"a": {"slow": {1: "10ms"}}}
    windows = [{"quantile": "p90", "bound": "200ms", "every": "2s"}]
    with pytest.raises(InvalidInputError, match="every window"):
        question_of(scenario_of(curves, objectives=windows), confident=True)
    with pytest.raises(InvalidInputError, match="20 queries or more"):
        question_of(scenario_of(curves, traffic={"poisson": {"rate_qps": 1, "queries": 5}}), confident=True)


def test_a_rule_of_thumb_over_the_quota_says_so() -> None:
    scenario = scenario_of({"a": {"slow": {1: "19ms"}}}, slo="10s", search={"quota": {"slow": 1}})
    trace = make_trace([10.0 * number for number in range(500)])
    result = plan(Workload.of(scenario, trace), method="ceil")
    assert isinstance(result, MissedPlan)
    assert result.caveats[0] == "over the quota: 2 slow of 1"


@pytest.mark.slow
def test_exchanges_are_claimed_of_the_plan_that_is_returned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "FIRST_TESTS", 1)
    monkeypatch.setattr(search, "TURN_TESTS", 1)
    scenario = scenario_of(TWO_STAGES, slo="45ms", search={"max_replicas": 6})
    best = feasible(plan(scenario)).weighed_usd_per_hour
    for budget in range(1, 60, 3):
        result = plan(scenario, max_evaluations=budget, verified=False)
        if isinstance(result, FeasiblePlan) and result.proof.exchanged >= 2:  # of two stages: all plans
            assert result.weighed_usd_per_hour == best
