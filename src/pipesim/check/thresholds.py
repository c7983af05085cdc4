"""Rules of a check: ``METRIC:THRESHOLD``, how much a metric may change, or what it may be at most or at least.

A threshold with a sign is a change against the baseline. ``+`` is broken when the metric rises by more, ``-`` when it
falls by more. One without a sign is a budget for the value now, whatever it was: the most that the metric may be, or of
``headroom`` the least. To reach a threshold is not to break it.

=======================  ==============================  ==================================  ===========================
metrics                  a share of the baseline         a change                            a budget
=======================  ==============================  ==================================  ===========================
costs                    ``cost:+5%``                    ``cost:+0.50``, in USD an hour      ``cost:12``
latencies                ``p99:+5%``                     ``p99:+20ms``, a duration           ``p99:300ms``
miss_rate, utilisation   ``miss_rate:+5%``: a rate of    ``miss_rate:+0.001``: one of 0.010  ``utilisation:0.9`` or
                         0.010 may become 0.0105         may become 0.011                    ``utilisation:90%``
headroom                 ``headroom:-10%``               ``headroom:-0.1``                   ``headroom:1.2`` or
                                                                                             ``headroom:120%``
=======================  ==============================  ==================================  ===========================

So ``%`` after a sign is always a share of the baseline, never percentage points. Thresholds are exact numbers, and so
is the arithmetic with them.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from pipesim import units
from pipesim.check.metrics import Metric, metric_of
from pipesim.check.report import Level, Unit
from pipesim.errors import InvalidInputError, invalid, shown

Sign = Literal["+", "-", ""]
MAX_RULES = 100
"""The most rules that one list may hold."""
MAX_PERCENT = 1_000_000
_NUMBER = re.compile(r"[0-9]{1,18}(\.[0-9]{1,18})?")
_NO_SIGNS = ("+", "-", "−", "–", "±")
"""What a threshold must not go on with after its sign, or begin with in place of one."""
_LIMITS: dict[Unit, int] = {"usd_per_hour": 1_000_000, "share": 1, "factor": 1_000_000}
_FORMS: dict[Unit, tuple[str, str]] = {
    "usd_per_hour": ("+5% or +0.50", "12"),
    "s": ("+5% or +20ms", "300ms"),
    "share": ("+5% or +0.001", "0.9 or 90%"),
    "factor": ("-10% or -0.1", "1.2 or 120%"),
}


@dataclass(frozen=True, slots=True)
class Rule:
    """One threshold.

    Parameters
    ----------
    text
        As it was given.
    level
        What follows when it is broken.
    metric
        What it is about.
    sign
        The direction of the change that it limits; empty for a budget.
    amount
        The threshold in the unit of the metric, or of a change by percent the share of the baseline.
    is_relative
        Whether it is a share of the baseline.
    """

    text: str
    level: Level
    metric: Metric
    sign: Sign
    amount: Fraction
    is_relative: bool = False

    @property
    def is_budget(self) -> bool:
        """Return whether it is about the value now alone."""
        return not self.sign

    def is_exceeded(self, before: Fraction, now: Fraction) -> bool:
        """Return whether the value now, or the change to it, is beyond the threshold.

        >>> rule_of("cost:+5%", "fail").is_exceeded(Fraction(100), Fraction(105))
        False
        >>> rule_of("headroom:1.2", "warn").is_exceeded(Fraction(2), Fraction("1.19"))
        True
        """
        if self.is_budget:
            return now > self.amount if self.metric.more_is_worse else now < self.amount
        limit = self.amount * abs(before) if self.is_relative else self.amount
        return (now - before if self.sign == "+" else before - now) > limit


def rule_of(text: str, level: Level, where: str = "rule") -> Rule:
    """Return the rule that a text gives.

    Raises
    ------
    InvalidInputError
        With `where`, if it names no metric, or no threshold that the metric can have.

    >>> rule = rule_of("p99:+20ms", "fail")
    >>> rule.sign, rule.amount
    ('+', Fraction(1, 50))
    """
    name, _, threshold = (part.strip() for part in text.partition(":"))
    if not threshold:
        raise invalid(where, text, "is not a rule", "write METRIC:THRESHOLD, for example cost:+5% or p99:300ms")
    text, metric = f"{name}:{threshold}", metric_of(name, where)
    sign: Sign = "+" if threshold[0] == "+" else "-" if threshold[0] == "-" else ""
    size = threshold[len(sign) :]
    change, budget = (forms.replace(" or ", f" or {name}:") for forms in _FORMS[metric.unit])
    remedy = f"write {name}:{change} for a change against the baseline, {name}:{budget} for a budget"
    if size.startswith(_NO_SIGNS):
        raise invalid(where, text, "has a sign that is not one + or -", remedy)
    if size.endswith("%") and sign:
        return Rule(text, level, metric, sign, _number(size[:-1], where, text, remedy, MAX_PERCENT) / 100, True)
    if metric.unit == "s":
        return Rule(text, level, metric, sign, _duration_s(size, where, text))
    most = _LIMITS[metric.unit]
    if size.endswith("%") and metric.unit == "usd_per_hour":
        raise invalid(where, text, "is a share without a sign", remedy)
    if size.endswith("%"):
        return Rule(text, level, metric, sign, _number(size[:-1], where, text, remedy, 100 * most) / 100)
    return Rule(text, level, metric, sign, _number(size, where, text, remedy, most))


def rules_of(texts: Sequence[str], level: Level, where: str = "rule") -> tuple[Rule, ...]:
    """Return the rules that texts give, in their order.

    Raises
    ------
    InvalidInputError
        With `where`, as :func:`rule_of`, and if there are more than 100.
    """
    if len(texts) > MAX_RULES:
        raise InvalidInputError(f"holds {len(texts)} rules; use at most {MAX_RULES}", where)
    return tuple(rule_of(text, level, where) for text in texts)


def replaced(general: Iterable[Rule], special: Iterable[Rule]) -> tuple[Rule, ...]:
    """Return general rules with special ones in place of those of the same metric and level.

    >>> general = rules_of(["cost:+5%", "p99:+10%"], "fail")
    >>> [rule.text for rule in replaced(general, rules_of(["p99:300ms"], "fail"))]
    ['cost:+5%', 'p99:300ms']
    """
    special = tuple(special)
    taken = {(rule.level, rule.metric.name) for rule in special}
    return (*(rule for rule in general if (rule.level, rule.metric.name) not in taken), *special)


def quantiles_in(rules: Iterable[Rule]) -> tuple[str, ...]:
    """Return the quantiles of the latency that rules are about, in their order.

    >>> quantiles_in(rules_of(["cost:+5%", "p99.9:+10%"], "fail"))
    ('p99.9',)
    """
    return tuple(rule.metric.name for rule in rules if rule.metric.unit == "s")


def _number(digits: str, where: str, text: str, remedy: str, most: int) -> Fraction:
    if not _NUMBER.fullmatch(digits):
        raise invalid(where, text, "has no threshold that is a plain number of up to 18 digits", remedy)
    if (amount := Fraction(digits)) > most:
        raise invalid(where, text, f"is more than {most:,}", "use less" if most > 1 else "write 90% or 0.9, at most 1")
    return amount


def _duration_s(size: str, where: str, text: str) -> Fraction:
    try:
        return Fraction(units.parse_duration_ns(size), units.NS_PER_S)
    except InvalidInputError as error:
        raise InvalidInputError(f"{shown(text)}: {error.reason}", where) from None


DEFAULT_FAIL_IF = ("cost:+5%", "p99:+10%")
DEFAULT_WARN_IF = ("headroom:-10%",)
DEFAULTS = (*rules_of(DEFAULT_FAIL_IF, "fail"), *rules_of(DEFAULT_WARN_IF, "warn"))
"""What holds if nothing else is said."""
