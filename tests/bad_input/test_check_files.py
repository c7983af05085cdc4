"""What a pull request may bring: each hostile input with what becomes of it, for every command that reads such a file.

A scenario, its profiles, prices, traces, recipes and plans, the settings and the baseline are a stranger's. The command
line and the environment are of whoever runs it.
"""

import gzip
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from bad_input.answers import (
    PLAN,
    PROFILE_HEADER,
    Run,
    assert_one_clear_line,
    assert_refused,
    case,
    column,
    drawn,
    installed,
    latency,
    profile_rows,
    rate,
    scenario,
    search,
    second,
    write,
)
from pipesim.errors import InvalidInputError
from pipesim.limits import Limits

BASELINE = "entries: {}\nschema_version: 1\n"
SECRET = "token-of-another"  # noqa: S105
COMMANDS = {
    "plan": ("plan", "s.yaml"),
    "simulate": ("simulate", "s.yaml", "--plan", "p.yaml"),
    "report": ("report", "s.yaml", "--out", "r.md"),
    "whatif": ("whatif", "s.yaml", "--vary", "load=1,2"),
    "check": ("check", "s.yaml", "--baseline", "b.yaml"),
    "baseline update": ("baseline", "update", "s.yaml", "--baseline", "b.yaml"),
}
every_command = pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
LAUGHS = "\n".join(f"x{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 9)}]" for level in range(1, 9))
ZEROS = gzip.compress(b"0" * (1 << 20)) * 32


