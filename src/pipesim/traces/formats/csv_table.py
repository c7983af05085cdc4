"""CSV files (RFC 4180) in blocks."""

import csv
import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as arrow_csv

from pipesim.errors import FileFormatError, shown
from pipesim.traces.formats.blocks import (
    CHUNK_BYTES,
    MAX_RECORD_BYTES,
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

_MAX_LINE = 1 << 16
_SHOWN_COLUMNS = 30
_SHOWN_LETTERS = 300
_MAX_TRIES = 8
"""How often the end of a row with line breaks is looked for where it may not be."""


@dataclass(frozen=True, slots=True)
class CsvBlock:
    """Some rows of a CSV file.

    Parameters
    ----------
    file
        Its name.
    header
        The names of its columns.
    lines
        The rows.
    """

    file: str
    header: tuple[str, ...]
    lines: Lines

    @property
    def first(self) -> int:
        """Return the line of the first row."""
        return self.lines.first

    def arrays(self, types: Mapping[str, pa.DataType]) -> Mapping[str, pa.Array] | None:
        """Return columns, some as text if they are nothing else, or None if a row needs a closer look.

        That is what RFC 4180 forbids, and rows of several lines.
        """
        data = self.lines.data
        quoted = b'"' in data
        if not self.lines.are_plain or has_long_line(data, _MAX_LINE):
            return None
        if quoted and (data.count(b'"') % 2 or not _Quotes.of(data).are_simple):
            return None
        # pyarrow strips blanks from numbers that it reads and not from those it casts.
        strict = quoted or any(blank in data for blank in (b" ", b"\t", b"\v", b"\f"))
        table = None if strict else self._table(types)
        if table is None:
            table = self._table(dict.fromkeys(types, pa.string()))
        if table is None or table.num_rows != self.lines.count:
            return None
        return {name: _as_type(table.column(name).combine_chunks(), kind) for name, kind in types.items()}

    def _table(self, types: Mapping[str, pa.DataType]) -> pa.Table | None:
        try:
            return arrow_csv.read_csv(
                readable_by_threads(self.lines.data),
                read_options=arrow_csv.ReadOptions(column_names=list(self.header), block_size=CHUNK_BYTES),
                parse_options=arrow_csv.ParseOptions(ignore_empty_lines=False),
                convert_options=arrow_csv.ConvertOptions(
                    column_types=types, include_columns=list(types), null_values=[], true_values=[], false_values=[]
                ),
            )
        except pa.ArrowException:
            return None

    def parts(self) -> Iterator["CsvBlock"]:
        """Return the block in small parts."""
        return (CsvBlock(self.file, self.header, lines) for lines in parts_of(self.lines, _end_of_rows))

    def rows(self, names: tuple[str, ...]) -> Iterator[tuple[int, list[str] | BadRow]]:
        """Return the line of each row with the texts of its columns `names`, or why it cannot be read."""
        indices = [self.header.index(name) for name in names]
        for line in range(self.lines.first - self.lines.blank, self.lines.first):
            yield line, blank_line(self.file, line)
        for line, row in _records(self.lines, self.file):
            if isinstance(row, BadRow):
                yield line, row
            elif not row:
                yield line, blank_line(self.file, line)
            elif len(row) != len(self.header):
                found = f"has {len(row)} fields, the header {len(self.header)}; make them equal"
                yield line, BadRow(FileFormatError(f"{self.file}:{line}: {found}"))
            else:
                yield line, [row[index] for index in indices]


def _as_type(column: pa.Array, kind: pa.DataType) -> pa.Array:
    """Return a column as a type, or as the text that it is."""
    try:
        return pc.cast(column, kind)
    except pa.ArrowException:
        return column


def csv_blocks(content: Content) -> tuple[tuple[str, ...], Iterator[CsvBlock]]:
    """Return the header of a CSV file, and its rows in blocks.

    Raises
    ------
    FileFormatError
        If the file is empty, or its header names a column twice.
    """
    blocks = lines_of(content, _end_of_rows)
    first = next(blocks, None)
    if first is None:
        raise FileFormatError(f"{content.reference}: is empty; give it a header that names its columns, and rows")
    texts = _physical_lines(first.data)
    header, used = _record(texts, 0)
    if header is None or isinstance(header, str):
        raise _invalid_csv(content.reference, first.first, header).error
    if first.blank or not header:
        raise FileFormatError(f"{content.reference}:1: is blank; begin with a header that names the columns")
    twice = next((column for index, column in enumerate(header) if column in header[:index]), None)
    if twice is not None:
        raise FileFormatError(f"{content.reference}:1: names the column {shown(twice)} twice; keep one of them")
    end = len("".join(texts[:used]).encode())
    rest = Lines(first.data[end:], first.first + used, first.count - first.data.count(b"\n", 0, end), 0)
    return tuple(header), _with_header(content.reference, tuple(header), rest, blocks)


def require_columns(header: tuple[str, ...], needed: tuple[str, ...], file: str) -> None:
    """Check that a header has columns.

    Raises
    ------
    FileFormatError
        With the columns that there are.
    """
    for column in needed:
        if column not in header:
            raise FileFormatError(f"{file}:1: has no column {column}; it has {listed(header)}")


def listed(names: tuple[str, ...]) -> str:
    """Return names for people to read, not too many."""
    names, more = names[:_SHOWN_COLUMNS], len(names) - _SHOWN_COLUMNS
    text = ", ".join(name[:_SHOWN_LETTERS] for name in names)
    return (
        text[:_SHOWN_LETTERS] + ("…" if len(text) >= _SHOWN_LETTERS else "") + (f" and {more} more" if more > 0 else "")
    )


def _with_header(file: str, header: tuple[str, ...], rest: Lines, blocks: Iterator[Lines]) -> Iterator[CsvBlock]:
    if rest.data:
        yield CsvBlock(file, header, rest)
    for lines in blocks:
        yield CsvBlock(file, header, lines)


def _end_of_rows(data: bytes) -> int:
    """Return where the last row ends that is surely whole, or 0: no line break in quotes ends a row."""
    if b'"' not in data:
        return end_of_lines(data)
    quotes = _Quotes.of(data)
    if quotes.enclose_fields:
        closed = quotes.breaks[quotes.before_breaks % 2 == 0]
        return int(closed[-1]) + 1 if closed.size else 0
    texts, index, end = _physical_lines(data), 0, 0
    while index < len(texts):
        row, used = _record(texts, index)
        if row is None and sum(map(len, texts[index : index + MAX_RECORD_BYTES])) <= MAX_RECORD_BYTES:
            break
        if not texts[index + used - 1].endswith("\n"):
            break
        end += len("".join(texts[index : index + used]).encode())
        index += used
    return end


@dataclass(frozen=True, slots=True)
class _Quotes:
    """The quotes of CSV text that begins outside quotes.

    Parameters
    ----------
    breaks
        Where the line breaks are.
    before_breaks
        How many quotes are before each.
    enclose_fields
        Whether every quote begins or ends a field, or is doubled; the last may have no partner.
    """

    breaks: npt.NDArray[np.int64]
    before_breaks: npt.NDArray[np.int64]
    enclose_fields: bool

    @classmethod
    def of(cls, data: bytes) -> "_Quotes":
        letters = np.frombuffer(data, dtype=np.uint8)
        quotes = np.flatnonzero(letters == ord('"'))
        breaks = np.flatnonzero(letters == ord("\n"))
        opening, closing = quotes[::2], quotes[1::2]
        padded = np.concatenate(([ord("\n")], letters, [ord("\n")]))
        doubled = closing[: opening[1:].size] + 1 == opening[1:]
        opens = np.isin(padded[opening], np.frombuffer(b",\n", dtype=np.uint8))
        closes = np.isin(padded[closing + 2], np.frombuffer(b",\r\n", dtype=np.uint8))
        opens[1:] |= doubled
        closes[: doubled.size] |= doubled
        return cls(breaks, np.searchsorted(quotes, breaks), bool(opens.all() and closes.all()))

    @property
    def are_simple(self) -> bool:
        """Return whether quotes enclose fields, and no line break is inside a pair."""
        return self.enclose_fields and not (self.before_breaks % 2).any()


def _records(lines: Lines, file: str) -> Iterator[tuple[int, list[str] | BadRow]]:
    """Return each row with its line; a row whose quote is not closed ends with its line."""
    texts = _physical_lines(lines.data)
    index = 0
    while index < len(texts):
        number = lines.first + index
        text = texts[index]
        if len(text) > _MAX_LINE:
            yield number, too_long(file, number, _MAX_LINE)
            index += 1
            continue
        row, used = _record(texts, index)
        yield number, _invalid_csv(file, number, row) if row is None or isinstance(row, str) else row
        index += used


def _physical_lines(data: bytes) -> list[str]:
    return list(io.StringIO(data.decode(), newline=""))


def _invalid_csv(file: str, line: int, reason: str | None) -> BadRow:
    why = "a quote is not closed" if reason is None else reason
    return BadRow(FileFormatError(f"{file}:{line}: is not valid CSV ({why}); correct the row"))


def _record(texts: list[str], index: int) -> tuple[list[str] | str | None, int]:
    """Return the fields of the row that begins with a line, or what is wrong, and how many lines it has."""
    text = texts[index]
    if '"' not in text:
        bare = text.rstrip("\r\n")
        return (bare.split(",") if bare else []), 1
    size, odd, tries = 0, False, 0
    for used in range(1, len(texts) - index + 1):
        line = texts[index + used - 1]
        size += len(line)
        odd ^= line.count('"') % 2 == 1
        if size > MAX_RECORD_BYTES or tries > _MAX_TRIES:
            break
        if odd and used > _MAX_TRIES:
            continue  # a row has an even number of quotes, unless one is a letter like others
        tries += 1
        try:
            return next(csv.reader(texts[index : index + used], strict=True)), used
        except csv.Error as error:
            if "unexpected end of data" not in str(error):
                return str(error), 1
    return None, 1
