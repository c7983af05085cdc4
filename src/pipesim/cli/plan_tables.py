"""Plans, and methods of planning side by side, as tables for people."""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from decimal import Decimal

from rich.console import Group, RenderableType
from rich.text import Text

from pipesim.cli.screen import duration, headline, new_table, usd, working
from pipesim.cli.tables import note_list, simulated
from pipesim.planner import Comparison, FastestPlan, FeasiblePlan, Infeasible, MissedPlan, PlanningResult, State
from pipesim.planner.evaluator import Progress
from pipesim.report.wording import (
    METHODS,
    certainty,
    described_traffic,
    effort,
    one_less_words,
    reasons,
    stood,
    verified,
)
from pipesim.units import format_usd


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
        confirmed = verified(result)
        why = [*reasons(result), *one_less_words(result)] if isinstance(result, FeasiblePlan) else []
        certain = certainty(result) if isinstance(result, FeasiblePlan) else effort(result)
        said = [Text(line) for line in (*why, *notes, *stood(result))]
        shown = simulated(result.simulation)
        return Group(title, *shown, *said, Text(f"{certain} {confirmed}"), *note_list(result.caveats))
    if isinstance(result, Infeasible):
        verdict = "no plan can meet the objectives" if result.proved else "no plan was found that meets the objectives"
        title = headline(f"{name}: {verdict}", good=False)
        remedies = [Text(f"  * {remedy}") for remedy in result.remedies]
        arrivals = Text(f"Traffic: {described_traffic(result.workload.trace)}.")
        return Group(
            title, Text(), Text(result.reason), Text(), Text("What would have to give, any of:"), *remedies, Text(),
            arrivals, Text(effort(result)),
        )  # fmt: skip
    return Group(
        headline(f"{name}: the budget was used up before any feasible plan was found", good=False),
        Text(effort(result)),
        Text("Allow more with --max-evaluations or --time-limit."),
    )
