"""The compiled engine: the same inputs and outputs as the reference engine, equal on every timestamp, and much faster.

The stages form an acyclic graph and influence each other downstream only, so each is run to its end before the next
begins: no global queue of events. What the reference engine does in phases of an instant is here an order of items by
(arrival, index) and comparisons that are strict or not.

Items travel as flows, in order of time and grouped by instant (:mod:`~pipesim.engine.compiled.flow`). A stage turns
the flow of its arrivals into batches, with one queue (:mod:`~pipesim.engine.compiled.central`) or one for each replica
(:mod:`~pipesim.engine.compiled.separate`), and batches into the flow of its departures; edges merge departures into the
next arrivals (:mod:`~pipesim.engine.compiled.admission`). Nothing is ever sorted but what leaves at one instant.
"""

from pipesim.engine.compiled.evaluation import MAX_KEPT_BYTES, Trial, Trials
from pipesim.engine.compiled.whole import run_compiled

__all__ = ["MAX_KEPT_BYTES", "Trial", "Trials", "run_compiled"]
