"""Checks as tables for people: what changed, what it costs, why, and whether it may pass."""

import re
from collections.abc import Iterable

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from pipesim.check.fields import Verdict
from pipesim.check.report import CheckReport, ScenarioCheck
from pipesim.check.wording import (
    STATES,
    WORDS,
    change,
    changed_stage,
    cost,
    interval,
    judged,
    met,
    other_plans,
    placed_input,
    summary,
    value,
    why,
)
from pipesim.cli.screen import counted, new_table
from pipesim.errors import printable

_STYLES: dict[Verdict, str] = {"pass": "green", "warn": "yellow", "fail": "red", "infeasible": "red"}
_COMMAND = re.compile(r":(?=:)|#(?=#\[)")
_LONGEST = 300
_MOST = 20
"""Of inputs, stages and notes, more than these are counted."""


def check_tables(report: CheckReport) -> RenderableType:
    """Return what `pipesim check` prints: a line for each unchanged scenario, a screen for each other, a last line."""
    sections: list[list[RenderableType]] = [_checked(check) for check in report.scenarios if not _is_quiet(check)]
    quiet: list[RenderableType] = [_unchanged(check) for check in report.scenarios if _is_quiet(check)]
    last = Text(plain(f"{summary(report)}, against {report.baseline.name}."), style=f"bold {_STYLES[report.verdict]}")
    sections += [quiet, _listed("The baseline", report.baseline.notes)]
    return Group(*(part for section in sections if section for part in (*section, Text())), last)


def plain(text: str) -> str:
    r"""Return a text in one line that a terminal prints, cut if it is long, and that no CI takes for a command.

    GitHub's runner reads commands from the output of a step: ``::error::`` where a line begins, ``##[error]`` anywhere.

    >>> plain("a\n::set-output name=b::c\x1b[31m ##[group]")
    'a : :set-output name=b: :c\\x1b[31m # #[group]'
    """
    line = _COMMAND.sub(r"\g<0> ", printable(" ".join(text.split())))
    return line if len(line) <= _LONGEST else line[: _LONGEST - 1] + "…"


def _is_quiet(check: ScenarioCheck) -> bool:
    return check.state == "unchanged" and check.verdict == "pass"


def _unchanged(check: ScenarioCheck) -> Text:
    paid = "" if check.costs is None else f", {value(check.costs.before, 'usd_per_hour')}"
    return Text(plain(f"{check.name}: unchanged{paid}"))


def _checked(check: ScenarioCheck) -> list[RenderableType]:
    verdict = f"{WORDS[check.verdict]}{STATES[check.state]}"
    headline = Text(f"{plain(check.name)}: {verdict}", style=f"bold {_STYLES[check.verdict]}")
    headline.append(f"  {plain(check.file or check.path)}", style="not bold dim")
    parts: list[RenderableType] = [headline, *_items(check.reasons)]
    parts += _listed("What changed", map(placed_input, check.changes))
    if check.metrics:
        parts += [Text(), _metrics(check), Text()]
    if check.costs is not None:
        parts.append(Text(f"Cost: {cost(check.costs)}"))
    if blame := why(check):
        parts.append(Text(plain(f"Why: {blame}")))
    for plan in other_plans(check):
        parts += _listed(plan.title, map(changed_stage, plan.changes))
    return [*parts, *_listed("Notes", check.notes)]


def _metrics(check: ScenarioCheck) -> Table:
    between = [f"Interval, {counted(len(check.seeds), 'seed')}"] if any(one.interval for one in check.metrics) else []
    table = new_table("Metric", "Before", "Now", "Change", *between, "Verdict", last=True)
    if (objectives := met(check)) is not None:
        table.add_row("objectives", *(Text(word, style="bold red" if word == "MISSED" else "") for word in objectives))
    for metric in check.metrics:
        table.add_row(
            plain(metric.metric),
            value(metric.before, metric.unit),
            value(metric.now, metric.unit),
            change(metric),
            *([interval(metric)] if between else []),
            Text(plain(judged(metric)), style="" if metric.verdict == "pass" else _STYLES[metric.verdict]),
        )
    return table


def _listed(title: str, lines: Iterable[str]) -> list[RenderableType]:
    """Return lines as a list with a title; nothing if there are none."""
    items = _items(lines)
    return [Text(f"{title}:"), *items] if items else []


def _items(lines: Iterable[str]) -> list[RenderableType]:
    shown = list(lines)
    more = [f"… and {len(shown) - _MOST:,} more"] if len(shown) > _MOST else []
    return [Padding(Text(f"* {item}"), (0, 0, 0, 2), expand=False) for item in (*map(plain, shown[:_MOST]), *more)]
