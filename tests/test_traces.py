"""Traces: generated, read, transformed and described."""

from pathlib import Path

import numpy as np
import pytest

from build import make_trace
from pipesim.errors import InvalidInputError
from pipesim.model.traffic import DrawnCategory, DrawnGamma, DrawnLognormal, GammaSize, RecordedTraffic
from pipesim.streams import Streams
from pipesim.traces import (
    ArrivalTrace,
    compress_time,
    compress_to_rate,
    describe,
    gamma,
    gap_scv,
    index_of_dispersion,
    parse_trace,
    peak_count,
    poisson,
    thin,
    trace_csv,
)
from pipesim.traces.generate import with_attributes

REAL = Path(__file__).parents[2] / "shared" / "data" / "traces"
needs_real_traces = pytest.mark.skipif(not REAL.is_dir(), reason="the collection of recorded traces is not here")


def read(text: str, **fields: object) -> ArrivalTrace:
    return parse_trace(text.encode(), RecordedTraffic.model_validate({"file": "t.csv", **fields}))


class TestGenerate:
    @pytest.mark.parametrize("scv", [0.25, 1, 4, 16])
    def test_gamma_has_the_rate_and_scv_asked_for(self, scv: float) -> None:
        trace = gamma(100, scv, queries=200_000, seed=3)
        # standard errors: of the mean gap sqrt(scv / n), of the scv about sqrt((6 scv³ + 8 scv²) / n)
        assert trace.mean_rate_qps == pytest.approx(100, rel=3 * (scv / 200_000) ** 0.5)
        assert gap_scv(trace) == pytest.approx(scv, abs=3 * ((6 * scv**3 + 8 * scv**2) / 200_000) ** 0.5)

    def test_scv_zero_is_a_metronome(self) -> None:
        assert gamma(100, 0, queries=3).times_ns.tolist() == [10_000_000, 20_000_000, 30_000_000]

    def test_a_longer_trace_begins_as_the_shorter_one(self) -> None:
        short, long = gamma(100, 4, duration_s=10, seed=5), gamma(100, 4, duration_s=2000, seed=5)
        assert np.array_equal(short.times_ns, long.times_ns[: len(short)])
        assert long.times_ns[len(short)] > short.duration_ns

    def test_equal_seeds_give_equal_traces_and_others_do_not(self) -> None:
        assert np.array_equal(poisson(10, queries=50, seed=1).times_ns, poisson(10, queries=50, seed=1).times_ns)
        assert not np.array_equal(poisson(10, queries=50, seed=1).times_ns, poisson(10, queries=50, seed=2).times_ns)

    @pytest.mark.parametrize("rate", [0, -1, float("nan"), float("inf")])
    def test_a_rate_must_be_finite_and_positive(self, rate: float) -> None:
        with pytest.raises(InvalidInputError, match="rate_qps"):
            poisson(rate, queries=1)

    def test_exactly_one_end_is_given(self) -> None:
        with pytest.raises(InvalidInputError, match="exactly one"):
            poisson(1, queries=1, duration_s=1)
        with pytest.raises(InvalidInputError, match="exactly one"):
            poisson(1)

    def test_drawn_attributes_have_their_laws_and_streams_of_their_own(self) -> None:
        trace = poisson(10, queries=100_000, seed=1)
        laws = {
            "tokens": DrawnGamma(gamma=GammaSize(mean=200, scv=0.5)),
            "seconds": DrawnLognormal(lognormal=GammaSize(mean=3, scv=2)),
            "tier": DrawnCategory(weights={"gold": 0.2, "basic": 0.8}),
        }
        drawn = with_attributes(trace, laws, Streams(1)).attributes
        assert drawn["tokens"].mean() == pytest.approx(200, rel=3 * (0.5 / 1e5) ** 0.5)
        assert drawn["tokens"].var() / 200**2 == pytest.approx(0.5, rel=0.05)
        assert drawn["seconds"].mean() == pytest.approx(3, rel=3 * (2 / 1e5) ** 0.5)
        assert np.mean(drawn["tier"] == "gold") == pytest.approx(0.2, abs=3 * (0.16 / 1e5) ** 0.5)
        alone = with_attributes(trace, {"tier": laws["tier"]}, Streams(1)).attributes
        assert np.array_equal(alone["tier"], drawn["tier"])


