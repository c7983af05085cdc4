"""Quantiles by nearest rank, objectives that agree with them, and intervals that cover what they claim to cover."""

import math
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pipesim import theory
from pipesim.engine.quantiles import Interval, nearest_rank, quantile_interval_ns, share_interval
from pipesim.errors import InvalidInputError
from pipesim.model import Slo

Latencies = npt.NDArray[np.int64]


def _latencies(least: int) -> st.SearchStrategy[Latencies]:
    values = st.integers(0, 2**62) | st.integers(0, 5)
    return st.lists(values, min_size=least, max_size=300).map(lambda listed: np.array(listed, dtype=np.int64))


percentages = st.integers(1, 100_000_000).map(lambda millionths: Decimal(millionths) / 1_000_000)
"""What stands behind the p of an objective: above 0, up to 100, at most six decimals."""


def _slo(percentage: Decimal, bound_ns: int) -> Slo:
    return Slo(quantile=f"p{percentage:f}", bound=f"{bound_ns}ns")


def test_the_99th_of_100_is_p99_and_of_101_it_is_the_100th() -> None:
    assert nearest_rank(np.arange(1, 101), Decimal("0.99")) == 99
    assert nearest_rank(np.arange(1, 102), Decimal("0.99")) == 100


def test_a_rank_that_is_whole_is_not_pushed_up_by_binary_fractions() -> None:
    assert math.ceil(0.07 * 100) == 8, "what this test would catch"
    assert nearest_rank(np.arange(1, 101), Decimal("0.07")) == 7
    assert nearest_rank(np.arange(1, 1001), Decimal("0.999")) == 999
    assert nearest_rank(np.arange(1, 1001), Decimal("0.29")) == 290


def test_the_smallest_and_largest_quantile_are_observed() -> None:
    assert nearest_rank(np.array([3, 5, 9]), Decimal("0.000001")) == 3
    assert nearest_rank(np.array([3, 5, 9]), Decimal(1)) == 9


def test_no_queries_have_no_quantile() -> None:
    with pytest.raises(InvalidInputError, match="of no queries does not exist"):
        nearest_rank(np.array([], dtype=np.int64), Decimal("0.5"))


@given(_latencies(1), st.integers(1, 1024))
def test_nearest_rank_is_numpys_inverted_cdf_where_the_quantile_is_exact_in_binary(
    values: Latencies, share: int
) -> None:
    found = nearest_rank(np.sort(values), Decimal(share) / 1024)
    assert found == np.quantile(values, share / 1024, method="inverted_cdf")


@given(_latencies(1), percentages)
@example(np.arange(100), Decimal(99))
@example(np.arange(100), Decimal(7))
def test_nearest_rank_is_the_smallest_observation_that_reaches_the_share(
    values: Latencies, percentage: Decimal
) -> None:
    found = nearest_rank(np.sort(values), percentage / 100)
    needed = Fraction(percentage) / 100 * values.size
    assert found in values
    assert np.count_nonzero(values <= found) >= needed
    assert np.count_nonzero(values < found) < needed


@given(_latencies(1), percentages, st.integers(1, 2**53) | st.integers(1, 6))
@example(np.array([1] * 99 + [2]), Decimal(99), 1)
@example(np.array([1] * 98 + [2] * 2), Decimal(99), 1)
@example(np.array([1] * 7 + [2] * 93), Decimal(7), 1)
def test_an_objective_holds_exactly_when_its_quantile_is_within_the_bound(
    values: Latencies, percentage: Decimal, bound_ns: int
) -> None:
    slo = _slo(percentage, bound_ns)
    holds = np.count_nonzero(values > slo.bound_ns) <= slo.allowed_misses(values.size)
    assert holds == (nearest_rank(np.sort(values), slo.quantile) <= slo.bound_ns)


@pytest.mark.parametrize(
    ("quantile", "queries", "allowed"),
    [
        ("p99", 100, 1),
        ("p99", 99, 0),
        ("p99", 0, 0),
        ("p99.9", 1000, 1),
        ("p90", 10, 1),
        ("p93", 100, 7),
        ("p100", 9, 0),
    ],
)
def test_allowed_misses_are_exact(quantile: str, queries: int, allowed: int) -> None:
    assert Slo(quantile=quantile, bound="1s").allowed_misses(queries) == allowed


@given(_latencies(20), percentages)
def test_a_quantile_lies_in_its_interval_whose_ends_are_observed(values: Latencies, percentage: Decimal) -> None:
    quantile = percentage / 100
    interval = quantile_interval_ns(values, quantile)
    assert interval.low <= float(nearest_rank(np.sort(values), quantile)) <= interval.high
    assert interval.low in values.astype(float)
    assert math.isinf(interval.high) or interval.high in values.astype(float)


@given(st.lists(st.booleans(), min_size=20, max_size=300))
def test_a_share_lies_in_its_interval_within_0_and_1(hits: list[bool]) -> None:
    interval = share_interval(np.array(hits))
    assert 0 <= interval.low <= np.mean(hits) <= interval.high <= 1


def test_fewer_than_20_queries_give_no_interval() -> None:
    for interval in (quantile_interval_ns(np.arange(19), Decimal("0.5")), share_interval(np.zeros(19, dtype=bool))):
        assert math.isnan(interval.low)
        assert math.isnan(interval.high)


