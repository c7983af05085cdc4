"""What is wrong as SARIF 2.1.0, for code scanning on GitHub and other readers of it.

The standard is https://docs.oasis-open.org/sarif/sarif/v2.1.0/; what GitHub reads of it is in its documentation under
"SARIF support for code scanning".
"""

import re
from typing import Any
from urllib.parse import quote

from pipesim.check.outputs.findings import Finding, Place, findings
from pipesim.check.report import CheckReport

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
_MOST_RELATED = 10
_MARKUP = re.compile(r"\](?=\()|\{(?=[0-9])")
_KINDS = {
    "infeasible": "No plan meets the latency objectives.",
    "objectives": "The committed plan misses a latency objective.",
    "check": "A scenario does not pass.",
}


def sarif_log(report: CheckReport) -> dict[str, Any]:
    """Return the findings of a check as data for JSON, each with the level of the rule that it breaks."""
    found = findings(report)
    kinds = sorted({finding.kind for finding in found})
    driver = {
        "name": "pipesim",
        "version": report.pipesim_version,
        "rules": [_rule(kind) for kind in kinds],
    }
    run = {
        "tool": {"driver": driver},
        "automationDetails": {"id": "pipesim-check/"},
        "columnKind": "unicodeCodePoints",
        "results": [_result(finding, kinds.index(finding.kind)) for finding in found],
    }
    return {"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}


def _rule(kind: str) -> dict[str, Any]:
    text = _KINDS.get(kind, f"{kind} is beyond a threshold.")
    return {
        "id": f"pipesim/{kind}",
        "shortDescription": {"text": text},
        "fullDescription": {"text": text},
        "help": {"text": "Look at what changed, or renew the baseline if the change is meant."},
        "defaultConfiguration": {"level": "error"},
        "properties": {"tags": ["capacity", "cost"]},
    }


def _result(finding: Finding, index: int) -> dict[str, Any]:
    first, *others = finding.places
    related = [{**_location(place), "message": _message(place.text)} for place in others[:_MOST_RELATED]]
    cause = f"; {first.text}" if first.text else ""
    return {
        "ruleId": f"pipesim/{finding.kind}",
        "ruleIndex": index,
        "level": finding.severity,
        "message": _message(f"{finding.scenario}: {finding.message}{cause}"),
        "locations": [_location(first)],
        **({"relatedLocations": related} if related else {}),
        "partialFingerprints": {"primaryLocationLineHash": finding.fingerprint},
    }


def _message(text: str) -> dict[str, str]:
    """Return a message of plain text, in which ``[a](1)`` would be a link and ``{0}`` a placeholder (section 3.11)."""
    return {"text": _MARKUP.sub(r"\g<0> ", text)}


def _location(place: Place) -> dict[str, Any]:
    return {
        "physicalLocation": {
            "artifactLocation": {"uri": quote(place.file), "uriBaseId": "%SRCROOT%"},
            "region": {"startLine": place.line or 1},  # which GitHub needs; without a line, the first is the file's
        }
    }
