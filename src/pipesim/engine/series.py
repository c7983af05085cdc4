"""Frames of a simulation that pictures are drawn from: distributions, and what happens over time."""

from decimal import Decimal

import numpy as np
import numpy.typing as npt
import pandas as pd

from pipesim.engine.quantiles import nearest_rank
from pipesim.engine.result import QUANTILES, SimulationResult
from pipesim.engine.stages import total_ns
from pipesim.engine.summary import Summary
from pipesim.errors import invalid
from pipesim.model import Slo
from pipesim.units import NS_PER_S, format_quantile

Integers = npt.NDArray[np.int64]

ALL = "all queries"
MOST_INTERVALS = 100_000
_RANKS = 400
_INTERVALS = 150
_ROUND_NS = (
    *(digit * 10**power for power in range(10) for digit in (1, 2, 5)),
    *(length * NS_PER_S for length in (10, 20, 30, 60, 120, 300, 600, 1200, 1800)),
    *(length * 3600 * NS_PER_S for length in (1, 2, 6, 12, 24, 48, 168)),
)
_SLOWEST = Decimal("0.99")
_STAGE_COLUMNS = ["stage", "time_s", "width_s", "mean_waiting", "max_waiting", "utilisation", "replicas"]


def who(slo: Slo) -> str:
    """Return the class of queries that an objective is for, in words."""
    return " and ".join(f"{name} = {value}" for name, value in slo.where.items()) or ALL


def objectives(result: SimulationResult | Summary) -> pd.DataFrame:
    """Return one row for each objective.

    Columns: ``objective`` (text), ``queries`` (the class that it is for, in words), ``quantile`` (0 … 1), ``bound_s``,
    ``latency_s`` (reached at that quantile, in its worst window if it has windows; NaN without queries), ``met``.
    """
    rows = [
        {
            "objective": str(outcome.slo),
            "queries": who(outcome.slo),
            "quantile": float(outcome.slo.quantile),
            "bound_s": outcome.slo.bound_ns / NS_PER_S,
            "latency_s": float("nan") if outcome.latency_ns is None else outcome.latency_ns / NS_PER_S,
            "met": outcome.met,
        }
        for outcome in result.slos
    ]
    return pd.DataFrame(rows, columns=["objective", "queries", "quantile", "bound_s", "latency_s", "met"])


def latency_distribution(result: SimulationResult) -> pd.DataFrame:
    """Return the distribution of latencies: of all queries, then of each class that an objective is for.

    Columns: ``queries`` (the class, in words), ``latency_s`` (an observed latency), ``share_at_most`` and
    ``share_above`` (of the class's queries; exact). Of more than some hundred queries the rows are those of ranks that
    are spread evenly, and ever denser towards the slowest, each of which has a row.
    """
    parts = []
    for name, slo in {ALL: None, **{who(slo): slo for slo in result.scenario.slos if slo.where}}.items():
        chosen = result.latency_ns if slo is None else result.latency_ns[result.workload.concerned(slo)]
        latency_ns = np.sort(chosen)
        count = latency_ns.size
        at = np.unique(latency_ns[_ranks(count) - 1])
        at_most = np.searchsorted(latency_ns, at, side="right")
        columns = {
            "queries": [name] * at.size,
            "latency_s": at / NS_PER_S,
            "share_at_most": at_most / max(1, count),
            "share_above": (count - at_most) / max(1, count),
        }
        parts.append(pd.DataFrame(columns))
    return pd.concat(parts, ignore_index=True)


def _ranks(count: int) -> Integers:
    """Return ranks from 1 to `count`, ascending: evenly spread, and in equal ratios from the last one down."""
    if not count:
        return np.zeros(0, dtype=np.int64)
    even = np.linspace(1, count, min(count, _RANKS))
    from_last = count + 1 - np.geomspace(1, count, min(count, _RANKS))
    return np.unique(np.rint(np.concatenate((even, from_last))).astype(np.int64))


