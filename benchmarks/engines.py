"""How fast the engines are, in one run: make bench.

Everything is measured on one core unless it says otherwise. A figure is the median of several runs after one that is
not counted (it compiles, and touches memory for the first time). A visit is one item at one stage; luck is drawn before
the clock starts, as it is when plans are compared, except where traffic is generated piece by piece.

    python benchmarks/engines.py              print the tables
    python benchmarks/engines.py --day        and simulate a day at 10,000 queries a second, which takes minutes
    python benchmarks/engines.py --write DIR  write them to DIR/performance.md, with a plot beside it
"""

import argparse
import os
import platform
import resource
import statistics
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from importlib.metadata import version
from pathlib import Path

import ciw
import matplotlib as mpl
import numpy as np
from matplotlib import pyplot as plt

from pipelines import BATCHINGS, DISPATCHES, GRAPH_REPLICAS, STAGES, chain, graph, plan
from pipesim.engine import (
    EngineInputs,
    Run,
    Summary,
    Workload,
    run_engine,
    run_reference,
    same,
    simulate_all,
    summarise,
)
from pipesim.engine.compiled.flow import Flow
from pipesim.engine.compiled.server import Batches, depart
from pipesim.model import Plan, Scenario

RATE_QPS = 1000
CHAIN_QUERIES, SLOW_QUERIES = 3_600_000, 20_000
GRAPH_RATE_QPS, GRAPH_QUERIES = 5000, 2_000_000
LENGTHS = (10**5, 10**6, 10**7, 10**8)
DAY_RATE_QPS, DAY_REPLICAS = 10_000, 14
RUNS = 7


@dataclass
class Table:
    """One table of the report, with the text before it."""

    title: str
    text: str
    header: tuple[str, ...]
    rows: list[tuple[str, ...]] = field(default_factory=list)

    def markdown(self) -> str:
        """Return the table as Markdown."""
        lines = [
            f"## {self.title}",
            "",
            self.text,
            "",
            _row(self.header),
            _row(["---", *["---:"] * len(self.header[1:])]),
        ]
        return "\n".join([*lines, *map(_row, self.rows), ""])


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def seconds(action: Callable[[], object], runs: int = RUNS) -> float:
    """Return how long an action takes: the median of several runs after one that is not counted."""
    action()
    durations = []
    for _ in range(runs):
        start = time.perf_counter()
        action()
        durations.append(time.perf_counter() - start)
    return statistics.median(durations)


def visits_per_second(engine: Callable[[EngineInputs], Run], inputs: EngineInputs, runs: int = RUNS) -> float:
    """Return the stage visits a second of an engine."""
    return sum(stage.items for stage in inputs.stages) / seconds(lambda: engine(inputs), runs)


def inputs_of(scenario: Scenario, chosen: Plan, queries: int | None = None) -> EngineInputs:
    """Return what an engine runs, of all queries or of the first ones."""
    workload = Workload.of(scenario)
    return (workload if queries is None else workload.first(queries)).engine_inputs(chosen)


def ciw_visits_per_second(replicas: int, service_s: float) -> float:
    """Return the stage visits a second of Ciw on the chain without batches, which it does not have."""
    network = ciw.create_network(
        arrival_distributions=[ciw.dists.Exponential(RATE_QPS), *[None] * (STAGES - 1)],
        service_distributions=[ciw.dists.Deterministic(service_s)] * STAGES,
        number_of_servers=[replicas] * STAGES,
        routing=[[float(after == before + 1) for after in range(STAGES)] for before in range(STAGES)],
    )

    def run() -> None:
        ciw.seed(1)
        ciw.Simulation(network).simulate_until_max_customers(SLOW_QUERIES)

    return SLOW_QUERIES * STAGES / seconds(run, 1)


