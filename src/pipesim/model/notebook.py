"""Scenarios and plans as notebooks show them."""

import math

import yaml

from pipesim.errors import InvalidInputError
from pipesim.markup import card, line, table
from pipesim.model.plan import Plan
from pipesim.model.scenario import Scenario

_LONGEST = 120
_MOST_HARDWARE = 6


def scenario_html(scenario: Scenario) -> str:
    """Return a scenario: objectives, traffic, and what may be chosen for each stage."""
    rows = []
    for name, stage in scenario.pipeline.stages.items():
        space = scenario.space[name]
        hardware = [option.hardware for option in space.options]
        some = ", ".join(hardware[:_MOST_HARDWARE]) + (" …" if len(hardware) > _MOST_HARDWARE else "")
        rows.append([name, stage.model, ", ".join(stage.after), some, f"{space.min_replicas} – {space.max_replicas}"])
    traffic = _short(_traffic(scenario))
    lines = [line("; ".join(map(str, scenario.slos))), line(f"Traffic: {traffic}; seed {scenario.seed}")]
    if scenario.file.description:
        lines.insert(0, line(_short(scenario.file.description)))
    return card(scenario.name, [*lines, table(["stage", "model", "after", "hardware", "replicas"], rows, left=4)])


def plan_html(plan: Plan) -> str:
    """Return a plan: what each stage runs on."""
    rows = [[name, stage.hardware, stage.replicas, stage.max_batch_size] for name, stage in plan.stages.items()]
    return card("Plan", [table(["stage", "hardware", "replicas", "max batch"], rows, left=2)])


def _traffic(scenario: Scenario) -> str:
    """Return the traffic as the scenario's file says it, in one line."""
    try:
        traffic = scenario.to_dict()["traffic"]
    except InvalidInputError:  # it was changed in another way than by `with_`
        traffic = scenario.file.traffic.model_dump(mode="json", exclude_defaults=True, by_alias=True)
    return yaml.safe_dump(traffic, default_flow_style=True, sort_keys=False, width=math.inf).strip()


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
