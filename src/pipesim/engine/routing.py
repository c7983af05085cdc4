"""Routes: which items of which queries visit which stages, resolved from the draws before an engine runs.

Routes do not depend on a plan, so every plan that is compared under one seed serves the same items. The items of a
stage are numbered in (query, item) order: an item's *index* at its stage is its place in that order.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy.special import pdtr

from pipesim.errors import invalid
from pipesim.model import Pipeline
from pipesim.model.fields import MAX_FAN_OUT
from pipesim.model.pipeline import Edge, FanOut, PoissonFanOut, WeightedFanOut
from pipesim.streams import stream
from pipesim.traces import ArrivalTrace

MAX_ITEMS = 50_000_000
"""The most items that the stages of one run may serve, all together."""

Counts = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class StageRoutes:
    """The items that visit one stage.

    Parameters
    ----------
    offsets
        Shape ``(queries + 1,)``, int64: the items of query q have the indices ``offsets[q] … offsets[q + 1] - 1``.
    joined
        Shape ``(queries,)``, int64: how many of a query's items, the first ones, are delivered together.
    """

    offsets: Counts
    joined: Counts

    @property
    def items(self) -> Counts:
        """Return the items of each query, shape ``(queries,)``; 0 where it does not visit the stage."""
        return np.diff(self.offsets)

    @property
    def query_of_item(self) -> Counts:
        """Return the query of each item, shape ``(items,)``."""
        return np.repeat(np.arange(self.joined.size), self.items)


@dataclass(frozen=True, slots=True)
class EdgeRoutes:
    """What one edge passes on.

    Parameters
    ----------
    upstream, downstream
        Places of the stages in topological order.
    per
        ``query``: one entry per query; ``item``: one entry per item of the upstream stage.
    delay_ns
        Network delay.
    fan_out
        Items that the edge makes for each entry; 0 where it is not active.
    first_child
        Of ``item`` edges: index at the downstream stage of the first item made for each entry.
    """

    upstream: int
    downstream: int
    per: Literal["query", "item"]
    delay_ns: int
    fan_out: Counts
    first_child: Counts


@dataclass(frozen=True, slots=True)
class Routes:
    """The routes of every query.

    Parameters
    ----------
    names
        The stages in topological order.
    stages, edges
        One for each stage in that order; one for each edge of the pipeline.
    """

    names: tuple[str, ...]
    stages: tuple[StageRoutes, ...]
    edges: tuple[EdgeRoutes, ...]

    def scale_factors(self) -> dict[str, float]:
        """Return the items at each stage per query; NaN without queries."""
        queries = self.stages[0].joined.size
        return {
            name: float(stage.offsets[-1]) / queries if queries else float("nan")
            for name, stage in zip(self.names, self.stages, strict=True)
        }


def draw_routes(pipeline: Pipeline, trace: ArrivalTrace, seed: int) -> Routes:
    """Return the routes that the draws give to the queries of a trace.

    Streams are keyed by the names of stages and edges. Draws of ``per: query`` edges are indexed by query, those of
    ``per: item`` edges by upstream item.

    Raises
    ------
    InvalidInputError
        If a choice names an attribute that the trace does not carry, or the run would hold too many items.
    """
    names = pipeline.order
    place = {name: index for index, name in enumerate(names)}
    groups = {edge.name: key for key, group in pipeline.choice_groups().items() for edge in group}
    queries = len(trace)
    stages: dict[str, StageRoutes] = {}
    edges: dict[str, EdgeRoutes] = {}
    total = 0
    for name in names:
        joined = np.zeros(queries, dtype=np.int64)
        if name in pipeline.sources:
            joined[:] = 1
        children = np.zeros(queries, dtype=np.int64)
        incoming: list[tuple[Edge, Counts]] = []
        for edge in pipeline.edges_into(name):
            upstream = stages[edge.upstream]
            fan_out = _edge_fan_out(pipeline, edge, groups.get(edge.name), upstream, trace, seed)
            incoming.append((edge, fan_out))
            if edge.options.per == "query":
                np.maximum(joined, fan_out, out=joined)
            else:
                children += _per_query(fan_out, upstream)
        items = joined + children
        total += int(items.sum())
        if total > MAX_ITEMS:
            raise invalid("traffic", total, f"items are too many at stage {name}", f"use at most {MAX_ITEMS}")
        offsets = np.concatenate(([0], np.cumsum(items)))
        stages[name] = StageRoutes(offsets, joined)
        next_child = offsets[:-1] + joined
        for edge, fan_out in incoming:
            upstream = stages[edge.upstream]
            first_child = np.zeros(0, dtype=np.int64)
            if edge.options.per == "item":
                first_child = _first_children(fan_out, upstream, next_child)
                next_child = next_child + _per_query(fan_out, upstream)
            edges[edge.name] = EdgeRoutes(
                place[edge.upstream],
                place[name],
                edge.options.per,
                edge.options.network_delay_ns,
                fan_out,
                first_child,
            )
    return Routes(names, tuple(stages[name] for name in names), tuple(edges[edge.name] for edge in pipeline.edges))


def _per_query(fan_out: Counts, upstream: StageRoutes) -> Counts:
    """Return the sum of per-item counts over the items of each query."""
    sums = np.concatenate(([0], np.cumsum(fan_out)))
    return sums[upstream.offsets[1:]] - sums[upstream.offsets[:-1]]


def _first_children(fan_out: Counts, upstream: StageRoutes, next_child: Counts) -> Counts:
    """Return the index of each upstream item's first child: children lie in order of upstream item, then copy."""
    before = np.concatenate(([0], np.cumsum(fan_out)))
    query = upstream.query_of_item
    return next_child[query] + before[:-1] - before[upstream.offsets[query]]


