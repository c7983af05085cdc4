"""Checks as others read them: on a terminal, as Markdown, annotations, JUnit, SARIF and GitLab's code quality."""

import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote
from xml.etree import ElementTree as Xml

import jsonschema
import pytest
from markdown_it import MarkdownIt
from rich.console import Console

from check_reports import (
    HOSTILE,
    check,
    costs,
    failing,
    hostile,
    infeasible,
    metric,
    report,
    several,
    unchanged,
    warning,
)
from pipesim.check.outputs import (
    annotations,
    append_step_summary,
    code_quality,
    junit_xml,
    pull_request_comment,
    sarif_log,
)
from pipesim.check.outputs.markdown import MARKER, MOST_CHARACTERS
from pipesim.check.report import Change, CheckReport
from pipesim.cli.check_tables import check_tables
from pipesim.errors import InvalidInputError

ALL = (pull_request_comment, annotations, junit_xml, sarif_log, code_quality)
WELL = report(check("calm", costs=costs("2", "2"), met_now=True), unchanged())


def on_terminal(shown: CheckReport) -> str:
    console = Console(file=io.StringIO(), width=110, highlight=False, markup=False, emoji=False)
    console.print(check_tables(shown))
    return console.file.getvalue()  # type: ignore[attr-defined]


def words(text: str) -> str:
    return " ".join(text.split())


