"""Generated traffic: arrivals of any law, in pieces of any size and of any number, and attributes of queries.

A law (:class:`pipesim.model.traffic.Law`) is made in four steps, each a stream of arrays:

1. gaps of mean 1 (:mod:`.gaps`), in whole nanoseconds at the mean rate, are summed up to *operational* times;
2. the rate over its mean, a curve (:mod:`.curve`) times the levels of all bursts (:mod:`.modulation`), says which real
   time each operational time is (:mod:`.clock`);
3. every arrival brings its queries (:mod:`.batches`);
4. times are cut where the traffic ends, and put into pieces (:mod:`.pieces`).

Whatever the size of the pieces, together they are the whole to the nanosecond: luck is drawn in the order of the
arrivals, and sums are of integers, or begin anew at places that the law and its luck alone choose.
"""

from pipesim.traces.generate.attributes import with_attributes
from pipesim.traces.generate.pieces import PIECE, check_memory, joined
from pipesim.traces.generate.process import gamma, law_pieces, law_trace, poisson, weibull
from pipesim.traces.generate.superpose import sum_pieces

__all__ = [
    "PIECE",
    "check_memory",
    "gamma",
    "joined",
    "law_pieces",
    "law_trace",
    "poisson",
    "sum_pieces",
    "weibull",
    "with_attributes",
]
