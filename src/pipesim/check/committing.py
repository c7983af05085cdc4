"""What a baseline says of a scenario: the plan that is committed to, what it costs and does, and what that rests on."""

from collections.abc import Iterable
from importlib.metadata import version

from pipesim.check.baseline import Entry
from pipesim.check.evaluation import Evaluation
from pipesim.check.measures import SEEDS, measured, seeds_from
from pipesim.check.parts import files_of, hashes_of, prices_of
from pipesim.check.verdicts import why_none
from pipesim.errors import InvalidInputError
from pipesim.model import Plan, Scenario
from pipesim.planner.planning import MAX_EVALUATIONS


def entry_of(
    scenario: Scenario,
    plan: Plan | None,
    *,
    seeds: int = SEEDS,
    quantiles: Iterable[str] = (),
    max_evaluations: int = MAX_EVALUATIONS,
) -> Entry:
    """Return what a baseline says of a scenario.

    Parameters
    ----------
    scenario
        What is asked.
    plan
        The plan to commit to; by default the cheapest that meets the objectives.
    seeds
        Under how many seeds it is simulated.
    quantiles
        Of the latency, that rules are about.
    max_evaluations
        Tests of plans that the search may take.

    Raises
    ------
    FileFormatError, InvalidInputError
        If the traffic cannot be read, no plan is given and none meets the objectives, or the one given does not fit.
    """
    evaluation = Evaluation(scenario, plan, max_evaluations)
    if plan is not None and evaluation.misfit is not None:
        raise InvalidInputError(f"cannot be committed to: {evaluation.misfit}; widen the search, or plan anew", "plan")
    committed = evaluation.best if plan is None else plan
    if committed is None:
        raise InvalidInputError(f"has no plan to commit to: {why_none(evaluation)}", scenario.name)
    used = seeds_from(scenario.seed, seeds)
    return Entry(
        name=scenario.name,
        pipesim_version=version("pipesim"),
        inputs=hashes_of(scenario),
        files={file.name: file.sha256 for file in files_of(scenario)},
        prices_usd_per_hour=prices_of(scenario),
        plan=committed,
        met=plan is None or evaluation.met,
        cost_usd_per_hour=committed.cost_usd_per_hour(scenario.catalogue),
        best_plan=evaluation.best,
        best_cost_usd_per_hour=evaluation.best_usd_per_hour,
        seeds=used,
        measured=measured(scenario, committed, used, quantiles),
    )
