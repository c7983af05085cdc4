"""Pieces of a run, added up into a summary."""

from collections import Counter
from collections.abc import Iterator
from decimal import Decimal

import numpy as np

from pipesim.engine.bounds import FullBatches
from pipesim.engine.compiled.flow import NEVER, Flow, Indices, Integers
from pipesim.engine.compiled.jit import kernel
from pipesim.engine.compiled.pieces import Piece, PiecewiseRun
from pipesim.engine.compiled.records import StageRecord, note_arrivals
from pipesim.engine.compiled.server import Batches
from pipesim.engine.compiled.stage import extended
from pipesim.engine.histogram import BUCKETS, DROPPED_BITS, FIRST_BUCKET, Histogram
from pipesim.engine.inputs import EngineInputs, StageInputs, Workload
from pipesim.engine.stages import StageTotals, total_ns
from pipesim.engine.summary import EVERYONE, IntervalTally, Summary, Traffic, condition
from pipesim.errors import invalid
from pipesim.files import InputFile
from pipesim.model import Plan, Scenario
from pipesim.streams import Streams
from pipesim.traces import ArrivalTrace
from pipesim.units import NS_PER_S


def summary_of_pieces(scenario: Scenario, plan: Plan, traces: Iterator[ArrivalTrace], interval_ns: int) -> Summary:
    """Return the summary of a run that is handed its queries piece by piece; there must be at least one piece.

    Raises
    ------
    InvalidInputError
        As :class:`~pipesim.engine.inputs.Workload` does, or if there were too many intervals.
    """
    tally, streams = _Tally(scenario, interval_ns), Streams(scenario.seed)
    run: PiecewiseRun | None = None
    trace = next(traces)
    while True:
        duration_ns, following = trace.duration_ns, None
        for later in traces:
            duration_ns = later.duration_ns
            if len(later):
                following = later
                break
        workload = Workload.of(scenario, trace, streams=streams)
        inputs = workload.engine_inputs(plan)
        run = run or PiecewiseRun(inputs)
        until_ns = NEVER if following is None else int(following.times_ns[0])
        tally.add(workload, inputs, run.advance(inputs, until_ns), is_last=following is None)
        if following is None:
            return tally.summary(plan, inputs, duration_ns)
        trace = following


