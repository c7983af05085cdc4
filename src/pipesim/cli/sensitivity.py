"""``pipesim sensitivity``: what the cheapest plan depends on, and what would have to give where there is none."""

from pathlib import Path
from typing import Annotated

import typer

from pipesim.cli.options import NOT_MET, AllowOutside, Json, Out, Seed, check_outputs, one_of, show

MAX_EVALUATIONS = 2000
WHAT = ("slo", "load", "prices", "profiles", "hardware", "relax")


def sensitivity(
    scenario: Annotated[Path, typer.Argument(metavar="SCENARIO", help="The scenario file.", show_default=False)],
    what: Annotated[
        list[str] | None,
        typer.Option(
            "--what",
            help="slo, load, prices, profiles, hardware, or relax (for a scenario without a plan); may be repeated; "
            "by default all that apply.",
        ),
    ] = None,
    out: Out = None,
    json: Json = False,
    seed: Seed = None,
    max_evaluations: Annotated[
        int, typer.Option("--max-evaluations", min=1, help="Run at most this many tests of plans for each plan made.")
    ] = MAX_EVALUATIONS,
    allow_outside: AllowOutside = False,
) -> None:
    """Show what moves the cost of the cheapest plan: objectives, load, prices, models, hardware."""
    from pipesim.cli.screen import working
    from pipesim.cli.sensitivity_tables import sensitivity_tables
    from pipesim.engine import Workload
    from pipesim.model import load_scenario
    from pipesim.planner import FeasiblePlan
    from pipesim.planner.sensitivity.study import study
    from pipesim.report import sensitivity_report, to_json

    check_outputs([("SCENARIO", scenario)], {"--out": out})
    topics = tuple(dict.fromkeys(one_of(name, WHAT, "--what") for name in what or ()))
    question = load_scenario(scenario, allow_outside=allow_outside)
    workload = Workload.of(question if seed is None else question.with_seed(seed))
    with working(f"Planning {workload.scenario.name}") as on_topic:
        answer = study(workload, topics, max_evaluations=max_evaluations, on_topic=on_topic)
    show(sensitivity_tables(answer), lambda: to_json(sensitivity_report(answer)), as_json=json, out=out)
    if not isinstance(answer.result, FeasiblePlan):
        raise typer.Exit(NOT_MET)
