"""What the models share: the base class, and the field types with their limits."""

import math
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Annotated, Any, Self, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    StringConstraints,
)
from pydantic import WithJsonSchema as JsonSchema

from pipesim import units
from pipesim.errors import invalid
from pipesim.streams import MAX_SEED

NAME_PATTERN = r"^[A-Za-z0-9_.-]{1,64}$"
MIN_QPS = 0.001
MAX_QPS = 1e7
MAX_REPLICAS = 100_000
MAX_BATCH_SIZE = 65_536
MAX_FAN_OUT = 1_000
MAX_SCV = 1_000.0
MAX_USD_PER_HOUR = 1_000_000
MAX_UNITS = 1_000_000_000
MAX_STAGES = 64
_LINE_BREAKS = dict.fromkeys(map(ord, "\t\r\n"))

T = TypeVar("T")


class Model(BaseModel):
    """Base of everything that comes from a file: frozen, strict, no unknown fields."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, populate_by_name=True, allow_inf_nan=False, hide_input_in_errors=True
    )

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """Return a copy with some fields changed, in which what follows from the fields is computed anew."""
        copy = super().model_copy(update=update, deep=deep)
        for name in copy.__dict__.keys() - type(self).model_fields.keys():
            del copy.__dict__[name]
        return copy


def _money(value: object) -> object:
    if isinstance(value, Decimal):
        return value
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise invalid("", value, "is not a number", "write dollars as 0.35")
    if not math.isfinite(value):
        raise invalid("", value, "is not finite", "use a finite number")
    return Decimal(str(value))


def sequence(value: object) -> object:
    """Return a list of a file as the tuple that a frozen model holds."""
    if not isinstance(value, list | tuple):
        raise invalid("", value, "is not a list", "write one, such as [a, b]")
    return tuple(value)


def positive_duration_ns(value: object) -> int:
    """Return the nanoseconds of a duration that is not 0, as a file writes it."""
    duration_ns = units.parse_duration_ns(value)
    if not duration_ns:
        raise invalid("", value, "is not allowed", "use more than 0")
    return duration_ns


def _quantile_name(value: object) -> object:
    units.parse_quantile(value)
    return value


def _text(value: str) -> str:
    if not value.translate(_LINE_BREAKS).isprintable():
        raise invalid("", value, "holds a character that does not print", "remove it")
    return value


def _attribute_value(value: object) -> object:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise invalid("", value, "is not text or a number", "write one value, and quote what should be text")
    return _text(value) if isinstance(value, str) else value


def one_form(form: Callable[[Any], str | None], remedy: str) -> Discriminator:
    """Return what tells the forms of a field apart; where `form` gives no tag, the complaint says `remedy`.

    Tags are written ``<so>``, so that no field of a file can have the name of one.
    """
    return Discriminator(form, custom_error_type="no_form", custom_error_message=remedy)


def form_by_key(*keys: str) -> Discriminator:
    """Return what tells the forms of a field apart by the one of `keys` that is given; the tags are ``<key>``."""

    def form(value: Any) -> str | None:
        given = [key for key in keys if (key in value if isinstance(value, dict) else hasattr(value, key))]
        return f"<{given[0]}>" if len(given) == 1 else None

    return one_form(form, f"needs exactly one of {', '.join(keys)}")


Name = Annotated[str, StringConstraints(pattern=NAME_PATTERN)]
FiniteNumber = Annotated[float, Field(ge=-1e15, le=1e15)]
Share = Annotated[float, Field(ge=0, le=1)]
Text = Annotated[str, AfterValidator(_text)]
"""Text that may reach a terminal: it holds no control characters but line breaks and tabs."""
AttributeValue = Annotated[str | int | float, BeforeValidator(_attribute_value)]
_DurationSchema = JsonSchema(
    {"type": "string", "pattern": units.DURATION_PATTERN, "examples": ["300ms", "1.5s", "10min"]}
)
Duration = Annotated[int, BeforeValidator(units.parse_duration_ns), _DurationSchema]
PositiveDuration = Annotated[int, BeforeValidator(positive_duration_ns), _DurationSchema]
Money = Annotated[
    Decimal,
    BeforeValidator(_money),
    Field(ge=0, le=MAX_USD_PER_HOUR),
    JsonSchema({"type": "number", "minimum": 0, "maximum": MAX_USD_PER_HOUR}),
]
PositiveMoney = Annotated[
    Decimal,
    BeforeValidator(_money),
    Field(gt=0, le=MAX_USD_PER_HOUR),
    JsonSchema({"type": "number", "exclusiveMinimum": 0, "maximum": MAX_USD_PER_HOUR}),
]
QuantileName = Annotated[str, StringConstraints(pattern=units.QUANTILE_PATTERN), BeforeValidator(_quantile_name)]
Replicas = Annotated[int, Field(ge=1, le=MAX_REPLICAS)]
BatchSize = Annotated[int, Field(ge=1, le=MAX_BATCH_SIZE)]
Scv = Annotated[float, Field(ge=0, le=MAX_SCV)]
Seed = Annotated[int, Field(ge=0, le=MAX_SEED)]
Qps = Annotated[float, Field(ge=MIN_QPS, le=MAX_QPS)]
Listed = Annotated[tuple[T, ...], BeforeValidator(sequence), Field(min_length=1)]
"""One or more values that a file gives as a list."""
