"""Attributes of queries as columns: numbers if every value is one, else text."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipesim.errors import FileFormatError
from pipesim.traces.arrivals import Column
from pipesim.units import NUMBER

MAX_TEXT_BYTES = 1 << 31
"""A column of text, each value padded to the longest, takes at most 2 GiB."""


class NotNumbersError(Exception):
    """A column of numbers holds something else: it is text, from its first row on."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


@dataclass(slots=True)
class Numbers:
    """A column of which every value so far is a finite number.

    Parameters
    ----------
    name
        The attribute.
    type
        What to read the column as.
    """

    name: str
    type: pa.DataType = field(default_factory=pa.float64)
    parts: list[npt.NDArray[np.float64]] = field(default_factory=list)

    def converted(self, array: pa.Array) -> npt.NDArray[Any] | None:
        """Return values of an array of any type, or None if they need a closer look.

        Raises
        ------
        NotNumbersError
            If one is not a finite number.
        """
        if array.null_count:
            return None
        kind = array.type
        if pa.types.is_integer(kind) or pa.types.is_floating(kind):
            values = np.asarray(array.to_numpy(zero_copy_only=False), dtype=np.float64)
        elif pa.types.is_string(kind) or pa.types.is_large_string(kind):
            try:
                values = np.asarray(pc.cast(array, pa.float64()).to_numpy())
            except pa.ArrowException:
                return self.parsed(array.to_pylist())
        elif pa.types.is_decimal(kind):
            values = np.array([float(value) for value in array.to_pylist()], dtype=np.float64)
        else:
            return None
        if not np.isfinite(values).all():
            raise NotNumbersError(self.name)
        return values

    def parsed(self, texts: list[str]) -> npt.NDArray[Any]:
        """Return the values of texts.

        Raises
        ------
        NotNumbersError
            If one is not a finite number in ASCII digits.
        """
        if not all(map(NUMBER.fullmatch, texts)):
            raise NotNumbersError(self.name)
        values = np.array(texts, dtype=np.float64)
        if not np.isfinite(values).all():
            raise NotNumbersError(self.name)
        return values

    def add(self, values: npt.NDArray[Any]) -> None:
        """Append values."""
        self.parts.append(values)

    def whole(self) -> Column:
        """Return the column."""
        values = np.concatenate(self.parts) if self.parts else np.empty(0, dtype=np.float64)
        self.parts.clear()
        return values


@dataclass(slots=True)
class Texts:
    """A column of text; its parts are as wide as their longest values.

    Parameters
    ----------
    name
        The attribute.
    file
        The file, for complaints.
    type
        What to read the column as.
    """

    name: str
    file: str
    type: pa.DataType = field(default_factory=pa.string)
    parts: list[npt.NDArray[np.str_]] = field(default_factory=list)
    _rows: int = 0
    _letters: int = 1

    def converted(self, array: pa.Array) -> npt.NDArray[Any] | None:
        """Return values of an array of any type that can be written as text, or None if they need a closer look.

        Raises
        ------
        FileFormatError
            If the column would take too much memory.
        """
        if array.null_count:
            return None
        try:
            encoded = pc.cast(array, pa.string()).dictionary_encode()
        except pa.ArrowException:
            return None
        distinct = encoded.dictionary.to_pylist()
        self._check_memory(len(array), distinct)
        values = np.array(distinct, dtype=str)
        return np.take(values, encoded.indices.to_numpy()) if distinct else values

    def parsed(self, texts: list[str]) -> npt.NDArray[Any]:
        """Return texts.

        Raises
        ------
        FileFormatError
            If the column would take too much memory.
        """
        self._check_memory(len(texts), texts)
        return np.array(texts, dtype=str)

    def _check_memory(self, rows: int, texts: list[str]) -> None:
        letters = max(self._letters, *map(len, texts), 1)
        if 4 * letters * (self._rows + rows) > MAX_TEXT_BYTES:
            raise FileFormatError(
                f"{self.file}: attribute {self.name} takes more than {MAX_TEXT_BYTES:,} bytes as text; leave it out"
            )

    def add(self, values: npt.NDArray[Any]) -> None:
        """Append values."""
        self._rows += values.size
        self._letters = max(self._letters, values.dtype.itemsize // 4)
        self.parts.append(values)

    def whole(self) -> Column:
        """Return the column."""
        values = np.concatenate(self.parts) if self.parts else np.empty(0, dtype=np.float64)
        self.parts.clear()
        return values


AttributeColumn = Numbers | Texts
