"""What is known of a run that was too long to keep: totals that are exact, and quantiles with a stated error."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from pipesim.engine.histogram import RESOLUTION, Histogram
from pipesim.engine.inputs import allowed_misses
from pipesim.engine.quantiles import (
    BATCHES,
    NO_INTERVAL,
    Interval,
    rank,
    rank_interval,
    share_interval_of_batches,
    standard_error,
)
from pipesim.engine.result import QUANTILES, SloOutcome, latency_frame, worst_window
from pipesim.engine.stages import StageTotals, stages_frame
from pipesim.files import InputFile
from pipesim.model import Plan, Scenario, Slo
from pipesim.units import NS_PER_S, format_quantile

if TYPE_CHECKING:
    from pipesim.engine.pictures import SummaryPictures

Condition = tuple[tuple[str, object], ...]
"""A class of queries, as an objective's `where` says."""
EVERYONE: Condition = ()


def condition(slo: Slo) -> Condition:
    """Return the class of queries that an objective is for."""
    return tuple(sorted(slo.where.items()))


@dataclass(frozen=True, slots=True)
class Traffic:
    """How much arrived.

    Parameters
    ----------
    queries
        How many.
    duration_ns
        The span that the rate refers to.
    inputs
        The files that the arrivals were read from.
    """

    queries: int
    duration_ns: int
    inputs: tuple[InputFile, ...] = ()

    def __len__(self) -> int:
        return self.queries

    @property
    def duration_s(self) -> float:
        """Return the span in seconds."""
        return self.duration_ns / NS_PER_S

    @property
    def mean_rate_qps(self) -> float:
        """Return queries per second over the duration; NaN if there is none."""
        return self.queries / self.duration_s if self.duration_ns else float("nan")


@dataclass(slots=True)
class IntervalTally:
    """The queries that arrived in one interval of time.

    Parameters
    ----------
    latency
        Of each class of queries.
    misses
        For each objective, how many exceeded its bound.
    """

    latency: dict[Condition, Histogram]
    misses: list[int] = field(default_factory=list)


