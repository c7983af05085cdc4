"""Two sides compared: what is a change, what is luck, and what a rule says of it."""

import json
import math
from collections.abc import Mapping
from decimal import Decimal

import numpy as np
import pytest
from scipy import stats

from pipesim.check.comparing import FALSE_ALARMS, Side, compared
from pipesim.check.report import MetricChange
from pipesim.check.thresholds import Rule, rules_of
from pipesim.errors import InvalidInputError

SEEDS = (1, 2, 3, 4)
OTHERS = (5, 6, 7, 8)


def side(
    seeds: tuple[int, ...] = SEEDS, exact: Mapping[str, Decimal | None] | None = None, **samples: tuple[float, ...]
) -> Side:
    return Side(seeds, exact or {}, samples)


def costs(text: str | None) -> Side:
    return side(exact={"cost": None if text is None else Decimal(text)})


def fail_if(*texts: str) -> tuple[Rule, ...]:
    return rules_of(texts, "fail")


def only(before: Side | None, now: Side, *texts: str) -> MetricChange:
    (change,) = compared(before, now, fail_if(*texts))
    return change


# Costs


@pytest.mark.parametrize(
    ("before", "now", "rule", "verdict"),
    [
        ("1.10", "1.155", "cost:+5%", "pass"),
        ("1.10", "1.1550000000000000000001", "cost:+5%", "fail"),
        ("0.1", "0.3", "cost:+0.2", "pass"),
        ("0", "0.0001", "cost:+5%", "fail"),
        ("0", "0", "cost:+5%", "pass"),
        ("5", "12", "cost:12", "pass"),
        ("5", None, "cost:12", "fail"),
        ("5", None, "cost:+5%", "fail"),
        (None, "5", "cost:+5%", "pass"),
        (None, None, "cost:+5%", "pass"),
        (None, "5", "cost:4", "fail"),
    ],
)
def test_costs_are_compared_exactly(before: str | None, now: str | None, rule: str, verdict: str) -> None:
    change = only(costs(before), costs(now), rule)
    assert change.verdict == verdict
    assert change.certain == (before is None or now is None or Decimal(before) != Decimal(now)) or before is now
    assert change.interval is None


def test_a_change_from_nothing_has_no_share() -> None:
    assert only(costs("0"), costs("1")).relative_change is None
    assert only(costs("0"), costs("0")).relative_change == 0
    assert only(costs("4"), costs("5")).relative_change == 0.25


# Simulated metrics


def test_equal_sides_differ_by_exactly_nothing() -> None:
    values = (0.1, 0.2, 0.30000000000000004, 0.7)
    change = only(side(p99=values), side(p99=values), "p99:+0%")
    assert (change.change, change.relative_change, change.interval, change.certain) == (0, 0, (0, 0), False)
    assert change.verdict == "pass"


def test_a_difference_that_is_the_same_under_every_seed_is_certain() -> None:
    before, now = side(p99=(0.3, 0.4, 0.5, 0.6)), side(p99=(0.301, 0.401, 0.501, 0.601))
    change = only(before, now, "p99:+1ms")
    assert (change.change, change.interval, change.certain, change.verdict) == (0.001, (0.001, 0.001), True, "pass")
    assert only(before, now, "p99:+0.99ms").verdict == "fail"
    assert only(now, before, "p99:-0.99ms").verdict == "fail"


def test_the_mean_is_compared_with_the_threshold_as_decimals_are_written() -> None:
    assert 0.33 - 0.3 > 0.1 * 0.3  # in floats
    assert only(side(p99=(0.3,) * 4), side(p99=(0.33,) * 4), "p99:+10%").verdict == "pass"
    assert only(side(p99=(0.3,) * 4), side(p99=(0.330000001,) * 4), "p99:+10%").verdict == "fail"


def test_the_same_seeds_are_compared_pair_by_pair_and_others_as_two_samples() -> None:
    old, new = (0.30, 0.41, 0.52, 0.67), (0.31, 0.43, 0.53, 0.68)
    paired = only(side(utilisation=old), side(utilisation=new), "utilisation:+1%")
    welch = only(side(utilisation=old), side(OTHERS, utilisation=new), "utilisation:+1%")
    # One rule: each end of the interval is wrong with 1 %.
    low, high = stats.ttest_rel(new, old).confidence_interval(1 - 2 * FALSE_ALARMS)
    assert paired.interval == pytest.approx((low, high))
    low, high = stats.ttest_ind(new, old, equal_var=False).confidence_interval(1 - 2 * FALSE_ALARMS)
    assert welch.interval == pytest.approx((low, high))
    assert (paired.certain, paired.verdict) == (True, "fail")
    assert (welch.certain, welch.verdict) == (False, "pass")
    assert paired.change == welch.change


