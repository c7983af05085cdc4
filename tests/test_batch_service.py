"""The simulation against the theory of batch service and of M/D/c, and that theory against other ways to compute it.

How a mean is estimated. Each case runs 32 independent replications (other seeds) of 312,500 queries, 10 million in all,
drops a warm-up from each, and takes the mean queue delay of the rest; the spread of the 32 results gives the standard
error. The plain mean does, without the control variate of test_theory.py: 10 million queries bring its standard error
to 1.3 % at worst, and to half a per cent or less for most cases, as T below is at most 1,800 queries here.

How long the warm-up is. While the queue is long, all batches are full. For each query that arrives it then drifts down
by 1/u - 1 and spreads by a variance of 1 + B scv (for u near 1: 1 from the Poisson arrivals, B scv from the service
times), whatever the number of replicas. So the relaxation time is about T = 2 (1 + B scv) / (1 - u)² queries, that of
Brownian motion with such a drift and variance (Abate and Whitt, "Transient behavior of regulated Brownian motion",
Advances in Applied Probability 19, 1987). The warm-up is 3 T, and two full batches on every replica and 100 queries
beside; what it leaves of the empty start is far below the standard error.

What is left out. A constant service time in batches on several replicas, and service times by batch size on several:
there is no theory for them here. Utilisation (in full batches, λ D(B) / (c B)) is from 0.3 to 0.9, and nothing in that
range had to go for its noise. With batches the replicas are busy for far more of the time than that, so that many
queries wait even at 0.3; of M/D/8 only 0.35 % do, but at 10 million queries that gives an error of 1 %.
"""

import dataclasses
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pytest
from scipy.special import lambertw

from pipesim import theory
from pipesim.engine import simulate
from pipesim.errors import InvalidInputError
from pipesim.model import Plan, ProfilePoint, Scenario, StagePlan, scenario_from_dict
from pipesim.model.profile import profile_set

REPLICATIONS = 32
SEED = 200_000

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Case:
    """A queue that theory knows: service time by batch size, replicas, scv, utilisation in full batches."""

    name: str
    service_ms: tuple[float, ...]
    utilisation: float
    replicas: int = 1
    scv: float = 0.0
    queries: int = 10_000_000 // REPLICATIONS

    @property
    def service_times_s(self) -> list[float]:
        return [time_ms / 1000 for time_ms in self.service_ms]

    @property
    def max_batch_size(self) -> int:
        return len(self.service_ms)

    @property
    def rate_qps(self) -> float:
        return self.utilisation * self.replicas * self.max_batch_size / self.service_times_s[-1]

    @property
    def theory_s(self) -> float:
        service_s = self.service_times_s[-1]
        if self.replicas == 1:
            return theory.mean_queue_delay_batch_service_s(self.rate_qps, self.service_times_s, self.scv)
        assert len(set(self.service_ms)) == 1
        if self.scv == 1:
            return theory.mean_queue_delay_mmc_batch_s(self.rate_qps, service_s, self.replicas, self.max_batch_size)
        assert self.scv == 0
        assert self.max_batch_size == 1
        return theory.mean_queue_delay_mdc_s(self.rate_qps, service_s, self.replicas)

    @property
    def warm_up(self) -> int:
        relaxation = 2 * (1 + self.max_batch_size * self.scv) / (1 - self.utilisation) ** 2
        return 100 + 2 * self.replicas * self.max_batch_size + math.ceil(3 * relaxation)

    def __str__(self) -> str:
        return f"{self.name}-{self.utilisation}"


def _constant(max_batch_size: int) -> tuple[float, ...]:
    return (10.0,) * max_batch_size


def _line(max_batch_size: int) -> tuple[float, ...]:
    return tuple(4.0 + 1.5 * size for size in range(1, max_batch_size + 1))


STEPS = (5.0, 8.5, 9.0, 9.25, 14.0, 14.5, 15.0, 15.75)  # not linear: jumps where a kernel's tile is full

