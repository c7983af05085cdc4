"""The command that fetches public traces."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipesim.cli.options import show

if TYPE_CHECKING:
    from rich.console import RenderableType

    from pipesim.traces.public import PublicTrace


def fetch(
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help="The trace; without it, list those that can be fetched.")
    ] = None,
    accept_unverified: Annotated[
        bool, typer.Option("--accept-unverified", help="Fetch it even if its hash is not known, and record the hash.")
    ] = False,
    catalogue: Annotated[
        Path | None,
        typer.Option("--catalogue", metavar="FILE", help="Traces of your own, in the form of traces/public.yaml."),
    ] = None,
) -> None:
    """Fetch a public trace into the cache (PIPESIM_DATA, else the user's cache folder) and print its path."""
    from pipesim.traces.public import public_trace, public_traces

    known = public_traces(catalogue)
    if name is None:
        show(_listing(known), str, as_json=False)
        return
    from pipesim.traces.fetch import fetch as fetch_trace

    trace = public_trace(name, known)
    _say(f"{name}: {trace.about}")
    _say(f"Licence: {trace.licence}. Cite: {trace.cite}. Source: {trace.source}")
    with _bar(name) as progress:
        path = fetch_trace(name, catalogue=known, accept_unverified=accept_unverified, progress=progress, notify=_say)
    if trace.reading is not None:
        _say(f"Read it with {trace.reading}")
    typer.echo(str(path))


def _say(line: str) -> None:
    from pipesim.errors import printable

    typer.echo(printable(line), err=True)


def _listing(traces: Mapping[str, "PublicTrace"]) -> "RenderableType":
    """Return two lines for each trace: what a script needs, and what the trace is."""
    from rich.filesize import decimal
    from rich.text import Text

    wide = max(map(len, traces))
    rows = [("Trace", "Format", "Size", "Hash", "Licence")]
    for name, trace in traces.items():
        size = "–" if trace.size_bytes is None else decimal(trace.size_bytes)
        rows.append((name, trace.format or "–", size, "known" if trace.sha256 else "–", trace.licence))
    lines = [f"{row[0]:<{wide}}  {row[1]:<20}  {row[2]:>8}  {row[3]:<5}  {row[4]}" for row in rows]
    abouts = [f"    {trace.about}" for trace in traces.values()]
    return Text("\n".join([lines[0], *(line for pair in zip(lines[1:], abouts, strict=True) for line in pair)]))


@contextmanager
def _bar(name: str) -> Iterator[Callable[[int, int | None], None] | None]:
    """Show on stderr, if it is a terminal, how far the transfer is."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    screen = Console(stderr=True)
    if not screen.is_terminal:
        yield None
        return
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=screen, transient=True) as bar:
        task = bar.add_task(name, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
