"""How much work a stage is offered, whether or not it can keep up."""

import math
from numbers import Integral

from pipesim.errors import invalid
from pipesim.model.fields import MAX_BATCH_SIZE

MAX_REPLICAS = 1_000_000
"""The most replicas that a closed form is evaluated for: Erlang's recursion takes one step for each."""


def offered_load(rate_qps: float, service_time_s: float) -> float:
    """Return the offered load, rate times service time: the replicas that would be busy on average if none were short.

    Little's law applied to the queries in service.

    Parameters
    ----------
    rate_qps
        Mean arrival rate, in queries per second.
    service_time_s
        Mean service time of one query, in seconds.

    Raises
    ------
    InvalidInputError
        If the rate is negative, the service time is not above 0, or either is not finite.

    References
    ----------
    J. D. C. Little, "A proof for the queuing formula L = λW", Operations Research 9 (1961).

    >>> offered_load(rate_qps=150, service_time_s=0.02)
    3.0
    """
    if not (math.isfinite(rate_qps) and rate_qps >= 0):
        raise invalid("rate_qps", rate_qps, "is not allowed", "use a finite rate of 0 or more")
    if not (math.isfinite(service_time_s) and service_time_s > 0):
        raise invalid("service_time_s", service_time_s, "is not allowed", "use a finite time above 0")
    return rate_qps * service_time_s


def utilisation(rate_qps: float, service_time_s: float, replicas: int = 1) -> float:
    """Return the offered load per replica: the share of time that each is busy if it is below 1, else an overload.

    Parameters
    ----------
    rate_qps, service_time_s
        As for :func:`offered_load`.
    replicas
        How many serve the queue.

    Raises
    ------
    InvalidInputError
        As :func:`offered_load`, and if `replicas` is not a whole number from 1 to 1,000,000.

    >>> utilisation(rate_qps=150, service_time_s=0.02, replicas=4)
    0.75
    """
    if not isinstance(replicas, Integral) or not 1 <= replicas <= MAX_REPLICAS:
        raise invalid("replicas", replicas, "is not allowed", f"use a whole number from 1 to {MAX_REPLICAS}")
    return offered_load(rate_qps, service_time_s) / replicas


def stable_utilisation(rate_qps: float, service_time_s: float, replicas: int = 1) -> float:
    """Return the utilisation of a stage that has a steady state.

    Raises
    ------
    InvalidInputError
        As :func:`utilisation`, and if the utilisation is 1 or more: the queue then grows without end.
    """
    share = utilisation(rate_qps, service_time_s, replicas)
    if share >= 1:
        raise invalid(
            "rate_qps",
            rate_qps,
            f"is a utilisation of {share:.3g} at {service_time_s:g} s on {replicas}, and the queue grows without end",
            "keep it below 1: lower the rate, or add replicas",
        )
    return share


def utilisation_in_full_batches(
    rate_qps: float, service_time_s: float, max_batch_size: int, replicas: int = 1
) -> float:
    """Return the utilisation of a stage as it would be if every batch were full: rate · D(B) / (c B).

    A stage that takes what waits has a steady state if and only if this is below 1: whatever it does with small
    batches, a queue that is long enough is served in full ones. Its replicas may be busy for a larger share of time.

    Parameters
    ----------
    rate_qps
        Mean arrival rate, in queries per second.
    service_time_s
        Mean service time of a full batch, D(B), in seconds.
    max_batch_size
        The most queries that a batch holds, B.
    replicas
        How many serve the queue, c.

    Raises
    ------
    InvalidInputError
        As :func:`utilisation`, and if `max_batch_size` is not a whole number from 1 to 65,536.

    >>> utilisation_in_full_batches(rate_qps=300, service_time_s=0.02, max_batch_size=4, replicas=2)
    0.75
    """
    if not isinstance(max_batch_size, Integral) or not 1 <= max_batch_size <= MAX_BATCH_SIZE:
        raise invalid(
            "max_batch_size", max_batch_size, "is not allowed", f"use a whole number from 1 to {MAX_BATCH_SIZE}"
        )
    return utilisation(rate_qps, service_time_s, replicas) / max_batch_size


def stable_utilisation_in_full_batches(
    rate_qps: float, service_time_s: float, max_batch_size: int, replicas: int = 1
) -> float:
    """Return the utilisation in full batches of a stage that has a steady state.

    Raises
    ------
    InvalidInputError
        As :func:`utilisation_in_full_batches`, and if that is 1 or more: the queue then grows without end.
    """
    share = utilisation_in_full_batches(rate_qps, service_time_s, max_batch_size, replicas)
    if share >= 1:
        raise invalid(
            "rate_qps",
            rate_qps,
            f"is a utilisation of {share:.3g} at {service_time_s:g} s for full batches of {max_batch_size} on "
            f"{replicas}, and the queue grows without end",
            "keep it below 1: lower the rate, or add replicas",
        )
    return share
