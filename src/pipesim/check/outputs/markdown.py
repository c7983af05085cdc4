"""A check as Markdown: the comment on a pull request, and the summary of a step.

It is short: a table, the reasons, and a fold-out for each scenario that changed. No text of a stranger's file is markup
in it, makes a link, or mentions a person or an issue.
"""

import re
from collections.abc import Iterable, Sequence
from decimal import Decimal
from html import escape

from pipesim.check.fields import Verdict
from pipesim.check.report import CheckReport, MetricChange, ScenarioCheck
from pipesim.check.wording import (
    NONE,
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
    worst_first,
)
from pipesim.errors import printable
from pipesim.report.plain_text import escaped
from pipesim.report.wording import counted

MARKER = "<!-- pipesim check -->"
"""What a comment of pipesim begins with, so that it is found and updated."""
MOST_CHARACTERS = 65_536
"""The longest comment that GitHub takes."""
_SIGNS: dict[Verdict, str] = {"pass": "✅", "warn": "⚠️", "fail": "❌", "infeasible": "⛔"}
_LONGEST_TEXT = 300
_LONGEST_NAME = 80
_MOST_ITEMS = 10
_MOST_METRICS = 30
_ROOM_FOR_NOTE = 200
_TABLE_HEAD = """\
| Scenario | Cost before | Now | Change | p99 | Headroom | Verdict |
| :--- | ---: | ---: | ---: | ---: | ---: | :--- |"""
# GitHub looks for mentions, issues and addresses in the text that the markup has made: no escape of Markdown helps.
_MENTION = re.compile(r"\\?[@#]|\bGH-(?=[0-9])|\\?:(?=//)|(?<=www)\\?\.", re.IGNORECASE)
_INVISIBLE = "&#8203;"
_BEFORE_UNIT = re.compile(r"(?<=[0-9]) (?=%|(?:[mnu]?s|min|h|points)\b)")


def pull_request_comment(report: CheckReport) -> str:
    """Return the comment on a pull request: at most 65,536 characters, its first line the marker.

    If all is well it is one line and a fold-out. What does not fit is left out whole, the least important first, and
    a note says so.
    """
    return f"{MARKER}\n{_body(report, MOST_CHARACTERS - len(MARKER) - 1)}"


def step_summary(report: CheckReport) -> str:
    """Return the same without the marker."""
    return _body(report, MOST_CHARACTERS)


