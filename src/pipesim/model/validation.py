"""From the data of a document to a model, or to one complaint that names file, line, field, value, rule and remedy."""

import difflib
from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from pipesim.errors import InvalidInputError, shown
from pipesim.model.fields import NAME_PATTERN
from pipesim.model.yaml_document import YamlDocument, plain_document

M = TypeVar("M", bound=BaseModel)


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
        first = min(
            problems, key=lambda problem: (document.line_of(_place(problem, document)), problem["type"] == "missing")
        )
        others = len({_place(problem, document) for problem in problems}) - 1
        more = f" (and {others} more)" if others else ""
        raise InvalidInputError(_message(first, cls, document) + more) from None


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
        case "too_short" if context["actual_length"]:
            return f"{where}: holds {context['actual_length']} entries; use at least {context['min_length']}"
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
