"""Mutated files of counts: whatever is done to one, it is read as what it says, or refused with its place."""

import itertools
import json
import math
import random
import re
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mutated_traces.forms import as_date
from mutated_traces.meaning import (
    MUTATED,
    NS,
    NUMBER,
    Cells,
    Form,
    RefusedError,
    Table,
    chosen,
    csv_table,
    no_constant,
    text_of,
    time_of,
)
from mutated_traces.mutations import HOSTILE, RAW_JSON, compare, mutated_bytes, mutated_lines
from pipesim.model.traffic import CountsFile
from pipesim.traces.formats.counts import COUNT_FORMATS, read_counts


@dataclass(frozen=True)
class Counted:
    """What a file of counts says: its first bin, how wide they are, a count for each, and how many are absent."""

    start_ns: int
    bin_ns: int
    counts: list[float | None]
    absent: int


def filled(counts: list[float | None], missing: str, place: str) -> list[float | None]:
    if missing == "refuse" and None in counts:
        raise RefusedError(place)
    return [0 if count is None and missing == "zero" else count for count in counts]


def grown(counter: list[float | None], missing: str) -> list[float | None]:
    """Return how much a counter grows from each sample to the next; after a drop it began at 0."""
    steps: list[float | None] = []
    last = counter[0]
    for value in counter[1:]:
        if missing == "zero" and value is None:
            value = last
        steps.append(None if value is None or last is None else value - last if value >= last else value)
        last = value
    return steps


