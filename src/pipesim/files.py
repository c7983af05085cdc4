"""Files in and out: confined to the workspace, bounded in size, hashed, written whole or not at all."""

import codecs
import gzip
import hashlib
import os
import re
import tempfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pipesim.errors import FileFormatError, InvalidInputError, invalid
from pipesim.limits import LIMITS

LIBRARY_PREFIX = "library:"
MAX_DOCUMENT_BYTES = LIMITS.document_bytes
"""A scenario, plan, price or recipe file holds at most this, 1 MiB."""
MAX_TABLE_BYTES = LIMITS.table_bytes
"""A profile file holds at most this, after it is expanded: 16 MiB."""
MAX_TRACE_BYTES = LIMITS.trace_bytes
"""A trace file holds at most this, after it is expanded: 1.25 GiB."""

_LIBRARY_FOLDERS = {
    "profiles": ("profiles", (".csv",)),
    "prices": ("profiles/prices", (".yaml", ".csv")),
    "traces": ("traces", (".csv.gz", ".csv")),
    "recipes": ("traces/recipes", (".yaml",)),
}
_GZIP_MAGIC = b"\x1f\x8b"
LibraryKind = Literal["profiles", "prices", "traces", "recipes", "plans"]
"""What ``library:NAME`` may mean; no plans are bundled."""


@dataclass(frozen=True, slots=True)
class InputFile:
    """What a report needs to name an input: how the scenario refers to it, and the SHA-256 of its bytes.

    Of an absolute path the last part is the name, so that reports are the same on every machine.

    Parameters
    ----------
    name, sha256
        How the scenario refers to it; of its bytes.
    notes
        What was assumed or left out when it was read, which whoever uses what came of it should know.
    """

    name: str
    sha256: str
    notes: tuple[str, ...] = ()

    @classmethod
    def of(cls, reference: str, content: bytes) -> "InputFile":
        """Return the input that a reference names and its bytes make."""
        return cls.hashed(reference, sha256(content))

    @classmethod
    def hashed(cls, reference: str, digest: str) -> "InputFile":
        """Return the input that a reference names and whose bytes have a SHA-256."""
        return cls(Path(reference).name if Path(reference).is_absolute() else reference, digest)


@dataclass(frozen=True, slots=True)
class Workspace:
    """Where the paths of a scenario lead.

    Parameters
    ----------
    folder
        The folder that relative paths start from: the one that holds the scenario file.
    root
        The folder that no path may leave, symbolic links followed, and whose ``.git`` none may enter; ``None`` lets
        paths lead anywhere.
    """

    folder: Path
    root: Path | None

    @classmethod
    def around(cls, path: Path, *, allow_outside: bool = False) -> "Workspace":
        """Return the workspace of the file or folder `path`: the repository that holds it, else its folder."""
        folder = path.resolve()
        if not folder.is_dir():
            folder = folder.parent
        return cls(folder, None if allow_outside else _repository(folder) or folder)

    def locate(self, reference: str, where: str, library: LibraryKind) -> Path:
        """Return the file that `reference` names: ``library:NAME`` or a path relative to the scenario's folder.

        Raises
        ------
        InvalidInputError
            If there is no such file, or the path leads out of the workspace.
        """
        if reference.startswith(LIBRARY_PREFIX):
            return _locate_in_library(reference, where, library)
        path = resolved(self.folder / reference)
        if path is not None and self.root is not None and not _holds(self.root, path):
            raise invalid(
                where, reference, "leads out of the workspace", "copy the file into it or pass --allow-outside"
            )
        if path is None or not path.is_file():
            raise invalid(where, reference, "is not a file", "a path in a file is relative to that file's folder")
        return path


def resolved(path: Path) -> Path | None:
    """Return `path` with symbolic links followed, or None if nothing can have that path."""
    try:
        target = path.resolve()
        target.exists()  # refuses a path that is too long
    except (OSError, RuntimeError, ValueError):  # RuntimeError: a link to itself; ValueError: letters that no name has
        return None
    return target


def place_of(file: Path, top: Path) -> str | None:
    """Return the path of a file relative to a folder above it, with forward slashes; None if it is not above it.

    A file that is a symbolic link goes by its own name; links to folders are followed.
    """
    target, root = file.parent.resolve() / file.name, top.resolve()
    return target.relative_to(root).as_posix() if target.is_relative_to(root) else None


def check_input(path: Path, where: str, remedy: str, *, allow_outside: bool = False) -> None:
    """Check that a file which the user names is there.

    Raises
    ------
    InvalidInputError
        With `where` and `remedy`, if it is not; or as :func:`check_links`, unless `allow_outside`.
    """
    file = resolved(path)
    if file is None or not file.is_file():
        raise invalid(where, str(path), "is not a file", remedy)
    if not allow_outside:
        check_links(path, where)


def check_links(path: Path, where: str) -> None:
    """Check that no symbolic link on the way to a path leads out of the repository that holds the link.

    The user may name any file. But a link in a repository is the work of whoever wrote the repository, and is not to
    show, or to replace, what is beside it or in its ``.git``.

    Raises
    ------
    InvalidInputError
        With `where`, if one does.
    """
    here = Path(path.anchor) if path.is_absolute() else Path.cwd()
    for part in path.parts[1 if path.is_absolute() else 0 :]:
        step, target = here / part, resolved(here / part)
        if target is None:
            return
        repository = _repository(here) if step.is_symlink() else None
        if repository is not None and not _holds(repository, target):
            rule = "is, or passes through, a link that leads out of its repository"
            raise invalid(where, str(path), rule, "give the path that it leads to, if that is what you want")
        here = target


