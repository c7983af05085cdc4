"""Scenarios with fields of their file changed, by the path of each field, and checked again as a whole.

A path is what an error message says of a field: its names from the top of the file, joined by dots, such as
``traffic.gamma.scv``, ``slo.p99``, ``pipeline.detect.batch_overhead``, ``search.stages.image.hardware``,
``prices.units.t4.price_usd_per_hour`` or ``seed``; a number is an entry of a list. Names may have dots in them. Where
profiles or prices come from files, paths lead on into them: ``profiles.MODEL.HARDWARE.BATCH_SIZE`` is a latency,
``profiles.MODEL.HARDWARE.noise_scv`` its variability. What the file leaves out is added.

Short forms: ``load`` is ``traffic.load`` (the whole load, not a factor on the one that the file has); ``slo_p99`` is
``slo.p99``; ``stages.NAME.hardware``, ``stages.NAME.replicas`` and ``stages.NAME.max_batch_size`` leave the search that
choice alone (hardware may be a list of several).

A value is what the file would hold. But the times of objectives may be numbers: seconds, as all public numbers are.
"""

import difflib
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any

from pipesim.errors import FileFormatError, InvalidInputError, invalid
from pipesim.model.fields import positive_duration_ns
from pipesim.model.loading import read_catalogue, scenario_of
from pipesim.model.profile import ProfilePoint
from pipesim.model.scenario import Scenario, ScenarioFile
from pipesim.model.source import Source
from pipesim.model.validation import validated_fields
from pipesim.model.yaml_document import Place, YamlDocument
from pipesim.units import MAX_DURATION_NS, QUANTILE_PATTERN

STAGE_FIELDS = ("hardware", "replicas", "max_batch_size")
"""What ``stages.NAME.`` may be followed by."""
SHORT = ("load", "slo_p99", "stages")
_QUANTILE_WORD = re.compile(r"slo_(p[0-9]{1,3})(_([0-9]{1,6}))?")
_TIME_OF_SLO = re.compile(rf"slo\.({QUANTILE_PATTERN[1:-1]}|[0-9]+\.(bound|every))")
_NOISE = "noise_scv"


def source_of(scenario: Scenario) -> Source:
    """Return what a scenario was made from.

    Raises
    ------
    InvalidInputError
        If it was changed in another way than by :meth:`~pipesim.model.scenario.Scenario.with_`.
    """
    source = scenario.source
    now = (scenario.file, scenario.profiles, scenario.catalogue)
    if source is None or any(one is not other for one, other in zip(source.made, now, strict=True)):
        rule = "was changed in a way that no scenario file tells"
        raise invalid("scenario", scenario.name, rule, "change it by with_, or load its file again")
    return source


def changed_scenario(scenario: Scenario, changes: Mapping[str, Any]) -> Scenario:
    """Return :meth:`pipesim.model.scenario.Scenario.with_`."""
    source = source_of(scenario)
    if not changes:
        return scenario
    paths: list[tuple[str, str]] = []
    for path, given in changes.items():
        for place, value in _written(path, plain(given), scenario):
            name = ".".join(map(str, place))
            same = next((other for other, written in paths if written == name or written.startswith(f"{name}.")), None)
            if same is not None:
                raise InvalidInputError(f"is what {same} changes too; keep one of them", path)
            source = _changed(source, scenario, path, place, value)
            paths.append((path, name))
    try:
        return scenario_of(source)
    except (InvalidInputError, FileFormatError) as error:
        raise InvalidInputError(_named(str(error), source.document.name, paths)) from None


def base_value(scenario: Scenario, path: str) -> Any:
    """Return what the scenario's file says at a path; None if it does not say, or says it in another file."""
    source = source_of(scenario)
    places = [place for place, _ in _written(path, None, scenario)]
    data: Any = source.document.data
    first, *further = places[0]
    if first in ("profiles", "prices") and further and not isinstance(data.get(first), dict):
        return None  # it names files
    for step in _resolved(data, places[0], path):
        if isinstance(data, dict):
            data = data.get(step)
        elif isinstance(data, list | tuple) and isinstance(step, int) and step < len(data):
            data = data[step]
        else:
            return None
    return data


