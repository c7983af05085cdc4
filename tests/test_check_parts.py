"""What an answer rests on: hashed by item, told apart, and put together anew."""

from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from check_repository import PRICES, edit, make_repository
from pipesim.check.attribution import MOST_PLAYERS, players_of, shapley
from pipesim.check.changes import described_changes
from pipesim.check.parts import Item, changed_items, hashes_of, mixed, prices_of, truly_changed
from pipesim.model import Plan, Scenario, StagePlan, load_scenario, write_plan
from pipesim.planner import plan
from pipesim.traces import scenario_trace

Edits = tuple[tuple[str, str, str], ...]


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    """Return the scenario file as it was, and one to edit."""
    return make_repository(tmp_path / "before"), make_repository(tmp_path / "now")


def edited(pair: tuple[Path, Path], *edits: tuple[str, str, str]) -> tuple[Scenario, Scenario]:
    for file, old, new in edits:
        edit(pair[1].parent / file, (old, new))
    return load_scenario(pair[0]), load_scenario(pair[1])


def differing_items(before: Scenario, now: Scenario) -> tuple[Item, ...]:
    return truly_changed(changed_items(hashes_of(before), hashes_of(now)), before, now)


CHANGES: dict[str, tuple[Edits, tuple[Item, ...], str, int | None]] = {
    "a rate": (
        (("shop.yaml", "rate_qps: 40", "rate_qps: 60"),),
        (Item("traffic", ""),),
        "traffic.poisson.rate_qps: 40 → 60",
        3,
    ),
    "a seed": ((("shop.yaml", "seed: 1", "seed: 2"),), (Item("traffic", ""),), "seed: 1 → 2", 10),
    "a bound": ((("shop.yaml", "120ms", "90ms"),), (Item("slo", ""),), "slo.p99: 120ms → 90ms", 2),
    "a limit": (
        (("shop.yaml", "max_replicas: 8", "max_replicas: 2"),),
        (Item("space", ""),),
        "search.max_replicas: 8 → 2",
        9,
    ),
    "a latency": (
        (("profiles.csv", "beta,gpu,8,30", "beta,gpu,8,45"),),
        (Item("profiles", "beta"),),
        "gpu, batch 8: 30 ms → 45 ms (+50.0%)",
        5,
    ),
    "a whole curve": (
        (("profiles.csv", "alpha,cpu,1,10\nalpha,cpu,8,40", "alpha,cpu,1,11\nalpha,cpu,8,44"),),
        (Item("profiles", "alpha"),),
        "cpu: every batch +10.0%",
        2,
    ),
    "a price": (
        (("prices.yaml", "1.00", "1.05"),),
        (Item("prices", "gpu"),),
        "1.0 → 1.05 $/h (+5.0%)",
        3,
    ),
    "a bundle": (
        (("prices.yaml", "duo: {cpu: 2}", "duo: {cpu: 3}"),),
        (Item("prices", "bundle duo"),),
        "2 cpu → 3 cpu",
        6,
    ),
    "batching": (
        (("shop.yaml", "{model: alpha}", "{model: alpha, batch_overhead: 5ms}"),),
        (Item("pipeline", "first"),),
        "pipeline.first.batch_overhead: added",
        5,
    ),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_is_one_of_its_item_and_is_told_where_it_is_written(name: str, pair: tuple[Path, Path]) -> None:
    edits, items, text, line = CHANGES[name]
    before, now = edited(pair, *edits)
    assert changed_items(hashes_of(before), hashes_of(now)) == differing_items(before, now) == items
    (told,) = described_changes(items, before, now, prices_of(before), pair[1], pair[1].parent)
    assert (told.text, told.line) == (text, line)
    assert told.file == ("shop.yaml" if edits[0][0] == "shop.yaml" else edits[0][0])
    (unknown,) = described_changes(items, None, now, prices_of(before), pair[1], pair[1].parent)
    assert unknown.text == (text if name == "a price" else "changed")


@pytest.mark.parametrize(
    "edits",
    [
        (("shop.yaml", "   # a comment counts for nothing", ""),),
        (("shop.yaml", "seed: 1\n", ""), ("shop.yaml", "name:", "seed: 1\nname:")),
        (("profiles.csv", "gamma,cpu,1,1\n", "gamma,cpu,1,9\ndelta,gpu,1,1\n"),),
        (("prices.yaml", "5.00", "7.00"),),
        (("profiles.csv", "beta,gpu,8,30\n", "beta,gpu,8,30.0\n"),),
    ],
)
def test_what_no_answer_depends_on_changes_nothing(edits: Edits, pair: tuple[Path, Path]) -> None:
    before, now = edited(pair, *edits)
    assert hashes_of(before) == hashes_of(now)


def test_the_files_that_hold_profiles_do_not_matter(pair: tuple[Path, Path]) -> None:
    rows = (pair[1].parent / "profiles.csv").read_text()
    (pair[1].parent / "other.csv").write_text(rows)
    before, now = edited(pair, ("shop.yaml", "profiles.csv", "other.csv"))
    assert hashes_of(before) == hashes_of(now)


def test_what_a_stage_newly_runs_is_a_change_of_the_pipeline_alone(pair: tuple[Path, Path]) -> None:
    before, now = edited(pair, ("shop.yaml", "model: alpha", "model: gamma"))
    assert set(changed_items(hashes_of(before), hashes_of(now))) > {Item("profiles", "gamma")}
    assert differing_items(before, now) == (Item("pipeline", "first"),)


def test_a_new_profile_on_hardware_that_had_a_price_is_no_change_of_prices(pair: tuple[Path, Path]) -> None:
    before, now = edited(pair, ("profiles.csv", "gamma,cpu", "beta,tpu,1,1\ngamma,cpu"))
    assert set(changed_items(hashes_of(before), hashes_of(now))) > {Item("prices", "tpu")}
    assert differing_items(before, now) == (Item("profiles", "beta"),)


def test_new_hardware_takes_its_profile_and_its_price(pair: tuple[Path, Path]) -> None:
    before, now = edited(
        pair,
        ("profiles.csv", "gamma,cpu", "beta,l4,1,1\ngamma,cpu"),
        ("prices.yaml", "  tpu", "  l4: {kind: gpu, unit: gpu, price_usd_per_hour: 0.01}\n  tpu"),
    )
    profile, price = Item("profiles", "beta"), Item("prices", "l4")
    assert {profile, price} <= set(differing_items(before, now))
    for items, usable in (((profile,), False), ((price,), False), ((profile, price), True)):
        space = mixed(before, now, items).space["second"]
        assert ("l4" in [option.hardware for option in space.options]) is usable


@pytest.mark.parametrize("name", CHANGES)
def test_a_scenario_with_all_that_differs_answers_as_the_new_one(name: str, pair: tuple[Path, Path]) -> None:
    before, now = edited(pair, *CHANGES[name][0], ("prices.yaml", "0.40", "0.45"))
    for items, same in ((differing_items(before, now), now), ((), before)):
        mix = mixed(before, now, items)
        found, expected = plan(mix, verified=False), plan(same, verified=False)
        assert found.to_frame().equals(expected.to_frame())
        assert found.history.equals(expected.history)
    assert plan(before, verified=False).bound_usd_per_hour != plan(now, verified=False).bound_usd_per_hour


TRAFFIC = "traffic: {poisson: {rate_qps: 40, duration: 20s}}"
RECORDED = ("shop.yaml", TRAFFIC, "traffic: {file: seen.csv, column: t, unit: s}")
RECIPE = ("shop.yaml", TRAFFIC, "traffic: {recipe: recipe.yaml}")
NOISY = ("shop.yaml", "profiles: profiles.csv", "profiles: [profiles.csv, noisy.csv]")
LISTED = ("shop.yaml", "prices: prices.yaml", "prices: prices.csv")
PREVIOUS = ("shop.yaml", "max_replicas: 8", "max_replicas: 8, previous: {plan: now.yaml}")


def with_more_files(pair: tuple[Path, Path]) -> None:
    """Write beside both scenarios what the edits above name."""
    for scenario in pair:
        (scenario.parent / "seen.csv").write_text("t\n0\n1\n")
        (scenario.parent / "recipe.yaml").write_text("traffic: {poisson: {rate_qps: 40, duration: 20s}}\n")
        (scenario.parent / "noisy.csv").write_text(
            "model,hardware,batch_size,latency_ms,noise_scv,noise_law,memory_gb\nalpha,gpu,1,10,1,gamma,2\n"
        )
        (scenario.parent / "prices.csv").write_text(
            "name,kind,unit,price_usd_per_hour\ncpu,cpu,core,0.40\ngpu,gpu,gpu,1.00\n"
        )
        stages = {name: StagePlan(hardware="cpu", replicas=2) for name in ("first", "second")}
        write_plan(Plan(stages=stages), scenario.parent / "now.yaml")


@pytest.mark.parametrize(
    ("both", "edits", "item"),
    [
        (
            (),
            (
                ("shop.yaml", "  second: {model: beta, after: [first]}\n", ""),
                ("shop.yaml", "  first:", "  second: {model: beta, after: [first]}\n  first:"),
            ),
            Item("pipeline", ""),
        ),
        ((), (("prices.yaml", "unit: core,", "unit: core, memory_gb: 8,"),), Item("prices", "cpu")),
        ((NOISY,), (("noisy.csv", "gamma,2", "gamma,3"),), Item("profiles", "alpha")),
        ((NOISY,), (("noisy.csv", "10,1", "10,2"),), Item("profiles", "alpha")),
        ((NOISY,), (("noisy.csv", "gamma", "lognormal"),), Item("profiles", "alpha")),
        ((RECORDED,), (("seen.csv", "1", "2"),), Item("traffic", "")),
        ((RECIPE,), (("recipe.yaml", "40", "50"),), Item("traffic", "")),
        ((PREVIOUS,), (("now.yaml", "replicas: 2", "replicas: 3"),), Item("space", "")),
    ],
    ids=[
        "order of stages",
        "memory of a unit",
        "memory of a model",
        "noise",
        "law of noise",
        "trace",
        "recipe",
        "plan",
    ],
)
def test_all_that_an_answer_depends_on_is_a_change_of_its_item_and_is_taken_with_it(
    both: Edits, edits: Edits, item: Item, pair: tuple[Path, Path]
) -> None:
    with_more_files(pair)
    for scenario in pair:
        for file, old, new in both:
            edit(scenario.parent / file, (old, new))
    before, now = edited(pair, *edits)
    assert differing_items(before, now) == (item,)
    mix = mixed(before, now, (item,))
    assert hashes_of(mix) == hashes_of(now)
    assert hashes_of(mixed(before, now, ())) == hashes_of(before)


def test_traffic_from_another_file_is_taken_with_its_file(pair: tuple[Path, Path]) -> None:
    with_more_files(pair)
    before, now = edited(pair, RECORDED)
    assert list(scenario_trace(mixed(before, now, [Item("traffic", "")])).times_ns) == [0, 10**9]
    assert hashes_of(mixed(now, before, [Item("traffic", "")])) == hashes_of(before)


def test_hardware_that_is_gone_takes_its_bundles_and_profiles_with_it(pair: tuple[Path, Path]) -> None:
    """What the mix cannot pay for is nothing that its search may use."""
    before, now = edited(
        pair,
        ("prices.yaml", "bundles:\n  duo: {cpu: 2}\n", ""),
        ("profiles.csv", "beta,duo,1,50\n", ""),
        ("profiles.csv", "alpha,cpu,8,40\n", ""),
    )
    items = differing_items(before, now)
    assert items == (Item("profiles", "alpha"), Item("profiles", "beta"), Item("prices", "bundle duo"))
    assert hashes_of(mixed(before, now, items)) == hashes_of(now)
    for one in items[1:]:
        assert "duo" not in [option.hardware for option in mixed(before, now, [one]).space["second"].options]
    assert "duo" in [option.hardware for option in mixed(before, now, items[:1]).space["second"].options]


def test_what_a_mix_cannot_pay_for_or_run_is_no_part_of_it(pair: tuple[Path, Path]) -> None:
    before, now = edited(
        pair,
        ("profiles.csv", "gamma,cpu,1,1\n", "delta,cpu,1,1\ndelta,pair,1,1\n"),
        ("shop.yaml", "model: alpha", "model: delta"),
        ("prices.yaml", "  tpu", "  l4: {kind: gpu, unit: gpu, price_usd_per_hour: 0.01}\n  tpu"),
        ("prices.yaml", "duo: {cpu: 2}", "duo: {cpu: 2}\n  pair: {l4: 2}"),
    )
    model, bundle, unit = Item("pipeline", "first"), Item("prices", "bundle pair"), Item("prices", "l4")
    assert {model, bundle, unit} < set(differing_items(before, now))
    for items, usable in (
        ((model,), False),
        ((model, bundle), False),
        ((model, unit), False),
        ((model, bundle, unit), True),
    ):
        options = mixed(before, now, items).space["first"].options
        assert [option.hardware for option in options] == ["cpu", *(["pair"] if usable else [])]


def test_a_price_is_what_it_amounts_to_and_is_found_in_a_table_too(pair: tuple[Path, Path]) -> None:
    with_more_files(pair)
    edit(pair[0], LISTED[1:])
    before, now = edited(pair, LISTED, ("prices.csv", "0.40", "0.4"), ("prices.csv", "1.00", "1"))
    assert hashes_of(before) == hashes_of(now)
    before, now = edited(pair, ("prices.csv", "gpu,1", "gpu,2"))
    (told,) = described_changes(differing_items(before, now), before, now, prices_of(before), pair[1], pair[1].parent)
    assert (told.item, told.file, told.line) == ("gpu", "prices.csv", 3)


TOLD: dict[str, tuple[Edits, tuple[str, ...], int | None]] = {
    "hardware": (
        (("profiles.csv", "beta,duo,1,50\n", ""), ("profiles.csv", "gamma,cpu", "beta,tpu,1,1\ngamma,cpu")),
        ("duo is gone; tpu is new",),
        7,
    ),
    "some of a curve": (
        (("profiles.csv", "alpha,cpu,8,40", "alpha,cpu,8,80\nalpha,cpu,16,90"),),
        ("cpu: other batch sizes, noise or memory",),
        3,
    ),
    "two points": (
        (("profiles.csv", "alpha,cpu,1,10\nalpha,cpu,8,40", "alpha,cpu,1,11\nalpha,cpu,8,80"),),
        ("cpu, batch 8: 40 ms → 80 ms (+100.0%)",),
        2,
    ),
    "new hardware": (
        (
            ("profiles.csv", "gamma,cpu", "beta,l4,1,1\ngamma,cpu"),
            ("prices.yaml", "  tpu", "  l4: {kind: gpu, unit: gpu, price_usd_per_hour: 0.01}\n  tpu"),
        ),
        ("l4 is new", "is new, at 0.01 $/h"),
        8,
    ),
    "a new bundle": (
        (
            ("profiles.csv", "gamma,cpu", "beta,trio,1,1\ngamma,cpu"),
            ("prices.yaml", "duo: {cpu: 2}", "duo: {cpu: 2}\n  trio: {cpu: 3}"),
        ),
        ("trio is new", "is new"),
        8,
    ),
    "what is gone": (
        (
            ("profiles.csv", "beta,gpu,1,15\nbeta,gpu,8,30\nbeta,cpu,1,60\nbeta,duo,1,50\n", "beta,cpu,1,60\n"),
            ("prices.yaml", "  gpu: {kind: gpu, unit: gpu, price_usd_per_hour: 1.00}\n", ""),
            ("prices.yaml", "bundles:\n  duo: {cpu: 2}\n", ""),
        ),
        ("duo is gone; gpu is gone", "is gone", "is gone"),
        4,
    ),
    "memory": (
        (("prices.yaml", "unit: core,", "unit: core, memory_gb: 8,"),),
        ("as before, but its memory is not",),
        2,
    ),
    "four fields": (
        (
            (
                "shop.yaml",
                "max_replicas: 8",
                "min_replicas: 2, max_batch_size: 4, max_cost_usd_per_hour: 9, quota: {cpu: 9}",
            ),
        ),
        ("search.max_replicas: removed; search.min_replicas: added; search.max_batch_size: added; and 2 more",),
        9,
    ),
    "three fields": (
        (("shop.yaml", "max_replicas: 8", "min_replicas: 2, max_batch_size: 4"),),
        ("search.max_replicas: removed; search.min_replicas: added; search.max_batch_size: added",),
        9,
    ),
    "two stages": (
        (
            ("shop.yaml", "{model: alpha}", "{model: alpha, batch_overhead: 5ms}"),
            ("shop.yaml", "{model: beta,", "{model: beta, batch_overhead: 5ms,"),
        ),
        ("pipeline.first.batch_overhead: added; pipeline.second.batch_overhead: added",),
        5,
    ),
}


@pytest.mark.parametrize("name", TOLD)
def test_changes_are_told_in_words(name: str, pair: tuple[Path, Path]) -> None:
    edits, texts, line = TOLD[name]
    before, now = edited(pair, *edits)
    told = described_changes(differing_items(before, now), before, now, prices_of(before), pair[1], pair[1].parent)
    assert tuple(change.text for change in told) == texts
    assert told[0].line == line


def test_a_price_in_the_scenario_is_told_where_it_is(pair: tuple[Path, Path]) -> None:
    for scenario in pair:
        edit(scenario, ("prices: prices.yaml", "prices:\n  " + PRICES.strip().replace("\n", "\n  ")))
    before, now = edited(pair, ("shop.yaml", "1.00", "1.10"))
    (told,) = described_changes(differing_items(before, now), before, now, prices_of(before), pair[1], pair[1].parent)
    assert (told.text, told.file, told.line) == ("1.0 → 1.1 $/h (+10.0%)", "shop.yaml", 11)


costs = st.integers(0, 1000).map(Decimal)


@given(st.integers(1, MOST_PLAYERS), st.data())
def test_what_changes_are_to_blame_for_adds_up_and_blames_nobody_who_changes_nothing(
    count: int, data: st.DataObject
) -> None:
    players = tuple(Item("profiles", str(number)) for number in range(count))
    table = {number: data.draw(costs) for number in range(2**count)}

    def cost(chosen: frozenset[Item]) -> Decimal:
        # The first player changes nothing, whatever else has changed.
        return table[sum(2 ** int(player.name) for player in chosen if player.name != "0")]

    values = shapley(players, cost)
    assert values[players[0]] == 0
    assert abs(sum(values.values()) - (cost(frozenset(players)) - cost(frozenset()))) <= Decimal("0.00001")


def test_many_changes_are_taken_together_by_part() -> None:
    few = [Item("profiles", str(number)) for number in range(MOST_PLAYERS)]
    many = [*few, Item("profiles", "more"), Item("slo", "")]
    assert list(players_of(few)) == few
    assert list(players_of(many)) == [Item("profiles", ""), Item("slo", "")]
    assert [item for items in players_of(many).values() for item in items] == many
