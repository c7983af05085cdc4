"""Laws that every run obeys, whatever the pipeline, the plan and the traffic; each says which bug it would catch."""

import copy
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pandas as pd
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from pipesim.engine import EngineInputs, Run, StageRun, run_reference, same
from pipesim.engine.deliveries import Deliveries
from pipesim.engine.inputs import StageInputs
from pipesim.model import Plan, StagePlan
from pipesim.traces import compress_time
from pipesim.units import NS_PER_S
from strategies import Case, cases

LAW = settings(max_examples=50, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))
# For laws of one stage: cheaper cases, and more of them.
STAGE_LAW = settings(LAW, max_examples=120)

PER_REPLICA = ("round_robin", "random", "power_of_two", "least_loaded")

Integers = npt.NDArray[np.int64]


def run_of(inputs: EngineInputs) -> Run:
    run = run_reference(inputs)
    assert run is not None
    return run


def ran(case: Case) -> Iterator[tuple[StageInputs, StageRun]]:
    inputs = case.inputs
    return zip(inputs.stages, run_of(inputs).stages, strict=True)


def members(run: StageRun, batch: int) -> Integers:
    """Return the arrivals of a batch's items, ascending."""
    return np.sort(run.arrival_ns[run.batch == batch])


def queue_order(run: StageRun) -> Integers:
    """Return the items by arrival, ties by (query, item)."""
    return np.argsort(run.arrival_ns, kind="stable")


def area(instants: Integers, change: Integers) -> int:
    """Return the time integral, in integer nanoseconds, of a count that changes at the given instants."""
    order = np.argsort(instants, kind="stable")
    return int((np.cumsum(change[order])[:-1] * np.diff(instants[order])).sum())


# Conservation


@LAW
@given(cases())
def test_a_query_leaves_when_the_last_of_its_items_has_finished(case: Case) -> None:
    """A query lost at a join, or one that leaves before its slowest branch, would break it."""
    inputs = case.inputs
    run = run_of(inputs)
    last = inputs.arrival_ns.copy()
    for stage, done in zip(inputs.stages, run.stages, strict=True):
        np.maximum.at(last, stage.routes.query_of_item, done.finish_ns)
    assert np.array_equal(run.finish_ns, last)
    assert (run.finish_ns > inputs.arrival_ns).all()


@LAW
@given(cases())
def test_every_item_is_served_in_exactly_one_batch(case: Case) -> None:
    """An item dropped when a batch is cut to its limit, or taken by two replicas, would break it."""
    for stage, run in ran(case):
        assert run.start_ns.size == stage.items
        assert run.batch_size.sum() == stage.items
        assert np.array_equal(np.bincount(run.batch, minlength=run.batch_size.size), run.batch_size)
        assert np.array_equal(run.start_ns, run.batch_start_ns[run.batch])
        assert np.array_equal(run.finish_ns, run.batch_finish_ns[run.batch])


@LAW
@given(cases(per=("query",), choices=("draw", "class")))
def test_at_most_one_edge_of_a_choice_group_is_active(case: Case) -> None:
    """Siblings that draw independently, or overlapping intervals of one draw, would break it."""
    pipeline, routes = case.scenario.pipeline, case.workload.routes
    fan_out = {edge.name: edge_routes.fan_out for edge, edge_routes in zip(pipeline.edges, routes.edges, strict=True)}
    for group in pipeline.choice_groups().values():
        assert (sum((fan_out[edge.name] > 0).astype(int) for edge in group) <= 1).all()


# Time runs forwards, and limits are kept


@LAW
@given(cases())
def test_an_item_arrives_before_it_starts_and_finishes_at_least_1_ns_later(case: Case) -> None:
    """A batch that takes an item from the future, or noise that rounds a service to nothing, would break it."""
    for _, run in ran(case):
        assert (run.arrival_ns <= run.start_ns).all()
        assert (run.finish_ns - run.start_ns >= 1).all()


