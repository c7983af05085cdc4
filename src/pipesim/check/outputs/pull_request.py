"""The comment on a pull request of GitHub: there is one, which is updated.

It is the first comment that begins with the marker and that the token's own user wrote, for anybody can write a marker.
GitHub's GraphQL interface is asked, since it alone answers whose a comment is to every kind of token: ``GET /user`` of
the REST interface refuses that of a workflow.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from pipesim.check.outputs.markdown import MARKER
from pipesim.errors import InvalidInputError, invalid, shown

if TYPE_CHECKING:
    import httpx

API_URL = "https://api.github.com"
TOKEN_VARIABLE = "GITHUB_TOKEN"  # noqa: S105 - the name of it
MAX_ANSWER_BYTES = 64 << 20
"""A page of a hundred comments of 65,536 characters each fits."""
MAX_PAGES = 100
TIMEOUT_S = 30.0
"""How long the server may stay silent."""
_LOCAL = {"localhost", "127.0.0.1", "::1"}
_NEEDS = "the token needs the permission pull-requests: write"

_COMMENTS = """
query($owner: String!, $name: String!, $number: Int!, $after: String) {
  repository(owner: $owner, name: $name) {
    pullRequest(number: $number) {
      id
      comments(first: 100, after: $after) {
        nodes { id body viewerDidAuthor }
        pageInfo { hasNextPage endCursor }
      }
    }
  }
}
"""
_UPDATE = """
mutation($id: ID!, $body: String!) {
  updateIssueComment(input: {id: $id, body: $body}) { issueComment { url } }
}
"""
_CREATE = """
mutation($id: ID!, $body: String!) {
  addComment(input: {subjectId: $id, body: $body}) { commentEdge { node { url } } }
}
"""


@dataclass(frozen=True, slots=True)
class PullRequest:
    """A pull request of a repository."""

    owner: str
    name: str
    number: int

    @classmethod
    def of(cls, repository: str, number: int, where: str = "repository") -> "PullRequest":
        """Return the pull request of a number in the repository ``OWNER/NAME``.

        Raises
        ------
        InvalidInputError
            With `where`, if that is no repository.
        """
        if not re.fullmatch(r"[A-Za-z0-9_-]{1,100}/[A-Za-z0-9._-]{1,100}", repository):
            raise invalid(where, repository, "is not a repository", "write OWNER/NAME")
        owner, name = repository.split("/")
        return cls(owner, name, number)

    def __str__(self) -> str:
        return f"{self.owner}/{self.name}#{self.number}"


@dataclass(frozen=True, slots=True)
class Written:
    """A comment that was written: its address, and whether it is new."""

    url: str
    is_new: bool


def graphql_url(api_url: str, where: str = "api_url") -> str:
    """Return where GraphQL is spoken beside GitHub's REST interface.

    Raises
    ------
    InvalidInputError
        With `where`, if the address is not one of https: the token would be sent in the clear. One of this machine is.

    >>> graphql_url("https://api.github.com"), graphql_url("https://github.example.com/api/v3/")
    ('https://api.github.com/graphql', 'https://github.example.com/api/graphql')
    """
    remedy = f"use one such as {API_URL} or https://HOST/api/v3"
    try:
        parts = urlsplit(api_url)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise invalid(where, api_url, "is not an address", remedy) from None
    if host is None or port == 0 or "@" in parts.netloc or parts.query or parts.fragment or not api_url.isprintable():
        raise invalid(where, api_url, "is not an address", remedy)
    if parts.scheme != "https" and not (parts.scheme == "http" and host in _LOCAL):
        raise invalid(where, api_url, "is not an address of https", remedy)
    return f"{api_url.rstrip('/').removesuffix('/v3')}/graphql"


def checked_token(token: str | None) -> str:
    """Return a token that may be sent, without the space around it.

    Raises
    ------
    InvalidInputError
        If there is none, or it holds what no token does. The message does not hold it.
    """
    token = (token or "").strip()
    if not token:
        raise InvalidInputError(f"is not set; set it to a token with which to write: {_NEEDS}", TOKEN_VARIABLE)
    if not re.fullmatch(r"[!-~]{1,1000}", token):
        raise InvalidInputError("does not hold a token; check how it is set", TOKEN_VARIABLE)
    return token


def write_comment(
    body: str, target: PullRequest, *, token: str, api_url: str = API_URL, timeout_s: float = TIMEOUT_S
) -> Written:
    """Write the comment of pipesim on a pull request: update that which is there, else make it.

    Nothing is tried again. A comment of anybody else is left alone, whatever it begins with.

    Parameters
    ----------
    body
        Markdown that begins with the marker.
    token
        As :func:`checked_token` returns it; it is in no message.
    timeout_s
        How long the server may stay silent.

    Raises
    ------
    InvalidInputError
        If the server cannot be reached or refuses.
    """
    assert body.startswith(MARKER)
    try:
        import httpx
    except ImportError:
        raise InvalidInputError("needs the package httpx; pip install 'pipesim[github]'", "comment") from None
    headers = {"Authorization": f"Bearer {token}", "User-Agent": f"pipesim/{version('pipesim')}"}
    with httpx.Client(headers=headers, timeout=timeout_s) as client:
        server = _Server(client, graphql_url(api_url), target, token)
        try:
            subject, own = server.own_comment()
            if own is not None:
                answer = server.ask(_UPDATE, id=own, body=body)
                return Written(str(answer["updateIssueComment"]["issueComment"]["url"]), is_new=False)
            answer = server.ask(_CREATE, id=subject, body=body)
            return Written(str(answer["addComment"]["commentEdge"]["node"]["url"]), is_new=True)
        except (KeyError, TypeError):
            raise server.refused("answers with what GitHub does not", "check --api-url") from None


@dataclass(frozen=True, slots=True)
class _Server:
    """GitHub's GraphQL interface, and the pull request that it is asked about."""

    client: "httpx.Client"
    url: str
    target: PullRequest
    token: str

    def own_comment(self) -> tuple[str, str | None]:
        """Return the id of the pull request, and that of the comment that is there."""
        subject = ""
        for found in self._pages():
            subject = str(found["id"])
            for comment in found["comments"]["nodes"]:
                if (
                    comment is not None
                    and comment["viewerDidAuthor"] is True
                    and str(comment["body"]).startswith(MARKER)
                ):
                    return subject, str(comment["id"])
        return subject, None

    def _pages(self) -> Iterator[dict[str, Any]]:
        after = None
        for _ in range(MAX_PAGES):
            answer = self.ask(
                _COMMENTS, owner=self.target.owner, name=self.target.name, number=self.target.number, after=after
            )
            found = answer["repository"]["pullRequest"]
            yield found
            page = found["comments"]["pageInfo"]
            if not page["hasNextPage"]:
                return
            after = page["endCursor"]
        raise self.refused(f"has more than {100 * MAX_PAGES:,} comments here", "check the pull request")

    def ask(self, query: str, **variables: object) -> dict[str, Any]:
        """Return the data that a query gives."""
        import httpx

        try:
            with self.client.stream("POST", self.url, json={"query": query, "variables": variables}) as response:
                answer = self._read(response)
        except httpx.TimeoutException:
            raise self.refused(f"was silent for {self.client.timeout.read:g} s", "run the command again") from None
        except (httpx.RequestError, httpx.InvalidURL) as error:
            raise self.refused(f"cannot be reached ({self._safe(error)})", "check the network and --api-url") from None
        if isinstance(answer, dict) and answer.get("errors"):
            raise self._failed(answer["errors"][0])
        data: dict[str, Any] = answer["data"]
        return data

    def _read(self, response: "httpx.Response") -> Any:
        content = b""
        for chunk in response.iter_bytes():
            content += chunk
            if len(content) > MAX_ANSWER_BYTES:
                raise self.refused(f"answers with more than {MAX_ANSWER_BYTES:,} bytes", "check --api-url")
        try:
            answer = json.loads(content)
        except (ValueError, RecursionError):
            answer = None
        status = response.status_code
        if status == 200:
            return answer
        said = answer.get("message") if isinstance(answer, dict) else None
        words = f"answers {status} {self._safe(response.reason_phrase)}" + (f", {self._safe(said)}" if said else "")
        raise self.refused(words, _remedy(status))

    def _failed(self, error: dict[str, Any]) -> InvalidInputError:
        said = self._safe(error["message"])
        remedy = {"NOT_FOUND": _remedy(404), "FORBIDDEN": _remedy(403)}.get(str(error.get("type")), "see what it says")
        return self.refused(f"refuses, {said}", remedy)

    def refused(self, reason: str, remedy: str) -> InvalidInputError:
        """Return the error for what the server did."""
        return InvalidInputError(f"{urlsplit(self.url).hostname} {reason}; {remedy}", str(self.target))

    def _safe(self, said: object) -> str:
        """Return what was said as a message may show it, without the token."""
        return shown(str(said).replace(self.token, "***"))


def _remedy(status: int) -> str:
    match status:
        case 401:
            return f"check the token in {TOKEN_VARIABLE}"
        case 403 | 429:
            return f"{_NEEDS}, or has asked too often"
        case 404:
            return f"check --repo, --pull-request and --api-url; {_NEEDS}"
        case _:
            return "try again later" if status >= 500 else "check --api-url"
