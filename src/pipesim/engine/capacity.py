"""Arrivals against capacity: the most queries that come in a window, and the most that a plan finishes in one."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from pipesim.engine.inputs import StageInputs
from pipesim.engine.result import SimulationResult
from pipesim.traces.statistics import peak_count
from pipesim.units import NS_PER_S

_WINDOWS = 100
_BOUNDS = 3
_COLUMNS = ["kind", "stage", "window_s", "queries"]


def capacity_curves(result: SimulationResult, windows_ns: Sequence[int] | None = None) -> pd.DataFrame:
    """Return the arrival curve of the traffic, and the service curve of each stage of the plan.

    The arrival curve is the trace's envelope: the most queries that come in any window of a length. A service curve
    here is the most queries that a stage's replicas finish in a window, if they start it idle, all items are there at
    once, and batches are of one size, the best for that window: R · max over b of b · ⌊w / D(b)⌋, over the items per
    query. D(b) is the profile's latency with the overhead; noise, sizes and delayed batches do not count. Where the
    arrivals are above a stage's curve, some of them are not finished within the window; how far to the right the curve
    reaches their number is about how long they wait and are served.

    Source: Le Boudec & Thiran, "Network Calculus", 2001, chapter 1; InferLine's tuner compares the same envelope with
    what replicas serve (Crankshaw et al., arXiv 1812.01776, section 5).

    Parameters
    ----------
    result
        Of the plan and its traffic.
    windows_ns
        Lengths of windows; if not given, 100 of equal distance, up to three times the largest bound of an objective, or
        the traffic's duration if that is less.

    Returns
    -------
    pandas.DataFrame
        ``kind`` (``arrivals``, then ``capacity``), ``stage`` (empty for arrivals; those that items came to, in
        topological order), ``window_s``, ``queries`` (float; of a stage, its items over the items per query). No rows
        without queries.

    Raises
    ------
    InvalidInputError
        If a window is not at least 1 ns.
    """
    if not len(result.traffic):
        return pd.DataFrame(columns=_COLUMNS)
    if windows_ns is None:
        longest_ns = _BOUNDS * max(slo.bound_ns for slo in result.scenario.slos)
        longest_ns = min(longest_ns, result.traffic.duration_ns or longest_ns)
        windows_ns = np.unique(np.ceil(np.linspace(0, longest_ns, _WINDOWS + 1)[1:]).astype(np.int64)).tolist()
    windows = np.array(windows_ns, dtype=np.int64)
    peaks = np.array([peak_count(result.traffic, window) for window in windows.tolist()], dtype=float)
    curves = [("arrivals", "", peaks)]
    for stage in result.workload.engine_inputs(result.plan).stages:
        if stage.items:
            curves.append(("capacity", stage.name, _finished(stage, windows) * len(result.traffic) / stage.items))
    parts = [
        pd.DataFrame({"kind": kind, "stage": name, "window_s": windows / NS_PER_S, "queries": queries})
        for kind, name, queries in curves
    ]
    return pd.concat(parts, ignore_index=True)


def _finished(stage: StageInputs, windows_ns: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Return the most items that the replicas of a stage finish in windows, in batches of one size."""
    best = np.zeros(windows_ns.size, dtype=np.int64)
    for size in range(1, stage.max_batch_size + 1):
        latency_ns = int(stage.table_ns[size]) + stage.overhead_ns
        np.maximum(best, size * (windows_ns // max(1, latency_ns)), out=best)
    return (best * stage.replicas).astype(np.float64)
