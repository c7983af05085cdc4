"""What the cheapest plan depends on, in words and tables."""

import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from pipesim.planner.sensitivity import SustainedLoad
from pipesim.planner.sensitivity.study import Study
from pipesim.report.parts import Table
from pipesim.report.wording import figure, usd
from pipesim.units import NS_PER_S, format_duration

Row = Mapping[Hashable, Any]
Rows = tuple[tuple[str, ...], ...]


def topic_table(topic: str, frame: pd.DataFrame) -> Table | str:
    """Return the table of a topic, or the sentence that stands for one without rows."""
    about = _TOPICS[topic]
    if frame.empty:
        return about.empty
    return Table(about.title, about.head, about.rows(frame.to_dict("records")), about.left, last=True)


def topic_title(topic: str) -> str:
    """Return what a topic is about."""
    return _TOPICS[topic].title


def uncertain(found: Study) -> str:
    """Return what a star in the tables means, if there is one."""
    frames = [frame for topic, frame in found.frames.items() if topic != "relax" and not frame.empty]
    if all(frame["proved"].all() for frame in frames):
        return ""
    return "* not certain: the budget of tests ended a search. Allow more with --max-evaluations."


def binding_words(binds: pd.DataFrame | None) -> str:
    """Return what binds a plan."""
    rows = [] if binds is None else binds[binds["binds"]].to_dict("records")
    if not rows:
        return "Nothing binds: one replica more or less of any stage is possible."
    return "Binding: " + "; ".join(_constraint(row) for row in rows) + "."


def _constraint(row: Row) -> str:
    unit = str(row["unit"])
    if unit == "queries":
        return f"{row['constraint']}, {row['value']:,.0f} of {row['limit']:,.0f} misses used"
    return f"{row['constraint']}, {row['value']:,g} of {row['limit']:,g}"


def sustained_words(sustained: SustainedLoad | None) -> str:
    """Return the largest load that a feasible plan sustains."""
    assert sustained is not None, "a feasible plan sustains its own load"
    rate = "" if math.isnan(sustained.rate_qps) else f", {figure(sustained.rate_qps)} a second"
    least = "at least " if sustained.limited else ""
    return f"The plan itself sustains {least}{sustained.factor:.2f} times its load{rate}."


def _slo(rows: Sequence[Row]) -> Rows:
    cells: list[tuple[str, ...]] = []
    for row in rows:
        bound = format_duration(row["bound_s"] * NS_PER_S)
        cells.append((_times(row["factor"]), bound, _cost(row), _mark(row), _plan(row)))
    return tuple(cells)


def _load(rows: Sequence[Row]) -> Rows:
    cells: list[tuple[str, ...]] = []
    for row in rows:
        per_million = "–" if math.isnan(row["usd_per_million_queries"]) else usd(row["usd_per_million_queries"])[1:]
        cells.append((_times(row["factor"]), figure(row["rate_qps"]), _cost(row), per_million, _mark(row), _plan(row)))
    return tuple(cells)


def _prices(rows: Sequence[Row]) -> Rows:
    cells: list[tuple[str, ...]] = []
    for row in rows:
        price, factor, then = row["price_usd_per_hour"], row["factor"], str(row["plan_then"])
        never = math.isinf(factor) or not factor
        to = "any" if never else usd(price * factor)[1:]
        change = "" if never else f"{factor - 1:+.1%}"
        if not row["changes"]:
            then = "the plan never changes" if never else "the plan does not change so far"
        cells.append(
            (row["unit"], usd(price)[1:], row["direction"], to, change, _mark(row), then or "no plan within the limit")
        )
    return tuple(cells)


def _profiles(rows: Sequence[Row]) -> Rows:
    cells: list[tuple[str, ...]] = []
    for row in rows:
        holds = f"{row['holds_to_factor'] - 1:+.0%}{'' if row['misses'] else ' or more'}"
        same = f"{row['costs_same_to_factor'] - 1:+.0%}{'' if row['dearer'] else ' or more'}"
        cost = "" if not row["dearer"] else _cost({**row, "cost_usd_per_hour": row["cost_then_usd_per_hour"]})
        then = "" if not row["dearer"] else row["plan_then"] or "no plan"
        cells.append((row["model"], row["hardware"], holds, same, cost, _mark(row), then))
    return tuple(cells)


def _hardware(rows: Sequence[Row]) -> Rows:
    cells: list[tuple[str, ...]] = []
    for row in rows:
        difference = row["difference_usd_per_hour"]
        dearer = "–" if math.isnan(difference) else f"{'+' if difference >= 0 else '-'}{usd(abs(difference))[1:]}"
        cells.append((row["hardware"], _cost(row), dearer, _mark(row), row["reason"] or _plan(row)))
    return tuple(cells)


def _relax(rows: Sequence[Row]) -> Rows:
    cells: list[tuple[str, ...]] = []
    for row in rows:
        unit = str(row["unit"])
        if math.isnan(row["cost_usd_per_hour"]):
            limit = "" if math.isinf(row["limit"]) else f" up to {_amount(row['limit'], unit)}"
            cells.append((row["relaxation"], _amount(row["now"], unit), "–", "", "–", "", f"none found{limit}"))
            continue
        change = "" if math.isnan(row["factor"]) else f"× {row['factor']:.3g}"
        cells.append((
            row["relaxation"], _amount(row["now"], unit), _amount(row["needed"], unit), change, _cost(row),
            "" if row["smallest"] else "*", row["plan"],
        ))  # fmt: skip
    return tuple(cells)


def _amount(value: float, unit: str) -> str:
    if unit == "s":
        return format_duration(value * NS_PER_S)
    if unit == "usd_per_hour":
        return usd(value)
    return f"{figure(value)}{' /s' if unit == 'qps' else ''}"


def _cost(row: Row) -> str:
    return "–" if math.isnan(row["cost_usd_per_hour"]) else usd(row["cost_usd_per_hour"])[1:]


def _plan(row: Row) -> str:
    return str(row["plan"]) or ("no plan" if row["status"] == "infeasible" else "none found")


def _mark(row: Row) -> str:
    return "" if row["proved"] else "*"


def _times(factor: float) -> str:
    return f"× {factor:.3g}"


@dataclass(frozen=True, slots=True)
class _Topic:
    title: str
    head: tuple[str, ...]
    rows: Callable[[Sequence[Row]], Rows]
    empty: str = "There is no plan."
    left: int = 1


_TOPICS = {
    "slo": _Topic("If all bounds were multiplied", ("Bounds", "Tightest", "$/h", "", "Plan"), _slo, "", 0),
    "load": _Topic("At other loads", ("Load", "Queries /s", "$/h", "$ a million", "", "Plan"), _load, "", 0),
    "prices": _Topic(
        "How far the price of a unit may move before another plan is cheaper",
        ("Unit", "$/h now", "may", "to $/h", "Change", "", "Then"),
        _prices,
    ),
    "profiles": _Topic(
        "How much slower a model may become",
        ("Model", "Hardware", "Plan holds", "Cost holds", "Then $/h", "", "Then"),
        _profiles,
        left=2,
    ),
    "hardware": _Topic("Without hardware that the plan uses", ("Without", "$/h", "Difference", "", "Plan"), _hardware),
    "relax": _Topic(
        "What would have to give",
        ("Change alone", "from", "to", "", "$/h", "", "Plan"),
        _relax,
        "Nothing: there is a plan.",
    ),
}
