"""Trace files: cut, ragged, out of order, out of range."""

import gzip
from pathlib import Path

import pytest

from bad_input.answers import GIB, Run, assert_one_clear_line, assert_refused, case, column, installed, scenario, write


@pytest.mark.parametrize(
    ("content", "words"),
    [
        case("missing column", "x\n0\n", "t.csv:1", "no column t", "x"),
        case("unsorted", column("1", "0"), "t.csv:3", "t", "earlier", "unsorted: sort"),
        case("nan", column("0", "nan"), "t.csv:3", "t", "'nan'", "finite"),
        case("negative", column("-1", "0"), "t.csv:2", "t", "'-1'", "negative"),
        case("text", column("0", "abc"), "t.csv:3", "'abc'", "not a number"),
        case("10**20", column("0", "1e20"), "t.csv:3", "t", "'1e20'", "too large"),
        case("100,000 digits", column("0", "1" * 100_000), "t.csv:3", "65,536"),
        case("1e999999999", column("0", "1e999999999"), "t.csv:3", "1e999999999"),
        case("1_0", column("0", "1_0"), "t.csv:3", "'1_0'", "number"),
        case("other digits", column("0", "٣"), "t.csv:3", "number"),
        case("hexadecimal", column("0", "0x1"), "t.csv:3", "'0x1'", "number"),
        case("empty", "", "t.csv", "empty", "header"),
        case("blank line", column("0", "", "1"), "t.csv:3", "blank"),
        case("a row too long", "t,x\n0,1\n1,2,3\n", "t.csv:3", "3 fields", "2"),
        case("the first row too long", "t,x\n0,1,2\n1,2\n", "t.csv:2"),
        case("a row too short", "t,x\n0,1\n1\n", "t.csv:3"),
        case("duplicate header", "t,t\n0,1\n", "t.csv:1", "t", "twice"),
        case("binary", bytes(range(256)), "t.csv", "binary"),
        case("unclosed quote, with its line", 't\n"0\n1\n', "t.csv:2"),
        case("semicolons", "t;x\n0;1\n", "t.csv:1", "no column t", "t;x"),
        case("escape in the header", "\x1b[31mx\n0\n", "t.csv:1", "\\x1b[31mx"),
        case("5,000 columns", ",".join(f"c{i}" for i in range(5000)) + "\n", "t.csv:1", "no column t"),
        case("gzip under another name", gzip.compress(b"t\n0\n"), "t.csv", "gz"),
    ],
)
@pytest.mark.parametrize("command", ["info", "plan"])
def test_a_bad_trace_is_refused(run: Run, command: str, content: str | bytes, words: tuple[str, ...]) -> None:
    write(s__yaml=scenario(traffic="traffic: {file: t.csv, column: t, unit: s}"), t__csv=content)
    plan = ("plan", "s.yaml", "--out", "report.json", "--plan-out", "plan.yaml")
    arguments = plan if command == "plan" else ("trace", "info", "t.csv", "--column", "t", "--unit", "s")
    assert_refused(run, *arguments, words=words)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        case("30 February", "2023-02-30", "'2023-02-30'", "date that exists"),
        case("month 13", "2023-13-01", "'2023-13-01'", "date that exists"),
        case("hour 25", "2023-11-16 25:00", "'2023-11-16 25:00'", "date that exists"),
        case("leap second", "2023-11-16 23:59:60", "'2023-11-16 23:59:60'", "leap second"),
        case("a zone of letters", "2023-11-16T18:15:46 CET", "'2023-11-16T18:15:46 CET'"),
        case("slashes", "2023/11/16", "'2023/11/16'", "date and time"),
        case("a number", "1700000000", "'1700000000'", "date and time"),
        case("year 9999", "9999-01-01", "'9999-01-01'"),
        case("year 1600", "1600-01-01", "'1600-01-01'"),
    ],
)
def test_a_bad_date_is_refused(run: Run, value: str, words: tuple[str, ...]) -> None:
    write(t__csv=column(value))
    words = ("t.csv:2", "t", *words)
    assert_refused(run, "trace", "info", "t.csv", "--column", "t", "--unit", "datetime", words=words)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        case("not gzip", b"t\n0\n", "not a whole gzip file"),
        case("cut short", gzip.compress(b"t\n" + b"0\n" * 1000)[:-12], "not a whole gzip file"),
        case("twice compressed", gzip.compress(gzip.compress(b"t\n0\n")), "gzip"),
        case("junk at the end", gzip.compress(b"t\n0\n") + b"junk", "not a whole gzip file"),
        case("checksum, in words", gzip.compress(b"t\n0\n")[:-8] + bytes(8), "not a whole gzip file"),
        case("empty", b"", "empty"),
    ],
)
def test_a_damaged_gzip_trace_is_refused(run: Run, content: bytes, words: tuple[str, ...]) -> None:
    write(t__csv__gz=content)
    words = ("t.csv.gz", *words)
    assert_refused(run, "trace", "info", "t.csv.gz", "--column", "t", "--unit", "s", words=words)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        case("no column", "unit: s", "s.yaml:3", "traffic", "column"),
        case("in words", "column: t", "unit", "is missing"),
        case("unknown unit", "column: t, unit: m", "traffic", "unit", "'m'", "'ms'"),
        case("unknown format", "format: feather", "traffic", "format", "'feather'", "azure-llm"),
        case("format and column", "format: azure-llm, column: t", "traffic", "column", "azure-llm"),
        case("an attribute's column", "column: t, unit: s, columns: {class: kind}", "t.csv:1", "kind", "t"),
        case(
            "an attribute twice",
            "column: t, unit: s, columns: {a: t}, attributes: {a: {weights: {x: 1}}}",
            "traffic.attributes.a",
            "already",
        ),
        case("a rate for one query", "column: t, unit: s, compress_to_qps: 5", "compress_to_qps", "5", "no duration"),
    ],
)
def test_traffic_from_a_file_must_say_how_to_read_it(run: Run, fields: str, words: tuple[str, ...]) -> None:
    write(s__yaml=scenario(traffic=f"traffic: {{file: t.csv, {fields}}}"), t__csv=column("5"))
    assert_refused(run, "plan", "s.yaml", words=words)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        case("negative", "5,-6", "first", "tokens", "-6.0", "above 0"),
        case("zero", "5,0", "first", "tokens", "0.0", "above 0"),
        case("text", "5,long", "first", "'tokens'", "text", "numbers"),
    ],
)
def test_sizes_in_a_trace_must_be_above_zero(run: Run, values: str, words: tuple[str, ...]) -> None:
    one, other = values.split(",")
    traffic = "traffic: {file: t.csv, column: t, unit: s, columns: {tokens: kind}}"
    pipeline = "pipeline:\n  first: {model: alpha, size: {attribute: tokens, reference: 1}}"
    write(s__yaml=scenario(traffic=traffic, pipeline=pipeline), t__csv=f"t,kind\n0,{one}\n1,{other}\n")
    assert_refused(run, "plan", "s.yaml", words=words)


