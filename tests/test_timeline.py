"""Timelines in the Trace Event Format: what every replica did, and how many items were at every stage."""

import gzip
import itertools
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from build import MS, make_plan, make_scenario, make_trace
from pipesim.engine import SimulationResult, Workload, simulate
from pipesim.errors import InvalidInputError
from pipesim.export import timeline
from pipesim.model import write_plan

PIPELINE: dict[str, Any] = {"a": {}, "b": {"after": {"a": {"probability": 0.6, "fan_out": 2}}}, "c": {"after": ["b"]}}


@pytest.fixture(scope="module")
def result() -> SimulationResult:
    scenario = make_scenario(
        PIPELINE,
        {"a": {1: 7.000001, 4: 9.5}, "b": {1: 11, 4: 13.123457}, "c": {1: 3, 4: 3.5}},
        traffic={"gamma": {"rate_qps": 250, "scv": 4, "queries": 600}},
    )
    return simulate(scenario, make_plan(scenario, 2, 4, b={"replicas": 3}))


def read(result: SimulationResult, **window: float) -> dict[str, Any]:
    document = json.loads("".join(timeline(result, **window)), parse_float=Decimal)
    assert isinstance(document, dict)
    return document


def ns(microseconds: Any) -> int:
    exact = Decimal(microseconds) * 1000
    assert exact == int(exact)
    return int(exact)


def chosen(document: dict[str, Any], kind: str, **fields: Any) -> list[dict[str, Any]]:
    return [
        event
        for event in document["traceEvents"]
        if event["ph"] == kind and all(event[name] == value for name, value in fields.items())
    ]


def test_hand_example_of_a_timeline() -> None:
    scenario = make_scenario({"a": {}}, {"a": {1: 10, 2: 12}})
    result = simulate(Workload.of(scenario, make_trace([0, 1.0005, 2])), make_plan(scenario, 1, 2))
    events = read(result)["traceEvents"]
    assert [event for event in events if event["ph"] == "X"] == [
        {"ph": "X", "pid": 1, "tid": 2, "ts": 0, "dur": 10_000, "cat": "batch", "name": "batch of 1",
         "args": {"batch": 0, "size": 1, "first_query": 0, "longest_wait_us": 0}},
        {"ph": "X", "pid": 1, "tid": 2, "ts": 10_000, "dur": 12_000, "cat": "batch", "name": "batch of 2",
         "args": {"batch": 1, "size": 2, "first_query": 1, "longest_wait_us": Decimal("8999.5")}},
    ]  # fmt: skip
    waiting = [(event["ts"], event["args"]["items"]) for event in events if event["name"] == "waiting"]
    assert waiting == [(0, 0), (Decimal("1000.5"), 1), (2000, 2), (10_000, 0)]
    serving = [(event["ts"], event["args"]["items"]) for event in events if event["name"] == "in service"]
    assert serving == [(0, 1), (10_000, 2), (22_000, 0)]


def test_stages_are_processes_and_replicas_their_threads(result: SimulationResult) -> None:
    document = read(result)
    names = chosen(document, "M", name="process_name")
    assert [event["pid"] for event in names] == [1, 2, 3]
    assert [event["args"]["name"].split(":")[0] for event in names] == ["a", "b", "c"]
    threads = chosen(document, "M", name="thread_name")
    assert [(event["pid"], event["args"]["name"]) for event in threads] == [
        (1, "a 0"), (1, "a 1"), (2, "b 0"), (2, "b 1"), (2, "b 2"), (3, "c 0"), (3, "c 1"),
    ]  # fmt: skip
    assert len({event["tid"] for event in threads}) == 7
    owners = {event["tid"]: event["pid"] for event in threads}
    assert all(owners[event["tid"]] == event["pid"] for event in chosen(document, "X"))


def test_slices_are_the_batches_to_the_nanosecond_and_do_not_overlap_on_a_replica(result: SimulationResult) -> None:
    document = read(result)
    for process, run in enumerate(result.run.stages, 1):
        slices = chosen(document, "X", pid=process)
        assert [ns(event["ts"]) for event in slices] == run.batch_start_ns.tolist()
        assert [ns(event["ts"]) + ns(event["dur"]) for event in slices] == run.batch_finish_ns.tolist()
        first = min(event["tid"] for event in chosen(document, "M", pid=process, name="thread_name"))
        assert [event["tid"] - first for event in slices] == run.batch_replica.tolist()
        free: dict[int, int] = {}
        for event in slices:
            assert ns(event["ts"]) >= free.get(event["tid"], 0)
            free[event["tid"]] = ns(event["ts"]) + ns(event["dur"])


def test_the_arguments_of_a_slice_are_those_of_its_items(result: SimulationResult) -> None:
    document = read(result)
    for process, run in enumerate(result.run.stages, 1):
        queries = result.workload.routes.stages[process - 1].query_of_item.tolist()
        for event in chosen(document, "X", pid=process):
            told = event["args"]
            items = [item for item, batch in enumerate(run.batch.tolist()) if batch == told["batch"]]
            assert told["size"] == len(items) == int(event["name"].removeprefix("batch of "))
            assert told["first_query"] == min(queries[item] for item in items)
            assert ns(told["longest_wait_us"]) == max(run.start_ns[item] - run.arrival_ns[item] for item in items)