def test_latencies_are_compared_by_their_ratio_so_that_the_spread_of_an_overload_hides_nothing() -> None:
    old, new = np.array([0.9, 1.0, 1.1, 1.0] * 2), np.array([2.0, 3, 30, 5, 4, 2, 25, 9])
    assert stats.ttest_rel(new, old, alternative="greater").pvalue > FALSE_ALARMS
    seeds = tuple(range(8))
    for now_seeds, spread in (
        (seeds, stats.sem(new / new.mean() - old / old.mean())),
        (OTHERS * 2, math.hypot(stats.sem(new / new.mean()), stats.sem(old / old.mean()))),
    ):
        change = only(side(seeds, p99=tuple(old)), side(now_seeds, p99=tuple(new)), "p99:+5%")
        assert (change.certain, change.verdict) == (True, "fail")
        assert change.change == new.mean() - old.mean()
        assert change.interval is not None
        low, high = change.interval
        # The interval is of the logarithm of the ratio, around that of the means.
        factor = math.sqrt((high + old.mean()) / (low + old.mean()))
        assert math.sqrt((high + old.mean()) * (low + old.mean())) == pytest.approx(new.mean())
        freedom = 7 if now_seeds == seeds else 7.05  # Welch's are hardly more: almost all the spread is of one side
        assert math.log(factor) == pytest.approx(stats.t.isf(FALSE_ALARMS, freedom) * spread, rel=0.01)


def test_small_changes_of_latencies_are_judged_as_differences_would_be() -> None:
    rng = np.random.default_rng(1)
    old = rng.normal(1, 0.05, 8)
    new = old * 1.01 + rng.normal(0, 0.005, 8)
    latency = only(side(tuple(range(8)), p99=tuple(old)), side(tuple(range(8)), p99=tuple(new)))
    share = only(side(tuple(range(8)), utilisation=tuple(old)), side(tuple(range(8)), utilisation=tuple(new)))
    assert latency.interval == pytest.approx(share.interval, rel=0.05)


def test_the_more_rules_are_about_luck_the_more_certain_each_must_be() -> None:
    before = side(miss_rate=(0.1, 0.2, 0.3, 0.4), utilisation=(0.1, 0.2, 0.3, 0.5))
    now = side(miss_rate=(0.15, 0.2, 0.3, 0.45), utilisation=(0.2, 0.3, 0.35, 0.6))

    def interval(*texts: str) -> tuple[float, float]:
        found = compared(before, now, fail_if(*texts))[1].interval
        assert found is not None
        return found

    alone = interval("utilisation:+1%")
    assert interval("utilisation:+1%", "utilisation:+2%", "utilisation:90%", "miss_rate:1%") == alone
    both = interval("utilisation:+1%", "miss_rate:+1%")
    assert both == interval("utilisation:+1%", "utilisation:-1%")
    changes = np.array([0.1, 0.1, 0.05, 0.1])
    margin = stats.t.isf(FALSE_ALARMS / 2, 3) * stats.sem(changes)
    assert both == pytest.approx((changes.mean() - margin, changes.mean() + margin))


def test_beyond_the_threshold_is_no_regression_without_certainty_nor_the_other_way_round() -> None:
    old = (1.0, 1, 1, 1)
    assert only(side(p99=old), side(p99=(1.5, 1.0, 0.9, 1.4)), "p99:+5%").verdict == "pass"
    assert only(side(p99=old), side(p99=(1.04, 1.041, 1.042, 1.04)), "p99:+5%").verdict == "pass"
    assert only(side(p99=old), side(p99=(1.06, 1.061, 1.062, 1.06)), "p99:+5%").verdict == "fail"


def test_a_percent_rule_on_nothing_is_broken_by_any_certain_rise() -> None:
    nothing = side(miss_rate=(0.0,) * 4)
    assert only(nothing, side(miss_rate=(1e-6,) * 4), "miss_rate:+1000%").verdict == "fail"
    assert only(nothing, side(miss_rate=(0.0, 0, 0, 1e-6)), "miss_rate:+1000%").verdict == "pass"


def test_a_budget_looks_at_the_mean_now_whatever_its_luck() -> None:
    before, now = side(p99=(9.0, 9, 9, 9)), side(p99=(0.1, 0.2, 0.3, 0.61))
    assert only(before, now, "p99:302.5ms").verdict == "pass"
    assert only(before, now, "p99:302.4ms").verdict == "fail"
    assert only(side(headroom=(2.0,) * 4), side(headroom=(1.1, 1.3, 1.1, 1.3)), "headroom:1.2").verdict == "pass"
    assert only(side(headroom=(2.0,) * 4), side(headroom=(1.1, 1.3, 1.1, 1.29)), "headroom:1.2").verdict == "fail"


