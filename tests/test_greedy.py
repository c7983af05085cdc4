"""InferLine's greedy planner, on scenarios small enough to follow by hand."""

from functools import partial

from build import make_scenario, make_trace
from pipesim.engine import Workload
from pipesim.planner import Infeasible, OutOfBudget
from pipesim.planner import plan as find_plan
from test_planner import feasible, scenario_of

plan = partial(find_plan, method="greedy")


def test_a_larger_batch_is_taken_at_equal_cost_so_that_a_replica_can_go() -> None:
    # 50 queries a second of 30 ms each keep 1.5 replicas busy; in batches one replica is enough
    scenario = scenario_of({"a": {"fast": {1: "30ms", 8: "44ms"}}}, slo="200ms")
    result = feasible(plan(scenario))
    chosen = result.simulation.plan.stages["a"]
    assert (chosen.replicas, chosen.max_batch_size) == (1, 8)
    taken = result.history[result.history["taken"]]
    assert {"add replica", "increase batch", "remove replica"} <= set(taken["action"])


def test_the_search_never_takes_a_dearer_plan_and_ends() -> None:
    scenario = scenario_of(
        {"a": {"fast": {1: "10ms", 8: "10ms"}, "slow": {1: "30ms", 8: "60ms"}}, "b": {"slow": {1: "8ms"}}}
    )
    history = feasible(plan(scenario)).history
    steps = history[history["taken"] & history["feasible"]]["cost_usd_per_hour"]
    assert steps.is_monotonic_decreasing


def test_the_first_plan_has_the_fastest_hardware_at_batch_1_and_grows_at_the_bottleneck() -> None:
    scenario = scenario_of({"a": {"slow": {1: "10ms"}}, "b": {"slow": {1: "45ms"}}})
    history = feasible(plan(scenario)).history
    added = history[history["action"] == "add replica"]
    assert added["stage"].tolist()[:2] == ["b", "b"]


def test_too_few_replicas_in_the_space_are_infeasible_and_the_reason_names_them() -> None:
    result = plan(scenario_of({"a": {"fast": {1: "90ms"}}}, search={"max_replicas": 2}))
    assert isinstance(result, Infeasible)
    assert not result.proved
    assert "Even with 2 replicas of a on fast" in result.reason
    assert any("max_replicas" in remedy for remedy in result.remedies)


def test_a_budget_that_ends_before_the_first_feasible_plan_says_so() -> None:
    scenario = scenario_of({"a": {"fast": {1: "90ms"}}})
    assert isinstance(plan(scenario, max_evaluations=1), OutOfBudget)


def test_a_budget_that_ends_the_search_keeps_the_best_plan_and_says_so() -> None:
    scenario = scenario_of({"a": {"fast": {1: "5ms"}, "slow": {1: "10ms"}}})
    result = feasible(plan(scenario, max_evaluations=1))
    assert not result.complete
    assert any("budget" in caveat for caveat in result.caveats)
    assert result.simulation.plan.stages["a"].hardware == "fast"


def test_batches_are_tried_before_a_scenario_is_called_infeasible() -> None:
    scenario = scenario_of({"a": {"fast": {1: "10ms", 16: "40ms"}}}, slo="500ms", search={"max_replicas": 1},
                           traffic={"poisson": {"rate_qps": 150, "queries": 3000}})  # fmt: skip
    chosen = feasible(plan(scenario)).simulation.plan.stages["a"]
    assert chosen.replicas == 1
    assert chosen.max_batch_size > 1


def test_a_curve_that_falls_is_not_called_infeasible_for_its_batch_of_one() -> None:
    scenario = scenario_of({"a": {"fast": {1: "30ms", 2: "20ms"}}}, slo="25ms", search={"max_replicas": 3})
    workload = Workload.of(scenario, make_trace([100 * (n // 2) for n in range(40)]))
    assert feasible(plan(workload)).simulation.plan.stages["a"].max_batch_size == 2


def test_a_search_that_ends_in_exactly_its_budget_is_complete() -> None:
    scenario = scenario_of({"a": {"fast": {1: "5ms"}, "slow": {1: "10ms"}}})
    needed = feasible(plan(scenario)).evaluations
    assert feasible(plan(scenario, max_evaluations=needed)).complete
    assert not feasible(plan(scenario, max_evaluations=needed - 1)).complete


def test_the_history_counts_the_evaluations_step_by_step() -> None:
    history = feasible(plan(scenario_of({"a": {"fast": {1: "10ms", 8: "30ms"}, "slow": {1: "25ms"}}}))).history
    assert history["evaluations"].is_monotonic_increasing
    assert history["round"].is_monotonic_increasing


def test_a_ladder_of_stages_is_planned_in_time() -> None:
    # each stage after the two before it: the number of paths doubles every two stages
    stages = [f"s{n}" for n in range(40)]
    pipeline = {stage: {"after": stages[max(0, n - 2) : n]} if n else {} for n, stage in enumerate(stages)}
    scenario = make_scenario(pipeline, slo={"p99": "2s"}, traffic={"poisson": {"rate_qps": 9, "queries": 9}})
    assert feasible(plan(scenario, max_evaluations=2)).status == "feasible"
