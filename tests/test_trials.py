"""Trials: a whole plan passes exactly if it meets the limits, and no part of a plan that meets them ever fails."""

import itertools
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from build import MS, make_plan, make_scenario, make_trace
from pipesim.engine import MissLimit, Workload, run_engine, simulate
from pipesim.engine.compiled import Trials, evaluation
from pipesim.engine.compiled.flow import NEVER, Flow
from pipesim.engine.compiled.records import StageRecord
from pipesim.engine.compiled.stage import RunningStage
from pipesim.engine.inputs import StageInputs
from pipesim.engine.propagation import ways_out_ns
from pipesim.engine.run import Integers
from pipesim.model import Plan, StagePlan
from pipesim.planner.evaluator import least_services_ns
from pipesim.traces import compress_time, gamma
from strategies import BATCHINGS, DISPATCHES, Problem, problems
from test_parity import PARITY

Part = tuple[tuple[int, StagePlan], ...]
KEPT_BYTES = (1 << 30, 0, 300, 2000)
"""Enough for everything, for nothing, for some of it."""
FEW = settings(PARITY, max_examples=80)


def services_ns(workload: Workload) -> list[Integers]:
    space = workload.scenario.space
    largest = {
        name: [
            StagePlan(hardware=option.hardware, replicas=1, max_batch_size=option.batch_sizes[-1])
            for option in stage.options
        ]
        for name, stage in space.items()
    }
    return least_services_ns(workload, largest)


def trials_of(workload: Workload, limits: Sequence[MissLimit] | None = None, max_bytes: int = KEPT_BYTES[0]) -> Trials:
    if limits is None:
        limits = workload.miss_limits(workload.scenario.slos)
    return Trials(workload, limits, services_ns(workload), max_bytes)


def part_of(workload: Workload, plan: Plan, order: Sequence[int] | None = None) -> Part:
    names = workload.routes.names
    return tuple((stage, plan.stages[names[stage]]) for stage in order or range(len(names)))


def meets(workload: Workload, plan: Plan, limits: Sequence[MissLimit] | None = None) -> bool:
    if limits is None:
        limits = workload.miss_limits(workload.scenario.slos)
    latency_ns = run_engine(workload.engine_inputs(plan)).finish_ns - workload.trace.times_ns
    return not any(limit.is_missed(latency_ns) for limit in limits)


def orders(workload: Workload) -> list[tuple[int, ...]]:
    """Return the orders of the stages in which each comes after those that feed it."""
    upstream = [set(stage.upstream) for stage in workload.deliveries.stages]
    return [
        order
        for order in itertools.permutations(range(len(upstream)))
        if all(upstream[stage] <= set(order[:turn]) for turn, stage in enumerate(order))
    ]


