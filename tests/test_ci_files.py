"""The action, the GitLab template and the hook: they parse, nothing of a stranger is code in them, and they run."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from bad_input.answers import SECTIONS, scenario

TOP = Path(__file__).parents[1]
ACTION = yaml.safe_load((TOP / "action.yml").read_text())
STEPS: dict[str, dict[str, Any]] = {step["name"]: step for step in ACTION["runs"]["steps"]}
SPEC, JOBS = yaml.safe_load_all((TOP / "ci" / "gitlab.yml").read_text())
JOB = JOBS["pipesim check"]
(HOOK,) = yaml.safe_load((TOP / ".pre-commit-hooks.yaml").read_text())
SHELL_SCRIPTS = {
    **{name: step["run"] for name, step in STEPS.items() if "run" in step},
    "GitLab": "\n".join([*JOB["before_script"], *JOB["script"]]),
}
FILE = "a $(touch pwned); touch pwned.yaml"
DEARER = SECTIONS["prices"].replace("price_usd_per_hour: 1}", "price_usd_per_hour: 2}")


@pytest.mark.parametrize("script", SHELL_SCRIPTS.values(), ids=SHELL_SCRIPTS)
def test_no_value_is_pasted_into_a_script(script: str) -> None:
    assert "${{" not in script
    assert "$[[" not in script
    assert subprocess.run(["bash", "-n"], input=script, text=True, check=False).returncode == 0  # noqa: S607


@pytest.mark.parametrize("script", SHELL_SCRIPTS.values(), ids=SHELL_SCRIPTS)
def test_no_module_of_the_repository_under_test_is_imported(script: str) -> None:
    assert all(flags.startswith("-I ") for flags in re.findall(r'python"? +(-.*)', script))


def test_actions_are_pinned_to_commits() -> None:
    lines = [line for line in (TOP / "action.yml").read_text().splitlines() if "uses:" in line and "OWNER" not in line]
    assert len(lines) >= 3
    assert all(re.search(r"uses: [\w.-]+/[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$", line) for line in lines), lines


def test_inputs_are_those_that_are_used() -> None:
    assert set(re.findall(r"inputs\.([a-z-]+)", (TOP / "action.yml").read_text())) == set(ACTION["inputs"])
    assert set(re.findall(r"\$\[\[ inputs\.([a-z-]+) \]\]", str(JOB))) == set(SPEC["spec"]["inputs"])


def test_variables_of_scripts_are_set() -> None:
    runner = {"RUNNER_TEMP", "GITHUB_OUTPUT", "IFS", "PATH"}
    for step in STEPS.values():
        if "run" in step:
            used = set(re.findall(r"\$\{?([A-Z_]+)", step["run"]))
            assert used <= set(step["env"]) | runner
            assert set(step["env"]) <= used | {"GITHUB_TOKEN"}


def git(*arguments: str) -> str:
    settings = ("-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false")
    return subprocess.run(["git", *settings, *arguments], check=True, capture_output=True, text=True).stdout.strip()  # noqa: S607


@pytest.fixture(scope="module")
def changed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a repository in which a price has been doubled since its first commit, with a baseline."""
    with pytest.MonkeyPatch.context() as patch:
        repository = tmp_path_factory.mktemp("changed")
        patch.chdir(repository)
        Path(FILE).write_text(scenario())
        git("init")
        assert pipesim("baseline", "update", FILE, "--seeds", "2") == 0
        git("add", ".")
        git("commit", "-m", "base")
        Path(FILE).write_text(scenario(prices=DEARER))
        git("commit", "-am", "dearer")
    return repository


