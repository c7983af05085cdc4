"""What an engine is handed: arrivals, routes and luck, resolved to arrays; an engine draws and looks up nothing.

:class:`Workload` is what does not depend on a plan, made once for all plans compared; :class:`EngineInputs` adds one
plan. Both engines take the same :class:`EngineInputs`.
"""

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy.special import gammaincinv, ndtri

from pipesim.engine.deliveries import Deliveries
from pipesim.engine.routing import EdgeRoutes, Routes, StageRoutes, draw_routes
from pipesim.errors import invalid
from pipesim.model import Dispatch, Plan, Profile, Scenario, Slo, StagePlan
from pipesim.streams import Streams
from pipesim.traces import ArrivalTrace, scenario_trace
from pipesim.units import format_duration

MAX_WINDOWS = 1_000_000
"""The most windows that an objective may have."""
_CLOCK_NS = 2.0**62
Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class StageInputs:
    """One stage of a plan, as an engine sees it.

    Parameters
    ----------
    name
        Of the stage, for messages.
    routes
        The items that visit the stage.
    replicas, max_batch_size
        From the plan.
    policy, max_queue_delay_ns, dispatch
        How batches are formed and how items reach replicas.
    table_ns
        Shape ``(max_batch_size + 1,)``, int64: service time by batch size.
    overhead_ns
        Added to every batch.
    noise
        Shape ``(items,)``, float64: multiplier by a batch's first item; None stands for 1 everywhere.
    size
        Shape ``(items,)``, float64: size of each item over the reference size; None stands for 1 everywhere.
    combine
        How the sizes of a batch combine: the largest (``padded``) or the mean (``packed``).
    dispatch_draws
        Shape ``(items, 2)``, float64 in [0, 1): for ``random`` and ``power_of_two``; else None.
    longest_ns
        A time that no batch exceeds.
    setting
        What the plan says: within one workload it stands for all of the above.
    """

    name: str
    routes: StageRoutes
    replicas: int
    max_batch_size: int
    policy: Literal["greedy", "window"]
    max_queue_delay_ns: int
    dispatch: Dispatch
    table_ns: Integers
    overhead_ns: int
    noise: Floats | None
    size: Floats | None
    combine: Literal["padded", "packed"]
    dispatch_draws: Floats | None
    longest_ns: float
    setting: StagePlan

    @property
    def items(self) -> int:
        """Return how many items visit the stage."""
        return int(self.routes.offsets[-1])


@dataclass(frozen=True, slots=True)
class EngineInputs:
    """One run.

    Parameters
    ----------
    arrival_ns
        Shape ``(queries,)``, int64, ascending.
    routes, deliveries
        The items of every query, and where each one leads.
    stages
        In topological order.
    """

    arrival_ns: Integers
    routes: Routes
    deliveries: Deliveries
    stages: tuple[StageInputs, ...]

    @property
    def queries(self) -> int:
        """Return how many queries enter."""
        return int(self.arrival_ns.size)

    @property
    def edges(self) -> tuple[EdgeRoutes, ...]:
        """Return the edges of the pipeline."""
        return self.routes.edges


