"""Baseline files: the same bytes everywhere, merged by git, and noticed when anyone else has written in them."""

import subprocess
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipesim.check.baseline import Baseline, Entry, Measured, entry_digest, path_in_baseline, read_baseline
from pipesim.check.baseline import write_baseline as write
from pipesim.errors import FileFormatError, InvalidInputError
from pipesim.model import Plan, StagePlan

A, B, C = "scenarios/a.yaml", "scenarios/b.yaml", "scenarios/c.yaml"
WRITTEN = f"""\
# Written by pipesim baseline update. Change the scenarios, and not this file.
entries:
  {A}:
    digest: "{{digest}}"
    name: search
    pipesim_version: "0.1.0"
    inputs:
      pipeline:
        "": "{"a" * 64}"
      prices:
        cpu: "{"b" * 64}"
        v100: "{"1" * 64}"
    files:
      "../prices.yaml": "{"b" * 64}"
      a.yaml: "{"a" * 64}"
    prices_usd_per_hour:
      cpu: "0.050"
      v100: "2.48"
    plan:
      stages:
        detect: {{{{hardware: v100, max_batch_size: 8, replicas: 2}}}}
        rank: {{{{hardware: cpu, max_batch_size: 1, replicas: 3}}}}
    met: true
    cost_usd_per_hour: "5.110"
    best_plan: null
    best_cost_usd_per_hour: null
    seeds: [1, 2]
    measured:
      headroom: [1.25, 1.3]
      latency_ns:
        p50: [10000000, 11000000]
        p99: [90000000, 95000000]
      miss_rate: [0.0, 1.0e-05]
      utilisation: [0.1, 0.30000000000000004]

schema_version: 1
"""


def entry(**fields: Any) -> Entry:
    content: dict[str, Any] = {
        "name": "search",
        "pipesim_version": "0.1.0",
        "inputs": {"prices": {"v100": "1" * 64, "cpu": "b" * 64}, "pipeline": {"": "a" * 64}},
        "files": {"a.yaml": "a" * 64, "../prices.yaml": "b" * 64},
        "prices_usd_per_hour": {"v100": Decimal("2.48"), "cpu": Decimal("0.050")},
        "plan": Plan(
            stages={
                "rank": StagePlan(hardware="cpu", replicas=3),
                "detect": StagePlan(hardware="v100", replicas=2, max_batch_size=8),
            }
        ),
        "met": True,
        "cost_usd_per_hour": Decimal("5.110"),
        "best_plan": None,
        "best_cost_usd_per_hour": None,
        "seeds": (1, 2),
        "measured": Measured(
            latency_ns={"p99": (90_000_000, 95_000_000), "p50": (10_000_000, 11_000_000)},
            miss_rate=(0.0, 1e-05),
            utilisation=(0.1, 0.1 + 0.2),
            headroom=(1.25, 1.3),
        ),
    }
    return Entry(**content | fields)


def other(count: int) -> Entry:
    """Return an entry that differs from `entry()` in every field."""
    return entry(
        name=f"search-{count}",
        pipesim_version=f"0.2.{count}",
        inputs={"prices": {"v100": f"{count}" * 64, "cpu": f"{count}" * 64}, "pipeline": {"": f"{count}" * 64}},
        files={"a.yaml": f"{count}" * 64, "../prices.yaml": f"{count}" * 64},
        prices_usd_per_hour={"v100": Decimal(count), "cpu": Decimal(count)},
        plan=Plan(stages={name: StagePlan(hardware="cpu", replicas=10 + count) for name in ("detect", "rank")}),
        met=False,
        cost_usd_per_hour=Decimal(count),
        best_plan=Plan(stages={"rank": StagePlan(hardware="cpu", replicas=count)}),
        best_cost_usd_per_hour=Decimal(count),
        seeds=(count,),
        measured=Measured(
            latency_ns={"p99": (count,), "p50": (count,)}, miss_rate=(0.5,), utilisation=(0.5,), headroom=(0.5,)
        ),
    )


