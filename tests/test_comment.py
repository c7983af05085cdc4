"""``pipesim comment``: one comment on a pull request, made or updated, and nobody else's touched."""

import json
import socket
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from bad_input.answers import Answer, assert_one_clear_line
from check_reports import hostile, several
from local_server import serving
from pipesim.check.outputs import pull_request_comment
from pipesim.check.outputs.markdown import MARKER
from pipesim.check.outputs.pull_request import PullRequest, graphql_url, write_comment
from pipesim.check.report import CheckReport
from pipesim.errors import InvalidInputError

TOKEN = "ghs_verysecret"  # noqa: S105 - of no server
BODY = pull_request_comment(several())


@dataclass
class GitHub:
    """What answers as GitHub's GraphQL interface does, as far as comments go."""

    address: str = ""
    comments: list[dict[str, Any]] = field(default_factory=list)
    reply: Callable[["Handler"], None] | None = None
    """What answers in its place."""
    requests: list[dict[str, Any]] = field(default_factory=list)

    def hold(self, body: str, *, own: bool) -> None:
        self.comments.append({"id": f"IC_{len(self.comments)}", "body": body, "viewerDidAuthor": own})

    def answer(self, query: str, variables: dict[str, Any]) -> dict[str, Any]:
        if "updateIssueComment" in query:
            (comment,) = (one for one in self.comments if one["id"] == variables["id"])
            comment["body"] = variables["body"]
            return {"data": {"updateIssueComment": {"issueComment": {"url": f"https://github.test/{comment['id']}"}}}}
        if "addComment" in query:
            assert variables["id"] == "PR_7"
            self.hold(variables["body"], own=True)
            return {"data": {"addComment": {"commentEdge": {"node": {"url": "https://github.test/new"}}}}}
        if (variables["owner"], variables["name"], variables["number"]) != ("octo-org", "plans.x", 7):
            return {"data": {"repository": None}, "errors": [{"type": "NOT_FOUND", "message": "Could not resolve"}]}
        start = int(variables["after"] or 0)
        page = {"hasNextPage": start + 100 < len(self.comments), "endCursor": str(start + 100)}
        comments = {"nodes": [None, *self.comments[start : start + 100]], "pageInfo": page}
        return {"data": {"repository": {"pullRequest": {"id": "PR_7", "comments": comments}}}}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    github: GitHub

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.github.requests.append({"path": self.path, "token": self.headers["Authorization"]} | asked)
        if self.github.reply is not None:
            self.github.reply(self)
        else:
            self.send(200, json.dumps(self.github.answer(asked["query"], asked["variables"])).encode())

    def send(self, status: int, content: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(content)), "Connection": "close", **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        pass


def replying(status: int, content: object = b"", **headers: str) -> Callable[[Handler], None]:
    data = content if isinstance(content, bytes) else json.dumps(content).encode()
    return lambda handler: handler.send(status, data, **headers)


def silent(handler: Handler) -> None:
    time.sleep(0.5)
    handler.close_connection = True


@pytest.fixture
def github(monkeypatch: pytest.MonkeyPatch) -> Iterator[GitHub]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("GITHUB_TOKEN", TOKEN)
    server = GitHub()
    with serving(type("Bound", (Handler,), {"github": server})) as server.address:
        yield server


@pytest.fixture
def comment(github: GitHub, pipesim: Callable[..., Answer], folder: Path) -> Callable[..., Answer]:
    """Return a call of the command on a report; what is given goes behind its options, so that it takes their place."""
    (folder / "report.json").write_text(several().model_dump_json())
    target = ("--repo", "octo-org/plans.x", "--pull-request", "7", "--api-url", f"{github.address}/api/v3")
    return lambda *more: pipesim("comment", "report.json", *target, *more)


def test_a_comment_is_made_where_there_is_none(github: GitHub, comment: Callable[..., Answer]) -> None:
    github.hold("a word of somebody's", own=False)
    assert comment() == Answer(0, "Made https://github.test/new\n", "")
    assert [one["body"] for one in github.comments] == ["a word of somebody's", BODY]
    assert {request["path"] for request in github.requests} == {"/api/graphql"}
    assert {request["token"] for request in github.requests} == {f"Bearer {TOKEN}"}


