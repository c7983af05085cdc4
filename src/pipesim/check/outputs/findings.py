"""What is wrong, one finding for each rule that is broken, and which file and line is to blame.

Annotations, SARIF and GitLab's code quality are lists of these.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from pipesim.check.fields import VERDICTS
from pipesim.check.report import Change, CheckReport, ScenarioCheck
from pipesim.check.wording import changed_input, moved
from pipesim.errors import printable

Severity = Literal["error", "warning"]
_LONGEST = 1000


@dataclass(frozen=True, slots=True)
class Place:
    """Where a finding is shown: a file relative to the folder that the command ran in, and a line of it if known."""

    file: str
    line: int | None = None
    text: str = ""
    """What is there."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong.

    Parameters
    ----------
    kind
        ``infeasible``, ``objectives`` if the committed plan misses them or fits no more, the name of a metric, or
        ``check`` for what is none of these.
    severity
        Whether it fails the check.
    scenario, path
        Its name, and its file as the baseline has it.
    message
        What is wrong, in one printable line.
    places
        The inputs that changed, what is most to blame first; else the scenario file.
    """

    kind: str
    severity: Severity
    scenario: str
    path: str
    message: str
    places: tuple[Place, ...]

    @property
    def fingerprint(self) -> str:
        """Return what stays the same from run to run, whatever the figures are and wherever lines move."""
        return hashlib.sha256(f"{self.path}\0{self.kind}".encode()).hexdigest()


def findings(report: CheckReport) -> tuple[Finding, ...]:
    """Return what is wrong, errors first, else in the order of the scenarios.

    A scenario whose verdict is not ``pass`` has one at least, and one of its level; of several broken rules of a metric
    the worst decides on the level.
    """
    found = [finding for check in report.scenarios for finding in _of(check)]
    return tuple(sorted(found, key=lambda finding: finding.severity == "warning"))


def own_reasons(check: ScenarioCheck) -> str:
    """Return the reasons that no rule gives: that the committed plan misses, say, or that no plan is feasible."""
    rules = [one.rule for metric in check.metrics for one in metric.outcomes if one.broken]
    return "; ".join(reason for reason in check.reasons if not any(rule in reason for rule in rules))


def one_line(text: str) -> str:
    """Return a text in one printable line, cut if it is very long."""
    line = printable(" ".join(text.split()))
    return line if len(line) <= _LONGEST else line[: _LONGEST - 1] + "…"


def _of(check: ScenarioCheck) -> list[Finding]:
    if check.verdict == "pass":
        return []
    level: Severity = "warning" if check.verdict == "warn" else "error"
    places = _places(check)

    def finding(kind: str, severity: Severity, message: str) -> Finding:
        return Finding(kind, severity, check.name, check.path, one_line(message), places)

    found = []
    for metric in check.metrics:
        broken = sorted((one for one in metric.outcomes if one.broken), key=lambda one: -VERDICTS.index(one.level))
        if broken:
            rules = " and ".join(one.rule for one in broken)
            severity: Severity = "error" if broken[0].level == "fail" else "warning"
            found.append(finding(metric.metric, severity, f"{moved(metric)}, breaks {rules}"))
    covered = any(one.severity == level for one in found)
    if (own := own_reasons(check)) or not covered:
        kind = (
            "infeasible"
            if check.verdict == "infeasible"
            else "check"
            if check.met_now in (None, True)
            else "objectives"
        )
        severity = level if kind != "check" or not covered else "warning"
        found.insert(0, finding(kind, severity, own or f"the verdict is {check.verdict}"))
    return found


def _places(check: ScenarioCheck) -> tuple[Place, ...]:
    blame = {(effect.part, effect.item): abs(effect.usd_per_hour) for effect in check.attribution}
    changes: Sequence[Change] = sorted(check.changes, key=lambda one: -blame.get((one.part, one.item), 0))
    places = [Place(one.file, one.line, one_line(changed_input(one))) for one in changes if one.file is not None]
    return tuple(places) or (Place(check.file or check.path),)
