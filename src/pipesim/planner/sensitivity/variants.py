"""Questions with one thing changed: bounds, load, a price, a model's speed, or what the search may use.

Each function is pure and returns what the file would have given had it said so; routes and luck depend on none of it
but the load, so workloads are drawn once and shared (:func:`changed`).
"""

import math
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction

from pipesim.engine import Workload
from pipesim.errors import invalid, shown
from pipesim.model import Profile, ProfilePoint, Scenario, Slo
from pipesim.model.fields import MAX_REPLICAS, MAX_UNITS, MAX_USD_PER_HOUR
from pipesim.model.profile import ProfileSet
from pipesim.model.search import Search
from pipesim.planner.evaluator import Question
from pipesim.traces.transform import compress_time
from pipesim.units import MAX_DURATION_NS

Factor = float | Decimal | Fraction


def changed(question: Question, change: Callable[[Scenario], Scenario]) -> Question:
    """Return the question with each of its scenarios changed, on the same traffic, routes and luck.

    Parameters
    ----------
    question
        What was asked.
    change
        Of what does not decide which queries come, where they go, or what is drawn for them.
    """
    return _on_each(question, lambda workload: replace(workload, scenario=change(workload.scenario)))


def at_load(question: Question, factor: Factor) -> Question:
    """Return the question with its traffic compressed in time: the rate times `factor`, bursts kept, queries the same.

    Draws are indexed by query, so each query goes where it went and has the luck that it had.

    Raises
    ------
    InvalidInputError
        If `factor` is not a finite number above 0, or the traffic would last too long.
    """
    load = float(_checked("load", factor))
    return _on_each(question, lambda workload: workload.at(workload.scenario, compress_time(workload.trace, load)))


def _on_each(question: Question, change: Callable[[Workload], Workload]) -> Question:
    """Return the question with each of its workloads changed, the one that is held out too."""
    held_out = None if question.held_out is None else change(question.held_out)
    return replace(question, workloads=tuple(map(change, question.workloads)), held_out=held_out)


def with_slo_factor(scenario: Scenario, factor: Factor) -> Scenario:
    """Return the scenario with the bounds of all objectives times `factor`, rounded to the nearest nanosecond.

    Raises
    ------
    InvalidInputError
        If `factor` is not a finite number above 0, or takes a bound out of 1 ns … 400 days.

    >>> from pipesim.model import scenario_from_dict
    >>> scenario = scenario_from_dict({
    ...     "name": "one", "slo": {"p99": "100ms"}, "traffic": {"poisson": {"rate_qps": 1, "queries": 1}},
    ...     "pipeline": {"a": {"model": "m"}}, "profiles": {"m": {"cpu": {1: "10ms"}}},
    ...     "prices": {"units": {"cpu": {"kind": "cpu", "unit": "core", "price_usd_per_hour": 1}}}})
    >>> str(with_slo_factor(scenario, 1.5).slos[0])
    'p99 <= 150 ms'
    """
    exact = _checked("slo factor", factor)

    def bound(bound_ns: int) -> int:
        scaled_ns = round(exact * bound_ns)
        if not 1 <= scaled_ns <= MAX_DURATION_NS:
            raise invalid("slo factor", float(exact), f"makes a bound {scaled_ns} ns", "keep it in 1 ns to 400 days")
        return scaled_ns

    slo: dict[str, int] | tuple[Slo, ...]
    if isinstance(scenario.file.slo, dict):
        slo = {name: bound(bound_ns) for name, bound_ns in scenario.file.slo.items()}
    else:
        slo = tuple(one.model_copy(update={"bound_ns": bound(one.bound_ns)}) for one in scenario.file.slo)
    return replace(scenario, file=scenario.file.model_copy(update={"slo": slo}))


def with_price_factor(scenario: Scenario, unit: str, factor: float | Decimal) -> Scenario:
    """Return the scenario with the price of one unit of the catalogue times `factor`, exactly.

    Raises
    ------
    InvalidInputError
        If the unit is not known, or `factor` is not a finite number of at least 0, or the price would exceed its
        maximum.
    """
    units = scenario.catalogue.units
    if unit not in units:
        raise invalid("unit", unit, "is not a unit", f"use one of {', '.join(units)}")
    exact = _checked("price factor", factor, least=0)
    price = units[unit].price_usd_per_hour * Decimal(str(factor))
    if price > MAX_USD_PER_HOUR:
        raise invalid("price factor", float(exact), f"makes {unit} cost {shown(price)} an hour", "use a smaller one")
    dearer = units[unit].model_copy(update={"price_usd_per_hour": price})
    return replace(scenario, catalogue=scenario.catalogue.model_copy(update={"units": {**units, unit: dearer}}))


