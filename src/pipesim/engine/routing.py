"""Routes: which items of which queries visit which stages, resolved from the draws before an engine runs.

Routes do not depend on a plan, so every plan that is compared under one seed serves the same items. The items of a
stage are numbered in (query, item) order: an item's *index* at its stage is its place in that order.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy.special import pdtr

from pipesim.errors import invalid
from pipesim.limits import LIMITS
from pipesim.model import Pipeline
from pipesim.model.fields import MAX_FAN_OUT
from pipesim.model.pipeline import Edge, FanOut, PoissonFanOut, WeightedFanOut
from pipesim.streams import Streams
from pipesim.traces import ArrivalTrace

MAX_ITEMS = LIMITS.items
"""The most items that the stages of one run may serve, all together: 50 million."""

Counts = npt.NDArray[np.int64]
_NO_COUNTS: Counts = np.zeros(0, dtype=np.int64)


@dataclass(frozen=True, slots=True)
class StageRoutes:
    """The items that visit one stage.

    Parameters
    ----------
    offsets
        Shape ``(queries + 1,)``, int64: the items of query q have the indices ``offsets[q] … offsets[q + 1] - 1``.
    joined
        Shape ``(queries,)``, int64: how many of a query's items, the first ones, are delivered together.
    each_once
        Whether every query visits the stage with one item.
    """

    offsets: Counts
    joined: Counts
    each_once: bool

    @property
    def items(self) -> Counts:
        """Return the items of each query, shape ``(queries,)``; 0 where it does not visit the stage."""
        return np.diff(self.offsets)

    @property
    def visits(self) -> int:
        """Return how many queries visit the stage."""
        return self.joined.size if self.each_once else int(np.count_nonzero(self.items))

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
    always
        Whether the edge is active for every query that visits the upstream stage, whatever is drawn.
    """

    upstream: int
    downstream: int
    per: Literal["query", "item"]
    delay_ns: int
    fan_out: Counts
    first_child: Counts
    always: bool


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


def draw_routes(pipeline: Pipeline, trace: ArrivalTrace, streams: Streams) -> Routes:
    """Return the routes that the draws give to the queries of a trace.

    Streams are keyed by the names of stages and edges. Draws of ``per: query`` edges are indexed by query, those of
    ``per: item`` edges by upstream item. Streams that have served earlier queries go on from there.

    Raises
    ------
    InvalidInputError
        If a choice names an attribute that the trace does not carry, or the run would hold too many items.
    """
    names, queries = pipeline.order, len(trace)
    place = {name: index for index, name in enumerate(names)}
    everyone = _everyone(queries)
    luck = _EdgeLuck(pipeline, trace, streams, everyone)
    stages: dict[str, StageRoutes] = {}
    edges: dict[str, EdgeRoutes] = {}
    total = 0
    for name in names:
        incoming = [(edge, stages[edge.upstream], luck.fan_out(edge, stages)) for edge in pipeline.edges_into(name)]
        stages[name] = _stage_routes(incoming, everyone) if incoming else everyone
        total += int(stages[name].offsets[-1])
        if total > MAX_ITEMS:
            raise invalid("traffic", total, f"items are too many at stage {name}", f"use at most {MAX_ITEMS} at once")
        next_child = stages[name].offsets[:-1] + stages[name].joined
        for edge, upstream, fan_out in incoming:
            first_child = _NO_COUNTS
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
                always=edge.options.per == "query" and _passes_all(edge) and edge.options.fan_out != 0,
            )
    return Routes(names, tuple(stages[name] for name in names), tuple(edges[edge.name] for edge in pipeline.edges))


@lru_cache(maxsize=2)
def _everyone(queries: int) -> StageRoutes:
    """Return the routes of a stage that every query visits with one item; pieces of a long trace share them."""
    return StageRoutes(np.arange(queries + 1), np.ones(queries, dtype=np.int64), each_once=True)


def _passes_all(edge: Edge) -> bool:
    """Return whether no luck is in an edge."""
    options = edge.options
    return options.choice is None and options.share == 1 and isinstance(options.fan_out, int)


