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
    LibraryKind,
    Workspace,
    check_input,
    decode_text,
    read_bytes,
)
from pipesim.model.fields import Model, Seed
from pipesim.model.hardware import Catalogue, parse_catalogue
from pipesim.model.plan import Plan
from pipesim.model.profile import (
    ProfilePoint,
    ProfileSet,
    describe_missing,
    parse_profiles,
    profile_set,
    with_latencies,
)
from pipesim.model.scenario import InlineProfiles, Scenario, ScenarioFile
from pipesim.model.source import ReadFiles, Source
from pipesim.model.traffic import Recipe, ScaledTraffic, Traffic, TrafficFiles, files_of
from pipesim.model.validation import validated
from pipesim.model.yaml_document import Place, YamlDocument, parse_yaml, plain_document


def load_scenario(path: str | Path, *, allow_outside: bool = False, root: Path | None = None) -> Scenario:
    """Return the scenario in a file, with all files that it names read and checked.

    Parameters
    ----------
    path
        The scenario file; the paths in it are relative to its folder.
    allow_outside
        Let paths lead out of the workspace: the repository that holds the file, else its folder.
    root
        The folder to take for the workspace, if it is neither.

    Raises
    ------
    FileFormatError, InvalidInputError
        With file, line, field, value, rule and remedy of the first problem.
    """
    path = Path(path)
    check_input(path, "scenario", "give the path of a scenario file, or run pipesim init", allow_outside=allow_outside)
    content = read_bytes(path, MAX_DOCUMENT_BYTES)
    document = parse_yaml(decode_text(content, path.name), path.name)
    workspace = Workspace.around(path, allow_outside=allow_outside)
    if root is not None and not allow_outside:
        workspace = replace(workspace, root=root.resolve())
    return scenario_of(Source(document, workspace, (InputFile.of(path.name, content),)))


def scenario_from_dict(data: dict[str, Any], folder: str | Path = ".") -> Scenario:
    """Return the scenario that plain data describes, as its YAML file would.

    Raises
    ------
    FileFormatError, InvalidInputError
        As :func:`load_scenario`.
    """
    return scenario_of(Source(plain_document(data, "scenario"), Workspace.around(Path(folder)), ()))


def scenario_of(source: Source) -> Scenario:
    """Return the scenario that a document describes, with the files that it names read, unless they were before."""
    document = source.document
    file = validated(ScenarioFile, document)
    profiles, profile_inputs = _load_profiles(file, source)
    catalogue, price_inputs = _load_catalogue(file, source)
    traffic_files, recipe_inputs = locate_traffic(file.traffic, document, source.workspace, source.files)
    inputs = (*source.inputs, *profile_inputs, *price_inputs, *recipe_inputs)
    scenario = Scenario(file, profiles, catalogue, traffic_files, inputs)
    _check_whole(scenario, document)
    source = replace(source, made=(file, profiles, catalogue))
    return replace(_with_previous(scenario, source), source=source)


def _load_profiles(file: ScenarioFile, source: Source) -> tuple[ProfileSet, list[InputFile]]:
    if isinstance(file.profiles, dict):
        return _inline_profiles(file.profiles, source.document), []
    references = (file.profiles,) if isinstance(file.profiles, str) else file.profiles
    profiles, inputs = ProfileSet({}), []
    for index, reference in enumerate(references):
        place: tuple[str | int, ...] = ("profiles",) if isinstance(file.profiles, str) else ("profiles", index)

        def read(reference: str = reference, place: Place = place) -> tuple[ProfileSet, InputFile]:
            path = source.workspace.locate(reference, source.document.where(place), "profiles")
            content = read_bytes(path, MAX_TABLE_BYTES)
            return parse_profiles(content, reference), InputFile.of(reference, content)

        found, input_file = source.files.once(("profiles", reference), read)
        profiles = profiles.united(found)
        inputs.append(input_file)
    return with_latencies(profiles, source.latencies) if source.latencies else profiles, inputs


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


def read_catalogue(reference: str, source: Source) -> tuple[Catalogue, InputFile]:
    """Return the catalogue of the file that a scenario's ``prices`` refer to, at its prices on demand."""

    def read() -> tuple[Catalogue, InputFile]:
        path = source.workspace.locate(reference, source.document.where(("prices",)), "prices")
        content = read_bytes(path, MAX_DOCUMENT_BYTES)
        return parse_catalogue(content, path.name), InputFile.of(reference, content)

    return source.files.once(("prices", reference), read)


