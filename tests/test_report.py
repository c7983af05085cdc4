"""Reports for people: what they say, that nothing in them is taken as markup, and that they ask no network."""

import base64
import hashlib
import itertools
import json
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from build import make_plan, make_scenario, make_trace
from pipesim.engine import SimulationResult, Workload, simulate
from pipesim.errors import InvalidInputError
from pipesim.planner import FeasiblePlan, Infeasible, OutOfBudget, plan
from pipesim.planner.sensitivity.study import study
from pipesim.report import Document, document, html_page, markdown
from pipesim.report.parts import Chart, Items, Paragraph, Section, Table
from pipesim.units import format_duration

HOSTILE = (
    "</script><script>alert(1)</script><img src=x onerror=alert(2)> \"'` | [x](http://evil.example) \x1b[31m \u202e"
)
BROWSER = next((path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), "")
VOID = {"meta", "img", "br"}
PIPELINE = {"detect": {}, "classify": {"after": ["detect"]}}
CURVES = {"detect": {1: 10, 8: 30}, "classify": {1: 20, 8: 40}}


class Page(HTMLParser):
    """The elements of a page, in their order, with their attributes and the text right inside them."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str], list[str]]] = []
        self._open: list[tuple[str, dict[str, str], list[str]]] = []
        self.feed(text)
        assert not self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = (tag, {name: value or "" for name, value in attrs}, list[str]())
        self.elements.append(element)
        if tag not in VOID:
            self._open.append(element)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop()[0] == tag

    def handle_data(self, data: str) -> None:
        if self._open:
            self._open[-1][2].append(data)

    def all(self, *tags: str) -> list[tuple[str, dict[str, str], str]]:
        return [(tag, attributes, "".join(text)) for tag, attributes, text in self.elements if tag in tags]

    @property
    def text(self) -> str:
        return "\n".join("".join(text) for tag, _, text in self.elements if tag not in ("script", "style"))


@pytest.fixture(scope="module")
def answer() -> FeasiblePlan:
    scenario = make_scenario(
        PIPELINE,
        CURVES,
        slo={"p99": "200ms"},
        traffic={"gamma": {"rate_qps": 80, "scv": 4, "queries": 2000}},
        description="Which plan for our <cats>?",
    )
    found = plan(scenario)
    assert isinstance(found, FeasiblePlan)
    return found


@pytest.fixture(scope="module")
def said(answer: FeasiblePlan) -> Document:
    return document(answer)


@pytest.fixture(scope="module")
def page(said: Document) -> str:
    return html_page(said)


def hostile_document() -> Document:
    table = Table(HOSTILE, (HOSTILE, "n"), ((HOSTILE, HOSTILE),))
    svg = b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"></svg>'
    plot = {"data": [{"type": "scatter", "name": HOSTILE, "x": [1], "y": [1]}], "layout": {"font": {}}}
    blocks = (Paragraph(HOSTILE), Items((HOSTILE,)), table, Chart("c", HOSTILE, HOSTILE, lambda: svg, plot, table))
    return Document(HOSTILE, HOSTILE, True, ((HOSTILE, HOSTILE),), (Section(HOSTILE, blocks),), HOSTILE)


@pytest.mark.slow
def test_both_say_the_verdict_the_plan_its_cost_why_it_is_this_one_and_what_to_know(
    answer: FeasiblePlan, said: Document, page: str
) -> None:
    simulation = answer.simulation
    outcome = simulation.slos[0]
    assert outcome.latency_ns is not None
    words = [
        "A plan meets the objectives",
        f"{simulation.cost_usd_per_hour:.2f} an hour",
        "p99 ≤ 200 ms",
        format_duration(outcome.latency_ns),
        format_duration(outcome.interval_ns.low),
        f"{outcome.misses:,} of 2,000",
        f"Binding: {answer.binding_stage} takes",
        "Optimal: every cheaper plan of the search space is excluded",
        "The reference engine confirmed the plan over the whole trace.",
        "2,000 queries in",
        "Index of dispersion",
        f"pipesim {version('pipesim')}, seed {answer.workload.scenario.seed}",
        *answer.caveats,
    ]
    seen, plain = Page(page).text, markdown(said).replace("\\", "")
    for text in words:
        assert text in seen
        assert text in plain
    for stage, row in simulation.stages.iterrows():
        cells = f"| {stage} | {row['model']} | {row['hardware']} | {row['replicas']} | {row['max_batch_size']} |"
        assert cells in plain
    for stage, row in answer.one_replica_less.iterrows():
        verdict = "met" if row["met"] else "missed"
        assert re.search(rf"\| {stage} \| {row['replicas']} \| .* \| {verdict} \|", plain)


def test_inputs_are_named_with_their_hashes(pipesim: Any, folder: Path) -> None:
    pipesim("init", "starter.yaml")
    scenario = folder / "starter.yaml"
    scenario.write_text(scenario.read_text().replace("duration: 60s", "duration: 5s"))
    answer = pipesim("report", "starter.yaml", "--out", "report.md")
    assert (answer.code, answer.err) == (0, "")
    assert answer.out == "starter: a plan meets the objectives. Wrote report.md.\n"
    text = Path("report.md").read_text()
    assert f"| starter.yaml | {hashlib.sha256(scenario.read_bytes()).hexdigest()} |" in text
    assert str(folder) not in text


@pytest.mark.slow
def test_the_same_question_gives_the_same_bytes(answer: FeasiblePlan, page: str) -> None:
    again = plan(answer.workload.scenario)
    assert html_page(document(again)) == page
    assert markdown(document(again)) == markdown(document(answer))


@pytest.mark.slow
def test_a_page_is_not_too_large_and_a_static_one_is_small_and_has_no_script(said: Document, page: str) -> None:
    assert len(page.encode()) < 6_000_000
    static = html_page(said, interactive=False)
    assert len(static.encode()) < 1_500_000
    assert Page(static).all("script") == []
    assert "script-src 'none'" in static
    assert len(Page(static).all("img")) == len(Page(page).all("img")) >= 8


def test_nothing_is_loaded_from_anywhere(page: str) -> None:
    for tag, attributes, _ in Page(page).elements:
        assert tag not in ("link", "iframe", "object", "embed", "base", "form")
        for name in ("src", "href", "srcset", "action", "data", "poster"):
            value = attributes.get(name, "#")
            assert value.startswith(("#", "data:image/svg+xml;base64,"))
        assert not any(name.startswith("on") for name in attributes)
    style = Page(page).all("style")[0][2]
    assert "url(" not in style
    assert "@import" not in style


def test_the_policy_forbids_the_network_and_every_script_but_the_two_in_the_page(page: str) -> None:
    (policy,) = (
        attributes["content"]
        for _, attributes, _ in Page(page).all("meta")
        if attributes.get("http-equiv") == "Content-Security-Policy"
    )
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    scripts = [text for _, attributes, text in Page(page).all("script") if not attributes]
    hashes = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in scripts]
    assert len(hashes) == 2
    assert rules["default-src"] == "'none'"
    assert rules["script-src"] == " ".join(f"'sha256-{digest}'" for digest in hashes)
    assert "connect-src" not in rules
    assert rules["img-src"] == "data: blob:"


def test_texts_from_strangers_are_texts_in_a_page() -> None:
    kind = Page(html_page(hostile_document()))
    plain = Page(html_page(Document("t", "v", True, (), hostile_document().sections, "o")))
    assert [tag for tag, _, _ in kind.elements if tag == "script"] == ["script"] * 3
    assert len(kind.all("img")) == len(plain.all("img")) == 1
    assert kind.all("h1")[0][2] == HOSTILE.replace("\x1b", r"\x1b").replace("\u202e", r"\u202e")
    assert not any("onerror" in attributes for _, attributes, _ in kind.elements)
    assert "alert(2)" in kind.all("p")[0][2]
    data = json.loads(kind.all("script")[0][2])
    assert data["c"]["data"][0]["name"] == HOSTILE


def test_texts_from_strangers_are_texts_in_markdown() -> None:
    text = markdown(hostile_document())
    assert not re.search(r"(?<!\\)[<>\[\]`]", text)
    assert "http\\://" in text
    assert "\x1b" not in text
    assert "\u202e" not in text
    bars = [len(re.findall(r"(?<!\\)\|", line)) for line in text.splitlines() if line.startswith("|")]
    assert bars == [3] * len(bars)
    assert len(bars) == 6
    assert all(line.startswith(("#", "**", "- **", "- ", "|", "\\<")) for line in text.splitlines() if line)


@pytest.mark.slow
def test_names_of_a_trace_reach_charts_as_texts() -> None:
    scenario = make_scenario(
        PIPELINE,
        CURVES,
        slo=[
            {"quantile": "p99", "bound": "1s"},
            {"quantile": "p90", "bound": "1s", "where": {"kind": "<b>bold</b> & co"}},
        ],
    )
    trace = make_trace([10.0 * number for number in range(50)], kind=["<b>bold</b> & co", "other"] * 25)
    page = Page(html_page(document(simulate(Workload.of(scenario, trace), make_plan(scenario, 2, 8)))))
    plots = json.loads(page.all("script")[0][2])
    names = [trace["name"] for plot in plots.values() for trace in plot["data"]]
    assert any("kind = &lt;b&gt;bold&lt;/b&gt; &amp; co" in name for name in names)
    assert not any("<" in name for name in names)
    assert not page.all("b")


def test_a_page_can_be_read_without_seeing_it(page: str) -> None:
    seen = Page(page)
    assert seen.elements[0][:2] == ("html", {"lang": "en"})
    for landmark in ("header", "nav", "main", "footer"):
        assert len(seen.all(landmark)) == 1
    levels = [int(tag[1]) for tag, _, _ in seen.all("h1", "h2", "h3", "h4")]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(later <= level + 1 for level, later in itertools.pairwise(levels))
    assert all(attributes.get("alt") for _, attributes, _ in seen.all("img"))
    plots = [attributes for _, attributes, _ in seen.all("div") if attributes.get("class") == "plot"]
    assert [attributes["id"] for attributes in plots] == [
        "plot-latency-tail", "plot-latency-over-time", "plot-time-at-stages", "plot-arrivals-against-capacity",
    ]  # fmt: skip
    assert all(attributes["role"] == "img" and attributes["aria-label"] for attributes in plots)
    assert all(attributes["scope"] in ("row", "col") for _, attributes, _ in seen.all("th"))
    assert len(seen.all("caption")) == len(seen.all("table"))
    names = [attributes["id"] for _, attributes, _ in seen.elements if "id" in attributes]
    assert len(names) == len(set(names))
    assert {attributes["href"][1:] for _, attributes, _ in seen.all("a")} <= set(names)
    style = seen.all("style")[0][2]
    for rule in ("@media print", "prefers-color-scheme: dark", ":focus-visible", "prefers-reduced-motion"):
        assert rule in style


def test_the_charts_are_the_frames(answer: FeasiblePlan, page: str) -> None:
    plots = json.loads(Page(page).all("script")[0][2])
    tail = plots["latency-tail"]["data"]
    slowest = answer.simulation.latency_ns.max() / 1e9
    assert tail[0]["x"][-1] < slowest
    for latency, share in list(zip(tail[0]["x"], tail[0]["y"], strict=True))[::50]:
        above = float((answer.simulation.latency_ns > latency * 1e9).mean())
        assert share == pytest.approx(above, abs=2e-3)
    assert tail[1]["x"] == [0.2] * 3
    assert tail[1]["y"][1] == pytest.approx(0.01)
    bars = plots["time-at-stages"]["data"]
    total = sum(bar["x"][0] for bar in bars)
    run = answer.simulation.run.stages[0]
    assert total == pytest.approx(float((run.finish_ns - run.arrival_ns).mean()) / 1e9, rel=1e-4)
    capacity = plots["arrivals-against-capacity"]["data"]
    assert [trace["name"] for trace in capacity][:3] == [
        "arrivals: most in any window", "detect finishes", "classify finishes",
    ]  # fmt: skip


def test_scenarios_without_a_plan_say_why_and_what_would_have_to_give() -> None:
    scenario = make_scenario(PIPELINE, CURVES, slo={"p99": "25ms"})
    found = plan(scenario)
    assert isinstance(found, Infeasible)
    said = document(found)
    assert (said.verdict, said.good) == ("No plan can meet the objectives", False)
    text = markdown(said)
    for words in (found.reason, *found.remedies):
        assert words in text.replace("\\", "")
    assert "✗" in html_page(said)
    assert Page(html_page(said)).all("script") == []


def test_a_search_that_ran_out_of_tests_says_so(answer: FeasiblePlan) -> None:
    found = plan(answer.workload, max_evaluations=1, method="greedy")
    assert isinstance(found, OutOfBudget)
    assert document(found).verdict == "The budget was used up before any feasible plan was found"
    assert "Allow more with \\-\\-max-evaluations" not in markdown(document(found))
    assert "Allow more with --max-evaluations." in markdown(document(found))


def test_a_plan_that_misses_and_traffic_without_queries_have_reports(answer: FeasiblePlan) -> None:
    scenario = answer.workload.scenario
    missed = document(simulate(answer.workload, make_plan(scenario, 1, 1)))
    assert (missed.verdict, missed.good) == ("The plan misses an objective", False)
    assert "MISSED" in markdown(missed)
    empty: SimulationResult = simulate(Workload.of(scenario, make_trace([])), make_plan(scenario))
    assert "0 queries in" in Page(html_page(document(empty))).text


@pytest.mark.slow
def test_sensitivities_are_added_when_asked_for() -> None:
    scenario = make_scenario({"detect": {}}, {"detect": {1: 10}}, slo={"p99": "100ms"})
    found = study(Workload.of(scenario), max_evaluations=200)
    said = document(found.result, found)
    section = next(one for one in said.sections if one.title == "What the cheapest plan depends on")
    titles = [block.caption for block in section.blocks if isinstance(block, Table)]
    assert "If all bounds were multiplied" in titles
    assert "At other loads" in titles
    assert "The plan itself sustains" in markdown(said)
    page = html_page(said)
    assert Page(page).text.count("If all bounds were multiplied") == 2
    assert len(page.encode()) < 6_000_000
    kinds = {attributes["src"].split(";")[0] for _, attributes, _ in Page(page).all("img")}
    assert kinds == {"data:image/svg+xml", "data:image/png"}  # hatched bars are smaller as a PNG


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--out", "r.pdf"], "--out: 'r.pdf' has an ending that is not known; use one of .html, .md"),
        (["--out", "r.md", "--static"], "--static: 'r.md' has no scripts anyway; leave --static out"),
        (["--plan", "p.yaml", "--sensitivity"], "--sensitivity: 'p.yaml' is a plan already made"),
        (["--plan", "p.yaml", "--max-evaluations", "5"], "--max-evaluations: 'p.yaml' is a plan already made"),
        (["--out", "none/r.md"], "--out: 'none/r.md' is in a folder that does not exist"),
    ],
)
def test_bad_options_are_refused(pipesim: Any, folder: Path, arguments: list[str], words: str) -> None:
    pipesim("init", "starter.yaml")
    answer = pipesim("report", "starter.yaml", *arguments)
    assert answer.code == 2
    assert words in answer.err
    assert [path.name for path in folder.iterdir()] == ["starter.yaml"]


@pytest.mark.slow
def test_without_plotly_a_page_says_what_to_install_or_is_static(
    said: Document, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "plotly.offline", None)
    with pytest.raises(InvalidInputError, match=r"report: needs the package plotly; pip install 'pipesim\[report\]'"):
        html_page(said)
    assert "Why this plan" in html_page(said, interactive=False)


@pytest.mark.slow
@pytest.mark.skipif(not BROWSER, reason="no Chromium here")
@pytest.mark.parametrize("hostile", [False, True])
def test_a_browser_draws_all_charts_without_a_complaint(page: str, tmp_path: Path, hostile: bool) -> None:
    file = tmp_path / "report.html"
    file.write_text(html_page(hostile_document()) if hostile else page)
    command = [
        BROWSER, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}",
        "--enable-logging=stderr", "--virtual-time-budget=8000", "--dump-dom", file.as_uri(),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    assert "CONSOLE" not in done.stderr
    expected = 1 if hostile else 4
    assert done.stdout.count('<figure class="live">') == expected
    assert len(re.findall(r'<svg[^>]*class="main-svg"', done.stdout)) >= expected
    assert "<script>alert" not in done.stdout
