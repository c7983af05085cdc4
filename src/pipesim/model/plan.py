"""A plan: for every stage its hardware, replicas and largest batch."""

from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any

import pandas as pd
from pydantic import BeforeValidator, Field

from pipesim.errors import invalid
from pipesim.files import MAX_DOCUMENT_BYTES, check_input, decode_text, read_bytes, write_atomically
from pipesim.model.fields import BatchSize, Model, Name, Replicas
from pipesim.model.hardware import Catalogue
from pipesim.model.validation import validated
from pipesim.model.yaml_document import parse_yaml
from pipesim.model.yaml_text import yaml_text


def _one_hardware(value: Any) -> Any:
    if isinstance(value, list | dict):
        raise invalid("", value, "mixes hardware", "a stage runs on one bundle: name one, or split the stage")
    return value


class StagePlan(Model):
    """What one stage runs on."""

    hardware: Annotated[Name, BeforeValidator(_one_hardware)]
    """The bundle that each replica occupies."""
    replicas: Replicas
    max_batch_size: BatchSize = 1


class Plan(Model):
    """What every stage of a pipeline runs on."""

    stages: Annotated[dict[Name, StagePlan], Field(min_length=1)]

    def with_stage(self, name: str, **changes: Any) -> "Plan":
        """Return the plan with fields of one stage changed.

        >>> plan = Plan(stages={"detect": StagePlan(hardware="t4", replicas=2)})
        >>> plan.with_stage("detect", replicas=3).stages["detect"].replicas
        3
        """
        changed = StagePlan.model_validate({**self.stages[name].model_dump(), **changes})
        return Plan(stages={**self.stages, name: changed})

    def stage_cost_usd_per_hour(self, name: str, catalogue: Catalogue) -> Decimal:
        """Return what the replicas of one stage cost an hour."""
        stage = self.stages[name]
        return stage.replicas * catalogue.price_usd_per_hour(stage.hardware)

    def cost_usd_per_hour(self, catalogue: Catalogue) -> Decimal:
        """Return what all replicas cost an hour."""
        return sum((self.stage_cost_usd_per_hour(name, catalogue) for name in self.stages), Decimal(0))

    def units(self, catalogue: Catalogue) -> dict[str, int]:
        """Return how many of each unit of the catalogue all replicas occupy, summed over their bundles.

        >>> from pipesim.model.hardware import Hardware
        >>> core = Hardware(kind="cpu", unit="core", price_usd_per_hour=0.5)
        >>> catalogue = Catalogue(units={"core": core}, bundles={"quad": {"core": 4}})
        >>> Plan(stages={"a": StagePlan(hardware="quad", replicas=2)}).units(catalogue)
        {'core': 8}
        """
        units: dict[str, int] = {}
        for stage in self.stages.values():
            for unit, count in catalogue.bundle(stage.hardware).items():
                units[unit] = units.get(unit, 0) + stage.replicas * count
        return units

    def to_frame(self) -> pd.DataFrame:
        """Return one row per stage (index ``stage``): ``hardware``, ``replicas``, ``max_batch_size``.

        >>> Plan(stages={"a": StagePlan(hardware="t4", replicas=2)}).to_frame().reset_index().to_dict("records")
        [{'stage': 'a', 'hardware': 't4', 'replicas': 2, 'max_batch_size': 1}]
        """
        return pd.DataFrame.from_dict(self.model_dump()["stages"], orient="index").rename_axis("stage")

    def to_dict(self) -> dict[str, Any]:
        """Return the plan as its file holds it.

        >>> Plan(stages={"a": StagePlan(hardware="t4", replicas=2)}).to_dict()
        {'stages': {'a': {'hardware': 't4', 'replicas': 2, 'max_batch_size': 1}}}
        """
        return self.model_dump()

    def _repr_html_(self) -> str:
        from pipesim.model.notebook import plan_html

        return plan_html(self)

    def to_yaml(self) -> str:
        """Return the plan as the text of a plan file.

        >>> plan = Plan(stages={"1e3": StagePlan(hardware="null", replicas=2)})
        >>> validated(Plan, parse_yaml(plan.to_yaml(), "plan")) == plan
        True
        """
        return yaml_text(self.model_dump())


def check_is_plan(plan: object) -> None:
    """Check that a plan is one, and not the answer that holds it, or the name of its file.

    Raises
    ------
    InvalidInputError
        If it is not.
    """
    if not isinstance(plan, Plan):
        remedy = "give that of an answer, answer.simulation.plan, or read_plan(FILE)"
        raise invalid("plan", type(plan).__name__, "is not a plan", remedy)


def read_plan(path: str | Path) -> Plan:
    """Return the plan in a file.

    Raises
    ------
    FileFormatError, InvalidInputError
        With file, line, field and remedy.
    """
    path = Path(path)
    check_input(path, "plan", "give the path of a plan file")
    content = read_bytes(path, MAX_DOCUMENT_BYTES)
    return validated(Plan, parse_yaml(decode_text(content, path.name), path.name))


def write_plan(plan: Plan, path: str | Path) -> None:
    """Write a plan file, whole or not at all."""
    write_atomically(Path(path), plan.to_yaml())
