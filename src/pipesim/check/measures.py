"""What a plan does, one value for each seed, so that two sides can be compared pair by pair."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from fractions import Fraction

import numpy as np

from pipesim.check.baseline import Measured
from pipesim.engine import SimulationResult, Workload, simulate
from pipesim.engine.quantiles import nearest_rank
from pipesim.errors import invalid
from pipesim.model import Plan, Scenario, Slo
from pipesim.model.traffic import RecordedTraffic
from pipesim.planner import Question
from pipesim.planner.sensitivity.steps import last_held, meets
from pipesim.traces import ArrivalTrace, scenario_trace
from pipesim.traces.transform import compress_time
from pipesim.units import MAX_DURATION_NS, format_quantile, parse_quantile

SEEDS = 8
"""Under how many seeds a plan is simulated if nothing else is said."""
QUANTILES = ("p50", "p95", "p99")
"""What is measured besides the quantiles of the objectives."""
STEPS = 100
"""Steps of load in the load of the scenario: of 1 % each."""
MOST_STEPS = 10 * STEPS
"""Where the search for headroom ends."""


def seeds_from(seed: int, count: int) -> tuple[int, ...]:
    """Return so many seeds, the scenario's own first.

    >>> seeds_from(7, 3)
    (7, 8, 9)
    """
    return tuple((seed + number) % 2**63 for number in range(count))


def quantiles_of(scenario: Scenario, others: Iterable[str] = ()) -> tuple[str, ...]:
    """Return the quantiles that are measured, ascending: ``p50``, ``p95``, ``p99``, those of objectives, and others."""
    wanted = {parse_quantile(name) for name in (*QUANTILES, *others)} | {slo.quantile for slo in scenario.slos}
    return tuple(format_quantile(quantile) for quantile in sorted(wanted))


def measured(scenario: Scenario, plan: Plan, seeds: Sequence[int], quantiles: Iterable[str] = ()) -> Measured:
    """Return what a plan does under each of some seeds.

    Parameters
    ----------
    scenario, plan
        What is simulated.
    seeds
        Each gives one value.
    quantiles
        Of the latency, besides those that are measured in any case.

    Raises
    ------
    FileFormatError, InvalidInputError
        If the traffic cannot be read or has no queries, or the plan does not fit the scenario.
    """
    results, headrooms = [], []
    for workload in _workloads(scenario, seeds):
        results.append(simulate(workload, plan))
        headrooms.append(headroom(workload, plan))
    return Measured(
        latency_ns=_latencies(results, quantiles_of(scenario, quantiles)),
        miss_rate=tuple(max(outcome.miss_rate for outcome in result.slos) for result in results),
        utilisation=tuple(_utilisation(result) for result in results),
        headroom=tuple(headrooms),
    )


def headroom(workload: Workload, plan: Plan) -> float:
    """Return the largest load at which a plan meets the objectives, and does at all lower ones, in steps of 0.01.

    With batching a plan can miss at some load and meet the objectives again at a larger one, so every step from the
    least up is simulated until one misses. 1 is the load of the workload; 0 means that even the least misses, and 10
    that none does. The least step is 0.01, or the first at which the trace is no longer than a trace may be. Windows of
    an objective are stretched as the trace is, so that each holds the same queries: in a window of few, none may be
    late, which would say something of the window and nothing of the load.
    """
    step = last_held(
        lambda step: meets(Question.of(_at_load(workload, step)), plan),
        min(STEPS, workload.trace.duration_ns * STEPS // MAX_DURATION_NS + 1),
        MOST_STEPS,
    )
    return 0.0 if step is None else step / STEPS


def _at_load(workload: Workload, step: int) -> Workload:
    """Return a workload at so many hundredths of its load."""
    if step == STEPS:
        return workload
    scenario = workload.scenario
    if any(slo.every_ns is not None for slo in scenario.slos):
        slos = tuple(_stretched(slo, Fraction(STEPS, step)) for slo in scenario.slos)
        scenario = replace(scenario, file=scenario.file.model_copy(update={"slo": slos}), source=None)
    return workload.at(scenario, compress_time(workload.trace, step / STEPS))


def _stretched(slo: Slo, factor: Fraction) -> Slo:
    return slo if slo.every_ns is None else slo.model_copy(update={"every_ns": max(1, round(slo.every_ns * factor))})


def _workloads(scenario: Scenario, seeds: Sequence[int]) -> Iterator[Workload]:
    """Return the workload under each seed; arrivals that no seed decides are read once."""
    trace: ArrivalTrace | None = None
    for seed in seeds:
        seeded = replace(scenario, file=scenario.file.model_copy(update={"seed": seed}), source=None)
        if trace is None or not _is_fixed(scenario):
            trace = scenario_trace(seeded)
        yield Workload.of(seeded, trace)


def _is_fixed(scenario: Scenario) -> bool:
    """Return whether the arrivals are the same under every seed."""
    traffic = scenario.file.traffic
    return isinstance(traffic, RecordedTraffic) and not (traffic.transform or traffic.thin or traffic.attributes)


def _latencies(results: Sequence[SimulationResult], quantiles: Sequence[str]) -> dict[str, tuple[int, ...]]:
    ordered = [np.sort(result.latency_ns) for result in results]
    if not all(one.size for one in ordered):
        raise invalid("traffic", 0, "is how many queries there are", "check traffic that has some under every seed")
    return {name: tuple(nearest_rank(one, parse_quantile(name)) for one in ordered) for name in quantiles}


def _utilisation(result: SimulationResult) -> float:
    busiest = result.stages["utilisation"].max()
    return 0.0 if np.isnan(busiest) else float(busiest)
