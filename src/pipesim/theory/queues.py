"""Means and quantiles of single queues and of chains of them.

In Kendall's notation M/G/c: Poisson arrivals, a service time law (M exponential, D constant, G any), c replicas that
share one FIFO queue. With arrival rate λ, mean service time s, c replicas, offered load a = λs and utilisation
u = a / c < 1.

Sources: L. Kleinrock, *Queueing Systems*, vol. 1, Wiley 1975; D. Gross, J. F. Shortle, J. M. Thompson and
C. M. Harris, *Fundamentals of Queueing Theory*, 4th ed., Wiley 2008 (below: Gross et al.).
"""

import math
from collections.abc import Sequence
from decimal import Decimal

from pipesim.errors import InvalidInputError, invalid
from pipesim.theory.load import offered_load, stable_utilisation


def mean_queue_delay_mm1_s(rate_qps: float, service_time_s: float) -> float:
    """Return the mean time in queue of M/M/1, in seconds: u s / (1 - u).

    Parameters
    ----------
    rate_qps
        Mean arrival rate λ, in queries per second.
    service_time_s
        Mean service time s, in seconds; its law is exponential.

    Raises
    ------
    InvalidInputError
        If the rate is negative, the service time is not above 0, either is not finite, or the utilisation is 1 or more.

    References
    ----------
    Gross et al., section 2.2.

    >>> mean_queue_delay_mm1_s(rate_qps=75, service_time_s=0.01)
    0.03
    """
    share = stable_utilisation(rate_qps, service_time_s)
    return share * service_time_s / (1 - share)


def mean_latency_mm1_s(rate_qps: float, service_time_s: float) -> float:
    """Return the mean latency (queue delay and service) of M/M/1, in seconds: s / (1 - u).

    Parameters, errors and source are those of :func:`mean_queue_delay_mm1_s`.

    >>> mean_latency_mm1_s(rate_qps=75, service_time_s=0.01)
    0.04
    """
    return service_time_s / (1 - stable_utilisation(rate_qps, service_time_s))


def latency_quantile_mm1_s(rate_qps: float, service_time_s: float, quantile: float | Decimal) -> float:
    """Return the q-quantile of the latency of M/M/1, in seconds: -ln(1 - q) · s / (1 - u).

    The latency of a query that is served first come, first served is exponential with mean s / (1 - u).

    Parameters
    ----------
    rate_qps, service_time_s
        As for :func:`mean_queue_delay_mm1_s`.
    quantile
        q, from 0 up to but not including 1.

    Raises
    ------
    InvalidInputError
        As :func:`mean_queue_delay_mm1_s`, and if `quantile` is below 0 or not below 1.

    References
    ----------
    Gross et al., section 2.2 (waiting-time distributions).

    >>> round(latency_quantile_mm1_s(rate_qps=75, service_time_s=0.01, quantile=0.99), 6)
    0.184207
    """
    if not 0 <= quantile < 1:
        raise invalid("quantile", quantile, "is not allowed", "use 0 or more and less than 1")
    return -math.log1p(-float(quantile)) * mean_latency_mm1_s(rate_qps, service_time_s)


def mean_queries_mm1(rate_qps: float, service_time_s: float) -> float:
    """Return the mean number of queries at the stage (waiting and in service) of M/M/1: u / (1 - u).

    Parameters, errors and source are those of :func:`mean_queue_delay_mm1_s`.

    >>> mean_queries_mm1(rate_qps=75, service_time_s=0.01)
    3.0
    """
    share = stable_utilisation(rate_qps, service_time_s)
    return share / (1 - share)


def queue_delay_probability_mmc(rate_qps: float, service_time_s: float, replicas: int) -> float:
    """Return the probability that a query has to wait in M/M/c: Erlang's C formula.

    With B(c, a) the blocking probability of Erlang's loss system, C = B / (1 - u(1 - B)).

    Parameters
    ----------
    rate_qps
        Mean arrival rate λ, in queries per second.
    service_time_s
        Mean service time s, in seconds; its law is exponential.
    replicas
        How many serve the one queue, c.

    Raises
    ------
    InvalidInputError
        As :func:`mean_queue_delay_mm1_s`, and if `replicas` is not a whole number from 1 to 1,000,000.

    References
    ----------
    A. K. Erlang, "Solution of some problems in the theory of probabilities of significance in automatic telephone
    exchanges" (1917); Gross et al., sections 2.3 and 2.5.

    >>> round(queue_delay_probability_mmc(rate_qps=150, service_time_s=0.01, replicas=2), 6)  # 9/14
    0.642857
    """
    share = stable_utilisation(rate_qps, service_time_s, replicas)
    blocked = blocking_probability(offered_load(rate_qps, service_time_s), replicas)
    return blocked / (1 - share * (1 - blocked))


