"""Transforms of traces: each does what its name says."""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from pipesim.errors import InvalidInputError
from pipesim.files import InputFile
from pipesim.model.transforms import (
    AmplifyBursts,
    AmplifySwing,
    Blocks,
    BurstFactor,
    Compress,
    CompressToRate,
    Copies,
    MultiplyRate,
    ResampleBlocks,
    Slice,
    Spread,
    Superpose,
    SwingExponent,
    Thin,
    Tick,
    TimeSlice,
    Transform,
    parse_transform,
)
from pipesim.traces import (
    ArrivalTrace,
    amplify_bursts,
    amplify_swing,
    apply_transforms,
    compress_time,
    concatenate,
    gamma,
    hold_out,
    index_of_dispersion,
    merge,
    multiply_rate,
    poisson,
    resample_blocks,
    slice_time,
    spread,
    superpose,
    thin,
)

LAW = settings(max_examples=100, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))
US, SECOND, MINUTE = 1_000, 10**9, 60 * 10**9
NS_DAY = 86_400 * SECOND
NAN, INF = float("nan"), float("inf")


def trace_of(times: Sequence[int], duration_ns: int | None = None, **attributes: Sequence[object]) -> ArrivalTrace:
    columns = {name: np.array(values) for name, values in attributes.items()}
    duration_ns = (times[-1] if times else 0) if duration_ns is None else duration_ns
    return ArrivalTrace(np.array(times, dtype=np.int64), duration_ns, attributes=columns)


def same(one: ArrivalTrace, other: ArrivalTrace) -> bool:
    return (
        one.times_ns.tolist() == other.times_ns.tolist()
        and (one.duration_ns, one.epoch_ns, one.inputs) == (other.duration_ns, other.epoch_ns, other.inputs)
        and {name: values.tolist() for name, values in one.attributes.items()}
        == {name: values.tolist() for name, values in other.attributes.items()}
    )


def arrivals(trace: ArrivalTrace) -> list[tuple[int, float]]:
    """Return when which query arrives, in the order of the trace."""
    return list(zip(trace.times_ns.tolist(), trace.attributes["number"].tolist(), strict=True))


@st.composite
def traces(draw: st.DrawFn, *, least: int = 0, shortest_ns: int = 0) -> ArrivalTrace:
    """Return a trace of numbered queries, many of them simultaneous, some at its last instant."""
    duration_ns = draw(st.integers(shortest_ns, shortest_ns + 50) | st.integers(shortest_ns, 10**13))
    several = st.integers(0, min(duration_ns, 20)) | st.integers(0, duration_ns) | st.just(duration_ns)
    times = sorted(draw(st.lists(several, min_size=least, max_size=30)))
    numbers = np.arange(len(times), dtype=np.float64)
    kinds = np.array(draw(st.lists(st.sampled_from("abc"), min_size=len(times), max_size=len(times))), dtype="<U1")
    epoch_ns = draw(st.sampled_from((0, 1_700_000_000 * SECOND)))
    inputs = (InputFile.of("t.csv", b"t"),) * draw(st.integers(0, 1))
    columns = {"number": numbers, "kind": kinds}
    return ArrivalTrace(np.array(times, dtype=np.int64), duration_ns, epoch_ns, columns, inputs)


shares = st.floats(0, 1, exclude_min=True)
seeds = st.integers(0, 2**63 - 1)


