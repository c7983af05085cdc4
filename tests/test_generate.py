"""Generated traffic: hand examples, laws of pieces, and the statistics that theory gives.

Theory is met within three standard errors. Where theory gives no simple standard error, it is that of the mean of
independent replications, 30 or more of them.
"""

import math
import tracemalloc
from collections.abc import Callable, Iterator, Mapping, Sequence
from fractions import Fraction
from itertools import islice, pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import kstest

from pipesim.errors import InvalidInputError
from pipesim.files import InputFile
from pipesim.model.traffic import DrawnQuantiles, GammaLaw, Law
from pipesim.model.traffic.laws import ConstantLaw, MmppLaw, OnOffLaw, PoissonLaw, WeibullLaw
from pipesim.model.traffic.modulation import Modulation, Periods
from pipesim.streams import Streams, stream
from pipesim.traces import PIECE, ArrivalTrace, gamma, gap_scv, index_of_dispersion, law_trace, poisson, weibull
from pipesim.traces.generate import joined, law_pieces, sum_pieces, with_attributes
from pipesim.traces.generate.clock import Clock, real_times
from pipesim.traces.generate.gaps import weibull_shape
from pipesim.traces.generate.lines import Lines, product
from pipesim.traces.generate.modulation import modulation_lines
from pipesim.units import NS_PER_S

MS = 10**6
REPLICATIONS = 40
Fields = Mapping[str, object]
LAWS = {
    "poisson": PoissonLaw,
    "gamma": GammaLaw,
    "weibull": WeibullLaw,
    "constant": ConstantLaw,
    "mmpp": MmppLaw,
    "on_off": OnOffLaw,
}
BURST = {"factor": 5, "lasts": "1s", "every": "4s"}


def law_of(traffic: Mapping[str, Fields]) -> Law:
    """Return a law as a scenario file writes it."""
    ((name, fields),) = traffic.items()
    return LAWS[name].model_validate(fields)


def milliseconds(trace: ArrivalTrace) -> list[float]:
    return (trace.times_ns / MS).round(3).tolist()


def counts(trace: ArrivalTrace, window_s: float) -> np.ndarray:
    """Return the arrivals in each of the whole windows that a trace has."""
    windows = round(trace.duration_s / window_s)
    edges = np.arange(windows + 1) * round(window_s * NS_PER_S)
    return np.diff(np.searchsorted(trace.times_ns, edges))


def assert_mean(values: Sequence[float], theory: float) -> None:
    """Check that the mean of independent replications is within three standard errors of theory."""
    assert len(values) >= 30
    error = np.std(values, ddof=1) / len(values) ** 0.5
    assert abs(np.mean(values) - theory) <= 3 * error, (np.mean(values), theory, error)


def dispersions(traffic: Mapping[str, Fields], window_s: float, rate_qps: float) -> list[float]:
    """Return the index of dispersion in each of many replications, unbiased because the mean count is known."""
    mean = rate_qps * window_s
    return [
        float(np.mean((counts(law_trace(traffic, seed), window_s) - mean) ** 2) / mean) for seed in range(REPLICATIONS)
    ]


def renewal_dispersion(moments: Callable[[int], float], mean_count: float) -> float:
    """Return the variance over the mean of the counts of a stationary renewal process in long windows.

    Source: Cox, "Renewal Theory", 1962, section 4.5: λ w c² + 1/6 + c⁴/2 - μ₃/3, with the third central moment μ₃ of
    gaps of mean 1; what is left out vanishes exponentially.
    """
    scv = moments(2) - 1
    third = moments(3) - 3 * moments(2) + 2
    return scv + (1 / 6 + scv**2 / 2 - third / 3) / mean_count


def burst_dispersion(variance: float, tau_s: float, rate_qps: float, window_s: float) -> float:
    """Return what a level with the covariance `variance` e^(-t/τ) adds to the index of dispersion.

    Source: Heffes and Lucantoni, JSAC 1986, equation 7, for the chain of two states.
    """
    return 2 * variance * rate_qps * tau_s * (1 - (1 - math.exp(-window_s / tau_s)) * tau_s / window_s)


