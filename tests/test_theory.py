"""The simulation against closed forms of queueing theory, and the closed forms against numbers known by hand.

How a mean is estimated. Each case runs 32 independent replications (other seeds), drops a warm-up from each, and takes
the mean of the 32 results; their spread gives the standard error. The raw mean queue delay would need
N = 2 (1 + scv) / (C (1 - u)²) / 0.02² queries in all for a standard error of 2 % (u: utilisation, C: probability of
having to wait, scv: of the service time; for M/M/1 this is Whitt's heavy-traffic formula, close to the exact one from
u = 0.5 up): 1.1 million for M/M/1 at 0.9, 20 million for all single stages here. Most of that spread is chance that
can be seen: a queue happened to be long just when the next gap was short or the next service long. What query n meets
does not depend on the gap after it, nor on the service of the query after it, so

    mean over n of  delay[n] · ((service[n+1] - s) / c - (gap[n+1] - 1/λ))

has expectation 0 exactly, whatever the queue does. Subtracting it, divided by (1/λ - s/c), leaves the expectation of
the estimate as it was and takes the factor 1 / (1 - u)² out of its variance (the coefficient is the one that squaring
Lindley's recursion gives; it is not fitted to the data, which would bias it). It is a martingale control variate:
Henderson and Glynn, "Approximating martingales for variance reduction in Markov process simulation", Mathematics of
Operations Research 27 (2002). It relies on the draws having the means that they claim, and would forgive a small error
in them; so these are tested by themselves, on millions of draws, and the uncontrolled mean is compared too.

How long the runs are. With R replications of m queries, each after a warm-up:

* the relative variance of a controlled result is v / m + (T / m)². Here T = 2 (1 + scv) / (1 - u)² is the relaxation
  time in queries (for M/M/1 it is 4 / (1 - u)², the exact one being 1 / (1 - √u)²), and the second term comes from the
  queues at both ends of the run. v = (1 + scv) (2 + 3 c u²) / C is a fit to plain numpy recursions (Lindley; Kiefer and
  Wolfowitz), good to some 30 % for the cases here;
* m is chosen so that the standard error should be 1.5 %, which leaves room below 2 % for the error of the standard
  error itself, 1 / √(2 · 31) = 13 %;
* the warm-up is 3 T + 100 queries for each stage: what remains of the empty start is below 0.4 % of the mean when the
  measurement begins, decays on, and is below 0.05 % of the mean of the whole run (Abate and Whitt, "Transient behavior
  of regulated Brownian motion", Advances in Applied Probability 19, 1987).

M/M/8 at a utilisation of 0.3 is left out: 0.35 % of queries wait there, which would take some 6 million queries.
Source of the asymptotic variance: Whitt, "Planning queueing simulations", Management Science 35 (1989).
"""

import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal

import numpy as np
import numpy.typing as npt
import pytest
from scipy.stats import poisson

from pipesim import theory
from pipesim.engine import Workload, simulate
from pipesim.errors import InvalidInputError
from pipesim.model import Plan, ProfilePoint, Scenario, StagePlan, scenario_from_dict
from pipesim.model.profile import profile_set

SERVICE_S = 0.01
REPLICATIONS = 32
AIMED_ERROR = 0.015
SEED = 20_000

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Case:
    """A queue with a closed form: replicas, scv of the service time, utilisation, and how many such stages in a row."""

    name: str
    replicas: int
    scv: float
    utilisation: float
    stages: int = 1

    @property
    def rate_qps(self) -> float:
        return self.utilisation * self.replicas / SERVICE_S

    @property
    def theory_s(self) -> float:
        if self.stages > 1:
            return theory.mean_latency_tandem_s(self.rate_qps, [SERVICE_S] * self.stages)
        if self.replicas > 1:
            return theory.mean_queue_delay_mmc_s(self.rate_qps, SERVICE_S, self.replicas)
        if self.scv == 0:
            return theory.mean_queue_delay_md1_s(self.rate_qps, SERVICE_S)
        if self.scv == 1:
            return theory.mean_queue_delay_mm1_s(self.rate_qps, SERVICE_S)
        return theory.mean_queue_delay_mg1_s(self.rate_qps, SERVICE_S, self.scv)

    @property
    def relaxation_queries(self) -> float:
        return 2 * (1 + self.scv) / (1 - self.utilisation) ** 2

    @property
    def warm_up(self) -> int:
        return 100 + math.ceil(3 * self.stages * self.relaxation_queries)

    @property
    def measured(self) -> int:
        """Return the queries measured in each replication: m with v / m + (T / m)² = REPLICATIONS · AIMED_ERROR²."""
        if self.stages == 1:
            waits = theory.queue_delay_probability_mmc(self.rate_qps, SERVICE_S, self.replicas)
            variance = (1 + self.scv) * (2 + 3 * self.replicas * self.utilisation**2) / waits
        else:  # of the latency, in which the known service times are the larger part at low utilisation
            variance = 0.6 / (1 - self.utilisation) ** 2
        target = REPLICATIONS * AIMED_ERROR**2
        return math.ceil((variance + math.sqrt(variance**2 + 4 * target * self.relaxation_queries**2)) / (2 * target))

    def __str__(self) -> str:
        return f"{self.name}-{self.utilisation}"


