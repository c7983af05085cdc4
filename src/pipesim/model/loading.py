"""Scenarios read from a file and the files that it names, and checked as a whole."""

import difflib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pipesim.errors import InvalidInputError, invalid
from pipesim.files import (
    MAX_DOCUMENT_BYTES,
    MAX_TABLE_BYTES,
    InputFile,
    Workspace,
    check_input,
    decode_text,
    read_bytes,
)
from pipesim.model.hardware import Catalogue, parse_catalogue
from pipesim.model.plan import Plan
from pipesim.model.profile import ProfilePoint, ProfileSet, describe_missing, parse_profiles, profile_set
from pipesim.model.scenario import InlineProfiles, Scenario, ScenarioFile
from pipesim.model.traffic import RecordedTraffic
from pipesim.model.validation import validated
from pipesim.model.yaml_document import YamlDocument, parse_yaml, plain_document


def load_scenario(path: str | Path, *, allow_outside: bool = False) -> Scenario:
    """Return the scenario in a file, with all files that it names read and checked.

    Parameters
    ----------
    path
        The scenario file; the paths in it are relative to its folder.
    allow_outside
        Let paths lead out of the workspace: the repository that holds the file, else its folder.

    Raises
    ------
    FileFormatError, InvalidInputError
        With file, line, field, value, rule and remedy of the first problem.
    """
    path = Path(path)
    check_input(path, "scenario", "give the path of a scenario file, or run pipesim init")
    content = read_bytes(path, MAX_DOCUMENT_BYTES)
    document = parse_yaml(decode_text(content, path.name), path.name)
    workspace = Workspace.around(path, allow_outside=allow_outside)
    return scenario_of(document, workspace, (InputFile.of(path.name, content),))


def scenario_from_dict(data: dict[str, Any], folder: str | Path = ".") -> Scenario:
    """Return the scenario that plain data describes, as its YAML file would.

    Raises
    ------
    FileFormatError, InvalidInputError
        As :func:`load_scenario`.
    """
    return scenario_of(plain_document(data, "scenario"), Workspace.around(Path(folder)), ())


def scenario_of(document: YamlDocument, workspace: Workspace, inputs: tuple[InputFile, ...]) -> Scenario:
    """Return the scenario that a document describes, with the files that it names read."""
    file = validated(ScenarioFile, document)
    profiles, profile_inputs = _load_profiles(file, document, workspace)
    catalogue, price_inputs = _load_catalogue(file, document, workspace)
    trace_path = None
    if isinstance(file.traffic, RecordedTraffic):
        trace_path = workspace.locate(file.traffic.file, document.where(("traffic", "file")), "traces")
    inputs = (*inputs, *profile_inputs, *price_inputs)
    scenario = Scenario(file, profiles, catalogue, trace_path, inputs)
    _check_whole(scenario, document)
    return _with_previous(scenario, document, workspace)


def _load_profiles(
    file: ScenarioFile, document: YamlDocument, workspace: Workspace
) -> tuple[ProfileSet, list[InputFile]]:
    if isinstance(file.profiles, dict):
        return _inline_profiles(file.profiles, document), []
    references = (file.profiles,) if isinstance(file.profiles, str) else file.profiles
    profiles, inputs = ProfileSet({}), []
    for index, reference in enumerate(references):
        place: tuple[str | int, ...] = ("profiles",) if isinstance(file.profiles, str) else ("profiles", index)
        path = workspace.locate(reference, document.where(place), "profiles")
        content = read_bytes(path, MAX_TABLE_BYTES)
        profiles = profiles.united(parse_profiles(content, reference))
        inputs.append(InputFile.of(reference, content))
    return profiles, inputs


def _inline_profiles(inline: InlineProfiles, document: YamlDocument) -> ProfileSet:
    return profile_set(
        (
            document.where(("profiles", model, hardware, size)),
            ProfilePoint(model=model, hardware=hardware, batch_size=size, latency_ms=latency_ns / 1e6),
        )
        for model, curves in inline.items()
        for hardware, curve in curves.items()
        for size, latency_ns in curve.items()
    )