def _load_catalogue(file: ScenarioFile, source: Source) -> tuple[Catalogue, list[InputFile]]:
    document, inputs = source.document, []
    if isinstance(file.prices, Catalogue):
        catalogue = file.prices
    else:
        catalogue, input_file = read_catalogue(file.prices, source)
        inputs.append(input_file)
    if file.price_class is None:
        return catalogue, inputs
    known = catalogue.price_classes
    if file.price_class not in known:
        remedy = "remove it, or give units prices of that class"
        if known:
            remedy = f"{_known(file.price_class, known)}; without it, prices are on demand"
        raise invalid(document.where(("price_class",)), file.price_class, "is a price that no unit has", remedy)
    return catalogue.at_prices_of(file.price_class), inputs


def locate_traffic(
    traffic: ScaledTraffic, document: YamlDocument, workspace: Workspace, files: ReadFiles | None = None
) -> tuple[TrafficFiles, list[InputFile]]:
    """Return the files of a document's traffic: recipes are read, of the others it is known where they are."""
    files = files or ReadFiles()
    paths: dict[str, Path] = {}
    recipes: dict[str, Recipe] = {}
    inputs = []
    for place, reference in files_of(traffic):
        is_recipe = place[-1] == "recipe"
        where = document.where(("traffic", *place))
        kind: LibraryKind = "recipes" if is_recipe else "traces"

        def locate(reference: str = reference, where: str = where, kind: LibraryKind = kind) -> Path:
            return workspace.locate(reference, where, kind)

        paths[reference] = path = files.once((kind, reference), locate)
        if is_recipe and reference not in recipes:

            def read(path: Path = path, reference: str = reference) -> tuple[Recipe, InputFile]:
                content = read_bytes(path, MAX_DOCUMENT_BYTES)
                recipe = validated(Recipe, parse_yaml(decode_text(content, path.name), path.name))
                return recipe, InputFile.of(reference, content)

            recipes[reference], input_file = files.once(("recipe", reference), read)
            inputs.append(input_file)
    return TrafficFiles(paths, recipes), inputs


def load_traffic(path: str | Path, *, allow_outside: bool = False) -> tuple[Traffic, TrafficFiles, int]:
    """Return the traffic of a YAML file, a scenario or a recipe, where its files are, and the file's seed.

    Raises
    ------
    FileFormatError, InvalidInputError
        As :func:`load_scenario`, of the field ``traffic`` alone.
    """
    path = Path(path)
    check_input(path, "traffic", "give the path of a trace, a scenario or a recipe", allow_outside=allow_outside)
    document = parse_yaml(decode_text(read_bytes(path, MAX_DOCUMENT_BYTES), path.name), path.name)
    known = ("traffic", "seed")
    if isinstance(document.data, dict):
        document = replace(document, data={key: document.data[key] for key in known if key in document.data})
    held = validated(_TrafficFile, document)
    files, _ = locate_traffic(held.traffic, document, Workspace.around(path, allow_outside=allow_outside))
    return held.traffic, files, held.seed


class _TrafficFile(Model):
    traffic: Traffic
    seed: Seed = 0


def _with_previous(scenario: Scenario, source: Source) -> Scenario:
    """Return the scenario with the plan that runs now, if it names one."""
    previous = scenario.file.search.previous
    if previous is None:
        return scenario

    def read() -> tuple[YamlDocument, Plan, InputFile]:
        where = source.document.where(("search", "previous", "plan"))
        path = source.workspace.locate(previous.plan, where, "plans")
        content = read_bytes(path, MAX_DOCUMENT_BYTES)
        found = parse_yaml(decode_text(content, path.name), path.name)
        return found, validated(Plan, found), InputFile.of(previous.plan, content)

    found, plan, input_file = source.files.once(("plans", previous.plan), read)
    try:
        scenario.check_plan(plan)
    except InvalidInputError as error:
        place = tuple(error.where.removeprefix("plan: ").split("."))
        raise InvalidInputError(error.reason, found.where(place)) from None
    return replace(scenario, previous=plan, inputs=(*scenario.inputs, input_file))


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
