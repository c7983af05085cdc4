"""The commands about traces."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, get_args

import typer

from pipesim.cli.fetch import fetch
from pipesim.cli.options import AllowOutside, Json, one_of, options_named, seconds, show
from pipesim.cli.traffic import Column, Format, Given, Read, Source, Unit, Unsorted, given_traffic

if TYPE_CHECKING:
    from pipesim.traces import ArrivalTrace, Reading

app = typer.Typer(help="Describe, draw, fit, change, generate and fetch arrival traces.", rich_markup_mode=None)
app.command("fetch")(fetch)

Seed = Annotated[int | None, typer.Option("--seed", help="Seed of what is drawn, in place of the file's.")]
Load = Annotated[float | None, typer.Option("--load", help="Compress time by this factor first.")]


@app.command()
def info(
    source: Source,
    format: Format = None,
    column: Column = None,
    unit: Unit = None,
    unsorted: Unsorted = None,
    read: Read = None,
    load: Load = None,
    seed: Seed = None,
    allow_outside: AllowOutside = False,
    json: Json = False,
) -> None:
    """Print what traffic is like: its rate, peaks and burstiness, and what was found in its file."""
    from pipesim.cli.trace_tables import counts_tables, trace_tables
    from pipesim.model.traffic import CountsTraffic
    from pipesim.report import counts_report, to_json, trace_report
    from pipesim.traces.counts import counts_caveats, part_of
    from pipesim.traces.formats.counts import read_counts

    fields = {"format": format, "column": column, "unit": unit, "unsorted": unsorted, "load": load}
    given = given_traffic(source, seed=seed, read=read, allow_outside=allow_outside, **fields)
    if isinstance(given.traffic, CountsTraffic) and not given.traffic.is_changed:
        counts = given.traffic.counts
        series = read_counts(given.files.paths[counts.file], counts)
        notes = counts_caveats(series, counts)
        if counts.start or counts.duration is not None:
            series, _ = part_of(series, counts)
        show(counts_tables(given.name, series, notes), lambda: to_json(counts_report(series, notes)), as_json=json)
        return
    trace, reading = _trace(given)
    tables = trace_tables(given.name, trace, reading)
    show(tables, lambda: to_json(trace_report(trace, reading)), as_json=json)


@app.command()
def plot(
    source: Source,
    out: Annotated[
        Path, typer.Option("--out", metavar="FILE", help="The picture: .png, .svg or .pdf.", show_default=False)
    ],
    format: Format = None,
    column: Column = None,
    unit: Unit = None,
    unsorted: Unsorted = None,
    read: Read = None,
    load: Load = None,
    seed: Seed = None,
    allow_outside: AllowOutside = False,
) -> None:
    """Draw traffic on one page: rate over time, gaps, index of dispersion, envelope and autocorrelation."""
    from pipesim.cli.options import check_outputs
    from pipesim.errors import invalid
    from pipesim.files import check_not_configured, write_atomically

    check_not_configured("matplotlibrc", "matplotlib")

    from pipesim.plot import IMAGE_FORMATS, image, trace_figure
    from pipesim.traces import overview

    if out.suffix.removeprefix(".") not in IMAGE_FORMATS:
        raise invalid("--out", str(out), "is not the name of a picture", f"end it in .{', .'.join(IMAGE_FORMATS)}")
    fields = {"format": format, "column": column, "unit": unit, "unsorted": unsorted, "load": load}
    given = given_traffic(source, seed=seed, read=read, allow_outside=allow_outside, **fields)
    check_outputs(_files(given), {"--out": out})
    trace, _ = _trace(given)
    figure = trace_figure(Path(given.name).name, **overview(trace))
    write_atomically(out, image(figure, out.suffix.removeprefix(".")))
    _say(f"Drew {len(trace):,} queries to {out}")


@app.command()
def transform(
    source: Source,
    out: Annotated[
        Path,
        typer.Option("--out", metavar="FILE", help="The new trace: .csv, .csv.gz or .parquet.", show_default=False),
    ],
    apply: Annotated[
        list[str] | None,
        typer.Option(
            "--apply",
            metavar="NAME=VALUE",
            help="A transform, such as slice=10min..20min, thin=0.5, compress=2, superpose=3, amplify_bursts=2@60s; "
            "may be repeated, in order. See docs/traffic.md.",
        ),
    ] = None,
    format: Format = None,
    column: Column = None,
    unit: Unit = None,
    unsorted: Unsorted = None,
    read: Read = None,
    seed: Seed = None,
    allow_outside: AllowOutside = False,
) -> None:
    """Change traffic and write it as a trace; without --apply, convert it."""
    from pipesim.cli.options import check_outputs
    from pipesim.model.transforms import parse_transform
    from pipesim.traces import apply_transforms

    transforms = [parse_transform(text, "--apply") for text in apply or ()]
    _check_trace_name(out)
    fields = {"format": format, "column": column, "unit": unit, "unsorted": unsorted}
    given = given_traffic(source, seed=seed, read=read, allow_outside=allow_outside, **fields)
    check_outputs(_files(given), {"--out": out})
    trace, _ = _trace(given)
    _write(apply_transforms(trace, transforms, given.seed, where="--apply", owner="--apply"), out)


@app.command("fit")
def fit_command(
    source: Source,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="Write the recipe to this YAML file.")
    ] = None,
    report: Annotated[
        Path | None, typer.Option("--report", metavar="FILE", help="Write the JSON report to this file.")
    ] = None,
    resolution: Annotated[
        str | None,
        typer.Option("--resolution", help="Width of the curve's bins, such as 30s; else a round 60th of the trace."),
    ] = None,
    max_bursts: Annotated[
        int, typer.Option("--max-bursts", help="Most time scales of bursts, 0 to 16; 0 leaves curve and gaps alone.")
    ] = 5,
    family: Annotated[str, typer.Option("--family", help="Law of the gaps: gamma or weibull.")] = "gamma",
    draws: Annotated[
        int, typer.Option("--draws", help="Most traces drawn to measure a law, 2 to 1000: more are slower and surer.")
    ] = 20,
    format: Format = None,
    column: Column = None,
    unit: Unit = None,
    unsorted: Unsorted = None,
    read: Read = None,
    load: Load = None,
    seed: Seed = None,
    allow_outside: AllowOutside = False,
    json: Json = False,
) -> None:
    """Find a law with a trace's rate curve and burstiness, and write it as a recipe to plan on."""
    from pipesim.cli.options import check_outputs
    from pipesim.cli.trace_tables import fit_tables
    from pipesim.files import write_atomically
    from pipesim.model.traffic.laws import GapFamily
    from pipesim.report import fitted_report, to_json
    from pipesim.traces.fit import fit, recipe_yaml
    from pipesim.units import NS_PER_S

    gaps: GapFamily = one_of(family, get_args(GapFamily), "--family")
    width_ns = None if resolution is None else round(seconds(resolution, "--resolution") * NS_PER_S)
    fields = {"format": format, "column": column, "unit": unit, "unsorted": unsorted, "load": load}
    given = given_traffic(source, seed=seed, read=read, allow_outside=allow_outside, **fields)
    check_outputs(_files(given), {"--out": out, "--report": report})
    trace, _ = _trace(given)
    with options_named(max_bursts="--max-bursts", resolution="--resolution", replicas="--draws"):
        found = fit(trace, max_bursts=max_bursts, resolution_ns=width_ns, family=gaps, replicas=draws, seed=given.seed)
    if out is not None:
        write_atomically(out, recipe_yaml(found))
    show(fit_tables(given.name, found), lambda: to_json(fitted_report(found)), as_json=json, out=report)


