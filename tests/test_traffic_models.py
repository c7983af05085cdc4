"""The laws of generated traffic as a scenario file writes them: curves, bursts, chains, and what is wrong with them."""

import numpy as np
import pytest
from pydantic import BaseModel, TypeAdapter

from pipesim.errors import InvalidInputError
from pipesim.model.traffic.curves import Curve, RateCurve
from pipesim.model.traffic.laws import ConstantLaw, GammaLaw, Law, MmppLaw, OnOffLaw, PoissonLaw, WeibullLaw
from pipesim.model.traffic.modulation import Burst, Modulation
from pipesim.model.validation import validated_fields
from pipesim.units import NS_PER_S

BURST_FIELDS = {"factor": 2, "lasts": "1s", "every": "2s"}
FLAT = {"steps": [["0s", 1], ["1s", 1]]}
HOUR_NS, DAY_NS = 3600 * NS_PER_S, 86_400 * NS_PER_S


def complaint(model: type[BaseModel], **fields: object) -> str:
    """Return what is wrong with the fields of a model."""
    with pytest.raises(InvalidInputError) as caught:
        validated_fields(model, "law", fields)
    return str(caught.value).removeprefix("law: ")


def curve(**fields: object) -> RateCurve:
    """Return a curve over its own length."""
    parsed = TypeAdapter(Curve).validate_python(fields)
    return parsed.over(parsed.length_ns)


def knots(drawn: RateCurve) -> list[tuple[float, float]]:
    return [(time / NS_PER_S, rate) for time, rate in zip(drawn.times_ns, drawn.rates_qps, strict=True)]


