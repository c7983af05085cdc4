"""What `pipesim trace` prints: numbers of arrivals and of counts, and how far a fit is off."""

import math

import pandas as pd
from rich.console import Group, RenderableType
from rich.text import Text

from pipesim.cli.screen import figure, new_table
from pipesim.cli.tables import note_list
from pipesim.errors import printable
from pipesim.model.traffic import LAWS
from pipesim.report.wording import described_traffic
from pipesim.traces import (
    ArrivalTrace,
    Reading,
    autocorrelation,
    describe,
    gap_autocorrelation,
    gap_scv,
    simultaneous_share,
)
from pipesim.traces.counts import CountSeries
from pipesim.traces.fit import Fit
from pipesim.units import NS_PER_S, format_duration

_LAGS = (1, 10, 60)
_HINT = "A large index of dispersion tells of bursts or of a changing rate; the local one tells of bursts alone."


def trace_tables(name: str, trace: ArrivalTrace, reading: Reading | None) -> RenderableType:
    """Return what `pipesim trace info` prints of arrivals, and of the file that they were read from."""
    scv, same = gap_scv(trace), simultaneous_share(trace)
    facts = [
        f"{printable(name)}: {described_traffic(trace)}",
        f"Gaps: scv {figure(scv)}, cv {figure(math.sqrt(scv)) if scv >= 0 else '–'} (Poisson: 1); "
        f"{_share(same)} of them are 0",
    ]
    if trace.epoch_ns:
        facts.append(f"First query: {pd.Timestamp(trace.epoch_ns)} UTC")
    if reading is not None:
        facts.append(_read(reading))
    if trace.attributes:
        facts.append(f"Queries carry: {', '.join(trace.attributes)}")
    columns = (
        "Window",
        "Peak /s",
        "Most in any window",
        "Index of dispersion",
        "95 % of Poisson",
        "Local index",
        "Empty",
    )
    table = new_table(*columns)
    for row in describe(trace).to_dict("records"):
        low, high = figure(row["poisson_low"]), figure(row["poisson_high"])
        table.add_row(
            str(row["window"]),
            figure(row["peak_qps"]),
            f"{row['peak_count']:,}",
            figure(row["index_of_dispersion"]),
            low if math.isnan(row["poisson_low"]) else f"{low} – {high}",
            figure(row["local_index_of_dispersion"]),
            _share(row["empty_share"]),
        )
    notes = [
        f"Autocorrelation of counts per second: {_memory(autocorrelation(trace), ' s')}",
        f"Autocorrelation of gaps: {_memory(gap_autocorrelation(trace), '')}",
        _HINT,
    ]
    return Group(*map(Text, facts), table, *map(Text, notes))


def _read(reading: Reading) -> str:
    """Return what reading a file found, in one line."""
    found = [f"{reading.rows:,} rows read as {reading.format}"]
    if reading.skipped:
        found.append(f"{reading.skipped:,} bad rows left out")
    found.append(f"{reading.out_of_order:,} out of order" if reading.out_of_order else "in order")
    if reading.simultaneous:
        found.append(f"{reading.simultaneous:,} at the same instant as the one before")
    if reading.longest_gap_ns:
        longest, at = format_duration(reading.longest_gap_ns), format_duration(reading.longest_gap_at_ns)
        found.append(f"longest gap {longest}, {at} after the first")
    if reading.zone is not None:
        found.append(f"dates without a zone taken as {reading.zone}")
    return f"File: {', '.join(found)}"


def counts_tables(name: str, series: CountSeries, notes: tuple[str, ...]) -> RenderableType:
    """Return what `pipesim trace info` prints of counts per bin."""
    width, span = format_duration(series.bin_ns), format_duration(series.duration_ns)
    known = int(series.known.sum())
    facts = [
        f"{printable(name)}: {len(series):,} bins of {width}, {span} in all, mean {figure(series.mean_qps)} queries/s",
        f"Peak: {figure(series.peak_qps)} queries/s in a bin",
        f"Index of dispersion of the counts: {figure(series.index_of_dispersion)}; local: "
        f"{figure(series.local_index_of_dispersion)} (Poisson: 1)",
        f"Bins: {series.absent:,} absent in the file, {len(series) - known:,} not known",
    ]
    if series.dated:
        zone = f", dates without a zone taken as {series.zone}" if series.zone else ""
        facts.append(f"First bin: {series.time_of(0)}{zone}")
    facts.append(_HINT)
    return Group(*map(Text, facts), *note_list(notes))


def fit_tables(name: str, fit: Fit) -> RenderableType:
    """Return what `pipesim trace fit` prints."""
    law = next(key for key in LAWS if hasattr(fit.traffic, key))
    bursts, span = fit.traffic.law.bursts, format_duration(round(fit.duration_s * NS_PER_S))
    facts = [
        f"{printable(name)}: {fit.queries:,} queries over {span}, fitted by "
        f"{law} gaps with an scv of {figure(fit.traffic.law.gap_scv)}"
        + (f" and bursts on {len(bursts)} time scales" if bursts else " and no bursts"),
        f"Rates are {fit.rate_error:.1%} off the fitted curve; those of draws from it {fit.rate_noise:.1%}. "
        f"Gaps: scv {figure(fit.gap_scv)}, of draws {figure(fit.replica_gap_scv)}",
    ]
    table = new_table(
        "Window", "Index of dispersion", "Fitted", "± of one draw", "Off by", "Most queries", "Fitted", "Off by"
    )
    peaks = {row["window_s"]: row for row in fit.envelope.to_dict("records")}
    rows = {row["window_s"]: row for row in fit.misfit.to_dict("records")}
    for window_s in sorted({*rows, *peaks}):
        row, peak = rows.get(window_s), peaks.get(window_s)
        table.add_row(
            format_duration(round(window_s * NS_PER_S)),
            *(
                ("", "", "", "")
                if row is None
                else (
                    figure(row["index_of_dispersion"]),
                    figure(row["replica_mean"]),
                    figure(row["replica_sd"]),
                    _off(row["relative_error"]) + ("" if row["fitted"] else " *"),
                )
            ),
            *(
                ("", "", "")
                if peak is None
                else (f"{peak['peak_count']:,}", figure(peak["replica_mean"]), _off(peak["relative_error"]))
            ),
        )
    notes = [f"The law is the mean of {fit.replicas} draws that the fit has not seen."]
    if not fit.misfit["fitted"].all():
        notes.append("* The trace has fewer than 30 windows of this length: the law was not fitted to it.")
    return Group(*map(Text, facts), table, *map(Text, notes), *note_list(fit.notes))


def _off(error: float) -> str:
    return "–" if math.isnan(error) else f"{error:+.0%}"


def _share(share: float) -> str:
    return "–" if math.isnan(share) else f"{share:.1%}"


def _memory(frame: pd.DataFrame, unit: str) -> str:
    """Return autocorrelations at three lags, and the band of independent values."""
    rows = [row for row in frame.to_dict("records") if row["lag"] in _LAGS and not math.isnan(row["autocorrelation"])]
    values = ", ".join(f"{row['autocorrelation']:z.2f} at {row['lag']}{unit}" for row in rows)
    return f"{values} (±{rows[0]['independent_high']:.2f} if independent)" if rows else "–"
