"""Limits on what is read, for whoever runs pipesim to set: in the environment, which no file that is read can change.

``PIPESIM_MAX_TRACE_BYTES=67108864`` and so on, read once, when pipesim is imported.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from pipesim.errors import invalid

_PREFIX = "PIPESIM_MAX_"
_MOST_BYTES = 1 << 36


@dataclass(frozen=True, slots=True)
class Limits:
    """The most that pipesim takes in.

    Sizes in bytes are those after a file is expanded, and may be set to at most 64 GiB. Counts are what arrays are made
    for; they can be set lower alone.

    Parameters
    ----------
    document_bytes
        Of a scenario, plan, price or recipe file.
    table_bytes
        Of a profile file: its rows take some 50 times as much memory.
    trace_bytes
        Of a trace file: by default a week of requests to a large service.
    queries
        Of a trace in memory.
    items
        Of one run, all stages together.
    """

    document_bytes: int = 1 << 20
    table_bytes: int = 16 << 20
    trace_bytes: int = 5 << 28
    queries: int = 50_000_000
    items: int = 50_000_000

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "Limits":
        """Return the limits that variables such as ``PIPESIM_MAX_TRACE_BYTES`` set.

        >>> Limits.from_environment({"PIPESIM_MAX_QUERIES": "1000"}).queries
        1000

        Raises
        ------
        InvalidInputError
            With the variable, if one whose name begins so sets no limit, or its value is not a number within bounds.
        """
        defaults = {_PREFIX + field.upper(): (field, value) for field, value in asdict(cls()).items()}
        found = {}
        for variable in sorted(name for name in environment if name.startswith(_PREFIX)):
            text = environment[variable]
            if variable not in defaults:
                raise invalid(variable, text, "sets no limit", f"those that do are {', '.join(defaults)}")
            field, default = defaults[variable]
            most = _MOST_BYTES if field.endswith("_bytes") else default
            if not re.fullmatch(r"[0-9]{1,12}", text) or not 1 <= int(text) <= most:
                raise invalid(
                    variable, text, "is not a limit", f"use a whole number from 1 to {most}; it is {default} if not set"
                )
            found[field] = int(text)
        return cls(**found)


LIMITS = Limits.from_environment(os.environ)