class Page(HTMLParser):
    """The elements of rendered Markdown, which must be closed in their order, and its text."""

    def __init__(self, markdown: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.text = ""
        self.rows: list[list[str]] = []
        self.feed(MarkdownIt("commonmark", {"html": True}).enable("table").render(markdown))
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data
        if self.open and self.open[-1] in ("td", "th"):
            self.rows[-1][-1] += data.replace("\xa0", " ")


def test_a_terminal_shows_verdict_reasons_changes_metrics_cost_blame_and_other_plans() -> None:
    text = words(on_terminal(several()))
    for said in (
        "social-media: FAIL examples/social-media.yaml",
        "* the committed plan no longer meets the objectives",
        "* resnet152 profile: k80, batch 8: 132.9 ms → 146.2 ms (+10 %) (profiles/mine.csv:12)",
        "objectives met MISSED",
        "p50 246 ms 248 ms +1.5 ms (+0.61 %) -1 ms to +4 ms within noise",
        "miss_rate 0 % 1.3 % +1.3 points +1.1 to +1.5 points",
        "headroom 1.11× 0.98× -0.13× (-12 %) -0.14× to -0.12× warn headroom:-10%",
        "Cost: $5.53/h → $6.88/h (+$1.35/h, +24 %): prices +$0.06/h, plan +$1.29/h",
        "Why: +24 %: resnet152 profile +21 %, price of k80 +3 %",
        "Another plan would run: * image: 3 × k80, batch 10 → 4 × k80, batch 10",
        "Another plan would run, at the same cost: * image: 3 × k80, batch 10 → 2 × v100, batch 10",
        "A cheaper plan was found, at $1.80/h: * image: 3 × k80, batch 10 → 2 × l4, batch 10",
        "Cost: $3.00/h → no plan meets the objectives",
        "brand-new: warn, new",
        "quiet: unchanged, $1.20/h",
        "The baseline: * examples/old.yaml is not there any more",
    ):
        assert said in text
    assert on_terminal(several()).splitlines()[-1] == (
        "5 scenarios: 1 is infeasible, 1 fails, 2 warn, 1 is ok; 1 unchanged, against pipesim.lock.json."
    )
    assert on_terminal(WELL).splitlines()[-1].startswith("2 scenarios are ok; 1 unchanged, against")


@pytest.mark.parametrize("shown", [several(), hostile()])
def test_a_terminal_has_no_escapes_no_long_lines_and_nothing_that_a_runner_obeys(shown: CheckReport) -> None:
    lines = on_terminal(shown).splitlines()
    assert max(map(len, lines)) <= 110
    assert all(line.isprintable() for line in lines)
    assert not [line for line in lines if line.lstrip().startswith("::") or "##[" in line]


def test_what_is_not_known_of_costs_is_not_made_up() -> None:
    found = failing(costs=costs("5.53", None), attribution=(), attribution_note="", plan_changes=(), best_changes=())
    assert "Cost: $5.53/h → no plan meets the objectives" in on_terminal(report(found))
    none = dict.fromkeys(("before", "best_before", "price_effect", "plan_effect"))
    missed = failing(costs=costs("5", "6").model_copy(update=none), attribution=())
    assert "Cost: no plan met the objectives → $6.00/h" in on_terminal(report(missed))


def test_a_comment_has_the_worst_first_and_a_fold_out_for_each_scenario_that_changed() -> None:
    comment = pull_request_comment(several())
    assert comment.startswith(f"{MARKER}\n⛔ **pipesim check**: 5 scenarios: 1 is infeasible, 1 fails, ")
    page = Page(comment)
    assert page.rows[:5] == [
        ["Scenario", "Cost before", "Now", "Change", "p99", "Headroom", "Verdict"],
        ["frontier", "$3.00/h", "–", "–", "200 ms", "–", "⛔ infeasible"],
        ["social-media", "$5.53/h", "$6.88/h", "+$1.35/h (+24 %)", "874 ms → 979 ms", "1.11× → 0.98×", "❌ FAIL"],
        ["tf-cascade", "$2.00/h", "$2.00/h", "none", "100 ms → 104 ms", "1.3× → 1.16×", "⚠️ warn"],
        ["brand-new", "–", "$4.20/h", "–", "–", "–", "⚠️ warn, new"],
    ]
    assert [
        "p99",
        "874 ms",
        "979 ms",
        "+105 ms (+12 %)",
        "+91 ms to +119 ms",
        "FAIL p99:+10%, warn p99:+20ms",
    ] in page.rows
    assert page.tags.count("details") == page.tags.count("summary") == 4
    for said in (
        "Unchanged: quiet.",
        "Why: +24 %: resnet152 profile +21 %, price of k80 +3 %",
        "image: 3 × k80, batch 10 → 2 × v100, batch 10",
        "examples/old.yaml is not there any more",
    ):
        assert said in words(page.text)


def test_a_comment_when_all_is_well_is_a_line_and_a_fold_out() -> None:
    comment = pull_request_comment(WELL)
    assert comment.startswith(f"{MARKER}\n✅ **pipesim check**: 2 scenarios are ok; 1 unchanged\n\n<details>")
    assert comment.endswith("</details>\n")
    assert Page(comment).tags.count("details") == 1


def test_texts_from_strangers_are_texts_in_a_comment() -> None:
    comment = pull_request_comment(hostile())
    page = Page(comment)
    own = {"p", "strong", "details", "summary", "b", "ul", "li", "br", "table", "thead", "tbody", "tr", "th", "td"}
    assert set(page.tags) <= own
    assert {len(row) for row in page.rows[:2]} == {7}
    assert {len(row) for row in page.rows[2:]} == {5}
    seen = page.text.replace("\u200b", "").replace("\xa0", " ")
    assert words(HOSTILE.replace("\x1b", r"\x1b").replace("\u202e", r"\u202e")) in words(seen)
    # What GitHub links after the markup was made: people, issues, addresses.
    assert not re.search(r"@\w|#\d|GH-\d|://|www\.\w", page.text)
    assert all(line.isprintable() for line in comment.splitlines())


@pytest.mark.parametrize("make", [lambda index: failing(f"s{index}"), lambda _: hostile().scenarios[0]])
def test_a_comment_that_would_be_too_long_leaves_out_whole_rows_and_fold_outs_and_says_so(make: Any) -> None:
    comment = pull_request_comment(report(*(make(index) for index in range(600))))
    assert MOST_CHARACTERS // 2 < len(comment) <= MOST_CHARACTERS
    page = Page(comment)
    shown, folded = sum(len(row) == 7 for row in page.rows) - 1, page.tags.count("details")
    assert 0 < folded < shown < 600
    assert (
        f"{600 - shown} scenarios left out of the table, the details of {600 - folded} scenarios left out." in page.text
    )
    assert page.text.rstrip().endswith("by pipesim 0.1.0.")


def test_long_lists_are_counted() -> None:
    changes = tuple(Change(part="profiles", item=f"m{index}", text="new") for index in range(50))
    found = report(failing(changes=changes, notes=("x" * 10_000,)), *(unchanged(f"u{index}") for index in range(50)))
    comment = pull_request_comment(found)
    assert "- … and 40 more" in comment
    assert "u9, and 40 more." in comment
    assert len(comment) < 5000
    assert "… and 30 more" in on_terminal(found)


def test_annotations_name_the_file_and_line_most_to_blame_errors_first() -> None:
    lines = annotations(several()).splitlines()
    assert lines[1] == (
        "::error file=profiles/mine.csv,line=12,title=pipesim%3A social-media::cost $5.53/h → $6.88/h, +$1.35/h "
        "(+24 %25), breaks cost:+5%25; resnet152 profile: k80, batch 8: 132.9 ms → 146.2 ms (+10 %25)"
    )
    levels = [line.split(" ", 1)[0] for line in lines]
    assert levels == ["::error"] * 4 + ["::warning"] * 3
    assert "::error file=examples/frontier.yaml,title=pipesim%3A frontier::no plan meets p99 <= 100 ms" in lines
    assert annotations(WELL) == ""


def test_annotations_are_one_command_each_whatever_texts_hold() -> None:
    def unescaped(text: str) -> str:
        for escape, letter in (("%3A", ":"), ("%2C", ","), ("%0D", "\r"), ("%0A", "\n"), ("%25", "%")):
            text = text.replace(escape, letter)
        return text

    found = failing("a,b:c%0A\n::d", changes=(Change(part="slo", item="", text="no", file="e,f=g:h\r\n%2C", line=1),))
    for line in annotations(report(found)).splitlines():
        command = re.fullmatch(r"::(error|warning) file=([^,:]*),line=1,title=([^,:]*)::(.*)", line)
        assert command is not None
        assert unescaped(command[2]) == "e,f=g:h %2C"
        assert unescaped(command[3]) == "pipesim: a,b:c%0A ::d"
    assert all(line.startswith("::error file=") for line in annotations(hostile()).splitlines())


def test_the_step_summary_is_appended(tmp_path: Path) -> None:
    file = tmp_path / "summary.md"
    file.write_text("before\n")
    append_step_summary(several(), file)
    assert file.read_text() == "before\n" + pull_request_comment(several()).removeprefix(f"{MARKER}\n")
    with pytest.raises(InvalidInputError, match=r"GITHUB_STEP_SUMMARY: .*cannot be written"):
        append_step_summary(several(), tmp_path)


# What Jenkins' schema allows (junit-10.xsd of its xUnit plugin): attributes that are due, that may be there, children.
JUNIT: dict[str, tuple[set[str], set[str], set[str]]] = {
    "testsuites": (set(), {"name", "time", "tests", "failures", "errors"}, {"testsuite"}),
    "testsuite": (
        {"name", "tests", "failures", "errors"},
        {"group", "time", "skipped", "timestamp", "hostname", "id", "package", "file", "log", "url"},
        {"testsuite", "properties", "testcase", "system-out", "system-err"},
    ),
    "testcase": (
        {"name"},
        {"time", "classname", "group"},
        {"skipped", "error", "failure", "system-out", "system-err"},
    ),
    "failure": (set(), {"type", "message"}, set()),
    "skipped": (set(), {"type", "message"}, set()),
    "system-out": (set(), set(), set()),
}


def junit(shown: CheckReport) -> Xml.Element:
    root = Xml.fromstring(junit_xml(shown).encode())  # noqa: S314 - our own
    for element in root.iter():
        due, optional, children = JUNIT[element.tag]
        assert due <= set(element.keys()) <= due | optional
        assert {child.tag for child in element} <= children
    for element in (root, *root):
        tests = list(element.iter("testcase"))
        failed = [test for test in tests if test.find("failure") is not None]
        assert (element.get("tests"), element.get("failures")) == (str(len(tests)), str(len(failed)))
    return root


def outcomes(suite: Xml.Element) -> dict[str | None, list[str]]:
    return {test.get("name"): [child.tag for child in test] for test in suite.iter("testcase")}


def test_junit_has_a_suite_for_each_scenario_and_a_test_for_each_rule() -> None:
    root = junit(several())
    assert root.tag == "testsuites"
    assert [suite.get("name") for suite in root] == [one.path for one in several().scenarios]
    assert outcomes(root[0]) == {
        "feasible": [],
        "objectives met": ["failure"],
        "cost:+5%": ["failure"],
        "p99:+10%": ["failure"],
        "p99:+20ms": [],
        "utilisation:99%": [],
        "headroom:-10%": [],
    }
    assert outcomes(root[2]) == {"feasible": ["failure"], "objectives met": ["failure"], "p99:+10%": []}
    assert {tag for suite in (root[1], root[3], root[4]) for tags in outcomes(suite).values() for tag in tags} == set()


def test_junit_fails_a_suite_if_and_only_if_its_scenario_fails() -> None:
    odd = check("odd", verdict="fail", reasons=("for a reason that no rule gives",))
    missed = check("missed", verdict="warn", reasons=("missed as before",), met_before=False, met_now=False)
    root = junit(report(failing(), warning(), infeasible(), unchanged(), odd, missed))
    assert [suite.get("failures") != "0" for suite in root] == [True, False, True, False, True, False]
    assert outcomes(root[5])["objectives met"] == ["skipped"]


def test_junit_holds_no_character_that_xml_forbids() -> None:
    nasty = "a\x00\x0b\ufffe]]>&<b\U0001f600\n"
    root = junit(report(failing(nasty, path=nasty, reasons=(nasty,), metrics=(metric("p99", "s", 1, 2, f"!{nasty}"),))))
    assert root[0][0].get("classname") == "a\ufffd\ufffd\ufffd]]>&<b\U0001f600\n"
    junit(hostile())


# What the SARIF 2.1.0 schema of OASIS says of the objects used; it allows no others in them.
def _object(required: str = "", **properties: Any) -> dict[str, Any]:
    return {"type": "object", "additionalProperties": False, "required": required.split(), "properties": properties}


_TEXT = {"type": "string"}
_MESSAGE = _object("text", text=_TEXT, markdown=_TEXT, id=_TEXT, arguments={"type": "array"}, properties={})
_LEVEL = {"enum": ["none", "note", "warning", "error"]}
_INDEX = {"type": "integer", "minimum": -1}
_PHYSICAL = _object(
    artifactLocation=_object(uri={"type": "string", "format": "uri-reference"}, uriBaseId=_TEXT, index=_INDEX),
    region=_object(startLine={"type": "integer", "minimum": 1}),
)
_LOCATIONS = {"type": "array", "items": _object(physicalLocation=_PHYSICAL, message=_MESSAGE)}
_RULE = _object(
    "id",
    id=_TEXT,
    shortDescription=_MESSAGE,
    fullDescription=_MESSAGE,
    help=_MESSAGE,
    defaultConfiguration=_object(level=_LEVEL),
    properties=_object(tags={"type": "array", "items": _TEXT, "uniqueItems": True}),
)
_RESULT = _object(
    "message",
    ruleId=_TEXT,
    ruleIndex=_INDEX,
    level=_LEVEL,
    message=_MESSAGE,
    locations=_LOCATIONS,
    relatedLocations=_LOCATIONS | {"uniqueItems": True},
    partialFingerprints={"type": "object", "additionalProperties": _TEXT},
)
_RUN = _object(
    "tool",
    tool=_object(
        "driver",
        driver=_object("name", name=_TEXT, version=_TEXT, rules={"type": "array", "items": _RULE, "uniqueItems": True}),
    ),
    automationDetails=_object(id=_TEXT),
    columnKind={"enum": ["utf16CodeUnits", "unicodeCodePoints"]},
    results={"type": "array", "items": _RESULT},
)
SARIF = _object(
    "version runs",
    **{"$schema": {"type": "string", "format": "uri"}},
    version={"enum": ["2.1.0"]},
    runs={"type": "array", "items": _RUN},
)


@pytest.mark.parametrize("shown", [several(), WELL, hostile()])
def test_sarif_is_what_the_standard_and_github_ask_for(shown: CheckReport) -> None:
    log = sarif_log(shown)
    jsonschema.validate(log, SARIF, format_checker=jsonschema.FormatChecker())
    (run,) = log["runs"]
    rules = [rule["id"] for rule in run["tool"]["driver"]["rules"]]
    assert len(set(rules)) == len(rules)
    fingerprints = [result["partialFingerprints"]["primaryLocationLineHash"] for result in run["results"]]
    assert len(set(fingerprints)) == len(fingerprints)
    for result in run["results"]:
        assert rules[result["ruleIndex"]] == result["ruleId"]
        (location,) = result["locations"]
        artifact = location["physicalLocation"]["artifactLocation"]
        assert artifact["uriBaseId"] == "%SRCROOT%"
        assert re.fullmatch(r"[A-Za-z0-9/._~%-]+", artifact["uri"])
        assert not re.search(r"\]\(|\{\d", result["message"]["text"])


def test_sarif_blames_the_changed_inputs_or_else_the_scenario_file() -> None:
    results = {
        (one["ruleId"], one["message"]["text"].split(":")[0]): one for one in sarif_log(several())["runs"][0]["results"]
    }
    cost = results["pipesim/cost", "social-media"]
    assert cost["level"] == "error"
    assert cost["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == "profiles/mine.csv"
    assert cost["locations"][0]["physicalLocation"]["region"] == {"startLine": 12}
    (related,) = cost["relatedLocations"]
    assert related["physicalLocation"]["artifactLocation"]["uri"] == "prices.yaml"
    assert results["pipesim/headroom", "social-media"]["level"] == "warning"
    nowhere = results["pipesim/infeasible", "frontier"]["locations"][0]["physicalLocation"]
    assert nowhere["artifactLocation"]["uri"] == "examples/frontier.yaml"


def test_sarif_uris_are_escaped_and_those_of_another_folder_are_told() -> None:
    found = infeasible().model_copy(update={"path": "a.yaml", "file": "b c/#%:é.yaml"})
    (result,) = sarif_log(report(found))["runs"][0]["results"]
    uri = result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
    assert (uri, unquote(uri)) == ("b%20c/%23%25%3A%C3%A9.yaml", "b c/#%:é.yaml")


def test_fingerprints_stay_when_figures_and_lines_move() -> None:
    moved = failing(
        metrics=(metric("cost", "usd_per_hour", 5, 9, "!cost:+7%"),),
        reasons=("other words",),
        changes=(Change(part="prices", item="k80", text="other", file="prices.yaml", line=99),),
    )
    first, second = (
        {one["check_name"]: one["fingerprint"] for one in code_quality(report(found))} for found in (failing(), moved)
    )
    assert second == {name: first[name] for name in ("pipesim/objectives", "pipesim/cost")}


def test_code_quality_is_what_gitlab_reads() -> None:
    issues = json.loads(json.dumps(code_quality(several())))
    assert issues[1] == {
        "description": "social-media: cost $5.53/h → $6.88/h, +$1.35/h (+24 %), breaks cost:+5%",
        "check_name": "pipesim/cost",
        "fingerprint": issues[1]["fingerprint"],
        "severity": "major",
        "location": {"path": "profiles/mine.csv", "lines": {"begin": 12}},
    }
    assert re.fullmatch("[0-9a-f]{64}", issues[1]["fingerprint"])
    assert {issue["severity"] for issue in issues} == {"major", "minor"}
    assert issues[3]["location"] == {"path": "examples/frontier.yaml", "lines": {"begin": 1}}


def test_every_scenario_that_does_not_pass_has_a_finding_of_its_level() -> None:
    shown = several()
    found = {(issue["description"].split(":")[0], issue["severity"]) for issue in code_quality(shown)}
    for one in shown.scenarios:
        if one.verdict != "pass":
            assert (one.name, "minor" if one.verdict == "warn" else "major") in found
    assert not [name for name, _ in found if name == "quiet"]


def test_the_same_check_gives_the_same_bytes_read_back_from_its_json() -> None:
    again = CheckReport.model_validate_json(several().model_dump_json())
    for output in ALL:
        assert output(again) == output(several())
