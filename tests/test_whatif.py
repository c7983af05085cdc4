"""What-if: scenarios changed by the path of a field, rows of them, what they tell, and how notebooks show it."""

from dataclasses import replace
from decimal import Decimal
from math import isnan, sqrt
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import pandas as pd
import pytest

import pipesim as ps
from build import make_plan, make_scenario
from pipesim.engine import Workload
from pipesim.model import Plan, Scenario, StagePlan
from pipesim.planner.sensitivity.variants import with_slo_factor
from pipesim.report import planning_report, simulation_report
from pipesim.whatif.rows import MAX_ROWS
from pipesim.whatif.sweep import _shared
from pipesim.whatif.workloads import Workloads

GAMMA = {"gamma": {"rate_qps": 50, "scv": 4, "duration": "20s"}}


def chain(**fields: Any) -> Scenario:
    """Return two stages, one after the other, with a class drawn for each query."""
    pipeline = {"detect": {}, "rank": {"after": {"detect": {"probability": 0.5}}}}
    return make_scenario(pipeline, {"detect": {1: 10, 4: 16}}, **{"traffic": GAMMA, "slo": {"p99": "200ms"}, **fields})


def p99_s(scenario: Scenario, plan: Plan) -> float:
    return ps.simulate(scenario, plan).latency_quantile_ns(Decimal("0.99")) / 1e9


# Scenarios changed by the path of a field


@pytest.mark.parametrize(
    ("path", "value", "found"),
    [
        ("load", 2, lambda s: s.file.traffic.load == 2),
        ("traffic.load", 2.0, lambda s: s.file.traffic.load == 2),
        ("slo.p99", "1s", lambda s: s.slos[0].bound_ns == 10**9),
        ("slo.p99", np.float64(0.3), lambda s: s.slos[0].bound_ns == 300_000_000),
        ("slo_p99_9", 2, lambda s: [slo.bound_ns for slo in s.slos] == [200_000_000, 2 * 10**9]),
        ("slo_p99", "1s", lambda s: s.slos[0].bound_ns == 10**9),
        ("slo_p99_9", "2s", lambda s: [slo.quantile_name for slo in s.slos] == ["p99", "p99.9"]),
        ("slo.p99.9", "2s", lambda s: [slo.quantile_name for slo in s.slos] == ["p99", "p99.9"]),
        ("traffic.gamma.scv", np.float64(1.5), lambda s: s.file.traffic.law.scv == 1.5),
        ("pipeline.rank.after.detect.probability", 1, lambda s: s.pipeline.edges[0].options.share == 1),
        ("pipeline.detect.batch_overhead", "5ms", lambda s: s.pipeline.stages["detect"].batch_overhead_ns == 5 * 10**6),
        ("search.stages.rank.max_replicas", 7, lambda s: s.space["rank"].max_replicas == 7),
        ("stages.rank.hardware", "cpu", lambda s: s.file.search.stage("rank").hardware == ("cpu",)),
        ("stages.rank.replicas", 3, lambda s: (s.space["rank"].min_replicas, s.space["rank"].max_replicas) == (3, 3)),
        ("stages.detect.max_batch_size", 2, lambda s: s.space["detect"].options[0].batch_sizes == (2,)),
        ("profiles.detect.cpu.4", "20ms", lambda s: s.profiles["detect", "cpu"].table_ns[4] == 20 * 10**6),
        ("prices.units.cpu.price_usd_per_hour", 2.5, lambda s: s.catalogue.price_usd_per_hour("cpu") == Decimal("2.5")),
        ("seed", 9, lambda s: s.seed == 9),
        ("traffic", {"poisson": {"rate_qps": 1, "queries": 2}}, lambda s: s.file.traffic.law.queries == 2),
    ],
)
def test_a_field_is_changed_by_its_path(path: str, value: Any, found: Any) -> None:
    before = chain()
    data = before.to_dict()
    assert not found(before)
    assert found(before.with_({path: value}))
    assert before.to_dict() == data


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("load", -1, "load: -1 is not allowed; it should be greater than 0"),
        ("load", "much", "load: 'much' is not allowed; it should be a valid number"),
        ("loud", 2, "loud: is not a field of a scenario; did you mean load?"),
        ("slo.p99", -0.2, "slo.p99: '-0.2s' is not a duration; write a number with a unit"),
        ("pipeline.rank.batch_overhead", 5, "pipeline.rank.batch_overhead: 5 has no unit; write for example 5ms"),
        ("slo_p99", "0s", "slo_p99: '0s' is not allowed; use more than 0"),
        ("traffic.gamma.svc", 2, "traffic.gamma.svc is not a field here; did you mean scv?"),
        ("traffic.gamma.scv", float("nan"), "traffic.gamma.scv: nan is not finite; use a finite number"),
        ("stages.rank.replicas", 0, "stages.rank.replicas: 0 is not allowed; it should be greater than or equal to 1"),
        ("stages.rnk.replicas", 1, "stages.rnk.replicas: 'rnk' is not a stage; use one of detect, rank"),
        ("stages.rank.speed", 1, "stages.rank.speed: 'speed' is not a choice of a stage; use one of hardware"),
        ("stages.rank.hardware", "t4", "stages.rank.hardware: 't4' has no price; use one of cpu"),
        ("seed", -1, "seed: -1 is not allowed; it should be greater than or equal to 0"),
        ("name.first", "x", "name.first: 'test' is what name holds, without fields; change that field as a whole"),
        ("profiles", "nowhere.csv", "profiles: 'nowhere.csv' is not a file"),
        ("", 1, "path: '' is not the path of a field"),
    ],
)
def test_a_value_that_is_not_allowed_is_refused_with_its_path(path: str, value: Any, message: str) -> None:
    with pytest.raises(ps.InvalidInputError) as refused:
        chain().with_({path: value})
    assert str(refused.value).startswith(message)


