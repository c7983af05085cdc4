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
import numpy as np
import pytest

import pipesim.check.checking as checking
from bad_input.answers import Run
from check_repository import edit, make_repository
from pipesim.check.baseline import Baseline, read_baseline, write_baseline
from pipesim.check.committing import entry_of
from pipesim.check.evaluation import Evaluation
from pipesim.check.measures import headroom, measured, seeds_from
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
    assert found.state == "changed"
    assert "another build made it" in found.notes[0]
    assert [(effect.part, effect.usd_per_hour) for effect in found.attribution] == [("pipesim", Decimal("0.40"))]


def test_a_dearer_unit_is_a_matter_of_prices_and_not_of_the_plan(shop: Path) -> None:
    edit(shop / "prices.yaml", ("1.00", "1.10"))
    found = checked("cost:+1%")
    costs = found.costs
    assert costs is not None
    assert costs.before is not None
    assert (costs.price_effect, costs.plan_effect) == (Decimal("0.10"), 0)
    assert costs.now == costs.committed_now == costs.before + Decimal("0.10")
    assert found.plan_changes == ()
    assert [(effect.part, effect.item, effect.usd_per_hour) for effect in found.attribution] == [
        ("prices", "gpu", Decimal("0.10"))
    ]
    assert found.attribution[0].relative == pytest.approx(0.1 / 1.4)
    assert (found.prices["gpu"].before, found.prices["gpu"].now) == (Decimal("1.0"), Decimal("1.1"))
    assert (found.verdict, found.notes) == ("fail", ())
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
    untold = checked()
    assert untold.attribution == ()
    assert "--base-dir" in untold.attribution_note
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
    assert checked("cost:0.1").verdict == "fail"


def test_a_plan_that_missed_before_is_no_regression(shop: Path, base: Path) -> None:
    entry = read_baseline(BASELINE).entries["shop.yaml"]
    too_small = entry.plan.with_stage("first", replicas=1).with_stage("second", replicas=1, max_batch_size=1)
    write_plan(too_small, "small.yaml")
    edit(SHOP, ("rate_qps: 40", "rate_qps: 99"))
    Repository.of([SHOP]).update(plan=too_small, seeds=SEEDS)
    entry = read_baseline(BASELINE).entries["shop.yaml"]
    assert (entry.met, entry.plan) == (False, too_small)
    assert entry.best_plan is not None
    shutil.copytree(shop, base, dirs_exist_ok=True)
    found = checked()
    assert (found.verdict, found.reasons) == ("warn", ("the committed plan misses an objective, as it did before",))
    assert (found.met_before, found.met_now, found.plan_now) == (False, False, entry.best_plan)
    assert checked("cost:0.1").verdict == "fail"
    edit(SHOP, ("rate_qps: 99", "rate_qps: 100"))
    for options in ({}, {"base_dir": base}):
        found = checked("p99:+1000%", "cost:+1000%", **options)
        assert (found.met_before, found.met_now, found.verdict) == (False, False, "warn")
    assert checked("cost:0.1").verdict == "fail"


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


def test_a_quantile_that_the_baseline_lacks_is_measured_for_a_rule(shop: Path, base: Path) -> None:
    found = checked("p99.9:+1%", "p99.9:1ms")
    (p999,) = [metric for metric in found.metrics if metric.metric == "p99.9"]
    assert p999.before is None
    assert [(outcome.rule, outcome.broken) for outcome in p999.outcomes] == [("p99.9:+1%", False), ("p99.9:1ms", True)]


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
    assert next(outcome.rule for metric in renamed.scenarios[0].metrics for outcome in metric.outcomes) == "cost:+1%"
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
    named = Repository.of([SHOP]).check(base_dir=base)
    assert (named.verdict, named.baseline.notes) == ("pass", found.baseline.notes[:1])


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
    Path("link.yaml").symlink_to(SHOP)
    assert len(Repository.of([SHOP, Path("link.yaml")]).scenarios) == 2


