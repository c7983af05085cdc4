"""A check in words: figures, changes and sentences that a terminal and a document say alike.

What comes from a stranger's file stays in them as it is: whoever shows them escapes them.
"""

from collections.abc import Sequence
from decimal import Decimal
from typing import NamedTuple

from pipesim.check.fields import VERDICTS, Part, Verdict
from pipesim.check.parts import BUNDLE
from pipesim.check.report import (
    Change,
    CheckReport,
    Costs,
    Effect,
    MetricChange,
    ScenarioCheck,
    StageChange,
    State,
    Unit,
)
from pipesim.report.wording import counted, duration, figure, usd

WORDS: dict[Verdict, str] = {"pass": "ok", "warn": "warn", "fail": "FAIL", "infeasible": "infeasible"}
"""What a verdict is called."""
STATES: dict[State, str] = {"unchanged": ", unchanged", "changed": "", "new": ", new"}
"""What is added to the verdict on a scenario."""
_LARGEST_SHARE = 10
NONE = "–"
"""What stands for a value that is not there."""
_COUNTED: dict[Verdict, tuple[str, str]] = {
    "pass": ("is ok", "are ok"),
    "warn": ("warns", "warn"),
    "fail": ("fails", "fail"),
    "infeasible": ("is infeasible", "are infeasible"),
}
_SUBJECTS: dict[Part, tuple[str, str]] = {
    "pipeline": ("pipeline", "stage {}"),
    "profiles": ("profiles", "{} profile"),
    "prices": ("prices", "price of {}"),
    "traffic": ("traffic", "traffic {}"),
    "slo": ("objectives", "objective {}"),
    "space": ("search space", "search space of {}"),
}
"""What a part as a whole, and an item of it, are called."""


class OtherPlan(NamedTuple):
    """A plan that differs from the committed one: what it is, and where it differs."""

    title: str
    changes: tuple[StageChange, ...]


def value(amount: float | Decimal | None, unit: Unit) -> str:
    """Return the value of a metric.

    >>> value(5.53, "usd_per_hour"), value(0.874, "s"), value(0.0012, "share"), value(1.24, "factor"), value(None, "s")
    ('$5.53/h', '874 ms', '0.12 %', '1.24×', '–')
    """
    if amount is None:
        return NONE
    if unit == "usd_per_hour":
        return f"{usd(amount)}/h"
    if unit == "s":
        return duration(float(amount))
    return f"{figure(100 * float(amount))} %" if unit == "share" else f"{figure(float(amount))}×"


def signed(amount: float | Decimal, unit: Unit) -> str:
    """Return a change of a metric, that of a share in percentage points.

    >>> signed(-0.7, "usd_per_hour"), signed(0.013, "s"), signed(0.11, "share"), signed(0, "s")
    ('-$0.70/h', '+13 ms', '+11 points', '0')
    """
    if not amount:
        return "0"
    size = value(-amount if amount < 0 else amount, unit)
    return f"{'-' if amount < 0 else '+'}{size.removesuffix(' %') + ' points' if unit == 'share' else size}"


def relative(share: float | Decimal) -> str:
    """Return a change as a share of what was before.

    >>> relative(0.1234), relative(-0.0951), relative(0.004), relative(0)
    ('+12 %', '-9.5 %', '+0.4 %', '0 %')
    """
    percent = 100 * float(share)
    form = ",.0f" if abs(percent) >= 9.95 else ".2g" if abs(percent) >= 0.001 else ".3f"
    return f"{percent:+{form}} %" if percent else "0 %"


def change(metric: MetricChange) -> str:
    """Return how a metric changed, in its unit and as a share of what it was."""
    if metric.change is None:
        return NONE
    if metric.change == 0:
        return "none"
    text, share = signed(metric.change, metric.unit), metric.relative_change
    # Of next to nothing, everything is a multiple that tells nobody anything.
    return text if share is None or abs(share) > _LARGEST_SHARE else f"{text} ({relative(share)})"


def interval(metric: MetricChange) -> str:
    """Return between which values the change of a metric lies; nothing where that is certain."""
    if metric.interval is None:
        return ""
    low, high = (signed(end, metric.unit) for end in metric.interval)
    return f"{low.removesuffix(' points')} to {high}"


def moved(metric: MetricChange) -> str:
    """Return the values of a metric, how it changed and how sure that is: ``p99 874 ms → 979 ms, +105 ms (+12 %)``."""
    values = f"{metric.metric} {value(metric.before, metric.unit)} → {value(metric.now, metric.unit)}"
    by = "" if metric.change is None else f", {change(metric)}"
    return values + by + ("" if metric.interval is None else f", {interval(metric)}")


def judged(metric: MetricChange) -> str:
    """Return what the thresholds say of a metric, and whether its change may be luck."""
    broken = sorted((one for one in metric.outcomes if one.broken), key=lambda one: -VERDICTS.index(one.level))
    said = [f"{WORDS[one.level]} {one.rule}" for one in broken] or (["ok"] if metric.outcomes else [])
    if metric.change and not metric.certain:
        said.append("within noise")
    return ", ".join(said)


