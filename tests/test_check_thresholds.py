"""Rules of a check and the files that hold them: what they mean exactly, and what is refused with one clear line."""

from fractions import Fraction
from pathlib import Path

import pytest

from pipesim.check.settings import MAX_SETTINGS_BYTES, Settings, settings_in
from pipesim.check.thresholds import DEFAULTS, MAX_RULES, replaced, rule_of, rules_of
from pipesim.errors import FileFormatError, InvalidInputError

CENT = Fraction(1, 100)
NANO = Fraction(1, 10**9)


# Rules


@pytest.mark.parametrize(
    ("text", "before", "reached", "step"),
    [
        ("cost:+5%", "0.35", "0.3675", NANO),
        ("cost:+0.50", "5.53", "6.03", NANO),
        ("cost:12", "99", "12", NANO),
        ("cost:-5%", "100", "95", -NANO),
        ("best_cost:+0%", "3", "3", NANO),
        ("p99:+10%", "0.3", "0.33", NANO),
        ("p99:+20ms", "0.3", "0.32", NANO),
        ("p99.9:1.5 s", "9", "1.5", NANO),
        ("miss_rate:+5%", "0.010", "0.0105", NANO),
        ("miss_rate:+0.001", "0.010", "0.011", NANO),
        ("miss_rate:+5%", "0", "0", NANO),
        ("utilisation:90%", "0.5", "0.9", NANO),
        ("utilisation:0.9", "0.5", "0.9", NANO),
        ("headroom:-10%", "1.2", "1.08", -NANO),
        ("headroom:-0.1", "1.2", "1.1", -NANO),
        ("headroom:120%", "9", "1.2", -NANO),
    ],
)
def test_a_threshold_that_is_reached_holds_and_the_least_step_beyond_it_breaks(
    text: str, before: str, reached: str, step: Fraction
) -> None:
    rule = rule_of(text, "fail")
    old, new = Fraction(before), Fraction(reached)
    assert not rule.is_exceeded(old, new)
    assert rule.is_exceeded(old, new + step)
    other_way = new - 2 * CENT if step > 0 else new + 2 * CENT
    assert not rule.is_exceeded(old, other_way)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is not a rule; write METRIC:THRESHOLD"),
        ("cost", "is not a rule"),
        ("cost:", "is not a rule"),
        ("p99 +5%", "is not a rule"),
        ("cst:+5%", "'cst' is not a metric; did you mean cost?"),
        ("p0:+5%", "'p0' is not a metric"),
        ("p101:+5%", "'p101' is not a metric"),
        ("latency:+5%", "or a quantile such as p99"),
        ("cost:+-5%", "'cost:+-5%' has a sign that is not one + or -; write cost:+5% or cost:+0.50 for a change"),
        ("cost:±5%", "has a sign"),
        ("cost:−5%", "has a sign"),
        ("cost:+", "plain number"),
        ("cost:+%", "plain number"),
        ("cost:nan", "plain number"),
        ("cost:+inf%", "plain number"),
        ("cost:+1e3", "plain number"),
        ("cost:+5 %", "plain number"),
        ("cost:+5%%", "plain number"),
        ("cost:+٥%", "plain number"),
        ("cost:+" + "9" * 5000, "plain number of up to 18 digits"),
        ("cost:1000001", "is more than 1,000,000; use less"),
        ("cost:+1000001%", "is more than 1,000,000; use less"),
        ("cost:5%", "is a share without a sign"),
        ("cost:+$5", "plain number"),
        ("p99:+20", "'p99:+20': '20' is not a duration; write a number with a unit"),
        ("p99:300", "is not a duration"),
        ("p99:5%", "is not a duration"),
        ("p99:+20parsecs", "is not a duration"),
        ("p99:401d", "is too long; use at most 400d"),
        ("utilisation:90", "is more than 1; write 90% or 0.9, at most 1"),
        ("miss_rate:101%", "is more than 100; use less"),
        ("p99:+5%\x1b[31m", r"'p99:+5%\x1b[31m': "),
    ],
)
def test_a_text_that_is_no_rule_is_refused_in_one_line_that_says_what_to_write(text: str, message: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        rule_of(text, "fail", "--fail-if")
    assert str(caught.value).startswith("--fail-if: ")
    assert message in str(caught.value)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 400


def test_a_list_of_rules_is_bounded() -> None:
    assert len(rules_of(["cost:+5%"] * MAX_RULES, "warn")) == MAX_RULES
    with pytest.raises(InvalidInputError, match="holds 101 rules; use at most 100"):
        rules_of(["cost:+5%"] * (MAX_RULES + 1), "warn")


def test_special_rules_replace_those_of_their_metric_at_their_level_and_no_others() -> None:
    general = (*rules_of(["cost:+5%", "p99:+5%", "p99:300ms"], "fail"), *rules_of(["p99:+1%"], "warn"))
    special = rules_of(["p99.0:+25%"], "fail")
    assert [(rule.level, rule.text) for rule in replaced(general, special)] == [
        ("fail", "cost:+5%"),
        ("warn", "p99:+1%"),
        ("fail", "p99.0:+25%"),
    ]


# Files with settings


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """Return a repository with two scenario files and a plan, in a folder that is not in it."""
    root = tmp_path / "repository"
    (root / ".git").mkdir(parents=True)
    for name in ("a.yaml", "b.yaml", "deep/c.yaml"):
        file = root / "scenarios" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    return root


def texts(settings: Settings, scenario: Path, *options: str) -> list[str]:
    return [f"{rule.level} {rule.text}" for rule in settings.rules_for(scenario, rules_of(options, "fail"))]


def test_without_a_file_the_defaults_hold(repository: Path) -> None:
    settings = settings_in(repository)
    assert settings.rules_for(repository / "scenarios/a.yaml") == DEFAULTS
    assert (settings.file, settings.seeds, settings.baseline_path, settings.scenario_files()) == (None, None, None, ())


def test_the_nearest_file_up_to_the_top_of_the_repository_says_what_holds(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (repository.parent / "pipesim.toml").write_text("[check]\nseeds = 3\n")
    assert settings_in(repository / "scenarios").seeds is None
    (repository / "pyproject.toml").write_text(
        """
        [project]
        name = "x"
        [tool.pipesim.check]
        fail_if = ["cost:+2%", "p99:+10%"]
        warn_if = []
        seeds = 16
        baseline = "base.yaml"
        scenarios = ["scenarios/b.yaml", "scenarios/*.yaml"]
        [tool.pipesim.check.scenario."scenarios/a.yaml"]
        fail_if = ["p99:300ms"]
        warn_if = ["cost:+1%"]
        seeds = 4
        """
    )
    deep = repository / "scenarios" / "deep"
    assert settings_in(deep, root=deep.parent).file is None
    settings = settings_in(deep)
    a, b = repository / "scenarios/a.yaml", repository / "scenarios/b.yaml"
    assert (settings.file, settings.baseline_path) == ("pyproject.toml", repository / "base.yaml")
    assert settings.scenario_files() == (b, a)
    assert texts(settings, a) == ["fail cost:+2%", "fail p99:300ms", "warn cost:+1%"]
    assert texts(settings, b) == ["fail cost:+2%", "fail p99:+10%"]
    assert texts(settings, a, "cost:9") == ["fail p99:300ms", "warn cost:+1%", "fail cost:9"]
    assert (settings.seeds_for(a), settings.seeds_for(b)) == (4, 16)
    monkeypatch.chdir(repository / "scenarios")
    assert settings.rules_for(Path("deep/../a.yaml")) == settings.rules_for(a)
    (repository / "scenarios" / "pipesim.toml").write_text("[check]\nscenarios = ['**/*.yaml']\n")
    assert settings_in(repository / "scenarios" / "deep").scenario_files() == (
        a,
        b,
        repository / "scenarios/deep/c.yaml",
    )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[check]\nfail_fi = []", "pipesim.toml: check.fail_fi is not a field here; did you mean fail_if?"),
        ("[chek]\nseeds = 2", "pipesim.toml: chek is not a field here; did you mean check?"),
        ("[check]\nfolder = '/'", "pipesim.toml: check.folder is not a field here"),
        ("check = 3", "pipesim.toml: check: 3 is not a mapping"),
        ("[check]\nfail_if = ['cost:+5%', 'cst:+5%']", "check.fail_if.1: 'cst' is not a metric; did you mean cost?"),
        ("[check]\nfail_if = 'cost:+5%'", "check.fail_if: 'cost:+5%' is not a list"),
        ("[check]\nwarn_if = [5]", "check.warn_if.0: 5 is not text; quote it"),
        ("[check]\nwarn_if = [" + "'cost:9'," * 101 + "]", "check.warn_if: holds 101 entries; use at most 100"),
        ("[check]\nseeds = 0", "check.seeds: 0 is not allowed"),
        ("[check]\nseeds = 1001", "check.seeds: 1001 is not allowed"),
        ("[check]\nseeds = nan", "check.seeds: nan is not allowed"),
        ("[check]\nseeds = true", "check.seeds: True is not allowed"),
        ("[check]\nseeds = " + "9" * 1900, "check.seeds: "),
        ("[check]\nbaseline = '../../x'", "check.baseline: '../../x' leads out of the repository"),
        ("[check.scenario.'gone.yaml']\nseeds = 2", "check.scenario: 'gone.yaml' is not a file"),
        ("[check.scenario.'../out.yaml']\nseeds = 2", "check.scenario: '../out.yaml' leads out of the workspace"),
        ("[check.scenario.'scenarios/a.yaml']\nbaseline = 'x'", "scenario.scenarios/a.yaml.baseline is not a field"),
        ("[check]\nseeds = 2\nseeds = 3", "pipesim.toml: is not valid TOML"),
        ("[check]\nx = " + "[" * 1500, "pipesim.toml: is nested too deeply"),
        ("[check" + ".a" * 990 + "]\n" + "a." * 990 + "a = 1", "pipesim.toml: is nested too deeply"),
        ('"\u2028".' * 501 + "x = 1", "pipesim.toml:1: is longer than 2,000 characters"),
        ("#" * 2001, "pipesim.toml:1: is longer than 2,000 characters"),
        ("#\n" * MAX_SETTINGS_BYTES, "pipesim.toml: holds more than 262,144 bytes"),
        ("\0", "pipesim.toml: is a binary file"),
    ],
)
def test_a_file_that_says_something_else_is_refused_with_file_and_field(
    repository: Path, content: str, message: str
) -> None:
    (repository.parent / "out.yaml").touch()
    (repository / "pipesim.toml").write_text(content)
    with pytest.raises((InvalidInputError, FileFormatError)) as caught:
        settings_in(repository)
    assert message in str(caught.value)
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("scenarios/z.yaml", "check.scenarios.0: 'scenarios/z.yaml' is not a file"),
        ("scenarios/*.yml", "check.scenarios.0: 'scenarios/*.yml' matches no file"),
        ("../*.yaml", "leads out of the workspace"),
        ("/*", "is not a pattern"),
        ("**x", "is not a pattern"),
        ("linked*.yaml", "leads out of the workspace"),
    ],
)
def test_scenarios_that_settings_name_must_be_files_in_the_repository(
    repository: Path, pattern: str, message: str
) -> None:
    (repository.parent / "out.yaml").touch()
    (repository / "linked.yaml").symlink_to("../out.yaml")
    (repository / "pipesim.toml").write_text(f"[check]\nscenarios = ['{pattern}']")
    with pytest.raises(InvalidInputError) as caught:
        settings_in(repository).scenario_files()
    assert message in str(caught.value)