def _edge_fan_out(
    pipeline: Pipeline, edge: Edge, group: tuple[str, str] | None, upstream: StageRoutes, trace: ArrivalTrace, seed: int
) -> Counts:
    """Return the items that an edge makes for each query (or upstream item); 0 where it is not active."""
    options = edge.options
    if options.per == "query":
        exists, query = upstream.items > 0, np.arange(len(trace))
    else:
        exists, query = np.ones(int(upstream.offsets[-1]), dtype=bool), upstream.query_of_item
    count = exists.size
    if options.values is not None:
        assert options.choice is not None
        where = f"pipeline.{edge.downstream}.after.{edge.upstream}.choice"
        active = trace.matching({options.choice: options.values}, where)[query]
    elif group is not None:
        draw = stream(seed, "choice", f"{group[0]}:{group[1]}").random(count)
        siblings = sorted(pipeline.choice_groups()[group], key=lambda sibling: sibling.name)
        edges = np.cumsum([0.0] + [sibling.options.share for sibling in siblings])
        edges[-1] = 1.0 if edges[-1] > 1 - 1e-9 else edges[-1]
        position = siblings.index(edge)
        active = (edges[position] <= draw) & (draw < edges[position + 1])
    elif options.share < 1:
        active = stream(seed, "probability", edge.name).random(count) < options.share
    else:
        active = np.ones(count, dtype=bool)
    return np.where(exists & active, _fan_out_draws(options.fan_out, count, edge.name, seed), 0)


def _fan_out_draws(fan_out: FanOut, count: int, name: str, seed: int) -> Counts:
    """Return a fan-out for each entry, by inversion: one uniform draw each."""
    if isinstance(fan_out, int):
        return np.full(count, fan_out, dtype=np.int64)
    if isinstance(fan_out, PoissonFanOut):
        values = np.arange(MAX_FAN_OUT + 1)
        cumulative = pdtr(values, fan_out.poisson)
    else:
        assert isinstance(fan_out, WeightedFanOut)
        values = np.array(sorted(fan_out.weights))
        cumulative = np.cumsum([fan_out.weights[value] for value in values.tolist()])
    draws = stream(seed, "fan_out", name).random(count)
    return values[np.minimum(np.searchsorted(cumulative, draws, side="right"), values.size - 1)]