def _body(report: CheckReport, room: int) -> str:
    good = report.verdict == "pass"
    told = [check for check in worst_first(report.scenarios) if check.state != "unchanged" or check.verdict != "pass"]
    first = [f"{_SIGNS[report.verdict]} **pipesim check**: {summary(report)}"]
    last = [_origin(report)]
    if good:
        first.append("<details><summary>Costs and changes</summary>")
        last.append("</details>")
    quiet = _quiet([check for check in report.scenarios if check not in told])
    room -= sum(len(part) + 2 for part in (*first, *quiet, *last)) + _ROOM_FOR_NOTE
    rows = _fitting([_row(check) for check in told], room // 2 - len(_TABLE_HEAD))
    table = ["\n".join([_TABLE_HEAD, *rows])] if rows else []
    room -= sum(len(part) + 2 for part in table)
    details = _fitting([_details(check, folded=not good) for check in told], room)
    note = _left_out(len(told) - len(rows), len(told) - len(details))
    return "\n\n".join([*first, *table, *quiet, *details, *note, *last]) + "\n"


def _fitting(parts: Sequence[str], room: int) -> list[str]:
    """Return the parts for which there is room, each with the two line breaks that may follow it."""
    fitting = []
    for part in parts:
        if (room := room - len(part) - 2) < 0:
            break
        fitting.append(part)
    return fitting


def _left_out(rows: int, details: int) -> list[str]:
    said = [f"{counted(rows, 'scenario')} left out of the table"] if rows else []
    said += [f"the details of {counted(details, 'scenario')} left out"] if details else []
    return [f"*There is no room for more: {', '.join(said)}.*"] if said else []


def _row(check: ScenarioCheck) -> str:
    paid = _metric(check, "cost")
    before, now = (value(amount, "usd_per_hour") for amount in _paid(check))
    cells = [
        _cut(check.name, _LONGEST_NAME),
        before,
        now,
        NONE if paid is None else change(paid),
        _from_to(_metric(check, "p99")),
        _from_to(_metric(check, "headroom")),
        f"{_SIGNS[check.verdict]} {WORDS[check.verdict]}{STATES[check.state]}",
    ]
    return f"| {' | '.join(map(text, cells))} |"


def _paid(check: ScenarioCheck) -> tuple[Decimal | float | None, Decimal | float | None]:
    """Return what is paid, before and now: of a new scenario its metrics alone tell."""
    if check.costs is not None:
        return check.costs.before, check.costs.now
    paid = _metric(check, "cost")
    return (None, None) if paid is None else (paid.before, paid.now)


def _metric(check: ScenarioCheck, name: str) -> MetricChange | None:
    return next((metric for metric in check.metrics if metric.metric == name), None)


def _from_to(metric: MetricChange | None) -> str:
    if metric is None:
        return NONE
    before, now = value(metric.before, metric.unit), value(metric.now, metric.unit)
    return now if metric.before is None or before == now else f"{before} → {now}"


def _quiet(checks: Sequence[ScenarioCheck]) -> list[str]:
    """Return the scenarios that did not change and are well, in one line."""
    if not checks:
        return []
    names = [text(_cut(check.name, _LONGEST_NAME)) for check in checks[:_MOST_ITEMS]]
    more = [f"and {len(checks) - _MOST_ITEMS:,} more"] if len(checks) > _MOST_ITEMS else []
    return [f"Unchanged: {', '.join([*names, *more])}."]


def _details(check: ScenarioCheck, *, folded: bool) -> str:
    """Return all that is known of a scenario: to be folded out, or below a heading."""
    name, reasons = _cut(check.name, _LONGEST_NAME), "; ".join(check.reasons) or WORDS[check.verdict]
    blocks = [f"File: {text(check.file or check.path)}"]
    if check.metrics:
        blocks.append(_metrics(check))
    said = {"Cost": "" if check.costs is None else cost(check.costs), "Why": why(check)}
    blocks += ["\\\n".join(f"**{title}:** {text(words)}" for title, words in said.items() if words)]
    blocks += _listed("What changed", map(placed_input, check.changes))
    for plan in other_plans(check):
        blocks += _listed(plan.title, map(changed_stage, plan.changes))
    blocks += _listed("Notes", check.notes)
    body = "\n\n".join(block for block in blocks if block)
    if not folded:
        return f"#### {text(name)}\n\n{body}"
    title = f"<b>{text_in_html(name)}</b>: {text_in_html(_cut(reasons, _LONGEST_TEXT))}"
    return f"<details><summary>{_SIGNS[check.verdict]} {title}</summary>\n\n{body}\n\n</details>"


def _metrics(check: ScenarioCheck) -> str:
    between = [f"Interval, {counted(len(check.seeds), 'seed')}"] if any(one.interval for one in check.metrics) else []
    head = ["Metric", "Before", "Now", "Change", *between, "Verdict"]
    rule = [":---", *["---:"] * (len(head) - 2), ":---"]
    rows: list[Sequence[str]] = [head, rule]
    if (objectives := met(check)) is not None:
        rows.append(["objectives", *objectives, *[""] * (len(head) - 3)])
    for one in check.metrics[:_MOST_METRICS]:
        values = (value(one.before, one.unit), value(one.now, one.unit), change(one))
        cells = [_cut(one.metric, _LONGEST_NAME), *values, *([interval(one)] if between else []), judged(one)]
        rows.append([text(cell) for cell in cells])
    return "\n".join(f"| {' | '.join(cell or ' ' for cell in row)} |" for row in rows)


def _listed(title: str, lines: Iterable[str]) -> list[str]:
    shown = list(lines)
    if not shown:
        return []
    more = [f"- … and {len(shown) - _MOST_ITEMS:,} more"] if len(shown) > _MOST_ITEMS else []
    return ["\n".join([f"**{text(title)}:**", "", *(f"- {text(line)}" for line in shown[:_MOST_ITEMS]), *more])]


def _origin(report: CheckReport) -> str:
    baseline = report.baseline
    compared = f"Compared with {text(baseline.name)} (SHA-256 {baseline.sha256[:12]}…)"
    lines = [f"{compared} by pipesim {text(report.pipesim_version)}.", *map(text, baseline.notes[:_MOST_ITEMS])]
    return "\\\n".join(lines)


def _cut(line: str, longest: int) -> str:
    line = printable(" ".join(line.split()))
    return line if len(line) <= longest else line[: longest - 1] + "…"


def text(line: str) -> str:
    r"""Return a text as a comment shows it: no letter of it markup, nobody mentioned, units beside their numbers.

    >>> text("<b> @me #1|"), text("300 ms")
    ('\\<b\\> @&#8203;me #&#8203;1\\|', '300&nbsp;ms')
    """
    dead = _MENTION.sub(lambda found: found[0].removeprefix("\\") + _INVISIBLE, escaped(_cut(line, _LONGEST_TEXT)))
    return _BEFORE_UNIT.sub("&nbsp;", dead)


def text_in_html(line: str) -> str:
    """Return the same inside of an element, where markup of Markdown is none.

    >>> text_in_html("<b> @me #1|")
    '&lt;b&gt; @&#8203;me #&#8203;1|'
    """
    return _MENTION.sub(lambda found: found[0] + _INVISIBLE, escape(line, quote=False))
