"""What an answer rests on: hashed by item, told apart, and put together anew."""

from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from check_repository import edit, make_repository
from pipesim.check.attribution import MOST_PLAYERS, players_of, shapley
from pipesim.check.changes import described_changes
from pipesim.check.parts import Item, changed_items, differing_items, hashes_of, mixed, prices_of
from pipesim.model import Scenario, load_scenario
from pipesim.planner import plan

Edits = tuple[tuple[str, str, str], ...]


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    """Return the scenario file as it was, and one to edit."""
    return make_repository(tmp_path / "before"), make_repository(tmp_path / "now")


def edited(pair: tuple[Path, Path], *edits: tuple[str, str, str]) -> tuple[Scenario, Scenario]:
    for file, old, new in edits:
        edit(pair[1].parent / file, (old, new))
    return load_scenario(pair[0]), load_scenario(pair[1])


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
