"""Public traces come whole, checked and once, whatever the server does."""

import hashlib
import shutil
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
import yaml

from bad_input.answers import assert_one_clear_line, files_below
from local_server import serving
from pipesim.errors import InvalidInputError
from pipesim.model.traffic import RecordedTraffic
from pipesim.traces.fetch import cache_folder, fetch
from pipesim.traces.public import PublicTrace, public_traces

BODY = bytes(range(256)) * 2000
SHA = hashlib.sha256(BODY).hexdigest()
Reply = Callable[["Handler"], None]


@dataclass
class Server:
    """A web server on this machine: the replies that it has left to give, the last of them for good."""

    address: str = ""
    replies: list[Reply] = field(default_factory=list)
    requests: list[dict[str, str]] = field(default_factory=list)

    def then(self, *replies: Reply) -> None:
        self.replies[:] = replies

    @property
    def ranges(self) -> list[str | None]:
        return [request.get("range") for request in self.requests]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    served: Server

    def do_GET(self) -> None:
        self.close_connection = True
        self.served.requests.append({"path": self.path} | {key.lower(): value for key, value in self.headers.items()})
        replies = self.served.replies
        (replies.pop(0) if len(replies) > 1 else replies[0])(self)

    def head(self, status: int, **headers: object) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), str(value))
        self.send_header("Connection", "close")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def served(context: ssl.SSLContext | None = None) -> Iterator[Server]:
    server = Server()
    with serving(type("Bound", (Handler,), {"served": server}), context) as server.address:
        yield server


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with served() as server:
        yield server


def whole(body: bytes = BODY, etag: str = '"one"') -> Reply:
    """Return the reply of a good server: the file, or the part of it that is asked for."""

    def reply(handler: Handler) -> None:
        asked = handler.headers.get("Range")
        if asked is None or handler.headers.get("If-Range", etag) != etag:
            handler.head(200, Content_Length=len(body), ETag=etag)
            handler.wfile.write(body)
        elif (start := int(asked.removeprefix("bytes=").removesuffix("-"))) >= len(body):
            handler.head(416, Content_Range=f"bytes */{len(body)}", Content_Length=0)
        else:
            span = f"bytes {start}-{len(body) - 1}/{len(body)}"
            handler.head(206, Content_Length=len(body) - start, Content_Range=span, ETag=etag)
            handler.wfile.write(body[start:])

    return reply


def broken_off(after: int, etag: str | None = '"one"') -> Reply:
    """Return a reply that promises the whole file and ends early."""

    def reply(handler: Handler) -> None:
        handler.head(200, Content_Length=len(BODY), **({} if etag is None else {"ETag": etag}))
        handler.wfile.write(BODY[:after])

    return reply


def ignoring_range(handler: Handler) -> None:
    handler.head(200, Content_Length=len(BODY))
    handler.wfile.write(BODY)


def status(code: int, **headers: object) -> Reply:
    return lambda handler: handler.head(code, Content_Length=0, **headers)


def silent(handler: Handler) -> None:
    time.sleep(0.3)


@pytest.fixture
def get(server: Server, tmp_path: Path) -> Callable[..., Path]:
    """Return a call that fetches a trace of the server; fields of the trace and arguments of the call can be given."""

    def call(sha256: str | None = SHA, size_bytes: int | None = None, path: str = "/t.csv", **arguments: Any) -> Path:
        trace = entry(f"{server.address}{path}", sha256, size_bytes)
        given = {"folder": tmp_path / "cache", "sleep": lambda _: None, "timeout_s": 5.0} | arguments
        return fetch("one", catalogue={"one": trace}, **given)

    return call


def entry(url: str, sha256: str | None = SHA, size_bytes: int | None = None) -> PublicTrace:
    texts = {"about": "A trace", "licence": "MIT", "cite": "Someone, 2026", "source": "https://example.org"}
    return PublicTrace(url=url, suffix=".csv", sha256=sha256, size_bytes=size_bytes, format="azure-llm", **texts)


