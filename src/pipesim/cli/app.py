"""The commands."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipesim.cli import baseline, export, trace
from pipesim.cli.check import check
from pipesim.cli.comment import comment
from pipesim.cli.options import (
    MAX_EVALUATIONS,
    NOT_MET,
    AllowOutside,
    Json,
    Out,
    Seed,
    check_outputs,
    dollars,
    files_of,
    one_of,
    options_named,
    seconds,
    share,
    show,
)
from pipesim.cli.report import report
from pipesim.cli.sensitivity import sensitivity
from pipesim.cli.whatif import whatif

if TYPE_CHECKING:
    from pipesim.engine import SimulationResult, Summary
    from pipesim.model import Scenario
    from pipesim.planner import PlanningResult


app = typer.Typer(
    name="pipesim",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(trace.app, name="trace")
app.add_typer(export.app, name="export")
app.add_typer(baseline.app, name="baseline")
app.command()(check)
app.command()(comment)
app.command()(report)
app.command()(sensitivity)
app.command()(whatif)

ScenarioFile = Annotated[Path, typer.Argument(metavar="SCENARIO", help="The scenario file.", show_default=False)]


def _print_version(value: bool) -> None:
    if value:
        from importlib.metadata import version

        typer.echo(f"pipesim {version('pipesim')}")
        raise typer.Exit


@app.callback()
def _root(
    _: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Find the cheapest hardware, batch sizes and replicas for an inference pipeline that meet its objectives."""


Budget = Annotated[
    int, typer.Option("--max-evaluations", min=1, help="Run at most this many tests of plans, or of parts of plans.")
]
TimeLimit = Annotated[
    str | None,
    typer.Option("--time-limit", metavar="DURATION", help="Stop after this time with the best plan found."),
]


@app.command()
def plan(
    scenario: ScenarioFile,
    method: Annotated[
        str,
        typer.Option("--method", help="search, greedy, evolution, exact, cg-mean, cg-peak or ceil."),
    ] = "search",
    out: Out = None,
    plan_out: Annotated[
        Path | None, typer.Option("--plan-out", metavar="FILE", help="Write the plan to this YAML file.")
    ] = None,
    json: Json = False,
    seed: Seed = None,
    also_seed: Annotated[
        list[int] | None, typer.Option("--also-seed", help="Meet the objectives under this seed too; may be repeated.")
    ] = None,
    also_traffic: Annotated[
        list[Path] | None,
        typer.Option(
            "--also-traffic", metavar="SCENARIO", help="Meet them under this scenario's traffic too; may be repeated."
        ),
    ] = None,
    profile_error: Annotated[
        str, typer.Option("--profile-error", metavar="SHARE", help="Stand batches that take longer by this share: 10%.")
    ] = "0%",
    holdout: Annotated[
        str,
        typer.Option("--holdout", metavar="SHARE", help="Keep this share of the trace, at its end, for validation."),
    ] = "0%",
    confidence: Annotated[
        bool,
        typer.Option("--confidence", help="Meet the objectives with the upper end of the 95 % confidence interval."),
    ] = False,
    max_cost: Annotated[
        str | None, typer.Option("--max-cost", metavar="USD", help="Spend at most this an hour.")
    ] = None,
    fastest: Annotated[
        bool, typer.Option("--fastest", help="Under the ceiling, find the best latency, not the lowest cost.")
    ] = False,
    max_evaluations: Budget = MAX_EVALUATIONS,
    time_limit: TimeLimit = None,
    allow_outside: AllowOutside = False,
) -> None:
    """Find the cheapest plan that meets the latency objectives, and how far it can be from the cheapest there is."""
    from pipesim.cli.plan_tables import fastest_note, planning_progress, planning_tables
    from pipesim.errors import invalid
    from pipesim.model import write_plan
    from pipesim.planner import METHODS, FastestPlan, FeasiblePlan, fastest_plan, question_of
    from pipesim.planner import plan as find_plan
    from pipesim.report import planning_report, to_json
    from pipesim.traces import scenario_trace

    limit_s = None if time_limit is None else seconds(time_limit, "--time-limit")
    chosen = one_of(method, METHODS, "--method")
    asked = _load(scenario, seed, allow_outside)
    if max_cost is not None:
        asked = asked.with_max_cost(dollars(max_cost, "--max-cost"))
    if fastest and asked.max_cost_usd_per_hour is None:
        raise invalid("--fastest", True, "has no ceiling to stay under", "pass --max-cost too")
    if fastest and chosen != "search":
        raise invalid("--fastest", method, "is not the method that it takes", "leave --method out")
    if fastest and limit_s is not None:
        raise invalid("--fastest", time_limit, "is a time limit, which it does not take", "use --max-evaluations")
    others = [(path, _load(path, seed, allow_outside)) for path in also_traffic or ()]
    check_outputs(
        [
            *(pair for path, other in others for pair in (("--also-traffic", path), *files_of(other, path))),
            ("SCENARIO", scenario),
            *files_of(asked, scenario),
        ],
        {"--out": out, "--plan-out": plan_out},
    )
    result: PlanningResult
    notes: list[str] = []
    extra: dict[str, object] = {}
    named = {
        "confident": "--confidence",
        "seed": "--also-seed",
        "profile_error": "--profile-error",
        "holdout": "--holdout",
        "time_limit_s": "--time-limit",
    }
    with options_named(**named):
        question = question_of(
            asked,
            seeds=also_seed or (),
            traces=[scenario_trace(other) for _, other in others],
            profile_error=share(profile_error, "--profile-error"),
            holdout=share(holdout, "--holdout"),
            confident=confidence,
        )
        if fastest:
            found = fastest_plan(question, max_evaluations=max_evaluations)
            result = found.result if isinstance(found, FastestPlan) else found
            if isinstance(found, FastestPlan):
                notes = [fastest_note(found)]
                extra = {"fastest": {"factor": found.factor, "proved": found.proved}}
        else:
            with planning_progress(asked.name) as progress:
                result = find_plan(
                    question, method=chosen, max_evaluations=max_evaluations, time_limit_s=limit_s, progress=progress
                )
    if plan_out is not None and isinstance(result, FeasiblePlan):
        write_plan(result.simulation.plan, plan_out)
    show(planning_tables(result, notes), lambda: to_json(planning_report(result) | extra), as_json=json, out=out)
    if not isinstance(result, FeasiblePlan) or not (result.validation is None or result.validation.met):
        raise typer.Exit(NOT_MET)


