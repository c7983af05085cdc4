"""The scenario: all that a question needs, read from one file and the files that it names."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, Tag

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
from pipesim.model.fields import BatchSize, Listed, Model, Name, PositiveDuration, QuantileName, one_form
from pipesim.model.hardware import Catalogue, parse_catalogue
from pipesim.model.pipeline import Pipeline
from pipesim.model.plan import Plan
from pipesim.model.profile import ProfilePoint, ProfileSet, describe_missing, parse_profiles, profile_set
from pipesim.model.search import HardwareOption, Search, StageSearch, StageSpace, batch_sizes
from pipesim.model.slo import Slo
from pipesim.model.traffic import RecordedTraffic, Traffic
from pipesim.model.validation import validated
from pipesim.model.yaml_document import YamlDocument, parse_yaml, plain_document
from pipesim.streams import MAX_SEED, check_seed


def _slo_form(value: Any) -> str | None:
    if isinstance(value, dict):
        return "<list>" if "quantile" in value else "<by quantile>"
    return "<list>" if isinstance(value, list | tuple) else None


def _profiles_form(value: Any) -> str | None:
    return "<list>" if isinstance(value, list | tuple) else _prices_form(value)


def _prices_form(value: Any) -> str | None:
    if isinstance(value, dict | Catalogue):
        return "<inline>"
    return "<reference>" if isinstance(value, str) else None


InlineProfiles = Annotated[
    dict[Name, dict[Name, Annotated[dict[BatchSize, PositiveDuration], Field(min_length=1)]]], Field(min_length=1)
]
"""Model -> hardware -> batch size -> latency of the batch."""


class ScenarioFile(Model):
    """A scenario as its file holds it; it reads top to bottom like the question that it asks."""

    name: Name
    description: str = ""
    slo: Annotated[
        Annotated[dict[QuantileName, PositiveDuration], Field(min_length=1), Tag("<by quantile>")]
        | Annotated[Listed[Slo], Tag("<list>")],
        one_form(_slo_form, "is not allowed; write {p99: 300ms}"),
    ]
    """Quantiles and their bounds, or a list of objectives for classes of queries."""
    traffic: Traffic
    pipeline: Pipeline
    profiles: Annotated[
        Annotated[str, Tag("<reference>")]
        | Annotated[Listed[str], Tag("<list>")]
        | Annotated[InlineProfiles, Tag("<inline>")],
        one_form(_profiles_form, "is not allowed; name a file, library:NAME, several of them, or a mapping"),
    ]
    """A profile file (or ``library:NAME``), several, or the latencies themselves."""
    prices: Annotated[
        Annotated[str, Tag("<reference>")] | Annotated[Catalogue, Tag("<inline>")],
        one_form(_prices_form, "is not allowed; name a file, library:NAME, or a mapping with units"),
    ]
    """A price file (or ``library:NAME``), or the catalogue itself."""
    search: Search = Search()
    seed: Annotated[int, Field(ge=0, le=MAX_SEED)] = 0


@dataclass(frozen=True)
class Scenario:
    """A scenario with everything that its file names, checked as a whole.

    Parameters
    ----------
    file
        What the scenario file says.
    profiles, catalogue
        What the files that it names say.
    trace_path
        The recorded trace, if it has one.
    inputs
        The files read so far, with their SHA-256.
    """

    file: ScenarioFile
    profiles: ProfileSet
    catalogue: Catalogue
    trace_path: Path | None
    inputs: tuple[InputFile, ...]

    @property
    def name(self) -> str:
        """Return the scenario's name."""
        return self.file.name

    @property
    def pipeline(self) -> Pipeline:
        """Return the pipeline."""
        return self.file.pipeline

    @property
    def seed(self) -> int:
        """Return the seed of every random stream."""
        return self.file.seed

    @cached_property
    def slos(self) -> tuple[Slo, ...]:
        """Return the objectives, all of which must hold."""
        if isinstance(self.file.slo, dict):
            return tuple(
                Slo.model_construct(quantile_name=name, bound_ns=bound, where={})
                for name, bound in self.file.slo.items()
            )
        return self.file.slo

    def with_seed(self, seed: int) -> "Scenario":
        """Return the scenario under another seed.

        Raises
        ------
        InvalidInputError
            If `seed` is not in 0 … 2⁶³ − 1.
        """
        check_seed(seed)
        return Scenario(
            self.file.model_copy(update={"seed": seed}), self.profiles, self.catalogue, self.trace_path, self.inputs
        )

    @cached_property
    def space(self) -> dict[str, StageSpace]:
        """Return what a plan may choose for each stage.

        Raises
        ------
        InvalidInputError
            If a stage is left without any hardware, batch size or number of replicas.
        """
        return {stage: self._stage_space(stage) for stage in self.pipeline.stages}

    def _stage_space(self, stage: str) -> StageSpace:
        search = self.file.search
        limits = search.stages.get(stage, StageSearch())
        model = self.pipeline.stages[stage].model
        max_replicas = limits.max_replicas or search.max_replicas
        if limits.min_replicas > max_replicas:
            raise invalid(
                f"stages.{stage}.min_replicas",
                limits.min_replicas,
                f"is above max_replicas, {max_replicas}",
                "lower it",
            )
        wanted = limits.hardware or search.hardware
        options, refused = [], []
        for hardware in self.profiles.hardware_of(model):
            if hardware not in self.catalogue.names:
                refused.append(f"{hardware} has no price")
                continue
            if wanted is not None and hardware not in wanted:
                refused.append(f"the search leaves out {hardware}")
                continue
            profile = self.profiles[model, hardware]
            memory = self.catalogue.memory_gb(hardware)
            sizes = batch_sizes(profile, limits, search.max_batch_size)
            fitting = tuple(size for size in sizes if memory is None or (profile.memory_gb(size) or 0) <= memory)
            if fitting:
                options.append(HardwareOption(profile, self.catalogue.price_usd_per_hour(hardware), fitting))
            elif sizes:
                needed = profile.memory_gb(sizes[0])
                refused.append(f"{model} needs {needed:g} GB at batch {sizes[0]}, {hardware} has {memory:g} GB")
            else:
                refused.append(f"on {hardware} it is profiled up to batch {profile.max_batch_size}")
        if not options:
            raise invalid(
                f"stages.{stage}",
                model,
                f"is left without any hardware and batch size: {', '.join(refused)}",
                "widen the search, or add profiles, prices or memory",
            )
        for size in limits.batch_sizes or ():
            if not any(size in option.batch_sizes for option in options):
                largest = max(option.batch_sizes[-1] for option in options)
                raise invalid(
                    f"stages.{stage}.batch_sizes", size, "is possible on none of its hardware", f"use at most {largest}"
                )
        options.sort(key=lambda option: (-option.price_usd_per_hour, option.hardware))
        return StageSpace(tuple(options), limits.min_replicas, max_replicas)

    def check_plan(self, plan: Plan) -> None:
        """Check that the plan fits the pipeline, its profiles and the catalogue.

        Raises
        ------
        InvalidInputError
            With the stage, the value and the remedy.
        """
        for stage in plan.stages:
            if stage not in self.pipeline.stages:
                raise invalid("plan: stages", stage, "is not a stage of the pipeline", "remove it from the plan")
        for stage, spec in self.pipeline.stages.items():
            if stage not in plan.stages:
                raise invalid("plan: stages", list(plan.stages), f"lacks the stage {stage}", "add it to the plan")
            stage_plan = plan.stages[stage]
            hardware = stage_plan.hardware
            where = f"plan: stages.{stage}"
            if hardware not in self.catalogue.names:
                raise invalid(
                    f"{where}.hardware", hardware, "has no price", f"use one of {', '.join(self.catalogue.names)}"
                )
            if (spec.model, hardware) not in self.profiles:
                known = ", ".join(self.profiles.hardware_of(spec.model))
                raise invalid(f"{where}.hardware", hardware, f"has no profile of {spec.model}", f"use one of {known}")
            profile = self.profiles[spec.model, hardware]
            if stage_plan.max_batch_size > profile.max_batch_size:
                raise invalid(
                    f"{where}.max_batch_size",
                    stage_plan.max_batch_size,
                    f"was never measured for {spec.model} on {hardware}",
                    f"use at most {profile.max_batch_size}",
                )
            needed, memory = profile.memory_gb(stage_plan.max_batch_size), self.catalogue.memory_gb(hardware)
            if needed is not None and memory is not None and needed > memory:
                raise invalid(
                    f"{where}.hardware", hardware, f"has {memory} GB of memory", f"{spec.model} needs {needed} GB"
                )


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
    scenario = Scenario(file, profiles, catalogue, trace_path, (*inputs, *profile_inputs, *price_inputs))
    _check_whole(scenario, document)
    return scenario


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
    if isinstance(file.prices, Catalogue):
        return file.prices, []
    path = workspace.locate(file.prices, document.where(("prices",)), "prices")
    content = read_bytes(path, MAX_DOCUMENT_BYTES)
    return parse_catalogue(content, path.name), [InputFile.of(file.prices, content)]


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
    listed: list[tuple[tuple[str, ...], tuple[str, ...]]] = [(("search", "hardware"), search.hardware or ())]
    for name, limits in search.stages.items():
        if name not in pipeline.stages:
            raise invalid(
                document.where(("search", "stages", name)),
                name,
                "is not a stage",
                f"use one of {', '.join(pipeline.stages)}",
            )
        listed.append((("search", "stages", name, "hardware"), limits.hardware or ()))
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
