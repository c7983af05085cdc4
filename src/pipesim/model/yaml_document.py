"""YAML 1.2 documents as plain data, with the line of every field."""

import re
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any

import yaml

from pipesim.errors import FileFormatError, shown

Place = tuple[str | int, ...]

_MAX_DIGITS = 40
_MAX_DEPTH = 32
MAX_VALUES = 20_000
"""A document holds at most this many values, unless its reader says otherwise."""
_LONGEST_NAME = 65
# The core schema of YAML 1.2 (section 10.3.2): `1e3` is a number, `010` is ten, `yes` is a string.
_NULL = re.compile(r"null|Null|NULL|~|")
_BOOL = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_INT = re.compile(r"[-+]?[0-9]+")
_BASED_INT = re.compile(r"0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_NON_FINITE = re.compile(r"([-+]?)\.(inf|Inf|INF)|\.(nan|NaN|NAN)")


@dataclass(frozen=True, slots=True)
class YamlDocument:
    """The plain data of a document and the line on which each of its fields stands.

    Data that is not from a file has numbers in place of lines, in the order of the fields, which are not shown.
    """

    name: str
    data: Any
    lines: dict[Place, int]
    from_file: bool = True

    def line_of(self, place: Place) -> int:
        """Return the line of the field at `place`, or of the nearest above it that exists."""
        return next(self.lines[place[:end]] for end in range(len(place), -1, -1) if place[:end] in self.lines)

    def where(self, place: Place) -> str:
        """Return ``file:line: field`` for the field at `place`, with the line of the nearest that exists."""
        line, field = self.line_of(place), ".".join(str(part)[:_LONGEST_NAME] for part in place)
        return self.name + (f":{line}" if self.from_file else "") + (f": {field}" if field else "")

    def with_value(self, place: Place, value: Any) -> "YamlDocument":
        """Return the document with another value at a place, for which mappings are made that are missing.

        It has no lines any more; of several problems, those of the values that were changed last come first.

        >>> plain_document({"a": {"b": 1}}, "doc").with_value(("a", "c", "d"), 2).data
        {'a': {'b': 1, 'c': {'d': 2}}}
        """
        lines: dict[Place, int] = {(): 0, **self.lines}
        for end in range(1, len(place)):
            lines.setdefault(place[:end], 0)
        first = min(min(lines.values()), 0) - 1
        added: dict[Place, int] = {}
        _number(value, place, added)
        lines |= dict.fromkeys(added, first)
        return YamlDocument(self.name, _with_value(self.data, place, value), lines, from_file=False)


def parse_yaml(text: str, name: str, *, max_values: int = MAX_VALUES) -> YamlDocument:
    """Return the document in `text`; aliases, anchors, tags and duplicate keys are refused.

    Raises
    ------
    FileFormatError
        With the line, if `text` is not one such document.
    """
    try:
        root = _PlainLoader(text, max_values).get_single_node()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f":{mark.line + 1}" if mark else ""
        raise FileFormatError(f"{name}{line}: is not valid YAML ({error.problem}); correct the line") from error
    except yaml.reader.ReaderError as error:
        line_number = text.count("\n", 0, error.position) + 1
        raise FileFormatError(
            f"{name}:{line_number}: holds the character U+{error.character:04X}, not allowed in YAML; remove it"
        ) from error
    except RecursionError:
        raise FileFormatError(f"{name}: is nested too deeply; use at most {_MAX_DEPTH} levels") from None
    lines: dict[Place, int] = {}
    data = None if root is None else _plain(root, (), lines, name)
    lines.setdefault((), 1)
    return YamlDocument(name, data, lines)


def plain_document(data: Any, name: str) -> YamlDocument:
    """Return plain data that is not from a file as a document, its fields numbered in their order."""
    lines: dict[Place, int] = {}
    _number(data, (), lines)
    return YamlDocument(name, data, lines, from_file=False)


def _with_value(data: Any, place: Place, value: Any) -> Any:
    """Return data with a value at a place; what is not on the way there is shared."""
    if not place:
        return value
    step, rest = place[0], place[1:]
    if isinstance(data, list | tuple):
        assert isinstance(step, int)
        return [_with_value(one, rest, value) if index == step else one for index, one in enumerate(data)]
    held: dict[Any, Any] = {} if data is None else data
    return {**held, step: _with_value(held.get(step), rest, value)}


def _number(data: Any, place: Place, lines: dict[Place, int]) -> None:
    lines[place] = len(lines)
    children = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list | tuple) else ()
    for key, value in children:
        _number(value, (*place, key), lines)


class _PlainLoader(yaml.SafeLoader):
    """Composes a bounded number of nodes without aliases and leaves the meaning of scalars to :func:`_scalar`."""

    def __init__(self, text: str, max_values: int) -> None:
        super().__init__(text)
        self.values, self.max_values = 0, max_values

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        event = self.peek_event()  # type: ignore[no-untyped-call]
        self.values += index is not None  # a key has no index
        if self.values > self.max_values:
            raise yaml.MarkedYAMLError(
                problem=f"it holds more than {self.max_values:,} values, which is the limit",
                problem_mark=event.start_mark,
            )
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None) is not None:
            raise yaml.MarkedYAMLError(
                problem="anchors and aliases are not allowed: write the value out", problem_mark=event.start_mark
            )
        if getattr(event, "tag", None) is not None:
            raise yaml.MarkedYAMLError(problem="tags are not allowed: remove the !", problem_mark=event.start_mark)
        return super().compose_node(parent, index)


def _plain(node: yaml.Node, place: Place, lines: dict[Place, int], name: str) -> Any:
    line = node.start_mark.line + 1
    lines.setdefault(place, line)
    if len(place) > _MAX_DEPTH:
        raise FileFormatError(f"{name}:{line}: is nested too deeply; use at most {_MAX_DEPTH} levels")
    if isinstance(node, yaml.ScalarNode):
        return node.value if node.style else _scalar(node.value, name, line)
    if isinstance(node, yaml.SequenceNode):
        return [_plain(item, (*place, index), lines, name) for index, item in enumerate(node.value)]
    mapping: dict[Hashable, Any] = {}
    for key_node, value_node in node.value:
        key_line = key_node.start_mark.line + 1
        if not isinstance(key_node, yaml.ScalarNode):
            raise FileFormatError(f"{name}:{key_line}: a key is a list or a mapping; use a name as the key")
        key = key_node.value if key_node.style else _scalar(key_node.value, name, key_line)
        if key is None or isinstance(key, bool):
            raise FileFormatError(f"{name}:{key_line}: the key {key_node.value} is not text or a number; quote it")
        if key in mapping:
            raise FileFormatError(f"{name}:{key_line}: the key {shown(key)} occurs twice; keep one of them")
        inner = (*place, key if isinstance(key, int | str) else str(key))
        lines[inner] = key_line
        mapping[key] = _plain(value_node, inner, lines, name)
    return mapping


def _scalar(text: str, name: str, line: int) -> bool | int | float | str | None:
    if _NULL.fullmatch(text):
        return None
    if text in _BOOL:
        return _BOOL[text]
    if _INT.fullmatch(text) or _BASED_INT.fullmatch(text):
        if len(text) > _MAX_DIGITS:
            raise FileFormatError(f"{name}:{line}: a number has {len(text)} digits; use at most {_MAX_DIGITS}")
        return int(text, {"0o": 8, "0x": 16}.get(text[:2], 10))
    if _FLOAT.fullmatch(text):
        return float(text)
    if match := _NON_FINITE.fullmatch(text):
        return float("nan") if match[3] else float(f"{match[1]}inf")
    return text
