"""Costs as whole numbers, so that sums are exact and fast: of the smallest power of ten that all prices are made of."""

import math
from collections.abc import Iterable
from decimal import Decimal
from fractions import Fraction
from functools import cached_property

from pipesim.model import Scenario, StagePlan


class Money:
    """What settings of stages cost an hour, in whole units.

    Parameters
    ----------
    scenario
        Whose prices count, and what a change against its previous plan is counted as.
    """

    def __init__(self, scenario: Scenario) -> None:
        self._scenario = scenario
        amounts = [option.price_usd_per_hour for stage in scenario.space.values() for option in stage.options]
        self._decimals = _decimals([*amounts, scenario.change_usd_per_hour])
        self._prices = {
            (name, option.hardware): self.units(option.price_usd_per_hour)
            for name, stage in scenario.space.items()
            for option in stage.options
        }

    def units(self, usd: Decimal) -> int:
        """Return an amount in whole units, rounded up."""
        return math.ceil(Fraction(usd) * Fraction(10) ** self._decimals)

    def whole_units(self, usd: Decimal) -> int:
        """Return an amount in whole units, rounded down."""
        return math.floor(Fraction(usd) * Fraction(10) ** self._decimals)

    def usd(self, units: int) -> Decimal:
        """Return whole units as US dollars."""
        return Decimal(units).scaleb(-self._decimals)

    @cached_property
    def whole_change(self) -> int:
        """Return what a stage that changes is counted as."""
        return self.units(self._scenario.change_usd_per_hour)

    def price(self, stage: str, hardware: str) -> int:
        """Return what one replica costs an hour."""
        return self._prices[stage, hardware]

    def stage(self, stage: str, setting: StagePlan) -> int:
        """Return what a stage costs an hour on a setting, with what a change of it is counted as."""
        return setting.replicas * self._prices[stage, setting.hardware] + self.change(stage, setting)

    def change(self, stage: str, setting: StagePlan) -> int:
        """Return what a setting is counted as for being another than the previous plan's."""
        previous = self._scenario.previous
        return 0 if previous is None or previous.stages[stage] == setting else self.whole_change


def _decimals(amounts: Iterable[Decimal]) -> int:
    """Return how many decimals the amounts have at most."""
    exponents = [amount.normalize().as_tuple().exponent for amount in amounts if amount]
    most = max((-exponent for exponent in exponents if isinstance(exponent, int)), default=0)
    return max(most, 0)
