"""``pipesim whatif``: a scenario with fields of it varied, each variant simulated or planned."""

import math
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipesim.cli.options import (
    MAX_EVALUATIONS,
    NOT_MET,
    AllowOutside,
    Json,
    Seed,
    check_outputs,
    one_of,
    options_named,
    show,
)

if TYPE_CHECKING:
    import pandas as pd
    from rich.console import RenderableType

    from pipesim.whatif import Progress

METHOD = "search"
_MOST_SHOWN = 60


def whatif(
    scenario: Annotated[Path, typer.Argument(metavar="SCENARIO", help="The scenario file.", show_default=False)],
    vary: Annotated[
        list[str],
        typer.Option(
            "--vary",
            metavar="PATH=VALUE,VALUE",
            help="Try these values of a field, such as load=1,1.5,2 or slo.p99=200ms,300ms; may be repeated.",
            show_default=False,
        ),
    ],
    plan: Annotated[
        Path | None,
        typer.Option("--plan", metavar="FILE", help="Simulate this plan; without it, each variant is planned."),
    ] = None,
    metrics: Annotated[
        str | None, typer.Option("--metrics", metavar="NAME,NAME", help="What to tell: p99_latency_s,miss_rate …")
    ] = None,
    seeds: Annotated[
        str | None,
        typer.Option("--seeds", metavar="SEED,SEED", help="Run each under each seed; give means and intervals."),
    ] = None,
    each_seed: Annotated[bool, typer.Option("--each-seed", help="A row for each seed, in place of means.")] = False,
    zip_values: Annotated[
        bool, typer.Option("--zip", help="Take values side by side, in place of every combination.")
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", metavar="FOLDER", help="Keep finished rows in this folder as Parquet, and go on from those there."
        ),
    ] = None,
    json: Json = False,
    seed: Seed = None,
    method: Annotated[
        str | None,
        typer.Option("--method", help=f"How variants are planned: {METHOD} if not said; see pipesim plan."),
    ] = None,
    max_evaluations: Annotated[
        int | None,
        typer.Option(
            "--max-evaluations",
            min=1,
            help=f"Run at most this many tests for each plan: {MAX_EVALUATIONS} if not said.",
        ),
    ] = None,
    workers: Annotated[
        int | None, typer.Option("--workers", min=1, help="Use this many processes; by default threads, one a core.")
    ] = None,
    scheduler: Annotated[
        str | None,
        typer.Option("--scheduler", metavar="ADDRESS", help="Run on this Dask cluster, such as tcp://10.0.0.1:8786."),
    ] = None,
    allow_outside: AllowOutside = False,
) -> None:
    """Vary fields of a scenario and show what becomes of it; exit with 3 if no variant meets its objectives."""
    from pipesim.errors import invalid
    from pipesim.model import load_scenario, read_plan
    from pipesim.planner import METHODS
    from pipesim.report import to_json, whatif_report
    from pipesim.whatif import what_if, zipped

    values = _values(vary)
    if scheduler is not None and workers is not None:
        raise invalid("--workers", workers, "is for this machine, not for a cluster", "leave out one of the two")
    for option, given in (("--method", method is not None), ("--max-evaluations", max_evaluations is not None)):
        if plan is not None and given:
            raise invalid(option, str(plan), "is a plan already made, and this is about making one", "leave one out")
    inputs = [("SCENARIO", scenario)] + ([] if plan is None else [("--plan", plan)])
    check_outputs(inputs, {})
    asked = load_scenario(scenario, allow_outside=allow_outside)
    named = options_named(metrics="--metrics", seeds="--seeds", each_seed="--each-seed", out="--out", vary="--vary")
    with named, _executor(scheduler, workers) as executor, _watched(asked.name) as progress:
        frame = what_if(
            asked if seed is None else asked.with_seed(seed),
            zipped(values) if zip_values else values,
            plan=None if plan is None else read_plan(plan),
            metrics=None if metrics is None else _listed(metrics),
            seeds=None if seeds is None else [_whole(text, "--seeds") for text in _listed(seeds)],
            each_seed=each_seed,
            method=one_of(method or METHOD, METHODS, "--method"),
            max_evaluations=max_evaluations or MAX_EVALUATIONS,
            executor=executor,
            workers=workers,
            out=out,
            progress=progress,
        )
    show(_table(asked.name, frame), lambda: to_json(whatif_report(asked, seed, frame)), as_json=json)
    if not _met(frame):
        raise typer.Exit(NOT_MET)


def _met(frame: "pd.DataFrame") -> int:
    """Return how many rows meet their objectives."""
    from pipesim.whatif.metrics import is_met

    return sum(map(is_met, frame["status"]))


