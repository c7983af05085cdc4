"""A simulation as a timeline that Perfetto and chrome://tracing open: batches on replicas, and queues.

The format is the Trace Event Format: "Trace Event Format", Google, 2016, sections "Complete events", "Counter events"
and "Metadata events". Each stage is a process and each replica a thread of it; a batch is a complete event (``X``), the
items at a stage are counters (``C``). Times are microseconds since the trace began, with the nanoseconds as decimals.
"""

import json
from collections.abc import Iterator
from importlib.metadata import version
from typing import Any

import numpy as np
import numpy.typing as npt

from pipesim.engine import SimulationResult, StageRun
from pipesim.engine.routing import StageRoutes
from pipesim.errors import invalid
from pipesim.units import NS_PER_S, format_duration

Integers = npt.NDArray[np.int64]

MAX_EVENTS = 1_000_000
"""The most events of a timeline, some 150 MB: what a browser can still open."""


def timeline(result: SimulationResult, *, from_s: float = 0.0, to_s: float | None = None) -> Iterator[str]:
    """Yield a simulation as the text of a Trace Event file, in parts.

    Every batch that is being served at some time of the window is in it, whole. Counters ``waiting`` (items that have
    arrived and not started) and ``in service`` begin with what they are at its start; each value holds until the next.

    Parameters
    ----------
    result
        What happened.
    from_s, to_s
        The window, in seconds since the trace began: from the one, to before the other; to the end if that is None.

    Raises
    ------
    InvalidInputError
        At the call, if the window is empty, begins after all is over, or holds more than 1,000,000 events.
    """
    end_ns = max(
        (int(run.batch_finish_ns.max()) for run in result.run.stages if run.batch_finish_ns.size),
        default=result.traffic.duration_ns,
    )
    first_ns = _checked(from_s, "from_s")
    last_ns = max(end_ns, first_ns) + 1 if to_s is None else _checked(to_s, "to_s")
    if not last_ns > first_ns:
        raise invalid("to_s", to_s, "is not after the start of the window", "give a later time")
    if first_ns > end_ns:
        raise invalid("from_s", from_s, "is after all is over", f"the last batch ends after {format_duration(end_ns)}")
    stages = [
        _Stage(name, routes, run, first_ns, last_ns)
        for name, routes, run in zip(
            result.workload.routes.names, result.workload.routes.stages, result.run.stages, strict=True
        )
    ]
    events = sum(stage.events for stage in stages) + 2 * sum(one.replicas for one in result.plan.stages.values())
    if events > MAX_EVENTS:
        rule = f"holds {events:,} events, more than the {MAX_EVENTS:,} that a browser can open"
        window = f"{format_duration(first_ns)} to {format_duration(min(last_ns, end_ns))}"
        raise invalid("to_s", window, rule, "take a shorter part of the trace")
    return _parts(result, stages)


def _checked(value_s: float, where: str) -> int:
    if not 0 <= value_s < float("inf"):
        raise invalid(where, value_s, "is not allowed", "use a time from 0")
    return round(value_s * NS_PER_S)


def _parts(result: SimulationResult, stages: "list[_Stage]") -> Iterator[str]:
    scenario = result.scenario
    about: dict[str, Any] = {
        "pipesim_version": version("pipesim"),
        "scenario": scenario.name,
        "seed": scenario.seed,
        "inputs": {file.name: file.sha256 for file in (*scenario.inputs, *result.traffic.inputs)},
    }
    yield f'{{"displayTimeUnit":"ms","otherData":{_json(about)},"traceEvents":[\n'
    thread, separator = len(stages), ""  # threads are numbered through, since some readers take them so
    for process, stage in enumerate(stages, 1):
        chosen = result.plan.stages[stage.name]
        label = f"{stage.name}: {chosen.replicas} x {chosen.hardware}, batch <= {chosen.max_batch_size}"
        for text in stage.written(process, thread + 1, chosen.replicas, label):
            yield f"{separator}{text}"
            separator = ",\n"
        thread += chosen.replicas
    yield "\n]}\n"


