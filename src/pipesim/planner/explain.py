"""Why this plan and not less, what to know about it, and for a scenario without a plan what would have to give."""

import math
from collections.abc import Mapping, Sequence
from decimal import Decimal

import pandas as pd

from pipesim import units
from pipesim.engine import SimulationResult, SloOutcome, Summary, Workload, simulate_all
from pipesim.model import Plan, Scenario, Slo, StagePlan
from pipesim.planner.evaluator import least_latency_ns
from pipesim.units import NS_PER_S, format_duration, format_usd

Explanation = tuple[str, tuple[str, ...]]
"""A reason and the remedies, each a sentence."""

_FEW_MISSES = 5


def tightest(result: SimulationResult) -> SloOutcome:
    """Return how the objective fared that is nearest to its bound, or furthest beyond it."""
    return max(result.slos, key=lambda outcome: (outcome.latency_ns or 0) / outcome.slo.bound_ns)


def tail(result: SimulationResult) -> pd.DataFrame:
    """Return where the slowest queries of the tightest objective spend their time: see `tail_breakdown`."""
    return result.tail_breakdown(tightest(result).slo)


def plans_with_one_less(result: SimulationResult) -> dict[str, Plan]:
    """Return, for each stage that may lose a replica, the plan without it."""
    return {
        stage: result.plan.with_stage(stage, replicas=chosen.replicas - 1)
        for stage, chosen in result.plan.stages.items()
        if chosen.replicas > result.scenario.space[stage].min_replicas
    }


def one_replica_less(result: SimulationResult) -> pd.DataFrame:
    """Return what a replica less at each stage that may lose one would do (index ``stage``).

    Columns: ``replicas`` (after the removal), ``saving_usd_per_hour``, ``objective`` (the tightest of that plan),
    ``quantile`` (its, and of which queries), ``latency_s`` (at it), ``miss_rate`` (of it), ``met`` (all objectives).
    """
    scenario, plans = result.scenario, plans_with_one_less(result)
    rows = []
    for stage, less in zip(plans, simulate_all((result.workload, plan) for plan in plans.values()), strict=True):
        outcome, chosen = tightest(less), less.plan.stages[stage]
        rows.append(
            {
                "stage": stage,
                "replicas": chosen.replicas,
                "saving_usd_per_hour": float(scenario.catalogue.price_usd_per_hour(chosen.hardware)),
                "objective": str(outcome.slo),
                "quantile": outcome.slo.label,
                "latency_s": float("nan") if outcome.latency_ns is None else outcome.latency_ns / NS_PER_S,
                "miss_rate": outcome.miss_rate,
                "met": less.met,
            }
        )
    columns = ["stage", "replicas", "saving_usd_per_hour", "objective", "quantile", "latency_s", "miss_rate", "met"]
    return pd.DataFrame(rows, columns=columns).set_index("stage")


def caveats(result: SimulationResult | Summary) -> tuple[str, ...]:
    """Return what a reader should know before buying: overload, luck, figures that were not measured as such."""
    scenario, notes = result.scenario, []
    for stage in result.overloaded:
        headroom = result.stages["headroom"].to_dict()[stage]
        notes.append(
            f"{stage} can serve {headroom:.0%} of what arrives: with a longer trace its backlog would go on growing"
        )
    for outcome in result.slos:
        place, remedy = "", "use a longer trace"
        if outcome.slo.every_ns is not None:
            place, remedy = " of the worst window", "use longer windows"
        if not outcome.queries:
            notes.append(f"{outcome.slo}: there are no queries, so nothing was tested")
        elif outcome.met and outcome.allowed_misses < _FEW_MISSES:
            verb = "is" if outcome.queries == 1 else "are"
            notes.append(f"{outcome.slo}: {_counted(outcome.queries)}{place} {verb} too few to test it; {remedy}")
        elif isinstance(result, Summary) and math.isnan(outcome.interval_ns.low):
            notes.append(
                f"{outcome.slo}: there is no confidence interval, as that takes a series of 20 intervals or more{place}"
            )
        elif outcome.met and outcome.interval_ns.high > outcome.slo.bound_ns:
            notes.append(f"{outcome.slo}: met here, but the 95 % interval{place} crosses the bound; {remedy}")
    notes.extend(scenario.caveats)
    notes.extend(f"{file.name}: {note}" for file in result.traffic.inputs for note in file.notes)
    for stage, chosen in result.plan.stages.items():
        notes.extend(scenario.profiles[scenario.pipeline.stages[stage].model, chosen.hardware].caveats)
    return tuple(dict.fromkeys(notes))


def _counted(queries: int) -> str:
    return "1 query" if queries == 1 else f"{queries:,} queries"


