"""Laws fitted to traces: known laws are found again, and real traces are met in every window."""

import gzip
import inspect
import json
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bad_input.answers import Run
from build import make_trace
from pipesim.cli.trace import fit_command
from pipesim.engine import Workload
from pipesim.errors import InvalidInputError
from pipesim.files import InputFile
from pipesim.model import load_scenario
from pipesim.model.traffic import RecordedTraffic
from pipesim.model.traffic.recipe import Recipe
from pipesim.model.validation import validated
from pipesim.model.yaml_document import parse_yaml
from pipesim.planner import FeasiblePlan, plan
from pipesim.report import fitted_report
from pipesim.traces import ArrivalTrace, compress_time, index_of_dispersion, parse_trace, trace_csv
from pipesim.traces.dispersion import burst_variance, gap_dispersion
from pipesim.traces.fit import Fit, fit, recipe_yaml
from pipesim.traces.fit.document import duration_text, law_document
from pipesim.traces.fit.explain import Question, explain
from pipesim.traces.fit.measure import Windows
from pipesim.traces.fit.slow import SlowRate
from pipesim.traces.fit.ties import ties_of
from pipesim.traces.generate import law_trace
from pipesim.units import parse_duration_ns

REAL = Path(__file__).parents[2] / "shared" / "data" / "traces"
EXAMPLES = Path(__file__).parents[1] / "examples"
needs_real_traces = pytest.mark.skipif(not REAL.is_dir(), reason="the collection of recorded traces is not here")

LAWS: dict[str, dict[str, dict[str, Any]]] = {
    "poisson": {"poisson": {"rate_qps": 5, "duration": "1h"}},
    "gamma": {"gamma": {"rate_qps": 6, "scv": 4, "duration": "1h"}},
    "bursts": {
        "poisson": {"rate_qps": 5, "duration": "40min", "bursts": [{"factor": 5, "lasts": "2s", "every": "10s"}]}
    },
    "swing": {
        "poisson": {
            "curve": {"diurnal": {"mean_qps": 6, "peak_qps": 11, "peak_at": "20min", "period": "1h"}},
            "duration": "1h",
        }
    },
    "batches": {"poisson": {"rate_qps": 10, "duration": "1h", "batch": {"mean": 4}}},
    "pairs": {"poisson": {"rate_qps": 10, "duration": "30min", "batch": {"mean": 2, "sizes": "fixed"}}},
    "ticks": {
        "gamma": {
            "curve": {"points": [["0s", 2], ["30min", 6], ["1h", 1]]},
            "scv": 2,
            "tick": "1s",
        }
    },
}


@cache
def drawn(name: str) -> ArrivalTrace:
    return law_trace(LAWS[name], seed=11)


@cache
def fitted(name: str) -> Fit:
    return fit(drawn(name))


@cache
def azure() -> ArrivalTrace:
    content = (REAL / "azure-llm-2023" / "AzureLLMInferenceTrace_conv.csv").read_bytes()
    return parse_trace(content, RecordedTraffic(file="azure", format="azure-llm"))


@cache
def fitted_azure() -> Fit:
    return fit(azure())


def read_back(text: str) -> Recipe:
    return validated(Recipe, parse_yaml(text, "recipe.yaml"))


def replica_dispersion(result: Fit, window_ns: int, seeds: int = 20) -> float:
    """Return the index of dispersion of a recipe, measured by none of the fit's own code."""
    law = read_back(recipe_yaml(result)).traffic.law
    return float(np.mean([index_of_dispersion(law_trace(law, seed), window_ns) for seed in range(100, 100 + seeds)]))


def clients(scv: float, factors: list[float], family: str = "gamma", rate: float = 6) -> ArrivalTrace:
    """Return a client as ServeGen describes one: a renewal process whose rate jumps every ten minutes."""
    levels = [[f"{10 * index}min", rate * factor] for index, factor in enumerate(factors)]
    curve = {"steps": [*levels, [f"{10 * len(factors)}min", 0]]}
    return law_trace({family: {"curve": curve, "scv": scv}}, seed=3)