def engines() -> Table:
    """Compare the engines on the chain."""
    table = Table(
        "The chain",
        f"Four stages, {CHAIN_QUERIES / 1e6} million queries (an hour at {RATE_QPS:,} a second); the slow engines get "
        f"the first {SLOW_QUERIES:,}. In millions of stage visits a second.",
        ("", "compiled", "SimPy reference", "Ciw", "compiled / reference", "compiled / Ciw"),
    )
    for name, replicas, limit in (("batches up to 16, 2 replicas", 2, 16), ("batches of 1, 8 replicas", 8, 1)):
        scenario = chain(RATE_QPS, {"queries": CHAIN_QUERIES})
        chosen = plan(scenario, replicas, limit)
        few, all_ = inputs_of(scenario, chosen, SLOW_QUERIES), inputs_of(scenario, chosen)
        assert same(run_reference(few), run_engine(few))
        fast, slow = visits_per_second(run_engine, all_), visits_per_second(run_reference, few, 1)
        other = ciw_visits_per_second(replicas, 0.006) if limit == 1 else None
        table.rows.append(
            (
                name,
                f"{fast / 1e6:.0f}",
                f"{slow / 1e6:.3f}",
                f"{other / 1e6:.3f}" if other else "no batches",
                f"{fast / slow:,.0f}",
                f"{fast / other:,.0f}" if other else "",
            )
        )
    return table


def policies() -> tuple[Table, np.ndarray]:
    """Measure every combination of batching and dispatch on the graph."""
    table = Table(
        "Every policy",
        "Five stages with a branch, fan-out, a join, network delay and noise, 3 to 8 replicas a stage, batches up to "
        f"16, {GRAPH_QUERIES / 1e6:g} million queries at {GRAPH_RATE_QPS:,} a second. In millions of stage visits a "
        "second.",
        ("", *DISPATCHES),
    )
    found = np.zeros((len(BATCHINGS), len(DISPATCHES)))
    for row, (name, batching) in enumerate(BATCHINGS.items()):
        for column, dispatch in enumerate(DISPATCHES):
            scenario = graph(GRAPH_RATE_QPS, GRAPH_QUERIES, batching, dispatch)
            chosen = plan(scenario, GRAPH_REPLICAS)
            few = inputs_of(scenario, chosen, 2000)
            assert same(run_reference(few), run_engine(few))
            found[row, column] = visits_per_second(run_engine, inputs_of(scenario, chosen), 3) / 1e6
        table.rows.append((name, *(f"{figure:.0f}" for figure in found[row])))
    return table, found


def replicas() -> Table:
    """Measure how the number of replicas matters where the least loaded is looked for, at the same load on each."""
    counts = (2, 8, 32, 128)
    table = Table(
        "Many replicas",
        "The chain at 600 queries a second for each replica of a stage, batches up to 16, a million queries.",
        ("millions of visits a second", *(f"{count} replicas" for count in counts)),
    )
    for dispatch in ("central", "power_of_two", "least_loaded"):
        figures = []
        for count in counts:
            scenario = chain(600 * count, {"queries": 10**6}, dispatch=dispatch)
            figures.append(visits_per_second(run_engine, inputs_of(scenario, plan(scenario, count)), 3))
        table.rows.append((dispatch, *(f"{figure / 1e6:.0f}" for figure in figures)))
    return table


def linearity() -> tuple[Table, list[float]]:
    """Measure whether the time for a visit grows with the number of queries."""
    table = Table(
        "Linear cost",
        "The chain in pieces, from the drawing of arrivals to the summary. In nanoseconds a visit, and over the first.",
        ("queries", "ns a visit", "ratio"),
    )
    found = []
    for queries in LENGTHS:
        scenario = chain(RATE_QPS, {"queries": queries})
        chosen = plan(scenario, 2)
        taken = seconds(partial(summarise, scenario, chosen), 1 if queries > 10**7 else 3)
        found.append(taken / queries / STAGES * 1e9)
    table.rows += [
        (f"{queries:,}", f"{figure:.1f}", f"{figure / found[0]:.2f}")
        for queries, figure in zip(LENGTHS, found, strict=True)
    ]
    return table, found


