"""Small scenarios for tests: milliseconds in, milliseconds out."""

from typing import Any

import numpy as np

from pipesim.engine import Run, Workload, run_reference
from pipesim.model import Plan, Scenario, StagePlan, scenario_from_dict
from pipesim.traces import ArrivalTrace

MS = 1_000_000


def make_scenario(
    pipeline: dict[str, Any], latencies_ms: dict[str, dict[int, float]] | None = None, **fields: Any
) -> Scenario:
    """Return a scenario whose stages run models of their own names on `cpu`, at 1 $/h; 10 ms a batch if not said."""
    curves = {stage: (latencies_ms or {}).get(stage, {1: 10, 8: 10}) for stage in pipeline}
    document = {
        "name": "test",
        "slo": {"p99": "1s"},
        "traffic": {"poisson": {"rate_qps": 10, "queries": 10}},
        "pipeline": {stage: {"model": stage, **options} for stage, options in pipeline.items()},
        "profiles": {
            stage: {"cpu": {size: f"{latency:f}ms" for size, latency in curve.items()}}
            for stage, curve in curves.items()
        },
        "prices": {"units": {"cpu": {"kind": "cpu", "unit": "core", "price_usd_per_hour": 1}}},
    }
    return scenario_from_dict(document | fields)


def make_trace(arrivals_ms: list[float], **attributes: Any) -> ArrivalTrace:
    """Return a trace of arrivals in milliseconds."""
    times = np.array([round(time * MS) for time in arrivals_ms], dtype=np.int64)
    columns = {name: np.asarray(values) for name, values in attributes.items()}
    return ArrivalTrace(times, int(times[-1]) if times.size else 0, attributes=columns)


def make_plan(scenario: Scenario, replicas: int = 1, max_batch_size: int = 1, **stages: dict[str, Any]) -> Plan:
    """Return a plan with the same settings for every stage but those named."""
    common = {"hardware": "cpu", "replicas": replicas, "max_batch_size": max_batch_size}
    return Plan(stages={name: StagePlan(**(common | stages.get(name, {}))) for name in scenario.pipeline.stages})


def run_ms(
    scenario: Scenario, arrivals_ms: list[float], replicas: int = 1, max_batch_size: int = 1, **stages: dict[str, Any]
) -> dict[str, list[tuple[float, float, float]]]:
    """Return (arrival, start, finish) in milliseconds of every item of every stage."""
    run = run_trace(scenario, make_trace(arrivals_ms), replicas, max_batch_size, **stages)
    return {
        name: [
            (arrival / MS, start / MS, finish / MS)
            for arrival, start, finish in zip(stage.arrival_ns, stage.start_ns, stage.finish_ns, strict=True)
        ]
        for name, stage in zip(scenario.pipeline.order, run.stages, strict=True)
    }


def run_trace(
    scenario: Scenario, trace: ArrivalTrace, replicas: int = 1, max_batch_size: int = 1, **stages: dict[str, Any]
) -> Run:
    """Return the run of a plan on the reference engine."""
    plan = make_plan(scenario, replicas, max_batch_size, **stages)
    return run_reference(Workload.of(scenario, trace).engine_inputs(plan))