def error_where_known(result: Fit) -> float:
    """Return the largest error among windows whose index the trace tells to an eighth: 128 of them, √(2 / 128)."""
    known = result.misfit[result.misfit["windows"] >= 128]
    return float(known["relative_error"].abs().max())


class TestTheory:
    @pytest.mark.parametrize("scv", [0.3, 1, 4, 36])
    @pytest.mark.parametrize("count", [0.5, 5, 50])
    def test_the_dispersion_of_gamma_gaps_is_that_of_a_simulation(self, scv: float, count: float) -> None:
        rng = np.random.default_rng(1)
        times = np.cumsum(rng.standard_gamma(1 / scv, 2_000_000) * scv)
        counts = np.bincount((times[times > times[-1] / 10] / count).astype(int))[int(times[-1] / 10 / count) + 1 : -1]
        blocks = [block.var() / block.mean() for block in np.array_split(counts, 40)]
        error = np.std(blocks, ddof=1) / len(blocks) ** 0.5
        assert gap_dispersion(scv, np.array([count]))[0] == pytest.approx(np.mean(blocks), abs=4 * error)

    def test_the_dispersion_of_gaps_goes_from_1_to_their_scv(self) -> None:
        for scv in (0.1, 1.0, 100.0):
            ends = gap_dispersion(scv, np.array([1e-9, 1e9]))
            assert ends[1] == pytest.approx(scv, rel=1e-3)
        assert gap_dispersion(0.5, np.array([1e-9]))[0] == pytest.approx(1, rel=1e-2)

    def test_the_variance_of_a_modulation_is_that_of_a_simulation(self) -> None:
        # Poisson arrivals at rate r, modulated: the variance of counts in w is r w + r² times what the level's is
        law = {"factor": 5, "lasts": "2s", "every": "10s"}
        level, share = 1 / (1 + 0.2 * 4), 0.2
        variance, time_s = share * (1 - share) * (4 * level) ** 2, 1 / (1 / 2 + 1 / 8)
        traffic = {"poisson": {"rate_qps": 50, "duration": "20000s", "bursts": [law]}}
        trace = law_trace(traffic, seed=2)
        for window_s in (0.5, 3, 20):
            expected = 1 + 50 * burst_variance(np.array([window_s]), [(variance, time_s)])[0] / window_s
            measured = index_of_dispersion(trace, round(window_s * 1e9))
            assert measured == pytest.approx(expected, rel=0.15)

    def test_modulations_multiply_each_other(self) -> None:
        one, other = burst_variance(np.array([1e-6]), [(0.5, 1.0)]), burst_variance(np.array([1e-6]), [(0.25, 9.0)])
        both = burst_variance(np.array([1e-6]), [(0.5, 1.0), (0.25, 9.0)])
        assert both[0] / 1e-12 == pytest.approx(1.5 * 1.25 - 1, rel=1e-4)
        assert both[0] > one[0] + other[0]


def question_of(trace: ArrivalTrace) -> tuple[Question, Windows]:
    windows = Windows.of(trace)
    fitted = np.array(windows.fitted)
    slow, span_s = SlowRate.of(trace, 60 * 10**9), int(np.ptp(trace.times_ns)) / 1e9
    dispersion = windows.dispersion(trace)[fitted]
    ties = ties_of(trace.times_ns)
    question = Question(windows.seconds[fitted], dispersion, span_s, slow.stretched_gap_scv(trace), slow, ties)
    return question, windows


