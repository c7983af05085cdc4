"""Traffic recorded as counts per bin: what files say, and the arrivals drawn from it."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipesim.errors import FileFormatError, InvalidInputError, PipesimError
from pipesim.model.traffic import CountsFile
from pipesim.model.traffic.curves import MAX_KNOTS
from pipesim.model.traffic.laws import WeibullLaw
from pipesim.traces.counts import MAX_BINS, MAX_COUNT, CountSeries, counts_caveats, law_of_counts
from pipesim.traces.expected import expected_counts
from pipesim.traces.formats.counts import read_counts
from pipesim.traces.formats.functions import read_functions
from pipesim.traces.generate import law_pieces, law_trace

NAN = float("nan")
SECOND = 10**9
REAL = Path(__file__).parents[2] / "shared" / "data" / "traces"
needs_real_traces = pytest.mark.skipif(not REAL.is_dir(), reason="the collection of recorded traces is not here")
COLUMNS = {"time": "t", "count": "n", "unit": "s", "bin": "1s"}
FUNCTIONS = """HashOwner,HashApp,HashFunction,Trigger,480,481,482
o1,a1,f1,timer,1,2,3
o1,a1,f2,http,10,0,5
o2,a2,f3,http,0,100,0
"""


def spec_of(name: str = "c.csv", **fields: object) -> CountsFile:
    return CountsFile.model_validate({"file": name, **fields})


def read(folder: Path, content: str | bytes, name: str = "c.csv", **fields: object) -> CountSeries:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return read_counts(path, spec_of(name, **fields))


def answer(*series: tuple[dict[str, str], list[tuple[float, str]]]) -> str:
    result = [{"metric": metric, "values": [list(pair) for pair in values]} for metric, values in series]
    return json.dumps({"status": "success", "data": {"resultType": "matrix", "result": result}})


def samples(*values: str, start: int = 1000, step: int = 60) -> list[tuple[float, str]]:
    """Return a sample for each value, none where it is empty."""
    return [(start + step * index, value) for index, value in enumerate(values) if value]


def series_of(*counts: float, bin_s: float = 1) -> CountSeries:
    return CountSeries(0, round(bin_s * SECOND), np.array(counts))


KNOWN_LAWS = {
    "poisson": {"poisson": {"rate_qps": 5, "duration": "1d"}},
    "poisson, a day": {"poisson": {"curve": {"diurnal": {"mean_qps": 5, "peak_qps": 8}}, "duration": "1d"}},
    "gamma": {"gamma": {"curve": {"diurnal": {"mean_qps": 5, "peak_qps": 8}}, "scv": 4, "duration": "1d"}},
    "short bursts": {
        "poisson": {"rate_qps": 5, "duration": "1d", "bursts": [{"factor": 4, "lasts": "10s", "every": "2min"}]}
    },
    "long bursts": {
        "poisson": {"rate_qps": 5, "duration": "1d", "bursts": [{"factor": 4, "lasts": "5min", "every": "30min"}]}
    },
}


def counts_of(times_ns: np.ndarray, bins: int, bin_s: int) -> np.ndarray:
    return np.bincount(np.minimum(times_ns // (bin_s * SECOND), bins - 1), minlength=bins)


def dispersion_at(counts: np.ndarray, width: int) -> float:
    """Return the variance over the mean of counts in windows of so many bins."""
    windows = counts[: len(counts) // width * width].reshape(-1, width).sum(axis=1)
    return float(np.nanvar(windows) / np.nanmean(windows))


def local_at(counts: np.ndarray, width: int) -> float:
    """Return half the mean square of the steps between windows of so many bins, over their mean."""
    windows = counts[: len(counts) // width * width].reshape(-1, width).sum(axis=1)
    return float(np.nanmean(np.diff(windows) ** 2) / 2 / np.nanmean(windows))


Measure = Callable[[np.ndarray, int], float]
BOTH: tuple[Measure, ...] = (dispersion_at, local_at)


def assert_dispersion_again(
    series: CountSeries, widths: tuple[int, ...] = (1, 2, 5, 20), measures: tuple[Measure, ...] = BOTH, **fields: object
) -> None:
    """Check that draws have the dispersion of a file on average, within three standard deviations of a draw."""
    law = law_of_counts(series, spec_of(**fields))
    bin_s = series.bin_ns // SECOND
    drawn = [counts_of(law_trace(law, seed).times_ns, len(series), bin_s).astype(float) for seed in range(20)]
    for measure in measures:
        for width in widths:
            values = [measure(np.where(series.known, each, NAN), width) for each in drawn]
            expected = pytest.approx(measure(series.counts, width), abs=3 * np.std(values, ddof=1))
            assert np.mean(values) == expected, (measure.__name__, width)


class TestCountSeries:
    def test_its_numbers_are_those_computed_by_hand(self) -> None:
        row = series_of(0, 4, 0, 4, bin_s=2).describe().iloc[0]
        assert (row["bins"], row["bin_s"], row["duration_s"], row["queries"]) == (4, 2, 8, 8)
        assert (row["mean_qps"], row["peak_qps"], row["empty_share"]) == (1, 2, 0.5)
        assert row["index_of_dispersion"] == 2  # variance 4, mean 2
        assert row["local_index_of_dispersion"] == 4  # half the mean of 16, 16, 16, over 2

    def test_bins_that_are_not_known_count_for_nothing(self) -> None:
        series = series_of(1, NAN, 3, 5.5)
        assert series.known.tolist() == [True, False, True, True]
        assert series.mean_qps == pytest.approx(9.5 / 3)
        assert series.peak_qps == 5.5
        assert series.index_of_dispersion == pytest.approx(np.var([1, 3, 5.5]) / (9.5 / 3))
        assert series.local_index_of_dispersion == pytest.approx(2.5**2 / 2 / (9.5 / 3))
        assert series.describe()["unknown_bins"][0] == 1

    def test_whole_and_fractional_counts_have_the_same_dispersion(self) -> None:
        counts = np.random.default_rng(1).poisson(7, 1000)
        whole, fractional = series_of(*counts), series_of(*counts.astype(float))
        assert whole.counts.dtype == np.int64
        assert fractional.counts.dtype == np.float64
        assert fractional.index_of_dispersion == pytest.approx(whole.index_of_dispersion, rel=1e-12)
        assert fractional.local_index_of_dispersion == pytest.approx(whole.local_index_of_dispersion, rel=1e-12)

    def test_dispersion_needs_two_bins_and_a_query(self) -> None:
        for series in (series_of(5.5), series_of(0.0, 0.0), series_of(5), series_of(0, 0)):
            assert np.isnan(series.index_of_dispersion)
            assert np.isnan(series.local_index_of_dispersion)

    @pytest.mark.parametrize("counts", [[-1], [float("inf")], [-0.5, 1], [NAN, NAN], [], [MAX_COUNT + 1], [[1, 2]]])
    def test_what_is_no_count_is_refused(self, counts: list[float]) -> None:
        with pytest.raises(InvalidInputError, match="counts"):
            CountSeries(0, SECOND, np.array(counts))

    def test_its_counts_are_read_only_and_its_own(self) -> None:
        counts = np.array([1, 2])
        series = CountSeries(0, SECOND, counts)
        counts[0] = 9
        assert series.counts.tolist() == [1, 2]
        with pytest.raises(ValueError, match="read-only"):
            series.counts[0] = 9


class TestTables:
    @pytest.mark.parametrize(
        ("unit", "bin_text", "times"),
        [
            ("s", "1s", "5 6 7"),
            ("s", "0.25s", "0.5 0.75 1"),
            ("ms", "1min", "60000 120000 180000"),
            ("us", "7s", "0 7000000 14000000"),
            ("ns", "1ms", "3 1000003 2000003"),
            ("s", "30min", "0 1800 3600"),
            ("datetime", "5min", "2015-02-26T23:55:53 2015-02-27T00:00:53 2015-02-27T00:05:53"),
        ],
    )
    def test_bins_of_any_width_and_unit_are_read(self, tmp_path: Path, unit: str, bin_text: str, times: str) -> None:
        rows = "".join(f"{time},{count}\n" for time, count in zip(times.split(), (3, 0, 4), strict=True))
        series = read(tmp_path, f"t,n\n{rows}", time="t", count="n", unit=unit, bin=bin_text)
        assert series.counts.tolist() == [3, 0, 4]
        assert series.counts.dtype == np.int64
        assert series.bin_ns == spec_of(bin=bin_text).bin
        assert series.absent == 0
        assert series.dated == (unit == "datetime")
        assert series.start_ns == (1_424_994_953 * SECOND if unit == "datetime" else 0)
        assert [file.name for file in series.inputs] == ["c.csv"]

    def test_dates_are_taken_in_the_zone_that_is_named(self, tmp_path: Path) -> None:
        text = "t,n\n2024-01-01 01:00:00,1\n"
        fields = {**COLUMNS, "unit": "datetime"}
        utc, berlin = read(tmp_path, text, **fields), read(tmp_path, text, **fields, timezone="Europe/Berlin")
        assert utc.start_ns - berlin.start_ns == 3600 * SECOND
        assert (utc.zone, berlin.zone) == ("UTC", "Europe/Berlin")

    def test_whole_numbers_may_be_written_with_decimals(self, tmp_path: Path) -> None:
        assert read(tmp_path, "t,n\n0,94.0\n1,1e2\n", **COLUMNS).counts.tolist() == [94, 100]

    def test_parquet_gives_what_csv_gives(self, tmp_path: Path) -> None:
        columns = {"t": [0, 60, 180], "n": [5, 6, 7]}
        pq.write_table(pa.table(columns), tmp_path / "c.parquet")
        fields = {**COLUMNS, "bin": "60s", "missing": "gap"}
        found = read_counts(tmp_path / "c.parquet", spec_of("c.parquet", **fields))
        expected = read(tmp_path, "t,n\n0,5\n60,6\n180,7\n", **fields)
        assert found.counts.tolist()[:2] == expected.counts.tolist()[:2] == [5, 6]
        assert np.array_equal(found.counts, expected.counts, equal_nan=True)

    def test_absent_bins_are_refused_unless_it_is_said_what_they_mean(self, tmp_path: Path) -> None:
        text = "t,n\n10,1\n11,2\n14,5\n16,7\n"
        with pytest.raises(InvalidInputError, match=r"c\.csv:4: t: '12 s' is absent, the first of 3 .*zero.*gap"):
            read(tmp_path, text, **COLUMNS)
        zero, gap = (read(tmp_path, text, **COLUMNS, missing=missing) for missing in ("zero", "gap"))
        assert zero.counts.tolist() == [1, 2, 0, 0, 5, 0, 7]
        assert zero.counts.dtype == np.int64
        np.testing.assert_array_equal(gap.counts, [1, 2, NAN, NAN, 5, NAN, 7])
        assert zero.absent == gap.absent == 3

    def test_the_first_absent_date_is_named(self, tmp_path: Path) -> None:
        text = "t,n\n2024-02-28 23:59:00,1\n2024-02-29 00:01:00,1\n"
        with pytest.raises(InvalidInputError, match="2024-02-29T00:00:00Z"):
            read(tmp_path, text, **{**COLUMNS, "unit": "datetime", "bin": "1min"})

    @pytest.mark.parametrize(
        ("row", "place"),
        [
            ("1,2", r":4: t: '1 s' is the time of the row before it too"),
            ("0.5,2", r":4: t: '0\.5 s' is earlier than"),
            ("2.5,2", r":4: t: '2\.5 s' is not a whole number of bins of 1 s"),
            ("2,-1", r":4: n: -1\.0 is not allowed"),
            ("2,NaN", r":4: n: 'NaN' is not finite"),
            ("2,inf", r":4: n: 'inf' is not finite"),
            ("2,1.5", r":4: n: 1\.5 is not a whole number.*values: rates"),
            ("2,", r":4: n: '' is not a number"),
            ("2,many", r":4: n: 'many' is not a number"),
            ("2,1e16", r":4: n: 1e\+16 is not allowed"),
            ("x,1", r":4: t: 'x' is not a number"),
            ("-1,1", r":4: t: '-1' is negative"),
            ("2", r":4: has 1 fields"),
            ("10000001,1", r":4: t: .* is more than 10,000,000 bins"),
        ],
    )
    def test_a_bad_row_is_refused_with_its_line(self, tmp_path: Path, row: str, place: str) -> None:
        with pytest.raises(PipesimError, match=place):
            read(tmp_path, f"t,n\n0,1\n1,1\n{row}\n", **COLUMNS, missing="zero")

    def test_as_many_bins_as_allowed_are_read(self, tmp_path: Path) -> None:
        series = read(tmp_path, f"t,n\n0,1\n{MAX_BINS - 1},2\n", **COLUMNS, missing="zero")
        assert len(series) == MAX_BINS
        assert series.counts.sum() == 3

    def test_rates_may_be_fractions_and_become_counts(self, tmp_path: Path) -> None:
        series = read(tmp_path, "t,n\n0,0.25\n60,2\n", **{**COLUMNS, "bin": "60s"}, values="rates")
        assert series.counts.tolist() == [15, 120]
        assert series.mean_qps == pytest.approx(1.125)

    def test_a_counter_counts_what_comes_between_its_rows(self, tmp_path: Path) -> None:
        series = read(tmp_path, "t,n\n5,100\n6,107\n7,107\n8,3\n9,5\n", **COLUMNS, values="counter")
        assert series.counts.tolist() == [7, 0, 3, 2]  # it was reset before 8 s, and counted 3 since

    def test_an_absent_sample_of_a_counter_hides_both_steps_or_moves_them_into_one(self, tmp_path: Path) -> None:
        text = "t,n\n0,10\n1,11\n3,15\n4,20\n"
        fields = {**COLUMNS, "values": "counter"}
        with pytest.raises(InvalidInputError, match=r":4: t: '2 s' is absent"):
            read(tmp_path, text, **fields)
        np.testing.assert_array_equal(read(tmp_path, text, **fields, missing="gap").counts, [1, NAN, NAN, 5])
        assert read(tmp_path, text, **fields, missing="zero").counts.tolist() == [1, 0, 4, 5]

    def test_a_counter_needs_two_rows(self, tmp_path: Path) -> None:
        with pytest.raises(FileFormatError, match="needs two"):
            read(tmp_path, "t,n\n0,10\n", **COLUMNS, values="counter")

    @pytest.mark.parametrize("field", ["time", "count", "unit"])
    def test_a_table_needs_to_know_its_columns(self, tmp_path: Path, field: str) -> None:
        fields = {name: value for name, value in COLUMNS.items() if name != field}
        with pytest.raises(InvalidInputError, match=rf"counts\.{field}: is missing"):
            read(tmp_path, "t,n\n0,1\n", **fields)

    def test_without_a_width_the_least_step_is_told_and_not_taken(self, tmp_path: Path) -> None:
        with pytest.raises(InvalidInputError, match=r"counts\.bin: is missing.*5 min"):
            read(tmp_path, "t,n\n0,1\n600,1\n900,1\n", time="t", count="n", unit="s")
        with pytest.raises(InvalidInputError, match=r"counts\.bin: is missing; say how wide a bin is$"):
            read(tmp_path, "t,n\n0,1\n", time="t", count="n", unit="s")

    def test_unknown_columns_are_not_guessed(self, tmp_path: Path) -> None:
        with pytest.raises(FileFormatError, match=r"columns t, n.*say time, unit, count and bin"):
            read(tmp_path, "t,n\n0,1\n")
        with pytest.raises(FileFormatError, match="has no column n"):
            read(tmp_path, "t,m\n0,1\n", **COLUMNS)

    @pytest.mark.parametrize("text", ["t,n\n", ""])
    def test_a_file_without_rows_is_refused(self, tmp_path: Path, text: str) -> None:
        with pytest.raises(FileFormatError, match=r"c\.csv: (holds no rows|is empty)"):
            read(tmp_path, text, **COLUMNS)

    @pytest.mark.parametrize(
        ("fields", "field"),
        [
            ({**COLUMNS, "series": "x"}, "series"),
            ({**COLUMNS, "timezone": "Europe/Berlin"}, "timezone"),
            ({**COLUMNS, "unit": "datetime", "timezone": "Mars/Olympus"}, "timezone"),
        ],
    )
    def test_fields_of_no_use_are_refused(self, tmp_path: Path, fields: dict[str, object], field: str) -> None:
        with pytest.raises(InvalidInputError, match=rf"counts\.{field}: "):
            read(tmp_path, "t,n\n0,1\n", **fields)


class TestFunctions:
    def test_functions_are_summed_or_chosen_by_a_hash(self, tmp_path: Path) -> None:
        found = {name: read(tmp_path, FUNCTIONS, series=name).counts.tolist() for name in ("f2", "a1", "o2")}
        assert found == {"f2": [10, 0, 5], "a1": [11, 2, 8], "o2": [0, 100, 0]}
        series = read(tmp_path, FUNCTIONS)
        assert series.counts.tolist() == [11, 102, 8]
        assert (series.bin_ns, series.start_ns, series.dated) == (60 * SECOND, 0, False)
        assert read(tmp_path, FUNCTIONS, format="azure-functions-2019").counts.tolist() == [11, 102, 8]

    def test_each_function_is_a_series_of_its_own(self, tmp_path: Path) -> None:
        path = tmp_path / "c.csv"
        path.write_text(FUNCTIONS)
        found = {name: series.counts.tolist() for name, series in read_functions(path, spec_of())}
        assert found == {"f1": [1, 2, 3], "f2": [10, 0, 5], "f3": [0, 100, 0]}
        assert [name for name, _ in read_functions(path, spec_of(series="a1"))] == ["f1", "f2"]

    def test_absent_minutes_are_absent_bins(self, tmp_path: Path) -> None:
        text = FUNCTIONS.replace(",482\n", ",484\n")
        with pytest.raises(InvalidInputError, match=r"c\.csv:1: 'minute 482' is absent, the first of 2 such bins of 5"):
            read(tmp_path, text)
        assert read(tmp_path, text, missing="zero").counts.tolist() == [11, 102, 0, 0, 8]

    @pytest.mark.parametrize(
        ("old", "new", "place"),
        [
            (",100,", ",-1,", r":4: 481: '-1' is not a whole number"),
            (",100,", ",1.5,", r":4: 481: '1\.5' is not a whole number"),
            (",100,", ",,", r":4: 481: '' is not a whole number"),
            (",100,", ",٣,", r":4: 481: '٣' is not a whole number"),
            (",100,", ",9999999999999999,", r":4: 481: .* is not a whole number"),
            (",0,100,0", ",0,100", r":4: has 6 fields"),
            (",480,481,482\n", ",480,482,481\n", r":1: 'minute 481' is earlier"),
            (",480,481,482\n", ",480,481,1441\n", r":1: '1441' is not a minute of the day"),
            (",480,481,482\n", ",480,481,x\n", r":1: 'x' is not a minute of the day"),
            (",480,481,482\n", ",480,481,481\n", r":1: names the column '481' twice"),
            ("Trigger", "Trigger2", r":1: has no column Trigger"),
        ],
    )
    def test_what_is_no_table_of_functions_is_refused(self, tmp_path: Path, old: str, new: str, place: str) -> None:
        with pytest.raises(PipesimError, match=rf"c\.csv{place}"):
            read(tmp_path, FUNCTIONS.replace(old, new))

    def test_columns_are_in_the_order_of_the_format(self, tmp_path: Path) -> None:
        text = "HashOwner,HashApp,HashFunction,480,Trigger\no,a,f,1,http\n"
        with pytest.raises(FileFormatError, match="does not begin with HashOwner"):
            read(tmp_path, text, format="azure-functions-2019")

    def test_there_must_be_functions(self, tmp_path: Path) -> None:
        with pytest.raises(FileFormatError, match="holds no functions"):
            read(tmp_path, FUNCTIONS.split("\n")[0] + "\n")
        with pytest.raises(InvalidInputError, match=r"counts\.series: 'f9' is no hash of the 3 functions"):
            read(tmp_path, FUNCTIONS, series="f9")

    @pytest.mark.parametrize(
        "field",
        [{"time": "t"}, {"count": "n"}, {"unit": "s"}, {"values": "counts"}, {"bin": "60s"}, {"timezone": "UTC"}],
    )
    def test_fields_of_no_use_are_refused(self, tmp_path: Path, field: dict[str, str]) -> None:
        with pytest.raises(InvalidInputError, match=rf"counts\.{next(iter(field))}: .* does not belong"):
            read(tmp_path, FUNCTIONS, format="azure-functions-2019", **field)


class TestPrometheus:
    def test_rates_are_of_the_step_that_ends_at_their_time(self, tmp_path: Path) -> None:
        series = read(tmp_path, answer(({}, samples("0.5", "2", "0"))), values="rates")
        assert series.counts.tolist() == [30, 120, 0]
        assert (series.start_ns, series.bin_ns, series.dated) == (940 * SECOND, 60 * SECOND, True)

    def test_counts_may_be_fractions(self, tmp_path: Path) -> None:
        series = read(tmp_path, answer(({}, samples("0.5", "2"))), values="counts")
        assert series.counts.tolist() == [0.5, 2]
        assert series.start_ns == 940 * SECOND

    def test_a_counter_that_drops_has_begun_again_at_zero(self, tmp_path: Path) -> None:
        series = read(tmp_path, answer(({}, samples("90", "100", "4", "4", "9"))), values="counter")
        assert series.counts.tolist() == [10, 4, 0, 5]
        assert series.counts.dtype == np.int64
        assert series.start_ns == 1000 * SECOND

    def test_several_series_are_summed_each_while_it_is_there(self, tmp_path: Path) -> None:
        old, new = samples("10", "20", "30"), samples("1", "3", "6", start=1060)
        series = read(tmp_path, answer(({"pod": "a"}, old), ({"pod": "b"}, new)), values="counter")
        assert series.counts.tolist() == [10, 10 + 2, 3]
        rates = read(tmp_path, answer(({"pod": "a"}, old), ({"pod": "b"}, new)), values="counts")
        assert rates.counts.tolist() == [10, 21, 33, 6]

    @pytest.mark.parametrize(
        ("labels", "expected"),
        [
            ('job="api"', [11, 22]),
            ('{job="api", code="200"}', [1, 2]),
            ('code="200"', [101, 202]),
            (r'path="a,\"b\""', [10, 20]),
        ],
    )
    def test_series_are_chosen_by_labels(self, tmp_path: Path, labels: str, expected: list[int]) -> None:
        text = answer(
            ({"job": "api", "code": "200"}, samples("1", "2")),
            ({"job": "api", "code": "500", "path": 'a,"b"'}, samples("10", "20")),
            ({"job": "web", "code": "200"}, samples("100", "200")),
        )
        assert read(tmp_path, text, values="counts", series=labels).counts.tolist() == expected

    @pytest.mark.parametrize("labels", ["api", 'job="api', "job=api", 'job="api" code="1"', 'job="api",', ""])
    def test_labels_must_be_labels(self, tmp_path: Path, labels: str) -> None:
        with pytest.raises(InvalidInputError, match=r"counts\.series: .*is not a list of labels"):
            read(tmp_path, answer(({"job": "api"}, samples("1", "2"))), values="counts", series=labels)

    def test_labels_of_no_series_are_refused_with_those_there_are(self, tmp_path: Path) -> None:
        with pytest.raises(InvalidInputError, match=r'there are job="api"'):
            read(tmp_path, answer(({"job": "api"}, samples("1", "2"))), values="counts", series='job="db"')

    def test_absent_steps_are_refused_or_taken_as_said(self, tmp_path: Path) -> None:
        text = answer(({"pod": "a"}, samples("1", "2", "3", "4")), ({"pod": "b"}, samples("10", "", "30", "40")))
        with pytest.raises(InvalidInputError, match=r"data\.result: '1970-01-01T00:16:40Z' is absent, the first of 1"):
            read(tmp_path, text, values="counts")
        assert read(tmp_path, text, values="counts", missing="zero").counts.tolist() == [11, 2, 33, 44]
        gap = read(tmp_path, text, values="counts", missing="gap")
        np.testing.assert_array_equal(gap.counts, [11, NAN, 33, 44])
        assert gap.absent == 1
        np.testing.assert_array_equal(read(tmp_path, text, values="counter", missing="gap").counts, [NAN, NAN, 11])
        assert read(tmp_path, text, values="counter", missing="zero").counts.tolist() == [1, 1 + 20, 1 + 10]

    def test_a_step_in_which_no_series_has_a_sample_is_absent(self, tmp_path: Path) -> None:
        text = answer(({"pod": "a"}, samples("1", "2")), ({"pod": "b"}, samples("7", "8", start=1180)))
        with pytest.raises(InvalidInputError, match="is absent, the first of 1 such bins of 5"):
            read(tmp_path, text, values="counts")
        assert read(tmp_path, text, values="counts", missing="zero").counts.tolist() == [1, 2, 0, 7, 8]

    @pytest.mark.parametrize("value", ["NaN", "+Inf", "-Inf"])
    def test_what_is_not_finite_is_refused_or_absent(self, tmp_path: Path, value: str) -> None:
        text = answer(({}, samples("1", value, "3")))
        with pytest.raises(InvalidInputError, match=r"data\.result\.0\.values\.1: .* is not finite; say missing"):
            read(tmp_path, text, values="rates")
        np.testing.assert_array_equal(read(tmp_path, text, values="rates", missing="gap").counts, [60, NAN, 180])

    def test_the_step_is_the_least_or_that_which_is_named(self, tmp_path: Path) -> None:
        sparse = answer(({}, samples("1", "", "3", "", "5")))
        assert read(tmp_path, sparse, values="counts").bin_ns == 120 * SECOND
        assert len(read(tmp_path, sparse, values="counts", bin="60s", missing="zero")) == 5
        with pytest.raises(InvalidInputError, match="is not a whole number of bins of 90 s"):
            read(tmp_path, sparse, values="counts", bin="90s")
        with pytest.raises(InvalidInputError, match=r"counts\.bin: .*milliseconds"):
            read(tmp_path, sparse, values="counts", bin="1us")
        one = answer(({}, samples("7")))
        with pytest.raises(InvalidInputError, match=r"counts\.bin: is missing"):
            read(tmp_path, one, values="counts")
        assert read(tmp_path, one, values="counts", bin="15s").counts.tolist() == [7]
        with pytest.raises(FileFormatError, match="no two samples in a row"):
            read(tmp_path, one, values="counter", bin="15s")

    def test_times_are_exact_to_the_millisecond(self, tmp_path: Path) -> None:
        text = answer(({}, [(1435781430.781, "1"), (1435781445.781, "2")]))
        series = read(tmp_path, text, values="counter")
        assert (series.start_ns, series.bin_ns) == (1435781430_781_000_000, 15 * SECOND)

    def test_what_the_numbers_are_must_be_said(self, tmp_path: Path) -> None:
        with pytest.raises(InvalidInputError, match=r"counts\.values: is missing"):
            read(tmp_path, answer(({}, samples("1", "2"))))

    def test_an_error_of_prometheus_is_named(self, tmp_path: Path) -> None:
        text = '{"status": "error", "errorType": "bad_data", "error": "parse error:\\u001b[31m no"}'
        with pytest.raises(FileFormatError, match=r"error of Prometheus \(bad_data: parse error:\\x1b\[31m no\)"):
            read(tmp_path, text, values="rates")

    @pytest.mark.parametrize(
        ("text", "rule"),
        [
            ('{"status": "success", "data": {"resultType": "vector", "result": []}}', "'vector' is not a range"),
            ('{"status": "success"}', "null is not a range"),
            ('{"status": "success", "data": {"resultType": "matrix"}}', "is not a range"),
            ('{"status": "success", "data": {"resultType": "matrix", "result": []}}', "holds no samples"),
            ('{"status": "success", "data": {"resultType": "matrix", "result": [[]]}}', "has not metric and values"),
            ('{"a": 1}', "has no status"),
            ("{", ":1: is not valid JSON"),
            ('{"status": NaN}', "holds NaN, which is not JSON"),
            ('{"a":' * 100_000, "is too deep|is not valid JSON"),
            (answer(({}, [(60, "1"), (60, "2")])), "is not later than"),
            (answer(({}, [(60, "1"), (0, "2")])), "is not later than"),
            (answer(({}, [(-60, "1")])), "is not a time"),
            (answer(({}, [(1e300, "1")])), "is not a time"),
            (answer(({}, samples("-1", "2"))), "is not allowed"),
            (answer(({}, samples("1e300", "2"))), "is not allowed"),
            (answer(({}, samples("x", "2"))), "is not a number"),
            (answer(({}, samples("1_0", "2"))), "is not a number"),
            (answer(({}, [(60, 5)])), "is not a number"),  # type: ignore[list-item]
            (answer(({}, [(60,)])), "is not a time and a value"),  # type: ignore[list-item]
            (answer(({}, [("60", "1")])), "is not a time"),  # type: ignore[list-item]
            (answer(({}, [(0, "1"), (0.001, "1"), (1e9, "1")])), "is more than 10,000,000 bins"),
        ],
    )
    def test_what_is_no_answer_to_a_range_query_is_refused(self, tmp_path: Path, text: str, rule: str) -> None:
        with pytest.raises(PipesimError, match=rf"p\.json.*({rule})"):
            read(tmp_path, text, "p.json", values="counts")

    def test_many_wide_and_empty_series_are_refused_before_they_take_time(self, tmp_path: Path) -> None:
        wide = [(0, "1"), (9_999, "1")]
        text = answer(({}, [(0, "1"), (0.001, "1")]), *(({}, wide) for _ in range(6)))
        with pytest.raises(FileFormatError, match="more than 50,000,000 steps"):
            read(tmp_path, text, values="counts", missing="zero")

    @pytest.mark.parametrize("field", [{"time": "t"}, {"count": "n"}, {"unit": "s"}, {"timezone": "UTC"}])
    def test_fields_of_no_use_are_refused(self, tmp_path: Path, field: dict[str, str]) -> None:
        with pytest.raises(InvalidInputError, match=rf"counts\.{next(iter(field))}: .* does not belong"):
            read(tmp_path, answer(({}, samples("1", "2"))), values="counts", **field)


@needs_real_traces
class TestRealFiles:
    @pytest.mark.parametrize(
        ("file", "fields", "bins", "absent", "numbers"),
        [
            ("azure-functions-2019-sample/sample500_invocations.csv.gz", {}, 480, 0, "105.5 126.7 63.5 13.2"),
            ("azure-functions-2019-sample/sample100_invocations.csv.gz", {}, 480, 0, "11.8 24.3 8.81 3.86"),
            (
                "worldcup98/invocation_count_1998-04-30_to_1998-07-03.csv.gz",
                {"time": "period", "count": "count", "bin": "60s", "missing": "zero"},
                92_310,
                10,
                "200.8 3752.3 35416 33.0",
            ),
            ("nab/elb_request_count_8c0756.csv", {"bin": "5min", "missing": "gap"}, 4040, 8, "0.206 2.19 51.9 40.2"),
            ("nab/Twitter_volume_AAPL.csv", {"bin": "5min"}, 15_902, 0, "0.285 44.9 1205 174"),
            ("nab/nyc_taxi.csv", {"bin": "30min"}, 10_320, 0, "8.41 21.8 3181 93.4"),
        ],
    )
    def test_a_file_has_the_numbers_of_the_collections_table(
        self, file: str, fields: dict[str, str], bins: int, absent: int, numbers: str
    ) -> None:
        columns = {"time": "timestamp", "count": "value", "unit": "datetime", **fields} if fields else {}
        series = read_counts(REAL / file, spec_of(file, **columns))
        assert (len(series), series.absent) == (bins, absent)
        row = series.describe().iloc[0]
        found = row[["mean_qps", "peak_qps", "index_of_dispersion", "local_index_of_dispersion"]]
        # The table has 40.1 for elb_request_count: it takes the bins beside an absent one for neighbours.
        for value, number in zip(found, numbers.split(), strict=True):
            decimals = len(number.partition(".")[2])
            assert f"{value:.{decimals}f}" == number

    def test_the_worldcup_minutes_sum_to_its_requests(self) -> None:
        fields = {"time": "period", "count": "count", "unit": "datetime", "bin": "60s", "missing": "zero"}
        series = read_counts(REAL / "worldcup98/invocation_count_1998-04-30_to_1998-07-03.csv.gz", spec_of(**fields))
        assert series.counts.sum() == 1_111_987_303
        assert series.time_of(0) == "1998-04-30T21:30:00Z"
        assert series.time_of(len(series) - 1) == "1998-07-03T23:59:00Z"

    def test_the_largest_of_500_functions_makes_63_percent_of_the_calls(self) -> None:
        path = REAL / "azure-functions-2019-sample/sample500_invocations.csv.gz"
        totals = [series.counts.sum() for _, series in read_functions(path, spec_of())]
        assert len(totals) == 500
        assert max(totals) / sum(totals) == pytest.approx(0.63, abs=0.005)

    @pytest.mark.slow
    def test_arrivals_drawn_from_a_flash_crowd_have_its_counts(self) -> None:
        fields = {"time": "period", "count": "count", "unit": "datetime", "bin": "60s", "missing": "zero"}
        spec = spec_of(**fields, start="59d", duration="1d")
        series = read_counts(REAL / "worldcup98/invocation_count_1998-04-30_to_1998-07-03.csv.gz", spec)
        law = law_of_counts(series, spec)
        edges = np.arange(1441) * 60 * SECOND
        drawn = sum(np.histogram(piece.times_ns, edges)[0] for piece in law_pieces(law, seed=5))
        day = series.between(59 * 1440, 60 * 1440)
        assert law.gap_scv == pytest.approx(day.local_index_of_dispersion)
        assert law.rate_curve is not None
        expected = np.array(law.rate_curve.rates_qps[::2]) * 60
        # of a renewal process in operational time, the count of a minute has about the variance scv * mean
        score = (drawn - expected) / np.sqrt(law.gap_scv * expected)
        assert np.abs(score).max() < 4.5  # of 1,440: beyond 4.5 once in 100 runs
        assert score.std() == pytest.approx(1, abs=3 / np.sqrt(2 * 1440))
        assert score.mean() == pytest.approx(0, abs=3 / np.sqrt(1440))
        for width in (1, 2, 5, 20):
            assert dispersion_at(drawn, width) == pytest.approx(dispersion_at(day.counts, width), rel=0.01)
        # twice that of the file, if the curve kept what neighbours differ by; some of it is the crowd's own rise
        assert local_at(drawn, 1) < 1.5 * day.local_index_of_dispersion

    def test_draws_from_functions_have_the_dispersion_of_the_file(self) -> None:
        path = REAL / "azure-functions-2019-sample/sample100_invocations.csv.gz"
        assert_dispersion_again(read_counts(path, spec_of()))


class TestLaw:
    def rates(self, series: CountSeries, **fields: object) -> list[float]:
        law = law_of_counts(series, spec_of(scv=1, **fields))
        assert law.curve is not None
        return list(law.curve.over(law.curve_end_ns).rates_qps[::2])

    def test_the_rate_of_a_bin_is_its_count_over_its_width(self) -> None:
        series = series_of(10, 0, 30, bin_s=2)
        assert self.rates(series) == [5, 0, 15]
        law = law_of_counts(series, spec_of(scv=2))
        assert (law.duration_s, law.mean_rate_qps, law.gap_scv) == (6, pytest.approx(20 / 3), 2)

    def test_a_part_is_cut_from_a_bin_on_and_for_any_time(self) -> None:
        series = series_of(10, 20, 30, 40)
        assert self.rates(series, start="1s") == [20, 30, 40]
        assert self.rates(series, start="1s", duration="2s") == [20, 30]
        law = law_of_counts(series, spec_of(scv=1, start="1s", duration="1.5s"))
        assert law.expected_queries == pytest.approx(20 + 15)

    @pytest.mark.parametrize("part", [{}, {"duration": "2.5s"}, {"start": "1s", "duration": "1.25s"}])
    def test_a_mean_rate_scales_the_part(self, part: dict[str, str]) -> None:
        law = law_of_counts(series_of(10, 20, 30, 40), spec_of(scv=1, rate_qps=7.0, **part))
        assert law.mean_rate_qps == pytest.approx(7)

    def test_bins_that_are_not_known_get_rates_between_their_neighbours(self) -> None:
        assert self.rates(series_of(NAN, 10, NAN, NAN, 40, NAN)) == [10, 10, 20, 30, 40, 40]

    @pytest.mark.parametrize(("part", "field"), [({"start": "3s"}, "start"), ({"duration": "10s"}, "duration")])
    def test_a_part_beyond_the_series_is_refused(self, part: dict[str, str], field: str) -> None:
        with pytest.raises(InvalidInputError, match=rf"counts\.{field}: "):
            law_of_counts(series_of(1, 2, 3), spec_of(scv=1, **part))

    def test_a_part_begins_where_a_bin_does(self) -> None:
        with pytest.raises(InvalidInputError, match=r"counts\.start: '1\.5 s' is not a whole number of bins"):
            law_of_counts(series_of(1, 2, 3), spec_of(scv=1, start="1.5s"))

    def test_a_part_without_queries_or_known_bins_is_refused(self) -> None:
        with pytest.raises(InvalidInputError, match="without queries"):
            law_of_counts(series_of(0, 0, 3), spec_of(scv=1, duration="2s"))
        with pytest.raises(InvalidInputError, match="no count is known"):
            law_of_counts(series_of(NAN, NAN, 3), spec_of(scv=1, duration="2s"))

    @pytest.mark.slow
    def test_too_many_bins_or_days_or_queries_are_refused(self) -> None:
        many = CountSeries(0, SECOND, np.ones(MAX_KNOTS // 2 + 1, dtype=np.int64))
        with pytest.raises(InvalidInputError, match=r"counts\.duration: 2000001 bins are too many"):
            law_of_counts(many, spec_of(scv=1))
        assert law_of_counts(many, spec_of(scv=1, start="1s")).expected_queries == MAX_KNOTS // 2
        with pytest.raises(InvalidInputError, match=r"counts\.duration: .* is too long"):
            law_of_counts(series_of(*[5] * 402, bin_s=86_400), spec_of(scv=1))
        with pytest.raises(InvalidInputError, match=r"counts\.rate_qps: .* is the rate of a bin"):
            law_of_counts(series_of(0, 0, 0, 1), spec_of(scv=1, rate_qps=9e6))
        with pytest.raises(InvalidInputError, match="queries are not allowed"):
            law_of_counts(series_of(1, 1, bin_s=5_000), spec_of(scv=1, rate_qps=9e6))

    def test_the_variability_is_fitted_to_the_part_and_not_scaled(self) -> None:
        series = series_of(1000, 5, 9, 5, 9)
        spec = spec_of(start="1s", rate_qps=100.0)
        assert law_of_counts(series, spec).gap_scv == pytest.approx(16 / 2 / 7)
        assert counts_caveats(series, spec) == ()

    def test_a_variability_that_is_too_large_is_capped_and_said(self) -> None:
        series = series_of(0, 100_000, 0)
        assert law_of_counts(series, spec_of()).gap_scv == 1000
        scatter, caveat = counts_caveats(series, spec_of())
        assert "an scv of 1e+03" in scatter
        assert "local index of dispersion of 150,000" in caveat
        assert not counts_caveats(series, spec_of(scv=1))

    def test_what_cannot_be_fitted_must_be_given(self) -> None:
        with pytest.raises(InvalidInputError, match=r"counts\.scv: 'fitted' needs two neighbouring bins"):
            law_of_counts(series_of(5, NAN, 5), spec_of())

    def test_bins_that_were_filled_are_said(self, tmp_path: Path) -> None:
        text = "t,n\n0,4\n1,5\n4,5\n"
        for missing, words in (("zero", "2 of 5 bins are not in the file"), ("gap", "2 of 5 bins are not known")):
            fields = {**COLUMNS, "missing": missing}
            assert any(words in caveat for caveat in counts_caveats(read(tmp_path, text, **fields), spec_of(**fields)))

    def test_gaps_may_be_weibull(self) -> None:
        law = law_of_counts(series_of(5, 9), spec_of(gaps="weibull", scv=3))
        assert isinstance(law, WeibullLaw)
        assert law.gap_scv == 3

    def test_a_number_takes_the_counts_as_they_are(self) -> None:
        series = series_of(40, 60, 30, 90, 10)
        assert self.rates(series) == [40, 60, 30, 90, 10]
        fitted = law_of_counts(series, spec_of())
        assert fitted.rate_curve is not None
        rates = np.array(fitted.rate_curve.rates_qps[::2])
        assert rates.std() < series.counts.std() / 2
        assert fitted.mean_rate_qps == pytest.approx(series.mean_qps)
        equal = law_of_counts(series_of(7, 7, 7), spec_of())
        assert (equal.gap_scv, equal.mean_rate_qps) == (0, 7)

    @pytest.mark.parametrize("name", list(KNOWN_LAWS))
    def test_draws_have_the_dispersion_of_counts_from_known_laws(self, name: str) -> None:
        counts = counts_of(law_trace(KNOWN_LAWS[name], seed=1).times_ns, 1440, 60)
        # steps of bursts that last for bins are in the curve and, as neighbours differ by them, in the gaps as well
        measures = (dispersion_at,) if name == "long bursts" else BOTH
        assert_dispersion_again(CountSeries(0, 60 * SECOND, counts), measures=measures)

    def test_draws_with_weibull_gaps_have_the_dispersion_of_the_file(self) -> None:
        counts = counts_of(law_trace(KNOWN_LAWS["gamma"], seed=1).times_ns, 1440, 60)
        assert_dispersion_again(CountSeries(0, 60 * SECOND, counts), gaps="weibull")

    def test_draws_of_few_queries_a_bin_have_the_dispersion_of_the_file(self) -> None:
        # 30 queries a bin are too few for counts to vary as such gaps do, and for bins to be independent
        law = {"gamma": {"rate_qps": 0.5, "scv": 30, "duration": "4d"}}
        counts = counts_of(law_trace(law, seed=1).times_ns, 5760, 60)
        assert_dispersion_again(CountSeries(0, 60 * SECOND, counts))

    def test_unknown_bins_scatter_as_known_ones_do(self) -> None:
        rng = np.random.default_rng(4)
        counts = 400 + 200 * np.sin(np.arange(1440) / 20) + 20 * rng.standard_normal(1440)
        counts[rng.random(1440) < 0.3] = NAN
        assert_dispersion_again(series_of(*counts, bin_s=60), widths=(1, 2, 5), missing="gap")


class TestExpected:
    def test_of_two_bins_the_square_of_the_difference_loses_what_chance_adds(self) -> None:
        # half the difference is 2, and for Poisson counts its variance a quarter of their sum, 2: √(4 - 2) is left
        both, one = np.array([True, True]), np.array([True, False])
        assert expected_counts(np.array([6.0, 2.0]), both, 1.0) == pytest.approx([4 + 2**0.5, 4 - 2**0.5], rel=1e-5)
        # where one of them is not known, chance has added but half of that
        assert expected_counts(np.array([6.0, 2.0]), one, 1.0) == pytest.approx([4 + 3**0.5, 4 - 3**0.5], rel=1e-5)
        assert expected_counts(np.array([5.0, 4.0]), both, 1.0) == pytest.approx([4.5, 4.5])

    def test_a_crowd_that_comes_within_a_bin_loses_no_more_than_three_deviations(self) -> None:
        counts = np.full(1440, 100.0)
        counts[33] = 1000
        assert expected_counts(counts, np.ones(1440, dtype=bool), 9.0)[33] > 700  # and not 100, as all others are equal

    @pytest.mark.parametrize("bins", [1, 2, 3, 7, 100, 1001])
    @pytest.mark.parametrize("scv", [1e-6, 0.3, 4.0, 1000.0])
    def test_queries_are_neither_lost_nor_negative(self, bins: int, scv: float) -> None:
        rng = np.random.default_rng(bins)
        counts = (rng.poisson(5, bins) * (rng.random(bins) < 0.5) * 10.0 ** rng.integers(0, 4, bins)).astype(float)
        expected = expected_counts(counts, np.ones(bins, dtype=bool), scv)
        assert expected.shape == counts.shape
        assert (expected >= 0).all()
        assert expected.sum() == pytest.approx(counts.sum(), rel=1e-12)

    @pytest.mark.parametrize(("bins", "bend"), [(1024, 1.5), (1440, 0), (1001, 0)])
    def test_a_course_without_chance_is_left_alone_from_the_first_bin_to_the_last(self, bins: int, bend: float) -> None:
        at = np.arange(bins) / bins
        course = 1e5 * (2 + at - bend * at**2)
        expected = expected_counts(course, np.ones(bins, dtype=bool), 1.0)
        assert np.abs(expected - course).max() < 0.1 * np.sqrt(course.min())

    @pytest.mark.parametrize("bins", [1440, 1300])
    def test_the_ends_are_not_bent(self, bins: int) -> None:
        rng = np.random.default_rng(3)
        course, known = np.linspace(100, 1100, bins), np.ones(bins, dtype=bool)
        found = np.array([expected_counts(rng.poisson(course).astype(float), known, 1.0) for _ in range(60)])
        off = found.mean(axis=0) - course
        for part in (slice(0, 5), slice(0, 20), slice(-20, None), slice(-5, None)):
            assert abs(off[part].sum()) < 0.5 * np.sqrt(course[part].sum())  # what chance makes of it in one file
        assert np.std((found - course) / np.sqrt(course)) < 0.3
