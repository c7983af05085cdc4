"""The command line: parse, load, one call into the library, print or save.

Exit codes: 0 good; 1 a fault of ours; 2 bad input or usage, said in one line on stderr; 3 no feasible plan, or the
objectives are not met; 130 interrupted. Results go to stdout, everything else to stderr. What is heavy is imported by
the command that needs it, so that ``pipesim --help`` answers at once.
"""

import os
import sys

import typer

from pipesim.cli.app import app
from pipesim.errors import PipesimError

BAD_INPUT = 2
INTERRUPTED = 130


def main() -> None:
    """Run the command line and exit."""
    try:
        code = app(standalone_mode=False)
    except PipesimError as error:
        code = _complain(str(error))
    except (KeyboardInterrupt, typer.Abort):
        print("pipesim: interrupted", file=sys.stderr)
        code = INTERRUPTED
    except BrokenPipeError:  # the reader of our output has gone: head, less
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    except Exception as error:
        # Usage errors have no public base class: old versions of typer take it from click, new ones bring their own.
        if not hasattr(error, "format_message"):
            raise
        code = _complain(f"{error.format_message().rstrip('.')}; see {_command(error)} --help")
    sys.exit(code)


def _complain(message: str) -> int:
    print(f"pipesim: {' '.join(message.splitlines())}", file=sys.stderr)
    return BAD_INPUT


def _command(error: Exception) -> str:
    context = getattr(error, "ctx", None)
    return str(context.command_path) if context is not None else "pipesim"
