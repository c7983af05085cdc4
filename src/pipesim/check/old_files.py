"""A repository as it was before a change: what the change is judged by, and what it is compared with.

Old files that cannot be read are no reason to stop: then nobody could mend them. A note says so.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

from pipesim.check.baseline import Entry, read_baseline
from pipesim.check.settings import Settings, settings_in
from pipesim.errors import PipesimError, invalid
from pipesim.files import Workspace, place_of
from pipesim.model import Scenario, load_scenario

DEFAULT_BASELINE = "pipesim-baseline.yaml"

S = TypeVar("S")
T = TypeVar("T")


def top_of(folder: Path) -> Path:
    """Return the top of the repository that holds a folder, or, outside of any, the folder."""
    root = Workspace.around(folder).root
    assert root is not None
    return root


@dataclass(frozen=True, slots=True)
class OldFiles:
    """The old files.

    Parameters
    ----------
    folder
        The top of them.
    top
        The top of the repository of now.
    settings
        Those that held.
    baseline
        Where the baseline was, relative to the top; None if there was none.
    entries
        What it said of scenarios, by their paths relative to the top.
    listed
        The scenarios that the settings named, by the same.
    scenarios
        What the scenarios of now said, by the same.
    notes
        What could not be read.
    """

    folder: Path
    top: Path
    settings: Settings
    baseline: str | None
    entries: Mapping[str, Entry]
    listed: tuple[str, ...]
    scenarios: Mapping[str, Scenario]
    notes: tuple[str, ...]

    @classmethod
    def read(
        cls,
        folder: Path,
        top: Path,
        now: Settings,
        baseline: Path | None,
        files: Sequence[Path],
        *,
        allow_outside: bool,
    ) -> "OldFiles":
        """Return the old files in a folder.

        Parameters
        ----------
        folder
            The top of them.
        top
            The top of the repository of now.
        now
            Its settings.
        baseline
            The baseline of now, if it is named, and not found by the settings.
        files
            The scenarios of now.
        allow_outside
            Let paths in scenarios lead out of the folder.

        Raises
        ------
        InvalidInputError
            If that is no folder of old files.
        """
        if not folder.is_dir():
            raise invalid("--base-dir", str(folder), "is not a folder", "give a checkout of the old files")
        if folder.resolve() in (top, Path().resolve()):
            raise invalid("--base-dir", str(folder), "has the files of now", "give a checkout of the old files")
        notes: list[str] = []

        def tried(read: Callable[[T], S], given: T) -> S | None:
            try:
                return read(given)
            except PipesimError as error:
                notes.append(f"of the old files, {error}; nothing is compared with it")
                return None

        places = [place for file in files if (place := place_of(file, top)) is not None]
        read = {
            place: tried(partial(load_scenario, allow_outside=allow_outside, root=folder), folder / place)
            for place in places
            if (folder / place).is_file()
        }
        where = folder / (place_of(now.folder / "-", top) or "-")
        settings = tried(partial(settings_in, root=folder), where.parent) or now
        held = settings.baseline_path or settings.folder / DEFAULT_BASELINE
        if baseline is not None:
            held = folder / (place_of(baseline, top) or baseline.name)
        if not read and settings.file is None and not held.is_file():
            notes.append("the old files have no scenario, no settings and no baseline: nothing is compared with them")
            return cls(folder, top, now, None, {}, (), {}, tuple(notes))
        found = tried(read_baseline, held) if held.is_file() else None
        known = {} if found is None else found.entries
        listed = () if settings is now else tried(Settings.scenario_files, settings) or ()
        return cls(
            folder,
            top,
            settings,
            place_of(held, folder) if held.is_file() else None,
            {place_of(held.parent / path, folder) or path: entry for path, entry in known.items()},
            tuple(place for file in listed if (place := place_of(file, folder)) is not None),
            {place: scenario for place, scenario in read.items() if scenario is not None},
            tuple(notes),
        )

    def judged_as(self, file: Path) -> Path:
        """Return the file by which the settings know a scenario of now."""
        place = place_of(file, self.top)
        return file if place is None else self.folder / place
