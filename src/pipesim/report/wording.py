"""Answers in words: figures, amounts and sentences that a terminal and a document say alike."""

import math
from decimal import Decimal

from pipesim.engine.summary import Traffic
from pipesim.planner import FeasiblePlan, MissedPlan, PlanningResult
from pipesim.planner.explain import tightest
from pipesim.traces import ArrivalTrace
from pipesim.units import HOURS_PER_MONTH, NS_PER_S, format_duration, format_usd

METHODS = {
    "search": "pipesim's search",
    "greedy": "InferLine's greedy planner",
    "evolution": "differential evolution",
    "exact": "enumeration in order of cost",
    "cg-mean": "the whole pipeline replicated for the mean rate",
    "cg-peak": "the whole pipeline replicated for the peak rate",
    "ceil": "rate divided by throughput, rounded up",
}
"""What each method of planning does, in a few words."""


def usd(amount: Decimal | float) -> str:
    """Return an amount of money: to the cent, or to a hundredth of that if it is small."""
    amount = amount if isinstance(amount, Decimal) else Decimal(repr(amount))
    return format_usd(amount, 4 if is_small(amount) else 2)


def is_small(amount: Decimal) -> bool:
    """Return whether an amount is so small that cents do not tell it."""
    return amount < Decimal("0.05") and amount != round(amount, 2)


def duration(seconds: float) -> str:
    """Return seconds as people write them."""
    return format_duration(seconds * NS_PER_S)


def figure(value: float) -> str:
    """Return a number to three digits, or to the unit."""
    if math.isnan(value):
        return "–"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def counted(count: int, noun: str) -> str:
    """Return how many there are of something."""
    return f"{count:,} {noun}" + ("" if count == 1 else "s")


def cost_per_month(cost_usd_per_hour: Decimal) -> Decimal:
    """Return the cost of a month of 730 hours."""
    return cost_usd_per_hour * HOURS_PER_MONTH


def described_traffic(trace: ArrivalTrace | Traffic) -> str:
    """Return the traffic in a few words."""
    rate = "" if math.isnan(trace.mean_rate_qps) else f", {figure(trace.mean_rate_qps)} a second"
    queries = "1 query" if len(trace) == 1 else f"{len(trace):,} queries"
    return f"{queries} in {format_duration(trace.duration_ns)}{rate}"


def verified(result: FeasiblePlan | MissedPlan) -> str:
    """Return over how much of the trace the reference engine confirmed a plan."""
    if result.verification is None:
        return "The plan was not run on the reference engine."
    part = "the whole trace" if result.verification.whole_trace else f"{result.verification.queries:,} queries"
    return f"The reference engine confirmed the plan over {part}."


def effort(result: PlanningResult) -> str:
    """Return how a plan was searched."""
    return f"Search: {METHODS[result.method]}, {counted(result.evaluations, 'test')}."


def certainty(result: FeasiblePlan) -> str:
    """Return how much is certain of a plan."""
    tests = counted(result.evaluations, "test")
    if result.proof.excluded:
        by = "by simulation" if result.method == "exact" else "by the bound or by simulation"
        return f"Optimal: every cheaper plan of the search space is excluded, {by} ({tests})."
    text = effort(result)
    if result.proof.exchanged:
        stages = "one stage" if result.proof.exchanged == 1 else f"up to {result.proof.exchanged} stages"
        text += f" No cheaper plan that differs in {stages} is feasible."
    if result.bound_usd_per_hour is not None and result.gap is not None:
        text += f" None at all costs less than {usd(result.bound_usd_per_hour)}/h, {result.gap:.1%} below."
    return text


def stood(result: FeasiblePlan | MissedPlan) -> list[str]:
    """Return how the plan fares on the other workloads that it was made for, and on what was held out."""
    lines = []
    others = result.other_simulations
    if others:
        met = sum(one.met for one in (result.simulation, *others))
        lines.append(f"It was planned for {len(others) + 1} workloads at once; it meets the objectives on {met}:")
        for label, one in zip(result.question.labels[1:], others, strict=True):
            worst = tightest(one)
            latency = "–" if worst.latency_ns is None else format_duration(worst.latency_ns)
            lines.append(f"  * {label}: {worst.slo.label} {latency}, {'met' if one.met else 'MISSED'}")
    changed = result.workload.scenario.changed_stages(result.simulation.plan)
    if result.workload.scenario.previous is not None:
        counted_as = usd(result.weighed_usd_per_hour - result.simulation.cost_usd_per_hour)
        stages = f"{', '.join(changed)}, counted as {counted_as}/h on top of its cost" if changed else "no stage"
        lines.append(f"Against the plan that runs, it changes {stages}.")
    if result.question.confident and isinstance(result, FeasiblePlan):
        lines.append("The upper end of each objective's confidence interval meets its bound.")
    validation = result.validation
    if validation is not None:
        verdict = "meets the objectives" if validation.met else "MISSES an objective"
        worst = tightest(validation)
        latency = "–" if worst.latency_ns is None else format_duration(worst.latency_ns)
        lines.append(
            f"On the {len(validation.workload.trace):,} queries that were held out it {verdict}: "
            f"{worst.slo.label} {latency}, {worst.miss_rate:.2%} over the bound."
        )
    return lines


def reasons(result: FeasiblePlan) -> list[str]:
    """Return why it is this plan and not less."""
    tail = result.tail.loc[result.binding_stage]
    total = tail["queue_delay_s"] + tail["service_time_s"]
    waiting = tail["queue_delay_s"] / total if total else 0.0
    lines = [
        f"Binding: {result.binding_stage} takes {tail['share']:.0%} of the time of the slowest queries, "
        f"{waiting:.0%} of that waiting.",
    ]
    headroom = result.simulation.stages["headroom"].to_dict()[result.bottleneck]
    if math.isfinite(headroom):
        lines.append(f"Bottleneck: {result.bottleneck} could serve {figure(headroom)} times the mean rate.")
    return lines


def one_less_words(result: FeasiblePlan) -> list[str]:
    """Return what a replica less at each stage would do."""
    lines = []
    for stage, row in result.one_replica_less.iterrows():
        alone = " on this workload alone" if len(result.question.workloads) > 1 or result.question.confident else ""
        verdict = f"met too{alone}" if row["met"] else "missed"
        saving = usd(Decimal(str(row["saving_usd_per_hour"])))
        latency = f"{row['quantile']} {duration(row['latency_s'])}"
        lines.append(f"One replica less of {stage} would save {saving}/h: {latency}, {verdict}.")
    return lines
