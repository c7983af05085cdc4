"""The traffic that commands are given: a trace file and how to read it, or a YAML file with a block ``traffic``."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_args

import typer

if TYPE_CHECKING:
    from pipesim.model.traffic import ScaledTraffic, TrafficFiles

Source = Annotated[
    str,
    typer.Argument(
        metavar="TRAFFIC",
        help="A trace file, library:NAME, or a YAML file with a block traffic: a scenario or a recipe.",
        show_default=False,
    ),
]
Format = Annotated[
    str | None,
    typer.Option("--format", help="How the file is written, if its columns leave doubt."),
]
Column = Annotated[str | None, typer.Option("--column", help="The column of arrival times.")]
Unit = Annotated[str | None, typer.Option("--unit", help="What it counts: s, ms, us, ns or datetime.")]
Unsorted = Annotated[str | None, typer.Option("--unsorted", help="Rows out of order: refuse (default) or sort.")]
Read = Annotated[
    list[str] | None,
    typer.Option(
        "--read",
        metavar="FIELD=VALUE",
        help="Any other field of a trace file (columns.NAME=COLUMN, timezone, bad_rows=skip) or of a file of counts "
        "(time, count, bin, values, series, missing, start, duration, rate_qps, gaps, scv); may be repeated.",
    ),
]


@dataclass(frozen=True, slots=True)
class Given:
    """Traffic that a command was given.

    Parameters
    ----------
    name
        How the user calls it.
    traffic, files
        What it is, and where its files are.
    seed
        Of all that is drawn.
    """

    name: str
    traffic: "ScaledTraffic"
    files: "TrafficFiles"
    seed: int


def given_traffic(
    source: str, *, seed: int | None, read: Sequence[str] | None, allow_outside: bool, **fields: str | float | None
) -> Given:
    """Return the traffic that a command's argument and options name.

    Parameters
    ----------
    source
        The argument.
    seed
        In place of the file's.
    read
        Fields of the file as ``FIELD=VALUE``.
    allow_outside
        Let paths in a YAML file lead out of its workspace.
    fields
        Fields of the file that have options of their own.

    Raises
    ------
    FileFormatError, InvalidInputError
        If there is no such file, or it cannot be read so.
    """
    from pipesim.errors import invalid
    from pipesim.files import LIBRARY_PREFIX, Workspace, check_input
    from pipesim.model.loading import load_traffic, locate_traffic
    from pipesim.model.traffic import CountsFile, CountsTraffic, RecordedTraffic, ScaledTraffic
    from pipesim.model.traffic.recorded import ArrivalFormat, CountFormat
    from pipesim.model.validation import validated_fields
    from pipesim.model.yaml_document import plain_document
    from pipesim.streams import check_seed

    given: dict[str, Any] = {name: value for name, value in fields.items() if value is not None}
    for text in read or ():
        name, found, value = text.partition("=")
        if not found or not name:
            raise invalid("--read", text, "is not FIELD=VALUE", "write for example --read bad_rows=skip")
        group, _, name_in_group = name.partition(".")
        target, key = (given.setdefault(group, {}), name_in_group) if name_in_group else (given, name)
        if not isinstance(target, dict) or key in target:
            raise invalid("--read", text, "is given twice", "keep one of them")
        target[key] = _value(key, value)
    if seed is not None:
        check_seed(seed)
    if source.endswith((".yaml", ".yml")) and not source.startswith(LIBRARY_PREFIX):
        if given:
            rule = "says how to read a trace file, and this is a YAML file"
            raise invalid(next(iter(given)), str(next(iter(given.values()))), rule, "say it in the file")
        held, files, own_seed = load_traffic(Path(source), allow_outside=allow_outside)
        return Given(source, held, files, own_seed if seed is None else seed)
    traffic: ScaledTraffic
    scale = {"load": given.pop("load")} if "load" in given else {}
    of_counts = CountsFile.model_fields.keys() - RecordedTraffic.model_fields.keys()
    count_formats = set(get_args(CountFormat)) - set(get_args(ArrivalFormat))
    if str(given.get("format")) in count_formats or not of_counts.isdisjoint(given):
        traffic = validated_fields(CountsTraffic, "trace", {"counts": {"file": source, **given}, **scale})
    else:
        traffic = validated_fields(RecordedTraffic, "trace", {"file": source, **given, **scale})
    document = plain_document({}, "trace")
    if not source.startswith(LIBRARY_PREFIX):
        remedy = "give the path of a trace file, or of a YAML file with a block traffic"
        check_input(Path(source), "trace", remedy, allow_outside=allow_outside)
    files, _ = locate_traffic(traffic, document, Workspace(Path.cwd(), root=None))
    return Given(source, traffic, files, seed or 0)


def _value(field: str, text: str) -> str | float:
    """Return what the text of an option means: a number where the field holds one."""
    from pipesim.units import NUMBER

    return float(text) if field in {"rate_qps", "scv"} and NUMBER.fullmatch(text) else text
