"""Mutated trace files: whatever is done to a file, it is read as what it says, or refused with its place.

What a file says is told by an oracle: slow, plain Python that works cell by cell on exact fractions, and shares no code
with the readers. Its errors are a place, ``:7`` or ``: row 7``, or nothing but the file.
"""

import gzip
import io
import itertools
import json
import math
import random
import re
import tarfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipesim.errors import PipesimError
from pipesim.model.traffic import CountsFile, RecordedTraffic, ServegenPool
from pipesim.traces import read_trace
from pipesim.traces.formats import FORMATS, blocks
from pipesim.traces.formats.counts import COUNT_FORMATS, read_counts
from pipesim.traces.formats.servegen import read_pool

Cells = list[str] | None
"""The cells of a row, or None if it is no row of its table."""
Table = Iterator[tuple[int, Cells]]
MUTATED = settings(
    derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck), max_examples=50
)
NS = 10**9
DIGITS = {"s": 9, "ms": 6, "us": 3, "ns": 0}
START = 1_699_000_000 * NS


# The oracle.


class RefusedError(Exception):
    """The file is refused, at a place or as a whole."""

    def __init__(self, place: str = "") -> None:
        super().__init__(place)
        self.place = place


@dataclass(frozen=True)
class Meaning:
    """The queries that a file tells of, in order, and how many rows had to be left out."""

    times_ns: list[int]
    epoch_ns: int
    attributes: dict[str, list[Any]]
    skipped: int


@dataclass(frozen=True)
class Form:
    """How a format is written: the columns of a file, and which of them hold what."""

    name: str
    kind: Literal["csv", "jsonl", "log"]
    columns: tuple[str, ...]
    time: str
    unit: str
    attributes: Mapping[str, str] = field(default_factory=dict)
    less: str = ""
    ordered: bool = True
    generic: bool = False
    date: str = "%Y-%m-%d %H:%M:%S.%f"

    @property
    def fields(self) -> dict[str, Any]:
        """Return what a scenario says of the file."""
        if not self.generic:
            return {"format": self.name}
        return {"format": self.name, "column": self.time, "unit": self.unit, "columns": dict(self.attributes)}

    @property
    def needed(self) -> tuple[str, ...]:
        return (self.time, *([self.less] if self.less else []), *self.attributes.values())


def text_of(data: bytes) -> str:
    """Return a text file as text."""
    if b"\0" in data or data[:4] in (b"PAR1", b"\x28\xb5\x2f\xfd") or data[:2] == b"\x1f\x8b":
        raise RefusedError
    try:
        return data.decode().removeprefix("\ufeff")
    except UnicodeDecodeError:
        raise RefusedError from None


def lines_in(text: str, breaks: str) -> list[str]:
    """Return lines with their breaks; blank lines at the end are left out."""
    lines = re.findall(rf"[^{breaks}]*(?:\r\n|[{breaks}])|[^{breaks}]+", text)
    while lines and not lines[-1].strip("\r\n"):
        lines.pop()
    return lines


def csv_record(lines: list[str], index: int) -> tuple[Cells, int]:
    """Return the cells of the record that begins with a line, None if it is none, and how many lines it has."""
    cells, cell, state = [], "", "start"
    if index and len(lines[index]) > 65_536:
        return None, 1
    for used, line in enumerate(lines[index:], 1):
        for letter in line:
            if state == "inside":
                state, cell = ("closing", cell) if letter == '"' else ("inside", cell + letter)
            elif letter in "\r\n":
                continue
            elif letter == '"' and state in ("start", "closing"):
                state, cell = "inside", cell + ('"' if state == "closing" else "")
            elif letter == ",":
                cells.append(cell)
                state, cell = "start", ""
            elif state == "closing":
                return None, 1
            else:
                state, cell = "plain", cell + letter
        if state != "inside":
            return [*cells, cell], used
    return None, 1


def csv_table(text: str) -> tuple[list[str], Table]:
    lines = lines_in(text, "\r\n")
    if not lines or not lines[0].strip("\r\n"):
        raise RefusedError
    header, first = csv_record(lines, 0)
    if header is None or len(set(header)) < len(header):
        raise RefusedError

    def rows() -> Table:
        index = first
        while index < len(lines):
            cells, used = csv_record(lines, index)
            whole = cells is not None and len(cells) == len(header) and lines[index].strip("\r\n")
            yield index + 1, cells if whole else None
            index += used

    return header, rows()


def chosen(header: list[str], rows: Table, needed: tuple[str, ...]) -> Table:
    if not set(needed) <= set(header):
        raise RefusedError
    for number, cells in rows:
        yield number, None if cells is None else [cells[header.index(name)] for name in needed]


def no_constant(text: str) -> None:
    raise ValueError(text)


def json_object(text: str) -> dict[str, Any] | None:
    """Return an object with its numbers as they are written; a key that is there twice has the value `twice`."""

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        keys = [key for key, _ in pairs]
        return {key: value if keys.count(key) == 1 else None for key, value in pairs}

    try:
        found = json.loads(text, parse_int=str, parse_float=str, parse_constant=no_constant, object_pairs_hook=once)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def json_rows(text: str, needed: tuple[str, ...]) -> Table:
    for number, line in enumerate(lines_in(text, "\n"), 1):
        found = json_object(line)
        cells: list[Any] = [] if found is None else [found.get(name) for name in needed]
        cells = [str(cell).lower() if isinstance(cell, bool) else cell for cell in cells]
        yield number, cells if found is not None and all(isinstance(cell, str) for cell in cells) else None


MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]


def log_time(text: str) -> str:
    """Return the time of an access log as ISO 8601, anything else as it is."""
    found = re.fullmatch(r"([0-9]{2})/([A-Za-z]{3})/([0-9]{4}):([0-9:]{8}) ([+-][0-9]{2})([0-9]{2})", text)
    if not found or found[2] not in MONTHS:
        return text
    day, month, year, clock, hours, minutes = found.groups()
    return f"{year}-{MONTHS.index(month) + 1:02}-{day}T{clock}{hours}:{minutes}"


def method_of(request: str) -> str:
    word, space, rest = request.partition(" ")
    proper = (
        space and rest and rest[0] not in " \t\n\r\f\v" and word.isascii() and word.isalpha() and word == word.upper()
    )
    return word if proper and len(word) <= 20 else ""


def log_rows(text: str) -> Table:
    """Return time, status, bytes and method of each line of an access log."""
    for number, line in enumerate(lines_in(text, "\n"), 1):
        line = line.removesuffix("\n").removesuffix("\r")
        yield number, log_line(line) if len(line) <= 65_536 else None


def log_line(line: str) -> Cells:
    who, opened, rest = line.partition("[")
    when, closed, rest = rest.partition("]")
    if not (opened and closed and who.endswith(" ") and who.strip(" ") + who[:-1] and '"' not in who):
        return None
    if not 20 <= len(when) <= 40 or rest[:2] != ' "':
        return None
    end = 2
    while end < len(rest) and rest[end] != '"':
        end += 1 + (rest[end] == "\\")
    request, tail = rest[2:end], rest[end + 1 :].split(" ", 3)
    if end >= len(rest) or len(tail) < 3 or tail[0]:
        return None
    status, size = tail[1:3]
    numbers = status.isascii() and status.isdecimal() and len(status) == 3
    numbers &= size == "-" or (size.isascii() and size.isdecimal() and len(size) <= 18)
    return [log_time(when), status, size.replace("-", "0"), method_of(request)] if numbers else None


