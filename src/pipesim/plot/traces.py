"""Pictures of arrival traces, drawn from the frames of :mod:`pipesim.traces.statistics`."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from pipesim.plot.look import (
    BAND_ALPHA,
    BLACK,
    BLUE,
    GREY,
    ORANGE,
    SKY,
    VERMILION,
    dress,
    duration,
    label_log_axis,
    new_axes,
    nothing,
    plain_number,
    time_unit,
)


def rate_curve(frame: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Draw the mean rate over time, with the range of rates within each bin.

    Parameters
    ----------
    frame
        Columns ``time_s``, ``width_s``, ``rate_qps``, ``window_s``, ``p5_qps``, ``p95_qps``, ``max_qps``.
    ax
        Where to draw; if not given, in a new figure.
    """
    ax = new_axes() if ax is None else ax
    span_s = float(frame["time_s"].iloc[-1] + frame["width_s"].iloc[-1]) if len(frame) else 0.0
    unit, unit_s = time_unit(span_s)
    if span_s > 0:
        edges = np.append(frame["time_s"].to_numpy(), span_s) / unit_s
        width, window = duration(frame["width_s"].iloc[0]), duration(frame["window_s"].iloc[0])
        low, high, most, mean = (frame[name].to_numpy() for name in ("p5_qps", "p95_qps", "max_qps", "rate_qps"))
        ax.stairs(mean, edges, baseline=None, color=BLUE, linewidth=1.6, zorder=3, label=f"mean of {width}")
        band = f"windows of {window}: p5 to p95"
        ax.stairs(high, edges, baseline=low, fill=True, color=SKY, alpha=BAND_ALPHA, linewidth=0, label=band)
        busiest = f"busiest window of {window}"
        ax.stairs(most, edges, baseline=None, color=VERMILION, linewidth=1, linestyle=":", label=busiest)
        ax.set_xlim(0, edges[-1])
        ax.set_ylim(bottom=0)
    else:
        nothing(ax)
    return dress(ax, "Arrivals over time", f"time since the start ({unit})", "queries per second")


