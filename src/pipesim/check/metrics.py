"""The metrics that a check compares, by name.

================  ======================================================================================================
name              what it is
================  ======================================================================================================
cost              what the plan that would run costs an hour: the committed plan where it meets the objectives, else the
                  cheapest that does
committed_cost    what the committed plan costs an hour
best_cost         what the cheapest plan found costs an hour
p50, p99, p99.9   any quantile of the latency under the committed plan, by nearest rank
miss_rate         the share of queries over the bound of the objective that is missed most, in its worst window
utilisation       the share of time that replicas of the busiest stage are busy
headroom          the largest load, as a multiple of the scenario's own, at which all objectives hold
================  ======================================================================================================

Costs are sums of prices and have no uncertainty. All others are simulated, once for each seed.
"""

import difflib
import re
from dataclasses import dataclass
from decimal import Decimal

from pipesim.check.report import Unit
from pipesim.errors import invalid
from pipesim.units import QUANTILE_PATTERN, format_quantile, parse_quantile

_COMMON = ("p50", "p95", "p99")


@dataclass(frozen=True, slots=True)
class Metric:
    """What is compared.

    Parameters
    ----------
    name
        As rules and reports have it.
    unit
        Of its values: USD an hour, seconds, a share of 0 to 1, or a factor.
    meaning
        In words.
    more_is_worse
        Whether a rise is for the worse; else a fall is.
    is_simulated
        Whether it depends on the seed.
    """

    name: str
    unit: Unit
    meaning: str
    more_is_worse: bool = True
    is_simulated: bool = True


_NAMED = {
    metric.name: metric
    for metric in (
        Metric("cost", "usd_per_hour", "cost of the plan that would run", is_simulated=False),
        Metric("committed_cost", "usd_per_hour", "cost of the committed plan", is_simulated=False),
        Metric("best_cost", "usd_per_hour", "cost of the cheapest plan", is_simulated=False),
        Metric("miss_rate", "share", "share of queries over the bound"),
        Metric("utilisation", "share", "busy share of the busiest stage"),
        Metric("headroom", "factor", "load at which all objectives still hold", more_is_worse=False),
    )
}
_BEFORE_LATENCIES = ("cost", "committed_cost", "best_cost")
_QUANTILE = re.compile(QUANTILE_PATTERN[1:-1])


def metric_of(name: str, where: str = "metric") -> Metric:
    """Return the metric of a name; ``p99.0`` is ``p99``.

    Raises
    ------
    InvalidInputError
        With `where`, if there is none.

    >>> metric_of("p99.90").name, metric_of("cost").unit, metric_of("headroom").more_is_worse
    ('p99.9', 'usd_per_hour', False)
    """
    if name in _NAMED:
        return _NAMED[name]
    if _QUANTILE.fullmatch(name) and Decimal(name[1:]):
        quantile = format_quantile(parse_quantile(name))
        return Metric(quantile, "s", f"{quantile} of the latency")
    known = (*_NAMED, *_COMMON)
    near = difflib.get_close_matches(name, known, n=1)
    remedy = f"did you mean {near[0]}? Known are" if near else "use one of"
    raise invalid(where, name, "is not a metric", f"{remedy} {', '.join(_NAMED)}, or a quantile such as p99")


def place_of(metric: Metric) -> tuple[int, Decimal]:
    """Return what metrics are sorted by: costs, latencies by their quantile, the others.

    >>> sorted(map(metric_of, ("headroom", "p99", "cost", "p9", "miss_rate")), key=place_of)[1].name
    'p9'
    """
    if metric.unit == "s":
        return len(_BEFORE_LATENCIES), parse_quantile(metric.name)
    place = tuple(_NAMED).index(metric.name)
    return place + (metric.name not in _BEFORE_LATENCIES), Decimal(0)
