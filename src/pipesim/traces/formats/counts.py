"""Files of counts per bin: what each is, and how it is read."""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from pipesim.errors import FileFormatError, InvalidInputError, invalid
from pipesim.model.traffic.recorded import CountFormat, CountsFile
from pipesim.traces.counts import MAX_COUNT, CountSeries, Floats, shown_time
from pipesim.traces.formats.bins import bin_numbers, completed, increases, laid_out, refused
from pipesim.traces.formats.content import Content
from pipesim.traces.formats.csv_table import csv_blocks, listed
from pipesim.traces.formats.functions import HASHES, read_function_counts
from pipesim.traces.formats.prometheus import read_range_query
from pipesim.traces.formats.rows import Rows
from pipesim.traces.formats.table import Layout, TableKind, read_table
from pipesim.traces.formats.times import zone_named
from pipesim.units import NS_PER_S, format_duration, parse_number

COUNT_FORMATS: Mapping[CountFormat, str] = {
    "csv": "CSV with a header: say time, unit, count and bin",
    "parquet": "Parquet: say time, unit, count and bin",
    "azure-functions-2019": "Azure Functions 2019, invocations per minute: one function or app, or all, summed",
    "prometheus": "the JSON answer of Prometheus to a range query: say values, and labels to choose series",
}
"""What can be read, by name."""

_TABLE_FIELDS = ("time", "count", "unit")
_UNUSED: Mapping[CountFormat, tuple[str, ...]] = {
    "csv": ("series",),
    "parquet": ("series",),
    "azure-functions-2019": (*_TABLE_FIELDS, "values", "bin", "timezone"),
    "prometheus": (*_TABLE_FIELDS, "timezone"),
}
_COUNT = "count"


def read_counts(path: Path, spec: CountsFile) -> CountSeries:
    """Return the counts in a file, all that it has, whatever part `spec` names.

    The file is expanded if its name ends in ``.gz`` or ``.zst``. Formats ``csv`` and ``parquet`` have a row for each
    bin with its start and a number: a count, a rate in that bin, or a counter as it stood when the bin began (so the
    last row ends the last bin). Bins are whole multiples of `bin` from the first; times are exact, as for arrivals. For
    the others see :func:`~pipesim.traces.formats.functions.read_function_counts` and
    :func:`~pipesim.traces.formats.prometheus.read_range_query`.

    Parameters
    ----------
    path
        The file.
    spec
        How it is written; ``spec.file`` is what complaints call it.

    Raises
    ------
    FileFormatError, InvalidInputError
        With the line (Parquet: the row) of the first row that is not a bin after the one before it, or whose number is
        not allowed: below 0, not whole where counts are due, above 10¹⁵; if a bin is absent and `spec` does not say
        what that means; if `spec` has a field that the format has no use for, or lacks one, or the format cannot be
        known.
    """
    content = Content(spec.file, path)
    name = spec.format if spec.format is not None else _detected(content, spec)
    for field in _UNUSED[name]:
        if getattr(spec, field) is not None:
            raise invalid(
                f"counts.{field}", getattr(spec, field), f"does not belong to format {name}", f"remove {field}"
            )
    if name == "azure-functions-2019":
        return read_function_counts(content, spec)
    if name == "prometheus":
        if spec.values is None:
            raise InvalidInputError(
                "is missing; say whether the numbers are counts, rates or a counter", "counts.values"
            )
        return read_range_query(content, spec)
    return _read_bins(content, name, spec)


def _detected(content: Content, spec: CountsFile) -> CountFormat:
    """Return the format of a file, if it leaves no doubt."""
    named = any(getattr(spec, field) is not None for field in _TABLE_FIELDS)
    if content.is_parquet:
        return "parquet"
    if content.head().lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{"):
        return "prometheus"
    header, _ = csv_blocks(content)
    if header[: len(HASHES)] == HASHES:
        return "azure-functions-2019"
    if not named:
        rule = f"has the columns {listed(header)}, which no known format has"
        raise FileFormatError(f"{content.reference}: {rule}; say time, unit, count and bin")
    return "csv"


def _read_bins(content: Content, kind: TableKind, spec: CountsFile) -> CountSeries:
    time, count, unit = spec.time, spec.count, spec.unit
    if time is None or count is None or unit is None:
        field = next(field for field in _TABLE_FIELDS if getattr(spec, field) is None)
        what = {"time": "which column holds the bins' starts", "count": "which column holds the counts"}
        raise InvalidInputError(
            f"is missing; say {what.get(field, 'what the column of times counts')}", f"counts.{field}"
        )
    if spec.timezone is not None and unit != "datetime":
        raise invalid("counts.timezone", spec.timezone, f"does not belong to unit {unit}", "remove timezone")
    zone = zone_named(spec.timezone, "counts.timezone")
    rows = read_table(content, kind, Layout(time, unit, {_COUNT: count}), zone, "stop")

    def where(row: int, column: str = "") -> str:
        return f"{rows.where(row).removesuffix(f': {time}')}: {column or time}"

    def shown(time_ns: int) -> str:
        return shown_time(rows.origin_ns + time_ns, rows.dated)

    if not rows.times_ns.size:
        raise FileFormatError(f"{content.reference}: holds no rows; give one for each bin")
    values = _values(rows, lambda row: where(row, count), spec.values)
    if spec.bin is None:
        steps = np.diff(np.unique(rows.times_ns))
        least = f"; the least step in the file is {format_duration(int(steps.min()))}" if steps.size else ""
        raise InvalidInputError(f"is missing; say how wide a bin is{least}", "counts.bin")
    bin_ns = spec.bin
    numbers = bin_numbers(rows.times_ns, bin_ns, where, shown)
    laid = laid_out(numbers, values)
    absent = int(np.isnan(laid).sum())
    first_ns = rows.origin_ns + int(rows.times_ns[0])
    if spec.values == "counter":
        if laid.size < 2:
            raise FileFormatError(f"{content.reference}: holds one row; a counter needs two")
        laid = increases(laid, spec.missing)
    elif spec.values == "rates":
        laid = laid * (bin_ns / NS_PER_S)
    gaps = np.flatnonzero(np.diff(numbers) > 1)

    def refuse(number: int) -> InvalidInputError:
        row = int(gaps[0])
        time = shown(int(rows.times_ns[row]) + bin_ns)
        return refused(where(row + 1), time, absent, int(numbers[-1]) + 1)

    counts = completed(laid, spec.missing, refuse)
    start_ns = first_ns if rows.dated else 0
    return CountSeries(start_ns, bin_ns, counts, rows.dated, absent, rows.zone, (content.input,))


def _values(rows: Rows, where: Callable[[int], str], kind: str | None) -> Floats:
    """Return the numbers of a column, checked."""
    column = rows.attributes[_COUNT]
    if column.dtype.kind != "f":
        for row, text in enumerate(column.tolist()):
            parse_number(text, where(row))
        raise AssertionError("a column of numbers is not text")
    wrong = (column < 0) | (column > MAX_COUNT)
    if kind in (None, "counts"):
        wrong |= column != np.rint(column)
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        value = float(column[row])
        if 0 <= value <= MAX_COUNT:
            raise invalid(where(row), value, "is not a whole number", "say values: rates if it is a rate")
        raise invalid(where(row), value, "is not allowed", f"use 0 to {MAX_COUNT:.0e}")
    return column
