"""A registry that answers garbage: one sentence each, no credentials to others, no endless reading."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from imagelock.base import fetch_base, lock_base
from imagelock.canonical import sha256_bytes
from imagelock.errors import ImageError
from imagelock.lockfile import LockedBlob
from imagelock.push import push
from imagelock.recorded import RecordedRegistry
from imagelock.registry import MOST_BYTES, Registry, UnansweredError, parse_registry
from imagelock.samples import TinyTree
from imagelock.upload import Upload

HTML = b"<html><body>\x1b[31mSign in\r\n</body></html>"
DIGEST = "a" * 64


class GarbageServer(ThreadingHTTPServer):
    """Answers by `answers`: the first whose pattern fits `METHOD path`, as (status, headers, body).

    A body of None has no end. Notes who came with which credentials.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers: list[tuple[str, int, dict[str, str], bytes | None]] = []
        self.asked: list[tuple[str, str]] = []

    @property
    def port(self) -> int:
        """Where it listens."""
        return self.server_address[1]

    @property
    def registry(self) -> Registry:
        """Us, with credentials."""
        return parse_registry(f"127.0.0.1:{self.port}", "me:secret")


class Handler(BaseHTTPRequestHandler):
    """One request."""

    protocol_version = "HTTP/1.1"
    server: GarbageServer

    def handle_any(self) -> None:
        """Look the answer up."""
        line = f"{self.command} {self.path}"
        self.rfile.read(int(self.headers.get("Content-Length", "0")))
        self.server.asked.append((line, self.headers.get("Authorization", "")))
        status, headers, body = next(
            (found[1:] for found in self.server.answers if re.match(found[0], line)), (404, {}, b"")
        )
        self.send_response(status)
        self.close_connection = body is None or "Content-Length" in headers
        for key, value in ({} if body is None else {"Content-Length": str(len(body))} | headers).items():
            self.send_header(key, value)
        self.end_headers()
        if self.command != "HEAD":
            self.send_body(body)

    def send_body(self, body: bytes | None) -> None:
        """A body, or no end of one."""
        try:
            self.wfile.write(body or b"")
            while body is None:
                self.wfile.write(bytes(1 << 20))
        except ConnectionError:
            return  # the client has had enough

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = handle_any  # noqa: N815 - http.server's

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's name
        """Say nothing."""


@pytest.fixture
def garbage() -> Iterator[GarbageServer]:
    """A running server without an answer."""
    with GarbageServer() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("status", "headers", "body", "said"),
    [
        (200, {"Docker-Content-Digest": "garbage"}, HTML, f"already stands for sha256:{sha256_bytes(HTML)}"),
        (200, {"Docker-Content-Digest": f"sha256:{DIGEST}"}, HTML, "already stands for sha256:aaaa"),
        (429, {}, b"slow down", r"did not say what tiny:\S+ is \(HTTP 429\): it is busy: run .* again later"),
        (500, {}, b"", r"HTTP 500\): see the registry's log"),
        (401, {}, b"", "it wants credentials: set IMAGELOCK_REGISTRY_USER"),
        (307, {"Location": "http://127.0.0.1:9/x"}, b"", "sends to another place, where imagelock does not"),
    ],
)
def test_a_tag_that_cannot_be_seen_is_not_written(
    tree: TinyTree, garbage: GarbageServer, status: int, headers: dict[str, str], body: bytes, said: str
) -> None:
    """Only 404 says that a tag is free."""
    tree.build()
    garbage.answers = [(r"(HEAD|GET) .*/manifests/", status, headers, body)]
    with pytest.raises(ImageError, match=said) as caught:
        push(tree.project, "tiny", garbage.registry)
    assert "secret" not in str(caught.value)
    assert not [line for line, _ in garbage.asked if line.startswith("PUT")]


def test_html_where_an_upload_should_begin(garbage: GarbageServer) -> None:
    garbage.answers = [("POST", 200, {}, HTML)]
    with pytest.raises(
        ImageError, match=r"did not begin an upload \(HTTP 200 <html><body>\[31mSign in</body>"
    ):
        Upload(garbage.registry, "tiny", DIGEST, b"x").complete()


def test_an_upload_without_a_place(garbage: GarbageServer) -> None:
    garbage.answers = [("POST", 202, {}, b"")]
    with pytest.raises(ImageError, match="began an upload and did not say where"):
        Upload(garbage.registry, "tiny", DIGEST, b"x").complete()


