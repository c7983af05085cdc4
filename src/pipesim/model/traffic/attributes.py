"""Attributes of queries that a scenario file asks to draw."""

from typing import Annotated, Self

from pydantic import Field, Tag, model_validator

from pipesim.errors import invalid
from pipesim.model.fields import FiniteNumber, Listed, Model, Scv, Share, Text, form_by_key

MAX_QUANTILES = 1_001

Positive = Annotated[float, Field(gt=0, le=1e12)]


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


class DrawnQuantiles(Model):
    """An attribute drawn from a law that a fit has seen: its quantiles at even steps, from the least to the largest.

    Between two neighbours the law is uniform.
    """

    quantiles: Annotated[Listed[FiniteNumber], Field(min_length=2, max_length=MAX_QUANTILES)]
    whole: bool = False
    """Round what is drawn to whole numbers, such as tokens."""

    @model_validator(mode="after")
    def _ascends(self) -> Self:
        if list(self.quantiles) != sorted(self.quantiles):
            raise invalid("quantiles", list(self.quantiles[:5]), "and so on do not ascend", "sort them")
        return self


class DrawnCategory(Model):
    """An attribute drawn from named values by share; the shares add up to 1."""

    weights: Annotated[dict[Text, Share], Field(min_length=1, max_length=1000)]

    @model_validator(mode="after")
    def _adds_up(self) -> Self:
        if abs(sum(self.weights.values()) - 1) > 1e-9:
            raise invalid("weights", sum(self.weights.values()), "is their sum", "make the shares add up to 1")
        return self


DrawnAttribute = Annotated[
    Annotated[DrawnGamma, Tag("<gamma>")]
    | Annotated[DrawnLognormal, Tag("<lognormal>")]
    | Annotated[DrawnQuantiles, Tag("<quantiles>")]
    | Annotated[DrawnCategory, Tag("<weights>")],
    form_by_key("gamma", "lognormal", "quantiles", "weights"),
]