def test_one_seed_cannot_tell_a_change_from_luck_but_keeps_a_budget() -> None:
    before, now = side((1,), p99=(0.1,)), side((1,), p99=(0.2,))
    with pytest.raises(InvalidInputError, match=r"'p99:\+5%' is about a change that one seed cannot tell from luck"):
        compared(before, now, fail_if("p99:+5%"))
    change = only(before, now, "p99:150ms")
    assert (change.verdict, change.change, change.interval, change.certain) == ("fail", 0.1, None, False)


def test_values_that_are_not_finite_never_reach_a_report() -> None:
    change = only(side(headroom=(1.0, 1, 1, 1)), side(headroom=(1.0, math.inf, 1, math.nan)), "headroom:-10%")
    assert (change.now, change.change, change.interval, change.verdict) == (None, None, None, "fail")
    sides = side((1, 2), p99=(1e-9, 1e9)), side((1, 2), p99=(1e9, 1e-9))
    (wild,) = compared(*sides, fail_if("p99:+5%"), false_alarms=1e-6)
    assert wild.interval is not None
    assert all(map(math.isfinite, wild.interval))
    assert json.loads(json.dumps(change.model_dump(mode="json"), allow_nan=False))["now"] is None


# Rules and sides


def test_outcomes_are_told_rule_by_rule_and_the_worst_is_the_verdict() -> None:
    rules = (*rules_of(["cost:+5%", "cost:20"], "fail"), *rules_of(["cost:+1%"], "warn"))
    (change,) = compared(costs("10"), costs("10.3"), rules)
    assert [(one.rule, one.level, one.broken) for one in change.outcomes] == [
        ("cost:+5%", "fail", False),
        ("cost:20", "fail", False),
        ("cost:+1%", "warn", True),
    ]
    assert change.verdict == "warn"
    assert compared(costs("10"), costs("10.6"), rules)[0].verdict == "fail"


def test_metrics_that_both_sides_have_come_in_one_order() -> None:
    before = side(
        exact={"cost": Decimal(1)}, headroom=(1.0,) * 4, p99=(1.0,) * 4, p50=(1.0,) * 4, utilisation=(0.5,) * 4
    )
    now = side(exact={"cost": Decimal(1)}, p9=(1.0,) * 4, headroom=(1.0,) * 4, p50=(1.0,) * 4, p99=(1.0,) * 4)
    assert [change.metric for change in compared(before, now, ())] == ["cost", "p50", "p99", "headroom"]
    with pytest.raises(InvalidInputError, match="'p8:1s' is about p8, which was not simulated; known are"):
        compared(before, now, fail_if("p8:1s"))
    # What only the side of now has is told to a rule that is about it.
    p9 = compared(before, now, fail_if("p9:+0%", "p9:1ms"))[1]
    assert (p9.metric, p9.before, [outcome.broken for outcome in p9.outcomes]) == ("p9", None, [False, True])


def test_a_new_scenario_has_budgets_alone() -> None:
    now = side((1,), exact={"cost": Decimal(5)}, p99=(0.2,))
    cost, p99 = compared(None, now, fail_if("cost:+0%", "cost:4", "p99:+0%", "p99:1s"))
    assert (cost.before, cost.now, cost.change, cost.verdict) == (None, 5, None, "fail")
    assert [outcome.broken for outcome in (*cost.outcomes, *p99.outcomes)] == [False, True, False, False]


def test_where_a_plan_could_not_be_simulated_costs_alone_are_compared() -> None:
    before, now = side(exact={"cost": Decimal(5)}, p99=(0.2,) * 4), costs("6")
    assert only(before, now, "cost:+5%", "p99:+5%").outcomes[0].broken


@pytest.mark.parametrize("paired", [True, False])
def test_luck_alone_breaks_one_of_several_rules_in_at_most_one_check_of_a_hundred(paired: bool) -> None:
    """Skewed samples, as quantiles of bursty traffic are, thresholds of 0, and 3 standard errors of 1,000 checks."""
    rng, runs, seeds = np.random.default_rng(1), 1000, tuple(range(8))
    rules = fail_if("p50:+0%", "p99:+0%", "utilisation:+0%")
    alarms = 0
    for draws in rng.lognormal(0, 0.5, (runs, 2, 3, 8)):
        before, now = (dict(zip(("p50", "p99", "utilisation"), map(tuple, some), strict=True)) for some in draws)
        changes = compared(Side(seeds, {}, before), Side(seeds if paired else OTHERS * 2, {}, now), rules)
        alarms += any(change.verdict == "fail" for change in changes)
    assert 0 < alarms / runs < FALSE_ALARMS + 3 * math.sqrt(FALSE_ALARMS * (1 - FALSE_ALARMS) / runs)