@pytest.fixture
def in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let runs of few arrivals be looked at in between, as those of many are."""
    monkeypatch.setattr(evaluation, "_MIN_GROUPS", 2)


class TestLimits:
    scenario = make_scenario({"a": {}})

    def passes(self, bound_ms: float, allowed: list[int], group: list[int] | None = None) -> bool:
        workload = Workload.of(self.scenario, make_trace([0, 1, 2]))  # latencies: 10, 19, 28 ms
        groups = np.array(group or [0, 0, 0], np.int32)
        limits = [MissLimit(round(bound_ms * MS), groups, np.array(allowed))]
        return trials_of(workload, limits).test(part_of(workload, make_plan(self.scenario))).passed

    def test_one_miss_more_than_allowed_breaks_a_limit(self) -> None:
        assert self.passes(15, [2])
        assert not self.passes(15, [1])

    def test_a_latency_at_the_bound_is_no_miss(self) -> None:
        assert self.passes(28, [0])
        assert not self.passes(28 - 1e-6, [0])

    def test_only_the_queries_concerned_count(self) -> None:
        assert self.passes(15, [0], [0, -1, -1])
        assert not self.passes(15, [0], [0, 0, -1])

    def test_each_group_has_its_own_misses(self) -> None:
        assert self.passes(15, [0, 2], [0, 1, 1])
        assert self.passes(15, [1, 1], [0, 0, 1])
        assert not self.passes(15, [3, 1], [0, 1, 1])

    def test_more_misses_than_queries_may_be_allowed(self) -> None:
        assert self.passes(1, [5])

    def test_without_limits_everything_passes(self) -> None:
        workload = Workload.of(self.scenario, make_trace([0, 1, 2]))
        assert trials_of(workload, []).test(part_of(workload, make_plan(self.scenario))).passed

    def test_all_limits_must_hold(self) -> None:
        workload = Workload.of(self.scenario, make_trace([0, 1, 2]))
        everyone = np.zeros(3, np.int32)
        loose, tight = (MissLimit(15 * MS, everyone, np.array([allowed])) for allowed in (2, 1))
        part = part_of(workload, make_plan(self.scenario))
        assert [trials_of(workload, limits).test(part).passed for limits in ([loose], [loose, tight])] == [True, False]


class TestParts:
    """a feeds b, 10 ms each: a query that leaves a later than 10 ms before the bound is late already."""

    scenario = make_scenario({"a": {}, "b": {"after": ["a"]}})
    workload = Workload.of(scenario, make_trace([0, 1]))  # at a: until 10 and 20 ms; at b: until 20 and 30 ms

    def trials(self, bound_ms: float) -> Trials:
        return trials_of(self.workload, [MissLimit(round(bound_ms * MS), np.zeros(2, np.int32), np.array([0]))])

    def test_a_part_fails_when_the_shortest_way_on_takes_too_long(self) -> None:
        part = part_of(self.workload, make_plan(self.scenario))
        assert self.trials(29).test(part[:1]).passed
        assert not self.trials(29 - 1e-6).test(part[:1]).passed

    def test_an_empty_part_passes(self) -> None:
        assert self.trials(1).test(()) == evaluation.Trial(passed=True, keys=())

    def test_a_limit_that_is_never_reached_makes_no_difference(self) -> None:
        trials = self.trials(40)
        keys = [
            trials.test(part_of(self.workload, make_plan(self.scenario, max_batch_size=size))).keys
            for size in (1, 4, 8)
        ]
        assert keys[0] == keys[1] == keys[2]

    def test_replicas_that_are_never_busy_make_none_with_one_queue(self) -> None:
        trials = self.trials(40)
        keys = [trials.test(part_of(self.workload, make_plan(self.scenario, count))).keys for count in (1, 2, 3)]
        assert keys[0] != keys[1] == keys[2]

    def test_with_a_queue_each_they_do(self) -> None:
        scenario = make_scenario({"a": {"dispatch": "round_robin"}})
        workload = Workload.of(scenario, make_trace([0, 1]))
        trials = trials_of(workload, [])
        keys = [trials.test(part_of(workload, make_plan(scenario, count))).keys for count in (2, 3)]
        assert keys[0] != keys[1]


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Collect the names of the stages that are run, in order."""
    names: list[str] = []
    begin = RunningStage.__init__

    def noted(self: RunningStage, stage: StageInputs) -> None:
        names.append(stage.name)
        begin(self, stage)

    monkeypatch.setattr(RunningStage, "__init__", noted)
    return names


class TestWhatIsKept:
    scenario = make_scenario(
        {"a": {}, "b": {"after": ["a"]}, "c": {"after": ["b"]}, "beside": {"after": ["a"]}}, {"b": {1: 25, 8: 25}}
    )
    workload = Workload.of(scenario, make_trace([0, 1, 2]))

    def part(self, **stages: dict[str, Any]) -> Part:
        return part_of(self.workload, make_plan(self.scenario, **stages))

    def test_only_the_stage_that_changed_and_those_downstream_are_run_again(self, served: list[str]) -> None:
        trials = trials_of(self.workload)
        assert trials.test(self.part()).passed
        assert served == ["a", "b", "c", "beside"]
        served.clear()
        assert trials.test(self.part(b={"replicas": 2})).passed
        assert served == ["b", "c"]  # beside has the departures that it had

    def test_nothing_is_run_twice(self, served: list[str]) -> None:
        trials = trials_of(self.workload)
        assert trials.test(self.part()) == trials.test(self.part())
        assert served == ["a", "b", "c", "beside"]

    def test_a_limit_that_was_not_reached_is_not_run_again(self, served: list[str]) -> None:
        trials = trials_of(self.workload)
        one, other = (trials.test(self.part(a={"max_batch_size": size})) for size in (8, 4))  # two wait for a at most
        assert one == other
        assert served == ["a", "b", "c", "beside"]

    def test_a_plan_that_failed_is_not_run_again(self, served: list[str]) -> None:
        limit = MissLimit(15 * MS, np.zeros(3, np.int32), np.array([0]))
        trials = trials_of(self.workload, [limit])
        assert not trials.test(self.part()).passed
        assert not trials.test(self.part(c={"replicas": 4})).passed
        assert served == ["a"]

    def test_it_is_bounded_and_the_least_recently_used_goes_first(self, served: list[str]) -> None:
        scenario = make_scenario({"a": {"dispatch": "round_robin"}, "b": {"dispatch": "round_robin", "after": ["a"]}})
        workload = Workload.of(scenario, make_trace([100 * number for number in range(10)]))
        # the departures of a stage take 10 · (8 + 4 + 4) bytes, the ends of the queries 10 · 8: both fit in three times
        trials = trials_of(workload, max_bytes=3 * 240)

        def run_for(a: int, b: int) -> list[str]:
            """Return what is run for a plan, given the replicas of a and of b (0 for a part without it)."""
            served.clear()
            plan = make_plan(scenario, a={"replicas": a}, b={"replicas": max(1, b)})
            trials.test(part_of(workload, plan)[: 1 + (b > 0)])
            return served.copy()

        assert [run_for(a, 0) for a in (1, 2, 3)] == [["a"], ["a"], ["a"]]
        assert run_for(1, 1) == ["b"]  # instead of the second a
        assert run_for(1, 2) == ["b"]  # instead of the third: the first has been used since
        assert run_for(1, 3) == ["b"]
        assert run_for(3, 1) == ["a", "b"]
        assert run_for(3, 2) == ["b"]

    def test_without_any_memory_answers_are_the_same(self) -> None:
        trials, forgetful = trials_of(self.workload), trials_of(self.workload, max_bytes=0)
        for stages in ({}, {"b": {"replicas": 2}}, {"a": {"max_batch_size": 8}}, {}):
            assert trials.test(self.part(**stages)) == forgetful.test(self.part(**stages))