def _cases() -> list[Case]:
    return [
        *(Case("M/M/1", 1, 1.0, u) for u in (0.3, 0.6, 0.8, 0.9, 0.95)),
        *(Case("M/D/1", 1, 0.0, u) for u in (0.3, 0.6, 0.8, 0.9, 0.95)),
        *(Case("M/G/1-0.25", 1, 0.25, u) for u in (0.3, 0.6, 0.8, 0.9)),
        *(Case("M/G/1-4", 1, 4.0, u) for u in (0.3, 0.6, 0.8, 0.9)),
        *(Case("M/M/2", 2, 1.0, u) for u in (0.3, 0.6, 0.8, 0.9)),
        *(Case("M/M/4", 4, 1.0, u) for u in (0.3, 0.6, 0.8, 0.9)),
        *(Case("M/M/8", 8, 1.0, u) for u in (0.6, 0.8, 0.9)),
        *(Case("tandem", 1, 1.0, u, stages=2) for u in (0.3, 0.6, 0.8, 0.9)),
    ]


CASES = _cases()
QUICK = {"M/M/1-0.6", "M/D/1-0.8"}


@dataclass(frozen=True)
class Estimate:
    """Means over replications with their standard errors: with the control, and without."""

    mean_s: float
    error_s: float
    raw_mean_s: float
    raw_error_s: float


def estimate(case: Case) -> Estimate:
    seed = SEED + 1000 * CASES.index(case)  # streams are keyed by the seed: no two cases may share one
    results = np.array([_replication(case, seed + number) for number in range(REPLICATIONS)])
    raw, controlled = results[:, 0], results[:, 0] - results[:, 1]
    root = REPLICATIONS**0.5
    return Estimate(
        float(controlled.mean()),
        float(controlled.std(ddof=1)) / root,
        float(raw.mean()),
        float(raw.std(ddof=1)) / root,
    )


def _replication(case: Case, seed: int) -> tuple[float, float]:
    """Return the mean after warm-up and its control, in seconds: queue delay of one stage, latency of a tandem.

    The queue delay and not the latency of a single stage: the service time in the latency is known, and would only
    hide errors of the delay at low utilisation. Of a tandem the latency is what the closed form states.
    """
    result = simulate(_scenario(case, case.warm_up + case.measured + 1, seed), _plan(case))
    stages = result.run.stages
    delay = result.latency_ns if case.stages > 1 else stages[0].start_ns - stages[0].arrival_ns
    kept = delay[case.warm_up : -1] * 1e-9
    gap = np.diff(result.workload.trace.times_ns)[case.warm_up :] * 1e-9
    service = np.mean([run.finish_ns - run.start_ns for run in stages], axis=0)[case.warm_up + 1 :] * 1e-9
    mean_gap = 1 / case.rate_qps
    luck = (service - SERVICE_S) / case.replicas - (gap - mean_gap)
    control = float((kept * luck).mean()) / (mean_gap - SERVICE_S / case.replicas)
    return float(kept.mean()), control


def _scenario(case: Case, queries: int, seed: int) -> Scenario:
    names = [f"stage{number}" for number in range(case.stages)]
    scenario = scenario_from_dict(
        {
            "name": "theory",
            "slo": {"p99": "1s"},
            "traffic": {"poisson": {"rate_qps": case.rate_qps, "queries": queries}},
            "pipeline": {
                name: {"model": "model", "after": names[index - 1 : index]} if index else {"model": "model"}
                for index, name in enumerate(names)
            },
            "profiles": {"model": {"core": {1: "10ms"}}},
            "prices": {"units": {"core": {"kind": "cpu", "unit": "core", "price_usd_per_hour": 0.1}}},
            "seed": seed,
        }
    )
    point = ProfilePoint(
        model="model", hardware="core", batch_size=1, latency_ms=SERVICE_S * 1000, noise_scv=case.scv, noise_law="gamma"
    )
    return dataclasses.replace(scenario, profiles=profile_set([("theory", point)]))


def _plan(case: Case) -> Plan:
    stage = StagePlan(hardware="core", replicas=case.replicas, max_batch_size=1)
    return Plan(stages={f"stage{number}": stage for number in range(case.stages)})


