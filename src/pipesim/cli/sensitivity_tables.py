"""What `pipesim sensitivity` finds, as tables for people."""

from rich.console import Group, RenderableType
from rich.text import Text

from pipesim.cli.screen import headline, new_table
from pipesim.planner import FeasiblePlan, Infeasible
from pipesim.planner.sensitivity.cheapest import plan_in_short
from pipesim.planner.sensitivity.study import Study
from pipesim.report.sensitivity import binding_words, sustained_words, topic_table, topic_title, uncertain
from pipesim.report.wording import usd


def sensitivity_tables(found: Study) -> RenderableType:
    """Return what `pipesim sensitivity` prints."""
    result = found.result
    name = result.workload.scenario.name
    parts: list[RenderableType] = []
    if isinstance(result, FeasiblePlan):
        parts.append(headline(f"{name}: what the cheapest plan depends on", good=True))
        cost = usd(float(result.simulation.cost_usd_per_hour))
        parts += [Text(), Text(f"{cost} an hour, {result.status}: {plan_in_short(result.simulation.plan)}")]
        parts.append(Text(binding_words(found.binds)))
    else:
        parts.append(headline(f"{name}: no plan meets the objectives", good=False))
        if isinstance(result, Infeasible):
            parts += [Text(), Text(result.reason)]
    for topic, frame in found.frames.items():
        parts += [Text(), Text(topic_title(topic), style="bold")]
        said = topic_table(topic, frame)
        if isinstance(said, str):
            parts.append(Text(said))
        else:
            table = new_table(*said.head, left=said.left, last=said.last)
            for row in said.rows:
                table.add_row(*row)
            parts.append(table)
        if topic == "load" and isinstance(result, FeasiblePlan):
            parts.append(Text(sustained_words(found.sustained)))
    note = uncertain(found)
    if note:
        parts += [Text(), Text(note)]
    return Group(*parts)