def plain(value: Any) -> Any:
    """Return a value as a file would give it: numbers of numpy as Python's, lists for tuples and arrays."""
    if hasattr(value, "tolist"):  # numpy's scalars and arrays
        return plain(value.tolist())
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    if isinstance(value, Mapping):
        return {plain(key): plain(one) for key, one in value.items()}
    return value


def check_path(path: object) -> None:
    """Check that a path is a text with letters."""
    if not isinstance(path, str) or not path:
        raise invalid("path", path, "is not the path of a field", "write names with dots, such as traffic.gamma.scv")


def _written(path: str, value: Any, scenario: Scenario) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Return the steps of a path, without short forms, and what to write there."""
    check_path(path)
    if path == "load":
        yield ("traffic", "load"), value
    elif (word := _QUANTILE_WORD.fullmatch(path)) is not None:
        yield ("slo", word[1] + (f".{word[3]}" if word[3] else "")), _with_unit(value)
    elif path.startswith("stages."):
        name, field = stage_field(path, scenario)
        if field == "hardware":
            yield ("search", "stages", name, field), value if isinstance(value, list) else [value]
        elif field == "replicas":
            yield ("search", "stages", name, "min_replicas"), value
            yield ("search", "stages", name, "max_replicas"), value
        else:
            yield ("search", "stages", name, "batch_sizes"), [value]
    else:
        steps = tuple(path.split("."))
        if steps[0] not in ScenarioFile.model_fields:
            known = [*ScenarioFile.model_fields, *SHORT]
            near = difflib.get_close_matches(steps[0], known, n=1)
            remedy = f"did you mean {near[0]}?" if near else f"known are {', '.join(known)}"
            raise InvalidInputError(f"is not a field of a scenario; {remedy}", path)
        yield steps, _with_unit(value) if _TIME_OF_SLO.fullmatch(path) else value


def _with_unit(value: Any) -> Any:
    """Return seconds as a file writes them; what is no number stays as it is."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < MAX_DURATION_NS
    return f"{Decimal(repr(value)):f}s" if is_number else value


def stage_field(path: str, scenario: Scenario, prefix: str = "stages.") -> tuple[str, str]:
    """Return the stage and the field that ``stages.NAME.FIELD`` names.

    Raises
    ------
    InvalidInputError
        If there is no such stage or field.
    """
    name, _, field = path.removeprefix(prefix).rpartition(".")
    if field not in STAGE_FIELDS:
        raise invalid(path, field, "is not a choice of a stage", f"use one of {', '.join(STAGE_FIELDS)}")
    if name not in scenario.pipeline.stages:
        raise invalid(path, name, "is not a stage", f"use one of {', '.join(scenario.pipeline.stages)}")
    return name, field


def _changed(source: Source, scenario: Scenario, path: str, steps: tuple[str, ...], value: Any) -> Source:
    """Return a source with one field changed."""
    document = source.document
    held = document.data.get(steps[0])
    if steps[0] == "profiles" and len(steps) > 1 and not isinstance(held, dict):
        figure, number = _profile_figure(path, steps[1:], value, scenario)
        return replace(source, latencies={**source.latencies, figure: number})
    if steps[0] == "profiles":
        source = replace(source, latencies={})
    if steps[0] == "prices" and len(steps) > 1 and isinstance(held, str):
        catalogue, input_file = read_catalogue(held, source)
        data = {"units": {}, **catalogue.model_dump(exclude_defaults=True)}
        document = document.with_value(("prices",), data)
        source = replace(source, inputs=(*source.inputs, input_file))
    document = _opened(document, steps, path)
    return replace(source, document=document.with_value(_resolved(document.data, steps, path), value))


def _opened(document: YamlDocument, steps: tuple[str, ...], path: str) -> YamlDocument:
    """Return a document in which the upstream stages of a path that leads through ``after`` are a mapping."""
    if "after" not in steps[:-1] or steps[0] != "pipeline":
        return document
    place = _resolved(document.data, steps[: steps.index("after") + 1], path)
    data = document.data
    for step in place:
        data = data.get(step) if isinstance(data, dict) else None
    return document.with_value(place, dict.fromkeys(data)) if isinstance(data, list) else document