def test_a_comment_that_is_there_is_updated_be_it_on_the_last_page(
    github: GitHub, comment: Callable[..., Answer]
) -> None:
    for index in range(250):
        github.hold(f"comment {index}", own=index % 2 == 0)
    github.hold(f"{MARKER}\nthe last check", own=True)
    github.hold(f"{MARKER}\nanother", own=True)
    assert comment() == Answer(0, "Updated https://github.test/IC_250\n", "")
    assert [one["body"] for one in github.comments if one["body"] == BODY] == [BODY]
    assert len(github.comments) == 252
    assert len(github.requests) == 4
    assert comment().out == "Updated https://github.test/IC_250\n"


@pytest.mark.parametrize(("body", "own"), [(f"{MARKER}\nmine", False), (f"> {MARKER}\nquoted", True), ("", True)])
def test_comments_of_others_and_those_that_do_not_begin_with_the_marker_are_left_alone(
    github: GitHub, comment: Callable[..., Answer], body: str, own: bool
) -> None:
    github.hold(body, own=own)
    assert comment().out == "Made https://github.test/new\n"
    assert github.comments[0]["body"] == body


def test_a_dry_run_prints_the_comment_and_asks_nobody(
    github: GitHub, comment: Callable[..., Answer], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GITHUB_TOKEN")
    monkeypatch.setitem(sys.modules, "httpx", None)
    answer = comment("--dry-run")
    assert (answer.code, answer.out) == (0, BODY)
    assert answer.err == (
        f"Would ask {github.address}/api/graphql for the comment of pipesim on octo-org/plans.x#7, "
        "and update it or make it.\n"
    )
    assert not github.requests


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (
            replying(401, {"message": "Bad credentials"}),
            ("401", "'Bad credentials'", "check the token in GITHUB_TOKEN"),
        ),
        (replying(403, {"message": "Resource not accessible"}), ("403", "'Resource not", "pull-requests: write")),
        (replying(404, {"message": "Not Found"}), ("404", "--repo, --pull-request and --api-url")),
        (replying(502, b"<html>"), ("502", "'Bad Gateway'", "try again later")),
        (replying(302, Location="http://127.0.0.1:1/"), ("302", "check --api-url")),
        (replying(200, {"errors": [{"type": "FORBIDDEN", "message": f"no {TOKEN} \x1b[31m"}]}), ("no *** ", "write")),
        (replying(200, {"errors": [{"message": "locked"}]}), ("refuses, 'locked'",)),
        (replying(200, {"errors": ["?"]}), ("answers with what GitHub does not",)),
        (replying(200, {"data": {"repository": None}}), ("answers with what GitHub does not",)),
        (replying(200, b"[" * 100_000), ("answers with what GitHub does not",)),
        (replying(200, b"{}", **{"Content-Length": "9999"}), ("cannot be reached", "check the network")),
    ],
)
def test_a_refusal_is_one_clear_line_without_the_token(
    github: GitHub, comment: Callable[..., Answer], reply: Callable[[Handler], None], words: tuple[str, ...]
) -> None:
    github.reply = reply
    answer = comment()
    assert answer.code == 2
    assert_one_clear_line(answer, ("octo-org/plans.x#7: 127.0.0.1 ", *words))
    assert TOKEN not in answer.err
    assert len(github.requests) == 1