@pytest.mark.parametrize(
    "case", [pytest.param(case, marks=() if str(case) in QUICK else pytest.mark.slow, id=str(case)) for case in CASES]
)
def test_simulated_means_agree_with_theory_within_three_standard_errors(
    case: Case, record_property: Callable[[str, object], None]
) -> None:
    found = estimate(case)
    z = (found.mean_s - case.theory_s) / found.error_s
    raw_z = (found.raw_mean_s - case.theory_s) / found.raw_error_s
    for name, value in {"theory_s": case.theory_s, "z": z, "raw_z": raw_z, **dataclasses.asdict(found)}.items():
        record_property(name, value)
    assert found.error_s <= 0.02 * case.theory_s, "a test this noisy would pass anything"
    assert abs(z) <= 3
    assert abs(raw_z) <= 4  # its error is several per cent, and the mean of 32 skewed results is less than normal


@pytest.mark.slow
@pytest.mark.parametrize("scv", [0.25, 1.0, 4.0])
def test_draws_have_the_mean_and_scv_that_theory_and_controls_assume(scv: float) -> None:
    queries = 2_000_000
    case = Case("draws", 1, scv, 0.9)
    inputs = Workload.of(_scenario(case, queries, SEED - 1)).engine_inputs(_plan(case))
    noise = inputs.stages[0].noise
    assert noise is not None
    gaps = np.diff(inputs.arrival_ns, prepend=0) * 1e-9 * case.rate_qps
    for draws, expected in ((noise, scv), (gaps, 1.0)):
        assert draws.mean() == pytest.approx(1, abs=3 * (expected / queries) ** 0.5)
        squares = (draws - 1) ** 2
        assert squares.mean() == pytest.approx(expected, abs=3 * squares.std() / queries**0.5)


def test_service_lasts_as_long_as_the_profile_times_the_draw_and_nothing_else() -> None:
    case = Case("service", 2, 1.0, 0.8)
    result = simulate(_scenario(case, 500, SEED - 2), _plan(case))
    noise = result.workload.engine_inputs(result.plan).stages[0].noise
    assert noise is not None
    run = result.run.stages[0]
    assert (run.finish_ns - run.start_ns).tolist() == np.maximum(1, np.rint(noise * 10_000_000)).astype(int).tolist()


def _birth_death(rate_qps: float, replicas: int) -> tuple[float, float, float]:
    """Return the probability of waiting, mean queue and mean number of M/M/c from its balance equations, summed."""
    weights = [1.0]
    for number in range(1, 4000):
        weights.append(weights[-1] * rate_qps * SERVICE_S / min(number, replicas))
    share = np.array(weights) / math.fsum(weights)
    number = np.arange(share.size)
    waiting = np.maximum(number - replicas, 0)
    return float(share[replicas:].sum()), float(share @ waiting), float(share @ number)


@pytest.mark.parametrize("replicas", [1, 2, 3, 8, 60])
@pytest.mark.parametrize("utilisation", [0.05, 0.5, 0.95])
def test_erlang_formulas_solve_the_balance_equations(replicas: int, utilisation: float) -> None:
    rate_qps = utilisation * replicas / SERVICE_S
    waits, queue, number = _birth_death(rate_qps, replicas)
    assert theory.queue_delay_probability_mmc(rate_qps, SERVICE_S, replicas) == pytest.approx(waits, rel=1e-9)
    assert theory.mean_queue_delay_mmc_s(rate_qps, SERVICE_S, replicas) == pytest.approx(queue / rate_qps, rel=1e-9)
    assert theory.mean_queries_mmc(rate_qps, SERVICE_S, replicas) == pytest.approx(number, rel=1e-9)


def test_one_replica_is_mm1() -> None:
    assert theory.queue_delay_probability_mmc(70, 0.01, 1) == pytest.approx(0.7)
    assert theory.mean_queue_delay_mmc_s(70, 0.01, 1) == pytest.approx(theory.mean_queue_delay_mm1_s(70, 0.01))
    assert theory.mean_queries_mmc(70, 0.01, 1) == pytest.approx(theory.mean_queries_mm1(70, 0.01))
    assert theory.mean_queue_delay_mg1_s(70, 0.01, 1.0) == pytest.approx(theory.mean_queue_delay_mm1_s(70, 0.01))


def test_erlangs_recursion_neither_overflows_nor_cancels_with_many_replicas() -> None:
    blocked = poisson.pmf(100_000, 99_990) / poisson.cdf(100_000, 99_990)
    waits = blocked / (1 - 0.9999 * (1 - blocked))
    assert theory.queue_delay_probability_mmc(9_999_000, 0.01, 100_000) == pytest.approx(waits, rel=1e-9)
    assert theory.queue_delay_probability_mmc(1, 0.01, 100_000) == 0.0


