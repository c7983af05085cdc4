"""Options that several commands share, and the one way to print and save an answer."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import RenderableType

Json = Annotated[bool, typer.Option("--json", help="Print the report as JSON, for machines.")]
Out = Annotated[Path | None, typer.Option("--out", metavar="FILE", help="Write the JSON report to this file.")]
Seed = Annotated[int | None, typer.Option("--seed", help="Use this seed in place of the scenario's.")]
AllowOutside = Annotated[
    bool, typer.Option("--allow-outside", help="Let paths in the scenario lead out of its repository or folder.")
]


def show(tables: "RenderableType", report: Callable[[], str], out: Path | None, *, as_json: bool) -> None:
    """Save the report if a file is named, then print it, or the tables."""
    from pipesim.files import write_atomically

    if out is not None:
        write_atomically(out, report())
    if as_json:
        typer.echo(report(), nl=False)
        return
    from pipesim.cli.tables import console

    console().print(tables)
