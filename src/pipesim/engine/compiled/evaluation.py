"""Plans put to the test one after the other, as cheaply as possible, and parts of plans too.

When items leave a stage depends on the settings of that stage and of those upstream of it alone. So

* what earlier plans have in common with a plan is not run again;
* some stages of a plan, with all that feed them, can be tested alone: if they make too many queries miss, no plan that
  has these settings is feasible, whatever its other stages run on;
* a batch limit that was never reached can be any other that would not be reached either, and replicas that were never
  all busy can be any number that would have been enough.

A query is late as soon as one of its items finishes so late that even the shortest way from there to the end (see
:func:`pipesim.engine.propagation.ways_out_ns`) takes too long, and a run stops as soon as too many are.
"""

import threading
from collections import OrderedDict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from pipesim.engine.compiled.flow import AT_ONCE, NEVER, Flow, Indices, Integers, joined_flows, note_ends
from pipesim.engine.compiled.jit import kernel
from pipesim.engine.compiled.server import Batches, note_finishes
from pipesim.engine.compiled.stage import RunningStage, serve
from pipesim.engine.compiled.whole import arrivals_at
from pipesim.engine.deliveries import NONE
from pipesim.engine.inputs import MissLimit, StageInputs, Workload
from pipesim.engine.propagation import ways_out_ns
from pipesim.model import StagePlan

MAX_KEPT_BYTES = 512 << 20
"""How much is kept of earlier tests, if nothing else is said."""
_CHECKS = (1 / 16, 1 / 4)
"""Shares of a stage's arrivals after which its run may stop."""
_MIN_GROUPS = 1024
"""With fewer arrivals a stage is run at once."""

Part = Sequence[tuple[int, StagePlan]]
"""Some stages, by their place in topological order, and their settings; each comes after those that feed it."""
Key = int
"""Stands for what leaves a stage: for its setting, as far as it matters, and for what leaves those that feed it."""


@dataclass(frozen=True, slots=True)
class Trial:
    """What came of a test.

    Parameters
    ----------
    passed
        Whether no more queries are known to miss than the objectives allow.
    keys
        If so, what stands for the departures of each stage of the part: parts with equal keys fare equally.
    """

    passed: bool
    keys: tuple[Key, ...] = ()


_FAILED = Trial(passed=False)


class _Reach(NamedTuple):
    """How a run fared, and for which other settings it would have been the same."""

    passed: bool
    replicas: int
    """As many as it had; or, if they were never all busy, the fewest that would not have been too few."""
    spares_replicas: bool
    limit: int
    """The batch limit that it had; or, if that played no part, the least that would have played none."""
    spares_limit: bool

    def covers(self, setting: StagePlan) -> bool:
        """Return whether the run is the same with another setting on the same hardware."""
        replicas, limit = setting.replicas, setting.max_batch_size
        return (replicas == self.replicas or (self.spares_replicas and replicas > self.replicas)) and (
            limit == self.limit or (self.spares_limit and limit > self.limit)
        )


