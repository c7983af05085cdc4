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
    every_ns: PositiveDuration | None = Field(None, alias="every")
    """The length of windows in each of which it must hold; over the whole trace when not given.

    A query belongs to the window in which it arrives. Windows are counted from the beginning of the trace, the last one
    may be shorter, and one without queries holds.
    """

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

    def windows(self, duration_ns: int) -> int:
        """Return into how many windows it divides a trace of that length; 1 if it has no windows.

        >>> Slo(quantile="p99", bound="1s", every="5min").windows(12 * 60 * units.NS_PER_S)
        3
        """
        return max(1, -(-duration_ns // self.every_ns)) if self.every_ns else 1

    @property
    def label(self) -> str:
        """Return its quantile, the queries that it is for, and its windows.

        >>> Slo(quantile="p99", bound="300ms", where={"class": "premium"}).label
        'p99 of class = premium'
        >>> Slo(quantile="p99", bound="300ms", every="5min").label
        'p99 in every 5 min'
        """
        quantile = units.format_quantile(self.quantile)
        return (f"{quantile} of {self._condition}" if self.where else quantile) + self._windows

    @property
    def _condition(self) -> str:
        return " and ".join(f"{name} = {value}" for name, value in self.where.items())

    @property
    def _windows(self) -> str:
        return f" in every {units.format_duration(self.every_ns)}" if self.every_ns else ""

    def __str__(self) -> str:
        """Return the objective as people write it.

        >>> str(Slo(quantile="p99", bound="300ms", where={"class": "premium"}))
        'p99 <= 300 ms where class = premium'
        >>> str(Slo(quantile="p99", bound="300ms", every="5min"))
        'p99 <= 300 ms in every 5 min'
        """
        text = f"{units.format_quantile(self.quantile)} <= {units.format_duration(self.bound_ns)}{self._windows}"
        return f"{text} where {self._condition}" if self.where else text