@STAGE_LAW
@given(cases(max_stages=1))
def test_no_batch_exceeds_the_limit(case: Case) -> None:
    """A replica that takes all that waits, or a window closed one item late, would break it."""
    for stage, run in ran(case):
        assert (run.batch_size >= 1).all()
        assert (run.batch_size <= stage.max_batch_size).all()


@STAGE_LAW
@given(cases(max_stages=1))
def test_a_replica_serves_one_batch_at_a_time(case: Case) -> None:
    """A replica made idle by its first item's departure, or one listed as idle twice, would break it."""
    for stage, run in ran(case):
        assert set(run.batch_replica.tolist()) <= set(range(stage.replicas))
        order = np.lexsort((run.batch_start_ns, run.batch_replica))
        for earlier, later in pairwise(order):
            if run.batch_replica[earlier] == run.batch_replica[later]:
                assert run.batch_finish_ns[earlier] <= run.batch_start_ns[later]


# Queues


@STAGE_LAW
@given(cases(max_stages=1, dispatches=("central",)))
def test_a_central_queue_is_first_come_first_served(case: Case) -> None:
    """Items of one instant queued in the order of events, or a batch put together across a gap, would break it."""
    for _, run in ran(case):
        order = queue_order(run)
        assert (np.diff(run.start_ns[order]) >= 0).all()
        assert np.count_nonzero(np.diff(run.batch[order])) == max(run.batch_size.size - 1, 0)


@STAGE_LAW
@given(cases(max_stages=1, dispatches=PER_REPLICA))
def test_the_queue_of_a_replica_is_first_come_first_served(case: Case) -> None:
    """An item that overtakes within its replica's queue would break it."""
    for stage, run in ran(case):
        order = queue_order(run)
        replica = run.batch_replica[run.batch[order]]
        for number in range(stage.replicas):
            assert (np.diff(run.batch[order][replica == number]) >= 0).all()


@STAGE_LAW
@given(cases(max_stages=1, dispatches=("central",), batchings=("greedy",)))
def test_no_replica_idles_while_an_item_waits(case: Case) -> None:
    """A dispatch that serves one replica an instant, or that an arrival does not wake, would break it."""
    for stage, run in ran(case):
        for now in np.unique(np.concatenate((run.arrival_ns, run.finish_ns))):
            waiting = np.count_nonzero((run.arrival_ns <= now) & (now < run.start_ns))
            busy = np.count_nonzero((run.batch_start_ns <= now) & (now < run.batch_finish_ns))
            assert not waiting or busy == stage.replicas


@STAGE_LAW
@given(cases(max_stages=1, dispatches=("central",)))
def test_the_replica_that_was_idle_longest_serves(case: Case) -> None:
    """The lowest or the latest idle replica taken instead, or ties left to chance, would break it."""
    for stage, run in ran(case):
        idle_since = [-1] * stage.replicas
        for batch in dict.fromkeys(run.batch[queue_order(run)].tolist()):
            idle = [number for number in range(stage.replicas) if idle_since[number] <= run.batch_start_ns[batch]]
            assert run.batch_replica[batch] == min(idle, key=lambda number: (idle_since[number], number))
            idle_since[run.batch_replica[batch]] = int(run.batch_finish_ns[batch])


@STAGE_LAW
@given(cases(max_stages=1, dispatches=("round_robin",)))
def test_round_robin_gives_the_kth_item_to_replica_k_modulo_the_count(case: Case) -> None:
    """A count of batches instead of items, or one that starts anew each instant, would break it."""
    for stage, run in ran(case):
        expected = np.arange(stage.items) % stage.replicas
        assert np.array_equal(run.batch_replica[run.batch[queue_order(run)]], expected)


# Batching


@STAGE_LAW
@given(cases(max_stages=1, batchings=("window",)))
def test_no_batch_starts_before_its_window_has_closed(case: Case) -> None:
    """A batch taken because a replica is idle, or an item let into a window that had ended, would break it."""
    for stage, run in ran(case):
        for batch, size in enumerate(run.batch_size):
            arrival = members(run, batch)
            end = arrival[0] + stage.max_queue_delay_ns
            assert arrival[-1] <= end
            assert run.batch_start_ns[batch] >= (arrival[-1] if size == stage.max_batch_size else end)