def _resolved(data: Any, steps: tuple[str, ...], path: str) -> Place:
    """Return the place that steps lead to: keys that are there, which may have dots in them, or new ones."""
    place: Place = ()
    while steps:
        if isinstance(data, dict):
            keys = {str(key): key for key in data}
            ends = [end for end in range(len(steps), 0, -1) if ".".join(steps[:end]) in keys]
            # The names of objectives are quantiles, with dots and nothing below; any other new name has no dots.
            end = len(steps) if place == ("slo",) else ends[0] if ends else 1
            name = ".".join(steps[:end])
            key = keys.get(name, name)
            data = data.get(key)
        elif isinstance(data, list | tuple):
            end = 1
            if not steps[0].isascii() or not steps[0].isdigit() or int(steps[0]) >= len(data):
                raise invalid(path, steps[0], "is not an entry of the list there", f"use 0 to {len(data) - 1}")
            key = int(steps[0])
            data = data[key]
        elif data is None:
            return (*place, *steps)
        else:
            where = ".".join(map(str, place))
            raise invalid(path, data, f"is what {where} holds, without fields", "change that field as a whole")
        place, steps = (*place, key), steps[end:]
    return place


def _profile_figure(
    path: str, steps: tuple[str, ...], value: Any, scenario: Scenario
) -> tuple[tuple[str, str, str], float]:
    """Return which figure of a profile a path names, and its value: milliseconds, or an scv.

    Raises
    ------
    InvalidInputError
        If there is no such figure, or the value is not allowed.
    """
    name = ".".join(steps)
    found = next((key for key in scenario.profiles if name.startswith(f"{key[0]}.{key[1]}.")), None)
    if found is None:
        model = next((model for model in scenario.profiles.models if name.startswith(f"{model}.")), None)
        if model is None:
            raise invalid(path, steps[0], "is not a model of the profiles", f"use {_some(scenario.profiles.models)}")
        known = _some(scenario.profiles.hardware_of(model))
        raise invalid(path, name.removeprefix(f"{model}."), f"is not a figure of {model}", f"it is profiled on {known}")
    model, hardware = found
    figure = name.removeprefix(f"{model}.{hardware}.")
    sizes = [str(point.batch_size) for point in scenario.profiles[found].points]
    if figure == _NOISE:
        point = _checked(path, "noise_scv", value, {"batch_size": 1, "latency_ms": 1.0, _NOISE: value})
        return (model, hardware, figure), point.noise_scv
    if figure not in sizes:
        raise invalid(path, figure, "is not a batch size that was measured", f"use one of {_some((*sizes, _NOISE))}")
    try:
        latency_ns = positive_duration_ns(value)
    except InvalidInputError as error:
        raise InvalidInputError(error.reason, path) from None
    return (model, hardware, figure), latency_ns / 1e6


def _checked(path: str, field: str, value: Any, fields: Mapping[str, object]) -> ProfilePoint:
    """Return a point of a profile with a value that is checked as in a file."""
    try:
        return validated_fields(ProfilePoint, path, {"model": "model", "hardware": "hardware", **fields})
    except InvalidInputError as error:
        raise InvalidInputError(str(error).replace(f"{path}: {field}", path, 1)) from None


def _some(names: tuple[str, ...], most: int = 12) -> str:
    return ", ".join(names[:most]) + (" …" if len(names) > most else "")


def _named(message: str, document: str, paths: list[tuple[str, str]]) -> str:
    """Return a complaint about a document that names the paths as they were given."""
    reason = message.removeprefix(f"{document}: ")
    for path, place in reversed(paths):
        if reason == place or (reason.startswith(place) and reason[len(place)] in ":. "):
            return path + reason[len(place) :]
    given = ", ".join(dict.fromkeys(path for path, _ in paths))
    return f"{given}: so changed, the scenario is not valid: {message}"
