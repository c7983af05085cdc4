"""How good and how fast the planner is, on InferLine's four pipelines: 96 cases, in one run.

    python benchmarks/planner.py                     run all cases, print the tables
    python benchmarks/planner.py --write DIR         and write them to DIR/planning.md, with pictures beside it
    python benchmarks/planner.py --kept FILE         keep what is done in FILE (JSON lines), and go on from there
    python benchmarks/planner.py --remark TEXT       say more of the machine

A case is a pipeline under ten minutes of gamma traffic at one rate and scv, with one bound of p99. Every method gets
the same traffic and luck. Seconds are of this machine; costs, tests and gaps are the same on every one.
"""

import argparse
import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import version
from itertools import product
from pathlib import Path
from typing import Any

import matplotlib as mpl
import yaml
from matplotlib import pyplot as plt

from pipesim.engine import Workload
from pipesim.model import Scenario, scenario_from_dict
from pipesim.planner import FeasiblePlan, Infeasible, Method, MissedPlan, PlanningResult, State, plan
from pipesim.planner.planning import MAX_EVALUATIONS
from pipesim.planner.verification import verify

EXAMPLES = Path(__file__).parents[1] / "examples"
PIPELINES = ("image-processing", "tf-cascade", "video-monitoring", "social-media")
RATES_QPS, SCVS, BOUNDS = (50, 150, 300), (1, 4), ("200ms", "350ms", "500ms", "1s")
BUDGETS: dict[Method, int] = {
    "search": MAX_EVALUATIONS, "greedy": MAX_EVALUATIONS, "evolution": 600, "cg-mean": 1, "cg-peak": 1, "ceil": 1,
}  # fmt: skip
"""Tests that each method may take; the last three take none."""
STAIRS = ("200ms", "250ms", "300ms", "350ms", "400ms", "500ms", "600ms", "700ms", "850ms", "1s", "1.25s", "1.5s", "2s")
STAGES = (2, 3, 4, 5, 6, 8, 10)
LENGTHS = ("1min", "10min", "1h")
MAX_REPLICAS = (4, 16, 64, 256)

Row = dict[str, Any]


def variant(name: str, rate_qps: float, scv: float, bound: str, duration: str = "10min") -> Scenario:
    """Return one of the example scenarios under other traffic and another bound."""
    document = yaml.safe_load((EXAMPLES / f"{name}.yaml").read_text(encoding="utf-8"))
    document["traffic"] = {"gamma": {"rate_qps": rate_qps, "scv": scv, "duration": duration}}
    document["slo"] = {"p99": bound}
    return scenario_from_dict(document, EXAMPLES)


def chain(stages: int, max_replicas: int = 64) -> Scenario:
    """Return a chain of models that differ in speed, on three kinds of hardware."""
    names = [f"stage{number}" for number in range(stages)]
    curves = {
        name: {
            "cpu": {1: f"{30 + 4 * number}ms", 8: f"{200 + 25 * number}ms"},
            "small": {1: f"{9 + number}ms", 16: f"{40 + 6 * number}ms"},
            "large": {1: f"{5 + number / 2}ms", 64: f"{45 + 5 * number}ms"},
        }
        for number, name in enumerate(names)
    }
    units = {"cpu": ("cpu", "core", 0.07), "small": ("gpu", "gpu", 0.5), "large": ("gpu", "gpu", 2.1)}
    return scenario_from_dict(
        {
            "name": f"chain-{stages}",
            "slo": {"p99": f"{60 * stages}ms"},
            "traffic": {"gamma": {"rate_qps": 100, "scv": 2, "duration": "10min"}},
            "pipeline": {name: {"model": name, "after": names[n - 1 : n] or []} for n, name in enumerate(names)}
            | {names[0]: {"model": names[0]}},
            "profiles": curves,
            "prices": {
                "units": {
                    name: {"kind": kind, "unit": unit, "price_usd_per_hour": price}
                    for name, (kind, unit, price) in units.items()
                }
            },
            "search": {"max_replicas": max_replicas},
            "seed": 1,
        }
    )


@dataclass
class Watch:
    """Notes when the best plan was found."""

    started: float
    best: object = None
    found_s: float = 0.0

    def __call__(self, state: State) -> None:
        """Take note of where the search stands."""
        if state.best_usd_per_hour != self.best:
            self.best, self.found_s = state.best_usd_per_hour, time.perf_counter() - self.started