class Trials:
    """Tests of plans, and of parts of plans, on one workload. Threads may share it.

    Parameters
    ----------
    workload
        What every plan is put through.
    limits
        How many queries may miss.
    least_service_ns
        For every stage in topological order, shape ``(items,)``, int64: a time below which no item is served, on any of
        the settings that are tested.
    max_bytes
        How much is kept of earlier tests.
    """

    def __init__(
        self,
        workload: Workload,
        limits: Sequence[MissLimit],
        least_service_ns: Sequence[Integers],
        max_bytes: int = MAX_KEPT_BYTES,
    ) -> None:
        self._workload, self._limits = workload, limits
        self._arrival_ns, self._deliveries = workload.trace.times_ns, workload.deliveries
        self._ways_ns = ways_out_ns(workload.deliveries, least_service_ns)
        self._kept = _Kept(max_bytes)
        self._numbers: dict[Hashable, Key] = {}
        self._numbering = threading.Lock()
        self._alone: dict[Hashable, list[_Reach]] = {}
        self._together: dict[Hashable, list[_Reach]] = {}
        self._inputs: dict[tuple[int, StagePlan], StageInputs] = {}

    def test(self, part: Part) -> Trial:
        """Return what comes of a plan, or of a part of one.

        A part that fails is part of no feasible plan. A whole plan that passes is feasible.
        """
        keys: tuple[Key, ...] = ()
        key_of: dict[int, Key] = {}
        for turn, (stage, setting) in enumerate(part):
            feeding = tuple(key_of[one] for one in self._deliveries.stages[stage].upstream)
            reach = _known(self._together, (stage, setting.hardware, keys), setting)
            if reach is None:
                reach = self._try(part[: turn + 1], feeding, keys)
            if not reach.passed:
                return _FAILED
            key_of[stage] = self._key(stage, setting, reach, feeding)
            keys = (*keys, key_of[stage])
        return Trial(True, keys)

    def finish_ns(self, plan: Part) -> Integers:
        """Return when each query ends under a whole plan, shape ``(queries,)``, int64, however many miss."""
        flows: dict[int, Flow] = {}
        ended_ns = self._arrival_ns.copy()
        for stage, setting in plan:
            flows[stage] = self._departures(stage, setting, flows)
            note_ends(flows[stage], self._deliveries.query_of_item[stage], AT_ONCE, ended_ns, NONE)
        return ended_ns

    def is_missed(self, ended_ns: Integers) -> bool:
        """Return whether too many queries miss if they end at these times."""
        latency_ns = ended_ns - self._arrival_ns
        return any(limit.is_missed(latency_ns) for limit in self._limits)

    def _key(self, stage: int, setting: StagePlan, reach: _Reach, feeding: tuple[Key, ...]) -> Key:
        with self._numbering:
            what = stage, setting.hardware, reach.replicas, reach.limit, feeding
            return self._numbers.setdefault(what, len(self._numbers))

    def _try(self, part: Part, feeding: tuple[Key, ...], keys: tuple[Key, ...]) -> _Reach:
        """Find out, and note, how the last stage of a part fares."""
        stage, setting = part[-1]
        flows: dict[int, Flow] = {}
        ended_ns = self._ended_ns(part[:-1], keys, flows).copy()
        alone = stage, setting.hardware, feeding
        reach = _known(self._alone, alone, setting)
        kept = None if reach is None else self._kept.get(self._key(stage, setting, reach, feeding))
        if reach is not None and kept is not None:
            query_of_item, way_ns = self._deliveries.query_of_item[stage], self._ways_ns[stage]
            note_ends(Flow(*kept), query_of_item, way_ns, ended_ns, NONE)
            reach = reach._replace(passed=not self.is_missed(ended_ns))
        else:
            for one in self._deliveries.stages[stage].upstream:
                self._flow(one, part, keys, flows)
            flow, largest, busiest = self._run(stage, setting, flows, ended_ns)
            reach = self._reach(stage, setting, largest, busiest, passed=flow is not None)
            if flow is not None:
                self._kept.keep(self._key(stage, setting, reach, feeding), tuple(flow))
                self._alone.setdefault(alone, []).append(reach)
        # All stages of a part together can fail where each would pass, so this holds after the same ones only.
        together = stage, setting.hardware, keys
        self._together.setdefault(together, []).append(reach)
        if reach.passed:
            self._kept.keep((*keys, self._key(stage, setting, reach, feeding)), (ended_ns,))
        return reach

    def _reach(self, stage: int, setting: StagePlan, largest: int, busiest: int, *, passed: bool) -> _Reach:
        spec = self._workload.scenario.pipeline.stages[self._workload.routes.names[stage]]
        # Only with one queue for all does it make no difference which replicas there are that never serve.
        spares_replicas = spec.dispatch == "central" and busiest < setting.replicas
        spares_limit = largest < setting.max_batch_size
        # A batch that just reaches its limit starts as it would without, unless it waits to be full.
        only_cuts = spec.batching.policy == "greedy" and spec.batching.max_queue_delay_ns == 0
        return _Reach(
            passed,
            max(1, busiest) if spares_replicas else setting.replicas,
            spares_replicas,
            max(1, largest if only_cuts else largest + 1) if spares_limit else setting.max_batch_size,
            spares_limit,
        )

    def _ended_ns(self, part: Part, keys: tuple[Key, ...], flows: dict[int, Flow]) -> Integers:
        """Return before when no query ends, given what leaves the stages of a part."""
        if not part:
            return self._arrival_ns
        kept = self._kept.get(keys)
        if kept is not None:
            return np.asarray(kept[0])
        ended_ns = self._ended_ns(part[:-1], keys[:-1], flows).copy()
        stage = part[-1][0]
        note_ends(
            self._flow(stage, part, keys, flows), self._deliveries.query_of_item[stage], self._ways_ns[stage], ended_ns,
            NONE,
        )  # fmt: skip
        self._kept.keep(keys, (ended_ns,))
        return ended_ns

    def _flow(self, stage: int, part: Part, keys: tuple[Key, ...], flows: dict[int, Flow]) -> Flow:
        """Return what leaves a stage of a part; it is run again if it has been let go of."""
        if stage not in flows:
            turn = next(turn for turn, (one, _) in enumerate(part) if one == stage)
            kept = self._kept.get(keys[turn])
            if kept is None:
                for one in self._deliveries.stages[stage].upstream:
                    self._flow(one, part, keys, flows)
                kept = tuple(self._departures(stage, part[turn][1], flows))
                self._kept.keep(keys[turn], kept)
            flows[stage] = Flow(*kept)
        return flows[stage]

    def _departures(self, stage: int, setting: StagePlan, flows: Mapping[int, Flow]) -> Flow:
        arrivals = arrivals_at(stage, self._deliveries, flows)
        return serve(self._stage_inputs(stage, setting), arrivals).departures().copied()

    def _run(
        self, stage: int, setting: StagePlan, flows: Mapping[int, Flow], ended_ns: Integers
    ) -> tuple[Flow | None, int, int]:
        """Return what leaves a stage, or None if too many queries miss.

        And until that was clear, the largest batch and the most replicas that were busy at a time.
        """
        running = RunningStage(inputs := self._stage_inputs(stage, setting))
        running.extend(inputs)
        arrivals = arrivals_at(stage, self._deliveries, flows)
        departures: list[Flow] = []
        largest = busiest = 0
        for until_ns in _checks(arrivals):
            piece, arrivals = arrivals.split(until_ns)
            record = running.serve(piece, until_ns)
            query_of_item = self._deliveries.query_of_item[stage]
            note_finishes(record.batches, record.served, query_of_item, self._ways_ns[stage], ended_ns)
            largest = max(largest, int(record.batches.size.max(initial=0)))
            busiest = max(busiest, _most_busy(record.batches, record.order, record.carried))
            if self.is_missed(ended_ns):
                return None, largest, busiest
            departures.append(record.departures())
        departures = [one for one in departures if one.item.size] or departures[:1]
        return joined_flows(departures).copied(), largest, busiest

    def _stage_inputs(self, stage: int, setting: StagePlan) -> StageInputs:
        if (stage, setting) not in self._inputs:
            self._inputs[stage, setting] = self._workload.stage_inputs(self._workload.routes.names[stage], setting)
        return self._inputs[stage, setting]