NUMBER = re.compile(r"[+-]?([0-9]+[.]?[0-9]*|[.][0-9]+)([eE][+-]?[0-9]+)?")


def number_of(text: str) -> Fraction | None:
    """Return a number, exactly; None if it is none, or so large that no time is."""
    if not NUMBER.fullmatch(text):
        return None
    mantissa, _, exponent = text.lower().partition("e")
    value = Fraction(mantissa)
    power = int(exponent or 0) if len(exponent) < 9 else int(exponent[0] + "9" * 8)
    if not value or abs(power) > 10**5:
        return None if value and power > 0 else Fraction(0) if not value else value * Fraction(1, 10**100)
    return value * Fraction(10) ** power


def date_of(text: str, zone: ZoneInfo) -> tuple[int, bool] | None:
    """Return the nanoseconds from 1970 to a date, and whether it names a zone; None if there is no such instant."""
    found = re.fullmatch(r"([0-9-]{10})(?:[ T]([0-9:]{5,8})([.][0-9]{1,9})?(Z|[+-][0-9:]{2,5})?)?", text)
    if not found or not "1960" < text[:4] < "2270":
        return None
    day, clock, decimals, offset = found.groups()
    clock = clock or "00:00"
    try:
        local = datetime.strptime(f"{day} {clock}", "%Y-%m-%d %H:%M:%S" if len(clock) > 5 else "%Y-%m-%d %H:%M")
    except ValueError:
        return None
    if len(clock) not in (5, 8) or (decimals and len(clock) == 5) or "60" in clock[6:]:
        return None
    if offset and offset != "Z":
        parts = re.fullmatch(r"([+-])([01][0-9]|2[0-3])(?::?([0-5][0-9]))?", offset)
        if not parts:
            return None
        away = timedelta(hours=int(parts[2]), minutes=int(parts[3] or 0)) * (-1 if parts[1] == "-" else 1)
        instants = {local.replace(tzinfo=UTC) - away}
    else:
        home = ZoneInfo("UTC") if offset else zone
        either = {local.replace(tzinfo=home, fold=fold).astimezone(UTC) for fold in (0, 1)}
        instants = {one for one in either if one.astimezone(home).replace(tzinfo=None) == local}
    if len(instants) != 1:
        return None
    since = instants.pop() - datetime(1970, 1, 1, tzinfo=UTC)
    whole = since.days * 86_400 + since.seconds
    nanoseconds = whole * NS + int((decimals or ".").removeprefix(".").ljust(9, "0"))
    return (nanoseconds, bool(offset)) if 0 <= nanoseconds < 9_214_646_400 * NS else None


def time_of(cells: list[str], unit: str, zone: ZoneInfo, less: bool) -> tuple[int, bool] | None:
    """Return the time in a row's first cell, less the second if so, and whether it names a zone."""
    if unit == "datetime":
        return date_of(cells[0], zone)
    numbers = [number_of(cell) for cell in cells[: 1 + less]]
    if any(number is None or not -(2**62) < number < 2**62 for number in numbers):
        return None
    value = Fraction(numbers[0] or 0) - (Fraction(numbers[1] or 0) if less else 0)
    limit = Fraction(2**62, 10 ** DIGITS[unit])
    return (round(value * 10 ** DIGITS[unit]), True) if (-limit if less else 0) <= value < limit else None


def column_of(cells: list[str]) -> list[Any]:
    """Return cells as numbers, if all are."""
    if all(NUMBER.fullmatch(cell) and math.isfinite(float(cell)) for cell in cells):
        return [float(cell) for cell in cells]
    return [cell.rstrip("\0") for cell in cells]  # arrays of text keep no NUL at the end


def meaning_of_rows(
    rows: Table, form: Form, *, skip: bool, sort: bool, zone: ZoneInfo, at: Callable[[int], str]
) -> Meaning:
    """Return the queries in the rows of a table: time, perhaps what to take off it, and attributes."""
    good: list[tuple[int, int, list[str]]] = []
    skipped, zoned = 0, None
    for number, cells in rows:
        found = None if cells is None else time_of(cells, form.unit, zone, bool(form.less))
        if cells is not None and found is not None and zoned in (None, found[1]):
            zoned = found[1]
            good.append((found[0], number, cells))
        elif skip and found is None:
            skipped += 1
        else:
            raise RefusedError(at(number))
    for before, row in itertools.pairwise(good):
        if row[0] < before[0] and form.ordered and not sort:
            raise RefusedError(at(row[1]))
    good.sort(key=lambda row: row[0])
    first = good[0][0] if good else 0
    split = 1 + bool(form.less)
    attributes = {
        name: column_of([cells[split + place] for _, _, cells in good]) for place, name in enumerate(form.attributes)
    }
    times_ns = [time - first for time, _, _ in good]
    return Meaning(times_ns, first if form.unit == "datetime" else 0, attributes, skipped)


def meaning_of(data: bytes, form: Form, *, skip: bool, sort: bool, zone: ZoneInfo) -> Meaning:
    """Return what a text file says."""
    text = text_of(data)
    if form.kind == "csv":
        header, table = csv_table(text)
        form = with_optional(form, header)
        rows = chosen(header, table, form.needed)
    elif form.kind == "log":
        rows = log_rows(text)
        if not lines_in(text, "\n"):
            raise RefusedError
    else:
        lines = lines_in(text, "\n")
        first = json_object(lines[0]) if lines else None
        if not lines or (first is None and not form.generic):
            raise RefusedError
        form = with_optional(form, list(first or ()))
        rows = json_rows(text, form.needed)
        if form.name == "access-log-json":
            rows = as_logged(rows, form.needed)
    return meaning_of_rows(rows, form, skip=skip, sort=sort, zone=zone, at=lambda number: f":{number}")


def with_optional(form: Form, names: list[str]) -> Form:
    """Return a form with the attributes that only some files have, and the time that a log has."""
    if form.name == "azure-llm" and "NumImages" in names:
        return replace(form, attributes={**form.attributes, "images": "NumImages"})
    if form.name == "pipesim":
        return replace(form, attributes={name: name for name in names if name != form.time})
    if form.name == "aiperf":
        tokens = {"input_tokens": "input_length", "output_tokens": "output_length"}
        return replace(form, attributes={name: key for name, key in tokens.items() if key in names})
    if form.name != "access-log-json":
        return form
    time = next((key for key in ("msec", "time_iso8601", "time_local") if key in names), None)
    if time is None:
        raise RefusedError
    held = {
        "status": ["status"],
        "bytes": ["body_bytes_sent", "bytes_sent"],
        "method": ["request_method", "request"],
        "duration_s": ["request_time"],
    }
    attributes = {name: next(key for key in keys if key in names) for name, keys in held.items() if {*keys} & {*names}}
    less = "request_time" if time == "msec" and "request_time" in names else ""
    return replace(form, time=time, unit="s" if time == "msec" else "datetime", attributes=attributes, less=less)


def as_logged(rows: Table, needed: tuple[str, ...]) -> Table:
    """Return rows of a log in JSON with what nginx writes in ways of its own."""
    for number, cells in rows:
        if cells is not None:
            cells = list(cells)
            for index, name in enumerate(needed):
                if name == "time_local":
                    cells[index] = log_time(cells[index])
                elif name == "request":
                    cells[index] = method_of(cells[index])
                elif name.endswith("bytes_sent") and cells[index] == "-":
                    cells[index] = "0"
        yield number, cells


# Files, before they are mutated.

