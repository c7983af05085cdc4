"""Sweeps: the same rows from any executor, kept in a folder, and nothing lost when a worker dies."""

import hashlib
import json
import multiprocessing
import os
import signal
import struct
import threading
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import pipesim as ps
from bad_input.answers import Run
from build import make_plan, make_scenario
from pipesim.model import Plan, Scenario
from pipesim.whatif import Progress
from pipesim.whatif.evaluation import deliver
from pipesim.whatif.store import parquet

VARY = {"load": [1, 1.5, 2], "plan.rank.replicas": [1, 2, 3], "slo.p99": ["50ms", "1s"]}
ROWS = 18


def chain(**fields: Any) -> Scenario:
    gamma = {"gamma": {"rate_qps": 50, "scv": 4, "duration": "20s"}}
    return make_scenario(
        {"detect": {}, "rank": {"after": ["detect"]}}, **{"traffic": gamma, "slo": {"p99": "1s"}, **fields}
    )


@pytest.fixture(scope="module")
def plan() -> Plan:
    return make_plan(chain(), 2, max_batch_size=4)


@pytest.fixture(scope="module")
def expected(plan: Plan) -> pd.DataFrame:
    """Return the rows one by one, without a sweep."""
    rows = []
    for load in VARY["load"]:
        for replicas in VARY["plan.rank.replicas"]:
            for bound in VARY["slo.p99"]:
                chosen = plan.with_stage("rank", replicas=replicas)
                result = ps.simulate(chain().with_({"load": load, "slo.p99": bound}), chosen)
                p99_s = result.latency_quantile_ns(Decimal("0.99")) / 1e9
                rows.append(
                    [float(load), replicas, bound, "met" if result.met else "missed", p99_s, result.slos[0].misses]
                )
    frame = pd.DataFrame(rows, columns=[*VARY, "status", "p99_latency_s", "misses"])
    frame = frame.astype({"misses": "Int64", "slo.p99": "object", "status": "object"})
    frame.attrs["inputs"] = []
    return frame


METRICS = ["p99_latency_s", "misses"]


def sweep(plan: Plan, **options: Any) -> pd.DataFrame:
    return ps.what_if(chain(), VARY, **{"plan": plan, "metrics": METRICS, **options})


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


class Backwards(Executor):
    """Runs what is submitted when somebody waits for it, the last first: as an executor may."""

    def __init__(self) -> None:
        self._tasks: list[tuple[Future[Any], Any]] = []
        self._some = threading.Semaphore(0)
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def submit(self, function: Any, /, *arguments: Any, **named: Any) -> Future[Any]:
        future: Future[Any] = Future()
        self._tasks.append((future, lambda: function(*arguments, **named)))
        self._some.release()
        return future

    def _work(self) -> None:
        while self._some.acquire():
            future, task = self._tasks.pop()
            if future.set_running_or_notify_cancel():
                try:
                    future.set_result(task())
                except Exception as error:
                    future.set_exception(error)


# The same from any executor


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_threads_give_the_rows_of_single_simulations(plan: Plan, expected: pd.DataFrame, workers: int) -> None:
    pd.testing.assert_frame_equal(sweep(plan, workers=workers), expected)


def test_any_executor_gives_the_same_bytes_and_the_same_files(
    plan: Plan, expected: pd.DataFrame, tmp_path: Path
) -> None:
    with ThreadPoolExecutor(3) as threads:
        one = sweep(plan, executor=threads, out=tmp_path / "one")
    other = sweep(plan, executor=Backwards(), out=tmp_path / "other")
    assert parquet(one) == parquet(other) == parquet(expected)
    assert contents(tmp_path / "one") == contents(tmp_path / "other")


