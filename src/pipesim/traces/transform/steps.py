"""Transforms in the order in which a file or a command line names them."""

from collections import Counter
from collections.abc import Iterable
from typing import assert_never

from pipesim.errors import InvalidInputError
from pipesim.model.transforms import (
    AmplifyBursts,
    AmplifySwing,
    Compress,
    CompressToRate,
    MultiplyRate,
    ResampleBlocks,
    Slice,
    Spread,
    Superpose,
    Thin,
    Transform,
)
from pipesim.traces.arrivals import ArrivalTrace
from pipesim.traces.transform.blocks import resample_blocks
from pipesim.traces.transform.curve import amplify_bursts, amplify_swing
from pipesim.traces.transform.overlay import superpose
from pipesim.traces.transform.parts import slice_time
from pipesim.traces.transform.scale import compress_to_rate, compressed, multiply_rate, thin
from pipesim.traces.transform.ticks import spread


def apply_transforms(
    trace: ArrivalTrace, transforms: Iterable[Transform], seed: int, where: str = "transform", owner: str = ""
) -> ArrivalTrace:
    """Return the trace after all transforms, each applied to what the one before it made.

    The first of a kind draws from the same stream as its function does, the others of that kind from streams of their
    own: two thinnings are independent, and a transform of another kind put before them leaves their luck as it was. An
    `owner` has streams of its own for all.

    Raises
    ------
    InvalidInputError
        With `where` and the position from 0, if a transform does not suit the trace.

    >>> import numpy as np
    >>> from pipesim.model.transforms import parse_transform
    >>> trace = ArrivalTrace(np.array([0, 1_000, 3_000]), 4_000)
    >>> steps = [parse_transform("slice=1us..4us"), parse_transform("compress=2")]
    >>> apply_transforms(trace, steps, seed=0).times_ns.tolist()
    [0, 1000]
    """
    seen: Counter[type] = Counter()
    for position, transform in enumerate(transforms):
        earlier = seen[type(transform)]
        seen[type(transform)] += 1
        try:
            trace = _applied(trace, transform, seed, f"{owner}{earlier or ''}")
        except InvalidInputError as error:
            raise InvalidInputError(error.reason, f"{where}.{position}.{error.where}") from None
    return trace


def _applied(trace: ArrivalTrace, transform: Transform, seed: int, name: str) -> ArrivalTrace:
    match transform:
        case Slice(slice=part):
            return slice_time(trace, part.start_ns, part.end_ns)
        case Compress(compress=factor):
            return compressed(trace, factor, "compress", factor)
        case CompressToRate(compress_to_qps=rate_qps):
            return compress_to_rate(trace, rate_qps)
        case Thin(thin=share):
            return thin(trace, share, seed, name)
        case MultiplyRate(multiply_rate=factor):
            return multiply_rate(trace, factor, seed, name)
        case Superpose(superpose=users):
            return superpose(trace, users.copies, shift_ns=users.shift_ns, seed=seed, name=name)
        case AmplifyBursts(amplify_bursts=bursts):
            return amplify_bursts(trace, bursts.factor, bursts.window_ns)
        case AmplifySwing(amplify_swing=swing):
            return amplify_swing(trace, swing.exponent, swing.window_ns)
        case ResampleBlocks(resample_blocks=blocks):
            return resample_blocks(trace, blocks.length_ns, seed, name)
        case Spread(spread=clock):
            return spread(trace, clock.window_ns, clock.how, seed=seed, name=name)
        case _:
            assert_never(transform)
