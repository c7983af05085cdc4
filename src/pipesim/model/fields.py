"""What the models share: the base class, the field types with their limits, and errors with field paths."""

import difflib
import math
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Annotated, Any, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    StringConstraints,
    ValidationError,
)
from pydantic import WithJsonSchema as JsonSchema
from pydantic_core import ErrorDetails

from pipesim import units
from pipesim.errors import InvalidInputError, invalid, shown
from pipesim.model.yaml_document import YamlDocument, plain_document

NAME_PATTERN = r"^[A-Za-z0-9_.-]{1,64}$"
MIN_QPS = 0.001
MAX_QPS = 1e7
MAX_REPLICAS = 100_000
MAX_BATCH_SIZE = 65_536
MAX_FAN_OUT = 1_000
MAX_SCV = 1_000.0
MAX_USD_PER_HOUR = 1_000_000
MAX_STAGES = 64
_LINE_BREAKS = dict.fromkeys(map(ord, "\t\r\n"))

T = TypeVar("T")
M = TypeVar("M", bound=BaseModel)


class Model(BaseModel):
    """Base of everything that comes from a file: frozen, strict, no unknown fields."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, populate_by_name=True, allow_inf_nan=False, hide_input_in_errors=True
    )


def _money(value: object) -> object:
    if isinstance(value, Decimal):
        return value
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise invalid("", value, "is not a number", "write dollars as 0.35")
    if not math.isfinite(value):
        raise invalid("", value, "is not finite", "use a finite number")
    return Decimal(str(value))


def _sequence(value: object) -> object:
    if not isinstance(value, list | tuple):
        raise invalid("", value, "is not a list", "write one, such as [a, b]")
    return tuple(value)


def _positive_duration_ns(value: object) -> int:
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


Name = Annotated[str, StringConstraints(pattern=NAME_PATTERN)]
Share = Annotated[float, Field(ge=0, le=1)]
Text = Annotated[str, AfterValidator(_text)]
"""Text that may reach a terminal: it holds no control characters but line breaks and tabs."""
AttributeValue = Annotated[str | int | float, BeforeValidator(_attribute_value)]
_DurationSchema = JsonSchema(
    {"type": "string", "pattern": units.DURATION_PATTERN, "examples": ["300ms", "1.5s", "10min"]}
)
Duration = Annotated[int, BeforeValidator(units.parse_duration_ns), _DurationSchema]
PositiveDuration = Annotated[int, BeforeValidator(_positive_duration_ns), _DurationSchema]
Money = Annotated[
    Decimal,
    BeforeValidator(_money),
    Field(ge=0, le=MAX_USD_PER_HOUR),
    JsonSchema({"type": "number", "minimum": 0, "maximum": MAX_USD_PER_HOUR}),
]
QuantileName = Annotated[str, StringConstraints(pattern=units.QUANTILE_PATTERN), BeforeValidator(_quantile_name)]
Replicas = Annotated[int, Field(ge=1, le=MAX_REPLICAS)]
BatchSize = Annotated[int, Field(ge=1, le=MAX_BATCH_SIZE)]
Scv = Annotated[float, Field(ge=0, le=MAX_SCV)]
Qps = Annotated[float, Field(ge=MIN_QPS, le=MAX_QPS)]
Listed = Annotated[tuple[T, ...], BeforeValidator(_sequence), Field(min_length=1)]
"""One or more values that a file gives as a list."""


def validated_fields(cls: type[M], name: str, fields: Mapping[str, object]) -> M:
    """Return the model that fields which are not in a file describe, such as options of a command.

    Raises
    ------
    InvalidInputError
        With `name`, field, value, rule and remedy of the first problem.
    """
    return validated(cls, plain_document(dict(fields), name))


def validated(cls: type[M], document: YamlDocument) -> M:
    """Return the model that a document describes.

    Raises
    ------
    InvalidInputError
        With file, line, field, value, rule and remedy of the first problem, and how many more there are.
    """
    if not isinstance(document.data, Mapping):
        found = "nothing" if document.data is None else shown(document.data)
        raise InvalidInputError(f"holds {found} where a mapping of fields is due; see pipesim schema", document.name)
    try:
        return cls.model_validate(document.data)
    except ValidationError as error:
        problems = error.errors(include_url=False)
        first = min(problems, key=lambda problem: (_line(problem, document), problem["type"] == "missing"))
        others = len({_place(problem, document) for problem in problems}) - 1
        more = f" (and {others} more)" if others else ""
        raise InvalidInputError(_message(first, cls, document) + more) from None


def _line(problem: ErrorDetails, document: YamlDocument) -> int:
    place = _place(problem, document)
    return next(document.lines[place[:end]] for end in range(len(place), -1, -1) if place[:end] in document.lines)


def _place(problem: ErrorDetails, document: YamlDocument) -> tuple[str | int, ...]:
    """Return the place of a problem in the file: pydantic's location without its tags of forms."""
    place: tuple[str | int, ...] = ()
    location = problem["loc"]
    for index, part in enumerate(location):
        is_last = index == len(location) - 1
        if (*place, part) in document.lines or (is_last and problem["type"] == "missing"):
            place = (*place, part)
    return place