def test_latency_is_queue_delay_and_service_and_a_tandem_adds_up() -> None:
    latency_s = theory.mean_queue_delay_mm1_s(70, 0.01) + 0.01
    assert theory.mean_latency_mm1_s(70, 0.01) == pytest.approx(latency_s)
    assert theory.mean_latency_tandem_s(70, [0.01, 0.01, 0.01]) == pytest.approx(3 * latency_s)


def test_latency_quantiles_are_those_of_an_exponential_law() -> None:
    assert theory.latency_quantile_mm1_s(75, 0.01, Decimal("0.5")) == pytest.approx(0.04 * math.log(2))
    assert theory.latency_quantile_mm1_s(75, 0.01, 0) == 0.0


def test_without_arrivals_nobody_waits() -> None:
    assert theory.mean_queue_delay_mmc_s(0, 0.01, 3) == 0.0
    assert theory.mean_queries_mm1(0, 0.01) == 0.0
    assert theory.utilisation(0, 0.01, 3) == 0.0


def test_an_overload_has_a_utilisation_and_no_steady_state() -> None:
    assert theory.utilisation(150, 0.02, 2) == 1.5
    with pytest.raises(
        InvalidInputError,
        match=r"^rate_qps: 150 is a utilisation of 1.5 at 0.02 s on 2, and the queue grows without end; keep it below",
    ):
        theory.mean_queue_delay_mmc_s(150, 0.02, 2)


@pytest.mark.parametrize(
    "closed_form",
    [
        theory.mean_queue_delay_mm1_s,
        theory.mean_latency_mm1_s,
        theory.mean_queries_mm1,
        theory.mean_queue_delay_md1_s,
        lambda rate_qps, service_time_s: theory.latency_quantile_mm1_s(rate_qps, service_time_s, 0.99),
        lambda rate_qps, service_time_s: theory.mean_queue_delay_mg1_s(rate_qps, service_time_s, 2.0),
        lambda rate_qps, service_time_s: theory.queue_delay_probability_mmc(rate_qps, service_time_s, 1),
        lambda rate_qps, service_time_s: theory.mean_queries_mmc(rate_qps, service_time_s, 1),
    ],
)
@pytest.mark.parametrize(
    ("rate_qps", "service_time_s", "where"),
    [
        (-1, 0.01, "rate_qps: -1 "),
        (math.nan, 0.01, "rate_qps: nan "),
        (math.inf, 0.01, "rate_qps: inf "),
        (100, 0.01, "rate_qps: 100 is a utilisation of 1 "),
        (1e300, 1e300, "rate_qps: 1e.300 is a utilisation of inf "),
        (10, 0, "service_time_s: 0 "),
        (10, -0.01, "service_time_s: -0.01 "),
        (10, math.nan, "service_time_s: nan "),
        (10, math.inf, "service_time_s: inf "),
    ],
)
def test_impossible_rates_and_times_are_refused_by_every_closed_form(
    closed_form: Callable[[float, float], float], rate_qps: float, service_time_s: float, where: str
) -> None:
    with pytest.raises(InvalidInputError, match=f"^{where}"):
        closed_form(rate_qps, service_time_s)


@pytest.mark.parametrize("replicas", [0, -1, 1.5, math.nan, 10**7])
def test_impossible_replicas_are_refused(replicas: int) -> None:
    with pytest.raises(InvalidInputError, match=r"^replicas: .* is not allowed; use a whole number from 1 to 1000000"):
        theory.mean_queue_delay_mmc_s(10, 0.01, replicas)


@pytest.mark.parametrize("scv", [-0.1, math.nan, math.inf])
def test_impossible_scvs_are_refused(scv: float) -> None:
    with pytest.raises(InvalidInputError, match=r"^scv: "):
        theory.mean_queue_delay_mg1_s(10, 0.01, scv)


@pytest.mark.parametrize("quantile", [-0.1, 1, Decimal("1.01"), math.nan])
def test_impossible_quantiles_are_refused(quantile: float) -> None:
    with pytest.raises(InvalidInputError, match=r"^quantile: "):
        theory.latency_quantile_mm1_s(10, 0.01, quantile)


def test_a_tandem_names_the_stage_that_is_wrong() -> None:
    with pytest.raises(InvalidInputError, match=r"^service_times_s\.1: -1 is not allowed"):
        theory.mean_latency_tandem_s(10, [0.01, -1])
    with pytest.raises(InvalidInputError, match=r"^rate_qps: 10 is a utilisation of 2 "):
        theory.mean_latency_tandem_s(10, [0.01, 0.2])
    with pytest.raises(InvalidInputError, match=r"^service_times_s: .* names no stage"):
        theory.mean_latency_tandem_s(10, [])
