"""Where a scenario came from: its document, its workspace and the files read for it, so that it can be asked anew."""

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar, cast

from pipesim.files import InputFile, Workspace
from pipesim.model.yaml_document import YamlDocument

T = TypeVar("T")


class ReadFiles:
    """What the files say that a scenario names, by how it refers to them: each is read once.

    Scenarios that come from one another share it, and so never disagree on what a file held.
    """

    def __init__(self) -> None:
        self._held: dict[Hashable, object] = {}

    def once(self, key: Hashable, read: Callable[[], T]) -> T:
        """Return what was read under a key, or read it now."""
        if key not in self._held:
            self._held[key] = read()
        return cast("T", self._held[key])


@dataclass(frozen=True)
class Source:
    """What :func:`pipesim.model.loading.scenario_of` made a scenario from.

    Parameters
    ----------
    document
        The scenario file, with all changes made since.
    workspace
        Where its paths lead.
    inputs
        The files that the document itself came from.
    files
        What the files say that it names.
    latencies
        Changes of profiles that were read from a file: model, hardware and field (a batch size, or ``noise_scv``), and
        the value, as :mod:`pipesim.model.changes` checks it.
    made
        The file's fields, profiles and catalogue that came of it: a scenario that has others was changed since, in a
        way that its document does not tell.
    """

    document: YamlDocument
    workspace: Workspace
    inputs: tuple[InputFile, ...]
    files: ReadFiles = field(default_factory=ReadFiles)
    latencies: Mapping[tuple[str, str, str], float] = field(default_factory=dict)
    made: tuple[object, ...] = field(default=(), repr=False)
