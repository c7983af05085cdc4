"""What is varied, as rows: a grid of values, rows one by one, or values side by side."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import product
from math import prod
from typing import Any

import numpy as np
import pandas as pd

from pipesim.errors import InvalidInputError, invalid
from pipesim.model.changes import plain

Vary = Mapping[str, Any] | Sequence[Mapping[str, Any]]
"""Values by path, of which every combination is a row; or rows, each with values by path."""

MAX_ROWS = 100_000
"""The most rows that one sweep may have, counted with seeds."""


def rows_of(vary: Vary) -> list[dict[str, Any]]:
    """Return the rows that are asked for, each with its values by path.

    Parameters
    ----------
    vary
        Values by path: every combination is a row, the last path varies fastest, and a value that is not a list stands
        for one. Or a list of rows.

    Raises
    ------
    InvalidInputError
        If there is no row, or more than :data:`MAX_ROWS`.

    >>> rows_of({"load": [1, 2], "seed": [7, 8]})[:2]
    [{'load': 1, 'seed': 7}, {'load': 1, 'seed': 8}]
    """
    if isinstance(vary, Mapping):
        values = {path: _listed(path, given) for path, given in vary.items()}
        check_count(prod(map(len, values.values())) if values else 0)
        return [dict(zip(values, chosen, strict=True)) for chosen in product(*values.values())]
    if not isinstance(vary, list | tuple):
        raise invalid("vary", vary, "is neither paths with values nor a list of rows", 'write {"load": [1, 2]}')
    check_count(len(vary))
    for number, row in enumerate(vary):
        if not isinstance(row, Mapping):
            raise invalid(f"vary.{number}", row, "is not a row", 'write values by path, such as {"load": 2}')
    return [{path: plain(value) for path, value in row.items()} for row in vary]


def zipped(values: Mapping[str, Iterable[Any]]) -> list[dict[str, Any]]:
    """Return rows of values side by side: the first of each path, the second of each, and so on.

    Raises
    ------
    InvalidInputError
        If the paths have different numbers of values, or none.

    >>> zipped({"load": [1, 2], "slo.p99": ["100ms", "200ms"]})
    [{'load': 1, 'slo.p99': '100ms'}, {'load': 2, 'slo.p99': '200ms'}]
    """
    lists = {path: _listed(path, given) for path, given in values.items()}
    counts = {path: len(given) for path, given in lists.items()}
    if len(set(counts.values())) != 1:
        raise invalid("zipped", counts, "is how many values there are", "give each path as many as the others")
    check_count(next(iter(counts.values())))
    return [dict(zip(lists, chosen, strict=True)) for chosen in zip(*lists.values(), strict=True)]


def check_count(count: int) -> None:
    """Check how many rows there are, before they are made."""
    if not count:
        raise InvalidInputError('asks for no row; give values, such as {"load": [1, 2]}', "vary")
    if count > MAX_ROWS:
        raise invalid("vary", count, "rows are too many", f"use at most {MAX_ROWS:,}")


def _listed(path: str, given: Any) -> list[Any]:
    if isinstance(given, np.ndarray | pd.Series | pd.Index | range):
        given = given.tolist() if hasattr(given, "tolist") else list(given)
    if not isinstance(given, list | tuple):
        given = [given]
    if not given:
        raise InvalidInputError("has no values; give at least one", path)
    return [plain(value) for value in given]
