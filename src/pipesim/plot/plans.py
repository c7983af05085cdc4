"""Pictures of searches and plans: cost against latency, the way of a search, and methods side by side."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator

from pipesim.plot.look import (
    BLACK,
    BLUE,
    GREEN,
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

_NO_DASHES = ""
_APART = np.array((0.3, 0.06))
"""Shares of the axes by which texts must differ in one of both directions."""
_MOST_SHOWN = 2.5, 4.0
"""How many times the cost of a plan, and the bound, the picture of plans near it shows."""


def pareto(
    frame: pd.DataFrame, chosen: tuple[float, float], quantile: str, bound_s: float, ax: Axes | None = None
) -> Axes:
    """Draw what plans cost against how fast they are, and the front of those that none beats in both.

    Parameters
    ----------
    frame
        Columns ``cost_usd_per_hour``, ``latency_s``, ``met``, ``on_front``.
    chosen
        Cost an hour and latency of the plan that was chosen.
    quantile, bound_s
        Of the objective whose latency is drawn.
    ax
        Where to draw; if not given, in a new figure.
    """
    ax = new_axes() if ax is None else ax
    drawn = frame[frame["latency_s"].notna()]
    if len(drawn):
        for met, color, marker, label in ((True, BLUE, "o", "meets the objectives"), (False, VERMILION, "x", "misses")):
            rows = drawn[drawn["met"] == met]
            if len(rows):
                costs, latencies = rows["cost_usd_per_hour"].to_numpy(), rows["latency_s"].to_numpy()
                ax.plot(
                    costs, latencies, color=color, linestyle=_NO_DASHES, marker=marker, markersize=4, alpha=0.55,
                    label=label,
                )  # fmt: skip
        front = drawn[drawn["on_front"]].sort_values("cost_usd_per_hour")
        costs, latencies = front["cost_usd_per_hour"].to_numpy(), front["latency_s"].to_numpy()
        ax.plot(costs, latencies, color=BLACK, drawstyle="steps-post", linewidth=1.4, label="front")
        ax.plot(
            [chosen[0]], [chosen[1]], color=ORANGE, linestyle=_NO_DASHES, marker="*", markersize=15,
            markeredgecolor=BLACK, markeredgewidth=0.8, label="this plan",
        )  # fmt: skip
        ax.axhline(bound_s, color=GREY, linestyle="--", linewidth=1.2, label="bound")
        ax.set_yscale("log")
        most = max(chosen[0], 1e-9) * _MOST_SHOWN[0], max(bound_s, chosen[1]) * _MOST_SHOWN[1]
        inside = drawn[(drawn["cost_usd_per_hour"] <= most[0]) & (drawn["latency_s"] <= most[1])]
        for axis, column, limit in (("x", "cost_usd_per_hour", None), ("y", "latency_s", bound_s)):
            low, high = float(inside[column].min()), float(inside[column].max())
            low, high = (low, high) if limit is None else (min(low, limit), max(high, limit))
            room = max((high - low) * 0.05, 0.02 * high, 1e-9)
            if axis == "x":
                ax.set_xlim(low - room, high + room)
            else:
                ax.set_ylim(low / 1.15, high * 1.15)
        if len(inside) < len(drawn):
            beyond = len(drawn) - len(inside)
            text = f"{beyond} more {'is' if beyond == 1 else 'are'} slower or dearer"
            ax.text(0.99, 0.97, text, transform=ax.transAxes, ha="right", va="top", fontsize=8.5, color="#555555")
        label_log_axis(ax.yaxis, duration, ticks=8)
        _costs(ax, "x")
    else:
        nothing(ax, "no queries")
    return dress(ax, "Cost and latency of plans near this one", "cost (US$ per hour)", f"{quantile} latency")


def convergence(frame: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Draw the cost of the cheapest feasible plan and the bound, against the tests that were made.

    Parameters
    ----------
    frame
        Columns ``evaluations`` (ascending), ``best_usd_per_hour``, ``bound_usd_per_hour`` (NaN where there is none).
    ax
        Where to draw; if not given, in a new figure.
    """
    ax = new_axes() if ax is None else ax
    tests = frame["evaluations"].to_numpy(dtype=float)
    best, bound = (frame[f"{name}_usd_per_hour"].to_numpy(dtype=float) for name in ("best", "bound"))
    known = np.concatenate((best[~np.isnan(best)], bound[~np.isnan(bound)]))
    if known.size:
        end = max(tests[-1], 1)
        both = ~np.isnan(best) & ~np.isnan(bound)
        if both.any():
            ax.fill_between(tests, bound, best, where=both, step="post", color=SKY, alpha=0.25, linewidth=0)
        series = (
            (best, BLUE, "-", "o", 7, "cheapest plan"),
            (bound, VERMILION, "--", "^", 4, "bound: no plan costs less"),
        )
        for values, color, dashes, marker, size, label in series:
            if not np.isnan(values).all():
                ax.plot(
                    tests, values, color=color, linestyle=dashes, marker=marker, markersize=size, linewidth=1.6,
                    drawstyle="steps-post", label=label,
                )  # fmt: skip
        ax.set_xlim(-0.02 * end, 1.02 * end)
        low, high = known.min(), known.max()
        room = max(0.08 * (high - low), 0.02 * high, 1e-9)
        ax.set_ylim(max(0.0, low - room), high + room)
        ax.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=8, min_n_ticks=1))
        ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
        _costs(ax, "y")
    else:
        nothing(ax, "no plan and no bound")
    gap = ""
    if known.size and not np.isnan(best[-1]) and not np.isnan(bound[-1]):
        share = max(0.0, 1 - bound[-1] / best[-1]) if best[-1] else 0.0
        gap = f": {share:.1%} between plan and bound" if share else ": plan and bound meet"
    return dress(ax, f"Search{gap}", "tests of plans, or of parts of plans", "cost (US$ per hour)")


