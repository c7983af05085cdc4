"""Workloads drawn once for all rows that share their traffic, routes and luck, however else they differ.

Two things are shared, each by the content that decides it: arrivals, by the traffic without its load, and the seed,
because a load only compresses the times of what was drawn; and routes and luck, by these arrivals and by the edges and
sizes of the pipeline. A row is then the same queries at other times, asked another question.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping
from typing import Any, Generic, TypeVar

from pipesim.engine import Workload
from pipesim.model import Scenario
from pipesim.model.changes import source_of
from pipesim.model.traffic import ScaledTraffic, files_of
from pipesim.streams import Streams
from pipesim.traces import ArrivalTrace
from pipesim.traces.of_scenario import traffic_trace
from pipesim.traces.transform import compress_time
from pipesim.whatif.content import key_of

T = TypeVar("T")
KEPT = 4
"""How many arrivals, and how many routes, are kept."""
_ROUTING = ("after", "size")


class Workloads:
    """The workloads of the rows of a sweep. Threads may share it."""

    def __init__(self) -> None:
        self._traces: Kept[ArrivalTrace] = Kept(KEPT)
        self._drawn: Kept[Workload] = Kept(KEPT)

    def of(self, scenario: Scenario) -> Workload:
        """Return the workload of a scenario, equal to :meth:`pipesim.engine.Workload.of`."""
        trace_key, traffic = trace_key_of(scenario), scenario.file.traffic
        trace = self.trace(scenario)
        stages = source_of(scenario).document.data["pipeline"].items()
        routing = [[name, [stage.get(field) for field in _ROUTING]] for name, stage in stages]

        def draw() -> Workload:
            # The streams are given because objectives are checked below, on the times of the row.
            return Workload.of(scenario, trace, streams=Streams(scenario.seed))

        drawn = self._drawn.once((trace_key, key_of(routing)), draw)
        if _load_is_apart(traffic) and traffic.load is not None:
            trace = compress_time(trace, traffic.load)
        return drawn.at(scenario, trace)

    def trace(self, scenario: Scenario) -> ArrivalTrace:
        """Return the arrivals of a scenario before they are compressed by its load."""

        def draw() -> ArrivalTrace:
            traffic = scenario.file.traffic
            if _load_is_apart(traffic):
                traffic = traffic.model_copy(update={"load": None})
            return traffic_trace(traffic, scenario.traffic_files, scenario.seed)

        return self._traces.once(trace_key_of(scenario), draw)

    def hold(self, key: str, trace: ArrivalTrace) -> None:
        """Take arrivals that were drawn elsewhere."""
        self._traces.once(key, lambda: trace)

    def holds(self, key: str) -> bool:
        """Return whether arrivals are here."""
        return key in self._traces


def trace_key_of(scenario: Scenario) -> str:
    """Return what stands for the arrivals of a scenario before its load, as long as no file changes."""
    traffic = source_of(scenario).document.data["traffic"]
    if _load_is_apart(scenario.file.traffic):
        traffic = {name: value for name, value in traffic.items() if name != "load"}
    return key_of(traffic, scenario.seed)


def is_read(scenario: Scenario) -> bool:
    """Return whether the arrivals of a scenario come from files that are read when they are needed."""
    return any(place[-1] != "recipe" for place, _ in files_of(scenario.file.traffic))


def _load_is_apart(traffic: ScaledTraffic) -> bool:
    """Return whether the load does nothing but to compress times: thinning and attributes do not look at them."""
    return traffic.compress_to_qps is None


class Kept(Generic[T]):
    """The values used last, each made once, whichever thread comes first; others wait for it, and only for it."""

    def __init__(self, most: int) -> None:
        self._most, self._lock = most, threading.Lock()
        self._held: OrderedDict[Hashable, _Made[T]] = OrderedDict()

    def __contains__(self, key: Hashable) -> bool:
        return key in self._held

    def once(self, key: Hashable, make: Callable[[], T]) -> T:
        """Return the value under a key, made now if it is not here."""
        with self._lock:
            if key not in self._held:
                self._held[key] = _Made()
                if len(self._held) > self._most:
                    self._held.popitem(last=False)
            self._held.move_to_end(key)
            made = self._held[key]
        return made.value(make)


class _Made(Generic[T]):
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._values: list[T] = []

    def value(self, make: Callable[[], T]) -> T:
        with self._lock:
            if not self._values:
                self._values.append(make())
            return self._values[0]


def packed(trace: ArrivalTrace) -> dict[str, Any]:
    """Return arrivals as what can be sent to another process: see :func:`unpacked`."""
    fields = {name: getattr(trace, name) for name in ArrivalTrace.__dataclass_fields__}
    return {**fields, "attributes": dict(trace.attributes)}


def unpacked(fields: Mapping[str, Any]) -> ArrivalTrace:
    """Return the arrivals that were packed."""
    return ArrivalTrace(**fields)
