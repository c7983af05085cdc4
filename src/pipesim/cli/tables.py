"""Answers as tables for people: one screen that a manager understands."""

import math
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from decimal import Decimal

import pandas as pd
from rich.box import SIMPLE_HEAD
from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.progress import Progress as Bar
from rich.progress import SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from pipesim.engine import QUANTILES, SimulationResult, SloOutcome, Summary
from pipesim.engine.summary import Traffic
from pipesim.errors import printable
from pipesim.planner import Comparison, FastestPlan, FeasiblePlan, Infeasible, MissedPlan, PlanningResult, State
from pipesim.planner.evaluator import Progress
from pipesim.planner.explain import caveats
from pipesim.report import cost_per_month
from pipesim.traces import ArrivalTrace, describe, gap_scv
from pipesim.units import NS_PER_S, format_duration, format_usd, parse_quantile

Simulated = SimulationResult | Summary

_PLAIN_WIDTH = 110
_LONGEST_NOTE = 210


class _Console(Console):
    """A console that leaves it to the command what a reader that has gone means."""

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


def console() -> Console:
    """Return the console for results; where stdout is not a terminal, lines are 110 wide and free of colour."""
    return _Console(width=None if sys.stdout.isatty() else _PLAIN_WIDTH, highlight=False, markup=False, emoji=False)


@contextmanager
def planning_progress(name: str) -> Iterator[Progress | None]:
    """Show on stderr, if it is a terminal, how many plans were simulated and what the best one costs."""
    screen = Console(stderr=True)
    if not screen.is_terminal:
        yield None
        return
    columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn())
    with Bar(*columns, console=screen, transient=True) as bar:
        task = bar.add_task(f"Planning {name}")

        def progress(state: State) -> None:
            cheapest, bound = state.best_usd_per_hour, state.bound_usd_per_hour
            best = "none is feasible yet" if cheapest is None else f"the best costs {format_usd(cheapest)}/h"
            least = "" if bound is None else f", none less than {format_usd(bound)}/h"
            bar.update(task, description=f"Planning {name}: {state.evaluations:,} tests, {best}{least}")

        yield progress


METHODS = {
    "search": "pipesim's search",
    "greedy": "InferLine's greedy planner",
    "evolution": "differential evolution",
    "exact": "enumeration in order of cost",
    "cg-mean": "the whole pipeline replicated for the mean rate",
    "cg-peak": "the whole pipeline replicated for the peak rate",
    "ceil": "rate divided by throughput, rounded up",
}
"""What each method of planning does, in a few words."""


@contextmanager
def comparison_progress(name: str) -> Iterator[Callable[[str], None] | None]:
    """Show on stderr, if it is a terminal, which method is at work."""
    screen = Console(stderr=True)
    if not screen.is_terminal:
        yield None
        return
    columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn())
    with Bar(*columns, console=screen, transient=True) as bar:
        task = bar.add_task(f"Comparing methods on {name}")
        yield lambda method: bar.update(task, description=f"Comparing methods on {name}: {method}")


def comparison_table(found: Comparison) -> RenderableType:
    """Return what `pipesim compare` prints."""
    scenario = next(iter(found.results.values())).workload.scenario
    table = _table("Method", "Outcome", "$/h", "Over the best", "Latency", "Missed", "Tests", "Time", "Gap", left=2)
    for (method, result), row in zip(found.results.items(), found.frame().to_dict("records"), strict=True):
        cost, over = row["cost_usd_per_hour"], row["over_best"]
        good = isinstance(result, FeasiblePlan)
        table.add_row(
            str(method),
            Text(row["status"], style="green" if good else "red"),
            "–" if math.isnan(cost) else _usd(Decimal(str(cost)))[1:],
            "–" if math.isnan(over) else "the best" if good and over <= 0 else f"{over:+.0%}",
            "–" if math.isnan(row["latency_s"]) else _seconds(row["latency_s"]),
            "–" if math.isnan(row["miss_rate"]) else f"{row['miss_rate']:.2%}",
            f"{row['evaluations']:,}",
            f"{found.seconds[method]:.1f} s",
            "–" if math.isnan(row["gap"]) else f"{row['gap']:.1%}",
        )
    objectives = ", ".join(str(slo) for slo in scenario.slos)
    title = Text(f"{scenario.name}: the methods of planning under {objectives}", style="bold")
    notes = [Text(f"  * {method}: {METHODS[method]}") for method in found.results]
    missed = [method for method, result in found.results.items() if isinstance(result, MissedPlan)]
    verb = "misses" if len(missed) == 1 else "miss"
    cheap = Text(f"What costs less is no bargain: {' and '.join(missed)} {verb} the objectives.") if missed else Text()
    return Group(title, Text(), table, cheap, Text(), Text("Methods:"), *notes)


