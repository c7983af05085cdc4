"""Plans, and methods of planning side by side, as tables for people."""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from decimal import Decimal

from rich.console import Group, RenderableType
from rich.text import Text

from pipesim.cli.screen import counted, duration, figure, headline, new_table, usd, working
from pipesim.cli.tables import described_traffic, note_list, simulated
from pipesim.planner import Comparison, FastestPlan, FeasiblePlan, Infeasible, MissedPlan, PlanningResult, State
from pipesim.planner.evaluator import Progress
from pipesim.planner.explain import tightest
from pipesim.units import format_duration, format_usd

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


@contextmanager
def planning_progress(name: str) -> Iterator[Progress | None]:
    """Show on stderr, if it is a terminal, how far the search has come."""
    with working(f"Planning {name}") as tell:

        def progress(state: State) -> None:
            assert tell is not None
            cheapest, bound = state.best_usd_per_hour, state.bound_usd_per_hour
            best = "none is feasible yet" if cheapest is None else f"the best costs {format_usd(cheapest)}/h"
            least = "" if bound is None else f", none less than {format_usd(bound)}/h"
            tell(f"{state.evaluations:,} tests, {best}{least}")

        yield None if tell is None else progress


def comparison_table(found: Comparison) -> RenderableType:
    """Return what `pipesim compare` prints."""
    scenario = next(iter(found.results.values())).workload.scenario
    table = new_table("Method", "Outcome", "$/h", "Over the best", "Latency", "Missed", "Tests", "Time", "Gap", left=2)
    for (method, result), row in zip(found.results.items(), found.frame().to_dict("records"), strict=True):
        cost, over = row["cost_usd_per_hour"], row["over_best"]
        good = isinstance(result, FeasiblePlan)
        table.add_row(
            str(method),
            Text(row["status"], style="green" if good else "red"),
            "–" if math.isnan(cost) else usd(Decimal(str(cost)))[1:],
            "–" if math.isnan(over) else "the best" if good and over <= 0 else f"{over:+.0%}",
            "–" if math.isnan(row["latency_s"]) else duration(row["latency_s"]),
            "–" if math.isnan(row["miss_rate"]) else f"{row['miss_rate']:.2%}",
            f"{row['evaluations']:,}",
            f"{found.seconds[method]:.1f} s",
            "–" if math.isnan(row["gap"]) else f"{row['gap']:.1%}",
        )
    objectives = ", ".join(str(slo) for slo in scenario.slos)
    title = Text(f"{scenario.name}: the methods of planning under {objectives}", style="bold")
    notes = [Text(f"  * {method}: {METHODS[method]}") for method in found.results]
    missed = [method for method, result in found.results.items() if isinstance(result, MissedPlan)]
    verb = "misses" if len(missed) == 1 else "miss"
    names = " and ".join([", ".join(missed[:-1]), missed[-1]] if len(missed) > 1 else missed)
    cheap = Text(f"{names} {verb} the objectives or the quotas, whatever they cost.") if missed else Text()
    return Group(title, Text(), table, cheap, Text(), Text("Methods:"), *notes)


def fastest_note(found: FastestPlan) -> str:
    """Return what is known of the plan with the best latency under a ceiling."""
    ceiling = found.result.workload.scenario.max_cost_usd_per_hour
    assert ceiling is not None
    text = f"Under {usd(ceiling)}/h no faster plan was found: it meets bounds of {found.factor:.1%} of those asked for."
    if found.proved:
        text += " No plan under the ceiling meets bounds that are another 1 % tighter."
    return text


def planning_tables(result: PlanningResult, notes: Sequence[str] = ()) -> RenderableType:
    """Return what `pipesim plan` prints, with notes on what was asked besides."""
    name = result.workload.scenario.name
    if isinstance(result, FeasiblePlan | MissedPlan):
        good = isinstance(result, FeasiblePlan)
        title = headline(f"{name}: {'a plan that meets the objectives' if good else 'the plan misses'}", good=good)
        verified = _verified(result)
        reasons = _reasons(result) if isinstance(result, FeasiblePlan) else []
        certain = _certainty(result) if isinstance(result, FeasiblePlan) else _effort(result)
        stood = [Text(line) for line in (*notes, *_stood(result))]
        shown = simulated(result.simulation)
        return Group(title, *shown, *reasons, *stood, Text(f"{certain} {verified}"), *note_list(result.caveats))
    if isinstance(result, Infeasible):
        verdict = "no plan can meet the objectives" if result.proved else "no plan was found that meets the objectives"
        title = headline(f"{name}: {verdict}", good=False)
        remedies = [Text(f"  * {remedy}") for remedy in result.remedies]
        arrivals = Text(f"Traffic: {described_traffic(result.workload.trace)}.")
        return Group(
            title, Text(), Text(result.reason), Text(), Text("What would have to give, any of:"), *remedies, Text(),
            arrivals, Text(_effort(result)),
        )  # fmt: skip
    return Group(
        headline(f"{name}: the budget was used up before any feasible plan was found", good=False),
        Text(_effort(result)),
        Text("Allow more with --max-evaluations or --time-limit."),
    )


def _verified(result: FeasiblePlan | MissedPlan) -> str:
    if result.verification is None:
        return "The plan was not run on the reference engine."
    part = "the whole trace" if result.verification.whole_trace else f"{result.verification.queries:,} queries"
    return f"The reference engine confirmed the plan over {part}."


def _effort(result: PlanningResult) -> str:
    return f"Search: {METHODS[result.method]}, {counted(result.evaluations, 'test')}."


def _certainty(result: FeasiblePlan) -> str:
    """Return how much is certain of a plan."""
    tests = counted(result.evaluations, "test")
    if result.proof.excluded:
        by = "by simulation" if result.method == "exact" else "by the bound or by simulation"
        return f"Optimal: every cheaper plan of the search space is excluded, {by} ({tests})."
    text = _effort(result)
    if result.proof.exchanged:
        stages = "one stage" if result.proof.exchanged == 1 else f"up to {result.proof.exchanged} stages"
        text += f" No cheaper plan that differs in {stages} is feasible."
    if result.bound_usd_per_hour is not None and result.gap is not None:
        text += f" None at all costs less than {usd(result.bound_usd_per_hour)}/h, {result.gap:.1%} below."
    return text


def _stood(result: FeasiblePlan | MissedPlan) -> list[str]:
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


def _reasons(result: FeasiblePlan) -> list[RenderableType]:
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
    for stage, row in result.one_replica_less.iterrows():
        alone = " on this workload alone" if len(result.question.workloads) > 1 or result.question.confident else ""
        verdict = f"met too{alone}" if row["met"] else "missed"
        saving = usd(Decimal(str(row["saving_usd_per_hour"])))
        latency = f"{row['quantile']} {duration(row['latency_s'])}"
        lines.append(f"One replica less of {stage} would save {saving}/h: {latency}, {verdict}.")
    return [Text(line) for line in lines]
