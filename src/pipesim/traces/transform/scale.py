"""More or less traffic: time compressed, queries left out, queries multiplied."""

import numpy as np

from pipesim.errors import invalid
from pipesim.model.transforms import MAX_RATE_FACTOR
from pipesim.streams import stream
from pipesim.traces.arrivals import ArrivalTrace
from pipesim.traces.transform.columns import LONGEST_NS, check_queries, taken


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
    if trace.duration_ns / factor >= LONGEST_NS:
        raise invalid(field, value, "stretches the trace beyond 146 years", "use a larger value")
    exact = trace.times_ns / factor
    times = np.rint(exact, out=exact).astype(np.int64)
    times.flags.writeable = False  # so that the trace takes them as they are
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


def thin(trace: ArrivalTrace, share: float, seed: int, name: str = "") -> ArrivalTrace:
    """Return the trace with each query kept with probability `share`: a lower rate, bursts diluted, the same duration.

    Parameters
    ----------
    trace
        The arrivals.
    share
        Above 0, up to 1, which keeps all.
    seed, name
        Of the stream ``thin``.

    Raises
    ------
    InvalidInputError
        If `share` is not above 0 and at most 1.

    >>> len(thin(ArrivalTrace(np.arange(1000), 1000), 0.5, seed=1))
    527
    """
    return thinned(trace, share, stream(seed, "thin", name))


def thinned(trace: ArrivalTrace, share: float, rng: np.random.Generator) -> ArrivalTrace:
    """Return :func:`thin` of a piece of a trace, by a generator that has thinned the pieces before."""
    if not 0 < share <= 1:
        raise invalid("thin", share, "is not allowed", "use a share above 0 and up to 1")
    return trace.selected(rng.random(len(trace)) < share)


def multiply_rate(trace: ArrivalTrace, factor: float, seed: int = 0, name: str = "") -> ArrivalTrace:
    """Return the trace with its rate multiplied by `factor` at every time of the day: the duration is kept.

    Below 1 each query is kept with that probability, as :func:`thin` does. From 1 on every query stays where it is and
    gets further copies, with its attributes: the whole part of ``factor - 1``, and one more with the probability of
    the rest. A copy is placed by the trace's own cumulative curve, which runs straight from one arrival to the next:
    a height is drawn evenly within half a count of the arrival that is copied, and the copy enters when the curve
    reaches it, which is within half the way to a neighbour. (Before the first arrival and after the last the curve
    climbs by half a count.) So the rate is multiplied wherever it is high or low: a burst becomes a larger burst, the
    peak over the mean stays as it is, and the index of dispersion grows, other than with ``superpose``. Copies of
    simultaneous arrivals are simultaneous with them, but for those of the first and the last of them.

    Parameters
    ----------
    trace
        The arrivals.
    factor
        Above 0, up to 1,000,000. A whole one gives a whole multiple of the queries.
    seed, name
        Of the stream ``multiply_rate``.

    Raises
    ------
    InvalidInputError
        If `factor` is out of range, or there would be more queries than may be held at once.

    >>> multiply_rate(ArrivalTrace(np.array([10, 10, 10]), 20), 2, seed=1).times_ns.tolist()
    [1, 10, 10, 10, 10, 10]
    """
    if not 0 < factor <= MAX_RATE_FACTOR:
        raise invalid("multiply_rate", factor, "is not allowed", f"use more than 0 and up to {MAX_RATE_FACTOR:,.0f}")
    check_queries(factor * len(trace), "multiply_rate", factor)
    rng = stream(seed, "multiply_rate", name)
    if factor < 1:
        return thinned(trace, factor, rng)
    whole = int(factor)
    copies = whole - 1 + (rng.random(len(trace)) < factor - whole)
    copied = np.repeat(np.arange(len(trace)), copies)
    above = rng.random(copied.size) - 0.5  # the height over that of the arrival which is copied
    knots_ns = np.concatenate([[0], trace.times_ns, [trace.duration_ns]])
    left_ns, right_ns = knots_ns[copied + (above >= 0)], knots_ns[copied + (above >= 0) + 1]
    at_an_end = np.where(above < 0, copied == 0, copied == len(trace) - 1)
    share = np.where(above < 0, 1 + np.where(at_an_end, 2, 1) * above, np.where(at_an_end, 2, 1) * above)
    placed_ns = left_ns + np.rint(share * (right_ns - left_ns)).astype(np.int64)
    times_ns = np.concatenate([trace.times_ns, placed_ns])
    order = np.argsort(times_ns, kind="stable")
    return taken(trace, np.concatenate([np.arange(len(trace)), copied])[order], times_ns[order])