class TestHandExamples:
    def test_what_was_drawn_before_is_drawn_still(self) -> None:
        assert poisson(100, queries=4, seed=1).times_ns.tolist() == [8023826, 9166417, 12298530, 22877994]
        assert gamma(100, 4, queries=4, seed=1).times_ns.tolist() == [1583222, 1868100, 19943348, 21475131]

    def test_a_metronome_on_a_curve_of_steps_ticks_at_each_rate_in_turn(self) -> None:
        steps = [["0s", 50], ["100ms", 150], ["200ms", 0]]
        trace = law_trace({"constant": {"curve": {"steps": steps}, "duration": "200ms"}})
        slow, fast = np.arange(20, 101, 20), 100 + np.arange(1, 16) * 100 / 15
        assert milliseconds(trace) == [*slow, *fast.round(3)]
        assert trace.duration_ns == 200 * MS

    def test_a_metronome_on_a_straight_line_ticks_at_the_roots_of_whole_numbers(self) -> None:
        trace = law_trace({"constant": {"curve": {"points": [["0s", 0], ["1s", 20]]}}})
        # the rate at t is 20 t, so 10 t² queries have come by then
        assert milliseconds(trace) == (1000 * np.sqrt(np.arange(1, 11) / 10)).round(3).tolist()

    def test_a_line_that_falls_to_nothing_mirrors_one_that_rises(self) -> None:
        trace = law_trace({"constant": {"curve": {"points": [["0s", 20], ["1s", 0]]}}})
        assert milliseconds(trace) == (1000 - 1000 * np.sqrt(1 - np.arange(1, 11) / 10)).round(3).tolist()

    def test_nothing_arrives_where_the_rate_is_0(self) -> None:
        steps = [["0s", 0], ["1s", 10], ["2s", 0], ["5s", 10], ["6s", 0]]
        trace = law_trace({"constant": {"curve": {"steps": steps}, "duration": "10s"}})
        assert milliseconds(trace) == [*range(1100, 2001, 100), *range(5100, 6001, 100)]

    def test_a_bin_holds_what_its_rate_says_whatever_floats_make_of_it(self) -> None:
        rates = [38, 0, 41, 0, 60, 0, 21, 0]  # over their mean they add up to a little less than they should
        trace = law_trace({"constant": {"curve": {"bins": {"width": "1s", "rates_qps": rates}}}})
        second = np.ceil(trace.times_ns / NS_PER_S).astype(int)
        assert np.bincount(second, minlength=9)[1:].tolist() == rates

    def test_a_source_with_fixed_periods_is_on_and_off_in_turn(self) -> None:
        fields = {"rate_qps": 50, "on": "100ms", "off": "100ms", "periods": "fixed", "scv": 0, "duration": "10s"}
        gaps = np.diff(law_trace({"on_off": fields}, seed=3).times_ns)
        # at 100 a second while it is on; ten gaps of an on-period's length make a period with its off-period
        assert set(gaps.tolist()) == {10 * MS, 110 * MS}
        long = np.flatnonzero(gaps == 110 * MS)
        assert set(np.diff(long).tolist()) == {10}

    def test_fixed_batches_come_at_one_instant_and_the_last_may_be_cut(self) -> None:
        fields = {"rate_qps": 30, "queries": 7, "batch": {"mean": 3, "sizes": "fixed"}}
        assert milliseconds(law_trace({"constant": fields})) == [100] * 3 + [200] * 3 + [300]

    def test_a_coarse_clock_rounds_down_to_its_ticks(self) -> None:
        fields = {"rate_qps": 8, "duration": "500ms", "tick": "100ms"}
        assert milliseconds(law_trace({"constant": fields})) == [100, 200, 300, 500]

    def test_a_query_at_the_very_end_belongs_to_the_trace(self) -> None:
        assert milliseconds(law_trace({"constant": {"rate_qps": 10, "duration": "300ms"}})) == [100, 200, 300]

    def test_no_queries_are_a_trace_too(self) -> None:
        none = law_trace({"poisson": {"rate_qps": 10, "queries": 0, "bursts": [BURST]}})
        assert (len(none), none.duration_ns) == (0, 0)
        rare = law_trace({"poisson": {"rate_qps": 0.001, "duration": "1ms", "batch": {"mean": 1}}})
        assert (len(rare), rare.duration_ns) == (0, MS)

    def test_a_trace_under_bursts_begins_as_a_shorter_one_of_the_same_luck(self) -> None:
        short, long = (
            law_trace({"poisson": {"rate_qps": 100, "duration": duration, "bursts": [BURST]}}, 5)
            for duration in ("10s", "1000s")
        )
        assert np.array_equal(short.times_ns, long.times_ns[: len(short)])
        assert long.times_ns[len(short)] > short.duration_ns


@st.composite
def traffics(draw: st.DrawFn) -> dict[str, Fields]:
    """Draw any law, with some hundreds of queries and changes of rate."""
    fields: dict[str, object] = {}
    name = draw(st.sampled_from(list(LAWS)))
    rate = draw(st.sampled_from([20.0, 100.0, 333.3]))
    if name in ("gamma", "weibull"):
        fields["scv"] = draw(st.sampled_from([0.0, 0.3, 1.0, 4.0]))
    if name == "on_off":
        fields |= {
            "on": draw(st.sampled_from(["3ms", "200ms"])),
            "off": draw(st.sampled_from(["1ms", "500ms"])),
            "periods": draw(st.sampled_from(["exponential", "fixed", "pareto"])),
            "scv": draw(st.sampled_from([0.0, 1.0, 4.0])),
        }
    if name == "mmpp":
        fields |= {"rates_qps": [0.0, 50.0, 400.0], "sojourns": ["50ms", "1s", "2ms"]}
    shape = draw(st.sampled_from(["none", "steps", "points"]))
    if shape == "none":
        fields["rate_qps"] = rate
        fields |= draw(st.sampled_from([{"queries": 0}, {"queries": 500}, {"duration": "3s"}]))
    else:
        knots = [["0s", 0.0], ["1s", rate], ["1s", 0.0], ["2s", 2 * rate], ["2.5s", 1.0]]
        fields["curve"] = {shape: knots, "repeat": draw(st.booleans())}
        fields |= draw(st.sampled_from([{}, {"duration": "4s"}]))
    bursts = [BURST, {"factor": 3, "lasts": "1ms", "every": "2ms"}]
    fields["bursts"] = bursts[: draw(st.integers(0, 2))]
    fields |= draw(st.sampled_from([{}, {"tick": "7ms"}]))
    batch = draw(st.sampled_from([None, {"mean": 2.5}, {"mean": 3, "sizes": "fixed"}, {"mean": 300.0}]))
    return {name: {**fields, "batch": batch} if batch else fields}


def equal(one: ArrivalTrace, other: ArrivalTrace) -> bool:
    return one.duration_ns == other.duration_ns and np.array_equal(one.times_ns, other.times_ns)


