"""Mean queue delays of stages that serve batches, and of several replicas with a constant service time.

In Kendall's notation M/G^[1,B]/c: Poisson arrivals, and c replicas that take from one FIFO queue at once what waits, at
least one query and at most B; a query that finds a replica idle starts alone. These are computed numerically, from a
Markov chain or a series; each docstring derives its formula and says how what is neglected is kept small.

Left out, because no chain of a manageable size is known to us: a constant service time in batches on several replicas,
and service times that depend on the batch size on several replicas.

Sources: N. T. J. Bailey, "On queueing processes with bulk service", Journal of the Royal Statistical Society B 16
(1954); M. L. Chaudhry and J. G. C. Templeton, *A First Course in Bulk Queues*, Wiley 1983.
"""

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy.optimize import brentq
from scipy.sparse import coo_array, eye_array
from scipy.sparse.linalg import spsolve
from scipy.special import gammainc

from pipesim.errors import invalid
from pipesim.model.fields import MAX_BATCH_SIZE
from pipesim.theory.load import offered_load, stable_utilisation, stable_utilisation_in_full_batches
from pipesim.theory.queues import blocking_probability

Floats = npt.NDArray[np.float64]

_NEGLECTED = 1e-12
_NEGLECTED_ARRIVALS = 1e-20
_MAX_TRANSITIONS = 20_000_000
_MAX_TERMS = 2_000_000


