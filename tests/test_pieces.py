"""A run piece by piece is the run of the whole."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from build import MS, make_plan, make_scenario, make_trace
from pipesim.engine import Run, Workload, run_reference
from pipesim.engine.compiled.flow import NEVER
from pipesim.engine.compiled.pieces import Piece, PiecewiseRun
from pipesim.errors import InvalidInputError
from pipesim.model import Scenario
from pipesim.streams import Streams
from strategies import Case, cases
from test_parity import PARITY


def run_in_pieces(case: Case, cuts: list[int], scenario: Scenario | None = None) -> list[Piece]:
    """Return what happens when the trace is cut before these queries."""
    scenario = scenario or case.scenario
    streams, query = Streams(scenario.seed), np.arange(len(case.trace))
    bounds = [0, *sorted(cuts), len(case.trace)]
    pieces: list[Piece] = []
    run = None
    for first, last in pairwise(bounds):
        trace = case.trace.selected((first <= query) & (query < last))
        inputs = Workload.of(scenario, trace, streams=streams).engine_inputs(case.plan)
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


delays = st.sampled_from([4, 60, 100_000])


@settings(PARITY, max_examples=200)
@given(delays.flatmap(lambda delay: cases(longest_delay=delay)), st.lists(st.integers(0, 40), max_size=4))
def test_pieces_make_up_the_whole(case: Case, cuts: list[int]) -> None:
    cuts = [cut for cut in cuts if cut <= len(case.trace)]
    assert_pieces_make_up(run_in_pieces(case, cuts), run_reference(case.inputs))


@settings(PARITY, max_examples=150)
@given(delays.flatmap(lambda delay: cases(longest_delay=delay)))
def test_every_query_may_be_a_piece_of_its_own(case: Case) -> None:
    assert_pieces_make_up(run_in_pieces(case, list(range(1, len(case.trace)))), run_reference(case.inputs))


@pytest.mark.slow
@settings(PARITY, max_examples=1500)
@given(delays.flatmap(lambda delay: cases(longest_delay=delay)), st.lists(st.integers(0, 40), max_size=9))
def test_pieces_make_up_the_whole_of_a_thousand_pipelines(case: Case, cuts: list[int]) -> None:
    cuts = [cut for cut in cuts if cut <= len(case.trace)]
    assert_pieces_make_up(run_in_pieces(case, cuts), run_reference(case.inputs))


@pytest.mark.parametrize(
    ("ways", "cuts"),
    [(["b", "-"], [1]), (["b", "bc"], [1]), (["b", "-", "bc"], [1, 2]), (["bc", "b", "-", "bc"], [1, 2, 3])],
)
def test_items_on_their_way_to_nowhere_do_not_arrive(ways: list[str], cuts: list[int]) -> None:
    """Their query has left before the network delay of the edge that they are not passed on by is over."""
    scenario = make_scenario(
        {
            "a": {},
            "b": {"after": {"a": {"choice": "way", "values": ["b", "bc"]}}},
            "c": {"after": {"b": {"choice": "way", "values": ["bc"], "network_delay": "100ms"}}},
        }
    )
    trace = make_trace([0, 30, 60, 90][: len(ways)], way=ways)
    case = Case({}, {}, make_plan(scenario), trace)
    whole = run_reference(Workload.of(scenario, trace).engine_inputs(case.plan))
    assert_pieces_make_up(run_in_pieces(case, cuts, scenario), whole)


def test_a_run_in_pieces_leaves_the_workload_as_it_was() -> None:
    scenario = make_scenario({"a": {}, "b": {"after": ["a"]}, "c": {"after": ["a", "b"]}})
    inputs = Workload.of(scenario, make_trace([0, 1, 2])).engine_inputs(make_plan(scenario))
    for _ in range(2):
        assert PiecewiseRun(inputs).advance(inputs).queries == 3


def test_the_clock_is_checked_with_all_that_is_under_way() -> None:
    scenario = make_scenario({"a": {}}, {"a": {1: 400 * 86_400_000}})
    pieces = [
        Workload.of(scenario, make_trace(list(range(first, first + 10)))).engine_inputs(make_plan(scenario))
        for first in range(0, 300, 10)
    ]
    run = PiecewiseRun(pieces[0])
    with pytest.raises(
        InvalidInputError, match=r"^stage a: '3\.46e\+07 s' is its longest service time.*could overflow"
    ):
        list(map(run.advance, pieces, range(10 * MS, 310 * MS, 10 * MS)))