def fastest_note(found: FastestPlan) -> str:
    """Return what is known of the plan with the best latency under a ceiling."""
    ceiling = found.result.workload.scenario.max_cost_usd_per_hour
    assert ceiling is not None
    text = (
        f"Under {_usd(ceiling)}/h no faster plan was found: it meets bounds of {found.factor:.1%} of those asked for."
    )
    if found.proved:
        text += " No plan under the ceiling meets bounds that are another 1 % tighter."
    return text


def planning_tables(result: PlanningResult, notes: Sequence[str] = ()) -> RenderableType:
    """Return what `pipesim plan` prints, with notes on what was asked besides."""
    name = result.workload.scenario.name
    if isinstance(result, FeasiblePlan | MissedPlan):
        good = isinstance(result, FeasiblePlan)
        title = _title(f"{name}: {'a plan that meets the objectives' if good else 'the plan misses'}", good=good)
        verified = _verified(result)
        reasons = _reasons(result) if isinstance(result, FeasiblePlan) else []
        certain = _certainty(result) if isinstance(result, FeasiblePlan) else _effort(result)
        stood = [Text(line) for line in (*notes, *_stood(result))]
        shown = _simulated(result.simulation)
        return Group(title, *shown, *reasons, *stood, Text(f"{certain} {verified}"), *_notes(result.caveats))
    if isinstance(result, Infeasible):
        verdict = "no plan can meet the objectives" if result.proved else "no plan was found that meets the objectives"
        title = _title(f"{name}: {verdict}", good=False)
        remedies = [Text(f"  * {remedy}") for remedy in result.remedies]
        traffic = Text(f"Traffic: {_traffic(result.workload.trace)}.")
        return Group(
            title, Text(), Text(result.reason), Text(), Text("What would have to give, any of:"), *remedies, Text(),
            traffic, Text(_effort(result)),
        )  # fmt: skip
    return Group(
        _title(f"{name}: the budget was used up before any feasible plan was found", good=False),
        Text(_effort(result)),
        Text("Allow more with --max-evaluations or --time-limit."),
    )


def _verified(result: FeasiblePlan | MissedPlan) -> str:
    if result.verification is None:
        return "The plan was not run on the reference engine."
    part = "the whole trace" if result.verification.whole_trace else f"{result.verification.queries:,} queries"
    return f"The reference engine confirmed the plan over {part}."


def _effort(result: PlanningResult) -> str:
    return f"Search: {METHODS[result.method]}, {_counted(result.evaluations, 'test')}."


def _certainty(result: FeasiblePlan) -> str:
    """Return how much is certain of a plan."""
    tests = _counted(result.evaluations, "test")
    if result.proof.excluded:
        by = "by simulation" if result.method == "exact" else "by the bound or by simulation"
        return f"Optimal: every cheaper plan of the search space is excluded, {by} ({tests})."
    text = _effort(result)
    if result.proof.exchanged:
        stages = "one stage" if result.proof.exchanged == 1 else f"up to {result.proof.exchanged} stages"
        text += f" No cheaper plan that differs in {stages} is feasible."
    if result.bound_usd_per_hour is not None and result.gap is not None:
        text += f" None at all costs less than {_usd(result.bound_usd_per_hour)}/h, {result.gap:.1%} below."
    return text


def _stood(result: FeasiblePlan | MissedPlan) -> list[str]:
    """Return how the plan fares on the other workloads that it was made for, and on what was held out."""
    lines = []
    others = result.other_simulations
    if others:
        met = sum(one.met for one in others)
        lines.append(f"It was planned for {len(others) + 1} workloads at once; it meets the objectives on {met + 1}.")
    if result.question.confident:
        lines.append("The upper end of each objective's confidence interval meets its bound.")
    validation = result.validation
    if validation is not None:
        verdict = "meets the objectives" if validation.met else "MISSES an objective"
        worst = max(validation.slos, key=lambda outcome: (outcome.latency_ns or 0) / outcome.slo.bound_ns)
        latency = "–" if worst.latency_ns is None else format_duration(worst.latency_ns)
        lines.append(
            f"On the {len(validation.workload.trace):,} queries that were held out it {verdict}: "
            f"{worst.slo.label} {latency}, {worst.miss_rate:.2%} over the bound."
        )
    return lines