@app.command()
def compare(
    scenario: ScenarioFile,
    method: Annotated[list[str] | None, typer.Option("--method", help="Run this method only; may be repeated.")] = None,
    out: Out = None,
    json: Json = False,
    seed: Seed = None,
    max_evaluations: Budget = MAX_EVALUATIONS,
    time_limit: TimeLimit = None,
    allow_outside: AllowOutside = False,
) -> None:
    """Run all methods of planning on one scenario: cost, latency, misses, tests, time and gap."""
    from pipesim.cli.plan_tables import comparison_table
    from pipesim.cli.screen import working
    from pipesim.engine import Workload
    from pipesim.planner import METHODS, FeasiblePlan
    from pipesim.planner import compare as compare_methods
    from pipesim.report import comparison_report, to_json

    check_outputs([("SCENARIO", scenario)], {"--out": out})
    limit_s = None if time_limit is None else seconds(time_limit, "--time-limit")
    methods = [one_of(name, METHODS, "--method") for name in method or METHODS]
    workload = Workload.of(_load(scenario, seed, allow_outside))
    with (
        options_named(time_limit_s="--time-limit"),
        working(f"Comparing methods on {workload.scenario.name}") as on_method,
    ):
        found = compare_methods(
            workload,
            list(dict.fromkeys(methods)),
            max_evaluations=max_evaluations,
            time_limit_s=limit_s,
            on_method=on_method,
        )
    show(comparison_table(found), lambda: to_json(comparison_report(found)), as_json=json, out=out)
    if not any(isinstance(result, FeasiblePlan) for result in found.results.values()):
        raise typer.Exit(NOT_MET)


@app.command()
def simulate(
    scenario: ScenarioFile,
    plan: Annotated[Path, typer.Option("--plan", metavar="FILE", help="The plan to simulate.", show_default=False)],
    out: Out = None,
    json: Json = False,
    seed: Seed = None,
    summary: Annotated[
        bool, typer.Option("--summary", help="Simulate piece by piece and keep a summary: for traffic of any length.")
    ] = False,
    interval: Annotated[
        str | None,
        typer.Option("--interval", metavar="DURATION", help="Length of the intervals of the summary's series."),
    ] = None,
    allow_outside: AllowOutside = False,
) -> None:
    """Show what a plan does under the scenario's traffic; exit with 3 if it misses an objective."""
    from pipesim.cli.tables import simulation_tables
    from pipesim.engine import simulate as run
    from pipesim.engine import summarise
    from pipesim.errors import invalid
    from pipesim.model import read_plan
    from pipesim.report import simulation_report, to_json

    check_outputs([("SCENARIO", scenario), ("--plan", plan)], {"--out": out})
    if interval is not None and not summary:
        raise invalid("--interval", interval, "is for summaries", "pass --summary too")
    question, chosen = _load(scenario, seed, allow_outside), read_plan(plan)
    result: Summary | SimulationResult
    if summary:
        interval_s = None if interval is None else seconds(interval, "--interval")
        with options_named(interval_s="--interval"):
            result = summarise(question, chosen, interval_s=interval_s)
    else:
        result = run(question, chosen)
    show(simulation_tables(result), lambda: to_json(simulation_report(result)), as_json=json, out=out)
    if not result.met:
        raise typer.Exit(NOT_MET)


@app.command()
def schema(
    what: Annotated[
        str, typer.Argument(help="Which file: scenario, plan, prices, or report (of pipesim check).")
    ] = "scenario",
) -> None:
    """Print the JSON Schema of a file, for editors and checkers."""
    import json

    from pipesim.check.report import CheckReport
    from pipesim.errors import invalid
    from pipesim.model import Catalogue, Plan
    from pipesim.model import ScenarioFile as File

    kinds: dict[str, Any] = {"scenario": File, "plan": Plan, "prices": Catalogue, "report": CheckReport}
    if what not in kinds:
        raise invalid("schema", what, "is not a file of pipesim", f"use one of {', '.join(kinds)}")
    document = {"$schema": "https://json-schema.org/draft/2020-12/schema"} | kinds[what].model_json_schema(
        mode="serialization" if what == "report" else "validation"
    )
    typer.echo(json.dumps(document, indent=2))


@app.command()
def init(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Where to write it.")] = Path("scenario.yaml"),
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there.")] = False,
) -> None:
    """Write a commented starter scenario, ready for pipesim plan."""
    from importlib.resources import files

    from pipesim.errors import invalid, printable
    from pipesim.files import write_atomically

    if file.exists() and not force:
        raise invalid("init", str(file), "is there already", "name another file or pass --force")
    write_atomically(file, (files("pipesim.cli") / "starter.yaml").read_text(encoding="utf-8"))
    typer.echo(printable(f"Wrote {file}. Next: pipesim plan {file}"))


def _load(path: Path, seed: int | None, allow_outside: bool) -> "Scenario":
    from pipesim.model import load_scenario

    scenario = load_scenario(path, allow_outside=allow_outside)
    return scenario if seed is None else scenario.with_seed(seed)