@STAGE_LAW
@given(cases(max_stages=1, batchings=("delayed",)))
def test_a_batch_that_is_not_full_starts_no_earlier_than_its_oldest_item_may_wait(case: Case) -> None:
    """A delay counted from the newest item, or a full batch's leftovers let go with it, would break it."""
    for stage, run in ran(case):
        for batch, size in enumerate(run.batch_size):
            if size < stage.max_batch_size:
                assert run.batch_start_ns[batch] >= members(run, batch)[0] + stage.max_queue_delay_ns


@STAGE_LAW
@given(cases(max_stages=1, dispatches=("central",), batchings=("delayed",)))
def test_no_replica_idles_while_a_batch_is_full_or_due(case: Case) -> None:
    """A timer lost when the queue's head changes, or a full batch that waits for its timer, would break it."""
    for stage, run in ran(case):
        due = run.arrival_ns + stage.max_queue_delay_ns
        for now in np.unique(np.concatenate((run.arrival_ns, run.finish_ns, due))):
            waits = (run.arrival_ns <= now) & (now < run.start_ns)
            busy = np.count_nonzero((run.batch_start_ns <= now) & (now < run.batch_finish_ns))
            ready = np.count_nonzero(waits) >= stage.max_batch_size or (waits & (due <= now)).any()
            assert not ready or busy == stage.replicas


# Between stages


def visit_ends(stage: StageInputs, run: StageRun) -> Integers:
    """Return when each query's visit ended; -1 where there is none."""
    ends = np.full(stage.routes.joined.size, -1, dtype=np.int64)
    np.maximum.at(ends, stage.routes.query_of_item, run.finish_ns)
    return ends


@LAW
@given(cases(per=("query",)))
def test_joined_items_arrive_at_the_last_delivery_of_the_active_edges(case: Case) -> None:
    """A join that waits for a branch not taken, or goes on with the first one, would break it."""
    inputs = case.inputs
    runs = run_of(inputs).stages
    for place, (stage, run) in enumerate(zip(inputs.stages, runs, strict=True)):
        edges = [edge for edge in inputs.edges if edge.downstream == place and edge.per == "query"]
        deliveries = [
            np.where(
                edge.fan_out > 0, visit_ends(inputs.stages[edge.upstream], runs[edge.upstream]) + edge.delay_ns, -1
            )
            for edge in edges
        ]
        if any(edge.downstream == place for edge in inputs.edges):
            expected = np.max([np.full(inputs.queries, -1), *deliveries], axis=0)
        else:
            expected = inputs.arrival_ns
        for query in np.flatnonzero(stage.routes.joined):
            first = stage.routes.offsets[query]
            assert (run.arrival_ns[first : first + stage.routes.joined[query]] == expected[query]).all()
        if edges:
            largest = np.max([edge.fan_out for edge in edges], axis=0)
            assert np.array_equal(stage.routes.joined, largest)


@LAW
@given(cases())
def test_children_of_an_item_arrive_at_its_own_finish_plus_delay(case: Case) -> None:
    """Children that wait for their parent's siblings or for its whole visit would break it."""
    inputs = case.inputs
    runs = run_of(inputs).stages
    for edge in inputs.edges:
        if edge.per == "item":
            upstream, downstream = runs[edge.upstream], runs[edge.downstream]
            for parent in np.flatnonzero(edge.fan_out):
                first = edge.first_child[parent]
                children = downstream.arrival_ns[first : first + edge.fan_out[parent]]
                assert children.size == edge.fan_out[parent]
                assert (children == upstream.finish_ns[parent] + edge.delay_ns).all()


# Luck


@LAW
@given(cases())
def test_the_same_seed_gives_the_same_run_and_the_same_frames(case: Case) -> None:
    """A generator shared between draws, or an order taken from a set, would break it."""
    one, other = case.result, case.result
    assert same(one.run, other.run)
    for name in ("queries", "visits", "items", "batches", "stages", "batch_sizes", "breakdown"):
        pd.testing.assert_frame_equal(getattr(one, name), getattr(other, name), check_exact=True)


