"""The traffic of a scenario, whatever it comes from: drawn, read, summed, transformed, scaled; whole and in pieces."""

import gzip
import io
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipesim.engine import simulate, summarise
from pipesim.errors import InvalidInputError
from pipesim.model import Plan, Scenario, StagePlan, scenario_from_dict
from pipesim.model.loading import load_traffic
from pipesim.planner.explain import caveats
from pipesim.streams import stream
from pipesim.traces import (
    ArrivalTrace,
    expected_duration_ns,
    gamma,
    law_trace,
    scenario_trace,
    scenario_trace_pieces,
    slice_time,
    trace_csv,
    trace_parquet,
    traffic_trace,
)

POISSON = {"rate_qps": 50, "duration": "20s"}


def scenario(folder: Path, **traffic: Any) -> Scenario:
    return scenario_from_dict(
        {
            "name": "s",
            "slo": {"p99": "1s"},
            "traffic": traffic,
            "pipeline": {"a": {"model": "m"}},
            "profiles": {"m": {"cpu": {1: "1ms"}}},
            "prices": {"units": {"cpu": {"kind": "cpu", "unit": "core", "price_usd_per_hour": 1}}},
            "seed": 3,
        },
        folder,
    )


def trace(folder: Path, **traffic: Any) -> ArrivalTrace:
    return scenario_trace(scenario(folder, **traffic))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "seen.csv").write_text("t,kind\n5.0,a\n5.5,b\n7.0,a\n")
    (tmp_path / "counts.csv").write_text("start,n\n0,600\n60,0\n120,1200\n")
    (tmp_path / "recipe.yaml").write_text(
        "description: a fitted one\n"
        "traffic:\n"
        "  weibull: {rate_qps: 40, scv: 2, duration: 20s, bursts: [{factor: 3, lasts: 1s, every: 5s}]}\n"
        "  thin: 0.5\n"
        "  attributes: {tokens: {quantiles: [1, 2, 10]}}\n"
    )
    with tarfile.open(tmp_path / "pool.tar.gz", "w:gz") as archive:
        for client, rate in (("0", 20), ("1", 5)):
            content = "".join(f"{window},{rate},1.5,Gamma,0.444,0.1\n" for window in (0, 600)).encode()
            member = tarfile.TarInfo(f"chunk-{client}-trace.csv")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return tmp_path


FORMS: dict[str, dict[str, Any]] = {
    "poisson": {"poisson": POISSON},
    "constant": {"constant": POISSON},
    "weibull": {"weibull": {**POISSON, "scv": 3}},
    "mmpp": {"mmpp": {"rates_qps": [10, 200], "sojourns": ["2s", "1s"], "duration": "20s"}},
    "on_off": {"on_off": {**POISSON, "on": "1s", "off": "2s", "periods": "pareto"}},
    "queries": {"gamma": {"rate_qps": 50, "queries": 700, "scv": 2}},
    "curve": {"gamma": {"scv": 2, "curve": {"steps": [["0s", 20], ["10s", 90], ["20s", 0]]}}},
    "batches": {"poisson": {**POISSON, "batch": {"mean": 3}}},
    "file": {"file": "seen.csv", "column": "t", "unit": "s", "columns": {"kind": "kind"}},
    "counts": {"counts": {"file": "counts.csv", "time": "start", "count": "n", "unit": "s", "bin": "60s"}},
    "servegen": {"servegen": {"file": "pool.tar.gz", "duration": "20min", "largest": 2}},
    "recipe": {"recipe": "recipe.yaml"},
    "sum": {
        "sum": {
            "web": {"gamma": {**POISSON, "scv": 2}, "thin": 0.5},
            "nightly": {"constant": {"rate_qps": 3, "duration": "30s"}},
        },
        "label": "client",
    },
}
SCALED: dict[str, Any] = {
    "transform": [{"slice": {"start": "1s"}}, {"thin": 0.9}],
    "load": 2,
    "thin": 0.8,
    "attributes": {"size": {"gamma": {"mean": 3}}},
}