@pytest.mark.slow
def test_processes_give_the_same_bytes_and_are_sent_what_rows_share_about_once(
    plan: Plan, expected: pd.DataFrame, tmp_path: Path
) -> None:
    class Counting(ProcessPoolExecutor):
        delivered = 0

        def submit(self, function: Any, /, *arguments: Any, **named: Any) -> Future[Any]:
            self.delivered += function is deliver
            return super().submit(function, *arguments, **named)

    with Counting(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        found = sweep(plan, executor=pool, out=tmp_path / "processes")
    assert parquet(found) == parquet(expected)
    assert 1 <= pool.delivered < len(expected)  # rows sent before the first delivery arrived may ask for it too
    sweep(plan, out=tmp_path / "threads")
    assert contents(tmp_path / "processes") == contents(tmp_path / "threads")


def test_a_cluster_gives_the_same_bytes(plan: Plan, expected: pd.DataFrame) -> None:
    distributed = pytest.importorskip("distributed")
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=False, dashboard_address=None, protocol="inproc"
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        found = sweep(plan, executor=client.get_executor())
    assert parquet(found) == parquet(expected)


@pytest.mark.slow
def test_arrivals_of_a_file_are_sent_to_processes_that_do_not_have_it(plan: Plan, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("time\n" + "".join(f"{0.01 * number:.2f}\n" for number in range(500)))
    data = chain().to_dict() | {"traffic": {"file": "t.csv", "format": "csv", "column": "time", "unit": "s"}}
    from pipesim.model import scenario_from_dict

    scenario = scenario_from_dict(data, tmp_path)

    class Elsewhere(ProcessPoolExecutor):
        """Processes that begin when the file is gone."""

        def submit(self, function: Any, /, *arguments: Any, **named: Any) -> Future[Any]:
            if function is deliver:
                (tmp_path / "t.csv").unlink(missing_ok=True)
            return super().submit(function, *arguments, **named)

    asked = {"load": [1, 2]}
    here = ps.what_if(scenario, asked, plan=plan, metrics=METRICS)
    with Elsewhere(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        there = ps.what_if(scenario, asked, plan=plan, metrics=METRICS, executor=pool)
    assert not (tmp_path / "t.csv").exists()
    assert parquet(here) == parquet(there)


def test_rows_stream_in_as_they_are_finished(plan: Plan, expected: pd.DataFrame) -> None:
    seen: list[Progress] = []
    sweep(plan, progress=seen.append)
    assert [one.total for one in seen] == [ROWS] * len(seen)
    assert [one.done for one in seen] == list(pd.Series([len(one.rows) for one in seen]).cumsum())
    pd.testing.assert_frame_equal(pd.concat([one.rows for one in seen]).sort_index(), expected)


# Workers that die


@pytest.mark.slow
@pytest.mark.parametrize("executor", ["ours", "given"])
def test_rows_of_processes_that_die_are_run_again(plan: Plan, tmp_path: Path, executor: str) -> None:
    asked = {"seed": range(20), "load": [1, 2]}
    whole = ps.what_if(chain(), asked, plan=plan, metrics=METRICS)
    killed: list[int] = []

    def kill(progress: Progress) -> None:
        if not killed:
            killed.extend(progress.rows.index)
            for process in multiprocessing.active_children():
                process.kill()

    context = multiprocessing.get_context("forkserver")
    with ProcessPoolExecutor(2, mp_context=context) as pool:
        found = ps.what_if(
            chain(),
            asked,
            plan=plan,
            metrics=METRICS,
            executor="processes" if executor == "ours" else pool,
            workers=2,
            out=tmp_path / "out",
            progress=kill,
        )
    assert 0 < len(killed) < 40
    assert parquet(found) == parquet(whole)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")
def test_rows_of_a_process_of_a_cluster_that_dies_are_run_again(plan: Plan, tmp_path: Path) -> None:
    distributed = pytest.importorskip("distributed")
    asked = {"seed": range(20), "load": [1, 2]}
    whole = ps.what_if(chain(), asked, plan=plan, metrics=METRICS, out=tmp_path / "threads")
    killed: list[int] = []
    with (
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster,
        distributed.Client(cluster) as client,
    ):

        def kill(progress: Progress) -> None:
            if not killed:
                killed.append(progress.done)
                os.kill(next(iter(cluster.workers.values())).pid, signal.SIGKILL)

        options: dict[str, Any] = {"executor": client.get_executor(), "out": tmp_path / "cluster", "progress": kill}
        found = ps.what_if(chain(), asked, plan=plan, metrics=METRICS, **options)
    assert 0 < killed[0] < len(whole)
    assert parquet(found) == parquet(whole)
    assert contents(tmp_path / "cluster") == contents(tmp_path / "threads")


def test_an_executor_that_gives_up_is_an_error_that_says_how_to_go_on(plan: Plan) -> None:
    class Leaving(Executor):
        def submit(self, *_: Any, **__: Any) -> Future[Any]:
            future: Future[Any] = Future()
            future.cancel()
            future.set_running_or_notify_cancel()
            return future

    with pytest.raises(ps.PipesimError, match=r"the executor gave up with 2 of 2 parts left; .* ask again, with out"):
        sweep(plan, executor=Leaving())


@pytest.mark.slow
def test_a_sweep_whose_workers_die_again_and_again_ends_and_keeps_what_is_finished(plan: Plan, tmp_path: Path) -> None:
    over = threading.Event()

    def reaper() -> None:
        while not over.wait(0.02):
            for process in multiprocessing.active_children():
                process.kill()

    first = ps.what_if(chain(), {"load": [1]}, plan=plan)
    thread = threading.Thread(target=reaper)
    thread.start()
    try:
        with pytest.raises(ps.PipesimError, match="the workers died 3 times in a row with these rows left: 0, 1"):
            ps.what_if(chain(), {"load": [1, 2]}, plan=plan, executor="processes", workers=1, out=tmp_path / "out")
    finally:
        over.set()
        thread.join()
    found = ps.what_if(chain(), {"load": [1, 2]}, plan=plan, out=tmp_path / "out")
    assert found["p99_latency_s"][0] == first["p99_latency_s"][0]


# A folder that a sweep goes on from


class EnoughError(Exception):
    """The sweep is stopped."""


def test_a_sweep_goes_on_from_its_folder_and_finished_rows_are_not_run_again(
    plan: Plan, expected: pd.DataFrame, tmp_path: Path
) -> None:
    asked = {"seed": [1, 2, 3], **VARY}

    def stop(_: Progress) -> None:
        raise EnoughError

    def go(**options: Any) -> pd.DataFrame:
        return ps.what_if(chain(), asked, plan=plan, metrics=METRICS, out=tmp_path / "out", **options)

    with pytest.raises(EnoughError):
        go(progress=stop, workers=1)
    before = contents(tmp_path / "out")
    assert len(before) == 2
    seen: list[Progress] = []
    found = go(progress=seen.append)
    assert parquet(found) == parquet(ps.what_if(chain(), asked, plan=plan, metrics=METRICS))
    after = contents(tmp_path / "out")
    assert before.items() <= after.items()
    ran: list[object] = []

    class NoMore(ThreadPoolExecutor):
        def submit(self, *arguments: Any, **named: Any) -> Any:
            ran.append(arguments)
            return super().submit(*arguments, **named)

    with NoMore(1) as pool:
        assert parquet(go(executor=pool)) == parquet(found)
    assert not ran
    whole = pd.read_parquet(tmp_path / "out").sort_values("row")
    assert whole["p99_latency_s"].tolist() == found["p99_latency_s"].tolist()
    assert whole["load"].tolist() == found["load"].tolist()


@pytest.mark.parametrize(
    ("vary", "options"),
    [
        ({"load": [1, 3]}, {}),
        ({"load": [1]}, {}),
        ({"load": [2, 1]}, {}),
        ({"load": [1, 2]}, {"metrics": ["p95"]}),
        ({"load": [1, 2]}, {"seeds": [1]}),
    ],
)
def test_a_folder_of_another_sweep_is_refused(plan: Plan, tmp_path: Path, vary: Any, options: dict[str, Any]) -> None:
    ps.what_if(chain(), {"load": [1, 2]}, plan=plan, metrics=METRICS, out=tmp_path / "out")
    before = contents(tmp_path / "out")
    with pytest.raises(ps.InvalidInputError, match="holds another sweep"):
        ps.what_if(chain(), vary, **{"plan": plan, "metrics": METRICS, "out": tmp_path / "out", **options})
    slower = chain().with_({"profiles.rank.cpu.8": "11ms"})
    with pytest.raises(ps.InvalidInputError, match="holds another sweep"):
        ps.what_if(slower, {"load": [1, 2]}, plan=plan, metrics=METRICS, out=tmp_path / "out")
    assert contents(tmp_path / "out") == before


def test_a_folder_that_is_not_a_sweep_is_refused(plan: Plan, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ps.InvalidInputError, match="holds other files"):
        sweep(plan, out=tmp_path)
    with pytest.raises(ps.InvalidInputError, match="is a file; name a folder"):
        sweep(plan, out=tmp_path / "notes.txt")
    with pytest.raises(ps.InvalidInputError, match="cannot be made"):
        sweep(plan, out=tmp_path / "no" / "where")
    for mark in ("{", "[]", '{"schema_version": 2, "sweep": "x"}', '{"schema_version": 1, "sweep": 5}', "\x00"):
        (tmp_path / "marked").mkdir(exist_ok=True)
        (tmp_path / "marked" / "_sweep.json").write_text(mark)
        with pytest.raises(ps.InvalidInputError, match="does not say which sweep it holds"):
            sweep(plan, out=tmp_path / "marked")
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_a_number_of_a_file_of_a_folder_that_was_changed_is_not_believed(plan: Plan, tmp_path: Path) -> None:
    asked: dict[str, Any] = {"plan": plan, "metrics": ["p99"], "out": tmp_path / "out"}
    value = ps.what_if(chain(), {"load": 1}, **asked)["p99_latency_s"][0]
    (path,) = (tmp_path / "out").glob("rows-*.parquet")
    content = path.read_bytes()
    before, after = struct.pack("<d", value), struct.pack("<d", value * 2)
    assert before in content
    path.write_bytes(content.replace(before, after))
    with pytest.raises(ps.FileFormatError, match="is not a whole file of this sweep"):
        ps.what_if(chain(), {"load": 1}, **asked)


@pytest.mark.parametrize("damage", [b"", b"PAR1", "half"])
def test_a_damaged_file_of_a_folder_is_named(plan: Plan, tmp_path: Path, damage: Any) -> None:
    found = sweep(plan, out=tmp_path / "out")
    path = next((tmp_path / "out").glob("rows-*.parquet"))
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2] if damage == "half" else damage)
    with pytest.raises(ps.FileFormatError, match=f"^{path.name}: is not a whole file of this sweep; delete it"):
        sweep(plan, out=tmp_path / "out")
    path.unlink()
    assert parquet(sweep(plan, out=tmp_path / "out")) == parquet(found)


def test_planned_rows_and_missing_values_come_back_from_the_folder_as_they_were(tmp_path: Path) -> None:
    scenario = chain(search={"max_replicas": 3})
    asked = {"slo.p99": ["200ms", "9ms"], "search.max_cost_usd_per_hour": [None, 5]}
    one = ps.what_if(scenario, asked, out=tmp_path / "out")
    assert set(one["status"]) == {"optimal", "infeasible"}
    other = ps.what_if(scenario, asked, out=tmp_path / "out")
    pd.testing.assert_frame_equal(one, other)
    assert parquet(one) == parquet(other) == parquet(ps.what_if(scenario, asked))


# The command line

SCENARIO = """
name: one
slo: {p99: 25ms}
traffic: {poisson: {rate_qps: 20, duration: 1min}}
pipeline: {a: {model: m}}
profiles: {m: {cpu: {1: 10ms}}}
prices: {units: {cpu: {kind: cpu, unit: core, price_usd_per_hour: 1}}}
"""
PLAN = "stages: {a: {hardware: cpu, replicas: 2}}\n"


@pytest.fixture
def files(folder: Path) -> Path:
    (folder / "s.yaml").write_text(SCENARIO)
    (folder / "p.yaml").write_text(PLAN)
    return folder


def test_the_command_line_says_what_the_library_says(run: Run, files: Path) -> None:
    asked = ("whatif", "s.yaml", "--vary", "load=1,8", "--vary", "slo.p99=20ms,25ms")
    answer = run(*asked, "--plan", "p.yaml", "--metrics", "p99,met,replicas", "--json")
    assert answer.code == 0
    report = json.loads(answer.out)
    frame = ps.what_if(
        ps.load("s.yaml"),
        {"load": [1, 8], "slo.p99": ["20ms", "25ms"]},
        plan=ps.read_plan(Path("p.yaml")),
        metrics=["p99", "met", "replicas"],
    )
    assert report["rows"] == frame.astype(object).to_dict("records")
    assert report["plan"] == ps.read_plan("p.yaml").model_dump()
    assert (report["kind"], report["scenario"], report["seed"]) == ("whatif", "one", 0)
    assert [file["name"] for file in report["inputs"]] == ["s.yaml"]


def test_a_report_has_money_as_text_and_the_hash_of_every_file_that_a_row_was_made_from(run: Run, files: Path) -> None:
    for name in ("t", "u"):
        (files / f"{name}.csv").write_text("time\n" + "".join(f"{number}\n" for number in range(100)))
    (files / "m.csv").write_text("model,hardware,batch_size,latency_ms\nm,cpu,1,7\n")
    traffic = "[{file: t.csv, format: csv, column: time, unit: s}, {file: u.csv, format: csv, column: time, unit: s}]"
    vary = ("--vary", f"traffic={traffic[1:-1]}", "--vary", "profiles=m.csv")
    answer = run("whatif", "s.yaml", *vary, "--json")
    assert answer.code == 0
    report = json.loads(answer.out)
    hashes = {
        name: hashlib.sha256((files / name).read_bytes()).hexdigest() for name in ("s.yaml", "m.csv", "t.csv", "u.csv")
    }
    assert {file["name"]: file["sha256"] for file in report["inputs"]} == hashes
    assert len(report["inputs"]) == 4
    assert report["plan"] is None
    assert [row["cost_usd_per_hour"] for row in report["rows"]] == ["1.0", "1.0"]
    assert report["rows"][0]["bound_usd_per_hour"] == "1.0"


@pytest.mark.parametrize("seeds", [(), ("--seeds", "1,2")])
@pytest.mark.parametrize("plan", [(), ("--plan", "p.yaml")])
def test_a_table_fits_100_columns(run: Run, files: Path, plan: tuple[str, ...], seeds: tuple[str, ...]) -> None:
    more = "pipeline: {a: {model: m}, b: {model: m, after: [a]}, c: {model: m, after: [b]}, d: {model: m, after: [c]}}"
    (files / "s.yaml").write_text(SCENARIO.replace("pipeline: {a: {model: m}}", more).replace("25ms", "250ms"))
    (files / "p.yaml").write_text(
        "stages: {" + ", ".join(f"{name}: {{hardware: cpu, replicas: 2}}" for name in "abcd") + "}"
    )
    vary = ("--vary", "slo.p99=0.25,0.3", "--vary", "prices.units.cpu.price_usd_per_hour=1,2")
    answer = run("whatif", "s.yaml", *vary, *plan, *seeds)
    assert answer.code == 0
    lines = answer.out.splitlines()
    assert max(map(len, lines)) <= 100
    assert sum("250ms" in line or "0.25" in line for line in lines) >= 2
    words = ["$/h", "p50", "p95", "p99", "miss rate", "a", "b", "c", "d"] + ([] if plan else ["gap", "bound $/h"])
    heads = " ".join(lines)
    assert all(f" {word} " in heads for word in words)


def test_the_command_line_prints_a_table_and_keeps_a_folder(run: Run, files: Path) -> None:
    asked = ("whatif", "s.yaml", "--vary", "load=1,200", "--vary", "search.max_replicas=[4]", "--zip")
    answer = run("whatif", "s.yaml", "--vary", "load=1,9", "--vary", "slo.p99=25ms,9ms", "--out", "sweep.parquet")
    assert answer.code == 0
    assert "one: 2 of 4 variants meet their objectives" in answer.out
    assert "infeasible" in answer.out
    assert len(pd.read_parquet(files / "sweep.parquet")) == 4
    refused = run(*asked)
    assert refused.code == 2
    assert "zipped: {'load': 2, 'search.max_replicas': 1} is how many values there are" in refused.err


def test_the_command_line_exits_with_3_where_no_variant_meets_its_objectives(run: Run, files: Path) -> None:
    answer = run("whatif", "s.yaml", "--vary", "load=90,99", "--plan", "p.yaml", "--seeds", "1,2")
    assert answer.code == 3
    assert "one: no variant meets its objectives" in answer.out
    assert " ± " in answer.out
    assert "half the width of their 95 % confidence interval" in answer.out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--vary", "load"), "--vary: 'load' is not a path with values; write for example load=1,1.5,2"),
        (("--vary", "load=1", "--vary", "load=2"), "--vary: 'load' is given twice"),
        (("--vary", "load=-1"), "load: -1 is not allowed"),
        (("--vary", "load=*x"), "--vary load:1: is not valid YAML (anchors and aliases"),
        (("--vary", "load=1", "--seeds", "1,x"), "--seeds: 'x' is not a whole number"),
        (("--vary", "load=1", "--metrics", "speed"), "--metrics: 'speed' is not a metric"),
        (("--vary", "load=1", "--method", "luck"), "--method: 'luck' is not known"),
        (("--vary", "load=1", "--workers", "2", "--scheduler", "tcp://x:1"), "--workers: 2 is for this machine"),
        (("--vary", "load=1", "--out", "s.yaml"), "--out: 's.yaml' is a file"),
        (("--vary", "load=1", "--each-seed"), "--each-seed: True has no seeds"),
        (("--vary", "load=1", "--plan", "p.yaml", "--method", "greedy"), "--method: 'greedy' is for looking for plans"),
        (("--vary", "load=1", "--plan", "p.yaml", "--max-evaluations", "9"), "--max-evaluations: 9 is for looking for"),
        ((), "Missing option '--vary'"),
    ],
)
def test_the_command_line_refuses_in_one_line(run: Run, files: Path, arguments: tuple[str, ...], message: str) -> None:
    answer = run("whatif", "s.yaml", *arguments)
    assert (answer.code, answer.out) == (2, "")
    assert answer.err.startswith(f"pipesim: {message}")
    assert answer.err.count("\n") == 1


@pytest.mark.slow
def test_the_command_line_runs_on_processes_and_on_a_cluster(run: Run, files: Path) -> None:
    distributed = pytest.importorskip("distributed")
    asked = ("whatif", "s.yaml", "--vary", "load=1,2", "--plan", "p.yaml", "--json")
    here = run(*asked)
    assert here.code == 0
    assert run(*asked, "--workers", "2").out == here.out
    with distributed.LocalCluster(n_workers=1, processes=False, dashboard_address=None, protocol="tcp") as cluster:
        assert run(*asked, "--scheduler", cluster.scheduler_address).out == here.out
    nobody = run(*asked, "--scheduler", "tcp://127.0.0.1:1")
    assert nobody.code == 2
    assert "cannot be reached" in nobody.err
