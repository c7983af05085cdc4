"""What `pipesim whatif` finds, as tables for people, each narrow enough for a terminal."""

import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import pandas as pd
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from pipesim.cli.screen import counted, duration, figure, headline, new_table, usd
from pipesim.whatif.metrics import STATUS, is_met, is_share, stage_of

_MOST_SHOWN = 60
_WIDTH, _GAP = 100, 3
_LONGEST_HEAD = 14
_HEADS = {"cost_usd_per_hour": "$/h", "cost_usd_per_month": "$/month", "bound_usd_per_hour": "bound $/h"}


class _Column(NamedTuple):
    head: str
    cells: list[str]

    @property
    def width(self) -> int:
        """Return how many letters its longest line has."""
        return max(map(len, (*self.head.split("\n"), *self.cells)), default=0)


def whatif_tables(name: str, frame: pd.DataFrame, *, all_told: bool) -> RenderableType:
    """Return what `pipesim whatif` prints.

    Parameters
    ----------
    name
        Of the scenario.
    frame
        What :func:`pipesim.whatif.what_if` returned.
    all_told
        Whether to tell also what the status says already: whether the objectives are met.
    """
    columns = list(map(str, frame.columns))
    place = columns.index(STATUS)
    ends = {f"{column}{end}" for column in columns for end in (".low", ".high")} & set(columns)
    told = [column for column in columns[place:] if column not in ends]
    if not all_told and not ends:
        told.remove("met")
    rows = frame.head(_MOST_SHOWN).to_dict("records")
    varied = [_Column(_broken(column), [_cell(row, column) for row in rows]) for column in columns[:place]]
    met = sum(map(is_met, frame[STATUS]))
    verdict = f"{met:,} of {len(frame):,} variants meet their objectives" if met else "no variant meets its objectives"
    parts: list[RenderableType] = [headline(f"{name}: {verdict}", good=bool(met))]
    for some in _side_by_side(varied, list(_of_all(told, rows)), list(_of_stages(told, rows))):
        parts += [Text(), _table(varied, some)]
    metrics = dict.fromkeys(found[0].replace("_", " ") for found in map(stage_of, told) if found is not None)
    if metrics:
        parts.append(Text(f"Of each stage: {', '.join(metrics)}."))
    if ends:
        parts.append(Text("Means over seeds, with half the width of their 95 % confidence interval; of stages, means."))
    if len(frame) > _MOST_SHOWN:
        parts.append(Text(f"… and {counted(len(frame) - _MOST_SHOWN, 'row')} more: use --json or --out."))
    return Group(*parts)


def _of_all(told: Sequence[str], rows: Sequence[dict[Any, Any]]) -> Iterator[_Column]:
    """Return a column for each metric that is told of the pipeline as a whole."""
    for column in told:
        if stage_of(column) is None:
            head = _HEADS.get(column, column.removesuffix("_s").replace("_", " "))
            yield _Column(head.removesuffix(" latency"), [_cell(row, column) for row in rows])


def _of_stages(told: Sequence[str], rows: Sequence[dict[Any, Any]]) -> Iterator[_Column]:
    """Return a column for each stage, with all that is told of it."""
    of_stage: dict[str, dict[str, str]] = {}
    for column in told:
        if (found := stage_of(column)) is not None:
            of_stage.setdefault(found[1], {})[found[0]] = column
    for stage, columns in of_stage.items():
        yield _Column(stage, ["  ".join(_said(one, row[column]) for one, column in columns.items()) for row in rows])


def _side_by_side(varied: Sequence[_Column], *groups: Sequence[_Column]) -> Iterator[list[_Column]]:
    """Yield the columns of one table after the other, none of them too wide and no group torn if that is possible."""
    begun = sum(column.width + _GAP for column in varied) - _GAP
    some, width = list[_Column](), begun
    for group in groups:
        left = sum(_GAP + column.width for column in group)
        for column in group:
            is_torn = column is group[0] and width + left > _WIDTH
            if some and (is_torn or width + _GAP + column.width > _WIDTH):
                yield some
                some, width = [], begun
            some.append(column)
            width += _GAP + column.width
    yield some


def _table(varied: Sequence[_Column], told: Sequence[_Column]) -> Table:
    table = new_table(*(column.head for column in (*varied, *told)), left=0)
    for column in table.columns[len(varied) :]:
        column.no_wrap = True
    for cells in zip(*(column.cells for column in (*varied, *told)), strict=True):
        table.add_row(*cells)
    return table


def _broken(path: str) -> str:
    """Return a path in lines.

    >>> _broken("plan.fast.replicas").split()
    ['plan.fast.', 'replicas']
    """
    lines = [""]
    for part in path.split("."):
        if lines[-1] and len(lines[-1]) + len(part) > _LONGEST_HEAD:
            lines.append("")
        lines[-1] += f"{part}."
    return "\n".join(lines).removesuffix(".")


def _cell(row: dict[Any, Any], column: str) -> str:
    """Return a value of a row; a mean with half of its interval, of which an end may be cut."""
    value, low, high = row[column], row.get(f"{column}.low", math.nan), row.get(f"{column}.high", math.nan)
    said = _said(column, value)
    return said if math.isnan(high) else f"{said} ± {_said(column, max(high - value, value - low))}"


def _said(metric: str, value: Any) -> str:
    """Return a value of a metric, or of a field that was varied, as people write it."""
    if value is None or value is pd.NA or value != value:
        return "–"
    if isinstance(value, str | bool):
        return {True: "yes", False: "no"}[value] if isinstance(value, bool) else value
    if "_usd_per_" in metric:
        return usd(float(value))[1:]
    if is_share(metric):
        return ">99.9%" if 0.9995 <= value < 1 else f"{figure(100 * value)}%"
    if metric.endswith("_s"):
        return duration(value)
    return f"{value:,}" if isinstance(value, int) else figure(value)
