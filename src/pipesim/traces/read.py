"""Recorded traffic: trace files as arrival times, exact to the nanosecond."""

import re
from array import array
from dataclasses import dataclass, replace
from decimal import ROUND_HALF_EVEN, Decimal

import numpy as np
import numpy.typing as npt

from pipesim.errors import FileFormatError, InvalidInputError, invalid
from pipesim.files import InputFile
from pipesim.model.csv_rows import csv_rows
from pipesim.model.traffic import MAX_QUERIES, RecordedTraffic
from pipesim.traces.arrivals import ArrivalTrace, Column
from pipesim.units import NS_PER_S, NUMBER, parse_number

_NS_PER_UNIT = {"s": NS_PER_S, "ms": 10**6, "us": 10**3, "ns": 1}
_MAX_NS = 2**62
_DATETIME = re.compile(r"\d{4}-\d{2}-\d{2}([ T]\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?)?", re.ASCII)
_FIRST_YEAR, _LAST_YEAR = "1970", "2261"  # what int64 holds in nanoseconds since 1970, in whole years
_AZURE_LLM = RecordedTraffic(
    file="azure-llm",
    column="TIMESTAMP",
    unit="datetime",
    columns={"context_tokens": "ContextTokens", "generated_tokens": "GeneratedTokens"},
)


def parse_trace(content: bytes, traffic: RecordedTraffic) -> ArrivalTrace:
    """Return the arrivals in a trace file, times counted from the first; the epoch is known for dates only.

    Format ``csv`` has a header; `traffic` names the column of arrival times, what it counts (``s``, ``ms``, ``us``,
    ``ns`` of any origin, or ``datetime``: ISO 8601 without zone, taken as UTC), and the columns to keep as attributes.
    Format ``azure-llm`` is the Azure LLM inference trace of 2023 (``TIMESTAMP`` with seven fractional digits, CRLF),
    whose token counts become the attributes ``context_tokens`` and ``generated_tokens``.

    Raises
    ------
    FileFormatError, InvalidInputError
        With the line of the first bad row.
    """
    layout = traffic if traffic.format == "csv" else _AZURE_LLM
    assert layout.column is not None
    assert layout.unit is not None
    columns = _read_columns(content, traffic.file, (layout.column, *layout.columns.values()))
    arrivals = columns[layout.column]
    times = _datetimes_ns(arrivals) if layout.unit == "datetime" else _counts_ns(arrivals, layout.unit)
    attributes = {key: _attribute(columns[column].texts) for key, column in layout.columns.items()}
    trace = _trace(times, attributes, arrivals, traffic.unsorted, InputFile.of(traffic.file, content))
    return trace if layout.unit == "datetime" else replace(trace, epoch_ns=0)


@dataclass(frozen=True, slots=True)
class _CsvColumn:
    """One column of a file, with the lines of its rows, which all columns share."""

    file: str
    name: str
    texts: list[str]
    lines: "array[int]"

    def where(self, row: int) -> str:
        return f"{self.file}:{self.lines[row]}: {self.name}"


def _read_columns(content: bytes, file: str, names: tuple[str, ...]) -> dict[str, _CsvColumn]:
    table = csv_rows(content, file, names)
    lines: array[int] = array("q")
    columns = {name: _CsvColumn(file, name, [], lines) for name in names}
    kept = [(column.texts, table.header.index(name)) for name, column in columns.items()]
    for line, row in table.rows:
        if len(lines) == MAX_QUERIES:
            raise FileFormatError(f"{file}:{line}: holds more rows than {MAX_QUERIES:,}; cut it into parts")
        lines.append(line)
        for texts, index in kept:
            texts.append(row[index])
    return columns


def _counts_ns(column: _CsvColumn, unit: str) -> npt.NDArray[np.int64]:
    factor = _NS_PER_UNIT[unit]
    largest = Decimal(_MAX_NS) / factor
    times = np.empty(len(column.texts), dtype=np.int64)
    for row, text in enumerate(column.texts):
        try:
            number = parse_number(text)
        except InvalidInputError as error:
            raise InvalidInputError(error.reason, column.where(row)) from None
        if not 0 <= number < largest:
            rule = "is negative" if number < 0 else "is too large"
            raise invalid(column.where(row), text, rule, f"use 0 to {largest:.3g} {unit}")
        times[row] = int((number * factor).to_integral_value(ROUND_HALF_EVEN))
    return times


def _datetimes_ns(column: _CsvColumn) -> npt.NDArray[np.int64]:
    for row, text in enumerate(column.texts):
        if not _DATETIME.fullmatch(text):
            remedy = "write 2023-11-16 18:15:46.68 (UTC, no zone)"
            raise invalid(column.where(row), text, "is not a date and time", remedy)
        if not _FIRST_YEAR <= text[:4] <= _LAST_YEAR:
            raise invalid(column.where(row), text, "is out of range", f"use the years {_FIRST_YEAR} to {_LAST_YEAR}")
    try:
        stamps = np.array(column.texts, dtype="datetime64[ns]")
    except ValueError:
        row = next(row for row, text in enumerate(column.texts) if not _is_datetime(text))
        raise invalid(
            column.where(row), column.texts[row], "is not a date that exists", "correct or remove the row"
        ) from None
    return stamps.astype(np.int64)


def _is_datetime(text: str) -> bool:
    try:
        np.datetime64(text, "ns")
    except ValueError:
        return False
    return True


def _attribute(texts: list[str]) -> Column:
    """Return a column as float64 if every value is a finite number, else as text."""
    if all(map(NUMBER.fullmatch, texts)):
        numbers = np.array(texts, dtype=np.float64)
        if np.isfinite(numbers).all():
            return numbers
    return np.array(texts, dtype=str)


def _trace(
    times: npt.NDArray[np.int64],
    attributes: dict[str, Column],
    arrivals: _CsvColumn,
    unsorted: str,
    source: InputFile,
) -> ArrivalTrace:
    if not times.size:
        return ArrivalTrace(times, 0, 0, attributes, (source,))
    earlier = np.flatnonzero(np.diff(times) < 0)
    if earlier.size and unsorted == "refuse":
        row = int(earlier[0]) + 1
        raise invalid(
            arrivals.where(row), arrivals.texts[row], "is earlier than the row before it", "say unsorted: sort"
        )
    order = np.argsort(times, kind="stable") if earlier.size else slice(None)
    times = times[order]
    first = int(times[0])
    return ArrivalTrace(
        times - first,
        int(times[-1]) - first,
        first,
        {name: values[order] for name, values in attributes.items()},
        (source,),
    )
