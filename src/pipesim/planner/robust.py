"""Questions that ask for more than one run: other luck, other traffic, slower models, a part of the trace held out."""

from collections.abc import Sequence

import numpy as np

from pipesim.engine import Workload
from pipesim.engine.quantiles import BATCHES
from pipesim.errors import invalid
from pipesim.model import Scenario
from pipesim.planner.evaluator import Question
from pipesim.planner.sensitivity.variants import with_profile_factor
from pipesim.traces import ArrivalTrace, hold_out, scenario_trace


def question_of(
    scenario: Scenario,
    *,
    seeds: Sequence[int] = (),
    traces: Sequence[ArrivalTrace] = (),
    profile_error: float = 0.0,
    holdout: float = 0.0,
    confident: bool = False,
) -> Question:
    """Return a question that a plan must answer on several workloads at once.

    Parameters
    ----------
    scenario
        What is asked; its own traffic and seed come first, and are what the answer reports.
    seeds
        Other seeds: the plan must meet the objectives under their luck too (and their traffic, if it is generated).
    traces
        Other arrivals that it must stand, with the scenario's seed.
    profile_error
        The plan must stand, besides, that every batch takes longer by this share: 0.1 is 10 %.
    holdout
        The share of the trace's duration, at its end, that the plan is not made for, but judged on.
    confident
        Whether the upper end of each objective's 95 % confidence interval must meet its bound.

    Raises
    ------
    InvalidInputError
        If a share is out of range, or a trace cannot be read or does not carry what the pipeline needs.
    """
    if not 0 <= profile_error <= 10:
        raise invalid("profile_error", profile_error, "is not allowed", "use a share from 0 to 10: 0.1 is 10 %")
    if not 0 <= holdout < 1:
        raise invalid("holdout", holdout, "is not allowed", "use a share of the trace, from 0 to below 1")
    if confident and any(slo.every_ns is not None for slo in scenario.slos):
        remedy = "leave out one of them: the worst of many windows has no interval of confidence"
        raise invalid("confident", True, "cannot be asked for an objective in every window", remedy)
    trace, held_out = scenario_trace(scenario), None
    if holdout:
        trace, rest = hold_out(trace, holdout)
        held_out = Workload.of(scenario, rest)
    asked = [("the scenario's own", scenario, trace)]
    for seed in seeds:
        other = scenario.with_seed(seed)
        own = scenario_trace(other)
        asked.append((f"seed {seed}", other, hold_out(own, holdout)[0] if holdout else own))
    asked += [(f"other traffic {number}", scenario, other) for number, other in enumerate(traces, start=1)]
    if profile_error:
        slower = with_slower_profiles(scenario, 1 + profile_error)
        name = f"batches {profile_error:.3g} longer" if profile_error < 0.001 else f"batches {profile_error:.1%} longer"
        asked += [
            (name if first else f"{label}, {name}", slower.with_seed(one.seed), arrivals)
            for first, (label, one, arrivals) in zip([True] + [False] * len(asked), asked, strict=False)
        ]
    workloads = tuple(Workload.of(one, arrivals) for _, one, arrivals in asked)
    for workload in workloads if confident else ():
        for slo in scenario.slos:
            queries = int(np.count_nonzero(workload.concerned(slo)))
            if queries < BATCHES:
                remedy = f"use a longer trace: an interval of confidence takes {BATCHES} queries or more"
                raise invalid("confident", True, f"cannot be asked of {slo} on {queries} queries", remedy)
    return Question(workloads, confident, held_out, tuple(label for label, _, _ in asked))


def with_slower_profiles(scenario: Scenario, factor: float) -> Scenario:
    """Return the scenario with every latency of every profile multiplied."""
    for model, hardware in scenario.profiles:
        scenario = with_profile_factor(scenario, model, hardware, factor)
    return scenario
