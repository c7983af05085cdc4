"""Mutated pools of clients: they are read as what they say, or refused."""

import io
import random
import re
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from mutated_traces.meaning import MUTATED, NS, Form, RefusedError, number_of, text_of
from mutated_traces.mutations import compare, mutated_bytes, mutated_lines
from pipesim.model.traffic import ServegenPool
from pipesim.traces.formats.servegen import read_pool


def pool_of(chunks: Mapping[int, bytes]) -> dict[str, list[tuple[float, float, float, bool, float]]]:
    """Return the windows of each client: start, rate, CV, whether the law is Weibull, and shape."""
    pool = {}
    for client, data in sorted(chunks.items()):
        windows = []
        for number, line in enumerate(text_of(data).splitlines(), 1):
            cells = line.split(",")
            numbers = [number_of(cell) for index, cell in enumerate(cells) if index != 3]
            if (
                len(cells) == 6
                and cells[1:3] == ["0", "0"]
                and cells[3:] == ["", "0", "0"]
                and re.fullmatch("[0-9]{1,9}", cells[0])
            ):
                windows.append((float(cells[0]), 0.0, 0.0, False, 0.0))
                continue
            if len(cells) != 6 or None in numbers or not all(0 <= (value or 0) <= 10**15 for value in numbers):
                raise RefusedError(f"chunk-{client}-trace.csv:{number}")
            start, rate, cv, shape, scale = (float(cell) for index, cell in enumerate(cells) if index != 3)
            if (
                rate > 10**7
                or cells[3] not in ("Gamma", "Weibull", "")
                or (rate and not (cells[3] and cv and shape and scale))
            ):
                raise RefusedError(f"chunk-{client}-trace.csv:{number}")
            windows.append((start, rate, cv, cells[3] == "Weibull", shape))
        starts = [window[0] for window in windows]
        if len(starts) < 2 or not starts[1] or starts != [index * starts[1] for index in range(len(starts))]:
            raise RefusedError
        if len(starts) * starts[1] > 400 * 86_400:
            raise RefusedError
        pool[str(client)] = windows
    if len({tuple(window[0] for window in windows) for windows in pool.values()}) != 1:
        raise RefusedError
    return pool


@MUTATED
@given(windows=st.integers(2, 4), clients=st.integers(1, 3), rng=st.randoms(use_true_random=True))
def test_a_mutated_pool_is_read_as_what_it_says_or_refused_with_its_line(
    windows: int, clients: int, rng: random.Random, tmp_path: Path
) -> None:
    path = tmp_path / "p.tar.gz"
    form = Form("servegen", "csv", ("start", "rate", "cv", "law", "shape", "scale"), "rate", "s")
    chunks = {}
    for client in range(clients):
        rows = [
            f"{600 * index},2.5,{1 + client},{rng.choice(['Gamma', 'Weibull'])},0.5,0.75" for index in range(windows)
        ]
        rows[rng.randrange(windows)] += rng.choice(["", "", "1"])
        chunks[client] = "\n".join(rows).encode()
    changed = rng.randrange(clients)
    rows = chunks[changed].decode().split("\n")
    for _ in range(rng.choice([0, 1, 1, 2])):
        rows = mutated_lines(rows, form, rng)
    data = "\n".join(rows).encode()
    chunks[changed] = mutated_bytes(data, rng) if rng.random() < 0.3 else data
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for client, content in chunks.items():
            member = tarfile.TarInfo(f"m/chunk-{client}-trace.csv")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    whole = packed.getvalue()
    cut = rng.randrange(len(whole)) if rng.random() < 0.1 else None
    path.write_bytes(whole[:cut])

    def oracle() -> Any:
        if cut is not None:
            raise RefusedError
        try:
            return pool_of(chunks)
        except RefusedError as refused:
            raise RefusedError(refused.place and f": m/{refused.place}") from None

    def reader() -> Any:
        pool = read_pool(path, ServegenPool.model_validate({"file": path.name, "duration": "20min"}))
        starts = [index * pool.window_ns / NS for index in range(pool.rates_qps.shape[1])]
        return {
            client: list(
                zip(
                    starts,
                    *(array[row].tolist() for array in (pool.rates_qps, pool.cvs, pool.weibull, pool.shapes)),
                    strict=True,
                )
            )
            for row, client in enumerate(pool.clients)
        }

    compare(oracle, reader, path.name, chunks[changed])