def baseline(**entries: Entry) -> Baseline:
    return Baseline(entries={f"scenarios/{name}.yaml": content for name, content in entries.items()})


def test_a_baseline_reads_one_fact_a_line(tmp_path: Path) -> None:
    write(baseline(a=entry()), tmp_path / "b.yaml")
    assert (tmp_path / "b.yaml").read_text() == WRITTEN.format(digest=entry_digest(entry()))


def test_what_is_written_is_read_and_the_order_it_came_in_does_not_matter(tmp_path: Path) -> None:
    one, same = tmp_path / "one.yaml", tmp_path / "same.yaml"
    write(baseline(a=entry(), b=other(3), c=other(4)), one)
    write(baseline(c=other(4), b=other(3), a=entry()), same)
    assert one.read_bytes() == same.read_bytes()
    assert read_baseline(one) == baseline(a=entry(), b=other(3), c=other(4))


NAMES = st.one_of(
    st.from_regex(r"[A-Za-z0-9_.-]{1,8}", fullmatch=True),
    st.sampled_from(["1e3", "010", "null", "yes", "2024-01-01", ".inf", "0x1", "1_0", "-", "on"]),
)


@given(
    names=st.lists(NAMES, min_size=1, max_size=3, unique=True),
    text=st.text(st.characters(exclude_categories=("C", "Z")), min_size=1, max_size=150),
    share=st.floats(0, 1),
    latency_ns=st.integers(0, 2**62),
    usd=st.decimals(0, 1000, places=6),
)
def test_any_entry_comes_back_as_it_was(
    tmp_path_factory: pytest.TempPathFactory, names: list[str], text: str, share: float, latency_ns: int, usd: Decimal
) -> None:
    written = entry(
        name=names[0],
        inputs={"profiles": {text: "1" * 64}},
        files={text: "0" * 63 + "e"},
        prices_usd_per_hour=dict.fromkeys(names, usd),
        plan=Plan(stages={name: StagePlan(hardware=name, replicas=1) for name in names}),
        seeds=(1,),
        measured=Measured(
            latency_ns={"p99": (latency_ns,)}, miss_rate=(share,), utilisation=(share,), headroom=(share * 1e17,)
        ),
    )
    path = tmp_path_factory.getbasetemp() / "any.yaml"
    write(baseline(a=written), path)
    assert read_baseline(path).entries[A] == written


def git(folder: Path, *arguments: str, check: bool = True) -> None:
    settings = ("-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false")
    subprocess.run(["git", "-C", str(folder), *settings, *arguments], check=check, capture_output=True)  # noqa: S607


def merged(folder: Path, base: Baseline, ours: Baseline, theirs: Baseline) -> Path:
    """Return the baseline that git makes of two branches, with or without a conflict."""
    file = folder / "baseline.yaml"

    def commit(state: Baseline) -> None:
        write(state, file)
        git(folder, "add", ".")
        git(folder, "commit", "-m", "state")

    git(folder, "init", "--initial-branch=main")
    commit(base)
    git(folder, "switch", "-c", "theirs")
    commit(theirs)
    git(folder, "switch", "main")
    commit(ours)
    git(folder, "merge", "theirs", check=False)
    return file


def test_git_merges_changes_of_neighbouring_scenarios(tmp_path: Path) -> None:
    base = baseline(a=entry(), b=other(1), c=other(2), d=entry(), e=entry())
    ours = baseline(a=other(3), b=other(1), c=other(4), e=entry(), f=entry())
    theirs = baseline(a=entry(), b=other(5), c=other(2), d=entry(), e=other(6))
    together = baseline(a=other(3), b=other(5), c=other(4), e=other(6), f=entry())
    assert read_baseline(merged(tmp_path, base, ours, theirs)) == together