def check_not_configured(name: str, library: str) -> None:
    """Check that the working folder, which may be a stranger's, holds no file that a library takes its settings from.

    Raises
    ------
    InvalidInputError
        If it does.
    """
    if Path(name).is_file():
        raise InvalidInputError(f"in this folder would set up {library}; work in another folder, or remove it", name)


def _repository(folder: Path) -> Path | None:
    """Return the repository that holds a folder, if one does."""
    return next((parent for parent in (folder, *folder.parents) if (parent / ".git").exists()), None)


def _holds(root: Path, path: Path) -> bool:
    """Return whether a path is in a folder, and not in what git keeps there, such as credentials."""
    return path.is_relative_to(root) and ".git" not in map(str.lower, path.relative_to(root).parts)


def library_folder() -> Path:
    """Return the folder that holds ``profiles/`` and ``traces/``: package data in a wheel, else the repository."""
    packaged = Path(__file__).parent / "library"
    return packaged if packaged.is_dir() else Path(__file__).parents[2]


def _locate_in_library(reference: str, where: str, kind: LibraryKind) -> Path:
    if kind not in _LIBRARY_FOLDERS:
        raise invalid(where, reference, f"names bundled {kind}, of which there are none", "give the path of a file")
    name = reference.removeprefix(LIBRARY_PREFIX)
    folder_name, suffixes = _LIBRARY_FOLDERS[kind]
    folder = library_folder() / folder_name
    if re.fullmatch(r"[A-Za-z0-9_.-]{1,64}", name):
        for suffix in suffixes:
            if (path := folder / f"{name}{suffix}").is_file():
                return path
    known = sorted({path.name.removesuffix(s) for s in suffixes for path in folder.glob(f"*{s}")})
    raise invalid(where, reference, f"is not among the bundled {kind}", f"use one of {', '.join(known)}")


def read_bytes(path: Path, limit: int) -> bytes:
    """Return the bytes of a file, expanded if its name ends in ``.gz``.

    Raises
    ------
    FileFormatError
        If the file cannot be read or expanded, or holds more than `limit` bytes after it is expanded.
    """
    try:
        with path.open("rb") as raw:
            source = gzip.GzipFile(fileobj=raw) if path.suffix == ".gz" else raw
            content = source.read(limit + 1)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise FileFormatError(
            f"{path.name}: is not a whole gzip file; fetch it again, or drop .gz from its name"
        ) from error
    except OSError as error:
        raise FileFormatError(f"{path.name}: cannot be read ({error.strerror}); check the path and the file") from error
    if len(content) > limit:
        raise FileFormatError(f"{path.name}: holds more than {limit:,} bytes, which is the limit; cut it into parts")
    return content


def decode_text(content: bytes, name: str) -> str:
    """Return `content` as text, a byte order mark dropped.

    Raises
    ------
    FileFormatError
        If it is not UTF-8 or holds NUL bytes.
    """
    if content.startswith(_GZIP_MAGIC):
        raise FileFormatError(f"{name}: is gzip data; give it a name that ends in .gz")
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise FileFormatError(f"{name}: is UTF-16 text; save it as UTF-8")
    if b"\0" in content:
        raise FileFormatError(f"{name}: is a binary file and not text; give the path of a text file")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise FileFormatError(f"{name}: is not UTF-8 text (byte {error.start}); save it as UTF-8") from error


def sha256(content: bytes) -> str:
    """Return the SHA-256 of `content` in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def check_output(path: Path, where: str = "output") -> Path:
    """Return the file to write, symbolic links followed, checked before long work whose result would be lost.

    Raises
    ------
    InvalidInputError
        With `where`, if `path` is a folder or device, or lies in no folder that can be written to; or as
        :func:`check_links`.
    """
    check_links(path, where)
    target = resolved(path)
    if target is None or (target.exists() and not target.is_file()):
        raise invalid(where, str(path), "is not a file", "name a file to make or replace")
    if not target.parent.is_dir():
        raise invalid(where, str(path), "is in a folder that does not exist", "make the folder first")
    if not os.access(target.parent, os.W_OK):
        raise invalid(where, str(path), "is in a folder that cannot be written to", "name another folder")
    return target


def write_atomically(path: Path, content: str | bytes) -> None:
    """Write a file whole or not at all: into a temporary file beside it, which then takes its name.

    Raises
    ------
    InvalidInputError
        If the folder does not exist or cannot be written to.
    """
    target = check_output(path)
    # Half a surrogate pair, as a file name may hold, is written as the escape that JSON has for it.
    data = content.encode(errors="backslashreplace") if isinstance(content, str) else content
    try:
        with tempfile.NamedTemporaryFile(dir=target.parent, prefix=".pipesim-", delete=False) as temporary:
            temporary.write(data)
        temporary_path = Path(temporary.name)
        try:
            temporary_path.chmod(0o666 & ~_umask())
            temporary_path.replace(target)
        except OSError:
            temporary_path.unlink()
            raise
    except OSError as error:
        raise invalid("output", str(path), f"cannot be written ({error.strerror})", "check the folder") from error


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