def test_bursts_widen_the_interval_and_shuffling_them_away_narrows_it() -> None:
    """Ten bursts of slow queries: batches are all fast or all slow, so the share of slow ones has a logit of
    0 ± 2.093 · 0.1147 / 0.25."""
    bursts = np.repeat([0, 1000] * 10, 100)
    shuffled = np.random.default_rng(1).permutation(bursts)
    assert quantile_interval_ns(bursts, Decimal("0.4")) == Interval(0, 1000)
    assert quantile_interval_ns(shuffled, Decimal("0.4")) == Interval(0, 0)
    share = share_interval(bursts > 0)
    assert (share.low, share.high) == (pytest.approx(0.2768, abs=1e-4), pytest.approx(0.7232, abs=1e-4))


@pytest.mark.parametrize("queries", [20, 50, 99])
def test_the_interval_is_open_above_when_the_quantile_is_the_largest_latency(queries: int) -> None:
    assert math.isinf(quantile_interval_ns(np.arange(queries), Decimal("0.99")).high)


SERVICE_S = 0.01
REPLICATIONS = 300


def _mm1_latency_ns(utilisation: float, queries: int, rng: np.random.Generator) -> Latencies:
    """Return the latencies of an M/M/1 stage by Lindley's recursion, from the first query on in steady state.

    The recursion W' = max(0, W + S - T) is a random walk less its running minimum. The first query finds the stage
    empty with probability 1 - u, else it waits for an exponential time with the mean of the latency.
    """
    service_s = rng.exponential(SERVICE_S, queries)
    gap_s = rng.exponential(SERVICE_S / utilisation, queries - 1)
    first_s = rng.exponential(SERVICE_S / (1 - utilisation)) if rng.random() < utilisation else 0.0
    walk_s = first_s + np.concatenate(([0.0], np.cumsum(service_s[:-1] - gap_s)))
    delay_s = walk_s - np.minimum(np.minimum.accumulate(walk_s), 0.0)
    return np.rint((delay_s + service_s) * 1e9).astype(np.int64)


def _interval_for_independent_samples(ordered: Latencies, quantile: float) -> Interval:
    """Return the textbook interval of a quantile: order statistics at the binomial 95 % limits of the rank."""
    half_width = 1.96 * (quantile * (1 - quantile) / ordered.size) ** 0.5
    low = math.ceil((quantile - half_width) * ordered.size)
    high = math.ceil((quantile + half_width) * ordered.size)
    return Interval(float(ordered[low - 1]), float(ordered[min(high, ordered.size) - 1]))


@dataclass
class Coverage:
    """How many of the intervals contained the truth, and how many were open above."""

    batch_means: int = 0
    independent: int = 0
    open_above: int = 0
    share: int = 0
    relative_widths: list[float] = field(default_factory=list)


def coverage(utilisation: float, queries: int, quantiles: tuple[Decimal, ...]) -> dict[Decimal, Coverage]:
    rng = np.random.default_rng([7, queries, round(100 * utilisation)])
    rate_qps = utilisation / SERVICE_S
    found = {quantile: Coverage() for quantile in quantiles}
    for _ in range(REPLICATIONS):
        latency_ns = _mm1_latency_ns(utilisation, queries, rng)
        ordered = np.sort(latency_ns)
        for quantile, count in found.items():
            true_ns = theory.latency_quantile_mm1_s(rate_qps, SERVICE_S, quantile) * 1e9
            interval = quantile_interval_ns(latency_ns, quantile)
            textbook = _interval_for_independent_samples(ordered, float(quantile))
            above = share_interval(latency_ns > true_ns)
            count.batch_means += interval.low <= true_ns <= interval.high
            count.independent += textbook.low <= true_ns <= textbook.high
            count.share += above.low <= 1 - quantile <= above.high
            count.open_above += math.isinf(interval.high)
            count.relative_widths.append((interval.high - interval.low) / true_ns)
    return found


@pytest.mark.slow
@pytest.mark.parametrize("queries", [20_000, 100_000])
@pytest.mark.parametrize(("utilisation", "most_for_independent"), [(0.5, 0.80), (0.8, 0.40)])
def test_intervals_cover_the_true_quantile_of_autocorrelated_latencies(
    utilisation: float, most_for_independent: float, queries: int
) -> None:
    """Coverage of nominal 95 %; with 300 replications a coverage of 0.95 is measured to within 0.013 (one sigma).

    The hardest case is p99 at 0.8 with 20,000 queries: backlogs last hundreds of queries, so each of the 20 batches
    holds few independent excursions above p99, and their shares are skewed. The high end of the quantile's interval is
    infinite there half of the time. The share's interval then covers 0.87.
    """
    for quantile, count in coverage(utilisation, queries, (Decimal("0.5"), Decimal("0.95"), Decimal("0.99"))).items():
        is_hardest = (utilisation, queries, quantile) == (0.8, 20_000, Decimal("0.99"))
        assert count.batch_means >= 0.85 * REPLICATIONS, quantile
        assert count.share >= (0.83 if is_hardest else 0.85) * REPLICATIONS, quantile
        assert count.independent <= most_for_independent * REPLICATIONS, quantile
        if not is_hardest:
            assert count.open_above <= 0.05 * REPLICATIONS, quantile
            assert np.median(count.relative_widths) < 0.4, quantile
