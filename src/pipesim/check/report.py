"""What a check answers: for each scenario what changed, what that costs, why, and whether it may pass.

The models are the report: ``report.model_dump(mode="json")`` is what ``pipesim check --json`` prints, and
``CheckReport.model_json_schema()`` its schema. Texts in them may hold any letter of a stranger's file that prints;
whoever shows them escapes them.
"""

from typing import Annotated, Literal

from pydantic import Field

from pipesim.check.fields import Part, Sha256, Usd, Verdict
from pipesim.model import Plan
from pipesim.model.fields import Model

SCHEMA_VERSION: Literal[1] = 1

Unit = Literal["usd_per_hour", "s", "share", "factor"]
Level = Literal["fail", "warn"]
State = Literal["unchanged", "changed", "new"]


class Change(Model):
    """An input that is not what it was."""

    part: Part
    item: str
    """The model of a profile, the unit of a price; empty for a part as a whole."""
    text: str
    """What became of it, in words: ``k80, batch 8: 132.9 ms → 146.2 ms (+10 %)``."""
    file: str | None = None
    """Where it is written, relative to the top of the repository; None for what is bundled or lies elsewhere."""
    line: int | None = None


class Outcome(Model):
    """What a threshold says of a metric."""

    rule: str
    """The threshold as it was given, ``p99:+5%``."""
    level: Level
    broken: bool


class MetricChange(Model):
    """A metric before and now.

    Of a metric that was simulated, `before` and `now` are means over the seeds.
    """

    metric: str
    """``cost``, ``p99``, ``headroom`` …: see :mod:`pipesim.check.metrics`."""
    unit: Unit
    before: float | None
    now: float | None
    change: float | None
    """`now` less `before`."""
    relative_change: float | None
    """`change` as a share of `before`; None if that is 0 and the change is not."""
    interval: tuple[float, float] | None
    """Between which values the change lies, as far as the seeds tell; None for what has no uncertainty."""
    certain: bool
    """Whether the change is beyond the simulation's own uncertainty."""
    outcomes: tuple[Outcome, ...] = ()
    verdict: Literal["pass", "warn", "fail"] = "pass"


class Costs(Model):
    """What is paid, before and now, and what of the difference is a matter of prices and what of the plan.

    ``cost`` of a side is that of the plan that would run: the committed plan where it meets the objectives, else the
    cheapest that does.
    """

    before: Usd | None
    now: Usd | None
    """None if no plan meets the objectives."""
    committed_before: Usd | None
    committed_now: Usd | None
    """The committed plan at the prices of now; None if it runs on what has no price now."""
    best_before: Usd | None
    best_now: Usd | None
    price_effect: Usd | None
    """What the plan that was paid for before costs more now: the same plan at other prices."""
    plan_effect: Usd | None
    """`now` less `before` less `price_effect`: another plan at the prices of now."""


class StageChange(Model):
    """A stage for which the plan that would run now differs from the committed one."""

    stage: str
    before: str | None
    """``3 × k80, batch 10``; None for a stage that was not there."""
    now: str | None


class Effect(Model):
    """What of the change of cost one changed input is to blame for."""

    part: Part | Literal["pipesim"]
    item: str
    usd_per_hour: Usd
    relative: float | None
    """As a share of the cost before."""


class Price(Model):
    """What a unit costs an hour, before and now; None where it has no price."""

    before: Usd | None
    now: Usd | None


class ScenarioCheck(Model):
    """One scenario, checked."""

    path: str
    """The scenario file, relative to the folder of the baseline, with forward slashes."""
    file: str | None = None
    """The same, relative to the top of the repository, if that is another folder."""
    name: str
    state: State
    """``unchanged``: all inputs are, by their hashes, and so is what came out if it was evaluated anew; ``new``: the
    baseline does not know it."""
    verdict: Verdict
    reasons: tuple[str, ...]
    """Why it is no ``pass``, one sentence each."""
    changes: tuple[Change, ...] = ()
    met_before: bool | None = None
    met_now: bool | None = None
    """Whether the committed plan may be chosen, and meets all objectives under the scenario's seed."""
    misfit: str | None = None
    """Why the committed plan is none that the search may choose now."""
    metrics: tuple[MetricChange, ...] = ()
    costs: Costs | None = None
    committed_plan: Plan | None = None
    plan_now: Plan | None = None
    """The plan that would run now: the committed one where it meets the objectives, else the cheapest found."""
    best_plan: Plan | None = None
    """The cheapest plan found now."""
    plan_changes: tuple[StageChange, ...] = ()
    best_changes: tuple[StageChange, ...] = ()
    """Where the cheapest plan found now differs from the committed one."""
    attribution: tuple[Effect, ...] = ()
    attribution_note: str = ""
    """Why there is none, or what it leaves open."""
    prices: dict[str, Price] = {}
    seeds: tuple[int, ...] = ()
    notes: tuple[str, ...] = ()


class BaselineNote(Model):
    """The baseline that was compared with."""

    name: str
    sha256: Sha256
    notes: tuple[str, ...] = ()
    """What is stale in it, and what of it the change itself replaced."""


class CheckReport(Model):
    """All scenarios, checked against one baseline."""

    schema_version: Literal[1] = SCHEMA_VERSION
    kind: Literal["check"] = "check"
    pipesim_version: str
    baseline: BaselineNote
    verdict: Verdict
    """The worst of the scenarios."""
    scenarios: Annotated[tuple[ScenarioCheck, ...], Field(min_length=1)]
