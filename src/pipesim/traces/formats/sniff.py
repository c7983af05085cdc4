"""How a trace file is written, known by its first line; a unit is never guessed."""

from collections.abc import Mapping
from typing import Any

from pipesim.errors import FileFormatError
from pipesim.traces.formats.access_log import JSON_TIMES, is_log_line
from pipesim.traces.formats.blocks import lines_of
from pipesim.traces.formats.content import Content
from pipesim.traces.formats.csv_table import csv_blocks, listed
from pipesim.traces.formats.jsonl_table import parse_object
from pipesim.traces.formats.named import NAMED_TABLES
from pipesim.traces.formats.parquet_table import parquet_table
from pipesim.traces.formats.table import TableKind

_AIPERF_KEYS = ("text_input", "messages", "payload", "delay", "session_id")
_COUNTS_COLUMNS = ("HashOwner", "HashApp", "HashFunction")


def detect(content: Content) -> str:
    """Return the format of a trace file, if its columns or keys leave no doubt.

    Raises
    ------
    FileFormatError
        If it is a table of unknown columns, with what to say; or the unit of its times cannot be known.
    """
    file = content.reference
    if content.is_parquet:
        columns = columns_of(content, "parquet")
        if set(NAMED_TABLES["pipesim-parquet"].needed) <= set(columns):
            return "pipesim-parquet"
        raise FileFormatError(f"{file}: is a Parquet file with the columns {listed(columns)}; say column and unit")
    line = first_line(content)
    if line.lstrip().startswith("{"):
        return _json_format(first_object(content), file)
    if is_log_line(line):
        return "access-log"
    header = columns_of(content, "csv")
    for name, table in NAMED_TABLES.items():
        if table.kind == "csv" and set(table.needed) <= set(header):
            return name
    if header[:3] == _COUNTS_COLUMNS:
        raise FileFormatError(
            f"{file}: holds counts per minute and not a row for each query; "
            "write traffic: {counts: {file: …}}, or --format azure-functions-2019"
        )
    raise FileFormatError(f"{file}: has the columns {listed(header)}, which no known format has; say column and unit")


def table_kind(content: Content) -> TableKind:
    """Return how a table is written whose columns the user names.

    Raises
    ------
    FileFormatError
        If the file cannot be read.
    """
    if content.is_parquet:
        return "parquet"
    return "jsonl" if first_line(content).lstrip().startswith("{") else "csv"


def columns_of(content: Content, kind: TableKind) -> tuple[str, ...]:
    """Return the columns of a table, or the keys of its first object.

    Raises
    ------
    FileFormatError
        If the file cannot be read as such a table.
    """
    if kind == "parquet":
        return parquet_table(content).header
    return csv_blocks(content)[0] if kind == "csv" else tuple(first_object(content))


def first_line(content: Content) -> str:
    """Return the first line of a text file.

    Raises
    ------
    FileFormatError
        If the file cannot be read, is no text, or is empty.
    """
    for lines in lines_of(Content(content.reference, data=content.head())):
        return lines.data[: lines.data.find(b"\n") + 1 or None].decode().rstrip("\r\n")
    raise FileFormatError(f"{content.reference}: is empty; give it a header that names its columns, and rows")


def first_object(content: Content) -> Mapping[str, Any]:
    """Return the first object of a file of JSON lines.

    Raises
    ------
    FileFormatError
        If there is none.
    """
    try:
        return parse_object(first_line(content))
    except (ValueError, RecursionError) as error:
        raise FileFormatError(f"{content.reference}:1: is not a JSON object ({error}); give one a line") from None


def _json_format(keys: Mapping[str, Any], file: str) -> str:
    if any(key in keys for key in JSON_TIMES):
        return "access-log-json"
    bailian = NAMED_TABLES["bailian"]
    if set(bailian.needed) <= keys.keys():
        return "bailian"
    if "timestamp" in keys and any(key in keys for key in _AIPERF_KEYS):
        return "aiperf"
    if {"timestamp", "input_length", "output_length"} <= keys.keys():
        raise FileFormatError(
            f"{file}: leaves in doubt what timestamp counts; say format: mooncake (ms) or bailian (s)"
        )
    names = listed(tuple(keys))
    raise FileFormatError(f"{file}: has the keys {names}, which no known format has; say column and unit")