class TestPieces:
    @pytest.mark.slow
    @settings(max_examples=150, deadline=None)
    @given(traffics(), st.integers(1, 700), st.integers(0, 9))
    def test_pieces_of_any_size_are_the_whole(self, traffic: dict[str, Fields], size: int, seed: int) -> None:
        law = law_of(traffic)
        pieces, whole = list(law_pieces(law, seed=seed, size=size)), law_trace(law, seed)
        assert equal(joined(pieces), whole)
        assert {len(piece) for piece in pieces[:-1]} <= {size}
        assert len(pieces) == max(1, -(-len(whole) // size))
        if law.queries is None:
            assert {piece.duration_ns for piece in pieces} == {round((law.duration_s or 0) * NS_PER_S)}
        else:
            assert len(whole) == law.queries
            assert [piece.duration_ns for piece in pieces] == [int(max([0, *piece.times_ns])) for piece in pieces]

    @pytest.mark.parametrize(
        "traffic",
        [
            {"weibull": {"scv": 3, "curve": {"diurnal": {"mean_qps": 300, "peak_qps": 600, "period": "3s"}}}},
            {"poisson": {"rate_qps": 300, "bursts": [BURST, {"factor": 9, "lasts": "10ms", "every": "20ms"}]}},
            {"on_off": {"rate_qps": 300, "on": "9ms", "off": "1ms", "batch": {"mean": 4}}},
        ],
    )
    def test_so_are_those_of_long_traffic_which_is_worked_on_in_many_blocks(self, traffic: dict[str, Fields]) -> None:
        ((name, fields),) = traffic.items()
        law = law_of({name: {**fields, "duration": "1000s"}})
        whole = joined(law_pieces(law, seed=1, size=PIECE))
        assert len(whole) > 3 * PIECE
        assert all(equal(joined(law_pieces(law, seed=1, size=size)), whole) for size in (999, 10**6))

    @pytest.mark.parametrize("size", [1, 7, 100])
    def test_renewal_pieces_are_those_of_the_law(self, size: int) -> None:
        law = law_of({"gamma": {"rate_qps": 20, "scv": 4, "duration": "10s"}})
        direct = joined(law_pieces(law, seed=2, size=size))
        assert equal(direct, law_trace(law, 2))
        assert equal(direct, gamma(20, 4, duration_s=10, seed=2))

    @pytest.mark.parametrize(
        "traffic",
        [
            {"gamma": {"rate_qps": 100, "scv": 4, "queries": 100}},
            {"constant": {"rate_qps": 100, "queries": 100, "bursts": [BURST]}},
            {"constant": {"rate_qps": 100, "queries": 100, "batch": {"mean": 2}}},
        ],
    )
    def test_luck_follows_seed_and_name_alone(self, traffic: dict[str, Fields]) -> None:
        first, again, named, other = (law_trace(traffic, *key) for key in ((1, "a"), (1, "a"), (1, "b"), (2, "a")))
        assert equal(first, again)
        assert not equal(first, named)
        assert not equal(first, other)

    def test_memory_does_not_grow_with_length(self) -> None:
        law = law_of(
            {
                "gamma": {
                    "scv": 2,
                    "curve": {"diurnal": {"mean_qps": 50, "peak_qps": 90}},
                    "duration": "16h",
                    "bursts": [BURST, {"factor": 3, "lasts": "100ms", "every": "1s"}],
                    "batch": {"mean": 2},
                }
            }
        )
        tracemalloc.start()
        queries = sum(map(len, law_pieces(law, seed=1)))
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert queries > 10**6
        assert peak < 6 * PIECE * 8 * 4

    def test_a_batch_of_millions_does_not_come_in_one_array(self) -> None:
        law = law_of({"constant": {"rate_qps": 1e6, "queries": 3_000_000, "batch": {"mean": 1e6, "sizes": "fixed"}}})
        pieces = list(law_pieces(law, seed=1, size=100_000))
        assert [len(piece) for piece in pieces] == [100_000] * 30
        assert [int(piece.times_ns[0]) // NS_PER_S for piece in pieces] == [1] * 10 + [2] * 10 + [3] * 10


class TestErrors:
    @pytest.mark.parametrize("draw", [gamma, weibull])
    def test_rate_and_variability_have_limits(self, draw: Callable[..., ArrivalTrace]) -> None:
        for rate, scv in ((0, 1), (math.nan, 1), (1e8, 1), (1, -1), (1, 1001), (1, math.nan)):
            with pytest.raises(InvalidInputError, match="rate_qps" if rate != 1 else "scv"):
                draw(rate, scv, queries=1)
        with pytest.raises(InvalidInputError, match="hold at once"):
            draw(1e6, 1, queries=50_000_001)

    def test_a_law_has_a_known_name_and_its_fields(self) -> None:
        with pytest.raises(InvalidInputError, match="'poison' is not a law; use one of poisson, "):
            law_trace({"poison": {}})
        with pytest.raises(InvalidInputError, match="'poisson, gamma' is not a law"):
            law_trace({"poisson": {}, "gamma": {}})
        with pytest.raises(InvalidInputError, match="gamma: rate_qps: 0 is not allowed"):
            law_trace({"gamma": {"rate_qps": 0, "scv": 1, "queries": 1}})

    def test_more_than_memory_holds_is_refused_before_it_is_drawn(self) -> None:
        with pytest.raises(InvalidInputError, match="hold at once"):
            law_trace({"poisson": {"rate_qps": 1e6, "duration": "100s"}})

    def test_queries_that_a_quiet_time_without_end_holds_back_are_missed(self) -> None:
        fields = {"rate_qps": 1, "on": "1s", "off": "300d", "periods": "pareto", "pareto_shape": 1.001, "queries": 999}
        with pytest.raises(InvalidInputError, match="queries: 999 have not all arrived after 146 years"):
            law_trace({"on_off": fields})

    def test_bursts_that_hold_more_than_time_can_count_are_refused(self) -> None:
        level = np.array([1e6])
        lines = Lines(np.array([0]), np.array([400 * 86_400 * NS_PER_S]), level, level)
        with pytest.raises(InvalidInputError, match="years of arrivals at the mean rate pile up in bursts"):
            list(real_times(iter([np.array([1])]), iter([lines])))


LEVELS = st.sampled_from([0.0, 1e-6, 0.1, 0.5, 1.0, 1.7, 30.0])


@st.composite
def rates(draw: st.DrawFn, *, level: bool) -> list[Lines]:
    """Draw lines from 0 to 10 ms, in blocks."""
    inner = draw(st.lists(st.integers(1, 10 * MS - 1), unique=True, max_size=8))
    times = [0, *sorted(inner), 10 * MS]
    first = [draw(LEVELS) for _ in times[1:]]
    last = first if level else [draw(LEVELS) for _ in times[1:]]
    cuts = sorted({0, draw(st.integers(0, len(first))), len(first)})
    blocks = []
    for begin, end in pairwise(cuts):
        chosen = np.array(first[begin:end])
        starts, ends = np.array(times[begin:end]), np.array(times[begin + 1 : end + 1])
        blocks.append(Lines(starts, ends, chosen, chosen if level else np.array(last[begin:end])))
    return blocks


def level_at(lines: Sequence[Lines], start: int, end: int) -> tuple[float, float]:
    """Return the levels at the two ends of a span that lies in one line."""
    for block in lines:
        for s, e, a, b in zip(
            *(x.tolist() for x in (block.starts_ns, block.ends_ns, block.first, block.last)), strict=True
        ):
            if s <= start and end <= e:
                return a + (b - a) * (start - s) / (e - s), a + (b - a) * (end - s) / (e - s)
    raise AssertionError


def integral(lines: Sequence[Lines], time: int) -> Fraction:
    """Return the exact integral of the level from 0 to a time."""
    total = Fraction(0)
    for block in lines:
        for s, e, a, b in zip(
            *(x.tolist() for x in (block.starts_ns, block.ends_ns, block.first, block.last)), strict=True
        ):
            if s < time:
                width = min(e, time) - s
                total += Fraction(a) * width + (Fraction(b) - Fraction(a)) / (e - s) * width * width / 2
    return total


class TestClock:
    @settings(max_examples=200, deadline=None)
    @given(
        st.booleans().flatmap(lambda level: rates(level=level)),
        st.lists(st.integers(0, 40 * MS), max_size=9),
        st.lists(st.tuples(st.integers(0, 9), st.integers(-3, 3)), max_size=9),
    )
    def test_up_to_an_arrival_the_level_adds_up_to_its_operational_time(
        self, lines: list[Lines], anywhere: list[int], corners: list[tuple[int, int]]
    ) -> None:
        ends = [int(end) for block in lines for end in block.ends_ns]
        near_corners = [round(integral(lines, ends[index % len(ends)])) + off for index, off in corners]
        due = np.array(sorted(max(0, time) for time in [*anywhere, *near_corners]), dtype=np.int64)
        blocks = (block for block in (due[:3], due[3:], np.array([10**18])) if block.size)
        times = np.concatenate([np.empty(0, dtype=np.int64), *real_times(blocks, iter(lines))]).tolist()
        assert times == sorted(times)
        assert all(0 <= time <= 10 * MS for time in times)
        for time, wanted in zip(times, due.tolist(), strict=False):
            # Half a nanosecond of real time at the level there, and half a one of operational time at a corner.
            near = max(level for around in (time - 1, time) if 0 <= around < 10 * MS for level in spans(lines, around))
            assert abs(integral(lines, time) - wanted) <= near / 2 + 1
        total = integral(lines, 10 * MS)
        assert np.count_nonzero(due <= total - 1) <= len(times) <= np.count_nonzero(due <= total + 1)

    def test_times_ascend_where_a_float_holds_no_nanoseconds(self) -> None:
        lines = Lines(np.array([0]), np.array([2 * 10**16]), np.array([0.75]), np.array([2.0]))
        due = 18 * 10**15 + np.arange(200_000)
        back = int(np.flatnonzero(np.diff(Clock.of(lines, 0, 0).real(due)) < 0)[-1]) + 1
        whole, halves = (
            np.concatenate(list(real_times(iter([*blocks, np.array([10**18])]), iter([lines]))))
            for blocks in ([due], [due[:back], due[back:]])
        )
        assert whole.size == due.size
        assert (np.diff(whole) >= 0).all()
        assert np.array_equal(whole, halves)

    def test_a_line_that_falls_to_0_does_not_fall_below(self) -> None:
        lines = Lines(np.array([0]), np.array([11]), np.array([0.1]), np.array([0.0]))
        assert lines.within(np.array([0, 5]), np.array([5, 11]))[1].min() == 0

    def test_what_rounding_leaves_at_the_end_of_a_block_is_carried_on(self) -> None:
        level = np.array([0.4])
        lines = (Lines(np.array([start]), np.array([start + 1]), level, level) for start in range(1000))
        assert sum(map(len, real_times(iter([np.arange(1, 1000)]), lines))) == 400

    @settings(max_examples=100, deadline=None)
    @given(st.tuples(rates(level=True), rates(level=True), st.booleans().flatmap(lambda level: rates(level=level))))
    def test_a_product_of_levels_is_that_of_each_at_every_time(self, factors: tuple[list[Lines], ...]) -> None:
        found = list(product([iter(lines) for lines in factors], 10 * MS))
        assert found[0].starts_ns[0] == 0
        assert found[-1].ends_ns[-1] == 10 * MS
        last_ns = 0
        for block in found:
            for s, e, a, b in zip(block.starts_ns, block.ends_ns, block.first, block.last, strict=True):
                assert s == last_ns < e
                assert min(a, b) >= 0
                last_ns = e
                due = [math.prod(pair) for pair in zip(*(level_at(lines, s, e) for lines in factors), strict=True)]
                assert [a, b] == pytest.approx(due, rel=1e-9, abs=1e-9)


def spans(lines: Sequence[Lines], time: int) -> tuple[float, float]:
    return level_at(lines, time, time + 1)


@st.composite
def traces(draw: st.DrawFn, attributes: bool) -> ArrivalTrace:
    """Draw a trace with many queries of one instant."""
    times = np.array(sorted(draw(st.lists(st.integers(0, 12), max_size=12))), dtype=np.int64)
    columns = {
        "number": np.arange(times.size, dtype=np.float64),
        "text": np.array(["x" * (index % 5) for index in range(times.size)], dtype=str),
    }
    return ArrivalTrace(times, 12 + draw(st.integers(0, 3)), attributes=columns if attributes else {})


def pieces_of(trace: ArrivalTrace, size: int) -> Iterator[ArrivalTrace]:
    return (trace.between(first, first + size) for first in range(0, max(1, len(trace)), size))


class TestSum:
    @pytest.mark.slow
    @settings(max_examples=300, deadline=None)
    @given(st.data(), st.booleans(), st.booleans(), st.integers(1, 9), st.integers(1, 9))
    def test_a_sum_is_a_stable_merge_of_the_whole_traces(
        self, data: st.DataObject, attributes: bool, labelled: bool, size: int, part_size: int
    ) -> None:
        wholes = {f"client-{index}": data.draw(traces(attributes)) for index in range(data.draw(st.integers(1, 5)))}
        parts = {name: pieces_of(whole, part_size) for name, whole in wholes.items()}
        pieces = list(sum_pieces(parts, size, "client" if labelled else None))
        found = joined(pieces)
        times = np.concatenate([whole.times_ns for whole in wholes.values()])
        order = np.argsort(times, kind="stable")
        assert found.times_ns.tolist() == times[order].tolist()
        assert found.duration_ns == max(whole.duration_ns for whole in wholes.values())
        assert {len(piece) for piece in pieces[:-1]} <= {size}
        assert len(pieces) == max(1, -(-times.size // size))
        due = {
            name: np.concatenate([whole.attributes[name] for whole in wholes.values()])[order]
            for name in (("number", "text") if attributes else ())
        }
        if labelled:
            due["client"] = np.repeat(list(wholes), [len(whole) for whole in wholes.values()])[order]
        assert {name: values.tolist() for name, values in found.attributes.items()} == {
            name: values.tolist() for name, values in due.items()
        }

    def test_so_is_one_of_more_parts_than_are_merged_at_once(self) -> None:
        wholes = {str(index): poisson(50, queries=20 + index % 7, seed=index) for index in range(1100)}
        parts = {name: pieces_of(whole, 6) for name, whole in wholes.items()}
        found = joined(sum_pieces(parts, 1000, "part"))
        times = np.concatenate([whole.times_ns for whole in wholes.values()])
        order = np.argsort(times, kind="stable")
        names = np.repeat(list(wholes), [len(whole) for whole in wholes.values()])
        assert np.array_equal(found.times_ns, times[order])
        assert np.array_equal(found.attributes["part"], names[order])

    def test_of_each_part_a_few_pieces_are_held(self) -> None:
        ahead = {"quick": 0, "slow": 0}

        def counted(name: str, rate_qps: float) -> Iterator[ArrivalTrace]:
            law = law_of({"poisson": {"rate_qps": rate_qps, "duration": "100s"}})
            for piece in law_pieces(law, seed=1, size=50):
                ahead[name] += len(piece)
                yield piece

        for piece in sum_pieces({"quick": counted("quick", 1000), "slow": counted("slow", 10)}, 50, "part"):
            for name in ahead:
                ahead[name] -= np.count_nonzero(piece.attributes["part"] == name)
            assert max(ahead.values()) <= 200

    def test_the_sum_of_poisson_traffic_is_poisson(self) -> None:
        law = law_of({"poisson": {"rate_qps": 10, "duration": "1000s"}})
        parts = {str(index): law_pieces(law, seed=4, name=str(index), size=500) for index in range(20)}
        whole = joined(sum_pieces(parts, PIECE, None))
        assert len(whole) == pytest.approx(200_000, abs=3 * 200_000**0.5)
        assert kstest(np.diff(whole.times_ns) / NS_PER_S, "expon", (0, 1 / 200)).pvalue > 0.0027
        # standard errors: of the scv of exponential gaps 2 / √n, of the dispersion of k Poisson counts √(2 / k)
        assert gap_scv(whole) == pytest.approx(1, abs=3 * 2 / len(whole) ** 0.5)
        assert index_of_dispersion(whole, NS_PER_S) == pytest.approx(1, abs=3 * (2 / 1000) ** 0.5)

    def test_parts_carry_the_same_attributes(self) -> None:
        bare, numbers = ArrivalTrace(np.array([1]), 1), ArrivalTrace(np.array([1]), 1, attributes={"size": np.ones(1)})
        texts = ArrivalTrace(np.array([1]), 1, attributes={"size": np.array(["big"])})
        for parts, message in (
            ({"a": numbers, "b": bare}, "sum.b: 'no attributes' is what its queries carry, and those of a carry size"),
            ({"a": bare, "b": numbers}, "sum.b: 'size' is what its queries carry, and those of a carry no attributes"),
            ({"a": numbers, "b": texts}, "sum.b: 'size' is text here and not in a"),
            ({"a": texts, "b": numbers}, "sum.b: 'size' is a number here and not in a"),
        ):
            with pytest.raises(InvalidInputError, match=message):
                list(sum_pieces({name: iter([part]) for name, part in parts.items()}, 9, None))
        with pytest.raises(InvalidInputError, match="label: 'size' is an attribute of the queries already"):
            list(sum_pieces({"a": iter([numbers])}, 9, "size"))

    def test_a_part_without_queries_leaves_the_attributes_of_others_as_they_are(self) -> None:
        none = ArrivalTrace(np.array([], dtype=np.int64), 9, attributes={"kind": np.array([])})
        texts = ArrivalTrace(np.array([1, 2]), 2, attributes={"kind": np.array(["a", "bcd"])})
        summed = joined(sum_pieces({"a": iter([none]), "b": iter([texts])}, 9, None))
        assert summed.attributes["kind"].dtype == texts.attributes["kind"].dtype
        assert (summed.attributes["kind"].tolist(), summed.duration_ns) == (["a", "bcd"], 9)

    def test_files_are_named_and_an_epoch_is_kept_if_it_is_that_of_all(self) -> None:
        one, two = InputFile("one.csv", "1"), InputFile("two.csv", "2")
        early = ArrivalTrace(np.array([1]), 1, 5, inputs=(one,))
        late = ArrivalTrace(np.array([1]), 1, 6, inputs=(one, two))
        summed = joined(sum_pieces({"a": iter([early]), "b": iter([late])}, 9, None))
        assert (summed.epoch_ns, summed.inputs) == (0, (one, two))
        assert joined(sum_pieces({"a": iter([early]), "b": iter([early])}, 9, None)).epoch_ns == early.epoch_ns


class TestGaps:
    @pytest.mark.parametrize("scv", [1e-6, 0.01, 0.5, 1, 2.7, 5, 100, 1000])
    def test_the_weibull_shape_gives_the_variability(self, scv: float) -> None:
        power = 1 / weibull_shape(scv)
        found = math.expm1(math.lgamma(1 + 2 * power) - 2 * math.lgamma(1 + power))
        assert found == pytest.approx(scv, rel=1e-6)

    @pytest.mark.parametrize("scv", [0.3, 1, 3])
    def test_gaps_have_their_law(self, scv: float) -> None:
        # Gaps of whole nanoseconds are 0 as often as is seen, where they are short and vary.
        gaps = np.diff(weibull(1, scv, queries=200_000, seed=2).times_ns) / NS_PER_S
        shape = weibull_shape(scv)
        assert kstest(gaps, "weibull_min", (shape, 0, 1 / math.gamma(1 + 1 / shape))).pvalue > 0.0027
        gaps = np.diff(gamma(1, scv, queries=200_000, seed=2).times_ns) / NS_PER_S
        assert kstest(gaps, "gamma", (1 / scv, 0, scv)).pvalue > 0.0027

    def test_a_variability_too_small_to_see_is_none(self) -> None:
        assert milliseconds(gamma(100, 1e-320, queries=2)) == milliseconds(weibull(100, 1e-320, queries=2)) == [10, 20]


class TestModulation:
    @pytest.mark.parametrize("periods", ["exponential", "fixed", "pareto"])
    def test_it_is_stationary_from_the_start(self, periods: Periods) -> None:
        modulation, mean = Modulation.of((0.0, 1.0, 5.0), (3e9, 1e9, 2e9), None, periods, 1.5)
        assert mean == pytest.approx(11 / 6)
        times = np.array([0, NS_PER_S // 2, 2 * NS_PER_S, 30 * NS_PER_S])
        found = np.zeros((2000, times.size))
        for run in range(len(found)):
            for block in product([modulation_lines(modulation, stream(run, "test"))], int(times[-1])):
                inside = (times >= block.starts_ns[0]) & (times < block.ends_ns[-1])
                found[run, inside] = block.within(times[inside], times[inside])[0]
        for index in range(times.size):
            assert_mean(found[:, index], 1.0)
            for level, share in zip(modulation.levels, (3 / 6, 1 / 6, 2 / 6), strict=True):
                assert_mean(np.isclose(found[:, index], level).astype(float), share)

    @pytest.mark.parametrize(
        ("periods", "law"), [("exponential", ("expon", (0, 2e9))), ("pareto", ("lomax", (2.5, 0, 3e9)))]
    )
    def test_sojourns_have_their_law(self, periods: Periods, law: tuple[str, tuple[float, ...]]) -> None:
        modulation, _ = Modulation.of((0.0, 1.0), (2e9, 2e9), None, periods, 2.5)
        blocks = list(islice(modulation_lines(modulation, stream(3, "test")), 1, 14))
        lengths = np.concatenate([block.ends_ns - block.starts_ns for block in blocks])
        assert len(lengths) > 20_000
        assert kstest(lengths, *law).pvalue > 0.0027

    def test_states_follow_the_chain(self) -> None:
        chain = ((0.0, 1.0, 0.0), (0.3, 0.0, 0.7), (1.0, 0.0, 0.0))
        modulation, _ = Modulation.of((1.0, 2.0, 3.0), (1e9, 1e9, 1e9), chain)
        block = next(islice(modulation_lines(modulation, stream(3, "test")), 9, None))
        states = np.searchsorted(np.array(modulation.levels), block.first * (1 - 1e-9))
        found = np.zeros((3, 3))
        np.add.at(found, (states[:-1], states[1:]), 1)
        assert found[[0, 0, 1, 2, 2], [0, 2, 1, 1, 2]].tolist() == [0] * 5
        tries = found[1].sum()
        assert found[1, 0] == pytest.approx(0.3 * tries, abs=3 * (0.21 * tries) ** 0.5)


class TestStatistics:
    """Rates, variability and dispersion of every law."""

    @pytest.mark.parametrize(
        "traffic",
        [
            {"poisson": {"rate_qps": 40}},
            {"weibull": {"rate_qps": 40, "scv": 0.5}},
            {"gamma": {"rate_qps": 40, "scv": 1, "batch": {"mean": 4}}},
            {"mmpp": {"rates_qps": [10, 100, 0], "sojourns": ["1s", "2s", "3s"], "rate_qps": 40}},
            {"mmpp": {"rates_qps": [30, 50], "sojourns": ["1s", "1s"]}},
            {"on_off": {"rate_qps": 40, "on": "1s", "off": "5s", "off_level": 0.1}},
            {"on_off": {"rate_qps": 40, "on": "1s", "off": "2s", "periods": "pareto", "pareto_shape": 1.8}},
            {"on_off": {"rate_qps": 40, "on": "1s", "off": "2s", "periods": "fixed"}},
            {"poisson": {"rate_qps": 40, "bursts": [BURST, {"factor": 9, "lasts": "100ms", "every": "1s"}]}},
        ],
    )
    def test_the_rate_is_the_one_asked_for(self, traffic: dict[str, Fields]) -> None:
        ((name, fields),) = traffic.items()
        law = {name: {**fields, "duration": "100s"}}
        assert_mean([law_trace(law, seed).mean_rate_qps for seed in range(100)], 40)

    @pytest.mark.parametrize("scv", [0.25, 0.7, 2.5, 5])
    def test_the_variability_of_weibull_gaps_is_the_one_asked_for(self, scv: float) -> None:
        traces = [weibull(100, scv, queries=10_000, seed=seed) for seed in range(REPLICATIONS)]
        gaps = [np.diff(trace.times_ns) * 100 / NS_PER_S for trace in traces]
        assert_mean([float(some.mean()) for some in gaps], 1)
        assert_mean([float(((some - 1) ** 2).mean()) for some in gaps], scv)

    @pytest.mark.parametrize("window_s", [0.02, 1, 20])
    def test_poisson_counts_vary_as_much_as_their_mean(self, window_s: float) -> None:
        traffic = {"poisson": {"rate_qps": 50, "duration": "1000s"}}
        assert_mean(dispersions(traffic, window_s, 50), 1)

    @pytest.mark.parametrize(("family", "scv"), [("gamma", 0.2), ("gamma", 4), ("weibull", 0.2), ("weibull", 4)])
    def test_the_dispersion_of_renewal_counts_nears_the_variability_of_the_gaps(self, family: str, scv: float) -> None:
        shape = 1 / scv if family == "gamma" else weibull_shape(scv)

        def moment(order: int) -> float:
            if family == "gamma":
                return math.prod((shape + k) / shape for k in range(order))
            return math.gamma(1 + order / shape) / math.gamma(1 + 1 / shape) ** order

        theory = renewal_dispersion(moment, 200)
        assert theory == pytest.approx(scv, rel=0.3)
        # The first gap is whole: the first window is left out, so that the process has forgotten it.
        fields = {"rate_qps": 100, "scv": scv, "duration": "1002s"}
        found = [
            float(np.mean((counts(law_trace({family: fields}, seed), 2)[1:] - 200) ** 2) / 200)
            for seed in range(REPLICATIONS)
        ]
        assert_mean(found, theory)

    @pytest.mark.parametrize("window_s", [0.1, 1, 10])
    def test_a_chain_of_two_states_has_the_dispersion_of_heffes_and_lucantoni(self, window_s: float) -> None:
        # rates 10 and 100 that last 2 s and 0.5 s: shares 0.8 and 0.2, mean 28
        traffic = {"mmpp": {"rates_qps": [10, 100], "sojourns": ["2s", "500ms"], "duration": "1000s"}}
        leave, back = 1 / 2, 1 / 0.5
        variance, tau_s = leave * back / (leave + back) ** 2 * (90 / 28) ** 2, 1 / (leave + back)
        theory = 1 + burst_dispersion(variance, tau_s, 28, window_s)
        limit = 1 + 2 * 90**2 * leave * back / ((leave + back) ** 2 * (10 * back + 100 * leave))
        assert 1 + burst_dispersion(variance, tau_s, 28, 1e9) == pytest.approx(limit)
        assert_mean(dispersions(traffic, window_s, 28), theory)

    @pytest.mark.parametrize("window_s", [0.05, 1, 20])
    def test_bursts_on_two_scales_multiply(self, window_s: float) -> None:
        bursts = [BURST, {"factor": 3, "lasts": "20ms", "every": "40ms"}]
        traffic = {"poisson": {"rate_qps": 50, "duration": "1000s", "bursts": bursts}}
        # levels 1/2 and 5/2 for 3 s and 1 s; 1/2 and 3/2 for 20 ms each
        slow, quick = (0.75, 0.75), (0.25, 0.01)
        both = (slow[0] * quick[0], slow[1] * quick[1] / (slow[1] + quick[1]))
        theory = 1 + sum(burst_dispersion(*term, 50, window_s) for term in (slow, quick, both))
        assert_mean(dispersions(traffic, window_s, 50), theory)

    def test_two_bursts_of_one_kind_have_luck_of_their_own(self) -> None:
        traffic = {"poisson": {"rate_qps": 50, "duration": "1000s", "bursts": [BURST, BURST]}}
        one, both = burst_dispersion(0.75, 0.75, 50, 1), burst_dispersion(0.75**2, 0.75 / 2, 50, 1)
        assert_mean([law_trace(traffic, seed).mean_rate_qps for seed in range(REPLICATIONS)], 50)
        assert_mean(dispersions(traffic, 1, 50), 1 + 2 * one + both)

    @pytest.mark.parametrize(("sizes", "theory"), [("geometric", 2 * 4 - 1), ("fixed", 4)])
    def test_batches_multiply_the_dispersion_by_their_mean_square_over_their_mean(
        self, sizes: str, theory: float
    ) -> None:
        traffic = {"poisson": {"rate_qps": 100, "duration": "1000s", "batch": {"mean": 4, "sizes": sizes}}}
        assert_mean(dispersions(traffic, 1, 100), theory)

    def test_fixed_periods_leave_no_dispersion_over_a_whole_one(self) -> None:
        fields = {"rate_qps": 100, "on": "1s", "off": "1s", "periods": "fixed", "duration": "1000s"}
        assert_mean(dispersions({"on_off": fields}, 2, 100), 1)
        # The share of 1 s that is on is a triangle of the phase, from 0 to 1: its variance is 1/12, of the level 1/3.
        assert_mean(dispersions({"on_off": fields}, 1, 100), 1 + 100 / 3)

    @pytest.mark.slow
    def test_heavy_tails_give_bursts_on_all_time_scales(self) -> None:
        windows_s = (1, 10, 100, 1000)

        def curve(**fields: object) -> np.ndarray:
            law = {"on_off": {"rate_qps": 20, "on": "1s", "off": "1s", "duration": "100000s", **fields}}
            traces = [law_trace(law, seed) for seed in range(8)]
            return np.array(
                [np.mean([((counts(t, w) - 20 * w) ** 2).mean() / (20 * w) for t in traces]) for w in windows_s]
            )

        heavy, light = curve(periods="pareto", pareto_shape=1.4), curve()
        slope = np.polyfit(np.log(windows_s), np.log(heavy), 1)[0]
        # The variance of counts grows with the power 3 - a: Taqqu, Willinger and Sherman, CCR 1997.
        assert slope == pytest.approx(2 - 1.4, abs=0.2)
        assert heavy[-1] > 10 * heavy[0]
        assert light[-1] == pytest.approx(light[1], rel=0.3)

    @pytest.mark.parametrize("traffic", ["poisson", "gamma", "weibull"])
    def test_a_curve_is_met_bin_by_bin(self, traffic: str) -> None:
        points = [["0s", 0], ["40s", 100], ["60s", 20], ["60s", 200], ["80s", 0], ["100s", 50]]
        law = law_of({traffic: {"curve": {"points": points}, **({} if traffic == "poisson" else {"scv": 3})}})
        rate_qps = np.interp(np.arange(2.5, 100, 5), [0, 40, 60], [0, 100, 20])
        rate_qps[12:16] = [175, 125, 75, 25]
        rate_qps[16:] = [6.25, 18.75, 31.25, 43.75]
        due = 5 * rate_qps
        found = np.array([counts(law_trace(law, seed), 5) for seed in range(200)])
        # A process that starts with a whole gap is behind a stationary one by (1 - scv) / 2 queries: Cox, section 4.2.
        ahead = np.array([(law.gap_scv - 1) / 2, *[0] * 19])
        errors = found.std(axis=0, ddof=1) / len(found) ** 0.5
        z = (found.mean(axis=0) - due - ahead) / errors
        assert np.abs(z).max() < 4  # of 20 bins
        assert (z**2).sum() == pytest.approx(20, abs=3 * (2 * 20) ** 0.5)
        if traffic == "poisson":
            spread = (len(found) - 1) * found.var(axis=0, ddof=1) / due  # chi-squared
            assert spread.sum() == pytest.approx(20 * 199, abs=3 * (2 * 20 * 199) ** 0.5)


class TestDrawnQuantiles:
    def test_whole_ones_are_whole(self) -> None:
        law = DrawnQuantiles(quantiles=(1.0, 2.0, 10.0), whole=True)
        values = with_attributes(poisson(10, queries=1000, seed=1), {"size": law}, Streams(1)).attributes["size"]
        assert set(values.tolist()) == set(map(float, range(1, 11)))

    def test_they_are_the_quantiles_and_between_them_the_law_is_uniform(self) -> None:
        trace, law = poisson(10, queries=100_000, seed=1), DrawnQuantiles(quantiles=(1.0, 2.0, 2.0, 10.0, 11.0))
        values = with_attributes(trace, {"size": law}, Streams(1)).attribute("size", "")
        assert values.min() >= 1
        assert values.max() <= 11
        assert np.mean(values == 2) == pytest.approx(0.25, abs=3 * (0.25 * 0.75 / 1e5) ** 0.5)
        for quantile, share in ((1.5, 0.125), (4, 0.5 + 0.25 * 2 / 8), (10, 0.75), (10.5, 0.875)):
            found = np.mean(values <= quantile)
            assert found == pytest.approx(share, abs=3 * (share * (1 - share) / 1e5) ** 0.5)
