"""Reports of checks for tests of how they are shown: made by hand, no scenario behind them."""

from decimal import Decimal
from typing import Any

from pipesim.check.report import (
    BaselineNote,
    Change,
    CheckReport,
    Costs,
    Effect,
    MetricChange,
    Outcome,
    ScenarioCheck,
    StageChange,
)
from pipesim.model import Plan, StagePlan

COMMITTED = Plan(stages={"image": StagePlan(hardware="k80", replicas=3, max_batch_size=10)})
LARGER = COMMITTED.with_stage("image", replicas=4)
CHEAPER = COMMITTED.with_stage("image", hardware="l4", replicas=2)
HOSTILE = (
    "</details><script>alert(1)</script>|`x`|\n## @victim fixes #12, GH-34, https://evil.example www.evil.example "
    "[a](http://evil.example) ![b](http://evil.example/c.png) *d* \x1b[31m\u202e ::error::no ##[set-output name=a]b %0A"
)


def metric(name: str, unit: Any, before: float | None, now: float | None, *rules: str, **fields: Any) -> MetricChange:
    """Return a metric before and now; a rule that begins with ``!`` is broken, one with ``?`` would warn."""
    outcomes = tuple(
        Outcome(rule=rule.lstrip("!?"), level="warn" if "?" in rule[:2] else "fail", broken="!" in rule[:2])
        for rule in rules
    )
    change = None if before is None or now is None else now - before
    levels = {outcome.level for outcome in outcomes if outcome.broken}
    known = {
        "relative_change": change / before if change is not None and before else None,
        "interval": None,
        "certain": True,
        "verdict": "fail" if "fail" in levels else "warn" if "warn" in levels else "pass",
    }
    return MetricChange(
        metric=name, unit=unit, before=before, now=now, change=change, outcomes=outcomes, **known | fields
    )


def costs(before: str, now: str | None, *, committed_now: str | None = None, best_now: str | None = None) -> Costs:
    """Return costs of a plan that was the cheapest; `committed_now` is that of before if prices stayed."""
    paid, committed = Decimal(before), Decimal(committed_now or before)
    return Costs(
        before=paid,
        now=None if now is None else Decimal(now),
        committed_before=paid,
        committed_now=committed,
        best_before=paid,
        best_now=None if (best_now or now) is None else Decimal(best_now or now or ""),
        price_effect=committed - paid,
        plan_effect=None if now is None else Decimal(now) - committed,
    )


def check(name: str, **fields: Any) -> ScenarioCheck:
    known: dict[str, Any] = {
        "path": f"examples/{name}.yaml",
        "name": name,
        "state": "changed",
        "verdict": "pass",
        "reasons": (),
    }
    return ScenarioCheck(**known | fields)


def report(*checks: ScenarioCheck, **fields: Any) -> CheckReport:
    order = ("pass", "warn", "fail", "infeasible")
    known: dict[str, Any] = {
        "pipesim_version": "0.1.0",
        "baseline": BaselineNote(name="pipesim.lock.json", sha256="ab" * 32),
        "verdict": max((one.verdict for one in checks), key=order.index),
    }
    return CheckReport(scenarios=checks, **known | fields)


def unchanged(name: str = "quiet") -> ScenarioCheck:
    return check(name, state="unchanged", costs=costs("1.20", "1.20"))


def failing(name: str = "social-media", **fields: Any) -> ScenarioCheck:
    """Return a scenario whose model grew slower and whose hardware grew dearer: another plan, at more cost."""
    known: dict[str, Any] = {
        "verdict": "fail",
        "reasons": (
            "the committed plan no longer meets the objectives",
            "cost $5.53/h → $6.88/h, +$1.35/h (+24 %), breaks cost:+5%",
            "p99 874 ms → 979 ms, +105 ms (+12 %), breaks p99:+10%",
            "p99 874 ms → 979 ms, +105 ms (+12 %), breaks p99:+20ms",
            "headroom 1.11× → 0.98×, -0.13× (-12 %), breaks headroom:-10%",
        ),
        "changes": (
            Change(part="prices", item="k80", text="0.70 → 0.72 USD an hour (+3 %)", file="prices.yaml", line=4),
            Change(
                part="profiles",
                item="resnet152",
                text="k80, batch 8: 132.9 ms → 146.2 ms (+10 %)",
                file="profiles/mine.csv",
                line=12,
            ),
            Change(part="slo", item="", text="p99 <= 1.5 s → p99 <= 1.4 s"),
        ),
        "met_before": True,
        "met_now": False,
        "metrics": (
            metric("cost", "usd_per_hour", 5.53, 6.88, "!cost:+5%"),
            metric("p50", "s", 0.246, 0.2475, interval=(-0.001, 0.004), certain=False),
            metric("p99", "s", 0.874, 0.979, "!p99:+10%", "!?p99:+20ms", interval=(0.091, 0.119)),
            metric("miss_rate", "share", 0.0, 0.013, interval=(0.011, 0.015)),
            metric("utilisation", "share", 0.91, 0.97, "utilisation:99%", interval=(0.058, 0.062)),
            metric("headroom", "factor", 1.11, 0.98, "!?headroom:-10%", interval=(-0.14, -0.12)),
        ),
        "costs": costs("5.53", "6.88", committed_now="5.59"),
        "committed_plan": COMMITTED,
        "plan_now": LARGER,
        "best_plan": LARGER,
        "plan_changes": (StageChange(stage="image", before="3 × k80, batch 10", now="4 × k80, batch 10"),),
        "best_changes": (StageChange(stage="image", before="3 × k80, batch 10", now="4 × k80, batch 10"),),
        "attribution": (
            Effect(part="prices", item="k80", usd_per_hour=Decimal("0.166"), relative=0.03),
            Effect(part="profiles", item="resnet152", usd_per_hour=Decimal("1.184"), relative=0.214),
            Effect(part="slo", item="", usd_per_hour=Decimal(0), relative=0.0),
        ),
        "seeds": (1, 2, 3, 4, 5),
        "notes": ("resnet152 on k80 rests on a stand-in",),
    }
    return check(name, **known | fields)


