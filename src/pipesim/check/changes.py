"""What became of the inputs, in words, and where they are written: for whoever reads a pull request."""

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

from pipesim.check.fields import Part
from pipesim.check.parts import BUNDLE, WHOLE, Item, curve, prices_of
from pipesim.check.report import Change
from pipesim.errors import PipesimError, shown
from pipesim.files import LIBRARY_PREFIX, MAX_DOCUMENT_BYTES, MAX_TABLE_BYTES, decode_text, read_bytes
from pipesim.model import Profile, Scenario
from pipesim.model.csv_rows import csv_rows
from pipesim.model.yaml_document import Place, YamlDocument, parse_yaml
from pipesim.units import format_duration

_FIELDS: Mapping[Part, tuple[str, ...]] = {
    "pipeline": ("pipeline",),
    "traffic": ("traffic", "seed"),
    "slo": ("slo",),
    "space": ("search",),
}
"""The fields of a scenario file that each part is written in, besides profiles and prices."""
MOST_TOLD = 3
"""How many changes of one item are told one by one."""


class Spot(NamedTuple):
    """Where something is written.

    Parameters
    ----------
    file
        Relative to some folder, or absolute.
    line
        From 1.
    """

    file: Path
    line: int | None


def described_changes(
    items: Sequence[Item],
    before: Scenario | None,
    now: Scenario,
    prices_before: Mapping[str, Decimal],
    path: Path,
    folder: Path,
) -> tuple[Change, ...]:
    """Return what became of each changed item.

    Parameters
    ----------
    items
        Of which it is known that they changed.
    before
        The scenario as it was; None if only hashes tell that something changed, not what.
    now
        The scenario.
    prices_before
        What units cost an hour.
    path
        The scenario file.
    folder
        What paths are told relative to; what lies outside is told without a place.
    """
    told = []
    for part, group in groupby(items, key=lambda item: item.part):
        some = tuple(group)
        if part in _FIELDS:
            some = some[:1]  # the fields of the file tell all of them
        for item in some:
            name = item.name if part not in _FIELDS else WHOLE
            spot = _spot(item, before, now, path)
            file = None if spot is None else relative_to(spot.file, folder)
            line = None if spot is None or file is None else spot.line
            text = _text(item, before, now, prices_before)
            told.append(Change(part=part, item=name, text=text, file=file, line=line))
    return tuple(told)


def _text(item: Item, before: Scenario | None, now: Scenario, prices_before: Mapping[str, Decimal]) -> str:
    if item.part == "profiles":
        return _listed(_profile_texts(item.name, before, now))
    if item.part == "prices":
        bundle = item.name.removeprefix(BUNDLE)
        return _price_text(item.name, now, prices_before) if bundle == item.name else _bundle_text(bundle, before, now)
    if before is None:
        return "changed"
    return _listed([text for _, text in _leaves(item.part, before, now)]) or "a file that it names changed"


def _price_text(unit: str, now: Scenario, prices_before: Mapping[str, Decimal]) -> str:
    if unit not in now.catalogue.units:
        return "is gone"
    old, price = prices_before.get(unit), now.catalogue.units[unit].price_usd_per_hour
    if old is None:
        return f"is new, at {price} $/h"
    if old != price:
        return f"{old} → {price} $/h{_percent(old, price)}"
    return "as before, but its memory is not" if unit in prices_of(now) else "as before, but nothing may use it now"


def _bundle_text(bundle: str, before: Scenario | None, now: Scenario) -> str:
    if bundle not in now.catalogue.bundles:
        return "is gone"
    if before is None:
        return "changed"
    old = before.catalogue.bundles.get(bundle)
    return "is new" if old is None else f"{_units(old)} → {_units(now.catalogue.bundles[bundle])}"


def _units(bundle: Mapping[str, int]) -> str:
    return " + ".join(f"{count} {unit}" for unit, count in bundle.items())


def _profile_texts(model: str, before: Scenario | None, now: Scenario) -> list[str]:
    if model not in now.profiles.models:
        return ["is gone"]
    if before is None:
        return ["changed"]
    if model not in before.profiles.models:
        return ["is new"]
    texts = []
    for hardware in sorted({*before.profiles.hardware_of(model), *now.profiles.hardware_of(model)}):
        old, new = before.profiles.get((model, hardware)), now.profiles.get((model, hardware))
        if old is None or new is None:
            texts.append(f"{hardware} is {'new' if old is None else 'gone'}")
        elif curve(old) != curve(new):
            texts.append(f"{hardware}{_curve_text(old, new)}")
    return texts


def _curve_text(old: Profile, new: Profile) -> str:
    latencies = {point.batch_size: Decimal(repr(point.latency_ms)) for point in old.points}
    pairs = [
        (point.batch_size, latencies[point.batch_size], Decimal(repr(point.latency_ms)))
        for point in new.points
        if point.batch_size in latencies
    ]
    moved = [(size, one, other) for size, one, other in pairs if one != other]
    if len(pairs) < max(len(old.points), len(new.points)) or not moved:
        return ": other batch sizes, noise or memory"
    ratios = [other / one - 1 for _, one, other in moved]
    if len(moved) == len(pairs) > 1 and max(ratios) - min(ratios) < Decimal("0.005"):
        return f": every batch {float(ratios[0]):+.1%}"
    size, one, other = max(moved, key=lambda found: abs(found[2] / found[1] - 1))
    return f", batch {size}: {_milliseconds(one)} → {_milliseconds(other)}{_percent(one, other)}"