@pytest.mark.parametrize("window", [(0, None), (0.3, 0.9), (1.0, 1.001)])
def test_counters_are_the_items_at_the_stage_by_counting(
    result: SimulationResult, window: tuple[float, float | None]
) -> None:
    from_s, to_s = window
    document = read(result, from_s=from_s, **({} if to_s is None else {"to_s": to_s}))
    for process, run in enumerate(result.run.stages, 1):
        for name, up, down in (("waiting", run.arrival_ns, run.start_ns), ("in service", run.start_ns, run.finish_ns)):
            events = chosen(document, "C", pid=process, name=name)
            assert ns(events[0]["ts"]) == round(from_s * 1e9)
            values = [event["args"]["items"] for event in events]
            assert all(one != other for one, other in itertools.pairwise(values))
            changes = {int(time) for time in (*up, *down) if time >= from_s * 1e9 and (not to_s or time < to_s * 1e9)}
            level = {ns(event["ts"]): event["args"]["items"] for event in events}
            assert set(level) <= changes | {round(from_s * 1e9)}
            held = values[0]
            for time in sorted(changes | set(level)):
                held = level.get(time, held)
                assert held == int((up <= time).sum()) - int((down <= time).sum())


def test_a_window_holds_every_batch_that_is_served_in_it_whole(result: SimulationResult) -> None:
    document = read(result, from_s=0.5, to_s=0.8)
    for process, run in enumerate(result.run.stages, 1):
        expected = [
            batch
            for batch, (start, finish) in enumerate(zip(run.batch_start_ns, run.batch_finish_ns, strict=True))
            if start < 800 * MS and finish > 500 * MS
        ]
        slices = chosen(document, "X", pid=process)
        assert 0 < len(slices) < run.batch_size.size
        assert [event["args"]["batch"] for event in slices] == expected
        assert [ns(event["dur"]) for event in slices] == [
            run.batch_finish_ns[batch] - run.batch_start_ns[batch] for batch in expected
        ]


def test_a_timeline_of_no_queries_is_empty_and_valid() -> None:
    scenario = make_scenario({"a": {}})
    document = read(simulate(Workload.of(scenario, make_trace([])), make_plan(scenario)))
    assert chosen(document, "X") == []
    assert [event["args"]["items"] for event in chosen(document, "C")] == [0, 0]


@pytest.mark.parametrize(
    ("window", "words"),
    [
        ({"from_s": -1.0}, "from_s: -1.0 is not allowed; use a time from 0"),
        ({"from_s": float("nan")}, "from_s: nan is not allowed; use a time from 0"),
        ({"to_s": float("inf")}, "to_s: inf is not allowed; use a time from 0"),
        ({"from_s": 1.0, "to_s": 1.0}, "to_s: 1.0 is not after the start of the window; give a later time"),
        ({"from_s": 1e4}, "from_s: 10000.0 is after all is over; the last batch ends after"),
    ],
)
def test_windows_that_hold_nothing_are_refused(result: SimulationResult, window: dict[str, float], words: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        timeline(result, **window)
    assert str(caught.value).startswith(words)


def test_more_events_than_a_browser_can_open_are_refused_at_once(
    result: SimulationResult, monkeypatch: pytest.MonkeyPatch
) -> None:
    events = len([event for event in read(result)["traceEvents"] if event["ph"] != "M"]) + 2 * 7
    monkeypatch.setattr("pipesim.export.trace_events.MAX_EVENTS", events)
    timeline(result)
    monkeypatch.setattr("pipesim.export.trace_events.MAX_EVENTS", events - 1)
    with pytest.raises(InvalidInputError, match=rf"holds {events:,} events, more than the {events - 1:,} that"):
        timeline(result)
    timeline(result, from_s=0.5, to_s=0.8)


def test_the_command_writes_the_same_bytes_plain_and_compressed(pipesim: Any, folder: Path) -> None:
    pipesim("init", "starter.yaml")
    scenario = folder / "starter.yaml"
    scenario.write_text(scenario.read_text().replace("duration: 60s", "duration: 5s"))
    assert pipesim("plan", scenario, "--plan-out", "plan.yaml").code == 0
    arguments = ("export", "timeline", scenario, "--plan", "plan.yaml", "--from", "1s", "--to", "2s", "--out")
    for name in ("t.json", "t.json.gz", "again.json.gz"):
        answer = pipesim(*arguments, name)
        assert (answer.code, answer.err) == (0, "")
        assert name in answer.out
    assert gzip.decompress(Path("t.json.gz").read_bytes()) == Path("t.json").read_bytes()
    assert Path("t.json.gz").read_bytes() == Path("again.json.gz").read_bytes()
    document = json.loads(Path("t.json").read_text())
    assert document["otherData"]["inputs"].keys() >= {"starter.yaml"}
    assert all(1e6 <= event["ts"] < 2e6 for event in document["traceEvents"] if event["ph"] == "C")
    assert str(folder) not in Path("t.json").read_text()
    refused = pipesim("export", "timeline", scenario, "--plan", "plan.yaml", "--out", "u.json", "--from", "1h")
    assert refused.code == 2
    assert "--from: 3600.0 is after all is over" in refused.err
    assert not Path("u.json").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--out", "t.txt"], "--out: 't.txt' has an ending that is not known; use .json or .json.gz"),
        (["--out", "t.json", "--from", "5"], "--from: '5' is not a duration"),
        (["--out", "plan.json"], "--out: 'plan.json' is the file of --plan too"),
    ],
)
def test_bad_options_are_refused(pipesim: Any, folder: Path, arguments: list[str], words: str) -> None:
    scenario = make_scenario({"a": {}})
    write_plan(make_plan(scenario), folder / "plan.json")
    pipesim("init", "starter.yaml")
    answer = pipesim("export", "timeline", "starter.yaml", "--plan", "plan.json", *arguments)
    assert answer.code == 2
    assert words in answer.err
    assert not Path("t.json").exists()
