"""What transforms share: queries chosen with their attributes, and the columns of several traces as one."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from pipesim.errors import invalid
from pipesim.files import InputFile
from pipesim.model.traffic import MAX_QUERIES
from pipesim.traces.arrivals import ArrivalTrace, Column, Nanoseconds

LONGEST_NS = 2**62
"""What a trace lasts less than: 146 years."""


def taken(trace: ArrivalTrace, chosen: npt.NDArray[np.intp] | slice, times_ns: Nanoseconds) -> ArrivalTrace:
    """Return the queries `chosen`, by index, with their attributes, at other times of the same duration."""
    attributes = {name: values[chosen] for name, values in trace.attributes.items()}
    return ArrivalTrace(times_ns, trace.duration_ns, trace.epoch_ns, attributes, trace.inputs)


def joined_columns(traces: Sequence[ArrivalTrace]) -> dict[str, Column]:
    """Return the attributes of traces one after another, in the order that the first trace has them.

    Raises
    ------
    InvalidInputError
        If one trace carries an attribute that another one does not, or one as numbers and another as text.
    """
    held = [trace for trace in traces if len(trace)] or traces[:1]
    first = traces[0]
    for number, trace in enumerate(traces[1:], start=2):
        for name in sorted(first.attributes.keys() ^ trace.attributes.keys()):
            has, lacks = (1, number) if name in first.attributes else (number, 1)
            rule = f"is an attribute of trace {has} and not of trace {lacks}"
            raise invalid("attributes", name, rule, "give every trace the same attributes")
    for name in first.attributes:
        if len({trace.attributes[name].dtype.kind for trace in held}) > 1:
            rule = "holds numbers in one trace and text in another"
            raise invalid("attributes", name, rule, "make it the same in every trace")
    return {name: np.concatenate([trace.attributes[name] for trace in held]) for name in first.attributes}


def joined_inputs(traces: Sequence[ArrivalTrace]) -> tuple[InputFile, ...]:
    """Return the input files of all traces, each once, in the order of the traces."""
    return tuple(dict.fromkeys(one for trace in traces for one in trace.inputs))


def check_queries(queries: float, where: str, value: object) -> None:
    """Check that a trace of so many queries may be held at once.

    Raises
    ------
    InvalidInputError
        With the `value` found at `where`, if they are more than 50 million.
    """
    if queries > MAX_QUERIES:
        rule = f"makes {queries:,.0f} queries, too many to hold at once"
        raise invalid(where, value, rule, f"make at most {MAX_QUERIES:,}")
