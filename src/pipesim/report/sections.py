"""What a document says about an answer: the verdict, the plan, why it is this one, latency, traffic, what to know."""

import math
from collections.abc import Iterator
from importlib.metadata import version

from pipesim.engine import QUANTILES, SimulationResult, SloOutcome
from pipesim.engine.quantiles import Interval
from pipesim.engine.series import who
from pipesim.files import InputFile
from pipesim.model import Scenario
from pipesim.planner import FeasiblePlan, Infeasible, MissedPlan, PlanningResult
from pipesim.planner.explain import caveats, tail, tightest
from pipesim.planner.frames import convergence
from pipesim.planner.sensitivity.study import Study
from pipesim.report import charts
from pipesim.report.parts import Block, Chart, Document, Items, Paragraph, Section, Table
from pipesim.report.sensitivity import binding_words, sustained_words, topic_table, topic_title, uncertain
from pipesim.report.wording import (
    certainty,
    cost_per_month,
    counted,
    described_traffic,
    duration,
    effort,
    figure,
    is_small,
    reasons,
    stood,
    usd,
    verified,
)
from pipesim.traces import ArrivalTrace, describe, gap_scv
from pipesim.units import NS_PER_S, format_duration, format_usd, format_utilisation

Planned = FeasiblePlan | MissedPlan


def document(answer: PlanningResult | SimulationResult, study: Study | None = None) -> Document:
    """Return the document of an answer.

    Parameters
    ----------
    answer
        Of the planner, or a plan that was simulated.
    study
        What the cheapest plan depends on, if that was asked for; its answer is `answer`.
    """
    simulation = answer if isinstance(answer, SimulationResult) else getattr(answer, "simulation", None)
    assert simulation is None or isinstance(simulation, SimulationResult)
    workload = answer.workload
    scenario, trace = workload.scenario, workload.trace
    verdict, good = _verdict(answer)
    sections = [
        *_about(scenario),
        *([] if simulation is None else [_plan(simulation)]),
        *_why(answer),
        *_know(answer),
        *([] if simulation is None else _simulated(simulation)),
        _traffic(trace),
        *([] if study is None else [_depends(study)]),
        _inputs(scenario, trace),
    ]
    return Document(
        scenario.name,
        verdict,
        good,
        tuple(_facts(answer, simulation, trace)),
        tuple(sections),
        f"pipesim {version('pipesim')}, seed {scenario.seed}",
    )


def _verdict(answer: PlanningResult | SimulationResult) -> tuple[str, bool]:
    if isinstance(answer, SimulationResult):
        return ("The plan meets the objectives" if answer.met else "The plan misses an objective"), answer.met
    if isinstance(answer, FeasiblePlan):
        held = answer.validation is None or answer.validation.met
        return "A plan meets the objectives" + ("" if held else ", but not on what was held out"), held
    if isinstance(answer, MissedPlan):
        return "The plan misses", False
    if isinstance(answer, Infeasible):
        return ("No plan can meet the objectives" if answer.proved else "No plan was found that meets them"), False
    return "The budget was used up before any feasible plan was found", False


def _facts(
    answer: PlanningResult | SimulationResult, simulation: SimulationResult | None, trace: ArrivalTrace
) -> Iterator[tuple[str, str]]:
    if simulation is not None:
        cost = simulation.cost_usd_per_hour
        month = format_usd(cost_per_month(cost), 2 if is_small(cost) else 0)
        yield "Cost", f"{usd(cost)} an hour, {month} a month of 730 hours"
        worst = tightest(simulation)
        reached = "no queries" if worst.latency_ns is None else format_duration(worst.latency_ns)
        label = "Objective" if len(simulation.slos) == 1 else "Tightest objective"
        yield label, f"{_objective(worst)}: {reached}, {_held(worst)}"
    if isinstance(answer, FeasiblePlan):
        gap = "" if answer.gap is None or answer.proof.excluded else f", at most {answer.gap:.1%} could be saved"
        yield "Certainty", f"{answer.status}{gap}"
    yield "Traffic", described_traffic(trace)


def _about(scenario: Scenario) -> list[Section]:
    description = scenario.file.description
    return [Section("The question", (Paragraph(description),))] if description else []


def _plan(result: SimulationResult) -> Section:
    rows = []
    for row in charts.frame_rows(result.stages):
        cost = result.plan.stage_cost_usd_per_hour(row["stage"], result.scenario.catalogue)
        rows.append(
            (
                row["stage"],
                row["model"],
                row["hardware"],
                f"{row['replicas']:,}",
                f"{row['max_batch_size']:,}",
                usd(cost)[1:],
                usd(cost_per_month(cost))[1:],
            )
        )
    total = result.cost_usd_per_hour
    rows.append(("all stages", "", "", "", "", usd(total)[1:], usd(cost_per_month(total))[1:]))
    head = ("Stage", "Model", "Hardware", "Replicas", "Max batch", "$ an hour", "$ a month")
    table = Table("Each stage of the plan, and what it costs", head, tuple(rows), left=3)
    pictures: list[Block] = [
        Chart(
            "pipeline",
            "The pipeline with its plan",
            f"The stages in order: {', '.join(result.workload.routes.names)}.",
            charts.drawn(result.plot.pipeline),
        ),
        Chart(
            "cost-by-stage",
            "Cost by stage",
            f"What each stage costs an hour, {usd(total)} in all.",
            charts.drawn(result.plot.cost_by_stage),
        ),
    ]
    return Section("The plan", (table, *pictures))


