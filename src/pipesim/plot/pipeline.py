"""The picture of a pipeline: stages as boxes from left to right, edges with what they pass on."""

import itertools
from collections.abc import Mapping
from typing import Any

import networkx as nx
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch
from matplotlib.path import Path

from pipesim.plot.look import (
    BLUE,
    GREY,
    ORANGE,
    PURPLE,
    SKY,
    VERMILION,
    Picture,
    as_written,
    duration,
    inches,
    plain_number,
)

_CHARACTER_IN, _LINE_IN = 0.082, 0.165
_GAP_IN, _BETWEEN_IN, _MARGIN_IN, _SOURCE_IN = 1.05, 0.42, 0.15, 0.75
_SWEEPS = 8
_ALONG = 0.58
"""How far along its first bend an edge has its label: a little after it has left the others of its stage."""
_WEIGHTS = np.array(
    [(1 - _ALONG) ** 3, 3 * _ALONG * (1 - _ALONG) ** 2, 3 * _ALONG**2 * (1 - _ALONG), _ALONG**3]
)  # of a cubic Bézier curve
_PALE = (SKY, ORANGE, "#009E73", PURPLE, VERMILION, BLUE)

Place = tuple[str, str, int]
"""A stage (its name twice, 0), or where an edge passes a layer: its ends and how many layers after the first."""