def test_a_file_with_settings_must_be_a_file_in_the_repository_and_the_only_one(repository: Path) -> None:
    (repository.parent / "real.toml").write_text("[check]\nseeds = 3\n")
    file = repository / "pipesim.toml"
    file.symlink_to("../real.toml")
    with pytest.raises(InvalidInputError, match="leads out of the repository; copy the file into it"):
        settings_in(repository)
    file.unlink()
    file.symlink_to("nowhere")
    with pytest.raises(InvalidInputError, match="is not a file"):
        settings_in(repository)
    file.unlink()
    file.mkdir()
    with pytest.raises(InvalidInputError, match="is not a file"):
        settings_in(repository)
    file.rmdir()
    file.write_text("[check]\nseeds = 5\n")
    (repository / "pyproject.toml").write_text("[tool.other]\nx = 1\n")
    assert settings_in(repository).seeds == 5
    (repository / "pyproject.toml").write_text("[tool.pipesim.check]\nseeds = 6\n")
    with pytest.raises(InvalidInputError, match=r"is given in pipesim\.toml too; keep one of them"):
        settings_in(repository)
    file.write_text("")
    assert settings_in(repository).seeds == 6
    (repository / "pyproject.toml").write_text("[tool.pipesim.check]\nseeds = 6\n[tool.pipesim.chek]\n")
    with pytest.raises(InvalidInputError, match=r"tool\.pipesim\.chek is not a field here; did you mean check\?"):
        settings_in(repository)