@dataclass(frozen=True)
class Summary:
    """A plan put through traffic of any length.

    Counts, means, maxima, misses and what stages did are exact: the same as of a run that is kept whole. A latency
    quantile is the largest latency of a bucket that is no wider than a thousandth of it (:data:`RESOLUTION`), so it is
    too large by up to that, and never too small. Confidence intervals are those of
    :mod:`pipesim.engine.quantiles`, with batches made of whole intervals of the series.

    Parameters
    ----------
    scenario, plan, traffic
        What was put through what.
    interval_ns
        The length of the intervals of the series, a whole part of the windows of every objective that has any.
    intervals
        The tallies, by number of the interval; those without arrivals are left out.
    finished
        How many queries finished in an interval, by its number; after the interval of the last arrival, in the next.
    stage_totals
        For each stage in topological order.
    """

    scenario: Scenario
    plan: Plan
    traffic: Traffic
    interval_ns: int
    intervals: Mapping[int, IntervalTally]
    finished: Mapping[int, int]
    stage_totals: Sequence[StageTotals]

    @cached_property
    def _latency(self) -> Histogram:
        return _merged(self.intervals.values(), EVERYONE)

    @property
    def plot(self) -> "SummaryPictures":
        """Return the pictures of it: ``summary.plot.latency_over_time()``."""
        from pipesim.engine.pictures import SummaryPictures

        return SummaryPictures(self)

    @property
    def cost_usd_per_hour(self) -> Decimal:
        """Return what the plan costs an hour."""
        return self.plan.cost_usd_per_hour(self.scenario.catalogue)

    @property
    def mean_latency_s(self) -> float:
        """Return the mean latency in seconds, exact; NaN without queries."""
        latency = self._latency
        return latency.sum_ns / latency.count / NS_PER_S if latency.count else float("nan")

    @property
    def max_latency_s(self) -> float:
        """Return the largest latency in seconds, exact; NaN without queries."""
        latency = self._latency
        return latency.max_ns / NS_PER_S if latency.count else float("nan")

    @cached_property
    def stages(self) -> pd.DataFrame:
        """Return one row per stage: see :func:`pipesim.engine.stages.stages_frame`."""
        return stages_frame(self.scenario, self.plan, self.stage_totals, self.traffic.queries, self.traffic.duration_ns)

    @cached_property
    def overloaded(self) -> tuple[str, ...]:
        """Return the stages to which at least as many items came a second as they can serve (`headroom` ≤ 1)."""
        return tuple(self.stages.index[self.stages["headroom"] <= 1])

    @cached_property
    def slos(self) -> tuple[SloOutcome, ...]:
        """Return how each of the scenario's objectives fared; whether it held is exact, in each of its windows too."""
        return tuple(self._outcome(number, slo) for number, slo in enumerate(self.scenario.slos))

    @property
    def met(self) -> bool:
        """Return whether all objectives held."""
        return all(outcome.met for outcome in self.slos)

    def _outcome(self, number: int, slo: Slo) -> SloOutcome:
        who, windows = condition(slo), self._windows(slo)
        latencies = [_merged(tallies, who) for tallies in windows]
        queries = np.array([latency.count for latency in latencies])
        misses = np.array([sum(tally.misses[number] for tally in tallies) for tallies in windows])
        quantiles_ns = [latency.quantile_ns(slo.quantile) if latency.count else -1 for latency in latencies]
        allowed, worst = allowed_misses(slo, queries), worst_window(queries, misses, np.array(quantiles_ns))
        latency = latencies[worst]
        return SloOutcome(
            slo,
            latency.count,
            int(misses[worst]),
            int(allowed[worst]),
            quantiles_ns[worst] if latency.count else None,
            _quantile_interval(windows[worst], who, latency, slo.quantile),
            _share_interval(windows[worst], who, number),
            len(windows),
            int(np.count_nonzero(misses > allowed)),
            worst,
        )

    def _windows(self, slo: Slo) -> list[list[IntervalTally]]:
        """Return the tallies of each window of an objective; those of the whole trace if it has none."""
        if slo.every_ns is None:
            return [list(self.intervals.values())]
        assert slo.every_ns % self.interval_ns == 0, "an interval lies in one window"
        windows: list[list[IntervalTally]] = [[] for _ in range(slo.windows(self.traffic.duration_ns))]
        for number, tally in self.intervals.items():
            windows[min(number * self.interval_ns // slo.every_ns, len(windows) - 1)].append(tally)
        return windows

    def latency(self, quantiles: Sequence[Decimal] = QUANTILES) -> pd.DataFrame:
        """Return latency quantiles with 95 % intervals (index ``quantile``): ``latency_s``, ``low_s``, ``high_s``.

        Empty without queries.
        """
        latency, tallies = self._latency, list(self.intervals.values())
        return latency_frame(
            (quantile, latency.quantile_ns(quantile), _quantile_interval(tallies, EVERYONE, latency, quantile))
            for quantile in (quantiles if latency.count else ())
        )

    @cached_property
    def series(self) -> pd.DataFrame:
        """Return one row per interval of time, of the queries that arrived in it.

        Columns: ``time_s`` (its beginning), ``queries``, ``finished`` (in it, whenever they arrived),
        ``mean_latency_s``, ``p50_latency_s``, ``p95_latency_s``, ``p99_latency_s``, ``max_latency_s`` (NaN without
        queries). If queries finish after the interval of the last arrival, one more row holds all of these.
        """
        rows = []
        for number in range(max(self.finished, default=-1) + 1):
            tally = self.intervals.get(number)
            latency = tally.latency[EVERYONE] if tally else Histogram()
            row = {
                "time_s": number * self.interval_ns / NS_PER_S,
                "queries": latency.count,
                "finished": self.finished.get(number, 0),
            }
            row["mean_latency_s"] = latency.sum_ns / latency.count / NS_PER_S if latency.count else float("nan")
            for quantile in QUANTILES:
                time = latency.quantile_ns(quantile) / NS_PER_S if latency.count else float("nan")
                row[f"{format_quantile(quantile)}_latency_s"] = time
            row["max_latency_s"] = latency.max_ns / NS_PER_S if latency.count else float("nan")
            rows.append(row)
        names = [f"{format_quantile(quantile)}_latency_s" for quantile in QUANTILES]
        return pd.DataFrame(rows, columns=["time_s", "queries", "finished", "mean_latency_s", *names, "max_latency_s"])

    @cached_property
    def misses(self) -> pd.DataFrame:
        """Return one row per interval of time and objective: ``time_s``, ``objective``, ``queries``, ``misses``."""
        rows = [
            {
                "time_s": number * self.interval_ns / NS_PER_S,
                "objective": str(slo),
                "queries": tally.latency[condition(slo)].count,
                "misses": tally.misses[place],
            }
            for number, tally in self.intervals.items()
            for place, slo in enumerate(self.scenario.slos)
        ]
        return pd.DataFrame(rows, columns=["time_s", "objective", "queries", "misses"])


def _merged(tallies: Iterable[IntervalTally], who: Condition) -> Histogram:
    """Return the latencies of a class of queries, of all these intervals."""
    latency = Histogram()
    for tally in tallies:
        latency.merge(tally.latency[who])
    latency.pack()
    return latency


def _batches(tallies: Sequence[IntervalTally], who: Condition) -> list[list[IntervalTally]] | None:
    """Return the intervals with queries of a class, as 20 batches that follow each other; None if too few."""
    counted = [tally for tally in tallies if tally.latency[who].count]
    if len(counted) < BATCHES:
        return None
    bounds = np.linspace(0, len(counted), BATCHES + 1).astype(int).tolist()
    return [counted[first:last] for first, last in pairwise(bounds)]


def _quantile_interval(
    tallies: Sequence[IntervalTally], who: Condition, latency: Histogram, quantile: Decimal
) -> Interval:
    """Return the confidence interval of a quantile of the latencies of some intervals, added up in `latency`."""
    batches = _batches(tallies, who)
    if batches is None:
        return NO_INTERVAL
    threshold_ns = latency.at_rank_ns(rank(quantile, latency.count))
    means = [
        sum(tally.latency[who].count_above(threshold_ns) for tally in batch)
        / sum(tally.latency[who].count for tally in batch)
        for batch in batches
    ]
    low, high = rank_interval(quantile, latency.count, standard_error(means, float(1 - quantile), latency.count))
    return Interval(float(latency.at_rank_ns(low)), float("inf") if high is None else float(latency.at_rank_ns(high)))


def _share_interval(tallies: Sequence[IntervalTally], who: Condition, number: int) -> Interval:
    """Return the confidence interval of the share of queries of some intervals that missed an objective."""
    batches = _batches(tallies, who)
    if batches is None:
        return NO_INTERVAL
    counts = [sum(tally.latency[who].count for tally in batch) for batch in batches]
    misses = [sum(tally.misses[number] for tally in batch) for batch in batches]
    means = [missed / count for missed, count in zip(misses, counts, strict=True)]
    return share_interval_of_batches(means, sum(misses) / sum(counts), sum(counts))


assert RESOLUTION < 1e-3
