"""The command line as its users meet it."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml
from jsonschema import Draft202012Validator

ROOT = Path(__file__).parents[1]
SCENARIOS = [*sorted(ROOT.glob("examples/*.yaml")), ROOT / "src/pipesim/cli/starter.yaml"]
Pipesim = Callable[..., Any]


@pytest.fixture
def starter(pipesim: Pipesim, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    assert pipesim("init", "starter.yaml").code == 0
    starter = tmp_path / "starter.yaml"
    starter.write_text(starter.read_text().replace("duration: 60s", "duration: 10s"))  # the same, and quicker
    return starter


def test_the_starter_scenario_can_be_planned_and_its_plan_simulated(pipesim: Pipesim, starter: Path) -> None:
    planned = pipesim("plan", starter, "--out", "report.json", "--plan-out", "plan.yaml")
    assert (planned.code, planned.err) == (0, "")
    for words in ("detect", "Utilisation", "Cost: $", "a month of 730 hours", "p99", "≤ 200 ms", "met", "Binding:"):
        assert words in planned.out
    report = json.loads(Path("report.json").read_text())
    assert yaml.safe_load(Path("plan.yaml").read_text()) == report["plan"]
    simulated = pipesim("simulate", starter, "--plan", "plan.yaml", "--json")
    assert simulated.code == 0
    again = json.loads(simulated.out)
    assert again["status"] == "met"
    for field in ("plan", "slos", "latency", "stages", "cost_usd_per_hour", "inputs", "seed"):
        assert again[field] == report[field]


def test_a_summary_says_the_same_and_how_it_went_over_time(pipesim: Pipesim, starter: Path) -> None:
    pipesim("plan", starter, "--plan-out", "plan.yaml")
    whole = json.loads(pipesim("simulate", starter, "--plan", "plan.yaml", "--json").out)
    shown = pipesim(
        "simulate", starter, "--plan", "plan.yaml", "--summary", "--interval", "2s", "--out", "summary.json"
    )
    assert (shown.code, shown.err) == (0, "")
    for words in ("the plan meets the objectives", "at most 0.1 % too large", "Of intervals of 2 s, the worst p99 is"):
        assert words in shown.out
    summary = json.loads(Path("summary.json").read_text())
    assert summary["kind"] == "summary"
    for field in ("plan", "traffic", "status", "cost_usd_per_hour", "inputs", "seed", "overloaded"):
        assert summary[field] == whole[field]
    assert [slo["misses"] for slo in summary["slos"]] == [slo["misses"] for slo in whole["slos"]]
    assert [row["time_s"] for row in summary["series"]][:5] == [0, 2, 4, 6, 8]
    assert "p99 <= 200 ms: there is no confidence interval" in summary["caveats"][0]
    assert sum(row["queries"] for row in summary["series"]) == summary["traffic"]["queries"]


def test_a_summary_of_a_plan_that_misses_ends_with_3(pipesim: Pipesim, starter: Path) -> None:
    pipesim("plan", starter, "--plan-out", "plan.yaml")
    starter.write_text(starter.read_text().replace("{p99: 200ms}", "{p99: 10ms}"))
    assert pipesim("simulate", starter, "--plan", "plan.yaml", "--summary").code == 3


def test_a_report_says_what_reproduces_it_and_holds_no_path(pipesim: Pipesim, starter: Path) -> None:
    report = json.loads(pipesim("plan", starter, "--json").out)
    assert report["schema_version"] == 1
    assert re.fullmatch(r"\d+\.\d+\.\d+", report["pipesim_version"])
    assert report["seed"] == 1
    assert [(file["name"], len(file["sha256"])) for file in report["inputs"]] == [("starter.yaml", 64)]
    assert str(starter.parent) not in json.dumps(report)
    month = float(report["cost_usd_per_month"])
    assert month == pytest.approx(730 * float(report["cost_usd_per_hour"]))


@pytest.mark.slow
def test_equal_inputs_and_seed_give_equal_bytes_in_another_process_folder_and_time_zone(
    pipesim: Pipesim, starter: Path, tmp_path: Path
) -> None:
    here = pipesim("plan", starter, "--json").out
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    (folder / "starter.yaml").write_text(starter.read_text())
    command = [sys.executable, "-c", "from pipesim.cli import main; main()", "plan", "starter.yaml", "--json"]
    environment = {**os.environ, "TZ": "Pacific/Auckland", "LC_ALL": "C", "PYTHONHASHSEED": "7", "PYTHONUTF8": "1"}
    there = subprocess.run(command, cwd=folder, env=environment, capture_output=True, check=True, encoding="utf-8")
    assert there.stdout == here


def test_methods_are_compared_side_by_side(pipesim: Pipesim, starter: Path) -> None:
    arguments = [word for name in ("search", "greedy", "ceil") for word in ("--method", name)]
    shown = pipesim("compare", starter, *arguments, "--out", "comparison.json")
    assert (shown.code, shown.err) == (0, "")
    for words in ("search", "greedy", "ceil", "optimal", "the best", "$/h", "Gap"):
        assert words in shown.out
    report = json.loads(Path("comparison.json").read_text())
    assert [row["method"] for row in report["methods"]] == ["search", "greedy", "ceil"]
    costs = {row["method"]: row["cost_usd_per_hour"] for row in report["methods"] if row["status"] != "missed"}
    assert costs["search"] == min(costs.values())
    assert "seconds" not in json.dumps(report["methods"])


def test_a_method_that_misses_is_shown_with_exit_code_3(pipesim: Pipesim, starter: Path) -> None:
    starter.write_text(starter.read_text().replace("{p99: 200ms}", "{p99: 60ms}"))
    shown = pipesim("plan", starter, "--method", "ceil", "--json")
    report = json.loads(shown.out)
    assert (shown.code, report["status"]) == (3, "missed")
    assert not report["slos"][0]["met"]


def test_a_plan_can_be_asked_to_stand_more(pipesim: Pipesim, starter: Path) -> None:
    asked = ("--also-seed", 5, "--also-traffic", starter, "--profile-error", "5%", "--holdout", "20%")
    shown = pipesim("plan", starter, *asked, "--out", "report.json")
    assert (shown.code, shown.err) == (0, "")
    assert "planned for 6 workloads at once; it meets the objectives on 6" in shown.out
    assert "queries that were held out" in shown.out
    report = json.loads(Path("report.json").read_text())
    assert [one["met"] for one in report["other_workloads"]] == [True] * 5
    assert report["held_out"]["queries"] > 0
    assert report["proof"]["excluded"]
    plain = json.loads(pipesim("plan", starter, "--json").out)
    assert float(plain["cost_usd_per_hour"]) <= float(report["cost_usd_per_hour"])
    assert plain["other_workloads"] == []


def test_no_output_replaces_any_of_the_scenarios_that_traffic_is_taken_from(pipesim: Pipesim, starter: Path) -> None:
    names = ("one.yaml", "other.yaml")
    for name in names:
        Path(name).write_text(starter.read_text())
    asked = [word for name in names for word in ("--also-traffic", name)]
    for name in names:
        refused = pipesim("plan", starter, *asked, "--out", name)
        assert refused.code == 2
        assert f"'{name}' is the file of --also-traffic too" in refused.err
        assert Path(name).read_text() == starter.read_text()


@pytest.mark.slow
def test_the_fastest_plan_for_an_amount(pipesim: Pipesim, starter: Path) -> None:
    cost = float(json.loads(pipesim("plan", starter, "--json").out)["cost_usd_per_hour"])
    shown = pipesim("plan", starter, "--max-cost", 2 * cost, "--fastest")
    assert shown.code == 0
    assert "no faster plan was found" in shown.out
    too_little = pipesim("plan", starter, "--max-cost", cost / 2)
    assert too_little.code == 3
    assert "No plan that costs at most" in too_little.out


def test_another_seed_is_another_trace(pipesim: Pipesim, starter: Path) -> None:
    one, other = (json.loads(pipesim("plan", starter, "--json", "--seed", seed).out) for seed in (1, 2))
    assert one["traffic"]["queries"] != other["traffic"]["queries"]


def test_an_infeasible_scenario_is_an_answer_with_its_reason_and_exit_code_3(pipesim: Pipesim, starter: Path) -> None:
    starter.write_text(starter.read_text().replace("{p99: 200ms}", "{p99: 10ms}"))
    result = pipesim("plan", starter, "--plan-out", "plan.yaml", "--out", "report.json")
    assert (result.code, result.err) == (3, "")
    assert "The service time alone exceeds the objective" in result.out
    assert "Raise the bound of p99 to" in result.out
    assert not Path("plan.yaml").exists()
    assert json.loads(Path("report.json").read_text())["status"] == "infeasible"


def test_a_plan_that_misses_its_objective_is_reported_with_exit_code_3(pipesim: Pipesim, starter: Path) -> None:
    stages = {
        "detect": {"hardware": "t4", "replicas": 1, "max_batch_size": 1},
        "classify": {"hardware": "cpu", "replicas": 1, "max_batch_size": 1},
        "store": {"hardware": "cpu", "replicas": 1, "max_batch_size": 1},
    }
    Path("poor.yaml").write_text(yaml.safe_dump({"stages": stages}))
    result = pipesim("simulate", starter, "--plan", "poor.yaml")
    assert result.code == 3
    assert "MISSED" in result.out
    assert "classify can serve 27% of what arrives" in result.out


def test_a_used_up_budget_without_a_plan_is_exit_code_3(pipesim: Pipesim, starter: Path) -> None:
    result = pipesim("plan", starter, "--max-evaluations", 1)
    assert result.code == 3
    assert "--max-evaluations" in result.out


@pytest.mark.parametrize("what", ["scenario", "plan", "prices"])
def test_schemas_are_valid(pipesim: Pipesim, what: str) -> None:
    Draft202012Validator.check_schema(json.loads(pipesim("schema", what).out))


@pytest.mark.parametrize(
    "path", [*sorted(ROOT.glob("examples/*.yaml")), ROOT / "src/pipesim/cli/starter.yaml"], ids=lambda p: p.stem
)
def test_the_scenario_schema_accepts_the_examples(pipesim: Pipesim, path: Path) -> None:
    # JSON has text keys only, as an editor's checker has: batch sizes and fan-outs become text
    document = json.loads(json.dumps(yaml.safe_load(path.read_text())))
    Draft202012Validator(json.loads(pipesim("schema").out)).validate(document)


@pytest.mark.parametrize(
    ("old", "new"), [("rate_qps: 100", "rate: 100"), ("{p99: 200ms}", "{p99: 200}"), ("search:", "serach:")]
)
def test_the_scenario_schema_refuses_what_the_program_refuses(
    pipesim: Pipesim, starter: Path, old: str, new: str
) -> None:
    document = json.loads(json.dumps(yaml.safe_load(starter.read_text().replace(old, new))))
    assert not Draft202012Validator(json.loads(pipesim("schema").out)).is_valid(document)


def test_a_generated_trace_reads_back_and_compresses_alike(pipesim: Pipesim, tmp_path: Path) -> None:
    for name in ("t.csv", "t.csv.gz"):
        made = pipesim("trace", "generate", "--rate", 50, "--scv", 4, "--duration", "20s", "--out", tmp_path / name)
        assert made.code == 0
    layout = ("--column", "arrival_s", "--unit", "s", "--json")
    plain, compressed = (
        json.loads(pipesim("trace", "info", tmp_path / name, *layout).out) for name in ("t.csv", "t.csv.gz")
    )
    assert plain["queries"] == compressed["queries"]
    assert plain["windows"] == compressed["windows"]
    doubled = pipesim(
        "trace", "info", tmp_path / "t.csv", "--column", "arrival_s", "--unit", "s", "--load", 2, "--json"
    )
    assert json.loads(doubled.out)["duration_s"] == pytest.approx(plain["duration_s"] / 2)


def test_traffic_of_a_yaml_file_is_described_as_it_is_scaled(pipesim: Pipesim, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("t\n" + "".join(f"{second}\n" for second in range(1001)))
    (tmp_path / "c.csv").write_text("t,n\n0,600\n60,1200\n")
    recorded = "traffic: {file: t.csv, column: t, unit: s"

    def described(text: str) -> dict[str, Any]:
        (tmp_path / "y.yaml").write_text(text)
        found: dict[str, Any] = json.loads(pipesim("trace", "info", tmp_path / "y.yaml", "--json").out)
        return found

    assert described(recorded + "}")["queries"] == 1001
    assert 400 < described(recorded + ", thin: 0.5}")["queries"] < 600
    assert described(recorded + ", compress_to_qps: 10}")["duration_s"] == pytest.approx(100.1)
    counts = "traffic: {counts: {file: c.csv, time: t, count: n, unit: s, bin: 60s}"
    assert described(counts + "}")["duration_s"] == 120
    assert described(counts + ", load: 2}")["duration_s"] == 60


def test_transforms_on_the_command_line_have_luck_of_their_own(pipesim: Pipesim, tmp_path: Path) -> None:
    (tmp_path / "y.yaml").write_text("traffic: {constant: {rate_qps: 1000, duration: 2s}, thin: 0.5}\n")
    (tmp_path / "n.yaml").write_text("traffic: {constant: {rate_qps: 1000, duration: 2s}}\n")
    for name, source, transforms in (("a", "n", 0), ("b", "y", 0), ("c", "y", 1)):
        options = ["--apply", "thin=0.5"] * transforms
        out = tmp_path / f"{name}.parquet"
        assert pipesim("trace", "transform", tmp_path / f"{source}.yaml", *options, "--out", out).code == 0
    whole, once, twice = (set(pd.read_parquet(tmp_path / f"{name}.parquet")["arrival_ns"]) for name in "abc")
    kept = [time in once for time in sorted(whole)]
    again = [time for time, keep in zip(sorted(once), kept, strict=False) if keep]
    assert 400 < len(twice) < 600
    assert sorted(twice) != again


def test_help_and_version_answer_without_the_heavy_libraries() -> None:
    code = (
        "import sys; sys.argv = ['pipesim', '--help']\n"
        "from pipesim.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "print(sorted({'numpy', 'scipy', 'pandas', 'simpy', 'networkx', 'pydantic_settings'} & set(sys.modules)))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True).stdout
    assert out.splitlines()[-1] == "[]"


def test_output_for_a_pipe_is_plain(pipesim: Pipesim, starter: Path) -> None:
    assert "\x1b" not in pipesim("plan", starter).out


@pytest.mark.slow
@pytest.mark.parametrize("as_json", [(), ("--json",)])
def test_files_are_written_even_if_the_reader_of_the_output_has_gone(starter: Path, as_json: tuple[str, ...]) -> None:
    arguments = ["plan", "starter.yaml", "--plan-out", "plan.yaml", *as_json]
    command = [sys.executable, "-c", "from pipesim.cli import main; main()", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        assert process.stderr.read() == ""
    assert process.returncode == 0
    assert (starter.parent / "plan.yaml").exists()


def test_init_keeps_a_file_that_is_there_unless_forced(pipesim: Pipesim, starter: Path) -> None:
    starter.write_text("mine")
    assert pipesim("init", starter).code == 2
    assert starter.read_text() == "mine"
    assert pipesim("init", starter, "--force").code == 0
    assert starter.read_text() != "mine"


def test_a_report_names_an_absolute_path_by_its_last_part(pipesim: Pipesim, starter: Path, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("at\n0\n1\n")
    text = starter.read_text().splitlines()
    start = next(index for index, line in enumerate(text) if line.startswith("traffic:"))
    text[start] = f"traffic: {{file: {tmp_path}/t.csv, column: at, unit: s}}"
    starter.write_text("\n".join(text))
    report = json.loads(pipesim("plan", starter, "--json").out)
    assert [file["name"] for file in report["inputs"]] == ["starter.yaml", "t.csv"]