@pytest.fixture
def repository(run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a repository with what a good scenario needs, entered; beside it lies what is not to be seen."""
    for name in ("secret.csv", "secret.yaml", "secret.toml"):
        (folder / name).write_text(f"{SECRET}\n1\n")
    top = folder / "repository"
    (top / ".git").mkdir(parents=True)
    (top / ".git" / "config").write_text(f"{SECRET}\n1\n")
    monkeypatch.chdir(top)
    write(s__yaml=scenario(), p__yaml=PLAN, b__yaml=BASELINE)
    return top


@every_command
@pytest.mark.parametrize(
    ("text", "words"),
    [
        case("an alias", scenario(rest="seed: &a 1\nname: *a"), "s.yaml:14", "anchors and aliases are not allowed"),
        case("a billion laughs", f"x0: &a0 ha\n{LAUGHS}\n", "s.yaml:1", "anchors and aliases are not allowed"),
        case("code", scenario(rest="seed: !!python/object/apply:os.system [id]"), "s.yaml:14", "tags are not allowed"),
        case("10**9 replicas", scenario(**search("max_replicas: 1000000000")), "s.yaml:14", "max_replicas", "100000"),
        case("10**12 queries", scenario(**rate("20")).replace("queries: 3", "queries: 1000000000000"), "10000000000"),
        case(
            "10**9 items of each query",
            scenario(**second("after: {first: {fan_out: 1000000000}}")),
            "s.yaml:6",
            "fan_out",
            "1000",
        ),
        case(
            "a month at 10 million a second",
            scenario(traffic="traffic: {poisson: {rate_qps: 1e7, duration: 30d}}"),
            "queries",
        ),
        case("a name that is code", scenario(name='name: "$(id)"'), "s.yaml:1", "name", "'$(id)'", "is not a name"),
        case("a name in red", scenario(name='name: "\\e[31mred"'), "s.yaml:1", "\\x1b[31mred", "is not a name"),
    ],
)
def test_a_hostile_scenario_is_refused(
    run: Run, repository: Path, command: tuple[str, ...], text: str, words: tuple[str, ...]
) -> None:
    write(s__yaml=text)
    assert_refused(run, *command, words=words)


PATHS = (
    "../secret.csv",
    "../../../../../../etc/passwd",
    "/etc/passwd",
    "link.csv",
    "links/secret.csv",
    ".git/config",
    "inside.csv",
)


@pytest.mark.parametrize(
    ("sections", "field"),
    [
        pytest.param({"profiles": "profiles: PATH"}, "profiles", id="profiles"),
        pytest.param({"prices": "prices: PATH"}, "prices", id="prices"),
        pytest.param({"traffic": "traffic: {file: PATH, column: t, unit: s}"}, "traffic.file", id="trace"),
        pytest.param({"traffic": "traffic: {recipe: PATH}"}, "traffic.recipe", id="recipe"),
        pytest.param(search("previous: {plan: PATH}"), "search.previous.plan", id="plan"),
    ],
)
def test_no_path_leads_out_of_the_repository_or_into_git(
    run: Run, repository: Path, sections: dict[str, str], field: str
) -> None:
    Path("link.csv").symlink_to("../secret.csv")
    Path("links").symlink_to("..")
    Path("inside.csv").symlink_to(".git/config")
    # Every command with one path, and every path with one command.
    asked = [(command, PATHS[0]) for command in COMMANDS] + [("check", path) for path in PATHS[1:]]
    for command, path in asked:
        write(s__yaml=scenario(**{name: text.replace("PATH", path) for name, text in sections.items()}))
        answer = run(*COMMANDS[command])
        assert answer.code == 2, answer
        assert_one_clear_line(answer, ("s.yaml:", field, path, "leads out of the workspace"))
        assert SECRET not in answer.err


@every_command
def test_a_scenario_that_is_a_link_out_of_its_repository_is_refused_unless_allowed(
    run: Run, repository: Path, command: tuple[str, ...]
) -> None:
    Path("s.yaml").unlink()
    Path("s.yaml").symlink_to("../secret.yaml")
    assert_refused(run, *command, words=("'s.yaml'", "link that leads out of its repository", "give the path"))
    answer = run(*command, "--allow-outside")
    assert "holds" in answer.err, "it is read then, and is no scenario"


def test_links_of_the_user_and_links_within_the_repository_are_followed(
    run: Run, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("scenarios").mkdir()
    Path("scenarios/a.yaml").symlink_to("../s.yaml")
    Path("also").symlink_to("scenarios")
    for path in ("scenarios/a.yaml", "also/a.yaml", "also/../s.yaml", repository / "also" / "a.yaml"):
        assert run("simulate", path, "--plan", "p.yaml").code == 0, path
    Path("also/../../mine").symlink_to(repository)
    monkeypatch.chdir("..")
    for path in ("mine/s.yaml", "mine/../repository/also/a.yaml"):
        assert run("simulate", path, "--plan", "mine/p.yaml").code == 0, path


@pytest.mark.parametrize(
    ("arguments", "link"),
    [
        (("simulate", "s.yaml", "--plan", "link.yaml"), "link.yaml"),
        (("check", "s.yaml", "--baseline", "link.yaml"), "link.yaml"),
        (("check", "s.yaml", "--baseline", "links/secret.yaml"), "links/secret.yaml"),
        (("baseline", "update", "s.yaml", "--baseline", "link.yaml"), "link.yaml"),
        (("baseline", "update", "s.yaml", "--baseline", "b.yaml", "--plan", "link.yaml"), "link.yaml"),
        (("trace", "info", "link.yaml"), "link.yaml"),
        (("trace", "info", "link.csv", "--column", "t", "--unit", "s"), "link.csv"),
        (("plan", "s.yaml", "--out", "link.yaml"), "link.yaml"),
        (("plan", "s.yaml", "--plan-out", "links/new.yaml"), "links/new.yaml"),
        (("report", "s.yaml", "--out", "links/new.md"), "links/new.md"),
        (("check", "s.yaml", "--baseline", "b.yaml", "--markdown", "links/new.md"), "links/new.md"),
        (("trace", "generate", "--rate", "5", "--queries", "5", "--out", "links/new.csv"), "links/new.csv"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, tuple) else "",
)
def test_no_other_file_is_read_or_written_through_a_link_out_of_the_repository(
    run: Run, repository: Path, arguments: tuple[str, ...], link: str
) -> None:
    before = Path("../secret.yaml").read_bytes()
    Path("link.yaml").symlink_to("../secret.yaml")
    Path("link.csv").symlink_to("../secret.csv")
    Path("links").symlink_to("..")
    answer = run(*arguments)
    assert answer.code == 2, answer
    assert_one_clear_line(answer, (link, "link that leads out of its repository"))
    assert SECRET not in answer.err
    assert Path("../secret.yaml").read_bytes() == before
    assert sorted(path.name for path in repository.parent.iterdir()) == [
        "repository",
        "secret.csv",
        "secret.toml",
        "secret.yaml",
    ]


@every_command
@pytest.mark.parametrize(
    ("sections", "name", "limit"),
    [
        pytest.param({"profiles": "profiles: bomb.csv.gz"}, "bomb.csv.gz", "16,777,216 bytes", id="profiles"),
        pytest.param({"prices": "prices: bomb.yaml.gz"}, "bomb.yaml.gz", "1,048,576 bytes", id="prices"),
        pytest.param({"traffic": "traffic: {recipe: bomb.yaml.gz}"}, "bomb.yaml.gz", "1,048,576 bytes", id="recipe"),
        pytest.param(search("previous: {plan: bomb.yaml.gz}"), "bomb.yaml.gz", "1,048,576 bytes", id="plan"),
    ],
)
def test_a_gzip_bomb_is_refused_at_its_limit(
    run: Run, repository: Path, command: tuple[str, ...], sections: dict[str, str], name: str, limit: str
) -> None:
    write(s__yaml=scenario(**sections))
    Path(name).write_bytes(ZEROS)
    assert_refused(run, *command, words=(name, limit))


NOTHING = "{digest: 44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a}"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        case("an alias", "entries: {a.yaml: &a {}, b.yaml: *a}\n", "anchors and aliases"),
        case("a path upwards", f"entries: {{../a.yaml: {NOTHING}}}\n", "../a.yaml", "folder of the baseline"),
        case("an absolute path", f"entries: {{/etc/passwd: {NOTHING}}}\n", "/etc/passwd", "folder of the baseline"),
        case("too large", "#" * (4 << 20) + "\n", "4,194,304 bytes"),
    ],
)
def test_a_hostile_baseline_is_refused(run: Run, repository: Path, content: str, words: tuple[str, ...]) -> None:
    write(b__yaml=content)
    for command in ("check", "baseline update"):
        assert_refused(run, *COMMANDS[command], words=("b.yaml", *words))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        case("a baseline upwards", "[check]\nbaseline = '../secret.yaml'\n", "check.baseline", "out of the repository"),
        case(
            "a scenario upwards", "[check]\nscenarios = ['../secret.yaml']\n", "check.scenarios", "out of the workspace"
        ),
        case("a pattern upwards", "[check]\nscenarios = ['../*.yaml']\n", "check.scenarios", "out of the workspace"),
        case("what git keeps", "[check]\nscenarios = ['.git/con*']\n", "check.scenarios", "out of the workspace"),
        case("too large", "#" * (1 << 18) + "\n", "262,144 bytes"),
        case("nested", "x = " + "[" * 1900 + "]" * 1900 + "\n", "pipesim.toml"),
    ],
)
def test_hostile_settings_are_refused(run: Run, repository: Path, text: str, words: tuple[str, ...]) -> None:
    write(pipesim__toml=text)
    assert_refused(run, "check", words=("pipesim.toml", *words))


def test_settings_that_are_a_link_out_of_the_repository_are_refused(run: Run, repository: Path) -> None:
    Path("pipesim.toml").symlink_to("../secret.toml")
    answer = run("check")
    assert answer.code == 2
    assert_one_clear_line(answer, ("pipesim.toml", "leads out of the repository"))
    assert SECRET not in answer.err


@pytest.mark.parametrize("formula", ["=cmd|'/C calc'!A0", "@SUM(1)", "+1+1", "-1+1", "\t=1", "＝1"])
@pytest.mark.parametrize("name", ["new.csv", "new.csv.gz"])
def test_no_formula_of_a_stranger_gets_into_a_table(run: Run, repository: Path, formula: str, name: str) -> None:
    write(t__csv=f'arrival_s,kind\n0,plain\n1,"{formula}"\n2,-3\n')
    transform = ("trace", "transform", "t.csv", "--column", "arrival_s", "--unit", "s", "--read", "columns.kind=kind")
    assert_refused(run, *transform, "--out", name, words=("kind", "is a formula to a spreadsheet", ".parquet"))
    assert run(*transform, "--out", "new.parquet").code == 0
    write(t__csv="arrival_s,kind\n0,plain\n1,a=b\n2,-3\n")
    assert run(*transform, "--out", name).code == 0


MARKUP = "<img src=x onerror=alert(1)>|`[x](http://x.example)"


def hostile_texts() -> None:
    """Write a scenario whose description, class of queries and notes of profiles are markup."""
    rows = (f"alpha,cpu,1,5,stand-in,{MARKUP}", f"beta,gpu,1,5,stand-in,{MARKUP}")
    write(
        s__yaml=scenario(
            name=f"name: base\ndescription: {json.dumps(MARKUP)}",
            slo=f"slo: [{{quantile: p99, bound: 1ms, where: {{class: {json.dumps(MARKUP)}}}}}]",
            profiles="profiles: f.csv",
            **drawn(f"class: {{weights: {{{json.dumps(MARKUP)}: 1}}}}"),
        ),
        f__csv=profile_rows(*rows, header=f"{PROFILE_HEADER},basis,note"),
    )


def test_markup_in_texts_of_a_stranger_stays_text_in_markdown(run: Run, repository: Path) -> None:
    hostile_texts()
    assert run("report", "s.yaml", "--plan", "p.yaml", "--out", "r.md").code == 3
    text = Path("r.md").read_text()
    assert text.count("onerror") > 2
    assert not re.search(r"(?<!\\)[<`\[]|http://", text)


@pytest.mark.slow
def test_markup_in_texts_of_a_stranger_stays_text_in_html(run: Run, repository: Path) -> None:
    hostile_texts()
    assert run("report", "s.yaml", "--plan", "p.yaml", "--out", "r.html", "--static").code == 3
    text = Path("r.html").read_text()
    assert text.count("onerror") > 2
    assert "<img src=x" not in text


FILE_NAME = "::error::a&b<img src=x onerror=alert(1)>|`[x](http:x)@team.yaml"


@pytest.mark.slow
def test_markup_in_the_name_of_a_file_stays_text_in_all_that_a_check_writes(run: Run, repository: Path) -> None:
    hostile_texts()
    Path("s.yaml").rename(FILE_NAME)
    outputs = {"--markdown": "c.md", "--junit": "c.xml", "--sarif": "c.sarif", "--code-quality": "c.json"}
    options = [text for pair in outputs.items() for text in pair]
    answer = run("check", FILE_NAME, "--baseline", "b.yaml", "--github", *options)
    assert answer.code == 3
    commands = [line for line in answer.out.splitlines() if line.startswith("::")]
    assert commands
    assert all(re.match(r"::(error|warning|notice) file=%3A%3Aerror%3A%3Aa&b", line) for line in commands), commands
    assert "onerror" in Path("c.md").read_text()
    ours = re.sub(r"<!--.*?-->|</?(details|summary|b)>", "", Path("c.md").read_text())
    assert not re.search(r"(?<!\\)[<`\[]|@(?!&#8203;)", ours), ours
    assert "<img" not in Path("c.xml").read_text()
    assert "\x1b" not in answer.out + answer.err


def test_a_name_that_does_not_print_reaches_no_terminal_and_no_baseline(run: Run, repository: Path) -> None:
    Path("s.yaml").rename("\x1b[31ms.yaml")
    for command in COMMANDS.values():
        answer = run(*(part.replace("s.yaml", "\x1b[31ms.yaml") for part in command))
        assert "\x1b" not in answer.out + answer.err
    assert "31ms" not in Path("b.yaml").read_text()


@pytest.mark.slow
@pytest.mark.parametrize("command", ["simulate", "check"])
def test_no_machine_code_is_loaded_from_where_the_repository_says(repository: Path, command: str) -> None:
    write(__numba_config__yaml="cache_dir: planted\n")
    answer = installed(*COMMANDS[command])
    assert answer.code == 2, answer
    assert_one_clear_line(answer, (".numba_config.yaml", "would set up numba", "remove it"))
    assert not Path("planted").exists()


WATCHED = """
import sys
opened = set()
def watch(event, arguments):
    if event in {"subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.fork", "socket.connect"}:
        raise SystemExit(f"{event} {arguments}")
    if event == "open" and str(arguments[0]).startswith(HERE):
        opened.add(str(arguments[0])[len(HERE) + 1 :])
    elif event == "open" and not str(arguments[0]).startswith("/"):
        opened.add(str(arguments[0]))
sys.addaudithook(watch)
sys.path = [folder for folder in sys.path if folder]
sys.argv = ["pipesim", *sys.argv[1:]]
from pipesim.cli import main
try:
    main()
finally:
    print(*sorted(opened), sep=",", file=sys.stderr)
"""


@pytest.mark.slow
def test_a_check_starts_nothing_asks_nobody_and_opens_what_it_was_given(repository: Path) -> None:
    """Python tells a hook what is opened, started and connected to: https://docs.python.org/3/library/audit_events.html."""
    write(
        s__yaml=scenario(profiles="profiles: f.csv", slo="slo: {p99: 1ms}"), f__csv=latency("5"), unasked__yaml="x: 1\n"
    )
    hooked = f"HERE = {str(repository)!r}\n{WATCHED}"
    process = subprocess.run([sys.executable, "-c", hooked, *COMMANDS["check"]], capture_output=True, check=False)
    assert process.returncode == 3, process.stderr.decode()
    assert process.stderr.decode().strip() == "b.yaml,f.csv,s.yaml"


@pytest.mark.parametrize(
    "arguments", [COMMANDS["report"], ("trace", "plot", "t.csv", "--column", "t", "--unit", "s", "--out", "t.svg")]
)
def test_no_picture_is_drawn_as_the_repository_says(run: Run, repository: Path, arguments: tuple[str, ...]) -> None:
    write(matplotlibrc="text.usetex: True\n", t__csv=column("0", "1"))
    assert_refused(run, *arguments, words=("matplotlibrc", "would set up matplotlib", "remove it"))


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"PIPESIM_MAX_TRACE_BYTES": "1 GB"}, "PIPESIM_MAX_TRACE_BYTES: '1 GB' is not a limit; use a whole number"),
        ({"PIPESIM_MAX_TRACE_BYTES": ""}, "PIPESIM_MAX_TRACE_BYTES: '' is not a limit"),
        ({"PIPESIM_MAX_TRACE_BYTES": "0"}, "'0' is not a limit; use a whole number from 1 to 68719476736"),
        ({"PIPESIM_MAX_TRACE_BYTES": "-1"}, "'-1' is not a limit"),
        ({"PIPESIM_MAX_DOCUMENT_BYTES": "1e6"}, "'1e6' is not a limit"),
        ({"PIPESIM_MAX_ITEMS": "50000001"}, "'50000001' is not a limit; use a whole number from 1 to 50000000"),
        ({"PIPESIM_MAX_TRACES": "5"}, "PIPESIM_MAX_TRACES: '5' sets no limit; those that do are PIPESIM_MAX_DOCUMENT"),
    ],
)
def test_a_limit_that_is_none_is_refused(variables: dict[str, str], words: str) -> None:
    with pytest.raises(InvalidInputError, match=re.escape(words)):
        Limits.from_environment({"HOME": "/", "PIPESIM_DATA": "/data", **variables})


