"""Pictures of a plan's stages: time, queues, load, batches, replicas and cost."""

from collections.abc import Iterator

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator, PercentFormatter

from pipesim.plot.look import (
    BLUE,
    GREY,
    ORANGE,
    Style,
    as_written,
    dress,
    duration,
    label_duration_axis,
    named,
    new_axes,
    nothing,
    plain_number,
    style,
    time_unit,
)

_ROW_IN = 0.55


def stage_times(frame: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Draw how long items wait and are served at each stage, of all items and of the slowest.

    Parameters
    ----------
    frame
        Columns ``stage``, ``items`` (the same few values for every stage), ``mean_queue_delay_s``,
        ``mean_service_time_s`` (NaN without items).
    ax
        Where to draw; if not given, in a new figure.
    """
    stages, groups = list(dict.fromkeys(frame["stage"])), list(dict.fromkeys(frame["items"]))
    ax = _rows_axes(1.5 * len(stages)) if ax is None else ax
    height = 0.8 / max(1, len(groups))
    for number, group in enumerate(groups):
        rows = frame[frame["items"] == group].set_index("stage").loc[stages]
        at = np.arange(len(stages)) + (number - (len(groups) - 1) / 2) * height
        wait, service = (rows[f"mean_{name}_s"].fillna(0).to_numpy() for name in ("queue_delay", "service_time"))
        first = number == 0
        ax.barh(at, service, 0.9 * height, color=BLUE, edgecolor="white", label="service" if first else None)
        ax.barh(
            at,
            wait,
            0.9 * height,
            left=service,
            color=ORANGE,
            edgecolor="white",
            hatch="///",
            linewidth=0,
            label="waiting" if first else None,
        )
        for place, total in zip(at, wait + service, strict=True):
            text = f"{duration(_rounded(total))} · {group}" if total else f"no items · {group}"
            ax.annotate(
                text, (total, place), (4, 0), textcoords="offset points", va="center", fontsize=8, color="#333333"
            )
    _name_rows(ax, stages)
    longest = float((frame["mean_queue_delay_s"] + frame["mean_service_time_s"]).max()) if len(frame) else 0.0
    ax.set_xlim(0, 1.32 * longest if longest > 0 else 1)
    label_duration_axis(ax.xaxis)
    dress(ax, "Time at each stage", "mean time of an item", "")
    ax.grid(visible=False, axis="y")
    return ax


def queue_over_time(frame: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Draw how many items wait at each stage over time: the most in each interval.

    Parameters
    ----------
    frame
        Columns ``stage``, ``time_s``, ``width_s``, ``max_waiting``.
    ax
        Where to draw; if not given, in a new figure.
    """
    ax = new_axes() if ax is None else ax
    unit, unit_s = _unit(frame)
    for name, look, edges, rows in _over_time(frame, unit_s):
        most = rows["max_waiting"].to_numpy()
        dashes, color = look.linestyle, look.color
        ax.stairs(most, edges, baseline=None, color=color, linestyle=dashes, linewidth=1.6, label=named(name))
        ax.set_xlim(0, edges[-1])
    if len(frame):
        ax.set_ylim(0, max(1.0, 1.05 * float(frame["max_waiting"].max())))
        ax.yaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    else:
        nothing(ax, "no queries")
    return dress(ax, f"Items that wait: the most{_each(frame)}", f"time since the start ({unit})", "items")


def utilisation_over_time(frame: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Draw the share of time for which the replicas of each stage are busy, over time.

    Parameters
    ----------
    frame
        Columns ``stage``, ``time_s``, ``width_s``, ``utilisation``.
    ax
        Where to draw; if not given, in a new figure.
    """
    ax = new_axes() if ax is None else ax
    unit, unit_s = _unit(frame)
    for name, look, edges, rows in _over_time(frame, unit_s):
        heights = rows["utilisation"].to_numpy()
        dashes, color = look.linestyle, look.color
        ax.stairs(heights, edges, baseline=None, color=color, linestyle=dashes, linewidth=1.5, label=named(name))
        ax.set_xlim(0, edges[-1])
    if len(frame):
        ax.set_ylim(0, 1.03)
        ax.yaxis.set_major_formatter(PercentFormatter(xmax=1))
    else:
        nothing(ax, "no queries")
    return dress(
        ax, f"Utilisation: busy share of replicas{_each(frame)}", f"time since the start ({unit})", "busy share"
    )


def batch_sizes(frame: pd.DataFrame, limits: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Draw in batches of which size the items of each stage are served, a row for each stage.

    Parameters
    ----------
    frame
        Columns ``stage``, ``batch_size``, ``share_of_items``.
    limits
        Index ``stage``, in the order of rows; columns ``max_batch_size``, ``mean_batch_size``.
    ax
        Where to draw; if not given, in a new figure.
    """
    stages = list(limits.index)
    ax = _rows_axes(1.5 * len(stages)) if ax is None else ax
    largest = int(frame["batch_size"].max()) if len(frame) else 1
    for place, stage in enumerate(stages):
        rows, look = frame[frame["stage"] == stage], style(place)
        sizes, shares = rows["batch_size"].to_numpy(), rows["share_of_items"].to_numpy()
        heights = 0.62 * shares / shares.max() if shares.size else shares
        ax.bar(
            sizes,
            -heights,
            0.9,
            bottom=place + 0.4,
            color=look.color,
            hatch=look.hatch,
            edgecolor="white",
            linewidth=0.3,
            label=named(stage),
        )
        ax.axhline(place + 0.4, color=GREY, linewidth=0.6)
        limit, mean = limits.loc[stage, ["max_batch_size", "mean_batch_size"]]
        text = f"limit {limit:,.0f}, mean {mean:.3g}, tallest {shares.max():.0%}" if shares.size else "no items"
        ax.text(0.995, place - 0.36, text, transform=ax.get_yaxis_transform(), ha="right", va="center", fontsize=8)
    _name_rows(ax, stages)
    ax.set_xlim(0.3, largest + 0.7)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=12, min_n_ticks=1))
    return dress(ax, "Batches: share of items by the size of their batch", "batch size (items)", "", legend=False)


