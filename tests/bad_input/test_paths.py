"""Plans, paths and outputs."""

import os
from pathlib import Path

import pytest

from bad_input.answers import LONG_PATH, PLAN, Run, assert_refused, case, latency, scenario, search, stages, write


@pytest.mark.parametrize(
    ("text", "words"),
    [
        case("empty", "", "p.yaml", "nothing", "mapping"),
        case("list", "- a\n", "p.yaml", "['a']", "mapping"),
        case("no stages", "stages: {}\n", "p.yaml:1", "stages", "empty"),
        case(
            "a missing stage", "stages: {first: {hardware: cpu, replicas: 1}}\n", "plan", "stages", "second", "add it"
        ),
        case(
            "an extra stage", PLAN + "  third: {hardware: cpu, replicas: 1}\n", "plan", "stages", "'third'", "remove it"
        ),
        case(
            "mixed hardware, list",
            stages("hardware: [cpu, gpu], replicas: 1"),
            "p.yaml:2",
            "first.hardware",
            "mixes hardware",
        ),
        case("no replicas", stages("hardware: cpu, replicas: 0"), "p.yaml:2", "first.replicas", "0", "1"),
        case("half a replica", stages("hardware: cpu, replicas: 1.5"), "p.yaml:2", "first.replicas", "1.5", "integer"),
        case("10**9 replicas", stages("hardware: cpu, replicas: 1000000000"), "p.yaml:2", "first.replicas", "100000"),
        case("replicas missing", stages("hardware: cpu"), "p.yaml:2", "first.replicas", "missing"),
        case("unknown field", stages("hardware: cpu, replica: 1"), "p.yaml:2", "first.replica", "not a field"),
        case(
            "batch 0",
            stages("hardware: cpu, replicas: 1, max_batch_size: 0"),
            "p.yaml:2",
            "first.max_batch_size",
            "0",
            "1",
        ),
        case(
            "batch that was not measured",
            stages("hardware: cpu, replicas: 1, max_batch_size: 8"),
            "first.max_batch_size",
            "8",
            "alpha on cpu",
            "at most 4",
        ),
        case(
            "hardware without a price",
            stages("hardware: h100, replicas: 1"),
            "first.hardware",
            "'h100'",
            "price",
            "cpu, gpu",
        ),
        case(
            "hardware without a profile",
            stages("hardware: gpu, replicas: 1"),
            "first.hardware",
            "'gpu'",
            "alpha",
            "cpu",
        ),
    ],
)
def test_a_bad_plan_is_refused(run: Run, text: str, words: tuple[str, ...]) -> None:
    write(s__yaml=scenario(), p__yaml=text)
    assert_refused(run, "simulate", "s.yaml", "--plan", "p.yaml", "--out", "report.json", words=words)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        case("empty", "", "p.yaml", "nothing", "mapping"),
        case("a missing stage", "stages: {first: {hardware: cpu, replicas: 1}}\n", "p.yaml:1", "stages", "second"),
        case("no replicas", stages("hardware: cpu, replicas: 0"), "p.yaml:2", "first.replicas", "0", "1"),
        case("hardware without a price", stages("hardware: h100, replicas: 1"), "p.yaml:2", "first.hardware", "'h100'"),
        case(
            "batch that was not measured",
            stages("hardware: cpu, replicas: 1, max_batch_size: 8"),
            "p.yaml:2",
            "first.max_batch_size",
            "8",
            "at most 4",
        ),
        case("over 1 MiB", "#" * (1 << 20) + "\n", "p.yaml", "1,048,576 bytes"),
    ],
)
def test_a_bad_previous_plan_is_refused(run: Run, text: str, words: tuple[str, ...]) -> None:
    write(s__yaml=scenario(**search("previous: {plan: p.yaml}")), p__yaml=text)
    assert_refused(run, "plan", "s.yaml", "--out", "report.json", words=words)