Get = Callable[..., Path]


def test_a_trace_is_fetched_whole_and_leaves_nothing_else(server: Server, get: Get, tmp_path: Path) -> None:
    server.then(whole())
    seen: list[tuple[int, int | None]] = []
    path = get(progress=lambda done, total: seen.append((done, total)))
    assert path == tmp_path / "cache" / "one.csv"
    assert files_below(tmp_path / "cache") == {"one.csv": BODY, ".one.csv.lock": b""}
    assert seen[0] == (0, len(BODY))
    assert seen[-1] == (len(BODY), len(BODY))
    assert server.requests[0]["accept-encoding"] == "identity"


def test_a_trace_in_the_cache_is_not_asked_for_again(server: Server, get: Get) -> None:
    server.then(whole())
    get()
    get()
    assert len(server.requests) == 1


def test_a_cache_that_cannot_be_written_to_can_be_read(server: Server, get: Get, tmp_path: Path) -> None:
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "one.csv").write_bytes(BODY)
    get()
    assert not server.requests
    assert list(files_below(tmp_path / "cache")) == ["one.csv"]


def test_a_file_in_the_cache_that_is_not_the_trace_is_fetched_again(server: Server, get: Get) -> None:
    server.then(whole())
    get().write_bytes(b"spoilt")
    said: list[str] = []
    assert get(notify=said.append).read_bytes() == BODY
    assert "not the file that it should be" in said[0]


def test_a_transfer_that_breaks_off_is_resumed_where_it_ended(server: Server, get: Get) -> None:
    server.then(broken_off(100_000), whole())
    pauses: list[float] = []
    assert get(sleep=pauses.append).read_bytes() == BODY
    assert server.ranges == [None, "bytes=100000-"]
    assert server.requests[1]["if-range"] == '"one"'
    assert pauses == [1]


def test_a_later_command_resumes_what_an_earlier_one_began(server: Server, get: Get, tmp_path: Path) -> None:
    server.then(broken_off(100_000), silent)
    with pytest.raises(InvalidInputError, match=r"127.0.0.1 was silent for 0.1 s"):
        get(timeout_s=0.1)
    assert (tmp_path / "cache" / "one.csv.part").stat().st_size == 100_000
    server.then(whole())
    assert get().read_bytes() == BODY
    assert server.ranges[-1] == "bytes=100000-"


def test_a_part_of_an_older_version_is_dropped(server: Server, get: Get) -> None:
    server.then(broken_off(100_000, etag='"old"'), whole())
    assert get().read_bytes() == BODY


def test_a_part_of_another_address_is_dropped(server: Server, get: Get) -> None:
    server.then(broken_off(100_000), status(404))
    with pytest.raises(InvalidInputError):
        get()
    server.then(whole())
    assert get(path="/moved.csv").read_bytes() == BODY
    assert server.ranges[-1] is None


def test_a_part_without_its_note_is_dropped(server: Server, get: Get, tmp_path: Path) -> None:
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "one.csv.part").write_bytes(b"x" * 1000)
    server.then(whole())
    assert get().read_bytes() == BODY
    assert server.ranges == [None]


def test_a_server_that_ignores_ranges_starts_over(server: Server, get: Get) -> None:
    server.then(broken_off(100_000, etag=None), ignoring_range)
    assert get().read_bytes() == BODY
    assert server.ranges == [None, "bytes=100000-"]
    assert "if-range" not in server.requests[1]


def test_what_cannot_be_checked_is_resumed_only_where_the_server_tells_versions_apart(server: Server, get: Get) -> None:
    server.then(broken_off(100_000, etag=None), whole())
    assert get(None, accept_unverified=True).read_bytes() == BODY
    assert server.ranges == [None, None]