def test_two_changes_of_one_scenario_are_a_conflict_and_the_remedy_is_said(tmp_path: Path) -> None:
    apart = entry(cost_usd_per_hour=Decimal(6)), entry(met=False)
    file = merged(tmp_path, baseline(a=entry()), baseline(a=apart[0]), baseline(a=apart[1]))
    with pytest.raises(FileFormatError, match=r"^baseline.yaml:4: holds a conflict .* run pipesim baseline update$"):
        read_baseline(file)


@pytest.mark.parametrize(
    ("line", "by_hand"),
    [
        ('    cost_usd_per_hour: "5.110"\n', '    cost_usd_per_hour: "9.00"\n'),
        ('      cpu: "0.050"\n', ""),
        ("seeds: [1, 2]", "seeds: [2, 1]"),
        (f'    digest: "{entry_digest(entry())}"\n', ""),
        ("1.0e-05", "2e-05"),
    ],
)
def test_a_change_by_hand_is_noticed_unless_the_entry_is_about_to_be_replaced(
    tmp_path: Path, line: str, by_hand: str
) -> None:
    path = tmp_path / "b.yaml"
    write(baseline(a=entry(), b=other(1)), path)
    text = path.read_text()
    assert text.count(line) == 1
    path.write_text(text.replace(line, by_hand))
    with pytest.raises(
        InvalidInputError, match=r"^b.yaml:3: entries.scenarios/a.yaml: .*; run pipesim baseline update$"
    ):
        read_baseline(path)
    assert read_baseline(path, leave_out=[A]) == baseline(b=other(1))


def test_comments_and_order_may_change(tmp_path: Path) -> None:
    path = tmp_path / "b.yaml"
    write(baseline(a=entry()), path)
    lines = path.read_text().splitlines()
    met, cost = (next(line for line in lines if word in line) for word in ("met:", "cost_usd"))
    lines = [line for line in lines if line != met]
    lines.insert(lines.index("    name: search"), met + "  # as it should")
    path.write_text("\n".join(lines).replace(cost, cost.replace('"5.110"', "'5.110'")))
    assert read_baseline(path) == baseline(a=entry())


def test_a_newer_schema_is_refused_and_an_older_one_is_migrated_step_by_step(tmp_path: Path) -> None:
    path = tmp_path / "b.yaml"
    write(baseline(a=entry()), path)
    text = path.read_text()
    path.write_text(text.replace("schema_version: 1", "schema_version: 2"))
    with pytest.raises(
        FileFormatError, match=r"^b.yaml:36: schema_version: is 2, newer than the 1 .* newer pipesim, or"
    ):
        read_baseline(path)

    def renamed(data: dict[str, Any]) -> dict[str, Any]:
        entries = {
            name: {"met" if key == "holds" else key: value for key, value in content.items()}
            for name, content in data["entries"].items()
        }
        return {**data, "schema_version": 0, "entries": entries}

    def numbered(data: dict[str, Any]) -> dict[str, Any]:
        return {**data, "schema_version": 1}

    write_old(path, entry().model_dump(mode="json"))
    with pytest.raises(InvalidInputError, match=r"^b.yaml:1: schema_version: -1 "):
        read_baseline(path)
    assert read_baseline(path, migrations={-1: renamed, 0: numbered}) == baseline(a=entry())
    path.write_text(path.read_text().replace("holds: true", "holds: false"))
    with pytest.raises(InvalidInputError, match="is not the digest of this entry"):
        read_baseline(path, migrations={-1: renamed, 0: numbered})


