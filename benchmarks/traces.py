"""How fast traffic is drawn, and trace files are read, in one run; traffic is drawn on one core.

A figure is the median of several runs after one that is not counted. Every row says beside it how long the same gaps
take numpy alone to draw, measured in the same run: what is left of the ratio is the curve, the bursts and the pieces.

    python benchmarks/traces.py          print the tables
    python benchmarks/traces.py --day    and draw a day at 10,000 queries a second, which takes minutes
    python benchmarks/traces.py --files  measure the reading of files alone
"""

import argparse
import multiprocessing
import resource
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import csv

from engines import Table, machine, seconds
from pipesim.model.traffic import RecordedTraffic
from pipesim.model.traffic.laws import ConstantLaw, GammaLaw, Law, MmppLaw, OnOffLaw, PoissonLaw, WeibullLaw
from pipesim.traces import PIECE, ArrivalTrace, read_trace
from pipesim.traces.generate import law_pieces, sum_pieces
from pipesim.traces.generate.gaps import unit_gaps

QUERIES = 5_000_000
ROWS = 10_000_000
EPOCH_NS = 1_700_000_000 * 10**9
RUNS = 3
LAWS: Mapping[str, type[Law]] = {
    "poisson": PoissonLaw,
    "gamma": GammaLaw,
    "weibull": WeibullLaw,
    "constant": ConstantLaw,
    "mmpp": MmppLaw,
    "on_off": OnOffLaw,
}
RATE: Mapping[str, Any] = {"rate_qps": 1000, "queries": QUERIES}
CURVE: Mapping[str, Any] = {
    "curve": {"diurnal": {"mean_qps": QUERIES / 86_400, "peak_qps": QUERIES / 50_000}},
    "duration": "1d",
}
BURST = {"factor": 5, "lasts": "1s", "every": "10s"}
SCALES = [BURST, {"factor": 5, "lasts": "2min", "every": "20min"}, {"factor": 3, "lasts": "50ms", "every": "500ms"}]
TRAFFIC: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "Poisson": ("poisson", RATE),
    "gamma gaps, scv 4": ("gamma", {**RATE, "scv": 4}),
    "Weibull gaps, scv 4": ("weibull", {**RATE, "scv": 4}),
    "a day's curve": ("poisson", CURVE),
    "a day's curve, gamma gaps": ("gamma", {**CURVE, "scv": 4}),
    "bursts of 1 s": ("poisson", {**RATE, "bursts": [BURST]}),
    "bursts on three scales": ("poisson", {**RATE, "bursts": SCALES}),
    "a day's curve, gamma gaps, bursts of 1 s": ("gamma", {**CURVE, "scv": 4, "bursts": [BURST]}),
    "a chain of three states": ("mmpp", {**RATE, "rates_qps": [100, 1000, 5000], "sojourns": ["1s", "1s", "100ms"]}),
    "on and off, heavy tails": ("on_off", {**RATE, "on": "1s", "off": "1s", "periods": "pareto"}),
    "batches of 4 on average": ("poisson", {**RATE, "batch": {"mean": 4}}),
}


def law(name: str, fields: Mapping[str, Any]) -> Law:
    """Return a law by its name and fields."""
    return LAWS[name].model_validate(fields)


def count(pieces: Iterator[ArrivalTrace]) -> int:
    """Return how many queries there are."""
    return sum(map(len, pieces))


def rate(action: Callable[[], int]) -> float:
    """Return how many queries a second an action draws."""
    return action() / seconds(action, RUNS)


def gaps_alone(drawn: Law) -> int:
    """Draw the gaps that a law takes for its queries, and nothing else."""
    gaps = unit_gaps(drawn.family, drawn.gap_scv, np.random.default_rng(1))
    for _ in range(0, QUERIES, PIECE):
        gaps(PIECE)
    return QUERIES


