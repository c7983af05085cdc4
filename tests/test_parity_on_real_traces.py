"""The engines agree on a prefix of every recorded trace, under every combination of batching and dispatch.

The traces lie beside the repository, in ``shared/data/traces``, whose README.md describes the files. Those of requests
are replayed as they are, those of counts and of laws are drawn from, and lengths become the sizes of queries.
"""

import gzip
import json
import math
import tarfile
from collections.abc import Callable
from functools import cache, partial
from itertools import product
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from scipy.special import gamma as gamma_function

from pipesim.engine import run_engine, run_reference, same
from pipesim.engine.bounds import full_batch_throughput_qps
from pipesim.model import Plan, StagePlan
from pipesim.model.traffic import RecordedTraffic
from pipesim.traces import ArrivalTrace, compress_to_rate, parse_trace, peak_count, poisson
from pipesim.units import NS_PER_S
from strategies import BATCHINGS, DISPATCHES, MS, Case

REAL = Path(__file__).parents[1].parent / "shared" / "data" / "traces"
pytestmark = pytest.mark.skipif(not REAL.is_dir(), reason="the collection of recorded traces is not here")

QUERIES = 1500
"""The most queries of a prefix."""
BINS = 20
"""The bins that counts are drawn from; more, if these hold too few queries."""
WINDOWS = 4
"""The windows that a prefix is drawn from where a file gives laws for each window."""
SEED = 11
MINUTE_NS = 60 * NS_PER_S

Integers = npt.NDArray[np.int64]


def _prefix(arrival_ns: npt.ArrayLike, **attributes: npt.ArrayLike) -> ArrivalTrace:
    """Return the first queries by arrival, from 0; those of one instant stay in the order of the file."""
    arrivals = np.asarray(arrival_ns, dtype=np.int64)
    order = np.argsort(arrivals, kind="stable")[:QUERIES]
    times = arrivals[order] - arrivals[order[0]]
    columns = {name: np.asarray(values, dtype=np.float64)[order] for name, values in attributes.items()}
    return ArrivalTrace(times, int(times[-1]), attributes=columns)


def _ns(seconds: "pd.Series[float]") -> "pd.Series[float]":
    return (seconds * NS_PER_S).round()