@pytest.mark.parametrize("scaled", [False, True], ids=["as it is", "scaled"])
@pytest.mark.parametrize("name", FORMS)
def test_pieces_are_the_whole(name: str, scaled: bool, folder: Path) -> None:
    asked = scenario(folder, **FORMS[name], **(SCALED if scaled else {}))
    whole = scenario_trace(asked)
    assert len(whole) or name == "file"
    for size in (1 if len(whole) < 100 else 17, 400):
        pieces = list(scenario_trace_pieces(asked, size))
        assert np.array_equal(np.concatenate([piece.times_ns for piece in pieces]), whole.times_ns)
        assert pieces[-1].duration_ns == whole.duration_ns
        for attribute, values in whole.attributes.items():
            assert np.array_equal(np.concatenate([piece.attributes[attribute] for piece in pieces]), values)
    if "queries" not in str(FORMS[name]):
        assert expected_duration_ns(asked, next(scenario_trace_pieces(asked, 50))) == whole.duration_ns


@pytest.mark.parametrize("name", [name for name in FORMS if name != "file"])
def test_luck_is_the_seed_s(name: str, folder: Path) -> None:
    asked = scenario(folder, **FORMS[name])
    again, other = scenario_trace(asked), scenario_trace(asked.with_seed(4))
    assert np.array_equal(scenario_trace(asked).times_ns, again.times_ns)
    assert name == "constant" or not np.array_equal(again.times_ns, other.times_ns)


class TestSum:
    def test_a_client_has_the_arrivals_that_it_has_alone(self, folder: Path) -> None:
        both = trace(folder, sum={"web": {"poisson": POISSON}, "nightly": {"poisson": POISSON}}, label="client")
        alone = trace(folder, sum={"web": {"poisson": POISSON}})
        web = both.selected(both.attributes["client"] == "web")
        assert np.array_equal(web.times_ns, alone.times_ns)
        assert not np.array_equal(both.selected(both.attributes["client"] == "nightly").times_ns, alone.times_ns)

    def test_each_client_is_scaled_then_the_sum(self, folder: Path) -> None:
        constant = {"rate_qps": 10, "duration": "1s"}
        both = trace(folder, sum={"a": {"constant": constant, "load": 2}, "b": {"constant": constant}}, load=2)
        a, b = range(25_000_000, 250_000_001, 25_000_000), range(50_000_000, 500_000_001, 50_000_000)
        assert both.times_ns.tolist() == sorted([*a, *b])
        assert both.duration_s == 0.5

    def test_attributes_must_agree(self, folder: Path) -> None:
        parts = {
            "web": {"poisson": POISSON, "attributes": {"size": {"gamma": {"mean": 3}}}},
            "nightly": {"poisson": POISSON},
        }
        with pytest.raises(InvalidInputError, match="nightly"):
            trace(folder, sum=parts)

    def test_attributes_of_clients_have_luck_of_their_own(self, folder: Path) -> None:
        part = {"constant": POISSON, "attributes": {"size": {"gamma": {"mean": 3}}}}
        both = trace(folder, sum={"a": part, "b": part})
        assert len(np.unique(both.attributes["size"])) == len(both)


