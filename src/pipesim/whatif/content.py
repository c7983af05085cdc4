"""Keys that stand for content: equal content has the same key in every process, on every machine."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any


def written(data: Any) -> str:
    """Return plain data as text that tells it apart from all other data; mappings keep their order.

    >>> written({"a": [1, 1.0, "1", None]})
    '{"a":[1,1.0,"1",null]}'
    """
    return json.dumps(data, separators=(",", ":"), default=_other)


def key_of(*parts: Any) -> str:
    """Return the SHA-256 of plain data, in hexadecimal."""
    return hashlib.sha256(written(parts).encode()).hexdigest()


def _other(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    return [type(value).__name__, str(value)]  # a Decimal