def answer(workload: Workload, method: Method, max_evaluations: int) -> tuple[PlanningResult, Row]:
    """Return what a method answers, and what there is to say of it."""
    watch = Watch(time.perf_counter())
    result = plan(workload, method=method, max_evaluations=max_evaluations, verified=False, progress=watch)
    seconds = time.perf_counter() - watch.started
    row: Row = {"status": result.status, "tests": result.evaluations, "seconds": seconds, "found_s": watch.found_s}
    if isinstance(result, Infeasible):
        row["status"] = "infeasible" if result.proved else "none found"
    if isinstance(result, FeasiblePlan | MissedPlan):
        row["cost"] = float(result.simulation.cost_usd_per_hour)
        row["miss_rate"] = result.simulation.slos[0].miss_rate
        row["p99_s"] = (result.simulation.slos[0].latency_ns or 0) / 1e9
    if isinstance(result, FeasiblePlan):
        row["gap"] = result.gap
    return result, row


def run_case(name: str, rate_qps: float, scv: float, bound: str) -> Row:
    """Return what all methods make of one case."""
    workload = Workload.of(variant(name, rate_qps, scv, bound))
    case: Row = {"pipeline": name, "rate_qps": rate_qps, "scv": scv, "bound": bound, "methods": {}}
    for method, budget in BUDGETS.items():
        result, case["methods"][method] = answer(workload, method, budget)
        if method == "search" and isinstance(result, FeasiblePlan):
            started = time.perf_counter()
            verify(result.simulation)
            case["verification_s"] = time.perf_counter() - started
    return case


def run_stairs(name: str, bound: str) -> Row:
    """Return what a bound costs, by three methods."""
    workload = Workload.of(variant(name, 150, 4, bound))
    methods: list[Method] = ["search", "greedy", "cg-peak"]
    rows = {method: answer(workload, method, BUDGETS[method])[1] for method in methods}
    return {"pipeline": name, "bound": bound, "methods": rows}


def run_scaling(what: str, value: int | str) -> Row:
    """Return what the search takes on a larger question."""
    if what == "stages":
        scenario = chain(int(value))
    elif what == "max_replicas":
        scenario = chain(4, int(value))
    else:
        scenario = variant("social-media", 150, 4, "500ms", str(value))
    workload = Workload.of(scenario)
    return {"what": what, "value": value, "queries": len(workload.trace)} | answer(workload, "search", MAX_EVALUATIONS)[
        1
    ]


def tasks() -> Iterator[tuple[str, Callable[..., Row], tuple[Any, ...]]]:
    """Yield all that is to be run, with a name for each."""
    for case in product(PIPELINES, RATES_QPS, SCVS, BOUNDS):
        yield f"case {case}", run_case, case
    for step in product(PIPELINES, STAIRS):
        yield f"stairs {step}", run_stairs, step
    for what, values in (("stages", STAGES), ("duration", LENGTHS), ("max_replicas", MAX_REPLICAS)):
        for value in values:
            yield f"scaling {what} {value}", run_scaling, (what, value)


def run_all(kept: Path | None) -> dict[str, Row]:
    """Run what is not kept yet; return all rows by name."""
    done: dict[str, Row] = {}
    if kept is not None and kept.exists():
        lines = kept.read_text(encoding="utf-8").splitlines()
        done = {row["name"]: row for row in map(json.loads, lines)}
    plan(Workload.of(variant("tf-cascade", 5, 1, "1s", "1min")), max_evaluations=50)  # compiles, or loads, the kernels
    for name, run, arguments in tasks():
        if name not in done:
            done[name] = {"name": name} | run(*arguments)
            print(name, {method: row.get("cost") for method, row in done[name].get("methods", {}).items()}, flush=True)
            if kept is not None:
                with kept.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(done[name]) + "\n")
    return {name: done[name] for name, _, _ in tasks()}


def table(header: list[str], rows: list[list[str]]) -> str:
    """Return a table in Markdown, all but the first column to the right."""
    lines = ["| " + " | ".join(header) + " |", "| --- |" + " ---: |" * (len(header) - 1)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])


def is_feasible(row: Row) -> bool:
    """Return whether a method found a feasible plan."""
    return "gap" in row


def saving(case: Row, method: str) -> float | None:
    """Return the share that the search saves against a method's feasible plan."""
    ours, theirs = case["methods"]["search"], case["methods"][method]
    return 1 - ours["cost"] / theirs["cost"] if is_feasible(ours) and is_feasible(theirs) else None