class TestParts:
    def test_a_slice_holds_its_start_and_not_its_end_and_counts_from_its_start(self) -> None:
        trace = replace(trace_of([0, 10, 10, 20, 29, 30, 40], number=range(7)), epoch_ns=1000)
        part = slice_time(trace, 10, 30)
        assert arrivals(part) == [(0, 1), (0, 2), (10, 3), (19, 4)]
        assert (part.duration_ns, part.epoch_ns) == (20, 1010)

    def test_the_last_slice_holds_the_last_instant_of_the_trace(self) -> None:
        assert slice_time(trace_of([0, 10, 40, 40]), 10).times_ns.tolist() == [0, 30, 30]
        assert slice_time(trace_of([0, 10, 40, 40]), 10, 40).times_ns.tolist() == [0, 30, 30]
        assert slice_time(trace_of([0, 10, 40, 40]), 10, 39).times_ns.tolist() == [0]

    def test_an_epoch_that_is_not_known_stays_so(self) -> None:
        assert slice_time(trace_of([0, 40]), 10).epoch_ns == 0

    def test_a_slice_without_arrivals_lasts_as_long_as_it_is(self) -> None:
        part = slice_time(trace_of([0, 40]), 10, 30)
        assert (len(part), part.duration_ns) == (0, 20)

    def test_a_part_is_held_out_at_the_end(self) -> None:
        first, last = hold_out(replace(trace_of([0, 10, 30, 30, 40], number=range(5)), epoch_ns=7), 0.25)
        assert (arrivals(first), first.duration_ns, first.epoch_ns) == ([(0, 0), (10, 1)], 30, 7)
        assert (arrivals(last), last.duration_ns, last.epoch_ns) == ([(0, 2), (0, 3), (10, 4)], 10, 37)

    def test_neither_part_may_be_without_queries(self) -> None:
        for share in (0.01, 0.99):
            with pytest.raises(InvalidInputError, match=r"holdout: .* of 2 queries leaves a part without any"):
                hold_out(trace_of([50, 60], 100), share)
        with pytest.raises(InvalidInputError, match="leaves a part"):
            hold_out(trace_of([0, 2]), 1e-9)

    def test_traces_follow_each_other_with_all_of_their_durations(self) -> None:
        whole = concatenate(
            [trace_of([0, 5], 10, number=[1, 2]), trace_of([], 7, number=[]), trace_of([3], number=[3])]
        )
        assert arrivals(whole) == [(0, 1), (5, 2), (20, 3)]
        assert whole.duration_ns == 20

    @LAW
    @given(traces(), st.data())
    def test_slices_that_follow_each_other_make_the_whole(self, trace: ArrivalTrace, data: st.DataObject) -> None:
        assume(trace.duration_ns)
        cuts = sorted(data.draw(st.sets(st.integers(1, trace.duration_ns), max_size=5)) | {0, trace.duration_ns})
        parts = [slice_time(trace, start, end) for start, end in itertools.pairwise(cuts)]
        assert same(concatenate(parts), trace)
        assert all(
            part.epoch_ns == (trace.epoch_ns and trace.epoch_ns + cut) for part, cut in zip(parts, cuts, strict=False)
        )

    @pytest.mark.slow
    @LAW
    @given(traces(least=1, shortest_ns=1), traces(least=1, shortest_ns=1))
    def test_a_slice_of_a_concatenation_is_the_trace_that_was_put_there(
        self, first: ArrivalTrace, last: ArrivalTrace
    ) -> None:
        assume(first.times_ns[-1] < first.duration_ns)  # an arrival at its last instant is in the next one
        both = concatenate([first, last])
        assert arrivals(slice_time(both, 0, first.duration_ns)) == arrivals(first)
        assert arrivals(slice_time(both, first.duration_ns)) == arrivals(last)

    @LAW
    @given(traces(least=2), shares)
    def test_what_is_held_out_completes_the_rest(self, trace: ArrivalTrace, share: float) -> None:
        try:
            parts = hold_out(trace, share)
        except InvalidInputError:
            return
        assert same(concatenate(parts), trace)

    @LAW
    @given(traces(shortest_ns=1))
    def test_the_slice_of_all_and_the_concatenation_of_one_change_nothing(self, trace: ArrivalTrace) -> None:
        assert same(slice_time(trace), trace)
        assert same(concatenate([trace]), trace)

    def test_attributes_must_agree(self) -> None:
        numbers, texts = trace_of([1], size=[1.0], kind=["a"]), trace_of([1], size=["1"], kind=["a"])
        for join in (concatenate, merge):
            with pytest.raises(InvalidInputError, match="attributes: 'size' holds numbers in one trace and text"):
                join([numbers, texts])
            with pytest.raises(
                InvalidInputError, match="attributes: 'kind' is an attribute of trace 1 and not of trace 2"
            ):
                join([numbers, trace_of([1], size=[2.0])])
            with pytest.raises(
                InvalidInputError, match="attributes: 'kind' is an attribute of trace 2 and not of trace 1"
            ):
                join([trace_of([1], size=[2.0]), numbers])
            longer = join([trace_of([1], kind=["a"]), trace_of([], kind=list[str]()), trace_of([1], kind=["abc"])])
            assert longer.attributes["kind"].tolist() == ["a", "abc"]

    def test_input_files_are_named_once(self) -> None:
        a, b = InputFile.of("a", b"1"), InputFile.of("b", b"2")
        parts = [replace(trace_of([0, 1]), inputs=inputs) for inputs in ((a,), (b, a), (b,))]
        assert concatenate(parts).inputs == merge(parts).inputs == (a, b)


