"""What a sweep tells of a row: metrics by name, and the columns that they become.

======================  ================================================================================================
name                    columns
======================  ================================================================================================
cost_usd_per_hour       what the plan costs an hour; cost_usd_per_month: of 730 hours
p99_latency_s           any quantile of the latency in seconds, by nearest rank (``p99`` for short); also
                        mean_latency_s, max_latency_s
miss_rate               the share of queries over the bound of the objective that is missed most, in its worst window;
                        misses: how many these are
met                     whether all objectives held
queries                 how many there were; also mean_rate_qps, duration_s
binding_stage           where the slowest queries spend most of their time
bottleneck              the stage with the least throughput
plan                    ``hardware.STAGE``, ``replicas.STAGE`` and ``max_batch_size.STAGE`` of every stage
utilisation, headroom   ``utilisation.STAGE`` of every stage, and so on: these and all other numbers of
                        :func:`pipesim.engine.stages.stages_frame`; ``utilisation.STAGE`` is that of one stage
gap                     of a search: how much cheaper another plan could be at most, as a share; also
                        bound_usd_per_hour, evaluations
======================  ================================================================================================
"""

import difflib
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
import pandas as pd

from pipesim.engine import SimulationResult
from pipesim.engine.compiled.whole import StageRuns
from pipesim.engine.quantiles import rank
from pipesim.engine.stages import total_ns
from pipesim.errors import invalid
from pipesim.model import Scenario
from pipesim.planner import FeasiblePlan, MissedPlan, PlanningResult
from pipesim.planner.explain import tail
from pipesim.units import HOURS_PER_MONTH, NS_PER_S, QUANTILE_PATTERN, format_quantile, parse_quantile
from pipesim.whatif.ranks import Ranks

Kind = Literal["number", "count", "yes or no", "text"]
_DTYPES: dict[Kind, str] = {"number": "float64", "count": "Int64", "yes or no": "bool", "text": "object"}

SIMULATION_METRICS = (
    "cost_usd_per_hour",
    "p50_latency_s",
    "p95_latency_s",
    "p99_latency_s",
    "miss_rate",
    "met",
    "utilisation",
)
"""What a row that simulates a given plan tells if nothing else is said."""
PLAN_METRICS = (*SIMULATION_METRICS, "gap", "bound_usd_per_hour", "plan")
"""What a row that is planned tells if nothing else is said."""
DEFAULT_METRICS = {"simulation": SIMULATION_METRICS, "plan": PLAN_METRICS}
STATUS, FEASIBLE = "status", "feasible"
_LATENCY = re.compile(rf"({QUANTILE_PATTERN[1:-1]})(_latency_s)?")


def is_met(status: str) -> bool:
    """Return whether a status says that the objectives are met: by a plan that was given, or one that was found.

    >>> is_met("met"), is_met("2-exchange optimal"), is_met("missed"), is_met("mixed")
    (True, True, False, False)
    """
    return status in ("met", "optimal", FEASIBLE) or status.endswith("-exchange optimal")


@dataclass(frozen=True)
class Answer:
    """What came of one row.

    Parameters
    ----------
    scenario
        What was asked.
    simulation
        What the plan did; None where no plan was found.
    planning
        How it was found; None where it was given.
    """

    scenario: Scenario
    simulation: SimulationResult | None
    planning: PlanningResult | None = None

    @property
    def status(self) -> str:
        """Return ``met`` or ``missed`` for a plan that was given; what the planner says for one that was looked for."""
        if self.planning is not None:
            return self.planning.status
        assert self.simulation is not None
        return "met" if self.met else "missed"

    @cached_property
    def outcomes(self) -> tuple[tuple[int, int, bool], ...]:
        """Return for each objective misses and queries of its worst window, and whether it held."""
        assert self.simulation is not None
        return tuple(self._outcome(self.simulation, number) for number in range(len(self.scenario.slos)))

    def _outcome(self, simulation: SimulationResult, number: int) -> tuple[int, int, bool]:
        slo, queries = self.scenario.slos[number], simulation.latency_ns.size
        if not slo.where and slo.every_ns is None:  # as slo_outcome says, without its intervals of confidence
            misses = int(np.count_nonzero(simulation.latency_ns > slo.bound_ns))
            return misses, queries, misses <= slo.allowed_misses(queries)
        outcome = simulation.slo_outcome(slo)
        return outcome.misses, outcome.queries, outcome.met

    @cached_property
    def latencies(self) -> Ranks:
        """Return the latencies in ns by their rank."""
        assert self.simulation is not None
        return Ranks(self.simulation.latency_ns)

    @property
    def met(self) -> bool:
        """Return whether all objectives held; not, where there is no plan."""
        return self.simulation is not None and all(met for *_, met in self.outcomes)

    @property
    def worst(self) -> tuple[int, float]:
        """Return misses and miss rate of the objective that is missed most."""
        shares = [(misses / queries if queries else 0.0, misses) for misses, queries, _ in self.outcomes]
        share, misses = max(shares)
        return misses, share

    def of_stage(self, name: str, stage: str) -> Any:
        """Return a number of one stage; None if the pipeline has no such stage, or there is no plan."""
        result = self.simulation
        if result is None or stage not in result.plan.stages:
            return None
        if name in ("hardware", "replicas", "max_batch_size"):
            return getattr(result.plan.stages[stage], name)
        if name == "utilisation":
            return _utilisation(result, stage)
        return result.stages.loc[stage, name]


