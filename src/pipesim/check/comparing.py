"""Two sides compared: what each metric was and is, whether the difference is more than luck, and what rules say of it.

A rule about a change of a simulated metric is broken when two things hold. The mean over the seeds is beyond the
threshold; and the difference is certain: beyond what the simulation's own luck explains. A ratio alone would raise an
alarm whenever luck is large, certainty alone whenever anything moved.

Certain means a t test over the seeds. Seeds are replications: independent runs of the same model. If both sides have
the same seeds, arrivals, routes and luck are the same on both (common random numbers) and the test is the paired one,
of the differences seed by seed, in which the luck that both share cancels. Otherwise it is Welch's, of two independent
samples whose variances may differ. Seeds that only one of the sides lacks make Welch's test too careful, never the
reverse, because what they share makes both sides move together.

Latencies are compared by their ratio: the test is of the logarithm of the ratio of the means, whose variance is that of
the values over their means (the delta method). For small changes that is the test of the difference; but when a stage
is overloaded, latencies are many times what they were and differ as much from seed to seed, and the difference, however
large, would drown in its own spread.

The probability of a false alarm, of all rules about one scenario together, is at most 1 %: each of m one-sided tests
has 1 % / m (Bonferroni). m is the number of metrics and directions that rules about simulated changes name. With the
same seeds, what does not depend on a change is equal to the nanosecond, and never raises an alarm. A t test takes means
to be normal; quantiles of the latency are skewed, but with as many seeds on both sides the skews cancel in the
difference. What that comes to was measured: see ``docs/check.md``.

A difference that is the same under every seed is certain; so is one between sides on each of which all values are
equal, as with recorded traffic and no luck of services, where every seed is the same run.

Budgets compare the mean now, whatever its uncertainty: they are a promise, and luck does not make it kept.

All comparisons with thresholds and with 0 are of exact fractions. A float stands for the decimal number that it is
written as, so 0.33 is 10 % more than 0.3, and not beyond it.

Sources: A. M. Law, "Simulation Modeling and Analysis", chapters 9.4.1, 10.2 and 11.2 (replications, paired t and Welch,
common random numbers); B. L. Welch, "The generalization of 'Student's' problem when several different population
variances are involved", Biometrika 34 (1947); W. G. Cochran, "Sampling Techniques", chapter 6 (the variance of a ratio
of means); O. J. Dunn, "Multiple comparisons among means", JASA 56 (1961), for Bonferroni's inequality at work.
"""

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import TypeVar

from scipy.special import stdtrit

from pipesim.check.metrics import Metric, metric_of, place_of
from pipesim.check.report import MetricChange, Outcome
from pipesim.check.thresholds import Rule
from pipesim.errors import invalid

FALSE_ALARMS = 0.01
"""The probability that luck alone breaks a rule."""
_FEWEST = 2
"""The fewest seeds that tell how much luck there is."""
_LARGEST_MARGIN = 300.0
"""Of a ratio, as a logarithm: no end of an interval is infinite, which no JSON can say."""
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Side:
    """What a scenario did and cost on one side of a comparison.

    Parameters
    ----------
    seeds
        Under which it was simulated.
    exact
        Costs in USD an hour, by metric; None where there is no plan.
    samples
        Simulated metrics: one value for each seed, in their order; latencies in seconds.
    """

    seeds: tuple[int, ...]
    exact: Mapping[str, Decimal | None]
    samples: Mapping[str, tuple[float, ...]]


@dataclass(frozen=True, slots=True)
class _Difference:
    """A metric on both sides: means, between which values the difference lies, and whether it is certain."""

    before: Fraction | None
    now: Fraction | None
    interval: tuple[float, float] | None = None
    certain: bool = False


def compared(
    before: Side | None, now: Side, rules: Sequence[Rule], *, false_alarms: float = FALSE_ALARMS
) -> tuple[MetricChange, ...]:
    """Return how each metric changed that both sides have, and what rules say of it.

    A metric that only the side of now has is told if a rule is about it, which then breaks no rule about a change: so a
    rule about a new quantile begins to hold when the baseline has it. Without a side before, each metric of now is
    told, changes break no rule, and budgets hold or do not. If a side was not simulated at all, its plan fits no more:
    nothing simulated is told, and no rule about it broken.

    Metrics come in the order of :mod:`pipesim.check.metrics`. The ends of an interval are each wrong with the
    probability of the tests, so a difference is certain when its interval leaves out 0.

    Parameters
    ----------
    before, now
        The sides; `before` is None for a scenario that is new.
    rules
        All that are to be looked at.
    false_alarms
        The probability that luck alone breaks one of the rules, or more. Divide it by the number of scenarios, if
        that is to hold for all of them together.

    Raises
    ------
    InvalidInputError
        If a rule is about a metric that the side of now does not have, or about a change that one seed cannot tell from
        luck.
    """
    first = before or now
    costs, samples = _on_both(first.exact, now.exact), _on_both(first.samples, now.samples)
    asked = {rule.metric for rule in rules}
    here = {metric_of(name): values for name, values in now.samples.items()}
    samples |= {metric: ((), values) for metric, values in here.items() if metric in asked and metric not in samples}
    metrics = sorted([*costs, *samples], key=place_of)
    was_simulated = bool(first.samples and now.samples)
    rules = [rule for rule in rules if was_simulated or not rule.metric.is_simulated]
    _check_rules(rules, metrics, None if before is None else min(len(before.seeds), len(now.seeds)))
    tests = {(rule.metric.name, rule.sign) for rule in rules if rule.metric.is_simulated and not rule.is_budget}
    level, paired = false_alarms / max(1, len(tests)), first.seeds == now.seeds
    differences = {metric: _difference_of_costs(*both) for metric, both in costs.items()} | {
        metric: _difference(*both, level, paired=paired, by_ratio=metric.unit == "s")
        for metric, both in samples.items()
    }
    if before is None:
        differences = {metric: _Difference(None, found.now) for metric, found in differences.items()}
    return tuple(
        _change(metric, differences[metric], [rule for rule in rules if rule.metric == metric]) for metric in metrics
    )


