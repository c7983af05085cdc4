"""Plans put to the test one after the other: what earlier ones have in common with a plan is not run again.

A stage's departures depend on the settings of that stage and of those upstream of it alone, so they can be kept from
one plan to the next.
"""

import threading
from collections import OrderedDict
from collections.abc import Hashable, Sequence

from pipesim.engine.compiled.flow import Flow, note_ends
from pipesim.engine.compiled.server import note_finishes
from pipesim.engine.compiled.stage import serve
from pipesim.engine.compiled.whole import arrivals_at
from pipesim.engine.deliveries import NONE
from pipesim.engine.inputs import EngineInputs, MissLimit

MAX_KEPT_BYTES = 512 << 20


class Departures:
    """When items left stages, kept in bounded memory: the least recently used goes first. Threads may share it.

    Parameters
    ----------
    max_bytes
        How much may be kept.
    """

    def __init__(self, max_bytes: int = MAX_KEPT_BYTES) -> None:
        self._max_bytes = max_bytes
        self._kept: OrderedDict[int, Flow] = OrderedDict()
        self._keys: dict[Hashable, int] = {}
        self._bytes = 0
        self._lock = threading.Lock()

    def key(self, stage: int, *decisive: Hashable) -> int:
        """Return a number that stands for a stage, its setting and the keys of the stages that feed it."""
        with self._lock:
            return self._keys.setdefault((stage, *decisive), len(self._keys))

    def get(self, key: int) -> Flow | None:
        """Return the departures of a stage, if they are kept."""
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
            return self._kept.get(key)

    def keep(self, key: int, departures: Flow) -> None:
        """Keep them, and let go of what was not used for longest if that is too much."""
        with self._lock:
            if key in self._kept:
                return
            self._kept[key] = departures
            self._bytes += _bytes_of(departures)
            while self._bytes > self._max_bytes:
                _, oldest = self._kept.popitem(last=False)
                self._bytes -= _bytes_of(oldest)


def _bytes_of(flow: Flow) -> int:
    return sum(array.nbytes for array in flow)


def meets_limits(inputs: EngineInputs, limits: Sequence[MissLimit], departures: Departures) -> bool:
    """Return whether no more queries miss than the `limits` allow.

    Stages are run one after the other until that is decided; those that `departures` knows, for the same settings of
    the stage and of all upstream of it, are not run again. Use one `departures` for one workload only.
    """
    deliveries = inputs.deliveries
    flows: dict[int, Flow] = {}
    keys: list[int] = []
    ended_ns = inputs.arrival_ns.copy()

    def is_missed() -> bool:
        latency_ns = ended_ns - inputs.arrival_ns
        return any(limit.is_missed(latency_ns) for limit in limits)

    for index, stage in enumerate(inputs.stages):
        keys.append(departures.key(index, stage.setting, *(keys[up] for up in deliveries.stages[index].upstream)))
        flow = departures.get(keys[-1])
        if flow is None:
            record = serve(stage, arrivals_at(index, inputs, flows))
            note_finishes(record.batches, record.served, deliveries.query_of_item[index], ended_ns)
            if is_missed():
                return False
            flow = record.departures().copied()
            departures.keep(keys[-1], flow)
        elif deliveries.ends_queries[index]:
            note_ends(flow, deliveries.query_of_item[index], ended_ns, NONE)
        flows[index] = flow
    return not is_missed()