def test_an_answer_without_end_is_not_read_to_its_end(
    github: GitHub, comment: Callable[..., Answer], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipesim.check.outputs.pull_request.MAX_ANSWER_BYTES", 1000)
    github.reply = replying(200, b" " * 100_000)
    assert_one_clear_line(comment(), ("answers with more than 1,000 bytes",))


def test_pages_without_end_are_not_asked_for_without_end(
    github: GitHub, comment: Callable[..., Answer], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipesim.check.outputs.pull_request.MAX_PAGES", 3)
    page = {"nodes": [], "pageInfo": {"hasNextPage": True, "endCursor": "same"}}
    github.reply = replying(200, {"data": {"repository": {"pullRequest": {"id": "PR_7", "comments": page}}}})
    assert_one_clear_line(comment(), ("has more than 300 comments",))
    assert len(github.requests) == 3


def test_a_server_that_is_silent_or_not_there_is_said(github: GitHub) -> None:
    github.reply = silent
    target = PullRequest.of("octo-org/plans.x", 7)
    with pytest.raises(InvalidInputError, match=r"127\.0\.0\.1 was silent for 0\.05 s; run the command again"):
        write_comment(BODY, target, token=TOKEN, api_url=github.address, timeout_s=0.05)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        with pytest.raises(InvalidInputError, match=r"cannot be reached .*; check the network and --api-url"):
            write_comment(BODY, target, token=TOKEN, api_url=f"http://127.0.0.1:{free.getsockname()[1]}")


def test_another_pull_request_is_not_found(comment: Callable[..., Answer]) -> None:
    assert_one_clear_line(
        comment("--pull-request", "8"), ("octo-org/plans.x#8", "'Could not resolve'", "--pull-request")
    )


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--repo", "plans"), ("--repo: 'plans' is not a repository", "OWNER/NAME")),
        (("--repo", "a/b/../c"), ("--repo", "is not a repository")),
        (("--pull-request", "0"), ("--pull-request",)),
        (("--api-url", "http://github.example.com"), ("--api-url", "is not an address of https")),
        (("--api-url", "ftp://127.0.0.1"), ("--api-url", "is not an address of https")),
        (("--api-url", "https://me:pass@github.example.com"), ("--api-url", "is not an address")),
        (("--api-url", "https://[::1"), ("--api-url", "is not an address")),
        (("--api-url", "https://a b/"), ("cannot be reached", "--api-url")),
        (("--api-url", "api.github.com"), ("--api-url", "is not an address")),
    ],
)
def test_bad_options_are_refused_before_anybody_is_asked(
    github: GitHub, comment: Callable[..., Answer], arguments: tuple[str, ...], words: tuple[str, ...]
) -> None:
    answer = comment(*arguments)
    assert answer.code == 2
    assert_one_clear_line(answer, words)
    assert not github.requests


def test_the_addresses_of_graphql() -> None:
    assert graphql_url("https://api.github.com/") == "https://api.github.com/graphql"
    assert graphql_url("https://github.example.com/api/v3") == "https://github.example.com/api/graphql"
    assert graphql_url("http://[::1]:80") == "http://[::1]:80/graphql"


@pytest.mark.parametrize(
    ("token", "words"), [("", "is not set"), (" \n", "is not set"), ("ghs_x y", "does not hold a")]
)
def test_a_token_that_is_none_is_said_and_not_shown(
    github: GitHub, comment: Callable[..., Answer], monkeypatch: pytest.MonkeyPatch, token: str, words: str
) -> None:
    monkeypatch.setenv("GITHUB_TOKEN", token)
    answer = comment()
    assert answer.code == 2
    assert_one_clear_line(answer, ("GITHUB_TOKEN", words))
    assert "ghs_x" not in answer.err
    assert not github.requests


def test_a_missing_extra_is_said(comment: Callable[..., Answer], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "httpx", None)
    assert_one_clear_line(comment(), ("comment: needs the package httpx; pip install 'pipesim[github]'",))


def changed(**fields: Any) -> bytes:
    return json.dumps(json.loads(several().model_dump_json()) | fields).encode()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", ("report.json", "JSON")),
        (b"[" * 100_000, ("report.json", "recursion")),
        (b"\xff\xfe", ("report.json", "UTF-16")),
        (b"{}", ("report.json: pipesim_version", "required")),
        (changed(kind="plan"), ("report.json: kind", "'check'")),
        (changed(schema_version=2), ("report.json: schema_version",)),
        (changed(verdict="splendid"), ("report.json: verdict",)),
        (changed(more=1), ("report.json: more", "not permitted")),
        (changed(scenarios=[]), ("report.json: scenarios",)),
        (several().model_dump_json().replace('"5.53"', '"1e999999999"').encode(), ("costs.before", "amount of money")),
        (several().model_dump_json().replace('"5.53"', "NaN").encode(), ("report.json: scenarios.0.costs.before",)),
        (b" " * ((16 << 20) + 1), ("report.json", "16,777,216 bytes")),
    ],
)
def test_a_report_with_a_fault_is_refused(
    github: GitHub, comment: Callable[..., Answer], content: bytes, words: tuple[str, ...]
) -> None:
    Path("report.json").write_bytes(content)
    answer = comment()
    assert answer.code == 2
    assert_one_clear_line(answer, words)
    assert not github.requests


def test_a_report_that_is_not_there_is_said(comment: Callable[..., Answer]) -> None:
    Path("report.json").unlink()
    assert_one_clear_line(comment(), ("REPORT: 'report.json' is not a file",))


def test_a_strangers_report_is_shown_as_text(comment: Callable[..., Answer]) -> None:
    Path("report.json").write_text(hostile().model_dump_json())
    again = CheckReport.model_validate_json(hostile().model_dump_json())
    assert comment("--dry-run").out == pull_request_comment(again) == pull_request_comment(hostile())
