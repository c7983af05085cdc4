"""Chunks of rows handed to an executor, and their results as they come in, whatever happens to its workers.

A process that lacks what the rows have in common says so, and then it is delivered: about once to each, with any
executor, however it places its tasks. When a pool of processes breaks because one of them died, the chunks that were
not finished are handed to a new pool, and this again until :data:`MAX_BREAKS` pools in a row have finished nothing. A
cluster begins its own workers anew; what it gives up is an error.
"""

import multiprocessing
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import (
    FIRST_COMPLETED,
    BrokenExecutor,
    CancelledError,
    Executor,
    Future,
    ProcessPoolExecutor,
    ThreadPoolExecutor,
    wait,
)
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from typing import Any, Literal
from uuid import uuid4

from pipesim.engine import available_cores
from pipesim.errors import PipesimError, invalid
from pipesim.traces import ArrivalTrace
from pipesim.whatif.evaluation import Base, Missing, Row, deliver, evaluate
from pipesim.whatif.workloads import packed

Pool = Executor | Literal["threads", "processes"]
MAX_BREAKS = 3
"""How many pools in a row may break before a chunk is finished."""
MAX_DELIVERIES = 100
"""How often a process may lack something, in one sweep."""
_PAUSE_S = 0.002
"""How long to wait before a chunk is handed over again, while what its process lacked is on its way."""
_AHEAD = 3
"""How many chunks are handed over for each worker, of which one is being worked on."""
_UNKNOWN_WORKERS = 64
"""For how many workers chunks are handed over where an executor does not tell how many it has."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """Rows that one task evaluates.

    Parameters
    ----------
    numbers, rows
        The rows, and their places in the sweep.
    traces
        The keys of the arrivals that must be sent to a worker in another process.
    """

    numbers: tuple[int, ...]
    rows: tuple[Row, ...]
    traces: tuple[str, ...]


def results(
    sweep: str,
    base: Base,
    chunks: Sequence[Chunk],
    trace: Callable[[str], ArrivalTrace],
    executor: Pool,
    workers: int | None,
) -> Iterator[tuple[Chunk, list[dict[str, Any]]]]:
    """Yield each chunk and what is told of its rows, in the order in which they are finished.

    Parameters
    ----------
    sweep
        The key of the sweep.
    base
        What all rows have in common.
    chunks
        What is to be done.
    trace
        Returns the arrivals with a key.
    executor
        What runs them.
    workers
        How many threads or processes a pool of ours has.

    Raises
    ------
    PipesimError
        If the workers die again and again, or the executor gives up.
    RowError
        For a row that cannot be evaluated.
    """
    left = dict(enumerate(chunks))
    breaks, pool = 0, executor
    while left:
        before = len(left)
        with _opened(pool, workers) as opened:
            try:
                for number, found in _from_pool(sweep, base, left, trace, opened):
                    yield left.pop(number), found
            except BrokenExecutor as error:
                breaks = 1 if len(left) < before else breaks + 1
                if breaks >= MAX_BREAKS:
                    rows = ", ".join(str(number) for chunk in left.values() for number in chunk.numbers)
                    raise PipesimError(
                        f"what_if: the workers died {breaks} times in a row with these rows left: {rows[:200]}; "
                        "give them more memory, or run these rows alone"
                    ) from error
                pool, workers = _successor(pool, opened, workers)
            except Exception as error:
                if not _is_given_up(error):
                    raise
                raise PipesimError(
                    f"what_if: the executor gave up with {len(left)} of {len(chunks)} parts left; see what became of "
                    "its workers, and ask again, with out to go on from what is finished"
                ) from error


def _is_given_up(error: Exception) -> bool:
    """Return whether an executor says that it will not do a task: Dask names it so if all its workers died of it."""
    return isinstance(error, CancelledError) or type(error).__name__ == "KilledWorker"


def _from_pool(
    sweep: str, base: Base, left: dict[int, Chunk], trace: Callable[[str], ArrivalTrace], pool: Executor
) -> Iterator[tuple[int, list[dict[str, Any]]]]:
    """Yield the number of each chunk, and what is told of its rows."""
    is_here = isinstance(pool, ThreadPoolExecutor)
    most = _AHEAD * (getattr(pool, "_max_workers", None) or _UNKNOWN_WORKERS)
    waiting, calls = deque(left.items()), (f"{uuid4().hex}-{number}" for number in count())
    running: dict[Future[list[dict[str, Any]] | Missing], tuple[int, Chunk]] = {}
    on_their_way: dict[Future[None], str] = {}
    deliveries: Counter[str] = Counter()
    try:
        while waiting or running:
            while waiting and len(running) < most:
                number, chunk = waiting.popleft()
                task = pool.submit(evaluate, next(calls), sweep, chunk.rows, () if is_here else chunk.traces)
                running[task] = number, chunk
            outstanding: list[Future[Any]] = [*running, *on_their_way]
            done = wait(outstanding, return_when=FIRST_COMPLETED).done
            for delivered in [one for one in on_their_way if one in done]:
                del on_their_way[delivered]
                delivered.result()
            for task in [one for one in running if one in done]:
                number, chunk = running.pop(task)
                found = task.result()
                if not isinstance(found, Missing):
                    yield number, found
                    continue
                waiting.append((number, chunk))
                time.sleep(_PAUSE_S)
                if found.process not in on_their_way.values():
                    deliveries[found.process] += 1
                    if deliveries[found.process] > MAX_DELIVERIES:
                        raise PipesimError("what_if: a worker does not keep what is sent to it; use another executor")
                    traces = {key: packed(trace(key)) for key in chunk.traces}
                    on_their_way[pool.submit(deliver, next(calls), sweep, base, traces)] = found.process
    finally:
        left_over: list[Future[Any]] = [*running, *on_their_way]
        for future in left_over:
            future.cancel()


@contextmanager
def _opened(executor: Pool, workers: int | None) -> Iterator[Executor]:
    """Yield an executor: one that was given, or a pool that ends with this."""
    if isinstance(executor, Executor):
        yield executor
        return
    size = workers or available_cores()
    pool: Executor
    if executor == "threads":
        pool = ThreadPoolExecutor(size)
    elif executor == "processes":
        # Never a bare fork: this process may have threads, whose locks a child would inherit locked.
        methods = multiprocessing.get_all_start_methods()
        context = multiprocessing.get_context("forkserver" if "forkserver" in methods else "spawn")
        pool = ProcessPoolExecutor(size, mp_context=context)
    else:
        raise invalid("executor", executor, "is not an executor", 'use "threads", "processes" or an Executor')
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def _successor(executor: Pool, broken: Executor, workers: int | None) -> tuple[Pool, int | None]:
    """Return what a broken executor is replaced by: of processes that somebody else began, as many of ours."""
    if not isinstance(executor, Executor):
        return executor, workers
    return "processes", getattr(broken, "_max_workers", None) or workers
