"""The scenario: all that a question needs, and what a plan may choose."""

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, field, replace
from decimal import Decimal
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any

import pandas as pd
from pydantic import Field, Tag

from pipesim.errors import invalid
from pipesim.files import InputFile
from pipesim.model.fields import (
    MAX_USD_PER_HOUR,
    BatchSize,
    Listed,
    Model,
    Name,
    PositiveDuration,
    QuantileName,
    Seed,
    one_form,
)
from pipesim.model.hardware import Catalogue
from pipesim.model.pipeline import Pipeline
from pipesim.model.plan import Plan, check_is_plan
from pipesim.model.profile import ProfileSet
from pipesim.model.search import HardwareOption, Search, StageSpace, batch_sizes
from pipesim.model.slo import Slo
from pipesim.model.source import Source
from pipesim.model.traffic import Traffic, TrafficFiles
from pipesim.model.yaml_document import Place
from pipesim.streams import check_seed

if TYPE_CHECKING:
    from pipesim.model.pictures import ScenarioPictures


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
    price_class: Name | None = None
    """The class of prices to pay, such as ``spot``; on demand when not given."""
    search: Search = Search()
    seed: Seed = 0


@dataclass(frozen=True)
class Scenario:
    """A scenario with everything that its file names, checked as a whole.

    Parameters
    ----------
    file
        What the scenario file says.
    profiles, catalogue
        What the files that it names say; the catalogue has the prices of the scenario's class.
    traffic_files
        The files that the traffic is read from.
    inputs
        The files read so far, with their SHA-256.
    previous
        The plan that runs now, if it names one.
    source
        What it was made from, for :meth:`with_`.
    """

    file: ScenarioFile
    profiles: ProfileSet
    catalogue: Catalogue
    traffic_files: TrafficFiles
    inputs: tuple[InputFile, ...]
    previous: Plan | None = None
    source: Source | None = field(default=None, repr=False, compare=False)

    @property
    def name(self) -> str:
        """Return the scenario's name."""
        return self.file.name

    @property
    def plot(self) -> "ScenarioPictures":
        """Return the pictures of it: ``scenario.plot.pipeline()``."""
        from pipesim.model.pictures import ScenarioPictures

        return ScenarioPictures(self)

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
                Slo.model_construct(quantile_name=name, bound_ns=bound, where={}, every_ns=None)
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
        return self._with_field(("seed",), seed, {"seed": seed})

    def _with_field(self, place: Place, value: Any, update: dict[str, Any]) -> "Scenario":
        """Return the scenario with a field changed that was checked, in its document too."""
        file, source = self.file.model_copy(update=update), self.source
        if source is not None:
            made = tuple(file if one is self.file else one for one in source.made)
            source = replace(source, document=source.document.with_value(place, value), made=made)
        return replace(self, file=file, source=source)

    def with_(self, changes: Mapping[str, Any] | None = None, /, **named: Any) -> "Scenario":
        """Return the scenario that its file would describe with some fields changed; it is checked as a whole.

        Files that it names are not read again.

        Parameters
        ----------
        changes
            Values by the path of a field of the scenario file, such as ``traffic.gamma.scv`` or ``slo.p99``, or by a
            short form: see :mod:`pipesim.model.changes`.
        named
            The same for paths that are words: ``load``, ``seed``; ``slo_p99`` stands for ``slo.p99``.

        Raises
        ------
        FileFormatError, InvalidInputError
            With the path, the value, the rule and the remedy, exactly as for the file.

        >>> from pipesim.model import scenario_from_dict
        >>> scenario = scenario_from_dict({
        ...     "name": "one", "slo": {"p99": "100ms"}, "traffic": {"poisson": {"rate_qps": 1, "queries": 1}},
        ...     "pipeline": {"a": {"model": "m"}}, "profiles": {"m": {"cpu": {1: "10ms"}}},
        ...     "prices": {"units": {"cpu": {"kind": "cpu", "unit": "core", "price_usd_per_hour": 1}}}})
        >>> scenario.with_({"traffic.poisson.rate_qps": 2}, slo_p99="200ms").slos[0].bound_ns
        200000000
        >>> scenario.with_(load=-1)
        Traceback (most recent call last):
        pipesim.errors.InvalidInputError: load: -1 is not allowed; it should be greater than 0
        """
        from pipesim.model.changes import changed_scenario  # here, because loading needs this module

        return changed_scenario(self, {**(changes or {}), **named})

    def to_dict(self) -> dict[str, Any]:
        """Return what the scenario file says, with all changes made by :meth:`with_`, as plain data.

        Raises
        ------
        InvalidInputError
            If the scenario was changed in another way: no file says what it is.
        """
        from pipesim.model.changes import source_of

        data: dict[str, Any] = deepcopy(source_of(self).document.data)
        return data

    def with_max_cost(self, usd_per_hour: Decimal) -> "Scenario":
        """Return the scenario with a ceiling on what a plan may cost an hour; a lower one that it has stays.

        Raises
        ------
        InvalidInputError
            If it is not a finite amount above 0.
        """
        amount = Decimal(str(usd_per_hour))
        if not amount.is_finite() or not 0 < amount <= MAX_USD_PER_HOUR:
            raise invalid(
                "max_cost_usd_per_hour", str(usd_per_hour), "is not allowed", f"use above 0, up to {MAX_USD_PER_HOUR}"
            )
        usd_per_hour = amount if self.max_cost_usd_per_hour is None else min(amount, self.max_cost_usd_per_hour)
        search = self.file.search.model_copy(update={"max_cost_usd_per_hour": usd_per_hour})
        return self._with_field(("search", "max_cost_usd_per_hour"), usd_per_hour, {"search": search})

    def to_frame(self) -> pd.DataFrame:
        """Return what may be chosen for each stage (index ``stage``), one row for each hardware.

        Columns: ``model``, ``hardware``, ``price_usd_per_hour`` (of a replica, float), ``max_batch_size`` (the largest
        batch limit), ``min_replicas``, ``max_replicas``.

        Raises
        ------
        InvalidInputError
            As `space`.
        """
        rows = [
            {
                "stage": name,
                "model": option.profile.model,
                "hardware": option.hardware,
                "price_usd_per_hour": float(option.price_usd_per_hour),
                "max_batch_size": option.batch_sizes[-1],
                "min_replicas": space.min_replicas,
                "max_replicas": space.max_replicas,
            }
            for name, space in self.space.items()
            for option in space.options
        ]
        return pd.DataFrame(rows).set_index("stage")

    def _repr_html_(self) -> str:
        from pipesim.model.notebook import scenario_html

        return scenario_html(self)

    @property
    def quota(self) -> dict[str, int]:
        """Return the most units that a plan may occupy, of those that are limited."""
        return self.file.search.quota

    @property
    def max_cost_usd_per_hour(self) -> Decimal | None:
        """Return the most that a plan may cost, if there is a limit."""
        return self.file.search.max_cost_usd_per_hour

    @property
    def change_usd_per_hour(self) -> Decimal:
        """Return what it is worth to leave one stage of the previous plan as it is; 0 without a previous plan."""
        previous = self.file.search.previous
        return Decimal(0) if previous is None else previous.change_usd_per_hour

    def over_quota(self, plan: Plan) -> dict[str, int]:
        """Return the units of which a plan occupies more than the quota, and by how much."""
        occupied = plan.units(self.catalogue)
        return {unit: occupied[unit] - most for unit, most in self.quota.items() if occupied.get(unit, 0) > most}

    def changed_stages(self, plan: Plan) -> tuple[str, ...]:
        """Return the stages whose hardware, replicas or batch limit the previous plan has otherwise; none without it.

        A stage that either plan lacks is a changed one; stages are in the order of the pipeline.
        """
        if self.previous is None:
            return ()
        before, after = self.previous.stages, plan.stages
        return tuple(stage for stage in self.pipeline.stages if after.get(stage) != before.get(stage))

    def weighed_cost_usd_per_hour(self, plan: Plan) -> Decimal:
        """Return what a plan costs an hour, and what it is worth not to change the stages that it changes."""
        return plan.cost_usd_per_hour(self.catalogue) + self.change_usd_per_hour * len(self.changed_stages(plan))

    @cached_property
    def caveats(self) -> tuple[str, ...]:
        """Return what a reader should know of the prices: units of the space that have none of the scenario's class."""
        price_class = self.file.price_class
        if price_class is None:
            return ()
        hardware = dict.fromkeys(option.hardware for stage in self.space.values() for option in stage.options)
        used = {unit for name in hardware for unit in self.catalogue.bundle(name)}
        return tuple(
            f"{name} has no {price_class} price: it is counted at its price on demand"
            for name, unit in self.catalogue.units.items()
            if name in used and price_class not in unit.prices
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
        limits, excluded = search.stage(stage), search.excluded(stage)
        model = self.pipeline.stages[stage].model
        min_replicas, max_replicas = search.replicas(stage)
        wanted = limits.hardware or search.hardware
        options, refused = [], []
        for hardware in self.profiles.hardware_of(model):
            if hardware not in self.catalogue.names:
                refused.append(f"{hardware} has no price")
                continue
            if hardware in excluded or (wanted is not None and hardware not in wanted):
                refused.append(f"the search leaves out {hardware}")
                continue
            beyond = self._beyond_quota(hardware, min_replicas)
            if beyond is not None:
                refused.append(beyond)
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
                "widen the search or its quota, or add profiles, prices or memory",
            )
        for size in limits.batch_sizes or ():
            if not any(size in option.batch_sizes for option in options):
                largest = max(option.batch_sizes[-1] for option in options)
                raise invalid(
                    f"stages.{stage}.batch_sizes", size, "is possible on none of its hardware", f"use at most {largest}"
                )
        options.sort(key=lambda option: (-option.price_usd_per_hour, option.hardware))
        return StageSpace(tuple(options), min_replicas, max_replicas)

    def _beyond_quota(self, hardware: str, replicas: int) -> str | None:
        """Return why so many replicas alone exceed the quota, or None if they do not."""
        for unit, count in self.catalogue.bundle(hardware).items():
            if unit in self.quota and replicas * count > self.quota[unit]:
                some = "a replica" if replicas == 1 else f"{replicas} replicas"
                return f"{some} on {hardware} would occupy {replicas * count} {unit} of a quota of {self.quota[unit]}"
        return None

    def check_plan(self, plan: Plan) -> None:
        """Check that the plan fits the pipeline, its profiles and the catalogue.

        Raises
        ------
        InvalidInputError
            With the stage, the value and the remedy.
        """
        check_is_plan(plan)
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