TOKENS = {"input_tokens": "input_length", "output_tokens": "output_length"}
FORMS = {
    form.name + variant: form
    for variant, form in [
        ("", Form("csv", "csv", ("t", "x", "y"), "t", "s", {"x": "x", "y": "y"}, generic=True)),
        (" alone", Form("csv", "csv", ("t",), "t", "ms", generic=True)),
        (" dates", Form("csv", "csv", ("y", "t"), "t", "datetime", {"y": "y"}, generic=True)),
        ("", Form("pipesim", "csv", ("arrival_s", "x", "y"), "arrival_s", "s", {"x": "x", "y": "y"})),
        ("", Form("jsonl", "jsonl", ("t", "x", "y"), "t", "us", {"x": "x", "y": "y"}, generic=True)),
        (" dates", Form("jsonl", "jsonl", ("t", "x"), "t", "datetime", {"x": "x"}, generic=True)),
        (
            "",
            Form(
                "azure-llm",
                "csv",
                ("TIMESTAMP", "NumImages", "ContextTokens", "GeneratedTokens"),
                "TIMESTAMP",
                "datetime",
                {"context_tokens": "ContextTokens", "generated_tokens": "GeneratedTokens"},
                date="%Y-%m-%d %H:%M:%S.%f+00:00",
            ),
        ),
        (
            "",
            Form(
                "azure-functions-2021",
                "csv",
                ("app", "func", "end_timestamp", "duration"),
                "end_timestamp",
                "s",
                {"app": "app", "func": "func", "duration_s": "duration"},
                less="duration",
                ordered=False,
            ),
        ),
        ("", Form("mooncake", "jsonl", ("timestamp", *TOKENS.values(), "hash_ids"), "timestamp", "ms", TOKENS)),
        (
            "",
            Form(
                "bailian",
                "jsonl",
                ("chat_id", "parent_chat_id", "timestamp", "input_length", "output_length", "type", "turn"),
                "timestamp",
                "s",
                {**TOKENS, "chat_id": "chat_id", "parent_chat_id": "parent_chat_id", "type": "type", "turn": "turn"},
            ),
        ),
        (
            "",
            Form(
                "burstgpt",
                "csv",
                ("Timestamp", "Model", "Request tokens", "Response tokens", "Total tokens", "Log Type"),
                "Timestamp",
                "s",
                {
                    "input_tokens": "Request tokens",
                    "output_tokens": "Response tokens",
                    "model": "Model",
                    "log_type": "Log Type",
                },
            ),
        ),
        (
            "",
            Form(
                "vidur",
                "csv",
                ("arrived_at", "num_prefill_tokens", "num_decode_tokens"),
                "arrived_at",
                "s",
                {"input_tokens": "num_prefill_tokens", "output_tokens": "num_decode_tokens"},
            ),
        ),
        (
            "",
            Form(
                "splitwise-sim",
                "csv",
                (
                    "request_id",
                    "request_type",
                    "application_id",
                    "arrival_timestamp",
                    "batch_size",
                    "prompt_size",
                    "token_size",
                ),
                "arrival_timestamp",
                "s",
                {"input_tokens": "prompt_size", "output_tokens": "token_size", "application_id": "application_id"},
            ),
        ),
        (
            "",
            Form(
                "blis",
                "csv",
                (
                    "request_id",
                    "client_id",
                    "tenant_id",
                    "slo_class",
                    "session_id",
                    "round_index",
                    "input_tokens",
                    "output_tokens",
                    "arrival_time_us",
                ),
                "arrival_time_us",
                "us",
                {
                    "input_tokens": "input_tokens",
                    "output_tokens": "output_tokens",
                    "slo_class": "slo_class",
                    "client_id": "client_id",
                    "tenant_id": "tenant_id",
                },
                ordered=False,
            ),
        ),
        ("", Form("aiperf", "jsonl", ("timestamp", "text_input", "output_length"), "timestamp", "ms")),
        (
            "",
            Form(
                "access-log",
                "log",
                (),
                "time",
                "datetime",
                {"status": "status", "bytes": "bytes", "method": "method"},
                ordered=False,
            ),
        ),
        ("", Form("access-log-json", "jsonl", ("msec", "request_time", "status", "request"), "", "", ordered=False)),
        (
            " iso",
            Form(
                "access-log-json",
                "jsonl",
                ("time_iso8601", "status", "body_bytes_sent", "request_method"),
                "",
                "",
                ordered=False,
                date="%Y-%m-%dT%H:%M:%S+00:00",
            ),
        ),
        (" local", Form("access-log-json", "jsonl", ("time_local", "bytes_sent"), "", "", ordered=False)),
    ]
}


