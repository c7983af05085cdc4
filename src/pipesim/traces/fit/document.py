"""Explanations of a trace as the documents that recipes hold."""

from decimal import Decimal
from typing import Any

import numpy as np

from pipesim.model.fields import MAX_QPS
from pipesim.model.traffic.laws import GapFamily
from pipesim.traces.dispersion import Burstiness
from pipesim.traces.fit.explain import Explanation, Question
from pipesim.units import NS_PER_S

_UNITS = (("h", 3600 * NS_PER_S), ("min", 60 * NS_PER_S), ("s", NS_PER_S), ("ms", 10**6), ("us", 10**3), ("ns", 1))
_LARGEST_SHARE = 0.8
_LARGEST_FACTOR = 1e6
_FLAT = 0.005


def law_document(
    question: Question, explanation: Explanation, duration_ns: int, family: GapFamily, burst_share: float
) -> dict[str, dict[str, Any]]:
    """Return what a recipe says under ``traffic``, for an explanation of a trace.

    Parameters
    ----------
    duration_ns
        Of the trace.
    family
        Of the gaps; they are exponential, whatever the family, if their scv is 1.
    burst_share
        The share of time in a burst, as far as bursts are not too strong for it.
    """
    slow, ties = question.slow, question.ties
    fields: dict[str, Any] = {}
    rates = explanation.rates_qps
    if rates.std() > _FLAT * slow.mean_qps:
        digits = [min(_digits(rate, 4), MAX_QPS) for rate in rates.tolist()]
        fields["curve"] = {"bins": {"width": duration_text(slow.width_ns), "rates_qps": digits}}
    else:
        fields["rate_qps"] = _digits(slow.mean_qps, 5)
    fields["duration"] = duration_text(duration_ns)
    exponential = explanation.scv == 1
    if not exponential:
        fields["scv"] = explanation.scv
    if explanation.bursts:
        fields["bursts"] = [_burst(each, burst_share) for each in explanation.bursts]
    if ties.batch_mean > 1:
        sizes = "fixed" if ties.batch_fixed else "geometric"
        fields["batch"] = {"mean": _digits(ties.batch_mean, 5), "sizes": sizes}
    if ties.tick_ns is not None:
        fields["tick"] = duration_text(ties.tick_ns)
    return {"poisson" if exponential else family: fields}


def _burst(burst: Burstiness, share: float) -> dict[str, Any]:
    """Return a burst whose level has a variance s² and a time constant τ.

    With a share p of time in bursts, s² = p (1 − p) (F − 1)² / (1 − p + p F)² gives F − 1 = v / (1 − p v) with
    v = s / √(p (1 − p)), if p < 1 / (1 + s²); 1 / τ is the sum of the rates at which bursts begin and end.
    """
    variance, time_s = burst
    share = min(share, _LARGEST_SHARE / (1 + variance))
    relative = float(np.sqrt(variance / (share * (1 - share))))
    factor = min(1 + relative / (1 - share * relative), _LARGEST_FACTOR)
    lasts_s = time_s / (1 - share)
    return {
        "factor": _digits(factor, 5),
        "lasts": duration_text(_digits_ns(lasts_s)),
        "every": duration_text(_digits_ns(lasts_s / share)),
    }


def duration_text(duration_ns: int) -> str:
    """Return a duration as files have it, exactly, in the unit that says it shortest.

    >>> duration_text(10_000_000_000), duration_text(90 * 10**9), duration_text(1_500_000), duration_text(1)
    ('10s', '90s', '1.5ms', '1ns')
    """
    texts = [
        f"{(Decimal(duration_ns) / size).normalize():f}{unit}" for unit, size in _UNITS if _is_exact(duration_ns, size)
    ]
    return min(texts, key=len)


def _is_exact(duration_ns: int, size: int) -> bool:
    digits = Decimal(duration_ns) / size
    return digits * size == duration_ns and -int(digits.normalize().as_tuple().exponent) <= 9


def _digits(value: float, digits: int) -> float:
    return float(f"{value:.{digits}g}")


def _digits_ns(value_s: float) -> int:
    return max(1, round(_digits(value_s, 4) * NS_PER_S))
