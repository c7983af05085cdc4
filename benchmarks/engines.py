"""Stage visits a second of the compiled engine against the reference engine, in one run: make bench."""

import time
from collections.abc import Callable

from pipesim.engine import EngineInputs, Run, Workload, run_engine, run_reference, same
from pipesim.model import Plan, Scenario, StagePlan, scenario_from_dict
from pipesim.traces import poisson

RATE_QPS = 1000
REFERENCE_QUERIES, COMPILED_QUERIES = 20_000, 1_000_000
WINDOW = {"policy": "window", "max_queue_delay": "2ms"}
CASES = [
    # name, latency by batch size, replicas, max_batch_size, options of every stage
    ("chain, batch 1", {1: "6ms"}, 8, 1, {}),
    ("chain, batches up to 16", {1: "6ms", 16: "14ms"}, 2, 16, {}),
    ("chain, window of 2 ms", {1: "6ms", 16: "14ms"}, 4, 16, {"batching": WINDOW}),
    ("chain, round robin", {1: "6ms", 16: "14ms"}, 4, 16, {"dispatch": "round_robin"}),
    ("chain, power of two", {1: "6ms", 16: "14ms"}, 4, 16, {"dispatch": "power_of_two"}),
    ("chain, least loaded", {1: "6ms", 16: "14ms"}, 4, 16, {"dispatch": "least_loaded"}),
]


def chain(curve: dict[int, str], options: dict[str, object]) -> Scenario:
    """Return a chain of four stages of one model."""
    pipeline: dict[str, dict[str, object]] = {"a": {"model": "m", **options}}
    for before, stage in ("ab", "bc", "cd"):
        pipeline[stage] = {"model": "m", "after": [before], **options}
    return scenario_from_dict(
        {
            "name": "chain",
            "slo": {"p99": "1s"},
            "traffic": {"poisson": {"rate_qps": RATE_QPS, "queries": 1}},
            "pipeline": pipeline,
            "profiles": {"m": {"gpu": curve}},
            "prices": {"units": {"gpu": {"kind": "gpu", "unit": "gpu", "price_usd_per_hour": 1}}},
        }
    )


def visits_per_second(engine: Callable[[EngineInputs], Run], inputs: EngineInputs, times: int) -> float:
    """Return the stage visits a second of the fastest of several runs."""
    durations = []
    for _ in range(times):
        start = time.perf_counter()
        engine(inputs)
        durations.append(time.perf_counter() - start)
    return sum(stage.items for stage in inputs.stages) / min(durations)


def main() -> None:
    """Print a table of stage visits a second and their ratio."""
    print(f"{'':28}{'reference':>14}{'compiled':>14}{'ratio':>8}")
    for name, curve, replicas, limit, options in CASES:
        scenario = chain(curve, options)
        setting = StagePlan(hardware="gpu", replicas=replicas, max_batch_size=limit)
        plan = Plan(stages=dict.fromkeys("abcd", setting))
        small, large = (
            Workload.of(scenario, poisson(RATE_QPS, queries=queries, seed=1)).engine_inputs(plan)
            for queries in (REFERENCE_QUERIES, COMPILED_QUERIES)
        )
        assert same(run_reference(small), run_engine(small))
        slow = visits_per_second(run_reference, small, times=1)
        fast = visits_per_second(run_engine, large, times=3)
        print(f"{name:28}{slow:>12,.0f}/s{fast / 1e6:>12.1f}M/s{fast / slow:>7.0f}x")


if __name__ == "__main__":
    main()
