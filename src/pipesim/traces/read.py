"""Recorded traffic: trace files as arrival times, exact to the nanosecond."""

import io
from dataclasses import replace
from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation

import numpy as np
import numpy.typing as npt
import pandas as pd

from pipesim.errors import FileFormatError, invalid
from pipesim.files import InputFile, decode_text, sha256
from pipesim.model.traffic import MAX_QUERIES, RecordedTraffic
from pipesim.traces.arrivals import ArrivalTrace, Column
from pipesim.units import NS_PER_S

_NS_PER_UNIT = {"s": NS_PER_S, "ms": 10**6, "us": 10**3, "ns": 1}
_MAX_NS = 2**62
_DATETIME = r"^\d{4}-\d{2}-\d{2}([ T]\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?)?$"
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
    name = traffic.file
    layout = traffic if traffic.format == "csv" else _AZURE_LLM
    table = _read_table(content, name)
    assert layout.column is not None
    assert layout.unit is not None
    for column in (layout.column, *layout.columns.values()):
        if column not in table.columns:
            raise FileFormatError(f"{name}:1: has no column {column}; it has {', '.join(map(str, table.columns))}")
    if len(table) > MAX_QUERIES:
        raise FileFormatError(f"{name}: holds {len(table)} rows; use at most {MAX_QUERIES}")
    where = f"{name}:%d: {layout.column}"
    texts = table[layout.column].tolist()
    times = _datetimes_ns(texts, where) if layout.unit == "datetime" else _counts_ns(texts, layout.unit, where)
    attributes = {key: _attribute(table[column].tolist()) for key, column in layout.columns.items()}
    trace = _trace(times, attributes, where, traffic.unsorted, InputFile(name, sha256(content)))
    return trace if layout.unit == "datetime" else replace(trace, epoch_ns=0)


def _read_table(content: bytes, name: str) -> pd.DataFrame:
    """Return the file's fields as text; the row with index i stands on line i + 2."""
    text = decode_text(content, name)
    try:
        table = pd.read_csv(io.StringIO(text), dtype=str, na_filter=False, skip_blank_lines=False, index_col=False)
    except pd.errors.EmptyDataError:
        raise FileFormatError(f"{name}: is empty; a trace needs a header and a row for each query") from None
    except (pd.errors.ParserError, pd.errors.ParserWarning) as error:
        reason = str(error).rsplit("error: ", 1)[-1].strip()
        raise FileFormatError(f"{name}: is not valid CSV ({reason}); correct the line") from error
    return table


def _counts_ns(texts: list[str], unit: str, where: str) -> npt.NDArray[np.int64]:
    factor = _NS_PER_UNIT[unit]
    times = np.empty(len(texts), dtype=np.int64)
    for row, text in enumerate(texts):
        try:
            exact = Decimal(text) * factor
        except (InvalidOperation, TypeError):
            raise invalid(where % (row + 2), text, f"is not a number of {unit}", "correct or remove the row") from None
        if not exact.is_finite() or not 0 <= exact < _MAX_NS:
            rule = "is negative" if exact.is_finite() and exact < 0 else "is not finite or too large"
            raise invalid(where % (row + 2), text, rule, f"use 0 to {_MAX_NS / factor:.3g} {unit}")
        times[row] = int(exact.to_integral_value(ROUND_HALF_EVEN))
    return times


def _datetimes_ns(texts: list[str], where: str) -> npt.NDArray[np.int64]:
    good = pd.Series(texts, dtype=object).str.match(_DATETIME).to_numpy(dtype=bool)
    if not good.all():
        row = int(np.argmin(good))
        raise invalid(
            where % (row + 2), texts[row], "is not a date and time", "write 2023-11-16 18:15:46.68 (UTC, no zone)"
        )
    try:
        stamps = np.array(texts, dtype="datetime64[ns]")
    except ValueError:
        row = next(row for row, text in enumerate(texts) if not _is_datetime(text))
        raise invalid(where % (row + 2), texts[row], "is not a date that exists", "correct or remove the row") from None
    return stamps.astype(np.int64)


def _is_datetime(text: str) -> bool:
    try:
        np.datetime64(text, "ns")
    except ValueError:
        return False
    return True


def _attribute(texts: list[str]) -> Column:
    """Return a column as float64 if every value is a finite number, else as text."""
    try:
        numbers = np.array(texts, dtype=np.float64)
    except ValueError:
        return np.array(texts, dtype=str)
    return numbers if np.isfinite(numbers).all() else np.array(texts, dtype=str)


def _trace(
    times: npt.NDArray[np.int64], attributes: dict[str, Column], where: str, unsorted: str, source: InputFile
) -> ArrivalTrace:
    if not times.size:
        return ArrivalTrace(times, 0, 0, attributes, (source,))
    earlier = np.flatnonzero(np.diff(times) < 0)
    if earlier.size and unsorted == "refuse":
        line = int(earlier[0]) + 3
        raise invalid(where % line, int(times[line - 2]), "ns is earlier than the row before it", "say unsorted: sort")
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