class TestExplanations:
    @pytest.mark.parametrize(
        ("name", "scv", "times_s"),
        [("bursts", 1.0, [1.6]), ("gamma", 4.0, []), ("batches", 1.0, []), ("ticks", 2.0, []), ("swing", 1.0, [])],
    )
    def test_the_dispersion_in_theory_is_that_of_the_law_when_it_is_drawn(
        self, name: str, scv: float, times_s: list[float]
    ) -> None:
        question, windows = question_of(drawn(name))
        even = np.ones_like(question.windows_s)
        explanation = explain(question, scv, times_s, even, even)
        document = law_document(question, explanation, drawn(name).duration_ns, "gamma", 0.2)
        draws = [windows.dispersion(law_trace(document, seed))[np.array(windows.fitted)] for seed in range(40)]
        error = np.std(draws, axis=0, ddof=1) / 40**0.5
        # 3 % for what theory leaves out: gaps do not see how bursts stretch them
        tolerance = 4 * error + 0.03 * explanation.dispersion
        assert (np.abs(np.mean(draws, axis=0) - explanation.dispersion) < tolerance).all()

    def test_what_chance_makes_of_a_constant_rate_is_not_drawn_into_the_curve_as_well(self) -> None:
        for name, scv in (("poisson", 1.0), ("gamma", 4.0)):
            question, _ = question_of(drawn(name))
            even = np.ones_like(question.windows_s)
            explanation = explain(question, scv, [], even, even)
            raw = question.slow.curve_qps(np.ones(len(explanation.shares)))
            assert explanation.rates_qps.std() < 0.5 * raw.std()
            # what is slower than all windows that are fitted is known by what gaps would make of it alone
            assert explanation.shares[:3].mean() < 0.3

    def test_a_correction_is_divided_out(self) -> None:
        question, _ = question_of(drawn("bursts"))
        even = np.ones_like(question.windows_s)
        plain, halved = explain(question, 1.0, [1.6], even, even), explain(question, 1.0, [1.6], 2 * even, even)
        long = question.windows_s >= 5
        assert halved.dispersion[long] == pytest.approx(plain.dispersion[long] / 2, rel=0.25)

    def test_the_bands_of_a_curve_add_up_to_the_rates_and_keep_the_mean(self) -> None:
        slow = SlowRate.of(drawn("swing"), 60 * 10**9)
        whole = slow.curve_qps(np.ones(len(slow.bands_qps)))
        assert whole == pytest.approx(slow.rates_of(drawn("swing")), rel=1e-9)
        half = slow.curve_qps(np.full(len(slow.bands_qps), 0.25))
        assert half.mean() == pytest.approx(whole.mean(), rel=1e-9)
        assert half.std() == pytest.approx(whole.std() / 2, rel=1e-6)


