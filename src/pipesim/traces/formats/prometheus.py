"""Answers of Prometheus to a range query, as its HTTP API gives them (``/api/v1/query_range``).

Source: https://prometheus.io/docs/prometheus/latest/querying/api/, "Range queries" and "Range vectors".
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pipesim.errors import FileFormatError, InvalidInputError, invalid, printable
from pipesim.files import decode_text
from pipesim.model.traffic.recorded import CountsFile
from pipesim.traces.counts import CountSeries, Floats, shown_time
from pipesim.traces.formats.bins import Missing, Numbers, bin_numbers, completed, increases, laid_out, refused
from pipesim.traces.formats.content import Content
from pipesim.units import NS_PER_S, NUMBER, format_duration

MAX_BYTES = 128 << 20
"""The most bytes of an answer; by itself Prometheus gives at most 11,000 steps."""
MAX_CELLS = 50_000_000
"""The most steps of all series together, absent ones among them."""
_NS_PER_MS = 10**6
_LAST_MS = 9_000_000_000_000
"""The year 2255."""
_MAX_VALUE = 1e15
_LABEL = re.compile(r'\s*([A-Za-z_][A-Za-z0-9_]*)\s*=\s*("(?:[^"\\]|\\.)*")\s*')
_NOT_FINITE = ("NaN", "+Inf", "-Inf", "Inf")


def read_range_query(content: Content, spec: CountsFile) -> CountSeries:
    """Return the counts that an answer holds: those of the series with the labels of `series`, or of all, summed.

    What `values` says the numbers are decides how they become counts: ``counts``, such as ``increase(x[1m])``, and
    ``rates``, such as ``rate(x[1m])``, tell of the step that ends at their time; of a ``counter`` the growth from
    sample to sample is taken, and a drop means that it began again at 0. A step is as long as `bin` says, else the
    shortest time between two samples. A series counts from its first sample to its last, as in a sum of Prometheus; a
    step is absent if a series has no sample in between, or no series has one. NaN and Inf are no samples, and refused
    if absent steps are.

    Raises
    ------
    FileFormatError, InvalidInputError
        With the place in the answer: if it is no range of values, or a time or value is not allowed; if the answer is
        an error; if no series has the labels; if a step is absent that `missing` refuses.
    """
    if content.limit > MAX_BYTES:
        content = Content(content.reference, content.path, content.data, MAX_BYTES)
    file = content.reference
    found = _matrix(_parse(content), file)
    wanted = None if spec.series is None else _labels(spec.series)
    chosen = [
        series
        for index, one in enumerate(found)
        if (series := _series(one, f"{file}: data.result.{index}", wanted, spec.missing)) is not None
    ]
    if not chosen:
        if spec.series is None:
            raise FileFormatError(f"{file}: holds no samples; query a time that has some")
        known = "; ".join(_shown_labels(one["metric"]) for one in found[:3])
        raise invalid("counts.series", spec.series, "is of none of the series with samples", f"there are {known}")
    times_ms = np.unique(np.concatenate([series.times_ms for series in chosen]))
    step_ns = _step_ns(times_ms, spec)
    start_ns = int(times_ms[0]) * _NS_PER_MS
    numbers = bin_numbers(times_ms * _NS_PER_MS, step_ns, lambda _: f"{file}: data.result", _shown)
    total, absent = _summed(chosen, int(numbers[-1]) + 1, start_ns, step_ns, spec, file)
    if spec.values == "counter":  # nothing is known of the step that ends at the first sample
        total, absent = total[1:], absent[1:]
    else:
        start_ns -= step_ns
    if spec.values == "rates":
        total = total * (step_ns / NS_PER_S)

    def refuse(number: int) -> InvalidInputError:
        time = _shown(start_ns + number * step_ns)
        return refused(f"{file}: data.result", time, int(absent.sum()), total.size)

    if np.isnan(total).all():
        raise FileFormatError(f"{file}: holds no two samples in a row of one series; query a longer time")
    counts = completed(total, spec.missing, refuse)
    return CountSeries(start_ns, step_ns, counts, True, int(absent.sum()), inputs=(content.input,))


@dataclass(frozen=True, slots=True, eq=False)
class _Series:
    """The samples of a series, ascending in time; those that are not finite are NaN."""

    times_ms: Numbers
    values: Floats


def _summed(
    chosen: list[_Series], size: int, start_ns: int, step_ns: int, spec: CountsFile, file: str
) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """Return the sum for each step, NaN where it is not known, and which steps are absent somewhere."""
    total = np.zeros(size)
    covered, holes = np.zeros(size, dtype=bool), np.zeros(size, dtype=bool)
    cells = 0
    for series in chosen:
        numbers = (series.times_ms * _NS_PER_MS - start_ns) // step_ns
        first, last = int(numbers[0]), int(numbers[-1]) + 1
        cells += last - first
        if cells > MAX_CELLS:
            raise FileFormatError(f"{file}: holds more than {MAX_CELLS:,} steps of all series; query fewer")
        values = laid_out(numbers - first, series.values)
        nowhere = np.isnan(values)
        if spec.values == "counter":
            values, nowhere, first = increases(values, spec.missing), nowhere[1:], first + 1
        elif spec.missing == "zero":
            values = np.where(nowhere, 0.0, values)
        total[first:last] += values
        covered[first:last] = True
        holes[first:last] |= nowhere
    return np.where(covered, total, np.nan), ~covered | holes


def _shown(time_ns: int) -> str:
    return shown_time(time_ns, dated=True)


def _parse(content: Content) -> Any:
    text = decode_text(b"".join(content.pieces()), content.reference)

    def refuse(constant: str) -> None:
        raise FileFormatError(f"{content.reference}: holds {constant}, which is not JSON; write it as text")

    try:
        return json.loads(text, parse_constant=refuse)
    except json.JSONDecodeError as error:
        raise FileFormatError(
            f"{content.reference}:{error.lineno}: is not valid JSON ({error.msg}); fetch it again"
        ) from error
    except RecursionError as error:
        raise FileFormatError(
            f"{content.reference}: is too deep to be an answer of Prometheus; fetch it again"
        ) from error


def _matrix(document: Any, file: str) -> list[Mapping[str, Any]]:
    """Return the series of an answer."""
    if not isinstance(document, dict) or "status" not in document:
        raise FileFormatError(f"{file}: is no answer of Prometheus, as it has no status; give that of a range query")
    if document["status"] != "success":
        kind, reason = (printable(str(document.get(key, "unknown")))[:200] for key in ("errorType", "error"))
        raise FileFormatError(
            f"{file}: is an error of Prometheus ({kind}: {reason}); correct the query and fetch it again"
        )
    data = document.get("data")
    held: Mapping[str, Any] = data if isinstance(data, dict) else {}
    result = held.get("result")
    if held.get("resultType") != "matrix" or not isinstance(result, list):
        remedy = "use /api/v1/query_range, which gives a matrix"
        raise invalid(f"{file}: data.resultType", held.get("resultType"), "is not a range of values", remedy)
    for index, one in enumerate(result):
        if (
            not isinstance(one, dict)
            or not isinstance(one.get("metric"), dict)
            or not isinstance(one.get("values"), list)
        ):
            raise FileFormatError(f"{file}: data.result.{index}: has not metric and values; fetch it again")
    return result


def _series(one: Mapping[str, Any], where: str, wanted: Mapping[str, str] | None, missing: Missing) -> _Series | None:
    """Return the samples of a series; None if it has none, or other labels than those wanted."""
    if wanted is not None and any(one["metric"].get(name) != value for name, value in wanted.items()):
        return None
    times_ms: list[int] = []
    values: list[float] = []
    for index, sample in enumerate(one["values"]):
        place = f"{where}.values.{index}"
        if not isinstance(sample, list) or len(sample) != 2:
            raise invalid(place, sample, "is not a time and a value", "fetch it again")
        time_ms, value = _time_ms(sample[0], place), _value(sample[1], place, missing)
        if times_ms and time_ms <= times_ms[-1]:
            raise invalid(place, sample[0], "is not later than the time before it", "fetch it again")
        times_ms.append(time_ms)
        values.append(value)
    numbers = np.array(values)
    return None if np.isnan(numbers).all() else _Series(np.array(times_ms, dtype=np.int64), numbers)


def _time_ms(time: object, where: str) -> int:
    """Return a time in whole milliseconds, which is what Prometheus has."""
    if isinstance(time, bool) or not isinstance(time, int | float) or not 0 <= time * 1000 <= _LAST_MS:
        raise invalid(where, time, "is not a time", "use seconds since 1970")
    return round(time * 1000)


def _value(text: object, where: str, missing: Missing) -> float:
    """Return a value; NaN if it is not finite and absent steps are allowed."""
    if isinstance(text, str) and text in _NOT_FINITE:
        if missing == "refuse":
            raise invalid(where, text, "is not finite", "say missing: zero or missing: gap to take it as absent")
        return float("nan")
    if not isinstance(text, str) or not NUMBER.fullmatch(text):
        raise invalid(where, text, "is not a number", 'use text such as "12.5"')
    value = float(text)
    if not 0 <= value <= _MAX_VALUE:
        raise invalid(where, text, "is not allowed", f"use 0 to {_MAX_VALUE:.0e}")
    return value


def _step_ns(times_ms: Numbers, spec: CountsFile) -> int:
    if spec.bin is not None:
        if spec.bin % _NS_PER_MS:
            raise invalid("counts.bin", format_duration(spec.bin), "is not whole milliseconds", "use the query's step")
        return spec.bin
    if times_ms.size < 2:
        raise InvalidInputError("is missing; say how long the one step of the answer is", "counts.bin")
    return int(np.diff(times_ms).min()) * _NS_PER_MS


def _labels(text: str) -> Mapping[str, str]:
    """Return the labels in a text such as ``job="api", code="200"``, with or without braces."""
    rest = text.strip()
    rest = rest[1:-1] if rest.startswith("{") and rest.endswith("}") else rest
    labels = {}
    while True:
        match = _LABEL.match(rest)
        if match is None:
            raise invalid("counts.series", text, "is not a list of labels", 'write for example job="api", code="200"')
        labels[match[1]] = re.sub(r"\\(.)", r"\1", match[2][1:-1])
        rest = rest[match.end() :]
        if not rest:
            return labels
        if not rest.startswith(","):
            raise invalid("counts.series", text, "is not a list of labels", 'write for example job="api", code="200"')
        rest = rest[1:]


def _shown_labels(metric: Mapping[str, Any]) -> str:
    return printable(", ".join(f'{name}="{value}"' for name, value in metric.items()))[:200] or "{}"
