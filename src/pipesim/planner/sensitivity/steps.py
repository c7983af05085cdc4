"""How far one plan goes: what it stands, put to the test by simulation, step by step."""

import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction

from pipesim.engine import Workload, available_cores, run_engine
from pipesim.engine.run import Integers
from pipesim.model import Plan
from pipesim.planner.evaluator import BLOCK, Question, interval_highs_ns, is_confident


def meets(question: Question, plan: Plan) -> bool:
    """Return whether a plan meets all objectives of a question, on each of its workloads."""
    return all(_meets(workload, plan, confident=question.confident) for workload in question.workloads)


def _meets(workload: Workload, plan: Plan, *, confident: bool) -> bool:
    latency_ns = _latency_ns(workload, plan)
    if any(limit.is_missed(latency_ns) for limit in workload.miss_limits(workload.scenario.slos)):
        return False
    return not confident or is_confident(workload, latency_ns)


def least_slo_factor(question: Question, plan: Plan) -> Fraction:
    """Return by what all bounds may be multiplied so that a plan just meets the objectives; 0 without queries.

    What happens to a query does not depend on bounds, and a bound that is met is met by every larger one. So the plan
    is feasible at this factor and all larger ones, as far as bounds go, and at none that makes any bound a nanosecond
    less than what it reached.

    Raises
    ------
    ValueError
        If an interval of confidence that the question asks for has no upper end.
    """
    least = Fraction(0)
    for workload in question.workloads:
        latency_ns, slos = _latency_ns(workload, plan), workload.scenario.slos
        reached_ns = [int(limit.quantiles_ns(latency_ns).max()) for limit in workload.miss_limits(slos)]
        if question.confident:
            reached_ns += [math.ceil(high_ns) for high_ns in interval_highs_ns(workload, latency_ns)]
        bounds_ns = [slo.bound_ns for slo in slos] * (1 + question.confident)
        for reached, bound_ns in zip(reached_ns, bounds_ns, strict=True):
            least = max(least, Fraction(max(0, reached), bound_ns))
    return least


def last_held(holds: Callable[[int], bool], first: int, last: int) -> int | None:
    """Return the last of the steps from `first` to `last` at which something holds and did at all before.

    Every step up to there, and the one after it, is tried; nothing is assumed of the others.

    >>> last_held(lambda step: step != 7, 3, 20), last_held(lambda step: step > 3, 3, 20)
    (6, None)
    """
    held: int | None = None
    with ThreadPoolExecutor(available_cores()) as pool:
        for begin in range(first, last + 1, BLOCK):
            block = range(begin, min(begin + BLOCK, last + 1))
            for step, good in zip(block, pool.map(holds, block), strict=True):
                if not good:
                    return held
                held = step
    return held


def _latency_ns(workload: Workload, plan: Plan) -> Integers:
    return run_engine(workload.engine_inputs(plan)).finish_ns - workload.trace.times_ns