def test_the_baseline_lies_beside_the_settings(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_repository(folder)
    Path("pipesim.toml").write_text('[check]\nscenarios = ["shop.yaml"]\nfail_if = ["p99.9:+1%"]\nseeds = 2\n')
    Repository.of().update()
    (folder / "sub").mkdir()
    monkeypatch.chdir(folder / "sub")
    edit(folder / "profiles.csv", ("alpha,cpu,1,10", "alpha,cpu,1,11"))
    (found,) = Repository.of().check().scenarios
    # Paths are those of the repository, seeds those of the settings, and quantiles that rules are about are measured.
    assert found.seeds == (1, 2)
    assert (found.path, found.file, found.changes[0].file) == ("shop.yaml", None, "profiles.csv")
    assert "p99.9" in [metric.metric for metric in found.metrics]


@pytest.mark.slow
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


@pytest.mark.slow
def test_the_committed_plan_runs_while_it_meets_the_objectives_though_another_is_cheaper(shop: Path) -> None:
    best = read_baseline(BASELINE).entries["shop.yaml"].plan
    Repository.of([SHOP]).update(plan=PLAN, seeds=SEEDS)

    def told() -> tuple[str, tuple[str, ...]]:
        found = checked("cost:+0%", "best_cost:+0%")
        assert (found.met_now, found.plan_now, found.best_plan) == (True, PLAN, best)
        assert found.plan_changes == ()
        assert [change.stage for change in found.best_changes] == ["first"]
        assert [(change.before, change.now) for change in found.best_changes] == [
            ("2 × cpu, batch 8", f"1 × cpu, batch {best.stages['first'].max_batch_size}")
        ]
        costs = found.costs
        assert costs is not None
        assert (costs.now, costs.committed_now, costs.best_now) == (Decimal("1.8"), Decimal("1.8"), Decimal("1.4"))
        now = {metric.metric: metric.now for metric in found.metrics if metric.unit == "usd_per_hour"}
        assert now == {"cost": 1.8, "committed_cost": 1.8, "best_cost": 1.4}
        return found.verdict, found.notes

    assert told() == ("pass", ())
    edit(SHOP, ("rate_qps: 40", "rate_qps: 41"))
    assert told() == ("pass", ("a cheaper plan than the committed one meets the objectives",))


@pytest.mark.slow
def test_prices_that_make_up_for_each_other_are_told_and_what_costs_nothing_is_not(shop: Path, base: Path) -> None:
    edit(shop / "prices.yaml", ("0.40", "0.50"), ("1.00", "0.90"))
    untold = checked("cost:+0%")
    assert (untold.verdict, untold.attribution, untold.attribution_note) == ("pass", (), "")
    for bound in ("120ms", "121ms"):
        edit(SHOP, ("120ms", bound))
        found = checked("cost:+0%", base_dir=base)
        assert [(effect.item, effect.usd_per_hour) for effect in found.attribution] == [
            ("cpu", Decimal("0.1")),
            ("gpu", Decimal("-0.1")),
        ]
        assert [effect.relative for effect in found.attribution] == [pytest.approx(1 / 14), pytest.approx(-1 / 14)]
        assert (found.verdict, found.attribution_note) == ("pass", "")


def test_a_change_that_needs_another_to_have_a_plan_has_no_cost_of_its_own(shop: Path, base: Path) -> None:
    edit(SHOP, ("120ms", "20ms"))
    edit(shop / "profiles.csv", ("cpu,1,10", "cpu,1,3"), ("gpu,1,15", "gpu,1,4"))
    edit(shop / "prices.yaml", ("1.00", "1.10"))
    found = checked(base_dir=base)
    assert found.costs is not None
    assert found.costs.now is not None
    assert found.attribution == ()
    assert found.attribution_note == (
        "with some of the changes and without the others no plan meets the objectives: what each costs cannot be told"
    )


def test_hardware_that_is_gone_has_no_price_to_tell_effects_by(shop: Path) -> None:
    edit(shop / "prices.yaml", ("  gpu: {kind: gpu, unit: gpu, price_usd_per_hour: 1.00}\n", ""))
    found = checked("cost:+1000%")
    assert found.costs is not None
    assert (found.costs.committed_now, found.costs.price_effect, found.costs.plan_effect) == (None, None, None)
    assert found.plan_now is not None
    assert (found.verdict, found.met_now) == ("warn", False)
    assert [metric.metric for metric in found.metrics if metric.unit != "usd_per_hour"] == []


@pytest.mark.parametrize(
    ("limits", "misfit"),
    [
        ("max_replicas: 2, min_replicas: 1, max_batch_size: 8, quota: {cpu: 2}, max_cost_usd_per_hour: 1.80", None),
        ("max_replicas: 1", "first has 2 replicas, the search allows 1–1"),
        ("min_replicas: 2", "second has 1 replicas, the search allows 2–128"),
        ("max_batch_size: 4", "first has batches of up to 8, the search allows 4"),
        ("quota: {cpu: 1}", "it occupies 2 cpu, the quota is 1"),
        ("max_cost_usd_per_hour: 1.79", "it costs more than the ceiling of $1.79 an hour"),
    ],
)
def test_a_plan_fits_up_to_the_limits_and_no_further(limits: str, misfit: str | None, folder: Path) -> None:
    make_repository(folder)
    edit(SHOP, ("max_replicas: 8", limits))
    evaluation = Evaluation(load_scenario(SHOP), PLAN)
    assert (evaluation.misfit, evaluation.met) == (misfit, misfit is None)


def test_a_scenario_that_is_new_is_simulated_under_as_many_seeds_as_asked(shop: Path) -> None:
    write_baseline(Baseline(), BASELINE)
    found = checked("p99.9:1h", "cost:+1%", seeds=2)
    assert (found.state, found.verdict, found.seeds) == ("new", "warn", (1, 2))
    assert "p99.9" in [metric.metric for metric in found.metrics]
    assert checked("p50:1ms", seeds=1).verdict == "fail"


def test_what_is_measured_is_the_worst_objective_and_the_busiest_stage_under_each_seed(folder: Path) -> None:
    make_repository(folder)
    edit(SHOP, ("{p99: 120ms}", "{p90: 30ms, p99.5: 60ms}"))
    scenario = load_scenario(SHOP)
    found = measured(scenario, PLAN, (1, 5), ["p42"])
    assert list(found.latency_ns) == ["p42", "p50", "p90", "p95", "p99", "p99.5"]
    edit(SHOP, ("seed: 1", "seed: 5"))
    for number, one in enumerate((scenario, load_scenario(SHOP))):
        result = simulate(one, PLAN)
        assert found.miss_rate[number] == max(outcome.miss_rate for outcome in result.slos)
        assert len({outcome.miss_rate for outcome in result.slos}) == 2
        assert found.utilisation[number] == result.stages["utilisation"].max()
        assert (
            found.latency_ns["p99"][number]
            == np.sort(result.latency_ns)[int(np.ceil(0.99 * result.latency_ns.size)) - 1]
        )


@pytest.mark.parametrize(
    ("scaled", "noise", "same"),
    [("", 0, True), ("", 0.5, False), (", thin: 0.5", 0, False), (", transform: [{thin: 0.5}]", 0, False)],
)
def test_recorded_arrivals_are_one_for_all_seeds_unless_a_seed_decides(
    scaled: str, noise: float, same: bool, folder: Path
) -> None:
    make_repository(folder)
    Path("seen.csv").write_text("t\n" + "".join(f"{n * n}\n" for n in range(100)))
    rows = Path("profiles.csv").read_text().replace("\n", f",{noise}\n")
    Path("profiles.csv").write_text(rows.replace(f"latency_ms,{noise}", "latency_ms,noise_scv"))
    edit(SHOP, ("{poisson: {rate_qps: 40, duration: 20s}}", f"{{file: seen.csv, column: t, unit: ms{scaled}}}"))
    found = entry_of(load_scenario(SHOP), PLAN, seeds=3)
    assert (len(set(found.measured.utilisation)) == 1) is same
    assert set(found.files) == {"shop.yaml", "profiles.csv", "prices.yaml", "seen.csv"}


def test_what_cannot_be_compared_names_the_scenario(shop: Path) -> None:
    Repository.of([SHOP]).update(seeds=1)
    with pytest.raises(InvalidInputError, match=r"^shop.yaml: rule: '.*' is about a change that one seed cannot tell"):
        checked("p99:+1%")
    edit(SHOP, ("rate_qps: 40", "rate_qps: 0.001"))
    with pytest.raises(InvalidInputError, match=r"^shop.yaml: traffic: 0 is how many queries there are"):
        checked()


def test_a_search_that_ends_by_its_budget_says_so(shop: Path) -> None:
    edit(SHOP, ("rate_qps: 40", "rate_qps: 190"))
    found = checked(max_evaluations=1)
    assert (found.verdict, found.reasons) == (
        "infeasible",
        ("the search ended by its budget before it found a plan",),
    )


def test_an_entry_that_was_written_in_by_hand_can_be_replaced_but_not_kept(shop: Path) -> None:
    edit(BASELINE, ("met: true", "met: false"))
    repository = Repository.of([SHOP])
    for wrong in (lambda: repository.check(), lambda: repository.update(keep_plans=True)):
        with pytest.raises(InvalidInputError, match="run pipesim baseline update"):
            wrong()
    repository.update(seeds=SEEDS)
    assert checked().verdict == "pass"


def test_a_plan_is_committed_to_for_one_scenario(shop: Path) -> None:
    shutil.copy("shop.yaml", "other.yaml")
    for scenarios, keep in (([SHOP, Path("other.yaml")], False), ([SHOP], True)):
        with pytest.raises(InvalidInputError, match=r"^--plan: .* is for one scenario, without --keep-plans"):
            Repository.of(scenarios).update(plan=PLAN, keep_plans=keep, seeds=1)


def test_what_the_old_files_do_not_have_is_said(shop: Path, base: Path) -> None:
    (base / "shop.yaml").unlink()
    found = Repository.of([SHOP]).check(base_dir=base)
    assert found.baseline.notes == ()
    assert found.scenarios[0].notes == ("it is not in the old files",)
    assert (found.verdict, found.scenarios[0].state) == ("pass", "unchanged")
    (base / BASELINE).unlink()
    found = Repository.of([SHOP]).check(base_dir=base)
    (note,) = found.baseline.notes
    assert note.startswith("the old files have no scenario, no settings and no baseline")
    # Nobody has seen this entry before, so it is not taken for granted.
    _as_if_made_by(metadata.version("pipesim"), cost_usd_per_hour=Decimal(1))
    assert "another build made it" in Repository.of([SHOP]).check(base_dir=base).scenarios[0].notes[-1]


def test_an_entry_of_another_scenario_that_the_change_takes_out_warns(shop: Path, base: Path) -> None:
    """Though it is not asked about: it is there, and would be new, and new ones break no rule of change."""
    shutil.copy(SHOP, "other.yaml")
    entry = read_baseline(BASELINE).entries["shop.yaml"]
    write_baseline(Baseline(entries={"shop.yaml": entry, "other.yaml": entry, "gone.yaml": entry}), base / BASELINE)
    found = Repository.of([SHOP]).check(base_dir=base)
    assert found.baseline.notes == (
        "gone.yaml was in the baseline, and the file is gone",
        "other.yaml was in the baseline, and is not any more",
    )
    assert (found.verdict, found.scenarios[0].verdict) == ("warn", "pass")


@pytest.mark.slow
def test_a_baseline_that_is_named_is_looked_for_by_that_name_in_the_old_files(
    folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    make_repository(folder)
    (folder / "sub").mkdir()
    for name in ("shop.yaml", "profiles.csv", "prices.yaml"):
        (folder / name).rename(folder / "sub" / name)
    repository = Repository.of([Path("sub/shop.yaml")], "sub/named.yaml")
    repository.update(seeds=SEEDS)
    base = Path(shutil.copytree(folder, tmp_path_factory.mktemp("base") / "repository"))
    edit(folder / "sub/prices.yaml", ("1.00", "1.10"))
    repository.update(seeds=SEEDS)
    found = repository.check(base_dir=base)
    (one,) = found.scenarios
    assert (found.baseline.name, found.baseline.notes) == ("named.yaml", ())
    assert (one.path, one.file) == ("shop.yaml", "sub/shop.yaml")
    assert one.notes == ("the change replaces its entry in the baseline, $1.40/h → $1.50/h",)
    assert (one.state, one.changes, one.attribution) == ("unchanged", (), ())


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
    trace, last = scenario_trace(scenario), round(100 * found)
    for step, holds in ((1, True), (50, True), (last, True), (last + 1, False)):
        shutil.copy(SHOP, "loaded.yaml")
        edit(Path("loaded.yaml"), ("every: 2s", f"every: {200_000_000 // step}us"))
        loaded = Workload.of(load_scenario("loaded.yaml"), compress_time(trace, step / 100))
        assert simulate(loaded, PLAN).met is holds


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

    @pytest.mark.slow
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
