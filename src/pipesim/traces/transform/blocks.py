"""The block bootstrap: other luck for a recorded trace."""

import numpy as np

from pipesim.errors import invalid
from pipesim.streams import stream
from pipesim.traces.arrivals import ArrivalTrace
from pipesim.traces.transform.columns import check_queries, taken
from pipesim.units import format_duration

MAX_BLOCKS = 10_000_000


def resample_blocks(trace: ArrivalTrace, block_ns: int, seed: int = 0, name: str = "") -> ArrivalTrace:
    """Return a trace of the same duration put together from blocks of the trace, drawn with replacement.

    What depends on each other within a block stays together, such as a burst, and blocks are independent: plans that
    hold on many such traces do not owe it to the order in which things happened to come. The blocks should be longer
    than what is correlated and much shorter than the trace; swings slower than a block are shuffled away.

    A block may begin at any nanosecond, and one that reaches past the end of the trace goes on at its beginning. The
    last block is cut to what is left of the duration. So every arrival is drawn as often as any other on average, and
    the expected rate is exactly that of the trace, which blocks that stop at its ends would not give.

    Parameters
    ----------
    trace
        The one that was recorded. Its last instant is the first of the next round.
    block_ns
        The length of a block, up to the trace's duration; at most 10 million blocks.
    seed, name
        Of the stream ``resample_blocks``.

    Raises
    ------
    InvalidInputError
        If the length is out of range, or there are more queries than may be held at once.

    Notes
    -----
    Blocks instead of single observations: Künsch, "The jackknife and the bootstrap for general stationary
    observations", Annals of Statistics 17 (1989). Blocks on a circle, which makes the ends count as much as the
    middle: Politis and Romano, "A circular block-resampling procedure for stationary data", in "Exploring the limits
    of bootstrap" (Wiley, 1992).

    >>> trace = ArrivalTrace(np.array([0, 1, 2, 3]), 4)
    >>> resample_blocks(trace, 2, seed=1).times_ns.tolist()
    [0, 1, 2, 3]
    """
    duration_ns = trace.duration_ns
    if not 0 < block_ns <= duration_ns:
        remedy = f"use more than 0 and at most the trace's duration, {format_duration(duration_ns)}"
        raise invalid("resample_blocks.length", format_duration(block_ns), "is not allowed", remedy)
    blocks = -(-duration_ns // block_ns)
    if blocks > MAX_BLOCKS:
        rule = f"cuts the trace into {blocks:,} blocks"
        raise invalid("resample_blocks.length", format_duration(block_ns), rule, f"make at most {MAX_BLOCKS:,}")
    starts = stream(seed, "resample_blocks", name).integers(0, duration_ns, size=blocks)
    begins = np.arange(blocks) * block_ns
    lengths = np.minimum(block_ns, duration_ns - begins)
    at_the_end = len(trace) - int(np.searchsorted(trace.times_ns, duration_ns))
    round_ns = np.roll(trace.times_ns % duration_ns, at_the_end)
    two_rounds_ns = np.concatenate([round_ns, round_ns + duration_ns])
    first, last = np.searchsorted(two_rounds_ns, starts), np.searchsorted(two_rounds_ns, starts + lengths)
    counts = last - first
    check_queries(int(counts.sum()), "resample_blocks.length", format_duration(block_ns))
    block = np.repeat(np.arange(blocks), counts)
    position = np.arange(block.size) - np.repeat(np.cumsum(counts) - counts, counts) + first[block]
    times_ns = two_rounds_ns[position] - starts[block] + begins[block]
    return taken(trace, (position - at_the_end) % max(1, len(trace)), times_ns)
