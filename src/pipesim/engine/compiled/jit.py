"""How kernels are compiled: the one place that knows numba."""

from collections.abc import Callable
from typing import Any, TypeVar, cast

from numba import njit

F = TypeVar("F", bound=Callable[..., Any])


def kernel(function: F) -> F:
    """Compile a function when it is first called, free of the interpreter lock; keep the machine code on disk.

    A kernel is handed its luck and its buffers, and decides nothing that is not in its arguments. To hand an array to
    another kernel costs some nanoseconds (its references are counted), so inner loops call none with arrays.
    """
    try:
        return cast("F", njit(cache=True, nogil=True)(function))
    except RuntimeError:  # neither the package's folder nor the user's cache can be written to
        return cast("F", njit(nogil=True)(function))
