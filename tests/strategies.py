"""Hypothesis strategies: small scenarios, plans and traces in which everything that the semantics know occurs.

In half of the cases all times lie on a grid of 1 ms, so that ties abound; in a quarter they are a few times 10 ns, so
that sizes and noise round to nothing or half way between two nanoseconds; else they are any number of nanoseconds.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import cache
from typing import Any, Literal, get_args

import numpy as np
from hypothesis import strategies as st

from pipesim.engine import EngineInputs, SimulationResult, Workload, simulate
from pipesim.model import Dispatch, Plan, ProfilePoint, Scenario, Slo, StagePlan, scenario_from_dict
from pipesim.model.profile import profile_set
from pipesim.model.search import PreviousPlan
from pipesim.traces import ArrivalTrace

MS = 1_000_000
DISPATCHES: tuple[Dispatch, ...] = get_args(Dispatch)
BATCHINGS = ("greedy", "delayed", "window")
CLASSES = ("a", "b", "c")

Clock = Literal["ms", "10 ns", "free"]


@dataclass(frozen=True)
class Case:
    """A scenario as its file would say it, with what a file leaves out: service noise, a plan, a trace.

    Parameters
    ----------
    document
        The scenario, for `scenario_from_dict`.
    noise
        ``(noise_scv, noise_law)`` of each model that has any.
    """

    document: dict[str, Any]
    noise: dict[str, tuple[float, str]]
    plan: Plan
    trace: ArrivalTrace

    @property
    def scenario(self) -> Scenario:
        """Return the scenario, with the noise of its profiles."""
        scenario = scenario_from_dict(self.document)
        points = []
        for profile in scenario.profiles.values():
            scv, law = self.noise.get(profile.model, (0.0, "gamma"))
            points += [ProfilePoint(**{**vars(point), "noise_scv": scv, "noise_law": law}) for point in profile.points]
        return replace(scenario, profiles=profile_set(("test", point) for point in points))

    @property
    def workload(self) -> Workload:
        """Return the trace with its draws, drawn anew."""
        return Workload.of(self.scenario, self.trace)

    @property
    def inputs(self) -> EngineInputs:
        """Return what an engine runs."""
        return self.workload.engine_inputs(self.plan)

    @property
    def result(self) -> SimulationResult:
        """Return what the simulation tells."""
        return simulate(self.workload, self.plan)


@st.composite
def cases(
    draw: st.DrawFn,
    *,
    dispatches: Sequence[str] = DISPATCHES,
    batchings: Sequence[str] = BATCHINGS,
    clocks: Sequence[Clock] = ("ms", "ms", "10 ns", "free"),
    per: Sequence[str] = ("query", "item"),
    choices: Sequence[str] = ("none", "none", "draw", "class", "level"),
    sizes: Sequence[str] = ("none", "none", "padded", "packed"),
    noises: Sequence[str] = ("none", "none", "gamma", "lognormal"),
    max_stages: int = 5,
    longest_delay: int = 4,
) -> Case:
    """Return a case; the arguments hold what may occur, as often as it is named; delays are in units of the clock."""
    clock: Clock = draw(st.sampled_from(clocks))
    count = min(max_stages, draw(st.sampled_from((3, 2, 4, 5, 1))))
    names = draw(st.permutations([f"s{number}" for number in range(count)]))
    after = _edges(draw, sorted(names), clock, per, longest_delay)
    for name in names:
        _draw_choice(draw, [edges[name] for edges in after.values() if name in edges], choices)
    stages, models, noise, chosen = {}, {}, {}, {}
    for name in names:
        combine, law = draw(st.sampled_from(sizes)), draw(st.sampled_from(noises))
        stages[name] = {
            "model": name,
            **({"after": after[name]} if after[name] else {}),
            **_serving(draw, dispatches, batchings, clock),
        }
        if combine != "none":
            stages[name]["size"] = {"attribute": "length", "reference": draw(_reals(1.0, 20)), "combine": combine}
        if law != "none":
            noise[name] = (draw(_reals(0.01, 2)), law)
        measured = sorted(draw(st.sets(st.integers(1, 8), min_size=1, max_size=3)))
        models[name] = {"cpu": {size: _text(draw(_times(1, 12, clock))) for size in measured}}
        chosen[name] = StagePlan(
            hardware="cpu", replicas=draw(st.integers(1, 4)), max_batch_size=draw(st.integers(1, measured[-1]))
        )
    document = {
        "name": "random",
        "slo": {"p99": "100ms"},
        "traffic": {"poisson": {"rate_qps": 1, "queries": 0}},
        "pipeline": stages,
        "profiles": models,
        "prices": {"units": {"cpu": {"kind": "cpu", "unit": "core", "price_usd_per_hour": 1}}},
        "seed": draw(st.integers(0, 2**32)),
    }
    return Case(document, noise, Plan(stages=chosen), draw(traces(clock=clock)))


@st.composite
def traces(draw: st.DrawFn, *, clock: Clock, counts: Sequence[int] = (10, 20, 40, 30, 5, 3, 2, 1, 0)) -> ArrivalTrace:
    """Return up to 40 arrivals, spread over tens of milliseconds, in bursts, or all at once, with attributes."""
    count = draw(st.sampled_from(counts))
    span = draw(st.sampled_from((20, 5, 100, 0)))
    instants = draw(st.sampled_from((40, 40, 3, 1)))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    unit, units = (1, span * MS) if clock == "free" else (MS if clock == "ms" else 10, span)
    times = np.sort(rng.choice(rng.integers(0, units, instants, endpoint=True) * unit, count))
    attributes = {
        "class": rng.choice(CLASSES, count),
        "length": rng.choice([0.1, 0.2, 0.3, 0.7, 1.0, 2.5, rng.uniform(1, 20)], count),
        "level": rng.choice([1.0, 2.0, 3.0], count),
    }
    return ArrivalTrace(times, units * unit, attributes=attributes)


@dataclass(frozen=True)
class Problem:
    """A question to the planner, small enough that all plans can be tried.

    Parameters
    ----------
    scenario
        With its search space, and perhaps a quota, a ceiling and a previous plan.
    workload
        Its traffic.
    """

    scenario: Scenario
    workload: Workload

    @property
    def plans(self) -> list[Plan]:
        """Return all plans of the search space."""
        settings = [
            [
                StagePlan(hardware=option.hardware, replicas=replicas, max_batch_size=size)
                for option in space.options
                for replicas in range(space.min_replicas, space.max_replicas + 1)
                for size in option.batch_sizes
            ]
            for space in self.scenario.space.values()
        ]
        names = list(self.scenario.space)
        return [Plan(stages=dict(zip(names, chosen, strict=True))) for chosen in itertools.product(*settings)]


_SETTINGS = {1: 40, 2: 14, 3: 7}
"""The most settings of each stage of a problem, by its stages: so that it has a few hundred plans at most."""


@st.composite
def problems(
    draw: st.DrawFn,
    *,
    dispatches: Sequence[str] = DISPATCHES,
    batchings: Sequence[str] = BATCHINGS,
    clocks: Sequence[Clock] = ("ms", "ms", "10 ns", "free"),
    choices: Sequence[str] = ("none", "none", "draw", "class"),
    sizes: Sequence[str] = ("none", "none", "padded", "packed"),
    noises: Sequence[str] = ("none", "none", "none", "gamma", "lognormal"),
    counts: Sequence[int] = (20, 40, 60, 30, 10, 5),
    stages: Sequence[int] = (2, 1, 3),
    hardware: Sequence[int] = (2, 1, 3),
    prices: Sequence[float] = (1, 2, 0.5, 1, 0, 0.0371, 3.25),
) -> Problem:
    """Return a problem; the arguments hold what may occur, as often as it is named.

    Each stage has up to three kinds of hardware, with prices, curves and noise of their own. The bounds of the
    objectives lie near what some plan of the space reaches, so that about half of the plans are feasible.
    """
    clock: Clock = draw(st.sampled_from(clocks))
    names = [f"s{number}" for number in range(draw(st.sampled_from(stages)))]
    after = _edges(draw, names, clock, ("query", "item"), 4)
    for name in names:
        _draw_choice(draw, [edges[name] for edges in after.values() if name in edges], choices)
    pipeline: dict[str, Any] = {}
    models: dict[str, Any] = {}
    search: dict[str, Any] = {}
    noise = {}
    units = [f"h{number}" for number in range(3)]
    for name in names:
        combine = draw(st.sampled_from(sizes))
        pipeline[name] = {
            "model": name,
            **({"after": after[name]} if after[name] else {}),
            **_serving(draw, dispatches, batchings, clock),
        }
        if combine != "none":
            pipeline[name]["size"] = {"attribute": "length", "reference": draw(_reals(1.0, 20)), "combine": combine}
        models[name] = {}
        for unit in units[: draw(st.sampled_from(hardware))]:
            measured = sorted(draw(st.sets(st.integers(1, 8), min_size=1, max_size=3)))
            models[name][unit] = {size: _text(draw(_times(1, 12, clock))) for size in measured}
            law = draw(st.sampled_from(noises))
            if law != "none":
                noise[name, unit] = (draw(_reals(0.01, 2)), law)
        search[name] = _space(draw, models[name], _SETTINGS[len(names)])
    document = {
        "name": "random",
        "slo": {"p99": "100ms"},
        "traffic": {"poisson": {"rate_qps": 1, "queries": 0}},
        "pipeline": pipeline,
        "profiles": models,
        "prices": {
            "units": {
                unit: {"kind": "cpu", "unit": "core", "price_usd_per_hour": draw(st.sampled_from(prices))}
                for unit in units
            },
            "bundles": {"h2": {"h2": 1, "h0": 2}} if draw(st.booleans()) else {},
        },
        "search": {"stages": search},
        "seed": draw(st.integers(0, 2**32)),
    }
    trace = draw(traces(clock=clock, counts=counts))
    open_ = _problem(document, noise, trace)
    plans = open_.plans
    objectives = [
        _objective(draw, open_, draw(st.sampled_from(plans))) for _ in range(draw(st.sampled_from((1, 1, 2))))
    ]
    limits: dict[str, Any] = {"stages": search}
    if draw(st.integers(0, 3)) == 0:
        limits["quota"] = _quota(draw(st.sampled_from(plans)), open_.scenario)
    if draw(st.integers(0, 3)) == 0:
        cost = draw(st.sampled_from(plans)).cost_usd_per_hour(open_.scenario.catalogue)
        limits["max_cost_usd_per_hour"] = float(max(cost, Decimal("0.01"))) + draw(st.sampled_from((0, 1e-5)))
    previous, change = None, Decimal(0)
    if draw(st.integers(0, 3)) == 0:
        previous, change = draw(st.sampled_from(plans)), Decimal(draw(st.sampled_from(("0.3", "1", "0", "2.5"))))
    return _problem({**document, "slo": objectives, "search": limits}, noise, trace, previous, change)


def _quota(plan: Plan, scenario: Scenario) -> dict[str, int]:
    """Return what a plan occupies, or what single stages must, so that all hardware stays in the search space."""
    occupied = plan.units(scenario.catalogue)
    for space in scenario.space.values():
        for option in space.options:
            for unit, count in scenario.catalogue.bundle(option.hardware).items():
                occupied[unit] = max(occupied.get(unit, 0), count * space.min_replicas)
    return occupied


def _space(draw: st.DrawFn, curves: dict[str, dict[int, str]], most: int) -> dict[str, Any]:
    """Return limits on the settings of a stage, of which there are then up to `most`."""
    largest = max(max(curve) for curve in curves.values())
    sizes = sorted(draw(st.sets(st.integers(1, largest), min_size=1, max_size=min(3, most // len(curves)))))
    replicas = draw(st.integers(1, max(1, most // len(curves) // len(sizes))))
    least = 1 if replicas == 1 else draw(st.sampled_from((1, 1, 2)))
    return {"min_replicas": least, "max_replicas": replicas, "batch_sizes": sizes}


def _objective(draw: st.DrawFn, problem: Problem, plan: Plan) -> dict[str, Any]:
    """Return an objective whose bound is about what a plan reaches."""
    trace = problem.workload.trace
    slo: dict[str, Any] = {"quantile": draw(st.sampled_from(("p90", "p99", "p50", "p75", "p100"))), "bound": "1s"}
    if draw(st.integers(0, 3)) == 0 and len(trace):
        slo["where"] = {"class": str(trace.attributes["class"][draw(st.integers(0, len(trace) - 1))])}
    if draw(st.integers(0, 3)) == 0 and trace.duration_ns:
        slo["every"] = f"{max(1, trace.duration_ns // draw(st.integers(1, 9)))}ns"
    (limit,) = problem.workload.miss_limits([Slo(**slo)])
    reached_ns = int(limit.quantiles_ns(simulate(problem.workload, plan).latency_ns).max())
    near = draw(st.sampled_from((1.0, 1.0, 0.9, 0.6, 1.2)))
    bound_ns = max(1, round(reached_ns * near) - draw(st.sampled_from((0, 0, 1))))
    return {**slo, "bound": f"{bound_ns}ns"}


def _problem(
    document: dict[str, Any],
    noise: dict[tuple[str, str], tuple[float, str]],
    trace: ArrivalTrace,
    previous: Plan | None = None,
    change: Decimal = Decimal(0),
) -> Problem:
    scenario = scenario_from_dict(document)
    points = []
    for profile in scenario.profiles.values():
        scv, law = noise.get((profile.model, profile.hardware), (0.0, "gamma"))
        points += [ProfilePoint(**{**vars(point), "noise_scv": scv, "noise_law": law}) for point in profile.points]
    scenario = replace(scenario, profiles=profile_set(("test", point) for point in points))
    if previous is not None:
        now = PreviousPlan(plan="running.yaml", change_usd_per_hour=change)
        search = scenario.file.search.model_copy(update={"previous": now})
        scenario = replace(scenario, previous=previous, file=scenario.file.model_copy(update={"search": search}))
    return Problem(scenario, Workload.of(scenario, trace))


def _edges(
    draw: st.DrawFn, names: list[str], clock: Clock, per: Sequence[str], longest_delay: int
) -> dict[str, dict[str, dict[str, Any]]]:
    """Return the `after` of every stage: edges lead from a lower number to a higher one."""
    after: dict[str, dict[str, dict[str, Any]]] = {name: {} for name in names}
    growth = 2  # edges that may multiply items
    for number, name in enumerate(names[1:], start=1):
        upstream = draw(st.permutations(names[:number]))[: draw(st.sampled_from((2, 1, 3, 1, 0)))]
        for place, source in enumerate(upstream):
            options: dict[str, Any] = {"per": draw(st.sampled_from(per))}
            if draw(st.booleans()):
                options["network_delay"] = _text(draw(_times(0, longest_delay, clock)))
            if draw(st.integers(0, 2)) == 0:
                options["probability"] = draw(st.sampled_from((0.3, 0.7, 1.0)))
            if draw(st.booleans()):
                # A stage must be within reach, so its first edge is always one that can be active.
                options["fan_out"] = draw(_fan_outs(most=3 if growth else 1, least=0 if place else 1))
                growth -= bool(growth)
            after[name][source] = options
    return after


def _draw_choice(draw: st.DrawFn, outgoing: list[dict[str, Any]], choices: Sequence[str]) -> None:
    """Make some of the edges out of one stage exclude each other."""
    form = draw(st.sampled_from(choices))
    per = outgoing[0]["per"] if outgoing else "query"
    group = [options for options in outgoing if options["per"] == per]
    if form == "none" or not group:
        return
    for number, options in enumerate(group):
        options.pop("probability", None)
        if form == "draw":
            share = draw(st.sampled_from((1.0, 0.9))) / len(group)
            options |= {"choice": "pick", "probability": share}
        else:
            values = (*CLASSES, "never") if form == "class" else (1, 2, 3, 4)
            options |= {"choice": form, "values": [values[number]]}


@cache
def _fan_outs(*, most: int, least: int) -> st.SearchStrategy[Any]:
    weights = st.sampled_from(({0: 0.5, 1: 0.5}, {0: 0.2, 1: 0.3, most + 1: 0.5}, {1: 0.25, most: 0.75}, {1: 1.0}))
    if most == 1:
        weights = st.just({0: 0.4, 1: 0.6})
    return (
        st.integers(least, most)
        | st.builds(dict, poisson=st.sampled_from((0.5, 1.0 if most == 1 else 1.5)))
        | st.builds(dict, weights=weights)
    )


def _serving(draw: st.DrawFn, dispatches: Sequence[str], batchings: Sequence[str], clock: Clock) -> dict[str, Any]:
    serving: dict[str, Any] = {"dispatch": draw(st.sampled_from(dispatches))}
    batching = draw(st.sampled_from(batchings))
    if batching == "delayed":
        serving["batching"] = {"max_queue_delay": _text(draw(_times(1, 8, clock)))}
    elif batching == "window":
        serving["batching"] = {
            "policy": "window",
            "max_queue_delay": _text(draw(_times(0, 8, clock)) if draw(st.booleans()) else 0),
        }
    if draw(st.integers(0, 2)) == 0:
        serving["batch_overhead"] = _text(draw(_times(0, 3, clock)))
    return serving


@cache
def _times(least: int, most: int, clock: Clock) -> st.SearchStrategy[int]:
    if clock == "free":
        return st.integers(least * MS, most * MS)
    return st.integers(least, most).map(lambda units: units * (MS if clock == "ms" else 10))


@cache
def _reals(least: float, most: float) -> st.SearchStrategy[float]:
    return st.sampled_from((least, most)) | st.floats(least, most)


def _text(ns: int) -> str:
    return f"{ns // MS}ms" if ns % MS == 0 else f"{ns}ns"