def mean_queue_delay_batch_service_s(rate_qps: float, service_times_s: Sequence[float], scv: float = 0.0) -> float:
    """Return the mean time in queue of M/G(n)^[1,B]/1, in seconds: one replica, service times by batch size.

    Let X be the number of queries that wait when a service has just ended. It is a Markov chain: from X = i the next
    batch has n = min(max(i, 1), B) queries, where for i = 0 the replica first waits for one to arrive, and leaves
    behind max(i, 1) - n and what arrived during its service. Over the step from i, with S the service time of that
    batch and D(n) its mean,

    * the time integral of the number waiting has the mean r(i) = (max(i, 1) - n) D(n) + λ E[S²] / 2, since those left
      over wait throughout and arrivals come at rate λ; nobody waits while the replica is idle;
    * λ times the length of the step has the mean m(i) = λ D(n), and 1 more for i = 0.

    With π the stationary law of the chain, the mean number waiting is Σ π(i) r(i) / Σ π(i) m(i) · λ (renewal reward
    over the steps), and by Little's law the mean time in queue is W = Σ π(i) r(i) / Σ π(i) m(i).

    The service time is D(n) times a gamma variable of mean 1, so E[S²] = (1 + scv) D(n)², and what arrives during it
    is Poisson for scv = 0, geometric for scv = 1 and negative binomial in general. The chain is cut off at a
    number of states that is doubled until the upper half of them holds at most 1e-12 of Σ π(i) and of Σ π(i) r(i); as
    its tail is geometric, what lies beyond holds far less than that half. Jumps over the last state go to the last
    state.

    Parameters
    ----------
    rate_qps
        Mean arrival rate λ, in queries per second.
    service_times_s
        Mean service time D(n) of a batch of n queries, in seconds, for n = 1 … B: B is how many are given.
    scv
        Squared coefficient of variation of the service time, the same for all batch sizes: 0 constant, 1 exponential,
        else that of a gamma law.

    Raises
    ------
    InvalidInputError
        If the rate is negative, a service time is not above 0, `scv` is negative, any is not finite, there are no
        service times or more than 65,536, the utilisation in full batches λ D(B) / B is 1 or more, or the chain would
        have more than 20 million transitions (the utilisation is too near 1, or B, `scv` or a service time too large).

    References
    ----------
    Bailey (1954) for the chain at ends of services; Y. Inoue, "Queueing analysis of GPU-based inference servers with
    dynamic batching: a closed-form characterization", Performance Evaluation 147 (2021), for service times by batch
    size; S. M. Ross, *Stochastic Processes*, 2nd ed., Wiley 1996, section 3.6, for renewal reward.

    >>> round(mean_queue_delay_batch_service_s(rate_qps=75, service_times_s=[0.01]), 9)  # M/D/1
    0.015
    >>> round(mean_queue_delay_batch_service_s(rate_qps=75, service_times_s=[0.01, 0.012]), 6)
    0.004215
    """
    times_s = _checked_service_times_s(service_times_s)
    limit = times_s.size
    stable_utilisation_in_full_batches(rate_qps, float(times_s[-1]), limit)
    if not (math.isfinite(scv) and scv >= 0):
        raise invalid("scv", scv, "is not allowed", "use a finite value of 0 or more")
    if rate_qps == 0:
        return 0.0
    arrivals = _arrivals_during_service(rate_qps, times_s, scv)
    states = 2 * limit + arrivals.shape[1]
    while True:
        waiting = np.maximum(np.arange(states), 1)  # once the next batch can start
        batch = np.minimum(waiting, limit)
        _check_size(states * arrivals.shape[1], rate_qps)
        weight = _stationary_weights(waiting - batch, arrivals[batch - 1])
        time_s = times_s[batch - 1]
        delay_s = weight * ((waiting - batch) * time_s + rate_qps * (1 + scv) * time_s**2 / 2)
        queries = weight * rate_qps * time_s
        queries[0] += weight[0]
        upper = slice(states // 2, None)
        if all(part[upper].sum() <= _NEGLECTED * part.sum() for part in (weight, delay_s)):
            return float(delay_s.sum() / queries.sum())
        states *= 2


def _checked_service_times_s(service_times_s: Sequence[float]) -> Floats:
    if not 1 <= len(service_times_s) <= MAX_BATCH_SIZE:
        raise invalid(
            "service_times_s",
            len(service_times_s),
            "is not an allowed number of batch sizes",
            f"give one time for each, from 1 to {MAX_BATCH_SIZE}",
        )
    for index, time_s in enumerate(service_times_s):
        if not (math.isfinite(time_s) and time_s > 0):
            raise invalid(f"service_times_s.{index}", time_s, "is not allowed", "use a finite time above 0")
    return np.asarray(service_times_s, dtype=np.float64)


def _check_size(transitions: float, rate_qps: float) -> None:
    if transitions > _MAX_TRANSITIONS:
        raise invalid(
            "rate_qps",
            rate_qps,
            f"needs a Markov chain of {transitions:.2g} transitions at these service times, and at most "
            f"{_MAX_TRANSITIONS} are allowed",
            "lower the rate, the largest batch or the scv",
        )


def _arrivals_during_service(rate_qps: float, times_s: Floats, scv: float) -> Floats:
    """Return the probabilities of k arrivals during the service of each batch size, shape ``(B, width)``.

    With mean a = λ D(n) they are p(0) = (1 + a scv)^(-1/scv), or exp(-a) for scv = 0, and
    p(k) = p(k-1) · a (1 + (k-1) scv) / (k (1 + a scv)), which is one formula for the Poisson and the negative binomial
    law and loses no digits where scv is small. Beyond `width` all are below 1e-20 and fall.
    """
    mean = (rate_qps * times_s)[:, np.newaxis]
    empty = -np.log1p(mean * scv) / scv if scv else -mean
    width = 64
    while True:
        _check_size(width * max(times_s.size, width), rate_qps)
        count = np.arange(1, width)
        steps = np.log(mean * (1 + (count - 1) * scv) / (count * (1 + mean * scv)))
        law = np.exp(empty + np.cumsum(np.hstack([np.zeros_like(mean), steps]), axis=1))
        likely = law > _NEGLECTED_ARRIVALS
        if not likely[:, -1].any() and width > 2 * mean.max():
            return np.asarray(law[:, likely.any(axis=0)])
        width *= 2


def _stationary_weights(stays: npt.NDArray[np.int64], arrivals: Floats) -> Floats:
    """Return what the stationary law of a chain is proportional to, 1 for state 0.

    From state i it goes to `stays[i]` and as many more as `arrivals[i]` gives the probabilities of, or to the last
    state if that is beyond it. What remains of I - P without state 0 is an M-matrix that is diagonally dominant by
    columns once transposed: its factors keep the band of P, and need no pivots.
    """
    states, width = arrivals.shape
    source = np.repeat(np.arange(states), width)
    target = np.minimum(stays[:, np.newaxis] + np.arange(width), states - 1).ravel()
    flow = coo_array((arrivals.ravel(), (target, source)), shape=(states, states)).tocsc()
    rest = spsolve((eye_array(states - 1) - flow[1:, 1:]).tocsc(), flow[1:, [0]].toarray()[:, 0], permc_spec="NATURAL")
    return np.concatenate([[1.0], rest])


def mean_queue_delay_mmc_batch_s(rate_qps: float, service_time_s: float, replicas: int, max_batch_size: int) -> float:
    """Return the mean time in queue of M/M^[1,B]/c, in seconds: exponential service that batch size does not affect.

    With μ = 1 / s, the states are k < c busy replicas and an empty queue, and (c, q): all busy, q queries waiting.
    What crosses between neighbouring states must balance:

    * λ p(k-1) = k μ p(k) for k = 1 … c, where p(c) is that of (c, 0), as a replica goes idle only if nobody waits. So
      these are in the proportions of Erlang's loss system, whose blocking probability is B(c, a);
    * λ p(c, q-1) = c μ (p(c, q) + … + p(c, q+B-1)) for q ≥ 1, as a service that ends takes up to B from the queue. So
      p(c, q) = p(c, 0) r^q, where r in (0, 1) solves r + r² + … + r^B = a / c. It is the only solution there, as the
      left side grows from 0 to B and a / c is less than B.

    Hence all are busy with probability C = B(c, a) / ((1 - r)(1 - B(c, a)) + B(c, a)), C r / (1 - r) queries wait on
    average, and by Little's law and the equation for r, W = C s / (c (1 - r^B)). For B = 1, r = u and this is M/M/c.

    Parameters
    ----------
    rate_qps
        Mean arrival rate λ, in queries per second.
    service_time_s
        Mean service time s of a batch of any size, in seconds; its law is exponential.
    replicas
        How many serve the one queue, c.
    max_batch_size
        The most queries that a batch holds, B.

    Raises
    ------
    InvalidInputError
        If the rate is negative, the service time is not above 0, either is not finite, `replicas` or `max_batch_size`
        is not a whole number from 1 to 1,000,000 or 65,536, or the utilisation in full batches λs / (c B) is 1 or more.

    References
    ----------
    Bailey (1954) and Chaudhry and Templeton (1983) for one replica; S. K. Arora, "Two-server bulk-service queuing
    process", Operations Research 12 (1964), for two.

    >>> round(mean_queue_delay_mmc_batch_s(rate_qps=150, service_time_s=0.01, replicas=1, max_batch_size=2), 6)
    0.027701
    """
    stable_utilisation_in_full_batches(rate_qps, service_time_s, max_batch_size, replicas)
    load = offered_load(rate_qps, service_time_s)

    def excess(ratio: float) -> float:
        if ratio in (0.0, 1.0):
            return ratio * max_batch_size - load / replicas
        return -ratio * math.expm1(max_batch_size * math.log(ratio)) / (1 - ratio) - load / replicas

    ratio = float(brentq(excess, 0.0, 1.0, xtol=1e-300))
    blocked = blocking_probability(load, replicas)
    all_busy = blocked / ((1 - ratio) * (1 - blocked) + blocked)
    return all_busy * service_time_s / (replicas * (1 - ratio**max_batch_size))


def mean_queue_delay_mdc_s(rate_qps: float, service_time_s: float, replicas: int) -> float:
    """Return the mean time in queue of M/D/c, in seconds: s Σ over l ≥ 1 of P(N(l) ≥ lc) - P(N(l) > lc) / u.

    N(l) is Poisson with mean la. As service times are equal, queries start and finish in order of arrival, and query
    n + c waits for query n: with T the sum of c gaps, W(n+c) = max(0, W(n) + s - T). That is Lindley's recursion, so W
    in steady state is the largest value of a random walk, with the mean Σ E[max(0, l s - T(l))] / l (Spitzer), T(l)
    being the time in which lc queries arrive. Integrating its distribution function gives the series.

    All terms are positive. P(N(l) ≥ lc) is at most exp(-l c h) with h = u - 1 - ln u (Chernoff), so the sum ends where
    that bounds the rest by 1e-16 of what it bounds the first term by.

    Parameters
    ----------
    rate_qps
        Mean arrival rate λ, in queries per second.
    service_time_s
        Service time s, in seconds, the same for all.
    replicas
        How many serve the one queue, c.

    Raises
    ------
    InvalidInputError
        If the rate is negative, the service time is not above 0, either is not finite, `replicas` is not a whole number
        from 1 to 1,000,000, the utilisation is 1 or more, or so near to 1 that 2 million terms would not do.

    References
    ----------
    C. D. Crommelin, "Delay probability formulae when the holding times are constant", Post Office Electrical
    Engineers' Journal 25 (1932); F. Spitzer, "A combinatorial lemma and its application to probability theory",
    Transactions of the American Mathematical Society 82 (1956); A. J. E. M. Janssen and J. S. H. van Leeuwaarden, "Back
    to the roots of the M/D/s queue and the works of Erlang, Crommelin and Pollaczek", Statistica Neerlandica 62 (2008).

    >>> round(mean_queue_delay_mdc_s(rate_qps=75, service_time_s=0.01, replicas=1), 9)  # M/D/1
    0.015
    >>> round(mean_queue_delay_mdc_s(rate_qps=100, service_time_s=0.01, replicas=2), 6)
    0.001767
    """
    share = stable_utilisation(rate_qps, service_time_s, replicas)
    if share == 0:
        return 0.0
    decay = replicas * (share - 1 - math.log(share))
    terms = 2 + (math.log(1e16) - math.log(-math.expm1(-decay))) / decay if decay > 0 else math.inf
    if terms > _MAX_TERMS:
        raise invalid(
            "rate_qps",
            rate_qps,
            f"is a utilisation of {share:.9g}, which needs {terms:.2g} terms, and at most {_MAX_TERMS} are allowed",
            "lower the rate",
        )
    number = np.arange(1, math.ceil(terms)) * replicas
    at_least, more = gammainc(number, number * share), gammainc(number + 1, number * share)
    return service_time_s * float((at_least - more / share).sum())
