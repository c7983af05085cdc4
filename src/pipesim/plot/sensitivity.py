"""Pictures of what the cheapest plan depends on: staircases and tornados."""

import math

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullFormatter

from pipesim.plot.look import (
    BLACK,
    BLUE,
    GREY,
    ORANGE,
    SKY,
    VERMILION,
    as_written,
    dress,
    duration,
    label_log_axis,
    named,
    new_axes,
    nothing,
    plain_number,
)


def slo_staircase(frame: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Draw what the cheapest plan costs against the tightest bound, and the band in which the least cost must lie.

    Parameters
    ----------
    frame
        Columns ``factor``, ``bound_s`` (ascending), ``cost_usd_per_hour`` (NaN if no plan was found),
        ``bound_usd_per_hour``, ``proved``. Each cost holds up to the next row.
    ax
        Where to draw; if not given, in a new figure.
    """
    ax = new_axes() if ax is None else ax
    found = frame[frame["cost_usd_per_hour"].notna()]
    if len(found):
        _steps(ax, found["bound_s"].to_numpy(), found)
        none = frame[frame["cost_usd_per_hour"].isna()]
        if len(none):
            certain = bool(none["proved"].all())
            label = "no plan is feasible" if certain else "no plan was found"
            ax.axvspan(
                float(none["bound_s"].iloc[0]), float(found["bound_s"].iloc[0]), facecolor="white", edgecolor=GREY,
                alpha=0.5, hatch="///", linewidth=0, label=label,
            )  # fmt: skip
        _today(ax, frame, "bound_s")
        ax.set_xscale("log")
        ax.set_xlim(float(frame["bound_s"].iloc[0]) / 1.02, 1.02 * float(frame["bound_s"].iloc[-1]))
        label_log_axis(ax.xaxis, duration, ticks=12)
        _dollars(ax)
    else:
        nothing(ax, "no plan was found at any bound")
    return dress(
        ax,
        "What a tighter or looser objective costs",
        "bound of the tightest objective",
        "cheapest plan (US$ per hour)",
    )


def load_staircase(frame: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Draw what the cheapest plan costs against the load; between the loads that were planned nothing is known.

    Parameters
    ----------
    frame
        Columns ``factor`` (ascending), ``rate_qps``, ``cost_usd_per_hour`` (NaN if no plan was found),
        ``bound_usd_per_hour``, ``usd_per_million_queries``.
    ax
        Where to draw; if not given, in a new figure.
    """
    ax = new_axes() if ax is None else ax
    found = frame[frame["cost_usd_per_hour"].notna()]
    if len(found):
        rates, costs = found["rate_qps"].to_numpy(), found["cost_usd_per_hour"].to_numpy()
        ax.plot(rates, costs, color=BLUE, linestyle=":", linewidth=1, marker="o", markersize=6, label="cheapest plan")
        open_rows = found[found["bound_usd_per_hour"] < found["cost_usd_per_hour"] * (1 - 1e-9)]
        if len(open_rows):
            lows, highs = open_rows["bound_usd_per_hour"].to_numpy(), open_rows["cost_usd_per_hour"].to_numpy()
            ax.vlines(
                open_rows["rate_qps"].to_numpy(),
                lows,
                highs,
                color=VERMILION,
                linewidth=2,
                label="least cost is in here",
            )
        for number, row in enumerate(found.to_dict("records")):
            offset = (5, -13) if number or len(found) == 1 else (6, -12)
            note = ax.annotate(
                f"${row['usd_per_million_queries']:.3g}",
                (row["rate_qps"], row["cost_usd_per_hour"]),
                offset,
                textcoords="offset points",
                fontsize=8,
                color="#444444",
            )
            as_written([note])
        for rate in frame.loc[frame["cost_usd_per_hour"].isna(), "rate_qps"]:
            ax.axvline(rate, color=VERMILION, linestyle="-.", linewidth=1)
        _today(ax, frame, "rate_qps")
        ax.set_xlim(0, 1.1 * float(frame["rate_qps"].max()))
        ax.set_ylim(0, 1.08 * costs.max() or 1)
        _dollars(ax)
    else:
        nothing(ax, "no plan was found at any load")
    return dress(
        ax,
        "What load costs (small: US$ per million queries)",
        "mean rate (queries per second)",
        "cheapest plan (US$ per hour)",
    )


def price_tornado(frame: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Draw between which factors of each unit's price the plan stays the cheapest, the narrowest range on top.

    Parameters
    ----------
    frame
        Columns ``unit``, ``direction`` (``rise`` or ``fall``), ``factor`` (infinite or 0 if it never changes),
        ``changes`` (whether it does there).
    ax
        Where to draw; if not given, in a new figure.
    """
    ranges = []
    for unit, rows in frame.groupby("unit", sort=False):
        by = {row["direction"]: row for row in rows.to_dict("records")}
        low, high = by["fall"], by["rise"]
        ranges.append((str(unit), low["factor"], high["factor"], low["changes"], high["changes"]))
    return _tornado(ax, ranges, "Prices: how far each may move before another plan is cheapest", "price, times today's")


def slowdown_tornado(frame: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Draw how much slower each model may become before the plan misses, and before plans cost more.

    Parameters
    ----------
    frame
        Columns ``model``, ``hardware``, ``holds_to_factor``, ``misses``, ``costs_same_to_factor``, ``dearer``.
    ax
        Where to draw; if not given, in a new figure.
    """
    rows = frame.sort_values("holds_to_factor", kind="stable").to_dict("records")
    ax = new_axes(7, 1.5 + 0.5 * max(2, len(rows))) if ax is None else ax
    if rows:
        most = max(0.05, *(row["costs_same_to_factor"] - 1 for row in rows))
        for place, row in enumerate(rows):
            holds, same = row["holds_to_factor"] - 1, row["costs_same_to_factor"] - 1
            ax.barh(
                [place],
                [same],
                0.6,
                color=SKY,
                hatch="...",
                edgecolor="white",
                linewidth=0,
                label=None if place else "some plan at this cost meets them",
            )
            ax.barh([place], [holds], 0.6, color=BLUE, label=None if place else "this plan meets the objectives")
            text = f"{holds:+.0%}{'' if row['misses'] else ' or more'}"
            if same > holds:
                text += f", {same:+.0%}{'' if row['dearer'] else ' or more'}"
            ax.annotate(text, (max(same, holds), place), (4, 0), textcoords="offset points", va="center", fontsize=8.5)
        names = [f"{row['model']} on {row['hardware']}" for row in rows]
        ax.set_yticks(range(len(rows)), [named(name) for name in names])
        ax.set_ylim(len(rows) - 0.45, -0.55)
        ax.set_xlim(0, 1.35 * most)
        ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:+.0%}" if value else "0"))
    else:
        nothing(ax, "no plan")
    dress(ax, "Models: how much slower each may become", "latency of the model, more than today", "")
    ax.grid(visible=False, axis="y")
    return ax


def hardware_differences(frame: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Draw how much dearer the cheapest plan is without each hardware that it uses, the worst loss on top.

    Parameters
    ----------
    frame
        Columns ``hardware``, ``difference_usd_per_hour`` (NaN if none is feasible), ``cost_usd_per_hour``, ``status``.
    ax
        Where to draw; if not given, in a new figure.
    """
    loss = frame["difference_usd_per_hour"].fillna(math.inf)
    rows = frame.assign(loss=loss).sort_values("loss", ascending=False, kind="stable").to_dict("records")
    ax = new_axes(7, 1.5 + 0.45 * max(2, len(rows))) if ax is None else ax
    if rows:
        finite = [row["loss"] for row in rows if math.isfinite(row["loss"])]
        most = max([*finite, 1e-9])
        for place, row in enumerate(rows):
            if math.isfinite(row["loss"]):
                ax.barh([place], [row["loss"]], 0.6, color=ORANGE, label=named(row["hardware"]))
                text, at = f"+${row['loss']:,.2f} an hour: ${row['cost_usd_per_hour']:,.2f}", row["loss"]
            else:
                text, at = "no plan without it", 0.0
                ax.barh(
                    [place],
                    [1.5 * most],
                    0.6,
                    color="white",
                    hatch="///",
                    edgecolor=VERMILION,
                    label=named(row["hardware"]),
                )
                at = 1.5 * most
            as_written([ax.annotate(text, (at, place), (4, 0), textcoords="offset points", va="center", fontsize=8.5)])
        ax.set_yticks(range(len(rows)), [named(row["hardware"]) for row in rows])
        ax.set_ylim(len(rows) - 0.45, -0.55)
        ax.set_xlim(0, (1.9 if len(finite) == len(rows) else 2.2) * most)
        _dollars(ax, "x")
    else:
        nothing(ax, "no plan")
    dress(ax, "Hardware: how much dearer the cheapest plan is without it", "more (US$ per hour)", "", legend=False)
    ax.grid(visible=False, axis="y")
    return ax


def relaxations(frame: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Draw by what each limit must be multiplied, alone, to make a plan feasible; hatched, if its limit is no help.

    Parameters
    ----------
    frame
        Columns ``relaxation``, ``now``, ``needed`` (NaN if even ``limit`` does not suffice), ``limit``, ``unit``,
        ``factor``, ``cost_usd_per_hour``.
    ax
        Where to draw; if not given, in a new figure.
    """
    rows = frame.to_dict("records")
    ax = new_axes(7, 1.5 + 0.5 * max(2, len(rows))) if ax is None else ax
    if rows:
        for place, row in enumerate(rows):
            enough = row["needed"] == row["needed"]
            end = row["factor"] if enough else row["limit"] / row["now"] if row["now"] else 10.0
            end = end if math.isfinite(end) and end > 0 else 10.0
            ax.barh(
                [place], [end - 1], 0.6, left=1, color=BLUE if enough else "white", hatch=None if enough else "///",
                edgecolor=BLUE if enough else VERMILION, label=named(row["relaxation"]),
            )  # fmt: skip
            if enough:
                change = f"{_amount(row['now'], row['unit'])} → {_amount(row['needed'], row['unit'])}"
                text = f"{change}: ${row['cost_usd_per_hour']:,.2f} an hour"
            else:
                text = f"not even {_amount(row['limit'], row['unit'])}"
            as_written(
                [ax.annotate(text, (max(end, 1), place), (4, 0), textcoords="offset points", va="center", fontsize=8.5)]
            )
        ax.set_xscale("log")
        _name_tornado(ax, [row["relaxation"] for row in rows])
        low, high = ax.get_xlim()
        _factors(ax, low, high**1.0 * (high / low) ** 0.6)
    else:
        nothing(ax, "there is a plan as it is")
    return _without_rows(dress(ax, "What would have to give, each alone", "factor", "", legend=False))


Range = tuple[str, float, float, bool, bool]
"""A name, the least and the largest factor, and whether something changes beyond each."""


def _tornado(ax: Axes | None, ranges: list[Range], title: str, x: str) -> Axes:
    """Draw ranges of factors around 1; those that nothing ends fade out at the edge."""
    ax = new_axes(7, 1.5 + 0.45 * max(2, len(ranges))) if ax is None else ax
    if not ranges:
        nothing(ax, "no plan")
        return dress(ax, title, x, "")

    def width(one: Range) -> float:
        low, high = (one[1] if one[3] else 0.0), (one[2] if one[4] else math.inf)
        return min(high, 1 / low if low else math.inf)

    ranges = sorted(ranges, key=width)
    ends = [end for _, low, high, *_ in ranges for end in (low, high) if end and math.isfinite(end)]
    edge = 1.6 * max([1.25, *(max(end, 1 / end) for end in ends)])
    for place, (name, low, high, falls, rises) in enumerate(ranges):
        for end, changes, color, side in ((low, falls, SKY, "fall"), (high, rises, ORANGE, "rise")):
            drawn = end if changes else (1 / edge if side == "fall" else edge)
            ax.barh(
                [place],
                [drawn - 1],
                0.6,
                left=1,
                color=color if changes else "white",
                edgecolor=color if changes else GREY,
                hatch=None if changes else "....",
                linewidth=0 if changes else 0.5,
                label=named(name),
            )
            known = end and math.isfinite(end)
            text = f"×{end:.3g}" if changes else f"beyond ×{end:.3g}" if known else "never"
            right = (side == "rise") == changes
            ax.annotate(
                text,
                (drawn, place),
                (4 if right else -4, 0),
                textcoords="offset points",
                va="center",
                ha="left" if right else "right",
                fontsize=8.5,
                bbox=None if changes else {"facecolor": "white", "edgecolor": "none", "pad": 1},
            )
    ax.axvline(1, color=BLACK, linewidth=1)
    ax.set_xscale("log")
    _name_tornado(ax, [name for name, *_ in ranges])
    _factors(ax, 1 / edge, edge)
    return _without_rows(dress(ax, title, x, "", legend=False))


def _name_tornado(ax: Axes, names: list[str]) -> None:
    ax.set_yticks(range(len(names)), [named(name) for name in names])
    ax.set_ylim(len(names) - 0.45, -0.55)


def _without_rows(ax: Axes) -> Axes:
    ax.grid(visible=False, axis="y")
    return ax


def _factors(ax: Axes, low: float, high: float) -> None:
    ax.set_xlim(low, high)
    ends = (1, 1.1, 1.25, 1.5, 2, 3, 5, 10, 20, 50, 100)
    many = [1 / end for end in ends[:0:-1]] + list(ends)
    inside = [tick for tick in many if low <= tick <= high]
    apart = math.log(high / low) / 9
    ticks: list[float] = [1.0]
    for tick in sorted(inside, key=lambda one: (abs(math.log(one)), one)):
        if all(abs(math.log(tick / other)) >= apart for other in ticks):
            ticks.append(tick)
    ax.xaxis.set_major_locator(FixedLocator(ticks))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"×{value:.3g}"))
    ax.xaxis.set_minor_locator(LogLocator(subs=()))
    ax.xaxis.set_minor_formatter(NullFormatter())


