"""Traces in pieces: made of any blocks of times, and joined again."""

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

import numpy as np

from pipesim.errors import invalid
from pipesim.model.traffic.laws import MAX_QUERIES
from pipesim.traces.arrivals import ArrivalTrace, Nanoseconds

Block = TypeVar("Block")

PIECE = 1 << 16
"""Queries in a piece, where nothing else is asked for: small enough for the processor's cache."""


def check_memory(queries: float) -> None:
    """Check that so many queries may be held at once.

    Raises
    ------
    InvalidInputError
        If they are more than 50 million.
    """
    if queries > MAX_QUERIES:
        remedy = f"use at most {MAX_QUERIES} (pipesim simulate --summary takes more)"
        raise invalid("traffic", f"{queries:.0f}", "queries are too many to hold at once", remedy)


def joined(pieces: Iterable[ArrivalTrace]) -> ArrivalTrace:
    """Return pieces of one trace as the whole; there must be at least one.

    Raises
    ------
    InvalidInputError
        If there are more queries than may be held in memory.
    """
    held: list[ArrivalTrace] = []
    queries = 0
    for piece in pieces:
        held.append(piece)
        queries += len(piece)
        check_memory(queries)
    first, last = held[0], held[-1]
    if len(held) == 1:
        return first
    attributes = {name: np.concatenate([piece.attributes[name] for piece in held]) for name in first.attributes}
    times_ns = np.concatenate([piece.times_ns for piece in held])
    return ArrivalTrace(times_ns, last.duration_ns, first.epoch_ns, attributes, first.inputs)


def first_queries(blocks: Iterator[Nanoseconds], queries: int) -> Iterator[Nanoseconds]:
    """Return blocks of times up to so many."""
    while queries > 0 and (times_ns := next(blocks, None)) is not None:
        yield times_ns[:queries]
        queries -= times_ns.size


def until(blocks: Iterator[Nanoseconds], end_ns: int) -> Iterator[Nanoseconds]:
    """Return blocks of ascending times up to and including a time."""
    for times_ns in blocks:
        if times_ns.size and times_ns[-1] > end_ns:
            yield times_ns[: np.searchsorted(times_ns, end_ns, side="right")]
            return
        yield times_ns


def regrouped(
    blocks: Iterable[Block], size: int, length: Callable[[Block], int], cut: Callable[[Block, int, int], Block]
) -> Iterator[list[Block]]:
    """Return what to join to pieces of `size`, the last one shorter; at least one.

    Parameters
    ----------
    blocks
        Of any sizes.
    length, cut
        How long a block is, and a part of it.
    """
    held: list[Block] = []
    count = 0
    for block in blocks:
        begin, end = 0, length(block)
        while count + end - begin > size:
            stop = begin + size - count
            yield [*held, cut(block, begin, stop)]
            held, count, begin = [], 0, stop
        held.append(cut(block, begin, end))
        count += end - begin
    yield held


def in_pieces(blocks: Iterable[Nanoseconds], size: int, duration_ns: int | None) -> Iterator[ArrivalTrace]:
    """Return blocks of ascending times in pieces of `size`, the last one shorter; at least one.

    The duration of a piece is that of the whole if it is given, else a piece ends with its last query.
    """
    last_ns = 0
    for group in regrouped(blocks, size, len, lambda block, begin, end: block[begin:end]):
        filled = [times_ns for times_ns in group if times_ns.size]
        last_ns = int(filled[-1][-1]) if filled else last_ns
        times_ns = filled[0] if len(filled) == 1 else np.concatenate([np.empty(0, dtype=np.int64), *filled])
        times_ns.flags.writeable = False  # so that nobody copies it
        yield ArrivalTrace(times_ns, last_ns if duration_ns is None else duration_ns)
