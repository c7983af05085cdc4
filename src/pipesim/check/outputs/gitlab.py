"""What is wrong as GitLab's code quality report, for the widget of a merge request.

The format is that of https://docs.gitlab.com/ci/testing/code_quality/#code-quality-report-format: a subset of Code
Climate's.
"""

from typing import Any

from pipesim.check.outputs.findings import findings
from pipesim.check.report import CheckReport

_SEVERITIES = {"error": "major", "warning": "minor"}


def code_quality(report: CheckReport) -> list[dict[str, Any]]:
    """Return the findings of a check as data for JSON; without a line, the first stands for the file."""
    return [
        {
            "description": f"{finding.scenario}: {finding.message}",
            "check_name": f"pipesim/{finding.kind}",
            "fingerprint": finding.fingerprint,
            "severity": _SEVERITIES[finding.severity],
            "location": {"path": finding.places[0].file, "lines": {"begin": finding.places[0].line or 1}},
        }
        for finding in findings(report)
    ]