def _known(reached: Mapping[Hashable, list[_Reach]], name: Hashable, setting: StagePlan) -> _Reach | None:
    return next((reach for reach in tuple(reached.get(name, ())) if reach.covers(setting)), None)


@kernel
def _most_busy(batches: Batches, order: Indices, carried: int) -> int:
    """Return the most batches that were in service at a time, of a run up to an instant or its end."""
    most = finished = 0
    for batch in range(carried, batches.end.size):
        start_ns = batches.start_ns[batch]
        while finished < order.size and batches.finish_ns[order[finished]] <= start_ns:
            finished += 1
        most = max(most, batch + 1 - finished)
    return most


def _checks(arrivals: Flow) -> Iterable[int]:
    """Return the instants at which a run over these arrivals is looked at."""
    groups = arrivals.at_ns.size
    if groups < _MIN_GROUPS:
        return (NEVER,)
    return (*(int(arrivals.at_ns[int(groups * share)]) for share in _CHECKS), NEVER)


class _Kept:
    """Arrays kept in bounded memory: the least recently used go first. Threads may share it."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._kept: OrderedDict[Hashable, tuple[npt.NDArray[Any], ...]] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def get(self, key: Hashable) -> tuple[npt.NDArray[Any], ...] | None:
        """Return what is kept."""
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
            return self._kept.get(key)

    def keep(self, key: Hashable, arrays: tuple[npt.NDArray[Any], ...]) -> None:
        """Keep arrays, and let go of what was not used for longest if that is too much."""
        with self._lock:
            if key in self._kept:
                return
            self._kept[key] = arrays
            self._bytes += sum(array.nbytes for array in arrays)
            while self._bytes > self._max_bytes:
                _, oldest = self._kept.popitem(last=False)
                self._bytes -= sum(array.nbytes for array in oldest)
