"""One row of a sweep: a scenario changed, its plan simulated or looked for, and what is told of it.

This is what runs where the work is done: in a thread, another process, or on another machine. A :class:`Base` is what
all rows have in common; it is sent to a worker once, and a :class:`Worker` is made of it, which remembers draws.
"""

import os
import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from uuid import uuid4

from pipesim.engine import SimulationResult, run_engine
from pipesim.engine.run import Run
from pipesim.errors import InvalidInputError, PipesimError
from pipesim.model import Plan, Scenario
from pipesim.model.changes import source_of, stage_field
from pipesim.planner import Method, plan
from pipesim.whatif.content import key_of
from pipesim.whatif.metrics import Answer, Column
from pipesim.whatif.workloads import Workloads, unpacked

_IDLE = ("name", "description", "slo", "prices", "price_class", "search")
"""Fields of a scenario that do not decide what a given plan does."""
_PLAN = "plan."
_STAGES = "stages."


class Row(NamedTuple):
    """One row to evaluate.

    Parameters
    ----------
    key
        Stands for its content.
    changes
        Of the scenario, by path.
    plan_changes
        Of the plan, by ``STAGE.FIELD``.
    """

    key: str
    changes: dict[str, Any]
    plan_changes: dict[str, Any]


@dataclass(frozen=True)
class Base:
    """What all rows have in common.

    Parameters
    ----------
    scenario
        What is varied.
    plan
        What each row simulates; None if each row is planned.
    columns
        What is told of each row.
    method, max_evaluations
        How plans are looked for.
    """

    scenario: Scenario
    plan: Plan | None
    columns: tuple[Column, ...]
    method: Method
    max_evaluations: int


def asked(base: Base, row: Row) -> tuple[Scenario, Plan | None]:
    """Return the scenario and the plan of a row, checked.

    Raises
    ------
    InvalidInputError
        With the path of the change, as of a file.
    """
    scenario = base.scenario.with_(row.changes)
    if base.plan is None:
        return scenario, None
    chosen, changed = base.plan, dict[tuple[str, str], str]()
    for path, value in row.plan_changes.items():
        stage, name = stage_field(path, scenario, _PLAN if path.startswith(_PLAN) else _STAGES)
        if (other := changed.setdefault((stage, name), path)) != path:
            raise InvalidInputError(f"is what {other} changes too; keep one of them", path)
        if stage not in chosen.stages:
            raise InvalidInputError(f"the plan has no stage {stage}; add it to the plan", path)
        try:
            chosen = chosen.with_stage(stage, **{name: value})
        except ValueError as error:
            raise InvalidInputError(_reason(error, value), path) from None
    try:
        scenario.check_plan(chosen)
    except InvalidInputError as error:
        place = error.where.removeprefix("plan: stages").removeprefix(".")
        given = [path for path in row.plan_changes if place and path.endswith(f".{place}")]
        raise InvalidInputError(error.reason, given[0] if given else error.where) from None
    return scenario, chosen


def _reason(error: ValueError, value: Any) -> str:
    """Return what pydantic says of one field."""
    from pydantic import ValidationError

    if not isinstance(error, ValidationError):
        return str(error)
    rule = error.errors()[0]["msg"].replace("Input should", "is not allowed; it should")
    return f"{value!r} {rule}"


def run_key_of(scenario: Scenario, chosen: Plan) -> str:
    """Return what stands for a run: for all that decides what a plan does, as long as no file changes."""
    source = source_of(scenario)
    decisive = {name: value for name, value in source.document.data.items() if name not in _IDLE}
    latencies = [[*figure, value] for figure, value in source.latencies.items()]
    return key_of(decisive, latencies, chosen.model_dump())


