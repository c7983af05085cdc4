"""ServeGen pools, read from archives or folders.

Nothing is unpacked: archives are read member by member, in memory, and members that are no plain files are refused.
Source: Xiang et al., "ServeGen: Workload Characterization and Generation of Large Language Model Serving in
Production", arXiv 2505.09999; the files are those of the repository ``alibaba/ServeGen``, folder ``data``.
"""

import io
import json
import math
import re
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pipesim.errors import FileFormatError, invalid, shown
from pipesim.files import MAX_TRACE_BYTES, InputFile, decode_text, read_bytes, sha256
from pipesim.model.fields import MAX_QPS, NAME_PATTERN
from pipesim.model.traffic.recorded import ServegenPool
from pipesim.traces.pools import CLIENT, ClientPool, Floats, TokenLaw, TokenLaws
from pipesim.units import MAX_DURATION_NS, NS_PER_S, NUMBER, format_duration, parse_number

MAX_CLIENTS = 100_000
MAX_CELLS = 20_000_000
"""The most windows of all clients together."""
MAX_FIELDS = 100
"""The most fields of a client's dataset."""
_MAX_MEMBER_BYTES = 64 << 20
_MAX_VALUE = 1e15
_SUM_TOLERANCE = 1e-3
"""How far the printed probabilities of a map may sum from 1."""
_TRACE = re.compile(r"chunk-(\d{1,9})-trace\.csv", re.ASCII)
_DATASET = re.compile(r"chunk-(\d{1,9})-dataset\.json", re.ASCII)
_START = re.compile(r"\d{1,9}", re.ASCII)
_PAIR = re.compile(rf"\s*([\"']?)(?P<value>{NUMBER.pattern})\1\s*:\s*(?P<share>{NUMBER.pattern})\s*", re.ASCII)
_COLUMNS = ("start", "rate", "cv", "law", "shape", "scale")
_IDLE = ["0", "0", "", "0", "0"]

_Members = Iterator[tuple[str, bytes]]


def read_pool(path: Path, spec: ServegenPool, dataset: Path | None = None) -> ClientPool:
    """Return the pool in an archive (``.tar``, ``.tar.gz``) or folder, with what queries carry if `dataset` is given.

    A ``chunk-<client>-trace.csv`` has a row for each window, all of one width, from 0 on: start (s), rate (1/s), CV of
    gaps, law (``Gamma``, ``Weibull``, or empty where the rate is 0), shape, scale (s). The scale is checked and not
    kept: the mean of the gaps follows from the rate. A ``chunk-<client>-dataset.json`` maps window starts (s) to
    fields, and each field to a text that holds a map ``{number: probability}``, empty where there are no data.
    Other members of an archive are left alone.

    Parameters
    ----------
    path, dataset
        Where the archives or folders are; one may be both.
    spec
        What the pool is called: its `file` and `dataset` are the names of the inputs, and of the file in complaints.

    Raises
    ------
    FileFormatError, InvalidInputError
        With archive, member and line: if a member is no plain file, is too large, leads out of the archive or holds
        what is not allowed; if two members are of one client; if clients have not the same windows.
    """
    hashed, members = _members(path, _TRACE, spec.file)
    windows: dict[str, _Windows] = {}
    cells = 0
    for client, where, content in _chunks(members, _TRACE, spec.file):
        windows[client] = _parse_windows(content, where)
        cells += windows[client].starts.size
        if cells > MAX_CELLS:
            raise FileFormatError(
                f"{where}: with it there are more than {MAX_CELLS:,} windows; cut the pool into parts"
            )
    if not windows:
        raise FileFormatError(f"{spec.file}: holds no chunk-<client>-trace.csv; give an archive of ServeGen traces")
    clients = sorted(windows, key=int)
    rows = [windows[client] for client in clients]
    starts = rows[0].starts
    for row in rows:
        if not np.array_equal(row.starts, starts):
            rule = (
                f"has other windows than {rows[0].where}: {row.starts.size} in place of {starts.size}, or other starts"
            )
            raise FileFormatError(f"{row.where}: {rule}; give both the same")
    inputs = [InputFile.of(spec.file, hashed)]
    tokens: dict[str, TokenLaws] = {}
    if dataset is not None:
        name = spec.dataset or dataset.name
        hashed, members = _members(dataset, _DATASET, name)
        tokens = {client: _parse_dataset(content, where) for client, where, content in _chunks(members, _DATASET, name)}
        if not tokens:
            raise FileFormatError(f"{name}: holds no chunk-<client>-dataset.json; give an archive of them")
        inputs.append(InputFile.of(name, hashed))
    return ClientPool(
        window_ns=round(starts[1] * NS_PER_S),
        clients=tuple(clients),
        rates_qps=np.stack([row.rates for row in rows]),
        cvs=np.stack([row.cvs for row in rows]),
        weibull=np.stack([row.weibull for row in rows]),
        shapes=np.stack([row.shapes for row in rows]),
        tokens=tokens,
        inputs=tuple(inputs),
    )


