"""What an answer rests on, part by part: hashed, so that what is unchanged is recognised, and put together anew.

A scenario's parts are its pipeline, profiles, prices, traffic (with the seed), objectives and search space. Each is
divided into items: stages, models, units and bundles. What counts is what they say, not which file says it or how.
Items that no answer can depend on are left out: models that no stage runs, hardware that the search cannot use.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

from pipesim.check.fields import PARTS, Part
from pipesim.errors import FileFormatError
from pipesim.files import MAX_TRACE_BYTES, InputFile
from pipesim.model import Profile, Scenario
from pipesim.model.hardware import Hardware
from pipesim.model.profile import ProfileSet

WHOLE = ""
"""The item of a part that is not divided."""
BUNDLE = "bundle "
"""What the items begin with that are bundles, and not units."""
_CURVE = ("batch_size", "latency_ms", "noise_scv", "noise_law", "memory_gb")

Hashes = dict[Part, dict[str, str]]


@dataclass(frozen=True, slots=True, order=True)
class Item:
    """An item of a part, such as the profiles of a model."""

    part: Part
    name: str


def hashes_of(scenario: Scenario) -> Hashes:
    """Return the SHA-256 of every item that an answer to a scenario may depend on.

    Raises
    ------
    FileFormatError
        If a trace file cannot be read, or is too large.
    """
    return {
        part: {item: _sha256(content) for item, content in sorted(items.items())}
        for part, items in _contents(scenario).items()
    }


def changed_items(before: Mapping[Part, Mapping[str, str]], now: Mapping[Part, Mapping[str, str]]) -> tuple[Item, ...]:
    """Return the items whose hashes differ, or that only one side has, in the order of the parts."""
    return tuple(
        Item(part, name)
        for part in PARTS
        for name in sorted(before.get(part, {}).keys() | now.get(part, {}).keys())
        if before.get(part, {}).get(name) != now.get(part, {}).get(name)
    )


def used_hardware(scenario: Scenario) -> tuple[str, ...]:
    """Return the bundles that the search may use at any stage, sorted."""
    return tuple(sorted({option.hardware for space in scenario.space.values() for option in space.options}))


def prices_of(scenario: Scenario) -> dict[str, Decimal]:
    """Return what the units that the search may use cost an hour, sorted by name."""
    catalogue = scenario.catalogue
    units = sorted({unit for name in used_hardware(scenario) for unit in catalogue.bundle(name)})
    return {unit: catalogue.units[unit].price_usd_per_hour for unit in units}


def files_of(scenario: Scenario) -> tuple[InputFile, ...]:
    """Return all files that a scenario is made of, those of its traffic too.

    Raises
    ------
    FileFormatError
        As :func:`hashes_of`.
    """
    recorded = [InputFile.hashed(name, _file_sha256(path)) for name, path in _trace_files(scenario)]
    return (*scenario.inputs, *recorded)


def truly_changed(items: Iterable[Item], before: Scenario, now: Scenario) -> tuple[Item, ...]:
    """Return those of the changed items of two scenarios that are not what they were, in their order.

    Hashes alone tell more: the profile of a model that a stage newly runs, or the price of a unit that the search may
    newly use, may have been there unchanged all along.
    """
    return tuple(item for item in items if (said := _said_of(before, item)) is None or said != _said_of(now, item))


def mixed(before: Scenario, now: Scenario, items: Iterable[Item]) -> Scenario:
    """Return the scenario of before with some of its items as they are now.

    The profiles of a model that only one side has are there in any case: no stage runs a model that its pipeline does
    not name. The mix is no file's, and is not checked as one is, but for the plan that runs now.

    Raises
    ------
    InvalidInputError
        If the plan that runs now is not one of the mix.
    """
    taken = set(items)
    names: dict[Part, set[str]] = {part: {item.name for item in taken if item.part == part} for part in PARTS}
    profiles = dict(before.profiles)
    for model in now.profiles.models:
        if model in names["profiles"] or model not in before.profiles.models:
            profiles = {key: one for key, one in profiles.items() if key[0] != model}
            profiles |= {key: one for key, one in now.profiles.items() if key[0] == model}
    units, bundles = dict(before.catalogue.units), dict(before.catalogue.bundles)
    for name in names["prices"]:
        if name.startswith(BUNDLE):
            _take(bundles, now.catalogue.bundles, name.removeprefix(BUNDLE))
        else:
            _take(units, now.catalogue.units, name)
    whole = {name: held for name, held in bundles.items() if held.keys() <= units.keys()}
    fields: dict[str, Any] = {}
    previous, traffic_files = before.previous, before.traffic_files
    if names["pipeline"]:
        fields["pipeline"] = now.file.pipeline
    if names["traffic"]:
        fields |= {"traffic": now.file.traffic, "seed": now.file.seed}
        traffic_files = now.traffic_files
    if names["slo"]:
        fields["slo"] = now.file.slo
    if names["space"]:
        fields["search"], previous = now.file.search, now.previous
    mix = replace(
        before,
        file=before.file.model_copy(update=fields),
        profiles=ProfileSet(profiles),
        catalogue=before.catalogue.model_copy(update={"units": units, "bundles": whole}),
        traffic_files=traffic_files,
        previous=previous,
        source=None,
    )
    if previous is not None:
        mix.check_plan(previous)
    return mix


def _take(held: dict[str, Any], other: Mapping[str, Any], name: str) -> None:
    """Take what the other mapping has under a name, or nothing."""
    held.pop(name, None)
    if name in other:
        held[name] = other[name]


def _said_of(scenario: Scenario, item: Item) -> Any:
    """Return what a scenario says of a profile or a price, whether an answer may depend on it or not.

    None of what it lacks, and of other parts, of which hashes tell all.
    """
    if item.part == "profiles":
        return _curves(scenario, item.name) or None
    if item.part == "prices":
        bundles, units = scenario.catalogue.bundles, scenario.catalogue.units
        if item.name.startswith(BUNDLE):
            return bundles.get(item.name.removeprefix(BUNDLE))
        return _unit(units[item.name]) if item.name in units else None
    return None


def _contents(scenario: Scenario) -> dict[Part, dict[str, Any]]:
    """Return, as plain data, what each item says."""
    file, catalogue = scenario.file, scenario.catalogue
    stages = {name: stage.model_dump(mode="json") for name, stage in file.pipeline.stages.items()}
    models = sorted({stage.model for stage in file.pipeline.stages.values()})
    used = used_hardware(scenario)
    units = {unit: _unit(catalogue.units[unit]) for unit in prices_of(scenario)}
    bundles = {f"{BUNDLE}{name}": catalogue.bundles[name] for name in used if name in catalogue.bundles}
    recipes = {name: recipe.model_dump(mode="json") for name, recipe in scenario.traffic_files.recipes.items()}
    previous = None if scenario.previous is None else scenario.previous.model_dump(mode="json")
    return {
        # The order of stages is that of draws and of ties between stages, so it is content.
        "pipeline": {**stages, WHOLE: list(stages)},
        "profiles": {model: _curves(scenario, model) for model in models},
        "prices": {**units, **bundles},
        "traffic": {
            WHOLE: {
                "traffic": file.traffic.model_dump(mode="json"),
                "recipes": recipes,
                "files": [[name, _file_sha256(path)] for name, path in _trace_files(scenario)],
                "seed": file.seed,
            }
        },
        "slo": {WHOLE: [slo.model_dump(mode="json") for slo in scenario.slos]},
        "space": {WHOLE: {"search": file.search.model_dump(mode="json"), "previous": previous}},
    }


def _unit(unit: Hardware) -> dict[str, Any]:
    """Return what decides about a unit."""
    return {"price": _plain(unit.price_usd_per_hour), "memory_gb": unit.memory_gb}


def _curves(scenario: Scenario, model: str) -> dict[str, Any]:
    """Return what decides about the profiles of a model, by hardware."""
    return {
        hardware: curve(scenario.profiles[model, hardware]) for hardware in sorted(scenario.profiles.hardware_of(model))
    }


def curve(profile: Profile) -> list[list[Any]]:
    """Return what decides about a profile: for each point its batch size, latency, noise and memory."""
    return [[getattr(point, field) for field in _CURVE] for point in profile.points]


def _trace_files(scenario: Scenario) -> list[tuple[str, Path]]:
    recipes = scenario.traffic_files.recipes
    return sorted((name, path) for name, path in scenario.traffic_files.paths.items() if name not in recipes)


def _file_sha256(path: Path) -> str:
    """Return the SHA-256 of the bytes of a file as they are: nothing is expanded."""
    try:
        size = path.stat().st_size
        if size > MAX_TRACE_BYTES:
            raise FileFormatError(f"{path.name}: holds more than {MAX_TRACE_BYTES:,} bytes; cut it into parts")
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise FileFormatError(f"{path.name}: cannot be read ({error.strerror}); check the path and the file") from error


def _sha256(content: Any) -> str:
    text = json.dumps(content, separators=(",", ":"), sort_keys=True, default=_plain)
    return hashlib.sha256(text.encode()).hexdigest()


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return format(value.normalize(), "f")
    return dict(value) if isinstance(value, Mapping) else list(value)