class TestCurves:
    def test_steps_jump_and_the_last_one_says_where_the_curve_ends(self) -> None:
        steps = curve(steps=[["0s", 50], ["10s", 120], ["20s", 0]])
        assert knots(steps) == [(0, 50), (10, 50), (10, 120), (20, 120), (20, 0)]
        assert steps.mean_qps(20 * NS_PER_S) == 85

    def test_points_are_joined_by_straight_lines(self) -> None:
        assert knots(curve(points=[["0s", 50], ["10s", 120]])) == [(0, 50), (10, 120)]

    def test_bins_are_steps_of_one_width(self) -> None:
        assert knots(curve(bins={"width": "2s", "rates_qps": [1, 5]})) == [(0, 1), (2, 1), (2, 5), (4, 5)]

    def test_a_day_swings_around_its_mean_and_peaks_when_it_should(self) -> None:
        day = curve(diurnal={"mean_qps": 100, "peak_qps": 180, "peak_at": "14h"})
        rates = dict(zip(day.times_ns, day.rates_qps, strict=True))
        assert rates[14 * HOUR_NS] == max(rates.values()) == 180
        assert rates[2 * HOUR_NS] == min(rates.values()) == pytest.approx(20)
        assert rates[20 * HOUR_NS] == pytest.approx(100)
        assert day.mean_qps(DAY_NS) == pytest.approx(100)
        law = PoissonLaw.model_validate({"curve": {"diurnal": {"mean_qps": 1, "peak_qps": 2}}, "duration": "7d"})
        assert law.mean_rate_qps == pytest.approx(1)

    def test_a_ramp_waits_rises_and_stays(self) -> None:
        ramp = {"from_qps": 5, "to_qps": 20, "start": "10s", "length": "5s"}
        assert knots(curve(ramp=ramp)) == [(0, 5), (10, 5), (15, 20)]

    def test_a_crowd_comes_stays_and_goes(self) -> None:
        crowd = {"base_qps": 5, "peak_qps": 50, "start": "10s", "rise": "1s", "hold": "20s", "fall": "2s"}
        assert knots(curve(flash_crowd=crowd)) == [(0, 5), (10, 5), (11, 50), (31, 50), (33, 5)]

    @pytest.mark.parametrize("shape", ["big_spike", "dual_phase", "slowly_varying", "large_variation"])
    def test_shapes_span_their_length_and_reach_their_peak(self, shape: str) -> None:
        swing = curve(**{shape: {"low_qps": 10, "peak_qps": 90, "length": "100s"}})
        assert swing.length_ns == 100 * NS_PER_S
        assert min(swing.rates_qps) == 10
        assert max(swing.rates_qps) == 90
        assert list(swing.times_ns) == sorted(swing.times_ns)

    def test_beyond_its_end_the_last_rate_holds_or_the_curve_begins_again(self) -> None:
        fields = {"points": [["0s", 0], ["10s", 20]]}
        once, again = (TypeAdapter(Curve).validate_python({**fields, "repeat": repeat}) for repeat in (False, True))
        assert knots(once.over(25 * NS_PER_S)) == [(0, 0), (10, 20), (25, 20)]
        assert knots(again.over(25 * NS_PER_S)) == [(0, 0), (10, 20), (10, 0), (20, 20), (20, 0), (25, 10)]
        assert knots(once.over(5 * NS_PER_S)) == [(0, 0), (5, 10)]
        assert again.over(25 * NS_PER_S).mean_qps(25 * NS_PER_S) == pytest.approx(9)

    @pytest.mark.parametrize(
        ("fields", "message"),
        [
            ({"steps": [["1s", 5], ["2s", 6]]}, "curve.steps.0: '1 s' is the first time; begin at 0s"),
            (
                {"points": [["0s", 5], ["9s", 6], ["5s", 6]]},
                "curve.points.2: '5 s' is earlier than the time before it; sort the list by time",
            ),
            ({"steps": [["0s", 5], ["0s", 6]], "repeat": True}, "curve.steps.1: '0s' is the last time; say at which"),
            ({"points": [["0s", 5], ["0s", 6]]}, "curve.points.1: '0s' is the last time; say at which"),
            ({"steps": [["0s", 5]]}, "curve.steps: holds 1 entries; use at least 2"),
            ({"steps": [["0s", 5], ["1s"]]}, "curve.steps.1.1 is missing; add it"),
            ({"steps": [["0s", 5], ["1s", -1]]}, "curve.steps.1.1: -1 is not allowed"),
            ({"steps": [["0s", 5], ["1s", float("nan")]]}, "curve.steps.1.1: nan is not"),
            ({"steps": [["0s", 5], ["1s", 1e8]]}, "curve.steps.1.1: 100000000.0 is not allowed"),
            ({"steps": [["0s", 5], [1, 1]]}, "curve.steps.1.0: 1 has no unit"),
            ({"steps": "high"}, "curve.steps: 'high' is not a list"),
            ({"steps": [["0s", 0], ["9s", 0]]}, "curve: 0 is its rate everywhere; use a rate above 0 somewhere"),
            ({"steps": [["0s", 0], ["9s", 5]], "repeat": True}, "curve: 0 is its rate everywhere"),
            ({"bins": {"width": "1s", "rates_qps": [0, 0]}}, "curve: 0 is its rate everywhere"),
            ({"bins": {"width": "1s", "rates_qps": []}}, "curve.bins.rates_qps: [] is empty; give at least one"),
            ({"bins": {"width": "0s", "rates_qps": [1]}}, "curve.bins.width: '0s' is not allowed; use more than 0"),
            ({"points": [["0s", 1e-9], ["9s", 0]]}, "curve: 5e-10 is its mean rate; use at least 0.001 queries a"),
            (
                {"diurnal": {"mean_qps": 10, "peak_qps": 21}},
                "curve.diurnal.peak_qps: 21.0 is not allowed; use mean_qps to twice mean_qps, 10 to 20",
            ),
            ({"diurnal": {"mean_qps": 10, "peak_qps": 9}}, "curve.diurnal.peak_qps: 9.0 is not allowed"),
            ({"diurnal": {"mean_qps": 10, "peak_qps": 11}, "repeat": False}, "curve.repeat: False is not allowed"),
            ({"big_spike": {"low_qps": 9, "peak_qps": 5, "length": "1h"}}, "curve.big_spike.peak_qps: 5.0 is below"),
            ({"ramp": {"from_qps": 0, "to_qps": 0, "length": "1s"}}, "curve: 0 is its rate everywhere"),
            ({"ramp": {"from_qps": 0, "to_qps": 1, "length": "0s"}}, "curve.ramp.length: '0s' is not allowed"),
            (
                {"ramp": {"from_qps": 0, "to_qps": 1, "length": "1s", "strat": "1s"}},
                "curve.ramp.strat is not a field here; did you mean start?",
            ),
            ({"wave": {}}, "curve: {'wave': {}} needs exactly one of steps, points, bins"),
            (
                {"steps": [["0s", 5], ["1s", 5]], "points": [["0s", 5], ["1s", 5]]},
                "needs exactly one of steps, points, bins",
            ),
        ],
    )
    def test_what_is_no_curve_is_refused(self, fields: dict[str, object], message: str) -> None:
        assert message in complaint(PoissonLaw, curve=fields)

    def test_a_curve_may_not_repeat_without_bound_nor_end_before_it_rises(self) -> None:
        quick = {"steps": [["0s", 5], ["1ns", 1]], "repeat": True}
        assert "curve: '1 ns' with its repetitions has more than 4,000,000 corners" in complaint(
            PoissonLaw, curve=quick, duration="400d"
        )
        late = {"steps": [["0s", 0], ["10s", 5], ["20s", 5]]}
        assert "duration: 10.0 s ends before the curve rises above 0" in complaint(
            PoissonLaw, curve=late, duration="10s"
        )
        long = {"base_qps": 1, "peak_qps": 1, "start": "400d", "hold": "1d"}
        assert "would last 401 days; use at most 400 days" in complaint(PoissonLaw, curve={"flash_crowd": long})