def report(done: dict[str, Row], remark: str) -> str:
    """Return the report in Markdown, with a remark on the machine."""
    cases = [row for name, row in done.items() if name.startswith("case")]
    ours = [case["methods"]["search"] for case in cases]
    feasible = [row for row in ours if is_feasible(row)]
    gaps = sorted(row["gap"] for row in feasible)
    optimal = sum(row["status"] == "optimal" for row in ours)
    infeasible = sum(row["status"] == "infeasible" for row in ours)
    parts = [
        "# The planner, measured",
        "Written by `python benchmarks/planner.py --write docs`, which is `make bench-planner`; the program says how.",
        f"On {_machine()}{remark and '; '}{remark}.",
        f"{len(cases)} cases: {len(PIPELINES)} pipelines of InferLine, rates of {_list(RATES_QPS)} queries a second, "
        f"scv {_list(SCVS)}, p99 within {_list(BOUNDS)}, ten minutes of gamma traffic each. Every method sees the same "
        "traffic and the same luck.",
        "## How good",
        f"Of {len(cases)} plans **{_all_or(optimal, len(cases))} proved optimal**: "
        "every cheaper plan of the search space is excluded"
        + (f"; {infeasible} cases are proved infeasible" if infeasible else "")
        + f". The gap between a plan and the bound is {statistics.median(gaps):.1%} in the median; "
        f"{sum(gap <= 0.05 for gap in gaps)} of {len(gaps)} are at most 5 %, {sum(gap <= 0.1 for gap in gaps)} at most "
        f"10 %, and the largest is {gaps[-1]:.0%}.",
        "![What a bound of p99 costs](planning.svg)",
        "What the search saves against the others, where they find a feasible plan:",
    ]
    rows = []
    for method in BUDGETS:
        if method == "search":
            continue
        savings = [one for case in cases if (one := saving(case, method)) is not None]
        dearer = sum(one < -1e-12 for one in savings)
        count = sum(is_feasible(case["methods"][method]) for case in cases)
        cheaper = sum(
            not is_feasible(case["methods"][method])
            and case["methods"][method].get("cost", 1e9) < case["methods"]["search"].get("cost", 0)
            for case in cases
        )
        shown = [f"{statistics.mean(savings):.0%}", f"{max(savings):.0%}"] if savings else ["–", "–"]
        rows.append(
            [
                method,
                f"{BUDGETS[method]:,}" if BUDGETS[method] > 1 else "none",
                str(count),
                *shown,
                str(dearer),
                str(cheaper),
            ]
        )
    header = ["method", "tests allowed", "feasible", "mean saving", "largest", "ours dearer", "cheaper but misses"]
    parts.append(table(header, rows))
    loose = [case for case in cases if case["methods"]["search"].get("gap", 0) > 0.001]
    if loose:
        parts.append(
            "Where a gap is left, bursts meet a bound that leaves hardly any time to wait. There the bound on cost "
            "lets batches be formed with foresight, which a server that takes what waits does not have:"
        )
        rows = [
            [f"{case['pipeline']}, {case['rate_qps']} qps, scv {case['scv']}, {case['bound']}", f"{one['cost']:.2f}",
             f"{one['gap']:.0%}", one["status"], f"{one['tests']:,}"]
            for case in loose for one in [case["methods"]["search"]]
        ]  # fmt: skip
        parts.append(table(["case", "$/h", "gap", "status", "tests"], rows))
    parts += ["## How fast", _speed(cases), "## How it grows", _scaling(done), "## All cases", _all(cases)]
    return "\n\n".join(parts) + "\n"


def _all_or(count: int, of: int) -> str:
    return "all are" if count == of else f"{count} are"


def _speed(cases: list[Row]) -> str:
    found = [case["methods"]["search"]["found_s"] for case in cases]
    proved = [case["methods"]["search"]["seconds"] - case["methods"]["search"]["found_s"] for case in cases]
    verified = [case.get("verification_s", 0.0) for case in cases]
    whole = [sum(times) for times in zip(found, proved, verified, strict=True)]
    rows = [
        [name, f"{statistics.median(times):.1f}", f"{sorted(times)[int(0.9 * len(times))]:.1f}", f"{max(times):.1f}"]
        for name, times in (
            ("until the best plan is found", found),
            ("then until the search ends with its proof", proved),
            ("verification by the reference engine", verified),
            ("in all", whole),
        )
    ]
    return "Seconds of a case, on the machine above:\n\n" + table(["", "median", "90 % within", "most"], rows)


