"""Baselines as files: the same bytes on every machine, merged by git scenario by scenario, noticed when edited by hand.

The file is YAML, sorted by path, one fact a line; what is one fact, such as the figures of all seeds or what a stage
runs on, stays on one line. Every entry carries the SHA-256 of what it says, so that neither a hand nor a merge can put
together an entry that nobody computed. That is a guard against accidents and no signature: who can write the file can
write a digest too.
"""

import hashlib
import json
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from pathlib import Path
from textwrap import indent
from typing import Any

import yaml

from pipesim.check.baseline.entry import SCHEMA_VERSION, Baseline, Entry
from pipesim.check.fields import UPDATE
from pipesim.errors import FileFormatError, invalid
from pipesim.files import check_input, decode_text, read_bytes, write_atomically
from pipesim.model.validation import validated
from pipesim.model.yaml_document import YamlDocument, parse_yaml
from pipesim.model.yaml_text import TextDumper

MAX_BYTES = 4 << 20
"""A baseline file holds at most 4 MiB."""
MAX_VALUES = 100_000
"""A baseline file holds at most this many values."""
Migration = Callable[[dict[str, Any]], dict[str, Any]]
MIGRATIONS: Mapping[int, Migration] = {}
"""By schema version, what makes the data of a file of that version data of the next one."""

_HEAD = "# Written by pipesim baseline update. Change the scenarios, and not this file.\n"
_ANEW = f"remove it and {UPDATE}"
_DIGEST = "digest"
_CONFLICT = re.compile(r"^(<{7}|={7}|>{7})( |$)", re.MULTILINE)
# What no version of YAML reads as anything but text, the few words aside that PyYAML quotes by itself. A SHA-256 may
# begin with a letter or a digit, and is always quoted.
_WORD = re.compile(r"(?![0-9a-f]{64}$)[A-Za-z_][A-Za-z0-9_./-]*")


def entry_digest(entry: Entry) -> str:
    """Return the SHA-256 of what an entry says: of its file's data as JSON, the keys sorted."""
    return _digest(entry.model_dump(mode="json"))


def read_baseline(
    path: str | Path, *, leave_out: Collection[str] = (), migrations: Mapping[int, Migration] = MIGRATIONS
) -> Baseline:
    """Return the baseline in a file.

    Parameters
    ----------
    path
        The file.
    leave_out
        Scenarios whose entries are left out unread: of whoever is about to replace them.
    migrations
        By schema version, what makes the data of that version data of the next one. Digests are checked before.

    Raises
    ------
    FileFormatError, InvalidInputError
        With file, line, field and remedy, if it is no baseline, one of a newer schema, or an entry is not what was
        written.
    """
    path = Path(path)
    check_input(path, "baseline", f"give the path of a baseline file, or {UPDATE} to make one")
    text = decode_text(read_bytes(path, MAX_BYTES), path.name)
    if conflict := _CONFLICT.search(text):
        line = text.count("\n", 0, conflict.start()) + 1
        raise FileFormatError(f"{path.name}:{line}: holds a conflict of a merge; take one side of it and {UPDATE}")
    document = parse_yaml(text, path.name, max_values=MAX_VALUES)
    data = document.data
    if not isinstance(data, dict):
        return validated(Baseline, document)
    data = data | {"entries": _checked_entries(data.get("entries", {}), document, leave_out)}
    version = data.get("schema_version")
    if type(version) is int and version > SCHEMA_VERSION:
        raise FileFormatError(
            f"{document.where(('schema_version',))}: is {version}, newer than the {SCHEMA_VERSION} that this version of"
            f" pipesim reads; install a newer pipesim, or remove it and {UPDATE} with this one"
        )
    while isinstance(version, int) and version in migrations:
        data = migrations[version](data)
        version = data["schema_version"]
    found = validated(Baseline, replace(document, data=data))
    if version is None:
        raise FileFormatError(f"{path.name}: ends before its last line, schema_version; fetch it again, or {_ANEW}")
    return found


def write_baseline(baseline: Baseline, path: str | Path) -> None:
    """Write a baseline file, whole or not at all; the same baseline gives the same bytes.

    Raises
    ------
    InvalidInputError
        If it would hold more than a baseline file may, or the file cannot be written.
    """
    data = baseline.model_dump(mode="json")
    entries = [
        {name: {_DIGEST: _digest(entry)} | _in_file(entry)} for name, entry in sorted(data.pop("entries").items())
    ]
    listed = "".join(f"{indent(_yaml(entry), '  ')}\n" for entry in entries)
    # Lines that no change touches part the entries, and the last one from the end: git merges what they part.
    text = f"{_HEAD}entries:\n{listed}{_yaml(data)}" if listed else f"{_HEAD}entries: {{}}\n{_yaml(data)}"
    if len(text.encode()) > MAX_BYTES:
        raise invalid("baseline", len(text.encode()), f"bytes are more than {MAX_BYTES:,}", "use several baselines")
    write_atomically(Path(path), text)


def _checked_entries(entries: Any, document: YamlDocument, leave_out: Collection[str]) -> Any:
    """Return the entries of a file without their digests, which are checked."""
    if not isinstance(entries, dict):
        return entries
    checked = {}
    for path, entry in entries.items():
        if path in leave_out:
            continue
        checked[path] = entry
        if isinstance(entry, dict):
            checked[path] = content = {name: value for name, value in entry.items() if name != _DIGEST}
            if entry.get(_DIGEST) != _digest(content):
                rule = "is not the digest of this entry: a hand or a merge has changed it"
                raise invalid(document.where(("entries", path)), entry.get(_DIGEST), rule, UPDATE)
    return checked


def _digest(content: Any) -> str:
    text = json.dumps(_sorted(content), separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _sorted(data: Any) -> Any:
    if isinstance(data, dict):
        return {str(key): _sorted(data[key]) for key in sorted(data, key=str)}
    return [_sorted(item) for item in data] if isinstance(data, list) else data


class _OneLine(dict[str, Any]):
    """A mapping that is written on one line."""


def _in_file(entry: dict[str, Any]) -> dict[str, Any]:
    """Return the data of an entry laid out for the file: fields in the order of the model, what they hold sorted."""

    def laid_out(data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        inner = {key: laid_out(data[key]) for key in sorted(data)}
        return _OneLine(inner) if "max_batch_size" in inner else inner

    return {field: laid_out(value) for field, value in entry.items()}


class _Dumper(TextDumper):
    """Writes lists, and what a stage runs on, on one line."""

    def check_simple_key(self) -> bool:
        """Return whether a key can stand on the line of its value; the empty one, too, looks better there."""
        is_empty = isinstance(self.event, yaml.ScalarEvent) and not self.event.value
        return is_empty or bool(super().check_simple_key())


def _yaml(data: dict[str, Any]) -> str:
    return yaml.dump(data, Dumper=_Dumper, sort_keys=False, width=float("inf"), allow_unicode=True)


def _flow_list(dumper: yaml.SafeDumper, items: list[Any]) -> yaml.SequenceNode:
    return dumper.represent_sequence("tag:yaml.org,2002:seq", items, flow_style=True)


def _flow_mapping(dumper: yaml.SafeDumper, items: _OneLine) -> yaml.MappingNode:
    return dumper.represent_mapping("tag:yaml.org,2002:map", items, flow_style=True)


_Dumper.add_representer(list, _flow_list)
_Dumper.add_representer(_OneLine, _flow_mapping)
