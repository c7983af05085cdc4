"""A scenario file as YAML: what is no plain mapping is refused with its line."""

import json
import time
from typing import Any

import pytest

from bad_input.answers import PLAN, Run, assert_refused, case, scenario, write

LAUGHS = "a: &a [x, x, x]\n" + "".join(
    f"b{i}: &b{i} [{', '.join([f'*b{i - 1}' if i else '*a'] * 9)}]\n" for i in range(30)
)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        case("empty", "", "s.yaml", "holds nothing", "mapping"),
        case("list at top", "- 1\n", "s.yaml", "[1]", "mapping"),
        case("text at top", "hello\n", "s.yaml", "'hello'", "mapping"),
        case("binary", bytes(range(256)), "s.yaml", "binary"),
        case("utf-16", scenario().encode("utf-16"), "s.yaml", "UTF-16"),
        case("invalid utf-8", scenario().encode() + b"# \xff\n", "s.yaml", "UTF-8", "byte 357"),
        case("nul byte", scenario(name="name: a\0b"), "s.yaml", "binary"),
        case("tab", "name: base\n\tslo: {p99: 1s}\n", "s.yaml:2", "YAML", "\\t"),
        case("unclosed bracket", scenario(slo="slo: {p99: 1s"), "s.yaml:3", "YAML"),
        case("duplicate key", scenario(rest="seed: 1\nseed: 2"), "s.yaml:15", "'seed'", "twice"),
        case("duplicate nested key", scenario(slo="slo: {p99: 1s, p99: 2s}"), "s.yaml:2", "'p99'", "twice"),
        case("anchor", scenario(name="name: &a base"), "s.yaml:1", "anchors", "not allowed"),
        case("billion laughs", LAUGHS, "s.yaml:1", "anchors", "not allowed"),
        case(
            "python tag", scenario(name="name: !!python/object/apply:os.system [ls]"), "s.yaml:1", "tags", "not allowed"
        ),
        case("merge key", scenario(rest="<<: {seed: 1}"), "s.yaml:14", "<<", "not a field"),
        case("10,000 brackets", "a: " + "[" * 10_000, "s.yaml", "nested too deeply", "32"),
        case("40 brackets", "a: " + "[" * 40 + "]" * 40, "s.yaml:1", "nested too deeply", "32"),
        case("over 1 MiB", "# " + "x" * (1 << 20) + "\n" + scenario(), "s.yaml", "1,048,576 bytes", "limit"),
        case("two documents", scenario() + "---\n" + scenario(), "s.yaml:15", "another document"),
        case("list as key", scenario(rest="? [a]\n: 1"), "s.yaml:14", "key", "list"),
        case("raw escape character", scenario(name='name: "a\x1b[31m"'), "s.yaml:1", "U+001B"),
        case("raw bell, with its line", scenario(rest='description: "a\x07"'), "s.yaml:14", "U+0007"),
        case("json of another kind", '{"name": "base", "kind": "x"}', "s.yaml:1", "kind", "not a field"),
    ],
)
def test_a_file_that_is_no_plain_yaml_mapping_is_refused(run: Run, text: str | bytes, words: tuple[str, ...]) -> None:
    write(s__yaml=text)
    started = time.monotonic()
    assert_refused(run, "plan", "s.yaml", "--out", "report.json", "--plan-out", "plan.yaml", words=words)
    assert time.monotonic() - started < 10


@pytest.mark.parametrize(
    ("value", "rate_qps"),
    [("1e3", 1000), ("010", 10), ("0o17", 15), ("0x10", 16), ("1_0", None), ("+5", 5), (".5", 0.5), ("5.", 5)],
)
def test_numbers_are_those_of_yaml_1_2(run: Run, value: str, rate_qps: float | None) -> None:
    write(s__yaml=scenario(traffic=f"traffic: {{poisson: {{rate_qps: {value}, duration: 60ms}}}}"), p__yaml=PLAN)
    other = f"traffic: {{poisson: {{rate_qps: {rate_qps}, duration: 60ms}}}}"
    write(t__yaml=scenario(traffic=other))
    answer = run("simulate", "s.yaml", "--plan", "p.yaml", "--json")
    if rate_qps is None:
        assert answer.code == 2
        return
    expected = json.loads(run("simulate", "t.yaml", "--plan", "p.yaml", "--json").out)
    assert json.loads(answer.out)["latency"] == expected["latency"]
    assert json.loads(answer.out)["traffic"] == expected["traffic"]


@pytest.mark.parametrize("name", ["yes", "no", "on", "2024-01-01", "1_000", "0.0.1", "12-30", "=", "<<"])
def test_what_yaml_1_1_took_for_something_else_is_text(run: Run, name: str) -> None:
    write(s__yaml=scenario(name=f"name: base\ndescription: {name}"), p__yaml=PLAN)
    assert run("simulate", "s.yaml", "--plan", "p.yaml").code == 0


def test_a_byte_order_mark_and_windows_line_ends_are_fine(run: Run) -> None:
    write(s__yaml=b"\xef\xbb\xbf" + scenario().replace("\n", "\r\n").encode(), p__yaml=PLAN)
    assert run("simulate", "s.yaml", "--plan", "p.yaml").code == 0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("sections", "words"),
    [
        case("400,000 objectives", {"slo": f"slo: [{'p,' * 400_000}]"}, "s.yaml:2", "20,000 values"),
        case("90,000 unknown fields", {"rest": "\n".join(f"k{i}: 1" for i in range(90_000))}, "20,000 values"),
    ],
)
def test_a_file_of_a_mebibyte_is_refused_for_how_much_it_holds(run: Run, sections: Any, words: tuple[str, ...]) -> None:
    write(s__yaml=scenario(**sections))
    assert_refused(run, "plan", "s.yaml", words=words)
