"""Stage profiles: how long a batch of each size takes one model on one hardware, and how well that is known."""

import difflib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
from pydantic import Field

from pipesim.errors import FileFormatError, invalid, shown
from pipesim.model.csv_rows import CsvRows, csv_rows
from pipesim.model.fields import BatchSize, Model, Name, Scv, Text
from pipesim.model.validation import validated
from pipesim.model.yaml_document import Place, YamlDocument
from pipesim.units import MAX_DURATION_NS, parse_number

if TYPE_CHECKING:
    from pipesim.model.pictures import ProfilePictures

Basis = Literal["measured", "derived", "stand-in", "unstated"]
NoiseLaw = Literal["gamma", "lognormal"]
_REQUIRED = ("model", "hardware", "batch_size", "latency_ms")
_MAX_LATENCY_MS = MAX_DURATION_NS / 10**6
_TEXTS = ("model", "hardware", "noise_law", "basis", "source", "note")
_PER_CURVE = ("noise_scv", "noise_law")


class ProfilePoint(Model):
    """One row of a profile file."""

    model: Name
    hardware: Name
    batch_size: BatchSize
    latency_ms: Annotated[float, Field(gt=0, le=_MAX_LATENCY_MS)]
    """Service time of the whole batch."""
    latency_ms_p50: Annotated[float, Field(gt=0, le=_MAX_LATENCY_MS)] | None = None
    latency_ms_p99: Annotated[float, Field(gt=0, le=_MAX_LATENCY_MS)] | None = None
    """Percentiles of the service time, for the record; the simulation takes `latency_ms` and the noise."""
    noise_scv: Scv = 0.0
    """Squared coefficient of variation of the service time, equal on all rows of a curve."""
    noise_law: NoiseLaw = "gamma"
    memory_gb: Annotated[float, Field(gt=0, le=1e6)] | None = None
    """Memory that the model needs at this batch size."""
    basis: Basis = "unstated"
    """What the figure rests on: a measurement, a derivation, or another model or hardware standing in."""
    source: Text = ""
    note: Text = ""


@dataclass(frozen=True)
class Profile:
    """The service times of one model on one hardware.

    Parameters
    ----------
    points
        One for each measured batch size, in ascending order, all of one model and one hardware.
    """

    points: tuple[ProfilePoint, ...]

    @property
    def model(self) -> str:
        """Return the name of the model."""
        return self.points[0].model

    @property
    def hardware(self) -> str:
        """Return the name of the hardware bundle."""
        return self.points[0].hardware

    @property
    def noise_scv(self) -> float:
        """Return the squared coefficient of variation of the service time."""
        return self.points[0].noise_scv

    @property
    def noise_law(self) -> NoiseLaw:
        """Return the law of the service noise."""
        return self.points[0].noise_law

    @property
    def max_batch_size(self) -> int:
        """Return the largest batch size measured: nothing above it is allowed."""
        return self.points[-1].batch_size

    @cached_property
    def table_ns(self) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
        """Return the service time of every batch size, in nanoseconds.

        Shape ``(max_batch_size + 1,)``, read-only; entry 0 is not used. Between measured sizes it is interpolated
        linearly and exactly, a half rounded to even; below the smallest, the smallest's latency is taken.
        """
        sizes = [point.batch_size for point in self.points]
        latencies = [max(1, round(Fraction(repr(point.latency_ms)) * 10**6)) for point in self.points]
        table = np.full(sizes[-1] + 1, latencies[0], dtype=np.int64)
        table[0] = 0
        for index in range(len(sizes) - 1):
            low, high = sizes[index], sizes[index + 1]
            slope = Fraction(latencies[index + 1] - latencies[index], high - low)
            for size in range(low, high + 1):
                table[size] = round(latencies[index] + slope * (size - low))
        table.flags.writeable = False
        return table

    @cached_property
    def _tells_memory(self) -> bool:
        return any(point.memory_gb is not None for point in self.points)

    def memory_gb(self, batch_size: int) -> float | None:
        """Return the memory that the model needs for batches of up to `batch_size`, or None if it is not known."""
        if not self._tells_memory:
            return None
        upper = next(point.batch_size for point in self.points if point.batch_size >= batch_size)
        known = [p.memory_gb for p in self.points if p.memory_gb is not None and p.batch_size <= upper]
        return max(known) if known else None

    @property
    def caveats(self) -> tuple[str, ...]:
        """Return what a reader of a plan should know about the figures: stand-ins, derivations, a lone point."""
        caveats = []
        stand_ins = [point.note for point in self.points if point.basis == "stand-in"]
        if stand_ins:
            why = stand_ins[0].split("; ")[0]
            caveats.append(f"{self.model} on {self.hardware} rests on a stand-in" + (f": {why}" if why else ""))
        elif any(point.basis == "derived" for point in self.points):
            caveats.append(f"{self.model} on {self.hardware} is derived from other figures, not measured as such")
        if len(self.points) == 1 and self.max_batch_size > 1:
            caveats.append(
                f"{self.model} on {self.hardware} was profiled at batch {self.max_batch_size} only; "
                "smaller batches are given the same latency"
            )
        return tuple(caveats)