@pytest.mark.parametrize("least", ["x", "-5", "99999999999"])
def test_chunks_that_no_memory_holds_are_not_made(garbage: GarbageServer, least: str) -> None:
    """A blob goes whole instead, in pieces that are read as they are sent."""
    where = {"Location": "/v2/tiny/blobs/uploads/1", "OCI-Chunk-Min-Length": least}
    garbage.answers = [("POST", 202, where, b""), ("PATCH", 202, where, b""), ("PUT", 201, {}, b"")]
    made = Upload(garbage.registry, "tiny", DIGEST, bytes(50), chunk=20)
    made.complete()
    assert made.chunk <= 20 or made.whole
    assert made.have == 50


def test_no_one_else_gets_credentials_or_blobs(garbage: GarbageServer) -> None:
    """Redirects are not followed, an upload's place is taken as a path of the named registry."""
    with GarbageServer() as other:
        thread = threading.Thread(target=other.serve_forever)
        thread.start()
        away = f"http://127.0.0.1:{other.port}/v2/tiny/blobs/uploads/1"
        garbage.answers = [
            ("POST", 202, {"Location": away}, b""),
            ("PUT", 201, {}, b""),
            ("GET", 307, {"Location": away}, b""),
        ]
        Upload(garbage.registry, "tiny", DIGEST, b"x").complete()
        with pytest.raises(ImageError, match=r"read the blob .*HTTP 307\): it sends to another place"):
            garbage.registry.blob("tiny", DIGEST)
        other.shutdown()
        thread.join()
    assert other.asked == []
    assert {user for _, user in garbage.asked} == {"Basic bWU6c2VjcmV0"}


@pytest.mark.parametrize("what", ["blobs", "manifests"])
def test_a_body_without_an_end(garbage: GarbageServer, what: str) -> None:
    garbage.answers = [("GET", 200, {}, None)]
    recorded = RecordedRegistry(garbage.registry, "tiny")
    with pytest.raises(ImageError, match=f"sends more than {MOST_BYTES >> 20} MB where a document was"):
        (recorded.blob if what == "blobs" else recorded.manifest)(DIGEST)


def test_a_body_that_breaks_off_is_not_called_altered(garbage: GarbageServer) -> None:
    """Else an audit would give its verdict over half a layer."""
    garbage.answers = [("GET", 200, {"Content-Length": "1000"}, b"half")]
    recorded = RecordedRegistry(garbage.registry, "tiny")
    for read in (recorded.manifest, recorded.blob):
        with pytest.raises(UnansweredError, match="closed early"):
            read(DIGEST)
    with pytest.raises(UnansweredError, match="closed early"), recorded.open_blob(DIGEST) as stream:
        stream.read()


@pytest.mark.parametrize(
    "body", [HTML, b"[]", b"{}", b'{"manifests":7}', b'{"manifests":[7]}', b'{"manifests":[{"digest":"x"}]}']
)
def test_referrers_that_are_none(garbage: GarbageServer, body: bytes) -> None:
    garbage.answers = [("GET .*/referrers/", 200, {}, body)]
    assert not garbage.registry.referrers("tiny", DIGEST)
    assert RecordedRegistry(garbage.registry, "tiny").attached(DIGEST) == {}


@pytest.mark.parametrize(
    "body", [b"[]", HTML, b"{}", b'{"config":7,"layers":[]}', b'{"config":{},"layers":[]}']
)
def test_a_base_that_is_no_image(garbage: GarbageServer, body: bytes) -> None:
    garbage.answers = [("GET", 200, {}, body)]
    with pytest.raises(ImageError, match=r"is not JSON|is not a JSON object|is no image's manifest"):
        lock_base(RecordedRegistry(garbage.registry, "base"), sha256_bytes(body))


def test_a_base_blob_without_an_end(tree: TinyTree, garbage: GarbageServer) -> None:
    garbage.answers = [("GET", 200, {}, None)]
    row = LockedBlob("layer", 0, "application/x", 5000, DIGEST)
    with pytest.raises(ImageError, match="instead of 5000"):
        fetch_base((row,), RecordedRegistry(garbage.registry, "base"), tree.cache)


@pytest.mark.parametrize("text", ["127.0.0.1:99999", "127.0.0.1:5000\n", "me:secret@127.0.0.1"])
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(ImageError, match="not of the form"):
        parse_registry(text)
