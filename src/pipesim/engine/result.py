"""What a simulation tells: frames of queries, visits, items, batches and stages, quantiles, misses and cost."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from pipesim import units
from pipesim.engine.bounds import full_batch_throughput_qps
from pipesim.engine.breakdown import critical_items
from pipesim.engine.inputs import StageInputs, Workload
from pipesim.engine.quantiles import Interval, nearest_rank, quantile_interval_ns, share_interval
from pipesim.engine.routing import StageRoutes
from pipesim.engine.run import Run, StageRun
from pipesim.engine.stages import StageTotals, stages_frame, total_ns
from pipesim.model import Plan, Scenario, Slo
from pipesim.traces import ArrivalTrace
from pipesim.units import NS_PER_S

if TYPE_CHECKING:
    from pipesim.engine.pictures import SimulationPictures

Integers = npt.NDArray[np.int64]
QUANTILES = (Decimal("0.5"), Decimal("0.95"), Decimal("0.99"))


@dataclass(frozen=True, slots=True)
class SloOutcome:
    """Whether one objective held; of one that has windows, what its worst window says: see :func:`worst_window`.

    Parameters
    ----------
    slo
        The objective.
    queries, misses, allowed_misses
        How many it is for, how many of them exceeded the bound, and how many may: in the worst window, if it has any.
    latency_ns
        The quantile that the objective names, of these queries; None without any.
    interval_ns
        Its 95 % confidence interval.
    miss_rate_interval
        The 95 % confidence interval of the share that missed.
    windows, windows_missed
        How many windows there are, and in how many it did not hold; an objective without windows has the whole trace as
        its only one.
    worst_window
        The number of the worst, from 0.
    """

    slo: Slo
    queries: int
    misses: int
    allowed_misses: int
    latency_ns: int | None
    interval_ns: Interval
    miss_rate_interval: Interval
    windows: int = 1
    windows_missed: int = 0
    worst_window: int = 0

    @property
    def met(self) -> bool:
        """Return whether the objective held, in all windows."""
        return not self.windows_missed

    @property
    def worst_window_ns(self) -> int | None:
        """Return when the worst window begins, in ns since the trace began; None for an objective without windows."""
        return None if self.slo.every_ns is None else self.worst_window * self.slo.every_ns

    @property
    def miss_rate(self) -> float:
        """Return the share of queries over the bound, 0 without queries."""
        return self.misses / self.queries if self.queries else 0.0


def worst_window(queries: Integers, misses: Integers, quantiles_ns: Integers) -> int:
    """Return the number of the window with the largest share of misses; of equals the slowest, then the first.

    A window in which an objective does not hold has a larger share than any in which it does. Windows without queries
    come last.

    Parameters
    ----------
    queries, misses, quantiles_ns
        Shape ``(windows,)``, int64: how many queries there were in each, how many of them exceeded the bound, and the
        quantile that the objective names.

    >>> worst_window(np.array([0, 200, 100, 100]), np.array([0, 1, 1, 1]), np.array([-1, 7, 5, 6]))
    3
    """
    share = np.where(queries, misses / np.maximum(queries, 1), -1.0)
    return int(np.argmax(np.where(share == share.max(), quantiles_ns, -2)))


def latency_frame(quantiles: Iterable[tuple[Decimal, int, Interval]]) -> pd.DataFrame:
    """Return quantiles, their latencies and intervals in ns as one row each: see :meth:`SimulationResult.latency`."""
    rows = [
        {
            "quantile": units.format_quantile(quantile),
            "latency_s": latency_ns / NS_PER_S,
            "low_s": interval_ns.low / NS_PER_S,
            "high_s": interval_ns.high / NS_PER_S,
        }
        for quantile, latency_ns, interval_ns in quantiles
    ]
    return pd.DataFrame(rows, columns=["quantile", "latency_s", "low_s", "high_s"]).set_index("quantile")


@dataclass(frozen=True)
class SimulationResult:
    """A plan put through a workload.

    Frames have fixed columns; times are seconds since the trace began (``_s``). The exact integers are in `run`.

    Parameters
    ----------
    workload, plan
        What was put through what.
    run
        Timestamps as the engine gave them.
    """

    workload: Workload
    plan: Plan
    run: Run

    @property
    def scenario(self) -> Scenario:
        """Return the scenario."""
        return self.workload.scenario

    @property
    def plot(self) -> "SimulationPictures":
        """Return the pictures of it: ``result.plot.latency_cdf()``."""
        from pipesim.engine.pictures import SimulationPictures

        return SimulationPictures(self)

    @property
    def traffic(self) -> ArrivalTrace:
        """Return the arrivals."""
        return self.workload.trace

    @cached_property
    def latency_ns(self) -> npt.NDArray[np.int64]:
        """Return finish minus arrival of every query, shape ``(queries,)``, int64."""
        return self.run.finish_ns - self.workload.trace.times_ns

    @cached_property
    def _sorted_latency_ns(self) -> npt.NDArray[np.int64]:
        return np.sort(self.latency_ns)

    def latency_quantile_ns(self, quantile: Decimal) -> int:
        """Return a latency quantile by nearest rank: an observed latency.

        Raises
        ------
        InvalidInputError
            If there are no queries.
        """
        return nearest_rank(self._sorted_latency_ns, quantile)

    @cached_property
    def slos(self) -> tuple[SloOutcome, ...]:
        """Return how each of the scenario's objectives fared."""
        return tuple(self.slo_outcome(slo) for slo in self.workload.scenario.slos)

    def slo_outcome(self, slo: Slo) -> SloOutcome:
        """Return how an objective fared."""
        (limit,) = self.workload.miss_limits([slo])
        misses, quantiles_ns = limit.misses(self.latency_ns), limit.quantiles_ns(self.latency_ns)
        worst = worst_window(limit.queries, misses, quantiles_ns)
        latency = self.latency_ns[limit.group == worst]
        return SloOutcome(
            slo,
            latency.size,
            int(misses[worst]),
            int(limit.allowed[worst]),
            int(quantiles_ns[worst]) if latency.size else None,
            quantile_interval_ns(latency, slo.quantile),
            share_interval(latency > slo.bound_ns),
            limit.allowed.size,
            int(np.count_nonzero(misses > limit.allowed)),
            worst,
        )

    @property
    def met(self) -> bool:
        """Return whether all objectives held."""
        return all(outcome.met for outcome in self.slos)

    @property
    def cost_usd_per_hour(self) -> Decimal:
        """Return what the plan costs an hour."""
        return self.plan.cost_usd_per_hour(self.workload.scenario.catalogue)

    @cached_property
    def overloaded(self) -> tuple[str, ...]:
        """Return the stages to which at least as many items came a second as they can serve (`headroom` ≤ 1).

        Their backlog grows for as long as such traffic lasts, even if this trace ends before it breaks an objective.
        """
        return tuple(self.stages.index[self.stages["headroom"] <= 1])

    @cached_property
    def queries(self) -> pd.DataFrame:
        """Return one row per query (index ``query``): ``arrival_s``, ``finish_s``, ``latency_s``, then attributes."""
        trace = self.workload.trace
        columns = {
            "arrival_s": trace.times_ns / NS_PER_S,
            "finish_s": self.run.finish_ns / NS_PER_S,
            "latency_s": self.latency_ns / NS_PER_S,
            **trace.attributes,
        }
        return pd.DataFrame(columns, index=pd.RangeIndex(len(trace), name="query"))

    @cached_property
    def items(self) -> pd.DataFrame:
        """Return one row per item of a visit.

        Columns: ``stage``, ``query``, ``item`` (its number in the visit), ``arrival_s``, ``start_s``, ``finish_s``,
        ``queue_delay_s``, ``service_time_s``, ``batch`` (its number at the stage).
        """
        return self._stacked(_items_frame)

    @cached_property
    def visits(self) -> pd.DataFrame:
        """Return one row per visit of a query to a stage.

        Columns: ``stage``, ``query``, ``items``, ``arrival_s`` and ``start_s`` (of its first item), ``finish_s`` (of
        its last), ``duration_s`` (finish minus arrival).
        """
        return self._stacked(_visits_frame)

    @cached_property
    def batches(self) -> pd.DataFrame:
        """Return one row per batch.

        Columns: ``stage``, ``batch`` (numbered by start, then replica), ``replica``, ``batch_size``, ``start_s``,
        ``finish_s``, ``service_time_s``.
        """
        return self._stacked(_batches_frame)

    def _stacked(self, frame: Callable[[StageRoutes, StageRun], pd.DataFrame]) -> pd.DataFrame:
        names = self.workload.routes.names
        parts = []
        for name, routes, run in zip(names, self.workload.routes.stages, self.run.stages, strict=True):
            part = frame(routes, run)
            stage = pd.Categorical([name] * len(part), categories=list(names))
            part.insert(0, "stage", pd.Series(stage))
            parts.append(part)
        return pd.concat(parts, ignore_index=True)

    @cached_property
    def stages(self) -> pd.DataFrame:
        """Return one row per stage: see :func:`pipesim.engine.stages.stages_frame`."""
        inputs, trace = self.workload.engine_inputs(self.plan), self.workload.trace
        totals = [self._stage_totals(stage, run) for stage, run in zip(inputs.stages, self.run.stages, strict=True)]
        return stages_frame(self.scenario, self.plan, totals, len(trace), trace.duration_ns)

    def _stage_totals(self, stage: StageInputs, run: StageRun) -> StageTotals:
        end_ns, wait_ns = self.workload.trace.duration_ns, np.sort(run.start_ns - run.arrival_ns)
        busy_ns = np.minimum(run.batch_finish_ns, end_ns) - np.minimum(run.batch_start_ns, end_ns)
        return StageTotals(
            stage.routes.visits,
            wait_ns.size,
            run.batch_size.size,
            total_ns(busy_ns),
            total_ns(wait_ns),
            total_ns(run.finish_ns - run.start_ns),
            nearest_rank(wait_ns, Decimal("0.99")) if wait_ns.size else None,
            self._throughput_qps(stage, run),
        )

    def _throughput_qps(self, stage: StageInputs, run: StageRun) -> float:
        if stage.policy == "window" and stage.items:
            served_s = total_ns(run.batch_finish_ns - run.batch_start_ns) / NS_PER_S
            return stage.replicas * len(self.workload.trace) / served_s
        return stage.replicas * full_batch_throughput_qps(stage)

    def to_frame(self) -> pd.DataFrame:
        """Return one row per stage: `stages`, of which the caller may change what is returned."""
        return self.stages.copy()

    def to_dict(self) -> dict[str, Any]:
        """Return the report, as ``pipesim simulate --json`` prints it."""
        from pipesim.report import simulation_report

        return simulation_report(self)

    def _repr_html_(self) -> str:
        from pipesim.engine.notebook import simulation_html

        return simulation_html(self)

    def latency(self, quantiles: Sequence[Decimal] = QUANTILES) -> pd.DataFrame:
        """Return latency quantiles with 95 % intervals (index ``quantile``): ``latency_s``, ``low_s``, ``high_s``.

        Empty without queries.
        """
        return latency_frame(
            (quantile, self.latency_quantile_ns(quantile), quantile_interval_ns(self.latency_ns, quantile))
            for quantile in (quantiles if self.latency_ns.size else ())
        )

    @cached_property
    def batch_sizes(self) -> pd.DataFrame:
        """Return how often each batch size occurred: ``stage``, ``batch_size``, ``batches``, ``share_of_items``."""
        rows = [
            {"stage": name, "batch_size": size, "batches": count, "share_of_items": size * count / run.start_ns.size}
            for name, run in zip(self.workload.routes.names, self.run.stages, strict=True)
            for size, count in enumerate(np.bincount(run.batch_size).tolist())
            if count
        ]
        return pd.DataFrame(rows, columns=["stage", "batch_size", "batches", "share_of_items"])

    def queue_length(self, stage: str) -> pd.DataFrame:
        """Return the items at a stage over time, one row for each instant of change.

        Columns: ``time_s``, ``waiting`` (arrived, not started), ``in_service``; each holds until the next row.
        """
        run = self.run.stages[self.workload.routes.names.index(stage)]
        instants = np.concatenate((run.arrival_ns, run.start_ns, run.finish_ns))
        ones = np.ones(run.arrival_ns.size, dtype=np.int64)
        waiting = np.concatenate((ones, -ones, 0 * ones))
        in_service = np.concatenate((0 * ones, ones, -ones))
        at, where = np.unique(instants, return_inverse=True)
        return pd.DataFrame(
            {
                "time_s": at / NS_PER_S,
                "waiting": np.cumsum(np.bincount(where, waiting, at.size).astype(np.int64)),
                "in_service": np.cumsum(np.bincount(where, in_service, at.size).astype(np.int64)),
            }
        )

    @cached_property
    def breakdown(self) -> pd.DataFrame:
        """Return where each query's latency was spent: one row per stage on its critical path.

        Columns: ``query``, ``stage``, ``queue_delay_ns``, ``service_time_ns``. With the network delays between them
        they add up to the query's latency exactly.
        """
        parts = []
        for name, items, run in zip(
            self.workload.routes.names, critical_items(self.workload.routes, self.run), self.run.stages, strict=True
        ):
            query = np.flatnonzero(items >= 0)
            item = items[query]
            parts.append(
                pd.DataFrame(
                    {
                        "query": query,
                        "stage": name,
                        "queue_delay_ns": run.start_ns[item] - run.arrival_ns[item],
                        "service_time_ns": run.finish_ns[item] - run.start_ns[item],
                    }
                )
            )
        return pd.concat(parts, ignore_index=True)

    def tail_breakdown(self, slo: Slo) -> pd.DataFrame:
        """Return where the slowest queries that an objective is for spend their time (index ``stage``).

        Columns: ``queue_delay_s``, ``service_time_s`` (means over the queries at or above its quantile), ``share`` (of
        their latency). If the objective has windows, it is that of the worst: see :func:`worst_window`.
        """
        names = list(self.workload.routes.names)
        (limit,), outcome = self.workload.miss_limits([slo]), self.slo_outcome(slo)
        slow = np.flatnonzero((limit.group == outcome.worst_window) & (self.latency_ns >= (outcome.latency_ns or 0)))
        rows = self.breakdown[self.breakdown["query"].isin(slow)].astype(
            {"queue_delay_ns": float, "service_time_ns": float}
        )
        totals = rows.groupby("stage")[["queue_delay_ns", "service_time_ns"]].sum().reindex(names, fill_value=0.0)
        latency_ns = float(total_ns(self.latency_ns[slow]))
        means = totals / max(slow.size, 1) / NS_PER_S
        means.columns = pd.Index(["queue_delay_s", "service_time_s"])
        return means.assign(share=totals.sum(axis=1) / latency_ns if latency_ns else 0.0)