@pytest.mark.parametrize(
    ("sections", "words"),
    [
        case(
            "profiles that are not there",
            {"profiles": "profiles: nope.csv"},
            "s.yaml:7",
            "profiles",
            "'nope.csv'",
            "is not a file",
        ),
        case("a folder", {"profiles": "profiles: '.'"}, "profiles", "'.'", "not a file"),
        case(
            "an absolute path",
            {"profiles": "profiles: /etc/passwd"},
            "s.yaml:7",
            "profiles",
            "'/etc/passwd'",
            "out of the workspace",
            "--allow-outside",
        ),
        case(
            "a path upwards",
            {"profiles": "profiles: ../../../etc/passwd"},
            "profiles",
            "'../../../etc/passwd'",
            "out of the workspace",
        ),
        case(
            "an absolute path to prices",
            {"prices": "prices: /etc/passwd"},
            "s.yaml:10",
            "prices",
            "'/etc/passwd'",
            "out of the workspace",
        ),
        case(
            "a previous plan that is not there",
            search("previous: {plan: nope.yaml}"),
            "s.yaml:14",
            "search.previous.plan",
            "'nope.yaml'",
            "is not a file",
        ),
        case(
            "an absolute path to a previous plan",
            search("previous: {plan: /etc/passwd}"),
            "s.yaml:14",
            "search.previous.plan",
            "'/etc/passwd'",
            "out of the workspace",
        ),
        case(
            "a previous plan from the library",
            search("previous: {plan: library:best}"),
            "search.previous.plan",
            "'library:best'",
            "bundled plans",
        ),
        case("a previous plan without a path", search("previous: {}"), "search.previous.plan", "missing"),
        case("a previous plan as text", search("previous: p.yaml"), "search.previous", "'p.yaml'"),
        case(
            "a change at a negative price",
            search("previous: {plan: p.yaml, change_usd_per_hour: -1}"),
            "s.yaml:14",
            "previous.change_usd_per_hour",
            "-1",
        ),
        case("a NUL byte", {"profiles": 'profiles: "a\\0b"'}, "profiles", "'a\\x00b'", "not a file"),
        case("half a surrogate pair", {"profiles": 'profiles: "\\ud800"'}, "profiles", "\\ud800"),
        case("a path of 300 letters", {"profiles": f"profiles: {LONG_PATH}"}, "profiles", "aaa"),
        case(
            "an unknown library file", {"profiles": "profiles: library:nope"}, "profiles", "'library:nope'", "inferline"
        ),
        case(
            "a library path upwards",
            {"profiles": "profiles: library:../../etc/passwd"},
            "profiles",
            "'library:../../etc/passwd'",
            "inferline",
        ),
    ],
)
def test_a_bad_path_is_refused(run: Run, sections: dict[str, str], words: tuple[str, ...]) -> None:
    write(s__yaml=scenario(**sections))
    assert_refused(run, "plan", "s.yaml", "--out", "report.json", "--plan-out", "plan.yaml", words=words)


def test_paths_stay_inside_the_repository(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    folder = tmp_path / "repository" / "scenarios"
    folder.mkdir(parents=True)
    (tmp_path / "repository" / ".git").mkdir()
    write(outside__csv=latency("5"))
    (tmp_path / "repository" / "inside.csv").write_text(latency("5"))
    (tmp_path / "repository" / "link.csv").symlink_to(tmp_path / "outside.csv")
    monkeypatch.chdir(folder)
    write(p__yaml=PLAN)
    write(s__yaml=scenario(profiles="profiles: ../inside.csv"))
    assert run("simulate", "s.yaml", "--plan", "p.yaml").code == 0
    for path in ("../../outside.csv", "../link.csv"):
        write(s__yaml=scenario(profiles=f"profiles: {path}"))
        words = ("s.yaml:7", "profiles", path, "out of the workspace", "--allow-outside")
        assert_refused(run, "simulate", "s.yaml", "--plan", "p.yaml", words=words)
        assert run("simulate", "s.yaml", "--plan", "p.yaml", "--allow-outside").code == 0


def test_a_symbolic_link_to_itself_is_refused(run: Run) -> None:
    Path("loop.csv").symlink_to("loop.csv")
    write(s__yaml=scenario(profiles="profiles: loop.csv"))
    assert_refused(run, "plan", "s.yaml", words=("s.yaml:7", "profiles", "loop.csv"))


@pytest.mark.parametrize(
    ("path", "words"),
    [
        case("missing", "nope.yaml", "'nope.yaml'", "not a file"),
        case("folder", ".", "'.'", "not a file"),
        case("empty", "", "not a file"),
        case("escape", "\x1b[31mnope.yaml", "\\x1b[31mnope.yaml", "not a file"),
        case("undecodable", "\udcff.yaml", "\\udcff.yaml", "not a file"),
        case("300 letters", LONG_PATH, "aaa"),
    ],
)
def test_a_scenario_that_is_no_file_is_refused(run: Run, path: str, words: tuple[str, ...]) -> None:
    assert_refused(run, "plan", path, words=words)


@pytest.mark.parametrize("path", ["nope.yaml", pytest.param("folder", id="folder")])
def test_a_plan_that_is_no_file_is_refused(run: Run, path: str) -> None:
    Path("folder").mkdir()
    write(s__yaml=scenario())
    assert_refused(run, "simulate", "s.yaml", "--plan", path, words=(path,))


def test_a_file_name_with_an_escape_is_shown_escaped(run: Run) -> None:
    Path("\x1b[31mred.yaml").write_text("a: 1\n")
    assert_refused(run, "plan", "\x1b[31mred.yaml", words=("\\x1b[31mred.yaml",))


def test_an_output_that_is_a_special_file_is_refused(run: Run) -> None:
    os.mkfifo("pipe")
    write(s__yaml=scenario())
    assert_refused(run, "plan", "s.yaml", "--out", "pipe", words=("pipe",))
    assert Path("pipe").is_fifo()


def test_an_output_that_is_a_symbolic_link_is_written_through(run: Run) -> None:
    Path("link.json").symlink_to("real.json")
    write(s__yaml=scenario(), real__json="{}")
    assert run("plan", "s.yaml", "--out", "link.json").code == 0
    assert Path("link.json").is_symlink()
    assert "schema_version" in Path("real.json").read_text()


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="needs a folder that not even root can write to")
def test_an_output_that_cannot_be_written_is_refused(run: Run) -> None:
    write(s__yaml=scenario())
    assert_refused(run, "plan", "s.yaml", "--out", "/proc/report.json", words=("/proc/report.json", "written"))