@pytest.fixture
def base(changed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return the first commit of the changed repository, which is entered, a runner's folder beside it."""
    (tmp_path / "runner").mkdir()
    (tmp_path / "runner" / "pipesim").symlink_to(sys.prefix)
    shutil.copytree(changed, tmp_path / "repository")
    monkeypatch.chdir(tmp_path / "repository")
    return git("rev-parse", "HEAD^")


def pipesim(*arguments: str) -> int:
    command = [str(Path(sys.prefix) / "bin" / "pipesim"), *arguments]
    return subprocess.run(command, check=False, capture_output=True).returncode


def run_step(name: str, context: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run a step as a runner does: its expressions looked up in a context, its script in a file."""

    def value(expression: str) -> str:
        names = (name.strip() for name in expression.split("||"))
        return next((found for name in names if (found := context.get(name, ""))), "")

    temporary = Path("../runner").resolve()
    environment = {
        name: re.sub(r"\$\{\{(.*?)\}\}", lambda found: value(found[1]), text)
        for name, text in STEPS[name]["env"].items()
    }
    environment |= {
        "RUNNER_TEMP": str(temporary),
        "GITHUB_OUTPUT": str(temporary / "output"),
        "GITHUB_STEP_SUMMARY": str(temporary / "summary"),
    }
    (temporary / "script").write_text(STEPS[name]["run"])
    command = ["bash", "--noprofile", "--norc", "-eo", "pipefail", str(temporary / "script")]
    return subprocess.run(command, check=False, capture_output=True, text=True, env=os.environ | environment)


def outputs() -> dict[str, str]:
    lines = (Path("../runner") / "output").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines)


@pytest.mark.slow
def test_the_action_fails_a_change_that_costs_too_much(base: str) -> None:
    fetched = run_step("Get the old files", {"github.event.pull_request.base.sha": base})
    assert fetched.returncode == 0, fetched.stderr
    old = outputs()["dir"]
    assert "price_usd_per_hour: 1}" in (Path(old) / FILE).read_text()
    context = {
        "inputs.scenarios": "\n*.yaml; touch pwned\n\na *.yaml\n",
        "inputs.fail-if": "cost:+5%\n\np99:+10%\n",
        "inputs.warn-if": "headroom:-10%",
        "inputs.seeds": "2",
        "steps.base.outputs.dir": old,
    }
    checked = run_step("Check", context)
    assert checked.returncode == 2, checked.stdout + checked.stderr
    assert "'*.yaml; touch pwned' is not a file" in checked.stderr
    assert "report" not in outputs()
    checked = run_step("Check", context | {"inputs.scenarios": "a *.yaml"})
    assert checked.returncode == 4, checked.stdout + checked.stderr
    assert outputs()["verdict"] == "fail"
    assert Path(outputs()["report"]).is_file()
    assert Path(outputs()["sarif"]).is_file()
    assert "pipesim" in Path("../runner/summary").read_text()
    assert re.search(r"^::error file=", checked.stdout, re.MULTILINE)
    assert not list(Path("..").rglob("pwned"))


def test_the_action_installs_itself_apart_from_what_it_checks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("bin", "runner", "repository"):
        (tmp_path / name).mkdir()
    stub = tmp_path / "bin" / "python"
    log = f'echo "$@" >> "{tmp_path}/log"\n'
    stub.write_text(f'#!/bin/bash\n{log}if [ "$3" = venv ]; then mkdir -p "$4/bin" && cp "$0" "$4/bin/python"; fi\n')
    stub.chmod(0o755)
    monkeypatch.setenv("PATH", f"{stub.parent}:{os.environ['PATH']}")
    monkeypatch.chdir(tmp_path / "repository")
    assert run_step("Install pipesim", {"github.action_path": "/the action"}).returncode == 0
    assert (tmp_path / "log").read_text().splitlines() == [
        f"-I -m venv {tmp_path}/runner/pipesim",
        "-I -m pip install --quiet /the action[github]",
    ]


@pytest.mark.slow
def test_the_gitlab_job_fails_a_change_that_costs_too_much(base: str, tmp_path: Path) -> None:
    git("worktree", "add", "--detach", str(tmp_path / "runner" / "pipesim-base"), base)
    script = "\n".join(JOB["script"]).replace("/opt", str(tmp_path / "runner"))
    variables = {
        "BASELINE": "pipesim-baseline.yaml",
        "FAIL_IF": "cost:+5%\np99:+10%",
        "WARN_IF": "",
        "SCENARIOS": "a *.yaml",
    }
    assert set(variables) | {"PIPESIM_INSTALL"} == set(JOB["variables"])
    job = subprocess.run(["sh", "-ec", script], check=False, capture_output=True, text=True, env=os.environ | variables)  # noqa: S607
    assert job.returncode == 4, job.stdout + job.stderr
    reports = JOB["artifacts"]["reports"]
    assert all(Path(name).stat().st_size for name in (*JOB["artifacts"]["paths"], *reports.values()))
    assert not list(Path("..").rglob("pwned"))


@pytest.mark.slow
def test_the_hook_fails_a_change_that_costs_too_much(base: str) -> None:
    Path("pipesim.toml").write_text('[check]\nscenarios = ["a *.yaml"]\nfail_if = ["cost:+5%"]\n')
    assert base
    name, *arguments = shlex.split(HOOK["entry"])
    assert (name, HOOK["pass_filenames"]) == ("pipesim", False)
    assert pipesim(*arguments) == 4
    seen = re.compile(HOOK["files"])
    names = ("s.yaml", "profiles.csv", "trace.csv.gz", "trace.parquet", "pipesim.toml", "pipesim-baseline.yaml")
    assert all(map(seen.search, names))
    assert not seen.search("README.md")
