"""JSON lines in blocks: one object a line, of which only the keys that are needed are kept."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json as arrow_json

from pipesim.errors import FileFormatError, shown
from pipesim.traces.formats.blocks import (
    CHUNK_BYTES,
    BadRow,
    Lines,
    blank_line,
    end_of_lines,
    has_long_line,
    lines_of,
    parts_of,
    too_long,
)
from pipesim.traces.formats.content import Content, readable_by_threads
from pipesim.traces.formats.csv_table import listed

_MAX_LINE = 1 << 20
TWICE = object()
"""In place of the value of a key that an object has twice."""


@dataclass(frozen=True, slots=True)
class JsonBlock:
    """Some objects of a file of JSON lines.

    Parameters
    ----------
    file
        Its name.
    lines
        The objects.
    """

    file: str
    lines: Lines

    @property
    def first(self) -> int:
        """Return the line of the first object."""
        return self.lines.first

    def arrays(self, types: Mapping[str, pa.DataType]) -> Mapping[str, pa.Array] | None:
        """Return the values of keys, or None if a line needs a closer look."""
        data = self.lines.data
        if not self.lines.are_plain or not _has_objects(self.lines) or has_long_line(data, _MAX_LINE):
            return None
        if b"NaN" in data or b"Inf" in data:  # which pyarrow takes for numbers, also where nobody looks
            return None
        quoted = _quoted_keys(data)
        wanted = {
            name: pa.string() if kind == pa.float64() and name in quoted else kind for name, kind in types.items()
        }
        try:
            table = arrow_json.read_json(
                readable_by_threads(data),
                read_options=arrow_json.ReadOptions(block_size=CHUNK_BYTES),
                parse_options=arrow_json.ParseOptions(
                    explicit_schema=pa.schema(list(wanted.items())), unexpected_field_behavior="ignore"
                ),
            )
        except pa.ArrowException:
            return None
        if table.num_rows != self.lines.count:
            return None
        columns = {name: table.column(name).combine_chunks() for name in types}
        # A number may be too large for a float.
        return columns if all(_is_finite(column) for column in columns.values()) else None

    def parts(self) -> Iterator["JsonBlock"]:
        """Return the block in small parts."""
        return (JsonBlock(self.file, lines) for lines in parts_of(self.lines, end_of_lines))

    def rows(self, names: tuple[str, ...]) -> Iterator[tuple[int, list[str] | BadRow]]:
        """Return each line with the values of the keys `names` as text, or why it cannot be read."""
        for line in range(self.lines.first - self.lines.blank, self.lines.first):
            yield line, blank_line(self.file, line)
        texts = self.lines.data.decode().split("\n")
        if not texts[-1]:
            texts.pop()
        for line, text in enumerate(texts, self.lines.first):
            yield line, self._row(line, text, names)

    def _row(self, line: int, text: str, names: tuple[str, ...]) -> list[str] | BadRow:
        if len(text) > _MAX_LINE:
            return too_long(self.file, line, _MAX_LINE)
        if not text.strip():
            return blank_line(self.file, line)
        where = f"{self.file}:{line}"
        try:
            found = parse_object(text)
        except (ValueError, RecursionError) as error:
            reason = "it is nested too deep" if isinstance(error, RecursionError) else error
            return BadRow(FileFormatError(f"{where}: is not a JSON object ({reason}); correct the line"))
        values = []
        for name in names:
            if name not in found:
                return BadRow(FileFormatError(f"{where}: has no key {name}; it has {listed(tuple(found))}"))
            value = found[name]
            if value is TWICE:
                return BadRow(FileFormatError(f"{where}: has the key {shown(name)} twice; keep one of them"))
            if isinstance(value, bool):
                value = "true" if value else "false"
            if not isinstance(value, str):
                return BadRow(FileFormatError(f"{where}: {name}: {shown(value)} is not a number or text; give one"))
            values.append(value)
        return values


def _has_objects(lines: Lines) -> bool:
    """Return whether each line begins and ends as an object does.

    pyarrow takes line breaks for blanks, so objects may share a line or go on in the next, and it crashes on a piece
    that begins with null.
    """
    data = lines.data
    begin = data.startswith(b"{") + data.count(b"\n{")
    end = data.endswith(b"}") + data.count(b"}\n") + data.count(b"}\r\n")
    return begin == end == lines.count


def _is_finite(column: pa.Array) -> bool:
    return not pa.types.is_floating(column.type) or pc.all(pc.is_finite(column)).as_py() is not False


def json_blocks(content: Content) -> Iterator[JsonBlock]:
    """Return the objects of a file of JSON lines in blocks.

    Raises
    ------
    FileFormatError
        If the file holds nothing.
    """
    empty = True
    for lines in lines_of(content):
        empty = False
        yield JsonBlock(content.reference, lines)
    if empty:
        raise FileFormatError(f"{content.reference}: is empty; give it one JSON object a line")


def _quoted_keys(data: bytes) -> frozenset[str]:
    """Return the keys that hold text, which may be a number in quotes, in the first object."""
    try:
        first = json.loads(data[: data.find(b"\n") + 1] or data)
    except (ValueError, RecursionError):
        return frozenset()
    return (
        frozenset(key for key, value in first.items() if isinstance(value, str))
        if isinstance(first, dict)
        else frozenset()
    )


def parse_object(text: str) -> dict[str, Any]:
    """Return a JSON object, its numbers as text, as they are written; what a key holds that is there twice is TWICE.

    Raises
    ------
    ValueError
        If the text is no JSON object.
    """
    found = json.loads(
        text, parse_int=str, parse_float=str, parse_constant=_no_number, object_pairs_hook=_without_duplicates
    )
    if not isinstance(found, dict):
        raise ValueError(f"it is a {type(found).__name__}")  # noqa: TRY004
    return found


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"{text} is no number")


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                found[key] = TWICE
            seen.add(key)
    return found
