"""All plans of the search space in order of cost, until one is feasible: slow, and right without any theory.

The bound is not used. A part of a plan that makes too many queries miss excludes the plans that have it, and so does
the cheapest feasible plan those that cost no less.
"""

import pandas as pd

from pipesim.planner.evaluator import Evaluator, StopSearchError
from pipesim.planner.finding import Finding, Obstacle, Proof
from pipesim.planner.methods.tree import Choice, Tree


def enumerate_plans(evaluator: Evaluator) -> Finding:
    """Return the cheapest plan of the search space; if the budget suffices, it is optimal."""
    choices = [_all_settings(evaluator, name) for name in evaluator.order]
    tree = Tree(evaluator, choices, evaluator.too_dear())
    complete = True
    try:
        tree.run(10**12)
    except StopSearchError:
        complete = False
    evaluator.bound_usd_per_hour = evaluator.money.usd(tree.bound)
    best, history = evaluator.best, pd.DataFrame()
    if best is None and complete:
        limited = evaluator.scenario.quota or evaluator.scenario.max_cost_usd_per_hour is not None
        within = " within its quotas and ceiling" if limited else ""
        why = f"Every plan of the search space{within} was tried, and none meets the objectives."
        return Finding(None, history, obstacle=Obstacle(True, why, ("Widen the search space or raise the bound.",)))
    return Finding(best, history, complete=complete, proof=Proof(len(choices) if complete else 0, excluded=complete))


def _all_settings(evaluator: Evaluator, name: str) -> list[Choice]:
    space = evaluator.space[name]
    settings = (
        option.setting(replicas, size)
        for option in space.options
        for replicas in range(space.min_replicas, space.max_replicas + 1)
        for size in option.batch_sizes
    )
    return sorted(
        (Choice(evaluator.money.stage(name, setting), setting) for setting in settings), key=lambda choice: choice.rank
    )