def _amount(value: float, unit: str) -> str:
    if unit == "s":
        return duration(float(f"{value:.3g}"))
    if unit == "usd_per_hour":
        return f"${value:,.2f}"
    number = plain_number(float(f"{value:.4g}")) if math.isfinite(value) else "any"
    return f"{number} {unit}"


def _steps(ax: Axes, xs: np.ndarray, found: pd.DataFrame) -> None:
    """Draw costs that hold up to the next, and the band down to what no plan undercuts."""
    costs, least = found["cost_usd_per_hour"].to_numpy(), found["bound_usd_per_hour"].to_numpy()
    if (least < costs * (1 - 1e-9)).any():
        ax.fill_between(
            xs, least, costs, step="post", color=SKY, alpha=0.3, linewidth=0, label="the least cost is in here"
        )
    ax.plot(xs, costs, color=BLUE, drawstyle="steps-post", linewidth=1.8, label="cheapest plan")
    proved = found["proved"].to_numpy(dtype=bool)
    for which, marker, label in ((proved, "o", "proved"), (~proved, "D", "may be cheaper")):
        if which.any():
            face = BLUE if marker == "o" else "white"
            ax.plot(
                xs[which],
                costs[which],
                color=BLUE,
                markerfacecolor=face,
                linestyle="",
                marker=marker,
                markersize=5,
                label=label,
            )
    ax.set_ylim(0, 1.08 * costs.max() or 1)


def _today(ax: Axes, frame: pd.DataFrame, column: str) -> None:
    now = frame.loc[frame["factor"] == 1, column]
    if len(now):
        ax.axvline(float(now.iloc[0]), color=BLACK, linestyle="--", linewidth=1.1, label="today")


def _dollars(ax: Axes, axis: str = "y") -> None:
    chosen = ax.xaxis if axis == "x" else ax.yaxis
    chosen.set_major_formatter(FuncFormatter(lambda value, _: plain_number(round(value, 9))))
