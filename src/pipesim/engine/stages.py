"""What a simulation tells of stages, as one frame."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from pipesim.model import Plan, Scenario
from pipesim.units import NS_PER_S


def total_ns(times_ns: npt.NDArray[np.int64]) -> int:
    """Return the exact sum of times, which 64 bits may not hold: high and low halves are summed apart.

    >>> total_ns(np.full(4, 2**62)) == 2**64
    True
    """
    return (int((times_ns >> 32).sum()) << 32) + int((times_ns & 0xFFFFFFFF).sum())


@dataclass(frozen=True, slots=True)
class StageTotals:
    """What happened at one stage, added up over a run.

    Parameters
    ----------
    visits, items, batches
        How many there were.
    busy_ns
        The time for which replicas were busy while the trace lasted, of all together.
    queue_delay_ns, service_time_ns
        Of all items together.
    p99_queue_delay_ns
        None without items.
    throughput_qps
        The queries a second that all replicas can serve.
    """

    visits: int
    items: int
    batches: int
    busy_ns: int
    queue_delay_ns: int
    service_time_ns: int
    p99_queue_delay_ns: int | None
    throughput_qps: float


def stages_frame(
    scenario: Scenario, plan: Plan, totals: Sequence[StageTotals], queries: int, duration_ns: int
) -> pd.DataFrame:
    """Return one row per stage (index ``stage``, in topological order).

    Columns: ``model``, ``hardware``, ``replicas``, ``max_batch_size``, ``visits``, ``items``, ``scale_factor`` (items
    per query), ``batches``, ``mean_batch_size``, ``utilisation`` (share of the trace's duration that a replica is busy,
    NaN if it has none; what is served after the last arrival does not count), ``throughput_qps`` (queries a second that
    all replicas can serve, as :class:`pipesim.engine.bounds.FullBatches` says of one; with the ``window`` policy in
    batches as they formed here), ``headroom`` (that over the mean rate), ``mean_queue_delay_s``,
    ``p99_queue_delay_s``, ``mean_service_time_s`` (of an item's batch), ``cost_usd_per_hour`` (float).
    """
    nan = float("nan")
    rate_qps = queries / (duration_ns / NS_PER_S) if duration_ns else nan
    rows = []
    for name, stage in zip(scenario.pipeline.order, totals, strict=True):
        chosen, items = plan.stages[name], stage.items
        rows.append(
            {
                "stage": name,
                "model": scenario.pipeline.stages[name].model,
                "hardware": chosen.hardware,
                "replicas": chosen.replicas,
                "max_batch_size": chosen.max_batch_size,
                "visits": stage.visits,
                "items": items,
                "scale_factor": items / queries if queries else nan,
                "batches": stage.batches,
                "mean_batch_size": items / stage.batches if stage.batches else nan,
                "utilisation": stage.busy_ns / (chosen.replicas * duration_ns) if duration_ns else nan,
                "throughput_qps": stage.throughput_qps,
                "headroom": stage.throughput_qps / rate_qps if queries else nan,
                "mean_queue_delay_s": stage.queue_delay_ns / items / NS_PER_S if items else nan,
                "p99_queue_delay_s": nan if stage.p99_queue_delay_ns is None else stage.p99_queue_delay_ns / NS_PER_S,
                "mean_service_time_s": stage.service_time_ns / items / NS_PER_S if items else nan,
                "cost_usd_per_hour": float(plan.stage_cost_usd_per_hour(name, scenario.catalogue)),
            }
        )
    return pd.DataFrame(rows).set_index("stage")