def method_costs(frame: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Draw what the plans of several methods cost; hatched, if they miss the objectives.

    Parameters
    ----------
    frame
        Index ``method``; columns ``status``, ``cost_usd_per_hour`` (NaN without a plan), ``over_best``.
    ax
        Where to draw; if not given, in a new figure.
    """
    methods = [str(method) for method in frame.index]
    ax = new_axes(7, 1.5 + 0.42 * max(2, len(methods))) if ax is None else ax
    most = float(frame["cost_usd_per_hour"].max())
    drawn = set()
    for place, row in enumerate(frame.to_dict("records")):
        cost = row["cost_usd_per_hour"]
        missed = row["status"] == "missed"
        if cost == cost:
            label = f"{'misses' if missed else 'meets'} the objectives"
            ax.barh(
                [place], [cost], 0.62, color="white" if missed else GREEN, hatch="///" if missed else None,
                edgecolor=VERMILION if missed else GREEN, label=None if label in drawn else label,
            )  # fmt: skip
            drawn.add(label)
            over = "" if missed or not row["over_best"] > 0.0005 else f", {row['over_best']:+.0%}"
            text = f"${cost:,.2f}{over} ({row['status']})"
        else:
            text = row["status"]
        note = ax.annotate(
            text, (0 if cost != cost else cost, place), (4, 0), textcoords="offset points", va="center", fontsize=8.5
        )
        as_written([note])
    ax.set_yticks(range(len(methods)), [named(method) for method in methods])
    ax.set_ylim(len(methods) - 0.45, -0.55)
    ax.set_xlim(0, 1.45 * most if most > 0 else 1)
    _costs(ax, "x")
    dress(ax, "Plans of each method", "cost (US$ per hour)", "")
    ax.grid(visible=False, axis="y")
    return ax


def method_latencies(frame: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Draw the plans of several methods by cost, and by latency over the bound of the objective.

    Parameters
    ----------
    frame
        Index ``method``; columns ``status``, ``cost_usd_per_hour``, ``over_bound`` (NaN without queries).
    ax
        Where to draw; if not given, in a new figure.
    """
    ax = new_axes() if ax is None else ax
    drawn = frame[frame["over_bound"].notna()]
    if len(drawn):
        looks = ((False, BLUE, "o", "meets the objectives"), (True, VERMILION, "x", "misses"))
        for missed, color, marker, label in looks:
            rows = drawn[(drawn["status"] == "missed") == missed]
            costs, over = rows["cost_usd_per_hour"].to_numpy(), rows["over_bound"].to_numpy()
            if len(rows):
                ax.plot(costs, over, color=color, linestyle=_NO_DASHES, marker=marker, markersize=7, label=label)
        ax.axhline(1, color=GREY, linestyle="--", linewidth=1.2, label="bound")
        ax.set_yscale("log")
        ax.set_ylim(min(float(drawn["over_bound"].min()), 1) / 1.5, 1.5 * max(float(drawn["over_bound"].max()), 1))
        ax.set_xlim(0, 1.25 * float(drawn["cost_usd_per_hour"].max()) or 1)
        label_log_axis(ax.yaxis, lambda value: f"{plain_number(round(100 * value, 6))}%", ticks=8)
        _costs(ax, "x")
        _name_points(ax, drawn, "over_bound")
    else:
        nothing(ax, "no plans")
    return dress(ax, "Plans of each method: cost and latency", "cost (US$ per hour)", "latency, of its bound")


def _name_points(ax: Axes, frame: pd.DataFrame, column: str) -> None:
    """Write the methods beside their points; those that are too near to each other share a text."""
    inverse = ax.transAxes.inverted()
    groups: list[tuple[np.ndarray, list[str]]] = []
    for method, row in frame.sort_values([column, "cost_usd_per_hour"], kind="stable").iterrows():
        place = ax.transData.transform((row["cost_usd_per_hour"], row[column]))
        share = inverse.transform(place)
        near = next((names for at, names in groups if (abs(share - at) < _APART).all()), None)
        if near is None:
            groups.append((share, [str(method)]))
        else:
            near.append(str(method))
    for at, methods in groups:
        note = ax.annotate(
            ", ".join(methods), (at[0], at[1]), (9, 7), xycoords="axes fraction", textcoords="offset points",
            fontsize=8.5,
            bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 0.5},
        )  # fmt: skip
        as_written([note])


def _costs(ax: Axes, axis: str) -> None:
    chosen = ax.xaxis if axis == "x" else ax.yaxis
    chosen.set_major_formatter(FuncFormatter(lambda value, _: plain_number(round(value, 9))))