CASES = [
    Case("M/D^[1,2]/1", _constant(2), 0.3),
    Case("M/D^[1,4]/1", _constant(4), 0.6),
    Case("M/D^[1,16]/1", _constant(16), 0.9),
    Case("M/D(n)^[1,16]/1-line", _line(16), 0.3),
    Case("M/D(n)^[1,8]/1-line", _line(8), 0.8),
    Case("M/D(n)^[1,8]/1-steps", STEPS, 0.9),
    Case("M/M(n)^[1,8]/1-steps", STEPS, 0.8, scv=1.0),
    Case("M/M^[1,2]/2", _constant(2), 0.3, 2, 1.0),
    Case("M/M^[1,4]/4", _constant(4), 0.6, 4, 1.0),
    Case("M/M^[1,8]/2", _constant(8), 0.9, 2, 1.0),
    Case("M/M^[1,16]/3", _constant(16), 0.8, 3, 1.0),
    Case("M/D/2", _constant(1), 0.6, 2),
    Case("M/D/4", _constant(1), 0.9, 4),
    Case("M/D/8", _constant(1), 0.3, 8),
]
QUICK_CASES = [
    Case("M/D(n)^[1,8]/1-steps", STEPS, 0.6, queries=20_000),
    Case("M/M^[1,4]/2", _constant(4), 0.6, 2, 1.0, queries=20_000),
]


def _replication_s(case: Case, seed: int) -> float:
    """Return the mean queue delay after the warm-up."""
    plan = Plan(
        stages={"stage": StagePlan(hardware="core", replicas=case.replicas, max_batch_size=case.max_batch_size)}
    )
    stage = simulate(_scenario(case, seed), plan).run.stages[0]
    return float((stage.start_ns - stage.arrival_ns)[case.warm_up :].mean()) * 1e-9


def _scenario(case: Case, seed: int) -> Scenario:
    scenario = scenario_from_dict(
        {
            "name": "batch-service",
            "slo": {"p99": "1s"},
            "traffic": {"poisson": {"rate_qps": case.rate_qps, "queries": case.queries}},
            "pipeline": {"stage": {"model": "model"}},
            "profiles": {"model": {"core": {1: "10ms"}}},
            "prices": {"units": {"core": {"kind": "cpu", "unit": "core", "price_usd_per_hour": 0.1}}},
            "seed": seed,
        }
    )
    points = [
        ProfilePoint(
            model="model",
            hardware="core",
            batch_size=size,
            latency_ms=time_ms,
            noise_scv=case.scv,
            noise_law="gamma",
        )
        for size, time_ms in enumerate(case.service_ms, start=1)
    ]
    return dataclasses.replace(scenario, profiles=profile_set([("theory", point) for point in points]))


@pytest.mark.parametrize(
    "case",
    [pytest.param(case, id=f"{case}-quick") for case in QUICK_CASES]
    + [pytest.param(case, marks=pytest.mark.slow, id=str(case)) for case in CASES],
)
def test_simulated_queue_delays_agree_with_theory_within_three_standard_errors(
    case: Case, record_property: Callable[[str, object], None]
) -> None:
    seed = SEED + 1000 * (CASES + QUICK_CASES).index(case)  # streams are keyed by the seed: no two cases may share one
    results_s = np.array([_replication_s(case, seed + number) for number in range(REPLICATIONS)])
    mean_s, error_s = float(results_s.mean()), float(results_s.std(ddof=1)) / REPLICATIONS**0.5
    z = (mean_s - case.theory_s) / error_s
    for name, value in {"theory_s": case.theory_s, "mean_s": mean_s, "error_s": error_s, "z": z}.items():
        record_property(name, value)
    assert error_s <= 0.02 * case.theory_s, "a test this noisy would pass anything"
    assert abs(z) <= 3


def _roots(load: float, limit: int) -> npt.NDArray[np.complex128]:
    """Return the solutions of z^B = exp(load (z - 1)) inside the unit circle, by Lambert's W."""
    share = load / limit
    unit = np.exp(2j * np.pi * np.arange(1, limit) / limit)
    return np.asarray(-lambertw(-share * unit * np.exp(-share)) / share)


def _mean_queue_delay_by_roots_s(rate_qps: float, service_times_s: Sequence[float]) -> float:
    """Return the mean queue delay of M/D(n)^[1,B]/1 from generating functions, as Bailey (1954) did, and no cut-off.

    With A(n, z) = exp(λ D(n) (z - 1)) and n = max(i, 1), the queue left by services has the generating function P with
    P(z) (1 - z^-B A(B, z)) = Σ over i < B of π(i) (A(n, z) - z^(i-B) A(B, z)). The right side is 0 at the B - 1 roots
    inside the circle, its slope at 1 gives the sum of π, and its second derivative there the mean of the queue.
    """
    times_s = np.array(service_times_s)
    limit = times_s.size
    left = np.arange(limit)
    time_s, full_time_s = times_s[np.maximum(left, 1) - 1], float(times_s[-1])
    load, full_load = rate_qps * time_s, rate_qps * full_time_s
    z = _roots(full_load, limit)[:, np.newaxis]
    slope = load - full_load - (left - limit)
    share = np.linalg.solve(
        np.vstack([np.exp(load * (z - 1)) - z**left, slope]), np.append(np.zeros(limit - 1), limit - full_load)
    ).real
    shifted = left - limit
    second = share @ (load**2 - shifted * (shifted - 1) - 2 * shifted * full_load - full_load**2)
    second += limit * (limit + 1) - 2 * limit * full_load + full_load**2
    mean_left = second / (2 * (limit - full_load))
    full_share = 1 - share.sum()
    beyond = mean_left - share @ left - limit * full_share  # of what full batches leave behind, at their start
    waited = share @ (rate_qps * time_s**2 / 2) + full_time_s * (beyond + full_share * full_load / 2)
    return float(waited / (share @ load + share[0] + full_share * full_load))


