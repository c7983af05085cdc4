"""The compiled engine: the same inputs and outputs as the reference engine, equal on every timestamp, and much faster.

The stages form an acyclic graph and influence each other downstream only, so each is run to its end before the next
begins: no global queue of events. What the reference engine does in phases of an instant is here an order of items by
(arrival, index) and comparisons that are strict or not.

For the same reason a stage's departures depend on the settings of that stage and of those upstream of it alone, and can
be kept from one plan to the next: :class:`Departures`.
"""

from collections import OrderedDict
from collections.abc import Hashable, Sequence
from typing import NamedTuple

import numpy as np

from pipesim.engine.inputs import EngineInputs, MissLimit, StageInputs
from pipesim.engine.kernels import (
    FINISH,
    LEAST_LOADED,
    POWER_OF_TWO,
    RANDOM,
    REPLICA,
    ROUND_ROBIN,
    SIZE,
    START,
    Server,
    finish_of_items,
    nearly_sorted_order,
    serve_central,
    serve_separate,
    start_and_batch_of_items,
)
from pipesim.engine.propagation import arrivals_ns, latest_ns, visit_ends_ns
from pipesim.engine.run import Integers, Run, StageRun
from pipesim.model import Dispatch

_NO_FLOATS = np.zeros(0)
_NO_DRAWS = np.zeros((0, 2))
_NO_INTEGERS = np.zeros(0, dtype=np.int64)
_SEPARATE: dict[Dispatch, int] = {
    "round_robin": ROUND_ROBIN,
    "random": RANDOM,
    "power_of_two": POWER_OF_TWO,
    "least_loaded": LEAST_LOADED,
}
MAX_KEPT_BYTES = 512 << 20


def run_compiled(inputs: EngineInputs) -> Run:
    """Return what happens to every query: timestamp for timestamp what the reference engine returns."""
    finish_ns: list[Integers] = []
    ends_ns: list[Integers] = []
    runs: list[StageRun] = []
    for index, stage in enumerate(inputs.stages):
        arrival_ns = arrivals_ns(index, inputs, finish_ns, ends_ns)
        served = _serve(stage, arrival_ns)
        runs.append(_stage_run(arrival_ns, served))
        finish_ns.append(runs[-1].finish_ns)
        ends_ns.append(visit_ends_ns(stage, finish_ns[-1]))
    return Run(tuple(runs), latest_ns(inputs, ends_ns))


class Departures:
    """When items left stages, kept from one plan to the next in bounded memory: the least recently used goes first.

    Parameters
    ----------
    max_bytes
        How much may be kept.
    """

    def __init__(self, max_bytes: int = MAX_KEPT_BYTES) -> None:
        self._max_bytes = max_bytes
        self._kept: OrderedDict[int, tuple[Integers, Integers]] = OrderedDict()
        self._keys: dict[Hashable, int] = {}
        self._bytes = 0

    def key(self, stage: int, *decisive: Hashable) -> int:
        """Return a number that stands for a stage, its setting and the keys of the stages that feed it."""
        return self._keys.setdefault((stage, *decisive), len(self._keys))

    def get(self, key: int) -> tuple[Integers, Integers] | None:
        """Return the finish of items and the end of visits of a stage, if they are kept."""
        if key in self._kept:
            self._kept.move_to_end(key)
        return self._kept.get(key)

    def keep(self, key: int, finish_ns: Integers, ends_ns: Integers) -> None:
        """Keep them, and let go of what was not used for longest if that is too much."""
        self._kept[key] = finish_ns, ends_ns
        self._bytes += finish_ns.nbytes + ends_ns.nbytes
        while self._bytes > self._max_bytes:
            _, (finish, ends) = self._kept.popitem(last=False)
            self._bytes -= finish.nbytes + ends.nbytes


def meets_limits(inputs: EngineInputs, limits: Sequence[MissLimit], departures: Departures) -> bool:
    """Return whether no more queries miss than the `limits` allow.

    Stages are run one after the other until that is decided; those that `departures` knows, for the same settings of
    the stage and of all upstream of it, are not run again. Use one `departures` for one workload only.
    """
    finish_ns: list[Integers] = []
    ends_ns: list[Integers] = []
    keys: list[int] = []
    for index, stage in enumerate(inputs.stages):
        upstream = (keys[edge.upstream] for edge in inputs.edges if edge.downstream == index)
        keys.append(departures.key(index, stage.setting, *upstream))
        known = departures.get(keys[-1])
        if known is None:
            arrival_ns = arrivals_ns(index, inputs, finish_ns, ends_ns)
            served = _serve(stage, arrival_ns)
            finish = finish_of_items(served.order, served.following, served.batches)
            known = finish, visit_ends_ns(stage, finish)
            departures.keep(keys[-1], *known)
        finish_ns.append(known[0])
        ends_ns.append(known[1])
        so_far_ns = latest_ns(inputs, ends_ns) - inputs.arrival_ns
        if any(limit.is_missed(so_far_ns) for limit in limits):
            return False
    return True


class _Served(NamedTuple):
    """What a kernel found: the order of admission, the links of queues (empty: none), the batches."""

    order: Integers
    following: Integers
    batches: Integers


def _serve(stage: StageInputs, arrival_ns: Integers) -> _Served:
    order = _order(arrival_ns, _NO_INTEGERS)
    by_position = (
        arrival_ns[order],
        _NO_FLOATS if stage.noise is None else stage.noise[order],
        _NO_FLOATS if stage.size is None else stage.size[order],
    )
    server = Server(
        stage.replicas,
        stage.max_batch_size,
        stage.policy == "window",
        stage.max_queue_delay_ns,
        stage.overhead_ns,
        stage.combine == "packed",
    )
    if stage.dispatch == "central":
        return _Served(order, _NO_INTEGERS, serve_central(*by_position, stage.table_ns, server))
    draws = _NO_DRAWS if stage.dispatch_draws is None else stage.dispatch_draws[order]
    batches, following = serve_separate(*by_position, stage.table_ns, server, _SEPARATE[stage.dispatch], draws)
    return _Served(order, following, batches)


def _stage_run(arrival_ns: Integers, served: _Served) -> StageRun:
    """Return the run of a stage, with batches numbered by start, then replica."""
    batches = served.batches[_order(served.batches[:, START], served.batches[:, REPLICA])]
    start_ns, batch = start_and_batch_of_items(served.order, served.following, batches)
    return StageRun(
        arrival_ns,
        start_ns,
        finish_of_items(served.order, served.following, batches),
        batch,
        *(np.ascontiguousarray(batches[:, column]) for column in (START, FINISH, REPLICA, SIZE)),
    )


def _order(first_key: Integers, second_key: Integers) -> Integers:
    """Return the order that sorts by two keys (the second may be empty) and then by index."""
    order = nearly_sorted_order(first_key, second_key)
    if order.size == first_key.size:
        return order
    return np.lexsort((second_key, first_key)) if second_key.size else np.argsort(first_key, kind="stable")
