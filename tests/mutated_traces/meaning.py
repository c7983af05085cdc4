"""What a trace file means, told by an oracle: slow, plain Python that works cell by cell on exact fractions.

It shares no code with the readers. Its errors are a place, ``:7`` or ``: row 7``, or nothing but the file."""

import itertools
import json
import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import Any, Literal
from zoneinfo import ZoneInfo

from hypothesis import HealthCheck, settings

Cells = list[str] | None
"""The cells of a row, or None if it is no row of its table."""
Table = Iterator[tuple[int, Cells]]
MUTATED = settings(
    derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck), max_examples=50
)
NS = 10**9
DIGITS = {"s": 9, "ms": 6, "us": 3, "ns": 0}
START = 1_699_000_000 * NS


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
