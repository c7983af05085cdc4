"""Where a stage stands on a path: how few replicas each of its options can do with, and what they then take."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pipesim.engine.inputs import Floats
from pipesim.planner.bound.averages import average_service_ns, intervals
from pipesim.planner.bound.capacity import Batches, Capacity, Demand
from pipesim.planner.bound.paths import Path, Traffic

MAX_LOSSES = 10
"""The most amounts of lost slack that are looked at."""
_MAX_COMBINATIONS = 20_000
NEVER = 2**31
"""More replicas than there can be."""


@dataclass(frozen=True)
class Losses:
    """By how much the slack at a stage can be less than with the fastest hardware at the path's other stages.

    Parameters
    ----------
    at_least_ns
        Ascending from 0.
    below_ns
        For each of these, a time below it that no smaller loss exceeds.
    """

    at_least_ns: tuple[int, ...]
    below_ns: tuple[float, ...]

    @classmethod
    def of(cls, excess_ns: Sequence[Sequence[int]]) -> "Losses":
        """Return what can be lost, given how much longer than its fastest each option of each other stage takes."""
        if np.prod([float(len(some)) for some in excess_ns]) <= _MAX_COMBINATIONS:
            sums = sorted({sum(some) for some in itertools.product(*excess_ns)})
            between = {high: (low + high) / 2 for low, high in itertools.pairwise(sums)}
        else:
            largest = sum(max(some) for some in excess_ns)
            sums = [round(share * largest) for share in np.linspace(0, 1, MAX_LOSSES)]
            between = {}
        step = -(-len(sums) // MAX_LOSSES)
        chosen = sums[::step]
        return cls(tuple(chosen), tuple(between.get(loss, float(loss)) for loss in chosen))


@dataclass(frozen=True)
class Stand:
    """One stage on one path.

    Parameters
    ----------
    path, turn
        The path, and the stage's place on it.
    slack_ns
        With the fastest hardware at the other stages.
    losses
        Of slack.
    options
        Least times of batches for each option.
    """

    path: Path
    turn: int
    slack_ns: int
    losses: Losses
    options: tuple[Batches, ...]
    demand: Demand

    @classmethod
    def of(cls, path: Path, turn: int, options: Sequence[Sequence[Batches]]) -> "Stand":
        """Return the stand of a stage, given the options of every stage of the pipeline."""
        others = [options[stage] for stage in path.stages if stage != path.stages[turn]]
        least = [[one.least_ns for one in some] for some in others]
        slack_ns = path.budget_ns - sum(min(some) for some in least)
        losses = Losses.of([[one - min(some) for one in some] for some in least])
        return cls(path, turn, slack_ns, losses, tuple(options[path.stages[turn]]), Demand(path.traffic[turn]))

    @property
    def stage(self) -> int:
        """Return the place of the stage in topological order."""
        return self.path.stages[self.turn]

    def fewest(self, option: int, most: int) -> tuple[int, ...]:
        """Return for each loss the fewest replicas of an option that leave few enough queries late."""
        capacity = Capacity(self.options[option], self.demand)
        found = []
        for loss_ns in self.losses.at_least_ns:
            few = None if NEVER in found else capacity.at(self.slack_ns - loss_ns).fewest(self.path.allowed, most)
            found.append(NEVER if few is None else few)
        return tuple(found)

    def fewest_with(self, batches: Batches, most: int) -> int:
        """Return the fewest replicas if batches take these times, without any loss."""
        few = Capacity(batches, self.demand).at(self.slack_ns).fewest(self.path.allowed, most)
        return NEVER if few is None else few

    def averages_ns(self, option: int, replicas: Sequence[int]) -> Floats:
        """Return times that average services are not below, shape ``(intervals, replica counts)``."""
        traffic, batches = self.path.traffic[self.turn], self.options[option]
        found = []
        largest = Capacity(batches, self.demand).largest(self.slack_ns)
        for interval in intervals(traffic, self.path.allowed):
            if not (largest and self.path.sums[self.turn]):
                found.append(np.full(len(replicas), float(batches.least_ns)))
                continue
            part = Traffic(traffic.arrival_ns[interval], traffic.items[interval])
            window_ns = int(part.arrival_ns[-1] - part.arrival_ns[0]) + self.slack_ns
            found.append(average_service_ns(batches, largest, part, self.path.allowed, window_ns, replicas))
        return np.array(found).reshape(-1, len(replicas))
