"""How kernels are compiled: the one place that knows numba."""

from collections.abc import Callable
from typing import Any, TypeVar, cast

from pipesim.files import check_not_configured

# Where numba finds one, it says from where machine code is loaded, by unpickling: whoever wrote it could run anything.
check_not_configured(".numba_config.yaml", "numba")

from numba import njit  # noqa: E402

F = TypeVar("F", bound=Callable[..., Any])


def kernel(function: F) -> F:
    """Compile a function when it is first called, free of the interpreter lock; keep the machine code on disk.

    A kernel is handed its luck and its buffers, and decides nothing that is not in its arguments. To hand an array to
    another kernel costs some nanoseconds (its references are counted), so inner loops call none with arrays.
    Where it counts, an index is an ``np.uintp``: of any other, each use asks whether it counts from the end.
    """
    try:
        return cast("F", njit(cache=True, nogil=True)(function))
    except RuntimeError:  # neither the package's folder nor the user's cache can be written to
        return cast("F", njit(nogil=True)(function))