def generators() -> Table:
    """Measure every law."""
    table = Table(
        "Traffic from laws",
        f"About {QUERIES / 1e6:.0f} million queries in pieces of {PIECE:,}. In millions of queries a second.",
        ("", "drawn", "its gaps alone, by numpy", "drawn / alone"),
    )
    for title, (name, fields) in TRAFFIC.items():
        chosen = law(name, fields)
        whole, alone = rate(lambda chosen=chosen: count(law_pieces(chosen, seed=1))), rate(partial(gaps_alone, chosen))
        table.rows.append((title, f"{whole / 1e6:.1f}", f"{alone / 1e6:.1f}", f"{whole / alone:.2f}"))
    return table


def sums() -> Table:
    """Measure sums of clients."""
    table = Table(
        "Sums of clients",
        f"Poisson clients of one rate, {QUERIES / 1e6:.0f} million queries in all. In millions of queries a second.",
        ("clients", "times alone", "with the client's name", "one client / times alone"),
    )
    one = rate(lambda: count(law_pieces(law("poisson", RATE), seed=1)))
    for clients in (2, 10, 100, 1000):
        each = law("poisson", {"rate_qps": 1000 / clients, "queries": QUERIES // clients})

        def drawn(label: str | None, each: Law = each, clients: int = clients) -> int:
            size = max(1024, PIECE // clients)
            parts = {str(k): law_pieces(each, seed=1, name=str(k), size=size) for k in range(clients)}
            return count(sum_pieces(parts, PIECE, label))

        bare, named = rate(partial(drawn, None)), rate(partial(drawn, "client"))
        table.rows.append((str(clients), f"{bare / 1e6:.1f}", f"{named / 1e6:.1f}", f"{one / bare:.1f}"))
    return table


def day() -> Table:
    """Draw a day at 10,000 queries a second, and a year of a slow source."""
    table = Table(
        "Long traffic",
        "In pieces; peak memory is that of the whole process until then.",
        ("", "queries", "time", "peak memory"),
    )
    curve = {"curve": {"diurnal": {"mean_qps": 10_000, "peak_qps": 15_000}}, "duration": "1d"}
    slow = {"rate_qps": 5, "duration": "365d", "on": "1min", "off": "1min", "periods": "pareto"}
    for title, chosen in (
        ("a day at 10,000 a second, gamma gaps, bursts", law("gamma", {**curve, "scv": 4, "bursts": SCALES})),
        ("a year of a source that is on and off by the minute", law("on_off", slow)),
    ):
        start = time.perf_counter()
        queries = count(law_pieces(chosen, seed=1))
        taken = time.perf_counter() - start
        peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        table.rows.append((title, f"{queries:,}", f"{taken:.0f} s", f"{peak_mib:,.0f} MiB"))
    return table


def files(folder: Path) -> Iterator[tuple[str, Path, dict[str, Any], dict[str, Any]]]:
    """Write files of arrivals; return a title, the file, how it is read, and what pandas is told."""
    rng = np.random.default_rng(1)
    times = np.cumsum(rng.integers(0, 2_000_000, ROWS))
    epochs, tokens = times + EPOCH_NS, rng.integers(1, 5000, ROWS)
    timed, counted = {"column": "t", "unit": "s"}, {"columns": {"tokens": "tokens"}}

    path = folder / "seconds.csv"
    seconds = pa.Array.from_buffers(pa.decimal128(28, 9), ROWS, [None, pa.py_buffer(_wide(times))])
    csv.write_csv(pa.table({"t": seconds, "tokens": tokens}), path)
    yield "CSV, seconds from the start", path, timed, {"usecols": ["t"]}
    yield "CSV, seconds and an attribute", path, {**timed, **counted}, {}

    path = folder / "epochs.csv"
    micros = pa.Array.from_buffers(pa.decimal128(28, 6), ROWS, [None, pa.py_buffer(_wide(epochs // 1000))])
    csv.write_csv(pa.table({"t": micros}), path)
    yield "CSV, seconds since 1970", path, timed, {}

    path = folder / "dates.csv"
    dates = pa.array(epochs, pa.timestamp("ns", "UTC"))
    csv.write_csv(pa.table({"t": dates.cast(pa.string())}), path)
    yield "CSV, dates with a zone", path, {"column": "t", "unit": "datetime"}, {"parse_dates": ["t"]}

    path = folder / "t.parquet"
    pq.write_table(pa.table({"ns": times, "t": times / 1e9, "epoch": epochs / 1e9, "date": dates}), path)
    for title, column, unit in (
        ("Parquet, integers", "ns", "ns"),
        ("Parquet, timestamps", "date", "datetime"),
        ("Parquet, float seconds", "t", "s"),
        ("Parquet, float seconds since 1970", "epoch", "s"),
    ):
        yield title, path, {"column": column, "unit": unit}, {"columns": [column]}

    path = folder / "t.jsonl"
    with path.open("w") as file:
        pairs = zip((times[: ROWS // 10] // 10**6).tolist(), tokens.tolist(), strict=False)
        file.writelines(
            f'{{"timestamp": {time}, "input_length": {n}, "output_length": {n}, "hash_ids": [1, 2, 3]}}\n'
            for time, n in pairs
        )
    yield "JSON lines, a tenth of the rows", path, {"format": "mooncake"}, {"lines": True}


def _wide(values: Any) -> Any:
    """Return whole numbers of 64 bits as those of 128 bits."""
    return np.column_stack((values, np.zeros_like(values)))


def reading(path: Path, fields: Mapping[str, Any]) -> tuple[int, float, float]:
    """Return the rows of a file, how long it takes to read, and the peak memory over that of the arrays read."""
    traffic = RecordedTraffic.model_validate({"file": path.name, **fields})
    before = _resident_bytes()
    start = time.perf_counter()
    trace, _ = read_trace(path, traffic)
    taken = time.perf_counter() - start
    arrays = trace.times_ns.nbytes + sum(values.nbytes for values in trace.attributes.values())
    return len(trace), taken, (_peak_bytes() - before) / arrays


def reading_by_pandas(path: Path, options: Mapping[str, Any]) -> float:
    """Return how long pandas takes for a file."""
    read = {".csv": pd.read_csv, ".parquet": pd.read_parquet, ".jsonl": pd.read_json}[path.suffix]
    start = time.perf_counter()
    read(path, **options)
    return time.perf_counter() - start


def _resident_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


def _peak_bytes() -> int:
    """Return the peak of this process, without that of its parent, which getrusage would count."""
    peak = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(peak.split()[1]) * 1024


def readers() -> Table:
    """Measure how trace files are read, each time in a process of its own."""
    table = Table(
        "Trace files",
        f"{ROWS / 1e6:.0f} million rows, times exact to the nanosecond, every byte hashed. In millions of rows per s;"
        " memory is what is added at the peak, over the arrays that are read.",
        ("", "read", "pandas", "read / pandas", "memory / arrays"),
    )
    spawn = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as folder:
        for title, path, fields, options in files(Path(folder)):
            ours, theirs = [], []
            for _ in range(RUNS):
                with spawn.Pool(1) as pool:
                    ours.append(pool.apply(reading, (path, fields)))
                with spawn.Pool(1) as pool:
                    theirs.append(pool.apply(reading_by_pandas, (path, options)))
            rows = ours[0][0]
            rate, peer = rows / statistics.median(taken for _, taken, _ in ours), rows / statistics.median(theirs)
            memory = f"{max(peak for *_, peak in ours):.1f}"
            table.rows.append((title, f"{rate / 1e6:.1f}", f"{peer / 1e6:.1f}", f"{rate / peer:.2f}", memory))
    return table


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--day", action="store_true", help="draw a day at 10,000 queries a second, and a year, as well")
    parser.add_argument("--files", action="store_true", help="measure the reading of files alone")
    arguments = parser.parse_args()
    print(machine(), flush=True)
    for measure in [readers] if arguments.files else ([day] if arguments.day else []) + [generators, sums, readers]:
        print(measure().markdown(), flush=True)


if __name__ == "__main__":
    main()
