"""Tables with a row for each query: which columns hold what, and their rows as arrivals and attributes."""

from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt

from pipesim.errors import FileFormatError, InvalidInputError, PipesimError
from pipesim.model.traffic import MAX_QUERIES
from pipesim.model.traffic.recorded import TimeUnit
from pipesim.traces.arrivals import Nanoseconds
from pipesim.traces.formats.blocks import BadRow, Block
from pipesim.traces.formats.columns import AttributeColumn, NotNumbersError, Numbers, Texts
from pipesim.traces.formats.content import Content
from pipesim.traces.formats.csv_table import csv_blocks, require_columns
from pipesim.traces.formats.jsonl_table import json_blocks
from pipesim.traces.formats.parquet_table import parquet_table
from pipesim.traces.formats.rows import Rows
from pipesim.traces.formats.times import Clock, Counts, Dates, MixedZonesError

TableKind = Literal["csv", "parquet", "jsonl"]


@dataclass(frozen=True, slots=True)
class Layout:
    """Which columns of a table hold what.

    Parameters
    ----------
    time
        The column of arrival times.
    unit
        What it counts.
    attributes
        Attributes of queries, and the columns that hold them.
    less
        A column, of the same unit, to subtract from the time.
    ordered
        Whether rows are in order of arrival.
    """

    time: str
    unit: TimeUnit
    attributes: Mapping[str, str] = field(default_factory=dict)
    less: str | None = None
    ordered: bool = True

    @property
    def times(self) -> tuple[str, ...]:
        """Return the columns that times are made of."""
        return (self.time,) if self.less is None else (self.time, self.less)

    @property
    def columns(self) -> tuple[str, ...]:
        """Return all columns that are needed."""
        return (*self.times, *self.attributes.values())


def read_table(content: Content, kind: TableKind, layout: Layout, zone: ZoneInfo | None, bad_rows: str) -> Rows:
    """Return the rows of a table.

    Raises
    ------
    FileFormatError, InvalidInputError
        If a column is not there; with the line (Parquet: the row) of the first bad row, unless `bad_rows` is ``skip``.
    """

    def blocks() -> Iterable[Block]:
        if kind == "parquet":
            return parquet_table(content).blocks(layout.columns)
        if kind == "jsonl":
            return json_blocks(content)
        header, found = csv_blocks(content)
        require_columns(header, layout.columns, content.reference)
        return found

    if kind == "parquet":
        return read_blocks(blocks, layout, zone, bad_rows, f"{content.reference}: row ", text=False)
    return read_blocks(blocks, layout, zone, bad_rows, f"{content.reference}:")


def read_blocks(
    blocks: Callable[[], Iterable[Block]],
    layout: Layout,
    zone: ZoneInfo | None,
    bad_rows: str,
    prefix: str,
    *,
    text: bool = True,
) -> Rows:
    """Return the rows of blocks, which are read again from the beginning when an attribute turns out to be text.

    Parameters
    ----------
    prefix
        What, with the number of a row, names it in complaints.
    text
        Whether the file is text, whose numbers may have any number of digits.

    Raises
    ------
    FileFormatError, InvalidInputError
        With the number of the first bad row, unless `bad_rows` is ``skip``.
    """
    texts: set[str] = set()
    while True:
        signed = layout.less is not None
        clock: Clock = Dates(zone) if layout.unit == "datetime" else Counts(layout.unit, signed=signed, text=text)
        reader = _Reader(prefix, layout, clock, bad_rows == "skip", texts)
        try:
            for block in blocks():
                reader.read(block)
        except NotNumbersError as column:
            texts.add(column.name)
        else:
            return reader.rows()