def day() -> Table:
    """Simulate a day."""
    scenario = chain(DAY_RATE_QPS, {"duration": "24h"})
    start = time.perf_counter()
    summary: Summary = summarise(scenario, plan(scenario, DAY_REPLICAS))
    taken = time.perf_counter() - start
    peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    latency = summary.latency()["latency_s"] * 1000
    table = Table(
        "A day at 10,000 queries a second",
        "The chain in pieces on one core, arrivals drawn and summary made; peak memory is that of the whole process.",
        ("queries", "visits", "time", "peak memory", "p50", "p99"),
    )
    table.rows.append(
        (
            f"{summary.traffic.queries:,}",
            f"{int(summary.stages['items'].sum()):,}",
            f"{taken:.0f} s",
            f"{peak_mib:,.0f} MiB",
            f"{latency['p50']:.1f} ms",
            f"{latency['p99']:.1f} ms",
        )
    )
    return table


def threads() -> Table:
    """Measure what more cores are good for."""
    cores = len(os.sched_getaffinity(0))
    scenario = graph(GRAPH_RATE_QPS, 200_000, {}, "central")
    workload, chosen = Workload.of(scenario), plan(scenario, GRAPH_REPLICAS)
    runs = [(workload, chosen)] * 16
    one, all_ = (seconds(partial(simulate_all, runs, threads=count), 3) for count in (1, cores))
    table = Table(
        "Threads",
        "Sixteen simulations of the graph, 200,000 queries each, that share their arrivals and draws.",
        ("threads", "simulations a second", "ratio"),
    )
    table.rows.append(("1", f"{16 / one:.1f}", "1.00"))
    table.rows.append((f"{cores}", f"{16 / all_:.1f}", f"{one / all_:.2f}"))
    return table


def limit() -> Table:
    """Estimate the limit: bytes that must move for a visit of the chain, and what memory could do."""
    scenario = chain(RATE_QPS, {"queries": CHAIN_QUERIES})
    inputs = inputs_of(scenario, plan(scenario, 2))
    batches = sum(stage.batch_size.size for stage in run_engine(inputs).stages)
    visits = sum(stage.items for stage in inputs.stages)
    # By visit: its number is read and written once. By batch: its group is read (12 bytes), the batch is written and
    # read again (24 + 4 and 16 + 4), and its departure is written (12). Of the first stage every query is a group.
    moved = 8 + (12 + 28 + 20 + 12) * batches / visits + 12 / STAGES
    block = np.ones(1 << 25)
    target = np.empty_like(block)
    bandwidth = 2 * block.nbytes / seconds(lambda: np.copyto(target, block))
    taken = visits / visits_per_second(run_engine, inputs)
    table = Table(
        "How far from the limit",
        "The chain with batches up to 16 and 2 replicas.",
        ("", "figure"),
    )
    found_ns, least_ns = taken / visits * 1e9, moved / bandwidth * 1e9
    table.rows += [
        ("visits a batch", f"{visits / batches:.1f}"),
        ("bytes that must move for a visit", f"{moved:.0f}"),
        ("memory bandwidth of a copy on one core", f"{bandwidth / 1e9:.1f} GB/s"),
        ("so a visit takes at least", f"{least_ns:.1f} ns"),
        ("a visit takes", f"{found_ns:.1f} ns"),
        ("share of the limit that is reached", f"{least_ns / found_ns:.0%}"),
        ("a batch takes", f"{found_ns * visits / batches:.0f} ns"),
        ("of that to depart, batches of 4 items each", f"{departure_ns(np.full(10**6, 4)):.0f} ns"),
        (
            "of that to depart, batches of 4 items on average",
            f"{departure_ns(np.random.default_rng(1).geometric(0.25, 10**6)):.0f} ns",
        ),
    ]
    return table


def departure_ns(sizes: np.ndarray) -> float:
    """Return how long a batch takes to depart, of batches of these sizes that are in order."""
    end, finish_ns = np.cumsum(sizes).astype(np.int32), np.arange(sizes.size)
    order, item = np.arange(sizes.size, dtype=np.int32), np.arange(end[-1], dtype=np.int32)
    batches, departures = Batches(finish_ns, finish_ns, order, end), Flow.empty(item.size)
    return seconds(lambda: depart(order, batches, item, departures)) / sizes.size * 1e9


