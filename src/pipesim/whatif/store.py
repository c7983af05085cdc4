"""The finished rows of a sweep, in a folder of Parquet files from which it goes on.

The folder holds ``_sweep.json``, which says what sweep it is, and for each finished chunk of rows one file, written
whole or not at all and named by the content of its rows. ``pandas.read_parquet(folder)`` reads them all; the column
``row`` gives their order.
"""

import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from pipesim.errors import FileFormatError, InvalidInputError, invalid
from pipesim.files import read_bytes, write_atomically
from pipesim.whatif.content import key_of
from pipesim.whatif.evaluation import Row
from pipesim.whatif.metrics import Column, measured_frame, records_of

_MARK = "_sweep.json"
_SCHEMA_VERSION = 1
_MAX_BYTES = 1 << 26
_KEY, _ROW = "key", "row"


class Store:
    """The folder of one sweep.

    Parameters
    ----------
    folder
        Made if it is not there.
    sweep
        The key of the sweep.
    columns
        What is told of each row.

    Raises
    ------
    InvalidInputError
        If the folder holds another sweep or other files, or cannot be made.
    """

    def __init__(self, folder: Path, sweep: str, columns: Sequence[Column]) -> None:
        self._folder, self._columns = folder, columns
        mark = folder / _MARK
        if folder.exists() and not folder.is_dir():
            raise invalid("out", str(folder), "is a file", "name a folder to make, or that of this sweep")
        if mark.is_file():
            if _sweep_of(mark) != sweep:
                rule = "holds another sweep: other rows, metrics, files or version of pipesim"
                raise invalid("out", str(folder), rule, "name another folder, or remove this one")
            return
        if folder.is_dir() and any(folder.iterdir()):
            raise invalid("out", str(folder), "holds other files", "name an empty folder, or one to make")
        try:
            folder.mkdir(exist_ok=True)
        except OSError as error:
            raise invalid("out", str(folder), f"cannot be made ({error.strerror})", "name another folder") from None
        write_atomically(mark, json.dumps({"schema_version": _SCHEMA_VERSION, "sweep": sweep}) + "\n")

    def read(self, rows: Sequence[Row]) -> list[dict[str, Any]] | None:
        """Return what is told of the rows of a chunk, if they are finished.

        Raises
        ------
        FileFormatError
            If their file is damaged.
        """
        path = self._path(rows)
        if not path.is_file():
            return None
        content = read_bytes(path, _MAX_BYTES)
        try:
            frame = pd.read_parquet(io.BytesIO(content), page_checksum_verification=True)
            keys, found = frame[_KEY].tolist(), records_of(frame, self._columns)
        except Exception:  # of damaged bytes, pyarrow raises errors of many kinds
            keys, found = [], []
        if keys != [row.key for row in rows]:
            rule = "is not a whole file of this sweep; delete it, and its rows are run again"
            raise FileFormatError(f"{path.name}: {rule}")
        return found

    def write(
        self, numbers: Sequence[int], rows: Sequence[Row], varied: pd.DataFrame, found: list[dict[str, Any]]
    ) -> None:
        """Write what is told of the rows of a chunk.

        Parameters
        ----------
        numbers, rows
            Of the chunk.
        varied
            What was varied, a row for each of `rows`.
        found
            What is told of them.
        """
        head = pd.DataFrame({_ROW: list(numbers), _KEY: [row.key for row in rows]})
        frame = pd.concat([head, varied.reset_index(drop=True), measured_frame(found, self._columns)], axis=1)
        write_atomically(self._path(rows), parquet(frame))

    def _path(self, rows: Sequence[Row]) -> Path:
        return self._folder / f"rows-{key_of([row.key for row in rows])[:32]}.parquet"


def parquet(frame: pd.DataFrame) -> bytes:
    """Return a frame as the bytes of a Parquet file."""
    buffer = io.BytesIO()
    # Said to be text, a column without any value has the type that it has in the other files.
    frame = frame.astype({column: "string" for column in frame.columns if frame[column].dtype == object})
    frame.to_parquet(buffer, index=False, write_page_checksum=True)
    return buffer.getvalue()


def _sweep_of(mark: Path) -> str:
    """Return the key of the sweep that a folder holds.

    Raises
    ------
    InvalidInputError
        If its mark is not one.
    """
    try:
        held = json.loads(read_bytes(mark, 1 << 16))
        if held["schema_version"] == _SCHEMA_VERSION and isinstance(held["sweep"], str):
            return str(held["sweep"])
    except (ValueError, KeyError, TypeError, RecursionError):
        pass
    raise InvalidInputError(f"{_MARK} does not say which sweep it holds; name another folder", f"out: {mark.parent}")
