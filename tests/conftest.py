"""The command line as a fixture, in this process."""

import sys
import warnings
from pathlib import Path

import pytest
from hypothesis import settings

from bad_input.answers import Answer, Run

settings.register_profile("any machine", deadline=None)  # how long an example takes says nothing on a busy one
settings.load_profile("any machine")


@pytest.fixture
def pipesim(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Return the command line, run in this process.

    A warning goes to stderr as Python would print it: the suite makes warnings errors, which users do not.
    """
    from pipesim.cli import main

    def run(*arguments: object) -> Answer:
        capsys.readouterr()
        monkeypatch.setattr(sys, "argv", ["pipesim", *map(str, arguments)])
        with warnings.catch_warnings(record=True) as caught:
            warnings.resetwarnings()
            for category in (DeprecationWarning, PendingDeprecationWarning, ResourceWarning):
                warnings.simplefilter("ignore", category)
            with pytest.raises(SystemExit) as ended:
                main()
        output = capsys.readouterr()
        printed = "".join(f"{warning.category.__name__}: {warning.message}\n" for warning in caught)
        return Answer(int(ended.value.code or 0), output.out, output.err + printed)

    return run


@pytest.fixture
def folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Return an empty folder, entered."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def run(pipesim: Run, folder: Path) -> Run:
    """Return the command line, run in this process and in an empty folder."""
    return pipesim
