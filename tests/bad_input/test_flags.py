"""Arguments and options, and the installed command."""

from pathlib import Path

import pytest

from bad_input.answers import (
    LONG_PATH,
    PLAN,
    Run,
    assert_one_clear_line,
    assert_refused,
    case,
    column,
    files_below,
    installed,
    scenario,
    write,
)

GENERATE = ("trace", "generate", "--out", "t.csv")


INFO = ("trace", "info", "t.csv")
SIMULATE = ("simulate", "s.yaml", "--plan", "p.yaml")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        case("no scenario", ["plan"], "SCENARIO", "pipesim plan --help"),
        case("two scenarios", ["plan", "s.yaml", "t.yaml"], "unexpected", "t.yaml"),
        case("unknown command", ["frob"], "No such command", "'frob'"),
        case("unknown command, near", ["pln"], "'pln'", "'plan'"),
        case("unknown subcommand", ["trace", "frob"], "'frob'", "pipesim trace --help"),
        case("unknown option", ["plan", "s.yaml", "--frob"], "--frob", "pipesim plan --help"),
        case("seed is text", ["plan", "s.yaml", "--seed", "x"], "--seed", "integer"),
        case("seed negative", ["plan", "s.yaml", "--seed", "-1"], "seed", "-1", "0 to 9223372036854775807"),
        case("seed 2**80", ["plan", "s.yaml", "--seed", str(2**80)], "seed", str(2**80), "0 to 9223372036854775807"),
        case("seed of 5,000 digits", ["plan", "s.yaml", "--seed", "1" * 5000], "--seed", "integer"),
        case("seed without value", ["plan", "s.yaml", "--seed"], "--seed", "argument"),
        case("no evaluations", ["plan", "s.yaml", "--max-evaluations", "0"], "--max-evaluations", "1"),
        case("out is a folder", ["plan", "s.yaml", "--out", "folder"], "--out", "'folder'", "is not a file"),
        case("out in no folder", ["plan", "s.yaml", "--out", "no/such/r.json"], "'no/such/r.json'", "does not exist"),
        case("out is empty", ["plan", "s.yaml", "--out", ""], "--out", "'.'", "is not a file"),
        case("out of 300 letters", ["plan", "s.yaml", "--out", LONG_PATH], "aaa"),
        case("out is the scenario", ["plan", "s.yaml", "--out", "s.yaml"], "--out", "s.yaml"),
        case("out is plan-out", ["plan", "s.yaml", "--out", "x", "--plan-out", "x"], "--out", "--plan-out"),
        case("simulate without plan", ["simulate", "s.yaml"], "--plan", "pipesim simulate --help"),
        case(
            "simulate, out is the plan",
            ["simulate", "s.yaml", "--plan", "p.yaml", "--out", "p.yaml"],
            "--out",
            "p.yaml",
        ),
        case("unknown method", ["plan", "s.yaml", "--method", "magic"], "--method", "'magic'", "evolution"),
        case("unknown method to compare", ["compare", "s.yaml", "--method", "x"], "--method", "'x'", "cg-peak"),
        case("time limit of 5", ["plan", "s.yaml", "--time-limit", "5"], "--time-limit", "'5'", "unit"),
        case("time limit of nothing", ["plan", "s.yaml", "--time-limit", "0s"], "--time-limit", "0", "more than 0"),
        case("holdout of all", ["plan", "s.yaml", "--holdout", "100%"], "--holdout", "1.0", "below 1"),
        case("holdout of a word", ["plan", "s.yaml", "--holdout", "half"], "--holdout", "'half'", "number"),
        case("negative error", ["plan", "s.yaml", "--profile-error", "-1%"], "--profile-error", "-0.01", "0.1 is 10 %"),
        case("cost of nothing", ["plan", "s.yaml", "--max-cost", "0"], "--max-cost", "'0'", "more than 0"),
        case("cost of a word", ["plan", "s.yaml", "--max-cost", "much"], "--max-cost", "'much'", "number"),
        case("fastest without ceiling", ["plan", "s.yaml", "--fastest"], "--fastest", "--max-cost"),
        case(
            "fastest by greedy",
            ["plan", "s.yaml", "--fastest", "--max-cost", "9", "--method", "greedy"],
            "--fastest",
            "'greedy'",
        ),
        case("negative other seed", ["plan", "s.yaml", "--also-seed", "-1"], "seed", "-1"),
        case("no such traffic", ["plan", "s.yaml", "--also-traffic", "no.yaml"], "no.yaml"),
        case("unknown topic", ["sensitivity", "s.yaml", "--what", "weather"], "--what", "'weather'", "prices"),
        case("interval without summary", [*SIMULATE, "--interval", "1s"], "--interval", "'1s'", "--summary"),
        case("interval of 5", [*SIMULATE, "--summary", "--interval", "5"], "--interval", "'5'", "unit"),
        case("interval of nothing", [*SIMULATE, "--summary", "--interval", "0s"], "--interval", "0.0", "use"),
        case("interval of 1 ns", [*SIMULATE, "--summary", "--interval", "1ns"], "--interval", "1e-09", "use"),
        case("interval of 500 days", [*SIMULATE, "--summary", "--interval", "500d"], "--interval", "'500d'", "400d"),
        case("unknown schema", ["schema", "x"], "'x'", "scenario, plan, prices"),
        case("init over a file", ["init", "s.yaml"], "'s.yaml'", "there already", "--force"),
        case("init in no folder", ["init", "no/s.yaml"], "'no/s.yaml'", "does not exist"),
        case("init --force over a folder", ["init", "folder", "--force"], "'folder'", "is not a file"),
        case("trace info without traffic", ["trace", "info"], "TRAFFIC"),
        case(
            "trace info of nothing",
            ["trace", "info", "nope.csv", "--column", "t", "--unit", "s"],
            "'nope.csv'",
            "not a file",
        ),
        case(
            "trace info of a folder",
            ["trace", "info", "folder", "--column", "t", "--unit", "s"],
            "'folder'",
            "not a file",
        ),
        case("trace info of 300 letters", ["trace", "info", LONG_PATH, "--column", "t", "--unit", "s"], "aaa"),
        case(
            "trace info of an unknown library trace",
            ["trace", "info", "library:nope", "--column", "t", "--unit", "s"],
            "'library:nope'",
            "traces",
        ),
        case("trace info without column", [*INFO], "column"),
        case("trace info with a bad unit", [*INFO, "--column", "t", "--unit", "m"], "unit", "'m'", "'ms'"),
        case("trace info with a bad format", [*INFO, "--format", "x"], "format", "'x'", "azure-llm"),
        case(
            "trace info with a bad order",
            [*INFO, "--column", "t", "--unit", "s", "--unsorted", "x"],
            "unsorted",
            "'x'",
            "'sort'",
        ),
        *(
            case(f"load {value}", [*INFO, "--column", "t", "--unit", "s", "--load", value], "load", value, words)
            for value, words in (("0", "than 0"), ("-1", "than 0"), ("nan", "finite"), ("inf", "finite"))
        ),
        case("load is text", [*INFO, "--column", "t", "--unit", "s", "--load", "x"], "--load", "number"),
        case("load 1e-300", [*INFO, "--column", "t", "--unit", "s", "--load", "1e-300"], "load", "1e-300", "146 years"),
        case("load 1e300", [*INFO, "--column", "t", "--unit", "s", "--load", "1e300"], "load"),
        case("generate at rate nan", [*GENERATE, "--queries", "5", "--rate", "nan"], "rate", "nan", "finite"),
        case("generate at rate -1", [*GENERATE, "--queries", "5", "--rate", "-1"], "rate", "-1", "0.001"),
        case("generate at rate 0", [*GENERATE, "--queries", "5", "--rate", "0"], "rate", "0", "0.001"),
        case("generate without rate", [*GENERATE, "--queries", "5"], "--rate"),
        case("generate without out", ["trace", "generate", "--rate", "5", "--queries", "5"], "--out"),
        case("generate without end", [*GENERATE, "--rate", "5"], "neither", "duration", "queries"),
        case(
            "generate with two ends",
            [*GENERATE, "--rate", "5", "--queries", "5", "--duration", "5s"],
            "both",
            "duration",
            "queries",
        ),
        case("generate -1 queries", [*GENERATE, "--rate", "5", "--queries", "-1"], "queries", "-1", "0"),
        case(
            "generate 10**10 queries",
            [*GENERATE, "--rate", "1e6", "--queries", "10000000000"],
            "10000000000",
            "50000000",
            "--summary",
        ),
        case(
            "generate 1e7 for 400 days",
            [*GENERATE, "--rate", "1e7", "--duration", "400d"],
            "345600000000000 queries",
            "10000000000",
        ),
        case("generate for 5", [*GENERATE, "--rate", "5", "--duration", "5"], "duration", "'5'", "unit"),
        case("generate with scv -1", [*GENERATE, "--rate", "5", "--queries", "5", "--scv", "-1"], "scv", "-1", "0"),
        case(
            "generate with scv and cv",
            [*GENERATE, "--rate", "5", "--queries", "5", "--scv", "1", "--cv", "1"],
            "both",
            "scv",
            "cv",
        ),
        case("generate with seed -1", [*GENERATE, "--rate", "5", "--queries", "5", "--seed", "-1"], "seed", "-1"),
        case("generate with seed 2**80", [*GENERATE, "--rate", "5", "--queries", "5", "--seed", str(2**80)], "seed"),
        case("generate slower than the clock", [*GENERATE, "--rate", "1e-300", "--queries", "5"], "rate", "1e-300"),
        case("generate past the end of the clock", [*GENERATE, "--rate", "1e-9", "--queries", "100"], "rate", "1e-09"),
        case(
            "generate a slow metronome",
            [*GENERATE, "--rate", "1e-300", "--duration", "1s", "--scv", "0"],
            "rate",
            "1e-300",
        ),
        case(
            "generate into a folder",
            ["trace", "generate", "--rate", "5", "--queries", "5", "--out", "folder"],
            "--out",
            "'folder'",
            "is not a file",
        ),
        case(
            "generate feather",
            ["trace", "generate", "--rate", "5", "--queries", "5", "--out", "t.feather"],
            "t.feather",
            ".csv",
        ),
    ],
)
def test_a_bad_flag_is_refused(run: Run, arguments: list[str], words: tuple[str, ...]) -> None:
    Path("folder").mkdir()
    write(s__yaml=scenario(), p__yaml=PLAN, t__csv=column("0", "1"))
    assert_refused(run, *arguments, words=words)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("plan", "s.yaml", "--out", "r.json"), ("s.yaml:1", "name", "missing")),
        (("plan", "nope.yaml"), ("'nope.yaml'", "not a file")),
        (("frob",), ("'frob'",)),
        (("trace", "info", "s.yaml", "--column", "t", "--unit", "s"), ("column", "'t'", "say it in the file")),
    ],
)
def test_the_installed_command_complains_in_one_line(
    folder: Path, arguments: tuple[str, ...], words: tuple[str, ...]
) -> None:
    write(s__yaml="{}\n")
    answer = installed(*arguments)
    assert answer.code == 2
    assert_one_clear_line(answer, words)
    assert files_below(folder) == {"s.yaml": b"{}\n"}


@pytest.mark.slow
def test_results_are_printed_where_the_output_is_ascii(folder: Path) -> None:
    write(s__yaml=scenario())
    assert installed("plan", "s.yaml", PYTHONIOENCODING="ascii").code == 0


def test_trace_alone_says_that_a_command_is_missing(run: Run) -> None:
    assert_refused(run, "trace", words=("Missing command", "pipesim trace --help"))
