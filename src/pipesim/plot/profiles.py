"""Pictures of profiles: what a model takes, and what it serves, by batch size and hardware."""

from collections.abc import Callable

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from pipesim.plot.look import dress, duration, label_log_axis, named, new_axes, nothing, plain_number, style


def profile_latency(frame: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Draw how long a batch of each size takes a model, on each hardware; measured points are marked.

    Parameters
    ----------
    frame
        Columns ``model``, ``hardware``, ``batch_size``, ``latency_s``, ``measured``.
    ax
        Where to draw; if not given, in a new figure.
    """
    return _curves(frame, "latency_s", "latency of a batch", "latency of a batch", duration, ax)


def profile_throughput(frame: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Draw how many items a second one replica serves in batches of each size, on each hardware.

    Parameters
    ----------
    frame
        Columns ``model``, ``hardware``, ``batch_size``, ``items_per_s``, ``measured``.
    ax
        Where to draw; if not given, in a new figure.
    """
    return _curves(frame, "items_per_s", "throughput of one replica", "items per second", plain_number, ax)


def _curves(
    frame: pd.DataFrame, column: str, title: str, y: str, text: Callable[[float], str], ax: Axes | None
) -> Axes:
    ax = new_axes() if ax is None else ax
    models = ", ".join(dict.fromkeys(map(str, frame["model"])))
    if len(frame):
        for number, (hardware, rows) in enumerate(frame.groupby("hardware", sort=False)):
            look = style(number)
            marks = [place for place, measured in enumerate(rows["measured"]) if measured]
            ax.plot(
                rows["batch_size"].to_numpy(),
                rows[column].to_numpy(),
                color=look.color,
                linestyle=look.linestyle,
                linewidth=1.6,
                marker=look.marker,
                markersize=5,
                markevery=marks,
                label=named(hardware),
            )
        largest = int(frame["batch_size"].max())
        ax.set_xscale("log", base=2)
        ax.set_yscale("log")
        ax.set_xlim(0.9, 1.1 * max(largest, 2))
        sizes = [1 << exponent for exponent in range(largest.bit_length())]
        ax.xaxis.set_major_locator(FixedLocator(sizes[:: -(-len(sizes) // 12)]))
        ax.xaxis.set_minor_locator(NullLocator())
        ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
        label_log_axis(ax.yaxis, text, ticks=8)
    else:
        nothing(ax, "no profile")
    return dress(ax, f"{models}: {title} (marks: profiled sizes)", "batch size (items)", y)
