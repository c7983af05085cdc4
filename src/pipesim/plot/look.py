"""How all pictures look: colours that the colour-blind tell apart, lines that differ in grey too, quiet axes."""

from collections.abc import Callable, Iterable
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from pipesim.plot.image import image

# Okabe & Ito, "Color Universal Design", 2008
BLACK, ORANGE, SKY, GREEN, BLUE, VERMILION = "#000000", "#E69F00", "#56B4E9", "#009E73", "#0072B2", "#D55E00"
PURPLE = "#CC79A7"
GREY = "#767676"
BAND_ALPHA = 0.3

_COLOURS = (BLUE, VERMILION, GREEN, ORANGE, PURPLE, SKY, BLACK)
_DASHES: tuple[str | tuple[int, tuple[float, ...]], ...] = (
    "-", "--", "-.", ":", (0, (7, 1.5, 1, 1.5, 1, 1.5)), (0, (8, 2)), (0, (1, 2.5)),
)  # fmt: skip
_MARKERS = "os^Dv<>"
_HATCHES = ("", "///", "...", "xxx", "\\\\\\", "ooo", "---")
_CHARACTER_IN, _HANDLE_IN = 0.068, 0.5
"""About how wide a character of a legend is, and what stands before and after its text, in inches."""

_SECONDS = {"s": 1, "min": 60, "h": 3600, "d": 86_400}


class Style(NamedTuple):
    """How one of several series is drawn: no two of the first 49 look alike, not in grey either."""

    color: str
    linestyle: str | tuple[int, tuple[float, ...]]
    marker: str
    hatch: str


def style(number: int) -> Style:
    """Return the style of a series by its number, from 0."""
    turn = number + number // 7
    return Style(_COLOURS[number % 7], _DASHES[turn % 7], _MARKERS[turn % 7], _HATCHES[turn % 7])


def named(name: object) -> str:
    """Return a name as the label of an artist; matplotlib leaves those that begin with an underscore out of legends.

    >>> named("detect"), named("_detect")
    ('detect', ' _detect')
    """
    text = str(name)
    return f" {text}" if text.startswith("_") else text


class Picture(Axes):
    """Axes alone in a figure that pyplot does not know; a notebook shows it where a cell ends with them."""

    def _repr_png_(self) -> bytes:
        figure = self.get_figure(root=True)
        assert figure is not None, "a picture is made in a figure"
        return image(figure, "png")


def new_axes(width_in: float = 7, height_in: float = 4) -> Axes:
    """Return axes in a figure of their own."""
    return Figure(figsize=(width_in, height_in), layout="constrained").add_subplot(axes_class=Picture)