def warning(name: str = "tf-cascade") -> ScenarioCheck:
    """Return a scenario that warns, and whose plan changes at equal cost."""
    return check(
        name,
        verdict="warn",
        reasons=("headroom 1.3× → 1.16×, -0.14× (-11 %), breaks headroom:-10%",),
        changes=(
            Change(part="traffic", item="", text="rate 150 → 165 a second", file="examples/tf-cascade.yaml", line=3),
        ),
        met_before=True,
        met_now=True,
        metrics=(
            metric("cost", "usd_per_hour", 2.0, 2.0, "cost:+5%"),
            metric("p99", "s", 0.100, 0.104, "p99:+10%", interval=(-0.001, 0.009), certain=False),
            metric("headroom", "factor", 1.3, 1.16, "!?headroom:-10%", interval=(-0.15, -0.13)),
        ),
        costs=costs("2.00", "2.00", best_now="1.80"),
        committed_plan=COMMITTED,
        plan_now=LARGER,
        best_plan=CHEAPER,
        plan_changes=(StageChange(stage="image", before="3 × k80, batch 10", now="2 × v100, batch 10"),),
        best_changes=(StageChange(stage="image", before="3 × k80, batch 10", now="2 × l4, batch 10"),),
        attribution_note="no part of the change is to blame for more than another",
        seeds=(1, 2, 3),
    )


def infeasible(name: str = "frontier") -> ScenarioCheck:
    return check(
        name,
        verdict="infeasible",
        reasons=("no plan meets p99 <= 100 ms",),
        changes=(Change(part="slo", item="", text="p99 <= 1.5 s → p99 <= 100 ms"),),
        met_before=True,
        met_now=False,
        metrics=(metric("cost", "usd_per_hour", 3.0, None), metric("p99", "s", 0.2, 0.2, "p99:+10%")),
        costs=costs("3.00", None),
        committed_plan=COMMITTED,
        attribution_note="there is no cost now that could be divided",
    )


def fresh(name: str = "brand-new") -> ScenarioCheck:
    """Return a scenario that the baseline does not know."""
    none = dict.fromkeys(("before", "committed_before", "committed_now", "best_before", "price_effect", "plan_effect"))
    return check(
        name,
        state="new",
        verdict="warn",
        reasons=("it is not in the baseline: run pipesim baseline update",),
        metrics=(metric("cost", "usd_per_hour", None, 4.2),),
        costs=Costs(now=Decimal("4.2"), best_now=Decimal("4.2"), **none),
        plan_now=COMMITTED,
        best_plan=COMMITTED,
    )


def several() -> CheckReport:
    return report(
        failing(),
        warning(),
        infeasible(),
        fresh(),
        unchanged(),
        baseline=BaselineNote(
            name="pipesim.lock.json", sha256="ab" * 32, notes=("examples/old.yaml is not there any more",)
        ),
    )


def hostile() -> CheckReport:
    """Return a report in which every text that is free is a stranger's attempt at markup, commands and escapes."""
    one = failing(
        name=HOSTILE,
        path=f"{HOSTILE}.yaml",
        reasons=(HOSTILE,),
        changes=(Change(part="profiles", item=HOSTILE, text=HOSTILE, file=HOSTILE, line=3),),
        metrics=(metric(HOSTILE, "s", 1.0, 2.0, f"!{HOSTILE}"),),
        plan_changes=(StageChange(stage=HOSTILE, before=HOSTILE, now=HOSTILE),),
        attribution=(Effect(part="profiles", item=HOSTILE, usd_per_hour=Decimal(1), relative=None),),
        attribution_note=HOSTILE,
        notes=(HOSTILE,),
    )
    return report(one, unchanged(), baseline=BaselineNote(name=HOSTILE, sha256="ab" * 32, notes=(HOSTILE,)))
