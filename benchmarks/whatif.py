"""What a row of a sweep costs, and where the time goes: ``python benchmarks/whatif.py [--rows 1000]``.

The sweep is that of a capacity review: InferLine's social media pipeline (four stages, with a branch and a join) under
ten minutes at 150 queries a second, one plan simulated at many loads. Parts are timed in CPU seconds of one thread, the
least of several runs, so that a machine that is busy with other work shows the same; the last lines are whole sweeps.
"""

import argparse
import time
from collections.abc import Callable
from itertools import product
from pathlib import Path

import numpy as np

from pipesim.engine import SimulationResult, Workload, run_engine
from pipesim.model import Plan, Scenario, StagePlan, load_scenario
from pipesim.traces import scenario_trace
from pipesim.whatif import SIMULATION_METRICS, what_if
from pipesim.whatif.content import key_of
from pipesim.whatif.evaluation import Base, Row, Worker
from pipesim.whatif.metrics import Answer, columns_of
from pipesim.whatif.sweep import _content
from pipesim.whatif.workloads import Workloads

PLAN = Plan(
    stages={
        "language": StagePlan(hardware="cpu", replicas=3, max_batch_size=31),
        "translate": StagePlan(hardware="k80", replicas=6, max_batch_size=8),
        "topics": StagePlan(hardware="k80", replicas=1, max_batch_size=21),
        "image": StagePlan(hardware="k80", replicas=3, max_batch_size=10),
    }
)
RUNS = 15


def least_ms(part: Callable[[], object]) -> float:
    """Return the least CPU time of a part, in milliseconds."""
    part()
    times = []
    for _ in range(RUNS):
        begun = time.thread_time()
        part()
        times.append(time.thread_time() - begun)
    return min(times) * 1000


def split(scenario: Scenario) -> list[tuple[str, float]]:
    """Return the parts of one row, in milliseconds."""
    columns = columns_of(SIMULATION_METRICS, tuple(scenario.pipeline.stages), planned=False)
    changed = scenario.with_(load=1.02)
    shared = Workloads()
    workload = shared.of(scenario)
    at_load = shared.of(changed)
    inputs = at_load.engine_inputs(PLAN)
    run = run_engine(inputs)

    def told() -> None:
        answer = Answer(changed, SimulationResult(at_load, PLAN, run))
        for column in columns:
            column.of(answer)

    worker = Worker(Base(scenario, PLAN, columns, "search", 1), shared)
    loads = iter(np.linspace(1, 1.05, 2 * RUNS))
    assert len(workload.trace) == len(at_load.trace)
    return [
        ("validation (processes of their own do it once more)", least_ms(lambda: scenario.with_(load=1.02))),
        ("key of the content", least_ms(lambda: key_of(_content(changed, {})))),
        ("arrivals at another load, on shared draws", least_ms(lambda: shared.of(changed))),
        ("engine", least_ms(lambda: run_engine(inputs))),
        ("what is told: quantiles, misses, utilisation, cost", least_ms(told)),
        (
            "a row where it runs, validated again, all in all",
            least_ms(lambda: worker.evaluate(Row("", {"load": float(next(loads))}, {}))),
        ),
        ("(drawing arrivals, routes and deliveries: once a sweep)", least_ms(lambda: drawn(scenario))),
    ]


def drawn(scenario: Scenario) -> object:
    """Return what is shared between rows, drawn anew."""
    return Workload.of(scenario, scenario_trace(scenario)).deliveries


def main() -> None:
    """Print the split, and whole sweeps."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1000)
    rows = parser.parse_args().rows
    scenario = load_scenario(Path(__file__).parents[1] / "examples" / "social-media.yaml")
    print("CPU milliseconds of one thread")
    for name, milliseconds in split(scenario):
        print(f"  {name:58s} {milliseconds:7.2f}")
    sweeps = {
        "every row another load": {"load": np.linspace(0.5, 1.05, rows)},
        "objectives and prices of one load": {
            "slo.p99": [f"{bound}ms" for bound in range(1000, 1000 + rows // 4)],
            "prices.units.k80.price_usd_per_hour": [0.5, 0.6, 0.7, 0.8],
        },
    }
    print("Whole sweeps, milliseconds a row")
    for (name, vary), workers in product(sweeps.items(), (1, 2)):
        begun, cpu = time.perf_counter(), time.process_time()
        frame = what_if(scenario, vary, plan=PLAN, workers=workers)
        wall, cpu = time.perf_counter() - begun, time.process_time() - cpu
        cpu_ms, wall_ms = cpu / len(frame) * 1000, wall / len(frame) * 1000
        threads = "1 thread " if workers == 1 else f"{workers} threads"
        print(f"  {name:34s} {threads} {len(frame):6,} rows: {cpu_ms:6.2f} CPU, {wall_ms:6.2f} wall")


if __name__ == "__main__":
    main()
