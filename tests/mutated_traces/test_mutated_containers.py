"""Mutated archives and Parquet files: they are read as what they say, or refused."""

import gzip
import zlib
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import given
from hypothesis import strategies as st

from mutated_traces.forms import FORMS, written
from mutated_traces.meaning import DIGITS, MUTATED, NS, Form, Meaning, RefusedError, Table, meaning_of, meaning_of_rows
from mutated_traces.mutations import HOSTILE, TIMES, compare, read_arrivals


def zstd(data: bytes) -> bytes:
    return bytes(pa.compress(data, codec="zstd", asbytes=True))


def gunzipped(data: bytes) -> bytes:
    """Return what gzip data hold, member after member."""
    found = b""
    while data.rstrip(b"\0"):
        stream = zlib.decompressobj(wbits=31)
        try:
            found += stream.decompress(data)
        except zlib.error:
            raise RefusedError from None
        if not stream.eof:
            raise RefusedError
        data = stream.unused_data
    return found


@MUTATED
@given(
    times=TIMES,
    kind=st.sampled_from(["gz", "zst"]),
    named=st.sampled_from([".gz", ".zst", ""]),
    how=st.sampled_from(["whole", "cut", "junk", "twice", "two", "flipped"]),
    share=st.floats(0, 1),
)
def test_a_damaged_or_misnamed_archive_is_read_whole_or_refused(
    times: list[int], kind: str, named: str, how: str, share: float, tmp_path: Path
) -> None:
    form, pack = FORMS["csv"], gzip.compress if kind == "gz" else zstd
    lines = written(form, sorted(times))
    data = ("\n".join(lines) + "\n").encode()
    packed = pack(data)
    middle = int(share * (len(packed) - 1))
    match how:
        case "cut":
            packed = packed[:middle]
        case "junk":
            packed += b"junk"
        case "twice":
            packed = pack(packed)
        case "two":
            packed = pack(data[: len(lines[0]) + 1]) + pack(data[len(lines[0]) + 1 :])
        case "flipped":
            packed = packed[:middle] + bytes([packed[middle] ^ 16]) + packed[middle + 1 :]
    path = tmp_path / f"t{named}"
    path.write_bytes(packed)

    def oracle() -> Meaning:
        if kind != named[1:]:
            raise RefusedError
        content = gunzipped(packed) if kind == "gz" else data
        if kind == "zst" and how not in ("whole", "two"):
            raise RefusedError
        return meaning_of(content, form, skip=False, sort=False, zone=ZoneInfo("UTC"))

    if kind == "zst" and how == "flipped":  # such frames have no checksum: what is read may differ, or not be read
        return
    compare(oracle, lambda: read_arrivals(path, form, skip=False, sort=False, zone=None), path.name)


def ticks(second: int, factor: int) -> int:
    return second * factor + second % factor


FLOATS = st.floats(-1, 1e6) | st.floats() | st.sampled_from([0.1, 1e20, 1e-20, 5e-324, 1.7e308, 1_700_000_000.123456])
COLUMNS: dict[str, tuple[pa.DataType, st.SearchStrategy[Any]]] = {
    "int64": (pa.int64(), st.integers(-1, 10**9) | st.integers(-(2**63), 2**63 - 1)),
    "uint64": (pa.uint64(), st.integers(0, 2**64 - 1)),
    "int8": (pa.int8(), st.integers(0, 127)),
    "double": (pa.float64(), FLOATS),
    "text": (pa.string(), st.sampled_from([text for text in HOSTILE if "\0" not in text and len(text) < 1000])),
    "large text": (pa.large_string(), st.sampled_from(["1", "2.5", "x", "2023-11-03"])),
    "dictionary": (pa.dictionary(pa.int32(), pa.string()), st.sampled_from(["1", "2.5", "x", "2023-11-03"])),
    "binary": (pa.binary(), st.sampled_from([b"1", b"\xff", b"2023-11-03"])),
    "truth": (pa.bool_(), st.booleans()),
    "decimal": (pa.decimal128(30, 12), st.decimals(-1, 10**9, places=12)),
    "float": (pa.float32(), st.floats(0, 1e6, width=32) | st.floats(width=32)),
    "list": (pa.list_(pa.int64()), st.lists(st.integers(0, 5), max_size=2)),
    "struct": (pa.struct({"t": pa.int64()}), st.fixed_dictionaries({"t": st.integers(0, 5)})),
    "nothing": (pa.null(), st.none()),
    "date": (pa.date32(), st.dates(date(1965, 1, 1), date(2300, 1, 1))),
    "time": (pa.time64("us"), st.times()),
    "duration": (pa.duration("ns"), st.timedeltas(timedelta(0), timedelta(9))),
    **{
        f"timestamp {unit} {zone}": (
            pa.timestamp(unit, zone),
            st.builds(ticks, st.integers(-1, 2_000_000_000), st.just(factor))
            | st.builds(ticks, st.integers(1_698_540_000, 1_698_550_000), st.just(factor))
            | st.integers(-(2**63) + 1, 2**63 - 1),
        )
        for unit, factor in (("s", 1), ("ms", 10**3), ("us", 10**6), ("ns", NS))
        for zone in (None, "UTC", "Asia/Tokyo")
    },
}
"""Types of columns, and values of each, as pyarrow takes them."""


