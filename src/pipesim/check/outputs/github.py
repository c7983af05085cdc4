"""What GitHub Actions shows of a check: annotations of files, and the summary of the step."""

from pathlib import Path

from pipesim.check.outputs.findings import Finding, findings, one_line
from pipesim.check.outputs.markdown import step_summary
from pipesim.check.report import CheckReport
from pipesim.errors import invalid

_DATA = str.maketrans({"%": "%25", "\r": "%0D", "\n": "%0A"})
_PROPERTY = str.maketrans({"%": "%25", "\r": "%0D", "\n": "%0A", ":": "%3A", ",": "%2C"})
# As the runner undoes it: src/Runner.Common/ActionCommand.cs of github.com/actions/runner.


def annotations(report: CheckReport) -> str:
    """Return a workflow command for each finding, one a line, errors first: GitHub shows ten of each level a step."""
    return "".join(f"{_command(finding)}\n" for finding in findings(report))


def append_step_summary(report: CheckReport, path: Path) -> None:
    """Append a check to the file that ``GITHUB_STEP_SUMMARY`` names.

    Raises
    ------
    InvalidInputError
        If it cannot be written.
    """
    try:
        with path.open("a", encoding="utf-8") as file:
            file.write(step_summary(report))
    except OSError as error:
        remedy = "unset the variable, or let it name a file"
        raise invalid("GITHUB_STEP_SUMMARY", str(path), f"cannot be written ({error.strerror})", remedy) from error


def _command(finding: Finding) -> str:
    place = finding.places[0]
    properties = {
        "file": one_line(place.file),
        "line": None if place.line is None else str(place.line),
        "title": one_line(f"pipesim: {finding.scenario}"),
    }
    said = ",".join(f"{key}={text.translate(_PROPERTY)}" for key, text in properties.items() if text is not None)
    message = f"{finding.message}; {place.text}" if place.text else finding.message
    return f"::{finding.severity} {said}::{message.translate(_DATA)}"