LIMIT_TEXT = """\
What keeps it from the rest is not memory but guesses. How many items a batch takes, whether the next batch departs
before or after this one, and whether its items are in order are matters of luck, and a processor that guesses one of
them wrong throws away tens of cycles of work. The last two rows show one such guess: to let batches depart takes that
much longer if they are of four items on average than if each is of four. So the time of a batch is that of a handful of
wrong guesses. A batch also depends on the one before it through the replica that it waits for (idle since, start,
finish, place in the ring): some ten instructions, one after the other.

Replicas with queues of their own are slower than one queue for all, because every arrival is an event of its own: which
replica it goes to, whether that is idle, and whether an arrival or a completion comes next are three more guesses. To
find the least loaded, all replicas are looked at for every arrival, which shows from 32 replicas on; `power_of_two`
looks at two. Both must know loads at every arrival, so their replicas cannot be run one after the other.
"""


def machine() -> str:
    """Return what the figures were measured on."""
    model = next(
        (line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line),
        platform.machine(),
    )
    cores = len(os.sched_getaffinity(0))
    return (
        f"{model}, {cores} cores, a virtual machine; Python {platform.python_version()}, numba {version('numba')}, "
        f"numpy {version('numpy')}, SimPy {version('simpy')}, Ciw {version('ciw')}."
    )


def plot(found: np.ndarray, lengths: list[float], target: Path) -> None:
    """Draw the figures of the policies and of the lengths."""
    mpl.rcParams["svg.hashsalt"] = "pipesim"
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.6), width_ratios=(1.7, 1), layout="constrained")
    width = 0.8 / len(found)
    for row, (name, figures) in enumerate(zip(BATCHINGS, found, strict=True)):
        bars = left.bar(np.arange(len(DISPATCHES)) + (row - 1) * width, figures, width, label=name)
        left.bar_label(bars, fmt="%.0f", fontsize=7, padding=1)
    left.set_xticks(range(len(DISPATCHES)), DISPATCHES)
    left.set_ylabel("million visits a second")
    left.set_title("Every policy, on the graph", loc="left", fontsize=10)
    left.legend(frameon=False, fontsize=8)
    right.semilogx(LENGTHS, lengths, marker="o")
    right.set_ylim(0, 1.5 * max(lengths))
    right.set_xlabel("queries")
    right.set_ylabel("ns a visit, drawn and summed up")
    right.set_title("Linear cost, on the chain", loc="left", fontsize=10)
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(target, metadata={"Date": None})


def main() -> None:
    """Measure, print, and write if asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--day", action="store_true", help="simulate a day at 10,000 queries a second as well")
    parser.add_argument("--write", type=Path, metavar="DIR", help="write performance.md and performance.svg there")
    arguments = parser.parse_args()

    def shown(table: Table) -> Table:
        print(table.markdown(), flush=True)
        return table

    # The day goes first: peak memory is that of the process until then.
    long = [shown(day())] if arguments.day else []
    chain_table, limit_table = shown(engines()), shown(limit())
    more = [shown(threads()), shown(replicas())]
    policy_table, found = policies()
    shown(policy_table)
    length_table, lengths = linearity()
    shown(length_table)
    if arguments.write:
        parts = [
            "# Performance\n\nWritten by `python benchmarks/engines.py --day --write docs`, which is `make bench` and "
            "a day; the program says how.\n\nOn " + machine() + "\n\n![The figures below](performance.svg)\n",
            *(table.markdown() for table in (chain_table, policy_table, *more, length_table, *long, limit_table)),
            LIMIT_TEXT,
        ]
        (arguments.write / "performance.md").write_text("\n".join(parts))
        plot(found, lengths, arguments.write / "performance.svg")


if __name__ == "__main__":
    main()
