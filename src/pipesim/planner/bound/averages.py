"""How long items are served on average: few replicas must serve large batches, and those take their time.

Take one path, and of its queries those that enter during one interval. At least N, all but those that may miss, are in
time, and for each the services at the path's stages add up to no more than the path's budget; so do their averages over
these queries. At one stage, with n replicas, the batches that serve them fit into a window as long as the interval plus
the slack, L, so they take no more than n L together. A batch of k items takes t(k), of which each item bears t(k) / k.
For every price λ ≥ 0 of a replica's time, therefore,

    average service ≥ (the sum of the N smallest of c(f) over the queries − λ n L) / N,
    c(f) = min over k of t(k) + λ f t(k) / k,

where f is the query's number of items: the longest service among its items, and what all of them bear. (This is a
Lagrangian bound: of all ways to choose batches, even those that no policy would form, the best is no better.) It is
concave in λ, and any λ proves it; the best of a grid is taken.
"""

from collections.abc import Sequence

import numpy as np

from pipesim.engine.inputs import Floats
from pipesim.planner.bound.capacity import Batches
from pipesim.planner.bound.paths import Traffic

_PRICES: Floats = np.concatenate(([0.0], np.geomspace(1e-3, 1e4, 141)))

Interval = slice
"""Queries of a path that enter one after the other."""


def intervals(traffic: Traffic, allowed: int) -> list[Interval]:
    """Return intervals of a path's traffic that are worth a look: all of it, and the densest halves, quarters, ….

    Each has at least twice as many queries as may miss.
    """
    arrival_ns = traffic.arrival_ns
    found, count = [], arrival_ns.size
    while count > max(2 * allowed, 16):
        first = int(np.argmin(arrival_ns[count - 1 :] - arrival_ns[: arrival_ns.size - count + 1]))
        found.append(slice(first, first + count))
        count //= 2
    return found


def average_service_ns(
    batches: Batches, largest: int, traffic: Traffic, allowed: int, window_ns: int, replicas: Sequence[int]
) -> Floats:
    """Return for numbers of replicas what in-time queries' longest services are not below on average.

    Parameters
    ----------
    batches
        Times of the stage's batches.
    largest
        The most in-time items of a batch, at least 1.
    traffic
        The queries, of which all but `allowed` are in time.
    window_ns
        In which the batches that serve them start and end.
    replicas
        The numbers of them.
    """
    time_ns = batches.time_ns[1 : largest + 1].astype(np.float64)
    share_ns = time_ns / np.arange(1, largest + 1)
    in_time = traffic.arrival_ns.size - allowed
    counts = np.bincount(traffic.items)
    sizes = np.flatnonzero(counts)
    # c of each number of items, ascending with it, so those that miss are the queries with the most items
    costs = np.array([(time_ns + price * sizes[:, None] * share_ns).min(axis=1) for price in _PRICES])
    kept = np.minimum(counts[sizes], np.maximum(0, in_time - (np.cumsum(counts[sizes]) - counts[sizes])))
    averages = costs @ kept / in_time
    bounds = averages[:, None] - _PRICES[:, None] * np.asarray(replicas, dtype=np.float64) * window_ns / in_time
    return np.asarray(np.maximum(float(time_ns[0]), bounds.max(axis=0)))