class TestTies:
    def test_a_clock_that_ticks_is_told_from_batches_and_from_very_variable_gaps(self) -> None:
        assert ties_of(drawn("ticks").times_ns).tick_ns == 10**9
        batches = ties_of(drawn("batches").times_ns)
        assert batches.tick_ns is None
        assert batches.batch_mean == pytest.approx(4, rel=0.05)
        pairs = ties_of(drawn("pairs").times_ns)
        assert (pairs.batch_mean, pairs.batch_fixed) == (2, True)
        heavy = law_trace({"gamma": {"rate_qps": 5, "scv": 225, "duration": "1h"}}, seed=1)
        assert np.mean(np.diff(heavy.times_ns) == 0) > 0.5  # shorter than a nanosecond
        assert ties_of(heavy.times_ns) == ties_of(drawn("poisson").times_ns) == ties_of(np.array([0, 5, 9]))

    def test_a_clock_may_jitter_and_the_windows_that_see_it_are_left_out(self) -> None:
        times = drawn("ticks").times_ns + np.repeat(0, len(drawn("ticks")))
        jitter = np.random.default_rng(1).integers(-3_000_000, 3_000_000, 3601)
        ties = ties_of(np.maximum(times + jitter[times // 10**9], 0))
        assert ties.tick_ns is not None
        assert ties.tick_ns == pytest.approx(10**9, rel=1e-3)
        assert ties.resonant(np.array([0.5, 1.0, 1.5, 3.0, 5.0])).tolist() == [False, True, False, True, False]
        assert not ties_of(times).resonant(np.array([1.0, 3.0])).any()


class TestKnownLaws:
    def test_a_poisson_trace_gives_a_poisson_law_without_bursts(self) -> None:
        document = fitted_report(fitted("poisson"))["traffic"]
        rate = document["poisson"]["rate_qps"]
        assert document == {"poisson": {"rate_qps": rate, "duration": "1h"}}
        assert rate == pytest.approx(len(drawn("poisson")) / 3600, rel=1e-4)

    @pytest.mark.slow
    def test_gamma_gaps_are_met_in_every_window(self) -> None:
        result = fitted("gamma")
        assert error_where_known(result) < 0.15
        assert fitted_report(result)["traffic"]["gamma"]["scv"] == pytest.approx(4, rel=0.1)
        assert not result.traffic.law.bursts

    @pytest.mark.slow
    def test_bursts_are_met_in_every_window_by_bursts(self) -> None:
        result = fitted("bursts")
        assert error_where_known(result) < 0.15
        assert result.traffic.law.bursts
        # bursts of fourteen queries a second for two seconds are in the gaps too, but gaps alone forget them
        assert result.misfit.set_index("window_s")["index_of_dispersion"][10.0] > 5

    @pytest.mark.slow
    def test_a_swing_of_the_rate_is_in_the_curve_and_not_in_bursts(self) -> None:
        result = fitted("swing")
        assert not result.traffic.law.bursts
        assert result.worst_error < 0.15
        true = generate_curve()
        error = np.sqrt(np.mean((result.rates["curve_qps"] - true) ** 2)) / 6
        assert error < 0.06
        assert result.rate_error < 1.3 * result.rate_noise

    def test_batches_keep_their_sizes(self) -> None:
        result = fitted("batches")
        batch = result.traffic.law.batch
        assert batch is not None
        assert (round(batch.mean, 1), batch.sizes) == (4.0, "geometric")
        assert error_where_known(result) < 0.2
        pairs = fitted("pairs").traffic.law.batch
        assert pairs is not None
        assert (pairs.mean, pairs.sizes) == (2, "fixed")

    @pytest.mark.slow
    def test_ticks_are_drawn_as_ticks(self) -> None:
        result = fitted("ticks")
        law = result.traffic.law
        assert law.tick_ns == 10**9
        assert not (law_trace(law, 5).times_ns % 10**9).any()
        assert error_where_known(result) < 0.15

    @pytest.mark.slow
    @pytest.mark.parametrize(
        ("scv", "family"), [(1.44, "gamma"), (36, "gamma"), (225, "gamma"), (1.44, "weibull"), (36, "weibull")]
    )
    def test_clients_whose_rate_jumps_are_met_in_every_window(self, scv: float, family: str) -> None:
        trace = clients(scv, [1, 2, 0.5, 3, 1, 0.3, 1.5, 2, 1, 0.2, 2.5, 1], family)
        result = fit(trace)
        assert result.worst_error < 0.15
        assert replica_dispersion(result, 10**10) == pytest.approx(index_of_dispersion(trace, 10**10), rel=0.15)


def generate_curve() -> np.ndarray:
    """Return the mean rate of every minute of the swing."""
    times = np.arange(60) + 0.5
    return 6 + 5 * np.cos(2 * np.pi * (times - 20) / 60)


class TestFit:
    @pytest.mark.slow
    def test_figures_are_those_of_the_trace_and_of_draws(self) -> None:
        trace, result = drawn("bursts"), fitted("bursts")
        for row in result.misfit.to_dict("records"):
            window_ns = round(row["window_s"] * 1e9)
            assert row["index_of_dispersion"] == pytest.approx(index_of_dispersion(trace, window_ns), rel=1e-12)
            assert row["fitted"] == (row["windows"] >= 30)
        row = result.misfit.set_index("window_s").loc[2.0]
        error = 3 * row["replica_sd"] * (2 / 20) ** 0.5
        assert replica_dispersion(result, 2 * 10**9) == pytest.approx(row["replica_mean"], abs=error)
        assert result.misfit["window_s"].iloc[0] == 0.1
        assert result.misfit["window_s"][result.misfit["fitted"]].max() == pytest.approx(80, rel=0.01)
        assert result.rates["trace_qps"].mean() == pytest.approx(trace.mean_rate_qps, rel=1e-3)

    @pytest.mark.slow
    def test_equal_seeds_give_equal_fits(self) -> None:
        trace = drawn("bursts").between(0, 3000)
        one, again, other = (fit(trace, replicas=4, max_bursts=1, seed=seed) for seed in (0, 0, 1))
        assert recipe_yaml(one) == recipe_yaml(again)
        assert one.misfit.equals(again.misfit)
        assert not one.misfit.equals(other.misfit)

    @pytest.mark.slow
    def test_options_do_what_they_say(self) -> None:
        trace = drawn("bursts")
        plain = fit(trace, max_bursts=0, replicas=5, family="weibull", resolution_ns=90 * 10**9)
        assert not plain.traffic.law.bursts
        assert plain.traffic.law.family == "weibull"
        assert plain.replicas == 5
        assert plain.rates["start_s"].diff().iloc[1] == 90

    @pytest.mark.slow
    def test_fast_traffic_is_fitted_in_windows_below_a_tenth_of_a_second(self) -> None:
        result = fit(law_trace({"gamma": {"rate_qps": 2000, "scv": 3, "duration": "20s"}}, seed=1), replicas=5)
        assert result.misfit["window_s"].iloc[0] == 0.001

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"max_bursts": -1}, "max_bursts: -1"),
            ({"max_bursts": 17}, "max_bursts: 17"),
            ({"replicas": 1}, "replicas: 1"),
            ({"replicas": 1001}, "replicas: 1001"),
            ({"family": "pareto"}, "family: 'pareto'"),
            ({"seed": -1}, "seed: -1"),
            ({"resolution_ns": 0}, "resolution: 0"),
            ({"resolution_ns": 2 * 3600 * 10**9}, "resolution: 7200"),
            ({"resolution_ns": 10**7}, "too many bins"),
        ],
    )
    def test_options_that_are_not_allowed_are_refused(self, options: dict[str, Any], message: str) -> None:
        with pytest.raises(InvalidInputError, match=message):
            fit(drawn("poisson"), **options)

    def test_traces_that_hold_too_little_are_refused(self) -> None:
        with pytest.raises(InvalidInputError, match="trace: 99 queries are too few"):
            fit(make_trace([float(index) for index in range(99)]))
        with pytest.raises(InvalidInputError, match="trace: 0 queries"):
            fit(make_trace([]))
        with pytest.raises(InvalidInputError, match="all queries arrive at once"):
            fit(make_trace([5.0] * 200))
        with pytest.raises(InvalidInputError, match="cannot be drawn"):
            fit(ArrivalTrace(np.arange(200) * 10**13, 200 * 10**13))
        with pytest.raises(InvalidInputError, match="cannot be drawn"):
            fit(ArrivalTrace(np.arange(200) // 10, 20))

    @pytest.mark.slow
    @pytest.mark.parametrize("gaps_ns", [np.full(400, 10**8), np.tile([1, 2 * 10**8 - 1], 200)])
    def test_traces_more_regular_than_any_law_are_fitted_without_a_fuss(self, gaps_ns: np.ndarray) -> None:
        times = np.cumsum(gaps_ns)
        result = fit(ArrivalTrace(times, int(times[-1])), replicas=2)
        assert result.replica_gap_scv > 0

    def test_silence_before_and_after_the_queries_is_left_out_and_said(self) -> None:
        trace = drawn("pairs")
        later = ArrivalTrace(trace.times_ns + 2000 * 10**9, trace.duration_ns + 4000 * 10**9)
        result = fit(later, replicas=3)
        assert result.duration_s == pytest.approx(1800, rel=0.01)
        assert any("before the first query" in note for note in result.notes)
        assert not any("before the first query" in note for note in fitted("pairs").notes)


class TestCommand:
    def test_options_are_those_of_the_function(self, run: Run) -> None:
        Path("t.csv").write_bytes(trace_csv(drawn("pairs").between(0, 6000)))
        options = ("--resolution", "90s", "--max-bursts", 0, "--family", "weibull", "--draws", 3, "--seed", 4)
        answer = run("trace", "fit", "t.csv", *options, "--out", "r.yaml", "--json")
        assert answer.code == 0, answer.err
        trace = parse_trace(Path("t.csv").read_bytes(), RecordedTraffic(file="t.csv", format="pipesim"))
        result = fit(trace, resolution_ns=90 * 10**9, max_bursts=0, family="weibull", replicas=3, seed=4)
        report = json.loads(answer.out)
        assert report["replicas"] == 3
        assert report["misfit"] == fitted_report(result)["misfit"]
        assert [row["start_s"] for row in report["rates"]][:2] == [0, 90]
        assert read_back(Path("r.yaml").read_text()).traffic == result.traffic

    def test_what_is_not_said_is_as_in_the_function(self) -> None:
        command, function = (inspect.signature(each).parameters for each in (fit_command, fit))
        named = {"max_bursts": "max_bursts", "draws": "replicas", "family": "family", "resolution": "resolution_ns"}
        assert all(command[name].default == function[other].default for name, other in named.items())

    @pytest.mark.parametrize(
        ("option", "value", "rule"),
        [
            ("--max-bursts", "17", "17 is not allowed; use 0 to 16"),
            ("--max-bursts", "-1", "-1 is not allowed; use 0 to 16"),
            ("--draws", "1", "1 is not allowed; use 2 to 1000"),
            ("--draws", "1001", "1001 is not allowed; use 2 to 1000"),
            ("--family", "pareto", "'pareto' is not known; use one of gamma, weibull"),
            ("--resolution", "0s", "is not allowed; use up to"),
            ("--resolution", "2h", "is not allowed; use up to"),
            ("--resolution", "10ms", "gives too many bins; use at least"),
            ("--resolution", "soon", "'soon'"),
            ("--resolution", "-1s", "'-1s'"),
            ("--resolution", "nan", "'nan'"),
        ],
    )
    def test_options_that_are_not_allowed_are_refused_in_one_line(
        self, run: Run, option: str, value: str, rule: str
    ) -> None:
        Path("t.csv").write_bytes(trace_csv(drawn("pairs")))
        answer = run("trace", "fit", "t.csv", f"{option}={value}", "--out", "r.yaml")
        assert (answer.code, answer.out) == (2, "")
        assert answer.err.startswith(f"pipesim: {option}: ")
        assert rule in answer.err
        assert answer.err.count("\n") == 1
        assert not Path("r.yaml").exists()


class TestRecipe:
    @pytest.mark.slow
    @pytest.mark.parametrize("name", list(LAWS))
    def test_a_recipe_reads_back_as_the_law_of_the_fit(self, name: str) -> None:
        assert read_back(recipe_yaml(fitted(name))).traffic == fitted(name).traffic

    @pytest.mark.slow
    def test_it_says_how_far_it_is_off_and_what_it_was_made_from(self) -> None:
        result = replace(fitted("bursts"), inputs=(InputFile("a\nb.csv", "0" * 64),))
        text = recipe_yaml(result)
        header = text[: text.index("traffic:")].splitlines()
        assert all(line.startswith("#") for line in header)
        assert all(len(line) <= 120 for line in text.splitlines())
        assert any("0" * 64 in line and r"a\nb.csv" in line for line in header)
        for row in result.misfit.to_dict("records"):
            assert any(f"{row['index_of_dispersion']:.4g}" in line for line in header)

    @pytest.mark.slow
    def test_a_report_is_json(self) -> None:
        report = fitted_report(fitted("bursts"))
        again = json.loads(json.dumps(report, allow_nan=False))
        assert again == report
        assert again["worst_error"] == fitted("bursts").worst_error
        assert len(again["misfit"]) == len(fitted("bursts").misfit)

    def test_attributes_are_drawn_by_quantiles_or_shares_and_what_cannot_be_is_named(self) -> None:
        rng, trace = np.random.default_rng(1), drawn("poisson")
        size = len(trace)
        attributes = {
            "tokens": rng.lognormal(6, 1, size),
            "images": rng.poisson(1, size).astype(np.float64),
            "model": rng.choice(["a", "b", "yes"], size, p=[0.7, 0.2, 0.1]),
            "user": rng.integers(0, 1000, size).astype(str),
            "broken": np.full(size, np.nan),
        }
        result = fit(ArrivalTrace(trace.times_ns, trace.duration_ns, attributes=attributes), replicas=2)
        law = read_back(recipe_yaml(result)).traffic.attributes
        assert set(law) == {"tokens", "images", "model"}
        assert any("user, broken" in note for note in result.notes)
        quantiles, weights = law["tokens"].quantiles, law["model"].weights
        assert len(quantiles) == (1001 if size >= 5000 else 101)
        assert not law["tokens"].whole
        assert law["images"].whole
        assert quantiles[len(quantiles) // 2] == pytest.approx(np.median(attributes["tokens"]), rel=1e-5)
        assert weights["a"] == pytest.approx(np.mean(attributes["model"] == "a"), abs=1e-6)

    @pytest.mark.parametrize("duration_ns", [1, 999, 1500, 10**9, 3_501_721_937_000, 3600 * 10**9, 86_400 * 10**9 + 1])
    def test_durations_are_written_exactly(self, duration_ns: int) -> None:
        assert parse_duration_ns(duration_text(duration_ns)) == duration_ns


@needs_real_traces
@pytest.mark.slow
class TestRealTraces:
    def test_the_azure_trace_is_met_within_15_percent_in_every_window(self) -> None:
        result = fitted_azure()
        assert result.worst_error < 0.15
        for tenths in (1, 2, 5, 10, 20, 50, 100, 200, 300, 600, 1167):
            window_ns = tenths * 10**8
            expected = index_of_dispersion(azure(), window_ns)
            assert replica_dispersion(result, window_ns) == pytest.approx(expected, rel=0.15)
        assert result.envelope["relative_error"].abs().max() < 0.15
        assert result.rate_error < result.rate_noise * 1.2

    def test_a_log_of_whole_seconds_is_met_within_15_percent_in_every_window(self) -> None:
        content = (REAL / "nasa-http-1995" / "nasa_http_1995-07-01_first10k.csv.gz").read_bytes()
        trace = parse_trace(
            gzip.decompress(content), RecordedTraffic(file="nasa", format="csv", column="epoch_s", unit="s")
        )
        result = fit(trace)
        assert result.traffic.law.tick_ns == 10**9
        assert result.worst_error < 0.15

    def test_batches_of_three_seconds_are_met_within_15_percent_but_where_the_clock_jitters(self) -> None:
        lines = gzip.decompress((REAL / "mooncake-fast25" / "conversation_trace.jsonl.gz").read_bytes()).splitlines()
        times = np.array([json.loads(line)["timestamp"] for line in lines]) * 10**6
        result = fit(ArrivalTrace(times, int(times[-1])))
        assert result.traffic.law.tick_ns == 3 * 10**9
        assert result.worst_error < 0.15
        assert any("jitters" in note for note in result.notes)
        assert result.misfit["window_s"][~result.misfit["fitted"] & (result.misfit["windows"] > 30)].tolist() == [3.0]

    def test_plans_for_the_fitted_trace_cost_what_plans_for_the_trace_itself_do(self) -> None:
        scenario = load_scenario(EXAMPLES / "social-media.yaml")
        law = read_back(recipe_yaml(fitted_azure())).traffic.law
        original = plan(Workload.of(scenario, compress_time(azure(), 27)))
        again = plan(Workload.of(scenario, compress_time(law_trace(law, 1), 27)))
        assert isinstance(original, FeasiblePlan)
        assert isinstance(again, FeasiblePlan)
        one, other = original.simulation, again.simulation
        replicas = [
            sum(stage.replicas for stage in each.plan.stages.values())
            for each in (original.simulation, again.simulation)
        ]
        cost = float(other.cost_usd_per_hour / one.cost_usd_per_hour)
        assert cost == pytest.approx(1, abs=0.05) or abs(replicas[0] - replicas[1]) <= 1