def _members(path: Path, pattern: re.Pattern[str], name: str) -> tuple[bytes, _Members]:
    """Return the bytes whose hash names an archive or folder, and its files whose names are of the pattern."""
    if not path.is_dir():
        content = read_bytes(path, MAX_TRACE_BYTES)
        return content, _archive_files(content, pattern, name)
    files = dict(_folder_files(path, pattern, name))
    return "".join(f"{sha256(content)}  {file}\n" for file, content in files.items()).encode(), iter(files.items())


def _folder_files(path: Path, pattern: re.Pattern[str], name: str) -> _Members:
    left = MAX_TRACE_BYTES
    for file in sorted(path.iterdir()):
        if pattern.fullmatch(file.name):
            if file.is_symlink() or not file.is_file():
                raise FileFormatError(f"{name}: {file.name}: is no plain file; put the file itself there")
            content = read_bytes(file, min(left, _MAX_MEMBER_BYTES))
            left -= len(content)
            yield file.name, content


def _archive_files(content: bytes, pattern: re.Pattern[str], name: str) -> _Members:
    try:
        with tarfile.open(fileobj=io.BytesIO(content), mode="r|") as archive:
            for member in archive:
                wanted = _is_wanted(member, pattern, name)
                if member.size > len(content):  # which would be skipped bit by bit, for as long as it says it is
                    raise tarfile.ReadError("unexpected end of data")
                if not wanted:
                    continue
                file = archive.extractfile(member)
                assert file is not None
                yield member.name, file.read()
    except (tarfile.TarError, EOFError, UnicodeError, OverflowError) as error:
        raise FileFormatError(
            f"{name}: is not a whole tar archive ({error}); fetch it again, or pack it again"
        ) from error


def _is_wanted(member: tarfile.TarInfo, pattern: re.Pattern[str], name: str) -> bool:
    where = f"{name}: {shown(member.name)}"
    if member.name.startswith("/") or ".." in re.split(r"[/\\]", member.name):
        raise FileFormatError(f"{where}: leads out of the archive; pack it again, without .. and without / in front")
    if member.isdir():
        return False
    if member.type not in (tarfile.REGTYPE, tarfile.AREGTYPE):
        raise FileFormatError(f"{where}: is no plain file; pack the file itself")
    if not pattern.fullmatch(member.name.rsplit("/", 1)[-1]):
        return False
    if member.size > _MAX_MEMBER_BYTES:
        raise FileFormatError(f"{where}: holds {member.size:,} bytes; the limit is {_MAX_MEMBER_BYTES:,}")
    return True


def _chunks(members: _Members, pattern: re.Pattern[str], name: str) -> Iterator[tuple[str, str, bytes]]:
    """Return the client, the place and the content of each file of a pool."""
    seen: dict[str, str] = {}
    for member, content in members:
        match = pattern.fullmatch(member.rsplit("/", 1)[-1])
        assert match is not None
        client, where = str(int(match[1])), f"{name}: {member}"
        if client in seen:
            raise FileFormatError(f"{where}: is of client {client}, as {seen[client]} is; keep one of them")
        if len(seen) == MAX_CLIENTS:
            raise FileFormatError(f"{where}: is one client more than {MAX_CLIENTS:,}; cut the pool into parts")
        seen[client] = member
        yield client, where, content


@dataclass(frozen=True, slots=True)
class _Windows:
    """The columns of a client's trace, a row for each window."""

    where: str
    starts: Floats
    rates: Floats
    cvs: Floats
    weibull: npt.NDArray[np.bool_]
    shapes: Floats


def _parse_windows(content: bytes, where: str) -> _Windows:
    lines = decode_text(content, where).splitlines()
    table = np.array([_parse_window(line, f"{where}:{i}") for i, line in enumerate(lines, 1)]).reshape(-1, 5)
    starts = table[:, 0]
    if starts.size < 2:
        raise FileFormatError(f"{where}: has {starts.size} rows; give at least two, one for each window")
    off = np.flatnonzero((starts != np.arange(starts.size) * starts[1]) | (starts[1] == 0))
    if off.size:
        line = int(off[0]) + 1
        raise invalid(
            f"{where}:{line}: start", float(starts[line - 1]), "is not in even steps from 0", "add what is missing"
        )
    if starts.size * starts[1] * NS_PER_S > MAX_DURATION_NS:
        raise FileFormatError(f"{where}: lasts longer than {format_duration(MAX_DURATION_NS)}; cut it into parts")
    return _Windows(where, starts, table[:, 1], table[:, 2], table[:, 3] > 0, table[:, 4])