def runs_by_stage(case: Case) -> dict[str, StageRun]:
    inputs = case.inputs
    return {stage.name: run for stage, run in zip(inputs.stages, run_of(inputs).stages, strict=True)}


def assert_equal_runs(one: StageRun, other: StageRun) -> None:
    for field in StageRun.__dataclass_fields__:
        assert np.array_equal(getattr(one, field), getattr(other, field)), field


@LAW
@given(cases())
def test_added_stages_leave_the_luck_of_the_others_as_it_was(case: Case) -> None:
    """Streams handed out in the order of creation, or keyed by a stage's place, would break it."""
    document = copy.deepcopy(case.document)
    document["pipeline"] = {
        "added": {"model": "added", "dispatch": "random"},
        "last": {"model": "added", "after": {"added": {"probability": 0.5, "fan_out": {"poisson": 1.0}}}},
        **document["pipeline"],
    }
    document["profiles"]["added"] = {"cpu": {1: "3ms"}}
    added = dict.fromkeys(("added", "last"), StagePlan(hardware="cpu", replicas=2))
    wider = replace(
        case,
        document=document,
        noise={"added": (0.5, "gamma"), **case.noise},
        plan=Plan(stages={**added, **case.plan.stages}),
    )
    after = runs_by_stage(wider)
    for name, run in runs_by_stage(case).items():
        assert_equal_runs(run, after[name])


@LAW
@given(cases())
def test_the_order_of_stages_in_the_file_does_not_matter(case: Case) -> None:
    """Draws or queues that follow the place of a stage instead of its name would break it."""
    stages = case.document["pipeline"]
    reordered = replace(case, document={**case.document, "pipeline": dict(reversed(stages.items()))})
    after = runs_by_stage(reordered)
    for name, run in runs_by_stage(case).items():
        assert_equal_runs(run, after[name])


@LAW
@given(cases(), st.data())
def test_another_replica_count_leaves_the_stages_that_are_not_downstream_as_they_were(
    case: Case, data: st.DataObject
) -> None:
    """Draws that depend on the plan, or a stage that pushes back on those before it, would break it."""
    workload = case.workload
    names = workload.routes.names
    changed = data.draw(st.sampled_from(names))
    replicas = data.draw(st.integers(1, 5))
    plans = (case.plan, case.plan.with_stage(changed, replicas=replicas))
    inputs = [workload.engine_inputs(plan) for plan in plans]
    for before, after in zip(inputs[0].stages, inputs[1].stages, strict=True):
        for luck in ("noise", "size", "dispatch_draws"):
            assert np.array_equal(getattr(before, luck), getattr(after, luck)), luck
    one, other = (run_of(each) for each in inputs)
    affected = {names.index(changed)}
    for place in range(len(names)):
        if any(edge.downstream == place and edge.upstream in affected for edge in workload.routes.edges):
            affected.add(place)
    for place in set(range(len(names))) - affected:
        assert_equal_runs(one.stages[place], other.stages[place])


@LAW
@given(cases(), st.data())
def test_queries_that_have_not_arrived_change_nothing(case: Case, data: st.DataObject) -> None:
    """A batch that knows what comes, or draws that depend on the length of the trace, would break it."""
    kept = data.draw(st.integers(0, max(len(case.trace) - 1, 0)))
    assume(kept < len(case.trace))
    cut = case.trace.times_ns[kept]
    shorter = replace(case, trace=case.trace.selected(np.arange(len(case.trace)) < kept))
    whole, part = runs_by_stage(case), runs_by_stage(shorter)
    for name, run in part.items():
        for field in ("batch_start_ns", "batch_finish_ns", "batch_replica", "batch_size"):
            before, after = getattr(run, field), getattr(whole[name], field)
            assert np.array_equal(before[run.batch_start_ns < cut], after[whole[name].batch_start_ns < cut])


# Time as a whole


