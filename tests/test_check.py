"""Scenarios checked against a baseline: what is equal is exactly so, what changed is told, judged and explained."""

import json
import os
import shutil
import subprocess
import sys
from decimal import Decimal
from importlib import metadata
from pathlib import Path
from typing import Any

import jsonschema
import pytest

import pipesim.check.checking as checking
from bad_input.answers import Run
from check_repository import edit, make_repository
from pipesim.check.baseline import Baseline, read_baseline, write_baseline
from pipesim.check.measures import headroom, seeds_from
from pipesim.check.report import CheckReport, ScenarioCheck
from pipesim.check.repository import Repository
from pipesim.check.thresholds import rule_of
from pipesim.engine import Workload, simulate
from pipesim.errors import InvalidInputError
from pipesim.model import Plan, StagePlan, load_scenario, write_plan
from pipesim.traces import scenario_trace
from pipesim.traces.transform import compress_time

SEEDS = 3
BASELINE = Path("pipesim-baseline.yaml")
SHOP = Path("shop.yaml")
PLAN = Plan(
    stages={
        "first": StagePlan(hardware="cpu", replicas=2, max_batch_size=8),
        "second": StagePlan(hardware="gpu", replicas=1, max_batch_size=8),
    }
)


@pytest.fixture
def shop(folder: Path) -> Path:
    """Return a repository with a baseline, entered."""
    make_repository(folder)
    Repository.of([SHOP]).update(seeds=SEEDS)
    return folder


