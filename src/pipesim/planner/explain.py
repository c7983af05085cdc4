"""Why this plan and not less, and for a scenario without a plan what would have to give."""

import math

import numpy as np
import pandas as pd

from pipesim import units
from pipesim.engine import SimulationResult, Workload, simulate
from pipesim.engine.unqueued import service_alone_ns, unqueued_latency_ns
from pipesim.model import Plan, Slo
from pipesim.planner.evaluator import throughput_qps
from pipesim.units import NS_PER_S, format_duration

Explanation = tuple[str, tuple[str, ...]]
"""A reason and the remedies, each a sentence."""


def tightest(result: SimulationResult) -> Slo:
    """Return the objective that is nearest to its bound, or furthest beyond it."""

    def use_of_bound(index: int) -> float:
        latency_ns = result.slos[index].latency_ns
        return (latency_ns or 0) / result.slos[index].slo.bound_ns

    return result.slos[max(range(len(result.slos)), key=use_of_bound)].slo


def binding_stage(result: SimulationResult) -> str:
    """Return the stage where the slowest queries spend most of their time, on their critical paths."""
    return str(result.tail_breakdown(tightest(result).quantile)["share"].idxmax())


def one_replica_less(result: SimulationResult) -> pd.DataFrame:
    """Return what a replica less at each stage would do (index ``stage``).

    Columns: ``replicas`` (after the removal; 0 where the stage has only one, and then nothing more is said),
    ``saving_usd_per_hour``, ``latency_s`` (at the quantile of the tightest objective), ``miss_rate`` (of it), ``met``.
    """
    slo = tightest(result)
    rows = []
    for stage, chosen in result.plan.stages.items():
        row: dict[str, object] = {
            "stage": stage,
            "replicas": chosen.replicas - 1,
            "saving_usd_per_hour": float(result.workload.scenario.catalogue.price_usd_per_hour(chosen.hardware)),
            "latency_s": float("nan"),
            "miss_rate": float("nan"),
            "met": False,
        }
        if chosen.replicas > 1:
            less = simulate(result.workload, result.plan.with_stage(stage, replicas=chosen.replicas - 1))
            outcome = less.slo_outcome(slo)
            assert outcome.latency_ns is not None
            row |= {"latency_s": outcome.latency_ns / NS_PER_S, "miss_rate": outcome.miss_rate, "met": less.met}
        rows.append(row)
    return pd.DataFrame(rows).set_index("stage")


def capacity(result: SimulationResult) -> pd.DataFrame:
    """Return what each stage could serve (index ``stage``), in the order of the plan.

    Columns: ``throughput_qps`` (queries a second with full batches), ``headroom`` (that over the trace's mean rate).
    """
    rate = result.workload.trace.mean_rate_qps or math.nan
    rows = [
        {"stage": stage, "throughput_qps": (throughput := throughput_qps(result.workload, result.plan, stage)),
         "headroom": throughput / rate}
        for stage in result.plan.stages
    ]  # fmt: skip
    return pd.DataFrame(rows).set_index("stage")


def describe_service_limit(workload: Workload, plan: Plan) -> Explanation:
    """Return why no plan can meet an objective that the service time alone exceeds."""
    inputs = workload.engine_inputs(plan)
    latency_ns = unqueued_latency_ns(inputs)
    broken: list[tuple[Slo, int]] = []
    for slo in workload.scenario.slos:
        concerned = np.sort(latency_ns[workload.concerned(slo)])
        reached_ns = int(concerned[concerned.size - slo.allowed_misses(concerned.size) - 1]) if concerned.size else 0
        if reached_ns > slo.bound_ns:
            broken.append((slo, reached_ns))
    slo, reached_ns = broken[0]
    name = units.format_quantile(slo.quantile)
    slowest = max(inputs.stages, key=lambda stage: float(service_alone_ns(stage).mean()) if stage.items else 0.0)
    slowest_ms = format_duration(float(np.mean(service_alone_ns(slowest))))
    chosen = plan.stages[slowest.name]
    reason = (
        f"The service time alone exceeds the objective: with every stage on its fastest hardware at batch "
        f"{chosen.max_batch_size} and nobody waiting, {name} is {format_duration(reached_ns)}, and the bound is "
        f"{format_duration(slo.bound_ns)}."
    )
    remedies = [
        f"Raise the bound of {other_name} to {format_duration(other_ns)} or more (queues come on top)."
        for other, other_ns in broken
        for other_name in [units.format_quantile(other.quantile)]
    ]
    remedies.append(
        f"Make {slowest.name} faster: it is the slowest stage, {slowest_ms} an item on average on {chosen.hardware}, "
        "its fastest hardware in the search space."
    )
    return reason, tuple(remedies)


def describe_queueing_limit(result: SimulationResult) -> Explanation:
    """Return why the largest number of replicas at batch 1, in `result`, is not enough."""
    slo = tightest(result)
    outcome = result.slo_outcome(slo)
    assert outcome.latency_ns is not None
    rate = result.workload.trace.mean_rate_qps
    throughputs = {stage: throughput_qps(result.workload, result.plan, stage) for stage in result.plan.stages}
    stage, throughput = min(throughputs.items(), key=lambda entry: entry[1])
    name = units.format_quantile(slo.quantile)
    chosen = result.plan.stages[stage]
    reason = (
        f"Even {chosen.replicas} replicas of {stage} on {chosen.hardware}, the most that the search space allows, "
        f"leave {name} at {format_duration(outcome.latency_ns)} with batches of {chosen.max_batch_size}; the bound is "
        f"{format_duration(slo.bound_ns)}. {stage} can then serve {throughput:.1f} queries a second, and "
        f"{rate:.1f} arrive."
    )
    remedies = (
        f"Raise search.max_replicas, or max_replicas of {stage}.",
        f"Raise the bound of {name} to {format_duration(outcome.latency_ns)} or more.",
        f"Lower the load: {throughput / rate:.0%} of it would fit the throughput of {stage}."
        if throughput < rate
        else "Smooth the bursts: the mean load fits, its peaks do not.",
    )
    return reason, remedies