def replica_timeline(frame: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Draw how many replicas each stage has over time; where lines meet, later ones are narrower.

    Parameters
    ----------
    frame
        Columns ``stage``, ``time_s``, ``replicas``, which holds until the stage's next row; its last row is the end.
    ax
        Where to draw; if not given, in a new figure.
    """
    ax = new_axes(7, 3.2) if ax is None else ax
    unit, unit_s = time_unit(float(frame["time_s"].max()) if len(frame) else 0.0)
    stages = frame["stage"].nunique()
    for number, (name, rows) in enumerate(frame.groupby("stage", sort=False)):
        look, width = style(number), 1.6 + 3 * (1 - (number + 1) / stages)
        times, replicas = rows["time_s"].to_numpy() / unit_s, rows["replicas"].to_numpy()
        dashes, color = look.linestyle, look.color
        ax.plot(
            times, replicas, drawstyle="steps-post", color=color, linestyle=dashes, linewidth=width, label=named(name)
        )
    if len(frame):
        ax.set_xlim(0, max(float(frame["time_s"].max()) / unit_s, 1e-9))
        ax.set_ylim(0, 1.1 * float(frame["replicas"].max()) + 0.3)
    ax.yaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    return dress(ax, "Replicas over time", f"time since the start ({unit})", "replicas")


def cost_by_stage(frame: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Draw what the replicas of each stage cost.

    Parameters
    ----------
    frame
        Index ``stage``; columns ``hardware``, ``replicas``, ``cost_usd_per_hour``.
    ax
        Where to draw; if not given, in a new figure.
    """
    stages = list(frame.index)
    ax = _rows_axes(len(stages)) if ax is None else ax
    costs = frame["cost_usd_per_hour"].to_numpy(dtype=float)
    total = float(costs.sum())
    kinds = list(dict.fromkeys(frame["hardware"]))
    looks = {kind: style(number) for number, kind in enumerate(kinds)}
    for place, (kind, cost) in enumerate(zip(frame["hardware"], costs, strict=True)):
        look = looks[kind]
        ax.barh(
            [place],
            [cost],
            0.62,
            color=look.color,
            hatch=look.hatch,
            edgecolor="white",
            linewidth=0,
            label=named(stages[place]),
        )
        share = f", {cost / total:.0%}" if total else ""
        text = f"{frame['replicas'].iloc[place]} × {kind}: ${cost:,.2f}{share}"
        note = ax.annotate(
            text, (cost, place), (4, 0), textcoords="offset points", va="center", fontsize=9,
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 1},
        )  # fmt: skip
        as_written([note])
    _name_rows(ax, stages)
    ax.set_xlim(0, 1.45 * costs.max() if total else 1)
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: plain_number(round(value, 10))))
    dress(ax, f"Cost by stage: ${total:,.2f} an hour in all", "cost (US$ per hour)", "", legend=False)
    ax.grid(visible=False, axis="y")
    return ax


def _rows_axes(rows: float) -> Axes:
    return new_axes(7, min(20.0, 1.5 + _ROW_IN * max(2.0, rows)))


def _name_rows(ax: Axes, names: list[str]) -> None:
    """Give each row its name, the first one on top."""
    ax.set_yticks(range(len(names)), [named(name) for name in names])
    ax.set_ylim(len(names) - 0.45 if names else 1, -0.55)


def _unit(frame: pd.DataFrame) -> tuple[str, float]:
    """Return the unit of the axis of time, and its seconds."""
    return time_unit(float((frame["time_s"] + frame["width_s"]).max()) if len(frame) else 0.0)


def _over_time(frame: pd.DataFrame, unit_s: float) -> Iterator[tuple[str, Style, np.ndarray, pd.DataFrame]]:
    """Yield of each stage its name, style, edges of intervals in a unit, and rows."""
    for number, (name, rows) in enumerate(frame.groupby("stage", sort=False)):
        end_s = float(rows["time_s"].iloc[-1] + rows["width_s"].iloc[-1])
        yield str(name), style(number), np.append(rows["time_s"].to_numpy(), end_s) / unit_s, rows


def _each(frame: pd.DataFrame) -> str:
    return f" in each {duration(float(frame['width_s'].iloc[0]))}" if len(frame) else ""


def _rounded(seconds: float) -> float:
    """Return a time with three digits."""
    return float(f"{seconds:.3g}")