class TestLaws:
    def test_rate_and_length_follow_from_what_is_given(self) -> None:
        plain = PoissonLaw.model_validate({"rate_qps": 20, "queries": 100})
        assert (plain.mean_rate_qps, plain.duration_s, plain.length_s, plain.expected_queries) == (20, None, 5, 100)
        curved = ConstantLaw.model_validate({"curve": {"points": [["0s", 0], ["10s", 20]]}})
        assert (curved.mean_rate_qps, curved.duration_s, curved.expected_queries) == (10, 10, 100)
        chain = MmppLaw.model_validate({"rates_qps": [10, 100], "sojourns": ["2s", "500ms"], "duration": "10s"})
        assert chain.mean_rate_qps == pytest.approx(28)
        relative = MmppLaw.model_validate(
            {"rates_qps": [10, 100], "sojourns": ["2s", "500ms"], "duration": "10s", "rate_qps": 5}
        )
        assert relative.mean_rate_qps == 5
        assert relative.own_modulation == chain.own_modulation

    def test_a_copy_with_another_rate_has_that_rate(self) -> None:
        law = PoissonLaw.model_validate({"rate_qps": 20, "queries": 100})
        assert law.mean_rate_qps == 20
        assert law.model_copy(update={"rate_qps": 5.0}).mean_rate_qps == 5

    def test_variability_is_that_of_the_family(self) -> None:
        ends = {"rate_qps": 20, "queries": 100}
        assert PoissonLaw.model_validate(ends).gap_scv == 1
        assert ConstantLaw.model_validate(ends).gap_scv == 0
        assert GammaLaw.model_validate({**ends, "cv": 2}).gap_scv == 4
        weibull = WeibullLaw.model_validate({**ends, "scv": 3})
        assert (weibull.family, weibull.gap_scv) == ("weibull", 3)

    @pytest.mark.parametrize("duration", ["400d", "399.999999d"])
    @pytest.mark.parametrize("rate", [0.001, 0.1, 0.3, 17.77, 123.456])
    def test_the_longest_duration_is_allowed_at_any_rate(self, rate: float, duration: str) -> None:
        assert PoissonLaw.model_validate({"rate_qps": rate, "duration": duration}).mean_rate_qps == rate

    @pytest.mark.parametrize(
        ("law", "fields", "message"),
        [
            (PoissonLaw, {"rate_qps": None}, "neither of rate_qps and curve is given"),
            (PoissonLaw, {"curve": FLAT}, "both of rate_qps and curve is given"),
            (PoissonLaw, {"queries": 5}, "both of duration and queries is given"),
            (
                PoissonLaw,
                {"rate_qps": None, "curve": FLAT, "duration": None, "queries": 5},
                "queries: 5 cannot be given with a curve; give a duration",
            ),
            (PoissonLaw, {"batch": {"mean": 0.5}}, "batch.mean: 0.5 is not allowed"),
            (PoissonLaw, {"batch": {"mean": 1.5, "sizes": "fixed"}}, "batch.mean: 1.5 is not a whole number; use one"),
            (PoissonLaw, {"batch": {"mean": 2, "sizes": "odd"}}, "batch.sizes: 'odd' is not allowed"),
            (
                PoissonLaw,
                {"rate_qps": 1, "batch": {"mean": 1001}},
                "batch.mean: 1001.0 makes arrivals rarer than 0.001 a",
            ),
            (PoissonLaw, {"bursts": BURST_FIELDS}, "bursts: {'factor': 2"),
            (PoissonLaw, {"bursts": [{**BURST_FIELDS, "factor": 1}]}, "bursts.0.factor: 1 is not allowed"),
            (PoissonLaw, {"bursts": [{**BURST_FIELDS, "every": "1s"}]}, "bursts.0.every: 1.0 s is not longer than a"),
            (PoissonLaw, {"bursts": [BURST_FIELDS] * 17}, "bursts: holds 17 entries; use at most 16"),
            (
                PoissonLaw,
                {"duration": "400d", "bursts": [{"factor": 2, "lasts": "1us", "every": "2us"}]},
                "the rate would change 3.46e+13 times; use at most 100,000,000: make bursts longer",
            ),
            (GammaLaw, {}, "neither of scv and cv is given"),
            (GammaLaw, {"scv": 1, "cv": 1}, "both of scv and cv is given"),
            (WeibullLaw, {"scv": 1001}, "scv: 1001 is not allowed"),
            (GammaLaw, {"cv": 0}, "cv: 0 is not allowed"),
            (MmppLaw, {"rates_qps": [5], "sojourns": ["1s"]}, "rates_qps: holds 1 entries; use at least 2"),
            (
                MmppLaw,
                {"rates_qps": [5, 6], "sojourns": ["1s"] * 3},
                "sojourns: 3 is how many there are; give 2, one for",
            ),
            (
                MmppLaw,
                {"rates_qps": [0, 0], "sojourns": ["1s"] * 2},
                "all rates_qps are 0; use a rate above 0 somewhere",
            ),
            (MmppLaw, {"rates_qps": [0, 1], "sojourns": ["0s", "1s"]}, "sojourns.0: '0s' is not allowed"),
            (OnOffLaw, {"on": "1s"}, "off is missing; add it"),
            (OnOffLaw, {"on": "1s", "off": "1s", "off_level": 1}, "off_level: 1 is not allowed"),
            (OnOffLaw, {"on": "1s", "off": "1s", "periods": "odd"}, "periods: 'odd' is not allowed"),
            (OnOffLaw, {"on": "1s", "off": "1s", "pareto_shape": 1}, "pareto_shape: 1 is not allowed"),
        ],
    )
    def test_what_is_no_law_is_refused(self, law: type[Law], fields: dict[str, object], message: str) -> None:
        given = {"rate_qps": 20, "duration": "10s", **fields}
        assert message in complaint(law, **{name: value for name, value in given.items() if value is not None})

    @pytest.mark.parametrize(
        ("rows", "message"),
        [
            ([[0, 1, 0], [1, 0, 0]], "transitions: 2 is how many rows there are; give 3"),
            ([[0, 1, 0], [1, 0, 0], [1, 0, 0]], "transitions.0: [0.0, 1.0, 0.0] leads not to all states"),
            ([[0, 1, 0], [0, 0, 1], [0.5, 0, 0.5]], "transitions.2: [0.5, 0.0, 0.5] is not a row of the chain"),
            ([[0, 1, 0], [0, 0, 1], [0.9, 0, 0]], "transitions.2: [0.9, 0.0, 0.0] is not a row of the chain"),
            ([[0, 1, 0], [0, 0, 1], [1, 0]], "transitions.2: [1.0, 0.0] is not a row of the chain"),
            ([[0, 1, 0], [0, 0, 1], [2, 0, -1]], "transitions.2.0: 2 is not allowed"),
            ([[0, 1, 0], [0, 0, 1], 5], "transitions.2: 5 is not a list"),
        ],
    )
    def test_what_is_no_chain_is_refused(self, rows: list[object], message: str) -> None:
        fields = {"rates_qps": [1, 2, 3], "sojourns": ["1s"] * 3, "duration": "1s", "transitions": rows}
        assert message in complaint(MmppLaw, **fields)

    def test_a_chain_of_mean_rates_too_low_is_refused(self) -> None:
        fields = {"rates_qps": [0, 1e-9], "sojourns": ["1s", "1s"], "duration": "1s"}
        assert "rates_qps: 5e-10 is its mean rate; use at least 0.001" in complaint(MmppLaw, **fields)


