"""Public traces, fetched once: checked by their hash, resumed when broken off, kept in a cache folder.

While a trace comes, the cache holds ``FILE.part`` and ``FILE.part.json``, which says of what address and version the
part is. ``FILE`` appears whole and checked, or not at all. Where the hash is not known beforehand, ``FILE.sha256``
records that of the first time, which later ones must have.
"""

import hashlib
import json
import os
import re
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from pipesim.errors import InvalidInputError, invalid, shown
from pipesim.files import write_atomically
from pipesim.traces.public import PublicTrace, public_trace, public_traces

if TYPE_CHECKING:
    import httpx

DATA_VARIABLE = "PIPESIM_DATA"
"""The environment variable that names the cache folder."""
MAX_REDIRECTS = 5
PAUSES_S = (1, 2, 4)
"""The waits before a transfer that failed is tried again."""
TIMEOUT_S = 30.0
"""How long a server may stay silent."""

Progress = Callable[[int, int | None], None]
"""Called with the bytes that are there, and with all there will be if the server says so."""
Notify = Callable[[str], None]
"""Called with one line on what is worth knowing: a retry, a wait, a hash that is recorded."""

_NO_SUCH_RANGE = 416
_REDIRECTS = {301, 302, 303, 307, 308}
_TRANSIENT = {408, 425, 429, 500, 502, 503, 504}
_CONTENT_RANGE = re.compile(r"bytes (?:(\d+)-\d+|\*)/(\d+|\*)")


def fetch(
    name: str,
    *,
    catalogue: Mapping[str, PublicTrace] | None = None,
    folder: Path | None = None,
    accept_unverified: bool = False,
    progress: Progress | None = None,
    notify: Notify | None = None,
    timeout_s: float = TIMEOUT_S,
    sleep: Callable[[float], None] = time.sleep,
) -> Path:
    """Return the path of a public trace in the cache, fetched if it is not there with the right hash.

    A hash that the catalogue does not know is that of the first fetch, which needs `accept_unverified`.

    Parameters
    ----------
    name
        A name of the catalogue.
    catalogue
        Traces by name; those that pipesim knows if it is None.
    folder
        The cache; that of :func:`cache_folder` if it is None.
    timeout_s
        How long a server may stay silent.
    sleep
        What waits between attempts.

    Raises
    ------
    InvalidInputError
        If the name is not known, the server does not give the file, or the file has another hash.
    """
    trace = public_trace(name, public_traces() if catalogue is None else catalogue)
    say = notify or (lambda _: None)
    target = (cache_folder() if folder is None else folder) / f"{name}{trace.suffix}"
    try:
        if _is_there(target, trace.sha256 or _recorded(target)):
            return target
        target.parent.mkdir(parents=True, exist_ok=True)
        with _locked(target, say):
            expected = trace.sha256 or _recorded(target)
            if _is_there(target, expected):
                return target
            if expected is None and not accept_unverified:
                raise InvalidInputError(
                    "its hash is not known, so it cannot be checked; pass --accept-unverified to take it all the same",
                    name,
                )
            if target.is_file():
                if expected is None:
                    return _recorded_now(name, target, target, say)
                say(f"{target} is not the file that it should be; fetching it again")
            part = _Part(target.with_name(f"{target.name}.part"), trace.url)
            _Transfer(name, trace, target, part, progress or (lambda *_: None), say, timeout_s).run(expected, sleep)
            found = _sha256(part.path)
            if expected is not None and found != expected:
                part.remove()
                raise _other_hash(name, trace, target, found, expected)
            if expected is None:
                _recorded_now(name, target, part.path, say)
            part.path.replace(target)
            part.remove()
    except OSError as error:
        raise invalid(
            name,
            str(error.filename or target.parent),
            f"cannot be written or read ({error.strerror})",
            f"check the folder, or name another in {DATA_VARIABLE}",
        ) from error
    return target


def cache_folder() -> Path:
    """Return the folder of fetched traces: that of ``PIPESIM_DATA``, else the user's cache folder.

    Raises
    ------
    InvalidInputError
        If neither is there because the packages of the extra are missing.
    """
    if given := os.environ.get(DATA_VARIABLE):
        return Path(os.path.abspath(Path(given).expanduser()))  # noqa: PTH100 - links stay as the user wrote them
    try:
        import platformdirs
    except ImportError:
        raise _missing("platformdirs") from None
    return platformdirs.user_cache_path("pipesim", appauthor=False) / "traces"


