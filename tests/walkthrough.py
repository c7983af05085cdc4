"""A document whose commands are run, and whose outputs are theirs.

In a document, a comment before a fenced block says what it is: ``<!-- file: NAME -->`` a file to write,
``<!-- run -->`` commands for bash, each after ``$``, and ``<!-- output -->`` what the commands before it print. What
stands between ``<!-- comment: NAME -->`` and ``<!-- end of comment -->`` is the Markdown in a file that they wrote.
``python tests/walkthrough.py FILE`` writes all outputs anew.
"""

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

_PART = re.compile(
    r"<!-- (?P<kind>file: (?P<name>\S+)|run|output) -->\n```\w*\n(?P<text>.*?)```\n"
    r"|<!-- comment: (?P<comment>\S+) -->\n(?P<markdown>.*?)<!-- end of comment -->\n",
    re.DOTALL,
)
_GIT = {"GIT_AUTHOR_NAME": "A", "GIT_AUTHOR_EMAIL": "a@example.org"}
_ENVIRONMENT = _GIT | {name.replace("AUTHOR", "COMMITTER"): value for name, value in _GIT.items()}


def performed(document: str, folder: Path) -> str:
    """Return a document with the outputs that its commands give in an empty folder."""
    bin_folder = Path(sys.executable).parent
    environment = os.environ | _ENVIRONMENT | {"PATH": f"{bin_folder}{os.pathsep}{os.environ['PATH']}"}
    environment |= {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
    printed = ""

    def part(found: re.Match[str]) -> str:
        nonlocal printed
        whole, text = found[0], found["text"]
        if found["comment"]:
            markdown = (folder / found["comment"]).read_text()
            return f"<!-- comment: {found['comment']} -->\n{markdown}<!-- end of comment -->\n"
        if found["name"]:
            (folder / found["name"]).write_text(text)
        elif found["kind"] == "run":
            commands = "\n".join(line.removeprefix("$ ") for line in text.splitlines())
            done = subprocess.run(
                ["bash", "-c", f"set -u\n{commands}"],  # noqa: S607
                cwd=folder,
                env=environment,
                capture_output=True,
                text=True,
                check=False,
            )
            assert (done.returncode, done.stderr) == (0, ""), f"{text}\n{done.stdout}{done.stderr}"
            printed = "\n".join(line.rstrip() for line in done.stdout.splitlines()) + "\n"
        else:
            return whole.replace(text, "") if not printed else f"<!-- output -->\n```text\n{printed}```\n"
        return whole

    return _PART.sub(part, document)


if __name__ == "__main__":
    file = Path(sys.argv[1])
    with tempfile.TemporaryDirectory() as temporary:
        (place := Path(temporary) / "plates").mkdir()
        file.write_text(performed(file.read_text(), place))