def test_a_server_that_gives_another_part_starts_over(server: Server, get: Get) -> None:
    def other(handler: Handler) -> None:
        handler.head(206, Content_Length=1, Content_Range=f"bytes 7-7/{len(BODY)}", ETag='"one"')
        handler.wfile.write(b"x")

    server.then(broken_off(100_000), other, whole())
    assert get().read_bytes() == BODY
    assert server.ranges == [None, "bytes=100000-", None]


def test_a_part_that_is_whole_already_is_taken(server: Server, get: Get) -> None:
    def whole_and_silent(handler: Handler) -> None:
        handler.head(200, Content_Length=len(BODY) + 1, ETag='"one"')
        handler.wfile.write(BODY)

    server.then(whole_and_silent, whole())
    assert get().read_bytes() == BODY
    assert server.ranges[-1] == f"bytes={len(BODY)}-"


@pytest.mark.parametrize("headers", [{}, {"Content_Range": "bytes */7"}])
def test_a_part_that_is_too_long_starts_over(server: Server, get: Get, headers: dict[str, str]) -> None:
    server.then(broken_off(100_000), status(416, **headers), whole())
    assert get().read_bytes() == BODY
    assert server.ranges[-1] is None


def test_a_server_that_gives_the_rest_of_another_version_starts_over(server: Server, get: Get) -> None:
    def rest(handler: Handler) -> None:
        span = f"bytes 100000-{len(BODY) - 1}/{len(BODY)}"
        handler.head(206, Content_Length=len(BODY) - 100_000, Content_Range=span, ETag='"two"')
        handler.wfile.write(BODY[100_000:])

    server.then(broken_off(100_000), rest, whole())
    assert get().read_bytes() == BODY
    assert server.ranges == [None, "bytes=100000-", None]


def test_a_wrong_hash_leaves_no_file_and_names_both(server: Server, get: Get, tmp_path: Path) -> None:
    server.then(whole(b"something else"))
    with pytest.raises(InvalidInputError) as refused:
        get()
    assert hashlib.sha256(b"something else").hexdigest() in str(refused.value)
    assert SHA in str(refused.value)
    assert list(files_below(tmp_path)) == ["cache/.one.csv.lock"]


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
def test_a_redirect_is_followed(server: Server, get: Get, code: int) -> None:
    server.then(status(code, Location="/elsewhere.csv"), whole())
    assert get().read_bytes() == BODY
    assert [request["path"] for request in server.requests] == ["/t.csv", "/elsewhere.csv"]


def test_five_redirects_are_followed_and_six_are_not(server: Server, get: Get) -> None:
    server.then(*[status(302, Location="/t.csv")] * 5, whole())
    get()
    server.then(status(302, Location="/t.csv"))
    with pytest.raises(InvalidInputError, match=r"redirects more than 5 times; see https://example.org"):
        get("0" * 64)
    assert len(server.requests) == 6 + 6


@pytest.mark.parametrize(
    ("location", "words"),
    [
        ("file:///etc/passwd", "redirects to 'file:/etc/passwd', which is not https"),
        ("ftp://127.0.0.1/t.csv", "redirects to 'ftp://127.0.0.1/t.csv', which is not https"),
    ],
)
def test_a_redirect_to_what_is_not_https_is_refused(server: Server, get: Get, location: str, words: str) -> None:
    server.then(status(302, Location=location))
    with pytest.raises(InvalidInputError) as refused:
        get()
    assert words in str(refused.value)
    assert len(server.requests) == 1


def test_a_redirect_to_no_address_is_said(server: Server, get: Get) -> None:
    server.then(status(302, Location="https://127.0.0.1:port/t.csv"))
    with pytest.raises(InvalidInputError, match=r"broke off after 0 bytes .*Invalid port"):
        get()