def counted_in_table(
    rows: Table, form: Form, values: str, missing: str, bin_ns: int, at: Callable[[int], str]
) -> Counted:
    good: list[tuple[int, int, str]] = []
    zoned = None
    for number, cells in rows:
        found = None if cells is None else time_of(cells, form.unit, ZoneInfo("UTC"), less=False)
        if cells is None or found is None or zoned not in (None, found[1]):
            raise RefusedError(at(number))
        zoned = found[1]
        good.append((found[0], number, cells[1]))
    if not good:
        raise RefusedError
    for _, number, text in good:
        if not (NUMBER.fullmatch(text) and math.isfinite(float(text))):
            raise RefusedError(at(number))
    for _, number, text in good:
        if not 0 <= float(text) <= 10**15 or (values == "counts" and not float(text).is_integer()):
            raise RefusedError(at(number))
    for before, (time, number, _) in itertools.pairwise(good):
        if time <= before[0] or (time - good[0][0]) % bin_ns:
            raise RefusedError(at(number))
    laid: list[float | None] = [None] * ((good[-1][0] - good[0][0]) // bin_ns + 1)
    for time, _, text in good:
        laid[(time - good[0][0]) // bin_ns] = float(text)
    if values == "counter" and len(laid) < 2:
        raise RefusedError
    hole = next((at(row[1]) for before, row in itertools.pairwise(good) if row[0] - before[0] > bin_ns), "")
    absent = laid.count(None)
    laid = grown(laid, missing) if values == "counter" else laid
    if values == "rates":
        laid = [None if rate is None else rate * (bin_ns / NS) for rate in laid]
    laid = filled(laid, missing, hole)
    if all(count is None for count in laid):
        raise RefusedError
    return Counted(good[0][0] if form.unit == "datetime" else 0, bin_ns, laid, absent)


def read_counted(path: Path, **fields: Any) -> Counted:
    series = read_counts(path, CountsFile.model_validate({"file": path.name, **fields}))
    counts = [None if math.isnan(count) else count for count in series.counts.tolist()]
    return Counted(series.start_ns, series.bin_ns, counts, series.absent)


COUNTS = st.lists(st.integers(0, 300), min_size=1, max_size=6)
MISSING = st.sampled_from(["refuse", "zero", "gap"])


@pytest.mark.parametrize("kind", ["csv", "parquet"])
@MUTATED
@given(
    counts=COUNTS,
    rng=st.randoms(use_true_random=True),
    values=st.sampled_from(["counts", "rates", "counter"]),
    missing=MISSING,
    unit=st.sampled_from(["s", "datetime"]),
)
def test_a_mutated_table_of_counts_is_read_as_what_it_says_or_refused_with_its_line(
    kind: str, counts: list[int], rng: random.Random, values: str, missing: str, unit: str, tmp_path: Path
) -> None:
    path = tmp_path / f"t.{kind}"
    form = Form("csv", "csv", ("t", "n"), "t", unit, {"n": "n"}, generic=True)
    counts = list(itertools.accumulate(counts)) if values == "counter" else counts
    lines = ["t,n"] + [
        f"{as_date(index * 60 * NS, '%Y-%m-%dT%H:%M:%SZ') if unit == 'datetime' else index * 60},{count}"
        for index, count in enumerate(counts)
    ]
    for _ in range(rng.choice([0, 1, 1, 2])):
        lines = mutated_lines(lines, form, rng)
    data = ("\n".join(lines) + "\n").encode()
    rows: list[tuple[int, Cells]] = []
    fields = {"time": "t", "count": "n", "unit": unit, "bin": "60s", "values": values, "missing": missing}
    if kind == "csv":
        data = mutated_bytes(data, rng) if rng.random() < 0.3 else data
        path.write_bytes(data)
    else:
        try:
            header, table = csv_table(data.decode())
            rows = [(number, cells) for number, (_, cells) in enumerate(chosen(header, table, ("t", "n")), 1)]
        except RefusedError:
            return
        names: tuple[list[Any], ...] = ([], [])
        for _, cells in rows:
            for column, cell in zip(names, cells or (None, None), strict=True):
                column.append(cell)
        pq.write_table(
            pa.table({name: pa.array(column, pa.string()) for name, column in zip("tn", names, strict=True)}), path
        )

    def oracle() -> Counted:
        table = iter(rows)
        if kind == "csv":
            header, found = csv_table(text_of(data))
            table = chosen(header, found, form.needed)
        place = ":{}" if kind == "csv" else ": row {}"
        return counted_in_table(table, form, values, missing, 60 * NS, place.format)

    compare(oracle, lambda: read_counted(path, format=kind, **fields), path.name, data)


def functions_counted(data: bytes, missing: str) -> Counted:
    header, rows = csv_table(text_of(data))
    names, minutes = header[:4], header[4:]
    if names != ["HashOwner", "HashApp", "HashFunction", "Trigger"] or not minutes:
        raise RefusedError
    if not all(minute.isascii() and minute.isdecimal() and int(minute[:9]) <= 1440 for minute in minutes):
        raise RefusedError
    numbers = [int(minute) for minute in minutes]
    if any(after <= before for before, after in itertools.pairwise(numbers)):
        raise RefusedError
    total = dict.fromkeys(range(numbers[0], numbers[-1] + 1))
    found: dict[int, float | None] = {**total, **dict.fromkeys(numbers, 0)}
    empty = True
    for line, cells in rows:
        empty = False
        if cells is None or not all(cell.isascii() and cell.isdecimal() and len(cell) <= 15 for cell in cells[4:]):
            raise RefusedError(f":{line}")
        for number, cell in zip(numbers, cells[4:], strict=True):
            found[number] = (found[number] or 0) + int(cell)
    if empty:
        raise RefusedError
    counts = list(found.values())
    return Counted(0, 60 * NS, filled(counts, missing, ""), counts.count(None))


@MUTATED
@given(
    rows=st.lists(st.lists(st.integers(0, 9), min_size=3, max_size=3), min_size=1, max_size=4),
    rng=st.randoms(use_true_random=True),
    missing=MISSING,
)
def test_a_mutated_table_of_functions_is_read_as_what_it_says_or_refused_with_its_line(
    rows: list[list[int]], rng: random.Random, missing: str, tmp_path: Path
) -> None:
    path = tmp_path / "t.csv"
    columns = ("HashOwner", "HashApp", "HashFunction", "Trigger", "7", "8", "9")
    form = Form("azure-functions-2019", "csv", columns, rng.choice("789"), "s")
    lines = [",".join(columns), *(f"o,a,f{index},http,{','.join(map(str, row))}" for index, row in enumerate(rows))]
    for _ in range(rng.choice([0, 1, 1, 2])):
        lines = mutated_lines(lines, form, rng)
    data = ("\n".join(lines) + "\n").encode()
    data = mutated_bytes(data, rng) if rng.random() < 0.3 else data
    path.write_bytes(data)
    compare(
        lambda: functions_counted(data, missing),
        lambda: read_counted(path, format=form.name, missing=missing),
        path.name,
        data,
    )


def prometheus_counted(text: str, values: str, missing: str) -> Counted:
    """Return the sum of all series of an answer."""
    try:
        document = json.loads(text, parse_float=Decimal, parse_constant=no_constant)
        if document["status"] != "success" or document["data"]["resultType"] != "matrix":
            raise RefusedError
        result = document["data"]["result"]
        if not all(isinstance(one["metric"], dict) and isinstance(one["values"], list) for one in result):
            raise RefusedError
    except (ValueError, KeyError, TypeError, RecursionError):
        raise RefusedError from None
    if not isinstance(result, list):
        raise RefusedError
    chosen = [found for one in result if (found := samples_of(one["values"], missing))]
    times = sorted({time for one in chosen for time in one})
    if len(times) < 2:
        raise RefusedError
    step = min(after - before for before, after in itertools.pairwise(times))
    if any((time - times[0]) % step for time in times) or len(range(times[0], times[-1], step)) > 9_999_999:
        raise RefusedError
    total: dict[int, float | None] = {}
    holes = set()
    for one in chosen:
        steps = list(range(min(one), max(one) + 1, step))
        column: list[float | None] = [one.get(time) for time in steps]
        gone = [value is None for value in column]
        if values == "counter":
            steps, column, gone = steps[1:], grown(column, missing), gone[1:]
        for time, value, absent in zip(
            steps, filled(column, "gap" if missing == "refuse" else missing, ""), gone, strict=True
        ):
            known = total.get(time, 0.0)
            total[time] = None if value is None or known is None else known + value
            holes |= {time} if absent else set()
    bins = range(times[0] + step * (values == "counter"), times[-1] + 1, step)
    counts = [total.get(time) for time in bins]
    if all(count is None for count in counts):
        raise RefusedError
    holes |= {time for time in bins if time not in total}
    if values == "rates":
        counts = [None if count is None else count * (step / 1000) for count in counts]
    return Counted((bins[0] - step) * 10**6, step * 10**6, filled(counts, missing, ""), len(holes))


def samples_of(values: list[Any], missing: str) -> dict[int, float | None]:
    """Return the samples of a series by their milliseconds, None where one is not finite; nothing if none is."""
    found: dict[int, float | None] = {}
    for sample in values:
        if (
            not isinstance(sample, list)
            or len(sample) != 2
            or isinstance(sample[0], bool)
            or not isinstance(sample[0], int | Decimal)
        ):
            raise RefusedError
        time, text = round(sample[0] * 1000) if 0 <= sample[0] <= 9_000_000_000 else -1, sample[1]
        if time < 0 or (found and time <= max(found)) or not isinstance(text, str):
            raise RefusedError
        if text in ("NaN", "+Inf", "-Inf", "Inf") and missing != "refuse":
            found[time] = None
        elif NUMBER.fullmatch(text) and 0 <= float(text) <= 1e15:
            found[time] = float(text)
        else:
            raise RefusedError
    return found if any(value is not None for value in found.values()) else {}


@MUTATED
@given(
    series=st.lists(st.lists(st.none() | st.integers(0, 50), min_size=1, max_size=5), min_size=1, max_size=3),
    rng=st.randoms(use_true_random=True),
    values=st.sampled_from(["counts", "rates", "counter"]),
    missing=MISSING,
)
def test_a_mutated_answer_of_prometheus_is_read_as_what_it_says_or_refused(
    series: list[list[int | None]], rng: random.Random, values: str, missing: str, tmp_path: Path
) -> None:
    path = tmp_path / "t.json"
    result = [
        {
            "metric": {"job": f"j{index}"},
            "values": [[1_700_000_000 + 60 * k, str(n)] for k, n in enumerate(one) if n is not None],
        }
        for index, one in enumerate(series)
    ]
    text = json.dumps({"status": "success", "data": {"resultType": "matrix", "result": result}})
    for _ in range(rng.choice([0, 1, 1, 2])):
        old = rng.choice(re.findall(r'"[^"]*"|[0-9]+|[\[\]{}]', text))
        new = rng.choice(
            [*RAW_JSON, *map(json.dumps, HOSTILE[:60]), "1700000030", "1700000060.5", "1e9", "[]", "{}", '"7"', '"NaN"']
        )
        text = text.replace(old, new, rng.choice([1, 1, -1]))
    data = mutated_bytes(text.encode(), rng) if rng.random() < 0.3 else text.encode()
    path.write_bytes(data)
    compare(
        lambda: prometheus_counted(text_of(data), values, missing),
        lambda: read_counted(path, format="prometheus", values=values, missing=missing),
        path.name,
        data,
    )


def test_every_format_of_counts_is_mutated() -> None:
    assert set(COUNT_FORMATS) == {"csv", "parquet", "azure-functions-2019", "prometheus"}