@pytest.mark.parametrize("utilisation", [0.05, 0.3, 0.6, 0.9, 0.97])
@pytest.mark.parametrize("service_ms", [_constant(2), _constant(5), _line(7), STEPS, (20.0, 6.0, 9.0)])
def test_the_chain_of_batch_service_agrees_with_generating_functions(
    service_ms: tuple[float, ...], utilisation: float
) -> None:
    case = Case("roots", service_ms, utilisation)
    expected_s = _mean_queue_delay_by_roots_s(case.rate_qps, case.service_times_s)
    assert case.theory_s == pytest.approx(expected_s, rel=1e-9)


@pytest.mark.parametrize("utilisation", [0.05, 0.5, 0.9, 0.99])
@pytest.mark.parametrize("scv", [0.0, 1e-12, 1e-3, 0.25, 1.0, 4.0])
def test_batches_of_one_are_the_formula_of_pollaczek_and_khinchine(utilisation: float, scv: float) -> None:
    rate_qps = utilisation / 0.01
    expected_s = theory.mean_queue_delay_mg1_s(rate_qps, 0.01, scv)
    assert theory.mean_queue_delay_batch_service_s(rate_qps, [0.01], scv) == pytest.approx(expected_s, rel=1e-9)


@pytest.mark.parametrize("max_batch_size", [1, 2, 5, 16])
@pytest.mark.parametrize("utilisation", [0.05, 0.5, 0.9])
def test_exponential_batches_on_one_replica_are_the_same_from_both_chains(
    max_batch_size: int, utilisation: float
) -> None:
    rate_qps = utilisation * max_batch_size / 0.01
    by_ends_s = theory.mean_queue_delay_batch_service_s(rate_qps, [0.01] * max_batch_size, scv=1.0)
    in_time_s = theory.mean_queue_delay_mmc_batch_s(rate_qps, 0.01, 1, max_batch_size)
    assert in_time_s == pytest.approx(by_ends_s, rel=1e-9)


def _balanced_mean_queue_delay_s(rate_qps: float, service_s: float, replicas: int, max_batch_size: int) -> float:
    """Return the mean queue delay of M/M^[1,B]/c from its generator matrix, state n: n busy, or all and n - c wait."""
    states = 600
    rates = np.zeros((states, states))
    for state in range(states):
        busy, waiting = min(state, replicas), max(state - replicas, 0)
        after = state - min(waiting, max_batch_size) if waiting else state - 1
        if state + 1 < states:
            rates[state, state + 1] = rate_qps
        if busy:
            rates[state, after] = busy / service_s
    generator = rates - np.diag(rates.sum(axis=1))
    generator[:, 0] = 1
    share = np.linalg.solve(generator.T, np.eye(states)[0])
    return float(share @ np.maximum(np.arange(states) - replicas, 0)) / rate_qps


@pytest.mark.parametrize(("replicas", "max_batch_size"), [(1, 3), (2, 1), (2, 2), (3, 8), (7, 4)])
@pytest.mark.parametrize("utilisation", [0.1, 0.5, 0.8])
def test_exponential_batches_on_several_replicas_solve_the_balance_equations(
    replicas: int, max_batch_size: int, utilisation: float
) -> None:
    rate_qps = utilisation * replicas * max_batch_size / 0.01
    expected_s = _balanced_mean_queue_delay_s(rate_qps, 0.01, replicas, max_batch_size)
    found_s = theory.mean_queue_delay_mmc_batch_s(rate_qps, 0.01, replicas, max_batch_size)
    assert found_s == pytest.approx(expected_s, rel=1e-6)


@pytest.mark.parametrize("replicas", [1, 2, 8, 60])
@pytest.mark.parametrize("utilisation", [0.05, 0.5, 0.95])
def test_exponential_batches_of_one_are_mmc(replicas: int, utilisation: float) -> None:
    rate_qps = utilisation * replicas / 0.01
    expected_s = theory.mean_queue_delay_mmc_s(rate_qps, 0.01, replicas)
    assert theory.mean_queue_delay_mmc_batch_s(rate_qps, 0.01, replicas, 1) == pytest.approx(expected_s, rel=1e-9)


