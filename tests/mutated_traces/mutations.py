"""What is done to files, and how what is read of them is compared with what they mean."""

import json
import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from mutated_traces.forms import csv_line
from mutated_traces.meaning import Form, Meaning, RefusedError
from pipesim.errors import PipesimError
from pipesim.model.traffic import RecordedTraffic
from pipesim.traces import read_trace

SIMPLE = """\
0|-0|-0.0|1e20|1e-20|-1e-20|1e400|1e-400|1e999999999|-1e999999999|nan|NaN|inf|-inf|Infinity|-1
+5|5.|.5|.|e5|0x1F|0x1p3|1_000|1,000|1,5|1.000,5|٣|１|−1|1e|1e+|1e5|1E5|1d5|1f|1L|007
true|null|None|NULL|#N/A|--|'1'|0.0000000005|0.0000000015|2147483648.00000000050000000001
4611686018427387903|4611686018427387904|4611686018.427387904|4611686018.427387903|9007199254740993
9223372036854775808|18446744073709551616|1e18|4.6e9|16777217.1|2023-11-03|2023-11-03T10:00:00Z
2023-11-03T10:00:00+02:00|2023-11-03T10:00:00+02|2023-11-03T10:00:00,5|2023-11-03t10:00:00z|2023-11-03T10
2023-11-03T1:00|2016-12-31T23:59:60Z|0001-01-01|9999-12-31|1969-12-31T23:00:00-05:00|2262-01-01
2261-12-31T23:59:59Z|2023-13-01|2023-02-29|2024-02-29|03.11.2023|11/03/2023|20231103|2023-W44-5
20231103T100000|2023-11-03T10:00:00+24:00|2023-11-03T10:00:00+23:59|2023-11-03T10:00:00-00:00
2023-11-03T10:00:00+2:00|2023-11-03T10:00:00+0:00|2023-11-03T10:00:00.Z|2023-11-03Z|-023-11-03
+2023-11-03|a"b|"a"b|"a|2023-11-03 10:00:00|2023-11-03 10:00:00.123456789-0530
2023-11-03 10:00:00.1234567890|2023-11-03T10:00:00 Z|2023-11-03  10:00|2023-03-26 02:30:00
2023-10-29 02:30:00|2023-10-29 02:30:00+01:00|2023-03-26 03:00:00|2023-10-29 03:00:00
2023-10-29 01:59:59.999999999|2016-12-31 23:59:60|1970-01-01 00:30:00|2023-11-03 24:00:00
2023-11-03 10:60|2023-11-03 10:00:00 UTC|2023-11-03 10:00:00Europe/Berlin|2023-11-03 10:00Z
31/Oct/2023:10:00:00 +0200|31/Feb/2023:10:00:00 +0200|31/okt/2023:10:00:00 +0200"""
"""Cells, divided by bars and line breaks."""
ODD = [
    '"',
    '"1"',
    " ",
    " 1",
    "1 ",
    "1\t",
    "\xa01",
    "\u20091",
    "1\u200b",
    "\u0662023-11-03",
    "a\rb",
    "a\nb",
    "\x1b[31m",
    "\ufeff1",
    "\x1c1",
    "\x0b1",
    "",
]
HOSTILE = [
    *ODD,
    *re.split(r"[|\n]", SIMPLE),
    "0." + "0" * 60 + "1",
    "1" * 60,
    "1." + "3" * 400,
    "x" * 70_000,
]
RAW_JSON = [
    "true",
    "false",
    "null",
    "[1]",
    '{"t": 1}',
    "NaN",
    "Infinity",
    "-Infinity",
    "01",
    "1.",
    ".5",
    "+1",
    "-1",
    "-0",
    "1e20",
    "1E5",
    "1e+05",
    "1e999999999",
    '"1.5"',
    '"nan"',
    '"١"',
    '""',
    '"\\u0031"',
    '"\\ud800"',
    "0x1",
    "1_0",
    "'1'",
    "[" * 3000,
    "1 2",
    "1}{",
    "",
    "1.0000000000000000000000001",
    "123456789012345678901234567890",
    '"a\tb"',
    '"\\u0000"',
    "12.50",
]
GARBAGE = [
    b"\0",
    b"\xff",
    b"\xc3",
    b'"',
    b",",
    b"\r",
    b"\n",
    b"\n\n",
    b"\r\n",
    b"\t",
    b" ",
    b"9",
    b"e",
    b"-",
    b"}",
    b"{",
    b"[",
    b"\\",
    b"\xef\xbb\xbf",
    b"\xe2\x80\xa8",
    b"\x0c",
    b"\x1c",
    b"\xc2\x85",
]