@app.command()
def generate(
    out: Annotated[
        Path,
        typer.Option("--out", metavar="FILE", help="The trace: .csv, .csv.gz or .parquet.", show_default=False),
    ],
    rate: Annotated[float, typer.Option("--rate", help="Mean arrivals per second.", show_default=False)],
    duration: Annotated[str | None, typer.Option("--duration", help="How long, such as 10min.")] = None,
    queries: Annotated[int | None, typer.Option("--queries", help="How many queries, instead of a duration.")] = None,
    scv: Annotated[
        float | None, typer.Option("--scv", help="Squared coefficient of variation of the gaps; 1 is Poisson.")
    ] = None,
    cv: Annotated[float | None, typer.Option("--cv", help="Coefficient of variation of the gaps, instead.")] = None,
    seed: Annotated[int, typer.Option("--seed", help="Seed of the random stream.")] = 0,
) -> None:
    """Generate a trace with gamma-distributed gaps (Poisson unless --scv or --cv is given).

    For other laws, curves and sums write a YAML file with a block traffic and use pipesim trace transform.
    """
    from pipesim.files import check_output
    from pipesim.model.traffic import GammaLaw
    from pipesim.model.validation import validated_fields
    from pipesim.traces import law_trace

    if scv is None and cv is None:
        scv = 1.0
    fields = {"rate_qps": rate, "duration": duration, "queries": queries, "scv": scv, "cv": cv}
    named = {name: value for name, value in fields.items() if value is not None}
    law = validated_fields(GammaLaw, "trace generate", named)
    check_output(out, "--out")
    _check_trace_name(out)
    _write(law_trace(law, seed), out)


def _trace(given: Given) -> "tuple[ArrivalTrace, Reading | None]":
    """Return the arrivals of traffic, and what reading its file found, if it is a file of arrivals."""
    from pipesim.model.traffic import RecordedTraffic
    from pipesim.traces import compress_time, traffic_trace
    from pipesim.traces.formats import read_trace

    traffic, load = given.traffic, given.traffic.load
    if not isinstance(traffic, RecordedTraffic) or traffic.model_copy(update={"load": None}).is_changed:
        return traffic_trace(traffic, given.files, given.seed), None
    trace, reading = read_trace(given.files.paths[traffic.file], traffic)
    return (trace if load is None else compress_time(trace, load)), reading


def _files(given: Given) -> list[tuple[str, Path]]:
    """Return the files of traffic, which no output may replace, by name."""
    return [("TRAFFIC", Path(given.name)), *given.files.paths.items()]


def _check_trace_name(out: Path) -> None:
    from pipesim.errors import invalid

    if not out.name.endswith((".csv", ".csv.gz", ".parquet")):
        raise invalid("--out", str(out), "is not the name of a trace", "end it in .csv, .csv.gz or .parquet")


def _write(trace: "ArrivalTrace", out: Path) -> None:
    from pipesim.files import write_atomically
    from pipesim.traces import trace_csv, trace_parquet

    is_table = out.suffix == ".parquet"
    write_atomically(out, trace_parquet(trace) if is_table else trace_csv(trace, compress=out.suffix == ".gz"))
    _say(f"Wrote {len(trace)} queries over {trace.duration_s:g} s to {out}")


def _say(line: str) -> None:
    from pipesim.errors import printable

    typer.echo(printable(line), err=True)