class TestTogether:
    """One query may be late. With one replica a makes one late, and b another one: each alone is good enough."""

    scenario = make_scenario(
        {
            "source": {},
            "a": {"after": {"source": {"choice": "kind", "values": ["x"]}}},
            "b": {"after": {"source": {"choice": "kind", "values": ["y"]}}},
            "c": {"after": {"source": {"network_delay": "1ms"}}},
        },
        {"source": {1: 1}, "a": {1: 10}, "b": {1: 10}, "c": {1: 1}},
    )
    workload = Workload.of(scenario, make_trace([0, 0, 1, 1, 100], kind=["x", "x", "y", "y", "z"]))
    limits = (MissLimit(17 * MS, np.zeros(5, np.int32), np.array([1])),)

    def plans(self) -> list[Plan]:
        return [
            make_plan(self.scenario, 2, a={"replicas": a}, b={"replicas": b}, c={"replicas": c})
            for a, b, c in itertools.product((2, 1), (2, 1), (1, 2))
        ]

    def test_one_may_be_slow(self) -> None:
        fast = [plan.stages["a"].replicas + plan.stages["b"].replicas for plan in self.plans()]
        assert [meets(self.workload, plan, self.limits) for plan in self.plans()] == [some > 2 for some in fast]

    @pytest.mark.parametrize("backwards", [False, True])
    def test_what_passed_with_others_fails_with_these_whatever_was_let_go_of(self, backwards: bool) -> None:
        plans = self.plans()[::-1] if backwards else self.plans()
        expected = [meets(self.workload, plan, self.limits) for plan in plans]
        for order, max_bytes in itertools.product(orders(self.workload), (*range(0, 400, 40), 1 << 20)):
            trials = trials_of(self.workload, self.limits, max_bytes)
            for _ in range(2):
                parts = [part_of(self.workload, plan, order) for plan in plans]
                assert [trials.test(part).passed for part in parts] == expected