class TestRecipe:
    def test_planning_on_a_recipe_is_planning_on_its_law(self, folder: Path) -> None:
        recipe = trace(folder, recipe="recipe.yaml")
        pasted, _, _ = load_traffic(folder / "recipe.yaml")
        law = pasted.model_dump(exclude_unset=True, by_alias=True)
        assert np.array_equal(recipe.times_ns, trace(folder, **_durations_as_text(law)).times_ns)
        assert 1 <= recipe.attributes["tokens"].min() < recipe.attributes["tokens"].max() <= 10

    def test_thinning_beside_a_recipe_has_another_luck_than_inside_it(self, folder: Path) -> None:
        law = "traffic: {constant: {rate_qps: 1000, duration: 2s}"
        (folder / "whole.yaml").write_text(law + "}\n")
        (folder / "thin.yaml").write_text(law + ", thin: 0.5}\n")
        inside, beside = trace(folder, recipe="thin.yaml"), trace(folder, recipe="whole.yaml", thin=0.5)
        assert not np.array_equal(inside.times_ns, beside.times_ns)
        both = trace(folder, recipe="thin.yaml", thin=0.5)
        assert len(both) == pytest.approx(500, abs=3 * (2000 * 0.25 * 0.75) ** 0.5)

    def test_the_same_transform_beside_a_recipe_has_another_luck_than_inside_it(self, folder: Path) -> None:
        (folder / "thinned.yaml").write_text(
            "traffic:\n  constant: {rate_qps: 1000, duration: 2s}\n  transform: [{thin: 0.5}]\n"
        )
        once = trace(folder, recipe="thinned.yaml")
        twice = trace(folder, recipe="thinned.yaml", transform=[{"thin": 0.5}])
        again = once.selected(stream(3, "thin", "/transform").random(len(once)) < 0.5)
        assert 0.2 < len(twice) / 2000 < 0.3
        assert not np.array_equal(twice.times_ns, again.times_ns)

    def test_its_bytes_are_an_input(self, folder: Path) -> None:
        assert [file.name for file in scenario(folder, recipe="recipe.yaml").inputs] == ["recipe.yaml"]

    def test_a_recipe_holds_a_law_and_no_file(self, folder: Path) -> None:
        (folder / "bad.yaml").write_text("traffic: {file: seen.csv, column: t, unit: s}\n")
        with pytest.raises(InvalidInputError, match=r"bad.yaml:1: traffic: .* needs exactly one of poisson, gamma"):
            trace(folder, recipe="bad.yaml")

    def test_it_lies_in_the_workspace(self, folder: Path) -> None:
        with pytest.raises(InvalidInputError, match="leads out of the workspace"):
            trace(folder, recipe="../recipe.yaml")


