"""``pipesim whatif``: a scenario with fields of it varied, each variant simulated or planned."""

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
    from pipesim.whatif import Progress

METHOD = "search"


def whatif(
    scenario: Annotated[Path, typer.Argument(metavar="SCENARIO", help="The scenario file.", show_default=False)],
    vary: Annotated[
        list[str],
        typer.Option(
            "--vary",
            metavar="PATH=VALUE,VALUE",
            help="Try these values of a field: load=1,1.5,2, or slo.p99=200ms,0.3 (seconds); may be repeated.",
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
    from pipesim.cli.whatif_tables import whatif_tables
    from pipesim.errors import invalid
    from pipesim.model import load_scenario, read_plan
    from pipesim.planner import METHODS
    from pipesim.report import to_json, whatif_report
    from pipesim.whatif import what_if, zipped
    from pipesim.whatif.metrics import is_met

    values = _values(vary)
    if scheduler is not None and workers is not None:
        raise invalid("--workers", workers, "is for this machine, not for a cluster", "leave out one of the two")
    inputs = [("SCENARIO", scenario)] + ([] if plan is None else [("--plan", plan)])
    check_outputs(inputs, {})
    asked = load_scenario(scenario, allow_outside=allow_outside)
    parameters = ("metrics", "seeds", "each_seed", "out", "vary", "method", "max_evaluations")
    named = options_named(**{name: f"--{name.replace('_', '-')}" for name in parameters})
    given = None if plan is None else read_plan(plan)
    with named, _executor(scheduler, workers) as executor, _watched(asked.name) as progress:
        frame = what_if(
            asked if seed is None else asked.with_seed(seed),
            zipped(values) if zip_values else values,
            plan=given,
            metrics=None if metrics is None else _listed(metrics),
            seeds=None if seeds is None else [_whole(text, "--seeds") for text in _listed(seeds)],
            each_seed=each_seed,
            method=None if method is None else one_of(method, METHODS, "--method"),
            max_evaluations=max_evaluations,
            executor=executor,
            workers=workers,
            out=out,
            progress=progress,
        )
    tables = whatif_tables(asked.name, frame, all_told=metrics is not None)
    show(tables, lambda: to_json(whatif_report(asked, seed, frame, given)), as_json=json)
    if not any(map(is_met, frame["status"])):
        raise typer.Exit(NOT_MET)


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