@dataclass(frozen=True, slots=True)
class _Part:
    """What has come of a file so far, and the note that says of what address and version it is."""

    path: Path
    url: str

    @property
    def note(self) -> Path:
        return self.path.with_name(f"{self.path.name}.json")

    @property
    def size(self) -> int:
        return self.path.stat().st_size if self.path.is_file() else 0

    def validator(self) -> str | None:
        """Return the ETag or date of the version that the part is of; a part of another address is removed."""
        if not self.size:
            return None
        try:
            note = json.loads(self.note.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            note = None
        if not isinstance(note, dict) or note.get("url") != self.url:
            self.remove()
            return None
        validator = note.get("validator")
        return validator if isinstance(validator, str) else None

    def describe(self, validator: str | None) -> None:
        write_atomically(self.note, json.dumps({"url": self.url, "validator": validator}) + "\n")

    def remove(self) -> None:
        self.path.unlink(missing_ok=True)
        self.note.unlink(missing_ok=True)


class _TransientError(Exception):
    """What may go better the next time: the reason and the remedy if it never does."""

    def __init__(self, reason: str, remedy: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.remedy = remedy


@dataclass(frozen=True, slots=True)
class _Transfer:
    """One file on its way into its part file."""

    name: str
    trace: PublicTrace
    target: Path
    part: _Part
    progress: Progress
    say: Notify
    timeout_s: float

    def run(self, expected: str | None, sleep: Callable[[float], None]) -> None:
        """Bring the part file to its full length, with a few attempts."""
        try:
            import httpx
        except ImportError:
            raise _missing("httpx") from None
        headers = {"User-Agent": f"pipesim/{version('pipesim')}", "Accept-Encoding": "identity"}
        with httpx.Client(headers=headers, timeout=self.timeout_s) as client:
            for pause_s in PAUSES_S:
                try:
                    return self._attempt(client, resumable=expected is not None)
                except _TransientError as problem:
                    self.say(f"{self.name}: {problem.reason}; trying again in {pause_s} s")
                sleep(pause_s)
            try:
                self._attempt(client, resumable=expected is not None)
            except _TransientError as problem:
                raise InvalidInputError(f"{problem.reason}; {problem.remedy}", self.name) from None

    def _attempt(self, client: "httpx.Client", *, resumable: bool) -> None:
        import httpx

        validator = self.part.validator()
        start = self.part.size
        headers: dict[str, str] = {}
        if start and (validator is not None or resumable):
            headers["Range"] = f"bytes={start}-"
            if validator is not None:
                headers["If-Range"] = validator
        try:
            with self._opened(client, headers) as response:
                self._receive(response, start if headers else 0, validator)
        except httpx.TimeoutException as error:
            host = error.request.url.host
            raise _TransientError(f"{host} was silent for {self.timeout_s:g} s", self._by_hand()) from None
        except (httpx.ReadError, httpx.RemoteProtocolError) as error:
            raise self._broken(error.request.url.host, f" ({error})" if str(error) else "") from None
        except httpx.RequestError as error:
            host = error.request.url.host
            raise _TransientError(f"{host} cannot be reached ({error})", self._by_hand()) from None

    @contextmanager
    def _opened(self, client: "httpx.Client", headers: Mapping[str, str]) -> Iterator["httpx.Response"]:
        """Yield the response to the request, at the end of at most five redirects."""
        import httpx

        url = httpx.URL(self.trace.url)
        for _ in range(MAX_REDIRECTS + 1):
            with client.stream("GET", url, headers=dict(headers)) as response:
                if response.status_code not in _REDIRECTS:
                    yield response
                    return
                url = url.join(response.headers.get("Location", ""))
            if url.scheme not in ("https", httpx.URL(self.trace.url).scheme):
                raise self._refused(f"redirects to {shown(str(url))}, which is not https")
        raise self._refused(f"{url.host} redirects more than {MAX_REDIRECTS} times")

    def _receive(self, response: "httpx.Response", start: int, validator: str | None) -> None:
        status, host = response.status_code, response.url.host
        if status == _NO_SUCH_RANGE:
            self._at_end(response, start)
            return
        if status in _TRANSIENT:
            raise _TransientError(f"{host} answers {status} {response.reason_phrase}", self._by_hand())
        if status not in (200, 206):
            raise self._refused(f"{host} answers {status} {response.reason_phrase}")
        version_there = _validator_of(response)
        total = _whole_number(response.headers.get("Content-Length"))
        if status == 206:
            found = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
            if found is None or found[1] != str(start) or (validator is not None and version_there != validator):
                self.part.remove()
                raise _TransientError(f"{host} gave another part than the one asked for", self._by_hand())
            total = _whole_number(found[2])
        else:
            start = 0
        if (total or 0) > self.trace.max_bytes:
            raise self._too_large(host, total)
        if start == 0:
            self.part.remove()
        self.part.describe(version_there)
        with self.part.path.open("ab" if start else "wb") as file:
            done = self._write(file, response, start, total)
        if done < (self.trace.size_bytes or 0 if total is None else total):
            raise self._broken(host)

    def _write(self, file: BinaryIO, response: "httpx.Response", done: int, total: int | None) -> int:
        self.progress(done, total)
        for chunk in response.iter_raw():
            done += len(chunk)
            if done > self.trace.max_bytes:
                raise self._too_large(response.url.host, None)
            file.write(chunk)
            self.progress(done, total)
        return done

    def _at_end(self, response: "httpx.Response", start: int) -> None:
        """Take the answer that nothing comes after the part, which is whole or of no use."""
        found = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
        if start == 0 or found is None or found[2] != str(start):
            self.part.remove()
            raise _TransientError(f"{response.url.host} has no such part", self._by_hand())

    def _broken(self, host: str, why: str = "") -> _TransientError:
        return _TransientError(
            f"the connection to {host} broke off after {self.part.size:,} bytes{why}",
            "run the command again, which resumes there",
        )

    def _too_large(self, host: str, total: int | None) -> InvalidInputError:
        self.part.remove()
        size = "more" if total is None else f"{total:,} bytes"
        return self._refused(f"{host} offers {size} where at most {self.trace.max_bytes:,} bytes are due")

    def _refused(self, reason: str) -> InvalidInputError:
        return InvalidInputError(f"{reason}; see {self.trace.source} for where it is now", self.name)

    def _by_hand(self) -> str:
        return f"check the network, or put the file of {self.trace.url} at {self.target} by hand"


def _validator_of(response: "httpx.Response") -> str | None:
    """Return what If-Range may hold: a strong ETag, else the date of the last change."""
    etag: str | None = response.headers.get("ETag")
    return etag if etag is not None and etag.startswith('"') else response.headers.get("Last-Modified")


def _whole_number(text: str | None) -> int | None:
    return int(text) if text is not None and re.fullmatch(r"[0-9]{1,18}", text) else None


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _record_of(target: Path) -> Path:
    return target.with_name(f"{target.name}.sha256")


def _recorded(target: Path) -> str | None:
    """Return the hash that an earlier fetch recorded."""
    record = _record_of(target)
    text = record.read_text(encoding="utf-8", errors="replace") if record.is_file() else ""
    found = re.match(r"[0-9a-f]{64}\b", text)
    return found[0] if found else None


def _recorded_now(name: str, target: Path, file: Path, say: Notify) -> Path:
    """Record the hash of a file, in the form of sha256sum, as that which `target` must have from now on."""
    found = _sha256(file)
    say(f"the hash of {name} is not known; the file has the SHA-256 {found}, recorded for the next time")
    write_atomically(_record_of(target), f"{found}  {target.name}\n")
    return target


def _is_there(target: Path, expected: str | None) -> bool:
    return expected is not None and target.is_file() and _sha256(target) == expected


def _other_hash(name: str, trace: PublicTrace, target: Path, found: str, expected: str) -> InvalidInputError:
    if trace.sha256 is None:
        remedy = f"the source has changed since the first time; delete {_record_of(target)} to accept it"
    else:
        remedy = f"try again, and if it stays so the source has changed: see {trace.source}"
    return InvalidInputError(f"has the SHA-256 {found} where {expected} is due; {remedy}", name)


def _missing(package: str) -> InvalidInputError:
    return InvalidInputError(f"needs the package {package}; pip install 'pipesim[fetch]'", "trace fetch")


@contextmanager
def _locked(target: Path, say: Notify) -> Iterator[None]:
    """Keep other processes from fetching the same file for as long as this one does."""
    with target.with_name(f".{target.name}.lock").open("ab") as file:
        if not _lock(file, wait=False):
            say(f"another process is fetching {target.name}; waiting for it")
            _lock(file, wait=True)
        yield  # closing the file ends the lock


if sys.platform == "win32":  # pragma: no cover

    def _lock(file: BinaryIO, *, wait: bool) -> bool:
        import msvcrt

        while True:
            try:
                msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
            except OSError:
                if not wait:
                    return False
                time.sleep(0.1)
            else:
                return True

else:

    def _lock(file: BinaryIO, *, wait: bool) -> bool:
        import fcntl

        try:
            fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            return False
        return True
