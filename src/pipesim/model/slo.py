"""The latency objective: a bound and the quantile at which it must hold, for all queries or for some."""

from decimal import Decimal
from fractions import Fraction

from pydantic import Field

from pipesim import units
from pipesim.model.fields import AttributeValue, Model, Name, PositiveDuration, QuantileName


class Slo(Model):
    """At most a share 1 − q of the queries may take longer than the bound."""

    quantile_name: QuantileName = Field(alias="quantile")
    bound_ns: PositiveDuration = Field(alias="bound")
    where: dict[Name, AttributeValue] = {}
    """The queries it holds for: those whose attributes have these values; all when empty."""

    @property
    def quantile(self) -> Decimal:
        """Return q, exactly."""
        return units.parse_quantile(self.quantile_name)

    def allowed_misses(self, queries: int) -> int:
        """Return how many of `queries` may exceed the bound: ⌊(1 − q) · n⌋, computed exactly.

        >>> Slo(quantile="p99", bound="1s").allowed_misses(250)
        2
        """
        return int((1 - Fraction(self.quantile)) * queries)

    @property
    def label(self) -> str:
        """Return its quantile and the queries that it is for.

        >>> Slo(quantile="p99", bound="300ms", where={"class": "premium"}).label
        'p99 of class = premium'
        """
        quantile = units.format_quantile(self.quantile)
        return f"{quantile} of {self._condition}" if self.where else quantile

    @property
    def _condition(self) -> str:
        return " and ".join(f"{name} = {value}" for name, value in self.where.items())

    def __str__(self) -> str:
        """Return the objective as people write it.

        >>> str(Slo(quantile="p99", bound="300ms", where={"class": "premium"}))
        'p99 <= 300 ms where class = premium'
        """
        text = f"{units.format_quantile(self.quantile)} <= {units.format_duration(self.bound_ns)}"
        return f"{text} where {self._condition}" if self.where else text
