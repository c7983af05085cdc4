"""Reports: everything an answer says, as plain data that is the same, byte for byte, for the same inputs and seed.

What a plan costs is text with all its decimals, so that no reader rounds it; a number that does not exist (no queries,
an interval end beyond the data) is null. No clock, host name or absolute path is in a report.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import asdict
from decimal import Decimal
from importlib.metadata import version
from typing import Any

import pandas as pd

from pipesim.engine import SimulationResult, SloOutcome, Summary
from pipesim.engine.histogram import RESOLUTION
from pipesim.engine.quantiles import Interval
from pipesim.engine.summary import Traffic
from pipesim.files import InputFile
from pipesim.model import Plan, Scenario
from pipesim.planner import Comparison, FeasiblePlan, Infeasible, MissedPlan, PlanningResult
from pipesim.planner.explain import caveats, tail
from pipesim.planner.sensitivity.study import Study
from pipesim.report.wording import cost_per_month
from pipesim.traces import (
    ArrivalTrace,
    Reading,
    autocorrelation,
    describe,
    dispersion_curve,
    envelope,
    gap_autocorrelation,
    gap_scv,
    simultaneous_share,
)
from pipesim.traces.counts import CountSeries
from pipesim.traces.fit import Fit, traffic_document
from pipesim.units import NS_PER_S, format_quantile

SCHEMA_VERSION = 1


def planning_report(result: PlanningResult) -> dict[str, Any]:
    """Return the report of a planning run."""
    report = _header("plan", result.workload.scenario, result.workload.trace) | {
        "status": result.status,
        "method": result.method,
        "evaluations": result.evaluations,
    }
    report |= {"bound_usd_per_hour": _money(result.bound_usd_per_hour)}
    if isinstance(result, FeasiblePlan | MissedPlan):
        report |= _simulated(result.simulation) | {
            "verification": None
            if result.verification is None
            else {
                "engine": "reference",
                "queries": result.verification.queries,
                "whole_trace": result.verification.whole_trace,
            },
            "binding_stage": result.binding_stage,
            "bottleneck": result.bottleneck,
            "tail": _rows(result.tail),
            "confident": result.question.confident,
            "other_workloads": [
                {"workload": label} | _outcome(one)
                for label, one in zip(result.question.labels[1:], result.other_simulations, strict=True)
            ],
            "held_out": None if result.validation is None else _outcome(result.validation),
        }
    if isinstance(result, FeasiblePlan):
        report |= {
            "weighed_usd_per_hour": str(result.weighed_usd_per_hour),
            "gap": result.gap,
            "proof": {"excluded": result.proof.excluded, "exchanged": result.proof.exchanged},
            "search_complete": result.complete,
            "reproducible": result.reproducible,
            "one_replica_less": _rows(result.one_replica_less),
        }
    if isinstance(result, FeasiblePlan | MissedPlan):
        report |= {"caveats": list(result.caveats)}
    if isinstance(result, Infeasible):
        report |= {"proved": result.proved, "reason": result.reason, "remedies": list(result.remedies)}
    return report | {"history": _rows(result.history, index=False)}


def comparison_report(found: Comparison) -> dict[str, Any]:
    """Return the report of methods side by side. How long they took is not in it: that differs from run to run."""
    first = next(iter(found.results.values()))
    header = _header("comparison", first.workload.scenario, first.workload.trace)
    plans = {
        method: result.simulation.plan.model_dump()
        for method, result in found.results.items()
        if isinstance(result, FeasiblePlan | MissedPlan)
    }
    return header | {"methods": _rows(found.frame()), "plans": plans}


def sensitivity_report(found: Study) -> dict[str, Any]:
    """Return the report: that of the plan, with what it depends on. What is infinite or does not exist is null."""
    sustained = found.sustained
    report = planning_report(found.result) | {"kind": "sensitivity"}
    return report | {
        "binding": None if found.binds is None else _rows(found.binds, index=False),
        "sustained_load": None
        if sustained is None
        else {name: _number(value) for name, value in sustained._asdict().items()},
        "sensitivity": {topic: _rows(frame, index=False) for topic, frame in found.frames.items()},
    }


def whatif_report(scenario: Scenario, seed: int | None, frame: pd.DataFrame, given: Plan | None) -> dict[str, Any]:
    """Return the report of a sweep: a row for each variant, in their order.

    Parameters
    ----------
    scenario
        What was varied.
    seed
        The seed of all rows, if it is not the scenario's own.
    frame
        What :func:`pipesim.whatif.what_if` returned.
    given
        The plan that each row simulates; None if each is planned.
    """
    plain = frame.astype(object).where(frame.notna(), None)
    for column in frame.columns[frame.columns.get_loc("status") :]:
        if "_usd_per_" in column:
            plain[column] = [None if value is None else _money(Decimal(repr(value))) for value in plain[column]]
    return {
        "schema_version": SCHEMA_VERSION,
        "kind": "whatif",
        "pipesim_version": version("pipesim"),
        "scenario": scenario.name,
        "seed": scenario.seed if seed is None else seed,
        "inputs": frame.attrs["inputs"],
        "plan": None if given is None else given.model_dump(),
        "rows": _rows(plain, index=False),
    }


def simulation_report(result: SimulationResult | Summary) -> dict[str, Any]:
    """Return the report of a simulation, kept whole or as a summary."""
    kind = "summary" if isinstance(result, Summary) else "simulation"
    report = _header(kind, result.scenario, result.traffic) | {"status": "met" if result.met else "missed"}
    report |= _simulated(result)
    if isinstance(result, Summary):
        report |= {
            "quantiles_too_large_by_at_most": RESOLUTION,
            "mean_latency_s": _number(result.mean_latency_s),
            "max_latency_s": _number(result.max_latency_s),
            "interval_s": result.interval_ns / NS_PER_S,
            "series": _rows(result.series, index=False),
            "misses": _rows(result.misses, index=False),
        }
    else:
        report |= {"tail": _rows(tail(result))}
    return report | {"caveats": list(caveats(result))}


def trace_report(trace: ArrivalTrace, reading: Reading | None) -> dict[str, Any]:
    """Return the description of a trace, and of the file that it was read from."""
    return _traffic_header("trace", trace.inputs) | {
        "queries": len(trace),
        "epoch_ns": trace.epoch_ns,
        "duration_s": trace.duration_s,
        "mean_rate_qps": _number(trace.mean_rate_qps),
        "gap_scv": _number(gap_scv(trace)),
        "gap_cv": _number(math.sqrt(gap_scv(trace))),
        "simultaneous_share": _number(simultaneous_share(trace)),
        "attributes": list(trace.attributes),
        "reading": None if reading is None else asdict(reading),
        "windows": _rows(describe(trace), index=False),
        "dispersion": _rows(dispersion_curve(trace), index=False),
        "envelope": _rows(envelope(trace), index=False),
        "autocorrelation": _rows(autocorrelation(trace), index=False),
        "gap_autocorrelation": _rows(gap_autocorrelation(trace), index=False),
    }


def counts_report(series: CountSeries, notes: Sequence[str]) -> dict[str, Any]:
    """Return the description of counts per bin."""
    described = {str(name): _number(value) for name, value in series.describe().iloc[0].to_dict().items()}
    return _traffic_header("counts", series.inputs) | {
        "start_ns": series.start_ns,
        "dated": series.dated,
        "zone": series.zone,
        **described,
        "caveats": list(notes),
    }


def fitted_report(found: Fit) -> dict[str, Any]:
    """Return a law that was fitted to a trace, as a recipe has it, and how far it is off."""
    return _traffic_header("fit", found.inputs) | {
        "traffic": traffic_document(found),
        "queries": found.queries,
        "duration_s": found.duration_s,
        "replicas": found.replicas,
        "worst_error": _number(found.worst_error),
        "misfit": _rows(found.misfit, index=False),
        "envelope": _rows(found.envelope, index=False),
        "rates": _rows(found.rates, index=False),
        "rate_error": _number(found.rate_error),
        "rate_noise": _number(found.rate_noise),
        "gap_scv": _number(found.gap_scv),
        "replica_gap_scv": _number(found.replica_gap_scv),
        "notes": list(found.notes),
    }


def _traffic_header(kind: str, inputs: Sequence[InputFile]) -> dict[str, Any]:
    return {
        "schema_version": SCHEMA_VERSION,
        "kind": kind,
        "pipesim_version": version("pipesim"),
        "inputs": [{"name": file.name, "sha256": file.sha256} for file in inputs],
    }


def to_json(report: dict[str, Any] | list[Any]) -> str:
    """Return a report as text: two spaces of indent, keys in the order in which they are explained, a last newline."""
    return json.dumps(report, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _header(kind: str, scenario: Scenario, trace: ArrivalTrace | Traffic) -> dict[str, Any]:
    return {
        "schema_version": SCHEMA_VERSION,
        "kind": kind,
        "pipesim_version": version("pipesim"),
        "scenario": scenario.name,
        "seed": scenario.seed,
        "inputs": [{"name": file.name, "sha256": file.sha256} for file in (*scenario.inputs, *trace.inputs)],
        "traffic": {
            "queries": len(trace),
            "duration_s": trace.duration_s,
            "mean_rate_qps": _number(trace.mean_rate_qps),
        },
    }


def _simulated(result: SimulationResult | Summary) -> dict[str, Any]:
    cost = result.cost_usd_per_hour
    return {
        "plan": result.plan.model_dump(),
        "cost_usd_per_hour": str(cost),
        "cost_usd_per_month": str(cost_per_month(cost)),
        "slos": [_slo(outcome) for outcome in result.slos],
        "latency": _rows(result.latency()),
        "stages": _rows(result.stages),
        "overloaded": list(result.overloaded),
    }


def _outcome(result: SimulationResult) -> dict[str, Any]:
    return {
        "seed": result.scenario.seed,
        "queries": len(result.workload.trace),
        "met": result.met,
        "slos": [_slo(outcome) for outcome in result.slos],
    }


def _money(amount: Decimal | None) -> str | None:
    return None if amount is None else str(amount)


def _slo(outcome: SloOutcome) -> dict[str, Any]:
    return {
        "quantile": format_quantile(outcome.slo.quantile),
        "bound_s": outcome.slo.bound_ns / NS_PER_S,
        "where": dict(outcome.slo.where),
        "every_s": None if outcome.slo.every_ns is None else outcome.slo.every_ns / NS_PER_S,
        "met": outcome.met,
        "windows": outcome.windows,
        "windows_missed": outcome.windows_missed,
        "worst_window_s": None if outcome.worst_window_ns is None else outcome.worst_window_ns / NS_PER_S,
        "latency_s": None if outcome.latency_ns is None else outcome.latency_ns / NS_PER_S,
        "latency_interval_s": _interval(outcome.interval_ns, NS_PER_S),
        "queries": outcome.queries,
        "misses": outcome.misses,
        "allowed_misses": outcome.allowed_misses,
        "miss_rate": outcome.miss_rate,
        "miss_rate_interval": _interval(outcome.miss_rate_interval, 1),
    }


def _interval(interval: Interval, unit: int) -> list[float | None]:
    return [_number(interval.low / unit), _number(interval.high / unit)]


def _number(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _rows(frame: pd.DataFrame, *, index: bool = True) -> list[dict[str, Any]]:
    """Return the rows of a frame as plain data, its index first."""
    table = frame.reset_index() if index else frame
    columns = [table[column].tolist() for column in table.columns]
    return [
        {str(name): _number(value) for name, value in zip(table.columns, row, strict=True)}
        for row in zip(*columns, strict=True)
    ]