class TestOverlay:
    def test_copies_are_shifted_round_the_duration(self) -> None:
        trace = trace_of([0, 10, 70], 100, number=[1, 2, 3])
        copied = superpose(trace, 3, shift_ns=40)
        assert arrivals(copied) == [(0, 1), (10, 2), (10, 3), (40, 1), (50, 2), (50, 3), (70, 3), (80, 1), (90, 2)]
        assert copied.duration_ns == 100

    def test_simultaneous_queries_of_copies_are_in_the_order_of_the_copies(self) -> None:
        assert arrivals(superpose(trace_of([5, 5], 10, number=[1, 2]), 2, shift_ns=0)) == [
            (5, 1),
            (5, 2),
            (5, 1),
            (5, 2),
        ]

    def test_the_last_instant_is_followed_by_the_beginning(self) -> None:
        assert arrivals(superpose(trace_of([0, 10], number=[1, 2]), 2, shift_ns=3)) == [(0, 1), (3, 2), (3, 1), (10, 2)]

    def test_merged_traces_begin_together_and_last_as_long_as_the_longest(self) -> None:
        short, long = trace_of([0, 20], number=[1, 2]), trace_of([0, 20], 50, number=[3, 4])
        merged = merge([short, long])
        assert arrivals(merged) == [(0, 1), (0, 3), (20, 2), (20, 4)]
        assert merged.duration_ns == merge([long, short]).duration_ns == 50

    def test_merged_traces_have_an_epoch_if_they_agree_on_it(self) -> None:
        one, other = replace(trace_of([0]), epoch_ns=5), replace(trace_of([0]), epoch_ns=6)
        assert merge([one, one]).epoch_ns == 5
        assert merge([one, other]).epoch_ns == 0

    @LAW
    @given(traces(), seeds)
    def test_one_copy_is_the_trace(self, trace: ArrivalTrace, seed: int) -> None:
        assert same(superpose(trace, 1, seed=seed), trace)
        assert same(superpose(trace, 1, shift_ns=trace.duration_ns), trace)
        assert same(merge([trace]), trace)

    @LAW
    @given(traces(shortest_ns=1), st.integers(1, 5), seeds)
    def test_more_copies_add_to_fewer(self, trace: ArrivalTrace, copies: int, seed: int) -> None:
        fewer, more = superpose(trace, copies, seed=seed), superpose(trace, copies + 1, seed=seed)
        assert (len(more), more.duration_ns) == ((copies + 1) * len(trace), trace.duration_ns)
        added = arrivals(more)
        for one in arrivals(fewer):
            added.remove(one)
        assert sorted(number for _, number in added) == trace.attributes["number"].tolist()
        circle = {
            (later - first) % trace.duration_ns
            for (first, _), (later, _) in zip(
                sorted(arrivals(trace), key=lambda one: one[1]), sorted(added, key=lambda one: one[1]), strict=True
            )
        }
        assert len(circle) <= 1  # one shift for all

    @LAW
    @given(traces(), traces())
    def test_a_merge_keeps_every_arrival(self, one: ArrivalTrace, other: ArrivalTrace) -> None:
        assert sorted(arrivals(merge([one, other]))) == sorted(arrivals(one) + arrivals(other))

    def test_copies_shifted_at_random_keep_the_index_of_dispersion_and_lower_the_peaks(self) -> None:
        trace = gamma(20, 16, duration_s=200, seed=1)
        rng = np.random.default_rng(1)

        def index(times_ns: np.ndarray) -> float:
            counts = np.bincount(times_ns // SECOND % 200, minlength=200)
            return float(counts.var() / counts.mean())

        alone = [index((trace.times_ns + rng.integers(trace.duration_ns)) % trace.duration_ns) for _ in range(300)]
        several = [superpose(trace, 4, seed=seed).times_ns for seed in range(300)]
        indices = [index(times_ns) for times_ns in several]
        expected = (index(trace.times_ns) + 3 * np.mean(alone)) / 4  # the first copy is not shifted
        error = np.hypot(np.std(indices), np.std(alone)) / 300**0.5
        assert np.mean(indices) == pytest.approx(expected, abs=3 * error)
        assert np.std(indices) > 10 * error  # so that the comparison says something about each
        peaks = [np.bincount(times_ns // SECOND).max() / 80 for times_ns in several]
        assert max(peaks) < np.bincount(trace.times_ns // SECOND).max() / 20


class TestMultipliedRate:
    def test_copies_lie_between_the_neighbours_of_the_query_that_they_copy(self) -> None:
        trace = trace_of([100, 200, 400], 1000, number=[0, 1, 2])
        many = multiply_rate(trace, 20_001, seed=3)
        copies = [np.array([time for time, number in arrivals(many) if number == query]) for query in range(3)]
        assert [(one.min(), one.max()) for one in copies] == [(0, 150), (150, 300), (300, 1000)]
        # 10,000 to each side; a uniform law has a standard deviation of width / sqrt(12)
        for one, (left, middle, right) in zip(copies, [(0, 100, 150), (150, 200, 300), (300, 400, 1000)], strict=True):
            before = one[one < middle]
            assert before.size == pytest.approx(10_000, abs=3 * 5_000**0.5 + 200)  # what is rounded to the middle
            assert before.mean() == pytest.approx((left + middle) / 2, abs=3 * (middle - left) / 12**0.5 / 100 + 0.5)
            after = one[one > middle]
            assert after.mean() == pytest.approx((middle + right) / 2, abs=3 * (right - middle) / 12**0.5 / 100 + 0.5)

    @LAW
    @given(traces(), st.integers(1, 5), seeds)
    def test_a_whole_factor_multiplies_the_queries_and_keeps_each_where_it_is(
        self, trace: ArrivalTrace, factor: int, seed: int
    ) -> None:
        many = multiply_rate(trace, factor, seed)
        assert (len(many), many.duration_ns) == (factor * len(trace), trace.duration_ns)
        left = arrivals(many)
        for one in arrivals(trace):
            left.remove(one)
        knots = [0, *trace.times_ns.tolist(), trace.duration_ns]
        for time, number in left:
            before, own, after = knots[int(number) : int(number) + 3]
            assert before <= time <= after
            if number > 0:
                assert time >= (before + own) // 2
            if number < len(trace) - 1:
                assert time <= (own + after + 1) // 2
        assert sorted(number for _, number in arrivals(many)) == sorted(trace.attributes["number"].tolist() * factor)

    @LAW
    @given(traces(), seeds)
    def test_a_factor_of_1_changes_nothing(self, trace: ArrivalTrace, seed: int) -> None:
        assert same(multiply_rate(trace, 1, seed), trace)

    @pytest.mark.parametrize("factor", [0.3, 2.3])
    def test_the_rate_is_multiplied_wherever_it_is_high_or_low(self, factor: float) -> None:
        low, high = poisson(20, duration_s=500, seed=1), poisson(200, duration_s=500, seed=2)
        many = multiply_rate(concatenate([low, high]), factor, seed=1)
        for part, before in ((slice_time(many, 0, low.duration_ns), low), (slice_time(many, low.duration_ns), high)):
            error = (len(before) * 0.3 * 0.7) ** 0.5
            assert len(part) == pytest.approx(factor * len(before), abs=3 * error + 1)

    def test_doubled_queries_double_the_index_of_dispersion_and_superposed_ones_do_not(self) -> None:
        trace = poisson(100, duration_s=2000, seed=3)
        # of 2,000 counts an index of I has a standard error of I sqrt(2 / 2000)
        alone = index_of_dispersion(trace, SECOND)
        assert index_of_dispersion(multiply_rate(trace, 2), SECOND) == pytest.approx(2 * alone, rel=0.03)
        assert index_of_dispersion(superpose(trace, 2), SECOND) == pytest.approx(alone, abs=3 * (2 / 2000) ** 0.5)


def waves(high: int, low: int) -> ArrivalTrace:
    """Return 64 bins of 10 µs in which two rates alternate every 16, first and last for 8: S is a straight line."""
    per_bin = [high] * 8 + [low] * 16 + [high] * 16 + [low] * 16 + [high] * 8
    offsets = {1: [5], 3: [1, 5, 9]}
    times = [(10 * bin_ + offset) * US for bin_, count in enumerate(per_bin) for offset in offsets[count]]
    return trace_of(times, 640 * US, number=range(len(times)))


def in_phases(trace: ArrivalTrace, edges_us: Sequence[int] = (0, 80, 240, 400, 560, 641)) -> list[int]:
    counts: list[int] = np.histogram(trace.times_ns, np.array(edges_us) * US)[0].tolist()
    return counts


class TestCurves:
    @pytest.mark.parametrize(
        ("factor", "counts"),
        [
            (0, [16, 32, 32, 32, 16]),  # two per bin everywhere
            (0.5, [20, 24, 40, 24, 20]),  # 2.5 and 1.5
            (1, [24, 16, 48, 16, 24]),
            (1.5, [28, 8, 56, 8, 28]),  # 3.5 and 0.5
            (2, [32, 0, 64, 0, 32]),  # 4 and none
        ],
    )
    def test_bursts_are_as_much_stronger_as_the_factor_says(self, factor: float, counts: list[int]) -> None:
        assert in_phases(amplify_bursts(waves(3, 1), factor, 320 * US)) == counts

    def test_an_arrival_moves_to_where_the_new_curve_is_as_high_as_the_old_one_was(self) -> None:
        moved = amplify_bursts(waves(3, 1), 2, 320 * US)
        # heights 0.3, 1.5 and 2.7 of three per bin, found again at four per bin
        assert moved.times_ns[:3].tolist() == [750, 3_750, 6_750]
        # the first of the low phase: 24.5 of 32, of which 32 lie in the first eight bins
        assert moved.times_ns[24] == 61_250

    @pytest.mark.parametrize("transform", [amplify_bursts, amplify_swing])
    def test_arrivals_at_the_first_and_the_last_instant_stay_there(
        self, transform: Callable[..., ArrivalTrace]
    ) -> None:
        trace = trace_of([0, 0, 0, 700 * US, 1000 * US, 1000 * US])
        times = transform(trace, 0, 1000 * US).times_ns.tolist()
        assert [*times[:3], *times[4:]] == [0, 0, 0, 1000 * US, 1000 * US]
        assert times[3] != 700 * US

    def test_what_would_be_a_negative_rate_is_taken_from_the_arrivals_next_to_it(self) -> None:
        # five and minus one per bin: the curve climbs to 40 and falls to 24, and what never falls is closest to it
        # with 32 from the seventh edge to the seventh after the low phase
        moved = amplify_bursts(waves(3, 1), 3, 320 * US)
        assert in_phases(moved, (0, 60, 70, 250, 390, 570, 641)) == [30, 2, 0, 64, 0, 32]

    def test_the_swing_of_the_slow_rate_is_raised_to_the_power(self) -> None:
        offsets = {1: [5], 3: [1, 5, 9]}
        per_bin = [1] * 64 + [3] * 64
        times = [(10 * bin_ + offset) * US for bin_, count in enumerate(per_bin) for offset in offsets[count]]
        trace = trace_of(times, 1280 * US)
        # a window of 32 bins makes a ramp of the step
        slow = np.array([1.0] * 48 + [1 + 2 * (step + 0.5) / 32 for step in range(32)] + [3.0] * 48)
        for exponent in (0, 0.5, 2, 3):
            expected = (slow**exponent)[:64].sum() / (slow**exponent).sum() * 256
            moved = amplify_swing(trace, exponent, 320 * US)
            assert np.count_nonzero(moved.times_ns < 640 * US) == pytest.approx(expected, abs=1.5)
        far = [in_phases(amplify_swing(trace, 2, 320 * US), edges)[0] for edges in ((0, 400), (880, 1280))]
        assert far[1] / far[0] == pytest.approx(9, rel=0.1)

    @pytest.mark.parametrize("transform", [amplify_bursts, amplify_swing])
    @LAW
    @given(trace=traces(shortest_ns=2 * US), strength=st.floats(0, 10), share=shares)
    def test_every_query_is_kept_in_order_and_with_those_of_its_instant(
        self, transform: Callable[..., ArrivalTrace], trace: ArrivalTrace, strength: float, share: float
    ) -> None:
        window_ns = max(US, round(share * trace.duration_ns), trace.duration_ns // 1000)
        moved = transform(trace, strength, window_ns)
        assert same(replace(moved, times_ns=trace.times_ns), trace)
        times, before = moved.times_ns, trace.times_ns
        assert all(times[1:][np.diff(before) == 0] == times[:-1][np.diff(before) == 0])

    @pytest.mark.parametrize("transform", [amplify_bursts, amplify_swing])
    @LAW
    @given(trace=traces(shortest_ns=US))
    @example(trace=trace_of([2**53 + 1], 2**54))  # floats do not hold such times
    def test_a_strength_of_1_changes_nothing(self, transform: Callable[..., ArrivalTrace], trace: ArrivalTrace) -> None:
        assert same(transform(trace, 1, max(US, trace.duration_ns // 3)), trace)

    @pytest.mark.parametrize("transform", [amplify_bursts, amplify_swing])
    def test_what_floats_round_in_a_year_of_nanoseconds_leaves_the_order(
        self, transform: Callable[..., ArrivalTrace]
    ) -> None:
        rng, year_ns = np.random.default_rng(0), 365 * NS_DAY + 3
        for factor in rng.random(50) * 5:
            times = rng.integers(0, year_ns, (200, 1)) + np.arange(4)
            trace = trace_of(sorted({*times[times <= year_ns].tolist(), year_ns}))
            moved = transform(trace, factor, year_ns // 30)
            assert year_ns - 4 <= moved.times_ns[-1] <= year_ns

    @settings(LAW, max_examples=15)
    @given(st.integers(0, 10**6), st.sampled_from((0.3, 1, 4, 16)), st.sampled_from((1, 20, 200)))
    @example(1, 16, 1)
    def test_the_index_of_dispersion_within_the_window_rises_with_the_factor(
        self, seed: int, scv: float, rate_qps: int
    ) -> None:
        trace = gamma(rate_qps, scv, duration_s=1200, seed=seed)
        versions = [amplify_bursts(trace, factor, MINUTE) for factor in (0, 0.5, 1, 2, 4)]
        for window_s in (5, 10, 15):
            indices = [index_of_dispersion(version, window_s * SECOND) for version in versions]
            assert indices == sorted(indices)

    def test_the_variance_within_the_window_grows_with_the_square_of_the_factor(self) -> None:
        trace = poisson(1000, duration_s=600, seed=1)  # so many that no rate reaches 0

        def deviation(factor: float) -> np.ndarray:
            times = amplify_bursts(trace, factor, MINUTE).times_ns
            counts = np.bincount(times // (5 * SECOND), minlength=120)[:120].astype(float)
            calm = np.bincount(amplify_bursts(trace, 0, MINUTE).times_ns // (5 * SECOND), minlength=120)[:120]
            return counts - calm

        # an arrival is found in its bin to about one of 1,875: in units of the deviation, sqrt(5000), it is nothing
        for factor in (2, 3, 5):
            slope = (deviation(factor) @ deviation(1)) / (deviation(1) @ deviation(1))
            assert slope == pytest.approx(factor, rel=0.1)

    def test_amplified_bursts_leave_the_slow_rate_even_where_queries_are_few(self) -> None:
        few, many = poisson(1, duration_s=6000, seed=1), poisson(5, duration_s=6000, seed=2)
        bursty = amplify_bursts(concatenate([few, many]), 5, MINUTE)
        # the step itself deviates from its moving average by 4 * 60 / 8 queries, the luck by sqrt(60 / 12)
        error = 4 * (4 * 60 / 8 + 3 * (60 / 12) ** 0.5)
        assert len(slice_time(bursty, 0, few.duration_ns)) == pytest.approx(len(few), abs=error)

    def test_the_amplified_swing_leaves_the_bursts(self) -> None:
        trace = concatenate([gamma(rate, 4, duration_s=600, seed=rate) for rate in (10, 30, 60, 30)])
        edges = np.arange(5) * 600 * SECOND
        swung = amplify_swing(trace, 2, 120 * SECOND)
        shape = np.histogram(swung.times_ns, edges)[0] / len(trace)
        wanted = np.array([1, 9, 36, 9]) / 55
        assert shape == pytest.approx(wanted, abs=0.06)
        inner = slice_time(swung, 1300 * SECOND, 1700 * SECOND)
        assert index_of_dispersion(inner, SECOND) == pytest.approx(4, abs=3 * 4 * (2 / 400) ** 0.5)


class TestBlocks:
    def test_a_block_as_long_as_the_trace_turns_it_round(self) -> None:
        trace = trace_of([0, 10, 70], 100, number=[0, 1, 2])
        turned = {tuple(arrivals(resample_blocks(trace, 100, seed))) for seed in range(20)}
        assert len(turned) > 15
        for one in turned:
            (shift,) = {(time - trace.times_ns[int(number)]) % 100 for time, number in one}
            assert sorted(((t + shift) % 100, n) for t, n in arrivals(trace)) == list(one)

    def test_a_last_block_is_cut_to_what_is_left(self) -> None:
        trace = trace_of(list(range(100)), 100, number=range(100))  # one in every nanosecond
        drawn = resample_blocks(trace, 40, seed=5)
        assert drawn.times_ns.tolist() == list(range(100))
        numbers = drawn.attributes["number"]
        steps = np.diff(numbers) % 100
        assert (steps[[*range(39), *range(40, 79), *range(80, 99)]] == 1).all()  # blocks of 40, 40 and 20
        assert (steps[[39, 79]] != 1).any()

    @LAW
    @given(traces(shortest_ns=1), st.integers(1, 50), seeds)
    def test_every_block_is_a_piece_of_the_trace(self, trace: ArrivalTrace, blocks: int, seed: int) -> None:
        duration_ns = trace.duration_ns
        block_ns = -(-duration_ns // blocks)
        drawn = resample_blocks(trace, block_ns, seed)
        assert (drawn.duration_ns, drawn.epoch_ns) == (duration_ns, trace.epoch_ns)
        original = np.array([time % duration_ns for time in trace.times_ns.tolist()], dtype=object)
        for begin in range(0, duration_ns, block_ns):
            end = min(begin + block_ns, duration_ns)
            inside = [(time, int(number)) for time, number in arrivals(drawn) if begin <= time < end]
            starts = {(int(original[number]) - (time - begin)) % duration_ns for time, number in inside}
            assert len(starts) <= 1
            for start in starts:  # all that the trace has there, and nothing else
                there = [number for number, time in enumerate(original) if (time - start) % duration_ns < end - begin]
                assert sorted(number for _, number in inside) == there
        kinds = trace.attributes["kind"]
        assert all(kinds[int(number)] == kind for number, kind in zip(*drawn.attributes.values(), strict=True))

    @pytest.mark.parametrize("block_ns", [30, 100, 333])
    def test_the_rate_is_that_of_the_trace_wherever_its_arrivals_are(self, block_ns: int) -> None:
        trace = trace_of([0] * 5 + [1, 2] + [997] * 3 + [998] * 3 + [1000] * 2)
        counts = [len(resample_blocks(trace, block_ns, seed)) for seed in range(2000)]
        assert np.mean(counts) == pytest.approx(len(trace), abs=3 * np.std(counts) / 2000**0.5)

    def test_blocks_of_calm_and_busy_times_are_shuffled_and_bursts_kept(self) -> None:
        trace = gamma(50, 16, duration_s=1000, seed=1)
        indices = [index_of_dispersion(resample_blocks(trace, 50 * SECOND, seed), SECOND) for seed in range(40)]
        expected = index_of_dispersion(trace, SECOND)
        # blocks are drawn from one trace, so their mean index is off by little more than its own error
        assert np.mean(indices) == pytest.approx(expected, abs=3 * np.std(indices) / 40**0.5 + expected / 20)


class TestSpread:
    def test_arrivals_of_an_instant_are_spread_evenly_with_the_first_where_it_was(self) -> None:
        trace = trace_of([0, 0, 0, 30, 60, 60, 60, 60], number=range(8))
        even = spread(trace, 30, "evenly")
        assert arrivals(even) == [(0, 0), (10, 1), (20, 2), (30, 3), (60, 4), (67, 5), (75, 6), (82, 7)]
        assert even.duration_ns == 90

    def test_arrivals_of_a_quantised_poisson_process_are_poisson_again(self) -> None:
        trace = poisson(100, duration_s=1000, seed=4)
        quantised = ArrivalTrace(trace.times_ns // SECOND * SECOND, trace.duration_ns)
        again, even = spread(quantised, SECOND, seed=1), spread(quantised, SECOND, "evenly")
        counts = 1000 * SECOND // 10**8
        assert index_of_dispersion(again, 10**8) == pytest.approx(1, abs=3 * (2 / counts) ** 0.5)
        assert index_of_dispersion(even, 10**8) < 0.3
        assert index_of_dispersion(quantised, 10**8) > 50

    @LAW
    @given(traces(), st.integers(1, 10**6), st.sampled_from(("uniformly", "evenly")), seeds)
    def test_each_arrival_stays_in_its_window_and_in_order(
        self, trace: ArrivalTrace, window_ns: int, how: Any, seed: int
    ) -> None:
        quantised = replace(trace, times_ns=trace.times_ns // window_ns * window_ns)
        out = spread(quantised, window_ns, how, seed=seed)
        assert (out.times_ns // window_ns * window_ns).tolist() == quantised.times_ns.tolist()
        assert out.attributes["number"].tolist() == trace.attributes["number"].tolist()
        assert trace.duration_ns <= out.duration_ns < trace.duration_ns + window_ns + 1

    @LAW
    @given(st.sets(st.integers(0, 10**6), min_size=1, max_size=20), st.integers(1, 9))
    def test_nothing_moves_evenly_where_nothing_is_simultaneous(self, ticks: set[int], window_ns: int) -> None:
        trace = trace_of([10 * tick for tick in sorted(ticks)], 10**8)
        assert same(spread(trace, window_ns, "evenly"), trace)

    def test_instants_closer_than_the_window_contradict_it(self) -> None:
        with pytest.raises(InvalidInputError, match=r"spread.window: '31 ns' is longer than the 30 ns between"):
            spread(trace_of([0, 0, 30]), 31)


class TestThinned:
    @LAW
    @given(traces(), seeds)
    def test_a_share_of_1_keeps_all(self, trace: ArrivalTrace, seed: int) -> None:
        assert same(thin(trace, 1, seed), trace)

    @LAW
    @given(traces(), shares, seeds)
    def test_a_thinned_trace_is_a_part_of_it_in_order(self, trace: ArrivalTrace, share: float, seed: int) -> None:
        kept = arrivals(thin(trace, share, seed))
        assert kept == [one for one in arrivals(trace) if one in kept]


LONG = trace_of([0, 10, 10**6], 10**7)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: slice_time(LONG, -1), "slice.start: '-1 ns' is not allowed; start at 0 or later"),
        (lambda: slice_time(LONG, 5, 5), "slice.start: '5 ns' is not allowed"),
        (lambda: slice_time(LONG, 10**7), "slice.start: '10 ms' is not allowed"),
        (lambda: slice_time(LONG, 0, 2 * 10**7), "slice.end: '20 ms' is after the end of the trace; end it at 10 ms"),
        (lambda: slice_time(trace_of([0])), "slice.start"),
        (lambda: hold_out(LONG, 0), "holdout: 0 is not allowed"),
        (lambda: hold_out(LONG, 1), "holdout: 1 is not allowed"),
        (lambda: hold_out(LONG, NAN), "holdout: nan is not allowed"),
        (lambda: concatenate([]), "concatenate: 0 traces are not allowed"),
        (lambda: concatenate([trace_of([0], 2**61)] * 2), "concatenate: 2 traces last longer than 146 years"),
        (lambda: merge([]), "merge: 0 traces are not allowed"),
        (
            lambda: merge([ArrivalTrace(np.zeros(30_000_000, np.int64), 0)] * 2),
            "merge: 2 makes 60,000,000 queries, too many",
        ),
        (lambda: superpose(LONG, 0), "superpose.copies: 0 is not allowed; use 1 to 100000"),
        (lambda: superpose(LONG, 100_001), "superpose.copies: 100001 is not allowed"),
        (lambda: superpose(trace_of([0] * 1000), 60_000), "superpose.copies: 60000 makes 60,000,000 queries"),
        (lambda: superpose(LONG, 2, shift_ns=-1), "superpose.shift: '-1 ns' is not allowed"),
        (lambda: superpose(LONG, 2, shift_ns=10**7 + 1), "superpose.shift: '10 ms' is not allowed"),
        (lambda: superpose(LONG, 2, seed=-1), "seed: -1"),
        (lambda: multiply_rate(LONG, 0), "multiply_rate: 0 is not allowed; use more than 0 and up to 1,000,000"),
        (lambda: multiply_rate(LONG, NAN), "multiply_rate: nan"),
        (lambda: multiply_rate(LONG, INF), "multiply_rate: inf"),
        (lambda: multiply_rate(trace_of([0] * 100), 6e5), "multiply_rate: 600000.0 makes 60,000,000 queries"),
        (lambda: amplify_bursts(LONG, -0.1, 10**6), "amplify_bursts.factor: -0.1 is not allowed; use 0 to 100"),
        (lambda: amplify_bursts(LONG, NAN, 10**6), "amplify_bursts.factor: nan"),
        (lambda: amplify_bursts(LONG, INF, 10**6), "amplify_bursts.factor: inf"),
        (lambda: amplify_bursts(LONG, 1, 999), "amplify_bursts.window: '999 ns' is not allowed; use 1 us"),
        (lambda: amplify_bursts(LONG, 1, 10**7 + 1), "amplify_bursts.window: '10 ms' is not allowed"),
        (lambda: amplify_bursts(trace_of([0]), 2, 10**6), "amplify_bursts.window"),
        (
            lambda: amplify_bursts(trace_of([0], 365 * NS_DAY), 2, SECOND),
            "amplify_bursts.window: '1 s' is too short for a trace of 8760 h; use 50.5 s or more",
        ),
        (lambda: amplify_swing(LONG, -1, 10**6), "amplify_swing.exponent: -1 is not allowed; use 0 to 10"),
        (lambda: amplify_swing(LONG, NAN, 10**6), "amplify_swing.exponent: nan"),
        (lambda: amplify_swing(LONG, 11, 10**6), "amplify_swing.exponent: 11"),
        (lambda: amplify_swing(LONG, 2, 10**8), "amplify_swing.window: '100 ms'"),
        (lambda: resample_blocks(LONG, 0), "resample_blocks.length: '0 ns' is not allowed"),
        (lambda: resample_blocks(LONG, 10**7 + 1), "resample_blocks.length: '10 ms' is not allowed"),
        (
            lambda: resample_blocks(trace_of([0], 10**8), 1),
            "resample_blocks.length: '1 ns' cuts the trace into 100,000,000",
        ),
        (lambda: spread(LONG, 0), "spread.window: '0 ns' is not allowed"),
        (lambda: spread(trace_of([2**62 - 1]), 1), "spread.window: '1 ns' makes the trace last longer than 146 years"),
        (lambda: spread(LONG, 1, "at once"), "spread.how: 'at once' is not allowed; use uniformly or evenly"),  # type: ignore[arg-type]
        (lambda: thin(LONG, 0, 0), "thin: 0 is not allowed"),
        (lambda: thin(LONG, NAN, 0), "thin: nan is not allowed"),
        (lambda: compress_time(LONG, 1e-20), "load: 1e-20 stretches the trace beyond 146 years"),
    ],
)
def test_what_a_transform_cannot_do_is_said_in_one_line(make: Callable[[], object], message: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        make()
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


FORMS: list[tuple[str, dict[str, object], Transform]] = [
    (
        "slice=10min..20min",
        {"slice": {"start": "10min", "end": "20min"}},
        Slice(slice=TimeSlice(start_ns="10min", end_ns="20min")),  # type: ignore[arg-type]
    ),
    ("slice=1.5s..", {"slice": {"start": "1.5s"}}, Slice(slice=TimeSlice(start_ns="1.5s"))),  # type: ignore[arg-type]
    ("slice=..2.5s", {"slice": {"end": "2.5s"}}, Slice(slice=TimeSlice(end_ns="2.5s"))),  # type: ignore[arg-type]
    ("compress=2", {"compress": 2}, Compress(compress=2)),
    ("compress_to_qps=150", {"compress_to_qps": 150}, CompressToRate(compress_to_qps=150)),
    ("thin=0.5", {"thin": 0.5}, Thin(thin=0.5)),
    ("multiply_rate=1.5e1", {"multiply_rate": 15}, MultiplyRate(multiply_rate=15)),
    ("superpose=3", {"superpose": {"copies": 3}}, Superpose(superpose=Copies(copies=3))),
    (
        "superpose=3@10min",
        {"superpose": {"copies": 3, "shift": "10min"}},
        Superpose(superpose=Copies(copies=3, shift_ns="10min")),  # type: ignore[arg-type]
    ),
    (
        "amplify_bursts=2@60s",
        {"amplify_bursts": {"factor": 2, "window": "60s"}},
        AmplifyBursts(amplify_bursts=BurstFactor(factor=2, window_ns="60s")),  # type: ignore[arg-type]
    ),
    (
        "amplify_swing=0.5@1h",
        {"amplify_swing": {"exponent": 0.5, "window": "1h"}},
        AmplifySwing(amplify_swing=SwingExponent(exponent=0.5, window_ns="1h")),  # type: ignore[arg-type]
    ),
    (
        "resample_blocks=5min",
        {"resample_blocks": {"length": "5min"}},
        ResampleBlocks(resample_blocks=Blocks(length_ns="5min")),  # type: ignore[arg-type]
    ),
    ("spread=3s", {"spread": {"window": "3s"}}, Spread(spread=Tick(window_ns="3s"))),  # type: ignore[arg-type]
    (
        "spread=3s@evenly",
        {"spread": {"window": "3s", "how": "evenly"}},
        Spread(spread=Tick(window_ns="3s", how="evenly")),  # type: ignore[arg-type]
    ),
]


class TestForms:
    @pytest.mark.parametrize(("text", "data", "model"), FORMS, ids=[text for text, _, _ in FORMS])
    def test_a_line_and_a_mapping_are_the_same_transform(
        self, text: str, data: dict[str, object], model: Transform
    ) -> None:
        assert parse_transform(text) == model
        assert TypeAdapter(Transform).validate_python(data) == model
        assert TypeAdapter(Transform).validate_python(model) == model

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("", "--transform: '' is not a transform; write NAME=VALUE with one of slice, compress"),
            ("thin", "--transform: 'thin' is not a transform"),
            ("thin=", "--transform: 'thin=' is not a transform"),
            ("thicken=2", "--transform: 'thicken=2' is not a transform"),
            ("thin=2", "--transform: thin: 2 is not allowed; it should be less than or equal to 1"),
            ("thin=0", "--transform: thin: 0 is not allowed"),
            ("thin=half", "--transform: thin: 'half' is not allowed"),
            ("thin=nan", "--transform: thin: 'nan' is not allowed"),
            ("compress=1e999", "--transform: compress: inf is not finite"),
            ("compress=-1", "--transform: compress: -1 is not allowed"),
            ("compress_to_qps=0", "--transform: compress_to_qps: 0 is not allowed"),
            ("multiply_rate=0", "--transform: multiply_rate: 0 is not allowed"),
            ("slice=10min", "--transform: 'slice=10min' is not written as it should be; write slice=START..END"),
            ("slice=..", "is not written as it should be"),
            ("slice=20min..10min", "--transform: slice.start: '20 min' is not allowed; start before the end, 10 min"),
            ("slice=1..2", "--transform: slice.start: 1 has no unit"),
            ("slice=..0s", "--transform: slice.end: '0s' is not allowed; use more than 0"),
            ("slice=-1s..2s", "--transform: slice.start: '-1s' is not a duration"),
            ("slice=1s..2s..3s", "--transform: slice.end: '2s..3s' is not a duration"),
            ("superpose=2.5", "--transform: superpose.copies: 2.5 is not allowed"),
            ("superpose=0", "--transform: superpose.copies: 0 is not allowed"),
            ("superpose=3@often", "--transform: superpose.shift: 'often' is not a duration"),
            ("superpose=3@", "is not written as it should be; write superpose=COPIES"),
            ("amplify_bursts=2", "is not written as it should be; write amplify_bursts=FACTOR@WINDOW"),
            ("amplify_bursts=2@60", "--transform: amplify_bursts.window: 60 has no unit"),
            ("amplify_bursts=101@60s", "--transform: amplify_bursts.factor: 101 is not allowed"),
            ("amplify_bursts=2@0s", "--transform: amplify_bursts.window: '0s' is not allowed"),
            ("amplify_swing=11@1h", "--transform: amplify_swing.exponent: 11 is not allowed"),
            ("resample_blocks=0s", "--transform: resample_blocks.length: '0s' is not allowed"),
            ("spread=3s@odd", "--transform: spread.how: 'odd' is not allowed"),
        ],
    )
    def test_a_line_that_is_no_transform_is_explained(self, text: str, message: str) -> None:
        with pytest.raises(InvalidInputError) as caught:
            parse_transform(text)
        assert message in str(caught.value)
        assert "\n" not in str(caught.value)

    @LAW
    @given(
        st.text(max_size=40)
        | st.sampled_from([text for text, _, _ in FORMS]).flatmap(
            lambda text: st.text(max_size=5).map(lambda more: text + more)
        )
    )
    def test_any_text_is_a_transform_or_explained(self, text: str) -> None:
        try:
            transform = parse_transform(text)
        except InvalidInputError as error:
            said = str(error)
        else:
            said = f"--transform: {transform}"
        assert said.startswith("--transform: ")

    def test_a_mapping_names_one_transform(self) -> None:
        schema = TypeAdapter(Transform).json_schema()
        assert len(schema["oneOf"]) == 10
        with pytest.raises(ValueError, match="needs exactly one of slice, compress"):
            TypeAdapter(Transform).validate_python({"thin": 0.5, "compress": 2})


class TestApply:
    trace = poisson(50, duration_s=100, seed=1)

    def after(self, *texts: str, seed: int = 7) -> ArrivalTrace:
        return apply_transforms(self.trace, [parse_transform(text) for text in texts], seed)

    def test_each_form_does_what_its_function_does(self) -> None:
        trace = self.trace
        assert same(self.after(), trace)
        assert same(self.after("slice=1s..20s"), slice_time(trace, SECOND, 20 * SECOND))
        assert same(self.after("slice=1s.."), slice_time(trace, SECOND))
        assert same(self.after("compress=2"), compress_time(trace, 2))
        assert self.after("compress_to_qps=200").mean_rate_qps == pytest.approx(200, rel=1e-6)
        assert same(self.after("thin=0.5"), thin(trace, 0.5, 7))
        assert same(self.after("multiply_rate=2.5"), multiply_rate(trace, 2.5, 7))
        assert same(self.after("superpose=3"), superpose(trace, 3, seed=7))
        assert same(self.after("superpose=3@10s"), superpose(trace, 3, shift_ns=10 * SECOND))
        assert same(self.after("amplify_bursts=2@10s"), amplify_bursts(trace, 2, 10 * SECOND))
        assert same(self.after("amplify_swing=2@10s"), amplify_swing(trace, 2, 10 * SECOND))
        assert same(self.after("resample_blocks=10s"), resample_blocks(trace, 10 * SECOND, 7))
        ticks = trace_of([0, 0, 0], 30)
        assert same(apply_transforms(ticks, [parse_transform("spread=30ns")], 7), spread(ticks, 30, seed=7))
        assert same(apply_transforms(ticks, [parse_transform("spread=30ns@evenly")], 7), spread(ticks, 30, "evenly"))

    def test_transforms_are_applied_in_order(self) -> None:
        assert same(self.after("compress=2", "slice=0s..10s"), slice_time(compress_time(self.trace, 2), 0, 10 * SECOND))
        assert same(self.after("slice=0s..10s", "compress=2"), compress_time(slice_time(self.trace, 0, 10 * SECOND), 2))

    def test_a_second_transform_of_a_kind_has_luck_of_its_own(self) -> None:
        once, twice = self.after("thin=0.5"), self.after("thin=0.5", "thin=0.5")
        assert len(twice) == pytest.approx(len(once) / 2, abs=3 * (len(once) / 4) ** 0.5)
        again = thin(once, 0.5, 7)  # the same luck: the first half of the draws once more
        assert not same(again, twice)
        assert same(self.after("superpose=1", "thin=0.5"), once)  # another kind before it changes nothing

    @pytest.mark.parametrize("text", ["thin=0.5", "superpose=2", "multiply_rate=1.5", "resample_blocks=10s"])
    def test_what_is_drawn_follows_the_seed(self, text: str) -> None:
        assert same(self.after(text, seed=1), self.after(text, seed=1))
        assert not same(self.after(text, seed=1), self.after(text, seed=2))

    @pytest.mark.parametrize(
        "text", ["thin=0.5", "superpose=2", "multiply_rate=1.5", "resample_blocks=10s", "spread=1ms"]
    )
    def test_whatever_draws_does_so_anew_the_second_time(self, text: str) -> None:
        ticks, kind = ArrivalTrace(np.arange(1, 50) * SECOND, 50 * SECOND), parse_transform(text)
        twice, once = apply_transforms(ticks, [kind, kind], 7), apply_transforms(ticks, [kind], 7)
        assert not same(twice, apply_transforms(once, [kind], 7))

    def test_a_transform_that_does_not_suit_the_trace_is_named_by_its_position(self) -> None:
        with pytest.raises(InvalidInputError, match=r"^transform\.1\.slice\.end: '20 min' is after the end"):
            self.after("thin=0.5", "slice=10min..20min")
        with pytest.raises(InvalidInputError, match=r"^transform\.0\.compress: 1e-300 stretches the trace"):
            self.after("compress=1e-300")
        with pytest.raises(InvalidInputError, match=r"^transform\.1\.compress_to_qps: 5\.0 cannot be reached"):
            apply_transforms(
                trace_of([5], 10), [parse_transform("slice=..1ns"), parse_transform("compress_to_qps=5")], 0
            )
