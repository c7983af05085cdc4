"""Mutated files of arrivals: whatever is done to one, it is read as what it says, or refused with its place."""

import random
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mutated_traces.forms import FORMS, written
from mutated_traces.meaning import MUTATED, meaning_of
from mutated_traces.mutations import TIMES, compare, mutated_bytes, mutated_lines, read_arrivals
from pipesim.traces.formats import FORMATS, blocks


@pytest.mark.parametrize("name", FORMS)
@MUTATED
@given(
    times=TIMES,
    rng=st.randoms(use_true_random=True),
    skip=st.booleans(),
    sort=st.booleans(),
    zone=st.sampled_from([None, "Europe/Berlin"]),
)
def test_a_mutated_trace_is_read_as_what_it_says_or_refused_with_its_line(
    name: str, times: list[int], rng: random.Random, skip: bool, sort: bool, zone: str | None, tmp_path: Path
) -> None:
    form, path = FORMS[name], tmp_path / "t.log"
    lines = written(form, sorted(times))
    for _ in range(rng.choice([0, 1, 1, 2, 3])):
        lines = mutated_lines(lines, form, rng)
    data = ("\n".join(lines) + "\n").encode()
    if rng.random() < 0.4:
        data = mutated_bytes(data, rng)
    path.write_bytes(data)
    with pytest.MonkeyPatch.context() as patch:  # parts of a few rows, so that quick and exact reading meet
        patch.setattr(blocks, "PART_BYTES", rng.choice([40, 1 << 15]))
        compare(
            lambda: meaning_of(data, form, skip=skip, sort=sort, zone=ZoneInfo(zone or "UTC")),
            lambda: read_arrivals(path, form, skip=skip, sort=sort, zone=zone),
            path.name,
            data,
        )


TRAPS = {
    "a value that is no object first": ("jsonl", b'null\n{"t": 1, "x": 1, "y": 1}\n'),
    "two objects on a line and one on two": (
        "jsonl",
        b'{"t": 1, "x": 1, "y": 1}{"t": 2, "x": 1, "y": 1}\n{"t": 3,\n"x": 1, "y": 1}\n',
    ),
    "NaN where nobody looks": (
        "aiperf",
        b'{"timestamp": 0}\n{"timestamp": 1, "text_input": NaN}\n{"timestamp": 2}\n',
    ),
    "a key twice where nobody looks": ("aiperf", b'{"timestamp": 0, "a": 1, "a": 2}\n{}\n'),
    "a byte order mark before a row": (
        "csv",
        b"t,x,y\n" + b"0,1,1\n" * 8 + b"\xef\xbb\xbf" + b"1,1,1\n" * 7 + b"x,1,1\n",
    ),
    "a quote inside a field, and a part that ends in a letter": (
        "csv",
        't,x,y\n0,a"b,é\n'.encode() + "1,é,é\n".encode() * 9,
    ),
    "a date before 1970 by its own clock": ("csv dates", b"y,t\n1,1969-12-31T23:00:00-05:00\n1,2024-01-01T00:00Z\nx\n"),
    "names of 70,000 letters": ("csv", b"x" * 70_000 + b"\n"),
}
"""What quick and exact reading are prone to take differently, or pyarrow in a way of its own."""


@pytest.mark.parametrize("skip", [False, True], ids=["stop", "skip"])
@pytest.mark.parametrize("size", [15, 16, 40, 1 << 15])
@pytest.mark.parametrize("trap", TRAPS)
def test_a_trap_is_read_as_what_it_says_or_refused_with_its_line(
    trap: str, size: int, skip: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blocks, "PART_BYTES", size)
    (name, data), path = TRAPS[trap], tmp_path / "t.log"
    path.write_bytes(data)
    compare(
        lambda: meaning_of(data, FORMS[name], skip=skip, sort=False, zone=ZoneInfo("UTC")),
        lambda: read_arrivals(path, FORMS[name], skip=skip, sort=False, zone=None),
        path.name,
    )


def test_every_format_of_text_is_mutated() -> None:
    assert {form.name for form in FORMS.values()} == set(FORMATS) - {"parquet", "pipesim-parquet"}