def _why(answer: PlanningResult | SimulationResult) -> list[Section]:
    if isinstance(answer, SimulationResult):
        return [Section("Where the time goes", (_tail(answer),))] if len(answer.traffic) else []
    if isinstance(answer, Infeasible):
        ways = Paragraph("What would have to give, any of:"), Items(answer.remedies)
        return [Section("Why there is none", (Paragraph(answer.reason), *ways, Paragraph(effort(answer))))]
    if not isinstance(answer, Planned):
        allow = "Allow more with --max-evaluations."
        return [Section("Why there is none", (Paragraph(effort(answer)), Paragraph(allow)))]
    blocks: list[Block] = []
    said = [*(reasons(answer) if isinstance(answer, FeasiblePlan) else ()), *_points(stood(answer))]
    if said:
        blocks.append(Items(tuple(said)))
    if isinstance(answer, FeasiblePlan) and len(answer.one_replica_less):
        blocks.append(_one_less(answer))
    if len(answer.simulation.traffic):
        blocks.append(_tail(answer.simulation))
    sure = certainty(answer) if isinstance(answer, FeasiblePlan) else effort(answer)
    blocks.append(Paragraph(f"{sure} {verified(answer)}"))
    if len(convergence(answer)) > 1:
        alt = f"The cost of the best plan found and the bound that none is below, over {answer.evaluations:,} tests."
        blocks.append(Chart("convergence", "How the search went", alt, charts.drawn(answer.plot.convergence)))
    return [Section("Why this plan" if isinstance(answer, FeasiblePlan) else "How it was made", tuple(blocks))]


def _points(lines: list[str]) -> list[str]:
    return [line.removeprefix("  * ") for line in lines]


def _one_less(answer: FeasiblePlan) -> Table:
    rows = tuple(
        (
            row["stage"],
            f"{row['replicas']:,}",
            usd(row["saving_usd_per_hour"])[1:],
            f"{row['quantile']} {_seconds(row['latency_s'])}",
            f"{row['miss_rate']:.2%}",
            "met" if row["met"] else "missed",
        )
        for row in charts.frame_rows(answer.one_replica_less)
    )
    head = ("Stage", "Replicas left", "$ an hour saved", "Latency", "Over the bound", "Objectives")
    return Table("With one replica less", head, rows, last=True)


def _tail(result: SimulationResult) -> Table:
    rows = tuple(
        (row["stage"], _seconds(row["queue_delay_s"]), _seconds(row["service_time_s"]), f"{row['share']:.0%}")
        for row in charts.frame_rows(tail(result))
    )
    caption = f"Where the slowest queries spend their time, those at or above {tightest(result).slo.label}"
    return Table(caption, ("Stage", "Waiting", "Service", "Share of latency"), rows)


def _know(answer: PlanningResult | SimulationResult) -> list[Section]:
    if isinstance(answer, SimulationResult):
        notes = caveats(answer)
    else:
        notes = answer.caveats if isinstance(answer, Planned) else ()
    return [Section("Know before you buy", (Items(notes),))] if notes else []


def _simulated(result: SimulationResult) -> list[Section]:
    blocks: list[Block] = [_objectives(result)]
    if not len(result.traffic):
        return [Section("Latency against the objectives", tuple(blocks))]
    rows = tuple(
        (row["quantile"], _seconds(row["latency_s"]), _interval(row["low_s"], row["high_s"]))
        for row in charts.frame_rows(result.latency(QUANTILES))
    )
    blocks.append(Table("Latency of all queries", ("Quantile", "Latency", "95 % interval"), rows))
    blocks += [charts.latency_tail(result), charts.latencies_over_time(result)]
    stages: list[Block] = [_stages(result), charts.time_at_stages(result)]
    for name, title, alt, draw in (
        ("queues", "Items that wait", "How many items wait at each stage over time.", result.plot.queue_over_time),
        ("load", "Utilisation", "The busy share of replicas over time.", result.plot.utilisation_over_time),
        ("batches", "Batches", "The share of items by the size of their batch.", result.plot.batch_sizes),
    ):
        stages.append(Chart(name, title, alt, charts.drawn(draw)))
    return [
        Section("Latency against the objectives", tuple(blocks)),
        Section("The stages", tuple(stages)),
        Section("Arrivals against capacity", (charts.arrivals_against_capacity(result),)),
    ]