class _Stage:
    """What of a stage lies in the window, in numbers."""

    def __init__(self, name: str, routes: StageRoutes, run: StageRun, first_ns: int, last_ns: int) -> None:
        self.name, self._run = name, run
        self._batches = np.flatnonzero((run.batch_start_ns < last_ns) & (run.batch_finish_ns > first_ns))
        order = np.argsort(run.batch, kind="stable")
        begins = np.searchsorted(run.batch[order], np.arange(run.batch_size.size))
        wait_ns = (run.start_ns - run.arrival_ns)[order]
        empty = np.zeros(0, dtype=np.int64)
        self._first_query = np.minimum.reduceat(routes.query_of_item[order], begins) if begins.size else empty
        self._longest_ns = np.maximum.reduceat(wait_ns, begins) if begins.size else empty
        self._waiting = _level(run.arrival_ns, run.start_ns, first_ns, last_ns)
        self._in_service = _level(run.start_ns, run.finish_ns, first_ns, last_ns)

    @property
    def events(self) -> int:
        """Return how many batches and changes of a counter there are."""
        return int(self._batches.size + self._waiting[0].size + self._in_service[0].size)

    def written(self, process: int, first_thread: int, replicas: int, label: str) -> Iterator[str]:
        """Yield the events: names, batches in their order, then counters."""
        yield _named("process_name", process, 0, {"name": label})
        yield _named("process_sort_index", process, 0, {"sort_index": process})
        for replica in range(replicas):
            yield _named("thread_name", process, first_thread + replica, {"name": f"{self.name} {replica}"})
            yield _named("thread_sort_index", process, first_thread + replica, {"sort_index": replica})
        run, chosen = self._run, self._batches
        for batch, start, finish, replica, size, query, longest in zip(
            *(
                column.tolist()
                for column in (
                    chosen, run.batch_start_ns[chosen], run.batch_finish_ns[chosen], run.batch_replica[chosen],
                    run.batch_size[chosen], self._first_query[chosen], self._longest_ns[chosen],
                )
            ),
            strict=True,
        ):  # fmt: skip
            yield (
                f'{{"ph":"X","pid":{process},"tid":{first_thread + replica},"ts":{_microseconds(start)},'
                f'"dur":{_microseconds(finish - start)},"cat":"batch","name":"batch of {size}",'
                f'"args":{{"batch":{batch},"size":{size},"first_query":{query},"longest_wait_us":{_microseconds(longest)}}}}}'
            )
        for name, (at, level) in (("waiting", self._waiting), ("in service", self._in_service)):
            for time, items in zip(at.tolist(), level.tolist(), strict=True):
                yield (
                    f'{{"ph":"C","pid":{process},"tid":0,"ts":{_microseconds(time)},"name":"{name}",'
                    f'"args":{{"items":{items}}}}}'
                )


def _level(up_ns: Integers, down_ns: Integers, first_ns: int, last_ns: int) -> tuple[Integers, Integers]:
    """Return when a level changes within a window, its start first, and what it is from then on."""
    instants, where = np.unique(np.concatenate((up_ns, down_ns)), return_inverse=True)
    steps = np.concatenate((np.ones(up_ns.size, np.int64), -np.ones(down_ns.size, np.int64)))
    level = np.cumsum(np.bincount(where, steps, instants.size).astype(np.int64))
    before = int(np.searchsorted(instants, first_ns, side="right"))
    at_start = int(level[before - 1]) if before else 0
    inside = slice(before, int(np.searchsorted(instants, last_ns)))
    times, levels = np.append(first_ns, instants[inside]), np.append(at_start, level[inside])
    changed = np.append(True, levels[1:] != levels[:-1])
    return times[changed].astype(np.int64), levels[changed].astype(np.int64)


def _named(kind: str, process: int, thread: int, arguments: dict[str, Any]) -> str:
    return f'{{"ph":"M","pid":{process},"tid":{thread},"name":"{kind}","args":{_json(arguments)}}}'


def _microseconds(time_ns: int) -> str:
    """Return nanoseconds as microseconds, all digits kept."""
    whole, rest = divmod(time_ns, 1000)
    return f"{whole}.{rest:03d}" if rest else str(whole)


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=True, separators=(",", ":"))
