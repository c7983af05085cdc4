"""Settings of checks, from ``pipesim.toml`` or ``pyproject.toml``.

::

    [check]                             # in pyproject.toml: [tool.pipesim.check]
    fail_if = ["cost:+5%", "p99:+10%"]
    warn_if = ["headroom:-10%"]
    seeds = 8
    baseline = "pipesim-baseline.yaml"
    scenarios = ["scenarios/*.yaml"]

    [check.scenario."scenarios/batch.yaml"]
    fail_if = ["p99:+25%"]

The settings are those of the nearest folder that has some, from where the search begins up to the top of the
repository. Paths are relative to the folder of the file. A list of rules takes the place of the default list as a
whole, and an empty one leaves none. Rules for one scenario, and those of the command line above them, take the place of
the rules of the same metric at the same level: with the file above, ``scenarios/batch.yaml`` fails if its cost rises by
more than 5 % or its p99 by more than 25 %.
"""

import tomllib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field

from pipesim.check.baseline.entry import MAX_SCENARIOS
from pipesim.check.thresholds import DEFAULT_FAIL_IF, DEFAULT_WARN_IF, MAX_RULES, Rule, replaced, rule_of, rules_of
from pipesim.errors import FileFormatError, invalid
from pipesim.files import Workspace, decode_text, read_bytes, resolved
from pipesim.model.fields import Model, Text, sequence
from pipesim.model.validation import validated_fields

FILE_NAMES = ("pipesim.toml", "pyproject.toml")
MAX_SEEDS = 1000
MAX_SETTINGS_BYTES = 1 << 18
"""A file with settings holds at most 256 KiB."""
_MAX_LINE = 2000
"""Characters. What tomllib does for a key of many parts grows with the square of their number."""
_WILDCARDS = frozenset("*?[")
_TABLES = dict(zip(FILE_NAMES, ("check", "tool.pipesim.check"), strict=True))


def _rule(text: str) -> str:
    rule_of(text, "fail", where="")
    return text


RuleTexts = Annotated[
    tuple[Annotated[Text, AfterValidator(_rule)], ...], BeforeValidator(sequence), Field(max_length=MAX_RULES)
]
PathText = Annotated[Text, Field(min_length=1, max_length=1000)]
SeedCount = Annotated[int, Field(ge=2, le=MAX_SEEDS)]


class ScenarioSettings(Model):
    """What is special for one scenario."""

    fail_if: RuleTexts = ()
    warn_if: RuleTexts = ()
    seeds: SeedCount | None = None


class Table(Model):
    """What a file says."""

    fail_if: RuleTexts = DEFAULT_FAIL_IF
    warn_if: RuleTexts = DEFAULT_WARN_IF
    seeds: SeedCount | None = None
    """Under how many seeds a plan is simulated; None leaves it as it is in the baseline."""
    baseline: PathText | None = None
    scenarios: Annotated[tuple[PathText, ...], BeforeValidator(sequence), Field(max_length=MAX_SCENARIOS)] = ()
    """Paths, or patterns with ``*``, ``?``, ``[…]`` and ``**`` for any number of folders."""
    scenario: Annotated[dict[PathText, ScenarioSettings], Field(max_length=MAX_SCENARIOS)] = {}
    """By the path of the scenario file."""


class Settings(Table):
    """What a file says, and where it is."""

    folder: Path = Path()
    """Where its paths start from."""
    file: str | None = None
    """Its name; None if there is none, and all is as by default."""

    @property
    def baseline_path(self) -> Path | None:
        """Return where the baseline is."""
        return None if self.baseline is None else self.folder / self.baseline

    def rules_for(self, scenario: Path, options: Iterable[Rule] = ()) -> tuple[Rule, ...]:
        """Return the rules for a scenario file, those of the command line in place of others of metric and level."""
        general = (*rules_of(self.fail_if, "fail"), *rules_of(self.warn_if, "warn"))
        special = self._special(scenario)
        special_rules = (*rules_of(special.fail_if, "fail"), *rules_of(special.warn_if, "warn"))
        return replaced(replaced(general, special_rules), options)

    def seeds_for(self, scenario: Path) -> int | None:
        """Return under how many seeds a scenario file is simulated, if that is said."""
        return self._special(scenario).seeds or self.seeds

    def scenario_files(self) -> tuple[Path, ...]:
        """Return the files that the paths and patterns of `scenarios` name, in their order, each once.

        Raises
        ------
        InvalidInputError
            If one names no file, or one outside the repository, or they name more than a baseline holds.
        """
        workspace = Workspace.around(self.folder)
        found: dict[Path, None] = {}
        for number, text in enumerate(self.scenarios):
            where = _where(self.file or "settings", f"scenarios.{number}")
            for reference in _expanded(text, self.folder, where) if _WILDCARDS & set(text) else (text,):
                workspace.locate(reference, where, "plans")
                found[self.folder / reference] = None
                if len(found) > MAX_SCENARIOS:
                    raise invalid(where, text, f"makes more than {MAX_SCENARIOS:,} scenario files", "name fewer")
        return tuple(found)

    def _special(self, scenario: Path) -> ScenarioSettings:
        file = resolved(scenario)
        named = (special for path, special in self.scenario.items() if resolved(self.folder / path) == file)
        return next(named, ScenarioSettings())


