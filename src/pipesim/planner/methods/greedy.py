"""InferLine's planner, as published: a feasible plan first, then greedy steps to cheaper ones.

Source: Crankshaw et al., "InferLine: ML prediction pipeline provisioning and management for tight latency
objectives", arXiv 1812.01776, section 5, algorithms 1 and 2. Where the print leaves something open:

* The first test is whether the service time alone *exceeds* the objective (some prints have it inverted). It is made on
  the drawn routes, with the least that each item can take on any hardware and in any batch, so it is a proof.
* If the largest numbers of replicas do not suffice at batch 1, the batch limits grow too, again at the bottleneck: the
  paper has no limit of replicas and need not say.
* IncreaseBatch goes to the next batch limit of the search space. It leaves the cost as it is, so it is taken when no
  cheaper plan can be reached in one action; a batch limit then never decreases except with a lower cost, so the search
  cannot loop, and cannot stall before every batch limit is as large as it may be.
* DowngradeHardware replans the stage alone on the next cheaper hardware, from batch 1, the others frozen, and counts
  only if the outcome is cheaper. So hardware of an equal price is never tried, and one that will not do hides all that
  are cheaper still.
* Of actions that lead to equal costs, RemoveReplica goes before DowngradeHardware before IncreaseBatch, and then the
  stage that comes first in the file.
"""

from collections.abc import Callable
from typing import Literal

import pandas as pd

from pipesim.engine import simulate
from pipesim.model import HardwareOption, Plan
from pipesim.planner.evaluator import Evaluator, StopSearchError
from pipesim.planner.explain import describe_queueing_limit, describe_service_limit
from pipesim.planner.finding import Finding, Obstacle

Action = Literal["initialise", "add replica", "remove replica", "downgrade hardware", "increase batch"]


class _History:
    """The steps of a search, in order."""

    COLUMNS = (
        "round", "action", "stage", "hardware", "replicas", "max_batch_size", "cost_usd_per_hour", "feasible", "taken",
        "evaluations",
    )  # fmt: skip

    def __init__(self, evaluator: Evaluator) -> None:
        self._evaluator = evaluator
        self._rows: list[tuple[object, ...]] = []
        self._round = 0

    def add(self, action: Action, stage: str, plan: Plan, *, feasible: bool, taken: bool) -> None:
        """Note a step; the next belongs to another round if this one was taken."""
        setting = ("", 0, 0)
        if stage:
            chosen = plan.stages[stage]
            setting = (chosen.hardware, chosen.replicas, chosen.max_batch_size)
        cost, evaluations = float(self._evaluator.cost(plan)), self._evaluator.evaluations
        self._rows.append((self._round, action, stage, *setting, cost, feasible, taken, evaluations))
        self._round += taken

    def frame(self) -> pd.DataFrame:
        """Return one row per step."""
        return pd.DataFrame(self._rows, columns=list(self.COLUMNS))


def plan_greedily(evaluator: Evaluator) -> Finding:
    """Return the plan that InferLine's greedy planner finds.

    If it finds none, that is a proof if the service time alone exceeds an objective; it is none if the most replicas
    and the largest batches on the fastest hardware do not meet it.
    """
    history = _History(evaluator)
    best: Plan | None = None
    try:
        outcome = _initialise(evaluator, history)
        if isinstance(outcome, Obstacle):
            return Finding(None, history.frame(), obstacle=outcome)
        following: Plan | None = outcome
        while following is not None:
            best = following
            following = _next_plan(evaluator, history, best)
    except StopSearchError:
        return Finding(best, history.frame(), complete=False)
    return Finding(best, history.frame())


def fastest(options: tuple[HardwareOption, ...]) -> HardwareOption:
    """Return the option with the shortest service time at its smallest batch limit, the cheapest of equals."""
    return min(
        options,
        key=lambda option: (
            int(option.profile.table_ns[option.batch_sizes[0]]),
            option.price_usd_per_hour,
            option.hardware,
        ),
    )


