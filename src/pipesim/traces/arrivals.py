"""Arrival traces: when every query enters the pipeline, and what it carries."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from pipesim.errors import invalid
from pipesim.files import InputFile
from pipesim.units import NS_PER_S

if TYPE_CHECKING:
    from pipesim.traces.pictures import TracePictures

Nanoseconds = npt.NDArray[np.int64]
Column = npt.NDArray[Any]


@dataclass(frozen=True, slots=True, eq=False)
class ArrivalTrace:
    """Sorted arrival times of queries, recorded or generated.

    Parameters
    ----------
    times_ns
        Shape ``(queries,)``, int64, ascending, from 0 to `duration_ns`; simultaneous arrivals are kept.
    duration_ns
        The span that the trace's rate refers to: the horizon of a generated trace, last minus first of a recorded one.
    epoch_ns
        The instant of time 0, in nanoseconds since 1970, if it is known.
    attributes
        What queries carry: arrays of shape ``(queries,)``, float64 or text.
    inputs
        The files that the trace was read from.

    Raises
    ------
    InvalidInputError
        If the times are not ascending, or do not lie in the duration, or an attribute has another length.
    """

    times_ns: Nanoseconds
    duration_ns: int
    epoch_ns: int = 0
    attributes: Mapping[str, Column] = field(default_factory=dict)
    inputs: tuple[InputFile, ...] = ()

    def __post_init__(self) -> None:
        times = _frozen(np.asarray(self.times_ns, dtype=np.int64))
        if times.ndim != 1:
            raise invalid("times_ns", times.shape, "is its shape", "give one dimension")
        if times.size and (times[0] < 0 or times[-1] > self.duration_ns or bool((times[1:] < times[:-1]).any())):
            raise invalid(
                "times_ns", times[:3].tolist(), "and so on is not ascending from 0 to the duration", "sort the times"
            )
        for name, values in self.attributes.items():
            if values.shape != times.shape:
                raise invalid(f"attributes.{name}", values.shape, "is its shape", f"use {times.shape}, as the times")
        object.__setattr__(self, "times_ns", times)
        attributes = {name: _frozen(np.asarray(values)) for name, values in self.attributes.items()}
        object.__setattr__(self, "attributes", MappingProxyType(attributes))

    def __len__(self) -> int:
        return int(self.times_ns.size)

    @property
    def plot(self) -> "TracePictures":
        """Return the pictures of it: ``trace.plot.rate()``."""
        from pipesim.traces.pictures import TracePictures

        return TracePictures(self)

    @property
    def duration_s(self) -> float:
        """Return the span that the rate refers to, in seconds."""
        return self.duration_ns / NS_PER_S

    @property
    def mean_rate_qps(self) -> float:
        """Return queries per second over the duration; NaN if the trace has no duration."""
        return len(self) / self.duration_s if self.duration_ns else float("nan")

    def selected(self, keep: npt.NDArray[np.bool_]) -> "ArrivalTrace":
        """Return the trace of the queries for which `keep` is true, over the same duration."""
        return self._of(keep)

    def between(self, first: int, last: int) -> "ArrivalTrace":
        """Return the trace of the queries from `first` to before `last`, over the same duration."""
        return self._of(slice(first, last))

    def _of(self, chosen: npt.NDArray[np.bool_] | slice) -> "ArrivalTrace":
        return ArrivalTrace(
            self.times_ns[chosen],
            self.duration_ns,
            self.epoch_ns,
            {name: values[chosen] for name, values in self.attributes.items()},
            self.inputs,
        )

    def matching(self, conditions: Mapping[str, object], where: str) -> npt.NDArray[np.bool_]:
        """Return which queries have, for every attribute named, the value (or one of the values) given.

        Numbers are compared as numbers where the attribute is numeric, else as text.

        Raises
        ------
        InvalidInputError
            If the trace carries no attribute of that name.
        """
        selected = np.ones(len(self), dtype=bool)
        for name, wanted in conditions.items():
            column = self.attribute(name, where)
            values = wanted if isinstance(wanted, tuple) else (wanted,)
            if column.dtype.kind == "f":
                numbers = [float(value) for value in values if isinstance(value, int | float)]
                selected &= np.isin(column, numbers)
            else:
                selected &= np.isin(column, [str(value) for value in values])
        return selected

    def attribute(self, name: str, where: str) -> Column:
        """Return the attribute `name` of every query.

        Raises
        ------
        InvalidInputError
            If the trace carries no such attribute.
        """
        if name not in self.attributes:
            known = ", ".join(self.attributes) or "none"
            raise invalid(where, name, "is not an attribute of the queries", f"traffic carries {known}")
        return self.attributes[name]


def _frozen(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    if array.flags.writeable:
        array = array.copy()
        array.flags.writeable = False
    return array