class TestLongRuns:
    """With over a thousand arrivals a run is looked at in between."""

    scenario = make_scenario({"a": {}, "b": {"after": {"a": {"probability": 0.7}}}, "c": {"after": ["a", "b"]}})
    workload = Workload.of(scenario, gamma(150, 4, queries=5000))

    @pytest.mark.parametrize("bound_ms", [40, 90, 200, 400, 800])
    def test_plans_pass_exactly_when_they_meet_the_limits(self, bound_ms: int) -> None:
        window = (np.arange(5000) // 500).astype(np.int32)
        limits = [
            MissLimit(bound_ms * MS, np.zeros(5000, np.int32), np.array([50])),
            MissLimit(2 * bound_ms * MS, window, np.full(10, 20)),
        ]
        trials = trials_of(self.workload, limits)
        for replicas, size, others in itertools.product((1, 2, 3), (1, 2, 8), (2, 3)):
            plan = make_plan(self.scenario, others, 4, a={"replicas": replicas, "max_batch_size": size})
            assert trials.test(part_of(self.workload, plan)).passed == meets(self.workload, plan, limits)

    def test_a_run_ends_when_too_many_have_missed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        until: list[int] = []
        serve = RunningStage.serve

        def noted(self: RunningStage, arrivals: Flow, until_ns: int = NEVER) -> StageRecord:
            until.append(until_ns)
            return serve(self, arrivals, until_ns)

        monkeypatch.setattr(RunningStage, "serve", noted)
        limit = MissLimit(200 * MS, np.zeros(5000, np.int32), np.array([50]))
        assert not trials_of(self.workload, [limit]).test(part_of(self.workload, make_plan(self.scenario))).passed
        instants = np.unique(self.workload.trace.times_ns)
        assert until == [instants[instants.size // 16]]


def drawn_plans(data: st.DataObject, problem: Problem, most: int = 12) -> list[Plan]:
    return data.draw(st.lists(st.sampled_from(problem.plans), min_size=2, max_size=most))


def check_plans(problem: Problem, plans: Sequence[Plan], max_bytes: int) -> None:
    workload = problem.workload
    trials = trials_of(workload, max_bytes=max_bytes)
    for plan in plans:
        part = part_of(workload, plan)
        assert trials.test(part).passed == meets(workload, plan)
        run = run_engine(workload.engine_inputs(plan))
        assert np.array_equal(trials.finish_ns(part), run.finish_ns)


@FEW
@given(problems(), st.data(), st.sampled_from(KEPT_BYTES))
def test_a_plan_passes_exactly_when_it_meets_the_limits_whatever_was_tested_before(
    problem: Problem, data: st.DataObject, max_bytes: int
) -> None:
    check_plans(problem, drawn_plans(data, problem), max_bytes)


@pytest.mark.usefixtures("in_pieces")
@FEW
@given(problems(), st.data(), st.sampled_from(KEPT_BYTES))
def test_so_it_does_if_runs_are_looked_at_in_between(problem: Problem, data: st.DataObject, max_bytes: int) -> None:
    check_plans(problem, drawn_plans(data, problem), max_bytes)


def check_parts(problem: Problem, data: st.DataObject) -> None:
    """Test parts in any order, then check that the plans of those that failed miss a limit."""
    workload, names = problem.workload, problem.workload.routes.names
    trials = trials_of(workload, max_bytes=data.draw(st.sampled_from(KEPT_BYTES)))
    valid, plans = orders(workload), problem.plans
    missed: dict[int, bool] = {}
    for place in data.draw(st.lists(st.integers(0, len(plans) - 1), min_size=2, max_size=8)):
        part = part_of(workload, plans[place], data.draw(st.sampled_from(valid)))
        for stages in range(1, len(part) + 1):
            if trials.test(part[:stages]).passed:
                continue
            for number, plan in enumerate(plans):
                if all(plan.stages[names[stage]] == setting for stage, setting in part[:stages]):
                    if number not in missed:
                        missed[number] = not meets(workload, plan)
                    assert missed[number]


@FEW
@given(problems(), st.data())
def test_no_part_of_a_plan_that_meets_the_limits_fails(problem: Problem, data: st.DataObject) -> None:
    check_parts(problem, data)


@pytest.mark.usefixtures("in_pieces")
@FEW
@given(problems(stages=(3, 2)), st.data())
def test_no_part_fails_wrongly_if_runs_are_looked_at_in_between(problem: Problem, data: st.DataObject) -> None:
    check_parts(problem, data)


@FEW
@given(problems(noises=("none",)), st.data())
def test_parts_with_equal_keys_have_equal_departures(problem: Problem, data: st.DataObject) -> None:
    workload = problem.workload
    everyone = np.zeros(len(workload.trace), np.int32)
    trials = trials_of(workload, [MissLimit(2**62, everyone, np.array([0]))], data.draw(st.sampled_from(KEPT_BYTES)))
    found: dict[int, tuple[int, bytes]] = {}
    for plan in drawn_plans(data, problem):
        order = data.draw(st.sampled_from(orders(workload)))
        run = run_engine(workload.engine_inputs(plan))
        trial = trials.test(part_of(workload, plan, order))
        assert trial.passed
        for stage, key in zip(order, trial.keys, strict=True):
            departures = stage, run.stages[stage].finish_ns.tobytes()
            assert found.setdefault(key, departures) == departures


@FEW
@given(problems(), st.data())
def test_no_item_has_less_time_to_go_than_the_shortest_way(problem: Problem, data: st.DataObject) -> None:
    workload = problem.workload
    ways_ns = ways_out_ns(workload.deliveries, services_ns(workload))
    for plan in drawn_plans(data, problem):
        run = run_engine(workload.engine_inputs(plan))
        for stage, way_ns, routes in zip(run.stages, ways_ns, workload.routes.stages, strict=True):
            assert np.all(stage.finish_ns + way_ns <= run.finish_ns[routes.query_of_item])


def test_a_mean_of_equal_sizes_can_fall_short_of_them_and_the_way_with_it() -> None:
    # 0.7 + 0.7 + 0.7 is a little less than three times as much, and 5 ns times the mean rounds to 3 ns, not to 4
    size = {"size": {"attribute": "length", "reference": 1, "combine": "packed"}}
    scenario = make_scenario({"a": {}, "b": {"after": ["a"], **size}}, {"a": {1: 1e-6}, "b": {3: 5e-6}})
    workload = Workload.of(scenario, make_trace([0, 0, 0], length=[0.7, 0.7, 0.7]))
    run = run_engine(workload.engine_inputs(make_plan(scenario, 3, 3, a={"max_batch_size": 1})))
    assert run.finish_ns.tolist() == [1 + 3] * 3
    ways_ns = ways_out_ns(workload.deliveries, services_ns(workload))
    assert np.all(run.stages[0].finish_ns + ways_ns[0] <= run.finish_ns)


def test_the_shortest_way_is_that_of_a_run_in_which_nobody_waits() -> None:
    pipeline = {
        "a": {},
        "b": {"after": {"a": {"per": "item", "fan_out": 2, "network_delay": "3ms"}}},
        "c": {"after": {"a": {"network_delay": "40ms"}, "b": {}}},
    }
    scenario = make_scenario(pipeline, {"a": {1: 1}, "b": {1: 5}, "c": {1: 7}})
    workload = Workload.of(scenario, make_trace([0]))
    ways_ns = ways_out_ns(workload.deliveries, services_ns(workload))
    assert [(way_ns / MS).tolist() for way_ns in ways_ns] == [[40 + 7], [7, 7], [0]]


@settings(PARITY, max_examples=20)
@given(problems(), st.data(), st.sampled_from(KEPT_BYTES))
def test_threads_that_share_trials_get_the_same_answers(problem: Problem, data: st.DataObject, max_bytes: int) -> None:
    workload = problem.workload
    parts = [part_of(workload, plan) for plan in drawn_plans(data, problem)] * 3
    alone, shared = trials_of(workload, max_bytes=max_bytes), trials_of(workload, max_bytes=max_bytes)
    expected = [alone.test(part) for part in parts]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(shared.test, parts))
    assert [trial.passed for trial in found] == [trial.passed for trial in expected]
    # keys may have other numbers, but the same ones are equal
    numbers = {
        (one, other) for a, b in zip(expected, found, strict=True) for one, other in zip(a.keys, b.keys, strict=True)
    }
    assert len(numbers) == len({one for one, _ in numbers}) == len({other for _, other in numbers})


@pytest.mark.slow
@pytest.mark.parametrize("batching", BATCHINGS)
@pytest.mark.parametrize("dispatch", DISPATCHES)
def test_plans_and_parts_under_every_policy(batching: str, dispatch: str, monkeypatch: pytest.MonkeyPatch) -> None:
    @settings(PARITY, max_examples=150)
    @given(problems(batchings=(batching,), dispatches=(dispatch,)), st.data(), st.sampled_from(KEPT_BYTES))
    def check(problem: Problem, data: st.DataObject, max_bytes: int) -> None:
        check_plans(problem, drawn_plans(data, problem), max_bytes)
        check_parts(problem, data)

    monkeypatch.setattr(evaluation, "_MIN_GROUPS", 2)
    check()


def test_replicas_are_busy_for_the_time_of_their_batches_before_an_instant() -> None:
    scenario = make_scenario({"a": {}, "b": {"after": ["a"]}})
    run = simulate(scenario, make_plan(scenario, max_batch_size=4), engine="compiled").run
    for index, stage in enumerate(run.stages):
        batches = {(s, f) for s, f in zip(stage.start_ns.tolist(), stage.finish_ns.tolist(), strict=True)}
        for end_ns in (0, 15 * MS, 10**12):
            busy = sum(min(finish, end_ns) - min(start, end_ns) for start, finish in batches)
            assert run.stages.busy_ns(index, end_ns) == busy


def test_a_workload_at_other_times_has_the_same_luck() -> None:
    scenario = make_scenario({"a": {}})
    workload = Workload.of(scenario)
    again = workload.at(scenario, compress_time(workload.trace, 2))
    assert np.array_equal(again.trace.times_ns, np.rint(workload.trace.times_ns / 2).astype(np.int64))
    assert workload.at(scenario, workload.trace).deliveries is workload.deliveries