def test_a_change_that_makes_the_scenario_invalid_elsewhere_names_the_change_and_the_place() -> None:
    with pytest.raises(
        ps.InvalidInputError, match=r"^traffic\.poisson\.rate_qps: so changed, .* traffic: .* exactly one"
    ):
        chain().with_({"traffic.poisson.rate_qps": 3})


def test_objectives_of_a_list_are_changed_by_their_number() -> None:
    scenario = chain(slo=[{"quantile": "p50", "bound": "1s"}, {"quantile": "p99", "bound": "2s"}])
    assert [slo.bound_ns for slo in scenario.with_({"slo.1.bound": "3s"}).slos] == [10**9, 3 * 10**9]
    assert scenario.with_({"slo.0.bound": 0.5, "slo.0.every": 5}).slos[0].every_ns == 5 * 10**9
    with pytest.raises(ps.InvalidInputError, match=r"slo\.2\.bound: '2' is not an entry of the list there; use 0 to 1"):
        scenario.with_({"slo.2.bound": "3s"})


def test_files_that_a_scenario_names_are_read_once_and_changed_inside(tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text(
        "model,hardware,batch_size,latency_ms,noise_scv\nm-1.5,cpu,1,10,0.1\nm-1.5,cpu,2,12,0.1\n"
    )
    (tmp_path / "prices.yaml").write_text(
        "units: {cpu: {kind: cpu, unit: core, price_usd_per_hour: 1, memory_gb: 4}}\n"
    )
    (tmp_path / "s.yaml").write_text(
        "name: s\nslo: {p99: 1s}\ntraffic: {poisson: {rate_qps: 1, queries: 5}}\n"
        "pipeline: {a: {model: m-1.5}}\nprofiles: p.csv\nprices: prices.yaml\n"
    )
    scenario = ps.load(tmp_path / "s.yaml")
    for name in ("p.csv", "prices.yaml"):
        (tmp_path / name).unlink()
    slower = scenario.with_({"profiles.m-1.5.cpu.2": "20ms", "profiles.m-1.5.cpu.noise_scv": 0.5}, load=3)
    profile = slower.profiles["m-1.5", "cpu"]
    assert ([point.latency_ms for point in profile.points], profile.noise_scv) == ([10, 20], 0.5)
    dearer = slower.with_({"prices.units.cpu.price_usd_per_hour": 3})
    assert dearer.catalogue.price_usd_per_hour("cpu") == 3
    assert dearer.catalogue.memory_gb("cpu") == 4
    assert dearer.profiles["m-1.5", "cpu"].noise_scv == 0.5
    assert {file.name: file.sha256 for file in dearer.inputs} == {file.name: file.sha256 for file in scenario.inputs}
    with pytest.raises(ps.InvalidInputError, match=r"profiles\.m-1\.5\.cpu\.3: '3' is not a batch size .* 1, 2, noise"):
        scenario.with_({"profiles.m-1.5.cpu.3": "1ms"})
    with pytest.raises(ps.InvalidInputError, match=r"profiles\.m-1\.5\.gpu\.1: 'gpu\.1' is not a figure of m-1\.5"):
        scenario.with_({"profiles.m-1.5.gpu.1": "1ms"})
    with pytest.raises(ps.InvalidInputError, match=r"profiles\.n\.cpu\.1: 'n' is not a model"):
        scenario.with_({"profiles.n.cpu.1": "1ms"})
    with pytest.raises(ps.InvalidInputError, match=r"noise_scv: -1 is not allowed"):
        scenario.with_({"profiles.m-1.5.cpu.noise_scv": -1})
    with pytest.raises(ps.InvalidInputError, match=r"profiles\.m-1\.5\.cpu\.1: 5 has no unit"):
        scenario.with_({"profiles.m-1.5.cpu.1": 5})


def test_a_scenario_that_was_changed_without_its_file_cannot_be_changed_by_its_paths() -> None:
    with pytest.raises(ps.InvalidInputError, match="in a way that no scenario file tells; change it by with_"):
        with_slo_factor(chain(), 2).with_(load=2)
    kept = chain().with_seed(5).with_max_cost(Decimal(3)).with_(load=2)
    assert (kept.seed, kept.max_cost_usd_per_hour, kept.file.traffic.load) == (5, 3, 2)


# Rows


def test_each_row_is_the_single_simulation_of_its_scenario() -> None:
    scenario = chain()
    plan = make_plan(scenario, 2, detect={"max_batch_size": 4})
    frame = ps.what_if(scenario, {"load": [1, 1.5], "plan.rank.replicas": [1, 3], "slo.p99": ["50ms", "1s"]}, plan=plan)
    assert list(frame.columns) == [
        *("load", "plan.rank.replicas", "slo.p99", "status", "cost_usd_per_hour"),
        *("p50_latency_s", "p95_latency_s", "p99_latency_s", "miss_rate", "met"),
        *("utilisation.detect", "utilisation.rank"),
    ]
    assert len(frame) == 8
    assert frame["status"].nunique() == 2
    for row in frame.to_dict("records"):
        chosen = plan.with_stage("rank", replicas=row["plan.rank.replicas"])
        result = ps.simulate(scenario.with_(load=row["load"], slo_p99=row["slo.p99"]), chosen)
        assert row["p99_latency_s"] == result.latency_quantile_ns(Decimal("0.99")) / 1e9
        assert row["p50_latency_s"] == result.latency_quantile_ns(Decimal("0.5")) / 1e9
        assert row["cost_usd_per_hour"] == float(result.cost_usd_per_hour)
        assert (row["met"], row["miss_rate"]) == (result.met, result.slos[0].miss_rate)
        assert row["status"] == ("met" if result.met else "missed")
        assert row["utilisation.rank"] == result.stages.loc["rank", "utilisation"]


def test_each_planned_row_is_the_single_plan_of_its_scenario_and_one_without_a_plan_is_a_row() -> None:
    scenario = chain(search={"max_replicas": 4})
    frame = ps.what_if(scenario, {"load": [1, 2], "slo.p99": ["200ms", "11ms"]})
    assert frame["status"].tolist()[1] == "infeasible"
    for row in frame.to_dict("records"):
        result = ps.plan(scenario.with_(load=row["load"], slo_p99=row["slo.p99"]), verified=False)
        assert row["status"] == result.status
        if row["status"] == "infeasible":
            assert not row["met"]
            assert isnan(row["cost_usd_per_hour"])
            assert pd.isna(row["replicas.rank"])
            assert row["hardware.rank"] is None
        else:
            assert isinstance(result, ps.FeasiblePlan)
            assert row["gap"] == result.gap
            assert row["bound_usd_per_hour"] == float(result.bound_usd_per_hour or 0)
            assert row["cost_usd_per_hour"] == float(result.simulation.cost_usd_per_hour)
            assert row["replicas.rank"] == result.simulation.plan.stages["rank"].replicas


def test_every_metric_is_that_of_the_single_simulation() -> None:
    scenario = chain(slo={"p99": "60ms", "p50": "20ms"})
    plan = make_plan(scenario, 1, detect={"max_batch_size": 4})
    of_stages = ["headroom", "mean_batch_size", "mean_queue_delay_s", "visits", "p99_queue_delay_s", "utilisation"]
    metrics = [
        *("p99.9", "mean_latency_s", "max_latency_s", "misses", "queries", "mean_rate_qps", "duration_s"),
        *("binding_stage", "bottleneck", "cost_usd_per_month", "cost_usd_per_hour.rank", "plan", *of_stages),
    ]
    (row,) = ps.what_if(scenario, [{}], plan=plan, metrics=metrics).to_dict("records")
    result = ps.simulate(scenario, plan)
    assert row["p99.9_latency_s"] == result.latency_quantile_ns(Decimal("0.999")) / 1e9
    assert row["mean_latency_s"] == pytest.approx(result.queries["latency_s"].mean())
    assert row["max_latency_s"] == result.queries["latency_s"].max()
    worst = max(result.slos, key=lambda outcome: outcome.miss_rate)
    assert row["misses"] == worst.misses
    assert (row["queries"], row["mean_rate_qps"]) == (len(result.traffic), result.traffic.mean_rate_qps)
    assert row["duration_s"] == result.traffic.duration_s
    assert (row["bottleneck"], row["cost_usd_per_month"]) == (result.stages["throughput_qps"].idxmin(), 1460)
    assert (row["hardware.rank"], row["replicas.rank"], row["max_batch_size.detect"]) == ("cpu", 1, 4)
    assert row["cost_usd_per_hour.rank"] == 1
    for name in of_stages:
        assert row[f"{name}.detect"] == result.stages.loc["detect", name]


def test_objectives_for_classes_and_windows_count_as_in_a_single_simulation() -> None:
    kinds = {"class": {"weights": {"gold": 0.3, "iron": 0.7}}}
    slo = [
        {"quantile": "p90", "bound": "15ms", "where": {"class": "gold"}},
        {"quantile": "p50", "bound": "20ms", "every": "2s"},
    ]
    scenario = chain(slo=slo, traffic={**GAMMA, "attributes": kinds})
    plan = make_plan(scenario, 1)
    (row,) = ps.what_if(scenario, [{"load": 1.25}], plan=plan, metrics=["miss_rate", "met"]).to_dict("records")
    result = ps.simulate(scenario.with_(load=1.25), plan)
    assert row["miss_rate"] == max(outcome.miss_rate for outcome in result.slos) > 0
    assert row["met"] == result.met


def test_rows_may_be_listed_and_what_one_leaves_out_is_that_of_the_scenario() -> None:
    scenario, plan = chain(), make_plan(chain(), 2)
    frame = ps.what_if(scenario, [{"load": 2}, {"slo.p99": "1s", "plan.rank.replicas": 5}], plan=plan, metrics=["p99"])
    assert frame["load"].tolist() == [2, 1]
    assert frame["slo.p99"].tolist() == ["200ms", "1s"]
    assert frame["plan.rank.replicas"].tolist() == [2, 5]
    assert frame["p99_latency_s"].tolist() == [
        p99_s(scenario.with_(load=2), plan),
        p99_s(scenario, plan.with_stage("rank", replicas=5)),
    ]


def test_a_row_may_leave_out_a_price_or_a_latency_that_stands_in_another_file() -> None:
    scenario = ps.load(Path(__file__).parents[1] / "examples/tf-cascade.yaml").with_({"traffic.gamma.duration": "1s"})
    plan = Plan(stages={name: StagePlan(hardware="k80", replicas=1) for name in ("fast", "slow")})
    price, latency = "prices.units.k80.price_usd_per_hour", "profiles.inception-v3.k80.8"
    frame = ps.what_if(scenario, [{}, {price: 1}, {latency: "9s"}], plan=plan, metrics=["cost_usd_per_hour", "p99"])
    assert frame[price].isna().tolist() == [True, False, True]
    assert frame[latency].tolist() == [None, None, "9s"]
    assert frame["cost_usd_per_hour"].tolist() == pytest.approx([1.401, 2.133, 1.401])


def test_values_may_be_taken_side_by_side() -> None:
    rows = ps.zipped({"load": np.array([1, 2]), "slo.p99": ["1s", "2s"]})
    assert rows == [{"load": 1, "slo.p99": "1s"}, {"load": 2, "slo.p99": "2s"}]
    with pytest.raises(ps.InvalidInputError, match=r"zipped: .* is how many values there are"):
        ps.zipped({"load": [1, 2], "slo.p99": ["1s"]})


def test_a_choice_of_hardware_for_a_stage_is_that_of_the_plan_or_of_the_search() -> None:
    prices = {
        name: {"kind": "cpu", "unit": "core", "price_usd_per_hour": price} for name, price in (("a", 1), ("b", 3))
    }
    scenario = make_scenario(
        {"one": {}}, profiles={"one": {"a": {1: "10ms"}, "b": {1: "4ms"}}}, prices={"units": prices}
    )
    planned = ps.what_if(scenario, {"stages.one.hardware": ["a", "b", ["a", "b"]]}, metrics=["plan"])
    assert planned["hardware.one"].tolist() == ["a", "b", "a"]
    assert planned["stages.one.hardware"].tolist() == ["a", "b", '["a", "b"]']
    plan = Plan(stages={"one": StagePlan(hardware="a", replicas=1)})
    simulated = ps.what_if(scenario, {"stages.one.hardware": ["a", "b"]}, plan=plan, metrics=["max_latency_s"])
    assert simulated["max_latency_s"].tolist() == pytest.approx([0.01, 0.004])


def test_rows_have_the_luck_of_the_scenarios_seed_and_seeds_give_means_and_t_intervals() -> None:
    scenario, plan = chain(), make_plan(chain(), 2)
    long = ps.what_if(scenario, {"load": [1, 2]}, plan=plan, metrics=["p99", "met"], seeds=[3, 4, 5], each_seed=True)
    assert long["seed"].tolist() == [3, 4, 5, 3, 4, 5]
    assert long["p99_latency_s"].tolist() == [
        p99_s(scenario.with_seed(seed).with_(load=load), plan) for load in (1, 2) for seed in (3, 4, 5)
    ]
    frame = ps.what_if(scenario, {"load": [1, 2]}, plan=plan, metrics=["p99", "met"], seeds=[3, 4, 5])
    values = long["p99_latency_s"][:3]
    half = 4.302653 * values.std(ddof=1) / sqrt(3)  # t for 2 degrees of freedom, from a table
    assert frame["p99_latency_s"][0] == pytest.approx(values.mean())
    assert frame["p99_latency_s.high"][0] - frame["p99_latency_s"][0] == pytest.approx(half, rel=1e-6)
    assert frame["p99_latency_s"][0] - frame["p99_latency_s.low"][0] == pytest.approx(half, rel=1e-6)
    assert frame["met"].tolist() == [long["met"][:3].mean(), long["met"][3:].mean()]
    one = ps.what_if(scenario, {"load": [1]}, plan=plan, metrics=["p99"], seeds=[3])
    assert one["p99_latency_s"][0] == long["p99_latency_s"][0]
    assert isnan(one["p99_latency_s.low"][0])


def test_a_mean_over_seeds_of_which_one_has_no_plan_is_missing_and_the_status_mixed() -> None:
    scenario = chain(search={"max_replicas": 1})
    each = ps.what_if(scenario, {"slo.p99": ["50ms"]}, seeds=range(1, 9), each_seed=True, metrics=["cost_usd_per_hour"])
    assert set(each["status"]) == {"infeasible", "optimal"}
    (row,) = ps.what_if(scenario, {"slo.p99": ["50ms"]}, seeds=range(1, 9), metrics=["cost_usd_per_hour"]).to_dict(
        "records"
    )
    assert row["status"] == "mixed"
    assert isnan(row["cost_usd_per_hour"])


def test_a_row_whose_seeds_all_have_a_plan_but_not_the_same_certainty_is_feasible() -> None:
    assert _shared(["optimal", "2-exchange optimal", "feasible"]) == "feasible"
    assert _shared(["optimal", "missed"]) == "mixed"
    assert _shared(["a", "b"]) == _shared(["a", None]) == "mixed"


def test_an_interval_over_seeds_is_cut_to_what_is_possible() -> None:
    scenario = chain(slo={"p99": "100ms"})
    asked: dict[str, Any] = {"plan": make_plan(scenario), "metrics": ["miss_rate", "utilisation"], "seeds": [1, 2]}
    (row,) = ps.what_if(scenario, {"load": 2}, **asked).to_dict("records")
    assert row["miss_rate.low"] == 0 < row["miss_rate"] < 1 == row["miss_rate.high"]
    assert row["utilisation.detect"] < 1 == row["utilisation.detect.high"]


def test_seeds_may_be_an_array() -> None:
    plan = make_plan(chain())
    array: Any = np.arange(1, 3)
    listed, found = (ps.what_if(chain(), {"load": 1}, plan=plan, seeds=seeds) for seeds in ([1, 2], array))
    pd.testing.assert_frame_equal(found, listed)


@pytest.mark.parametrize(
    ("vary", "options", "message"),
    [
        ({"load": [1, -1]}, {}, "load: -1 is not allowed"),
        ({"load": 1, "traffic.load": 2}, {}, "traffic.load: is what load changes too; keep one of them"),
        ({"slo.p99": "1s", "slo": [{"p95": "1s"}]}, {}, "slo: is what slo.p99 changes too"),
        ({"plan.rank.replicas": 1, "stages.rank.replicas": 2}, {}, "stages.rank.replicas: is what plan.rank.rep"),
        ([{7: 1}], {}, "path: 7 is not the path of a field"),
        ({"load": 1}, {"plan": "plan.yaml"}, "plan: 'str' is not a plan; give that of an answer"),
        ({"load": 1}, {"metrics": "p99"}, "metrics: 'p99' is a text; write a list"),
        ({"load": 1}, {"metrics": [99]}, "metrics: 99 is not the name of a metric"),
        ({"load": 1}, {"seeds": 3}, "seeds: 3 is not a list of seeds"),
        ({"load": 1}, {"workers": 2.5}, "workers: 2.5 is not allowed; use a whole number"),
        ({"load": []}, {}, "load: has no values; give at least one"),
        ({}, {}, "vary: asks for no row"),
        ([], {}, "vary: asks for no row"),
        ("load", {}, "vary: 'load' is neither paths with values nor a list of rows"),
        ([{"load": 1}, 2], {}, "vary.1: 2 is not a row"),
        ({"seed": range(MAX_ROWS + 1)}, {}, "vary: 100001 rows are too many; use at most 100,000"),
        (
            {"load": [1]},
            {"metrics": ["p99_latency"]},
            "metrics: 'p99_latency' is not a metric; did you mean p99_latency_s",
        ),
        ({"load": [1]}, {"metrics": ["p0"]}, "metrics: 'p0' is not a metric"),
        (
            {"load": [1]},
            {"metrics": ["utilisation.rnk"]},
            "metrics: 'utilisation.rnk' names no stage; use one of detect",
        ),
        ({"load": [1]}, {"metrics": ["gap"]}, "metrics: 'gap' is told of a search, and here a plan is given"),
        ({"load": [1]}, {"seeds": [1, 1]}, "seeds: [1, 1] are not different seeds"),
        ({"load": [1]}, {"seeds": [-1]}, "seed: -1 is not allowed"),
        ({"seed": [1]}, {"seeds": [1]}, "seeds: [1] are given, and seed is varied too"),
        ({"load": [1]}, {"each_seed": True}, "each_seed: True has no seeds"),
        ({"load": [1]}, {"workers": 0}, "workers: 0 is not allowed; use at least 1"),
        ({"load": [1]}, {"executor": "magic"}, "executor: 'magic' is not an executor"),
        ({"load": [1]}, {"plan": None, "method": "luck"}, "method: 'luck' is not known"),
        ({"load": [1]}, {"method": "search"}, "method: 'search' is for looking for plans, and here one is given"),
        ({"load": [1]}, {"max_evaluations": 10}, "max_evaluations: 10 is for looking for plans"),
        (
            {"plan.rank.replicas": [0]},
            {},
            "plan.rank.replicas: 0 is not allowed; it should be greater than or equal to 1",
        ),
        ({"plan.rank.hardware": ["t4"]}, {}, "plan.rank.hardware: 't4' has no price"),
        ({"plan.detect.max_batch_size": [5]}, {}, "plan.detect.max_batch_size: 5 was never measured for detect on cpu"),
        ({"plan.nowhere.replicas": [1]}, {}, "plan.nowhere.replicas: 'nowhere' is not a stage"),
        ({"plan.rank.replicas": [1]}, {"plan": None}, "plan.rank.replicas: varies a plan, and none is given"),
        ([{"load": 1}, {"plan.rank.speed": 1}], {}, "plan.rank.speed: 'speed' is not a choice of a stage"),
    ],
)
def test_what_cannot_be_asked_is_refused_before_anything_runs(vary: Any, options: dict[str, Any], message: str) -> None:
    ran: list[object] = []
    with pytest.raises(ps.InvalidInputError) as refused:
        ps.what_if(chain(), vary, **{"plan": make_plan(chain()), "progress": ran.append, **options})
    assert str(refused.value).startswith(message)
    assert not ran


def test_a_row_whose_traffic_does_not_carry_what_it_needs_is_named() -> None:
    scenario = chain(traffic={**GAMMA, "attributes": {"class": {"weights": {"gold": 0.3, "iron": 0.7}}}})
    slo = [{"quantile": "p99", "bound": "1s", "where": {"class": "tin"}}]
    with pytest.raises(ps.InvalidInputError, match=r"^row 1 \(slo = .*tin.*\): slo\.where: .* holds for no query"):
        ps.what_if(scenario, [{}, {"slo": slo}], plan=make_plan(scenario))


def test_a_fault_that_arises_in_a_row_tells_its_values(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> None:
        raise MemoryError

    monkeypatch.setattr(Workload, "engine_inputs", broken)
    with pytest.raises(MemoryError) as failed:
        ps.what_if(chain(), {"load": [3], "plan.rank.replicas": [2]}, plan=make_plan(chain()))
    assert failed.value.__notes__ == ["in the row {'load': 3, 'plan.rank.replicas': 2}"]


def test_columns_are_ready_to_group_and_pivot() -> None:
    scenario, plan = chain(), make_plan(chain(), 2)
    frame = ps.what_if(scenario, {"load": [1, 2], "slo.p99": ["1s", "2s"]}, plan=plan)
    assert frame.pivot_table(index="load", columns="slo.p99", values="p99_latency_s").shape == (2, 2)
    assert frame.groupby("load")["miss_rate"].mean().index.tolist() == [1, 2]
    assert str(frame["load"].dtype) == "int64"


# Draws that rows share


@pytest.mark.parametrize(
    "traffic",
    [
        GAMMA,
        {**GAMMA, "load": 1.7},
        {**GAMMA, "load": 1.7, "thin": 0.6, "attributes": {"size": {"lognormal": {"mean": 3, "scv": 1}}}},
        {**GAMMA, "compress_to_qps": 70},
        {"sum": {"a": GAMMA, "b": {"poisson": {"rate_qps": 5, "queries": 50}}}, "label": "client", "load": 3},
    ],
)
def test_a_shared_workload_is_that_of_the_scenario_alone(traffic: dict[str, Any]) -> None:
    shared = Workloads()
    first = chain(traffic=traffic)
    shared.of(first)
    for scenario in (first, first.with_({"pipeline.detect.batch_overhead": "1ms"}), first.with_seed(7)):
        alone, found = Workload.of(scenario), shared.of(scenario)
        assert np.array_equal(found.trace.times_ns, alone.trace.times_ns)
        assert found.trace.duration_ns == alone.trace.duration_ns
        assert {name: values.tolist() for name, values in found.trace.attributes.items()} == {
            name: values.tolist() for name, values in alone.trace.attributes.items()
        }
        plan = make_plan(scenario, 3)
        assert ps.simulate(found, plan).latency_ns.tolist() == ps.simulate(alone, plan).latency_ns.tolist()


def test_rows_that_differ_in_load_alone_share_arrivals_and_routes() -> None:
    shared, scenario = Workloads(), chain()
    one, other = shared.of(scenario), shared.of(scenario.with_(load=2))
    assert one.routes is other.routes
    routed = shared.of(scenario.with_({"pipeline.rank.after.detect.probability": 0.9}))
    assert routed.routes is not one.routes
    assert routed.trace.times_ns is one.trace.times_ns


# What answers show in a notebook


def test_answers_give_their_reports_and_frames() -> None:
    scenario = chain()
    answer = ps.plan(scenario)
    assert isinstance(answer, ps.FeasiblePlan)
    assert answer.to_dict() == planning_report(answer)
    assert answer.simulation.to_dict() == simulation_report(answer.simulation)
    assert answer.to_frame().equals(answer.simulation.stages)
    plan = answer.plan
    assert ps.simulate(scenario, plan).latency_ns.tolist() == answer.simulation.latency_ns.tolist()
    assert Plan.model_validate(plan.to_dict()) == plan
    assert plan.to_frame()["replicas"].to_dict() == {name: stage.replicas for name, stage in plan.stages.items()}
    assert scenario.to_frame()["hardware"].tolist() == ["cpu", "cpu"]
    assert scenario.with_(load=2).to_dict()["traffic"] == {**GAMMA, "load": 2}
    none = ps.plan(chain(slo={"p99": "11ms"}))
    assert isinstance(none, ps.Infeasible)
    assert none.to_frame().equals(none.history)


def test_html_is_escaped_and_without_scripts() -> None:
    scenario = chain(description="<script>alert(1)</script>")
    answer, none = ps.plan(scenario), ps.plan(chain(slo={"p99": "11ms"}))
    assert isinstance(answer, ps.FeasiblePlan)
    shown = [scenario, answer, none, answer.simulation, answer.simulation.plan]
    pages = [one._repr_html_() for one in shown]
    assert all("<script" not in page for page in pages)
    assert "&lt;script&gt;" in pages[0]
    assert all(page.count("<table") == page.count("</table>") for page in pages)
    assert all("detect" in page for page in pages)
    assert "infeasible" in pages[2]


def test_the_card_of_an_optimal_plan_says_so_and_that_of_another_how_much_can_be_saved() -> None:
    optimal, greedy = (ps.plan(chain(), method=method, verified=False) for method in ("search", "greedy"))
    assert isinstance(optimal, ps.FeasiblePlan)
    assert isinstance(greedy, ps.FeasiblePlan)
    saved = replace(greedy, bound_usd_per_hour=greedy.weighed_usd_per_hour / 2)
    pages = [one._repr_html_() for one in (optimal, saved)]
    assert ["it is optimal: every cheaper plan" in page for page in pages] == [True, False]
    assert ["can be saved" in page for page in pages] == [False, True]
    assert "at most 50.0% can be saved" in pages[1]


@pytest.mark.parametrize(("service_ms", "shown"), [(19.95, "&gt;99%"), (19.8, "99%")])
def test_a_card_does_not_round_a_utilisation_up_to_all_of_the_time(service_ms: float, shown: str) -> None:
    traffic = {"constant": {"rate_qps": 50, "duration": "20s"}}
    scenario = make_scenario({"detect": {}}, {"detect": {1: service_ms}}, traffic=traffic)
    assert f">{shown}</td>" in ps.simulate(scenario, make_plan(scenario))._repr_html_()


def test_a_scenario_shows_its_traffic_as_its_file_says_it() -> None:
    scenario = chain(traffic={"poisson": {"rate_qps": 50, "duration": "2min"}})
    assert "Traffic: {poisson: {rate_qps: 50, duration: 2min}, load: 2}; seed 0" in scenario.with_(load=2)._repr_html_()
    changed = replace(scenario, file=scenario.file.model_copy(update={"seed": 3}))
    assert "seed 3" in changed._repr_html_()


def test_a_move_of_the_panel_shows_latency_at_once() -> None:
    pytest.importorskip("ipywidgets")
    scenario = chain(traffic={"gamma": {"rate_qps": 150, "scv": 4, "duration": "10min"}}, slo={"p99": "2s"})
    plan = make_plan(scenario, 4, detect={"max_batch_size": 4})
    panel = ps.explore(scenario, plan)
    sliders = {control.description: control for control in panel.children[:-1]}
    assert list(sliders) == ["load", "p99 (ms)", "detect: replicas", "rank: replicas"]
    page, times = panel.children[-1], []
    before = page.value
    for name, value in (
        ("load", 1.5),
        ("detect: replicas", 9),
        ("p99 (ms)", 1000.0),
        ("load", 1.0),
        ("rank: replicas", 2),
    ):
        begun = perf_counter()
        sliders[name].value = value
        times.append(perf_counter() - begun)
        assert page.value != before
        before = page.value
    assert min(times) < 0.3
    result = ps.simulate(scenario, plan.with_stage("detect", replicas=9).with_stage("rank", replicas=2))
    assert f"{len(result.traffic):,} queries" in page.value
    assert "p99 &lt;= 1 s: " in page.value


def test_the_panel_says_what_is_not_possible() -> None:
    pytest.importorskip("ipywidgets")
    from pipesim.whatif.panel import Explorer

    explorer = Explorer(chain(), make_plan(chain()))
    assert "load: -1 is not allowed" in explorer.html({"load": -1}, {})
    with pytest.raises(ps.InvalidInputError, match="lacks the stage rank"):
        Explorer(chain(), Plan(stages={"detect": StagePlan(hardware="cpu", replicas=1)}))


def test_the_panel_looks_for_a_plan_where_none_is_given() -> None:
    pytest.importorskip("ipywidgets")
    answer = ps.plan(chain())
    assert isinstance(answer, ps.FeasiblePlan)
    assert ps.explore(chain()).children[-1].value == ps.explore(chain(), answer.simulation.plan).children[-1].value
    with pytest.raises(ps.PipesimError, match=r"explore: no plan was found \(infeasible\); give one"):
        ps.explore(chain(slo={"p99": "11ms"}))


def test_an_answer_is_told_apart_from_its_plan_and_a_file_is_named_by_text(tmp_path: Path) -> None:
    answer: Any = ps.plan(chain())
    for ask in (ps.simulate, ps.explore):
        with pytest.raises(ps.InvalidInputError, match="plan: 'FeasiblePlan' is not a plan; give that of an answer"):
            ask(chain(), answer)
    ps.write_plan(answer.simulation.plan, str(tmp_path / "plan.yaml"))
    assert ps.read_plan(str(tmp_path / "plan.yaml")) == answer.simulation.plan