def _utilisation(result: SimulationResult, stage: str) -> float:
    """Return the share of the trace's duration that a replica is busy, as the frame of stages says it."""
    end_ns, index = result.traffic.duration_ns, result.workload.routes.names.index(stage)
    if not end_ns:
        return float("nan")
    assert isinstance(result.run.stages, StageRuns)
    return result.run.stages.busy_ns(index, end_ns) / (result.plan.stages[stage].replicas * end_ns)


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a sweep's frame.

    Parameters
    ----------
    name
        Of the column, with its unit.
    kind
        What it holds: numbers that may be missing (NaN), counts that may be, a yes or no, or text.
    metric, argument
        The metric that it belongs to, and the quantile or the stage, if it has one.
    """

    name: str
    kind: Kind
    metric: str
    argument: str = ""

    @property
    def is_share(self) -> bool:
        """Return whether its values are from 0 to 1."""
        return is_share(self.argument.partition(".")[0] if self.metric == "stage" else self.metric)

    def of(self, answer: Answer) -> Any:
        """Return the value of an answer."""
        value = _METRICS[self.metric](answer, self.argument)
        if value is None or (self.kind == "count" and value != value):
            return float("nan") if self.kind == "number" else None
        if self.kind == "number":
            return float(value)
        return int(value) if self.kind == "count" else bool(value) if self.kind == "yes or no" else str(value)


STATUS_COLUMN = Column(STATUS, "text", STATUS)


def columns_of(metrics: Iterable[str], stages: Sequence[str], *, planned: bool) -> tuple[Column, ...]:
    """Return the columns that metrics become.

    Parameters
    ----------
    metrics
        Names: see the table of this module.
    stages
        All stages of all rows.
    planned
        Whether plans are looked for; if not, nothing can be told of a search.

    Raises
    ------
    InvalidInputError
        For a name that is no metric.
    """
    found: dict[str, Column] = {STATUS: STATUS_COLUMN}
    for name in metrics:
        if not isinstance(name, str):
            raise invalid("metrics", name, "is not the name of a metric", "write for example p99_latency_s")
        for column in _columns(name, stages):
            found[column.name] = column
            if column.metric in _OF_SEARCH and not planned:
                raise invalid("metrics", name, "is told of a search, and here a plan is given", "leave it, or the plan")
    return tuple(found.values())


def _columns(name: str, stages: Sequence[str]) -> Iterable[Column]:
    if name == "plan":
        return [column for field in ("hardware", "replicas", "max_batch_size") for column in _columns(field, stages)]
    if name in _KINDS:
        return [Column(name, _KINDS[name], name)]
    if name in _STAGE_KINDS:
        return [Column(f"{name}.{stage}", _STAGE_KINDS[name], "stage", f"{name}.{stage}") for stage in stages]
    if (match := _LATENCY.fullmatch(name)) and float(match[1][1:]):
        quantile = format_quantile(parse_quantile(match[1]))
        return [Column(f"{quantile}_latency_s", "number", "latency", quantile)]
    metric, _, stage = name.partition(".")
    if stage in stages and metric in (*_STAGE_KINDS, "cost_usd_per_hour"):
        return [Column(name, _STAGE_KINDS.get(metric, "number"), "stage", name)]
    if metric in _STAGE_KINDS:
        raise invalid("metrics", name, "names no stage", f"use one of {', '.join(stages)}")
    known = (*_KINDS, "p99_latency_s", "plan", *_STAGE_KINDS)
    near = difflib.get_close_matches(name, known, n=1)
    remedy = f"did you mean {near[0]}? " if near else ""
    raise invalid("metrics", name, "is not a metric", f"{remedy}Known are {', '.join(known)}")


def stage_of(column: str) -> tuple[str, str] | None:
    """Return the metric and the stage of a column's name; None if it is not told of one stage.

    >>> stage_of("utilisation.a.b"), stage_of("p99.9_latency_s")
    (('utilisation', 'a.b'), None)
    """
    metric, _, stage = column.partition(".")
    return (metric, stage) if stage and metric in (*_STAGE_KINDS, "cost_usd_per_hour") else None


def is_share(metric: str) -> bool:
    """Return whether the values of a metric are shares: from 0 to 1."""
    return metric in ("met", "miss_rate", "gap", "utilisation")


def _latency(answer: Answer, quantile: str) -> float | None:
    result = answer.simulation
    if result is None or not result.latency_ns.size:
        return None
    # As SimulationResult.latency_quantile_ns, which sorts all latencies.
    return answer.latencies[max(1, rank(parse_quantile(quantile), result.latency_ns.size)) - 1] / NS_PER_S


def _simulated(value: Callable[[SimulationResult], Any]) -> Callable[[Answer, str], Any]:
    """Return a metric that is missing where there is no plan."""
    return lambda answer, _: None if answer.simulation is None else value(answer.simulation)


def _searched(name: str) -> Callable[[Answer, str], Any]:
    """Return a metric of the search, missing where the answer does not have it."""
    return lambda answer, _: getattr(answer.planning, name, None)


def _mean_s(result: SimulationResult) -> float | None:
    return total_ns(result.latency_ns) / result.latency_ns.size / NS_PER_S if result.latency_ns.size else None


def _max_s(result: SimulationResult) -> float | None:
    return int(result.latency_ns.max()) / NS_PER_S if result.latency_ns.size else None


def _binding_stage(answer: Answer, _: str) -> str | None:
    if isinstance(answer.planning, FeasiblePlan | MissedPlan):
        return answer.planning.binding_stage
    if answer.simulation is None or not answer.simulation.latency_ns.size:
        return None
    return str(tail(answer.simulation)["share"].idxmax())


def _of_stage(answer: Answer, argument: str) -> Any:
    metric, _, stage = argument.partition(".")
    return answer.of_stage(metric, stage)


_METRICS: dict[str, Callable[[Answer, str], Any]] = {
    STATUS: lambda answer, _: answer.status,
    "cost_usd_per_hour": _simulated(lambda result: result.cost_usd_per_hour),
    "cost_usd_per_month": _simulated(lambda result: result.cost_usd_per_hour * HOURS_PER_MONTH),
    "mean_latency_s": _simulated(_mean_s),
    "max_latency_s": _simulated(_max_s),
    "miss_rate": lambda answer, _: None if answer.simulation is None else answer.worst[1],
    "misses": lambda answer, _: None if answer.simulation is None else answer.worst[0],
    "met": lambda answer, _: answer.met,
    "queries": _simulated(lambda result: len(result.traffic)),
    "mean_rate_qps": _simulated(lambda result: result.traffic.mean_rate_qps),
    "duration_s": _simulated(lambda result: result.traffic.duration_s),
    "binding_stage": _binding_stage,
    "bottleneck": _simulated(lambda result: result.stages["throughput_qps"].idxmin()),
    "gap": _searched("gap"),
    "bound_usd_per_hour": _searched("bound_usd_per_hour"),
    "evaluations": _searched("evaluations"),
    "latency": _latency,
    "stage": _of_stage,
}
_OF_SEARCH = ("gap", "bound_usd_per_hour", "evaluations")
_KINDS: dict[str, Kind] = {
    **dict.fromkeys(("cost_usd_per_hour", "cost_usd_per_month", "mean_latency_s", "max_latency_s"), "number"),
    "miss_rate": "number",
    "misses": "count",
    "met": "yes or no",
    "queries": "count",
    "mean_rate_qps": "number",
    "duration_s": "number",
    "binding_stage": "text",
    "bottleneck": "text",
    "gap": "number",
    "bound_usd_per_hour": "number",
    "evaluations": "count",
    STATUS: "text",
}
_STAGE_KINDS: dict[str, Kind] = {
    "utilisation": "number",
    "headroom": "number",
    "hardware": "text",
    "replicas": "count",
    "max_batch_size": "count",
    "mean_batch_size": "number",
    "mean_queue_delay_s": "number",
    "p99_queue_delay_s": "number",
    "mean_service_time_s": "number",
    "throughput_qps": "number",
    "scale_factor": "number",
    "visits": "count",
    "items": "count",
    "batches": "count",
}


def measured_frame(records: Sequence[dict[str, Any]], columns: Sequence[Column]) -> pd.DataFrame:
    """Return one row per record, with the columns in their order and always of the same types."""
    return pd.DataFrame(
        {
            column.name: pd.Series([record[column.name] for record in records], dtype=_DTYPES[column.kind])
            for column in columns
        }
    )


def records_of(frame: pd.DataFrame, columns: Sequence[Column]) -> list[dict[str, Any]]:
    """Return the records of a frame, the inverse of :func:`measured_frame`."""
    lists = {column.name: _values(frame[column.name], column.kind) for column in columns}
    return [dict(zip(lists, row, strict=True)) for row in zip(*lists.values(), strict=True)]


def _values(values: "pd.Series[Any]", kind: Kind) -> list[Any]:
    if kind == "number":
        return values.astype("float64").tolist()
    return [None if pd.isna(value) else value for value in values.tolist()]
