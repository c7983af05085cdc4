"""Closed forms of queueing theory: what a simulation of one simple stage, or a chain of them, must agree with.

Everything assumes Poisson arrivals, one FIFO queue per stage, batches of one query, and a stage that has been running
for so long that it has forgotten how it began (steady state). Rates are in queries per second, times in seconds.
"""

from pipesim.theory.load import MAX_REPLICAS, offered_load, utilisation
from pipesim.theory.queues import (
    latency_quantile_mm1_s,
    mean_latency_mm1_s,
    mean_latency_tandem_s,
    mean_queries_mm1,
    mean_queries_mmc,
    mean_queue_delay_md1_s,
    mean_queue_delay_mg1_s,
    mean_queue_delay_mm1_s,
    mean_queue_delay_mmc_s,
    queue_delay_probability_mmc,
)

__all__ = [
    "MAX_REPLICAS",
    "latency_quantile_mm1_s",
    "mean_latency_mm1_s",
    "mean_latency_tandem_s",
    "mean_queries_mm1",
    "mean_queries_mmc",
    "mean_queue_delay_md1_s",
    "mean_queue_delay_mg1_s",
    "mean_queue_delay_mm1_s",
    "mean_queue_delay_mmc_s",
    "offered_load",
    "queue_delay_probability_mmc",
    "utilisation",
]