def parquet_text(value: Any, kind: pa.DataType) -> str | None:
    """Return a value as it would be in a text file; None if it is missing."""
    if value is None:
        return None
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    if pa.types.is_timestamp(kind):
        since = timedelta(0)
        per_second = {"s": 1, "ms": 10**3, "us": 10**6, "ns": NS}[kind.unit]
        seconds, rest = divmod(value, per_second)
        if not 0 <= seconds < 9_214_646_400 + 100_000:
            return "never"
        since = timedelta(seconds=seconds)
        return (
            f"{datetime(1970, 1, 1) + since:%Y-%m-%d %H:%M:%S}.{rest * (NS // per_second):09}{'Z' if kind.tz else ''}"
        )
    if isinstance(value, float):
        return repr(value) if kind == pa.float64() else repr(float(str(np.float32(value))))
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, date):
        return value.isoformat()
    return format(value, "f") if isinstance(value, Decimal) else str(value)


@MUTATED
@given(data=st.data(), unit=st.sampled_from([*DIGITS, "datetime"]), skip=st.booleans(), sort=st.booleans())
def test_a_parquet_file_of_any_types_is_read_as_what_it_says_or_refused_with_its_row(
    data: st.DataObject, unit: str, skip: bool, sort: bool, tmp_path: Path
) -> None:
    likely = [name for name in COLUMNS if name.startswith("timestamp")] if unit == "datetime" else ["int64", "double"]
    kinds = [data.draw(st.sampled_from([*likely, *COLUMNS])), data.draw(st.sampled_from(list(COLUMNS)[:9]))]
    rows = data.draw(st.integers(0, 5))
    columns = []
    for name in kinds:
        kind, values = COLUMNS[name]
        columns.append(
            (
                kind,
                data.draw(
                    st.lists(values | st.none() if data.draw(st.booleans()) else values, min_size=rows, max_size=rows)
                ),
            )
        )
    if sort and data.draw(st.booleans()) and None not in columns[0][1] and kinds[0] in ("int64", "double"):
        columns[0][1].sort()
    arrays = [
        pa.array(values, pa.int64()).cast(kind) if pa.types.is_timestamp(kind) else pa.array(values, kind)
        for kind, values in columns
    ]
    zone = data.draw(st.sampled_from([None, "Europe/Berlin"]))
    path = tmp_path / "t.parquet"
    written_by_us = unit == "ns" and data.draw(st.booleans())
    time = "arrival_ns" if written_by_us else "t"
    pq.write_table(pa.table(dict(zip((time, "a"), arrays, strict=True))), path)
    name = "pipesim-parquet" if written_by_us else "parquet"
    form = Form(name, "csv", (time, "a"), time, unit, {"a": "a"}, generic=not written_by_us)
    whole = path.read_bytes()
    cut = data.draw(st.sampled_from([None, None, None, data.draw(st.integers(0, len(whole) - 1))]))
    path.write_bytes(whole[:cut])

    def table() -> Table:
        for number, values in enumerate(zip(*(values for _, values in columns), strict=True), 1):
            texts = [parquet_text(value, kind) for value, (kind, _) in zip(values, columns, strict=True)]
            yield number, None if None in texts else [text for text in texts if text is not None]

    def oracle() -> Meaning:
        if cut is not None:
            raise RefusedError
        return meaning_of_rows(
            table(), form, skip=skip, sort=sort, zone=ZoneInfo(zone or "UTC"), at=lambda number: f": row {number}"
        )

    compare(oracle, lambda: read_arrivals(path, form, skip=skip, sort=sort, zone=zone), path.name)
