"""What `pipesim sensitivity` finds, as tables for people and as a report."""

import math
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pandas as pd
from rich.box import SIMPLE_HEAD
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from pipesim.engine import Workload
from pipesim.planner import FeasiblePlan, Infeasible, PlanningResult, plan
from pipesim.planner.sensitivity.cheapest import plan_in_short
from pipesim.planner.sensitivity.prices import price_sensitivity, profile_sensitivity, without_hardware
from pipesim.planner.sensitivity.reasons import binding, relaxations
from pipesim.planner.sensitivity.staircases import SustainedLoad, load_staircase, slo_staircase, sustained_load
from pipesim.report import planning_report
from pipesim.units import NS_PER_S, format_duration, format_usd

Row = Mapping[Hashable, Any]
OF_A_PLAN = ("slo", "load", "prices", "profiles", "hardware")
WITHOUT_A_PLAN = ("slo", "load", "relax")


@dataclass(frozen=True)
class Study:
    """What was found.

    Parameters
    ----------
    result
        The cheapest plan, or why there is none.
    frames
        By topic; a topic that does not apply has no rows.
    binds
        The constraints on the plan; None without one.
    sustained
        The largest load that the plan sustains, if load is a topic and there is a plan.
    """

    result: PlanningResult
    frames: dict[str, pd.DataFrame]
    binds: pd.DataFrame | None
    sustained: SustainedLoad | None


def study(
    workload: Workload,
    topics: Sequence[str] = (),
    *,
    max_evaluations: int,
    on_topic: Callable[[str], None] | None = None,
) -> Study:
    """Return what the cheapest plan of a workload depends on.

    Parameters
    ----------
    workload
        The scenario and its traffic.
    topics
        ``slo``, ``load``, ``prices``, ``profiles``, ``hardware``, ``relax``; all that apply if none is named.
    max_evaluations
        Tests of plans that each planning run may take.
    on_topic
        Called before the plan, and before each topic.
    """
    tell = on_topic or (lambda topic: None)
    tell("plan")
    result = plan(workload, max_evaluations=max_evaluations)
    feasible = result if isinstance(result, FeasiblePlan) else None
    frames: dict[str, pd.DataFrame] = {}
    for topic in topics or (OF_A_PLAN if feasible else WITHOUT_A_PLAN):
        tell(topic)
        frames[topic] = _frame(topic, result, max_evaluations)
    sustained = sustained_load(feasible) if feasible and "load" in frames else None
    return Study(result, frames, None if feasible is None else binding(feasible), sustained)


def _frame(topic: str, result: PlanningResult, max_evaluations: int) -> pd.DataFrame:
    if topic in ("prices", "profiles"):
        if not isinstance(result, FeasiblePlan):
            return pd.DataFrame()
        of_plan = price_sensitivity if topic == "prices" else profile_sensitivity
        return of_plan(result, max_evaluations=max_evaluations)
    of_any = {"slo": slo_staircase, "load": load_staircase, "hardware": without_hardware, "relax": relaxations}
    return of_any[topic](result, max_evaluations=max_evaluations)


@contextmanager
def working(name: str) -> Iterator[Callable[[str], None] | None]:
    """Show on stderr, if it is a terminal, what is being found out."""
    screen = Console(stderr=True)
    if not screen.is_terminal:
        yield None
        return
    with screen.status(f"Planning {name}") as status:
        yield lambda topic: status.update(f"Planning {name}: {topic}")


def sensitivity_report(found: Study) -> dict[str, Any]:
    """Return the report: that of the plan, with what it depends on. What is infinite or does not exist is null."""
    sustained = found.sustained
    report = planning_report(found.result) | {"kind": "sensitivity"}
    return report | {
        "binding": None if found.binds is None else _rows(found.binds),
        "sustained_load": None if sustained is None else {k: _plain(v) for k, v in sustained._asdict().items()},
        "sensitivity": {topic: _rows(frame) for topic, frame in found.frames.items()},
    }


def _rows(frame: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(name): _plain(value) for name, value in row.items()} for row in frame.to_dict("records")]


