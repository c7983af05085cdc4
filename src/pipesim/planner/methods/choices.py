"""The settings of each stage that a cheaper plan could have, by the bound."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pipesim.model import Plan, StagePlan
from pipesim.planner.evaluator import BLOCK, Evaluator
from pipesim.planner.methods.tree import Choice

if TYPE_CHECKING:
    from pipesim.planner.bound import Bound


def choices_below(evaluator: Evaluator, bound: "Bound", below: int) -> list[list[Choice]] | None:
    """Return for each stage the settings that feasible plans below a cost can have, by rank: the cheapest first.

    Parameters
    ----------
    evaluator
        Whose search space and prices count.
    bound
        What is known of feasible plans.
    below
        A cost in whole units.

    Returns
    -------
    list or None
        None if some stage has none, so that there is no such plan.
    """
    found = []
    for stage in range(len(evaluator.order)):
        some = _of_stage(evaluator, bound, stage, below)
        if not some:
            return None
        found.append(sorted(some, key=lambda choice: choice.rank))
    return found


def _of_stage(evaluator: Evaluator, bound: "Bound", stage: int, below: int) -> Sequence[Choice]:
    name, money, scenario = evaluator.order[stage], evaluator.money, evaluator.scenario
    space = evaluator.space[name]
    found = []
    for column, most in bound.columns_below(stage, below):
        option = space.options[column.option]
        for size in option.batch_sizes:
            fewest = bound.fewest(stage, option.hardware, size)
            if fewest is None:
                continue
            for replicas in range(max(fewest, column.fewest), most + 1):
                setting = option.setting(replicas, size)
                if scenario.quota and scenario.over_quota(Plan.model_construct(stages={name: setting})):
                    break
                cost = money.stage(name, setting)
                if cost + bound.least_of_others(stage) < below and not bound.has_failed(stage, setting):
                    found.append(Choice(cost, setting))
    return found


def sift(evaluator: Evaluator, bound: "Bound", choices: Sequence[Sequence[Choice]]) -> bool:
    """Test the choices of stages that nothing feeds alone, and tell the bound which fail; return whether any do.

    What such a stage does depends on nothing else, so no feasible plan has a setting of it that fails alone.

    Raises
    ------
    StopSearchError
        If the budget is used up.
    """
    failed: list[tuple[int, StagePlan]] = []
    for stage, some in enumerate(choices):
        if evaluator.workload.deliveries.stages[stage].upstream:
            continue
        settings = [choice.setting for choice in some]
        outcomes = [
            outcome
            for first in range(0, len(settings), BLOCK)
            for outcome in evaluator.test([((stage, setting),) for setting in settings[first : first + BLOCK]])
        ]
        failed += [(stage, setting) for setting, one in zip(settings, outcomes, strict=True) if one is None]
    bound.learn(failed)
    return bool(failed)
