"""Replicas by division: the plan that arithmetic without queues gives, and the figures that such arithmetic works on.

A server that takes s seconds a query and is offered λ queries a second is busy for the share λ·s of the time, and R of
them for λ·s / R each: the utilisation law (Denning and Buzen, "The operational analysis of queueing network models",
ACM Computing Surveys 10(3), 1978). So R = ⌈λ·s⌉ replicas are the fewest that keep up in the long run, and most tools
that size a service stop there. It says nothing of bursts, of queues or of the latency of a whole pipeline.
"""

import math
from dataclasses import dataclass
from decimal import Decimal

from pipesim.engine import Workload
from pipesim.engine.bounds import full_batch_throughput_qps
from pipesim.model import HardwareOption, Plan, StagePlan, StageSpace
from pipesim.traces import ArrivalTrace
from pipesim.units import NS_PER_S

_ROUNDING = 1e-12
"""Throughputs are floats: a load that is above a whole number by this share of it, or less, is that number."""


@dataclass(frozen=True, slots=True)
class Setting:
    """What one replica of a stage does on one hardware with one batch limit, while its batches are full.

    Parameters
    ----------
    hardware, price_usd_per_hour
        What it runs on, and what that costs.
    max_batch_size
        The batch limit.
    throughput_qps
        Queries (not items) that it serves a second, under the drawn routes, sizes and noise; infinite for a stage that
        no query visits. See :func:`pipesim.engine.bounds.full_batch_throughput_qps`.
    batch_ns
        What such a batch takes on average, under the same draws; if the stage serves fewer items than `max_batch_size`
        in all, what one batch of them takes; 0 if none.
    """

    hardware: str
    price_usd_per_hour: Decimal
    max_batch_size: int
    throughput_qps: float
    batch_ns: int


def ceil_plan(workload: Workload) -> Plan:
    """Return the cheapest plan whose every stage keeps up with the mean rate, stage by stage and without queues.

    Nothing is simulated. At a utilisation near 1, which this aims at, queues grow at every burst, and batches are
    rarely full: the plan often misses the objectives by far. It is a yardstick, and a place to start a search from.
    Limits on a plan as a whole, such as a quota, are not looked at.

    * Each stage is sized alone. Of every hardware and batch limit in its search space ⌈rate / throughput⌉ replicas are
      taken, at least `min_replicas`, and the cheapest wins; of equals the one with fewer replicas, then the smaller
      batch limit, then the first name.
    * Batch limits of which one full batch alone takes longer than the tightest objective allows are left out. If that
      leaves none, the fastest hardware at its smallest batch limit (1, unless the space lists others) is taken.
    * If `max_replicas` of no setting are enough, those that serve the most queries a second are taken; of equals the
      cheapest, and so on as above.

    Parameters
    ----------
    workload
        The scenario and its traffic.
    """
    space, bound_ns = workload.scenario.space, tightest_bound_ns(workload)
    rate_qps = mean_rate_qps(workload.trace)
    settings = settings_of(workload)
    return Plan(stages={stage: _cheapest(settings[stage], space[stage], rate_qps, bound_ns) for stage in space})


def _cheapest(settings: tuple[Setting, ...], space: StageSpace, rate_qps: float, bound_ns: int) -> StagePlan:
    allowed = [setting for setting in settings if setting.batch_ns <= bound_ns] or [_fastest(settings)]
    enough = []
    for setting in allowed:
        needed = replicas_for(rate_qps, setting.throughput_qps)
        if needed is not None and needed <= space.max_replicas:
            enough.append((setting, max(needed, space.min_replicas)))
    if not enough:
        most = max(setting.throughput_qps for setting in allowed)
        enough = [(setting, space.max_replicas) for setting in allowed if setting.throughput_qps == most]
    chosen, replicas = min(
        enough,
        key=lambda some: (some[0].price_usd_per_hour * some[1], some[1], some[0].max_batch_size, some[0].hardware),
    )
    return StagePlan(hardware=chosen.hardware, replicas=replicas, max_batch_size=chosen.max_batch_size)


def _fastest(settings: tuple[Setting, ...]) -> Setting:
    smallest: dict[str, Setting] = {}
    for setting in settings:
        smallest.setdefault(setting.hardware, setting)
    return min(smallest.values(), key=lambda setting: (setting.batch_ns, setting.price_usd_per_hour, setting.hardware))


def replicas_for(rate_qps: float, throughput_qps: float) -> int | None:
    """Return ⌈rate / throughput⌉, at least 1; None if no number of replicas keeps up.

    >>> replicas_for(50, 20), replicas_for(60, 20), replicas_for(0, 20)
    (3, 3, 1)
    >>> replicas_for(float("inf"), 20) is None
    True
    """
    if throughput_qps == math.inf:
        return 1
    load = rate_qps / throughput_qps
    return max(1, math.ceil(load * (1 - _ROUNDING))) if math.isfinite(load) else None


def mean_rate_qps(trace: ArrivalTrace) -> float:
    """Return the rate that replicas must keep up with: queries over the duration of the trace.

    Of fewer than two queries it is 0, as one query waits for no other, whatever the duration says; of several at one
    instant, without any duration, it is infinite.
    """
    if len(trace) < 2:
        return 0.0
    return trace.mean_rate_qps if trace.duration_ns else math.inf


def tightest_bound_ns(workload: Workload) -> int:
    """Return the smallest bound of all objectives, whichever queries they are for."""
    return min(slo.bound_ns for slo in workload.scenario.slos)


def settings_of(workload: Workload) -> dict[str, tuple[Setting, ...]]:
    """Return the settings in the search space of every stage: hardware in its order, each by ascending batch limit."""
    return {
        stage: tuple(_setting(workload, stage, option, size) for option in space.options for size in option.batch_sizes)
        for stage, space in workload.scenario.space.items()
    }


def _setting(workload: Workload, name: str, option: HardwareOption, max_batch_size: int) -> Setting:
    stage, queries = workload.stage_inputs(name, option.setting(1, max_batch_size)), len(workload.trace)
    throughput_qps, batch_ns = full_batch_throughput_qps(stage), 0
    if stage.items:  # throughput = items of a batch / its time / (items / queries), solved for the time
        batch_ns = round(min(max_batch_size, stage.items) * NS_PER_S * queries / stage.items / throughput_qps)
    return Setting(option.hardware, option.price_usd_per_hour, max_batch_size, throughput_qps, batch_ns)
