"""``pipesim baseline``: the file that ``pipesim check`` compares with."""

from os.path import relpath
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipesim.cli.options import MAX_EVALUATIONS, AllowOutside, check_outputs, files_of, show

if TYPE_CHECKING:
    from rich.console import RenderableType

    from pipesim.check.baseline import Baseline
    from pipesim.check.repository import Repository

app = typer.Typer(no_args_is_help=True, help="Keep the file that pipesim check compares with.")

Scenarios = Annotated[
    list[Path] | None,
    typer.Argument(
        metavar="[SCENARIO]...", help="Scenario files; by default those of pipesim.toml.", show_default=False
    ),
]
BaselineFile = Annotated[
    Path | None,
    typer.Option(
        "--baseline", metavar="FILE", help="The baseline, by default that of pipesim.toml, or pipesim-baseline.yaml."
    ),
]
Budget = Annotated[
    int, typer.Option("--max-evaluations", min=1, help="Run at most this many tests of plans for each search.")
]


@app.command()
def update(
    scenarios: Scenarios = None,
    baseline: BaselineFile = None,
    plan: Annotated[
        Path | None,
        typer.Option("--plan", metavar="FILE", help="Commit to this plan; without it, to the cheapest there is."),
    ] = None,
    keep_plans: Annotated[
        bool, typer.Option("--keep-plans", help="Stay committed to the plans that the baseline has.")
    ] = False,
    seeds: Annotated[
        int | None, typer.Option("--seeds", min=2, max=1000, help="Simulate each plan under so many seeds.")
    ] = None,
    max_evaluations: Budget = MAX_EVALUATIONS,
    allow_outside: AllowOutside = False,
) -> None:
    """Write the baseline anew for some scenarios, to be committed; entries of other scenarios stay."""
    from pipesim.check.repository import Repository
    from pipesim.cli.screen import working
    from pipesim.model import read_plan

    repository = Repository.of(scenarios or (), baseline, allow_outside=allow_outside)
    check_outputs(
        [*inputs_of(repository), *(() if plan is None else (("--plan", plan),))], {"--baseline": repository.baseline}
    )
    with working("Planning") as on_scenario:
        written, gone = repository.update(
            plan=None if plan is None else read_plan(plan),
            keep_plans=keep_plans,
            seeds=seeds,
            max_evaluations=max_evaluations,
            on_scenario=on_scenario,
        )
    show(_tables(repository.baseline, written, gone), lambda: "", as_json=False)


def inputs_of(repository: "Repository") -> list[tuple[str, Path]]:
    """Return the files that are read, with their names: no output may replace them."""
    from pipesim.model import load_scenario

    settings = repository.settings
    inputs = [] if settings.file is None else [("the settings", settings.folder / settings.file)]
    for file in repository.scenarios:
        scenario = load_scenario(file, allow_outside=repository.allow_outside)
        inputs += [("SCENARIO", file), *files_of(scenario, file)]
    return inputs


def _tables(file: Path, baseline: "Baseline", gone: tuple[str, ...]) -> "RenderableType":
    """Return what is in the baseline now."""
    from rich.console import Group
    from rich.text import Text

    from pipesim.check.wording import value
    from pipesim.cli.screen import counted, new_table
    from pipesim.errors import printable
    from pipesim.units import NS_PER_S

    table = new_table("Scenario", "Cost", "p99", "Headroom", "Objectives", last=True)
    for path, entry in baseline.entries.items():
        p99_ns = entry.measured.latency_ns["p99"]
        headroom = entry.measured.headroom
        table.add_row(
            printable(path),
            value(entry.cost_usd_per_hour, "usd_per_hour"),
            value(sum(p99_ns) / len(p99_ns) / NS_PER_S, "s"),
            value(sum(headroom) / len(headroom), "factor"),
            "met" if entry.met else "MISSED",
        )
    lines = [Text(printable(f"{path} is gone, and its entry with it")) for path in gone]
    last = Text(printable(f"Wrote {relpath(file)} with {counted(len(baseline.entries), 'scenario')}; commit it."))
    return Group(table, *lines, last)
