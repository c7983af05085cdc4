"""Fits as recipe files."""

import textwrap
from typing import Any

from pipesim.errors import printable
from pipesim.model.yaml_text import yaml_text
from pipesim.traces.fit.document import duration_text
from pipesim.traces.fit.result import Fit
from pipesim.units import format_duration

_LINE = 110


def recipe_yaml(fit: Fit) -> str:
    """Return a fit as the text of a recipe file: how far it is off, as comments, then ``traffic``.

    It reads back as a law that is equal to the fit's (:class:`pipesim.model.traffic.recipe.Recipe`). It holds no
    arrival of the trace, but its course in bins, quantiles of its attributes, and the names of text values.
    """
    header = [f"# {line}".rstrip() for line in _header(fit)]
    document = {"traffic": traffic_document(fit)}
    text = yaml_text(document, default_flow_style=None, width=_LINE, allow_unicode=True)
    return "\n".join(header) + "\n" + text


def _header(fit: Fit) -> list[str]:
    lines = [
        f"Traffic fitted to {fit.queries:,} queries in {format_duration(fit.duration_s * 1e9)}, and measured on "
        f"{fit.replicas} draws of it.",
    ]
    lines += [f"  source: {printable(each.name)}, sha256 {each.sha256}" for each in fit.inputs]
    lines += ["", "Index of dispersion (variance over mean of the queries in windows; 1 for Poisson):"]
    lines += [f"  {'window':>8} {'trace':>9} {'here':>9} {'off by':>7}"]
    for row in fit.misfit.to_dict("records"):
        window = format_duration(row["window_s"] * 1e9)
        error = f"{100 * row['relative_error']:+.0f}%"
        mark = "" if row["fitted"] else "  (not fitted)"
        lines.append(f"  {window:>8} {row['index_of_dispersion']:9.4g} {row['replica_mean']:9.4g} {error:>7}{mark}")
    lines += ["", "Most queries in any window:"]
    for row in fit.envelope.to_dict("records"):
        window, error = format_duration(row["window_s"] * 1e9), f"{100 * row['relative_error']:+.0f}%"
        lines.append(f"  {window:>8} {row['peak_count']:9.4g} {row['replica_mean']:9.4g} {error:>7}")
    lines += [
        "",
        f"Rates of bins are {100 * fit.rate_error:.1f}% off the curve; those of draws {100 * fit.rate_noise:.1f}%.",
    ]
    lines += [f"scv of all gaps: {fit.gap_scv:.3g}; of draws {fit.replica_gap_scv:.3g}.", ""]
    return lines + [line for note in fit.notes for line in textwrap.wrap(printable(note), _LINE)]


def traffic_document(fit: Fit) -> dict[str, Any]:
    """Return the traffic of a fit as plain data, as a recipe file has it."""
    traffic = fit.traffic.model_dump(exclude_unset=True, by_alias=True)
    name = next(name for name, value in traffic.items() if name != "attributes")
    document: dict[str, Any] = {name: _law_document(traffic[name])}
    if fit.traffic.attributes:
        document["attributes"] = {
            each: {key: list(value) if isinstance(value, tuple) else value for key, value in law.items()}
            for each, law in traffic["attributes"].items()
        }
    return document


def _law_document(fields: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of a law that a fit has set, with durations as text."""
    document = dict(fields)
    for name in ("duration", "tick"):
        if document.get(name) is not None:
            document[name] = duration_text(document[name])
    if "curve" in document:
        bins = document["curve"]["bins"]
        document["curve"] = {"bins": {"width": duration_text(bins["width"]), "rates_qps": list(bins["rates_qps"])}}
    if "bursts" in document:
        document["bursts"] = [
            each | {name: duration_text(each[name]) for name in ("lasts", "every")} for each in document["bursts"]
        ]
    return document