def _stage_routes(incoming: Sequence[tuple[Edge, StageRoutes, Counts]], everyone: StageRoutes) -> StageRoutes:
    if len(incoming) == 1:
        edge, upstream, fan_out = incoming[0]
        if edge.options.per == "query" and upstream is everyone and fan_out is everyone.joined:
            return everyone
    joined, children = np.zeros_like(everyone.joined), np.zeros_like(everyone.joined)
    for edge, upstream, fan_out in incoming:
        if edge.options.per == "query":
            np.maximum(joined, fan_out, out=joined)
        else:
            children += _per_query(fan_out, upstream)
    items = joined + children
    each_once = bool((items == 1).all())
    if each_once and not children.any():
        return everyone
    return StageRoutes(np.concatenate(([0], np.cumsum(items))), joined, each_once)


def _per_query(fan_out: Counts, upstream: StageRoutes) -> Counts:
    """Return the sum of per-item counts over the items of each query."""
    sums = np.concatenate(([0], np.cumsum(fan_out)))
    return sums[upstream.offsets[1:]] - sums[upstream.offsets[:-1]]


def _first_children(fan_out: Counts, upstream: StageRoutes, next_child: Counts) -> Counts:
    """Return the index of each upstream item's first child: children lie in order of upstream item, then copy."""
    before = np.concatenate(([0], np.cumsum(fan_out)))
    query = upstream.query_of_item
    return next_child[query] + before[:-1] - before[upstream.offsets[query]]


class _EdgeLuck:
    """Draws which edges are active, and what they fan out to; the edges of a choice share their draws."""

    def __init__(self, pipeline: Pipeline, trace: ArrivalTrace, streams: Streams, everyone: StageRoutes) -> None:
        self._trace, self._streams, self._one_each = trace, streams, everyone.joined
        self._choices = pipeline.choice_groups()
        self._groups = {edge.name: key for key, group in self._choices.items() for edge in group}
        self._choice_draws: dict[tuple[str, str], npt.NDArray[np.float64]] = {}

    def fan_out(self, edge: Edge, stages: Mapping[str, StageRoutes]) -> Counts:
        """Return the items that an edge makes for each query (or upstream item); 0 where it is not active."""
        options, upstream = edge.options, stages[edge.upstream]
        if upstream.each_once and _passes_all(edge) and options.fan_out == 1:
            return self._one_each
        if options.per == "query":
            exists, query = upstream.items > 0, np.arange(len(self._trace))
        else:
            exists, query = np.ones(int(upstream.offsets[-1]), dtype=bool), upstream.query_of_item
        active = exists & self._active(edge, query)
        return np.where(active, self._fan_out_draws(options.fan_out, active.size, edge.name), 0)

    def _active(self, edge: Edge, query: Counts) -> npt.NDArray[np.bool_]:
        options, group = edge.options, self._groups.get(edge.name)
        if options.values is not None:
            assert options.choice is not None
            where = f"pipeline.{edge.downstream}.after.{edge.upstream}.choice"
            return self._trace.matching({options.choice: options.values}, where)[query]
        if group is not None:
            if group not in self._choice_draws:
                self._choice_draws[group] = self._streams.of("choice", f"{group[0]}:{group[1]}").random(query.size)
            draw = self._choice_draws[group]
            siblings = sorted(self._choices[group], key=lambda sibling: sibling.name)
            edges = np.cumsum([0.0] + [sibling.options.share for sibling in siblings])
            edges[-1] = 1.0 if edges[-1] > 1 - 1e-9 else edges[-1]
            position = siblings.index(edge)
            return np.asarray((edges[position] <= draw) & (draw < edges[position + 1]))
        if options.share < 1:
            return self._streams.of("probability", edge.name).random(query.size) < options.share
        return np.ones(query.size, dtype=bool)

    def _fan_out_draws(self, fan_out: FanOut, count: int, name: str) -> Counts:
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
        draws = self._streams.of("fan_out", name).random(count)
        return values[np.minimum(np.searchsorted(cumulative, draws, side="right"), values.size - 1)]