def _load_catalogue(
    file: ScenarioFile, document: YamlDocument, workspace: Workspace
) -> tuple[Catalogue, list[InputFile]]:
    inputs = []
    if isinstance(file.prices, Catalogue):
        catalogue = file.prices
    else:
        path = workspace.locate(file.prices, document.where(("prices",)), "prices")
        content = read_bytes(path, MAX_DOCUMENT_BYTES)
        catalogue = parse_catalogue(content, path.name)
        inputs.append(InputFile.of(file.prices, content))
    if file.price_class is None:
        return catalogue, inputs
    known = catalogue.price_classes
    if file.price_class not in known:
        remedy = "remove it, or give units prices of that class"
        if known:
            remedy = f"{_known(file.price_class, known)}; without it, prices are on demand"
        raise invalid(document.where(("price_class",)), file.price_class, "is a price that no unit has", remedy)
    return catalogue.at_prices_of(file.price_class), inputs


def _with_previous(scenario: Scenario, document: YamlDocument, workspace: Workspace) -> Scenario:
    """Return the scenario with the plan that runs now, if it names one."""
    previous = scenario.file.search.previous
    if previous is None:
        return scenario
    path = workspace.locate(previous.plan, document.where(("search", "previous", "plan")), "plans")
    content = read_bytes(path, MAX_DOCUMENT_BYTES)
    found = parse_yaml(decode_text(content, path.name), path.name)
    plan = validated(Plan, found)
    try:
        scenario.check_plan(plan)
    except InvalidInputError as error:
        place = tuple(error.where.removeprefix("plan: ").split("."))
        raise InvalidInputError(error.reason, found.where(place)) from None
    return replace(scenario, previous=plan, inputs=(*scenario.inputs, InputFile.of(previous.plan, content)))


def _known(name: str, known: Sequence[str]) -> str:
    """Return the remedy for a name that is not known."""
    near = difflib.get_close_matches(name, known, n=1)
    listed = ", ".join(known)
    return f"did you mean {near[0]}? Known are {listed}" if near else f"use one of {listed}"


def _check_whole(scenario: Scenario, document: YamlDocument) -> None:
    """Check what no part can check alone: models have profiles, hardware has prices, stages have choices."""
    pipeline, search, catalogue = scenario.pipeline, scenario.file.search, scenario.catalogue
    for name, stage in pipeline.stages.items():
        where = document.where(("pipeline", name, "model"))
        hardware = scenario.profiles.hardware_of(stage.model)
        if not hardware:
            raise invalid(where, stage.model, "has no profile", describe_missing(stage.model, scenario.profiles))
        if not set(hardware) & set(catalogue.names):
            raise invalid(
                where,
                stage.model,
                f"is profiled on {', '.join(hardware)} only, and none of it has a price",
                f"prices know {', '.join(catalogue.names)}",
            )
    for unit in search.quota:
        if unit not in catalogue.units:
            raise invalid(
                document.where(("search", "quota", unit)), unit, "is not a unit", _known(unit, tuple(catalogue.units))
            )
    listed: list[tuple[tuple[str, ...], tuple[str, ...]]] = [
        (("search", "hardware"), search.hardware or ()),
        (("search", "exclude"), search.exclude or ()),
    ]
    for name, limits in search.stages.items():
        if name not in pipeline.stages:
            raise invalid(
                document.where(("search", "stages", name)),
                name,
                "is not a stage",
                f"use one of {', '.join(pipeline.stages)}",
            )
        listed += [
            (("search", "stages", name, "hardware"), limits.hardware or ()),
            (("search", "stages", name, "exclude"), limits.exclude or ()),
        ]
    for place, names in listed:
        for hardware_name in names:
            if hardware_name not in catalogue.names:
                raise invalid(
                    document.where(place), hardware_name, "has no price", f"use one of {', '.join(catalogue.names)}"
                )
    try:
        _ = scenario.space
    except InvalidInputError as error:
        raise InvalidInputError(error.reason, document.where(("search", *error.where.split(".")))) from None
