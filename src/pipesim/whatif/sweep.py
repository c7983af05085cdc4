"""The question "what if?": a scenario varied, each variant simulated or planned, as one frame."""

import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import t as student_t

from pipesim.errors import InvalidInputError, invalid
from pipesim.files import MAX_TRACE_BYTES, InputFile, read_bytes, sha256
from pipesim.model import Plan, Scenario
from pipesim.model.changes import base_value, check_path, plain, source_of
from pipesim.model.plan import check_is_plan
from pipesim.planner import METHODS, Method
from pipesim.planner.planning import MAX_EVALUATIONS
from pipesim.traces import ArrivalTrace
from pipesim.whatif.content import key_of
from pipesim.whatif.evaluation import Base, Row, RowError, asked, dismiss, hire, run_key_of
from pipesim.whatif.metrics import (
    DEFAULT_METRICS,
    FEASIBLE,
    Column,
    columns_of,
    is_met,
    measured_frame,
)
from pipesim.whatif.pools import Chunk, Pool, results
from pipesim.whatif.rows import Vary, check_count, rows_of
from pipesim.whatif.store import Store
from pipesim.whatif.workloads import is_read, trace_key_of

CONFIDENCE = 0.95
ROWS_IN_CHUNK = 16
"""The most rows of one chunk, which one worker does: the same whatever the executor, so that the files are the same."""
MOST_CHECKED = 5_000
"""Of how many rows the scenarios are kept that were made to check them."""
SEED = "seed"


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a sweep has come.

    Parameters
    ----------
    done, total
        Rows, counted with seeds.
    rows
        Those that were just finished, as the frame will have them if every seed is a row; in no order.
    """

    done: int
    total: int
    rows: pd.DataFrame


def what_if(
    scenario: Scenario,
    vary: Vary,
    *,
    plan: Plan | None = None,
    metrics: Iterable[str] | None = None,
    seeds: Sequence[int] | None = None,
    each_seed: bool = False,
    method: Method | None = None,
    max_evaluations: int | None = None,
    executor: Pool = "threads",
    workers: int | None = None,
    out: str | Path | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> pd.DataFrame:
    """Return what becomes of a scenario when fields of it are varied: one row for each variant.

    All rows have the luck of the scenario's seed, unless the seed is varied: they differ by what was varied alone. All
    values are checked before anything runs. The frame is the same, byte for byte, whatever runs the rows.

    Parameters
    ----------
    scenario
        As it came from a file, or from :meth:`~pipesim.model.Scenario.with_`.
    vary
        Values by path: ``{"load": [1, 2], "slo.p99": ["200ms", "300ms"]}`` makes a row of every combination. Or a list
        of rows, ``[{"load": 1}, {"load": 2, "slo.p99": "1s"}]``; what a row leaves out stays as it is.
        :func:`~pipesim.whatif.rows.zipped` takes values side by side. Paths are those of
        :mod:`pipesim.model.changes`; with `plan`, ``plan.STAGE.replicas`` (or ``stages.STAGE.replicas``), ``hardware``
        and ``max_batch_size`` are those of the plan.
    plan
        What each row simulates. Without it, each row is planned.
    metrics
        What to tell of each row: names of :mod:`pipesim.whatif.metrics`.
    seeds
        Run each row under each of these seeds, and give means. A column ``NAME`` is then the mean, ``NAME.low`` and
        ``NAME.high`` are its 95 % confidence interval: mean ± t · s / √n with Student's t for n − 1 degrees of freedom,
        which takes the seeds' values for independent and nearly normal, cut to what is possible: 0 or more, and at most
        1 for a share. ``met`` is the share of seeds. A number that any seed lacks is NaN; a text on which seeds differ
        is ``mixed``, but ``status`` is ``feasible`` where a plan is found under every seed.
    each_seed
        Make each seed a row of its own, with a column ``seed``, in place of means.
    method, max_evaluations
        Of rows that are planned, as for :func:`pipesim.planner.plan`, with its defaults. The plans are not run again on
        the reference engine.
    executor
        ``threads``, ``processes``, or any executor, such as ``distributed.Client.get_executor()``. If processes die,
        their rows are run again.
    workers
        How many threads or processes; by default as many as this process may use cores.
    out
        A folder that keeps the rows that are finished, in Parquet files. The same question with the same folder goes on
        where it was left.
    progress
        Called in this thread whenever rows are finished.

    Returns
    -------
    pandas.DataFrame
        Columns: one for each path, ``seed`` if each is a row, ``status`` (``met`` or ``missed``; of a planned row what
        :func:`~pipesim.planner.plan` says, such as ``optimal`` or ``infeasible``), and those of the metrics. Numbers
        are float64, counts Int64. Where there is no plan, numbers are missing. Lists and mappings are given as JSON.
        ``frame.attrs["inputs"]`` lists the files that any row was made from, with ``name`` and ``sha256``.

    Raises
    ------
    FileFormatError, InvalidInputError
        For a value that its field does not allow, with its path; for traffic that cannot be read, or does not carry
        what the pipeline needs; for a folder of another sweep.
    PipesimError
        If workers die again and again.

    >>> from pipesim.model import scenario_from_dict
    >>> scenario = scenario_from_dict({
    ...     "name": "one", "slo": {"p99": "25ms"}, "traffic": {"poisson": {"rate_qps": 20, "duration": "1min"}},
    ...     "pipeline": {"a": {"model": "m"}}, "profiles": {"m": {"cpu": {1: "10ms"}}},
    ...     "prices": {"units": {"cpu": {"kind": "cpu", "unit": "core", "price_usd_per_hour": 1}}}})
    >>> what_if(scenario, {"load": [1, 9]}, metrics=["cost_usd_per_hour", "replicas"])
       load   status  cost_usd_per_hour  replicas.a
    0     1  optimal                2.0           2
    1     9  optimal                4.0           4
    """
    for name, given in (("method", method), ("max_evaluations", max_evaluations)):
        if plan is not None and given is not None:
            raise invalid(name, given, "is for looking for plans, and here one is given", "leave it, or the plan")
    if method is not None and method not in METHODS:
        raise invalid("method", method, "is not known", f"use one of {', '.join(METHODS)}")
    counts: dict[str, Any] = {"max_evaluations": max_evaluations, "workers": workers}
    for name, number in counts.items():
        if number is not None and (not isinstance(number, int) or number < 1):
            remedy = "use at least 1" if isinstance(number, int) else "use a whole number"
            raise invalid(name, number, "is not allowed", remedy)
    if plan is not None:
        check_is_plan(plan)
    if isinstance(metrics, str):
        raise invalid("metrics", metrics, "is a text", f'write a list, ["{metrics}"]')
    rows = rows_of(vary)
    paths = tuple(dict.fromkeys(path for row in rows for path in row))
    for path in paths:
        check_path(path)
    given_seeds = _checked_seeds(seeds, paths, each_seed=each_seed)
    check_count(len(rows) * len(given_seeds))
    varied = _varied_frame(scenario, plan, rows, paths)
    expanded = [row if seed is None else {**row, SEED: seed} for row in rows for seed in given_seeds]
    sweep = _Sweep.of(scenario, plan, expanded, metrics, method or "search", max_evaluations or MAX_EVALUATIONS)
    if seeds is not None:
        repeated = varied.loc[varied.index.repeat(len(given_seeds))].reset_index(drop=True)
        long = pd.concat([repeated, pd.DataFrame({SEED: list(given_seeds) * len(rows)})], axis=1)
    else:
        long = varied
    store = None if out is None else Store(Path(out), sweep.key, sweep.base.columns)
    found = sweep.run(long, executor, workers, store, progress)
    measured = measured_frame(found, sweep.base.columns)
    if seeds is None or each_seed:
        frame = pd.concat([long, measured], axis=1)
    else:
        frame = pd.concat([varied, _over_seeds(measured, sweep.base.columns, len(given_seeds))], axis=1)
    frame.attrs["inputs"] = [{"name": file.name, "sha256": file.sha256} for file in sweep.inputs]
    return frame


def _checked_seeds(seeds: Sequence[int] | None, paths: Sequence[str], *, each_seed: bool) -> Sequence[int | None]:
    if seeds is None:
        if each_seed:
            raise invalid("each_seed", True, "has no seeds", "give seeds, or leave it")
        return (None,)
    seeds = plain(seeds)
    if not isinstance(seeds, Sequence) or isinstance(seeds, str):
        raise invalid("seeds", seeds, "is not a list of seeds", "write for example [1, 2, 3]")
    if SEED in paths:
        raise invalid("seeds", list(seeds), "are given, and seed is varied too", "keep one of them")
    if not seeds or len(set(seeds)) < len(seeds):
        raise invalid("seeds", list(seeds), "are not different seeds", "give one or more, each once")
    return tuple(seeds)


def _varied_frame(
    scenario: Scenario, plan: Plan | None, rows: Sequence[Mapping[str, Any]], paths: Sequence[str]
) -> pd.DataFrame:
    """Return what was varied: one column for each path, with what the scenario says where a row leaves it out."""
    columns = {}
    for path in paths:
        left_out = None if all(path in row for row in rows) else _own_value(scenario, plan, path)
        values = [row.get(path, left_out) for row in rows]
        columns[path] = _column([_cell(value) for value in values])
    return pd.DataFrame(columns, index=pd.RangeIndex(len(rows)))


def _own_value(scenario: Scenario, plan: Plan | None, path: str) -> Any:
    is_of_plan, stage, name = _plan_path(path, plan)
    if is_of_plan and plan is not None and stage in plan.stages:
        return getattr(plan.stages[stage], name, None)
    if is_of_plan:
        return None
    value = base_value(scenario, path)
    return 1.0 if value is None and path in ("load", "traffic.load") else value


def _plan_path(path: str, plan: Plan | None) -> tuple[bool, str, str]:
    """Return whether a path leads into the plan, and the stage and the field that it names."""
    prefix, _, rest = path.partition(".")
    stage, _, name = rest.rpartition(".")
    return prefix == "plan" or (prefix == "stages" and plan is not None), stage, name


def _cell(value: Any) -> Any:
    return json.dumps(value, default=str) if isinstance(value, list | Mapping) else value


def _column(values: list[Any]) -> "pd.Series[Any]":
    """Return a column of one type: whole numbers, numbers, yes or no, or else text; None where there is no value."""
    given = {type(value) for value in values if value is not None}
    if given <= {int, float} and given and (given == {float} or None in values or float in given):
        return pd.Series([math.nan if value is None else float(value) for value in values], dtype="float64")
    if None not in values and given == {int} and max(values) < 2**63 and min(values) >= -(2**63):
        return pd.Series(values, dtype="int64")
    if None not in values and given == {bool}:
        return pd.Series(values, dtype="bool")
    return pd.Series([None if value is None else str(value) for value in values], dtype="object")


@dataclass(frozen=True)
class _Sweep:
    """A sweep whose rows are checked.

    Parameters
    ----------
    key
        Stands for all that it asks.
    base
        What rows have in common.
    chunks
        All rows, with those together that share draws.
    scenario_of
        For the key of arrivals that are read from files, a scenario that has them.
    checked
        The scenarios and plans of the first rows, which need not be made again in this process.
    inputs
        The files that any scenario was made from, or has its arrivals from.
    """

    key: str
    base: Base
    chunks: tuple[Chunk, ...]
    scenario_of: Mapping[str, Scenario]
    checked: Mapping[str, tuple[Scenario, Plan | None]]
    inputs: tuple[InputFile, ...]

    @classmethod
    def of(
        cls,
        scenario: Scenario,
        plan: Plan | None,
        rows: Sequence[Mapping[str, Any]],
        metrics: Iterable[str] | None,
        method: Method,
        max_evaluations: int,
    ) -> "_Sweep":
        """Return the sweep that varies a scenario, after a check of every row."""
        names = tuple(DEFAULT_METRICS["plan" if plan is None else "simulation"] if metrics is None else metrics)
        unnamed = Base(scenario, plan, (), method, max_evaluations)
        together: dict[str, dict[str, list[tuple[int, Row]]]] = {}
        stages: dict[str, None] = {}
        scenario_of: dict[str, Scenario] = {}
        checked: dict[str, tuple[Scenario, Plan | None]] = {}
        hashes: dict[Path, str] = {}
        inputs: dict[InputFile, None] = {}
        made_by = version("pipesim")
        how = [names, method, max_evaluations] if plan is None else [names]
        for number, changes in enumerate(rows):
            row = _split(changes, plan)
            changed, chosen = asked(unnamed, row)
            stages |= dict.fromkeys(changed.pipeline.stages)
            inputs |= dict.fromkeys((*changed.inputs, *_traffic_inputs(changed, hashes)))
            content = [*how, _content(changed, hashes), None if chosen is None else chosen.model_dump()]
            key, trace_key = key_of(made_by, *content), trace_key_of(changed)
            run_key = key if chosen is None else run_key_of(changed, chosen)
            together.setdefault(trace_key, {}).setdefault(run_key, []).append((number, row._replace(key=key)))
            if len(checked) < MOST_CHECKED:
                checked[key] = changed, chosen
            if is_read(changed):
                scenario_of.setdefault(trace_key, changed)
        columns = columns_of(names, tuple(stages), planned=plan is None)
        chunks, size = [], 1 if plan is None else ROWS_IN_CHUNK
        for trace_key, by_run in together.items():
            numbered = [one for rows_of_run in by_run.values() for one in rows_of_run]
            for first in range(0, len(numbered), size):
                numbers, some = zip(*numbered[first : first + size], strict=True)
                chunks.append(Chunk(numbers, some, (trace_key,) if trace_key in scenario_of else ()))
        by_number = {number: row.key for chunk in chunks for number, row in zip(chunk.numbers, chunk.rows, strict=True)}
        key = key_of([by_number[number] for number in range(len(rows))], [column.name for column in columns])
        base = Base(scenario, plan, columns, method, max_evaluations)
        return cls(key, base, tuple(chunks), scenario_of, checked, tuple(inputs))

    def run(
        self,
        varied: pd.DataFrame,
        executor: Pool,
        workers: int | None,
        store: Store | None,
        progress: Callable[[Progress], None] | None,
    ) -> list[dict[str, Any]]:
        """Return what is told of each row, in their order."""
        found: dict[int, dict[str, Any]] = {}
        left = []

        def note(chunk: Chunk, told: list[dict[str, Any]]) -> None:
            found.update(zip(chunk.numbers, told, strict=True))
            if progress is not None:
                rows = measured_frame(told, self.base.columns).set_axis(list(chunk.numbers))
                progress(Progress(len(found), len(varied), pd.concat([varied.loc[list(chunk.numbers)], rows], axis=1)))

        for chunk in self.chunks:
            told = None if store is None else store.read(chunk.rows)
            if told is None:
                left.append(chunk)
            else:
                note(chunk, told)
        worker = hire(self.key, self.base)
        worker.checked.update(self.checked)

        def trace(key: str) -> ArrivalTrace:
            return worker.workloads.trace(self.scenario_of[key])

        try:
            for chunk, told in results(self.key, self.base, left, trace, executor, workers):
                if store is not None:
                    store.write(chunk.numbers, chunk.rows, varied.loc[list(chunk.numbers)], told)
                note(chunk, told)
        except RowError as error:
            rows = (pair for chunk in self.chunks for pair in zip(chunk.numbers, chunk.rows, strict=True))
            number = next(number for number, row in rows if row.key == error.key)
            where = ", ".join(f"{path} = {value}" for path, value in varied.loc[number].items())
            raise InvalidInputError(error.error, f"row {number} ({where})") from None
        finally:
            dismiss(self.key)
        return [found[number] for number in range(len(varied))]


def _split(changes: Mapping[str, Any], plan: Plan | None) -> Row:
    """Return a row, with the changes of the plan apart; its key is not known yet."""
    of_plan = {path: value for path, value in changes.items() if _plan_path(path, plan)[0]}
    if of_plan and plan is None:
        path = next(iter(of_plan))
        raise InvalidInputError("varies a plan, and none is given; pass plan, or vary stages.NAME.replicas", path)
    return Row("", {path: value for path, value in changes.items() if path not in of_plan}, of_plan)


def _content(scenario: Scenario, hashes: dict[Path, str]) -> list[Any]:
    """Return all that decides what becomes of a scenario: its document, and the content of the files that it names."""
    source = source_of(scenario)
    named = [file for file in scenario.inputs if file not in source.inputs]
    files = [[file.name, file.sha256] for file in (*named, *_traffic_inputs(scenario, hashes))]
    return [source.document.data, [[*figure, value] for figure, value in source.latencies.items()], files]


def _traffic_inputs(scenario: Scenario, hashes: dict[Path, str]) -> list[InputFile]:
    """Return the files that the arrivals of a scenario are read from; `hashes` keeps what their bytes have."""
    found = []
    for reference, path in scenario.traffic_files.paths.items():
        if reference not in scenario.traffic_files.recipes:  # which are among the inputs
            if path not in hashes:
                hashes[path] = sha256(read_bytes(path, MAX_TRACE_BYTES))
            found.append(InputFile.hashed(reference, hashes[path]))
    return found


def _over_seeds(measured: pd.DataFrame, columns: Sequence[Column], seeds: int) -> pd.DataFrame:
    """Return means over seeds, with their intervals, from rows of which so many follow each other for each variant."""
    factor = float(student_t.ppf((1 + CONFIDENCE) / 2, seeds - 1)) if seeds > 1 else math.nan
    found: dict[str, Any] = {}
    for column in columns:
        values = measured[column.name]
        if column.kind == "text":
            groups = np.asarray(values, dtype=object).reshape(-1, seeds).tolist()
            found[column.name] = pd.Series([_shared(group) for group in groups], dtype="object")
            continue
        numbers = values.astype("Float64").to_numpy(dtype=np.float64, na_value=np.nan).reshape(-1, seeds)
        mean = numbers.mean(axis=1)
        found[column.name] = mean
        if column.kind != "yes or no":
            half = factor * numbers.std(axis=1, ddof=1) / math.sqrt(seeds) if seeds > 1 else np.full(mean.size, np.nan)
            most = 1.0 if column.is_share else math.inf
            found[f"{column.name}.low"] = np.maximum(mean - half, 0.0)
            found[f"{column.name}.high"] = np.minimum(mean + half, most)
    return pd.DataFrame(found)


def _shared(values: Sequence[Any]) -> Any:
    """Return the text that all seeds give, or that they differ; of statuses that all meet the objectives, the least."""
    if len(set(values)) == 1:
        return values[0]
    return FEASIBLE if all(isinstance(value, str) and is_met(value) for value in values) else "mixed"
