"""The picture of network calculus: an arrival curve against service curves."""

import pandas as pd
from matplotlib.axes import Axes

from pipesim.plot.look import BLACK, GREY, dress, named, new_axes, nothing, style


def capacity(frame: pd.DataFrame, objectives: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Draw the most queries that come in any window, against the most that each stage finishes in one.

    Parameters
    ----------
    frame
        Columns ``kind`` (``arrivals`` or ``capacity``), ``stage``, ``window_s``, ``queries``.
    objectives
        Columns ``objective``, ``bound_s``; those beyond the longest window are left out.
    ax
        Where to draw; if not given, in a new figure.
    """
    ax = new_axes(7, 4.4) if ax is None else ax
    arrivals = frame[frame["kind"] == "arrivals"]
    if len(arrivals):
        windows, most = arrivals["window_s"].to_numpy(), arrivals["queries"].to_numpy()
        ax.fill_between(windows, most, color=GREY, alpha=0.18, linewidth=0)
        ax.plot(windows, most, color=BLACK, linewidth=2.2, label="arrivals: most in any window")
        for number, (name, rows) in enumerate(frame[frame["kind"] == "capacity"].groupby("stage", sort=False)):
            look, label = style(number), f"{name} finishes"
            xs, ys = rows["window_s"].to_numpy(), rows["queries"].to_numpy()
            dashes = (0, (5, 1)) if look.linestyle == "-" else look.linestyle
            ax.plot(
                xs, ys, drawstyle="steps-post", color=look.color, linestyle=dashes, linewidth=1.5, label=named(label)
            )
        inside = objectives[objectives["bound_s"] <= windows[-1]].sort_values("bound_s", kind="stable")
        for number, row in enumerate(inside.to_dict("records")):
            ax.axvline(row["bound_s"], color=GREY, linestyle="-", linewidth=1)
            ax.annotate(
                f" {row['objective'].replace('<=', '≤')}",
                (row["bound_s"], 0.985 - 0.06 * (number % 8)),
                xycoords=("data", "axes fraction"),
                va="top",
                fontsize=8.5,
                color="#444444",
                parse_math=False,
                bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.75, "pad": 0.5},
            )
        ax.set_xlim(0, windows[-1])
        ax.set_ylim(0, 1.3 * most[-1])
    else:
        nothing(ax, "no queries")
    return dress(ax, "Arrivals against capacity", "length of the window (s)", "queries")
