"""Values by their rank, found without sorting them all."""

from bisect import bisect_left, insort

import numpy as np
import numpy.typing as npt


class Ranks:
    """Values put in order only as far as somebody asks: what has been asked for halves the next search.

    Parameters
    ----------
    values
        Shape ``(n,)``, int64; they are copied.
    """

    def __init__(self, values: npt.NDArray[np.int64]) -> None:
        self._values, self._placed = values.copy(), list[int]()

    def __getitem__(self, rank: int) -> int:
        """Return the value that stands at a place, from 0, when all are sorted.

        >>> ranks = Ranks(np.array([30, 10, 20]))
        >>> ranks[2], ranks[0], ranks[2]
        (30, 10, 30)
        """
        after = bisect_left(self._placed, rank)
        if after == len(self._placed) or self._placed[after] != rank:
            first = self._placed[after - 1] + 1 if after else 0
            last = self._placed[after] if after < len(self._placed) else self._values.size
            self._values[first:last].partition(rank - first)
            insort(self._placed, rank)
        return int(self._values[rank])
