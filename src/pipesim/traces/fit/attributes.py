"""Attributes of queries as laws to draw them from."""

import re
from typing import Any

import numpy as np

from pipesim.model.fields import NAME_PATTERN
from pipesim.traces.arrivals import ArrivalTrace, Column

_FINE, _COARSE = 1_001, 101
_MANY = 5_000
_MOST_VALUES = 50
_SHARE_DIGITS = 6
_LARGEST = 1e15


def attribute_documents(trace: ArrivalTrace) -> tuple[dict[str, Any], list[str]]:
    """Return what a recipe says under ``attributes``, and why attributes are not in it.

    Numbers are drawn between quantiles at even steps, 1,001 of them if there are 5,000 queries, else 101; text of up to
    50 values by the share of each. Whole numbers are drawn as whole ones.
    """
    documents: dict[str, Any] = {}
    left_out: list[str] = []
    for name, column in trace.attributes.items():
        document = _quantiles(column) if column.dtype.kind == "f" else _weights(column)
        if document is None or not re.fullmatch(NAME_PATTERN, name):
            left_out.append(name)
        else:
            documents[name] = document
    return documents, left_out


def _quantiles(column: Column) -> dict[str, Any] | None:
    if not (np.isfinite(column).all() and np.abs(column).max() <= _LARGEST):
        return None
    is_whole = bool((column == np.rint(column)).all())
    steps = np.linspace(0, 1, _FINE if column.size >= _MANY else _COARSE)
    values = np.quantile(column, steps, method="inverted_cdf" if is_whole else "linear")
    if is_whole:
        return {"quantiles": values.tolist(), "whole": True}
    return {"quantiles": [float(f"{value:.6g}") for value in values.tolist()]}


def _weights(column: Column) -> dict[str, Any] | None:
    values, counts = np.unique(column, return_counts=True)
    if values.size > _MOST_VALUES or not all(str(value).isprintable() for value in values):
        return None
    shares = np.round(counts / counts.sum(), _SHARE_DIGITS)
    largest = int(counts.argmax())
    shares[largest] += 1 - shares.sum()
    rounded = [round(share, _SHARE_DIGITS) for share in shares.tolist()]
    return {"weights": dict(zip(map(str, values.tolist()), rounded, strict=True))}
