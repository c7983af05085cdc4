"""Durations, quantiles and money: what files say, what engines count in, what people read.

Engines and traces count integer nanoseconds (``_ns``), the public interface speaks float seconds (``_s``), files
say ``300ms``. Money is :class:`decimal.Decimal`.
"""

import math
import re
from decimal import Decimal
from fractions import Fraction

from pipesim.errors import invalid

NS_PER_S = 1_000_000_000
HOURS_PER_MONTH = 730
MAX_DURATION_NS = 400 * 86_400 * NS_PER_S
"""The longest duration that a file may name: 400 days, which holds a year's trace."""

_NS_PER_UNIT = {
    "ns": 1,
    "us": 10**3,
    "µs": 10**3,
    "ms": 10**6,
    "s": NS_PER_S,
    "min": 60 * NS_PER_S,
    "h": 3600 * NS_PER_S,
    "d": 86_400 * NS_PER_S,
}
DURATION_PATTERN = r"^[0-9]{1,18}(\.[0-9]{1,18})? ?(ns|us|µs|ms|s|min|h|d)$"
NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?", re.ASCII)
"""A number in a CSV file: no digit separators, no digits of other scripts."""
_NON_FINITE = re.compile(r"[+-]?(nan|inf|infinity)", re.IGNORECASE)
QUANTILE_PATTERN = r"^p(100|[0-9]{1,2}(\.[0-9]{1,6})?)$"


def parse_duration_ns(text: object) -> int:
    """Return the whole nanoseconds nearest to a duration such as ``300ms``, ``1.5s``, ``10min`` or ``2h``.

    A half is rounded to even. The arithmetic is exact, whatever the number of digits.

    Raises
    ------
    InvalidInputError
        If `text` is not a number with a unit, or is longer than 400 days.

    >>> parse_duration_ns("300ms"), parse_duration_ns("0.1s"), parse_duration_ns("2h")
    (300000000, 100000000, 7200000000000)
    """
    if not isinstance(text, str) or not re.match(DURATION_PATTERN, text):
        if isinstance(text, int | float) and not isinstance(text, bool):
            raise invalid("", text, "has no unit", f"write for example {text}ms or {text}s")
        raise invalid("", text, "is not a duration", "write a number with a unit, for example 300ms, 1.5s or 10min")
    match = re.match(r"([0-9.]+) ?(.+)", text)
    assert match is not None
    duration = round(Fraction(match[1]) * _NS_PER_UNIT[match[2]])
    if duration > MAX_DURATION_NS:
        raise invalid("", text, "is too long", "use at most 400d")
    return duration


def parse_number(text: str, where: str = "") -> Decimal:
    """Return the number that a field of a CSV file holds, exactly.

    Raises
    ------
    InvalidInputError
        With `where`, if `text` is not a finite number in ASCII digits.

    >>> parse_number("1.5e3")
    Decimal('1.5E+3')
    """
    if not NUMBER.fullmatch(text):
        if _NON_FINITE.fullmatch(text):
            raise invalid(where, text, "is not finite", "use a finite number")
        raise invalid(where, text, "is not a number", "use digits and a decimal point")
    try:
        return Decimal(text)
    except ArithmeticError:
        raise invalid(where, text, "is beyond all limits", "use a smaller exponent") from None


def format_duration(duration_ns: float) -> str:
    """Return a duration for people to read: three digits and the unit that suits it.

    >>> format_duration(300_000_000), format_duration(1_234_567_890), format_duration(600 * 10**9)
    ('300 ms', '1.23 s', '10 min')
    """
    for unit, limit in (("ns", 1e3), ("us", 1e6), ("ms", 999.5e6), ("s", 120e9), ("min", 7200e9)):
        if abs(duration_ns) < limit:
            return f"{_three_digits(duration_ns / _NS_PER_UNIT[unit])} {unit}"
    return f"{_three_digits(duration_ns / _NS_PER_UNIT['h'])} h"


def _three_digits(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 99.95 else f"{value:.3g}"


def parse_quantile(text: object) -> Decimal:
    """Return the quantile that a name such as ``p99`` or ``p99.9`` stands for, exactly.

    Raises
    ------
    InvalidInputError
        If `text` is not ``p`` and a percentage above 0 and up to 100.

    >>> parse_quantile("p99"), parse_quantile("p99.9")
    (Decimal('0.99'), Decimal('0.999'))
    """
    if not isinstance(text, str) or not re.match(QUANTILE_PATTERN, text) or float(text[1:]) == 0:
        raise invalid("", text, "is not a quantile", "write p50, p95, p99, p99.9 …, above p0 and up to p100")
    return Decimal(text[1:]) / 100


def format_quantile(quantile: Decimal) -> str:
    """Return the name of a quantile, the inverse of :func:`parse_quantile`.

    >>> format_quantile(Decimal("0.99")), format_quantile(Decimal("0.999")), format_quantile(Decimal("0.5"))
    ('p99', 'p99.9', 'p50')
    """
    return f"p{(quantile * 100).normalize():f}"


def format_utilisation(share: float) -> str:
    """Return the busy share of replicas for people to read; only what is always busy is 100 %.

    >>> format_utilisation(0.914), format_utilisation(0.9998), format_utilisation(1.0), format_utilisation(math.nan)
    ('91%', '>99%', '100%', '–')
    """
    if math.isnan(share):
        return "–"
    return ">99%" if 0.995 <= share < 1 else f"{share:.0%}"


def format_usd(amount: Decimal, digits: int = 2) -> str:
    """Return an amount of money for people to read, a half cent rounded to even.

    >>> format_usd(Decimal("12345.675")), format_usd(Decimal("0.0665"), 4)
    ('$12,345.68', '$0.0665')
    """
    return f"${amount:,.{digits}f}"