@pytest.fixture
def base(shop: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy of the repository as it was."""
    return Path(shutil.copytree(shop, tmp_path_factory.mktemp("base") / "repository"))


def checked(*rules: str, **options: Any) -> ScenarioCheck:
    found = Repository.of([SHOP]).check(rules=[rule_of(rule, "fail") for rule in rules], **options)
    (one,) = found.scenarios
    assert found.verdict == one.verdict
    return one


def test_what_is_unchanged_is_exactly_what_it_was_and_is_not_simulated(
    shop: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    edit(SHOP, ("# a comment counts for nothing", ""))

    def never(*_: Any, **__: Any) -> None:
        raise AssertionError("it was simulated")

    monkeypatch.setattr(checking, "measured", never)
    monkeypatch.setattr("pipesim.check.evaluation.plan", never)
    found = checked("cost:+0%", "p50:+0%", "headroom:-0%")
    assert (found.state, found.verdict, found.reasons) == ("unchanged", "pass", ())
    assert {metric.change for metric in found.metrics} == {0.0}
    assert not any(metric.certain for metric in found.metrics)


def test_a_simulation_finds_exactly_what_the_baseline_says(shop: Path) -> None:
    """With another version on record all is evaluated anew, and nothing has changed."""
    _as_if_made_by("0.0.1")
    found = checked("cost:+0%", "p50:+0%", "headroom:-0%")
    assert (found.state, found.verdict) == ("changed", "pass")
    assert {metric.change for metric in found.metrics} == {0.0}
    assert (found.attribution, found.changes) == ((), ())
    assert "the baseline was made by pipesim 0.0.1" in found.notes


def _as_if_made_by(version: str, **update: Any) -> None:
    held = read_baseline(BASELINE)
    entries = {
        path: entry.model_copy(update={"pipesim_version": version, **update}) for path, entry in held.entries.items()
    }
    write_baseline(Baseline(entries=entries), BASELINE)


def test_a_baseline_that_is_not_what_is_found_is_noticed(shop: Path) -> None:
    found = checked(recheck=True)
    assert (found.state, found.notes) == ("unchanged", ())
    _as_if_made_by(metadata.version("pipesim"), cost_usd_per_hour=Decimal("1.00"))
    assert checked().notes == ()
    found = checked(recheck=True)
    assert "another build made it" in found.notes[0]
    assert [(effect.part, effect.usd_per_hour) for effect in found.attribution] == [("pipesim", Decimal("0.40"))]


def test_a_dearer_unit_is_a_matter_of_prices_and_not_of_the_plan(shop: Path) -> None:
    edit(shop / "prices.yaml", ("1.00", "1.10"))
    found = checked("cost:+1%")
    costs = found.costs
    assert costs is not None
    assert costs.before is not None
    assert (costs.price_effect, costs.plan_effect) == (Decimal("0.10"), 0)
    assert costs.now == costs.before + Decimal("0.10")
    assert found.plan_changes == ()
    assert [(effect.part, effect.item, effect.usd_per_hour) for effect in found.attribution] == [
        ("prices", "gpu", Decimal("0.10"))
    ]
    assert (found.prices["gpu"].before, found.prices["gpu"].now) == (Decimal("1.0"), Decimal("1.1"))
    assert found.verdict == "fail"
    assert {metric.change for metric in found.metrics if metric.unit != "usd_per_hour"} == {0.0}


def test_more_traffic_needs_another_plan_at_the_same_prices(shop: Path) -> None:
    edit(SHOP, ("rate_qps: 40", "rate_qps: 190"))
    found = checked()
    costs = found.costs
    assert costs is not None
    assert (found.met_before, found.met_now, found.verdict) == (True, False, "fail")
    assert "the committed plan no longer meets the objectives" in found.reasons
    assert costs.price_effect == 0
    assert costs.plan_effect is not None
    assert costs.plan_effect > 0
    assert found.plan_changes == found.best_changes != ()
    assert found.plan_now == found.best_plan != found.committed_plan
    again = simulate(load_scenario(SHOP), found.plan_now) if found.plan_now else None
    assert again is not None
    assert again.met
    assert again.cost_usd_per_hour == costs.now


def test_two_changes_share_what_they_cost_exactly(shop: Path, base: Path) -> None:
    edit(SHOP, ("rate_qps: 40", "rate_qps: 190"))
    edit(shop / "prices.yaml", ("0.40", "0.45"))
    untold = checked()
    assert untold.attribution == ()
    assert "--base-dir" in untold.attribution_note
    found = checked(base_dir=base)
    costs = found.costs
    assert costs is not None
    assert costs.now is not None
    assert costs.before is not None
    assert {(effect.part, effect.item) for effect in found.attribution} == {("prices", "cpu"), ("traffic", "")}
    assert sum(effect.usd_per_hour for effect in found.attribution) == costs.now - costs.before
    assert [change.text for change in found.changes] == [
        "0.4 → 0.45 $/h (+12.5%)",
        "traffic.poisson.rate_qps: 40 → 190",
    ]


def test_what_another_version_finds_is_its_own_doing(shop: Path, base: Path) -> None:
    paid = read_baseline(BASELINE).entries["shop.yaml"].cost_usd_per_hour
    _as_if_made_by("0.0.1", cost_usd_per_hour=paid - 1)
    edit(shop / "prices.yaml", ("1.00", "1.10"))
    found = checked(base_dir=base)
    assert [(effect.part, effect.usd_per_hour) for effect in found.attribution] == [
        ("pipesim", Decimal(1)),
        ("prices", Decimal("0.1")),
    ]


def test_a_scenario_without_any_plan_is_infeasible(shop: Path) -> None:
    edit(SHOP, ("120ms", "20ms"))
    found = checked()
    assert found.verdict == "infeasible"
    assert found.costs is not None
    assert found.costs.now is None
    assert found.plan_now is None
    assert found.attribution == ()


def test_a_plan_that_the_search_no_longer_allows_is_replaced(shop: Path) -> None:
    edit(SHOP, ("max_replicas: 8", "max_replicas: 8, exclude: [gpu]"))
    found = checked("cost:+1000%", "p99:+1000%")
    assert found.reasons[0] == "the committed plan no longer fits: second is on gpu, which the search leaves out"
    assert found.verdict == "warn"
    assert found.plan_now is not None
    assert found.plan_now.stages["second"].hardware == "cpu"
    # What is told of latencies is that of the committed plan, which does what it did.
    assert {metric.change for metric in found.metrics if metric.unit == "s"} == {0.0}
    assert found.misfit is not None


def test_a_plan_that_missed_before_is_no_regression(shop: Path) -> None:
    entry = read_baseline(BASELINE).entries["shop.yaml"]
    too_small = entry.plan.with_stage("first", replicas=1).with_stage("second", replicas=1, max_batch_size=1)
    write_plan(too_small, "small.yaml")
    edit(SHOP, ("rate_qps: 40", "rate_qps: 99"))
    Repository.of([SHOP]).update(plan=too_small, seeds=SEEDS)
    entry = read_baseline(BASELINE).entries["shop.yaml"]
    assert (entry.met, entry.plan) == (False, too_small)
    assert entry.best_plan is not None
    assert (checked().verdict, checked().reasons) == (
        "warn",
        ("the committed plan misses an objective, as it did before",),
    )
    edit(SHOP, ("rate_qps: 99", "rate_qps: 100"))
    found = checked("p99:+1000%", "cost:+1000%")
    assert (found.met_before, found.met_now, found.verdict) == (False, False, "warn")


@pytest.mark.slow
def test_a_new_scenario_warns_and_keeps_budgets(shop: Path) -> None:
    shutil.copy("shop.yaml", "other.yaml")
    repository = Repository.of([Path("other.yaml")])
    found = repository.check(rules=[rule_of("p99:+1%", "fail"), rule_of("cost:99", "fail")]).scenarios[0]
    assert (found.state, found.verdict) == ("new", "warn")
    assert found.reasons == ("it is not in the baseline: run pipesim baseline update",)
    assert repository.check(rules=[rule_of("cost:0.5", "fail")]).verdict == "fail"


def test_a_baseline_that_was_stale_already_is_noticed(shop: Path, base: Path) -> None:
    edit(base / "prices.yaml", ("1.00", "1.01"))
    edit(shop / "prices.yaml", ("1.00", "1.10"))
    found = checked(base_dir=base)
    assert any("stale already" in note for note in found.notes)
    assert [(effect.part, effect.usd_per_hour) for effect in found.attribution] == [("prices", Decimal("0.09"))]
    assert found.attribution_note == "the baseline is not that of the old files, whose plan costs $1.41/h"


@pytest.mark.slow
def test_a_change_of_nothing_does_not_answer_for_a_stale_baseline(shop: Path, base: Path) -> None:
    for folder in (shop, base):
        edit(folder / "prices.yaml", ("1.00", "1.10"))
    found = checked(base_dir=base)
    assert found.attribution == ()
    assert "the baseline is not that of the old files" in found.attribution_note


def test_entries_of_files_that_are_gone_are_noticed_and_dropped(shop: Path) -> None:
    shutil.copy("shop.yaml", "other.yaml")
    Repository.of([Path("other.yaml")]).update(seeds=SEEDS)
    SHOP.unlink()
    repository = Repository.of([Path("other.yaml")])
    assert "shop.yaml is in the baseline" in repository.check().baseline.notes[0]
    baseline, gone = repository.update(seeds=SEEDS)
    assert (list(baseline.entries), gone) == (["other.yaml"], ("shop.yaml",))
    assert repository.check().baseline.notes == ()


@pytest.mark.slow
def test_rules_are_those_of_the_old_files(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    make_repository(folder)
    Path("pipesim.toml").write_text('[check]\nscenarios = ["*shop.yaml"]\nfail_if = ["cost:+1%"]\n')
    Repository.of().update(seeds=SEEDS)
    base = Path(shutil.copytree(folder, tmp_path_factory.mktemp("base") / "repository"))
    edit(folder / "prices.yaml", ("1.00", "1.10"))
    edit(folder / "pipesim.toml", ("+1%", "+99%"))
    assert Repository.of().check().verdict == "pass"
    found = Repository.of().check(base_dir=base)
    assert found.verdict == "fail"
    assert found.baseline.notes == ("the rules are those of the old files; they are changed here",)
    Path("pipesim.toml").unlink()
    assert Repository.of([SHOP]).check(base_dir=base).verdict == "fail"
    # Nor does another name help,
    SHOP.rename("store.yaml")
    renamed = Repository.of(["store.yaml"]).check(base_dir=base)
    assert renamed.baseline.notes[1] == "shop.yaml was in the baseline, and the file is gone"
    assert [outcome.rule for metric in renamed.scenarios[0].metrics for outcome in metric.outcomes][0] == "cost:+1%"
    Path("store.yaml").rename(SHOP)
    # and old files without settings have the rules by default, not those of the repository that they lie in.
    (base / "pipesim.toml").unlink()
    inside = Path(shutil.move(base, folder / "old"))
    shutil.rmtree(inside / ".git")
    Path("pipesim.toml").write_text('[check]\nfail_if = ["cost:+99%"]\n')
    assert Repository.of([SHOP]).check(base_dir=inside).verdict == "fail"


def test_a_change_that_brings_its_own_baseline_says_so(shop: Path, base: Path) -> None:
    edit(shop / "prices.yaml", ("1.00", "1.10"))
    Repository.of([SHOP]).update(seeds=SEEDS)
    found = Repository.of([SHOP]).check(base_dir=base)
    assert found.verdict == "pass"
    assert found.scenarios[0].notes == ("the change replaces its entry in the baseline, $1.40/h → $1.50/h",)


def test_a_change_cannot_commit_to_a_plan_that_misses_without_failing(shop: Path, base: Path) -> None:
    edit(SHOP, ("rate_qps: 40", "rate_qps: 190"))
    Repository.of([SHOP]).update(keep_plans=True, seeds=SEEDS)
    assert checked().verdict == "warn"
    found = checked(base_dir=base)
    assert found.verdict == "fail"
    assert found.notes == (
        "the change replaces its entry in the baseline, $1.40/h → $1.40/h, which misses an objective",
    )


def test_an_entry_that_the_change_takes_out_is_compared_with_all_the_same(shop: Path, base: Path) -> None:
    edit(shop / "prices.yaml", ("1.00", "1.10"))
    write_baseline(Baseline(), BASELINE)
    found = Repository.of([SHOP]).check(base_dir=base)
    assert (found.scenarios[0].state, found.verdict) == ("changed", "fail")
    assert found.scenarios[0].notes == ("its entry is taken out of the baseline here: it is compared with that",)


def test_a_baseline_elsewhere_and_a_scenario_no_longer_listed_are_named(
    folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    make_repository(folder)
    shutil.copy("shop.yaml", "other.yaml")
    Path("pipesim.toml").write_text('[check]\nscenarios = ["shop.yaml", "other.yaml"]\n')
    Repository.of().update(seeds=SEEDS)
    base = Path(shutil.copytree(folder, tmp_path_factory.mktemp("base") / "repository"))
    edit(folder / "pipesim.toml", (', "other.yaml"', ""), ("[check]", '[check]\nbaseline = "mine.yaml"'))
    BASELINE.rename("mine.yaml")
    found = Repository.of().check(base_dir=base)
    assert found.verdict == "warn"
    assert found.baseline.notes == (
        "the baseline was pipesim-baseline.yaml, and is another file here",
        "other.yaml was checked, and is not any more",
    )


def test_old_files_that_cannot_be_read_are_no_reason_to_stop(shop: Path, base: Path) -> None:
    (base / "shop.yaml").write_text("- no")
    found = Repository.of([SHOP]).check(base_dir=base)
    assert found.verdict == "pass"
    assert found.baseline.notes[0].startswith("of the old files, shop.yaml: ")
    for wrong in (Path("nowhere"), shop, Path()):
        with pytest.raises(InvalidInputError, match=r"^--base-dir: "):
            Repository.of([SHOP]).check(base_dir=wrong)


def test_the_plan_that_runs_now_and_a_renamed_stage_change_together(
    folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    make_repository(folder)
    edit(SHOP, ("max_replicas: 8", "max_replicas: 8, previous: {plan: now.yaml}"))
    write_plan(PLAN, "now.yaml")
    Repository.of([SHOP]).update(seeds=SEEDS)
    base = Path(shutil.copytree(folder, tmp_path_factory.mktemp("base") / "repository"))
    edit(SHOP, ("second:", "third:"), ("rate_qps: 40", "rate_qps: 190"))
    edit(folder / "now.yaml", ("second:", "third:"))
    found = checked("cost:+1000%", "p99:+1000%", base_dir=base)
    assert found.attribution_note.startswith("some of the changes make no scenario without the others")
    assert found.misfit is not None


def test_the_price_effect_is_that_of_the_plan_that_was_paid_for(shop: Path) -> None:
    edit(SHOP, ("rate_qps: 40", "rate_qps: 190"))
    Repository.of([SHOP]).update(keep_plans=True, seeds=SEEDS)
    entry = read_baseline(BASELINE).entries["shop.yaml"]
    assert entry.best_plan is not None
    edit(shop / "prices.yaml", ("0.40", "0.44"))
    costs = checked().costs
    assert costs is not None
    now = entry.best_plan.cost_usd_per_hour(load_scenario(SHOP).catalogue)
    assert costs.before == entry.best_cost_usd_per_hour != entry.cost_usd_per_hour
    assert (costs.price_effect, costs.plan_effect) == (now - costs.before, 0)


def test_what_was_infeasible_stays_so(shop: Path) -> None:
    edit(SHOP, ("120ms", "20ms"))
    Repository.of([SHOP]).update(keep_plans=True, seeds=SEEDS)
    assert {checked().verdict, checked(recheck=True).verdict} == {"infeasible"}


def test_a_plan_that_the_search_does_not_allow_cannot_be_committed_to(shop: Path) -> None:
    edit(SHOP, ("max_replicas: 8", "max_replicas: 8, exclude: [gpu]"))
    with pytest.raises(InvalidInputError, match=r"^shop.yaml: plan: cannot be committed to: second is on gpu"):
        Repository.of([SHOP]).update(keep_plans=True)


def test_a_scenario_named_twice_is_checked_once(shop: Path) -> None:
    (shop / "sub").mkdir()
    assert len(Repository.of([SHOP, shop / SHOP, Path("sub/../shop.yaml")]).scenarios) == 1


def test_the_baseline_lies_beside_the_settings(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_repository(folder)
    Path("pipesim.toml").write_text('[check]\nscenarios = ["shop.yaml"]\nfail_if = ["p99.9:+1%"]\n')
    Repository.of().update(seeds=SEEDS)
    (folder / "sub").mkdir()
    monkeypatch.chdir(folder / "sub")
    edit(folder / "profiles.csv", ("alpha,cpu,1,10", "alpha,cpu,1,11"))
    (found,) = Repository.of().check().scenarios
    # Paths are those of the repository, and quantiles that rules are about are measured.
    assert (found.path, found.file, found.changes[0].file) == ("shop.yaml", None, "profiles.csv")
    assert "p99.9" in [metric.metric for metric in found.metrics]


def test_fewer_seeds_are_the_first_of_the_baseline(shop: Path) -> None:
    edit(SHOP, ("rate_qps: 40", "rate_qps: 41"))
    few, more = checked(seeds=2), checked(seeds=4)
    assert (few.seeds, checked().seeds, more.seeds) == ((1, 2), (1, 2, 3), (1, 2, 3, 4))
    entry = read_baseline(BASELINE).entries["shop.yaml"]
    p99 = next(metric for metric in few.metrics if metric.metric == "p99")
    assert p99.before == pytest.approx(sum(entry.measured.latency_ns["p99"][:2]) / 2e9)


def test_the_baseline_keeps_plans_if_asked(shop: Path) -> None:
    plan = read_baseline(BASELINE).entries["shop.yaml"].plan
    edit(shop / "prices.yaml", ("0.40", "9.00"))
    repository = Repository.of([SHOP])
    assert repository.update(keep_plans=True, seeds=SEEDS)[0].entries["shop.yaml"].plan == plan


def test_headroom_is_the_last_step_at_which_it_and_all_lower_ones_hold(shop: Path) -> None:
    scenario = load_scenario(SHOP)
    plan = read_baseline(BASELINE).entries["shop.yaml"].plan
    trace = scenario_trace(scenario)

    def holds(step: int) -> bool:
        return simulate(Workload.of(scenario, compress_time(trace, step / 100)), plan).met

    found = round(100 * headroom(Workload.of(scenario), plan))
    assert found >= 100
    assert all(holds(step) for step in range(1, found + 1))
    assert not holds(found + 1)
    # A server that waits for a batch to fill misses where there is little traffic: then there is no headroom at all.
    edit(SHOP, ("{model: alpha}", "{model: alpha, batching: {policy: greedy, max_queue_delay: 1s}}"))
    waiting = load_scenario(SHOP)
    assert headroom(Workload.of(waiting), plan.with_stage("first", max_batch_size=8)) == 0.0


def test_windows_of_an_objective_hold_the_same_queries_at_every_load(shop: Path) -> None:
    """At a hundredth of the load a window of 2 s would hold no query, and where it held one that were late, all."""
    edit(SHOP, ("{p99: 120ms}", "[{quantile: p90, bound: 60ms, every: 2s}]"))
    scenario = load_scenario(SHOP)
    found = headroom(Workload.of(scenario), PLAN)
    assert found >= 1
    assert simulate(scenario, PLAN).met


def test_seeds_are_the_scenarios_own_and_those_after_it() -> None:
    assert seeds_from(2**63 - 2, 3) == (2**63 - 2, 2**63 - 1, 0)


class TestCommand:
    """``pipesim check`` and ``pipesim baseline``."""

    def test_exit_codes(self, run: Run, folder: Path) -> None:
        make_repository(folder)
        assert run("baseline", "update", SHOP, "--seeds", SEEDS).code == 0
        assert run("check", SHOP).code == 0
        edit(folder / "profiles.csv", ("alpha,cpu,1,10", "alpha,cpu,1,11"))
        assert run("check", SHOP, "--fail-if", "p50:+0%").code == 4
        assert run("check", SHOP, "--warn-if", "p50:+0%").code == 0
        edit(SHOP, ("120ms", "20ms"))
        assert run("check", SHOP).code == 3
        assert run("check", SHOP, "--fail-if", "speed:+1%").code == 2
        assert "is the file of" in run("check", SHOP, "--markdown", "prices.yaml").err
        assert run("check").code == 2
        BASELINE.unlink()
        assert run("check", SHOP).code == 2

    def test_the_report_has_the_published_schema(self, run: Run, folder: Path) -> None:
        make_repository(folder)
        run("baseline", "update", SHOP, "--seeds", SEEDS)
        edit(SHOP, ("rate_qps: 40", "rate_qps: 190"))
        answer = run("check", SHOP, "--json", "--out", "report.json")
        assert answer.out == Path("report.json").read_text()
        schema = json.loads(run("schema", "report").out)
        jsonschema.validate(json.loads(answer.out), schema)
        assert CheckReport.model_validate_json(answer.out).verdict == "fail"
        broken = json.loads(answer.out) | {"verdict": "good"}
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(broken, schema)

    def test_all_files_are_written(self, run: Run, folder: Path) -> None:
        make_repository(folder)
        run("baseline", "update", SHOP, "--seeds", SEEDS)
        edit(SHOP, ("rate_qps: 40", "rate_qps: 190"))
        names = ("r.md", "r.xml", "r.sarif", "r.json")
        options = ("--markdown", "--junit", "--sarif", "--code-quality")
        answer = run("check", SHOP, "--github", *(part for pair in zip(options, names, strict=True) for part in pair))
        assert "::error file=shop.yaml" in answer.out
        assert all(Path(name).stat().st_size > 100 for name in names)


@pytest.mark.slow
def test_reports_and_baselines_are_the_same_bytes_wherever_they_are_made(tmp_path: Path) -> None:
    """Two runs, folders, locales, time zones, numbers of threads, and seeds of Python's hashes."""
    places = (
        {"LC_ALL": "C", "TZ": "UTC", "PYTHONHASHSEED": "0"},
        {"LC_ALL": "C.UTF-8", "TZ": "Asia/Kathmandu", "PYTHONHASHSEED": "1"},
    )
    made = [_made_in(tmp_path / f"place {number}" / "deeper", place) for number, place in enumerate(places)]
    assert made[0] == made[1]


def _made_in(folder: Path, environment: dict[str, str]) -> list[str]:
    """Return all that is written about a change in a new folder; with no hash seed, on one core."""
    one_core = ["taskset", "-c", "0"] if environment["PYTHONHASHSEED"] == "0" and shutil.which("taskset") else []

    def pipesim(*arguments: str, code: int = 0) -> str:
        command = [*one_core, str(Path(sys.executable).with_name("pipesim")), *arguments]
        done = subprocess.run(command, cwd=folder, env=os.environ | environment, capture_output=True, check=False)
        assert done.returncode == code, done.stderr.decode()
        return done.stdout.decode()

    make_repository(folder)
    pipesim("baseline", "update", "shop.yaml")
    shutil.copytree(folder, folder.parent / "base")
    edit(folder / "shop.yaml", ("rate_qps: 40", "rate_qps: 190"))
    edit(folder / "prices.yaml", ("0.40", "0.45"))
    files = ("--markdown", "r.md", "--junit", "r.xml", "--sarif", "r.sarif", "--code-quality", "q.json")
    report = pipesim("check", "shop.yaml", "--base-dir", "../base", "--json", *files, code=4)
    return [report, *((folder / name).read_text() for name in ("pipesim-baseline.yaml", *files[1::2]))]