@pytest.mark.skipif(shutil.which("openssl") is None, reason="makes a certificate with openssl")
def test_a_redirect_from_https_to_http_is_refused(
    server: Server, monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    request = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=127.0.0.1"
    extra = "-addext subjectAltName=IP:127.0.0.1 -keyout key.pem -out certificate.pem"
    subprocess.run(["openssl", *request.split(), *extra.split()], check=True, capture_output=True)  # noqa: S607
    monkeypatch.setenv("SSL_CERT_FILE", "certificate.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain("certificate.pem", "key.pem")
    with served(context) as secure:
        catalogue = {"one": entry(f"{secure.address}/t.csv")}
        secure.then(status(302, Location=f"{server.address}/t.csv"))
        with pytest.raises(InvalidInputError, match=r"redirects to 'http://127\.0\.0\.1.*, which is not https"):
            fetch("one", catalogue=catalogue, folder=folder)
        assert not server.requests
        secure.then(status(302, Location="/elsewhere.csv"), whole())
        assert fetch("one", catalogue=catalogue, folder=folder).read_bytes() == BODY


def test_a_file_that_is_not_there_is_said_at_once(server: Server, get: Get) -> None:
    server.then(status(404))
    with pytest.raises(InvalidInputError, match=r"one: 127.0.0.1 answers 404 Not Found; see https://example.org"):
        get()
    assert len(server.requests) == 1


def test_a_fault_of_the_server_is_tried_again(server: Server, get: Get) -> None:
    server.then(status(500), status(503), whole())
    pauses: list[float] = []
    said: list[str] = []
    assert get(sleep=pauses.append, notify=said.append).read_bytes() == BODY
    assert pauses == [1, 2]
    assert said[0] == "one: 127.0.0.1 answers 500 Internal Server Error; trying again in 1 s"


def test_a_fault_of_the_server_that_stays_is_an_error(server: Server, get: Get) -> None:
    server.then(status(500))
    with pytest.raises(InvalidInputError, match="500 Internal Server Error; check the network, or put the file"):
        get()
    assert len(server.requests) == 4


def test_a_connection_that_always_breaks_says_how_far_it_came(server: Server, get: Get) -> None:
    server.then(*[broken_off(1000)] * 4)
    with pytest.raises(InvalidInputError, match=r"broke off after 1,000 bytes .*; run the command again"):
        get()


def test_a_body_shorter_than_declared_is_broken_off(server: Server, get: Get) -> None:
    def without_length(handler: Handler) -> None:
        handler.head(200)
        handler.wfile.write(BODY[:1000])

    server.then(without_length)
    with pytest.raises(InvalidInputError, match=r"broke off after 1,000 bytes"):
        get(size_bytes=len(BODY))


def test_nobody_at_the_address(get: Get, tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        trace = entry(f"http://127.0.0.1:{free.getsockname()[1]}/t.csv")
        with pytest.raises(InvalidInputError, match=r"127.0.0.1 cannot be reached .*; check the network"):
            fetch("one", catalogue={"one": trace}, folder=tmp_path, sleep=lambda _: None)


def test_a_file_larger_than_declared_is_refused_before_it_comes(server: Server, get: Get, tmp_path: Path) -> None:
    server.then(whole())
    with pytest.raises(InvalidInputError, match="offers 512,000 bytes where at most 1,000 bytes are due"):
        get(size_bytes=1000)
    assert list(files_below(tmp_path)) == ["cache/.one.csv.lock"]


def test_a_file_that_turns_out_larger_than_declared_is_refused(server: Server, get: Get, tmp_path: Path) -> None:
    def without_length(handler: Handler) -> None:
        handler.head(200)
        handler.wfile.write(BODY)

    server.then(without_length)
    with pytest.raises(InvalidInputError, match="offers more where at most 1,000 bytes are due"):
        get(size_bytes=1000)
    assert list(files_below(tmp_path)) == ["cache/.one.csv.lock"]


def test_what_cannot_be_checked_is_not_fetched_unless_accepted(server: Server, get: Get) -> None:
    with pytest.raises(InvalidInputError, match=r"its hash is not known.*--accept-unverified"):
        get(None)
    assert not server.requests


def test_a_hash_that_is_not_known_is_recorded_and_holds_from_then_on(server: Server, get: Get) -> None:
    server.then(whole())
    said: list[str] = []
    path = get(None, accept_unverified=True, notify=said.append)
    assert len(said) == 1
    assert SHA in said[0]
    record = path.with_name("one.csv.sha256")
    assert record.read_text() == f"{SHA}  one.csv\n"
    assert get(None) == path
    assert len(server.requests) == 1
    path.unlink()
    server.then(whole(b"a new version"))
    with pytest.raises(InvalidInputError, match=r"has changed since the first time; delete .*one\.csv\.sha256"):
        get(None, accept_unverified=True)
    assert not path.exists()
    server.then(whole())
    assert get(None).read_bytes() == BODY


def test_a_file_put_there_by_hand_is_taken_if_that_is_accepted(server: Server, get: Get, tmp_path: Path) -> None:
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "one.csv").write_bytes(BODY)
    with pytest.raises(InvalidInputError, match="--accept-unverified"):
        get(None)
    assert get(None, accept_unverified=True).read_bytes() == BODY
    assert not server.requests


def test_two_at_once_fetch_it_once(server: Server, get: Get) -> None:
    began, go_on = threading.Event(), threading.Event()

    def slow(handler: Handler) -> None:
        began.set()
        go_on.wait(5)
        whole()(handler)

    server.then(slow)
    said: list[str] = []
    paths: list[Path] = []

    def waiting(line: str) -> None:
        said.append(line)
        go_on.set()

    first = threading.Thread(target=lambda: paths.append(get()))
    first.start()
    began.wait(5)
    paths.append(get(notify=waiting))
    first.join()
    assert [path.read_bytes() for path in paths] == [BODY, BODY]
    assert len(server.requests) == 1
    assert said == ["another process is fetching one.csv; waiting for it"]


def test_a_cache_that_cannot_be_made_is_said(get: Get, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InvalidInputError, match=r"one: .*cannot be written.*PIPESIM_DATA"):
        get(folder=tmp_path / "file" / "cache")


def test_the_cache_is_where_the_variable_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for given, path in (("mine", tmp_path / "mine"), ("~/mine", tmp_path / "home" / "mine")):
        monkeypatch.setenv("PIPESIM_DATA", given)
        assert cache_folder() == path
    monkeypatch.setenv("PIPESIM_DATA", "")
    assert cache_folder().parts[-2:] == ("pipesim", "traces")


@pytest.mark.parametrize("package", ["httpx", "platformdirs"])
def test_a_missing_extra_is_said(
    server: Server, get: Get, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, package: str
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.delenv("PIPESIM_DATA", raising=False)
    with pytest.raises(InvalidInputError, match=rf"needs the package {package}; pip install 'pipesim\[fetch\]'"):
        get(folder=tmp_path if package == "httpx" else None)


def test_every_entry_that_holds_queries_says_how_pipesim_reads_it() -> None:
    for name, trace in public_traces().items():
        assert trace.url.startswith("https://"), name
        if trace.format is not None and not trace.counts:
            fields = {"format": trace.format, "column": trace.column, "unit": trace.unit}
            given = {key: value for key, value in fields.items() if value is not None}
            RecordedTraffic.model_validate({"file": name, **given})


def test_an_entry_of_counts_says_how_to_read_it() -> None:
    assert public_traces()["nab-nyc-taxi"].reading == (
        "--format csv --unit datetime --read time=timestamp --read count=value --read bin=30min"
    )
    assert public_traces()["vidur-arxiv-lengths"].reading is None


def test_a_trace_of_a_known_hash_says_its_size() -> None:
    for name, trace in public_traces().items():
        assert (trace.sha256 is None) == (trace.size_bytes is None), name


@pytest.fixture
def mine(server: Server, folder: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[str, str]:
    """Return the option that names a catalogue of one trace of the server, whose cache is ``cache``."""
    monkeypatch.setenv("PIPESIM_DATA", "cache")
    traces = {"one": entry(f"{server.address}/t.csv").model_dump()}
    traces["two"] = traces["one"] | {"sha256": None, "format": None}
    Path("mine.yaml").write_text(yaml.safe_dump({"traces": traces}))
    return ("--catalogue", "mine.yaml")


def test_the_command_prints_the_path_and_nothing_else_on_stdout(
    server: Server, pipesim: Callable[..., Any], mine: tuple[str, str], folder: Path
) -> None:
    server.then(whole())
    answer = pipesim("trace", "fetch", "one", *mine)
    assert (answer.code, answer.out) == (0, f"{folder / 'cache' / 'one.csv'}\n")
    assert (folder / "cache" / "one.csv").read_bytes() == BODY
    for words in ("Licence: MIT", "Cite: Someone, 2026", "https://example.org", "--format azure-llm"):
        assert words in answer.err
    unverified = pipesim("trace", "fetch", "two", *mine, "--accept-unverified")
    assert (unverified.code, unverified.out) == (0, f"{folder / 'cache' / 'two.csv'}\n")
    assert SHA in unverified.err


def test_a_terminal_is_shown_how_far_it_is(
    server: Server, pipesim: Callable[..., Any], mine: tuple[str, str], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    server.then(whole())
    answer = pipesim("trace", "fetch", "one", *mine)
    assert (answer.code, answer.out) == (0, f"{folder / 'cache' / 'one.csv'}\n")
    assert "512.0/512.0 kB" in answer.err


@pytest.mark.parametrize(
    ("name", "reply", "words"),
    [
        ("one", whole(b"x"), ("one: has the SHA-256", SHA)),
        ("one", status(404), ("404 Not Found",)),
        ("two", whole(), ("--accept-unverified",)),
        ("tow", whole(), ("'tow'", "did you mean two?")),
    ],
)
def test_the_command_fails_with_2_and_one_clear_line(
    server: Server, pipesim: Callable[..., Any], mine: tuple[str, str], name: str, reply: Reply, words: tuple[str, ...]
) -> None:
    server.then(reply)
    answer = pipesim("trace", "fetch", name, *mine)
    assert (answer.code, answer.out) == (2, "")
    last = answer.err.splitlines()[-1]
    assert_one_clear_line(type(answer)(2, "", last), words)


def test_a_catalogue_with_a_fault_is_refused(pipesim: Callable[..., Any], mine: tuple[str, str]) -> None:
    text = Path("mine.yaml").read_text()
    for good, fault, words in (("suffix: .csv", "suffix: .exe", "suffix"), ("http:", "ftp:", "url")):
        Path("mine.yaml").write_text(text.replace(good, fault))
        answer = pipesim("trace", "fetch", *mine)
        assert answer.code == 2
        assert_one_clear_line(answer, ("mine.yaml:", words))
    answer = pipesim("trace", "fetch", "--catalogue", "no.yaml")
    assert answer.code == 2
    assert_one_clear_line(answer, ("no.yaml",))


def test_without_a_name_the_traces_are_listed(pipesim: Callable[..., Any]) -> None:
    answer = pipesim("trace", "fetch")
    assert (answer.code, answer.err) == (0, "")
    for name, trace in public_traces().items():
        line = next(line for line in answer.out.splitlines() if line.startswith(f"{name} "))
        assert trace.licence in line
        assert trace.format is None or trace.format in line


def test_a_name_that_is_not_known_is_told_near_ones(pipesim: Callable[..., Any]) -> None:
    answer = pipesim("trace", "fetch", "azure-lm-2023-conv")
    assert answer.code == 2
    assert_one_clear_line(answer, ("'azure-lm-2023-conv'", "azure-llm-2023-conv", "lists all"))
    assert "burstgpt-1" in pipesim("trace", "fetch", "BURST").err
