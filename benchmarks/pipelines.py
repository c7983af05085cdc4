"""The pipelines that the benchmarks run."""

from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise
from typing import Any

from pipesim.model import Plan, ProfilePoint, Scenario, StagePlan, scenario_from_dict
from pipesim.model.profile import profile_set

STAGES = 4
SERVICE_MS = {1: 6, 16: 14}
"""Of the chain: latency of a batch by its size, linear in between."""
FLAT_MS = {1: 10, 16: 14}
"""Of the graph: as of a GPU that is not full."""

BATCHINGS: dict[str, dict[str, str]] = {
    "greedy": {},
    "greedy, 5 ms delay": {"max_queue_delay": "5ms"},
    "window of 15 ms": {"policy": "window", "max_queue_delay": "15ms"},
}
DISPATCHES = ("central", "round_robin", "random", "power_of_two", "least_loaded")


def chain(rate_qps: float, length: Mapping[str, Any], dispatch: str = "central") -> Scenario:
    """Return a chain of four stages of one model under Poisson traffic; `length` is its queries or its duration."""
    names = [f"stage{number}" for number in range(STAGES)]
    pipeline: dict[str, dict[str, Any]] = {name: {"dispatch": dispatch} for name in names}
    for before, name in pairwise(names):
        pipeline[name]["after"] = [before]
    return _scenario("chain", pipeline, SERVICE_MS, {"poisson": {"rate_qps": rate_qps, **length}})


def graph(rate_qps: float, queries: int, batching: Mapping[str, Any], dispatch: str) -> Scenario:
    """Return five stages with a branch, fan-out, edges of both kinds and a join, and noisy service (scv 0.1)."""
    pipeline: dict[str, dict[str, Any]] = {
        "detect": {},
        "crop": {"after": {"detect": {"fan_out": {"weights": {0: 0.2, 1: 0.4, 2: 0.3, 3: 0.1}}}}},
        "classify": {"after": {"crop": {"per": "item", "probability": 0.8}}},
        "caption": {"after": {"detect": {"probability": 0.4, "network_delay": "1ms"}}},
        "merge": {"after": {"detect": {}, "caption": {}, "crop": {}}},
    }
    for stage in pipeline.values():
        stage |= {"dispatch": dispatch, "batching": dict(batching)}
    scenario = _scenario("graph", pipeline, FLAT_MS, {"poisson": {"rate_qps": rate_qps, "queries": queries}})
    points = [
        ProfilePoint(**{**vars(point), "noise_scv": 0.1})
        for profile in scenario.profiles.values()
        for point in profile.points
    ]
    return replace(scenario, profiles=profile_set(("benchmark", point) for point in points))


GRAPH_REPLICAS = {"detect": 6, "crop": 8, "classify": 6, "caption": 3, "merge": 6}


def plan(scenario: Scenario, replicas: int | Mapping[str, int], max_batch_size: int = 16) -> Plan:
    """Return a plan with these replicas and one batch limit."""
    names = scenario.pipeline.order
    chosen = replicas if isinstance(replicas, Mapping) else dict.fromkeys(names, replicas)
    return Plan(
        stages={name: StagePlan(hardware="gpu", replicas=chosen[name], max_batch_size=max_batch_size) for name in names}
    )


def _scenario(
    name: str, pipeline: dict[str, dict[str, Any]], curve: Mapping[int, float], traffic: dict[str, Any]
) -> Scenario:
    return scenario_from_dict(
        {
            "name": name,
            "slo": {"p99": "1s"},
            "traffic": traffic,
            "pipeline": {stage: {"model": "model", **options} for stage, options in pipeline.items()},
            "profiles": {"model": {"gpu": {size: f"{latency}ms" for size, latency in curve.items()}}},
            "prices": {"units": {"gpu": {"kind": "gpu", "unit": "gpu", "price_usd_per_hour": 1}}},
        }
    )
