"""What a trace file holds: its bytes, expanded piece by piece, never more of them than the limit."""

import codecs
import gzip
import hashlib
import io
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, cast

import pyarrow as pa

from pipesim.errors import FileFormatError
from pipesim.files import MAX_TRACE_BYTES, InputFile

PIECE_BYTES = 1 << 22
HEAD_BYTES = 1 << 17
"""What is looked at to know a format: more than the longest header."""

_GZIP_MAGIC = b"\x1f\x8b"
_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
_PARQUET_MAGIC = b"PAR1"


@dataclass(frozen=True, slots=True)
class Content:
    """The content of a trace file, which can be read again and again.

    Parameters
    ----------
    reference
        How the scenario names the file; it begins every complaint.
    path
        The file, expanded if its name ends in ``.gz`` or ``.zst``; or None.
    data
        The bytes, expanded already, if there is no path.
    limit
        The most bytes that it may hold when expanded.
    """

    reference: str
    path: Path | None = None
    data: bytes = b""
    limit: int = MAX_TRACE_BYTES
    _digests: list[str] = field(default_factory=list, repr=False)

    @property
    def is_compressed(self) -> bool:
        """Return whether the file is expanded while it is read."""
        return self.path is not None and self.path.suffix in (".gz", ".zst")

    @property
    def input(self) -> InputFile:
        """Return the file with the SHA-256 of its expanded bytes."""
        if not self._digests:
            for _ in self.pieces():
                pass
        return InputFile.hashed(self.reference, self._digests[0])

    def pieces(self, size: int = PIECE_BYTES) -> Iterator[bytes]:
        """Return the expanded bytes in pieces of at most `size`.

        Raises
        ------
        FileFormatError
            If the file cannot be read or expanded, or holds more than the limit; what comes after is not expanded.
        """
        digest, total = hashlib.sha256(), 0
        # A thread of its own hashes a piece while the next is read and looked at: hashing leaves Python's lock.
        with ThreadPoolExecutor(1) as pool, self._open() as stream:
            hashing = pool.submit(digest.update, b"")
            while piece := stream.read(min(size, self.limit + 1 - total)):
                total += len(piece)
                self._check_size(total)
                hashing.result()
                hashing = pool.submit(digest.update, piece)
                yield piece
            hashing.result()
        self._digests[:] = [digest.hexdigest()]

    def _check_size(self, size: int) -> None:
        if size > self.limit:
            raise FileFormatError(
                f"{self.reference}: holds more than {self.limit:,} bytes, which is the limit; cut it into parts"
            )

    def head(self) -> bytes:
        """Return the first bytes, enough to know the format.

        Raises
        ------
        FileFormatError
            If the file cannot be read or expanded.
        """
        with self._open() as stream:
            return stream.read(HEAD_BYTES)

    @property
    def is_parquet(self) -> bool:
        """Return whether the content begins as a Parquet file does."""
        return self.head().startswith(_PARQUET_MAGIC)

    def seekable(self) -> pa.NativeFile:
        """Return the content as a file that can be read in any order; a compressed one is expanded in memory.

        Raises
        ------
        FileFormatError
            As :meth:`pieces`.
        """
        if self.path is not None and not self.is_compressed:
            with _readable(self.reference, self.path.suffix):
                self._check_size(self.path.stat().st_size)
                return pa.OSFile(str(self.path))
        return readable_by_threads(b"".join(self.pieces()))

    @contextmanager
    def _open(self) -> Iterator[BinaryIO]:
        suffix = "" if self.path is None else self.path.suffix
        with _readable(self.reference, suffix):
            if self.path is None:
                yield io.BytesIO(self.data)
                return
            with self.path.open("rb") as raw:
                if suffix == ".gz":
                    yield cast(BinaryIO, gzip.GzipFile(fileobj=raw))
                elif suffix == ".zst":
                    yield cast(BinaryIO, pa.CompressedInputStream(raw, "zstd"))
                else:
                    yield raw


def readable_by_threads(data: bytes) -> pa.BufferReader:
    """Return bytes as a file for threads of pyarrow, in memory of its own.

    A thread of pyarrow may let go of a file after the call that read it has returned. Of an object of Python's it must
    then take Python's lock, and if the interpreter ends at that moment, the process is aborted.
    """
    buffer = pa.allocate_buffer(len(data))
    memoryview(buffer).cast("B")[:] = data
    return pa.BufferReader(buffer)


@contextmanager
def _readable(name: str, suffix: str) -> Iterator[None]:
    kind = {".gz": "gzip", ".zst": "zstd"}.get(suffix, "")
    try:
        yield
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise FileFormatError(f"{name}: is not a whole gzip file; fetch it again, or drop .gz from its name") from error
    except OSError as error:  # of which pyarrow makes those of its own
        if kind and error.errno is None:
            raise FileFormatError(
                f"{name}: is not a whole {kind} file; fetch it again, or drop {suffix} from its name"
            ) from error
        raise FileFormatError(f"{name}: cannot be read ({error.strerror}); check the path and the file") from error


def checked_text(pieces: Iterator[bytes], name: str) -> Iterator[bytes]:
    """Return the pieces of a text file as they are, a byte order mark dropped, each cut between two characters.

    Raises
    ------
    FileFormatError
        If the content is not UTF-8, or holds NUL bytes.
    """
    offset, carry = 0, b""
    for piece in pieces:
        if not offset:
            _check_magic(piece, name)
        data = carry + piece if carry else piece
        if b"\0" in data:
            raise FileFormatError(f"{name}: is a binary file and not text; give the path of a text file")
        carry = b""
        if not data.isascii():
            data, carry = _whole_characters(data, offset - len(carry), name)
        first = not offset
        offset += len(piece)
        yield data.removeprefix(codecs.BOM_UTF8) if first else data
    if carry:
        raise FileFormatError(f"{name}: is not UTF-8 text (byte {offset - len(carry)}); save it as UTF-8")


def _check_magic(start: bytes, name: str) -> None:
    if start.startswith(_GZIP_MAGIC):
        raise FileFormatError(f"{name}: is gzip data; give it a name that ends in .gz")
    if start.startswith(_ZSTD_MAGIC):
        raise FileFormatError(f"{name}: is zstd data; give it a name that ends in .zst")
    if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise FileFormatError(f"{name}: is UTF-16 text; save it as UTF-8")
    if start.startswith(_PARQUET_MAGIC):
        raise FileFormatError(f"{name}: is a Parquet file and not text; say format: parquet")


def _whole_characters(data: bytes, offset: int, name: str) -> tuple[bytes, bytes]:
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        decoder.decode(data)
    except UnicodeDecodeError as error:
        raise FileFormatError(f"{name}: is not UTF-8 text (byte {offset + error.start}); save it as UTF-8") from error
    carry = decoder.getstate()[0]
    return (data[: -len(carry)], carry) if carry else (data, b"")