def met(check: ScenarioCheck) -> tuple[str, str] | None:
    """Return whether the committed plan meets the objectives, before and now; None if that was not asked."""
    words = {None: NONE, True: "met", False: "MISSED"}
    if check.met_now is None:
        return None
    return words[check.met_before], "does not fit" if check.misfit else words[check.met_now]


def cost(costs: Costs) -> str:
    """Return what is paid, before and now, and what prices and the plan have to do with it."""
    now = "no plan meets the objectives" if costs.now is None else value(costs.now, "usd_per_hour")
    if costs.before is None:
        return now if costs.committed_before is None else f"no plan met the objectives → {now}"
    before = value(costs.before, "usd_per_hour")
    if costs.now is None:
        return f"{before} → {now}"
    difference = costs.now - costs.before
    share = f", {relative(difference / costs.before)}" if costs.before else ""
    text = f"{before} → {now} ({signed(difference, 'usd_per_hour')}{share})" if difference else f"{before}, as before"
    if costs.price_effect is None or costs.plan_effect is None or not (costs.price_effect or costs.plan_effect):
        return text
    prices, plan = (signed(effect, "usd_per_hour") for effect in (costs.price_effect, costs.plan_effect))
    return f"{text}: prices {prices}, plan {plan}"


def why(check: ScenarioCheck) -> str:
    """Return what is to blame for the change of cost, the most first: ``+12 %: resnet152 profile +9 %, …``."""
    effects = sorted((one for one in check.attribution if one.usd_per_hour), key=lambda one: -abs(one.usd_per_hour))
    before = None if check.costs is None else check.costs.before
    said = []
    if effects and before is not None:
        difference = sum((effect.usd_per_hour for effect in effects), Decimal(0))
        total = relative(difference / before) if before else signed(difference, "usd_per_hour")
        said.append(f"{total}: {', '.join(map(_effect, effects))}")
    return ". ".join([*said, *([check.attribution_note] if check.attribution_note else [])])


def _effect(effect: Effect) -> str:
    size = signed(effect.usd_per_hour, "usd_per_hour") if effect.relative is None else relative(effect.relative)
    return f"{subject(effect.part, effect.item)} {size}"


def subject(part: str, item: str) -> str:
    """Return what a part, or an item of it, is called.

    >>> subject("profiles", "resnet152"), subject("prices", "l4"), subject("slo", ""), subject("pipesim", "")
    ('resnet152 profile', 'price of l4', 'objectives', 'pipesim itself')
    """
    for known, (whole, one) in _SUBJECTS.items():
        if known == part:
            return whole if not item else item if item.startswith(BUNDLE) else one.format(item)
    return "pipesim itself"


def changed_input(found: Change) -> str:
    """Return what became of an input."""
    return f"{subject(found.part, found.item)}: {found.text}"


def placed_input(found: Change) -> str:
    """Return what became of an input, and where that is written."""
    place = "" if found.file is None else found.file if found.line is None else f"{found.file}:{found.line}"
    return changed_input(found) + (f" ({place})" if place else "")


def changed_stage(found: StageChange) -> str:
    """Return what became of a stage.

    >>> changed_stage(StageChange(stage="image", before="3 × k80", now="4 × k80"))
    'image: 3 × k80 → 4 × k80'
    """
    if found.before is None:
        return f"{found.stage}: new, {found.now or NONE}"
    return f"{found.stage}: {found.before} → {found.now or 'gone'}"


def other_plans(check: ScenarioCheck) -> list[OtherPlan]:
    """Return the plans that differ from the committed one: that which would run now, and the cheapest found.

    A plan that changes at the same cost is told apart from one that changes what is paid.
    """
    costs, plans = check.costs, []
    if check.plan_changes:
        same = costs is not None and costs.plan_effect == 0
        title = "Another plan would run, at the same cost" if same else "Another plan would run"
        plans.append(OtherPlan(title, check.plan_changes))
    if check.best_changes and check.best_plan != check.plan_now and costs is not None and costs.best_now is not None:
        kind = (
            "A cheaper plan" if costs.now is None or costs.best_now < costs.now else "Another plan that costs as much"
        )
        plans.append(OtherPlan(f"{kind} was found, at {value(costs.best_now, 'usd_per_hour')}", check.best_changes))
    return plans


def summary(report: CheckReport) -> str:
    """Return how many scenarios there are, how they fare, and with what they were compared.

    The worst come first: ``3 scenarios: 1 fails, 2 are ok; 1 unchanged``.
    """
    checks = report.scenarios
    counts = {verdict: sum(check.verdict == verdict for check in checks) for verdict in reversed(VERDICTS)}
    fare = [f"{count:,} {_COUNTED[verdict][count > 1]}" for verdict, count in counts.items() if count]
    unchanged = sum(check.state == "unchanged" for check in checks)
    rest = f"; {unchanged:,} unchanged" if unchanged else ""
    if len(fare) == 1:
        return f"{counted(len(checks), 'scenario')} {fare[0].split(' ', 1)[1]}{rest}"
    return f"{counted(len(checks), 'scenario')}: {', '.join(fare)}{rest}"


def worst_first(checks: Sequence[ScenarioCheck]) -> list[ScenarioCheck]:
    """Return scenarios by verdict, those that changed before those that did not, else in their order."""
    return sorted(checks, key=lambda check: (-VERDICTS.index(check.verdict), check.state == "unchanged"))