def as_date(time_ns: int, layout: str) -> str:
    return (datetime(1970, 1, 1) + timedelta(microseconds=(START + time_ns) // 1000)).strftime(layout)


def cell_of(column: str, form: Form, index: int, time_ns: int) -> Any:
    """Return the cell of a column in a row: a text if it is to be quoted in JSON, else a bare number."""
    if column in ("msec", form.time) and form.unit != "datetime":
        return Decimal(time_ns).scaleb(-DIGITS[form.unit or "s"])
    if column in (form.time, "time_iso8601"):
        return as_date(time_ns, form.date)
    if column == "time_local":
        return as_date(time_ns, "%d/%b/%Y:%H:%M:%S +0200")
    if column in ("Model", "type", "text_input", "slo_class", "app", "y"):
        return ("chat", "Größe, klein", 'the "other"')[index % 3]
    if column in ("request", "request_method"):
        return "GET / HTTP/1.1" if column == "request" else "GET"
    return Decimal(index * 7 % 5) / 4 if column in ("duration", "request_time") else Decimal(100 + index)


def written(form: Form, times_ns: list[int]) -> list[str]:
    """Return the lines of a good file."""
    rows = [[cell_of(column, form, index, time) for column in form.columns] for index, time in enumerate(times_ns)]
    if form.kind == "csv":
        return [csv_line(form.columns), *map(csv_line, rows)]
    if form.kind == "log":
        when = [as_date(time, "%d/%b/%Y:%H:%M:%S +0000") for time in times_ns]
        return [
            f'10.0.0.{index} - - [{text}] "GET /{index} HTTP/1.1" 200 {index} "-" "a"'
            for index, text in enumerate(when)
        ]
    return [json_line(dict(zip(form.columns, row, strict=True))) for row in rows]


def csv_line(cells: Any) -> str:
    texts = [format(cell, "f") if isinstance(cell, Decimal) else cell for cell in cells]
    return ",".join('"' + text.replace('"', '""') + '"' if re.search('[",]', text) else text for text in texts)


def json_line(pairs: Mapping[str, Any]) -> str:
    texts = [
        f"{json.dumps(key)}: "
        + (format(value, "f") if isinstance(value, Decimal) else json.dumps(value, ensure_ascii=False))
        for key, value in pairs.items()
    ]
    return "{" + ", ".join(texts) + "}"


# What is done to them.

SIMPLE = """\
0|-0|-0.0|1e20|1e-20|-1e-20|1e400|1e-400|1e999999999|-1e999999999|nan|NaN|inf|-inf|Infinity|-1
+5|5.|.5|.|e5|0x1F|0x1p3|1_000|1,000|1,5|1.000,5|٣|１|−1|1e|1e+|1e5|1E5|1d5|1f|1L|007
true|null|None|NULL|#N/A|--|'1'|0.0000000005|0.0000000015|2147483648.00000000050000000001
4611686018427387903|4611686018427387904|4611686018.427387904|4611686018.427387903|9007199254740993
9223372036854775808|18446744073709551616|1e18|4.6e9|16777217.1|2023-11-03|2023-11-03T10:00:00Z
2023-11-03T10:00:00+02:00|2023-11-03T10:00:00+02|2023-11-03T10:00:00,5|2023-11-03t10:00:00z|2023-11-03T10
2023-11-03T1:00|2016-12-31T23:59:60Z|0001-01-01|9999-12-31|1969-12-31T23:00:00-05:00|2262-01-01
2261-12-31T23:59:59Z|2023-13-01|2023-02-29|2024-02-29|03.11.2023|11/03/2023|20231103|2023-W44-5
20231103T100000|2023-11-03T10:00:00+24:00|2023-11-03T10:00:00+23:59|2023-11-03T10:00:00-00:00
2023-11-03T10:00:00+2:00|2023-11-03T10:00:00+0:00|2023-11-03T10:00:00.Z|2023-11-03Z|-023-11-03
+2023-11-03|a"b|"a"b|"a|2023-11-03 10:00:00|2023-11-03 10:00:00.123456789-0530
2023-11-03 10:00:00.1234567890|2023-11-03T10:00:00 Z|2023-11-03  10:00|2023-03-26 02:30:00
2023-10-29 02:30:00|2023-10-29 02:30:00+01:00|2023-03-26 03:00:00|2023-10-29 03:00:00
2023-10-29 01:59:59.999999999|2016-12-31 23:59:60|1970-01-01 00:30:00|2023-11-03 24:00:00
2023-11-03 10:60|2023-11-03 10:00:00 UTC|2023-11-03 10:00:00Europe/Berlin|2023-11-03 10:00Z
31/Oct/2023:10:00:00 +0200|31/Feb/2023:10:00:00 +0200|31/okt/2023:10:00:00 +0200"""
"""Cells, divided by bars and line breaks."""
ODD = [
    '"',
    '"1"',
    " ",
    " 1",
    "1 ",
    "1\t",
    "\xa01",
    "\u20091",
    "1\u200b",
    "\u0662023-11-03",
    "a\rb",
    "a\nb",
    "\x1b[31m",
    "\ufeff1",
    "\x1c1",
    "\x0b1",
    "",
]
HOSTILE = [
    *ODD,
    *re.split(r"[|\n]", SIMPLE),
    "0." + "0" * 60 + "1",
    "1" * 60,
    "1." + "3" * 400,
    "x" * 70_000,
]
RAW_JSON = [
    "true",
    "false",
    "null",
    "[1]",
    '{"t": 1}',
    "NaN",
    "Infinity",
    "-Infinity",
    "01",
    "1.",
    ".5",
    "+1",
    "-1",
    "-0",
    "1e20",
    "1E5",
    "1e+05",
    "1e999999999",
    '"1.5"',
    '"nan"',
    '"١"',
    '""',
    '"\\u0031"',
    '"\\ud800"',
    "0x1",
    "1_0",
    "'1'",
    "[" * 3000,
    "1 2",
    "1}{",
    "",
    "1.0000000000000000000000001",
    "123456789012345678901234567890",
    '"a\tb"',
    '"\\u0000"',
    "12.50",
]
GARBAGE = [
    b"\0",
    b"\xff",
    b"\xc3",
    b'"',
    b",",
    b"\r",
    b"\n",
    b"\n\n",
    b"\r\n",
    b"\t",
    b" ",
    b"9",
    b"e",
    b"-",
    b"}",
    b"{",
    b"[",
    b"\\",
    b"\xef\xbb\xbf",
    b"\xe2\x80\xa8",
    b"\x0c",
    b"\x1c",
    b"\xc2\x85",
]


def mutated_lines(lines: list[str], form: Form, rng: random.Random) -> list[str]:
    """Return the lines of a file after a mutation."""
    lines, place = list(lines), rng.randrange(len(lines)) if lines else 0
    match rng.randrange(14):
        case _ if not lines:
            return lines
        case 0:
            del lines[place]
        case 1:
            lines.insert(place, lines[place])
        case 2:
            other = rng.randrange(len(lines))
            lines[place], lines[other] = lines[other], lines[place]
        case 3:
            rng.shuffle(lines)
        case 4:
            lines.insert(place, rng.choice(["", "", " ", "\t", ",", "#", "{}", "[]", "null"]))
        case 5:
            lines[place:place] = [lines[0]]
        case 6:
            lines[place : place + 2] = [rng.choice(["", " ", ","]).join(lines[place : place + 2])]
        case 7:
            cut = rng.randrange(len(lines[place]) + 1)
            lines[place : place + 1] = [lines[place][:cut], lines[place][cut:]]
        case 8 if form.kind == "csv":
            cells = lines[place].split(",")
            changed = [cells[1:], [*cells, "0"], ["", *cells], rng.sample(cells, len(cells))]
            lines[place] = ",".join(rng.choice(changed))
        case _:
            lines[place] = mutated_cell(lines[place], form, rng)
    return lines


def mutated_cell(line: str, form: Form, rng: random.Random) -> str:
    """Return a line with another cell, most often that of the time."""
    text = rng.choice(HOSTILE)
    if form.kind == "log":
        return re.sub(
            rng.choice([r"(?<=\[).*(?=\])", r"(?<= )200", r"[0-9]+(?= \"-\")", r"\".*?\""]),
            lambda _: text,
            line,
            count=1,
        )
    if form.kind == "csv":
        cells = line.split(",")
        index = form.columns.index(form.time) if rng.random() < 0.6 else rng.randrange(len(cells))
        cells[min(index, len(cells) - 1)] = rng.choice([text, csv_line([text])])
        return ",".join(cells)
    keys = [*re.findall(r'"(\w+)":', line), "t"]
    key = form.time if form.time in keys and rng.random() < 0.6 else rng.choice(keys)
    value = rng.choice([text, json.dumps(text), *rng.sample(RAW_JSON, 3)])
    how = rng.randrange(8)
    if how == 0:  # there twice
        return line.replace("{", f'{{"{key}": {value}, ', 1)
    if how == 1:
        return re.sub(rf'"{key}": [^,}}]*,? ?', "", line, count=1)
    if how == 2:
        return line.replace(
            f'"{key}"', rng.choice([f'"{key.title()}"', f'"{key} "', f'"\\u{ord(key[0]):04x}{key[1:]}"', key]), 1
        )
    return re.sub(rf'("{key}": )("(\\.|[^"])*"|[^,}}]*)', lambda found: found[1] + value, line, count=1)


def mutated_bytes(data: bytes, rng: random.Random) -> bytes:
    """Return the bytes of a file after a mutation."""
    place = rng.randrange(len(data) + 1)
    match rng.randrange(9):
        case 0:
            return data[:place]
        case 1 | 2:
            return data[:place] + rng.choice(GARBAGE) + data[place:]
        case 3:
            return data[:place] + data[place + rng.randrange(1, 9) :]
        case 4:
            return rng.choice([b"\xef\xbb\xbf", b"\xef\xbb\xbf" * 2, b"\n", b"\x1f\x8b", b" "]) + data
        case 5:
            return data.replace(b"\n", rng.choice([b"\r\n", b"\r", b"\n\n", b"\r\r\n", b"\n\r"]))
        case 6:
            return data.decode(errors="replace").encode(
                rng.choice(["utf-16", "utf-16-le", "latin-1", "cp1252", "utf-32", "utf-7"]), "replace"
            )
        case 7:
            return data + rng.choice([b"\n", b"\r\n\r\n", b"\n\n\n", b"\x1a", b"\n \n", b"0", b","])
        case _:
            return data.replace(rng.choice([b",", b".", b'"', b"{", b": "]), rng.choice([b";", b",", b"'", b"\t", b""]))


def compare(oracle: Callable[[], Any], reader: Callable[[], Any], name: str, data: bytes = b"") -> None:
    """Check that a reader finds what the oracle does, or complains of the same place in one line.

    Lines are counted from a line break to the next: where a carriage return stands alone, the place is not compared.
    """
    try:
        expected = oracle()
    except RefusedError as refused:
        expected = refused
    try:
        found = reader()
    except PipesimError as error:
        words = str(error)
        assert isinstance(expected, RefusedError), (words, expected)
        assert words.startswith((name, "counts.")), words
        assert len(words) < 1000, words
        if expected.place and not re.search(rb"\r(?!\n)", data):
            assert words.startswith(f"{name}{expected.place}: "), (words, expected.place)
    else:
        assert not isinstance(expected, RefusedError), (found, expected.place)
        assert found == expected, (found, expected)


def read_arrivals(path: Path, form: Form, *, skip: bool, sort: bool, zone: str | None) -> Meaning:
    fields = {
        **form.fields,
        "timezone": zone,
        "bad_rows": "skip" if skip else "stop",
        "unsorted": "sort" if sort else "refuse",
    }
    trace, reading = read_trace(path, RecordedTraffic.model_validate({"file": path.name, **fields}))
    assert reading.rows == len(trace)
    attributes = {name: values.tolist() for name, values in trace.attributes.items()}
    return Meaning(trace.times_ns.tolist(), trace.epoch_ns, attributes, reading.skipped)


TIMES = st.lists(
    st.integers(0, 10**13) | st.integers(0, 5 * 10**9).map(lambda time: time * 1000), min_size=1, max_size=6
)


@pytest.mark.parametrize("name", FORMS)
@MUTATED
@given(
    times=TIMES,
    rng=st.randoms(use_true_random=True),
    skip=st.booleans(),
    sort=st.booleans(),
    zone=st.sampled_from([None, "Europe/Berlin"]),
)
def test_a_mutated_trace_is_read_as_what_it_says_or_refused_with_its_line(
    name: str, times: list[int], rng: random.Random, skip: bool, sort: bool, zone: str | None, tmp_path: Path
) -> None:
    form, path = FORMS[name], tmp_path / "t.log"
    lines = written(form, sorted(times))
    for _ in range(rng.choice([0, 1, 1, 2, 3])):
        lines = mutated_lines(lines, form, rng)
    data = ("\n".join(lines) + "\n").encode()
    if rng.random() < 0.4:
        data = mutated_bytes(data, rng)
    path.write_bytes(data)
    with pytest.MonkeyPatch.context() as patch:  # parts of a few rows, so that quick and exact reading meet
        patch.setattr(blocks, "PART_BYTES", rng.choice([40, 1 << 15]))
        compare(
            lambda: meaning_of(data, form, skip=skip, sort=sort, zone=ZoneInfo(zone or "UTC")),
            lambda: read_arrivals(path, form, skip=skip, sort=sort, zone=zone),
            path.name,
            data,
        )


TRAPS = {
    "a value that is no object first": ("jsonl", b'null\n{"t": 1, "x": 1, "y": 1}\n'),
    "two objects on a line and one on two": (
        "jsonl",
        b'{"t": 1, "x": 1, "y": 1}{"t": 2, "x": 1, "y": 1}\n{"t": 3,\n"x": 1, "y": 1}\n',
    ),
    "NaN where nobody looks": (
        "aiperf",
        b'{"timestamp": 0}\n{"timestamp": 1, "text_input": NaN}\n{"timestamp": 2}\n',
    ),
    "a key twice where nobody looks": ("aiperf", b'{"timestamp": 0, "a": 1, "a": 2}\n{}\n'),
    "a byte order mark before a row": (
        "csv",
        b"t,x,y\n" + b"0,1,1\n" * 8 + b"\xef\xbb\xbf" + b"1,1,1\n" * 7 + b"x,1,1\n",
    ),
    "a quote inside a field, and a part that ends in a letter": (
        "csv",
        't,x,y\n0,a"b,é\n'.encode() + "1,é,é\n".encode() * 9,
    ),
    "a date before 1970 by its own clock": ("csv dates", b"y,t\n1,1969-12-31T23:00:00-05:00\n1,2024-01-01T00:00Z\nx\n"),
    "names of 70,000 letters": ("csv", b"x" * 70_000 + b"\n"),
}
"""What quick and exact reading are prone to take differently, or pyarrow in a way of its own."""


@pytest.mark.parametrize("skip", [False, True], ids=["stop", "skip"])
@pytest.mark.parametrize("size", [15, 16, 40, 1 << 15])
@pytest.mark.parametrize("trap", TRAPS)
def test_a_trap_is_read_as_what_it_says_or_refused_with_its_line(
    trap: str, size: int, skip: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blocks, "PART_BYTES", size)
    (name, data), path = TRAPS[trap], tmp_path / "t.log"
    path.write_bytes(data)
    compare(
        lambda: meaning_of(data, FORMS[name], skip=skip, sort=False, zone=ZoneInfo("UTC")),
        lambda: read_arrivals(path, FORMS[name], skip=skip, sort=False, zone=None),
        path.name,
    )


def test_every_format_of_text_is_mutated() -> None:
    assert {form.name for form in FORMS.values()} == set(FORMATS) - {"parquet", "pipesim-parquet"}


# Compressed files, Parquet, counts and pools.


def zstd(data: bytes) -> bytes:
    return bytes(pa.compress(data, codec="zstd", asbytes=True))


def gunzipped(data: bytes) -> bytes:
    """Return what gzip data hold, member after member."""
    found = b""
    while data.rstrip(b"\0"):
        stream = zlib.decompressobj(wbits=31)
        try:
            found += stream.decompress(data)
        except zlib.error:
            raise RefusedError from None
        if not stream.eof:
            raise RefusedError
        data = stream.unused_data
    return found


@MUTATED
@given(
    times=TIMES,
    kind=st.sampled_from(["gz", "zst"]),
    named=st.sampled_from([".gz", ".zst", ""]),
    how=st.sampled_from(["whole", "cut", "junk", "twice", "two", "flipped"]),
    share=st.floats(0, 1),
)
def test_a_damaged_or_misnamed_archive_is_read_whole_or_refused(
    times: list[int], kind: str, named: str, how: str, share: float, tmp_path: Path
) -> None:
    form, pack = FORMS["csv"], gzip.compress if kind == "gz" else zstd
    lines = written(form, sorted(times))
    data = ("\n".join(lines) + "\n").encode()
    packed = pack(data)
    middle = int(share * (len(packed) - 1))
    match how:
        case "cut":
            packed = packed[:middle]
        case "junk":
            packed += b"junk"
        case "twice":
            packed = pack(packed)
        case "two":
            packed = pack(data[: len(lines[0]) + 1]) + pack(data[len(lines[0]) + 1 :])
        case "flipped":
            packed = packed[:middle] + bytes([packed[middle] ^ 16]) + packed[middle + 1 :]
    path = tmp_path / f"t{named}"
    path.write_bytes(packed)

    def oracle() -> Meaning:
        if kind != named[1:]:
            raise RefusedError
        content = gunzipped(packed) if kind == "gz" else data
        if kind == "zst" and how not in ("whole", "two"):
            raise RefusedError
        return meaning_of(content, form, skip=False, sort=False, zone=ZoneInfo("UTC"))

    if kind == "zst" and how == "flipped":  # such frames have no checksum: what is read may differ, or not be read
        return
    compare(oracle, lambda: read_arrivals(path, form, skip=False, sort=False, zone=None), path.name)


def ticks(second: int, factor: int) -> int:
    return second * factor + second % factor


FLOATS = st.floats(-1, 1e6) | st.floats() | st.sampled_from([0.1, 1e20, 1e-20, 5e-324, 1.7e308, 1_700_000_000.123456])
COLUMNS: dict[str, tuple[pa.DataType, st.SearchStrategy[Any]]] = {
    "int64": (pa.int64(), st.integers(-1, 10**9) | st.integers(-(2**63), 2**63 - 1)),
    "uint64": (pa.uint64(), st.integers(0, 2**64 - 1)),
    "int8": (pa.int8(), st.integers(0, 127)),
    "double": (pa.float64(), FLOATS),
    "text": (pa.string(), st.sampled_from([text for text in HOSTILE if "\0" not in text and len(text) < 1000])),
    "large text": (pa.large_string(), st.sampled_from(["1", "2.5", "x", "2023-11-03"])),
    "dictionary": (pa.dictionary(pa.int32(), pa.string()), st.sampled_from(["1", "2.5", "x", "2023-11-03"])),
    "binary": (pa.binary(), st.sampled_from([b"1", b"\xff", b"2023-11-03"])),
    "truth": (pa.bool_(), st.booleans()),
    "decimal": (pa.decimal128(30, 12), st.decimals(-1, 10**9, places=12)),
    "float": (pa.float32(), st.floats(0, 1e6, width=32) | st.floats(width=32)),
    "list": (pa.list_(pa.int64()), st.lists(st.integers(0, 5), max_size=2)),
    "struct": (pa.struct({"t": pa.int64()}), st.fixed_dictionaries({"t": st.integers(0, 5)})),
    "nothing": (pa.null(), st.none()),
    "date": (pa.date32(), st.dates(date(1965, 1, 1), date(2300, 1, 1))),
    "time": (pa.time64("us"), st.times()),
    "duration": (pa.duration("ns"), st.timedeltas(timedelta(0), timedelta(9))),
    **{
        f"timestamp {unit} {zone}": (
            pa.timestamp(unit, zone),
            st.builds(ticks, st.integers(-1, 2_000_000_000), st.just(factor))
            | st.builds(ticks, st.integers(1_698_540_000, 1_698_550_000), st.just(factor))
            | st.integers(-(2**63) + 1, 2**63 - 1),
        )
        for unit, factor in (("s", 1), ("ms", 10**3), ("us", 10**6), ("ns", NS))
        for zone in (None, "UTC", "Asia/Tokyo")
    },
}
"""Types of columns, and values of each, as pyarrow takes them."""


def parquet_text(value: Any, kind: pa.DataType) -> str | None:
    """Return a value as it would be in a text file; None if it is missing."""
    if value is None:
        return None
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    if pa.types.is_timestamp(kind):
        since = timedelta(0)
        per_second = {"s": 1, "ms": 10**3, "us": 10**6, "ns": NS}[kind.unit]
        seconds, rest = divmod(value, per_second)
        if not 0 <= seconds < 9_214_646_400 + 100_000:
            return "never"
        since = timedelta(seconds=seconds)
        return (
            f"{datetime(1970, 1, 1) + since:%Y-%m-%d %H:%M:%S}.{rest * (NS // per_second):09}{'Z' if kind.tz else ''}"
        )
    if isinstance(value, float):
        return repr(value) if kind == pa.float64() else repr(float(str(np.float32(value))))
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, date):
        return value.isoformat()
    return format(value, "f") if isinstance(value, Decimal) else str(value)


@MUTATED
@given(data=st.data(), unit=st.sampled_from([*DIGITS, "datetime"]), skip=st.booleans(), sort=st.booleans())
def test_a_parquet_file_of_any_types_is_read_as_what_it_says_or_refused_with_its_row(
    data: st.DataObject, unit: str, skip: bool, sort: bool, tmp_path: Path
) -> None:
    likely = [name for name in COLUMNS if name.startswith("timestamp")] if unit == "datetime" else ["int64", "double"]
    kinds = [data.draw(st.sampled_from([*likely, *COLUMNS])), data.draw(st.sampled_from(list(COLUMNS)[:9]))]
    rows = data.draw(st.integers(0, 5))
    columns = []
    for name in kinds:
        kind, values = COLUMNS[name]
        columns.append(
            (
                kind,
                data.draw(
                    st.lists(values | st.none() if data.draw(st.booleans()) else values, min_size=rows, max_size=rows)
                ),
            )
        )
    if sort and data.draw(st.booleans()) and None not in columns[0][1] and kinds[0] in ("int64", "double"):
        columns[0][1].sort()
    arrays = [
        pa.array(values, pa.int64()).cast(kind) if pa.types.is_timestamp(kind) else pa.array(values, kind)
        for kind, values in columns
    ]
    zone = data.draw(st.sampled_from([None, "Europe/Berlin"]))
    path = tmp_path / "t.parquet"
    written_by_us = unit == "ns" and data.draw(st.booleans())
    time = "arrival_ns" if written_by_us else "t"
    pq.write_table(pa.table(dict(zip((time, "a"), arrays, strict=True))), path)
    name = "pipesim-parquet" if written_by_us else "parquet"
    form = Form(name, "csv", (time, "a"), time, unit, {"a": "a"}, generic=not written_by_us)
    whole = path.read_bytes()
    cut = data.draw(st.sampled_from([None, None, None, data.draw(st.integers(0, len(whole) - 1))]))
    path.write_bytes(whole[:cut])

    def table() -> Table:
        for number, values in enumerate(zip(*(values for _, values in columns), strict=True), 1):
            texts = [parquet_text(value, kind) for value, (kind, _) in zip(values, columns, strict=True)]
            yield number, None if None in texts else [text for text in texts if text is not None]

    def oracle() -> Meaning:
        if cut is not None:
            raise RefusedError
        return meaning_of_rows(
            table(), form, skip=skip, sort=sort, zone=ZoneInfo(zone or "UTC"), at=lambda number: f": row {number}"
        )

    compare(oracle, lambda: read_arrivals(path, form, skip=skip, sort=sort, zone=zone), path.name)


@dataclass(frozen=True)
class Counted:
    """What a file of counts says: its first bin, how wide they are, a count for each, and how many are absent."""

    start_ns: int
    bin_ns: int
    counts: list[float | None]
    absent: int


def filled(counts: list[float | None], missing: str, place: str) -> list[float | None]:
    if missing == "refuse" and None in counts:
        raise RefusedError(place)
    return [0 if count is None and missing == "zero" else count for count in counts]


def grown(counter: list[float | None], missing: str) -> list[float | None]:
    """Return how much a counter grows from each sample to the next; after a drop it began at 0."""
    steps: list[float | None] = []
    last = counter[0]
    for value in counter[1:]:
        if missing == "zero" and value is None:
            value = last
        steps.append(None if value is None or last is None else value - last if value >= last else value)
        last = value
    return steps


def counted_in_table(
    rows: Table, form: Form, values: str, missing: str, bin_ns: int, at: Callable[[int], str]
) -> Counted:
    good: list[tuple[int, int, str]] = []
    zoned = None
    for number, cells in rows:
        found = None if cells is None else time_of(cells, form.unit, ZoneInfo("UTC"), less=False)
        if cells is None or found is None or zoned not in (None, found[1]):
            raise RefusedError(at(number))
        zoned = found[1]
        good.append((found[0], number, cells[1]))
    if not good:
        raise RefusedError
    for _, number, text in good:
        if not (NUMBER.fullmatch(text) and math.isfinite(float(text))):
            raise RefusedError(at(number))
    for _, number, text in good:
        if not 0 <= float(text) <= 10**15 or (values == "counts" and not float(text).is_integer()):
            raise RefusedError(at(number))
    for before, (time, number, _) in itertools.pairwise(good):
        if time <= before[0] or (time - good[0][0]) % bin_ns:
            raise RefusedError(at(number))
    laid: list[float | None] = [None] * ((good[-1][0] - good[0][0]) // bin_ns + 1)
    for time, _, text in good:
        laid[(time - good[0][0]) // bin_ns] = float(text)
    if values == "counter" and len(laid) < 2:
        raise RefusedError
    hole = next((at(row[1]) for before, row in itertools.pairwise(good) if row[0] - before[0] > bin_ns), "")
    absent = laid.count(None)
    laid = grown(laid, missing) if values == "counter" else laid
    if values == "rates":
        laid = [None if rate is None else rate * (bin_ns / NS) for rate in laid]
    laid = filled(laid, missing, hole)
    if all(count is None for count in laid):
        raise RefusedError
    return Counted(good[0][0] if form.unit == "datetime" else 0, bin_ns, laid, absent)


def read_counted(path: Path, **fields: Any) -> Counted:
    series = read_counts(path, CountsFile.model_validate({"file": path.name, **fields}))
    counts = [None if math.isnan(count) else count for count in series.counts.tolist()]
    return Counted(series.start_ns, series.bin_ns, counts, series.absent)


COUNTS = st.lists(st.integers(0, 300), min_size=1, max_size=6)
MISSING = st.sampled_from(["refuse", "zero", "gap"])


@pytest.mark.parametrize("kind", ["csv", "parquet"])
@MUTATED
@given(
    counts=COUNTS,
    rng=st.randoms(use_true_random=True),
    values=st.sampled_from(["counts", "rates", "counter"]),
    missing=MISSING,
    unit=st.sampled_from(["s", "datetime"]),
)
def test_a_mutated_table_of_counts_is_read_as_what_it_says_or_refused_with_its_line(
    kind: str, counts: list[int], rng: random.Random, values: str, missing: str, unit: str, tmp_path: Path
) -> None:
    path = tmp_path / f"t.{kind}"
    form = Form("csv", "csv", ("t", "n"), "t", unit, {"n": "n"}, generic=True)
    counts = list(itertools.accumulate(counts)) if values == "counter" else counts
    lines = ["t,n"] + [
        f"{as_date(index * 60 * NS, '%Y-%m-%dT%H:%M:%SZ') if unit == 'datetime' else index * 60},{count}"
        for index, count in enumerate(counts)
    ]
    for _ in range(rng.choice([0, 1, 1, 2])):
        lines = mutated_lines(lines, form, rng)
    data = ("\n".join(lines) + "\n").encode()
    rows: list[tuple[int, Cells]] = []
    fields = {"time": "t", "count": "n", "unit": unit, "bin": "60s", "values": values, "missing": missing}
    if kind == "csv":
        data = mutated_bytes(data, rng) if rng.random() < 0.3 else data
        path.write_bytes(data)
    else:
        try:
            header, table = csv_table(data.decode())
            rows = [(number, cells) for number, (_, cells) in enumerate(chosen(header, table, ("t", "n")), 1)]
        except RefusedError:
            return
        names: tuple[list[Any], ...] = ([], [])
        for _, cells in rows:
            for column, cell in zip(names, cells or (None, None), strict=True):
                column.append(cell)
        pq.write_table(
            pa.table({name: pa.array(column, pa.string()) for name, column in zip("tn", names, strict=True)}), path
        )

    def oracle() -> Counted:
        table = iter(rows)
        if kind == "csv":
            header, found = csv_table(text_of(data))
            table = chosen(header, found, form.needed)
        place = ":{}" if kind == "csv" else ": row {}"
        return counted_in_table(table, form, values, missing, 60 * NS, place.format)

    compare(oracle, lambda: read_counted(path, format=kind, **fields), path.name, data)


def functions_counted(data: bytes, missing: str) -> Counted:
    header, rows = csv_table(text_of(data))
    names, minutes = header[:4], header[4:]
    if names != ["HashOwner", "HashApp", "HashFunction", "Trigger"] or not minutes:
        raise RefusedError
    if not all(minute.isascii() and minute.isdecimal() and int(minute[:9]) <= 1440 for minute in minutes):
        raise RefusedError
    numbers = [int(minute) for minute in minutes]
    if any(after <= before for before, after in itertools.pairwise(numbers)):
        raise RefusedError
    total = dict.fromkeys(range(numbers[0], numbers[-1] + 1))
    found: dict[int, float | None] = {**total, **dict.fromkeys(numbers, 0)}
    empty = True
    for line, cells in rows:
        empty = False
        if cells is None or not all(cell.isascii() and cell.isdecimal() and len(cell) <= 15 for cell in cells[4:]):
            raise RefusedError(f":{line}")
        for number, cell in zip(numbers, cells[4:], strict=True):
            found[number] = (found[number] or 0) + int(cell)
    if empty:
        raise RefusedError
    counts = list(found.values())
    return Counted(0, 60 * NS, filled(counts, missing, ""), counts.count(None))


@MUTATED
@given(
    rows=st.lists(st.lists(st.integers(0, 9), min_size=3, max_size=3), min_size=1, max_size=4),
    rng=st.randoms(use_true_random=True),
    missing=MISSING,
)
def test_a_mutated_table_of_functions_is_read_as_what_it_says_or_refused_with_its_line(
    rows: list[list[int]], rng: random.Random, missing: str, tmp_path: Path
) -> None:
    path = tmp_path / "t.csv"
    columns = ("HashOwner", "HashApp", "HashFunction", "Trigger", "7", "8", "9")
    form = Form("azure-functions-2019", "csv", columns, rng.choice("789"), "s")
    lines = [",".join(columns), *(f"o,a,f{index},http,{','.join(map(str, row))}" for index, row in enumerate(rows))]
    for _ in range(rng.choice([0, 1, 1, 2])):
        lines = mutated_lines(lines, form, rng)
    data = ("\n".join(lines) + "\n").encode()
    data = mutated_bytes(data, rng) if rng.random() < 0.3 else data
    path.write_bytes(data)
    compare(
        lambda: functions_counted(data, missing),
        lambda: read_counted(path, format=form.name, missing=missing),
        path.name,
        data,
    )


def prometheus_counted(text: str, values: str, missing: str) -> Counted:
    """Return the sum of all series of an answer."""
    try:
        document = json.loads(text, parse_float=Decimal, parse_constant=no_constant)
        if document["status"] != "success" or document["data"]["resultType"] != "matrix":
            raise RefusedError
        result = document["data"]["result"]
        if not all(isinstance(one["metric"], dict) and isinstance(one["values"], list) for one in result):
            raise RefusedError
    except (ValueError, KeyError, TypeError, RecursionError):
        raise RefusedError from None
    if not isinstance(result, list):
        raise RefusedError
    chosen = [found for one in result if (found := samples_of(one["values"], missing))]
    times = sorted({time for one in chosen for time in one})
    if len(times) < 2:
        raise RefusedError
    step = min(after - before for before, after in itertools.pairwise(times))
    if any((time - times[0]) % step for time in times) or len(range(times[0], times[-1], step)) > 9_999_999:
        raise RefusedError
    total: dict[int, float | None] = {}
    holes = set()
    for one in chosen:
        steps = list(range(min(one), max(one) + 1, step))
        column: list[float | None] = [one.get(time) for time in steps]
        gone = [value is None for value in column]
        if values == "counter":
            steps, column, gone = steps[1:], grown(column, missing), gone[1:]
        for time, value, absent in zip(
            steps, filled(column, "gap" if missing == "refuse" else missing, ""), gone, strict=True
        ):
            known = total.get(time, 0.0)
            total[time] = None if value is None or known is None else known + value
            holes |= {time} if absent else set()
    bins = range(times[0] + step * (values == "counter"), times[-1] + 1, step)
    counts = [total.get(time) for time in bins]
    if all(count is None for count in counts):
        raise RefusedError
    holes |= {time for time in bins if time not in total}
    if values == "rates":
        counts = [None if count is None else count * (step / 1000) for count in counts]
    return Counted((bins[0] - step) * 10**6, step * 10**6, filled(counts, missing, ""), len(holes))


def samples_of(values: list[Any], missing: str) -> dict[int, float | None]:
    """Return the samples of a series by their milliseconds, None where one is not finite; nothing if none is."""
    found: dict[int, float | None] = {}
    for sample in values:
        if (
            not isinstance(sample, list)
            or len(sample) != 2
            or isinstance(sample[0], bool)
            or not isinstance(sample[0], int | Decimal)
        ):
            raise RefusedError
        time, text = round(sample[0] * 1000) if 0 <= sample[0] <= 9_000_000_000 else -1, sample[1]
        if time < 0 or (found and time <= max(found)) or not isinstance(text, str):
            raise RefusedError
        if text in ("NaN", "+Inf", "-Inf", "Inf") and missing != "refuse":
            found[time] = None
        elif NUMBER.fullmatch(text) and 0 <= float(text) <= 1e15:
            found[time] = float(text)
        else:
            raise RefusedError
    return found if any(value is not None for value in found.values()) else {}


@MUTATED
@given(
    series=st.lists(st.lists(st.none() | st.integers(0, 50), min_size=1, max_size=5), min_size=1, max_size=3),
    rng=st.randoms(use_true_random=True),
    values=st.sampled_from(["counts", "rates", "counter"]),
    missing=MISSING,
)
def test_a_mutated_answer_of_prometheus_is_read_as_what_it_says_or_refused(
    series: list[list[int | None]], rng: random.Random, values: str, missing: str, tmp_path: Path
) -> None:
    path = tmp_path / "t.json"
    result = [
        {
            "metric": {"job": f"j{index}"},
            "values": [[1_700_000_000 + 60 * k, str(n)] for k, n in enumerate(one) if n is not None],
        }
        for index, one in enumerate(series)
    ]
    text = json.dumps({"status": "success", "data": {"resultType": "matrix", "result": result}})
    for _ in range(rng.choice([0, 1, 1, 2])):
        old = rng.choice(re.findall(r'"[^"]*"|[0-9]+|[\[\]{}]', text))
        new = rng.choice(
            [*RAW_JSON, *map(json.dumps, HOSTILE[:60]), "1700000030", "1700000060.5", "1e9", "[]", "{}", '"7"', '"NaN"']
        )
        text = text.replace(old, new, rng.choice([1, 1, -1]))
    data = mutated_bytes(text.encode(), rng) if rng.random() < 0.3 else text.encode()
    path.write_bytes(data)
    compare(
        lambda: prometheus_counted(text_of(data), values, missing),
        lambda: read_counted(path, format="prometheus", values=values, missing=missing),
        path.name,
        data,
    )


def test_every_format_of_counts_is_mutated() -> None:
    assert set(COUNT_FORMATS) == {"csv", "parquet", "azure-functions-2019", "prometheus"}


def pool_of(chunks: Mapping[int, bytes]) -> dict[str, list[tuple[float, float, float, bool, float]]]:
    """Return the windows of each client: start, rate, CV, whether the law is Weibull, and shape."""
    pool = {}
    for client, data in sorted(chunks.items()):
        windows = []
        for number, line in enumerate(text_of(data).splitlines(), 1):
            cells = line.split(",")
            numbers = [number_of(cell) for index, cell in enumerate(cells) if index != 3]
            if (
                len(cells) == 6
                and cells[1:3] == ["0", "0"]
                and cells[3:] == ["", "0", "0"]
                and re.fullmatch("[0-9]{1,9}", cells[0])
            ):
                windows.append((float(cells[0]), 0.0, 0.0, False, 0.0))
                continue
            if len(cells) != 6 or None in numbers or not all(0 <= (value or 0) <= 10**15 for value in numbers):
                raise RefusedError(f"chunk-{client}-trace.csv:{number}")
            start, rate, cv, shape, scale = (float(cell) for index, cell in enumerate(cells) if index != 3)
            if (
                rate > 10**7
                or cells[3] not in ("Gamma", "Weibull", "")
                or (rate and not (cells[3] and cv and shape and scale))
            ):
                raise RefusedError(f"chunk-{client}-trace.csv:{number}")
            windows.append((start, rate, cv, cells[3] == "Weibull", shape))
        starts = [window[0] for window in windows]
        if len(starts) < 2 or not starts[1] or starts != [index * starts[1] for index in range(len(starts))]:
            raise RefusedError
        if len(starts) * starts[1] > 400 * 86_400:
            raise RefusedError
        pool[str(client)] = windows
    if len({tuple(window[0] for window in windows) for windows in pool.values()}) != 1:
        raise RefusedError
    return pool


@MUTATED
@given(windows=st.integers(2, 4), clients=st.integers(1, 3), rng=st.randoms(use_true_random=True))
def test_a_mutated_pool_is_read_as_what_it_says_or_refused_with_its_line(
    windows: int, clients: int, rng: random.Random, tmp_path: Path
) -> None:
    path = tmp_path / "p.tar.gz"
    form = Form("servegen", "csv", ("start", "rate", "cv", "law", "shape", "scale"), "rate", "s")
    chunks = {}
    for client in range(clients):
        rows = [
            f"{600 * index},2.5,{1 + client},{rng.choice(['Gamma', 'Weibull'])},0.5,0.75" for index in range(windows)
        ]
        rows[rng.randrange(windows)] += rng.choice(["", "", "1"])
        chunks[client] = "\n".join(rows).encode()
    changed = rng.randrange(clients)
    rows = chunks[changed].decode().split("\n")
    for _ in range(rng.choice([0, 1, 1, 2])):
        rows = mutated_lines(rows, form, rng)
    data = "\n".join(rows).encode()
    chunks[changed] = mutated_bytes(data, rng) if rng.random() < 0.3 else data
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for client, content in chunks.items():
            member = tarfile.TarInfo(f"m/chunk-{client}-trace.csv")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    whole = packed.getvalue()
    cut = rng.randrange(len(whole)) if rng.random() < 0.1 else None
    path.write_bytes(whole[:cut])

    def oracle() -> Any:
        if cut is not None:
            raise RefusedError
        try:
            return pool_of(chunks)
        except RefusedError as refused:
            raise RefusedError(refused.place and f": m/{refused.place}") from None

    def reader() -> Any:
        pool = read_pool(path, ServegenPool.model_validate({"file": path.name, "duration": "20min"}))
        starts = [index * pool.window_ns / NS for index in range(pool.rates_qps.shape[1])]
        return {
            client: list(
                zip(
                    starts,
                    *(array[row].tolist() for array in (pool.rates_qps, pool.cvs, pool.weibull, pool.shapes)),
                    strict=True,
                )
            )
            for row, client in enumerate(pool.clients)
        }

    compare(oracle, reader, path.name, chunks[changed])
