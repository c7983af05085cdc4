"""A run piece by piece is the run of the whole."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipesim.engine import Run, Workload, run_reference
from pipesim.engine.compiled.flow import NEVER
from pipesim.engine.compiled.pieces import Piece, PiecewiseRun
from pipesim.streams import Streams
from strategies import Case, cases
from test_parity import PARITY


def run_in_pieces(case: Case, cuts: list[int]) -> list[Piece]:
    """Return what happens when the trace is cut before these queries."""
    streams, query = Streams(case.scenario.seed), np.arange(len(case.trace))
    bounds = [0, *sorted(cuts), len(case.trace)]
    pieces: list[Piece] = []
    run = None
    for first, last in pairwise(bounds):
        trace = case.trace.selected((first <= query) & (query < last))
        inputs = Workload.of(case.scenario, trace, streams=streams).engine_inputs(case.plan)
        run = run or PiecewiseRun(inputs)
        until_ns = int(case.trace.times_ns[last]) if last < len(case.trace) else NEVER
        pieces.append(run.advance(inputs, until_ns))
    return pieces


def assert_pieces_make_up(pieces: list[Piece], whole: Run) -> None:
    finish_ns = np.concatenate([piece.finish_ns for piece in pieces])
    assert np.array_equal(finish_ns, whole.finish_ns)
    for stage, run in enumerate(whole.stages):
        columns = []
        for piece in pieces:
            record = piece.records[stage]
            start_ns, finish_ns, replica, _ = (column[record.carried :] for column in record.batches)
            columns.append(np.stack([start_ns, finish_ns, replica, record.batches.size[record.carried :]]))
        batches = np.concatenate(columns, axis=1)
        batches = batches[:, np.lexsort((batches[2], batches[0]))]
        expected = [run.batch_start_ns, run.batch_finish_ns, run.batch_replica, run.batch_size]
        assert np.array_equal(batches, np.stack(expected))


@PARITY
@given(cases(), st.lists(st.integers(0, 40), max_size=4))
def test_pieces_make_up_the_whole(case: Case, cuts: list[int]) -> None:
    cuts = [cut for cut in cuts if cut <= len(case.trace)]
    assert_pieces_make_up(run_in_pieces(case, cuts), run_reference(case.inputs))


@pytest.mark.slow
@PARITY
@given(cases())
def test_every_query_may_be_a_piece_of_its_own(case: Case) -> None:
    assert_pieces_make_up(run_in_pieces(case, list(range(1, len(case.trace)))), run_reference(case.inputs))
