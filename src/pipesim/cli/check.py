"""``pipesim check``: what a change of inputs costs, and whether it may pass."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipesim.cli.baseline import BaselineFile, Budget, Scenarios, inputs_of
from pipesim.cli.options import MAX_EVALUATIONS, NOT_MET, AllowOutside, Json, Out, check_outputs, show

if TYPE_CHECKING:
    from pipesim.check.report import CheckReport

REGRESSED = 4
"""The exit code of a check that found a regression beyond its threshold."""
STEP_SUMMARY = "GITHUB_STEP_SUMMARY"


def check(
    scenarios: Scenarios = None,
    baseline: BaselineFile = None,
    base_dir: Annotated[
        Path | None,
        typer.Option("--base-dir", metavar="DIR", help="The repository as it was, to tell what each change costs."),
    ] = None,
    fail_if: Annotated[
        list[str] | None,
        typer.Option(
            "--fail-if", metavar="RULE", help="cost:+5%, p99:+20ms, p99:300ms, headroom:-10% …; may be repeated."
        ),
    ] = None,
    warn_if: Annotated[
        list[str] | None, typer.Option("--warn-if", metavar="RULE", help="The same, without failing; may be repeated.")
    ] = None,
    seeds: Annotated[
        int | None,
        typer.Option("--seeds", min=2, max=1000, help="Simulate under so many seeds, by default the baseline's."),
    ] = None,
    recheck: Annotated[
        bool, typer.Option("--recheck", help="Evaluate also what is unchanged, to see that the baseline is true.")
    ] = False,
    out: Out = None,
    json: Json = False,
    markdown: Annotated[
        Path | None, typer.Option("--markdown", metavar="FILE", help="Write a comment for a pull request.")
    ] = None,
    junit: Annotated[Path | None, typer.Option("--junit", metavar="FILE", help="Write JUnit XML.")] = None,
    sarif: Annotated[
        Path | None, typer.Option("--sarif", metavar="FILE", help="Write SARIF, for code scanning.")
    ] = None,
    code_quality: Annotated[
        Path | None, typer.Option("--code-quality", metavar="FILE", help="Write a code quality report of GitLab.")
    ] = None,
    github: Annotated[
        bool, typer.Option("--github", help="Print annotations, and add to the summary of a GitHub workflow's step.")
    ] = False,
    max_evaluations: Budget = MAX_EVALUATIONS,
    allow_outside: AllowOutside = False,
) -> None:
    """Compare scenarios with their baseline: cost, latency, headroom, and why; exit with 4 if a threshold is broken."""
    from pipesim.check.outputs.github import annotations, append_step_summary
    from pipesim.check.repository import Repository
    from pipesim.check.thresholds import rules_of
    from pipesim.cli.check_tables import check_tables
    from pipesim.cli.screen import working
    from pipesim.report import to_json

    rules = (*rules_of(fail_if or (), "fail", "--fail-if"), *rules_of(warn_if or (), "warn", "--warn-if"))
    repository = Repository.of(scenarios or (), baseline, allow_outside=allow_outside)
    outputs = {
        "--out": out, "--markdown": markdown, "--junit": junit, "--sarif": sarif, "--code-quality": code_quality
    }  # fmt: skip
    summary = os.environ.get(STEP_SUMMARY) if github else None
    written = {**outputs, STEP_SUMMARY: None if summary is None else Path(summary)}
    check_outputs([*inputs_of(repository), ("--baseline", repository.baseline)], written)
    with working("Checking") as on_scenario:
        report = repository.check(
            rules=rules,
            base_dir=base_dir,
            seeds=seeds,
            recheck=recheck,
            max_evaluations=max_evaluations,
            on_scenario=on_scenario,
        )
    _write(report, outputs)
    show(check_tables(report), lambda: to_json(report.model_dump(mode="json")), as_json=json, out=out)
    if github:
        typer.echo(annotations(report), nl=False, err=json)
        if summary is not None:
            append_step_summary(report, Path(summary))
    if report.verdict == "infeasible":
        raise typer.Exit(NOT_MET)
    if report.verdict == "fail":
        raise typer.Exit(REGRESSED)


def _write(report: "CheckReport", outputs: dict[str, Path | None]) -> None:
    """Write the files that are asked for, besides the report itself."""
    from pipesim.check.outputs.gitlab import code_quality
    from pipesim.check.outputs.junit import junit_xml
    from pipesim.check.outputs.markdown import pull_request_comment
    from pipesim.check.outputs.sarif import sarif_log
    from pipesim.files import write_atomically
    from pipesim.report import to_json

    texts: dict[str, Callable[[CheckReport], str]] = {
        "--markdown": pull_request_comment,
        "--junit": junit_xml,
        "--sarif": lambda report: to_json(sarif_log(report)),
        "--code-quality": lambda report: to_json(code_quality(report)),
    }
    for option, text in texts.items():
        if (path := outputs[option]) is not None:
            write_atomically(path, text(report))