@LAW
@given(cases())
def test_the_mean_number_in_system_is_the_arrival_rate_times_the_mean_latency(case: Case) -> None:
    """Little's law, exactly: a frame or latency that loses a nanosecond, a visit or an item would break it."""
    result = case.result
    times, leave = case.trace.times_ns, case.trace.times_ns.copy()
    for name, routes, run in zip(
        result.workload.routes.names, result.workload.routes.stages, result.run.stages, strict=True
    ):
        np.maximum.at(leave, routes.query_of_item, run.finish_ns)
        queue = result.queue_length(name)
        at = np.rint(queue["time_s"].to_numpy() * NS_PER_S).astype(np.int64)
        waiting, in_service = queue["waiting"].to_numpy(), queue["in_service"].to_numpy()
        gaps = np.diff(at)
        assert (waiting >= 0).all()
        assert (in_service >= 0).all()
        assert waiting[-1:].sum() == in_service[-1:].sum() == 0
        assert (waiting[:-1] * gaps).sum() == (run.start_ns - run.arrival_ns).sum()
        assert (in_service[:-1] * gaps).sum() == (run.batch_size * (run.batch_finish_ns - run.batch_start_ns)).sum()
    ones = np.ones(times.size, dtype=np.int64)
    assert area(np.concatenate((times, leave)), np.concatenate((ones, -ones))) == result.latency_ns.sum()


@LAW
@given(cases())
def test_the_breakdown_and_the_network_delays_add_up_to_the_latency(case: Case) -> None:
    """A critical path through the wrong branch of a join, or one that stops early, would break it."""
    result = case.result
    routes = result.workload.routes
    delay = {(routes.names[edge.upstream], routes.names[edge.downstream]): edge.delay_ns for edge in routes.edges}
    total = np.zeros(len(case.trace), dtype=np.int64)
    path: dict[int, str] = {}
    for row in result.breakdown.itertuples():
        if row.query in path:
            total[row.query] += delay[path[row.query], row.stage]
        path[row.query] = row.stage
        total[row.query] += row.queue_delay_ns + row.service_time_ns
    assert np.array_equal(total, result.latency_ns)


@LAW
@given(cases(sizes=("none",), noises=("none",)), st.integers(2, 7))
def test_time_that_runs_slower_by_a_whole_factor_stretches_every_timestamp_by_it(case: Case, factor: int) -> None:
    """A constant of time hidden in the engine, a float clock, or ties broken by chance would break it."""
    inputs = case.inputs
    arrival_ns = inputs.arrival_ns * factor
    routes = replace(
        inputs.routes, edges=tuple(replace(edge, delay_ns=edge.delay_ns * factor) for edge in inputs.edges)
    )
    slower = EngineInputs(
        arrival_ns,
        routes,
        Deliveries.of(arrival_ns, routes),
        tuple(
            replace(
                stage,
                table_ns=stage.table_ns * factor,
                overhead_ns=stage.overhead_ns * factor,
                max_queue_delay_ns=stage.max_queue_delay_ns * factor,
            )
            for stage in inputs.stages
        ),
    )
    one, other = run_of(inputs), run_of(slower)
    assert np.array_equal(one.finish_ns * factor, other.finish_ns)
    for run, stretched in zip(one.stages, other.stages, strict=True):
        for field in StageRun.__dataclass_fields__:
            times = factor if field.endswith("_ns") else 1
            assert np.array_equal(getattr(run, field) * times, getattr(stretched, field))


@LAW
@given(cases(max_stages=1), st.integers(1, 9))
def test_compressed_time_keeps_queries_in_order_and_bursts_together(case: Case, factor: int) -> None:
    """A compression that drops, reorders or parts queries, or loses what they carry, would break it."""
    trace = case.trace
    compressed = compress_time(trace, factor)
    assert len(compressed) == len(trace)
    assert (np.diff(compressed.times_ns) >= 0).all()
    assert (np.diff(compressed.times_ns)[np.diff(trace.times_ns) == 0] == 0).all()
    assert (np.abs(compressed.times_ns * factor - trace.times_ns) <= factor // 2).all()
    for name, values in trace.attributes.items():
        assert np.array_equal(compressed.attributes[name], values)
