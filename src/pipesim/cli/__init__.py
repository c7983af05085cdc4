"""The command line: parse, load, one call into the library, print or save.

Exit codes: 0 good; 1 a fault of ours; 2 bad input or usage, said in one line on stderr; 3 no feasible plan, or the
objectives are not met; 130 interrupted. Results go to stdout, everything else to stderr. What is heavy is imported by
the command that needs it, so that ``pipesim --help`` answers at once.
"""

import io
import sys

import typer

from pipesim.cli.app import app
from pipesim.errors import PipesimError, printable

BAD_INPUT = 2
INTERRUPTED = 130
_LONGEST_COMPLAINT = 500


def main() -> None:
    """Run the command line and exit."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal that is not UTF-8
    try:
        code = app(standalone_mode=False)
    except PipesimError as error:
        code = _complain(str(error))
    except (KeyboardInterrupt, typer.Abort):
        code = INTERRUPTED  # which newer versions of typer return by themselves
    except Exception as error:
        # Usage errors have no public base class: old versions of typer take it from click, new ones bring their own.
        if not hasattr(error, "format_message"):
            raise
        code = _complain(f"{' '.join(error.format_message().split()).rstrip('.')}; see {_command(error)} --help")
    if code == INTERRUPTED:
        print("pipesim: interrupted", file=sys.stderr)
    sys.exit(code)


def _complain(message: str) -> int:
    line = printable(f"pipesim: {message}")
    print(line if len(line) <= _LONGEST_COMPLAINT else line[: _LONGEST_COMPLAINT - 1] + "…", file=sys.stderr)
    return BAD_INPUT


def _command(error: Exception) -> str:
    context = getattr(error, "ctx", None)
    return str(context.command_path) if context is not None else "pipesim"
