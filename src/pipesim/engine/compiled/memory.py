"""Large buffers that are used again.

The operating system hands out memory page by page when it is first touched, and that can take longer than the kernels
do. So the memory of a large array goes back to a pool when the last view of it is
gone, and the next run takes it from there. The pool is bounded; what is above goes back to the system.
"""

import heapq
import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

MIN_BYTES = 1 << 16
"""Smaller arrays are left to numpy, which does as well: the C library keeps what is small for itself."""
MAX_BYTES = 1 << 30
"""The most that the pool keeps: address space, of which only what was touched is memory."""


class _Pool:
    """Memory that is free, by size, the lowest address first: so equal runs take equal memory for equal purposes.

    Threads may share it: a heap changes in one step under the interpreter lock.
    """

    def __init__(self) -> None:
        self._free: dict[int, list[tuple[int, npt.NDArray[np.uint8]]]] = {}
        self._bytes = 0

    def take(self, size: int) -> npt.NDArray[np.uint8]:
        """Return memory of a size."""
        try:
            _, memory = heapq.heappop(self._free[size])
        except (KeyError, IndexError):
            return np.empty(size, np.uint8)
        self._bytes -= size
        return memory

    def give_back(self, address: int, memory: npt.NDArray[np.uint8]) -> None:
        """Take memory back that no array uses any more."""
        if self._bytes + memory.size <= MAX_BYTES:
            self._bytes += memory.size
            heapq.heappush(self._free.setdefault(memory.size, []), (address, memory))


_POOL = _Pool()


class _Block:
    """Memory from the pool, as numpy sees it; an array and its views keep it alive."""

    def __init__(self, memory: npt.NDArray[np.uint8], count: int, dtype: "np.dtype[Any]") -> None:
        self._memory, self._address = memory, memory.ctypes.data
        self.__array_interface__ = {
            "version": 3,
            "shape": (count,),
            "typestr": dtype.str,
            "data": (self._address, False),
        }

    def __del__(self, is_finalizing: Callable[[], bool] = sys.is_finalizing) -> None:
        if not is_finalizing():  # else modules are gone already
            _POOL.give_back(self._address, self._memory)


def empty(count: int, dtype: "type[np.int64] | type[np.int32]") -> npt.NDArray[Any]:
    """Return an array of shape ``(count,)`` that is not initialised."""
    kind = np.dtype(dtype)
    size = count * kind.itemsize
    if size < MIN_BYTES:
        return np.empty(count, kind)
    # Sizes are rounded up to an eighth of a power of two, so that runs of slightly different sizes share memory.
    step = 1 << (size.bit_length() - 4)
    return np.asarray(_Block(_POOL.take(-(-size // step) * step), count, kind))


def concatenated(arrays: Sequence[npt.NDArray[Any]]) -> npt.NDArray[Any]:
    """Return a copy of arrays of one type, int64 or int32, one after the other."""
    return np.concatenate(arrays, out=empty(sum(array.size for array in arrays), arrays[0].dtype.type))
