"""Reports of answers: plain data for machines, and documents for people as Markdown or as one HTML file."""

from pipesim.report.content import (
    SCHEMA_VERSION,
    comparison_report,
    counts_report,
    fitted_report,
    planning_report,
    sensitivity_report,
    simulation_report,
    to_json,
    trace_report,
    whatif_report,
)
from pipesim.report.page import html_page
from pipesim.report.parts import Document
from pipesim.report.plain_text import markdown
from pipesim.report.sections import document

__all__ = [
    "SCHEMA_VERSION",
    "Document",
    "comparison_report",
    "counts_report",
    "document",
    "fitted_report",
    "html_page",
    "markdown",
    "planning_report",
    "sensitivity_report",
    "simulation_report",
    "to_json",
    "trace_report",
    "whatif_report",
]
