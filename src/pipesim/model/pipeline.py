"""The pipeline: an acyclic graph of stages, and the edges that route queries between them."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Literal, Self

import networkx as nx
from pydantic import Field, RootModel, Tag, model_validator

from pipesim.errors import invalid
from pipesim.model.fields import (
    MAX_FAN_OUT,
    MAX_STAGES,
    AttributeValue,
    Duration,
    Listed,
    Model,
    Name,
    Share,
    one_form,
)

FanOutCount = Annotated[int, Field(ge=0, le=MAX_FAN_OUT)]


class PoissonFanOut(Model):
    """Items per upstream visit (or item), Poisson with mean `poisson`, cut at 1,000."""

    poisson: Annotated[float, Field(gt=0, le=100)]


class WeightedFanOut(Model):
    """Items per upstream visit (or item), drawn by share; the shares add up to 1."""

    weights: Annotated[dict[FanOutCount, Share], Field(min_length=1)]

    @model_validator(mode="after")
    def _adds_up(self) -> Self:
        if abs(sum(self.weights.values()) - 1) > 1e-9:
            raise invalid("weights", sum(self.weights.values()), "is their sum", "make the shares add up to 1")
        return self


def _fan_out_form(value: object) -> str:
    if isinstance(value, dict):
        return "<poisson>" if "poisson" in value else "<weights>"
    return {PoissonFanOut: "<poisson>", WeightedFanOut: "<weights>"}.get(type(value), "<count>")  # type: ignore[call-overload, no-any-return]


FanOut = Annotated[
    Annotated[FanOutCount, Tag("<count>")]
    | Annotated[PoissonFanOut, Tag("<poisson>")]
    | Annotated[WeightedFanOut, Tag("<weights>")],
    one_form(_fan_out_form, "is no fan-out; write a number, {poisson: mean} or {weights: {items: share}}"),
]


class EdgeOptions(Model):
    """How an edge passes queries on; the default passes every query on, one item each, at once."""

    probability: Share | None = None
    """Share of upstream visits (or items) that the edge passes on; 1 unless `values` decide."""
    choice: Name | None = None
    """Edges out of one stage with the same `choice` exclude each other: at most one is active."""
    values: Listed[AttributeValue] | None = None
    """The edge is active when the query's attribute named by `choice` has one of these values."""
    fan_out: FanOut = 1
    """Items that enter the downstream stage for each upstream visit (or item)."""
    per: Literal["query", "item"] = "query"
    """What draws are made for, and what is waited for: the whole upstream visit, or each of its items."""
    network_delay_ns: Duration = Field(0, alias="network_delay")
    """Time between leaving the upstream stage and arriving downstream."""

    @model_validator(mode="after")
    def _has_one_rule(self) -> Self:
        if self.values is not None and self.choice is None:
            raise invalid("values", list(self.values), "have no attribute", "name the query's attribute in choice")
        if self.values is not None and self.probability is not None:
            raise invalid("probability", self.probability, "contradicts values", "keep one of them")
        return self

    @property
    def share(self) -> float:
        """Return the probability of the edge where a draw decides."""
        return 1.0 if self.probability is None else self.probability


class Batching(Model):
    """How a batch is formed: see DESIGN, section 3, or docs/semantics.md."""

    policy: Literal["greedy", "window"] = "greedy"
    max_queue_delay_ns: Duration = Field(0, alias="max_queue_delay")
    """How long a batch that is not full may wait, counted from its oldest item's arrival."""


class Size(Model):
    """How a stage's service time scales with a size that queries carry."""

    attribute: Name
    """The query attribute that holds the size, such as tokens or seconds of audio."""
    reference: Annotated[float, Field(gt=0, le=1e12)]
    """The size at which the stage's profiles were measured."""
    combine: Literal["padded", "packed"] = "padded"
    """A batch takes as long as its largest item (padded) or as its mean item (packed)."""


Dispatch = Literal["central", "round_robin", "random", "power_of_two", "least_loaded"]


def _after_form(value: object) -> str:
    return "<mapping>" if isinstance(value, dict) else "<list>"


class Stage(Model):
    """One model of the pipeline and how its server batches and dispatches."""

    model: Name
    after: Annotated[
        Annotated[Listed[Name], Tag("<list>")]
        | Annotated[dict[Name, EdgeOptions | None], Field(min_length=1), Tag("<mapping>")],
        one_form(_after_form, "is not a list; write one, such as [first]"),
    ] = ()
    """The stages that feed this one; a stage without any is a source and receives every query."""
    batching: Batching = Batching()
    dispatch: Dispatch = "central"
    batch_overhead_ns: Duration = Field(0, alias="batch_overhead")
    """The server's work around the model for each batch, during which the replica is held."""
    size: Size | None = None


@dataclass(frozen=True, slots=True)
class Edge:
    """One edge of a pipeline, with the names of the stages at its ends."""

    upstream: str
    downstream: str
    options: EdgeOptions

    @property
    def name(self) -> str:
        """Return ``upstream->downstream``, the key of the edge's random streams."""
        return f"{self.upstream}->{self.downstream}"

    @property
    def place(self) -> str:
        """Return the field of a pipeline that holds the edge's options."""
        return f"{self.downstream}.after.{self.upstream}"


