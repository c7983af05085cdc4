"""What a baseline holds, and the paths by which it knows scenarios."""

from decimal import Decimal
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Annotated, Final, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from pipesim.check.fields import Part, Sha256, Usd
from pipesim.errors import invalid
from pipesim.files import place_of
from pipesim.model import Plan
from pipesim.model.fields import Listed, Model, Name, QuantileName, Seed, Text

SCHEMA_VERSION: Final = 1
MAX_SCENARIOS = 500
MAX_PATH_LENGTH = 1_000


def _scenario_path(value: str) -> str:
    path, rule = PurePosixPath(value), ""
    if not value.isprintable() or len(value) > MAX_PATH_LENGTH:
        rule = f"is not a path of at most {MAX_PATH_LENGTH:,} letters that print"
    elif "\\" in value or PureWindowsPath(value).drive:
        rule = "is a path of one system alone"
    elif path.is_absolute() or ".." in path.parts or str(path) != value or value == ".":
        rule = "does not lead plainly into the folder of the baseline"
    if rule:
        raise invalid("", value, rule, "write it as scenarios/search.yaml")
    return value


ScenarioPath = Annotated[str, AfterValidator(_scenario_path)]
"""How a baseline names a scenario file: relative to its own folder, with forward slashes, on every system the same.

It is for looking up. Nothing is opened because a baseline names it.
"""
_FileName = Annotated[Text, Field(min_length=1, max_length=MAX_PATH_LENGTH)]


class Measured(Model):
    """What a plan does, one value for each seed."""

    latency_ns: Annotated[dict[QuantileName, Listed[Annotated[int, Field(ge=0)]]], Field(min_length=1)]
    """By quantile: ``p50``, ``p95``, ``p99``, and those of the objectives."""
    miss_rate: Listed[Annotated[float, Field(ge=0, le=1)]]
    """The share of queries over the bound of the objective that is missed most, in its worst window."""
    utilisation: Listed[Annotated[float, Field(ge=0)]]
    """Of the busiest stage."""
    headroom: Listed[Annotated[float, Field(ge=0)]]
    """The largest load, in steps of 0.01, at which all objectives hold and do at all lower steps; 0 if at none."""


class Entry(Model):
    """One scenario."""

    name: Name
    pipesim_version: Text
    inputs: dict[Part, dict[Text, Sha256]]
    """The SHA-256 of what the scenario says, by part and item (see :mod:`pipesim.check.parts`): comments, order and the
    files that hold it do not matter."""
    files: dict[_FileName, Sha256]
    """The files read, by how the scenario refers to them."""
    prices_usd_per_hour: dict[Name, Usd]
    """Of all units that the search may use."""
    plan: Plan
    """The committed plan."""
    met: bool
    """Whether it meets all objectives under the scenario's seed."""
    cost_usd_per_hour: Usd
    """Of the committed plan."""
    best_plan: Plan | None
    """The cheapest plan found, None if none meets the objectives."""
    best_cost_usd_per_hour: Usd | None
    seeds: Annotated[Listed[Seed], Field(max_length=1000)]
    measured: Measured

    @property
    def paid_plan(self) -> Plan | None:
        """Return the plan that ran: the committed one if it met the objectives, else the cheapest that did."""
        return self.plan if self.met else self.best_plan

    @property
    def paid_usd_per_hour(self) -> Decimal | None:
        """Return what that plan cost."""
        return self.cost_usd_per_hour if self.met else self.best_cost_usd_per_hour

    @model_validator(mode="after")
    def _check_whole(self) -> Self:
        measured = self.measured
        columns: dict[str, tuple[float, ...]] = {
            **{f"latency_ns.{quantile}": values for quantile, values in measured.latency_ns.items()},
            "miss_rate": measured.miss_rate,
            "utilisation": measured.utilisation,
            "headroom": measured.headroom,
        }
        for name, values in columns.items():
            if len(values) != len(self.seeds):
                rule = f"is how many values there are for {len(self.seeds)} seeds"
                raise invalid(f"measured.{name}", len(values), rule, "give one for each")
        if (self.best_plan is None) != (self.best_cost_usd_per_hour is None):
            raise invalid("best_plan", None, "needs its cost, and a cost its plan", "give both or neither")
        return self


class Baseline(Model):
    """The entries of a baseline, by the paths of their scenarios."""

    schema_version: Literal[1] = SCHEMA_VERSION
    entries: Annotated[dict[ScenarioPath, Entry], Field(max_length=MAX_SCENARIOS)] = {}


def path_in_baseline(scenario: str | Path, baseline: str | Path) -> str:
    """Return how the baseline file `baseline` names the scenario file `scenario`; neither needs to exist.

    A scenario that is a symbolic link goes by its own name; links to the folders are followed.

    Raises
    ------
    InvalidInputError
        If the scenario is not in the folder of the baseline, or below it.
    """
    place = place_of(Path(scenario), Path(baseline).parent)
    if place is None:
        remedy = "keep the baseline in a folder above all its scenarios"
        raise invalid(
            "scenario", str(scenario), f"is not below the folder of the baseline {Path(baseline).name}", remedy
        )
    return _scenario_path(place)
