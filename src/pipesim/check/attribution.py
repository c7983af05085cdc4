"""Why a cost changed: what each changed input is to blame for, by substituting them one after another.

With several changes it matters in which order: a slower model may cost nothing at the old rate and a replica at the new
one. So every set of changes is tried, and each change is given the mean of what it adds over all orders: its Shapley
value (L. S. Shapley, "A value for n-person games", 1953), the only division that adds up to the whole, treats equals
equally and blames nobody who changes nothing.
"""

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from fractions import Fraction

from pipesim.check.parts import WHOLE, Item

MOST_PLAYERS = 5
"""More changed inputs than these are taken together by part: every one doubles the sets to try."""
_DECIMALS = Decimal("0.000001")

Set = frozenset[Item]


class NoCostError(Exception):
    """A set of changes has no cost, and why."""


def players_of(items: Sequence[Item]) -> dict[Item, tuple[Item, ...]]:
    """Return the changes that are told apart, and the items that belong to each.

    Models and units stand for themselves if that makes no more than :data:`MOST_PLAYERS`; else, like all other parts,
    parts stand for their items.

    >>> [item.name for item in players_of([Item("prices", "l4"), Item("slo", ""), Item("prices", "t4")])]
    ['l4', '', 't4']
    """
    players: dict[Item, tuple[Item, ...]] = {}
    for divided in (("profiles", "prices"), ()):
        players = {}
        for item in items:
            player = item if item.part in divided else Item(item.part, WHOLE)
            players[player] = (*players.get(player, ()), item)
        if len(players) <= MOST_PLAYERS:
            break
    return players


def shapley(players: Sequence[Item], cost: Callable[[Set], Decimal]) -> dict[Item, Decimal]:
    """Return what of the difference between none and all of the changes each is to blame for, in dollars an hour.

    Parameters
    ----------
    players
        The changes.
    cost
        Of a set of them; asked once for each of the 2ⁿ sets.

    Returns
    -------
    dict
        Rounded to a millionth of a dollar.

    Raises
    ------
    NoCostError
        If one of the sets has no cost.

    >>> shapley([Item("slo", ""), Item("traffic", "")], lambda changed: Decimal(len(changed) ** 2))
    {Item(part='slo', name=''): Decimal('2.000000'), Item(part='traffic', name=''): Decimal('2.000000')}
    """
    costs: dict[Set, Fraction] = {}
    for size in (0, len(players), *range(1, len(players))):  # first those whose costs are known already
        for chosen in itertools.combinations(players, size):
            costs[frozenset(chosen)] = Fraction(cost(frozenset(chosen)))
    return {player: _rounded(_value(player, players, costs)) for player in players}


def _value(player: Item, players: Sequence[Item], costs: Mapping[Set, Fraction]) -> Fraction:
    others, count = [other for other in players if other != player], len(players)
    total = Fraction(0)
    for size in range(count):
        weight = Fraction(math.factorial(size) * math.factorial(count - size - 1), math.factorial(count))
        for before in itertools.combinations(others, size):
            without = frozenset(before)
            total += weight * (costs[without | {player}] - costs[without])
    return total


def _rounded(value: Fraction) -> Decimal:
    return (Decimal(value.numerator) / Decimal(value.denominator)).quantize(_DECIMALS)
