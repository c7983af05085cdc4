"""Options that several commands share, and the one way to print and save an answer."""

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

if TYPE_CHECKING:
    from rich.console import RenderableType

    from pipesim.model import Scenario

NOT_MET = 3
"""The exit code of an answer that is not good: no feasible plan, or an objective missed."""
MAX_EVALUATIONS = 50_000
"""The budget of the planner, which stands here too: importing it would slow ``--help``."""

Chosen = TypeVar("Chosen", bound=str)
Json = Annotated[bool, typer.Option("--json", help="Print the report as JSON, for machines.")]
Out = Annotated[Path | None, typer.Option("--out", metavar="FILE", help="Write the JSON report to this file.")]
Seed = Annotated[int | None, typer.Option("--seed", help="Use this seed in place of the scenario's.")]
AllowOutside = Annotated[
    bool, typer.Option("--allow-outside", help="Let paths in the scenario lead out of its repository or folder.")
]


def check_outputs(inputs: Iterable[tuple[str, Path]], outputs: Mapping[str, Path | None]) -> None:
    """Check, before the work, that outputs can be written and that none replaces an input or another output.

    Parameters
    ----------
    inputs, outputs
        Paths with the argument or option that names them.

    Raises
    ------
    InvalidInputError
        With the option of the first output that is refused.
    """
    from pipesim.errors import invalid
    from pipesim.files import check_output, resolved

    taken = {resolved(path): name for name, path in inputs}
    for option, path in outputs.items():
        if path is not None:
            name = taken.setdefault(check_output(path, option), option)
            if name != option:
                raise invalid(option, str(path), f"is the file of {name} too", "name another file")


def files_of(scenario: "Scenario", path: Path) -> list[tuple[str, Path]]:
    """Return the files that a scenario names, which no output may replace, with their names."""
    names = [file.name for file in scenario.inputs if not file.name.startswith("library:")]
    files = [(name, path.parent / name) for name in names if name != path.name]
    return [*files, *(("the trace", trace) for trace in scenario.traffic_files.paths.values())]


@contextmanager
def options_named(**options: str) -> Iterator[None]:
    """Let errors about parameters of a function name the options that set them.

    Parameters
    ----------
    options
        For each parameter, its option.
    """
    from pipesim.errors import InvalidInputError

    try:
        yield
    except InvalidInputError as error:
        raise InvalidInputError(error.reason, options.get(error.where, error.where)) from None


def seconds(text: str, option: str) -> float:
    """Return the seconds of a duration that an option gives.

    Raises
    ------
    InvalidInputError
        With the option, if it is no duration.
    """
    from pipesim.errors import InvalidInputError
    from pipesim.units import NS_PER_S, parse_duration_ns

    try:
        return parse_duration_ns(text) / NS_PER_S
    except InvalidInputError as error:
        raise InvalidInputError(error.reason, option) from None


def share(text: str, option: str) -> float:
    """Return the share that an option gives: ``10%``, or ``0.1``.

    Raises
    ------
    InvalidInputError
        With the option, if it is neither.
    """
    from pipesim.errors import InvalidInputError
    from pipesim.units import parse_number

    try:
        number = parse_number(text.removesuffix("%").strip(), option)
    except InvalidInputError as error:
        raise InvalidInputError(error.reason, option) from None
    return float(number / 100 if text.endswith("%") else number)


def dollars(text: str, option: str) -> Decimal:
    """Return the US dollars that an option gives.

    Raises
    ------
    InvalidInputError
        With the option, if it is no number, or not above 0.
    """
    from pipesim.errors import invalid
    from pipesim.units import parse_number

    amount = parse_number(text, option)
    if not amount > 0:
        raise invalid(option, text, "is not allowed", "give more than 0 dollars an hour")
    return Decimal(amount)


def one_of(text: str, allowed: Sequence[Chosen], option: str) -> Chosen:
    """Return the value of an option that must be one of some.

    Raises
    ------
    InvalidInputError
        With the option and the values, if it is none of them.
    """
    from pipesim.errors import invalid

    for value in allowed:
        if value == text:
            return value
    raise invalid(option, text, "is not known", f"use one of {', '.join(allowed)}")


def show(tables: "RenderableType", report: Callable[[], str], *, as_json: bool, out: Path | None = None) -> None:
    """Write the report to a file, if one is given; then print it, or the tables.

    A reader of our output that has gone (head, less) is no fault.
    """
    from pipesim.cli.screen import console
    from pipesim.files import write_atomically

    text = report() if as_json or out is not None else ""
    if out is not None:
        write_atomically(out, text)
    try:
        if as_json:
            typer.echo(text, nl=False)
        else:
            console().print(tables)
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