def _drawn_in_bins(start_ns: Integers, bin_ns: int, counts: Integers) -> ArrivalTrace:
    """Return queries drawn uniformly inside the first bins, thinned to a prefix that spans them all.

    Times are rounded down to a grid that holds one query an instant on average, so that ties abound.
    """
    rng = np.random.default_rng(SEED)
    bins = max(BINS, int(np.searchsorted(np.cumsum(counts), QUERIES)) + 1)
    first_ns = np.repeat(start_ns[:bins], counts[:bins])
    arrivals = first_ns + rng.integers(0, bin_ns, first_ns.size) - first_ns[0]
    kept = rng.choice(arrivals, QUERIES, replace=False)
    grid_ns = int(np.ptp(kept)) // QUERIES
    return _prefix(kept // grid_ns * grid_ns)


def azure_llm(path: Path) -> ArrivalTrace:
    trace = parse_trace(path.read_bytes(), RecordedTraffic(file=path.name, format="azure-llm"))
    return _prefix(trace.times_ns, **trace.attributes)


def splitwise(path: Path) -> ArrivalTrace:
    rows = pd.read_csv(path)
    context, generated = rows["num_prefill_tokens"], rows["num_decode_tokens"]
    return _prefix(_ns(rows["arrived_at"]), context_tokens=context, generated_tokens=generated)


def vidur_lengths(path: Path) -> ArrivalTrace:
    rows = pd.read_csv(path, nrows=QUERIES)
    arrivals = poisson(1, queries=len(rows), seed=SEED).times_ns
    context, generated = rows["num_prefill_tokens"], rows["num_decode_tokens"]
    return _prefix(arrivals, context_tokens=context, generated_tokens=generated)


def mooncake(path: Path) -> ArrivalTrace:
    with gzip.open(path, "rt") as lines:
        rows = [json.loads(line) for line in lines]
    arrival_ms, context, generated = (
        [row[field] for row in rows] for field in ("timestamp", "input_length", "output_length")
    )
    return _prefix(np.array(arrival_ms) * MS, context_tokens=context, generated_tokens=generated)


def nasa(path: Path) -> ArrivalTrace:
    return _prefix(pd.read_csv(path)["epoch_s"] * NS_PER_S)


def azure_functions_2021(path: Path) -> ArrivalTrace:
    rows = pd.read_csv(path)
    return _prefix(_ns(rows["end_timestamp"] - rows["duration"]))


def azure_functions_2019(path: Path) -> ArrivalTrace:
    per_minute = pd.read_csv(path).filter(regex=r"^\d+$").sum()
    return _drawn_in_bins(per_minute.index.to_numpy(dtype=np.int64) * MINUTE_NS, MINUTE_NS, per_minute.to_numpy())


def counts_per_bin(path: Path, time: str, count: str, minutes: int) -> ArrivalTrace:
    rows = pd.read_csv(path)
    start_ns = pd.to_datetime(rows[time]).to_numpy(dtype="datetime64[ns]").astype(np.int64)
    return _drawn_in_bins(start_ns, minutes * MINUTE_NS, rows[count].to_numpy(dtype=np.int64))


def servegen(path: Path) -> ArrivalTrace:
    """Return the clients' renewal processes superposed: an equal part of the prefix from each of the first windows.

    Times are rounded to 10 ms, so that bursts tie.
    """
    names = ["start_s", "rate_qps", "cv", "law", "shape", "scale_s"]
    with tarfile.open(path) as archive:
        files = [archive.extractfile(member) for member in archive if member.isfile()]
        rows = pd.concat(pd.read_csv(file, names=names) for file in files if file)
    rng = np.random.default_rng(SEED)
    begin_s, parts_s = 0.0, []
    for _, clients in list(rows[rows["rate_qps"] > 0].groupby("start_s"))[:WINDOWS]:
        arrivals_s = [
            np.cumsum(_unit_gaps(rng, client.law, client.shape, 2 * QUERIES)) / client.rate_qps
            for client in clients.itertuples()
        ]
        parts_s.append(begin_s + np.sort(np.concatenate(arrivals_s))[: QUERIES // WINDOWS])
        begin_s = parts_s[-1][-1]
    return _prefix(np.rint(np.concatenate(parts_s) * 100) * 10 * MS)


def _unit_gaps(rng: np.random.Generator, law: str, shape: float, count: int) -> npt.NDArray[np.float64]:
    """Return gaps with mean 1: the laws are fitted, so their own means can be off the rates measured."""
    if law == "Weibull":
        return rng.weibull(shape, count) / gamma_function(1 + 1 / shape)
    assert law == "Gamma"
    return rng.gamma(shape, 1 / shape, count)


_nab = partial(counts_per_bin, time="timestamp", count="value")
LOADERS: dict[str, Callable[[Path], ArrivalTrace]] = {
    "azure-functions-2019-sample/sample100_invocations.csv.gz": azure_functions_2019,
    "azure-functions-2019-sample/sample500_invocations.csv.gz": azure_functions_2019,
    "azure-functions-2021-sample/Azure2021_200.csv": azure_functions_2021,
    "azure-llm-2023/AzureLLMInferenceTrace_conv.csv": azure_llm,
    "mooncake-fast25/conversation_trace.jsonl.gz": mooncake,
    "mooncake-fast25/synthetic_trace.jsonl.gz": mooncake,
    "nab/Twitter_volume_AAPL.csv": partial(_nab, minutes=5),
    "nab/elb_request_count_8c0756.csv": partial(_nab, minutes=5),
    "nab/nyc_taxi.csv": partial(_nab, minutes=30),
    "nasa-http-1995/nasa_http_1995-07-01_first10k.csv.gz": nasa,
    "nasa-http-1995/nasa_http_1995-08-01_first10k.csv.gz": nasa,
    "servegen/deepseek-r1-traces.tar.gz": servegen,
    "servegen/m-large-traces.tar.gz": servegen,
    "servegen/m-small-traces.tar.gz": servegen,
    "servegen/mm-image-traces.tar.gz": servegen,
    "vidur-processed/arxiv_summarization_stats_llama2_tokenizer_filtered_v2.csv.gz": vidur_lengths,
    "vidur-processed/splitwise_conv.csv": splitwise,
    "worldcup98/invocation_count_1998-04-30_to_1998-07-03.csv.gz": partial(
        counts_per_bin, time="period", count="count", minutes=1
    ),
}
WITHOUT_ARRIVALS = {
    "azure-functions-2019-sample/sample100_durations.csv.gz",
    "azure-functions-2019-sample/sample500_durations.csv.gz",
    "azure-functions-2019-sample/sample500_memory.csv.gz",
    "servegen/deepseek-r1-datasets.tar.gz",
    "servegen/mm-image-datasets.tar.gz",
}
ABOUT_THE_FILES = ("README", "SHA256SUMS", "LICENSE", "LICENCE", "COPYING", "NOTICE")


@cache
def real_trace(file: str) -> ArrivalTrace:
    return LOADERS[file](REAL / file)


COMBINATIONS = tuple(product(BATCHINGS, DISPATCHES))
TURNS = range(3)
"""Five stages meet fifteen combinations in three turns."""
BATCHING_OPTIONS: dict[str, dict[str, Any]] = {
    "greedy": {},
    "delayed": {"batching": {"max_queue_delay": "6ms"}},
    "window": {"batching": {"policy": "window", "max_queue_delay": "4ms"}},
}
AFTER: dict[str, dict[str, dict[str, Any]]] = {
    "detect": {},
    "crop": {
        "detect": {"probability": 0.8, "fan_out": {"weights": {1: 0.3, 2: 0.4, 4: 0.3}}, "network_delay": "2ms"},
    },
    "text": {"detect": {"choice": "way", "probability": 0.4, "network_delay": "1ms"}},
    "embed": {"crop": {"per": "item", "probability": 0.6, "fan_out": {"poisson": 1.5}, "network_delay": "1ms"}},
    "rank": {
        "detect": {"choice": "way", "probability": 0.5},
        "crop": {},
        "text": {"network_delay": "3ms"},
        "embed": {"per": "item", "probability": 0.4, "network_delay": "2ms"},
    },
}
LATENCIES_MS = {
    "detect": {1: 3, 4: 9},
    "crop": {1: 4, 3: 6, 6: 12},
    "text": {1: 7, 4: 16},
    "embed": {1: 5, 12: 16},
    "rank": {1: 3, 2: 4, 7: 9},
}
SIZES = {"detect": ("context_tokens", "padded"), "embed": ("generated_tokens", "packed")}
NOISE = {"crop": (0.1, "gamma"), "text": (0.5, "lognormal"), "rank": (1.0, "gamma")}


def combinations(file: str, turn: int) -> dict[str, tuple[str, str]]:
    """Return (batching, dispatch) of every stage; the files start at different places of the round."""
    shift = list(LOADERS).index(file)
    step = 7  # prime to fifteen, so that the turns meet each combination once, and one turn meets different ones
    return {
        stage: COMBINATIONS[(step * (len(AFTER) * turn + place) + shift) % len(COMBINATIONS)]
        for place, stage in enumerate(AFTER)
    }


def loaded_case(file: str, turn: int, clock: Literal["ns", "ms"]) -> Case:
    """Return a plan that carries 1,500 queries a second or more, and the trace at 0.8 of what the plan can carry.

    With the clock ``ms`` sizes, noise and fractions of milliseconds are left out, so that arrivals, completions and
    timers fall on the same instants all the time.
    """
    trace = real_trace(file)
    stages: dict[str, dict[str, Any]] = {}
    for stage, (batching, dispatch) in combinations(file, turn).items():
        stages[stage] = {"model": stage, "dispatch": dispatch, **BATCHING_OPTIONS[batching]}
        if AFTER[stage]:
            stages[stage]["after"] = AFTER[stage]
        attribute, combine = SIZES.get(stage, ("", ""))
        if clock == "ns" and attribute in trace.attributes:
            reference = float(trace.attributes[attribute].mean())
            stages[stage]["size"] = {"attribute": attribute, "reference": reference, "combine": combine}
    stages["rank"]["batch_overhead"] = "1ms"
    document = {
        "name": "real",
        "slo": {"p99": "100ms"},
        "traffic": {"poisson": {"rate_qps": 1, "queries": 0}},
        "pipeline": stages,
        "profiles": {
            stage: {"cpu": {size: f"{latency}ms" for size, latency in curve.items()}}
            for stage, curve in LATENCIES_MS.items()
        },
        "prices": {"units": {"cpu": {"kind": "cpu", "unit": "core", "price_usd_per_hour": 1}}},
        "seed": len(TURNS) * list(LOADERS).index(file) + turn,
    }
    noise = NOISE if clock == "ns" else {}
    stage_inputs = Case(document, noise, _plan({}), trace).inputs.stages
    throughput_qps = {stage.name: full_batch_throughput_qps(stage) for stage in stage_inputs}
    replicas = {stage: math.ceil(1500 / of_one_qps) for stage, of_one_qps in throughput_qps.items()}
    capacity_qps = min(replicas[stage] * of_one_qps for stage, of_one_qps in throughput_qps.items())
    trace = compress_to_rate(trace, 0.8 * capacity_qps)
    if clock == "ms":
        times = trace.times_ns // MS * MS
        trace = ArrivalTrace(times, int(times[-1]))
    return Case(document, noise, _plan(replicas), trace)


def _plan(replicas: dict[str, int]) -> Plan:
    return Plan(
        stages={
            stage: StagePlan(hardware="cpu", replicas=replicas.get(stage, 1), max_batch_size=max(curve))
            for stage, curve in LATENCIES_MS.items()
        }
    )


on_every_trace = pytest.mark.parametrize("file", LOADERS)
in_every_turn = pytest.mark.parametrize("turn", TURNS)


@on_every_trace
@in_every_turn
def test_the_engines_agree_on_a_prefix_of_every_real_trace(file: str, turn: int) -> None:
    inputs = loaded_case(file, turn, "ns").inputs
    assert same(run_engine(inputs), run_reference(inputs))


@on_every_trace
@in_every_turn
def test_they_agree_where_everything_happens_on_whole_milliseconds(file: str, turn: int) -> None:
    inputs = loaded_case(file, turn, "ms").inputs
    reference = run_reference(inputs)
    assert same(run_engine(inputs), reference)
    assert not any((stage.finish_ns % MS).any() for stage in reference.stages)


@on_every_trace
def test_every_trace_meets_every_combination_of_batching_and_dispatch(file: str) -> None:
    stages = [stage for turn in TURNS for stage in loaded_case(file, turn, "ms").scenario.pipeline.stages.values()]
    met = {(stage.batching.policy, stage.batching.max_queue_delay_ns > 0, stage.dispatch) for stage in stages}
    assert met == {
        (policy, delayed, dispatch)
        for policy, delayed in (("greedy", False), ("greedy", True), ("window", True))
        for dispatch in DISPATCHES
    }


@on_every_trace
@in_every_turn
def test_queries_queue_and_share_batches_at_every_stage(file: str, turn: int) -> None:
    stages = loaded_case(file, turn, "ns").result.stages
    assert (stages["replicas"] > 1).all()
    assert (stages["mean_batch_size"] > 1).all()
    assert (stages["p99_queue_delay_s"] > 0).all()


@pytest.mark.parametrize(
    "file", [file for file in LOADERS if not file.startswith(("azure-functions-2021", "azure-llm", "vidur"))]
)
def test_simultaneous_arrivals_stay_simultaneous_when_time_is_compressed(file: str) -> None:
    """The files left out have clocks so fine that nothing ties."""
    instants = np.unique(real_trace(file).times_ns).size
    assert instants < QUERIES
    assert np.unique(loaded_case(file, 0, "ns").trace.times_ns).size == instants


def test_batches_of_the_mooncake_conversations_stay_three_seconds_apart() -> None:
    instants = np.unique(real_trace("mooncake-fast25/conversation_trace.jsonl.gz").times_ns)
    assert np.abs(np.diff(instants) - 3 * NS_PER_S).max() <= 3 * MS


def test_an_invocation_arrives_its_duration_before_its_end() -> None:
    """The peaks of a second and of a minute are those that the README of the files gives for arrivals."""
    trace = real_trace("azure-functions-2021-sample/Azure2021_200.csv")
    assert (len(trace), peak_count(trace, NS_PER_S), peak_count(trace, MINUTE_NS)) == (199, 22, 42)


def test_two_formats_of_the_same_requests_give_the_same_prefix() -> None:
    azure = real_trace("azure-llm-2023/AzureLLMInferenceTrace_conv.csv")
    vidur = real_trace("vidur-processed/splitwise_conv.csv")
    assert np.abs(azure.times_ns - vidur.times_ns).max() <= 300
    for name in ("context_tokens", "generated_tokens"):
        assert np.array_equal(azure.attributes[name], vidur.attributes[name])


def test_every_file_is_replayed_or_known_to_hold_no_arrivals() -> None:
    files = {path.relative_to(REAL).as_posix() for path in REAL.rglob("*") if path.is_file()}
    traces = {file for file in files if not Path(file).name.upper().startswith(ABOUT_THE_FILES)}
    assert traces == LOADERS.keys() | WITHOUT_ARRIVALS
    assert LOADERS.keys().isdisjoint(WITHOUT_ARRIVALS)