def _milliseconds(latency: Decimal) -> str:
    return format_duration(float(latency) * 1e6)


def _percent(old: Decimal, new: Decimal) -> str:
    return f" ({float(new / old - 1):+.1%})" if old else ""


def _listed(texts: Sequence[str]) -> str:
    more = len(texts) - MOST_TOLD
    return "; ".join(texts[:MOST_TOLD]) + (f"; and {more} more" if more > 0 else "")


def _leaves(part: Part, before: Scenario, now: Scenario) -> list[tuple[Place, str]]:
    """Return what differs between the fields of two files, with its place in the file of now."""
    old, new = _document(before), _document(now)
    if old is None or new is None:
        return []
    found: list[tuple[Place, str]] = []
    for field in _FIELDS[part]:
        found += _differences((field,), old.data.get(field), new.data.get(field))
    return found


def _differences(place: Place, old: Any, new: Any) -> Iterator[tuple[Place, str]]:
    if old == new:
        return
    if isinstance(old, dict) and isinstance(new, dict):
        for key in dict.fromkeys((*old, *new)):
            yield from _differences((*place, key), old.get(key), new.get(key))
        return
    where = ".".join(map(str, place))
    if old is None or new is None:
        yield place, f"{where}: {'added' if old is None else 'removed'}"
    elif isinstance(old, dict | list) or isinstance(new, dict | list):
        yield place, f"{where} changed"
    else:
        yield place, f"{where}: {_said(old)} → {_said(new)}"


def _said(value: Any) -> str:
    return value if isinstance(value, str) and len(value) <= 60 and value.isprintable() else shown(value)


def _document(scenario: Scenario) -> YamlDocument | None:
    return None if scenario.source is None else scenario.source.document


def _spot(item: Item, before: Scenario | None, now: Scenario, path: Path) -> Spot | None:
    """Return where an item is written now; None for what is bundled."""
    document = _document(now)
    if document is None:
        return None
    if item.part in _FIELDS:
        places = [] if before is None else [place for place, _ in _leaves(item.part, before, now)]
        return Spot(path, _line(document, places[0] if places else (_FIELDS[item.part][0],)))
    held = document.data.get(item.part)
    if item.part == "profiles" and not isinstance(held, dict):
        references = [held] if isinstance(held, str) else list(held or ())
        return _profile_spot(item.name, references, before, now)
    if item.part == "prices" and isinstance(held, str):
        return _price_spot(item.name, held, now)
    inner = _price_place(item.name) if item.part == "prices" else (item.name,)
    return Spot(path, _line(document, (item.part, *inner)))


def _price_place(name: str) -> Place:
    """Return the place of a price, or of a bundle, in a catalogue."""
    bundle = name.removeprefix(BUNDLE)
    return ("units", name, "price_usd_per_hour") if bundle == name else ("bundles", bundle)


def _line(document: YamlDocument, place: Place) -> int | None:
    return document.line_of(place) if document.from_file else None


def _profile_spot(model: str, references: Sequence[str], before: Scenario | None, now: Scenario) -> Spot | None:
    """Return the first row of a model in a profile file, or the first that is not what it was."""
    first: Spot | None = None
    for reference in references:
        file = _located(reference, now, "profiles")
        if file is None:
            continue
        try:
            table = csv_rows(read_bytes(file, MAX_TABLE_BYTES), reference, ("model", "hardware", "batch_size"))
            rows = [(line, dict(zip(table.header, row, strict=True))) for line, row in table.rows]
        except PipesimError:  # it was read well when the scenario was loaded, and was changed since
            return None
        for line, row in rows:
            if row["model"] == model:
                first = first or Spot(file, line)
                if before is not None and _is_new(row, before):
                    return Spot(file, line)
    return first


def _is_new(row: Mapping[str, str], before: Scenario) -> bool:
    """Return whether a row of a profile file gives a latency that was another, or was not there."""
    profile = before.profiles.get((row["model"], row["hardware"]))
    points = () if profile is None else profile.points
    old = next((point.latency_ms for point in points if str(point.batch_size) == row["batch_size"].strip()), None)
    return old is None or old != float(row.get("latency_ms") or "nan")


def _price_spot(unit: str, reference: str, now: Scenario) -> Spot | None:
    file = _located(reference, now, "prices")
    if file is None:
        return None
    try:
        if file.suffix == ".csv":
            rows = csv_rows(read_bytes(file, MAX_DOCUMENT_BYTES), reference, ("name",))
            column = rows.header.index("name")
            return Spot(file, next((line for line, row in rows.rows if row[column] == unit), None))
        document = parse_yaml(decode_text(read_bytes(file, MAX_DOCUMENT_BYTES), reference), reference)
    except PipesimError:
        return None
    return Spot(file, _line(document, _price_place(unit)))


def _located(reference: str, now: Scenario, kind: Any) -> Path | None:
    assert now.source is not None
    return None if reference.startswith(LIBRARY_PREFIX) else now.source.workspace.locate(reference, kind, kind)


def relative_to(file: Path, folder: Path) -> str | None:
    """Return the path of a file below a folder, with forward slashes; None if it lies elsewhere."""
    found, root = file.resolve(), folder.resolve()
    return found.relative_to(root).as_posix() if found.is_relative_to(root) else None
