"""Columns of Parquet files in blocks."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipesim.errors import FileFormatError, shown
from pipesim.files import MAX_TRACE_BYTES
from pipesim.model.traffic import MAX_QUERIES
from pipesim.traces.formats.blocks import BadRow
from pipesim.traces.formats.content import Content
from pipesim.traces.formats.csv_table import listed

_BLOCK_ROWS = 1 << 17
_PART_ROWS = 1 << 11


@dataclass(frozen=True, slots=True)
class ParquetBlock:
    """Some rows of a Parquet file.

    Parameters
    ----------
    file
        Its name.
    columns
        Arrays of the file's own types.
    first
        The number of the first row, from 1.
    """

    file: str
    columns: Mapping[str, pa.Array]
    first: int

    def arrays(self, types: Mapping[str, pa.DataType]) -> Mapping[str, pa.Array] | None:
        """Return columns; the file knows their types."""
        return {name: self.columns[name] for name in types}

    def parts(self) -> Iterator["ParquetBlock"]:
        """Return the block in small parts."""
        rows = max(map(len, self.columns.values()), default=0)
        for start in range(0, rows, _PART_ROWS):
            columns = {name: column.slice(start, _PART_ROWS) for name, column in self.columns.items()}
            yield ParquetBlock(self.file, columns, self.first + start)

    def rows(self, names: tuple[str, ...]) -> Iterator[tuple[int, list[str] | BadRow]]:
        """Return the number of each row with the values of its columns `names` as text, or why it cannot be read."""
        columns = [_texts(self.columns[name]) for name in names]
        for number, values in enumerate(zip(*columns, strict=True), self.first):
            missing = next((name for name, value in zip(names, values, strict=True) if value is None), None)
            if missing is None:
                yield number, [value for value in values if value is not None]
            else:
                error = FileFormatError(f"{self.file}: row {number}: {missing}: is missing; give a value")
                yield number, BadRow(error)


@dataclass(frozen=True, slots=True)
class ParquetTable:
    """An open Parquet file."""

    file: str
    source: pq.ParquetFile

    @property
    def header(self) -> tuple[str, ...]:
        """Return the names of its columns."""
        return tuple(self.source.schema_arrow.names)

    def blocks(self, names: tuple[str, ...]) -> Iterator[ParquetBlock]:
        """Return the rows of columns in blocks.

        Raises
        ------
        FileFormatError
            If the file lacks a column or names one twice, cannot be read, or is too large.
        """
        for name in names:
            if name not in self.header:
                raise FileFormatError(f"{self.file}: has no column {name}; it has {listed(self.header)}")
            if self.header.count(name) > 1:
                raise FileFormatError(f"{self.file}: names the column {shown(name)} twice; keep one of them")
        self._check_size(names)
        first = 1
        with _readable(self.file):
            for batch in self.source.iter_batches(_BLOCK_ROWS, columns=list(dict.fromkeys(names))):
                yield ParquetBlock(
                    self.file, dict(zip(batch.schema.names, map(_plain, batch.columns), strict=True)), first
                )
                first += batch.num_rows

    def _check_size(self, names: tuple[str, ...]) -> None:
        metadata = self.source.metadata
        if metadata.num_rows > MAX_QUERIES:
            raise FileFormatError(f"{self.file}: holds more rows than {MAX_QUERIES:,}; cut it into parts")
        expanded = 0
        for group in range(metadata.num_row_groups):
            columns = metadata.row_group(group)
            for index in range(columns.num_columns):
                column = columns.column(index)
                if column.path_in_schema in names:
                    expanded += column.total_uncompressed_size
        if expanded > MAX_TRACE_BYTES:
            raise FileFormatError(
                f"{self.file}: columns {', '.join(names)} hold more than {MAX_TRACE_BYTES:,} bytes, which is the limit;"
                " cut it into parts"
            )


def parquet_table(content: Content) -> ParquetTable:
    """Return a Parquet file, opened.

    Raises
    ------
    FileFormatError
        If it is no Parquet file.
    """
    with _readable(content.reference):
        return ParquetTable(content.reference, pq.ParquetFile(content.seekable(), pre_buffer=False))


@contextmanager
def _readable(file: str) -> Iterator[None]:
    try:
        yield
    except (pa.ArrowException, OSError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise FileFormatError(f"{file}: is not a whole Parquet file ({reason}); fetch or write it again") from error


def _plain(column: pa.Array) -> pa.Array:
    """Return a column without an encoding that only saves space."""
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if pa.types.is_large_string(column.type) or pa.types.is_string_view(column.type):
        column = column.cast(pa.string())
    return column


def _texts(column: pa.Array) -> list[str | None]:
    """Return values as they would be in a CSV file; dates with their zone, if they have one."""
    kind = column.type
    if pa.types.is_timestamp(kind):
        column = column.cast(pa.timestamp(kind.unit)).cast(pa.string())
        if kind.tz is not None:
            column = pc.binary_join_element_wise(column, "Z", "")
    if pa.types.is_boolean(kind) or pa.types.is_temporal(kind) or pa.types.is_floating(kind):
        return list(pc.cast(column, pa.string()).to_pylist())
    return [None if value is None else _text(value) for value in column.to_pylist()]


def _text(value: object) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)