def write_old(path: Path, content: dict[str, Any]) -> None:
    """Write an entry as a made-up version of long ago did, which said ``holds`` for ``met``."""
    import hashlib
    import json

    import yaml

    old = {"holds" if key == "met" else key: value for key, value in content.items()}
    digest = hashlib.sha256(json.dumps(old, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
    path.write_text(yaml.safe_dump({"schema_version": -1, "entries": {A: old | {"digest": digest}}}, sort_keys=False))


@pytest.mark.parametrize(
    ("path", "rule"),
    [
        ("/etc/passwd", "does not lead plainly"),
        ("../a.yaml", "does not lead plainly"),
        ("scenarios/../../a.yaml", "does not lead plainly"),
        ("./a.yaml", "does not lead plainly"),
        ("scenarios//a.yaml", "does not lead plainly"),
        (".", "does not lead plainly"),
        ("", "does not lead plainly"),
        ("scenarios\\a.yaml", "one system"),
        ("C:/a.yaml", "one system"),
        ("a\x1b[31m.yaml", "letters that print"),
        ("a\n.yaml", "letters that print"),
        ("a" * 1001, "1,000 letters"),
    ],
)
def test_a_path_that_leads_anywhere_else_is_refused(path: str, rule: str) -> None:
    with pytest.raises(ValueError, match=rule):
        Baseline(entries={path: entry()})


def test_a_scenario_goes_by_its_place_below_the_baseline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "real" / "scenarios").mkdir(parents=True)
    (tmp_path / "folder").symlink_to("real")
    monkeypatch.chdir(tmp_path)
    for scenario in (
        "real/scenarios/a.yaml",
        "folder/scenarios/a.yaml",
        tmp_path / "folder/scenarios/../scenarios/a.yaml",
    ):
        assert path_in_baseline(scenario, "folder/baseline.yaml") == A
    with pytest.raises(
        InvalidInputError, match=r"^scenario: 'a.yaml' is not below the folder of the baseline b.yaml; keep"
    ):
        path_in_baseline("a.yaml", "real/b.yaml")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "b.yaml: holds nothing where a mapping"),
        ("- a\n", "b.yaml: holds .* where a mapping"),
        ("schema_version: '1'\n", "b.yaml:1: schema_version: '1'"),
        ("entries: [1]\n", r"b.yaml:1: entries: \[1\] is not a mapping"),
        ("entries: {a.yaml: 1}\n", r"b.yaml:1: entries.a.yaml: 1 "),
        ("entries: {a.yaml: {1: 2, b: 3}}\n", r"b.yaml:1: entries.a.yaml: null is not the digest"),
        ("entries: {a.yaml: &a {}, b.yaml: *a}\n", "b.yaml:1: .*anchors and aliases"),
        pytest.param("x: [" + "1," * 100_001 + "]\n", "b.yaml:1: .* more than 100,000 values", marks=pytest.mark.slow),
        ("#" * (4 << 20) + "\n", "b.yaml: holds more than 4,194,304 bytes"),
    ],
)
def test_what_is_no_baseline_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "b.yaml").write_text(text)
    with pytest.raises((FileFormatError, InvalidInputError), match=f"^{message}"):
        read_baseline(tmp_path / "b.yaml")


@pytest.mark.slow
def test_too_much_for_one_file_is_refused_before_it_is_written(tmp_path: Path) -> None:
    long = entry(files={f"{count}{'a' * 990}": "1" * 64 for count in range(4_200)})
    with pytest.raises(InvalidInputError, match="more than 4,194,304"):
        write(baseline(a=long), tmp_path / "b.yaml")
    assert not (tmp_path / "b.yaml").exists()
    with pytest.raises(ValueError, match="at most 500"):
        Baseline(entries={f"{count}.yaml": entry() for count in range(501)})


def test_figures_must_be_of_the_seeds() -> None:
    with pytest.raises(ValueError, match=r"measured.*: 2 is how many values there are for 3 seeds"):
        entry(seeds=(1, 2, 3))
    with pytest.raises(ValueError, match="needs its cost"):
        entry(best_cost_usd_per_hour=Decimal(1))


def test_a_file_that_was_cut_between_entries_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "b.yaml"
    write(baseline(a=entry()), path)
    path.write_text(path.read_text().replace("schema_version: 1\n", ""))
    with pytest.raises(FileFormatError, match=r"^b.yaml: ends before its last line, schema_version; "):
        read_baseline(path)