def _plain(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def sensitivity_tables(found: Study) -> RenderableType:
    """Return what `pipesim sensitivity` prints."""
    result = found.result
    name = result.workload.scenario.name
    parts: list[RenderableType] = []
    if isinstance(result, FeasiblePlan):
        parts.append(Text(f"{name}: what the cheapest plan depends on", style="bold green"))
        cost = _usd(float(result.simulation.cost_usd_per_hour))
        parts += [Text(), Text(f"{cost} an hour, {result.status}: {plan_in_short(result.simulation.plan)}")]
        parts.append(Text(_binding(found.binds)))
    else:
        parts.append(Text(f"{name}: no plan meets the objectives", style="bold red"))
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
    rate = "" if math.isnan(sustained.rate_qps) else f", {_figure(sustained.rate_qps)} a second"
    least = "at least " if sustained.limited else ""
    return f"The plan itself sustains {least}{sustained.factor:.2f} times its load{rate}."


def _slo(rows: Sequence[Row]) -> Table:
    table = _table("Bounds", "Tightest", "$/h", "", "Plan", left=0)
    for row in rows:
        bound = format_duration(row["bound_s"] * NS_PER_S)
        table.add_row(_times(row["factor"]), bound, _cost(row), _mark(row), _plan(row))
    return table


def _load(rows: Sequence[Row]) -> Table:
    table = _table("Load", "Queries /s", "$/h", "$ a million", "", "Plan", left=0)
    for row in rows:
        per_million = "–" if math.isnan(row["usd_per_million_queries"]) else _usd(row["usd_per_million_queries"])[1:]
        table.add_row(_times(row["factor"]), _figure(row["rate_qps"]), _cost(row), per_million, _mark(row), _plan(row))
    return table


def _prices(rows: Sequence[Row]) -> Table:
    table = _table("Unit", "$/h now", "may", "to $/h", "Change", "", "Then")
    for row in rows:
        price, factor, then = row["price_usd_per_hour"], row["factor"], str(row["plan_then"])
        never = math.isinf(factor) or not factor
        to = "any" if never else _usd(price * factor)[1:]
        change = "" if never else f"{factor - 1:+.1%}"
        if not row["changes"]:
            then = "the plan never changes" if never else "the plan does not change so far"
        table.add_row(
            row["unit"], _usd(price)[1:], row["direction"], to, change, _mark(row), then or "no plan within the limit"
        )
    return table


def _profiles(rows: Sequence[Row]) -> Table:
    table = _table("Model", "Hardware", "Plan holds", "Cost holds", "Then $/h", "", "Then", left=2)
    for row in rows:
        holds = f"{row['holds_to_factor'] - 1:+.0%}{'' if row['misses'] else ' or more'}"
        same = f"{row['costs_same_to_factor'] - 1:+.0%}{'' if row['dearer'] else ' or more'}"
        cost = "" if not row["dearer"] else _cost({**row, "cost_usd_per_hour": row["cost_then_usd_per_hour"]})
        then = "" if not row["dearer"] else row["plan_then"] or "no plan"
        table.add_row(row["model"], row["hardware"], holds, same, cost, _mark(row), then)
    return table


def _hardware(rows: Sequence[Row]) -> Table:
    table = _table("Without", "$/h", "Difference", "", "Plan")
    for row in rows:
        difference = row["difference_usd_per_hour"]
        dearer = "–" if math.isnan(difference) else f"{'+' if difference >= 0 else '-'}{_usd(abs(difference))[1:]}"
        table.add_row(row["hardware"], _cost(row), dearer, _mark(row), row["reason"] or _plan(row))
    return table


def _relax(rows: Sequence[Row]) -> Table:
    table = _table("Change alone", "from", "to", "", "$/h", "", "Plan")
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
        return _usd(value)
    return f"{_figure(value)}{' /s' if unit == 'qps' else ''}"


_TOPICS: dict[str, tuple[str, Callable[[Sequence[Row]], Table], str]] = {
    "slo": ("If all bounds were multiplied", _slo, ""),
    "load": ("At other loads", _load, ""),
    "prices": ("How far the price of a unit may move before another plan is cheaper", _prices, "There is no plan."),
    "profiles": ("How much slower a model may become", _profiles, "There is no plan."),
    "hardware": ("Without hardware that the plan uses", _hardware, "There is no plan."),
    "relax": ("What would have to give", _relax, "Nothing: there is a plan."),
}


def _table(*columns: str, left: int = 1) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for index, column in enumerate(columns):
        last = index == len(columns) - 1
        table.add_column(column, justify="left" if index < left or last else "right", overflow="fold")
    return table


def _cost(row: Row) -> str:
    return "–" if math.isnan(row["cost_usd_per_hour"]) else _usd(row["cost_usd_per_hour"])[1:]


def _plan(row: Row) -> str:
    return str(row["plan"]) or ("no plan" if row["status"] == "infeasible" else "none found")


def _mark(row: Row) -> str:
    return "" if row["proved"] else "*"


def _times(factor: float) -> str:
    return f"× {factor:.3g}"


def _usd(value: float) -> str:
    amount = Decimal(repr(value))
    return format_usd(amount, 4 if amount < Decimal("0.1") and amount != round(amount, 2) else 2)


def _figure(value: float) -> str:
    if math.isnan(value):
        return "–"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
