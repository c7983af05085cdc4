"""Pictures of latencies: their distribution, its tail, and how they go over time."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, PercentFormatter

from pipesim.plot.look import (
    BLACK,
    BLUE,
    GREY,
    SKY,
    VERMILION,
    dress,
    duration,
    label_duration_axis,
    label_log_axis,
    named,
    new_axes,
    nothing,
    plain_number,
    style,
    time_unit,
)

_OBJECTIVE_DASHES = ((0, (6, 2)), (0, (2, 1)), (0, (6, 1, 1, 1)), (0, (1, 1)))


def latency_cdf(frame: pd.DataFrame, objectives: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Draw which share of queries takes at most how long, with the bound of each objective.

    The axis of latencies ends a little beyond the slowest of 99.9 % and the bounds; the tail is for
    :func:`latency_ccdf`.

    Parameters
    ----------
    frame
        Columns ``queries``, ``latency_s``, ``share_at_most``.
    objectives
        Columns ``objective``, ``quantile``, ``bound_s``.
    ax
        Where to draw; if not given, in a new figure.
    """
    ax = new_axes() if ax is None else ax
    if len(frame):
        end_s = 0.0
        for number, (name, rows) in enumerate(frame.groupby("queries", sort=False)):
            look = style(number)
            latency, share = rows["latency_s"].to_numpy(), rows["share_at_most"].to_numpy()
            ax.plot(
                np.append(latency[:1], latency),
                np.append(0.0, share),
                drawstyle="steps-post",
                color=look.color,
                linestyle=look.linestyle,
                linewidth=1.8,
                label=named(name),
            )
            end_s = max(end_s, float(latency[np.argmax(share >= 0.999)]))
        _bounds(ax, objectives)
        ax.set_xlim(0, 1.05 * max(end_s, float(objectives["bound_s"].max())))
        ax.set_ylim(0, 1.02)
        ax.yaxis.set_major_formatter(PercentFormatter(xmax=1))
        label_duration_axis(ax.xaxis)
    else:
        nothing(ax, "no queries")
    return dress(ax, "Distribution of the latency", "latency", "share of queries that take no longer")


def latency_ccdf(frame: pd.DataFrame, objectives: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Draw which share of queries takes longer than what, both on logarithmic axes.

    An objective that allows a share of misses beyond a bound is the corner of a region: it is met where the curve
    passes below and left of the corner.

    Parameters
    ----------
    frame
        Columns ``queries``, ``latency_s``, ``share_above``.
    objectives
        Columns ``objective``, ``quantile``, ``bound_s``, ``met``.
    ax
        Where to draw; if not given, in a new figure.
    """
    ax = new_axes() if ax is None else ax
    above = frame[frame["share_above"] > 0] if len(frame) else frame
    if len(above):
        for number, (name, rows) in enumerate(frame.groupby("queries", sort=False)):
            look = style(number)
            latency = rows["latency_s"].to_numpy()
            ax.plot(
                np.append(latency[:1], latency),
                np.append(1.0, rows["share_above"].to_numpy()),
                drawstyle="steps-post",
                color=look.color,
                linestyle=look.linestyle,
                linewidth=1.8,
                label=named(name),
            )
        ax.set_xscale("log")
        ax.set_yscale("log")
        low_s, high_s = float(frame["latency_s"].min()) / 1.15, float(frame["latency_s"].max())
        high_s = 1.4 * max(high_s, float(objectives["bound_s"].max()))
        least = float(above["share_above"].min()) / 2
        ax.set_xlim(low_s, high_s)
        ax.set_ylim(least, 1.3)
        for number, row in enumerate(objectives.to_dict("records")):
            allowed, bound = 1 - row["quantile"], row["bound_s"]
            corner_x, corner_y = [bound, bound, high_s], [1.3, max(allowed, least), max(allowed, least)]
            dashes = _OBJECTIVE_DASHES[number % len(_OBJECTIVE_DASHES)]
            label = f"{_written(row['objective'])}: {'met' if row['met'] else 'MISSED'}"
            ax.plot(corner_x, corner_y, color=BLACK, linestyle=dashes, linewidth=1.2, label=label)
            ax.fill_between([bound, high_s], max(allowed, least), 1.3, color=GREY, alpha=0.12, linewidth=0)
        label_log_axis(ax.xaxis, duration, ticks=10)
        ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{plain_number(round(100 * value, 10))}%"))
    else:
        nothing(ax, "no queries" if not len(frame) else "all latencies are equal")
    return dress(ax, "Tail of the latency", "latency", "share of queries that take longer")


def latency_over_time(frame: pd.DataFrame, objectives: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Draw the median, the p99 and the largest latency of the queries that arrive in each interval of time.

    Parameters
    ----------
    frame
        Columns ``time_s`` (equally spaced), ``p50_latency_s``, ``p99_latency_s``, ``max_latency_s`` (NaN without
        queries).
    objectives
        Columns ``objective``, ``bound_s``.
    ax
        Where to draw; if not given, in a new figure.
    """
    ax = new_axes() if ax is None else ax
    times = frame["time_s"].to_numpy(dtype=float)
    if times.size and frame["max_latency_s"].notna().any():
        width_s = times[1] - times[0] if times.size > 1 else max(1e-9, float(frame["max_latency_s"].max()))
        unit, unit_s = time_unit(times[-1] + width_s)
        edges = np.append(times, times[-1] + width_s) / unit_s
        drawn: tuple[tuple[str, str, str, str, float], ...] = (
            ("max", "slowest", SKY, ":", 1.0),
            ("p99", "p99", VERMILION, "--", 1.6),
            ("p50", "p50", BLUE, "-", 1.8),
        )
        for column, label, color, dashes, line in drawn:
            heights = frame[f"{column}_latency_s"].to_numpy(dtype=float)
            ax.stairs(heights, edges, baseline=None, color=color, linestyle=dashes, linewidth=line, label=label)
        for number, row in enumerate(objectives.to_dict("records")):
            dashes_of = _OBJECTIVE_DASHES[number % len(_OBJECTIVE_DASHES)]
            label = f"bound: {_written(row['objective'])}"
            ax.axhline(row["bound_s"], color=BLACK, linestyle=dashes_of, linewidth=1.2, label=label)
        ax.set_xlim(0, edges[-1])
        ax.set_ylim(0, 1.05 * max(float(frame["max_latency_s"].max()), float(objectives["bound_s"].max())))
        label_duration_axis(ax.yaxis)
        interval = f" in intervals of {duration(width_s)}"
    else:
        unit, interval = "s", ""
        nothing(ax, "no queries")
    return dress(ax, f"Latency over time{interval}", f"arrival of the query ({unit})", "latency")


def _bounds(ax: Axes, objectives: pd.DataFrame) -> None:
    """Draw for each objective its bound, and a mark at its quantile that the curve must reach by then."""
    for number, row in enumerate(objectives.to_dict("records")):
        dashes = _OBJECTIVE_DASHES[number % len(_OBJECTIVE_DASHES)]
        label = _written(row["objective"])
        ax.axvline(row["bound_s"], color=BLACK, linestyle=dashes, linewidth=1.2, label=label)
        ax.plot([row["bound_s"]], [row["quantile"]], color=BLACK, marker="x", markersize=7, linestyle="")


def _written(objective: str) -> str:
    return objective.replace("<=", "≤")
