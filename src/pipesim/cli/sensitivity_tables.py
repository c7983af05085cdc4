"""What `pipesim sensitivity` finds, as tables for people."""

import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

import pandas as pd
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from pipesim.cli.screen import figure, headline, new_table, usd
from pipesim.planner import FeasiblePlan, Infeasible
from pipesim.planner.sensitivity import SustainedLoad
from pipesim.planner.sensitivity.cheapest import plan_in_short
from pipesim.planner.sensitivity.study import Study
from pipesim.units import NS_PER_S, format_duration

Row = Mapping[Hashable, Any]


def sensitivity_tables(found: Study) -> RenderableType:
    """Return what `pipesim sensitivity` prints."""
    result = found.result
    name = result.workload.scenario.name
    parts: list[RenderableType] = []
    if isinstance(result, FeasiblePlan):
        parts.append(headline(f"{name}: what the cheapest plan depends on", good=True))
        cost = usd(float(result.simulation.cost_usd_per_hour))
        parts += [Text(), Text(f"{cost} an hour, {result.status}: {plan_in_short(result.simulation.plan)}")]
        parts.append(Text(_binding(found.binds)))
    else:
        parts.append(headline(f"{name}: no plan meets the objectives", good=False))
        if isinstance(result, Infeasible):
            parts += [Text(), Text(result.reason)]
    for topic, frame in found.frames.items():
        title, table, empty = _TOPICS[topic]
        parts += [Text(), Text(title, style="bold")]
        parts.append(Text(empty) if frame.empty else table(frame.to_dict("records")))
        if topic == "load" and isinstance(result, FeasiblePlan):
            parts.append(Text(_sustained(found.sustained)))
    frames = [frame for topic, frame in found.frames.items() if topic != "relax" and not frame.empty]
    if any(not frame["proved"].all() for frame in frames):
        parts += [Text(), Text("* not certain: the budget of tests ended a search. Allow more with --max-evaluations.")]
    return Group(*parts)


def _binding(binds: pd.DataFrame | None) -> str:
    rows = [] if binds is None else binds[binds["binds"]].to_dict("records")
    if not rows:
        return "Nothing binds: one replica more or less of any stage is possible."
    return "Binding: " + "; ".join(_constraint(row) for row in rows) + "."


def _constraint(row: Row) -> str:
    unit = str(row["unit"])
    if unit == "queries":
        return f"{row['constraint']}, {row['value']:,.0f} of {row['limit']:,.0f} misses used"
    return f"{row['constraint']}, {row['value']:,g} of {row['limit']:,g}"


def _sustained(sustained: SustainedLoad | None) -> str:
    assert sustained is not None, "a feasible plan sustains its own load"
    rate = "" if math.isnan(sustained.rate_qps) else f", {figure(sustained.rate_qps)} a second"
    least = "at least " if sustained.limited else ""
    return f"The plan itself sustains {least}{sustained.factor:.2f} times its load{rate}."


def _slo(rows: Sequence[Row]) -> Table:
    table = new_table("Bounds", "Tightest", "$/h", "", "Plan", left=0, last=True)
    for row in rows:
        bound = format_duration(row["bound_s"] * NS_PER_S)
        table.add_row(_times(row["factor"]), bound, _cost(row), _mark(row), _plan(row))
    return table


def _load(rows: Sequence[Row]) -> Table:
    table = new_table("Load", "Queries /s", "$/h", "$ a million", "", "Plan", left=0, last=True)
    for row in rows:
        per_million = "–" if math.isnan(row["usd_per_million_queries"]) else usd(row["usd_per_million_queries"])[1:]
        table.add_row(_times(row["factor"]), figure(row["rate_qps"]), _cost(row), per_million, _mark(row), _plan(row))
    return table


def _prices(rows: Sequence[Row]) -> Table:
    table = new_table("Unit", "$/h now", "may", "to $/h", "Change", "", "Then", last=True)
    for row in rows:
        price, factor, then = row["price_usd_per_hour"], row["factor"], str(row["plan_then"])
        never = math.isinf(factor) or not factor
        to = "any" if never else usd(price * factor)[1:]
        change = "" if never else f"{factor - 1:+.1%}"
        if not row["changes"]:
            then = "the plan never changes" if never else "the plan does not change so far"
        table.add_row(
            row["unit"], usd(price)[1:], row["direction"], to, change, _mark(row), then or "no plan within the limit"
        )
    return table


def _profiles(rows: Sequence[Row]) -> Table:
    table = new_table("Model", "Hardware", "Plan holds", "Cost holds", "Then $/h", "", "Then", left=2, last=True)
    for row in rows:
        holds = f"{row['holds_to_factor'] - 1:+.0%}{'' if row['misses'] else ' or more'}"
        same = f"{row['costs_same_to_factor'] - 1:+.0%}{'' if row['dearer'] else ' or more'}"
        cost = "" if not row["dearer"] else _cost({**row, "cost_usd_per_hour": row["cost_then_usd_per_hour"]})
        then = "" if not row["dearer"] else row["plan_then"] or "no plan"
        table.add_row(row["model"], row["hardware"], holds, same, cost, _mark(row), then)
    return table


def _hardware(rows: Sequence[Row]) -> Table:
    table = new_table("Without", "$/h", "Difference", "", "Plan", last=True)
    for row in rows:
        difference = row["difference_usd_per_hour"]
        dearer = "–" if math.isnan(difference) else f"{'+' if difference >= 0 else '-'}{usd(abs(difference))[1:]}"
        table.add_row(row["hardware"], _cost(row), dearer, _mark(row), row["reason"] or _plan(row))
    return table


def _relax(rows: Sequence[Row]) -> Table:
    table = new_table("Change alone", "from", "to", "", "$/h", "", "Plan", last=True)
    for row in rows:
        unit = str(row["unit"])
        if math.isnan(row["cost_usd_per_hour"]):
            limit = "" if math.isinf(row["limit"]) else f" up to {_amount(row['limit'], unit)}"
            table.add_row(row["relaxation"], _amount(row["now"], unit), "–", "", "–", "", f"none found{limit}")
            continue
        change = "" if math.isnan(row["factor"]) else f"× {row['factor']:.3g}"
        table.add_row(
            row["relaxation"], _amount(row["now"], unit), _amount(row["needed"], unit), change, _cost(row),
            "" if row["smallest"] else "*", row["plan"],
        )  # fmt: skip
    return table


def _amount(value: float, unit: str) -> str:
    if unit == "s":
        return format_duration(value * NS_PER_S)
    if unit == "usd_per_hour":
        return usd(value)
    return f"{figure(value)}{' /s' if unit == 'qps' else ''}"


_TOPICS: dict[str, tuple[str, Callable[[Sequence[Row]], Table], str]] = {
    "slo": ("If all bounds were multiplied", _slo, ""),
    "load": ("At other loads", _load, ""),
    "prices": ("How far the price of a unit may move before another plan is cheaper", _prices, "There is no plan."),
    "profiles": ("How much slower a model may become", _profiles, "There is no plan."),
    "hardware": ("Without hardware that the plan uses", _hardware, "There is no plan."),
    "relax": ("What would have to give", _relax, "Nothing: there is a plan."),
}


def _cost(row: Row) -> str:
    return "–" if math.isnan(row["cost_usd_per_hour"]) else usd(row["cost_usd_per_hour"])[1:]


def _plan(row: Row) -> str:
    return str(row["plan"]) or ("no plan" if row["status"] == "infeasible" else "none found")


def _mark(row: Row) -> str:
    return "" if row["proved"] else "*"


def _times(factor: float) -> str:
    return f"× {factor:.3g}"
