"""What is paid on both sides, and what of the difference is a matter of prices and what of the plan."""

from collections.abc import Mapping
from decimal import Decimal

from pipesim.check.baseline import Entry
from pipesim.check.evaluation import Evaluation
from pipesim.check.report import Costs, Price
from pipesim.model import Plan
from pipesim.model.hardware import Catalogue


def changed_costs(entry: Entry, evaluation: Evaluation) -> Costs:
    """Return the costs of a scenario that was evaluated anew."""
    before, now = entry.paid_usd_per_hour, evaluation.cost_usd_per_hour
    paid_now = None if (paid := entry.paid_plan) is None else _cost(paid, evaluation.scenario.catalogue)
    price_effect = plan_effect = None
    if before is not None and paid_now is not None:
        price_effect = paid_now - before
        plan_effect = None if now is None else now - before - price_effect
    return Costs(
        before=before,
        now=now,
        committed_before=entry.cost_usd_per_hour,
        committed_now=_cost(entry.plan, evaluation.scenario.catalogue),
        best_before=entry.best_cost_usd_per_hour,
        best_now=evaluation.best_usd_per_hour,
        price_effect=price_effect,
        plan_effect=plan_effect,
    )


def unchanged_costs(entry: Entry) -> Costs:
    """Return the costs of a scenario that is what it was."""
    cost = entry.paid_usd_per_hour
    return Costs(
        before=cost,
        now=cost,
        committed_before=entry.cost_usd_per_hour,
        committed_now=entry.cost_usd_per_hour,
        best_before=entry.best_cost_usd_per_hour,
        best_now=entry.best_cost_usd_per_hour,
        price_effect=Decimal(0),
        plan_effect=None if cost is None else Decimal(0),
    )


def new_costs(now: Decimal | None) -> Costs:
    """Return the costs of a scenario that the baseline does not know, whose cheapest plan costs so much."""
    return Costs(
        before=None,
        now=now,
        committed_before=None,
        committed_now=None,
        best_before=None,
        best_now=now,
        price_effect=None,
        plan_effect=None,
    )


def _cost(plan: Plan, catalogue: Catalogue) -> Decimal | None:
    """Return what a plan costs at these prices; None if it runs on what has none."""
    priced = all(stage.hardware in catalogue.names for stage in plan.stages.values())
    return plan.cost_usd_per_hour(catalogue) if priced else None


def exact_before(costs: Costs) -> dict[str, Decimal | None]:
    """Return the costs of before by the names of metrics."""
    return {"cost": costs.before, "committed_cost": costs.committed_before, "best_cost": costs.best_before}


def exact_now(costs: Costs) -> dict[str, Decimal | None]:
    """Return the costs of now by the names of metrics."""
    return {"cost": costs.now, "committed_cost": costs.committed_now, "best_cost": costs.best_now}


def prices_between(before: Mapping[str, Decimal], now: Mapping[str, Decimal]) -> dict[str, Price]:
    """Return the prices of the units that either side has."""
    return {unit: Price(before=before.get(unit), now=now.get(unit)) for unit in sorted({*before, *now})}