def bomb(size: int, row: bytes) -> bytes:
    """Return gzip data that expands to `size` bytes of one row again and again, in members of 16 MiB."""
    return gzip.compress(row * ((16 << 20) // len(row))) * (size // (16 << 20) + 1)


@pytest.mark.slow
def test_a_gzip_bomb_is_refused_in_bounded_memory(folder: Path) -> None:
    write(t__csv__gz=gzip.compress(b"t,x\n") + bomb(4 * GIB, b"0," + b"x" * 1021 + b"\n"))
    answer = installed("trace", "info", "t.csv.gz", "--column", "t", "--unit", "s", memory=4 * GIB)
    assert answer.code == 2
    assert_one_clear_line(answer, ("t.csv.gz", "1,342,177,280 bytes"))


def test_a_gzip_bomb_for_a_price_file_is_refused_at_a_mebibyte(run: Run) -> None:
    write(s__yaml=scenario(prices="prices: f.yaml.gz"), f__yaml__gz=bomb(64 << 20, b"\0"))
    assert_refused(run, "plan", "s.yaml", words=("f.yaml.gz", "1,048,576 bytes"))


@pytest.mark.slow
def test_a_trace_of_two_distant_queries_is_described_in_bounded_memory(folder: Path) -> None:
    write(t__csv=column("0", "4000000000"))
    answer = installed("trace", "info", "t.csv", "--column", "t", "--unit", "s", memory=8 * GIB)
    assert answer.code == 0
    assert "2 queries" in answer.out