def _initialise(evaluator: Evaluator, history: _History) -> Plan | Obstacle:
    """Return the first feasible plan (algorithm 1): batch 1, best hardware, replicas added at the bottleneck."""
    workload, space = evaluator.workload, evaluator.space
    too_slow = evaluator.too_slow(evaluator.largest)
    if too_slow is not None:
        return Obstacle(True, *describe_service_limit(too_slow, evaluator.largest))
    options = {name: fastest(stage.options) for name, stage in space.items()}
    plan = Plan(
        stages={
            name: option.setting(space[name].min_replicas, option.batch_sizes[0]) for name, option in options.items()
        }
    )
    feasible = evaluator.feasible(plan)
    history.add("initialise", "", plan, feasible=feasible, taken=True)
    while not feasible:
        growing = [name for name, stage in plan.stages.items() if stage.replicas < space[name].max_replicas]
        batching = [name for name in plan.stages if _larger_batch(evaluator, plan, name) is not None]
        if not growing and not batching:
            return Obstacle(False, *describe_queueing_limit(simulate(workload, plan)))
        stage = evaluator.bottleneck(plan, growing or batching)
        larger = _larger_batch(evaluator, plan, stage)
        if growing or larger is None:
            action: Action = "add replica"
            plan = plan.with_stage(stage, replicas=plan.stages[stage].replicas + 1)
        else:
            action, plan = "increase batch", larger
        feasible = evaluator.feasible(plan)
        history.add(action, stage, plan, feasible=feasible, taken=True)
    return plan


def _next_plan(evaluator: Evaluator, history: _History, plan: Plan) -> Plan | None:
    """Return the cheapest feasible plan that one action leads to (algorithm 2), or None if no action leads anywhere."""
    stages = list(plan.stages)
    actions: tuple[tuple[Action, Callable[[Evaluator, Plan, str], Plan | None]], ...] = (
        ("remove replica", _one_replica_less),
        ("downgrade hardware", _downgrade),
        ("increase batch", _larger_batch),
    )
    candidates = [
        (action, stage, new)
        for action, apply in actions
        for stage in stages
        if (new := apply(evaluator, plan, stage)) is not None
    ]
    candidates.sort(key=lambda candidate: evaluator.cost(candidate[2]))  # stable: equal costs stay in order
    for action, stage, new in candidates:
        feasible = evaluator.feasible(new)
        history.add(action, stage, new, feasible=feasible, taken=feasible)
        if feasible:
            return new
    return None


def _one_replica_less(evaluator: Evaluator, plan: Plan, stage: str) -> Plan | None:
    replicas = plan.stages[stage].replicas
    if replicas == evaluator.workload.scenario.space[stage].min_replicas:
        return None
    return plan.with_stage(stage, replicas=replicas - 1)


def _larger_batch(evaluator: Evaluator, plan: Plan, stage: str) -> Plan | None:
    chosen = plan.stages[stage]
    sizes = evaluator.workload.scenario.space[stage].option(chosen.hardware).batch_sizes
    larger = [size for size in sizes if size > chosen.max_batch_size]
    return plan.with_stage(stage, max_batch_size=larger[0]) if larger else None


def _downgrade(evaluator: Evaluator, plan: Plan, stage: str) -> Plan | None:
    """Return the plan with one stage replanned alone on the next cheaper hardware, if that is feasible and cheaper."""
    space = evaluator.workload.scenario.space[stage]
    price = space.option(plan.stages[stage].hardware).price_usd_per_hour
    cheaper = [option for option in space.options if option.price_usd_per_hour < price]
    if not cheaper:
        return None
    option = cheaper[0]
    cost = evaluator.cost(plan)
    new = plan.with_stage(stage, **option.setting(space.min_replicas, option.batch_sizes[0]).model_dump())
    settings = {name: [chosen] for name, chosen in plan.stages.items()}
    settings[stage] = [option.setting(1, option.batch_sizes[-1])]
    if evaluator.cost(new) >= cost or not evaluator.feasible_without_queues(settings):
        return None
    while not evaluator.feasible(new):
        replicas = new.stages[stage].replicas
        if replicas == space.max_replicas:
            return None
        new = new.with_stage(stage, replicas=replicas + 1)
    while True:
        less, larger = _one_replica_less(evaluator, new, stage), _larger_batch(evaluator, new, stage)
        if less is not None and evaluator.feasible(less):
            new = less
        elif larger is not None and evaluator.feasible(larger):
            new = larger
        else:
            return new if evaluator.cost(new) < cost else None
