"""``pipesim export``: answers in the formats of other tools."""

import gzip
from pathlib import Path
from typing import Annotated

import typer

from pipesim.cli.options import AllowOutside, Seed, check_outputs, files_of, options_named, seconds

app = typer.Typer(no_args_is_help=True, help="Write what other tools read.")


@app.command()
def timeline(
    scenario: Annotated[Path, typer.Argument(metavar="SCENARIO", help="The scenario file.", show_default=False)],
    plan: Annotated[Path, typer.Option("--plan", metavar="FILE", help="The plan to simulate.", show_default=False)],
    out: Annotated[
        Path, typer.Option("--out", metavar="FILE", help="Write it here: .json, or .json.gz.", show_default=False)
    ],
    start: Annotated[
        str | None, typer.Option("--from", metavar="DURATION", help="Begin this long after the trace does.")
    ] = None,
    end: Annotated[str | None, typer.Option("--to", metavar="DURATION", help="End this long after it began.")] = None,
    seed: Seed = None,
    allow_outside: AllowOutside = False,
) -> None:
    """Write what every replica did as a timeline for Perfetto (ui.perfetto.dev) or chrome://tracing."""
    from pipesim.engine import simulate
    from pipesim.errors import invalid, printable
    from pipesim.export import timeline as written
    from pipesim.files import write_atomically
    from pipesim.model import load_scenario, read_plan

    if not out.name.endswith((".json", ".json.gz")):
        raise invalid("--out", str(out), "has an ending that is not known", "use .json or .json.gz")
    from_s = 0.0 if start is None else seconds(start, "--from")
    to_s = None if end is None else seconds(end, "--to")
    question = load_scenario(scenario, allow_outside=allow_outside)
    asked = question if seed is None else question.with_seed(seed)
    check_outputs([("SCENARIO", scenario), *files_of(asked, scenario), ("--plan", plan)], {"--out": out})
    result = simulate(asked, read_plan(plan))
    with options_named(from_s="--from", to_s="--to"):
        content = "".join(written(result, from_s=from_s, to_s=to_s)).encode()
    write_atomically(out, gzip.compress(content, mtime=0) if out.suffix == ".gz" else content)
    typer.echo(
        printable(f"Wrote {out}. Open it in ui.perfetto.dev, which reads it in the browser, or chrome://tracing.")
    )