class _Tally:
    """What has been added up so far."""

    def __init__(self, scenario: Scenario, interval_ns: int) -> None:
        self._scenario, self._interval_ns = scenario, interval_ns
        self._queries = self._left = 0
        self._inputs: tuple[InputFile, ...] = ()
        self._intervals: dict[int, IntervalTally] = {}
        self._finished: Counter[int] = Counter()
        self._stages = [_StageTally() for _ in scenario.pipeline.stages]
        self._concerned = [np.zeros(0, dtype=bool) for _ in scenario.slos]

    def add(self, workload: Workload, inputs: EngineInputs, piece: Piece, *, is_last: bool) -> None:
        """Add what happened with one piece more."""
        self._queries += inputs.queries
        self._inputs = workload.trace.inputs
        for stage, tally, record, shift in zip(inputs.stages, self._stages, piece.records, piece.shifts, strict=True):
            tally.add(stage, record, shift)
        self._concerned = [
            extended(kept, self._left, workload.concerned(slo))
            for kept, slo in zip(self._concerned, self._scenario.slos, strict=True)
        ]
        self._left = piece.queries
        self._add_queries(piece, is_last=is_last)

    def _add_queries(self, piece: Piece, *, is_last: bool) -> None:
        if not piece.queries:
            return
        latency_ns = piece.finish_ns - piece.arrival_ns
        first = 0
        while first < piece.queries:
            number = int(piece.arrival_ns[first]) // self._interval_ns
            last = int(np.searchsorted(piece.arrival_ns, (number + 1) * self._interval_ns))
            self._add_interval(number, slice(first, last), latency_ns[first:last])
            first = last
        finished = piece.finish_ns // self._interval_ns
        if is_last:  # what is left over may take as long as it will: it goes to the interval after the last arrival
            finished = np.minimum(finished, int(piece.arrival_ns[-1]) // self._interval_ns + 1)
        numbers, counts = np.unique(finished, return_counts=True)
        self._finished.update(dict(zip(numbers.tolist(), counts.tolist(), strict=True)))

    def _add_interval(self, number: int, chosen: slice, latency_ns: Integers) -> None:
        slos = self._scenario.slos
        if number not in self._intervals:
            for histogram in self._intervals[max(self._intervals)].latency.values() if self._intervals else ():
                histogram.pack()
            classes = {EVERYONE, *map(condition, slos)}
            self._intervals[number] = IntervalTally({who: Histogram() for who in classes}, [0] * len(slos))
        tally = self._intervals[number]
        _count(latency_ns, tally.latency[EVERYONE])
        added = {EVERYONE}
        for place, slo in enumerate(slos):
            who, concerned = condition(slo), self._concerned[place][chosen]
            if who not in added:
                _count(latency_ns[concerned], tally.latency[who])
                added.add(who)
            tally.misses[place] += int(np.count_nonzero((latency_ns > slo.bound_ns) & concerned))

    def summary(self, plan: Plan, last: EngineInputs, duration_ns: int) -> Summary:
        """Return the summary; nothing can be added afterwards."""
        for slo in self._scenario.slos:
            who = condition(slo)
            if self._queries and not any(tally.latency[who].count for tally in self._intervals.values()):
                raise invalid("slo.where", dict(slo.where), "holds for no query of the traffic", "check the values")
        return Summary(
            self._scenario,
            plan,
            Traffic(self._queries, duration_ns, self._inputs),
            self._interval_ns,
            self._intervals,
            dict(self._finished),
            [
                tally.totals(stage, self._queries, duration_ns)
                for tally, stage in zip(self._stages, last.stages, strict=True)
            ],
        )


def _count(times_ns: Integers, histogram: Histogram) -> None:
    """Count times, not negative, into a histogram."""
    counts = np.zeros(BUCKETS, np.int64)
    histogram.add_counted(counts, *_count_times(times_ns, counts))


@kernel
def _count_times(times_ns: Integers, counts: Integers) -> tuple[int, int, int, int, int]:
    """Count times by bucket; return the first and last bucket, the sums of high and low halves, and the largest."""
    first, last, high, low, largest = BUCKETS, -1, 0, 0, -1
    for place in range(times_ns.size):
        time = times_ns[place]
        number = int(np.float64(time + 1).view(np.int64) >> DROPPED_BITS) - FIRST_BUCKET
        counts[number] += 1
        first, last = min(first, number), max(last, number)
        high, low = high + (time >> 32), low + (time & 0xFFFFFFFF)
        largest = max(largest, time)
    return first, last, high, low, largest


@kernel
def _note_queue_delays(
    batches: Batches, first_batch: int, served: Indices, arrival_ns: Integers, delay_ns: Integers
) -> None:
    """Write how long items waited, in order of service, from the items of one batch on."""
    begin = batches.end[first_batch - 1] if first_batch else 0
    first = begin
    for batch in range(first_batch, batches.end.size):
        for place in range(first, batches.end[batch]):
            delay_ns[place - begin] = batches.start_ns[batch] - arrival_ns[served[place]]
        first = batches.end[batch]


@kernel
def _count_queue_delays_in_order(
    batches: Batches, first_batch: int, arrivals: Flow, counts: Integers
) -> tuple[int, int, int, int, int]:
    """Count how long items waited, as :func:`_count_times`, where they are served in order of arrival.

    Items of one group and one batch waited alike and are counted together.
    """
    first, last, high, low, largest = BUCKETS, -1, 0, 0, -1
    place = batches.end[first_batch - 1] if first_batch else 0
    batch = first_batch
    for group in range(arrivals.at_ns.size):
        while place < arrivals.end[group] and batch < batches.end.size:
            stop = min(arrivals.end[group], batches.end[batch])
            time = batches.start_ns[batch] - arrivals.at_ns[group]
            number = int(np.float64(time + 1).view(np.int64) >> DROPPED_BITS) - FIRST_BUCKET
            counts[number] += stop - place
            first, last = min(first, number), max(last, number)
            high, low = high + (time >> 32) * (stop - place), low + (time & 0xFFFFFFFF) * (stop - place)
            largest = max(largest, time)
            place = stop
            batch += stop == batches.end[batch]
    return first, last, high, low, largest


class _StageTally:
    """What one stage has done so far."""

    def __init__(self) -> None:
        self._visits = self._items = self._batches = self._busy_ns = self._service_ns = 0
        self._waits, self._full = Histogram(), FullBatches()
        self._arrival_ns = np.zeros(0, np.int64)
        self._record: StageRecord | None = None

    def add(self, stage: StageInputs, record: StageRecord, shift: int) -> None:
        """Add what happened with one piece more; `shift` items are not kept any more."""
        new = slice(record.carried, None)
        sizes = record.batches.size[new].astype(np.int64)
        counts = np.zeros(BUCKETS, np.int64)
        if stage.dispatch == "central":
            counted = _count_queue_delays_in_order(record.batches, record.carried, record.arrivals, counts)
        else:
            self._arrival_ns = extended(self._arrival_ns, shift, np.empty(stage.items, np.int64))
            note_arrivals(record.arrivals, self._arrival_ns)
            waits_ns = np.empty(int(sizes.sum()), np.int64)
            _note_queue_delays(record.batches, record.carried, record.served, self._arrival_ns, waits_ns)
            counted = _count_times(waits_ns, counts)
        self._waits.add_counted(counts, *counted)
        service_ns = record.batches.finish_ns[new] - record.batches.start_ns[new]
        self._visits += stage.routes.visits
        self._items += stage.items
        self._batches += sizes.size
        self._busy_ns += total_ns(service_ns)
        self._service_ns += total_ns(np.repeat(service_ns, sizes))
        self._full.add(stage)
        self._record = record

    def totals(self, stage: StageInputs, queries: int, duration_ns: int) -> StageTotals:
        """Return the totals of a trace of so many queries and so long, with the last piece of the stage."""
        return StageTotals(
            self._visits,
            self._items,
            self._batches,
            self._busy_ns - self._overtime_ns(duration_ns),
            self._waits.sum_ns,
            self._service_ns,
            self._waits.quantile_ns(Decimal("0.99")) if self._items else None,
            self._throughput_qps(stage, queries),
        )

    def _overtime_ns(self, end_ns: int) -> int:
        """Return the time for which replicas were busy after the trace, which only the last piece can know."""
        assert self._record is not None
        start_ns, finish_ns, *_ = self._record.batches
        return total_ns((finish_ns - np.maximum(start_ns, end_ns))[finish_ns > end_ns])

    def _throughput_qps(self, stage: StageInputs, queries: int) -> float:
        if stage.policy == "window" and self._items:
            return stage.replicas * queries / (self._busy_ns / NS_PER_S)
        return stage.replicas * self._full.throughput_qps(stage, queries)