def with_profile_factor(scenario: Scenario, model: str, hardware: str, factor: Factor) -> Scenario:
    """Return the scenario with all latencies of one model on one hardware times `factor`.

    Raises
    ------
    InvalidInputError
        If there is no such profile, or `factor` is not a finite number above 0, or takes a latency beyond 400 days.
    """
    if (model, hardware) not in scenario.profiles:
        known = ", ".join(scenario.profiles.hardware_of(model)) or "none"
        raise invalid("profile", f"{model} on {hardware}", "is not known", f"{model} is profiled on {known}")
    exact = _checked("profile factor", factor)
    slower = Profile(tuple(_scaled(point, exact) for point in scenario.profiles[model, hardware].points))
    return replace(scenario, profiles=ProfileSet({**scenario.profiles, (model, hardware): slower}))


def _scaled(point: ProfilePoint, factor: Fraction) -> ProfilePoint:
    fields = ("latency_ms", "latency_ms_p50", "latency_ms_p99")
    given = {field: getattr(point, field) for field in fields}
    scaled = {field: float(Fraction(repr(ms)) * factor) for field, ms in given.items() if ms is not None}
    if max(scaled.values()) > MAX_DURATION_NS / 10**6:
        raise invalid("profile factor", float(factor), f"makes {point.model} too slow", "use a smaller one")
    return point.model_copy(update=scaled)


def without(scenario: Scenario, hardware: str) -> Scenario:
    """Return the scenario whose search leaves out one hardware bundle, at all stages.

    Raises
    ------
    InvalidInputError
        If the catalogue has no such bundle, or a stage is left without any hardware.
    """
    names = scenario.catalogue.names
    if hardware not in names:
        raise invalid("hardware", hardware, "has no price", f"use one of {', '.join(names)}")
    excluded = (*(scenario.file.search.exclude or ()), hardware)
    narrower = _with_search(scenario, exclude=excluded)
    _ = narrower.space  # raises where a stage is left without any
    return narrower


def with_max_replicas(scenario: Scenario, replicas: int) -> Scenario:
    """Return the scenario in which every stage may have at least so many replicas; limits above that stay.

    Raises
    ------
    InvalidInputError
        If `replicas` is out of range.
    """
    if not 1 <= replicas <= MAX_REPLICAS:
        raise invalid("max_replicas", replicas, "is not allowed", f"use 1 to {MAX_REPLICAS}")
    search = scenario.file.search
    stages = {
        name: limits
        if limits.max_replicas is None
        else limits.model_copy(update={"max_replicas": max(limits.max_replicas, replicas)})
        for name, limits in search.stages.items()
    }
    return _with_search(scenario, max_replicas=max(search.max_replicas, replicas), stages=stages)


def with_quota(scenario: Scenario, unit: str, most: int) -> Scenario:
    """Return the scenario in which a plan may occupy so many of one unit.

    Raises
    ------
    InvalidInputError
        If the unit is not known, or `most` is out of range, or leaves a stage without any hardware.
    """
    if unit not in scenario.catalogue.units:
        raise invalid("unit", unit, "is not a unit", f"use one of {', '.join(scenario.catalogue.units)}")
    if not 0 <= most <= MAX_UNITS:
        raise invalid("quota", most, "is not allowed", f"use 0 to {MAX_UNITS}")
    other = _with_search(scenario, quota={**scenario.quota, unit: most})
    _ = other.space
    return other


def without_cost_ceiling(scenario: Scenario) -> Scenario:
    """Return the scenario without a limit on what a plan may cost."""
    return _with_search(scenario, max_cost_usd_per_hour=None)


def _with_search(scenario: Scenario, **changes: object) -> Scenario:
    search: Search = scenario.file.search.model_copy(update=changes)
    return replace(scenario, file=scenario.file.model_copy(update={"search": search}))


def _checked(field: str, factor: Factor, least: float | None = None) -> Fraction:
    """Return a factor exactly as it is written."""
    if not math.isfinite(factor) or factor < 0 or (least is None and not factor):
        remedy = "use a finite number above 0" if least is None else f"use a finite number of at least {least}"
        raise invalid(field, factor, "is not allowed", remedy)
    return Fraction(repr(factor)) if isinstance(factor, float) else Fraction(factor)