class TestRead:
    @pytest.mark.parametrize(
        ("unit", "texts"),
        [
            ("s", ["1700000000.123456789", "1700000000.123456790"]),
            ("ms", ["5", "5.000001"]),
            ("us", ["1e3", "1000.001"]),
            ("ns", ["7", "8"]),
        ],
    )
    def test_times_are_exact_to_the_nanosecond(self, unit: str, texts: list[str]) -> None:
        assert read("at\n" + "\n".join(texts), column="at", unit=unit).times_ns.tolist() == [0, 1]

    def test_dates_keep_seven_digits_and_the_epoch(self) -> None:
        trace = read("at\r\n2023-11-16 18:15:46.6805900\r\n2023-11-16T18:15:46.6805901", column="at", unit="datetime")
        assert trace.times_ns.tolist() == [0, 100]
        assert trace.epoch_ns == 1_700_158_546_680_590_000

    def test_other_columns_become_attributes_numbers_or_text(self) -> None:
        trace = read("at,n,kind\n0,5,a\n1,6,b\n", column="at", unit="s", columns={"tokens": "n", "class": "kind"})
        assert trace.attributes["tokens"].tolist() == [5.0, 6.0]
        assert trace.attributes["class"].tolist() == ["a", "b"]

    def test_simultaneous_arrivals_are_kept_and_rows_out_of_order_sorted_only_on_request(self) -> None:
        fields = {"column": "at", "unit": "s", "columns": {"n": "n"}}
        assert read("at,n\n3,1\n3,2\n", **fields).times_ns.tolist() == [0, 0]
        with pytest.raises(InvalidInputError, match=r"t\.csv:3"):
            read("at,n\n3,1\n2,2\n", **fields)
        sorted_trace = read("at,n\n3,1\n2,2\n", **fields, unsorted="sort")
        assert sorted_trace.attributes["n"].tolist() == [2.0, 1.0]

    def test_what_is_written_reads_back_the_same(self) -> None:
        trace = make_trace([0, 0.000001, 7.5], tokens=[1.5, 2.0, 3.0], place=["a,b", 'c"d', "e"])
        content = trace_csv(trace)
        columns = {"tokens": "tokens", "place": "place"}
        layout = {"file": "t", "column": "arrival_s", "unit": "s", "columns": columns}
        again = parse_trace(content, RecordedTraffic.model_validate(layout))
        assert np.array_equal(again.times_ns, trace.times_ns)
        assert again.attributes["tokens"].tolist() == [1.5, 2.0, 3.0]
        assert again.attributes["place"].tolist() == ["a,b", 'c"d', "e"]

    @needs_real_traces
    def test_the_azure_conversation_trace_has_the_figures_that_are_published_for_it(self) -> None:
        content = (REAL / "azure-llm-2023" / "AzureLLMInferenceTrace_conv.csv").read_bytes()
        trace = parse_trace(content, RecordedTraffic(file="azure", format="azure-llm"))
        second, minute = describe(trace).set_index("window_s").loc[[1, 60]].to_dict("records")
        assert len(trace) == 19_366
        assert round(trace.mean_rate_qps, 3) == 5.530
        assert round(gap_scv(trace) ** 0.5, 2) == 1.09
        assert (second["peak_qps"], second["peak_count"]) == (16, 19)
        assert (round(minute["peak_qps"], 2), minute["peak_count"]) == (8.45, 522)
        assert round(second["index_of_dispersion"], 2) == 1.39
        assert round(minute["index_of_dispersion"], 1) == 16.1
        assert (trace.attributes["context_tokens"].max(), trace.attributes["generated_tokens"].max()) == (14_050, 1_000)

    @needs_real_traces
    def test_two_publications_of_one_trace_give_the_same_arrivals(self) -> None:
        azure = parse_trace(
            (REAL / "azure-llm-2023" / "AzureLLMInferenceTrace_conv.csv").read_bytes(),
            RecordedTraffic(file="azure", format="azure-llm"),
        )
        columns = {"context_tokens": "num_prefill_tokens"}
        vidur = parse_trace(
            (REAL / "vidur-processed" / "splitwise_conv.csv").read_bytes(),
            RecordedTraffic(file="vidur", column="arrived_at", unit="s", columns=columns),
        )
        assert np.abs(azure.times_ns - vidur.times_ns).max() <= 300
        assert np.array_equal(azure.attributes["context_tokens"], vidur.attributes["context_tokens"])