def _message(problem: ErrorDetails, cls: type[BaseModel], document: YamlDocument) -> str:
    place = _place(problem, document)
    where = document.where(place)
    value, context = problem["input"], problem.get("ctx", {})
    match problem["type"]:
        case "missing":
            return f"{where} is missing; add it"
        case "extra_forbidden":
            known = _known_fields(cls, problem["loc"][:-1])
            near = difflib.get_close_matches(str(problem["loc"][-1]), known, n=1)
            remedy = f"did you mean {near[0]}?" if near else f"known are {', '.join(known)}" if known else "remove it"
            return f"{where} is not a field here; {remedy}"
        case "value_error":
            error = context["error"]
            if isinstance(error, InvalidInputError) and error.where:
                return f"{document.where((*place, *error.where.split('.')))}: {error.reason}"
            return f"{where}: {error}"
        case "string_pattern_mismatch" if context["pattern"] == NAME_PATTERN:
            rule = "is not a name; use 1 to 64 letters, digits, dots, dashes and underscores"
        case "finite_number":
            rule = "is not finite; use a finite number"
        case "string_type":
            rule = "is not text; quote it"
        case "dict_type" | "model_type":
            rule = "is not a mapping; write names with values"
        case "too_short":
            rule = "is empty; give at least one"
        case "too_long":
            return f"{where}: holds {context['actual_length']} entries; use at most {context['max_length']}"
        case _:
            rule = problem["msg"].replace("Input should", "is not allowed; it should")
    return f"{where}: {shown(value)} {rule}"


def _known_fields(cls: type[BaseModel], location: tuple[str | int, ...]) -> list[str]:
    """Return the names of the fields at a location, as far as the JSON Schema of the model tells."""
    schema: dict[str, Any] = cls.model_json_schema()
    definitions = schema.get("$defs", {})

    def resolved(part: Any) -> list[dict[str, Any]]:
        if "$ref" in part:
            return resolved(definitions[part["$ref"].rsplit("/", 1)[-1]])
        alternatives = part.get("anyOf", part.get("oneOf"))
        return [found for one in alternatives for found in resolved(one)] if alternatives else [part]

    places = resolved(schema)
    for step in location:
        inner = [
            child
            for place in places
            for child in (
                place.get("properties", {}).get(step),
                place.get("additionalProperties"),
                place.get("items"),
                *place.get("patternProperties", {}).values(),
            )
            if isinstance(child, dict)
        ]
        places = [found for child in inner for found in resolved(child)] or places  # the tag of a form
    return sorted({name for place in places for name in place.get("properties", {})})