def pipeline_graph(stages: pd.DataFrame, edges: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Draw the graph of a pipeline, with what each stage runs on if that is known.

    Stages stand in layers from left to right: each right of all that feed it. An arrow from the left enters the
    sources, which receive every query; a dot marks a stage that waits for several deliveries of a query (a join). Edges
    of one choice, of which a query takes at most one, are dashed and name it.

    Parameters
    ----------
    stages
        Index ``stage``; columns ``model``, ``source``; and for a plan ``hardware``, ``replicas``, ``max_batch_size``,
        ``rate_per_s`` (items; NaN if it is not known), ``utilisation``, ``cost_usd_per_hour``.
    edges
        Columns ``upstream``, ``downstream``, ``probability`` (NaN if values decide), ``choice``, ``values``,
        ``fan_out``, ``fan_out_law``, ``per``, ``network_delay_s``.
    ax
        Where to draw; if not given, in a new figure that is as large as the graph needs. In smaller axes all is drawn
        smaller.
    """
    rows, links = stages.to_dict("index"), edges.to_dict("records")
    texts = {str(name): _lines(str(name), row) for name, row in rows.items()}
    width_in = max(len(line) for lines in texts.values() for line in lines) * _CHARACTER_IN + 0.2
    height_in = max(map(len, texts.values())) * _LINE_IN + 0.18
    labels = {(link["upstream"], link["downstream"]): _edge_label(link) for link in links}
    gap_in = max([_GAP_IN, *(0.8 + 0.07 * max(map(len, label.split("\n"))) for label in labels.values())])
    at, path_of, size = _layout(list(texts), list(labels), width_in, height_in, gap_in)
    ax, scale = _axes(size, ax)

    hardware = list(dict.fromkeys(row["hardware"] for row in rows.values() if "hardware" in row))
    incoming = edges[edges["per"] == "query"].groupby("downstream").size().to_dict()
    for link in links:
        _draw_edge(ax, link, path_of[link["upstream"], link["downstream"]], width_in, scale)
    for name, (x, y) in at.items():
        row = rows[name]
        color = _PALE[hardware.index(row["hardware"]) % len(_PALE)] if "hardware" in row else SKY
        ax.add_patch(
            FancyBboxPatch(
                (x - width_in / 2, y - height_in / 2),
                width_in,
                height_in,
                boxstyle="round,pad=0,rounding_size=0.08",
                facecolor=(color, 0.22),
                edgecolor=color,
                linewidth=1.4 * scale,
                label=f" {name}",
                zorder=3,
            )
        )
        _draw_lines(ax, texts[name], x, y, scale)
        if row["source"]:
            start = x - width_in / 2 - _SOURCE_IN
            _arrow(ax, Path([(start, y), (x - width_in / 2, y)]), "-", scale)
            rate = row.get("rate_per_s", float("nan"))
            note = "queries" if np.isnan(rate) else f"{plain_number(float(f'{rate:.3g}'))} qps"
            ax.text(start, y + 0.06, note, fontsize=8 * scale, va="bottom", color="#333333", zorder=4)
        if incoming.get(name, 0) > 1:
            ax.plot([x - width_in / 2], [y], color="black", marker="o", markersize=6 * scale, zorder=5)
            ax.text(x - width_in / 2 - 0.08, y - 0.09, "join", fontsize=8 * scale, ha="right", va="top", zorder=4)
    title = "Pipeline"
    if "cost_usd_per_hour" in stages:
        title += f": ${stages['cost_usd_per_hour'].sum():,.2f} an hour"
    as_written([ax.set_title(title, fontsize=11, loc="left")])
    return ax


def _lines(name: str, row: Mapping[Any, Any]) -> list[str]:
    """Return what a stage's box says: its name first."""
    lines = [name]
    if row["model"] != name:
        lines.append(str(row["model"]))
    if "hardware" in row:
        limit = row["max_batch_size"]
        lines.append(f"{row['replicas']} × {row['hardware']}, " + (f"batch ≤ {limit}" if limit > 1 else "one by one"))
        rate, busy = row["rate_per_s"], row["utilisation"]
        if not np.isnan(rate):
            text = f"{plain_number(float(f'{rate:.3g}'))} items/s"
            share = ">99%" if 0.995 <= busy < 1 else f"{busy:.0%}"
            lines.append(text if np.isnan(busy) else f"{text}, {share} busy")
        cost = row["cost_usd_per_hour"]
        lines.append(f"${cost:,.2f}/h" if cost >= 0.1 or not cost else f"${cost:.2g}/h")
    return lines


def _edge_label(link: Mapping[Any, Any]) -> str:
    """Return what an edge's label says; nothing of one that passes every query on, at once."""
    lines = []
    share = "" if np.isnan(link["probability"]) or link["probability"] == 1 else f"{100 * link['probability']:.3g}%"
    if link["choice"]:
        lines.append(f"{link['choice']}: {link['values'] or share}")
    elif share:
        lines.append(share)
    if link["fan_out"] != 1 or link["fan_out_law"] != "count":
        law = {"count": "", "poisson": " (Poisson)", "weights": " (drawn)"}[link["fan_out_law"]]
        lines.append(f"× {link['fan_out']:.3g}{law}")
    if link["per"] == "item":
        lines.append("per item")
    if link["network_delay_s"]:
        lines.append(f"+ {duration(link['network_delay_s'])}")
    return "\n".join(lines)


def _layout(
    names: list[str], links: list[tuple[str, str]], width_in: float, height_in: float, gap_in: float
) -> tuple[dict[str, tuple[float, float]], dict[tuple[str, str], list[tuple[float, float]]], tuple[float, float]]:
    """Return the centre of each box, the points that each edge passes, and the size of the whole, in inches.

    Layers are the longest ways from a source. An edge over several layers passes each layer between at a place of its
    own; places of a layer are ordered by the mean of their neighbours, to and fro, so that few edges cross (Sugiyama,
    Tagawa & Toda, "Methods for visual understanding of hierarchical system structures", 1981).
    """
    graph: nx.DiGraph[str] = nx.DiGraph()
    graph.add_nodes_from(names)
    graph.add_edges_from(links)
    layer_of = {name: layer for layer, some in enumerate(nx.topological_generations(graph)) for name in some}
    layers: list[list[Place]] = [[] for _ in range(1 + max(layer_of.values()))]
    for name in names:
        layers[layer_of[name]].append((name, name, 0))
    passed: dict[tuple[str, str], list[Place]] = {}
    for up, down in links:
        between: list[Place] = [(up, down, step) for step in range(1, layer_of[down] - layer_of[up])]
        for place in between:
            layers[layer_of[up] + place[2]].append(place)
        passed[up, down] = [(up, up, 0), *between, (down, down, 0)]
    steps = [pair for places in passed.values() for pair in itertools.pairwise(places)]
    row = _rows(layers, steps)

    used = list(row.values())
    low, high = min(used), max(used)
    has_source_arrow = _SOURCE_IN + _MARGIN_IN
    layer_in, row_in = width_in + gap_in, height_in + _BETWEEN_IN

    def point(layer: int, place: Place) -> tuple[float, float]:
        x = has_source_arrow + width_in / 2 + layer * layer_in
        return x, _MARGIN_IN + height_in / 2 + (high - row[place]) * row_in

    centre = {place: point(layer, place) for layer, places in enumerate(layers) for place in places}
    size = (
        has_source_arrow + len(layers) * layer_in - gap_in + _MARGIN_IN,
        (high - low) * row_in + height_in + 2 * _MARGIN_IN,
    )
    boxes = {name: centre[name, name, 0] for name in names}
    return boxes, {ends: [centre[place] for place in places] for ends, places in passed.items()}, size


def _rows(layers: list[list[Place]], steps: list[tuple[Place, Place]]) -> dict[Place, float]:
    """Return in which row each place stands, from the top; places of a layer are a row apart."""
    neighbours: dict[Place, list[Place]] = {place: [] for places in layers for place in places}
    for before, after in steps:
        neighbours[before].append(after)
        neighbours[after].append(before)
    row = {place: float(number) for places in layers for number, place in enumerate(places)}
    for sweep in range(_SWEEPS):
        for places in layers if sweep % 2 == 0 else layers[::-1]:
            wish = {
                place: float(np.mean([row[other] for other in neighbours[place]] or [row[place]])) for place in places
            }
            places.sort(key=lambda place: (wish[place], row[place]))
            middle = float(np.mean([wish[place] for place in places]))
            for number, place in enumerate(places):
                row[place] = middle + number - (len(places) - 1) / 2
    top = min(row.values())
    return {place: at - top for place, at in row.items()}


def _axes(size: tuple[float, float], ax: Axes | None) -> tuple[Axes, float]:
    """Return axes whose units are inches of the graph, and how much smaller than that they are."""
    width_in, height_in = size
    if ax is None:
        figure = Figure(figsize=(max(3.0, width_in), height_in + 0.3))
        ax = figure.add_axes((0, 0, 1, height_in / (height_in + 0.3)), axes_class=Picture)
        scale = 1.0
    else:
        own_width, own_height = inches(ax)
        scale = min(1.0, own_width / width_in, own_height / height_in)
    ax.set_xlim(0, width_in)
    ax.set_ylim(0, height_in)
    ax.set_aspect("equal")
    ax.set_axis_off()
    return ax, scale


def _draw_edge(
    ax: Axes, link: Mapping[Any, Any], points: list[tuple[float, float]], width_in: float, scale: float
) -> None:
    """Draw an edge as a curve that leaves and enters boxes, and passes other layers, level."""
    half = width_in / 2
    vertices, codes = [(points[0][0] + half, points[0][1])], [Path.MOVETO]
    for number, (x, y) in enumerate(points[1:], start=1):
        last = number == len(points) - 1
        ends = [(x - half, y)] if last else [(x - half, y), (x + half, y)]
        from_x, from_y = vertices[-1]
        bend = (ends[0][0] - from_x) / 2
        vertices += [(from_x + bend, from_y), (ends[0][0] - bend, y), ends[0]]
        codes += [Path.CURVE4] * 3
        if not last:
            vertices.append(ends[1])
            codes.append(Path.LINETO)
    _arrow(ax, Path(vertices, codes), "--" if link["choice"] else "-", scale)
    label = _edge_label(link)
    if label:
        middle = _WEIGHTS @ np.array(vertices[:4])
        note = ax.text(
            float(middle[0]),
            float(middle[1]),
            label,
            fontsize=8 * scale,
            ha="center",
            va="center",
            linespacing=1.25,
            zorder=4,
            bbox={"boxstyle": "round,pad=0.15", "facecolor": "white", "edgecolor": "none"},
        )
        as_written([note])


def _arrow(ax: Axes, path: Path, dashes: str, scale: float) -> None:
    """Draw an arrow along a path."""
    ax.add_patch(
        FancyArrowPatch(
            path=path,
            arrowstyle="-|>",
            mutation_scale=11 * scale,
            linestyle=dashes,
            linewidth=1.2 * scale,
            color=GREY,
            zorder=2,
        )
    )


def _draw_lines(ax: Axes, lines: list[str], x: float, y: float, scale: float) -> None:
    """Write the lines of a box, the first in bold."""
    top = y + (len(lines) - 1) * _LINE_IN / 2
    notes = [
        ax.text(
            x,
            top - number * _LINE_IN,
            line,
            fontsize=(9.5 if number == 0 else 8.5) * scale,
            fontweight="bold" if number == 0 else "normal",
            ha="center",
            va="center",
            zorder=4,
        )
        for number, line in enumerate(lines)
    ]
    as_written(notes)