@dataclass
class Worker:
    """Where rows of one sweep are evaluated. Threads may share it.

    Parameters
    ----------
    base
        What they have in common.
    workloads
        What was drawn for them.
    checked
        By the key of a row, the scenario and the plan that were made of it when it was checked; each is taken once.
    """

    base: Base
    workloads: Workloads = field(default_factory=Workloads)
    checked: dict[str, tuple[Scenario, Plan | None]] = field(default_factory=dict)
    _here: threading.local = field(default_factory=threading.local)

    def evaluate(self, row: Row) -> dict[str, Any]:
        """Return what is told of a row, by column."""
        answer = self.answer(*(self.checked.pop(row.key, None) or asked(self.base, row)))
        return {column.name: column.of(answer) for column in self.base.columns}

    def answer(self, scenario: Scenario, chosen: Plan | None) -> Answer:
        """Return what comes of a scenario, and of the plan that is given, if one is."""
        if chosen is not None:
            return Answer(scenario, self._simulated(scenario, chosen))
        base = self.base
        found = plan(
            self.workloads.of(scenario),
            method=base.method,
            max_evaluations=base.max_evaluations,
            threads=1,
            verified=False,
        )
        return Answer(scenario, getattr(found, "simulation", None), found)

    def _simulated(self, scenario: Scenario, chosen: Plan) -> SimulationResult:
        """Return what a plan does; rows that differ in what it does not depend on share the run."""
        workload, key = self.workloads.of(scenario), run_key_of(scenario, chosen)
        last: tuple[str, Run] | None = getattr(self._here, "last", None)
        if last is None or last[0] != key:
            last = self._here.last = None  # so that the next run takes its memory
            last = self._here.last = key, run_engine(workload.engine_inputs(chosen))
        return SimulationResult(workload, chosen, last[1])


class Missing(NamedTuple):
    """What a worker answers that lacks the base of a sweep, or arrivals: they must be delivered to it.

    Parameters
    ----------
    process
        Tells its process from all others.
    """

    process: str


class RowError(PipesimError):
    """A row that cannot be evaluated, by its key: for the sweep only, it never reaches a caller."""

    def __init__(self, key: str, error: str) -> None:
        super().__init__(key, error)
        self.key, self.error = key, error


_MOST_WORKERS = 2
_workers: OrderedDict[str, Worker] = OrderedDict()
_hiring = threading.Lock()
_BEGUN = uuid4().hex


def hire(sweep: str, base: Base) -> Worker:
    """Return the worker of this process for a sweep."""
    with _hiring:
        if sweep not in _workers:
            _workers[sweep] = Worker(base)
            if len(_workers) > _MOST_WORKERS:
                _workers.popitem(last=False)
        _workers.move_to_end(sweep)
        return _workers[sweep]


def dismiss(sweep: str) -> None:
    """Let go of what this process remembers of a sweep."""
    _workers.pop(sweep, None)


def deliver(_: str, sweep: str, base: Base, traces: Mapping[str, Mapping[str, Any]]) -> None:
    """Keep in this process what the rows of a sweep have in common, and packed arrivals by their key.

    As of :func:`evaluate`, the first argument is another one in each call, for executors that remember what calls with
    equal arguments returned.
    """
    worker = hire(sweep, base)
    for key, trace in traces.items():
        worker.workloads.hold(key, unpacked(trace))


def evaluate(_: str, sweep: str, rows: Sequence[Row], traces: Sequence[str]) -> list[dict[str, Any]] | Missing:
    """Return what is told of some rows, or that something must be delivered to this process first.

    Parameters
    ----------
    sweep
        The key of the sweep.
    rows
        To be evaluated one after the other.
    traces
        The keys of arrivals that must not be read from files here.

    Raises
    ------
    RowError
        For a row whose traffic or plan does not fit, which could not be known before.
    """
    worker = _workers.get(sweep)
    if worker is None or not all(worker.workloads.holds(key) for key in traces):
        return Missing(f"{_BEGUN}:{os.getpid()}")
    found = []
    for row in rows:
        try:
            found.append(worker.evaluate(row))
        except PipesimError as error:
            raise RowError(row.key, str(error)) from None
        except Exception as error:
            error.add_note(f"in the row {row.changes | row.plan_changes}")
            raise
    return found
