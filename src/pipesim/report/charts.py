"""Charts of a document: what plotly.js draws, the picture that stands for it on paper, and the numbers.

Every chart is made from the frame that the picture of the same name is drawn from.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from pipesim.engine import SimulationResult
from pipesim.engine.capacity import capacity_curves
from pipesim.engine.quantiles import nearest_rank
from pipesim.engine.series import ALL, latency_distribution, latency_over_time, objectives, stage_times, who
from pipesim.errors import printable
from pipesim.report.parts import Chart, Table
from pipesim.report.wording import duration, figure
from pipesim.units import format_duration, format_quantile

if TYPE_CHECKING:
    from pipesim.plot import Axes

Trace = dict[str, Any]

_SERIES = 7
_DASHES = ("solid", "dash", "dashdot", "longdash", "longdashdot", "dot", "solid")
_QUANTILES = tuple(map(Decimal, ("0.5", "0.75", "0.9", "0.95", "0.99", "0.999", "1")))
_WINDOWS = 8
_MOST_DECADES = 4
_LARGEST_SVG = 128 * 1024


def drawn(draw: "Callable[[], Axes]") -> Callable[[], bytes]:
    """Return what draws a picture as an SVG, or as a PNG if the SVG is large; the same bytes for the same picture."""

    def picture() -> bytes:
        from pipesim.plot import image

        figure = draw().get_figure(root=True)
        assert figure is not None, "axes that were drawn in have a figure"
        lines = image(figure, "svg")
        return lines if len(lines) <= _LARGEST_SVG else image(figure, "png", dpi=160)

    return picture


def latency_tail(result: SimulationResult) -> Chart:
    """Return the share of queries slower than a latency, with the objectives."""
    frame, bounds = latency_distribution(result), objectives(result)
    shown = frame[frame["share_above"] > 0]
    lowest = float(shown["share_above"].min()) if len(shown) else 0.1
    traces = [
        _line(str(name), rows["latency_s"], rows["share_above"], number)
        for number, (name, rows) in enumerate(shown.groupby("queries", sort=False))
    ]
    for row in bounds.to_dict("records"):
        share = max(1 - row["quantile"], lowest)
        name = f"{_sign(row['objective'])}, {'met' if row['met'] else 'missed'}"
        traces.append(_bound(name, [row["bound_s"]] * 3, [lowest, share, 1.0], met=row["met"], marked=1))
    rows = []
    for name, slo in {ALL: None, **{who(slo): slo for slo in result.scenario.slos if slo.where}}.items():
        chosen = result.latency_ns if slo is None else result.latency_ns[result.workload.concerned(slo)]
        latency_ns = np.sort(chosen)
        rows.append((name, *(format_duration(nearest_rank(latency_ns, quantile)) for quantile in _QUANTILES)))
    heads = (*(format_quantile(quantile) for quantile in _QUANTILES[:-1]), "longest")
    worst = "; ".join(
        f"{_sign(row['objective'])}: {_reached(row['latency_s'])}, {'met' if row['met'] else 'missed'}"
        for row in bounds.to_dict("records")
    )
    return Chart(
        "latency-tail",
        "The tail of the latencies",
        f"Share of queries slower than a latency, both axes logarithmic. {worst}.",
        drawn(result.plot.latency_ccdf),
        {
            "data": traces,
            "layout": _layout(
                _log_axis("latency", shown["latency_s"], duration, (1, 2, 5)),
                _log_axis("share of queries slower", shown["share_above"], lambda share: f"{100 * share:g} %", (1,)),
            ),
        },
        Table("Latencies by quantile", ("Queries", *heads), tuple(rows)),
    )


def latencies_over_time(result: SimulationResult) -> Chart:
    """Return quantiles of the latency over time, by arrival."""
    frame, bounds = latency_over_time(result), objectives(result)
    names = [str(name) for name in frame.columns if str(name).startswith("p")]
    traces = [_line(name.split("_")[0], frame["time_s"], frame[name], place) for place, name in enumerate(names)]
    for trace in traces:
        trace["line"]["shape"] = "hv"
    ends = [0.0, float(frame["time_s"].max()) if len(frame) else 0.0]
    for row in bounds[bounds["queries"] == ALL].to_dict("records"):
        traces.append(_bound(_sign(row["objective"]), ends, [row["bound_s"]] * 2, met=row["met"]))
    said = ""
    if arrived := frame[frame["queries"] > 0].to_dict("records"):
        slowest = max(arrived, key=lambda row: float(row["max_latency_s"]))
        longest, since = duration(slowest["max_latency_s"]), _since(slowest["time_s"])
        said = f" The slowest query takes {longest}; it arrives in the interval that begins after {since}."
    rows = tuple(
        (_since(row["time_s"]), f"{row['queries']:,.0f}", *(_reached(row[name]) for name in (*names, "max_latency_s")))
        for row in frame.to_dict("records")
    )
    return Chart(
        "latency-over-time",
        "Latency over time",
        f"Quantiles of the latency of the queries that arrive in each interval.{said}",
        drawn(result.plot.latency_over_time),
        {
            "data": traces,
            "layout": _layout(
                _axis("arrival, since the start", ticksuffix=" s"),
                _axis("latency", ticksuffix=" s", rangemode="tozero"),
            ),
        },
        Table(
            "Latency by interval of arrival",
            ("From", "Queries", *(name.split("_")[0] for name in names), "Longest"),
            rows,
        ),
    )


def time_at_stages(result: SimulationResult) -> Chart:
    """Return how long items wait and are served at each stage, all and the slowest."""
    frame = stage_times(result)
    labels = [_text(f"{row['stage']}, {row['items']}") for row in frame.to_dict("records")]
    bars = []
    for column, name, number, pattern in (
        ("mean_service_time_s", "service", 0, ""),
        ("mean_queue_delay_s", "waiting", 3, "/"),
    ):
        marker = {"color": f"var(--s{number})", "pattern": {"shape": pattern, "solidity": 0.3}}
        bars.append(
            {
                "type": "bar",
                "orientation": "h",
                "name": name,
                "y": labels,
                "x": _numbers(frame[column].fillna(0)),
                "marker": marker,
            }
        )
    layout = _layout(_axis("mean time of an item", ticksuffix=" s"), _axis("", autorange="reversed", automargin=True))
    layout |= {"barmode": "stack", "height": 150 + 34 * len(labels), "hovermode": "closest"}
    rows = tuple(
        (
            row["stage"],
            row["items"],
            f"{row['count']:,}",
            _reached(row["mean_queue_delay_s"]),
            _reached(row["mean_service_time_s"]),
        )
        for row in frame.to_dict("records")
    )
    said = ""
    if served := [row for row in frame.to_dict("records") if row["items"] == "all" and row["count"]]:
        slowest = max(served, key=lambda row: float(row["mean_queue_delay_s"] + row["mean_service_time_s"]))
        said = f" An item spends most time at {slowest['stage']}."
    return Chart(
        "time-at-stages",
        "Time at each stage",
        f"Mean waiting and service of an item at each stage, of all items and of the slowest hundredth.{said}",
        drawn(result.plot.stage_times),
        {"data": bars, "layout": layout},
        Table("Mean times", ("Stage", "Items", "Count", "Waiting", "Service"), rows, left=2),
    )


def arrivals_against_capacity(result: SimulationResult) -> Chart:
    """Return the most queries in any window, against the most that each stage finishes in one."""
    frame, bounds = capacity_curves(result), objectives(result)
    arrivals = frame[frame["kind"] == "arrivals"]
    windows, most = arrivals["window_s"].to_numpy(), arrivals["queries"].to_numpy()
    traces = [_line("arrivals: most in any window", windows, most, 6) | {"fill": "tozeroy", "fillcolor": "var(--fill)"}]
    stages = {str(name): rows["queries"].to_numpy() for name, rows in frame.groupby("stage", sort=False) if name}
    for number, (name, finished) in enumerate(stages.items()):
        line = _line(f"{name} finishes", windows, finished, number)
        line["line"]["shape"] = "hv"
        traces.append(line)
    inside = [row for row in bounds.to_dict("records") if row["bound_s"] <= windows[-1]]
    traces += [
        _bound(_sign(row["objective"]), [row["bound_s"]] * 2, [0.0, 1.2 * float(most[-1])], met=row["met"])
        for row in inside
    ]
    at = {int(place) for place in np.linspace(0, windows.size - 1, min(_WINDOWS, windows.size))}
    at |= {min(int(np.searchsorted(windows, row["bound_s"])), windows.size - 1) for row in inside}
    rows = tuple(
        (duration(windows[place]), figure(most[place]), *(figure(finished[place]) for finished in stages.values()))
        for place in sorted(at)
    )
    short = [name for name, finished in stages.items() if finished[-1] < most[-1]]
    said = f"All stages but {', '.join(short)}" if short else "All stages"
    return Chart(
        "arrivals-against-capacity",
        "Arrivals against capacity",
        f"The most queries that come in any window of a length, and the most that each stage finishes in one. {said} "
        f"can finish the busiest {duration(windows[-1])} within as long.",
        drawn(result.plot.capacity),
        {
            "data": traces,
            "layout": _layout(
                _axis("length of the window", ticksuffix=" s", rangemode="tozero"),
                _axis("queries", range=[0, _number(1.3 * float(most[-1]))]),
            ),
        },
        Table("Queries in a window, and what each stage finishes in one", ("Window", "Arrivals", *stages), rows),
    )


def _line(name: str, x: Iterable[float], y: Iterable[float], number: int) -> Trace:
    look = {"color": f"var(--s{number % _SERIES})", "dash": _DASHES[number % _SERIES], "width": 2}
    return {"type": "scatter", "mode": "lines", "name": _text(name), "x": _numbers(x), "y": _numbers(y), "line": look}


def _bound(name: str, x: Sequence[float], y: Sequence[float], *, met: bool, marked: int | None = None) -> Trace:
    """Return the line of an objective; the point `marked` is the one that the latencies must pass below."""
    colour = f"var(--{'good' if met else 'bad'})"
    trace = {
        "type": "scatter", "mode": "lines" if marked is None else "lines+markers", "name": _text(name),
        "x": _numbers(x), "y": _numbers(y), "line": {"color": colour, "dash": "dot", "width": 2},
    }  # fmt: skip
    if marked is not None:
        sizes = [10 if place == marked else 0 for place in range(len(x))]
        trace["marker"] = {"size": sizes, "color": colour, "symbol": "diamond"}
    return trace


def _layout(x: dict[str, Any], y: dict[str, Any]) -> dict[str, Any]:
    return {
        "xaxis": x, "yaxis": y, "height": 400, "hovermode": "x unified", "dragmode": "pan",
        "margin": {"l": 70, "r": 16, "t": 36, "b": 90},
        "legend": {"orientation": "h", "x": 0, "y": 0, "yref": "container", "yanchor": "bottom"},
        "font": {"family": "inherit", "size": 13, "color": "var(--text)"},
        "modebar": {"bgcolor": "rgba(0,0,0,0)", "color": "var(--quiet)", "activecolor": "var(--link)"},
        "paper_bgcolor": "rgba(0,0,0,0)", "plot_bgcolor": "rgba(0,0,0,0)",
        "hoverlabel": {"bgcolor": "var(--card)", "font": {"color": "var(--text)"}, "namelength": 40},
    }  # fmt: skip


def _axis(title: str, **options: Any) -> dict[str, Any]:
    common = {"gridcolor": "var(--rule)", "linecolor": "var(--quiet)", "zeroline": False, "automargin": True}
    return common | {"title": {"text": title, "standoff": 8}} | options


def _log_axis(
    title: str, values: Iterable[float], text: Callable[[float], str], digits: tuple[int, ...]
) -> dict[str, Any]:
    """Return a logarithmic axis with ticks in words at some digits of each decade."""
    some = [value for value in values if value > 0] or [1.0]
    decades = range(math.floor(math.log10(min(some))), math.ceil(math.log10(max(some))) + 1)
    if len(decades) > _MOST_DECADES:
        digits = (1,)
    ticks = [float(f"{digit}e{decade}") for decade in decades for digit in digits]
    return _axis(title, type="log", tickmode="array", tickvals=ticks, ticktext=[text(tick) for tick in ticks])


def _text(text: str) -> str:
    """Return a text as plotly.js shows it: it takes texts as markup, and turns entities back."""
    return escape(printable(text), quote=False)


def _numbers(values: Iterable[float]) -> list[float | None]:
    return [_number(value) for value in values]


def _number(value: float) -> float | None:
    """Return a number with six digits, which is all that a screen shows; None if it does not exist."""
    return float(f"{value:.6g}") if math.isfinite(value) else None


def _sign(objective: str) -> str:
    return objective.replace("<=", "≤")


def _reached(seconds: float) -> str:
    return "–" if math.isnan(seconds) else duration(seconds)


def _since(seconds: float) -> str:
    return duration(seconds) if seconds else "0 s"


def frame_rows(frame: pd.DataFrame) -> list[dict[Any, Any]]:
    """Return the rows of a frame, its index among them."""
    return frame.reset_index().to_dict("records")
