"""Text files in blocks of whole rows, each with its line, and rows that cannot be read."""

import codecs
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
import pyarrow as pa

from pipesim.errors import FileFormatError, PipesimError
from pipesim.traces.formats.content import PIECE_BYTES, Content, checked_text

CHUNK_BYTES = 1 << 20
"""What one thread of pyarrow reads at once; several read one block."""
PART_BYTES = 1 << 15
"""What is looked at row by row if one row needs it."""
MAX_RECORD_BYTES = 1 << 20
"""A row with line breaks in quotes holds at most 1 MiB."""


class BadRow(NamedTuple):
    """A row that cannot be read, and why."""

    error: PipesimError


class Block(Protocol):
    """Some consecutive rows of a file."""

    def arrays(self, types: Mapping[str, pa.DataType]) -> Mapping[str, pa.Array] | None:
        """Return columns, or None if a row, or its line, needs a closer look."""
        ...

    def parts(self) -> "Iterator[Block]":
        """Return the block in parts so small that little is lost if one needs a closer look."""
        ...

    def rows(self, names: tuple[str, ...]) -> Iterator[tuple[int, list[str] | BadRow]]:
        """Return the number of each row, as people count, with the texts of its columns `names`."""
        ...

    @property
    def first(self) -> int:
        """Return the number of the first row, if the quick way reads the block."""
        ...


@dataclass(frozen=True, slots=True)
class Lines:
    """Whole lines of a text file, without blank ones at the end.

    Parameters
    ----------
    data
        The lines.
    first
        The number of the first.
    count
        How many there are.
    blank
        How many blank lines are directly before them.
    """

    data: bytes
    first: int
    count: int
    blank: int

    @property
    def are_plain(self) -> bool:
        """Return whether all lines end as on Unix or Windows, none before them is blank, and pyarrow drops nothing."""
        if self.blank or self.data.startswith(codecs.BOM_UTF8):  # which pyarrow drops wherever data begin
            return False
        return b"\r" not in self.data or self.data.count(b"\r") == self.data.count(b"\r\n")


def parts_of(lines: Lines, end_of_rows: Callable[[bytes], int]) -> Iterator[Lines]:
    """Return lines in parts that end where a row ends."""
    start, first, blank, size = 0, lines.first, lines.blank, PART_BYTES
    while start < len(lines.data):
        part = lines.data[start : start + size]
        while start + len(part) < len(lines.data) and lines.data[start + len(part)] & 0xC0 == 0x80:
            part = part[:-1]  # a character is not cut
        end = len(part) if start + size >= len(lines.data) else end_of_rows(part)
        if not end:
            size *= 2
            continue
        part = part[:end]
        count = part.count(b"\n") + (not part.endswith(b"\n"))
        yield Lines(part, first, count, blank)
        start, first, blank, size = start + end, first + count, 0, PART_BYTES


def end_of_lines(data: bytes) -> int:
    """Return where the last whole line ends; 0 if none does."""
    return data.rfind(b"\n") + 1


def lines_of(content: Content, end_of_rows: Callable[[bytes], int] = end_of_lines) -> Iterator[Lines]:
    """Return the lines of a text file in blocks; blank lines at its end are left out.

    Parameters
    ----------
    end_of_rows
        Returns where the last row ends that is surely whole, or 0.

    Raises
    ------
    FileFormatError
        If the content is not text, or a line is longer than a piece.
    """
    carry, line, blank = b"", 1, 0
    for piece, is_last in _with_last(checked_text(content.pieces(), content.reference)):
        data = carry + piece if carry else piece
        end = len(data) if is_last else end_of_rows(data)
        if not end and len(data) > PIECE_BYTES:
            end = end_of_lines(data)
            if not end:
                raise FileFormatError(f"{content.reference}:{line}: is longer than {PIECE_BYTES:,} characters")
        carry = data[end:]
        if end:
            count = count_breaks(data, end)
            lines, blank = _without_blank_end(data[:end], line, count, blank)
            line += count
            if lines is not None:
                yield lines


def _with_last(pieces: Iterator[bytes]) -> Iterator[tuple[bytes, bool]]:
    """Return each piece, and whether it is the last."""
    before = next(pieces, None)
    for piece in pieces:
        assert before is not None
        yield before, False
        before = piece
    if before is not None:
        yield before, True


def _without_blank_end(data: bytes, line: int, breaks: int, blank: int) -> tuple[Lines | None, int]:
    """Return lines without the blank ones at their end, and how many these are."""
    if not data:
        return None, blank
    ends_blank = data.endswith((b"\n\n", b"\n\r\n", b"\r\r\n", b"\r\r", b"\n\r"))
    if not ends_blank and (data[:1] not in b"\r\n" or data.strip(b"\r\n")):
        return Lines(data, line, breaks + (not data.endswith(b"\n")), blank), 0
    rows = data.rstrip(b"\r\n")
    if not rows:
        return None, blank + breaks
    end = len(rows) + (2 if data.startswith(b"\r\n", len(rows)) else 1)
    after = data.count(b"\n", end)
    return Lines(data[:end], line, breaks - after, blank), after


def has_long_line(data: bytes, longest: int) -> bool:
    r"""Return whether a line may be longer than `longest`: surely not if each half of that length has a line break.

    >>> has_long_line(b"ab\ncd\n", 8), has_long_line(b"abcdefghijk\n", 8)
    (False, True)
    """
    half = longest // 2
    return any(data.find(b"\n", start, start + half) < 0 for start in range(0, len(data) - half, half))


def count_breaks(data: bytes, end: int) -> int:
    """Return how many line breaks are before `end`; some ten times as fast as ``bytes.count``."""
    return int(np.count_nonzero(np.frombuffer(data, dtype=np.uint8, count=end) == ord("\n")))


def too_long(file: str, line: int, longest: int) -> BadRow:
    """Return what is wrong with a line that is too long."""
    return BadRow(FileFormatError(f"{file}:{line}: is longer than {longest:,} characters, which is the limit"))


def blank_line(file: str, line: int) -> BadRow:
    """Return what is wrong with a blank line between rows."""
    return BadRow(FileFormatError(f"{file}:{line}: is blank; remove the line"))
