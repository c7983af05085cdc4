"""Transforms of a trace, each named for what it does.

::

    which part         slice_time, hold_out, concatenate
    how much           compress_time, compress_to_rate, thin, multiply_rate
    how many users     superpose, merge
    how bursty         amplify_bursts (within a window), amplify_swing (the slow curve)
    what luck          resample_blocks
    how exact a clock  spread

A transform is a pure function of traces: times stay whole nanoseconds in ascending order, attributes travel with
their queries, and what is drawn comes from the stream of the transform's own name. The epoch, where it is known, and
the input files are kept.
"""

from pipesim.traces.transform.blocks import resample_blocks
from pipesim.traces.transform.curve import amplify_bursts, amplify_swing
from pipesim.traces.transform.overlay import merge, superpose
from pipesim.traces.transform.parts import concatenate, hold_out, slice_time
from pipesim.traces.transform.scale import (
    compress_time,
    compress_to_rate,
    compressed,
    multiply_rate,
    thin,
    thinned,
)
from pipesim.traces.transform.steps import apply_transforms
from pipesim.traces.transform.ticks import spread

__all__ = [
    "amplify_bursts",
    "amplify_swing",
    "apply_transforms",
    "compress_time",
    "compress_to_rate",
    "compressed",
    "concatenate",
    "hold_out",
    "merge",
    "multiply_rate",
    "resample_blocks",
    "slice_time",
    "spread",
    "superpose",
    "thin",
    "thinned",
]
