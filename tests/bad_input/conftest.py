"""The command line as a fixture, in an empty folder."""

import sys
import warnings
from pathlib import Path

import pytest

from bad_input.answers import Answer, Run
from pipesim.cli import main


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """Return the command line, run in this process and in an empty folder.

    A warning goes to stderr as Python would print it: the suite makes warnings errors, which users do not.
    """
    monkeypatch.chdir(tmp_path)

    def answer(*arguments: str) -> Answer:
        capsys.readouterr()
        monkeypatch.setattr(sys, "argv", ["pipesim", *arguments])
        with warnings.catch_warnings(record=True) as caught:
            warnings.resetwarnings()
            for category in (DeprecationWarning, PendingDeprecationWarning, ResourceWarning):
                warnings.simplefilter("ignore", category)
            with pytest.raises(SystemExit) as exit_:
                main()
        output = capsys.readouterr()
        printed = "".join(f"{warning.category.__name__}: {warning.message}\n" for warning in caught)
        return Answer(exit_.value.code or 0, output.out, output.err + printed)  # type: ignore[arg-type]

    return answer


@pytest.fixture
def folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path
