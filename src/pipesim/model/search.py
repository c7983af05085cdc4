"""The search space: the hardware, batch limits and replica counts that a plan may use."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated

from pydantic import Field

from pipesim.errors import invalid
from pipesim.model.fields import (
    MAX_UNITS,
    BatchSize,
    Listed,
    Model,
    Money,
    Name,
    PositiveMoney,
    Replicas,
)
from pipesim.model.plan import StagePlan
from pipesim.model.profile import Profile


class StageSearch(Model):
    """Limits on one stage's settings; what is not given is open."""

    hardware: Listed[Name] | None = None
    """The bundles to consider; all that the stage's model is profiled on when not given."""
    exclude: Listed[Name] | None = None
    """Bundles to leave out, besides those that are left out for all stages."""
    min_replicas: Replicas | None = None
    max_replicas: Replicas | None = None
    batch_sizes: Listed[BatchSize] | None = None
    """The batch limits to consider; measured sizes and powers of two when not given."""
    max_batch_size: BatchSize | None = None


class PreviousPlan(Model):
    """The plan that runs now, and what it is worth to leave a stage as it is."""

    plan: str
    """A plan file; the path is relative to the scenario's folder."""
    change_usd_per_hour: Money = Decimal(0)
    """What a plan must save an hour for each stage that it changes."""


class Search(Model):
    """Limits on all stages' settings, tighter or wider ones for single stages, and limits on a plan as a whole."""

    hardware: Listed[Name] | None = None
    exclude: Listed[Name] | None = None
    """Bundles to leave out."""
    min_replicas: Replicas = 1
    max_replicas: Replicas = 128
    max_batch_size: BatchSize | None = None
    quota: dict[Name, Annotated[int, Field(ge=0, le=MAX_UNITS)]] = {}
    """The most units of the catalogue that a plan may occupy; units that are not named are not limited."""
    max_cost_usd_per_hour: PositiveMoney | None = None
    """The most that a plan may cost."""
    previous: PreviousPlan | None = None
    stages: dict[Name, StageSearch] = {}

    def stage(self, name: str) -> StageSearch:
        """Return the limits on one stage's settings alone."""
        return self.stages.get(name, StageSearch())

    def excluded(self, stage: str) -> frozenset[str]:
        """Return the bundles that are left out for a stage."""
        return frozenset((*(self.exclude or ()), *(self.stage(stage).exclude or ())))

    def replicas(self, stage: str) -> tuple[int, int]:
        """Return the fewest and the most replicas of a stage.

        Raises
        ------
        InvalidInputError
            If the fewest are more than the most.

        >>> Search(min_replicas=2, stages={"rank": StageSearch(max_replicas=8)}).replicas("rank")
        (2, 8)
        """
        limits = self.stage(stage)
        least, most = limits.min_replicas or self.min_replicas, limits.max_replicas or self.max_replicas
        if least <= most:
            return least, most
        if limits.min_replicas is None and limits.max_replicas is not None:
            raise invalid(f"stages.{stage}.max_replicas", most, f"is below min_replicas, {least}", "raise it")
        where = "min_replicas" if limits.min_replicas is None else f"stages.{stage}.min_replicas"
        raise invalid(where, least, f"is above max_replicas, {most}", "lower it")


@dataclass(frozen=True, slots=True)
class HardwareOption:
    """One hardware that a stage may run on.

    Parameters
    ----------
    profile
        The stage's model on it.
    price_usd_per_hour
        Of one replica.
    batch_sizes
        The batch limits to consider, ascending.
    """

    profile: Profile
    price_usd_per_hour: Decimal
    batch_sizes: tuple[int, ...]

    @property
    def hardware(self) -> str:
        """Return the name of the bundle."""
        return self.profile.hardware

    def setting(self, replicas: int, max_batch_size: int) -> StagePlan:
        """Return what a stage with so many replicas on it is; it is not checked again, as a search makes very many."""
        return StagePlan.model_construct(hardware=self.hardware, replicas=replicas, max_batch_size=max_batch_size)


@dataclass(frozen=True, slots=True)
class StageSpace:
    """What a plan may choose for one stage.

    Parameters
    ----------
    options
        By price, dearest first; equal prices by name.
    """

    options: tuple[HardwareOption, ...]
    min_replicas: int
    max_replicas: int

    def option(self, hardware: str) -> HardwareOption:
        """Return the option of that name."""
        return next(option for option in self.options if option.hardware == hardware)


def batch_sizes(profile: Profile, limits: StageSearch, default_max: int | None) -> tuple[int, ...]:
    """Return the batch limits to consider: those listed, else 1, powers of two and the measured sizes."""
    largest = min(profile.max_batch_size, limits.max_batch_size or default_max or profile.max_batch_size)
    if limits.batch_sizes is not None:
        sizes = set(limits.batch_sizes)
    else:
        powers = {1 << exponent for exponent in range(largest.bit_length())}
        sizes = powers | {point.batch_size for point in profile.points}
    return tuple(sorted(size for size in sizes if size <= largest))