def _parse_window(line: str, where: str) -> tuple[float, float, float, float, float]:
    """Return the start, rate, CV, whether the law is Weibull, and its shape."""
    fields = line.split(",")
    if len(fields) != len(_COLUMNS):
        raise FileFormatError(f"{where}: has {len(fields)} fields; give {len(_COLUMNS)}: {', '.join(_COLUMNS)}")
    if fields[1:] == _IDLE and _START.fullmatch(fields[0]):
        return float(fields[0]), 0.0, 0.0, 0.0, 0.0
    number = dict(zip(_COLUMNS, fields, strict=True))
    law = number.pop("law")
    start, rate, cv, shape, scale = (_parse(text, f"{where}: {column}", _MAX_VALUE) for column, text in number.items())
    if rate > MAX_QPS:
        raise invalid(f"{where}: rate", rate, "is too large", f"use 0 to {MAX_QPS:g}")
    if law not in ("Gamma", "Weibull", ""):
        raise invalid(f"{where}: law", law, "is not known", "use Gamma or Weibull, or none where the rate is 0")
    if rate and not law:
        raise invalid(f"{where}: law", law, "is not allowed at a rate above 0", "use Gamma or Weibull")
    for column, value in (("cv", cv), ("shape", shape), ("scale", scale)):
        if rate and not value:
            raise invalid(f"{where}: {column}", value, "is not allowed at a rate above 0", "use more than 0")
    return start, rate, cv, float(law == "Weibull"), shape


def _parse(text: str, where: str, largest: float) -> float:
    number = float(parse_number(text, where))
    if not 0 <= number <= largest:
        raise invalid(where, text, "is not allowed", f"use 0 to {largest:g}")
    return number


def _parse_dataset(content: bytes, where: str) -> TokenLaws:
    try:
        document = json.loads(decode_text(content, where))
    except (ValueError, RecursionError) as error:
        raise FileFormatError(f"{where}: is not valid JSON ({error}); fetch it again") from error
    if not isinstance(document, dict) or not all(isinstance(fields, dict) for fields in document.values()):
        raise FileFormatError(f"{where}: is not a map of windows to maps of fields; fetch it again")
    for start in document:
        if not _START.fullmatch(start):
            raise invalid(f"{where}: {shown(start)}", start, "is not the start of a window", "use whole seconds from 0")
    starts = sorted(document, key=int)
    found: dict[str, list[TokenLaw | None]] = {}
    for index, start in enumerate(starts):
        for name, text in document[start].items():
            if (
                not re.fullmatch(NAME_PATTERN, name)
                or name == CLIENT
                or (name not in found and len(found) == MAX_FIELDS)
            ):
                rule = f"is not a field that queries can carry; at most {MAX_FIELDS} plain names, not {CLIENT}"
                raise invalid(f"{where}: {start}", name, rule)
            found.setdefault(name, [None] * len(starts))[index] = _parse_law(text, f"{where}: {start}.{name}")
    fields = {name: tuple(_filled(laws)) for name, laws in found.items() if any(laws)}
    return TokenLaws(tuple(int(start) * NS_PER_S for start in starts), fields)


def _parse_law(text: object, where: str) -> TokenLaw | None:
    """Return the law in a text ``{number: probability, …}``; None if it is empty."""
    if not isinstance(text, str) or not (text.startswith("{") and text.endswith("}")):
        raise invalid(where, text, "is not a map of numbers to probabilities", 'write it as "{45: 0.25, 46: 0.75}"')
    if not text[1:-1].strip():
        return None
    pairs: list[tuple[float, float]] = []
    for pair in text[1:-1].split(","):
        match = _PAIR.fullmatch(pair)
        if match is None:
            raise invalid(where, pair, "is not a number and its probability", "write it as 45: 0.25")
        pairs.append((_parse(match["value"], where, _MAX_VALUE), _parse(match["share"], where, 1.0)))
    total = math.fsum(share for _, share in pairs)
    if abs(total - 1) > _SUM_TOLERANCE:
        raise invalid(where, total, "is the sum of the probabilities", "make them add up to 1")
    kept = sorted((value, share) for value, share in pairs if share)
    edges = np.cumsum([share for _, share in kept])
    return TokenLaw(np.array([value for value, _ in kept]), edges / edges[-1])


def _filled(laws: list[TokenLaw | None]) -> Iterator[TokenLaw]:
    """Return, for each window, its law, else that of the nearest earlier one with one, else of the nearest later."""
    last = next(law for law in laws if law is not None)
    for law in laws:
        last = law or last
        yield last