def interval_ns(result: SimulationResult, interval_s: float | None) -> int:
    """Return the length of the intervals of a series: as given, or the least round one of which 150 suffice.

    Raises
    ------
    InvalidInputError
        If it is not at least 1 ns, or there would be more than 100,000 of them.
    """
    end_ns = max(_end_ns(result), 1)
    if interval_s is None:
        return next((length for length in _ROUND_NS if end_ns <= _INTERVALS * length), end_ns)
    least_s = max(1, -(-end_ns // MOST_INTERVALS)) / NS_PER_S
    if not least_s <= interval_s < float("inf"):
        raise invalid("interval_s", interval_s, "is not allowed", f"use at least {least_s:g} s")
    return round(interval_s * NS_PER_S)


def _end_ns(result: SimulationResult) -> int:
    """Return when the traffic is over and the last query has left."""
    return max(result.traffic.duration_ns, int(result.run.finish_ns.max(initial=0)))


def latency_over_time(result: SimulationResult, interval_s: float | None = None) -> pd.DataFrame:
    """Return one row per interval of time, of the queries that arrived in it.

    Columns: those of :attr:`pipesim.engine.Summary.series`, with exact quantiles. If the length of intervals is not
    given, it is the least round one of which 150 suffice.

    Raises
    ------
    InvalidInputError
        If intervals are not at least 1 ns long, or there would be more than 100,000.
    """
    length_ns = interval_ns(result, interval_s)
    arrived = result.traffic.times_ns // length_ns
    last = int(arrived[-1]) if arrived.size else -1
    left = np.minimum(result.run.finish_ns // length_ns, last + 1)
    intervals = int(max(last, left.max(initial=-1))) + 1
    finished = np.bincount(left, minlength=intervals)
    order = np.lexsort((result.latency_ns, arrived))
    latency_ns = result.latency_ns[order]
    bounds = np.searchsorted(arrived, np.arange(intervals + 1))
    rows = []
    for number in range(intervals):
        here = latency_ns[bounds[number] : bounds[number + 1]]
        row = {"time_s": number * length_ns / NS_PER_S, "queries": here.size, "finished": int(finished[number])}
        row["mean_latency_s"] = total_ns(here) / here.size / NS_PER_S if here.size else float("nan")
        for quantile in QUANTILES:
            time = nearest_rank(here, quantile) / NS_PER_S if here.size else float("nan")
            row[f"{format_quantile(quantile)}_latency_s"] = time
        row["max_latency_s"] = int(here[-1]) / NS_PER_S if here.size else float("nan")
        rows.append(row)
    names = [f"{format_quantile(quantile)}_latency_s" for quantile in QUANTILES]
    return pd.DataFrame(rows, columns=["time_s", "queries", "finished", "mean_latency_s", *names, "max_latency_s"])


def stages_over_time(result: SimulationResult, interval_s: float | None = None) -> pd.DataFrame:
    """Return one row per stage and interval of time, stages in topological order.

    Columns: ``stage``; ``time_s`` (its beginning); ``width_s`` (the last interval ends with the traffic, or when the
    last query leaves, and is between half an interval and one and a half); ``mean_waiting`` and ``max_waiting`` (items
    that have arrived and not started, over the interval); ``utilisation`` (share of it for which replicas are busy,
    mean over replicas); ``replicas``. If the length of intervals is not given, it is the least round one of which 150
    suffice. No rows if the traffic has no duration and nobody came.

    Raises
    ------
    InvalidInputError
        If intervals are not at least 1 ns long, or there would be more than 100,000.
    """
    length_ns, end_ns = interval_ns(result, interval_s), _end_ns(result)
    if not end_ns:
        return pd.DataFrame(columns=_STAGE_COLUMNS)
    intervals = max(1, (2 * end_ns + length_ns) // (2 * length_ns))
    starts_ns = np.arange(intervals, dtype=np.int64) * length_ns
    edges_ns = np.append(starts_ns, end_ns)
    width_ns = np.diff(edges_ns)
    parts = []
    for name, run in zip(result.workload.routes.names, result.run.stages, strict=True):
        replicas = result.plan.stages[name].replicas
        waiting = _integral(run.arrival_ns, edges_ns) - _integral(run.start_ns, edges_ns)
        busy = _integral(run.batch_start_ns, edges_ns) - _integral(run.batch_finish_ns, edges_ns)
        columns = {
            "stage": [name] * width_ns.size,
            "time_s": starts_ns / NS_PER_S,
            "width_s": width_ns / NS_PER_S,
            "mean_waiting": waiting / width_ns,
            "max_waiting": _most(run.arrival_ns, run.start_ns, edges_ns),
            "utilisation": busy / width_ns / replicas,
            "replicas": [replicas] * width_ns.size,
        }
        parts.append(pd.DataFrame(columns))
    return pd.concat(parts, ignore_index=True)


def _integral(times_ns: Integers, edges_ns: Integers) -> npt.NDArray[np.float64]:
    """Return, over each interval, the integral of how many of some instants have passed, in ns.

    Within the interval of an instant it is what is left of the interval; in all later ones, all of them.
    """
    inside = np.minimum(np.searchsorted(edges_ns, times_ns, side="right") - 1, edges_ns.size - 2)
    here = np.bincount(inside, edges_ns[inside + 1] - times_ns, edges_ns.size - 1)
    before = np.cumsum(np.bincount(inside, minlength=edges_ns.size - 1))[:-1]
    return np.asarray(here + np.append(0, before) * np.diff(edges_ns), dtype=np.float64)


def _most(arrival_ns: Integers, start_ns: Integers, edges_ns: Integers) -> Integers:
    """Return the most items that wait at any time within each interval; who starts on arrival has not waited."""
    instants = np.concatenate((arrival_ns, start_ns))
    order = np.argsort(instants, kind="stable")
    at, level = instants[order], np.cumsum(np.where(order < arrival_ns.size, 1, -1))
    last = np.append(at[1:] > at[:-1], True) if at.size else np.zeros(0, dtype=bool)
    at, level = at[last], level[last]  # what holds after each instant
    carried = np.append(0, level)[np.searchsorted(at, edges_ns[:-1], side="right")]
    most: Integers = carried.astype(np.int64)
    np.maximum.at(most, np.minimum(np.searchsorted(edges_ns, at, side="right") - 1, most.size - 1), level)
    return most


def stage_times(result: SimulationResult) -> pd.DataFrame:
    """Return how long items wait and are served at each stage, all of them and the slowest, in topological order.

    Columns: ``stage``; ``items`` (``all``, then ``slowest 1%``: those that are there for at least as long as the p99
    of that time says); ``count``; ``mean_queue_delay_s``, ``mean_service_time_s`` (of their batches). Both add up to
    the mean time at the stage; NaN without items.
    """
    rows = []
    for name, run in zip(result.workload.routes.names, result.run.stages, strict=True):
        time_ns = run.finish_ns - run.arrival_ns
        slow = time_ns >= (nearest_rank(np.sort(time_ns), _SLOWEST) if time_ns.size else 0)
        for items, chosen in (("all", np.ones(time_ns.size, dtype=bool)), ("slowest 1%", slow)):
            count = int(np.count_nonzero(chosen))
            wait_ns = total_ns((run.start_ns - run.arrival_ns)[chosen])
            service_ns = total_ns((run.finish_ns - run.start_ns)[chosen])
            rows.append(
                {
                    "stage": name,
                    "items": items,
                    "count": count,
                    "mean_queue_delay_s": wait_ns / count / NS_PER_S if count else float("nan"),
                    "mean_service_time_s": service_ns / count / NS_PER_S if count else float("nan"),
                }
            )
    return pd.DataFrame(rows, columns=["stage", "items", "count", "mean_queue_delay_s", "mean_service_time_s"])


def replicas_over_time(result: SimulationResult) -> pd.DataFrame:
    """Return how many replicas each stage has over time, stages in topological order.

    Columns: ``stage``, ``time_s``, ``replicas``, which holds until the stage's next row; its last row is the end, where
    the traffic is over and the last query has left. A plan's replicas never change: two rows for each stage.
    """
    end_s = _end_ns(result) / NS_PER_S
    rows = [
        {"stage": name, "time_s": time_s, "replicas": result.plan.stages[name].replicas}
        for name in result.workload.routes.names
        for time_s in (0.0, end_s)
    ]
    return pd.DataFrame(rows, columns=["stage", "time_s", "replicas"])


def pipeline_stages(result: SimulationResult) -> pd.DataFrame:
    """Return what the picture of the pipeline says of each stage (index ``stage``, in topological order).

    Columns: ``model``, ``source`` (whether it receives every query), ``hardware``, ``replicas``, ``max_batch_size``,
    ``rate_per_s`` (items a second over the traffic's duration; NaN if it has none), ``utilisation``,
    ``cost_usd_per_hour``.
    """
    stages = result.stages
    duration_s = result.traffic.duration_s or float("nan")
    kept = stages[["model", "hardware", "replicas", "max_batch_size", "utilisation", "cost_usd_per_hour"]]
    sources = [stage in result.scenario.pipeline.sources for stage in stages.index]
    frame = kept.assign(source=sources, rate_per_s=stages["items"] / duration_s)
    return frame[
        ["model", "source", "hardware", "replicas", "max_batch_size", "rate_per_s", "utilisation", "cost_usd_per_hour"]
    ]
