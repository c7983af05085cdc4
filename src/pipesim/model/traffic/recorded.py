"""Traffic that comes from a file: arrivals, counts per bin, or the clients of a pool."""

from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from pipesim.errors import InvalidInputError, invalid
from pipesim.model.fields import MAX_SCV, Duration, Model, Name, PositiveDuration, Qps, Text, sequence
from pipesim.model.traffic.laws import GapFamily
from pipesim.model.traffic.scaling import ScaledTraffic

TimeUnit = Literal["s", "ms", "us", "ns", "datetime"]
"""What a column of times counts; it is never guessed."""
TableFormat = Literal["csv", "parquet", "jsonl"]
"""Tables whose columns the user names."""
ArrivalFormat = Literal[
    TableFormat,
    "pipesim",
    "pipesim-parquet",
    "azure-llm",
    "azure-functions-2021",
    "mooncake",
    "bailian",
    "burstgpt",
    "vidur",
    "splitwise-sim",
    "blis",
    "aiperf",
    "access-log",
    "access-log-json",
]
"""Files that hold a row for each query."""
CountFormat = Literal["csv", "parquet", "azure-functions-2019", "prometheus"]
"""Files that hold how many queries there were, or their rate."""


class RecordedTraffic(ScaledTraffic):
    """Traffic read from a trace file."""

    file: str
    """``library:NAME`` or a path relative to the scenario's folder."""
    format: ArrivalFormat | None = None
    """How the file is written; when not given, it is known by its columns, if they leave no doubt."""
    column: str | None = None
    """The column of arrival times (formats csv, parquet and jsonl)."""
    unit: TimeUnit | None = None
    """What the column counts (formats csv, parquet and jsonl): never guessed."""
    columns: dict[Name, str] = {}
    """Query attributes and the columns that hold them (formats csv, parquet and jsonl)."""
    timezone: Text | None = None
    """The zone of dates that name none, such as ``Europe/Berlin``; UTC when not given."""
    unsorted: Literal["refuse", "sort"] = "refuse"
    """What to do when a row is earlier than the row before it, in a format that promises order."""
    bad_rows: Literal["stop", "skip"] = "stop"
    """What to do with a row that cannot be read: stop, or leave it out and count it."""

    @model_validator(mode="after")
    def _says_how_to_read_it(self) -> Self:
        named = self.format not in (None, "csv", "parquet", "jsonl")
        if named and (self.column or self.unit or self.columns):
            field = next(name for name in ("column", "unit", "columns") if getattr(self, name))
            value = getattr(self, field)
            raise invalid(field, value, f"does not belong to format {self.format}", "remove column, unit, columns")
        if named or (self.format is None and not (self.column or self.unit or self.columns)):
            return self
        for field, what in (("column", "which column holds the times"), ("unit", "what the column counts")):
            if getattr(self, field) is None:
                raise InvalidInputError(f"is missing; say {what}, or name the file's format", field)
        return self


class CountsFile(Model):
    """A file of counts per bin, and the law inside each bin."""

    file: str
    """``library:NAME`` or a path relative to the scenario's folder."""
    format: CountFormat | None = None
    """How the file is written; when not given, it is known by its columns, if they leave no doubt."""
    time: str | None = None
    """The column of bin starts (csv, parquet)."""
    count: str | None = None
    """The column of counts (csv, parquet)."""
    unit: TimeUnit | None = None
    """What the column of bin starts counts (csv, parquet)."""
    values: Literal["counts", "rates", "counter"] | None = None
    """What the numbers are: counts per bin, queries per second, or a counter that only grows and may be reset."""
    bin: PositiveDuration | None = None
    """The width of a bin (csv, parquet)."""
    series: Text | None = None
    """Which series of several: a function's hash, or a label such as ``job="api"``; their sum when not given."""
    timezone: Text | None = None
    """The zone of dates that name none; UTC when not given."""
    missing: Literal["refuse", "zero", "gap"] = "refuse"
    """What an absent bin means: an error, no query, or not known (a rate is then drawn between its neighbours)."""
    start: Duration = 0
    """Where to begin, from the first bin."""
    duration: PositiveDuration | None = None
    """How long; to the end, when not given."""
    rate_qps: Qps | None = None
    """Scale the curve so that this is its mean rate."""
    gaps: GapFamily = "gamma"
    """The law of gaps inside a bin."""
    scv: Annotated[float, Field(ge=0, le=MAX_SCV)] | Literal["fitted"] = "fitted"
    """The variability of gaps inside a bin, whose counts are the mean of what is drawn; ``fitted``: the local index of
    dispersion of the counts, which then are smoothed, so that what is drawn scatters as much as they do."""


class CountsTraffic(ScaledTraffic):
    """Traffic drawn from a curve of counts per bin."""

    counts: CountsFile


class ServegenPool(Model):
    """Clients of a ServeGen pool: a rate, a variability and a law of gaps for each client and window."""

    file: str
    """An archive (``.tar.gz``) of ``chunk-<client>-trace.csv`` files, as the ServeGen repository has them."""
    dataset: str | None = None
    """An archive of ``chunk-<client>-dataset.json`` files: tokens of each query become its attributes."""
    start: Duration = 0
    """Where to begin, from midnight of the first day."""
    duration: PositiveDuration
    """How long."""
    clients: Annotated[tuple[Text, ...], BeforeValidator(sequence), Field(min_length=1)] | None = None
    """Which clients, by their number; all, when not given."""
    largest: Annotated[int, Field(ge=1, le=100_000)] | None = None
    """Or only so many clients: those with the most queries in the whole file."""
    rate_qps: Qps | None = None
    """Scale all rates by one factor so that this is the mean rate."""
    gaps: Literal["cv", "fitted"] = "cv"
    """Gaps of the named law with the measured variability, or with the fitted shape; both have the measured rate."""

    @model_validator(mode="after")
    def _chooses_clients_once(self) -> Self:
        if self.clients is not None and self.largest is not None:
            raise invalid("largest", self.largest, "contradicts clients", "keep one of them")
        return self


class ServegenTraffic(ScaledTraffic):
    """Traffic drawn from a ServeGen pool of clients."""

    servegen: ServegenPool


class RecipeTraffic(ScaledTraffic):
    """Traffic that a recipe describes, such as `pipesim trace fit` writes."""

    recipe: str
    """A YAML file with a block ``traffic``; a path relative to the scenario's folder, or ``library:NAME``."""