def simulation_tables(result: Simulated) -> RenderableType:
    """Return what `pipesim simulate` prints."""
    verdict = "the plan meets the objectives" if result.met else "the plan misses an objective"
    title = _title(f"{result.scenario.name}: {verdict}", good=result.met)
    return Group(title, *_simulated(result), *_summarised(result), *_notes(caveats(result)))


def _summarised(result: Simulated) -> list[RenderableType]:
    if isinstance(result, SimulationResult):
        return []
    lines = ["A summary: counts, misses, means and maxima are exact, a quantile is at most 0.1 % too large."]
    intervals = [row for row in result.series.to_dict("records") if row["queries"]]
    if intervals:
        worst = max(intervals, key=lambda row: row["p99_latency_s"])
        lines.append(
            f"Of intervals of {format_duration(result.interval_ns)}, the worst p99 is "
            f"{_seconds(worst['p99_latency_s'])}, of the one at {_seconds(worst['time_s'])}; "
            f"the longest latency of all is {_seconds(result.max_latency_s)}."
        )
    return [Text(line) for line in lines]


def trace_tables(name: str, trace: ArrivalTrace) -> RenderableType:
    """Return what `pipesim trace info` prints."""
    scv = gap_scv(trace)
    facts = [
        f"{printable(name)}: {_traffic(trace)}",
        f"Gaps: scv {_figure(scv)}, cv {_figure(math.sqrt(scv)) if scv >= 0 else '–'} (Poisson: 1)",
    ]
    if trace.epoch_ns:
        facts.append(f"First query: {pd.Timestamp(trace.epoch_ns)} UTC")
    if trace.attributes:
        facts.append(f"Queries carry: {', '.join(trace.attributes)}")
    table = _table("Window", "Peak /s", "Most in any window", "Index of dispersion", "Empty windows")
    for row in describe(trace).to_dict("records"):
        table.add_row(
            str(row["window"]),
            _figure(row["peak_qps"]),
            f"{row['peak_count']:,}",
            _figure(row["index_of_dispersion"]),
            "–" if math.isnan(row["empty_share"]) else f"{row['empty_share']:.1%}",
        )
    return Group(*map(Text, facts), table)


def _simulated(result: Simulated) -> list[RenderableType]:
    return [
        Text(),
        _stages(result),
        _cost(result),
        Text(),
        _latency(result),
        Text(),
        Text(f"Traffic: {_traffic(result.traffic)}."),
    ]


def _stages(result: Simulated) -> Table:
    table = _table("Stage", "Model", "Hardware", "Replicas", "Max batch", "Mean batch", "Utilisation", "$/h", left=3)
    for stage, row in result.stages.iterrows():
        cost = result.plan.stage_cost_usd_per_hour(str(stage), result.scenario.catalogue)
        table.add_row(
            str(stage),
            row["model"],
            row["hardware"],
            str(row["replicas"]),
            str(row["max_batch_size"]),
            "–" if math.isnan(row["mean_batch_size"]) else f"{row['mean_batch_size']:.1f}",
            Text(_utilisation(row["utilisation"]), style="red" if stage in result.overloaded else ""),
            _usd(cost)[1:],
        )
    return table


def _utilisation(share: float) -> str:
    if math.isnan(share):
        return "–"
    return ">99%" if 0.995 <= share < 1 else f"{share:.0%}"


def _cost(result: Simulated) -> Text:
    cost = result.cost_usd_per_hour
    text = Text("Cost: ")
    month = format_usd(cost_per_month(cost), 2 if _is_small(cost) else 0)
    text.append(f"{_usd(cost)} an hour, {month} a month", style="bold")
    return text.append(" of 730 hours")


def _usd(amount: Decimal) -> str:
    return format_usd(amount, 4 if _is_small(amount) else 2)


def _is_small(amount: Decimal) -> bool:
    return amount < Decimal("0.05") and amount != round(amount, 2)


