"""The catalogue of public traces: where each is, what its bytes are, whose it is and how to read it."""

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from pipesim.errors import invalid
from pipesim.files import MAX_DOCUMENT_BYTES, decode_text, library_folder, read_bytes
from pipesim.model.fields import Model, Name, Text
from pipesim.model.validation import validated
from pipesim.model.yaml_document import parse_yaml

MAX_BYTES = 2 << 30
"""A trace whose size is not declared holds at most 2 GiB."""


class PublicTrace(Model):
    """A trace that can be fetched."""

    about: Text
    url: Annotated[str, StringConstraints(pattern=r"^https?://[!-~]{1,2000}$")]
    """The official address, of one commit where there is one."""
    suffix: Literal[".csv", ".csv.gz", ".jsonl", ".jsonl.gz", ".json", ".txt", ".parquet", ".zip", ".tar.gz", ".tar.xz"]
    """How the name of the file ends in the cache; what comes before is the name of the trace."""
    sha256: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")] | None
    """The SHA-256 of the file at `url`, or None if it is not known."""
    size_bytes: Annotated[int, Field(ge=1, le=1 << 40)] | None = None
    """The size of the file at `url`, which is then the most that is fetched."""
    format: Name | None = None
    """How it is written, as ``--format`` and scenarios name it, or None if it cannot be read as it is."""
    column: Text | None = None
    """The column of times (format csv)."""
    unit: Name | None = None
    """What that column counts (format csv)."""
    counts: bool = False
    """Whether it holds how many queries there were in each bin, and not the queries."""
    count: Text | None = None
    """The column of counts (format csv)."""
    bin: Text | None = None
    """The width of a bin (format csv)."""
    licence: Text
    cite: Text
    source: Text
    """The page of its owners."""

    @property
    def max_bytes(self) -> int:
        """Return the most that is fetched."""
        return MAX_BYTES if self.size_bytes is None else self.size_bytes

    @property
    def reading(self) -> str | None:
        """Return how to read it: the options of ``pipesim trace info``.

        None if it cannot be read as it is.
        """
        if self.format is None:
            return None
        given = {"--format ": self.format, "--column ": self.column, "--unit ": self.unit}
        if self.counts:
            fields = {"time": self.column, "count": self.count, "bin": self.bin}
            given = {"--format ": self.format, "--unit ": self.unit}
            given |= {f"--read {field}=": value for field, value in fields.items()}
        return " ".join(f"{option}{value}" for option, value in given.items() if value)


class PublicTraces(Model):
    """A catalogue of traces by name."""

    traces: Annotated[dict[Name, PublicTrace], Field(min_length=1)]


def public_traces(path: Path | None = None) -> Mapping[str, PublicTrace]:
    """Return the traces that can be fetched, by name: those of a file, else those that pipesim knows.

    Raises
    ------
    FileFormatError, InvalidInputError
        If the file is no such catalogue, with the line and field of the first problem.
    """
    file = library_folder() / "traces" / "public.yaml" if path is None else path
    document = parse_yaml(decode_text(read_bytes(file, MAX_DOCUMENT_BYTES), file.name), file.name)
    return validated(PublicTraces, document).traces


def public_trace(name: str, catalogue: Mapping[str, PublicTrace]) -> PublicTrace:
    """Return the trace of a name.

    Raises
    ------
    InvalidInputError
        With names that are near, if there is none.
    """
    if name not in catalogue:
        near = difflib.get_close_matches(name, catalogue, n=3, cutoff=0.5)
        near = near or [known for known in catalogue if name and name.lower() in known][:3]
        remedy = f"did you mean {' or '.join(near)}? " if near else ""
        raise invalid("trace fetch", name, "is not a known trace", f"{remedy}pipesim trace fetch lists all")
    return catalogue[name]