def mutated_lines(lines: list[str], form: Form, rng: random.Random) -> list[str]:
    """Return the lines of a file after a mutation."""
    lines, place = list(lines), rng.randrange(len(lines)) if lines else 0
    match rng.randrange(14):
        case _ if not lines:
            return lines
        case 0:
            del lines[place]
        case 1:
            lines.insert(place, lines[place])
        case 2:
            other = rng.randrange(len(lines))
            lines[place], lines[other] = lines[other], lines[place]
        case 3:
            rng.shuffle(lines)
        case 4:
            lines.insert(place, rng.choice(["", "", " ", "\t", ",", "#", "{}", "[]", "null"]))
        case 5:
            lines[place:place] = [lines[0]]
        case 6:
            lines[place : place + 2] = [rng.choice(["", " ", ","]).join(lines[place : place + 2])]
        case 7:
            cut = rng.randrange(len(lines[place]) + 1)
            lines[place : place + 1] = [lines[place][:cut], lines[place][cut:]]
        case 8 if form.kind == "csv":
            cells = lines[place].split(",")
            changed = [cells[1:], [*cells, "0"], ["", *cells], rng.sample(cells, len(cells))]
            lines[place] = ",".join(rng.choice(changed))
        case _:
            lines[place] = mutated_cell(lines[place], form, rng)
    return lines


def mutated_cell(line: str, form: Form, rng: random.Random) -> str:
    """Return a line with another cell, most often that of the time."""
    text = rng.choice(HOSTILE)
    if form.kind == "log":
        return re.sub(
            rng.choice([r"(?<=\[).*(?=\])", r"(?<= )200", r"[0-9]+(?= \"-\")", r"\".*?\""]),
            lambda _: text,
            line,
            count=1,
        )
    if form.kind == "csv":
        cells = line.split(",")
        index = form.columns.index(form.time) if rng.random() < 0.6 else rng.randrange(len(cells))
        cells[min(index, len(cells) - 1)] = rng.choice([text, csv_line([text])])
        return ",".join(cells)
    keys = [*re.findall(r'"(\w+)":', line), "t"]
    key = form.time if form.time in keys and rng.random() < 0.6 else rng.choice(keys)
    value = rng.choice([text, json.dumps(text), *rng.sample(RAW_JSON, 3)])
    how = rng.randrange(8)
    if how == 0:  # there twice
        return line.replace("{", f'{{"{key}": {value}, ', 1)
    if how == 1:
        return re.sub(rf'"{key}": [^,}}]*,? ?', "", line, count=1)
    if how == 2:
        return line.replace(
            f'"{key}"', rng.choice([f'"{key.title()}"', f'"{key} "', f'"\\u{ord(key[0]):04x}{key[1:]}"', key]), 1
        )
    return re.sub(rf'("{key}": )("(\\.|[^"])*"|[^,}}]*)', lambda found: found[1] + value, line, count=1)


def mutated_bytes(data: bytes, rng: random.Random) -> bytes:
    """Return the bytes of a file after a mutation."""
    place = rng.randrange(len(data) + 1)
    match rng.randrange(9):
        case 0:
            return data[:place]
        case 1 | 2:
            return data[:place] + rng.choice(GARBAGE) + data[place:]
        case 3:
            return data[:place] + data[place + rng.randrange(1, 9) :]
        case 4:
            return rng.choice([b"\xef\xbb\xbf", b"\xef\xbb\xbf" * 2, b"\n", b"\x1f\x8b", b" "]) + data
        case 5:
            return data.replace(b"\n", rng.choice([b"\r\n", b"\r", b"\n\n", b"\r\r\n", b"\n\r"]))
        case 6:
            return data.decode(errors="replace").encode(
                rng.choice(["utf-16", "utf-16-le", "latin-1", "cp1252", "utf-32", "utf-7"]), "replace"
            )
        case 7:
            return data + rng.choice([b"\n", b"\r\n\r\n", b"\n\n\n", b"\x1a", b"\n \n", b"0", b","])
        case _:
            return data.replace(rng.choice([b",", b".", b'"', b"{", b": "]), rng.choice([b";", b",", b"'", b"\t", b""]))


def compare(oracle: Callable[[], Any], reader: Callable[[], Any], name: str, data: bytes = b"") -> None:
    """Check that a reader finds what the oracle does, or complains of the same place in one line.

    Lines are counted from a line break to the next: where a carriage return stands alone, the place is not compared.
    """
    try:
        expected = oracle()
    except RefusedError as refused:
        expected = refused
    try:
        found = reader()
    except PipesimError as error:
        words = str(error)
        assert isinstance(expected, RefusedError), (words, expected)
        assert words.startswith((name, "counts.")), words
        assert len(words) < 1000, words
        if expected.place and not re.search(rb"\r(?!\n)", data):
            assert words.startswith(f"{name}{expected.place}: "), (words, expected.place)
    else:
        assert not isinstance(expected, RefusedError), (found, expected.place)
        assert found == expected, (found, expected)


def read_arrivals(path: Path, form: Form, *, skip: bool, sort: bool, zone: str | None) -> Meaning:
    fields = {
        **form.fields,
        "timezone": zone if form.unit == "datetime" else None,
        "bad_rows": "skip" if skip else "stop",
        "unsorted": "sort" if sort else "refuse",
    }
    trace, reading = read_trace(path, RecordedTraffic.model_validate({"file": path.name, **fields}))
    assert reading.rows == len(trace)
    attributes = {name: values.tolist() for name, values in trace.attributes.items()}
    return Meaning(trace.times_ns.tolist(), trace.epoch_ns, attributes, reading.skipped)


TIMES = st.lists(
    st.integers(0, 10**13) | st.integers(0, 5 * 10**9).map(lambda time: time * 1000), min_size=1, max_size=6
)