def describe_service_limit(workload: Workload, settings: Mapping[str, Sequence[StagePlan]]) -> Explanation:
    """Return why no plan of these settings can meet an objective: even without queues it is exceeded."""
    latency_ns = least_latency_ns(workload, settings)
    broken: list[tuple[Slo, int]] = []
    slos = workload.scenario.slos
    for slo, limit in zip(slos, workload.miss_limits(slos), strict=True):
        reached_ns = int(limit.quantiles_ns(latency_ns).max())
        if reached_ns > slo.bound_ns:
            broken.append((slo, reached_ns))
    slo, reached_ns = broken[0]
    name = units.format_quantile(slo.quantile)
    reason = (
        f"The service time alone exceeds the objective: with every stage on its fastest hardware and nobody waiting, "
        f"{name} is {format_duration(reached_ns)}, and the bound is {format_duration(slo.bound_ns)}."
    )
    remedies = [
        f"Raise the bound of {units.format_quantile(other.quantile)} to {format_duration(other_ns)} or more "
        "(queues come on top)."
        for other, other_ns in broken
    ]
    profiles, pipeline = workload.scenario.profiles, workload.scenario.pipeline
    fastest = {
        stage: min(
            (int(profiles[pipeline.stages[stage].model, one.hardware].table_ns[1:].min()), one.hardware) for one in some
        )
        for stage, some in settings.items()
    }
    slowest = max(fastest, key=lambda stage: fastest[stage][0])
    least_ns, hardware = fastest[slowest]
    remedies.append(
        f"Make {slowest} faster: it is the slowest stage, {format_duration(least_ns)} on {hardware}, the fastest "
        "hardware that the search space has for it."
    )
    return reason, tuple(remedies)


def describe_queueing_limit(result: SimulationResult) -> Explanation:
    """Return why the most replicas and the largest batches, in `result`, are not enough."""
    outcome = tightest(result)
    assert outcome.latency_ns is not None
    slo, name = outcome.slo, units.format_quantile(outcome.slo.quantile)
    headroom = result.stages["headroom"]
    stage = str(headroom.idxmin()) if headroom.notna().any() else next(iter(result.plan.stages))
    chosen, share = result.plan.stages[stage], headroom.to_dict()[stage]
    replicas = "1 replica" if chosen.replicas == 1 else f"{chosen.replicas} replicas"
    reason = (
        f"Even with {replicas} of {stage} on {chosen.hardware}, the most that the search space allows, "
        f"{name} is {format_duration(outcome.latency_ns)} with batches of up to {chosen.max_batch_size}; the bound is "
        f"{format_duration(slo.bound_ns)}."
    )
    remedies = [
        "Try other hardware: the planner started from each stage's fastest, and others may serve more at a time.",
        f"Raise search.max_replicas, or max_replicas of {stage}.",
        f"Raise the bound of {name} to {format_duration(outcome.latency_ns)} or more.",
    ]
    if share < 1:
        reason += f" {stage} can serve {share:.0%} of the queries that arrive."
        remedies.append(f"Lower the load: {share:.0%} of it would fit.")
    elif share >= 1:
        remedies.append("Smooth the bursts: the mean load fits, its peaks do not.")
    return reason, tuple(remedies)


def describe_bound(workload: Workload, dead_stages: Sequence[str]) -> Explanation:
    """Return why no plan can meet the objectives, as the bound has it.

    Parameters
    ----------
    workload
        The scenario and its traffic.
    dead_stages
        Stages that alone make too many queries late, whatever they run on; none if it takes several together.
    """
    space = workload.scenario.space
    objectives = " and ".join(str(slo) for slo in workload.scenario.slos)
    if dead_stages:
        stage = dead_stages[0]
        most = space[stage].max_replicas
        replicas = "1 replica" if most == 1 else f"{most:,} replicas"
        reason = (
            f"Too many queries come at a time for {stage}: even {replicas}, the most that the search space allows, "
            f"on whatever hardware cannot serve enough of them in time for {objectives}."
        )
        remedies = [
            f"Raise search.max_replicas, or max_replicas of {stage}.",
            f"Add hardware for {stage}, or larger batches.",
            "Raise the bound: then bursts can be served over a longer time.",
        ]
    else:
        quota = workload.scenario.quota
        within = " within the quotas" if quota else ""
        reason = (
            f"No combination of hardware, replicas and batch sizes in the search space{within} serves enough queries "
            f"in time for {objectives}, though no stage alone is to blame."
        )
        remedies = [
            "Raise the quotas." if quota else "Raise search.max_replicas.", "Add faster hardware.", "Raise the bound."
        ]  # fmt: skip
    return reason, tuple(remedies)


def describe_ceiling(scenario: Scenario, ceiling: Decimal, *, proved: bool) -> Explanation:
    """Return why no plan under a ceiling can be had, or was found."""
    objectives = " and ".join(str(slo) for slo in scenario.slos)
    verb = "meets" if proved else "was found that meets"
    reason = f"No plan that costs at most {format_usd(ceiling)} an hour {verb} {objectives}."
    return reason, (
        "Raise the ceiling; without one, the planner finds what the objectives cost.",
        "Raise the bound; pipesim plan --fastest finds the best latency that the ceiling buys.",
        "Widen the search space: cheaper hardware, larger batches.",
    )
