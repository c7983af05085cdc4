"""The engines agree with each other and with a third implementation of the semantics, on every timestamp."""

import pytest
from hypothesis import HealthCheck, given, settings

from oracle import run_oracle
from pipesim.engine import run_engine, run_reference, same
from strategies import Case, cases

PARITY = settings(max_examples=350, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))


@PARITY
@given(cases())
def test_the_reference_engine_and_the_oracle_agree_on_every_timestamp(case: Case) -> None:
    inputs = case.inputs
    assert same(run_reference(inputs), run_oracle(inputs))


@settings(PARITY, max_examples=150)
@given(cases(clocks=("10 ns",), batchings=("greedy", "delayed"), sizes=("packed",), noises=("none",), max_stages=1))
def test_they_agree_on_service_times_half_way_between_two_nanoseconds(case: Case) -> None:
    """Another order of summing sizes, or halves rounded up, would show here and hardly elsewhere."""
    inputs = case.inputs
    assert same(run_reference(inputs), run_oracle(inputs))


@PARITY
@given(cases())
def test_the_compiled_engine_and_the_reference_engine_agree_on_every_timestamp(case: Case) -> None:
    assert same(run_engine(case.inputs), run_reference(case.inputs))


@pytest.mark.slow
@settings(PARITY, max_examples=2000)
@given(cases())
def test_they_agree_on_thousands_of_pipelines(case: Case) -> None:
    assert same(run_engine(case.inputs), run_reference(case.inputs))


@pytest.mark.slow
@settings(PARITY, max_examples=1000)
@given(cases(dispatches=("central", "power_of_two", "least_loaded"), max_stages=2))
def test_they_agree_where_loads_decide(case: Case) -> None:
    assert same(run_engine(case.inputs), run_reference(case.inputs))
