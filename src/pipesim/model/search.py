"""The search space: the hardware, batch limits and replica counts that a plan may use."""

from dataclasses import dataclass
from decimal import Decimal

from pipesim.model.fields import BatchSize, Listed, Model, Name, Replicas
from pipesim.model.profile import Profile


class StageSearch(Model):
    """Limits on one stage's settings; what is not given is open."""

    hardware: Listed[Name] | None = None
    """The bundles to consider; all that the stage's model is profiled on when not given."""
    min_replicas: Replicas = 1
    max_replicas: Replicas | None = None
    batch_sizes: Listed[BatchSize] | None = None
    """The batch limits to consider; measured sizes and powers of two when not given."""
    max_batch_size: BatchSize | None = None


class Search(Model):
    """Limits on all stages' settings, and tighter or wider ones for single stages."""

    hardware: Listed[Name] | None = None
    max_replicas: Replicas = 128
    max_batch_size: BatchSize | None = None
    stages: dict[Name, StageSearch] = {}


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