class _PipesimFile(Model):
    check: Table | None = None


class _Tool(Model):
    pipesim: _PipesimFile = _PipesimFile()


class _Pyproject(Model):
    tool: _Tool = _Tool()


def settings_in(folder: Path, *, root: Path | None = None) -> Settings:
    """Return the settings that hold in a folder.

    Parameters
    ----------
    folder
        Where the search begins.
    root
        Where it ends, and what no path may leave; by default the top of the repository, or `folder` outside of any.

    Raises
    ------
    FileFormatError, InvalidInputError
        With file, field, value, rule and remedy, if a file with settings cannot be read as what it should be, is
        outside the repository, or names files that do not exist or are outside; and if two files in the same folder
        have settings.
    """
    workspace = Workspace.around(folder)
    top = workspace.root if root is None else root.resolve()
    assert top is not None
    for place in (workspace.folder, *workspace.folder.parents):
        tables = {name: table for name in FILE_NAMES if (table := _table_in(place / name, top)) is not None}
        if len(tables) > 1:
            first, second = tables
            raise invalid(second, "tool.pipesim.check", f"is given in {first} too", "keep one of them")
        for name, table in tables.items():
            _check_paths(table, name, Workspace(place, top))
            return Settings(**dict(table), folder=place, file=name)
        if place == top:
            break
    return Settings(folder=workspace.folder)


def _table_in(path: Path, root: Path) -> Table | None:
    """Return the settings in a file; None if it has none, or is not there."""
    if not path.is_symlink() and not path.exists():
        return None
    target = resolved(path)
    if target is None or not target.is_file():
        raise invalid(path.name, path.name, "is not a file", "make it one, or remove it")
    if not target.is_relative_to(root):
        raise invalid(path.name, path.name, "leads out of the repository", "copy the file into it")
    data = _parsed(decode_text(read_bytes(target, MAX_SETTINGS_BYTES), path.name), path.name)
    try:
        if path.name == FILE_NAMES[0]:
            return validated_fields(_PipesimFile, path.name, data).check
        tool = data.get("tool")
        if not isinstance(tool, Mapping) or "pipesim" not in tool:
            return None
        return validated_fields(_Pyproject, path.name, {"tool": {"pipesim": tool["pipesim"]}}).tool.pipesim.check
    except RecursionError:
        raise FileFormatError(f"{path.name}: is nested too deeply; use tables as documented") from None


def _parsed(text: str, name: str) -> dict[str, Any]:
    for number, line in enumerate(text.split("\n"), start=1):
        if len(line) > _MAX_LINE:
            raise FileFormatError(f"{name}:{number}: is longer than {_MAX_LINE:,} characters; break the line")
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise FileFormatError(f"{name}: is nested too deeply; use tables as documented") from None
    except ValueError as error:  # also a number too long for Python to read
        raise FileFormatError(f"{name}: is not valid TOML ({error}); correct it") from None


def _check_paths(table: Table, name: str, workspace: Workspace) -> None:
    """Check that rules for one scenario are for one that exists, and that the baseline would be in the repository."""
    for path in table.scenario:
        workspace.locate(path, _where(name, "scenario"), "plans")
    if table.baseline is not None:
        baseline = resolved(workspace.folder / table.baseline)
        if baseline is None or not baseline.is_relative_to(workspace.root or baseline):
            raise invalid(
                _where(name, "baseline"), table.baseline, "leads out of the repository", "use a path that stays in it"
            )


def _where(name: str, field: str) -> str:
    return f"{name}: {_TABLES.get(name, 'check')}.{field}"


def _expanded(pattern: str, folder: Path, where: str) -> Iterator[str]:
    """Return the files that match a pattern, in the order of their names, relative to the folder."""
    try:
        files = sorted(path for path in folder.glob(pattern) if path.is_file())
    except (NotImplementedError, ValueError, IndexError):
        raise invalid(where, pattern, "is not a pattern", "write one such as scenarios/**/*.yaml") from None
    if not files:
        raise invalid(where, pattern, "matches no file", "patterns are relative to the folder of the settings")
    return (path.relative_to(folder).as_posix() for path in files)
