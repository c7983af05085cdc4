"""``pipesim report``: an answer as a document for people, one file that stands by itself."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipesim.cli.options import MAX_EVALUATIONS, NOT_MET, AllowOutside, Seed, check_outputs, files_of

if TYPE_CHECKING:
    from pipesim.engine import SimulationResult
    from pipesim.planner import PlanningResult

MAX_SENSITIVITY_EVALUATIONS = 2000
ENDINGS = (".html", ".md")


def report(
    scenario: Annotated[Path, typer.Argument(metavar="SCENARIO", help="The scenario file.", show_default=False)],
    plan: Annotated[
        Path | None, typer.Option("--plan", metavar="FILE", help="Report on this plan; without it, one is made.")
    ] = None,
    out: Annotated[
        Path, typer.Option("--out", metavar="FILE", help="Write it here: .html, or .md for Markdown.")
    ] = Path("report.html"),
    sensitivity: Annotated[
        bool, typer.Option("--sensitivity", help="Add what the cheapest plan depends on, which takes a while.")
    ] = False,
    static: Annotated[
        bool, typer.Option("--static", help="Write pictures in place of interactive charts: a small file, no scripts.")
    ] = False,
    seed: Seed = None,
    max_evaluations: Annotated[
        int | None,
        typer.Option(
            "--max-evaluations",
            min=1,
            help="Run at most this many tests of plans for each plan made: "
            f"{MAX_EVALUATIONS}, or {MAX_SENSITIVITY_EVALUATIONS} with --sensitivity.",
            show_default=False,
        ),
    ] = None,
    allow_outside: AllowOutside = False,
) -> None:
    """Write a report for people: the plan, why it is this one, latencies, traffic, and what to know before buying."""
    from pipesim.cli.plan_tables import planning_progress
    from pipesim.cli.screen import working
    from pipesim.engine import Workload, simulate
    from pipesim.errors import invalid, printable
    from pipesim.files import check_not_configured, write_atomically
    from pipesim.model import load_scenario, read_plan
    from pipesim.planner import plan as find_plan
    from pipesim.planner.sensitivity.study import Study, study
    from pipesim.report import document, html_page, markdown

    check_not_configured("matplotlibrc", "matplotlib")
    if out.suffix not in ENDINGS:
        raise invalid("--out", str(out), "has an ending that is not known", f"use one of {', '.join(ENDINGS)}")
    if static and out.suffix != ".html":
        raise invalid("--static", str(out), "has no scripts anyway", "leave --static out")
    for option, given in (("--sensitivity", sensitivity), ("--max-evaluations", max_evaluations is not None)):
        if plan is not None and given:
            raise invalid(option, str(plan), "is a plan already made, and this is about making one", "leave one out")
    question = load_scenario(scenario, allow_outside=allow_outside)
    asked = question if seed is None else question.with_seed(seed)
    inputs = [("SCENARIO", scenario), *files_of(asked, scenario)]
    check_outputs([*inputs, *(() if plan is None else (("--plan", plan),))], {"--out": out})
    answer: PlanningResult | SimulationResult
    studied: Study | None = None
    if plan is not None:
        answer = simulate(asked, read_plan(plan))
    elif sensitivity:
        with working(f"Planning {asked.name}") as on_topic:
            budget = max_evaluations or MAX_SENSITIVITY_EVALUATIONS
            studied = study(Workload.of(asked), max_evaluations=budget, on_topic=on_topic)
        answer = studied.result
    else:
        with planning_progress(asked.name) as progress:
            answer = find_plan(asked, max_evaluations=max_evaluations or MAX_EVALUATIONS, progress=progress)
    said = document(answer, studied)

    write_atomically(out, markdown(said) if out.suffix == ".md" else html_page(said, interactive=not static))
    typer.echo(printable(f"{said.title}: {said.verdict[0].lower()}{said.verdict[1:]}. Wrote {out}."))
    if not said.good:
        raise typer.Exit(NOT_MET)
