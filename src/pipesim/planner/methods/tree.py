"""The cheapest feasible plan of a set of choices, or the certainty that there is none: a search tree, cheapest first.

A node is a part of a plan: settings of the first stages, in an order in which every stage comes after those that feed
it. It is tested alone (:class:`pipesim.engine.compiled.Trials`); if it fails, so does every plan that has it. Nodes are
tested in order of what they cost with the cheapest choices for the stages that are still open, which no plan below
them can undercut. So the first whole plan that passes is the cheapest, and until then the next node's cost is a bound.
Nothing is assumed of how replicas and batch limits work on latency.

Choices that come to the same departures, such as batch limits that are never reached, are followed up once, if they
occupy as much of the quotas.
"""

import heapq
from collections.abc import Sequence
from typing import NamedTuple

from pipesim.model import StagePlan
from pipesim.planner.evaluator import BLOCK, Evaluator, Part

_MONEY = ""
"""Stands for the cost of replicas among what is limited; units have names."""


class Choice(NamedTuple):
    """A setting of a stage, and what it costs in whole units."""

    cost: int
    setting: StagePlan

    @property
    def rank(self) -> tuple[int, str, int]:
        """Return what choices are sorted by: of those that cost the same, the one with larger batches comes first.

        It shows which limits are never reached.
        """
        return self.cost, self.setting.hardware, -self.setting.max_batch_size


class _Node(NamedTuple):
    """A choice for one more stage of a part that passed."""

    least: int
    """Of what plans below cost."""
    level: int
    """Negative, so that of equal nodes the one with more stages comes first."""
    number: int
    part: Part
    cost: int
    place: int


class Tree:
    """A search that can be interrupted and goes on where it was.

    Parameters
    ----------
    evaluator
        Tests parts of plans.
    choices
        For each stage, in topological order, what it may be set to, in ascending order of cost; none is empty.
    below
        Only plans that cost less, in whole units, are looked for.
    """

    def __init__(self, evaluator: Evaluator, choices: Sequence[Sequence[Choice]], below: int) -> None:
        self._evaluator, self._choices = evaluator, choices
        self._order = _order(evaluator, choices)
        self._below = below
        self._most = _most(evaluator)
        self._rest = [0] * (len(self._order) + 1)
        for level in reversed(range(len(self._order))):
            self._rest[level] = self._rest[level + 1] + choices[self._order[level]][0].cost
        self._number = 0
        self._heap: list[_Node] = []
        self._known: dict[tuple[int, object, tuple[int, ...]], int] = {}
        self._push((), 0, 0)

    @property
    def exhausted(self) -> bool:
        """Return whether nothing is left to be tested below the cost of the best plan."""
        return not self._heap or self._heap[0].least >= self._below

    @property
    def bound(self) -> int:
        """Return what no feasible plan of these choices undercuts, unless it is the best one found."""
        return self._below if self.exhausted else self._heap[0].least

    def lower(self, below: int) -> None:
        """Look for plans below this cost only, if that is less."""
        self._below = min(self._below, below)

    def run(self, tests: int) -> Part | None:
        """Go on for about so many tests, or until the tree is exhausted; return the cheapest plan found meanwhile.

        Raises
        ------
        StopSearchError
            If the budget is used up. Nodes that were being tested are tested again if the search goes on.
        """
        best: Part | None = None
        while tests > 0 and not self.exhausted:
            nodes = self._next_nodes()
            parts = [self._extended(node) for node in nodes]
            try:
                outcomes = self._evaluator.test(parts)
            except BaseException:
                for node in nodes:
                    heapq.heappush(self._heap, node)
                raise
            tests -= max(1, len(nodes))
            for part, outcome in zip(parts, outcomes, strict=True):
                if outcome is None:
                    continue
                level, cost = len(part), self._cost(part)
                if level == len(self._order):
                    if cost < self._below:
                        best, self._below = part, cost
                    continue
                known = level, outcome, self._occupied(part)
                if known not in self._known or cost < self._known[known]:
                    self._known[known] = cost
                    self._push(part, cost, 0)
        return best

    def _next_nodes(self) -> list[_Node]:
        """Take the next nodes off the heap; each makes way for the next dearer choice of its stage."""
        nodes: list[_Node] = []
        while self._heap and len(nodes) < BLOCK and self._heap[0].least < self._below:
            node = heapq.heappop(self._heap)
            self._push(node.part, node.cost, node.place + 1)
            occupied = self._occupied(self._extended(node))
            if all(count <= most for count, most in zip(occupied, self._most.values(), strict=True)):
                nodes.append(node)
        return nodes

    def _occupied(self, part: Part) -> tuple[int, ...]:
        """Return how much a part takes, of all that is limited."""
        evaluator, taken = self._evaluator, dict.fromkeys(self._most, 0)
        for stage, setting in part if taken else ():
            for unit, count in evaluator.scenario.catalogue.bundle(setting.hardware).items():
                if unit in taken:
                    taken[unit] += count * setting.replicas
            if _MONEY in taken:
                taken[_MONEY] += setting.replicas * evaluator.money.price(evaluator.order[stage], setting.hardware)
        return tuple(taken.values())

    def _push(self, part: Part, cost: int, index: int) -> None:
        level = len(part)
        choices = self._choices[self._order[level]]
        if index < len(choices):
            least = cost + choices[index].cost + self._rest[level + 1]
            if least < self._below:
                self._number += 1
                heapq.heappush(self._heap, _Node(least, -level, self._number, part, cost, index))

    def _extended(self, node: _Node) -> Part:
        """Return the part with the node's choice, and with those stages after it that have one choice only."""
        stage = self._order[len(node.part)]
        part = (*node.part, (stage, self._choices[stage][node.place].setting))
        while len(part) < len(self._order) and len(self._choices[self._order[len(part)]]) == 1:
            stage = self._order[len(part)]
            part = (*part, (stage, self._choices[stage][0].setting))
        return part

    def _cost(self, part: Part) -> int:
        return sum(self._evaluator.money.stage(self._evaluator.order[stage], setting) for stage, setting in part)


def _most(evaluator: Evaluator) -> dict[str, int]:
    """Return the most that a plan may take: units of the quotas, and money where changes count as money besides."""
    scenario = evaluator.scenario
    if scenario.max_cost_usd_per_hour is None or scenario.previous is None:
        return dict(scenario.quota)  # `below` keeps plans under the ceiling
    return scenario.quota | {_MONEY: evaluator.money.whole_units(scenario.max_cost_usd_per_hour)}


def _order(evaluator: Evaluator, choices: Sequence[Sequence[Choice]]) -> list[int]:
    """Return an order of the stages, after those that feed them: those first that most depends on, to the very end.

    So the ways through the pipeline that decide are tested before others that have nothing to do with them, which would
    multiply the tests.
    """
    upstream = [set(stage.upstream) for stage in evaluator.workload.deliveries.stages]
    followers: list[set[int]] = [set() for _ in upstream]
    for stage in reversed(range(len(upstream))):
        for one in upstream[stage]:
            followers[one] |= {stage} | followers[stage]
    order: list[int] = []
    while len(order) < len(choices):
        ready = [stage for stage in range(len(choices)) if stage not in order and upstream[stage] <= set(order)]
        begun = [stage for stage in ready if upstream[stage]] or ready
        order.append(min(begun, key=lambda stage: (-len(followers[stage]), len(choices[stage]), stage)))
    return order