LIMITS_USED = """
from pipesim.engine.routing import MAX_ITEMS
from pipesim.files import MAX_DOCUMENT_BYTES, MAX_TABLE_BYTES, MAX_TRACE_BYTES
from pipesim.model.traffic import MAX_QUERIES
print(MAX_DOCUMENT_BYTES, MAX_TABLE_BYTES, MAX_TRACE_BYTES, MAX_QUERIES, MAX_ITEMS)
"""


@pytest.mark.slow
def test_each_variable_sets_its_limit() -> None:
    names = ("DOCUMENT_BYTES", "TABLE_BYTES", "TRACE_BYTES", "QUERIES", "ITEMS")
    variables = {f"PIPESIM_MAX_{name}": str(number) for number, name in enumerate(names, 1)}
    command = [sys.executable, "-c", LIMITS_USED]
    assert subprocess.run(command, capture_output=True, check=True, env=os.environ | variables).stdout == b"1 2 3 4 5\n"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"PIPESIM_MAX_TRACE_BYTES": "1000000"}, "t.csv.gz: holds more than 1,000,000 bytes"),
        ({"PIPESIM_MAX_ITEMS": "many"}, "PIPESIM_MAX_ITEMS: 'many' is not a limit"),
    ],
)
def test_whoever_runs_pipesim_sets_its_limits(repository: Path, variables: dict[str, str], words: str) -> None:
    write(
        s__yaml=scenario(traffic="traffic: {file: t.csv.gz, column: t, unit: s}"),
        t__csv__gz=gzip.compress(b"t\n" + b"0\n" * (1 << 20)),
    )
    answer = installed("simulate", "s.yaml", "--plan", "p.yaml", **variables)
    assert answer.code == 2, answer
    assert_one_clear_line(answer, (words,))
