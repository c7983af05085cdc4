"""The commands about traces."""

from pathlib import Path
from typing import Annotated

import typer

from pipesim.cli.options import Json, show

app = typer.Typer(help="Describe and generate arrival traces.", rich_markup_mode=None)


@app.command()
def info(
    file: Annotated[str, typer.Argument(metavar="FILE", help="A trace file, or library:NAME.", show_default=False)],
    format: Annotated[str, typer.Option("--format", help="csv or azure-llm.")] = "csv",
    column: Annotated[str | None, typer.Option("--column", help="The column of arrival times (csv).")] = None,
    unit: Annotated[str | None, typer.Option("--unit", help="What it counts: s, ms, us, ns or datetime (csv).")] = None,
    unsorted: Annotated[str, typer.Option("--unsorted", help="Rows out of order: refuse or sort.")] = "refuse",
    load: Annotated[float | None, typer.Option("--load", help="Compress time by this factor first.")] = None,
    json: Json = False,
) -> None:
    """Print what a trace is like: its rate, peaks and burstiness."""
    from pipesim.cli.tables import trace_tables
    from pipesim.files import MAX_TABLE_BYTES, Workspace, read_bytes
    from pipesim.model.traffic import RecordedTraffic
    from pipesim.model.validation import validated_fields
    from pipesim.report import to_json, trace_report
    from pipesim.traces import compress_time, parse_trace

    fields = {"file": file, "format": format, "column": column, "unit": unit, "unsorted": unsorted, "load": load}
    traffic = validated_fields(RecordedTraffic, "trace info", fields)
    path = Workspace(Path.cwd(), root=None).locate(file, "trace info", "traces")
    trace = parse_trace(read_bytes(path, MAX_TABLE_BYTES), traffic)
    if traffic.load is not None:
        trace = compress_time(trace, traffic.load)
    show(trace_tables(file, trace), lambda: to_json(trace_report(file, trace)), as_json=json)


@app.command()
def generate(
    rate: Annotated[float, typer.Option("--rate", help="Mean arrivals per second.", show_default=False)],
    out: Annotated[
        Path, typer.Option("--out", metavar="FILE", help="Write the trace here (.csv or .csv.gz).", show_default=False)
    ],
    duration: Annotated[str | None, typer.Option("--duration", help="How long, such as 10min.")] = None,
    queries: Annotated[int | None, typer.Option("--queries", help="How many queries, instead of a duration.")] = None,
    scv: Annotated[
        float | None, typer.Option("--scv", help="Squared coefficient of variation of the gaps; 1 is Poisson.")
    ] = None,
    cv: Annotated[float | None, typer.Option("--cv", help="Coefficient of variation of the gaps, instead.")] = None,
    seed: Annotated[int, typer.Option("--seed", help="Seed of the random stream.")] = 0,
) -> None:
    """Generate a trace with gamma-distributed gaps (Poisson unless --scv or --cv is given) and write it as CSV."""
    from pipesim.errors import invalid, printable
    from pipesim.files import check_output, write_atomically
    from pipesim.model.traffic import GammaLaw
    from pipesim.model.validation import validated_fields
    from pipesim.traces import gamma, trace_csv
    from pipesim.units import NS_PER_S

    if scv is None and cv is None:
        scv = 1.0
    given = {"rate_qps": rate, "duration": duration, "queries": queries, "scv": scv, "cv": cv}
    fields = {name: value for name, value in given.items() if value is not None}
    law = validated_fields(GammaLaw, "trace generate", fields)
    check_output(out, "--out")
    if not out.name.endswith((".csv", ".csv.gz")):
        raise invalid("--out", str(out), "is not the name of a CSV file", "end it in .csv or .csv.gz")
    duration_s = None if law.duration_ns is None else law.duration_ns / NS_PER_S
    trace = gamma(law.rate_qps, law.gap_scv, duration_s=duration_s, queries=law.queries, seed=seed)
    write_atomically(out, trace_csv(trace, compress=out.suffix == ".gz"))
    typer.echo(printable(f"Wrote {len(trace)} queries over {trace.duration_s:g} s to {out}"), err=True)