@dataclass(frozen=True, slots=True)
class MissLimit:
    """An objective as an engine checks it while it runs.

    Parameters
    ----------
    bound_ns
        A query that takes longer misses.
    group
        Shape ``(queries,)``, int32: the window of each query that the objective is for, 0 for all if it has no windows;
        -1 for the others.
    allowed
        Shape ``(groups,)``, int64, at least one: how many queries of each group may miss.
    """

    bound_ns: int
    group: npt.NDArray[np.int32]
    allowed: Integers

    @property
    def queries(self) -> Integers:
        """Return how many queries each group has, shape ``(groups,)``, int64."""
        return np.bincount(self.group[self.group >= 0], minlength=self.allowed.size)

    def misses(self, latency_ns: Integers) -> Integers:
        """Return how many of these latencies, one for each query, exceed the bound in each group.

        Shape ``(groups,)``, int64.
        """
        late = np.compress(latency_ns > self.bound_ns, self.group)  # far faster than by index where many are late
        return np.bincount(late + 1, minlength=self.allowed.size + 1)[1:]

    def is_missed(self, latency_ns: Integers) -> bool:
        """Return whether too many of these latencies, one for each query, exceed the bound in any group."""
        if self.allowed.size > 1:
            return bool(np.any(self.misses(latency_ns) > self.allowed))
        late, allowed = latency_ns > self.bound_ns, int(self.allowed[0])
        if np.count_nonzero(late) <= allowed:  # whoever they are
            return False
        return int(np.count_nonzero(late & (self.group == 0))) > allowed

    def quantiles_ns(self, latency_ns: Integers) -> Integers:
        """Return the least bound that each group would not miss: its quantile by nearest rank; -1 without queries.

        Parameters
        ----------
        latency_ns
            Shape ``(queries,)``, int64: one latency for each query.

        Returns
        -------
        Integers
            Shape ``(groups,)``, int64.
        """
        concerned, queries = self.group >= 0, self.queries
        group, latency_ns = self.group[concerned], latency_ns[concerned]
        by_group = np.sort(latency_ns) if queries.size == 1 else latency_ns[np.lexsort((latency_ns, group))]
        last = np.cumsum(queries) - self.allowed - 1
        quantiles = np.full(queries.size, -1)
        quantiles[queries > 0] = by_group[last[queries > 0]]
        return quantiles


