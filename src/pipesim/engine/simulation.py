"""The one way into the engines."""

import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from math import gcd
from typing import Literal

from pipesim.engine.inputs import EngineInputs, Workload
from pipesim.engine.reference import run_reference
from pipesim.engine.result import SimulationResult
from pipesim.engine.run import Run
from pipesim.engine.summary import Summary
from pipesim.errors import invalid
from pipesim.model import Plan, Scenario
from pipesim.model.traffic import MAX_QUERIES
from pipesim.traces import PIECE, expected_duration_ns, scenario_trace_pieces
from pipesim.units import MAX_DURATION_NS, NS_PER_S, format_duration

Engine = Literal["compiled", "reference"]

MAX_INTERVALS = 20_000
"""The most intervals that the series of a summary may have while its traffic lasts."""
_INTERVALS_NS = tuple(
    round(length * NS_PER_S)
    for length in (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 15, 60, 300, 900, 3600, 21_600, 86_400)
)


def simulate(scenario: Scenario | Workload, plan: Plan, *, engine: Engine = "compiled") -> SimulationResult:
    """Return what a plan does under a scenario's traffic.

    Parameters
    ----------
    scenario
        The scenario, or its workload if several plans are to be compared: drawing it once saves time.
    plan
        Hardware, replicas and batch limits of every stage.
    engine
        The compiled engine, or the reference engine (SimPy), which gives the same timestamps and is the definition.

    Raises
    ------
    InvalidInputError
        If the plan does not fit the scenario, or the traffic does not carry what the pipeline needs.
    """
    workload = scenario if isinstance(scenario, Workload) else Workload.of(scenario)
    return SimulationResult(workload, plan, run_engine(workload.engine_inputs(plan), engine))


def simulate_all(
    runs: Iterable[tuple[Scenario | Workload, Plan]], *, threads: int | None = None
) -> list[SimulationResult]:
    """Return :func:`simulate` of each scenario and plan, in their order, run side by side in threads.

    The kernels run free of the interpreter lock, and runs of one :class:`Workload` share its arrivals and draws.

    Parameters
    ----------
    runs
        Scenarios, or workloads, with a plan for each.
    threads
        How many runs go on at once; by default as many as this process may use cores.

    Raises
    ------
    InvalidInputError
        As :func:`simulate`, and if `threads` is not at least 1.
    """
    if threads is not None and threads < 1:
        raise invalid("threads", threads, "is not allowed", "use at least 1")
    with ThreadPoolExecutor(threads or available_cores()) as pool:
        return list(pool.map(lambda run: simulate(*run), runs))


def available_cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def summarise(scenario: Scenario, plan: Plan, *, interval_s: float | None = None, piece: int = PIECE) -> Summary:
    """Return what a plan does under a scenario's traffic, of any length, simulated piece by piece.

    Memory holds one piece, what is under way, and the summary. A stage that falls behind keeps its backlog.

    Parameters
    ----------
    scenario, plan
        As for :func:`simulate`, whose luck and timestamps this run has.
    interval_s
        The length of the intervals of the summary's series, in seconds; by default some hundred of them cover the
        traffic. Windows of objectives must consist of whole intervals.
    piece
        How many queries a piece has. It changes no result.

    Raises
    ------
    InvalidInputError
        As :func:`simulate`, and if `interval_s` or `piece` is out of range, or windows are too short to be tallied.
    """
    from pipesim.engine.compiled.tally import summary_of_pieces  # here, because numba takes its time to import

    if not 1 <= piece <= MAX_QUERIES:
        raise invalid("piece", piece, "is not allowed", f"use 1 to {MAX_QUERIES}")
    traces = scenario_trace_pieces(scenario, piece)
    first = next(traces)
    duration_ns = expected_duration_ns(scenario, first)
    least_s = max(1, duration_ns // MAX_INTERVALS) / NS_PER_S
    window_ns = gcd(*(slo.every_ns or 0 for slo in scenario.slos))
    default_ns = _default_interval_ns(duration_ns, window_ns)
    if interval_s is None:
        return summary_of_pieces(scenario, plan, chain([first], traces), default_ns)
    if not least_s <= interval_s <= MAX_DURATION_NS / NS_PER_S:
        remedy = f"use {least_s:g} s to {MAX_DURATION_NS // NS_PER_S} s"
        raise invalid("interval_s", interval_s, "is not allowed", remedy)
    interval_ns = round(interval_s * NS_PER_S)
    if window_ns % interval_ns:
        rule = f"does not divide the windows of the objectives ({format_duration(window_ns)})"
        raise invalid("interval_s", interval_s, rule, f"use for example {default_ns / NS_PER_S:g} s")
    return summary_of_pieces(scenario, plan, chain([first], traces), interval_ns)


def _default_interval_ns(duration_ns: int, window_ns: int) -> int:
    """Return a round length of time, or a window's, that divides windows of a length; 0 stands for none.

    Raises
    ------
    InvalidInputError
        If there would be too many of them.
    """
    length_ns = _round_interval(duration_ns)
    if not window_ns:
        return length_ns
    least_ns = max(1, duration_ns // MAX_INTERVALS)
    if window_ns < least_ns:
        raise invalid(
            "slo.every",
            format_duration(window_ns),
            "is the common measure of the windows, too short for a summary",
            f"use multiples of {least_ns / NS_PER_S:g} s or more, or simulate without a summary",
        )
    fitting = [one for one in (*_INTERVALS_NS, window_ns) if least_ns <= one <= length_ns and window_ns % one == 0]
    return max(fitting, default=window_ns)


def _round_interval(duration_ns: int) -> int:
    """Return a length of time that people use, of which 100 to 500 cover a duration, or the shortest."""
    return next((length for length in _INTERVALS_NS if duration_ns <= 500 * length), _INTERVALS_NS[-1])


def run_engine(inputs: EngineInputs, engine: Engine = "compiled") -> Run:
    """Return what happens to every query."""
    if engine == "reference":
        return run_reference(inputs)
    from pipesim.engine.compiled import run_compiled  # here, because numba takes its time to import

    return run_compiled(inputs)
