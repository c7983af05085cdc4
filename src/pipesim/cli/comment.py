"""``pipesim comment``: the report of a check as the comment on a pull request.

It is a command of its own so that the job that has a token to write need not run on what a stranger's branch holds: it
reads one report, which is checked as any file is.
"""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from pipesim.check.report import CheckReport

MAX_REPORT_BYTES = 16 << 20


def comment(
    report: Annotated[
        Path, typer.Argument(metavar="REPORT", help="What pipesim check --json printed.", show_default=False)
    ],
    repo: Annotated[str, typer.Option("--repo", metavar="OWNER/NAME", help="The repository.", show_default=False)],
    pull_request: Annotated[
        int, typer.Option("--pull-request", metavar="N", min=1, max=2**31 - 1, help="Its number.", show_default=False)
    ],
    api_url: Annotated[
        str, typer.Option("--api-url", metavar="URL", help="Where GitHub's interface is.")
    ] = "https://api.github.com",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the comment and ask no network for anything.")
    ] = False,
) -> None:
    """Write a check as a comment on a pull request, or update it; the token is that of GITHUB_TOKEN."""
    from pipesim.check.outputs import pull_request_comment
    from pipesim.check.outputs.pull_request import (
        TOKEN_VARIABLE,
        PullRequest,
        checked_token,
        graphql_url,
        write_comment,
    )
    from pipesim.errors import printable

    target = PullRequest.of(repo, pull_request, "--repo")
    address = graphql_url(api_url, "--api-url")
    body = pull_request_comment(_read(report))
    if dry_run:
        typer.echo(body, nl=False)
        typer.echo(f"Would ask {address} for the comment of pipesim on {target}, and update it or make it.", err=True)
        return
    written = write_comment(body, target, token=checked_token(os.environ.get(TOKEN_VARIABLE)), api_url=api_url)
    typer.echo(printable(f"{'Made' if written.is_new else 'Updated'} {written.url}"))


def _read(path: Path) -> "CheckReport":
    """Return the report in a file, strictly checked."""
    from pydantic import ValidationError

    from pipesim.check.report import CheckReport
    from pipesim.errors import FileFormatError
    from pipesim.files import check_input, decode_text, read_bytes

    check_input(path, "REPORT", "give the path of what pipesim check --json printed")
    text = decode_text(read_bytes(path, MAX_REPORT_BYTES), path.name)
    try:
        return CheckReport.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"]))
        where = f"{path.name}: {place}: " if place else f"{path.name}: "
        reason = first["msg"].removeprefix("Value error, ")
        raise FileFormatError(f"{where}{reason}; give what this version's pipesim check --json printed") from None
