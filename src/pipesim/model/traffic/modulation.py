"""Random modulation of a rate: a chain of states, each with a level of the rate and a time that it lasts."""

from dataclasses import dataclass
from typing import Annotated, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from pipesim.errors import invalid
from pipesim.model.fields import Model, PositiveDuration

Periods = Literal["exponential", "fixed", "pareto"]


@dataclass(frozen=True, slots=True)
class Modulation:
    """A semi-Markov chain whose level multiplies a rate; the mean of the level over time is 1.

    Parameters
    ----------
    levels
        What the rate is multiplied by in each state, at least 0.
    sojourns_ns
        How long each state lasts, on average.
    transitions
        The probability of each state after each; rows add up to 1.
    periods
        The law of the times: ``exponential`` (the modulation is a Markov chain), ``fixed``, or ``pareto`` (Lomax).
    pareto_shape
        Of the Pareto law, above 1: at most 2 gives an infinite variance, and bursts on all time scales.
    """

    levels: tuple[float, ...]
    sojourns_ns: tuple[float, ...]
    transitions: tuple[tuple[float, ...], ...]
    periods: Periods = "exponential"
    pareto_shape: float = 1.5

    @classmethod
    def of(
        cls,
        levels: tuple[float, ...],
        sojourns_ns: tuple[float, ...],
        transitions: tuple[tuple[float, ...], ...] | None = None,
        periods: Periods = "exponential",
        pareto_shape: float = 1.5,
    ) -> "tuple[Modulation, float]":
        """Return a modulation with the levels divided by their mean over time, and that mean.

        Without `transitions`, each other state is as likely to be next.
        """
        if transitions is None:
            states = range(len(levels))
            transitions = tuple(tuple(0.0 if i == j else 1 / (len(levels) - 1) for j in states) for i in states)
        bare = cls(levels, sojourns_ns, transitions, periods, pareto_shape)
        mean = float(np.dot(bare.shares, levels))
        scaled = tuple(level / mean for level in levels) if mean else levels
        return cls(scaled, sojourns_ns, transitions, periods, pareto_shape), mean

    @property
    def shares(self) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        """Return the share of time that the chain spends in each state."""
        count = len(self.levels)
        chain = np.array(self.transitions) - np.eye(count)
        visits = np.linalg.lstsq(np.vstack([chain.T, np.ones(count)]), np.append(np.zeros(count), 1.0), rcond=None)[0]
        time = np.clip(visits, 0, None) * np.array(self.sojourns_ns)
        return np.asarray(time / time.sum())

    @property
    def switches_per_ns(self) -> float:
        """Return how often the state changes."""
        return float(np.dot(self.shares, 1 / np.array(self.sojourns_ns)))


class Burst(Model):
    """Bursts on one time scale: the rate is `factor` times that of quiet times, for a while, now and then.

    The mean rate stays what it is. Times are exponential: the rate is multiplied by a two-state Markov chain.
    """

    factor: Annotated[float, Field(gt=1, le=1e6)]
    """The rate in a burst over that in quiet times."""
    lasts: PositiveDuration
    """How long a burst lasts, on average."""
    every: PositiveDuration
    """How often one begins: once in so long, on average; more than `lasts`."""

    @model_validator(mode="after")
    def _has_quiet_times(self) -> Self:
        if self.every <= self.lasts:
            raise invalid("every", self.every / 1e9, "s is not longer than a burst lasts", "use more than lasts")
        return self

    @property
    def modulation(self) -> Modulation:
        """Return the chain that multiplies the rate: quiet, burst."""
        return Modulation.of((1.0, self.factor), (float(self.every - self.lasts), float(self.lasts)))[0]
