"""Trace files: every format, exact times, zones, rows that cannot be read, and files that are too large."""

import gzip
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipesim.errors import FileFormatError, InvalidInputError, PipesimError
from pipesim.model.traffic import RecordedTraffic
from pipesim.model.traffic.recorded import ArrivalFormat
from pipesim.traces import ArrivalTrace, gap_scv, index_of_dispersion, parse_trace, peak_count, read_trace
from pipesim.traces.formats import FORMATS, Reading
from pipesim.traces.formats.content import Content

REAL = Path(__file__).parents[2] / "shared" / "data" / "traces"
needs_real_traces = pytest.mark.skipif(not REAL.is_dir(), reason="the collection of recorded traces is not here")
DIGITS = {"s": 9, "ms": 6, "us": 3, "ns": 0}
GENERIC: dict[str, Any] = {"column": "t", "unit": "s"}


def traffic(file: str = "t.csv", **fields: Any) -> RecordedTraffic:
    return RecordedTraffic.model_validate({"file": file, **fields})


def read(content: str | bytes, **fields: Any) -> ArrivalTrace:
    return parse_trace(content.encode() if isinstance(content, str) else content, traffic(**fields))


def read_file(path: Path, content: bytes, **fields: Any) -> tuple[ArrivalTrace, Reading]:
    path.write_bytes(content)
    return read_trace(path, traffic(path.name, **fields))


def column(*values: str) -> str:
    return "t\n" + "".join(f"{value}\n" for value in values)


def dates(*values: str, **fields: Any) -> list[int]:
    trace = read(column(*values), column="t", unit="datetime", **fields)
    return (trace.times_ns + trace.epoch_ns).tolist()


def parquet(**columns: Any) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table(columns), sink)
    return sink.getvalue().to_pybytes()


def zstd(content: bytes) -> bytes:
    return pa.compress(content, codec="zstd", asbytes=True)


def as_decimal(time_ns: int, unit: str) -> str:
    return format(Decimal(time_ns).scaleb(-DIGITS[unit]), "f")


