"""The compiled engine: what it adds to the reference engine. Parity is in test_parity.py, trials in test_trials.py."""

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from build import make_plan, make_scenario
from pipesim.engine import Workload, run_reference, same
from pipesim.engine.compiled import memory, run_compiled
from pipesim.engine.compiled.flow import Flow
from pipesim.engine.compiled.memory import MIN_BYTES, empty
from pipesim.engine.compiled.server import Batches, depart
from pipesim.traces import gamma


@pytest.mark.parametrize("disorder", [0, 3, 40, 1000])
@pytest.mark.parametrize("seed", range(5))
def test_batches_depart_in_groups_of_one_instant_sorted_by_item(disorder: int, seed: int) -> None:
    """Small batches that are nearly in order, and large ones that are not, which insertion would take too long for."""
    rng = np.random.default_rng(seed)
    sizes = rng.choice([1, 2, 16, 30, 100, 300], 40)
    end = np.cumsum(sizes).astype(np.int32)
    finish_ns = np.sort(rng.integers(0, 25, sizes.size))
    item = np.argsort(np.arange(end[-1]) + rng.uniform(0, disorder + 0.1, end[-1])).astype(np.int32)
    number = np.arange(sizes.size, dtype=np.int32)
    batches = Batches(finish_ns, finish_ns, number, end)
    flow = Flow.empty(item.size)
    flow = flow.first(depart(number, batches, item, flow))
    assert flow.at_ns.tolist() == np.unique(finish_ns).tolist()
    finish_of_item = np.repeat(finish_ns, sizes)
    assert flow.item.tolist() == item[np.lexsort((item, finish_of_item))].tolist()
    assert flow.end.tolist() == np.cumsum(np.unique(finish_of_item, return_counts=True)[1]).tolist()


def test_arrivals_far_from_sorted_are_sorted_all_the_same() -> None:
    # a slow branch and a fast one meet at c: its arrivals are far from the order of queries
    pipeline = {
        "a": {},
        "slow": {"after": {"a": {"probability": 0.5, "network_delay": "60s"}}},
        "c": {"after": ["a", "slow"]},
    }
    scenario = make_scenario(pipeline, {"a": {1: 0.01}, "slow": {1: 0.01}, "c": {1: 0.01}})
    inputs = Workload.of(scenario, gamma(500, 4, queries=5000)).engine_inputs(make_plan(scenario))
    assert same(run_compiled(inputs), run_reference(inputs))


def test_many_replicas_with_noisy_service_keep_their_order() -> None:
    scenario = make_scenario({"a": {}})
    inputs = Workload.of(scenario, gamma(3000, 1, queries=5000)).engine_inputs(make_plan(scenario, replicas=40))
    noise = np.random.default_rng(1).standard_exponential(5000)
    noisy = replace(inputs, stages=(replace(inputs.stages[0], noise=noise),))
    assert same(run_compiled(noisy), run_reference(noisy))


class TestMemory:
    COUNT = MIN_BYTES  # int64: eight times as large as what the pool is for

    def test_the_memory_of_an_array_that_is_gone_is_used_again(self) -> None:
        first = empty(self.COUNT, np.int64)
        address = first.ctypes.data
        del first
        assert empty(self.COUNT, np.int64).ctypes.data <= address  # the lowest address that is free goes first

    def test_a_view_keeps_its_memory(self) -> None:
        array = empty(self.COUNT, np.int64)
        array[:] = 7
        view = array[10:20]
        del array
        others = [empty(self.COUNT, np.int64) for _ in range(3)]
        for other in others:
            other[:] = 1
        assert view.tolist() == [7] * 10

    def test_arrays_in_use_share_nothing(self) -> None:
        arrays = [empty(count, np.int32) for count in (self.COUNT, self.COUNT, self.COUNT + 1, 5, 0)]
        for number, array in enumerate(arrays):
            array[:] = number
        assert [set(array.tolist()) for array in arrays] == [{0}, {1}, {2}, {3}, set()]

    def test_arrays_that_live_until_the_interpreter_ends_say_nothing(self) -> None:
        code = "\n".join(
            [
                "import sys, numpy as np",
                "from pipesim.engine.compiled.memory import empty",
                "sys.modules['kept'] = empty(10**6, np.int64)[3:]",
            ]
        )
        ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert ended.stderr == ""

    def test_what_the_pool_may_not_keep_goes_back_to_the_system(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(memory, "MAX_BYTES", 0)
        array = empty(3 * self.COUNT, np.int64)
        array[:] = 5
        del array
        assert empty(3 * self.COUNT, np.int64).size == 3 * self.COUNT


def test_results_of_runs_side_by_side_share_no_memory() -> None:
    """A run that is kept must not change when others follow."""
    scenario = make_scenario({"a": {}, "b": {"after": ["a"]}})
    workload = Workload.of(scenario, gamma(1000, 4, queries=200_000))
    one = run_compiled(workload.engine_inputs(make_plan(scenario, 8, 4)))
    finish_ns, batches = one.finish_ns.copy(), one.stages[1].batch_start_ns.copy()
    for replicas in (7, 9):
        run_compiled(workload.engine_inputs(make_plan(scenario, replicas, 4)))
    assert np.array_equal(one.finish_ns, finish_ns)
    assert np.array_equal(one.stages[1].batch_start_ns, batches)
    assert one.stages[0].finish_ns.max() <= one.finish_ns.max()
