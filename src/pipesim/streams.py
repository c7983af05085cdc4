"""Streams of random numbers, keyed by what they are for.

A stream depends on its key alone, never on the order in which streams are made, so adding a stage or a replica
leaves the luck of all others as it was, and two plans compared under one seed differ by the plan alone.
"""

import hashlib

import numpy as np

from pipesim.errors import invalid

MAX_SEED = 2**63 - 1


def check_seed(seed: int) -> None:
    """Check a seed that does not come from a scenario file.

    Raises
    ------
    InvalidInputError
        If `seed` is not in 0 … 2⁶³ − 1.
    """
    if not 0 <= seed <= MAX_SEED:
        raise invalid("seed", seed, "is not allowed", f"use 0 to {MAX_SEED}")


def stream(seed: int, purpose: str, name: str = "") -> np.random.Generator:
    """Return the generator of the stream (`seed`, `purpose`, `name`), always from its beginning.

    The key is hashed with SHA-256 into the state of a PCG64, whose bit stream numpy keeps stable across versions.

    Raises
    ------
    InvalidInputError
        If `seed` is not in 0 … 2⁶³ − 1.

    >>> stream(1, "noise", "detect").random() == stream(1, "noise", "detect").random()
    True
    >>> stream(1, "noise", "detect").random() == stream(1, "noise", "classify").random()
    False
    """
    check_seed(seed)
    key = hashlib.sha256(f"{seed}\0{purpose}\0{name}".encode()).digest()
    words = np.frombuffer(key, dtype="<u4").astype(np.uint32)
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(words.tolist())))


class Streams:
    """The streams of one seed, each read on from where it was left: for what is drawn piece by piece.

    Parameters
    ----------
    seed
        0 … 2⁶³ − 1.

    >>> streams, whole = Streams(1), stream(1, "noise", "detect").random(5)
    >>> [*streams.of("noise", "detect").random(2), *streams.of("noise", "detect").random(3)] == whole.tolist()
    True
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._open: dict[tuple[str, str], np.random.Generator] = {}

    def of(self, purpose: str, name: str = "") -> np.random.Generator:
        """Return the generator of a stream, as it was left."""
        if (purpose, name) not in self._open:
            self._open[purpose, name] = stream(self._seed, purpose, name)
        return self._open[purpose, name]