class ProfileSet(Mapping[tuple[str, str], Profile]):
    """Profiles by (model, hardware)."""

    def __init__(self, profiles: Mapping[tuple[str, str], Profile]) -> None:
        self._profiles = dict(profiles)

    def __getitem__(self, key: tuple[str, str]) -> Profile:
        return self._profiles[key]

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return iter(self._profiles)

    def __len__(self) -> int:
        return len(self._profiles)

    @property
    def plot(self) -> "ProfilePictures":
        """Return the pictures of them: ``profiles.plot.latency("resnet50")``."""
        from pipesim.model.pictures import ProfilePictures

        return ProfilePictures(self)

    @cached_property
    def models(self) -> tuple[str, ...]:
        """Return the names of the models, each once."""
        return tuple(dict.fromkeys(model for model, _ in self))

    def hardware_of(self, model: str) -> tuple[str, ...]:
        """Return the hardware that a model was profiled on."""
        return tuple(hardware for name, hardware in self if name == model)

    def united(self, other: "ProfileSet") -> "ProfileSet":
        """Return the profiles of both sets.

        Raises
        ------
        InvalidInputError
            If both profile a model on the same hardware.
        """
        for model, hardware in other:
            if (model, hardware) in self:
                raise invalid(
                    "profiles", f"{model} on {hardware}", "is profiled in two of the files", "remove it from one"
                )
        return ProfileSet({**self, **other})


def profile_set(points: Iterable[tuple[str, ProfilePoint]]) -> ProfileSet:
    """Return profiles from points, each with the place it comes from.

    Raises
    ------
    InvalidInputError
        For two points of one batch size, or a curve whose points name different noise.
    """
    curves: dict[tuple[str, str], dict[int, ProfilePoint]] = {}
    for where, point in points:
        curve = curves.setdefault((point.model, point.hardware), {})
        label = f"{point.model} on {point.hardware}"
        if point.batch_size in curve:
            raise invalid(where, point.batch_size, f"is a second batch_size of {label}", "keep one row of the two")
        for field in _PER_CURVE:
            first = next(iter(curve.values()), point)
            if getattr(point, field) != getattr(first, field):
                raise invalid(where, getattr(point, field), f"is a second {field} of {label}", "use one for the curve")
        curve[point.batch_size] = point
    return ProfileSet(
        {key: Profile(tuple(point for _, point in sorted(curve.items()))) for key, curve in curves.items()}
    )


def parse_profiles(content: bytes, name: str) -> ProfileSet:
    """Return the profiles in a CSV file (columns: see :class:`ProfilePoint`).

    Other columns are ignored, unless one is nearly a column that is known.

    Raises
    ------
    FileFormatError, InvalidInputError
        With the line and column of the first problem.
    """
    table = csv_rows(content, name, _REQUIRED)
    for column in table.header:
        near = difflib.get_close_matches(column, ProfilePoint.model_fields, n=1, cutoff=0.8)
        if near and near[0] != column:
            raise FileFormatError(
                f"{name}:1: {shown(column)} is not a column of a profile; did you mean {near[0]}? Else rename it"
            )
    profiles = profile_set(_points(table, name))
    if not profiles:
        raise FileFormatError(f"{name}: holds no rows; a profile needs at least one batch size")
    return profiles


def _points(table: CsvRows, name: str) -> Iterator[tuple[str, ProfilePoint]]:
    known = ProfilePoint.model_fields
    for line, row in table.rows:
        fields = {
            column: _cell(column, text, f"{name}:{line}: {column}")
            for column, text in zip(table.header, row, strict=True)
            if text and column in known
        }
        lines: dict[Place, int] = dict.fromkeys([(), *((column,) for column in fields)], line)
        yield f"{name}:{line}", validated(ProfilePoint, YamlDocument(name, fields, lines))


def _cell(column: str, text: str, where: str) -> str | int | float:
    if column in _TEXTS:
        return text
    number = float(parse_number(text, where))
    return int(number) if column == "batch_size" and number.is_integer() else number


def describe_missing(model: str, profiles: ProfileSet) -> str:
    """Return the remedy for a model without a profile."""
    return f"add one; the profiles know {shown(', '.join(sorted(profiles.models)))[1:-1]}"


def with_latencies(profiles: ProfileSet, changes: Mapping[tuple[str, str, str], float]) -> ProfileSet:
    """Return profiles with some figures changed.

    Parameters
    ----------
    profiles
        They hold the curves that are changed.
    changes
        By model, hardware and figure: a batch size that was measured, and its latency in milliseconds, or
        ``noise_scv``, and the scv of the whole curve.

    >>> point = ProfilePoint(model="m", hardware="t4", batch_size=1, latency_ms=10)
    >>> with_latencies(profile_set([("", point)]), {("m", "t4", "1"): 12.0})["m", "t4"].points[0].latency_ms
    12.0
    """
    changed = dict(profiles)
    for (model, hardware, figure), value in changes.items():
        points = changed[model, hardware].points
        if figure == "noise_scv":
            points = tuple(point.model_copy(update={"noise_scv": value}) for point in points)
        else:
            points = tuple(
                point.model_copy(update={"latency_ms": value}) if str(point.batch_size) == figure else point
                for point in points
            )
        changed[model, hardware] = Profile(points)
    return ProfileSet(changed)
