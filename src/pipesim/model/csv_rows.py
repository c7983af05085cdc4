"""CSV files as rows of text, with the line on which each begins."""

import csv
import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from pipesim.errors import FileFormatError, shown
from pipesim.files import decode_text

_MAX_LINE = 1 << 16


@dataclass(frozen=True, slots=True)
class CsvRows:
    """The header of a CSV file and its rows, each as long as the header, with the line on which it begins."""

    header: tuple[str, ...]
    rows: Iterator[tuple[int, list[str]]]


def csv_rows(content: bytes, name: str, needed: Iterable[str]) -> CsvRows:
    """Return the rows of a CSV file, which are read one by one; blank lines are allowed at its end alone.

    Raises
    ------
    FileFormatError
        With the line: if `content` is no CSV text, its header lacks a `needed` column or names one twice, a row has
        not as many fields as the header, or a line is longer than 64 KiB.
    """
    rows = _rows(content, name)
    _, header = next(rows, (1, []))
    if not header:
        raise FileFormatError(f"{name}: is empty; give it a header with {', '.join(needed)}, and rows")
    for column in needed:
        if column not in header:
            raise FileFormatError(f"{name}:1: has no column {column}; it has {', '.join(header)}")
    twice = next((column for index, column in enumerate(header) if column in header[:index]), None)
    if twice is not None:
        raise FileFormatError(f"{name}:1: names the column {shown(twice)} twice; keep one of them")
    return CsvRows(tuple(header), _as_long_as(len(header), rows, name))


def _rows(content: bytes, name: str) -> Iterator[tuple[int, list[str]]]:
    reader = csv.reader(_bounded(io.StringIO(decode_text(content, name), newline=""), name), strict=True)
    while True:
        line = reader.line_num + 1
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise FileFormatError(f"{name}:{line}: is not valid CSV ({error}); correct the row") from error
        yield line, row


def _bounded(lines: Iterable[str], name: str) -> Iterator[str]:
    for number, line in enumerate(lines, 1):
        if len(line) > _MAX_LINE:
            raise FileFormatError(f"{name}:{number}: is longer than {_MAX_LINE:,} characters, which is the limit")
        yield line


def _as_long_as(length: int, rows: Iterator[tuple[int, list[str]]], name: str) -> Iterator[tuple[int, list[str]]]:
    blank = None
    for line, row in rows:
        if not row:
            blank = blank or line
            continue
        if blank:
            raise FileFormatError(f"{name}:{blank}: is blank; remove the line")
        if len(row) != length:
            raise FileFormatError(f"{name}:{line}: has {len(row)} fields, the header {length}; make them equal")
        yield line, row