def _values(vary: list[str]) -> dict[str, Any]:
    """Return the values of each path, each as YAML has it."""
    from pipesim.errors import invalid

    values: dict[str, Any] = {}
    for option in vary:
        path, equals, text = option.partition("=")
        if not equals or not path or not text:
            raise invalid("--vary", option, "is not a path with values", "write for example load=1,1.5,2")
        if path in values:
            raise invalid("--vary", path, "is given twice", "give all its values at once")
        values[path] = [_value(one, path) for one in _listed(text)]
    return values


def _value(text: str, path: str) -> Any:
    from pipesim.model.yaml_document import parse_yaml

    return parse_yaml(text, f"--vary {path}").data


def _listed(text: str) -> list[str]:
    """Return what commas separate; those in brackets belong to a value."""
    parts, depth, begin = [], 0, 0
    for place, letter in enumerate(text):
        depth += (letter in "[{") - (letter in "]}")
        if letter == "," and depth <= 0:
            parts.append(text[begin:place])
            begin = place + 1
    return [part.strip() for part in (*parts, text[begin:])]


def _whole(text: str, option: str) -> int:
    from pipesim.errors import invalid

    if not (text.isascii() and text.isdigit() and len(text) < 20):
        raise invalid(option, text, "is not a whole number", "write for example 1,2,3")
    return int(text)


@contextmanager
def _executor(scheduler: str | None, workers: int | None) -> Iterator[Any]:
    """Yield what runs the rows."""
    if scheduler is None:
        yield "threads" if workers is None else "processes"
        return
    from pipesim.errors import PipesimError, invalid

    try:
        from distributed import Client
    except ImportError:
        raise PipesimError('--scheduler: needs Dask; install it with pip install "pipesim[cluster]"') from None
    try:
        client = Client(scheduler, timeout="10s")
    except (OSError, ValueError) as error:
        remedy = "give the address of a scheduler"
        raise invalid("--scheduler", scheduler, f"cannot be reached ({error})", remedy) from None
    with client, client.get_executor() as executor:
        yield executor


@contextmanager
def _watched(name: str) -> Iterator["Callable[[Progress], None] | None"]:
    """Yield what shows on stderr, if it is a terminal, how many rows are done."""
    from pipesim.cli.screen import working

    if not sys.stderr.isatty():
        yield None
        return
    with working(f"Varying {name}") as more:
        yield lambda progress: more(f"{progress.done:,} of {progress.total:,} rows") if more else None


def _table(name: str, frame: "pd.DataFrame") -> "RenderableType":
    """Return the rows; what is told of every stage is one column, with the stages in their order."""
    from rich.console import Group
    from rich.text import Text

    from pipesim.cli.screen import counted, headline, new_table

    columns: dict[str, list[str]] = {}
    told = [str(column) for column in frame.columns[frame.columns.get_loc("status") :]]
    ends = {f"{column}{end}" for column in told for end in (".low", ".high")}
    for column in told:
        if column not in ends:
            columns.setdefault(column.partition(".")[0], []).append(column)
    varied = {str(column): [str(column)] for column in frame.columns[: frame.columns.get_loc("status")]}
    columns = varied | columns
    # With spaces in place of the _ of names, which would break anywhere.
    heads = [name if name in varied else name.replace("_", " ") for name in columns]
    table = new_table(*heads, left=0)
    for whole in table.columns[: len(varied) + 1]:
        whole.no_wrap = True
    for row in frame.head(_MOST_SHOWN).to_dict("records"):
        table.add_row(*(" / ".join(_cell(row, one) for one in group) for group in columns.values()))
    met = _met(frame)
    verdict = f"{met:,} of {len(frame):,} variants meet their objectives" if met else "no variant meets its objectives"
    parts: list[RenderableType] = [headline(f"{name}: {verdict}", good=bool(met)), Text(), table]
    grouped = {name: group for name, group in columns.items() if len(group) > 1 and name not in varied}
    for metric, group in grouped.items():
        parts.append(Text(f"{metric}: {' / '.join(one.removeprefix(f'{metric}.') for one in group)}"))
    if ends & set(told):
        parts.append(Text("Means over seeds, with half the width of their 95 % confidence interval."))
    if len(frame) > _MOST_SHOWN:
        parts.append(Text(f"… and {counted(len(frame) - _MOST_SHOWN, 'row')} more: use --json or --out."))
    return Group(*parts)


def _cell(row: "dict[Any, Any]", column: str) -> str:
    """Return a value of a row; a mean with half of its interval."""
    from pipesim.cli.screen import figure

    value, high = row[column], row.get(f"{column}.high", math.nan)
    if value is None or str(value) in ("nan", "<NA>"):
        return "–"
    if not isinstance(value, float):
        return str(value)
    return figure(value) if math.isnan(high) else f"{figure(value)} ± {figure(high - value)}"