@dataclass(frozen=True)
class Workload:
    """A scenario's traffic with all its draws: what every plan compared is put through.

    Parameters
    ----------
    scenario
        The scenario that it was drawn for.
    trace
        The arrivals.
    routes
        The items of every query at every stage.
    """

    scenario: Scenario
    trace: ArrivalTrace
    routes: Routes
    _streams: Streams = field(repr=False, compare=False)
    _luck: dict[tuple[str, ...], Floats] = field(default_factory=dict, repr=False, compare=False)
    _peaks: dict[int, float] = field(default_factory=dict, repr=False, compare=False)
    _drawing: threading.Lock = field(default_factory=threading.Lock, repr=False, compare=False)

    @classmethod
    def of(cls, scenario: Scenario, trace: ArrivalTrace | None = None, *, streams: Streams | None = None) -> "Workload":
        """Return the workload of a scenario.

        Parameters
        ----------
        scenario
            What is asked.
        trace
            The arrivals, if not the scenario's own.
        streams
            Those that drew the luck of the queries before these, if the trace is a later piece of a longer one.

        Raises
        ------
        FileFormatError, InvalidInputError
            If the trace cannot be read, or lacks an attribute that the pipeline or an objective needs.
        """
        if trace is None:
            trace = scenario_trace(scenario)
        is_whole, streams = streams is None, streams or Streams(scenario.seed)
        workload = cls(scenario, trace, draw_routes(scenario.pipeline, trace, streams), streams)
        for stage in scenario.pipeline.stages:
            workload._sizes(stage)
        if is_whole:
            workload._check_objectives()
        return workload

    def _check_objectives(self) -> None:
        for slo in self.scenario.slos:
            _check_windows(slo, self.trace.duration_ns)
            if slo.where and len(self.trace) and not self.concerned(slo).any():
                raise invalid("slo.where", dict(slo.where), "holds for no query of the traffic", "check the values")

    def at(self, scenario: Scenario, trace: ArrivalTrace) -> "Workload":
        """Return the same queries with the routes and the luck that they have, asked another question.

        Parameters
        ----------
        scenario
            One that has the seed, stages, edges and sizes of this one.
        trace
            The same queries, perhaps at other times.

        Raises
        ------
        InvalidInputError
            If an objective of the scenario does not fit the trace.
        """
        workload = replace(self, scenario=scenario, trace=trace)
        same_times = trace.times_ns is self.trace.times_ns
        deliveries = self.deliveries if same_times else self.deliveries.at(trace.times_ns)
        vars(workload)["deliveries"] = deliveries  # where cached_property keeps it
        workload._check_objectives()
        return workload

    @cached_property
    def deliveries(self) -> Deliveries:
        """Return what the routes mean for the items."""
        return Deliveries.of(self.trace.times_ns, self.routes)

    def first(self, queries: int) -> "Workload":
        """Return the workload of the first queries alone: draws are indexed by query, so theirs stay as they are."""
        trace = self.trace.selected(np.arange(len(self.trace)) < queries)
        streams = Streams(self.scenario.seed)
        return Workload(self.scenario, trace, draw_routes(self.scenario.pipeline, trace, streams), streams)

    def concerned(self, slo: Slo) -> npt.NDArray[np.bool_]:
        """Return the queries that an objective is for, shape ``(queries,)``."""
        return self.trace.matching(slo.where, "slo.where")

    def miss_limits(self, slos: Sequence[Slo]) -> tuple[MissLimit, ...]:
        """Return the objectives as an engine checks them."""
        return tuple(self._miss_limit(slo) for slo in slos)

    def _miss_limit(self, slo: Slo) -> MissLimit:
        windows, group = slo.windows(self.trace.duration_ns), np.zeros(len(self.trace), np.int32)
        if slo.every_ns is not None:
            group = np.minimum(self.trace.times_ns // slo.every_ns, windows - 1).astype(np.int32)
        group[~self.concerned(slo)] = -1
        sizes = np.bincount(group[group >= 0], minlength=windows)
        return MissLimit(slo.bound_ns, group, allowed_misses(slo, sizes))

    def engine_inputs(self, plan: Plan) -> EngineInputs:
        """Return what an engine needs to run `plan`.

        Raises
        ------
        InvalidInputError
            If the plan does not fit the scenario.
        """
        self.scenario.check_plan(plan)
        stages = tuple(self.stage_inputs(name, plan.stages[name]) for name in self.routes.names)
        inputs = EngineInputs(self.trace.times_ns, self.routes, self.deliveries, stages)
        latest_ns = int(inputs.arrival_ns[-1]) if inputs.queries else 0
        longest_ns = [stage.longest_ns for stage in stages]
        check_clock(inputs, [stage.items for stage in stages], longest_ns, latest_ns)
        return inputs

    def stage_inputs(self, name: str, chosen: StagePlan) -> StageInputs:
        """Return what an engine needs to run one stage on a setting that fits the scenario."""
        with self._drawing:  # luck is drawn once, whichever thread comes first
            return self._stage_inputs(name, chosen)

    def _stage_inputs(self, name: str, chosen: StagePlan) -> StageInputs:
        stage, routes = self.scenario.pipeline.stages[name], self._stage_routes(name)
        profile = self.scenario.profiles[stage.model, chosen.hardware]
        is_drawn = stage.dispatch in ("random", "power_of_two")
        table_ns = profile.table_ns[: chosen.max_batch_size + 1]
        noise, size = self._noise(name, profile), self._sizes(name)
        factor = self._peak(noise) * self._peak(size)
        return StageInputs(
            name,
            routes,
            chosen.replicas,
            chosen.max_batch_size,
            stage.batching.policy,
            stage.batching.max_queue_delay_ns,
            stage.dispatch,
            table_ns,
            stage.batch_overhead_ns,
            noise,
            size,
            stage.size.combine if stage.size else "padded",
            self._drawn("dispatch", name, (self._items(name), 2)) if is_drawn else None,
            float(table_ns.max()) * factor + stage.batch_overhead_ns + 1,
            chosen,
        )

    def _noise(self, name: str, profile: Profile) -> Floats | None:
        """Return the noise of each item by inversion, so that one item has the same luck on every hardware."""
        if profile.noise_scv == 0:
            return None
        key = ("noise", name, profile.noise_law, repr(profile.noise_scv))
        if key not in self._luck:
            draws = self._drawn("noise", name, (self._items(name),))
            self._luck[key] = _noise_multipliers(draws, profile.noise_law, profile.noise_scv)
        return self._luck[key]

    def _drawn(self, purpose: str, name: str, shape: tuple[int, ...]) -> Floats:
        """Return uniform draws, made once."""
        if (purpose, name) not in self._luck:
            self._luck[purpose, name] = self._streams.of(purpose, name).random(shape)
        return self._luck[purpose, name]

    def _sizes(self, name: str) -> Floats | None:
        size = self.scenario.pipeline.stages[name].size
        if size is None:
            return None
        if ("size", name) not in self._luck:
            where = f"pipeline.{name}.size.attribute"
            column = self.trace.attribute(size.attribute, where)
            if column.dtype.kind != "f":
                raise invalid(where, size.attribute, "holds text", "name an attribute that holds numbers")
            if column.size and column.min() <= 0:
                raise invalid(where, float(column.min()), f"is a value of {size.attribute}", "sizes must be above 0")
            with np.errstate(over="ignore"):  # too large to serve: the check of the clock says so
                per_query = column / size.reference
            self._luck["size", name] = per_query[self._stage_routes(name).query_of_item]
        return self._luck["size", name]

    def _peak(self, kept: Floats | None) -> float:
        """Return the largest of the values kept of a stage, found once; 1 without any."""
        if kept is None or not kept.size:
            return 1.0
        if id(kept) not in self._peaks:
            self._peaks[id(kept)] = float(kept.max())
        return self._peaks[id(kept)]

    def _stage_routes(self, name: str) -> StageRoutes:
        return self.routes.stages[self.routes.names.index(name)]

    def _items(self, name: str) -> int:
        return int(self._stage_routes(name).offsets[-1])


def allowed_misses(slo: Slo, queries: Integers) -> Integers:
    """Return how many of so many queries may exceed the bound of an objective, for each number of queries."""
    numbers, place = np.unique(queries, return_inverse=True)
    return np.array([slo.allowed_misses(number) for number in numbers.tolist()], np.int64)[place]


def _check_windows(slo: Slo, duration_ns: int) -> None:
    """Check that an objective has no more windows than can be counted."""
    if slo.every_ns is not None and slo.windows(duration_ns) > MAX_WINDOWS:
        raise invalid(
            "slo.every",
            format_duration(slo.every_ns),
            f"makes {slo.windows(duration_ns):,} windows of traffic that lasts {format_duration(duration_ns)}",
            f"make it so long that there are at most {MAX_WINDOWS:,}",
        )


def check_clock(inputs: EngineInputs, items: Sequence[int], longest_ns: Sequence[float], latest_ns: int) -> None:
    """Check that even if all items were served alone and one after the other, the clock would not overflow.

    Parameters
    ----------
    inputs
        Stages and their delays.
    items, longest_ns
        How many items there are at each stage, and a time that none of its batches exceeds.
    latest_ns
        An instant before which none of this begins: the last arrival, or the last finish known.

    Raises
    ------
    InvalidInputError
        With the stage at which it could.
    """
    latest = float(latest_ns) + sum(float(edge.delay_ns) for edge in inputs.edges)
    for stage, count, service_ns in zip(inputs.stages, items, longest_ns, strict=True):
        if not count:
            continue
        latest += count * service_ns + stage.max_queue_delay_ns
        if not latest < _CLOCK_NS:
            raise invalid(
                f"stage {stage.name}",
                f"{service_ns / 1e9:.3g} s",
                f"is its longest service time, for {count} items: the clock of 146 years could overflow",
                "check latencies, sizes and their reference, and overhead",
            )


def _noise_multipliers(draws: Floats, law: Literal["gamma", "lognormal"], scv: float) -> Floats:
    """Return multipliers with mean 1 and the given scv, for uniform draws, by inverting the distribution function."""
    if law == "gamma":
        return np.asarray(gammaincinv(1 / scv, draws) * scv)
    variance = np.log1p(scv)
    return np.asarray(np.exp(ndtri(np.maximum(draws, 2.0**-54)) * np.sqrt(variance) - variance / 2))