class Pipeline(RootModel[Annotated[dict[Name, Stage], Field(min_length=1, max_length=MAX_STAGES)]]):
    """Stages by name, in the order of the file.

    Raises
    ------
    InvalidInputError
        For an unknown upstream stage, a cycle, a stage that no query can reach, or a contradictory choice group.
    """

    model_config = {"frozen": True, "strict": True}

    @property
    def stages(self) -> dict[str, Stage]:
        """Return the stages by name, in the order of the file."""
        return self.root

    @cached_property
    def edges(self) -> tuple[Edge, ...]:
        """Return the edges: by downstream stage in the order of the file, then in the order of its `after`."""
        return tuple(self._edges())

    def _edges(self) -> Iterator[Edge]:
        for downstream, stage in self.root.items():
            after = stage.after if isinstance(stage.after, dict) else dict.fromkeys(stage.after)
            for upstream, options in after.items():
                yield Edge(upstream, downstream, options or EdgeOptions())

    @cached_property
    def graph(self) -> "nx.DiGraph[str]":
        """Return the stages and edges as a graph; each edge holds its :class:`Edge` as ``edge``."""
        graph: nx.DiGraph[str] = nx.DiGraph()
        graph.add_nodes_from(self.root)
        graph.add_edges_from((edge.upstream, edge.downstream, {"edge": edge}) for edge in self.edges)
        return graph

    @cached_property
    def order(self) -> tuple[str, ...]:
        """Return the stages in topological order, ties in the order of the file."""
        position = {name: index for index, name in enumerate(self.root)}
        return tuple(nx.lexicographical_topological_sort(self.graph, key=position.__getitem__))

    @property
    def sources(self) -> tuple[str, ...]:
        """Return the stages that receive every query from outside."""
        return tuple(name for name, stage in self.root.items() if not stage.after)

    def edges_into(self, stage: str) -> tuple[Edge, ...]:
        """Return the edges that end at `stage`, in the order of its `after`."""
        return tuple(edge for edge in self.edges if edge.downstream == stage)

    def choice_groups(self) -> dict[tuple[str, str], tuple[Edge, ...]]:
        """Return the edges of every choice group, by upstream stage and name of the group."""
        groups: dict[tuple[str, str], tuple[Edge, ...]] = {}
        for edge in self.edges:
            if edge.options.choice is not None:
                key = (edge.upstream, edge.options.choice)
                groups[key] = (*groups.get(key, ()), edge)
        return groups

    @model_validator(mode="after")
    def _is_a_graph_that_queries_can_pass(self) -> Self:
        self._check_upstream_names()
        self._check_acyclic()
        for (upstream, choice), group in self.choice_groups().items():
            _check_choice_group(f"choice {choice} out of {upstream}", group)
        self._check_reachable()
        return self

    def _check_upstream_names(self) -> None:
        for edge in self.edges:
            if edge.upstream not in self.root:
                raise invalid(
                    f"{edge.downstream}.after", edge.upstream, "is not a stage", f"use one of {', '.join(self.root)}"
                )
        for name, stage in self.root.items():
            if not isinstance(stage.after, dict) and len(set(stage.after)) < len(stage.after):
                raise invalid(f"{name}.after", list(stage.after), "names a stage twice", "name it once")

    def _check_acyclic(self) -> None:
        if not nx.is_directed_acyclic_graph(self.graph):
            cycle = [upstream for upstream, *_ in nx.find_cycle(self.graph)]
            path = " -> ".join([*cycle, cycle[0]])
            raise invalid(f"{cycle[0]}.after", path, "is a cycle", "queries move forward only: remove one of its edges")

    def _check_reachable(self) -> None:
        reached = set(self.sources)
        for stage in self.order:
            if any(edge.upstream in reached and _can_be_active(edge) for edge in self.edges_into(stage)):
                reached.add(stage)
        for stage in self.order:
            if stage not in reached:
                raise invalid(
                    f"{stage}.after",
                    [edge.upstream for edge in self.edges_into(stage)],
                    "never passes a query on: the stage is unreachable",
                    "raise a probability or fan-out above 0, or remove the stage",
                )


def _can_be_active(edge: Edge) -> bool:
    fan_out = edge.options.fan_out
    if isinstance(fan_out, WeightedFanOut):
        return edge.options.share > 0 and any(n > 0 and share > 0 for n, share in fan_out.weights.items())
    return edge.options.share > 0 and (isinstance(fan_out, PoissonFanOut) or fan_out > 0)


def _check_choice_group(group_name: str, group: tuple[Edge, ...]) -> None:
    by_values = [edge for edge in group if edge.options.values is not None]
    by_share = [edge for edge in group if edge.options.values is None]
    if by_values and by_share:
        rule = f"has no values, as others of {group_name} have"
        raise invalid(by_share[0].place, by_share[0].name, rule, "give values to all edges or to none")
    for edge in group[1:]:
        if edge.options.per != group[0].options.per:
            rule = f"is not the `per` of all edges of {group_name}"
            raise invalid(f"{edge.place}.per", edge.options.per, rule, "use one `per` for the group")
    seen: set[AttributeValue] = set()
    for edge in by_values:
        for value in edge.options.values or ():
            if value in seen:
                rule = f"is listed twice in {group_name}"
                raise invalid(f"{edge.place}.values", value, rule, "values of a choice exclude each other")
            seen.add(value)
    for edge in by_share:
        if edge.options.probability is None:
            raise invalid(
                edge.place, edge.name, f"has no probability in {group_name}", "give each edge of the group its share"
            )
    total = sum(edge.options.share for edge in by_share)
    if total > 1 + 1e-9:
        raise invalid(f"{group[0].place}.probability", total, f"is the sum over {group_name}", "make it at most 1")