class _Reader:
    """Rows as they come in, block by block."""

    def __init__(self, prefix: str, layout: Layout, clock: Clock, skip: bool, texts: set[str]) -> None:
        self._prefix = prefix
        self._layout = layout
        self._clock = clock
        self._skip = skip
        self._times: list[Nanoseconds] = []
        self._columns: list[AttributeColumn] = [
            Texts(name, prefix.split(":", 1)[0]) if name in texts else Numbers(name) for name in layout.attributes
        ]
        self._numbers = _RowNumbers([], [])
        self._read = 0
        self._skipped = 0

    def read(self, block: Block) -> None:
        if self._read_quickly(block):
            return
        for part in block.parts():
            if not self._read_quickly(part):
                self._read_exactly(part)

    def rows(self) -> Rows:
        times, origin_ns = _from_the_earliest(self._times)
        prefix, numbers, time = self._prefix, self._numbers, self._layout.time
        return Rows(
            times,
            origin_ns,
            self._clock.dated,
            lambda index: f"{prefix}{numbers.of(index)}: {time}",
            {column.name: column.whole() for column in self._columns},
            self._skipped,
            self._clock.assumed_zone,
            self._layout.ordered,
        )

    def _read_quickly(self, block: Block) -> bool:
        """Read a block column by column; return whether every row was good."""
        layout = self._layout
        kinds = dict(zip(layout.attributes.values(), (column.type for column in self._columns), strict=True))
        for kind in self._clock.types():
            arrays = block.arrays({**kinds, **dict.fromkeys(layout.times, kind)})
            if arrays is None:
                continue
            times = self._clock.block([arrays[name] for name in layout.times])
            if times is None:
                continue
            values = [
                column.converted(arrays[name])
                for column, name in zip(self._columns, layout.attributes.values(), strict=True)
            ]
            found = [value for value in values if value is not None]
            if len(found) == len(values):
                self._add(times, found, block.first)
                return True
        return False

    def _read_exactly(self, block: Block) -> None:
        """Read a block row by row, and stop at a bad row or leave it out."""
        layout, split = self._layout, len(self._layout.times)
        times: list[int] = []
        texts: list[list[str]] = [[] for _ in layout.attributes]
        for number, row in block.rows(layout.columns):
            try:
                if isinstance(row, BadRow):
                    raise row.error
                try:
                    time = self._clock.row(row[:split])
                except InvalidInputError as error:
                    where = f"{self._prefix}{number}: {layout.time}"
                    raise type(error)(error.reason, where) from None
            except MixedZonesError:
                raise
            except PipesimError:
                if not self._skip:
                    raise
                self._skipped += 1
                continue
            self._numbers.note(self._read + len(times), number)
            times.append(time)
            for column, text in zip(texts, row[split:], strict=True):
                column.append(text)
        values = [column.parsed(text) for column, text in zip(self._columns, texts, strict=True)]
        self._add(np.array(times, dtype=np.int64), values, None)

    def _add(self, times: Nanoseconds, values: list[npt.NDArray[Any]], first: int | None) -> None:
        if first is not None:
            self._numbers.note(self._read, first)
        self._read += times.size
        if self._read > MAX_QUERIES:
            where = f"{self._prefix}{self._numbers.of(MAX_QUERIES)}"
            raise FileFormatError(f"{where}: holds more rows than {MAX_QUERIES:,}; cut it into parts")
        self._times.append(times)
        for column, value in zip(self._columns, values, strict=True):
            column.add(value)


def _from_the_earliest(parts: list[Nanoseconds]) -> tuple[Nanoseconds, int]:
    """Return times from the earliest on, and when it is; the parts are used up, so that nothing is there twice."""
    times = np.empty(sum(part.size for part in parts), dtype=np.int64)
    earliest = min((int(part.min()) for part in parts if part.size), default=0)
    end = times.size
    while parts:
        part = parts.pop()
        np.subtract(part, earliest, out=times[end - part.size : end])
        end -= part.size
    return times, earliest


class _RowNumbers(NamedTuple):
    """The number of each row in its file, kept where it is not that of the row before and 1.

    Parameters
    ----------
    indices, numbers
        Rows, from 0, and their numbers; both ascend.
    """

    indices: list[int]
    numbers: list[int]

    def note(self, index: int, number: int) -> None:
        if not self.indices or self.numbers[-1] - self.indices[-1] != number - index:
            self.indices.append(index)
            self.numbers.append(number)

    def of(self, index: int) -> int:
        place = bisect_right(self.indices, index) - 1
        return self.numbers[place] + index - self.indices[place]
