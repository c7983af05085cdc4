"""What the documents show is what the program does."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from walkthrough import performed

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def test_the_scenario_in_the_readme_is_that_of_the_example() -> None:
    example = (ROOT / "examples" / "social-media.yaml").read_text()
    (shown,) = blocks(README, "yaml")
    assert all(line in example.splitlines() for line in shown.splitlines())


@pytest.mark.slow
def test_the_output_in_the_readme_is_what_the_program_prints(pipesim: Callable[..., Any]) -> None:
    shown = blocks(README, "text")[0]
    printed = pipesim("plan", ROOT / "examples" / "social-media.yaml").out
    assert [line.rstrip() for line in printed.splitlines()] == shown.splitlines()


@pytest.mark.slow
def test_the_python_in_the_readme_runs(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(ROOT)
    (code,) = blocks(README, "python")
    exec(compile(code, "README.md", "exec"), {})  # noqa: S102 - our own document
    printed = capsys.readouterr().out
    assert "resnet-features" not in printed
    assert "slow" in printed
    assert "utilisation" in printed


@pytest.mark.slow
def test_the_python_of_what_if_runs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    for code in blocks((ROOT / "docs" / "whatif.md").read_text(), "python"):
        if "distributed" not in code:  # which has a cluster
            exec(compile(code, "whatif.md", "exec"), names)  # noqa: S102 - our own document
    assert len(names["frame"]) == 6
    assert (tmp_path / "sweep.parquet" / "_sweep.json").is_file()


def test_the_scenario_in_the_docs_can_be_simulated_with_the_plan_and_the_constraints_there(
    pipesim: Callable[..., Any], tmp_path: Path
) -> None:
    scenario, plan, constraints = blocks((ROOT / "docs" / "scenario.md").read_text(), "yaml")
    (tmp_path / "plan.yaml").write_text(plan)
    whole = yaml.safe_dump(yaml.safe_load(scenario) | yaml.safe_load(constraints))
    for text in (scenario, whole):
        (tmp_path / "shop.yaml").write_text(text)
        result = pipesim("simulate", tmp_path / "shop.yaml", "--plan", tmp_path / "plan.yaml")
        assert (result.code, result.err) == (0, "")


def test_links_between_documents_lead_somewhere() -> None:
    for document in [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("*/README.md")]:
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", document.read_text()):
            assert (document.parent / target).exists(), f"{document.name}: {target}"


@pytest.mark.slow
def test_what_the_planners_page_says_can_be_asked_can_be_asked(
    pipesim: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    pipesim("init", "scenario.yaml")
    starter = Path("scenario.yaml").read_text().replace("duration: 60s", "duration: 10s")
    for name in ("scenario.yaml", "monday.yaml"):
        Path(name).write_text(starter)
    (commands,) = blocks((ROOT / "docs" / "planner.md").read_text(), "console")
    for line in commands.splitlines():
        program, *arguments = line.split("#")[0].split()
        answer = pipesim(*arguments)
        assert (program, answer.err) == ("pipesim", ""), line
        assert answer.code == 0 or "held out it MISSES" in answer.out, line


@pytest.mark.slow
def test_the_check_from_end_to_end_is_as_it_is_told(tmp_path: Path) -> None:
    told = (ROOT / "docs" / "check-walkthrough.md").read_text()
    (place := tmp_path / "plates").mkdir()
    assert performed(told, place) == told