def test_two_exponential_queries_at_a_time_by_hand() -> None:
    ratio = (7**0.5 - 1) / 2  # r + r² = a = 1.5, and Erlang's B(1, a) = 0.6
    all_busy = 0.6 / (0.4 * (1 - ratio) + 0.6)
    found_s = theory.mean_queue_delay_mmc_batch_s(150, 0.01, 1, 2)
    assert found_s == pytest.approx(all_busy * 0.01 / (1 - ratio**2), rel=1e-12)


@pytest.mark.parametrize("utilisation", [0.05, 0.5, 0.9, 0.95])
def test_constant_service_on_one_replica_is_md1(utilisation: float) -> None:
    expected_s = theory.mean_queue_delay_md1_s(utilisation / 0.01, 0.01)
    assert theory.mean_queue_delay_mdc_s(utilisation / 0.01, 0.01, 1) == pytest.approx(expected_s, rel=1e-9)


@pytest.mark.parametrize(("replicas", "utilisation"), [(2, 0.1), (2, 0.5), (2, 0.95), (5, 0.7), (8, 0.6), (60, 0.9)])
def test_constant_service_on_several_replicas_agrees_with_crommelins_roots(replicas: int, utilisation: float) -> None:
    """Crommelin: N at times 10 ms apart is a chain, N' = max(N - c, 0) + Poisson(a); the mean of max(N - c, 0)."""
    load = utilisation * replicas
    waiting = (1 / (1 - _roots(load, replicas))).sum().real
    waiting -= (replicas * (replicas - 1) - load**2) / (2 * (replicas - load))
    found_s = theory.mean_queue_delay_mdc_s(load / 0.01, 0.01, replicas)
    assert found_s == pytest.approx(waiting / (load / 0.01), rel=1e-9)


def test_md2_half_busy_by_hand() -> None:
    # z² = exp(z - 1) at z = -0.47767, so 1 / 1.47767 - 1/2 = 0.17674 queries wait on average
    root = -0.47767
    assert root**2 == pytest.approx(math.exp(root - 1), rel=1e-4)
    assert theory.mean_queue_delay_mdc_s(100, 0.01, 2) * 100 == pytest.approx(1 / (1 - root) - 0.5, rel=1e-4)


@pytest.mark.parametrize(
    "case",
    [
        Case("steps", STEPS, 0.6),
        Case("exponential-steps", STEPS, 0.6, scv=1.0),
        Case("exponential", _constant(4), 0.6, 3, 1.0),
        Case("constant", _constant(1), 0.8, 3),
    ],
    ids=str,
)
def test_theory_is_near_a_recursion_with_other_random_numbers(case: Case) -> None:
    rng = np.random.default_rng(SEED)
    arrival = rng.exponential(1 / case.rate_qps, 200_000).cumsum().tolist()
    factor = (rng.gamma(1 / case.scv, case.scv, 200_000) if case.scv else np.ones(200_000)).tolist()
    free = [0.0] * case.replicas
    delays: list[float] = []
    while (first := len(delays)) < len(arrival):
        start = max(min(free), arrival[first])
        taken = [time for time in arrival[first : first + case.max_batch_size] if time <= start]
        delays += [start - time for time in taken]
        free[free.index(min(free))] = start + case.service_times_s[len(taken) - 1] * factor[first]
    assert np.mean(delays) == pytest.approx(case.theory_s, rel=0.05)


def test_a_lone_batch_size_costs_what_it_takes_when_traffic_is_thin() -> None:
    """At a rate that goes to 0 a query waits if it comes during a service of D(1), and then for half of it on average.

    Only the next order knows D(2), D(3), … at all.
    """
    expected_s = 1e-6 * 0.02**2 / 2
    assert theory.mean_queue_delay_batch_service_s(1e-6, [0.02, 0.9, 0.01]) == pytest.approx(expected_s, rel=1e-6)


def test_without_arrivals_nobody_waits_for_a_batch() -> None:
    assert theory.mean_queue_delay_batch_service_s(0, [0.01, 0.02]) == 0.0
    assert theory.mean_queue_delay_mmc_batch_s(0, 0.01, 2, 4) == 0.0
    assert theory.mean_queue_delay_mdc_s(0, 0.01, 3) == 0.0