class TestTransform:
    def test_compressed_time_keeps_the_burst_structure(self) -> None:
        trace = gamma(50, 4, duration_s=200, seed=1)
        fast = compress_time(trace, 4)
        assert fast.duration_s == 50
        assert fast.mean_rate_qps == 4 * trace.mean_rate_qps
        assert gap_scv(fast) == pytest.approx(gap_scv(trace), rel=1e-6)
        assert index_of_dispersion(fast, 250_000_000) == pytest.approx(index_of_dispersion(trace, 10**9), rel=0.02)

    def test_compressing_to_a_rate_reaches_it(self) -> None:
        assert compress_to_rate(poisson(10, queries=1000), 150).mean_rate_qps == pytest.approx(150, rel=1e-6)

    def test_a_trace_without_duration_has_no_rate_to_compress(self) -> None:
        with pytest.raises(InvalidInputError, match="no duration"):
            compress_to_rate(make_trace([0, 0]), 5)

    def test_thinning_keeps_the_duration_and_dilutes_bursts(self) -> None:
        trace = gamma(100, 16, duration_s=300, seed=1)
        half = thin(trace, 0.5, seed=1)
        assert half.duration_ns == trace.duration_ns
        assert len(half) / len(trace) == pytest.approx(0.5, abs=3 * (0.25 / len(trace)) ** 0.5)
        assert index_of_dispersion(half, 10**9) < 0.75 * index_of_dispersion(trace, 10**9)
        assert set(half.times_ns.tolist()) <= set(trace.times_ns.tolist())

    @pytest.mark.parametrize("factor", [0, -1, float("nan"), float("inf")])
    def test_a_load_must_be_finite_and_positive(self, factor: float) -> None:
        with pytest.raises(InvalidInputError, match="load"):
            compress_time(make_trace([0]), factor)


class TestDescribe:
    def test_the_envelope_counts_any_window_not_only_aligned_ones(self) -> None:
        trace = make_trace([0, 900, 1000, 1100, 5000])
        assert peak_count(trace, 10**9) == 3

    def test_a_poisson_trace_has_an_index_of_dispersion_of_1(self) -> None:
        trace = poisson(100, duration_s=2000, seed=2)
        # of 2,000 counts the index has a standard error of sqrt(2 / 2000)
        assert index_of_dispersion(trace, 10**9) == pytest.approx(1, abs=3 * (2 / 2000) ** 0.5)

    def test_empty_and_single_traces_are_described_without_a_fuss(self) -> None:
        for trace in (make_trace([]), make_trace([0])):
            assert describe(trace)["peak_count"].tolist() == [len(trace)] * 4
            assert describe(trace)["peak_qps"].isna().all()  # no window is as short as the trace

    def test_times_out_of_order_are_refused(self) -> None:
        with pytest.raises(InvalidInputError, match="ascending"):
            ArrivalTrace(np.array([2, 1]), 5)

    def test_a_trace_cannot_be_changed(self) -> None:
        with pytest.raises(ValueError, match="read-only"):
            make_trace([0, 1]).times_ns[0] = 5
