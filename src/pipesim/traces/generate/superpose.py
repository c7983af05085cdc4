"""Sums of traffic: independent streams, merged in the order of time."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
import numpy.typing as npt

from pipesim.errors import invalid
from pipesim.traces.arrivals import ArrivalTrace, Column, Nanoseconds
from pipesim.traces.generate.pieces import regrouped

_FAN_IN = 32
"""Streams that are merged at once; more are merged in groups, so that no step looks at all of them."""
_PART = ""
"""The column that says which part a query is of: no attribute has this name."""


@dataclass(frozen=True, slots=True)
class _Chunk:
    """Some queries in the order of time, and how long the traffic is known to last so far."""

    times_ns: Nanoseconds
    columns: Mapping[str, Column]
    duration_ns: int

    def __len__(self) -> int:
        return int(self.times_ns.size)

    def between(self, first: int, last: int | None) -> "_Chunk":
        columns = {name: values[first:last] for name, values in self.columns.items()}
        return _Chunk(self.times_ns[first:last], columns, self.duration_ns)

    @property
    def last_ns(self) -> int:
        return int(self.times_ns[-1]) if self.times_ns.size else -1


def sum_pieces(parts: Mapping[str, Iterator[ArrivalTrace]], size: int, label: str | None) -> Iterator[ArrivalTrace]:
    """Return traffic of several parts at once, in pieces of `size` queries, the last one shorter.

    Queries of one instant are in the order of the parts, and within a part in its own. A piece lasts as long as the
    longest part is known to last by then, and the whole as long as the longest part. Of each part a few pieces are
    held at once: of many parts, give smaller ones.

    Parameters
    ----------
    parts
        By name, at least one: the pieces of each, all of whose times count from the same instant.
    size
        Queries in a piece of the sum.
    label
        The attribute, text, that names the part of each query; None if none is wanted.

    Raises
    ------
    InvalidInputError
        If the parts do not all carry the same attributes, of the same kinds, or one has the name of `label`.
    """
    names = np.array(list(parts))
    first = {name: next(pieces) for name, pieces in parts.items()}
    _check_attributes(first, label)
    streams = [
        _chunks(chain((first[name],), pieces), None if label is None else index)
        for index, (name, pieces) in enumerate(parts.items())
    ]
    while len(streams) > 1:
        streams = [_merged(streams[begin : begin + _FAN_IN]) for begin in range(0, len(streams), _FAN_IN)]
    epochs = {piece.epoch_ns for piece in first.values()}
    epoch_ns = epochs.pop() if len(epochs) == 1 else 0
    inputs = tuple(dict.fromkeys(source for piece in first.values() for source in piece.inputs))
    for chunk in map(_joined, regrouped(streams[0], size, len, _Chunk.between)):
        columns = dict(chunk.columns)
        if label is not None:
            columns[label] = names[columns.pop(_PART)]
        for array in (chunk.times_ns, *columns.values()):
            array.flags.writeable = False  # so that nobody copies it
        yield ArrivalTrace(chunk.times_ns, chunk.duration_ns, epoch_ns, columns, inputs)


def _check_attributes(first: Mapping[str, ArrivalTrace], label: str | None) -> None:
    model_name, model = next(iter(first.items()))
    if label is not None and label in model.attributes:
        raise invalid("traffic.label", label, "is an attribute of the queries already", "choose another name")
    for name, piece in first.items():
        if set(piece.attributes) != set(model.attributes):
            found, due = (", ".join(one.attributes) or "no attributes" for one in (piece, model))
            rule = f"is what its queries carry, and those of {model_name} carry {due}"
            raise invalid(f"traffic.sum.{name}", found, rule, "give all parts the same attributes")
        for attribute, values in piece.attributes.items():
            if len(piece) and len(model) and _kind(values) != _kind(model.attributes[attribute]):
                rule = f"is {_kind(values)} here and not in {model_name}"
                raise invalid(f"traffic.sum.{name}", attribute, rule, "give all parts the same attributes")


def _kind(values: Column) -> str:
    return "a number" if values.dtype.kind == "f" else "text"


def _chunks(pieces: Iterator[ArrivalTrace], part: int | None) -> Iterator[_Chunk]:
    for piece in pieces:
        own = {} if part is None else {_PART: np.full(len(piece), part, dtype=np.int32)}
        yield _Chunk(piece.times_ns, {**piece.attributes, **own}, piece.duration_ns)


def _merged(streams: Sequence[Iterator[_Chunk]]) -> Iterator[_Chunk]:
    """Return several streams as one; of one instant, queries of earlier streams come first.

    What is before the end of all that is held is complete: no stream has more of it. Every stream is read on while less
    than a chunk of it is held, and the one that ends first always, so each step moves on, if it can, by about a chunk.
    """
    held = [next(stream) for stream in streams]
    due = [chunk.times_ns.size for chunk in held]
    going = dict(enumerate(streams))
    horizon_ns = -1
    while True:
        for index, stream in list(going.items()):
            while index in going and (held[index].times_ns.size < due[index] or held[index].last_ns <= horizon_ns):
                more = next(stream, None)
                if more is None:
                    del going[index]
                else:
                    held[index], due[index] = _joined([held[index], more]), more.times_ns.size
        if not going:
            yield _in_order(held)
            return
        horizon_ns = min(held[index].last_ns for index in going)
        cuts = [int(np.searchsorted(chunk.times_ns, horizon_ns)) for chunk in held]
        yield _in_order([chunk.between(0, cut) for chunk, cut in zip(held, cuts, strict=True)])
        held = [chunk.between(cut, None) if cut else chunk for chunk, cut in zip(held, cuts, strict=True)]


def _joined(chunks: Sequence[_Chunk]) -> _Chunk:
    """Return chunks one after the other."""
    duration_ns = max(chunk.duration_ns for chunk in chunks)
    # What is empty would lend its width to text, and its kind to nothing.
    filled = [chunk for chunk in chunks if chunk.times_ns.size] or chunks[-1:]
    if len(filled) == 1:
        return _Chunk(filled[0].times_ns, filled[0].columns, duration_ns)
    columns = {name: np.concatenate([chunk.columns[name] for chunk in filled]) for name in filled[0].columns}
    return _Chunk(np.concatenate([chunk.times_ns for chunk in filled]), columns, duration_ns)


def _in_order(chunks: Sequence[_Chunk]) -> _Chunk:
    """Return chunks merged by time."""
    one = _joined(chunks)
    if sum(bool(chunk.times_ns.size) for chunk in chunks) <= 1:
        return one
    if not one.columns:  # where nothing tells queries of one instant apart, times are all there is to sort
        one.times_ns.sort()
        return one
    order: npt.NDArray[np.intp] = np.argsort(one.times_ns, kind="stable")
    return _Chunk(one.times_ns[order], {name: values[order] for name, values in one.columns.items()}, one.duration_ns)