def _objectives(result: SimulationResult) -> Table:
    rows = tuple(
        (
            _objective(outcome),
            who(outcome.slo),
            "–" if outcome.latency_ns is None else format_duration(outcome.latency_ns),
            _interval(outcome.interval_ns.low / NS_PER_S, outcome.interval_ns.high / NS_PER_S),
            f"{outcome.misses:,} of {outcome.queries:,}",
            f"{outcome.allowed_misses:,}",
            _shares(outcome.miss_rate_interval),
            _held(outcome),
        )
        for outcome in result.slos
    )
    head = ("Objective", "Queries", "Reached", "95 % interval", "Over the bound", "Allowed", "Share, 95 %", "Verdict")
    return Table("Each objective", head, rows, left=2, last=True)


def _objective(outcome: SloOutcome) -> str:
    return str(outcome.slo).replace("<=", "≤")


def _held(outcome: SloOutcome) -> str:
    verdict = "met" if outcome.met else "MISSED"
    if outcome.worst_window_ns is None:
        return verdict
    windows = f"{outcome.windows_missed or outcome.windows:,} of {counted(outcome.windows, 'window')}"
    return f"{verdict} in {windows}, the worst at {_seconds(outcome.worst_window_ns / NS_PER_S)}"


def _stages(result: SimulationResult) -> Table:
    rows = []
    for row in charts.frame_rows(result.stages):
        rows.append(
            (
                row["stage"],
                f"{row['items']:,}",
                "–" if math.isnan(row["mean_batch_size"]) else f"{row['mean_batch_size']:.1f}",
                format_utilisation(row["utilisation"]),
                figure(row["headroom"]),
            )
        )
    head = ("Stage", "Items", "Mean batch", "Utilisation", "Capacity over mean load")
    return Table("What each stage did", head, tuple(rows))


def _traffic(trace: ArrivalTrace) -> Section:
    blocks: list[Block] = [Paragraph(f"{described_traffic(trace)}.")]
    if len(trace) > 1:
        blocks.append(
            Paragraph(f"The gaps between queries have a squared coefficient of variation of {figure(gap_scv(trace))}; "
                      "1 is that of a Poisson process.")
        )  # fmt: skip
        rows = tuple(
            (
                row["window"],
                figure(row["peak_qps"]),
                f"{row['peak_count']:,}",
                figure(row["index_of_dispersion"]),
                "–" if math.isnan(row["poisson_low"]) else f"{row['poisson_low']:.2f} – {row['poisson_high']:.2f}",
                figure(row["local_index_of_dispersion"]),
            )
            for row in charts.frame_rows(describe(trace))
        )
        head = (
            "Window",
            "Peak, queries a second",
            "Most in any",
            "Index of dispersion",
            "Poisson, 95 %",
            "Local index",
        )
        blocks.append(Table("How bursty it is", head, rows))
        peak = figure(float(describe(trace)["peak_count"].iloc[0]))
        alt = f"Queries a second over time, {figure(trace.mean_rate_qps)} on average; at most {peak} in any 0.1 s."
        blocks.append(Chart("rate", "Arrivals over time", alt, charts.drawn(trace.plot.rate)))
    return Section("The traffic", tuple(blocks))


def _depends(study: Study) -> Section:
    blocks: list[Block] = []
    if isinstance(study.result, FeasiblePlan):
        blocks.append(Paragraph(binding_words(study.binds)))
    for topic, frame in study.frames.items():
        said, title = topic_table(topic, frame), topic_title(topic)
        if isinstance(said, str):
            blocks.append(Paragraph(f"{title}: {said}"))
            continue
        blocks.append(said)
        if topic == "load" and study.sustained is not None:
            blocks.append(Paragraph(sustained_words(study.sustained)))
        alt = f"{title}: the table above has the numbers."
        blocks.append(Chart(f"sensitivity-{topic}", title, alt, charts.drawn(getattr(study.plot, topic))))
    note = uncertain(study)
    return Section("What the cheapest plan depends on", (*blocks, *([Paragraph(note)] if note else ())))


def _inputs(scenario: Scenario, trace: ArrivalTrace) -> Section:
    files: list[InputFile] = [*scenario.inputs, *trace.inputs]
    rows = tuple((file.name, file.sha256) for file in files)
    table: list[Block] = (
        [Table("Files, and the SHA-256 of their bytes", ("File", "SHA-256"), rows, left=2)] if rows else []
    )
    again = (
        f"The same files, seed {scenario.seed} and version {version('pipesim')} of pipesim give the same answer. "
        "Nothing in this document comes from a clock or from the machine that it was made on."
    )
    return Section("What it was made from", (*table, Paragraph(again)))


def _seconds(value: float) -> str:
    return "–" if math.isnan(value) else duration(value) if value else "0 s"


def _interval(low_s: float, high_s: float) -> str:
    if math.isnan(low_s):
        return "too few queries"
    return f"{duration(low_s)} – {'beyond the trace' if math.isinf(high_s) else duration(high_s)}"


def _shares(interval: Interval) -> str:
    return (
        "–"
        if math.isnan(interval.low) or interval.low == interval.high
        else f"{interval.low:.2%} – {interval.high:.2%}"
    )
