"""A check as a report of tests in JUnit's XML, which Jenkins, GitLab and others show.

The elements and attributes are those that Jenkins' schema has (junit-10.xsd of its xUnit plugin). Times and hosts are
left out, so the same check gives the same bytes.
"""

import re
from collections.abc import Iterator
from xml.etree import ElementTree as Xml

from pipesim.check.outputs.findings import own_reasons
from pipesim.check.report import CheckReport, ScenarioCheck
from pipesim.check.wording import cost, moved, placed_input, summary, why

# What XML 1.0 allows, section 2.2: "Char".
_FORBIDDEN = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def junit_xml(report: CheckReport) -> str:
    """Return a suite for each scenario, with a test for each rule: ``p99:+5%``; ``feasible``; ``objectives met``.

    A suite has a failure if and only if the verdict of its scenario is worse than ``warn``. Rules that only warn pass,
    and what they say is in the suite's output.
    """
    root = Xml.Element("testsuites", name=_allowed(f"pipesim check: {summary(report)}"))
    for check in report.scenarios:
        root.append(_suite(check))
    _count(root, [test for suite in root for test in suite.iter("testcase")])
    Xml.indent(root)
    return f"<?xml version='1.0' encoding='utf-8'?>\n{Xml.tostring(root, encoding='unicode')}\n"


def _suite(check: ScenarioCheck) -> Xml.Element:
    suite = Xml.Element("testsuite", name=_allowed(check.path))
    tests = [_test(check, *parts) for parts in _tests(check)]
    failed = any(test.find("failure") is not None for test in tests)
    if check.verdict in ("fail", "infeasible") and not failed:
        tests.append(_test(check, "check", "; ".join(check.reasons) or f"the verdict is {check.verdict}"))
    _count(suite, tests)
    suite.extend(tests)
    lines = list(_output(check))
    if lines:
        Xml.SubElement(suite, "system-out").text = _allowed("\n".join(lines))
    return suite


def _tests(check: ScenarioCheck) -> Iterator[tuple[str, str, str]]:
    """Yield the name of each test, why it failed, and why it was skipped."""
    bad = check.verdict in ("fail", "infeasible")
    own = own_reasons(check)
    yield "feasible", (own or "no plan meets the objectives") if check.verdict == "infeasible" else "", ""
    if check.met_now is not None:
        missed = "" if check.met_now else own or "the committed plan misses the objectives"
        yield "objectives met", missed if bad else "", "" if bad else missed
    for metric in check.metrics:
        for outcome in metric.outcomes:
            yield outcome.rule, moved(metric) if outcome.broken and outcome.level == "fail" else "", ""


def _test(check: ScenarioCheck, name: str, failure: str = "", skipped: str = "") -> Xml.Element:
    test = Xml.Element("testcase", classname=_allowed(check.name), name=_allowed(name))
    if failure:
        told = Xml.SubElement(test, "failure", type=check.verdict, message=_allowed(failure))
        told.text = _allowed("\n".join(map(placed_input, check.changes)) or failure)
    elif skipped:
        Xml.SubElement(test, "skipped", message=_allowed(skipped))
    return test


def _output(check: ScenarioCheck) -> Iterator[str]:
    yield from check.reasons
    yield from map(placed_input, check.changes)
    yield from map(moved, check.metrics)
    if check.costs is not None:
        yield f"what is paid: {cost(check.costs)}"
    if blame := why(check):
        yield f"why: {blame}"
    yield from check.notes


def _count(element: Xml.Element, tests: list[Xml.Element]) -> None:
    element.set("tests", str(len(tests)))
    element.set("failures", str(sum(test.find("failure") is not None for test in tests)))
    element.set("errors", "0")
    if element.tag == "testsuite":
        element.set("skipped", str(sum(test.find("skipped") is not None for test in tests)))


def _allowed(text: str) -> str:
    """Return a text with every character that no XML document may hold replaced, as by ``errors="replace"``."""
    return _FORBIDDEN.sub("\ufffd", text)
