"""Transforms of a trace, each named for what it does."""

import numpy as np

from pipesim.errors import invalid
from pipesim.streams import stream
from pipesim.traces.arrivals import ArrivalTrace


def compress_time(trace: ArrivalTrace, factor: float) -> ArrivalTrace:
    """Return the trace with all times divided by `factor`: the rate times `factor`, the burst structure kept.

    Times are rounded to the nearest nanosecond, a half to even; the trace gets shorter by the same factor.

    Raises
    ------
    InvalidInputError
        If `factor` is not a finite number above 0, or the trace would last too long.

    >>> compress_time(ArrivalTrace(np.array([0, 10, 30]), 30), 2).times_ns.tolist()
    [0, 5, 15]
    """
    if not (np.isfinite(factor) and factor > 0):
        raise invalid("load", factor, "is not allowed", "use a finite factor above 0")
    return compressed(trace, factor, "load", factor)


def compressed(trace: ArrivalTrace, factor: float, field: str, value: float) -> ArrivalTrace:
    """Return :func:`compress_time` for a factor that follows from a field of another name."""
    if trace.duration_ns / factor >= 2.0**62:
        raise invalid(field, value, "stretches the trace beyond 146 years", "use a larger value")
    times = np.rint(trace.times_ns / factor).astype(np.int64)
    duration_ns = round(trace.duration_ns / factor)
    return ArrivalTrace(times, duration_ns, trace.epoch_ns, trace.attributes, trace.inputs)


def compress_to_rate(trace: ArrivalTrace, rate_qps: float) -> ArrivalTrace:
    """Return the trace with time compressed (or stretched) so that its mean rate is `rate_qps`.

    Raises
    ------
    InvalidInputError
        If the trace has no rate, because it has no duration or no queries, or it would last too long.
    """
    if not trace.duration_ns or not len(trace):
        raise invalid("compress_to_qps", rate_qps, "cannot be reached: the trace has no duration", "use another trace")
    return compressed(trace, rate_qps / trace.mean_rate_qps, "compress_to_qps", rate_qps)


def thin(trace: ArrivalTrace, share: float, seed: int) -> ArrivalTrace:
    """Return the trace with each query kept with probability `share`, drawn from the stream ``thin``.

    Raises
    ------
    InvalidInputError
        If `share` is not above 0 and at most 1.
    """
    return thinned(trace, share, stream(seed, "thin"))


def thinned(trace: ArrivalTrace, share: float, rng: np.random.Generator) -> ArrivalTrace:
    """Return :func:`thin` of a piece of a trace, by a generator that has thinned the pieces before."""
    if not 0 < share <= 1:
        raise invalid("thin", share, "is not allowed", "use a share above 0 and up to 1")
    return trace.selected(rng.random(len(trace)) < share)
