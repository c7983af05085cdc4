"""Whether a scenario may pass, and why not, in words."""

from collections.abc import Sequence
from importlib.metadata import version

from pipesim.check.baseline import Entry
from pipesim.check.evaluation import Evaluation
from pipesim.check.fields import UPDATE, VERDICTS, Verdict
from pipesim.check.report import MetricChange, Outcome
from pipesim.check.wording import change, value
from pipesim.planner import Infeasible

TAMPERED = (
    f"the baseline is not what this program finds for the same inputs: another build made it, or a hand; {UPDATE}"
)
NONE_BEFORE = "no plan meets the objectives, as before"
MISSED_BEFORE = "the committed plan misses an objective, as it did before"


def verdict_on(
    evaluation: Evaluation, metrics: Sequence[MetricChange], *, missed_before: bool
) -> tuple[Verdict, tuple[str, ...]]:
    """Return the verdict on a scenario that was evaluated anew, and why it is no pass."""
    if evaluation.runs is None:
        return "infeasible", (why_none(evaluation),)
    verdict, reasons = judged(metrics)
    if evaluation.met:
        return verdict, reasons
    if evaluation.misfit is not None:
        return worst([verdict, "warn"]), (f"the committed plan no longer fits: {evaluation.misfit}", *reasons)
    if missed_before:
        return worst([verdict, "warn"]), (MISSED_BEFORE, *reasons)
    return "fail", ("the committed plan no longer meets the objectives", *reasons)


def judged(metrics: Sequence[MetricChange]) -> tuple[Verdict, tuple[str, ...]]:
    """Return what the rules say, and which are broken."""
    broken = [(metric, outcome) for metric in metrics for outcome in metric.outcomes if outcome.broken]
    return worst([outcome.level for _, outcome in broken]), tuple(_broken(*one) for one in broken)


def _broken(metric: MetricChange, outcome: Outcome) -> str:
    """Return that a rule is broken, in words."""
    now = value(metric.now, metric.unit)
    if metric.change is None or not outcome.rule.removeprefix(f"{metric.metric}:").startswith(("+", "-")):
        return f"{metric.metric} is {now}, which breaks {outcome.rule}"
    return f"{metric.metric} {value(metric.before, metric.unit)} → {now}, {change(metric)}, breaks {outcome.rule}"


def worst(verdicts: Sequence[Verdict]) -> Verdict:
    """Return the worst verdict, ``pass`` if there is none."""
    return max(verdicts, key=VERDICTS.index, default="pass")


def why_none(evaluation: Evaluation) -> str:
    """Return why no plan was found that meets the objectives."""
    found = evaluation.search
    return found.reason if isinstance(found, Infeasible) else "the search ended by its budget before it found a plan"


def notes_on(entry: Entry, evaluation: Evaluation, *, is_stale: bool) -> tuple[str, ...]:
    """Return what else a reader should know."""
    notes = []
    if entry.pipesim_version != version("pipesim"):
        notes.append(f"the baseline was made by pipesim {entry.pipesim_version}")
    if is_stale:
        notes.append(f"the baseline was stale already: it is not that of the old files; {UPDATE}")
    if evaluation.met and evaluation.best != entry.plan:
        notes.append("a cheaper plan than the committed one meets the objectives")
    return tuple(notes)