def dress(ax: Axes, title: str, x: str, y: str, *, legend: bool = True) -> Axes:
    """Give axes their title, labels with units, a light grid, and the legend of what is drawn in rows above them.

    Parameters
    ----------
    ax
        The axes; without anything that has a label they count as empty.
    title, x, y
        Texts, drawn as they are.
    legend
        Whether the labels of what is drawn are shown.
    """
    _, labels = ax.get_legend_handles_labels()
    columns = _legend_columns(ax, labels)
    rows = -(-len(labels) // columns) if labels and legend else 0
    pad = 9 + 15 * rows if rows else 6
    as_written(
        (
            ax.set_title(title, fontsize=11, loc="left", pad=pad),
            ax.set_xlabel(x, fontsize=10),
            ax.set_ylabel(y, fontsize=10),
        )
    )
    ax.spines[["top", "right"]].set_visible(False)
    if labels:
        ax.tick_params(labelsize=9)
        ax.grid(visible=True, color="#DDDDDD", linewidth=0.6)
        ax.set_axisbelow(True)
    if labels and legend:
        drawn = ax.legend(
            loc="lower left",
            bbox_to_anchor=(0, 1),
            ncols=columns,
            fontsize=9,
            frameon=False,
            borderaxespad=0.1,
            columnspacing=1.4,
            handlelength=1.8 if rows < 2 else 2.6,
            labelspacing=0.3,
        )
        as_written(drawn.get_texts())
    return ax


def _legend_columns(ax: Axes, labels: list[str]) -> int:
    """Return how many columns of a legend fit above axes."""
    if not labels:
        return 1
    width_in = 1.05 * inches(ax)[0]
    for columns in range(len(labels), 1, -1):
        filled = np.array_split(np.array([len(label) for label in labels]), columns)  # as a legend is
        if sum(_HANDLE_IN + _CHARACTER_IN * int(some.max()) for some in filled) <= width_in:
            return columns
    return 1


def inches(ax: Axes) -> tuple[float, float]:
    """Return the width and the height of axes, as long as nothing is laid out."""
    figure = ax.get_figure(root=True)
    assert figure is not None, "axes that are drawn in have a figure"
    width, height = figure.get_size_inches()
    box = ax.get_position()
    return float(box.width * width), float(box.height * height)


def as_written(texts: Iterable[Text]) -> None:
    """Let texts be drawn as they are, dollars too."""
    for text in texts:
        text.set_parse_math(False)


def nothing(ax: Axes, reason: str = "too few arrivals") -> None:
    """Say in the middle of empty axes why nothing is drawn there."""
    ax.set_xticks([])
    ax.set_yticks([])
    ax.text(0.5, 0.5, reason, transform=ax.transAxes, ha="center", va="center", color=GREY, fontsize=11)


def plain_number(value: float) -> str:
    """Return a number in full with the digits that it needs, for the ticks of an axis.

    >>> plain_number(0.01), plain_number(300.0), plain_number(20_000.0)
    ('0.01', '300', '20,000')
    """
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.12g}"


def time_unit(span_s: float) -> tuple[str, float]:
    """Return the unit in which people read a span, and its seconds.

    >>> time_unit(90), time_unit(3500), time_unit(86_400)
    (('s', 1), ('min', 60), ('h', 3600))
    """
    unit = next((name for name, limit in (("s", 120), ("min", 7200), ("h", 4 * 86_400)) if span_s <= limit), "d")
    return unit, _SECONDS[unit]


def duration(seconds: float) -> str:
    """Return a duration in the unit that suits it.

    >>> duration(1e-8), duration(0.05), duration(1), duration(60), duration(86_400)
    ('10 ns', '50 ms', '1 s', '60 s', '24 h')
    """
    units = {"ns": (1e-9, 1e-6), "µs": (1e-6, 1e-3), "ms": (1e-3, 1), "s": (1, 120), "min": (60, 7200)}
    for unit, (size, limit) in units.items():
        if seconds < limit * (1 - 1e-9):
            return f"{seconds / size:.4g} {unit}"
    return f"{seconds / 3600:.4g} h"


def label_duration_axis(axis: Axis) -> None:
    """Label a linear axis of seconds from 0 with durations, at round minutes, hours or days if it is that long."""
    longest = float(max(axis.get_view_interval()))
    _, unit_s = time_unit(longest)
    if unit_s > 1:
        ticks = MaxNLocator(7, steps=[1, 2, 5, 10]).tick_values(0, longest / unit_s)
        axis.set_major_locator(FixedLocator([unit_s * tick for tick in ticks]))
    axis.set_major_formatter(FuncFormatter(lambda value, _: duration(value) if value else "0"))


def label_log_axis(axis: Axis, text: Callable[[float], str], ticks: int = 12) -> None:
    """Label a logarithmic axis in words rather than powers, at 1, 2 and 5 of a decade, or more, where there is room."""
    low, high = sorted(axis.get_view_interval())
    decades = np.log10(high / low)
    dense = (1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 7.0) if decades < 1 else (1.0, 2.0, 5.0)
    axis.set_major_locator(LogLocator(subs=dense if decades < 3.2 else (1.0,), numticks=ticks))
    axis.set_major_formatter(FuncFormatter(lambda value, _: text(value)))
    axis.set_minor_formatter(NullFormatter())
