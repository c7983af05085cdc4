"""Access logs of web servers: the common and the combined log format, and nginx's in JSON."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa

from pipesim.errors import FileFormatError
from pipesim.model.traffic.recorded import TimeUnit
from pipesim.traces.formats.blocks import BadRow, Lines, blank_line, end_of_lines, lines_of, parts_of, too_long
from pipesim.traces.formats.content import Content
from pipesim.traces.formats.csv_table import listed
from pipesim.traces.formats.jsonl_table import JsonBlock, json_blocks
from pipesim.traces.formats.rows import Rows
from pipesim.traces.formats.table import Layout, read_blocks

_MAX_LINE = 1 << 16
_LINE = re.compile(
    r'[^\n"\[]{1,2000} \[(?P<time>[^\]\n]{20,40})\] "(?P<request>(?:[^"\\\n]|\\[^\n])*)" (?P<status>\d{3})'
    r" (?P<bytes>\d{1,18}|-)(?: [^\n]*)?",
    re.ASCII,
)
_TIME = re.compile(r"(\d{2})/([A-Z][a-z]{2})/(\d{4}):(\d{2}:\d{2}:\d{2}) ([+-]\d{2})(\d{2})", re.ASCII)
_METHOD = re.compile(r"([A-Z]{1,20}) \S", re.ASCII)
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_ATTRIBUTES = {"status": "status", "bytes": "bytes", "method": "method"}
_LOG_LAYOUT = Layout("time", "datetime", _ATTRIBUTES, ordered=False)

JSON_TIMES: Mapping[str, TimeUnit] = {"msec": "s", "time_iso8601": "datetime", "time_local": "datetime"}
"""The keys of nginx that hold the time, the finest first, and what they count."""


@dataclass(frozen=True, slots=True)
class LogBlock:
    """Some lines of an access log."""

    file: str
    lines: Lines
    iso_times: dict[str, str]

    @property
    def first(self) -> int:
        """Return the number of the first line."""
        return self.lines.first

    def arrays(self, types: Mapping[str, pa.DataType]) -> Mapping[str, pa.Array] | None:
        """Return columns of text, or None if a line needs a closer look."""
        if self.lines.blank:
            return None
        columns: dict[str, list[str]] = {name: [] for name in types}
        parts = [(columns[name], name) for name in types]
        for text in self.texts():
            match = _LINE.fullmatch(text)
            if match is None:
                return None
            for column, name in parts:
                column.append(self.part(match, name))
        return {name: pa.array(column, pa.string()) for name, column in columns.items()}

    def parts(self) -> Iterator["LogBlock"]:
        """Return the block in small parts."""
        return (LogBlock(self.file, lines, self.iso_times) for lines in parts_of(self.lines, end_of_lines))

    def rows(self, names: tuple[str, ...]) -> Iterator[tuple[int, list[str] | BadRow]]:
        """Return each line with its parts `names`, or why it cannot be read."""
        for number in range(self.lines.first - self.lines.blank, self.lines.first):
            yield number, blank_line(self.file, number)
        for number, text in enumerate(self.texts(), self.lines.first):
            match = _LINE.fullmatch(text)
            if match is not None:
                yield number, [self.part(match, name) for name in names]
            elif not text:
                yield number, blank_line(self.file, number)
            elif len(text) > _MAX_LINE:
                yield number, too_long(self.file, number, _MAX_LINE)
            else:
                rule = "is not a line of the common or combined log format"
                yield number, BadRow(FileFormatError(f"{self.file}:{number}: {rule}; correct or remove it"))

    def texts(self) -> list[str]:
        """Return the lines without their line breaks."""
        texts = [text.removesuffix("\r") for text in self.lines.data.decode().split("\n")]
        return texts if texts[-1] else texts[:-1]

    def part(self, match: re.Match[str], name: str) -> str:
        """Return a part of a line as a table would hold it."""
        if name == "method":
            return method_of(match["request"])
        text = match[name]
        if name == "time":
            if text not in self.iso_times:
                if len(self.iso_times) > 100_000:
                    self.iso_times.clear()
                self.iso_times[text] = iso_time(text)
            return self.iso_times[text]
        return "0" if text == "-" else text


def iso_time(text: str) -> str:
    """Return a time of the common log format as ISO 8601, and anything else as it is.

    >>> iso_time("10/Oct/2000:13:55:36 -0700")
    '2000-10-10T13:55:36-07:00'
    """
    match = _TIME.fullmatch(text)
    if match is None or match[2] not in _MONTHS:
        return text
    return f"{match[3]}-{_MONTHS.index(match[2]) + 1:02d}-{match[1]}T{match[4]}{match[5]}:{match[6]}"


def method_of(request: str) -> str:
    """Return the method of a request line, or nothing if it is no request.

    >>> method_of("GET / HTTP/1.1"), method_of("-")
    ('GET', '')
    """
    match = _METHOD.match(request)
    return match[1] if match is not None else ""


def is_log_line(text: str) -> bool:
    """Return whether a line is one of the common or combined log format."""
    match = _LINE.fullmatch(text)
    return match is not None and _TIME.fullmatch(match["time"]) is not None


def read_log(content: Content, zone: ZoneInfo | None, bad_rows: str) -> Rows:
    """Return the requests of an access log in the common or combined format: status, bytes and method.

    Apache logs when a request came, but in the order of their ends; nginx logs when it ended. Times have whole seconds.
    Source: the Apache HTTP server's ``mod_log_config`` and nginx's ``ngx_http_log_module``.

    Raises
    ------
    FileFormatError, InvalidInputError
        With the first bad line, unless `bad_rows` is ``skip``.
    """
    iso_times: dict[str, str] = {}

    def blocks() -> Iterator[LogBlock]:
        empty = True
        for lines in lines_of(content):
            empty = False
            yield LogBlock(content.reference, lines, iso_times)
        if empty:
            raise FileFormatError(f"{content.reference}: is empty; give it one request a line")

    return read_blocks(blocks, _LOG_LAYOUT, zone, bad_rows, f"{content.reference}:")


@dataclass(frozen=True, slots=True)
class JsonLogBlock:
    """Some lines of an access log in JSON."""

    block: JsonBlock

    @property
    def first(self) -> int:
        """Return the number of the first line."""
        return self.block.first

    def arrays(self, types: Mapping[str, pa.DataType]) -> Mapping[str, pa.Array] | None:
        """Return columns, or None if a line needs a closer look."""
        if "time_local" in types or "request" in types:
            return None
        return self.block.arrays(types)

    def parts(self) -> Iterator["JsonLogBlock"]:
        """Return the block in small parts."""
        return map(JsonLogBlock, self.block.parts())

    def rows(self, names: tuple[str, ...]) -> Iterator[tuple[int, list[str] | BadRow]]:
        """Return each line with the values of keys, or why it cannot be read."""
        for number, row in self.block.rows(names):
            yield number, row if isinstance(row, BadRow) else [*map(_json_part, names, row)]


def _json_part(name: str, text: str) -> str:
    if name == "time_local":
        return iso_time(text)
    if name == "request":
        return method_of(text)
    return "0" if name.endswith("bytes_sent") and text == "-" else text


def json_log_layout(keys: Mapping[str, Any], file: str) -> Layout:
    """Return which keys of a log hold what, given its first object.

    ``msec`` is the end of a request: its start is known if there is ``request_time`` too.

    Raises
    ------
    FileFormatError
        If no key holds the time.
    """
    time = next((key for key in JSON_TIMES if key in keys), None)
    if time is None:
        raise FileFormatError(f"{file}:1: has none of the keys {', '.join(JSON_TIMES)}; it has {listed(tuple(keys))}")
    candidates = {
        "status": ("status",),
        "bytes": ("body_bytes_sent", "bytes_sent"),
        "method": ("request_method", "request"),
        "duration_s": ("request_time",),
    }
    found = {name: [key for key in choices if key in keys] for name, choices in candidates.items()}
    less = "request_time" if time == "msec" and "request_time" in keys else None
    attributes = {name: present[0] for name, present in found.items() if present}
    return Layout(time, JSON_TIMES[time], attributes, less, ordered=False)


def read_json_log(content: Content, keys: Mapping[str, Any], zone: ZoneInfo | None, bad_rows: str) -> Rows:
    """Return the requests of nginx's access log in JSON lines: status, bytes, method and duration_s, if they are there.

    Parameters
    ----------
    keys
        The first object.

    Raises
    ------
    FileFormatError, InvalidInputError
        With the first bad line, unless `bad_rows` is ``skip``.
    """
    layout = json_log_layout(keys, content.reference)
    return read_blocks(lambda: map(JsonLogBlock, json_blocks(content)), layout, zone, bad_rows, f"{content.reference}:")