def _on_both(before: Mapping[str, T], now: Mapping[str, T]) -> dict[Metric, tuple[T, T]]:
    """Return the values of the metrics that both sides have."""
    others = {metric_of(name): value for name, value in now.items()}
    pairs = ((metric_of(name), value) for name, value in before.items())
    return {metric: (value, others[metric]) for metric, value in pairs if metric in others}


def _check_rules(rules: Iterable[Rule], metrics: Sequence[Metric], seeds: int | None) -> None:
    for rule in rules:
        if rule.metric not in metrics:
            remedy = f"known are {', '.join(metric.name for metric in metrics)}"
            raise invalid("rule", rule.text, f"is about {rule.metric.name}, which was not simulated", remedy)
        if rule.metric.is_simulated and not rule.is_budget and seeds is not None and seeds < _FEWEST:
            remedy = f"use at least {_FEWEST} seeds, or a budget such as p99:300ms"
            raise invalid("rule", rule.text, "is about a change that one seed cannot tell from luck", remedy)


def _difference_of_costs(before: Decimal | None, now: Decimal | None) -> _Difference:
    old, new = (None if cost is None else Fraction(cost) for cost in (before, now))
    return _Difference(old, new, certain=old != new)


def _difference(
    before: Sequence[float], now: Sequence[float], level: float, *, paired: bool, by_ratio: bool
) -> _Difference:
    old, new = _fractions(before), _fractions(now)
    if not old or not new:
        return _Difference(_mean(old), _mean(new), certain=bool(old or new))
    first, second = statistics.mean(old), statistics.mean(new)
    change = second - first
    if min(len(old), len(new)) < _FEWEST:
        return _Difference(first, second)
    if paired and all(after - one == change for one, after in zip(old, new, strict=True)):
        return _Difference(first, second, (float(change), float(change)), certain=change != 0)
    if by_ratio and first > 0 and second > 0:
        margin = _margin([one / first for one in old], [one / second for one in new], level, paired=paired)
        factor = math.exp(min(margin, _LARGEST_MARGIN))
        low, high = float(second) / factor - float(first), float(second) * factor - float(first)
    else:
        margin = _margin(old, new, level, paired=paired)
        low, high = float(change) - margin, float(change) + margin
    if not margin:
        low = high = float(change)
    return _Difference(first, second, (low, high), certain=low > 0 or high < 0)


def _mean(values: Sequence[Fraction]) -> Fraction | None:
    return statistics.mean(values) if values else None


def _margin(before: Sequence[Fraction], now: Sequence[Fraction], level: float, *, paired: bool) -> float:
    """Return how far the difference of two means may be from the true one: on each side, it is farther with `level`.

    It is Student's if values come in pairs, else Welch's, with the degrees of freedom of Welch and Satterthwaite.

    >>> one, other = [Fraction(0)] * 3, [Fraction(1), Fraction(2), Fraction(3)]
    >>> round(_margin(one, other, 0.025, paired=True), 3)  # 4.303 · 1 / √3
    2.484
    """
    differences = [float(after - one) for one, after in zip(before, now, strict=True)] if paired else []
    samples = [differences] if paired else [list(map(float, before)), list(map(float, now))]
    squares = [statistics.variance(sample) / len(sample) for sample in samples]
    if not any(squares):
        return 0.0
    parts = (square**2 / (len(sample) - 1) for square, sample in zip(squares, samples, strict=True))
    freedom = sum(squares) ** 2 / sum(parts)
    return -float(stdtrit(freedom, level)) * math.sqrt(sum(squares))


def _fractions(values: Iterable[float]) -> list[Fraction]:
    """Return numbers as they are written; none if one is not finite."""
    values = [float(value) for value in values]
    return [Fraction(repr(value)) for value in values] if all(map(math.isfinite, values)) else []


def _change(metric: Metric, found: _Difference, rules: Sequence[Rule]) -> MetricChange:
    change = relative = None
    if found.before is not None and found.now is not None:
        change = found.now - found.before
        relative = change / abs(found.before) if found.before else None if change else Fraction(0)
    outcomes = tuple(Outcome(rule=rule.text, level=rule.level, broken=_is_broken(rule, found)) for rule in rules)
    broken = {outcome.level for outcome in outcomes if outcome.broken}
    return MetricChange(
        metric=metric.name,
        unit=metric.unit,
        before=_float(found.before),
        now=_float(found.now),
        change=_float(change),
        relative_change=_float(relative),
        interval=found.interval,
        certain=found.certain,
        outcomes=outcomes,
        verdict="fail" if "fail" in broken else "warn" if "warn" in broken else "pass",
    )


def _is_broken(rule: Rule, found: _Difference) -> bool:
    """Return whether a rule is broken. A value that is gone breaks all; one that is new keeps all but budgets."""
    if found.now is None:
        return rule.is_budget or found.before is not None
    if rule.is_budget:
        return rule.is_exceeded(found.now, found.now)
    return found.before is not None and found.certain and rule.is_exceeded(found.before, found.now)


def _float(value: Fraction | None) -> float | None:
    return None if value is None else float(value)
