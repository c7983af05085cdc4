"""Traffic as a scenario file describes it: a generator or a recorded trace, scaled, with attributes of queries."""

from typing import Annotated, Any, Literal, Self

from pydantic import Discriminator, Field, Tag, model_validator

from pipesim.errors import InvalidInputError, invalid
from pipesim.model.fields import MAX_SCV, Model, Name, PositiveDuration, Qps, Scv, Share, Text, one_form
from pipesim.units import MAX_DURATION_NS, NS_PER_S

MAX_QUERIES = 50_000_000
"""The most queries that a trace may hold in memory."""
MAX_QUERIES_IN_PIECES = 10_000_000_000
"""The most queries that may be generated and simulated piece by piece."""
_S_PER_DAY = 86_400
_MAX_DAYS = MAX_DURATION_NS // (NS_PER_S * _S_PER_DAY)

Positive = Annotated[float, Field(gt=0, le=1e12)]
Load = Annotated[float, Field(gt=0, le=1e6)]


class GammaSize(Model):
    """A numeric attribute, gamma-distributed."""

    mean: Positive
    scv: Scv = 1.0


class DrawnGamma(Model):
    """An attribute drawn from a gamma law."""

    gamma: GammaSize


class DrawnLognormal(Model):
    """An attribute drawn from a lognormal law."""

    lognormal: GammaSize


class DrawnCategory(Model):
    """An attribute drawn from named values by share; the shares add up to 1."""

    weights: Annotated[dict[Text, Share], Field(min_length=1, max_length=1000)]

    @model_validator(mode="after")
    def _adds_up(self) -> Self:
        if abs(sum(self.weights.values()) - 1) > 1e-9:
            raise invalid("weights", sum(self.weights.values()), "is their sum", "make the shares add up to 1")
        return self


def _form_by_key(*keys: str) -> Discriminator:
    def form(value: Any) -> str | None:
        given = [key for key in keys if (key in value if isinstance(value, dict) else hasattr(value, key))]
        return f"<{given[0]}>" if len(given) == 1 else None

    return one_form(form, f"needs exactly one of {', '.join(keys)}")


DrawnAttribute = Annotated[
    Annotated[DrawnGamma, Tag("<gamma>")]
    | Annotated[DrawnLognormal, Tag("<lognormal>")]
    | Annotated[DrawnCategory, Tag("<weights>")],
    _form_by_key("gamma", "lognormal", "weights"),
]


def check_length(rate_qps: float, duration_s: float | None, queries: int | None) -> None:
    """Check where generated traffic ends, given by its duration or its number of queries.

    Raises
    ------
    InvalidInputError
        If not exactly one of them is given, or there are too many queries, or they last longer than 400 days.
    """
    if (duration_s is None) == (queries is None):
        found = "neither" if queries is None else "both"
        raise InvalidInputError(f"{found} of duration and queries is given; give exactly one of them")
    expected = duration_s * rate_qps if duration_s is not None else queries or 0
    if not 0 <= expected <= MAX_QUERIES_IN_PIECES:
        raise InvalidInputError(
            f"{expected:.0f} queries are not allowed; use 0 to {MAX_QUERIES_IN_PIECES}: change the rate or the length"
        )
    days = expected / rate_qps / _S_PER_DAY
    if days > _MAX_DAYS:
        raise InvalidInputError(
            f"{expected:.0f} queries at {rate_qps:g} a second would last {days:,.0f} days; use at most {_MAX_DAYS} days"
        )


class _Length(Model):
    rate_qps: Qps
    duration_ns: PositiveDuration | None = Field(None, alias="duration")
    queries: Annotated[int, Field(ge=0, le=MAX_QUERIES_IN_PIECES)] | None = None

    @model_validator(mode="after")
    def _ends(self) -> Self:
        check_length(self.rate_qps, self.duration_s, self.queries)
        return self

    @property
    def duration_s(self) -> float | None:
        """Return the duration in seconds, if it is given."""
        return None if self.duration_ns is None else self.duration_ns / NS_PER_S

    @property
    def expected_queries(self) -> float:
        """Return how many queries there are, on average."""
        return self.queries if self.queries is not None else self.rate_qps * (self.duration_s or 0)


class PoissonLaw(_Length):
    """Poisson arrivals: exponential gaps."""


class GammaLaw(_Length):
    """A renewal process with gamma gaps of a given variability."""

    scv: Scv | None = None
    """Squared coefficient of variation of the gaps; what the InferLine paper calls CV."""
    cv: Annotated[float, Field(gt=0, le=MAX_SCV**0.5)] | None = None
    """Coefficient of variation of the gaps: the square root of `scv`."""

    @model_validator(mode="after")
    def _has_one_variability(self) -> Self:
        if (self.scv is None) == (self.cv is None):
            found = "neither" if self.cv is None else "both"
            raise InvalidInputError(f"{found} of scv and cv is given; give one (scv is the square of cv)")
        return self

    @property
    def gap_scv(self) -> float:
        """Return the squared coefficient of variation of the gaps, however it was given."""
        if self.scv is not None:
            return self.scv
        assert self.cv is not None
        return self.cv**2


class _Traffic(Model):
    load: Load | None = None
    """Compress time by this factor: twice the rate, the burst structure kept, the trace half as long."""
    compress_to_qps: Qps | None = None
    """Compress (or stretch) time so that the mean rate becomes this."""
    thin: Annotated[float, Field(gt=0, le=1)] | None = None
    """Keep each query with this probability: a lower rate, and bursts diluted."""
    attributes: dict[Name, DrawnAttribute] = {}
    """Attributes of queries to draw, such as a class or a size."""

    @model_validator(mode="after")
    def _has_one_load(self) -> Self:
        if self.load is not None and self.compress_to_qps is not None:
            raise invalid("load", self.load, "contradicts compress_to_qps", "keep one of them")
        return self


class PoissonTraffic(_Traffic):
    """Traffic drawn from a Poisson process."""

    poisson: PoissonLaw


class GammaTraffic(_Traffic):
    """Traffic drawn from a gamma renewal process."""

    gamma: GammaLaw


class RecordedTraffic(_Traffic):
    """Traffic read from a trace file."""

    file: str
    """``library:NAME`` or a path relative to the scenario's folder."""
    format: Literal["csv", "azure-llm"] = "csv"
    column: str | None = None
    """The column of arrival times (format csv)."""
    unit: Literal["s", "ms", "us", "ns", "datetime"] | None = None
    """What the column counts (format csv): never guessed."""
    columns: dict[Name, str] = {}
    """Query attributes and the columns that hold them (format csv)."""
    unsorted: Literal["refuse", "sort"] = "refuse"
    """What to do when a row is earlier than the row before it."""

    @model_validator(mode="after")
    def _csv_says_how_to_read_it(self) -> Self:
        for field, what in (("column", "which column holds the times"), ("unit", "what the column counts")):
            given = getattr(self, field)
            if self.format == "csv" and given is None:
                raise InvalidInputError(f"is missing; say {what}, or name the file's format", field)
            if self.format != "csv" and (given is not None or self.columns):
                raise invalid(field, given, f"does not belong to format {self.format}", "remove column, unit, columns")
        return self


Traffic = Annotated[
    Annotated[PoissonTraffic, Tag("<poisson>")]
    | Annotated[GammaTraffic, Tag("<gamma>")]
    | Annotated[RecordedTraffic, Tag("<file>")],
    _form_by_key("poisson", "gamma", "file"),
]