def gap_histogram(frame: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Draw the distribution of gaps on a logarithmic axis, beside the exponential one of the same mean.

    Parameters
    ----------
    frame
        Columns ``from_s``, ``to_s``, ``share``, ``exponential_share``; the first row begins at 0.
    ax
        Where to draw; if not given, in a new figure.
    """
    ax = new_axes() if ax is None else ax
    if len(frame):
        above = frame.iloc[1:]
        lowest, same = frame["to_s"].iloc[0], frame["share"].iloc[0]
        if len(above):
            edges = np.append(above["from_s"].to_numpy(), above["to_s"].iloc[-1])
            ax.stairs(above["share"].to_numpy(), edges, fill=True, color=SKY, alpha=0.6, label="this trace")
            ax.stairs(
                above["exponential_share"].to_numpy(),
                edges,
                baseline=None,
                color=VERMILION,
                linestyle="--",
                linewidth=1.4,
                label="Poisson",
            )
        if same:
            label = f"same instant: {same:.1%}"
            bar = [lowest / 10**0.5, lowest / 10**0.2]
            ax.stairs([same], bar, fill=True, facecolor=ORANGE, edgecolor=BLACK, hatch="///", label=label)
        ax.set_xscale("log")
        low, high = lowest / 10**0.7, frame["to_s"].iloc[-1] * 10**0.2
        ax.set_xlim(low, max(high, 10 * low))
        ax.yaxis.set_major_formatter(PercentFormatter(xmax=1))
        label_log_axis(ax.xaxis, duration, ticks=7)
    else:
        nothing(ax)
    return dress(ax, "Gaps between arrivals", "gap", "share of gaps per bin")


def dispersion_curve(frame: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Draw the index of dispersion and the local one against the window, with what a Poisson process shows.

    Parameters
    ----------
    frame
        Columns ``window_s``, ``index_of_dispersion``, ``local_index_of_dispersion``, ``poisson``, ``poisson_low``,
        ``poisson_high``.
    ax
        Where to draw; if not given, in a new figure.
    """
    ax = new_axes() if ax is None else ax
    if len(frame):
        windows = frame["window_s"].to_numpy()
        low, high = frame["poisson_low"].to_numpy(), frame["poisson_high"].to_numpy()
        ax.fill_between(windows, low, high, color=GREY, alpha=BAND_ALPHA, linewidth=0, label="95 % of Poisson")
        ax.plot(windows, frame["poisson"].to_numpy(), color=GREY, linestyle=":", linewidth=1.2)
        local, index = (frame[name].to_numpy() for name in ("local_index_of_dispersion", "index_of_dispersion"))
        ax.plot(windows, index, color=BLUE, marker="o", markersize=4, label="all: bursts and drift")
        ax.plot(windows, local, color=VERMILION, linestyle="--", marker="s", markersize=4, label="local: bursts")
        ax.set_xscale("log")
        ax.set_yscale("log")
        label_log_axis(ax.xaxis, plain_number)
        label_log_axis(ax.yaxis, plain_number)
    else:
        nothing(ax)
    return dress(ax, "Index of dispersion", "window (s)", "variance / mean of counts")


def envelope(frame: pd.DataFrame, ax: Axes | None = None, mean_qps: float | None = None) -> Axes:
    """Draw the highest rate in any window against its length.

    Parameters
    ----------
    frame
        Columns ``window_s``, ``peak_qps``.
    ax
        Where to draw; if not given, in a new figure.
    mean_qps
        The mean rate of the trace, to compare with.
    """
    ax = new_axes() if ax is None else ax
    if len(frame):
        windows, peak = frame["window_s"].to_numpy(), frame["peak_qps"].to_numpy()
        ax.plot(windows, peak, color=BLUE, marker="o", markersize=4, label="busiest window")
        if mean_qps is not None and mean_qps > 0:
            ax.axhline(mean_qps, color=GREY, linestyle="--", linewidth=1.2, label="mean rate")
        ax.set_xscale("log")
        ax.set_yscale("log")
        label_log_axis(ax.xaxis, plain_number)
        label_log_axis(ax.yaxis, plain_number)
    else:
        nothing(ax)
    return dress(ax, "Envelope: the busiest window of each length", "window (s)", "queries per second")


def autocorrelation(frame: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Draw the autocorrelation of counts or gaps, with the band of independent ones.

    Parameters
    ----------
    frame
        Columns ``lag`` or ``lag_s`` (which is preferred), ``autocorrelation``, ``independent_low``,
        ``independent_high``.
    ax
        Where to draw; if not given, in a new figure.
    """
    ax = new_axes() if ax is None else ax
    timed = "lag_s" in frame
    if not len(frame):
        nothing(ax)
    elif frame["autocorrelation"].isna().all():
        nothing(ax, "they are all equal")
    else:
        lags = frame["lag_s" if timed else "lag"].to_numpy(dtype=float)
        low, high = frame["independent_low"].iloc[0], frame["independent_high"].iloc[0]
        ax.axhspan(low, high, color=GREY, alpha=BAND_ALPHA, linewidth=0, label="95 % if independent")
        ax.axhline(0, color=GREY, linewidth=0.8)
        found = frame["autocorrelation"].to_numpy()
        ax.vlines(lags, 0, found, color=BLUE, linewidth=1.2)
        ax.plot(lags, found, color=BLUE, linestyle="", marker="o", markersize=3, label="this trace")
        ax.set_xlim(0, lags[-1] + lags[0])
    what = f"counts per {duration(frame['lag_s'].iloc[0])}" if timed and len(frame) else "counts" if timed else "gaps"
    return dress(ax, f"Autocorrelation of {what}", "lag (s)" if timed else "lag (gaps)", "autocorrelation")


def trace_figure(
    title: str,
    *,
    rate: pd.DataFrame,
    gaps: pd.DataFrame,
    dispersion: pd.DataFrame,
    envelope: pd.DataFrame,
    autocorrelation: pd.DataFrame,
) -> Figure:
    """Draw a trace on one page: its rate over time, gaps, dispersion, envelope and autocorrelation.

    Parameters
    ----------
    title
        The name of the trace, with what else is to stand above the pictures.
    rate, gaps, dispersion, envelope, autocorrelation
        The frames that :func:`pipesim.traces.overview` returns.
    """
    figure = Figure(figsize=(11, 11), layout="constrained")
    figure.suptitle(title, fontsize=13, x=0.01, ha="left", parse_math=False)
    axes = figure.subplot_mosaic([["rate", "rate"], ["gaps", "dispersion"], ["envelope", "autocorrelation"]])
    width_s, count = float(rate["width_s"].sum()), int(rate["count"].sum())
    rate_curve(rate, axes["rate"])
    gap_histogram(gaps, axes["gaps"])
    dispersion_curve(dispersion, axes["dispersion"])
    _draw_envelope(envelope, axes["envelope"], count / width_s if width_s else None)
    _draw_autocorrelation(autocorrelation, axes["autocorrelation"])
    return figure


_draw_envelope, _draw_autocorrelation = envelope, autocorrelation
