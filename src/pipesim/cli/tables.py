"""Answers as tables for people: one screen that a manager understands."""

import math
from decimal import Decimal

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from pipesim.cli.screen import duration, headline, is_small, new_table, usd
from pipesim.engine import QUANTILES, SimulationResult, SloOutcome, Summary
from pipesim.planner.explain import caveats
from pipesim.report.wording import cost_per_month, described_traffic
from pipesim.units import NS_PER_S, format_duration, format_usd, format_utilisation, parse_quantile

Simulated = SimulationResult | Summary

_LONGEST_NOTE = 210


def simulation_tables(result: Simulated) -> RenderableType:
    """Return what `pipesim simulate` prints."""
    verdict = "the plan meets the objectives" if result.met else "the plan misses an objective"
    title = headline(f"{result.scenario.name}: {verdict}", good=result.met)
    return Group(title, *simulated(result), *_summarised(result), *note_list(caveats(result)))


def _summarised(result: Simulated) -> list[RenderableType]:
    if isinstance(result, SimulationResult):
        return []
    lines = ["A summary: counts, misses, means and maxima are exact, a quantile is at most 0.1 % too large."]
    intervals = [row for row in result.series.to_dict("records") if row["queries"]]
    if intervals:
        worst = max(intervals, key=lambda row: row["p99_latency_s"])
        lines.append(
            f"Of intervals of {format_duration(result.interval_ns)}, the worst p99 is "
            f"{duration(worst['p99_latency_s'])}, of the one at {duration(worst['time_s'])}; "
            f"the longest latency of all is {duration(result.max_latency_s)}."
        )
    return [Text(line) for line in lines]


def simulated(result: Simulated) -> list[RenderableType]:
    """Return what every answer with a simulation shows: stages, cost, latencies, traffic."""
    return [
        Text(),
        _stages(result),
        _cost(result),
        Text(),
        _latency(result),
        Text(),
        Text(f"Traffic: {described_traffic(result.traffic)}."),
    ]


def _stages(result: Simulated) -> Table:
    table = new_table("Stage", "Model", "Hardware", "Replicas", "Max batch", "Mean batch", "Utilisation", "$/h", left=3)
    for stage, row in result.stages.iterrows():
        cost = result.plan.stage_cost_usd_per_hour(str(stage), result.scenario.catalogue)
        table.add_row(
            str(stage),
            row["model"],
            row["hardware"],
            str(row["replicas"]),
            str(row["max_batch_size"]),
            "–" if math.isnan(row["mean_batch_size"]) else f"{row['mean_batch_size']:.1f}",
            Text(format_utilisation(row["utilisation"]), style="red" if stage in result.overloaded else ""),
            usd(cost)[1:],
        )
    return table


def _cost(result: Simulated) -> Text:
    cost = result.cost_usd_per_hour
    text = Text("Cost: ")
    month = format_usd(cost_per_month(cost), 2 if is_small(cost) else 0)
    text.append(f"{usd(cost)} an hour, {month} a month", style="bold")
    return text.append(" of 730 hours")


def _latency(result: Simulated) -> Table:
    """Return the usual quantiles of all queries, and every objective."""
    table = new_table("Latency", "Simulated", "95 % interval", "Objective", "Over the bound", "", left=1)
    table.columns[5].justify = "left"
    of_all = [outcome for outcome in result.slos if not outcome.slo.where]
    objectives = {outcome.slo.quantile for outcome in of_all if outcome.slo.every_ns is None}
    rows: list[tuple[Decimal, tuple[str | Text, ...]]] = []
    for name, row in result.latency([one for one in QUANTILES if one not in objectives]).iterrows():
        interval = _interval(row["low_s"], row["high_s"])
        rows.append((parse_quantile(name), (str(name), duration(row["latency_s"]), interval, "", "", "")))
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


def note_list(notes: tuple[str, ...]) -> list[RenderableType]:
    """Return what to know before buying, as a list."""
    if not notes:
        return []
    shown = [note if len(note) <= _LONGEST_NOTE else note[:_LONGEST_NOTE].rsplit(" ", 1)[0] + " …" for note in notes]
    return [
        Text(),
        Text("Know before you buy:", style="bold"),
        *(Padding(Text(f"* {note}"), (0, 0, 0, 2)) for note in shown),
    ]


def _interval(low_s: float, high_s: float) -> str:
    if math.isnan(low_s):
        return "too few queries"
    return f"{duration(low_s)} – {'beyond the trace' if math.isinf(high_s) else duration(high_s)}"