def blocking_probability(load: float, replicas: int) -> float:
    """Return Erlang's B(c, a), the probability that all c replicas of M/M/c without a queue are busy.

    It comes from the recursion B(k, a) = a B(k-1, a) / (k + a B(k-1, a)) with B(0, a) = 1: sums and products of
    positive numbers only, at most 1, so it neither overflows nor cancels, whatever the number of replicas. The source
    is that of :func:`queue_delay_probability_mmc`.
    """
    blocked = 1.0
    for busy in range(1, replicas + 1):
        blocked = load * blocked / (busy + load * blocked)
    return blocked


def mean_queue_delay_mmc_s(rate_qps: float, service_time_s: float, replicas: int) -> float:
    """Return the mean time in queue of M/M/c, in seconds: C s / (c (1 - u)), with Erlang's C.

    Parameters, errors and source are those of :func:`queue_delay_probability_mmc`.

    >>> round(mean_queue_delay_mmc_s(rate_qps=150, service_time_s=0.01, replicas=2), 6)  # 9/700
    0.012857
    """
    share = stable_utilisation(rate_qps, service_time_s, replicas)
    waits = queue_delay_probability_mmc(rate_qps, service_time_s, replicas)
    return waits * service_time_s / (replicas * (1 - share))


def mean_queries_mmc(rate_qps: float, service_time_s: float, replicas: int) -> float:
    """Return the mean number of queries at the stage (waiting and in service) of M/M/c, by Little's law: λW + a.

    W is the mean time in queue. Parameters, errors and source are those of :func:`queue_delay_probability_mmc`.

    >>> round(mean_queries_mmc(rate_qps=150, service_time_s=0.01, replicas=2), 6)  # 24/7
    3.428571
    """
    delay_s = mean_queue_delay_mmc_s(rate_qps, service_time_s, replicas)
    return rate_qps * delay_s + offered_load(rate_qps, service_time_s)


def mean_queue_delay_mg1_s(rate_qps: float, service_time_s: float, scv: float) -> float:
    """Return the mean time in queue of M/G/1, in seconds: (1 + scv) / 2 · u s / (1 - u) (Pollaczek and Khinchine).

    Parameters
    ----------
    rate_qps, service_time_s
        As for :func:`mean_queue_delay_mm1_s`, but of any law.
    scv
        Squared coefficient of variation of the service time: 0 constant, 1 as for the exponential law.

    Raises
    ------
    InvalidInputError
        As :func:`mean_queue_delay_mm1_s`, and if `scv` is negative or not finite.

    References
    ----------
    F. Pollaczek, "Über eine Aufgabe der Wahrscheinlichkeitstheorie", Mathematische Zeitschrift 32 (1930);
    Gross et al., section 5.1.

    >>> mean_queue_delay_mg1_s(rate_qps=75, service_time_s=0.01, scv=4)
    0.075
    """
    if not (math.isfinite(scv) and scv >= 0):
        raise invalid("scv", scv, "is not allowed", "use a finite value of 0 or more")
    return (1 + scv) / 2 * mean_queue_delay_mm1_s(rate_qps, service_time_s)


def mean_queue_delay_md1_s(rate_qps: float, service_time_s: float) -> float:
    """Return the mean time in queue of M/D/1, in seconds: u s / (2 (1 - u)), half of that of M/M/1.

    Parameters and errors are those of :func:`mean_queue_delay_mm1_s`, the source is that of
    :func:`mean_queue_delay_mg1_s`.

    >>> mean_queue_delay_md1_s(rate_qps=75, service_time_s=0.01)
    0.015
    """
    return mean_queue_delay_mg1_s(rate_qps, service_time_s, 0.0)


def mean_latency_tandem_s(rate_qps: float, service_times_s: Sequence[float]) -> float:
    """Return the mean latency of M/M/1 stages one after another, in seconds: the sum of their mean latencies.

    The departures of an M/M/1 stage in steady state are a Poisson process of the same rate (Burke), so every stage is
    an M/M/1 of its own. The service times of one query at different stages are independent.

    Parameters
    ----------
    rate_qps
        Mean arrival rate λ at the first stage, in queries per second.
    service_times_s
        Mean service time of each stage, in seconds; the law of each is exponential.

    Raises
    ------
    InvalidInputError
        As :func:`mean_queue_delay_mm1_s`, naming the stage, and if there are no stages.

    References
    ----------
    P. J. Burke, "The output of a queuing system", Operations Research 4 (1956); J. R. Jackson, "Networks of waiting
    lines", Operations Research 5 (1957).

    >>> mean_latency_tandem_s(rate_qps=75, service_times_s=[0.01, 0.004])  # 0.04 + 0.04/7
    0.045714285714285714
    """
    if not service_times_s:
        raise invalid("service_times_s", service_times_s, "names no stage", "give one time for each stage")
    total_s = 0.0
    for stage, service_time_s in enumerate(service_times_s):
        try:
            total_s += mean_latency_mm1_s(rate_qps, service_time_s)
        except InvalidInputError as error:
            where = f"service_times_s.{stage}" if error.where == "service_time_s" else error.where
            raise InvalidInputError(error.reason, where) from None
    return total_s
