"""A check as other tools read it: a comment, annotations, and reports of tests and of code quality."""

from pipesim.check.outputs.github import annotations, append_step_summary
from pipesim.check.outputs.gitlab import code_quality
from pipesim.check.outputs.junit import junit_xml
from pipesim.check.outputs.markdown import pull_request_comment
from pipesim.check.outputs.sarif import sarif_log

__all__ = [
    "annotations",
    "append_step_summary",
    "code_quality",
    "junit_xml",
    "pull_request_comment",
    "sarif_log",
]
