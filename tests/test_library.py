"""The bundled library: profiles and prices with sources, traces with recipes, examples that can be planned."""

import csv
import re
import shlex
from pathlib import Path

import pytest

from pipesim.engine import Workload, simulate
from pipesim.model import load_scenario, parse_catalogue, parse_profiles
from pipesim.planner import FeasiblePlan, plan

ROOT = Path(__file__).parents[1]
PROFILES = {"inferline": "inferline-aws", "present-day": "cloud-2026"}
EXAMPLES = sorted(path.stem for path in ROOT.glob("examples/*.yaml"))


@pytest.mark.parametrize("name", PROFILES)
def test_every_row_names_its_source_and_what_it_rests_on(name: str) -> None:
    with (ROOT / "profiles" / f"{name}.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert rows
    for row in rows:
        assert row["source"]
        assert row["basis"] in ("measured", "derived", "stand-in")
        assert row["basis"] == "measured" or row["note"], "a derived figure says how"


@pytest.mark.parametrize(("profiles", "prices"), PROFILES.items())
def test_all_profiled_hardware_has_a_price_with_date_and_source(profiles: str, prices: str) -> None:
    profile_set = parse_profiles((ROOT / "profiles" / f"{profiles}.csv").read_bytes(), profiles)
    catalogue = parse_catalogue((ROOT / "profiles" / "prices" / f"{prices}.yaml").read_bytes(), f"{prices}.yaml")
    assert {hardware for _, hardware in profile_set} <= set(catalogue.names)
    for unit in catalogue.units.values():
        assert "unknown" not in (unit.date, unit.source, unit.cloud)


def test_the_present_day_pipeline_can_sit_on_cpu_gpu_and_tpu() -> None:
    scenario = load_scenario(ROOT / "examples" / "marketplace.yaml")
    for stage, space in scenario.space.items():
        kinds = {scenario.catalogue.kind(option.hardware) for option in space.options}
        assert kinds == {"cpu", "gpu", "tpu"}, stage


def test_traces_are_what_their_recipes_make(pipesim, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    recipes = re.findall(r"^pipesim (trace generate .*)$", (ROOT / "traces" / "README.md").read_text(), re.MULTILINE)
    assert len(recipes) == len(list((ROOT / "traces").glob("*.csv")))
    for recipe in recipes:
        *arguments, out = shlex.split(recipe)
        made = tmp_path / Path(out).name
        assert pipesim(*arguments, made).code == 0
        assert made.read_bytes() == (ROOT / out).read_bytes()


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_loads_with_more_than_one_choice(name: str) -> None:
    scenario = load_scenario(ROOT / "examples" / f"{name}.yaml")
    assert scenario.name == name
    assert sum(len(space.options) for space in scenario.space.values()) > len(scenario.space)


@pytest.mark.slow
@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_has_a_plan_that_meets_its_objectives_when_simulated_again(name: str) -> None:
    workload = Workload.of(load_scenario(ROOT / "examples" / f"{name}.yaml"))
    result = plan(workload)
    assert isinstance(result, FeasiblePlan)
    assert result.complete
    assert simulate(workload.scenario, result.simulation.plan).met
