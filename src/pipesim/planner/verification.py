"""The plan that is returned, run again on the reference engine."""

from dataclasses import dataclass

import numpy as np

from pipesim.engine import SimulationResult, run_engine, run_reference, same

MAX_ITEMS = 500_000
"""The most items that the reference engine is asked to serve for a verification; more would take minutes."""


@dataclass(frozen=True, slots=True)
class Verification:
    """Over how much of the trace the reference engine gave the same timestamps.

    Parameters
    ----------
    queries
        How many queries, the first of the trace, were run.
    whole_trace
        Whether that is all of them.
    """

    queries: int
    whole_trace: bool


def verify(result: SimulationResult) -> Verification:
    """Return over how much of the trace the plan was run on the reference engine, with equal timestamps.

    The whole trace, or the largest part of it that holds at most 500,000 items. Queries that have not arrived change
    nothing, and draws are indexed by query, so a part of the trace is a simulation of its own.
    """
    workload = result.workload
    items = np.cumsum(sum(stage.items for stage in workload.routes.stages)) if len(workload.trace) else np.zeros(0)
    queries = int(np.searchsorted(items, MAX_ITEMS, side="right"))
    whole_trace = queries == len(workload.trace)
    run = result.run
    if not whole_trace:
        workload = workload.first(queries)
        run = run_engine(workload.engine_inputs(result.plan))
    reference = run_reference(workload.engine_inputs(result.plan))
    if not same(run, reference):
        raise RuntimeError("the compiled engine and the reference engine differ: please report this scenario")
    return Verification(queries, whole_trace)
