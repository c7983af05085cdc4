"""Invocations per minute of Azure Functions, 2019: a row for each function, a column for each minute of a day.

Source: Shahrad et al., "Serverless in the Wild", USENIX ATC 2020; files ``invocations_per_function_md.anon.d*.csv`` of
``Azure/AzurePublicDataset``, and parts of them with fewer functions and minutes.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pipesim.errors import FileFormatError, InvalidInputError, invalid
from pipesim.files import InputFile
from pipesim.model.csv_rows import csv_rows
from pipesim.model.traffic.recorded import CountsFile
from pipesim.traces.counts import CountSeries
from pipesim.traces.formats.bins import Numbers, bin_numbers, completed, laid_out, refused
from pipesim.traces.formats.content import Content
from pipesim.units import NS_PER_S

HASHES = ("HashOwner", "HashApp", "HashFunction")
_NAMED = (*HASHES, "Trigger")
_MINUTE_NS = 60 * NS_PER_S
_MINUTES_PER_DAY = 1440
_MOST_DIGITS = 15
_MAX_ROWS = 1_000_000


def read_function_counts(content: Content, spec: CountsFile) -> CountSeries:
    """Return the invocations of all functions, or of those whose owner, app or function hash is the `series`.

    Raises
    ------
    FileFormatError, InvalidInputError
        With line and column: if a header or count is not allowed, or a minute is absent that `missing` refuses; or if
        no function has that hash.
    """
    table = _open(content)
    total = np.zeros(table.numbers.size, dtype=np.int64)
    rows = found = 0
    for hashes, counts in table.rows:
        rows += 1
        if rows > _MAX_ROWS:
            raise FileFormatError(f"{content.reference}: holds more functions than {_MAX_ROWS:,}; cut it into parts")
        if spec.series is None or spec.series in hashes:
            found += 1
            total += counts
    if not rows:
        raise FileFormatError(f"{content.reference}: holds no functions; give it a row for each")
    if not found:
        raise invalid(
            "counts.series", spec.series, f"is no hash of the {rows:,} functions", "leave it out for their sum"
        )
    return table.series(total, spec)


def read_functions(path: Path, spec: CountsFile) -> Iterator[tuple[str, CountSeries]]:
    """Return the hash and the counts of each function, in the order of the file: many curves, one for each model.

    If `spec` names a series, only the functions of that owner, app or function hash are returned.

    Raises
    ------
    FileFormatError, InvalidInputError
        As :func:`pipesim.traces.formats.counts.read_counts`, when the row is reached.
    """
    table = _open(Content(spec.file, path))
    for hashes, counts in table.rows:
        if spec.series is None or spec.series in hashes:
            yield hashes[2], table.series(counts, spec)


@dataclass(frozen=True, slots=True)
class _Table:
    """The functions of a file.

    Parameters
    ----------
    file
        Its name.
    minutes
        The names of its columns of counts.
    numbers
        The bin of each such column.
    rows
        The three hashes of each function, and its counts.
    input
        The file, hashed.
    """

    file: str
    minutes: tuple[str, ...]
    numbers: Numbers
    rows: Iterator[tuple[tuple[str, ...], npt.NDArray[np.int64]]]
    input: InputFile

    def series(self, counts: npt.NDArray[np.int64], spec: CountsFile) -> CountSeries:
        """Return counts of all columns as a series; the day is not known, so it is not dated."""
        laid = laid_out(self.numbers, counts.astype(np.float64))
        absent = int(np.isnan(laid).sum())
        first = int(self.minutes[0])

        def refuse(number: int) -> InvalidInputError:
            return refused(f"{self.file}:1", _shown_minute((first + number) * _MINUTE_NS), absent, laid.size)

        whole = completed(laid, spec.missing, refuse)
        return CountSeries(0, _MINUTE_NS, whole, absent=absent, inputs=(self.input,))


def _shown_minute(time_ns: int) -> str:
    return f"minute {time_ns // _MINUTE_NS}"


def _open(content: Content) -> _Table:
    file = content.reference
    data = b"".join(content.pieces())
    table = csv_rows(data, file, _NAMED)
    minutes = table.header[len(_NAMED) :]
    if table.header[: len(_NAMED)] != _NAMED or not minutes:
        raise FileFormatError(f"{file}:1: does not begin with {', '.join(_NAMED)} and a minute; restore the header")
    for minute in minutes:
        if not (minute.isascii() and minute.isdecimal() and int(minute[:9]) <= _MINUTES_PER_DAY):
            raise invalid(f"{file}:1", minute, "is not a minute of the day", f"use 1 to {_MINUTES_PER_DAY}")
    times_ns = np.array([int(minute) for minute in minutes]) * _MINUTE_NS
    numbers = bin_numbers(times_ns, _MINUTE_NS, lambda column: f"{file}:1", _shown_minute)
    rows = (
        (tuple(row[: len(HASHES)]), _parse_counts(row[len(_NAMED) :], minutes, f"{file}:{line}"))
        for line, row in table.rows
    )
    return _Table(file, minutes, numbers, rows, InputFile.of(file, data))


def _parse_counts(cells: list[str], minutes: tuple[str, ...], where: str) -> npt.NDArray[np.int64]:
    joined = "".join(cells)
    if (
        not (joined.isascii() and joined.isdecimal())
        or min(map(len, cells)) == 0
        or max(map(len, cells)) > _MOST_DIGITS
    ):
        for minute, cell in zip(minutes, cells, strict=True):
            if not (cell.isascii() and cell.isdecimal() and len(cell) <= _MOST_DIGITS):
                remedy = f"use one from 0, of at most {_MOST_DIGITS} digits"
                raise invalid(f"{where}: {minute}", cell, "is not a whole number", remedy)
    return np.array(list(map(int, cells)), dtype=np.int64)