def test_utilisation_in_full_batches_counts_the_largest_batch_on_every_replica() -> None:
    assert theory.utilisation_in_full_batches(600, 0.02, 4, 2) == 1.5
    assert theory.utilisation_in_full_batches(75, 0.01, 1) == theory.utilisation(75, 0.01)


@pytest.mark.parametrize(
    "delay",
    [
        lambda rate_qps, time_s: theory.mean_queue_delay_batch_service_s(rate_qps, [0.009, time_s]),
        lambda rate_qps, time_s: theory.mean_queue_delay_batch_service_s(rate_qps, [0.009, time_s], 1.0),
        lambda rate_qps, time_s: theory.mean_queue_delay_mmc_batch_s(rate_qps, time_s, 1, 2),
        lambda rate_qps, time_s: theory.mean_queue_delay_mdc_s(rate_qps, time_s, 2),
    ],
)
@pytest.mark.parametrize(
    ("rate_qps", "time_s", "where"),
    [
        (-1, 0.01, "rate_qps: -1 "),
        (math.nan, 0.01, "rate_qps: nan "),
        (math.inf, 0.01, "rate_qps: inf "),
        (200, 0.01, "rate_qps: 200 is a utilisation of 1 at 0.01 s"),
        (1e300, 1e300, "rate_qps: 1e.300 is a utilisation of inf "),
        (10, 0, "service_time(s_s.1|_s): 0 "),
        (10, -0.01, "service_time(s_s.1|_s): -0.01 "),
        (10, math.nan, "service_time(s_s.1|_s): nan "),
        (10, math.inf, "service_time(s_s.1|_s): inf "),
    ],
)
def test_impossible_rates_and_times_are_refused(
    delay: Callable[[float, float], float], rate_qps: float, time_s: float, where: str
) -> None:
    with pytest.raises(InvalidInputError, match=f"^{where}"):
        delay(rate_qps, time_s)


def test_an_overload_of_batches_is_refused_with_the_batch_size() -> None:
    with pytest.raises(
        InvalidInputError,
        match=r"^rate_qps: 600 is a utilisation of 1\.5 at 0\.02 s for full batches of 4 on 2, and the queue grows "
        r"without end; keep it below 1",
    ):
        theory.mean_queue_delay_mmc_batch_s(600, 0.02, 2, 4)


@pytest.mark.parametrize("number", [0, -1, 1.5, math.nan, 10**7])
def test_impossible_batch_sizes_and_replicas_are_refused(number: int) -> None:
    with pytest.raises(
        InvalidInputError, match=r"^max_batch_size: .* is not allowed; use a whole number from 1 to 655"
    ):
        theory.mean_queue_delay_mmc_batch_s(10, 0.01, 1, number)
    with pytest.raises(InvalidInputError, match=r"^replicas: .* is not allowed; use a whole number from 1 to 1000000"):
        theory.mean_queue_delay_mmc_batch_s(10, 0.01, number, 2)
    with pytest.raises(InvalidInputError, match=r"^replicas: .* is not allowed; use a whole number from 1 to 1000000"):
        theory.mean_queue_delay_mdc_s(10, 0.01, number)


@pytest.mark.parametrize("count", [0, 65_537])
def test_no_batch_size_and_too_many_are_refused(count: int) -> None:
    with pytest.raises(InvalidInputError, match=rf"^service_times_s: {count} is not an allowed number of batch sizes"):
        theory.mean_queue_delay_batch_service_s(10, [0.01] * count)


@pytest.mark.parametrize("scv", [-0.1, math.nan, math.inf])
def test_impossible_scvs_of_batches_are_refused(scv: float) -> None:
    with pytest.raises(InvalidInputError, match=r"^scv: "):
        theory.mean_queue_delay_batch_service_s(10, [0.01], scv)


@pytest.mark.parametrize(
    ("rate_qps", "service_times_s", "scv"),
    [
        (247_500, [0.01] * 2500, 0.0),  # too many states by too many jumps
        (100, [1e9, 0.01], 0.0),  # too many arrive during one service
        (99, [0.01], 1e6),
    ],
)
def test_a_chain_that_would_be_too_large_is_refused(rate_qps: float, service_times_s: list[float], scv: float) -> None:
    with pytest.raises(InvalidInputError, match=r"^rate_qps: .* needs a Markov chain of .* transitions"):
        theory.mean_queue_delay_batch_service_s(rate_qps, service_times_s, scv)


def test_a_series_that_would_be_too_long_is_refused() -> None:
    with pytest.raises(
        InvalidInputError, match=r"^rate_qps: 199\.99 is a utilisation of 0\.99995, which needs .* terms"
    ):
        theory.mean_queue_delay_mdc_s(199.99, 0.01, 2)
