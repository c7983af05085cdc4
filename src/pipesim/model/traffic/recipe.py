"""Recipes: files that hold a law of traffic, such as a fit writes, to plan on where the original may not be shared."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from pydantic import Tag

from pipesim.model.fields import Model, form_by_key
from pipesim.model.traffic.generated import (
    ConstantTraffic,
    GammaTraffic,
    MmppTraffic,
    OnOffTraffic,
    PoissonTraffic,
    WeibullTraffic,
)
from pipesim.model.traffic.laws import LAWS

LawForms = (
    Annotated[PoissonTraffic, Tag("<poisson>")]
    | Annotated[GammaTraffic, Tag("<gamma>")]
    | Annotated[WeibullTraffic, Tag("<weibull>")]
    | Annotated[ConstantTraffic, Tag("<constant>")]
    | Annotated[MmppTraffic, Tag("<mmpp>")]
    | Annotated[OnOffTraffic, Tag("<on_off>")]
)
LawTraffic = Annotated[LawForms, form_by_key(*LAWS)]
"""Traffic that needs no other file."""


class Recipe(Model):
    """A recipe as its file holds it."""

    description: str = ""
    traffic: LawTraffic


@dataclass(frozen=True, slots=True)
class TrafficFiles:
    """The files that traffic is read from.

    Parameters
    ----------
    paths
        Where each is, by how the traffic refers to it.
    recipes
        What those of them that are recipes say, by how the traffic refers to them.
    """

    paths: Mapping[str, Path] = field(default_factory=dict)
    recipes: Mapping[str, Recipe] = field(default_factory=dict)
