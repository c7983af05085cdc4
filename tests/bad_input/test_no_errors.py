"""What looks bad and is not: answers, empty traces, odd text."""

import json
from pathlib import Path

import pytest

from bad_input.answers import PLAN, PROFILE_HEADER, Run, assert_refused, column, drawn, profile_rows, scenario, write

NOBODY = {
    "queries: 0": "traffic: {poisson: {rate_qps: 20, queries: 0}}",
    "an empty recording": "traffic: {file: t.csv, column: t, unit: s}",
}


def test_a_scenario_without_a_plan_is_an_answer(run: Run) -> None:
    write(s__yaml=scenario(slo="slo: {p99: 1ms}"))
    answer = run("plan", "s.yaml", "--out", "report.json", "--plan-out", "plan.yaml")
    assert answer.code == 3
    assert "service time alone exceeds" in answer.out
    assert "What would have to give" in answer.out
    assert "Raise the bound of p99 to 10 ms" in answer.out
    assert answer.err == ""
    assert not Path("plan.yaml").exists()
    assert json.loads(Path("report.json").read_text())["status"] == "infeasible"


def test_a_scenario_with_too_few_replicas_is_an_answer(run: Run) -> None:
    write(
        s__yaml=scenario(
            traffic="traffic: {poisson: {rate_qps: 2000, duration: 2s}}",
            slo="slo: {p99: 20ms}",
            rest="search: {max_replicas: 1}",
        )
    )
    answer = run("plan", "s.yaml", "--plan-out", "plan.yaml")
    assert answer.code == 3
    assert "Raise search.max_replicas" in answer.out
    assert not Path("plan.yaml").exists()


def test_a_search_without_budget_is_an_answer(run: Run) -> None:
    write(s__yaml=scenario(traffic="traffic: {poisson: {rate_qps: 1000, duration: 2s}}", slo="slo: {p99: 20ms}"))
    answer = run("plan", "s.yaml", "--max-evaluations", "1", "--plan-out", "plan.yaml")
    assert answer.code == 3
    assert "--max-evaluations" in answer.out
    assert not Path("plan.yaml").exists()


def test_a_plan_that_misses_is_an_answer(run: Run) -> None:
    write(s__yaml=scenario(slo="slo: {p99: 1ms}"), p__yaml=PLAN)
    answer = run("simulate", "s.yaml", "--plan", "p.yaml", "--out", "report.json")
    assert answer.code == 3
    assert "misses an objective" in answer.out
    assert "MISSED" in answer.out
    assert json.loads(Path("report.json").read_text())["status"] == "missed"


@pytest.mark.parametrize("traffic", NOBODY.values(), ids=NOBODY)
@pytest.mark.parametrize(
    "arguments", [("plan", "s.yaml"), ("simulate", "s.yaml", "--plan", "p.yaml")], ids=lambda a: a[0]
)
def test_no_queries_meet_any_objective(run: Run, traffic: str, arguments: tuple[str, ...]) -> None:
    write(s__yaml=scenario(traffic=traffic), p__yaml=PLAN, t__csv=column())
    answer = run(*arguments, "--json")
    assert answer.code == 0, answer.err
    assert answer.err == ""
    report = json.loads(answer.out)
    assert report["traffic"]["queries"] == 0
    assert all(slo["met"] and slo["latency_s"] is None for slo in report["slos"])
    assert run(*arguments).code == 0


def test_a_trace_thinned_to_nothing_meets_any_objective(run: Run) -> None:
    write(s__yaml=scenario(traffic="traffic: {poisson: {rate_qps: 20, queries: 5}, thin: 1e-300}"))
    assert run("plan", "s.yaml").code == 0


@pytest.mark.parametrize("times", [("5",), ("5", "5", "5")], ids=["one query", "three at once"])
@pytest.mark.parametrize(
    "arguments", [("plan", "s.yaml"), ("simulate", "s.yaml", "--plan", "p.yaml")], ids=lambda a: a[0]
)
def test_a_trace_without_duration_is_fine(run: Run, times: tuple[str, ...], arguments: tuple[str, ...]) -> None:
    traffic = "traffic: {file: t.csv, column: t, unit: s}"
    write(s__yaml=scenario(traffic=traffic), p__yaml=PLAN, t__csv=column(*times))
    answer = run(*arguments, "--json")
    assert answer.code == 0, answer.err
    assert json.loads(answer.out)["traffic"] == {"queries": len(times), "duration_s": 0.0, "mean_rate_qps": None}
    assert run(*arguments).code == 0
    assert run("trace", "info", "t.csv", "--column", "t", "--unit", "s").code == 0


def test_a_description_is_not_printed_raw(run: Run) -> None:
    write(s__yaml=scenario(name='name: base\ndescription: "\\u001b[31m[red]"'))
    answer = run("plan", "s.yaml")
    assert answer.code == 0
    assert "\x1b" not in answer.out + answer.err


def test_a_trace_name_with_an_escape_is_not_printed_raw(run: Run) -> None:
    Path("\x1b[31mred.csv").write_text(column("0", "1"))
    answer = run("trace", "info", "\x1b[31mred.csv", "--column", "t", "--unit", "s")
    assert answer.code == 0
    assert "\x1b" not in answer.out


def test_what_looks_like_markup_is_printed_as_it_stands(run: Run) -> None:
    slo = "slo: [{quantile: p99, bound: 1s, where: {class: '[red]'}}]"
    write(s__yaml=scenario(slo=slo, **drawn("class: {weights: {'[red]': 1}}")))
    answer = run("plan", "s.yaml")
    assert answer.code == 0
    assert "[red]" in answer.out
    Path("[bold]t.csv").write_text(column("0", "1"))
    assert "[bold]t.csv" in run("trace", "info", "[bold]t.csv", "--column", "t", "--unit", "s").out


def test_text_that_does_not_print_is_refused_where_it_could_reach_a_terminal(run: Run) -> None:
    red = '"\\u001b[31mred"'
    write(s__yaml=scenario(slo=f"slo: [{{quantile: p99, bound: 1s, where: {{class: {red}}}}}]"))
    assert_refused(run, "plan", "s.yaml", words=("s.yaml:2", "where.class", "\\x1b[31mred", "does not print"))
    rows = ("alpha,cpu,1,5,stand-in,\x1b[31mred", "beta,gpu,1,5,,")
    write(
        s__yaml=scenario(profiles="profiles: f.csv"), f__csv=profile_rows(*rows, header=f"{PROFILE_HEADER},basis,note")
    )
    assert_refused(run, "plan", "s.yaml", words=("f.csv:2", "note", "\\x1b[31mred", "does not print"))
