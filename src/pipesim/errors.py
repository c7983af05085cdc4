"""The errors that pipesim raises on purpose.

::

    PipesimError
    ├── InvalidInputError   (also ValueError)   a value that breaks a rule
    └── FileFormatError     (also ValueError)   a file that cannot be read as what it should be

Every message reads ``where: value rule; remedy``: the file and field, what was found, what is allowed, what to
do. An infeasible scenario is an answer and not an error. A broken invariant inside an engine is an ``assert``.
"""

from decimal import Decimal

_LONGEST_VALUE = 60


def shown(value: object) -> str:
    r"""Return `value` as a message shows it: printable, on one line, at most 60 characters.

    >>> shown("a\nb"), shown(-1), shown(None), shown("x" * 99)[-5:]
    ("'a\\nb'", '-1', 'null', "xxx…'")
    """
    if value is None:
        return "null"
    if isinstance(value, str) and len(value) > _LONGEST_VALUE:
        value = value[:_LONGEST_VALUE] + "…"
    try:
        text = str(value) if isinstance(value, Decimal) else repr(value)
    except (ValueError, RecursionError):  # an int too long to print, a structure too deep to show
        return f"a {type(value).__name__}"
    return text if len(text) <= _LONGEST_VALUE + 3 else text[:_LONGEST_VALUE] + "…"


def printable(text: str) -> str:
    r"""Return `text` with every character that a terminal does not print as its escape.

    >>> printable("a\x1b[31m ≤ b")
    'a\\x1b[31m ≤ b'
    """
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)


class PipesimError(Exception):
    """Base of every error that pipesim raises on purpose."""


class InvalidInputError(PipesimError, ValueError):
    """A value breaks a rule: the message names where, the value, the rule and the remedy.

    Parameters
    ----------
    reason
        The value, the rule and the remedy.
    where
        The file and field, or the field alone, which a caller that knows the file completes.
    """

    def __init__(self, reason: str, where: str = "") -> None:
        super().__init__(f"{where}: {reason}" if where else reason)
        self.reason = reason
        self.where = where


class FileFormatError(PipesimError, ValueError):
    """A file cannot be read as what it should be: the message names the file, the place and the remedy."""


def invalid(where: str, value: object, rule: str, remedy: str = "") -> InvalidInputError:
    """Return the error for a `value` found at `where` that breaks `rule`.

    >>> str(invalid("stages.detect.replicas", 0, "is not allowed", "use at least 1"))
    'stages.detect.replicas: 0 is not allowed; use at least 1'
    """
    return InvalidInputError(f"{shown(value)} {rule}" + (f"; {remedy}" if remedy else ""), where)