def _scaling(done: dict[str, Row]) -> str:
    rows = []
    names = {
        "stages": "chain of {} stages, 60,000 queries",
        "duration": "social-media at 150 qps, scv 4, p99 within 500 ms, {}",
        "max_replicas": "chain of 4 stages, up to {} replicas each",
    }
    for name, row in done.items():
        if name.startswith("scaling"):
            cost = f"{row['cost']:.2f}" if "cost" in row else "–"
            gap = f"{row['gap']:.1%}" if "gap" in row else "–"
            what = names[row["what"]].format(row["value"])
            rows.append([what, f"{row['tests']:,}", f"{row['seconds']:.1f}", cost, row["status"], gap])
    return table(["question", "tests", "seconds", "$/h", "status", "gap"], rows)


def _all(cases: list[Row]) -> str:
    rows = []
    for case in cases:
        methods = case["methods"]
        cells = [f"{case['pipeline']}, {case['rate_qps']} qps, scv {case['scv']}, {case['bound']}"]
        for one in methods.values():
            cost = f"{one['cost']:.2f}" if "cost" in one else "–"
            cells.append(cost if is_feasible(one) or "cost" not in one else f"({cost})")
        cells.append(methods["search"]["status"])
        rows.append(cells)
    text = "Dollars an hour; in brackets, plans that miss the objective; – where there is none.\n\n"
    return text + table(["case", *BUDGETS, "search is"], rows)


def _list(values: tuple[Any, ...]) -> str:
    return ", ".join(map(str, values[:-1])) + f" and {values[-1]}"


def _machine() -> str:
    cpu = next(
        (line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line),
        platform.processor(),
    )
    libraries = ", ".join(f"{name} {version(name)}" for name in ("numba", "numpy", "scipy"))
    return f"{cpu}, {os.cpu_count()} cores; Python {platform.python_version()}, {libraries}"


def draw(done: dict[str, Row], path: Path) -> None:
    """Draw the staircases: what a bound of p99 costs."""
    mpl.rcParams |= {"svg.hashsalt": "pipesim", "font.size": 9, "axes.spines.top": False, "axes.spines.right": False}
    figure, axes = plt.subplots(1, len(PIPELINES), figsize=(12, 3.1), layout="constrained")
    styles = {"search": ("#0b5394", "-", 2.2), "greedy": ("#e69138", "--", 1.5), "cg-peak": ("#777777", ":", 1.5)}
    labels = {"search": "pipesim", "greedy": "InferLine's greedy", "cg-peak": "CG-Peak"}
    for axis, name in zip(axes, PIPELINES, strict=True):
        rows = [done[f"stairs {(name, bound)}"] for bound in STAIRS]
        for method, (colour, line, width) in styles.items():
            points = [
                (_seconds(row["bound"]), row["methods"][method]["cost"])
                for row in rows
                if is_feasible(row["methods"][method])
            ]
            if points:
                axis.step(*zip(*points, strict=True), where="post", color=colour, linestyle=line, linewidth=width,
                          label=labels[method])  # fmt: skip
        axis.set(title=name, xlabel="bound of p99, s", xscale="log", ylim=(0, None))
        axis.set_xticks([0.2, 0.5, 1, 2], ["0.2", "0.5", "1", "2"])
        axis.minorticks_off()
        axis.grid(axis="y", color="#dddddd", linewidth=0.6)
    axes[0].set_ylabel("US dollars an hour")
    axes[-1].legend(frameon=False)
    figure.savefig(path, metadata={"Date": None})


def _seconds(bound: str) -> float:
    return float(bound[:-2]) / 1000 if bound.endswith("ms") else float(bound[:-1])


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", type=Path, metavar="DIR", help="write planning.md and its picture there")
    parser.add_argument("--kept", type=Path, metavar="FILE", help="keep what is done there, and go on from it")
    parser.add_argument("--remark", default="", metavar="TEXT", help="what else there is to say of the machine")
    arguments = parser.parse_args()
    done = run_all(arguments.kept)
    text = report(done, arguments.remark)
    print(text)
    if arguments.write is not None:
        (arguments.write / "planning.md").write_text(text, encoding="utf-8")
        draw(done, arguments.write / "planning.svg")


if __name__ == "__main__":
    main()