def _latency(result: Simulated) -> Table:
    """Return the usual quantiles of all queries, and every objective."""
    table = _table("Latency", "Simulated", "95 % interval", "Objective", "Over the bound", "", left=1)
    table.columns[5].justify = "left"
    of_all = [outcome for outcome in result.slos if not outcome.slo.where]
    objectives = {outcome.slo.quantile for outcome in of_all if outcome.slo.every_ns is None}
    rows: list[tuple[Decimal, tuple[str | Text, ...]]] = []
    for name, row in result.latency([one for one in QUANTILES if one not in objectives]).iterrows():
        interval = _interval(row["low_s"], row["high_s"])
        rows.append((parse_quantile(name), (str(name), _seconds(row["latency_s"]), interval, "", "", "")))
    rows += [(outcome.slo.quantile, _outcome(outcome)) for outcome in of_all]
    rows.sort(key=lambda row: row[0])
    rows += [(outcome.slo.quantile, _outcome(outcome)) for outcome in result.slos if outcome.slo.where]
    for _, cells in rows:
        table.add_row(*cells)
    return table


def _outcome(outcome: SloOutcome) -> tuple[str | Text, ...]:
    latency = "–" if outcome.latency_ns is None else format_duration(outcome.latency_ns)
    interval = _interval(outcome.interval_ns.low / NS_PER_S, outcome.interval_ns.high / NS_PER_S)
    verdict = Text("met", style="green") if outcome.met else Text("MISSED", style="bold red")
    misses = f"{outcome.misses:,} of {outcome.allowed_misses:,} allowed"
    if outcome.worst_window_ns is not None:
        misses += f"\nat {format_duration(outcome.worst_window_ns) if outcome.worst_window_ns else '0 s'}, the worst"
        verdict.append(f" in {outcome.windows_missed or outcome.windows:,} of {outcome.windows:,}")
    return outcome.slo.label, latency, interval, f"≤ {format_duration(outcome.slo.bound_ns)}", misses, verdict


def _reasons(result: FeasiblePlan) -> list[RenderableType]:
    tail = result.tail.loc[result.binding_stage]
    total = tail["queue_delay_s"] + tail["service_time_s"]
    waiting = tail["queue_delay_s"] / total if total else 0.0
    lines = [
        f"Binding: {result.binding_stage} takes {tail['share']:.0%} of the time of the slowest queries, "
        f"{waiting:.0%} of that waiting.",
    ]
    headroom = result.simulation.stages["headroom"].to_dict()[result.bottleneck]
    if math.isfinite(headroom):
        lines.append(f"Bottleneck: {result.bottleneck} could serve {_figure(headroom)} times the mean rate.")
    for stage, row in result.one_replica_less.iterrows():
        alone = " on this workload alone" if len(result.question.workloads) > 1 or result.question.confident else ""
        verdict = f"met too{alone}" if row["met"] else "missed"
        saving = _usd(Decimal(str(row["saving_usd_per_hour"])))
        latency = f"{row['quantile']} {_seconds(row['latency_s'])}"
        lines.append(f"One replica less of {stage} would save {saving}/h: {latency}, {verdict}.")
    return [Text(line) for line in lines]


def _notes(notes: tuple[str, ...]) -> list[RenderableType]:
    if not notes:
        return []
    shown = [note if len(note) <= _LONGEST_NOTE else note[:_LONGEST_NOTE].rsplit(" ", 1)[0] + " …" for note in notes]
    return [
        Text(),
        Text("Know before you buy:", style="bold"),
        *(Padding(Text(f"* {note}"), (0, 0, 0, 2)) for note in shown),
    ]


def _title(text: str, *, good: bool) -> Text:
    return Text(text, style="bold green" if good else "bold red")


def _table(*columns: str, left: int = 1) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for index, column in enumerate(columns):
        table.add_column(column, justify="left" if index < left else "right", overflow="fold")
    return table


def _traffic(trace: ArrivalTrace | Traffic) -> str:
    rate = "" if math.isnan(trace.mean_rate_qps) else f", {_figure(trace.mean_rate_qps)} a second"
    queries = "1 query" if len(trace) == 1 else f"{len(trace):,} queries"
    return f"{queries} in {format_duration(trace.duration_ns)}{rate}"


def _seconds(value: float) -> str:
    return format_duration(value * NS_PER_S)


def _interval(low_s: float, high_s: float) -> str:
    if math.isnan(low_s):
        return "too few queries"
    return f"{_seconds(low_s)} – {'beyond the trace' if math.isinf(high_s) else _seconds(high_s)}"


def _figure(value: float) -> str:
    if math.isnan(value):
        return "–"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}" + ("" if count == 1 else "s")