def _durations_as_text(value: Any) -> Any:
    """Return a dumped law as a file has it: durations, which are the only whole numbers in it above a million."""
    if isinstance(value, dict):
        return {key: _durations_as_text(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_durations_as_text(inner) for inner in value]
    return f"{value}ns" if isinstance(value, int) and value > 1_000_000 else value


class TestScaling:
    def test_transforms_come_first_and_in_order(self, folder: Path) -> None:
        changed = trace(
            folder,
            constant={"rate_qps": 10, "duration": "10s"},
            transform=[{"slice": {"start": "1s", "end": "5s"}}, {"compress": 2}],
            load=2,
        )
        whole = law_trace({"constant": {"rate_qps": 10, "duration": "10s"}})
        assert np.array_equal(changed.times_ns, slice_time(whole, 10**9, 5 * 10**9).times_ns // 4)
        assert changed.duration_s == 1.0

    def test_transforms_of_clients_have_luck_of_their_own(self, folder: Path) -> None:
        part = {"constant": POISSON, "transform": [{"thin": 0.5}]}
        both = trace(folder, sum={"a": part, "b": part}, label="client")
        a, b = (both.selected(both.attributes["client"] == name).times_ns for name in "ab")
        assert not np.array_equal(a, b)

    def test_a_transform_has_another_luck_than_thinning(self, folder: Path) -> None:
        source = {"rate_qps": 1000, "duration": "2s"}
        transformed, thinned = (
            trace(folder, constant=source, transform=[{"thin": 0.5}]),
            trace(folder, constant=source, thin=0.5),
        )
        assert not np.array_equal(transformed.times_ns, thinned.times_ns)

    def test_counts_are_reproduced_in_the_mean(self, folder: Path) -> None:
        drawn = trace(folder, counts=FORMS["counts"]["counts"] | {"scv": 1})
        found = np.histogram(drawn.times_ns, bins=np.arange(4) * 60 * 10**9)[0]
        assert found[1] == 0
        assert found[0] == pytest.approx(600, abs=3 * 600**0.5)
        assert found[2] == pytest.approx(1200, abs=3 * 1200**0.5)
        assert drawn.inputs[0].name == "counts.csv"

    def test_a_pool_is_scaled_to_a_rate(self, folder: Path) -> None:
        drawn = trace(folder, servegen={"file": "pool.tar.gz", "duration": "20min", "rate_qps": 10})
        assert drawn.mean_rate_qps == pytest.approx(10, abs=3 * (10 * 2.25 / 1200) ** 0.5)

    def test_generated_traffic_is_what_the_function_of_that_name_makes(self, folder: Path) -> None:
        drawn = trace(folder, gamma={"rate_qps": 100, "scv": 4, "duration": "60s"})
        assert np.array_equal(drawn.times_ns, gamma(100, 4, duration_s=60, seed=3).times_ns)


class TestLoadTraffic:
    def test_a_scenario_s_other_fields_are_left_alone(self, folder: Path) -> None:
        (folder / "s.yaml").write_text(
            "name: x\nslo: nonsense\ntraffic: {file: seen.csv, column: t, unit: s}\nseed: 9\n"
        )
        traffic, files, seed = load_traffic(folder / "s.yaml")
        assert (len(traffic_trace(traffic, files, seed)), seed) == (3, 9)

    def test_a_file_without_traffic_is_named(self, folder: Path) -> None:
        (folder / "s.yaml").write_text("name: x\n")
        with pytest.raises(InvalidInputError, match="traffic is missing"):
            load_traffic(folder / "s.yaml")

    def test_a_compressed_file_is_expanded(self, folder: Path) -> None:
        (folder / "seen.csv.gz").write_bytes(gzip.compress((folder / "seen.csv").read_bytes()))
        assert len(trace(folder, file="seen.csv.gz", column="t", unit="s")) == 3


@pytest.mark.parametrize("path", sorted((Path(__file__).parents[1] / "traces" / "recipes").glob("*.yaml")), ids=str)
def test_a_bundled_recipe_has_the_rate_that_it_says(path: Path, folder: Path) -> None:
    asked = scenario(folder, recipe=f"library:{path.stem}", transform=[{"slice": {"end": "1min"}}])
    drawn = asked.traffic_files.recipes[f"library:{path.stem}"].traffic
    if drawn.law.expected_queries < 100_000:
        whole = traffic_trace(drawn, asked.traffic_files, seed=1)
        assert whole.mean_rate_qps == pytest.approx(drawn.law.mean_rate_qps, rel=0.15)
    assert (f"| `{path.stem}` |") in (path.parents[1] / "README.md").read_text()


@pytest.mark.parametrize("name", ["t.csv", "t.csv.gz", "t.parquet"])
def test_what_pipesim_writes_it_reads_without_being_told_how(name: str, folder: Path) -> None:
    attributes = {"size": {"gamma": {"mean": 3}}, "kind": {"weights": {"a": 0.5, "b, c": 0.5}}}
    drawn = trace(folder, poisson=POISSON, attributes=attributes)
    is_table = name.endswith(".parquet")
    content = trace_parquet(drawn) if is_table else trace_csv(drawn, compress=name.endswith(".gz"))
    (folder / name).write_bytes(content)
    again = trace(folder, file=name)
    assert np.array_equal(again.times_ns, drawn.times_ns - drawn.times_ns[0])
    assert np.array_equal(again.attributes["size"], drawn.attributes["size"])
    assert again.attributes["kind"].tolist() == drawn.attributes["kind"].tolist()


class TestCaveats:
    def test_a_plan_says_what_reading_its_traffic_assumed(self, folder: Path) -> None:
        (folder / "holes.csv").write_text("start,n\n0,600\n120,1200\n")
        (folder / "bad.csv").write_text("t\n1\nx\n2\n")
        counts = FORMS["counts"]["counts"] | {"file": "holes.csv", "missing": "gap", "scv": 1}
        sum_of_both = {
            "web": {"counts": counts},
            "log": {"file": "bad.csv", "column": "t", "unit": "s", "bad_rows": "skip"},
        }
        asked = scenario(folder, sum=sum_of_both)
        plan = Plan(stages={"a": StagePlan(hardware="cpu", replicas=1, max_batch_size=1)})
        for result in (simulate(asked, plan), summarise(asked, plan)):
            found = [note for note in caveats(result) if ".csv" in note]
            assert found == [
                "holes.csv: 1 of 3 bins are not known; their rates are drawn between their neighbours",
                "bad.csv: 1 row that could not be read was left out",
            ]