class TestModulation:
    def test_a_state_has_its_share_of_visits_times_how_long_it_lasts(self) -> None:
        cycle = ((0.0, 1.0, 0.0), (0.0, 0.0, 1.0), (1.0, 0.0, 0.0))
        modulation, mean = Modulation.of((0.0, 2.0, 4.0), (5.0, 3.0, 2.0), cycle)
        assert modulation.shares == pytest.approx(np.array([0.5, 0.3, 0.2]))
        assert mean == pytest.approx(1.4)
        assert modulation.levels == pytest.approx((0, 2 / 1.4, 4 / 1.4))
        assert modulation.switches_per_ns == pytest.approx(3 / 10)

    def test_without_a_chain_all_others_are_as_likely(self) -> None:
        modulation, _ = Modulation.of((1.0, 2.0, 3.0), (1.0, 1.0, 1.0))
        assert modulation.transitions == ((0, 0.5, 0.5), (0.5, 0, 0.5), (0.5, 0.5, 0))

    def test_a_burst_keeps_the_mean(self) -> None:
        burst = Burst.model_validate({"factor": 5, "lasts": "1s", "every": "4s"})
        assert burst.modulation.levels == pytest.approx((0.5, 2.5))
        assert burst.modulation.sojourns_ns == (3e9, 1e9)
        law = OnOffLaw.model_validate({"rate_qps": 5, "duration": "1s", "on": "1s", "off": "3s", "off_level": 0.2})
        assert law.own_modulation.levels == pytest.approx((0.5, 2.5))
        assert [m.levels for m in law.modulations] == [law.own_modulation.levels]
