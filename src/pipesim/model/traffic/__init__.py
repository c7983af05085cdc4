"""Traffic as a scenario file describes it: drawn from laws or read from files, scaled, with attributes of queries."""

from collections.abc import Iterator
from typing import Annotated

from pydantic import Field, Tag

from pipesim.model.fields import Name, form_by_key
from pipesim.model.traffic.attributes import (
    DrawnAttribute,
    DrawnCategory,
    DrawnGamma,
    DrawnLognormal,
    DrawnQuantiles,
    GammaSize,
)
from pipesim.model.traffic.generated import (
    ConstantTraffic,
    GammaTraffic,
    GeneratedTraffic,
    MmppTraffic,
    OnOffTraffic,
    PoissonTraffic,
    WeibullTraffic,
)
from pipesim.model.traffic.laws import LAWS, MAX_QUERIES, MAX_QUERIES_IN_PIECES, GammaLaw, Law, check_length
from pipesim.model.traffic.recipe import LawForms, Recipe, TrafficFiles
from pipesim.model.traffic.recorded import (
    CountsFile,
    CountsTraffic,
    RecipeTraffic,
    RecordedTraffic,
    ServegenPool,
    ServegenTraffic,
)
from pipesim.model.traffic.scaling import ScaledTraffic

_FILES = ("counts", "servegen", "recipe", "file")

_FileForms = (
    Annotated[CountsTraffic, Tag("<counts>")]
    | Annotated[ServegenTraffic, Tag("<servegen>")]
    | Annotated[RecipeTraffic, Tag("<recipe>")]
    | Annotated[RecordedTraffic, Tag("<file>")]
)
Component = Annotated[LawForms | _FileForms, form_by_key(*LAWS, *_FILES)]
"""Traffic that may be a part of a sum."""


class SumTraffic(ScaledTraffic):
    """Traffic of several clients at once, each with its own luck; queries of one instant are in the clients' order."""

    sum: Annotated[dict[Name, Component], Field(min_length=1, max_length=1000)]
    """The clients by name. All carry the same attributes."""
    label: Name | None = None
    """The attribute that names the client of each query, if one is wanted."""


Traffic = Annotated[LawForms | _FileForms | Annotated[SumTraffic, Tag("<sum>")], form_by_key(*LAWS, "sum", *_FILES)]

References = Iterator[tuple[tuple[str | int, ...], str]]


def files_of(traffic: ScaledTraffic) -> References:
    """Return the files that traffic is read from: the place of each in ``traffic``, and the reference to it."""
    if isinstance(traffic, RecordedTraffic):
        yield ("file",), traffic.file
    elif isinstance(traffic, CountsTraffic):
        yield ("counts", "file"), traffic.counts.file
    elif isinstance(traffic, ServegenTraffic):
        yield ("servegen", "file"), traffic.servegen.file
        if traffic.servegen.dataset is not None:
            yield ("servegen", "dataset"), traffic.servegen.dataset
    elif isinstance(traffic, RecipeTraffic):
        yield ("recipe",), traffic.recipe
    elif isinstance(traffic, SumTraffic):
        for name, part in traffic.sum.items():
            for place, reference in files_of(part):
                yield ("sum", name, *place), reference


__all__ = [
    "LAWS",
    "MAX_QUERIES",
    "MAX_QUERIES_IN_PIECES",
    "ConstantTraffic",
    "CountsFile",
    "CountsTraffic",
    "DrawnAttribute",
    "DrawnCategory",
    "DrawnGamma",
    "DrawnLognormal",
    "DrawnQuantiles",
    "GammaLaw",
    "GammaSize",
    "GammaTraffic",
    "GeneratedTraffic",
    "Law",
    "MmppTraffic",
    "OnOffTraffic",
    "PoissonTraffic",
    "Recipe",
    "RecipeTraffic",
    "RecordedTraffic",
    "ScaledTraffic",
    "ServegenPool",
    "ServegenTraffic",
    "SumTraffic",
    "Traffic",
    "TrafficFiles",
    "WeibullTraffic",
    "check_length",
    "files_of",
]