@needs_real_traces
class TestRecordedTraces:
    """The figures are those that the collection prints, but for three that it rounds twice.

    Of the Mooncake conversation, 3.40147 a second (printed as 3.402) and an IDC(60 s) of 2.89497 (2.90); of July 1995,
    a CV of 1.42457 (1.43).
    """

    @pytest.mark.parametrize(
        ("file", "fields", "figures"),
        [
            (
                "azure-llm-2023/AzureLLMInferenceTrace_conv.csv",
                {},
                (19_366, "58.4 min", 5.530, (16.0, 19), (8.45, 522), 1.09, 1.39, 16.1, 1),
            ),
            (
                "vidur-processed/splitwise_conv.csv",
                {},
                (19_366, "58.4 min", 5.530, (16.0, 19), (8.45, 522), 1.09, 1.39, 16.1, 1),
            ),
            (
                "mooncake-fast25/conversation_trace.jsonl.gz",
                {"format": "mooncake"},
                (12_031, "58.9 min", 3.401, (28.0, 28), (4.12, 260), 3.03, 7.90, 2.89, 67),
            ),
            (
                "mooncake-fast25/synthetic_trace.jsonl.gz",
                {"format": "mooncake"},
                (3_993, "17.0 min", 3.907, (13.0, 14), (4.55, 280), 1.01, 1.09, 1.19, 3),
            ),
            (
                "nasa-http-1995/nasa_http_1995-07-01_first10k.csv.gz",
                {"column": "epoch_s", "unit": "s"},
                (9_999, "3.66 h", 0.758, (8.0, 8), (1.47, 90), 1.42, 1.24, 5.99, 50),
            ),
            (
                "nasa-http-1995/nasa_http_1995-08-01_first10k.csv.gz",
                {"column": "epoch_s", "unit": "s"},
                (9_999, "7.91 h", 0.351, (9.0, 9), (1.13, 76), 1.54, 1.37, 5.53, 74),
            ),
            (
                "azure-functions-2021-sample/Azure2021_200.csv",
                {},
                (199, "20.0 min", 0.166, (22.0, 22), (0.70, 42), 1.86, 8.35, 10.2, 93),
            ),
        ],
        ids=lambda value: value.rsplit("/")[-1] if isinstance(value, str) else "",
    )
    def test_every_one_has_the_figures_of_its_collection(
        self, file: str, fields: dict[str, Any], figures: tuple[Any, ...]
    ) -> None:
        rows, span, rate, second, minute, cv, idc_second, idc_minute, empty = figures
        trace, reading = read_trace(REAL / file, traffic(file, **fields))
        length, unit = span.split()
        per_unit = {"min": 60, "h": 3600}[unit]
        printed = len(length.partition(".")[2])
        counts = np.bincount(trace.times_ns // 10**9)
        assert (len(trace), reading.rows, reading.skipped) == (rows, rows, 0)
        assert round(trace.duration_s / per_unit, printed) == float(length)
        assert round(trace.mean_rate_qps, 3) == rate
        assert (counts.max(), peak_count(trace, 10**9)) == second
        assert (
            round(np.bincount(trace.times_ns // (60 * 10**9)).max() / 60, 2),
            peak_count(trace, 60 * 10**9),
        ) == minute
        assert round(gap_scv(trace) ** 0.5, 2) == cv
        assert round(index_of_dispersion(trace, 10**9), 2) == idc_second
        assert round(index_of_dispersion(trace, 60 * 10**9), 2 if idc_minute < 10 else 1) == idc_minute
        assert round(100 * float(np.mean(counts[:-1] == 0))) == empty

    def test_two_publications_of_one_trace_agree(self) -> None:
        azure, _ = read_trace(REAL / "azure-llm-2023" / "AzureLLMInferenceTrace_conv.csv", traffic())
        vidur, _ = read_trace(REAL / "vidur-processed" / "splitwise_conv.csv", traffic())
        assert np.abs(azure.times_ns - vidur.times_ns).max() <= 300
        assert np.array_equal(azure.attributes["context_tokens"], vidur.attributes["input_tokens"])
        assert np.array_equal(azure.attributes["generated_tokens"], vidur.attributes["output_tokens"])


AZURE_2023 = (
    "TIMESTAMP,ContextTokens,GeneratedTokens\r\n2023-11-16 18:15:46.6805900,374,44\r\n"
    "2023-11-16 18:15:50.9951690,396,109"
)
AZURE_2024 = (
    "TIMESTAMP,ContextTokens,GeneratedTokens\n2024-05-10 00:00:00.009930+00:00,2162,5\n"
    "2024-05-10 00:00:01+00:00,2399,6\n2024-05-10 00:00:01.02+00:00,76,15\n"
)
AZURE_2025 = (
    "TIMESTAMP,NumImages,ContextTokens,GeneratedTokens\n2024-10-15T12:00:00.269Z,0,770,491\n"
    "2024-10-15T12:00:05.819Z,1,949,126\n"
)
FUNCTIONS = "app,func,end_timestamp,duration\na1,f1,10.25,10.0\na2,f2,0.3,0.1\na1,f1,10.5,10.300000000000001\n"
MOONCAKE = (
    '{"timestamp": 27482, "input_length": 6955, "output_length": 52, "hash_ids": [46, 47]}\n'
    '{"timestamp": 30535, "input_length": 6472, "output_length": 26, "hash_ids": [46, 2362]}\n'
)
BAILIAN = (
    '{"chat_id": 159, "parent_chat_id": -1, "timestamp": 61.114, "input_length": 521, "output_length": 132, '
    '"type": "text", "turn": 1, "hash_ids": [1089, 1090]}\n'
    '{"chat_id": 160, "parent_chat_id": 159, "timestamp": 62.5, "input_length": 676, "output_length": 80, '
    '"type": "search", "turn": 2, "hash_ids": [1089, 1090]}\n'
)
BURSTGPT = (
    "Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type\n"
    "5,ChatGPT,472,18,490,Conversation log\n45,GPT-4,1087,230,1317,API log\n"
)
BURSTGPT_3 = (
    "Timestamp,Session ID,Elapsed time,Model,Request tokens,Response tokens,Total tokens,Log Type\n"
    "19440110.0,3f2504e0-4f89-11d3-9a0c-0305e82c3301,2.5,ChatGPT,472,18,490,Conversation log\n"
    "19440150.0,,,GPT-4,1087,0,1087,API log\n"
)
VIDUR = "arrived_at,num_prefill_tokens,num_decode_tokens\n0.0,374,44\n4.314579,396,109\n"
SPLITWISE = (
    "request_id,request_type,application_id,arrival_timestamp,batch_size,prompt_size,token_size\n"
    "0,2,0,0.018742,1,110,215\n1,2,0,0.031,1,2,7\n"
)
BLIS = (
    "request_id,client_id,tenant_id,slo_class,session_id,round_index,prefix_group,streaming,input_tokens,output_tokens,"
    "arrival_time_us,send_time_us,status\n"
    "0,c1,t1,critical,,0,,true,512,64,1000,1010,ok\n1,c2,t1,batch,,0,,true,128,32,500,520,ok\n"
)
AIPERF = (
    '{"timestamp": 0, "text_input": "What is deep learning?", "output_length": 300}\n'
    '{"timestamp": 500.5, "text_input": "And what is not?", "output_length": 40}\n'
)
COMBINED = (
    '127.0.0.1 - frank [10/Oct/2000:13:55:38 -0700] "GET /a.gif HTTP/1.0" 200 2326 "http://x.org" "Mozilla/4 [en]"\n'
    '::1 - - [10/Oct/2000:20:55:36 +0000] "POST /q?x=\\"1\\" HTTP/1.1" 404 -\n'
)
NGINX_JSON = (
    '{"time_iso8601": "2000-10-10T13:55:36-07:00", "status": "200", "body_bytes_sent": 12, "request_method": "GET"}\n'
    '{"time_iso8601": "2000-10-10T13:55:37-07:00", "status": "503", "body_bytes_sent": 0, "request_method": "PUT"}\n'
)

FIXTURES: dict[str, tuple[str, str]] = {
    "azure-llm 2023": ("azure-llm", AZURE_2023),
    "azure-llm 2024": ("azure-llm", AZURE_2024),
    "azure-llm 2025": ("azure-llm", AZURE_2025),
    "azure-functions-2021": ("azure-functions-2021", FUNCTIONS),
    "mooncake": ("mooncake", MOONCAKE),
    "bailian": ("bailian", BAILIAN),
    "burstgpt": ("burstgpt", BURSTGPT),
    "burstgpt 3": ("burstgpt", BURSTGPT_3),
    "vidur": ("vidur", VIDUR),
    "splitwise-sim": ("splitwise-sim", SPLITWISE),
    "blis": ("blis", BLIS),
    "aiperf": ("aiperf", AIPERF),
    "access-log": ("access-log", COMBINED),
    "access-log-json": ("access-log-json", NGINX_JSON),
}
"""Written after the descriptions that each format's source gives."""


class TestNamedFormats:
    def test_every_format_that_a_scenario_may_name_is_described(self) -> None:
        assert set(FORMATS) == {name for form in ArrivalFormat.__args__ for name in getattr(form, "__args__", (form,))}

    @pytest.mark.parametrize(
        ("name", "times_s", "attributes"),
        [
            ("azure-llm 2023", [0, 4.314579], {"context_tokens": [374, 396], "generated_tokens": [44, 109]}),
            (
                "azure-llm 2024",
                [0, 0.99007, 1.01007],
                {"context_tokens": [2162, 2399, 76], "generated_tokens": [5, 6, 15]},
            ),
            (
                "azure-llm 2025",
                [0, 5.55],
                {"context_tokens": [770, 949], "generated_tokens": [491, 126], "images": [0, 1]},
            ),
            (
                "azure-functions-2021",
                [0, 0, 0.05],
                {"app": ["a2", "a1", "a1"], "func": ["f2", "f1", "f1"], "duration_s": [0.1, 10.300000000000001, 10]},
            ),
            ("mooncake", [0, 3.053], {"input_tokens": [6955, 6472], "output_tokens": [52, 26]}),
            (
                "bailian",
                [0, 1.386],
                {
                    "input_tokens": [521, 676],
                    "output_tokens": [132, 80],
                    "chat_id": [159, 160],
                    "parent_chat_id": [-1, 159],
                    "type": ["text", "search"],
                    "turn": [1, 2],
                },
            ),
            (
                "burstgpt",
                [0, 40],
                {
                    "input_tokens": [472, 1087],
                    "output_tokens": [18, 230],
                    "model": ["ChatGPT", "GPT-4"],
                    "log_type": ["Conversation log", "API log"],
                },
            ),
            (
                "burstgpt 3",
                [0, 40],
                {
                    "input_tokens": [472, 1087],
                    "output_tokens": [18, 0],
                    "model": ["ChatGPT", "GPT-4"],
                    "log_type": ["Conversation log", "API log"],
                },
            ),
            ("vidur", [0, 4.314579], {"input_tokens": [374, 396], "output_tokens": [44, 109]}),
            (
                "splitwise-sim",
                [0, 0.012258],
                {"input_tokens": [110, 2], "output_tokens": [215, 7], "application_id": [0, 0]},
            ),
            (
                "blis",
                [0, 0.0005],
                {
                    "input_tokens": [128, 512],
                    "output_tokens": [32, 64],
                    "slo_class": ["batch", "critical"],
                    "client_id": ["c2", "c1"],
                    "tenant_id": ["t1", "t1"],
                },
            ),
            ("aiperf", [0, 0.5005], {"output_tokens": [300, 40]}),
            ("access-log", [0, 2], {"status": [404, 200], "bytes": [0, 2326], "method": ["POST", "GET"]}),
            ("access-log-json", [0, 1], {"status": [200, 503], "bytes": [12, 0], "method": ["GET", "PUT"]}),
        ],
    )
    def test_what_it_says_is_read(self, name: str, times_s: list[float], attributes: dict[str, list[Any]]) -> None:
        form, content = FIXTURES[name]
        trace = read(content, format=form)
        assert trace.times_ns.tolist() == [round(time * 1e9) for time in times_s]
        assert {key: values.tolist() for key, values in trace.attributes.items()} == attributes

    @pytest.mark.parametrize("name", FIXTURES)
    def test_it_is_known_by_its_columns_unless_its_unit_is_in_doubt(self, name: str, tmp_path: Path) -> None:
        form, content = FIXTURES[name]
        if form == "mooncake":
            with pytest.raises(FileFormatError, match=r"mooncake \(ms\) or bailian \(s\)"):
                read(content)
        else:
            assert read_file(tmp_path / "t", content.encode())[1].format == form

    @pytest.mark.parametrize("name", FIXTURES)
    def test_a_bad_row_is_named_or_left_out_and_counted(self, name: str, tmp_path: Path) -> None:
        form, content = FIXTURES[name]
        good = len(read(content, format=form))
        lines = content.splitlines()
        lines.insert(2, '{"timestamp": 1' if content.startswith("{") else "not a row")
        broken = "\n".join(lines).encode()
        with pytest.raises(PipesimError, match=r"^t:3: "):
            read_file(tmp_path / "t", broken, format=form)
        trace, reading = read_file(tmp_path / "t", broken, format=form, bad_rows="skip")
        assert (len(trace), reading.rows, reading.skipped) == (good, good, 1)

    def test_a_column_or_key_that_is_missing_is_named(self) -> None:
        with pytest.raises(
            FileFormatError, match=r"t\.csv:1: has no column num_prefill_tokens; it has arrived_at, tokens"
        ):
            read("arrived_at,tokens\n0,1\n", format="vidur")
        with pytest.raises(
            FileFormatError, match=r"t\.csv:1: has no key output_length; it has timestamp, input_length"
        ):
            read('{"timestamp": 0, "input_length": 5}\n', format="mooncake")

    def test_a_turn_that_waits_for_another_has_no_arrival(self) -> None:
        first, second = '{"session_id": "a", "timestamp": 0, "n": 3}\n', '{"session_id": "a", "delay": 2, "n": 5}\n'
        with pytest.raises(FileFormatError, match=r"t\.csv:2: has no key timestamp; it has session_id, delay"):
            read(first + second, format="aiperf")

    def test_a_request_in_a_json_log_begins_its_duration_before_it_is_logged(self) -> None:
        log = '{"msec": "970000000.250", "request_time": "0.200", "request": "GET / HTTP/1.1"}\n'
        log += '{"msec": "970000000.300", "request_time": "0.300", "request": "-"}\n'
        trace = read(log)
        assert trace.times_ns.tolist() == [0, 50_000_000]
        assert trace.attributes["method"].tolist() == ["", "GET"]
        assert trace.attributes["duration_s"].tolist() == [0.3, 0.2]

    def test_local_times_in_a_json_log_have_their_zone(self) -> None:
        log = '{"time_local": "10/Oct/2000:13:55:36 -0700", "status": 200}\n'
        assert read(log).epoch_ns == 971_211_336 * 10**9

    def test_a_table_of_unknown_columns_asks_for_the_column_and_its_unit(self) -> None:
        with pytest.raises(FileFormatError, match=r"has the columns epoch_s, status, bytes, .* say column and unit"):
            read("epoch_s,status,bytes\n1,200,5\n")
        with pytest.raises(FileFormatError, match=r"has the keys at, what, .* say column and unit"):
            read('{"at": 1, "what": 2}\n')
        with pytest.raises(FileFormatError, match=r"is a Parquet file with the columns at, n; say column and unit"):
            read(parquet(at=[1], n=[2]))
        with pytest.raises(FileFormatError, match="counts per minute"):
            read("HashOwner,HashApp,HashFunction,Trigger,1,2\na,b,c,http,1,2\n")


class TestTimes:
    @given(
        times=st.lists(
            st.integers(0, 2**62 - 1) | st.integers(0, 10**12) | st.integers(17 * 10**17, 18 * 10**17), max_size=20
        ),
        unit=st.sampled_from(sorted(DIGITS)),
        kind=st.sampled_from(["csv", "quoted", "jsonl", "jsonl text", "text", "decimal", "integer", "timestamp"]),
    )
    def test_any_nanosecond_is_read_back_exactly(self, times: list[int], unit: str, kind: str) -> None:
        texts = [as_decimal(time, unit) for time in times]
        fields = {"column": "t", "unit": unit, "unsorted": "sort"}
        if kind in ("csv", "quoted"):
            content: str | bytes = column(*(f'"{text}"' if kind == "quoted" else text for text in texts))
        elif kind.startswith("jsonl"):
            quote = '"' if kind == "jsonl text" else ""
            content = "".join(f'{{"n": [1, {{}}], "t": {quote}{text}{quote}}}\n' for text in texts)
        elif kind == "text":
            content = parquet(t=pa.array(texts, pa.string()))
        elif kind == "decimal":
            content = parquet(t=pa.array(map(Decimal, texts), pa.decimal128(38, DIGITS[unit])))
        elif kind == "integer":
            fields["unit"] = "ns"
            content = parquet(t=pa.array(times, pa.int64()))
        else:
            fields["unit"] = "datetime"
            content = parquet(t=pa.array(times, pa.timestamp("ns", "UTC")))
        if not times and kind.startswith("jsonl"):
            return
        trace = read(content, **fields)
        first = min(times, default=0)
        assert trace.times_ns.tolist() == sorted(time - first for time in times)
        assert trace.epoch_ns == (first if fields["unit"] == "datetime" else 0)

    @given(st.lists(st.decimals(0, 10**9, places=14) | st.decimals(0, 1, places=25), min_size=1, max_size=8))
    def test_more_decimals_than_nanoseconds_are_rounded_half_to_even(self, numbers: list[Decimal]) -> None:
        expected = [round(number * 10**9) for number in numbers]
        trace = read(column(*(format(number, "f") for number in numbers)), **GENERIC, unsorted="sort")
        assert trace.times_ns.tolist() == sorted(time - min(expected) for time in expected)

    @pytest.mark.parametrize(
        ("text", "nanosecond"),
        [
            ("0.0000000005", 0),
            ("0.0000000015", 2),
            ("25e-10", 2),
            ("0.00000000250000000000000001", 3),
            ("6143448.14443759135", 6143448144437591),
        ],
    )
    def test_a_half_is_rounded_to_even(self, text: str, nanosecond: int) -> None:
        assert read(column("0", text), **GENERIC).times_ns.tolist() == [0, nanosecond]

    @pytest.mark.slow
    @given(
        st.lists(
            st.floats(0, 4e9)
            | st.floats(0, 5e6).map(lambda x: round(x, 9))
            | st.floats(1.6e9, 1.9e9).map(lambda x: round(x, 7)),
            min_size=1,
            max_size=20,
        )
    )
    def test_floats_in_parquet_are_the_times_of_the_text_that_is_written_of_them(self, floats: list[float]) -> None:
        in_csv = read(column(*map(repr, floats)), **GENERIC, unsorted="sort")
        in_parquet = read(parquet(t=pa.array(floats, pa.float64())), **GENERIC, unsorted="sort")
        assert in_parquet.times_ns.tolist() == in_csv.times_ns.tolist()

    def test_narrow_types_of_parquet_are_exact_too(self) -> None:
        assert read(parquet(t=pa.array([0.0, 0.1], pa.float32())), **GENERIC).times_ns.tolist() == [0, 10**8]
        assert read(parquet(t=pa.array([1, 255], pa.uint8())), **GENERIC).times_ns.tolist() == [0, 254 * 10**9]
        dictionary = pa.array(["1", "2.5", "2.5"]).dictionary_encode()
        assert read(parquet(t=dictionary), **GENERIC).times_ns.tolist() == [0, 1_500_000_000, 1_500_000_000]
        day = pa.array([datetime(2024, 5, 10, tzinfo=UTC).date()])
        assert read(parquet(t=day), column="t", unit="datetime").epoch_ns == 1_715_299_200 * 10**9

    @pytest.mark.parametrize(
        ("array", "unit", "words"),
        [
            (pa.array([1, -1]), "s", "row 2: t: '-1' is negative"),
            (pa.array([1, 2**62]), "ns", "row 2: t: '4611686018427387904' is too large"),
            (pa.array([1.0, float("nan")]), "s", "row 2: t: 'nan' is not finite"),
            (pa.array([1.0, float("inf")]), "s", "row 2: t: 'inf' is not finite"),
            (pa.array([1, None]), "s", "row 2: t: is missing"),
            (pa.array(["1", "x"]), "s", "row 2: t: 'x' is not a number"),
            (pa.array([[1], [2]]), "s", r"row 1: t: '\[1\]' is not a number"),
            (pa.array([0, 1], pa.timestamp("us")), "s", "row 1: t: '1970-01-01 00:00:00.000000' is not a number"),
            (
                pa.array([0, 10**11], pa.timestamp("s", "UTC")),
                "datetime",
                "row 2: t: '5138-11-16 09:46:40.000Z' is out of range",
            ),
            (pa.array([1, 2]), "datetime", "row 1: t: '1' is not a date"),
        ],
    )
    def test_a_bad_row_of_parquet_is_named_by_its_number(self, array: pa.Array, unit: str, words: str) -> None:
        with pytest.raises(PipesimError, match=rf"^t\.csv: {words}"):
            read(parquet(t=array), column="t", unit=unit)


class TestDates:
    def test_up_to_nine_decimals_and_zones_are_read(self) -> None:
        second = 1_700_158_546 * 10**9
        assert dates("2023-11-16", "2023-11-16T18:15", "2023-11-16 18:15:46", "2023-11-16T18:15:46.123456789") == [
            1_700_092_800 * 10**9,
            second - 46 * 10**9,
            second,
            second + 123_456_789,
        ]
        zoned = (
            "2023-11-16T18:15:46Z",
            "2023-11-16 18:15:46+00:00",
            "2023-11-16 20:15:46.5+0200",
            "2023-11-16 16:15:46.7-02",
        )
        assert dates(*zoned) == [second, second, second + 500_000_000, second + 700_000_000]

    @given(
        seconds=st.lists(st.integers(86_400 * 3, 8_000_000_000), min_size=1, max_size=10),
        zone=st.sampled_from(
            ["Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe", "Africa/Monrovia"]
        ),
    )
    def test_dates_without_a_zone_are_taken_in_the_zone_given(self, seconds: list[int], zone: str) -> None:
        wall = [datetime.fromtimestamp(second, ZoneInfo(zone)) for second in seconds]
        clear = [time for time in wall if time.utcoffset() == time.replace(fold=1 - time.fold).utcoffset()]
        texts = [time.strftime("%Y-%m-%d %H:%M:%S") for time in clear]
        found = dates(*texts, timezone=zone, unsorted="sort")
        assert found == sorted(int(time.timestamp()) * 10**9 for time in clear)

    @pytest.mark.parametrize("quick", [True, False], ids=["all good", "beside a bad row"])
    def test_a_year_of_quarter_hours_in_a_zone_is_that_of_zoneinfo(self, quick: bool) -> None:
        start = datetime(2023, 1, 1, tzinfo=UTC)
        wall = [(start + timedelta(minutes=15 * k)).astimezone(ZoneInfo("Europe/Berlin")) for k in range(365 * 96)]
        clear = [time for time in wall if time.utcoffset() == time.replace(fold=1 - time.fold).utcoffset()]
        texts = [time.strftime("%Y-%m-%dT%H:%M:%S.25") for time in clear] + ([] if quick else ["never"])
        found = dates(*texts, timezone="Europe/Berlin", bad_rows="skip")
        assert found == [int(time.timestamp()) * 10**9 + 250_000_000 for time in clear]

    @pytest.mark.parametrize(
        ("value", "words"),
        [
            ("2023-10-29 02:30:00", "'2023-10-29 02:30:00' is ambiguous in Europe/Berlin"),
            ("2023-03-26 02:30:00", "'2023-03-26 02:30:00' does not exist in Europe/Berlin"),
            ("2023-12-31 23:59:60", "is a leap second"),
            ("2016-12-31T23:59:60Z", "is a leap second"),
            ("2023-02-29", "is not a date that exists"),
            ("2023-11-16 18", "is not a date and time"),
            ("2023-11-16T18:15:46.1234567890", "is not a date and time"),
            ("1969-12-31 23:59:59", "is out of range"),
            ("1970-01-01 00:30:00", "is out of range"),
            ("2262-01-02", "is out of range"),
            ("2023-11-16T18:15:46+25:00", "has a zone that does not exist"),
        ],
    )
    def test_a_date_that_names_no_instant_is_refused(self, value: str, words: str) -> None:
        with pytest.raises(InvalidInputError, match=rf"^t\.csv:2: t: .*{words}"):
            dates(value, timezone="Europe/Berlin")

    @pytest.mark.parametrize("bad_rows", ["stop", "skip"])
    def test_dates_with_a_zone_beside_dates_without_are_refused(self, bad_rows: str) -> None:
        with pytest.raises(
            InvalidInputError, match=r"^t\.csv:3: t: '2023-11-17 00:00' has no zone, .* write all in one way"
        ):
            dates("2023-11-16 00:00Z", "2023-11-17 00:00", bad_rows=bad_rows)
        with pytest.raises(InvalidInputError, match=r"^t\.csv:3: t: '2023-11-17 00:00Z' has a zone"):
            dates("2023-11-16 00:00", "2023-11-17 00:00Z", bad_rows=bad_rows)

    def test_the_zone_that_dates_were_taken_in_is_reported_when_they_needed_one(self, tmp_path: Path) -> None:
        def zone(value: str, **fields: Any) -> str | None:
            return read_file(tmp_path / "t.csv", column(value).encode(), column="t", unit="datetime", **fields)[1].zone

        assert zone("2023-11-16 18:15") == "UTC"
        assert zone("2023-11-16 18:15", timezone="Asia/Tokyo") == "Asia/Tokyo"
        assert zone("2023-11-16 18:15Z", timezone="Asia/Tokyo") is None

    @pytest.mark.parametrize("zone", ["Europe/Atlantis", "../../etc/passwd", "/etc/localtime", "Europe"])
    def test_a_zone_that_is_not_known_is_refused(self, zone: str) -> None:
        with pytest.raises(InvalidInputError, match=r"traffic\.timezone: .* is not a time zone"):
            dates("2023-11-16", timezone=zone)

    @pytest.mark.parametrize(
        ("content", "fields"),
        [
            ("t\n1\n", {"column": "t", "unit": "s"}),
            ('{"timestamp": 1, "input_length": 2, "output_length": 3}\n', {"format": "mooncake"}),
        ],
    )
    def test_a_zone_for_times_that_are_no_dates_is_refused(self, content: str, fields: dict[str, Any]) -> None:
        assert len(read(content.encode(), **fields)) == 1
        with pytest.raises(InvalidInputError, match=r"traffic\.timezone: 'Asia/Tokyo' does not belong to times"):
            read(content.encode(), timezone="Asia/Tokyo", **fields)

    def test_naive_timestamps_in_parquet_are_local_times_and_zoned_ones_are_not(self) -> None:
        local, zoned = (pa.array([1_700_000_000], pa.timestamp("s", tz)) for tz in (None, "Asia/Tokyo"))
        fields = {"column": "t", "unit": "datetime", "timezone": "Asia/Tokyo"}
        assert read(parquet(t=local), **fields).epoch_ns == (1_700_000_000 - 9 * 3600) * 10**9
        assert read(parquet(t=zoned), **fields).epoch_ns == 1_700_000_000 * 10**9


class TestTables:
    @pytest.mark.parametrize("end", ["\n", "\r\n"])
    @pytest.mark.parametrize("last", [True, False], ids=["with", "without"])
    @pytest.mark.parametrize("mark", ["", "\ufeff"], ids=["no mark", "byte order mark"])
    def test_line_ends_the_last_one_and_a_byte_order_mark_make_no_difference(
        self, end: str, last: bool, mark: str
    ) -> None:
        content = mark + end.join(["t,x", '1,"a, ""b"""', "2,é"]) + (end if last else "")
        trace = read(content, **GENERIC, columns={"x": "x"})
        assert trace.times_ns.tolist() == [0, 10**9]
        assert trace.attributes["x"].tolist() == ['a, "b"', "é"]

    def test_a_line_break_in_quotes_belongs_to_its_field_and_later_lines_keep_their_numbers(self) -> None:
        content = 't,x\n1,"two\nlines"\n2,b\n'
        assert read(content, **GENERIC, columns={"x": "x"}).attributes["x"].tolist() == ["two\nlines", "b"]
        with pytest.raises(InvalidInputError, match=r"^t\.csv:5: t: is 1 s earlier than the row before it"):
            read(content + "1,c\n", **GENERIC)
        with pytest.raises(InvalidInputError, match=r"^t\.csv:5: t: 'x' is not a number"):
            read(content + "x,c\n", **GENERIC)

    def test_a_row_is_named_by_its_line_after_rows_that_are_left_out(self, tmp_path: Path) -> None:
        content = column("5", "bad", "", "7", "worse", "6").encode()
        with pytest.raises(InvalidInputError, match=r"^t\.csv:7: t: is 1 s earlier"):
            read_file(tmp_path / "t.csv", content, **GENERIC, bad_rows="skip")
        trace, reading = read_file(tmp_path / "t.csv", content, **GENERIC, bad_rows="skip", unsorted="sort")
        assert trace.times_ns.tolist() == [0, 10**9, 2 * 10**9]
        assert (reading.rows, reading.skipped, reading.out_of_order) == (3, 3, 1)

    @pytest.mark.parametrize(
        "row", ["1,2,3", "1", "", '"1,2', '1,"2"x', "é,1", "1," + "x" * 70_000], ids=lambda row: row[:8] or "blank"
    )
    def test_a_row_that_is_not_as_the_header_is_bad(self, row: str) -> None:
        content = f"t,x\n0,a\n{row}\n1,b\n2,c\n"
        with pytest.raises(PipesimError, match=r"^t\.csv:3: "):
            read(content, **GENERIC, columns={"x": "x"})
        trace = read(content, **GENERIC, columns={"x": "x"}, bad_rows="skip")
        assert trace.attributes["x"].tolist() == ["a", "b", "c"]

    @pytest.mark.parametrize(
        "line",
        [
            "",
            "[1]",
            '{"t": 1',
            '{"x": 1}',
            '{"t": null}',
            '{"t": [1]}',
            '{"t": true}',
            '{"t": NaN}',
            '{"t": -1}',
            '{"t": 01}',
            '{"t": "1 "}',
            '{"t": 1, "t": 2}',
            '{"t": 1} {"t": 1}',
            '{"t": ' + "[" * 5000,
            '{"t": 1, "x": "' + "x" * 1_100_000 + '"}',
        ],
        ids=lambda line: line[:18] or "blank",
    )
    def test_a_json_line_without_its_values_is_bad(self, line: str) -> None:
        content = f'{{"t": 0}}\n{line}\n{{"t": 1}}\n{{"t": 2e0}}\n'
        with pytest.raises(PipesimError, match=r"^t\.csv:2: "):
            read(content, **GENERIC)
        assert read(content, **GENERIC, bad_rows="skip").times_ns.tolist() == [0, 10**9, 2 * 10**9]

    def test_attributes_are_numbers_if_all_rows_are_and_else_text_from_the_first_row_on(self) -> None:
        def values(*cells: str) -> list[Any]:
            content = "t,x\n" + "".join(f"{index},{cell}\n" for index, cell in enumerate(cells))
            return list(read(content, **GENERIC, columns={"x": "x"}).attributes["x"].tolist())

        assert values("1", "2.5", "+3", "4e0") == [1, 2.5, 3, 4]
        assert values("1.0", "high") == ["1.0", "high"]
        assert values("1", " 2") == ["1", " 2"]
        assert values("1", "") == ["1", ""]
        assert values("1", "nan") == ["1", "nan"]
        assert values("1", "1e400") == ["1", "1e400"]

    def test_attributes_of_json_are_numbers_in_quotes_or_not_and_truth_is_text(self) -> None:
        content = '{"t": 0, "a": "1", "b": true, "c": 5}\n{"t": 1, "a": 2.5, "b": false, "c": "x"}\n'
        attributes = read(content, **GENERIC, columns={"a": "a", "b": "b", "c": "c"}).attributes
        assert {name: values.tolist() for name, values in attributes.items()} == {
            "a": [1, 2.5],
            "b": ["true", "false"],
            "c": ["5", "x"],
        }

    def test_a_json_line_that_is_left_out_does_not_make_a_column_text(self) -> None:
        content = '{"t": 0, "a": 1}\n{"t": 1, "a": NaN}\n{"t": 2, "a": 2.5}\n'
        attributes = read(content, **GENERIC, columns={"a": "a"}, bad_rows="skip").attributes
        assert attributes["a"].tolist() == [1, 2.5]

    def test_attributes_of_parquet_have_its_types(self) -> None:
        content = parquet(t=[0, 1], a=[1, 2], b=[True, False], c=[Decimal("1.5"), Decimal("2.25")], d=["x", "y"])
        attributes = read(content, **GENERIC, columns={name: name for name in "abcd"}).attributes
        assert {name: values.tolist() for name, values in attributes.items()} == {
            "a": [1, 2],
            "b": ["true", "false"],
            "c": [1.5, 2.25],
            "d": ["x", "y"],
        }

    @pytest.mark.slow
    def test_a_table_far_longer_than_a_piece_is_read_whole_and_its_bad_row_is_named(self, tmp_path: Path) -> None:
        rows = [f'{index}.5,"name {index % 7}",{index % 3}' for index in range(400_000)]
        path, fields = tmp_path / "t.csv", {**GENERIC, "columns": {"x": "x", "y": "y"}}
        trace, _ = read_file(path, "\n".join(["t,x,y", *rows]).encode(), **fields)
        assert np.array_equal(trace.times_ns, np.arange(400_000) * 10**9)
        assert trace.attributes["x"][399_999] == f"name {399_999 % 7}"
        rows[345_678] = "never,a,b"
        with pytest.raises(InvalidInputError, match=r"^t\.csv:345680: t: 'never'"):
            read_file(path, "\n".join(["t,x,y", *rows]).encode(), **fields)
        trace, reading = read_file(path, "\n".join(["t,x,y", *rows]).encode(), **fields, bad_rows="skip")
        assert (len(trace), reading.skipped) == (399_999, 1)
        assert trace.times_ns[345_678] == 345_679 * 10**9

    def test_text_after_many_numbers_makes_the_whole_column_text(self) -> None:
        rows = [f"{index},{index}" for index in range(500_000)] + ["500000,last"]
        names = read("\n".join(["t,x", *rows]), **GENERIC, columns={"x": "x"}).attributes["x"]
        assert (names[0], names[499_999], names[500_000]) == ("0", "499999", "last")

    def test_text_that_would_take_too_much_memory_is_refused_before_it_does(self) -> None:
        content = "t,x\n0," + "x" * 60_000 + "\n" + "".join(f"{index},y\n" for index in range(1, 10_000))
        with pytest.raises(FileFormatError, match=r"attribute x takes more than 2,147,483,648 bytes as text"):
            read(content, **GENERIC, columns={"x": "x"})

    @pytest.mark.parametrize(
        ("content", "words"),
        [
            (b"", "is empty"),
            (b"\n\n", "is empty"),
            (b"t\0\n0\n", "is a binary file"),
            ("t\n0\n".encode("utf-16"), "UTF-16"),
            (b"t\n0\n\xff\n", r"is not UTF-8 text \(byte 4\)"),
            (b"t\n0\n\xc3", r"is not UTF-8 text \(byte 4\)"),
            (gzip.compress(b"t\n0\n", mtime=0), "is gzip data"),
            (zstd(b"t\n0\n"), "is zstd data"),
            (b"t,t\n0,1\n", "names the column 't' twice"),
            (b"PAR1 and no more", "is not a whole Parquet file"),
            (b't,"x\n' + b"0,1\n" * 10, "a quote is not closed"),
            (b"t\n" + b"x" * 10_000_000, "is longer than"),
        ],
    )
    def test_a_file_that_is_no_table_is_refused(self, content: bytes, words: str) -> None:
        with pytest.raises(FileFormatError, match=words):
            read(content, **GENERIC)

    def test_a_parquet_file_is_not_read_as_text_nor_text_as_parquet(self) -> None:
        with pytest.raises(FileFormatError, match="say format: parquet"):
            read(parquet(t=[1]), **GENERIC, format="csv")
        with pytest.raises(FileFormatError, match="is not a whole Parquet file"):
            read(column("1"), **GENERIC, format="parquet")
        with pytest.raises(FileFormatError, match=r"has no column t; it has x"):
            read(parquet(x=[1]), **GENERIC)

    def test_an_empty_table_is_an_empty_trace(self) -> None:
        assert len(read("t\n", **GENERIC)) == 0
        assert len(read(parquet(t=pa.array([], pa.int64())), **GENERIC)) == 0


class TestFiles:
    @pytest.mark.parametrize(
        ("suffix", "pack"), [("", bytes), (".gz", gzip.compress), (".zst", zstd)], ids=["plain", "gzip", "zstd"]
    )
    @pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
    def test_a_file_and_its_compressed_forms_give_one_trace_and_one_hash(
        self, suffix: str, pack: Callable[[bytes], bytes], kind: str, tmp_path: Path
    ) -> None:
        contents = {
            "csv": column("1", "2.5").encode(),
            "jsonl": b'{"t": 1}\n{"t": 2.5}\n',
            "parquet": parquet(t=[1, 2.5]),
        }
        trace, reading = read_file(tmp_path / f"t.{kind}{suffix}", pack(contents[kind]), **GENERIC)
        assert trace.times_ns.tolist() == [0, 1_500_000_000]
        assert reading.format == kind
        assert trace.inputs[0].name == f"t.{kind}{suffix}"
        assert trace.inputs[0].sha256 == read(contents[kind], **GENERIC).inputs[0].sha256

    @pytest.mark.parametrize(("suffix", "pack"), [(".gz", gzip.compress), (".zst", zstd)])
    def test_a_damaged_file_is_refused(self, suffix: str, pack: Callable[[bytes], bytes], tmp_path: Path) -> None:
        content = pack(b"t\n" + b"".join(b"%d\n" % index for index in range(9999)))
        for damaged in (content[:-9], content[:20], b"t\n0\n", content + b"junk"):
            with pytest.raises(FileFormatError, match=rf"^t\.csv\{suffix}: is not a whole (gzip|zstd) file"):
                read_file(tmp_path / f"t.csv{suffix}", damaged, **GENERIC)

    @pytest.mark.parametrize(("suffix", "pack"), [(".gz", gzip.compress), (".zst", zstd)])
    def test_a_file_that_expands_beyond_the_limit_is_expanded_no_further(
        self, suffix: str, pack: Callable[[bytes], bytes], tmp_path: Path
    ) -> None:
        path = tmp_path / f"t{suffix}"
        path.write_bytes(pack(bytes(1 << 24)))
        seen: list[int] = []
        with pytest.raises(FileFormatError, match="holds more than 1,000,000 bytes"):
            seen.extend(map(len, Content("t", path, limit=1_000_000).pieces(1 << 16)))
        assert sum(seen) <= 1_000_000

    def test_what_was_found_is_reported(self, tmp_path: Path) -> None:
        _, reading = read_file(
            tmp_path / "t.csv", column("3", "3", "10", "8.5", "x").encode(), **GENERIC, bad_rows="skip", unsorted="sort"
        )
        assert reading == Reading("csv", 4, 1, 1, 1, 5_500_000_000, 0, None)

    def test_a_mooncake_file_is_read_the_same_by_naming_its_key(self) -> None:
        named = read(MOONCAKE, format="mooncake")
        plain = read(MOONCAKE, column="timestamp", unit="ms", columns={"input_tokens": "input_length"})
        assert np.array_equal(named.times_ns, plain.times_ns)
        assert np.array_equal(named.attributes["input_tokens"], plain.attributes["input_tokens"])
        assert [json.loads(line)["timestamp"] for line in MOONCAKE.splitlines()] == [27_482, 30_535]