def _items_frame(routes: StageRoutes, run: StageRun) -> pd.DataFrame:
    query = routes.query_of_item
    return pd.DataFrame(
        {
            "query": query,
            "item": np.arange(query.size) - routes.offsets[query],
            "arrival_s": run.arrival_ns / NS_PER_S,
            "start_s": run.start_ns / NS_PER_S,
            "finish_s": run.finish_ns / NS_PER_S,
            "queue_delay_s": (run.start_ns - run.arrival_ns) / NS_PER_S,
            "service_time_s": (run.finish_ns - run.start_ns) / NS_PER_S,
            "batch": run.batch,
        }
    )


def _visits_frame(routes: StageRoutes, run: StageRun) -> pd.DataFrame:
    visited = np.flatnonzero(routes.items)
    first = routes.offsets[visited]

    def over_visits(reduce: np.ufunc, values: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        return np.asarray(reduce.reduceat(values, first)) if first.size else values[:0]

    arrival = over_visits(np.minimum, run.arrival_ns)
    finish = over_visits(np.maximum, run.finish_ns)
    return pd.DataFrame(
        {
            "query": visited,
            "items": routes.items[visited],
            "arrival_s": arrival / NS_PER_S,
            "start_s": over_visits(np.minimum, run.start_ns) / NS_PER_S,
            "finish_s": finish / NS_PER_S,
            "duration_s": (finish - arrival) / NS_PER_S,
        }
    )


def _batches_frame(_: StageRoutes, run: StageRun) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "batch": np.arange(run.batch_size.size),
            "replica": run.batch_replica,
            "batch_size": run.batch_size,
            "start_s": run.batch_start_ns / NS_PER_S,
            "finish_s": run.batch_finish_ns / NS_PER_S,
            "service_time_s": (run.batch_finish_ns - run.batch_start_ns) / NS_PER_S,
        }
    )
