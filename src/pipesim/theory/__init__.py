"""Results of queueing theory: what a simulation of one simple stage, or a chain of them, must agree with.

Everything assumes Poisson arrivals, one FIFO queue per stage, and a stage that has been running for so long that it has
forgotten how it began (steady state). Batches are of one query, unless the name says batch: then an idle replica takes
at once what waits, up to a limit. Rates are in queries per second, times in seconds.
"""

from pipesim.theory.batch_service import (
    mean_queue_delay_batch_service_s,
    mean_queue_delay_mdc_s,
    mean_queue_delay_mmc_batch_s,
)
from pipesim.theory.load import MAX_REPLICAS, offered_load, utilisation, utilisation_in_full_batches
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
    "mean_queue_delay_batch_service_s",
    "mean_queue_delay_md1_s",
    "mean_queue_delay_mdc_s",
    "mean_queue_delay_mg1_s",
    "mean_queue_delay_mm1_s",
    "mean_queue_delay_mmc_batch_s",
    "mean_queue_delay_mmc_s",
    "offered_load",
    "queue_delay_probability_mmc",
    "utilisation",
    "utilisation_in_full_batches",
]
