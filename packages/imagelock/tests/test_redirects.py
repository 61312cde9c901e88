"""Blobs that lie with others: followed to HTTP only, never from TLS to none, and without credentials."""

from __future__ import annotations

import ssl
from collections.abc import Iterator

import pytest
from imagelock.audit import Question, audit
from imagelock.auth import Access
from imagelock.canonical import sha256_bytes
from imagelock.errors import ImageError
from imagelock.push import push
from imagelock.registry import Registry
from imagelock.samples import TinyTree
from imagelock.web import MOST_HOPS

from .servers import BASIC, USER, Signer, ToldServer, serving

DATA = b"a layer's bytes"
DIGEST = sha256_bytes(DATA)
WANTS_BASIC = ("GET /v2/$", 401, {"WWW-Authenticate": 'Basic realm="x"'}, b"")


@pytest.fixture
def store() -> Iterator[ToldServer]:
    """Another host, where blobs lie."""
    server = ToldServer()
    with serving(server):
        yield server


def send_to(told: ToldServer, place: str, status: int = 307) -> None:
    """Let a registry redirect what is read of blobs."""
    told.answers = [WANTS_BASIC, ("(GET|HEAD) .*/blobs/", status, {"Location": place}, b"")]


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_blob_is_read_where_it_lies_without_credentials(
    told: ToldServer, store: ToldServer, status: int
) -> None:
    send_to(told, f"http://127.0.0.1:{store.port}/bucket?signature=s", status)
    store.answers = [(r"(GET|HEAD) /bucket\?signature=s$", 200, {}, DATA)]
    registry = told.registry
    assert registry.has_blob("tiny", DIGEST)
    assert registry.blob("tiny", DIGEST) == DATA
    assert {user for line, user in told.asked if "blobs" in line} == {BASIC}
    assert {user for _, user in store.asked} == {""}


def test_on_its_own_host_a_registry_knows_us(told: ToldServer) -> None:
    send_to(told, "../elsewhere")
    told.answers.append(("GET /v2/tiny/elsewhere$", 200, {}, DATA))
    assert told.registry.blob("tiny", DIGEST) == DATA
    assert told.asked[-1][1] == BASIC


def test_an_image_whose_layers_lie_with_another_host(
    tree: TinyTree, registry: Registry, told: ToldServer
) -> None:
    """The whole of an audit, by a registry that keeps manifests alone."""
    digest = tree.build().note["manifest_digest"]
    push(tree.project, "tiny", registry)
    told.answers = [(f"GET .*{digest}", 200, {}, registry.manifest("tiny", f"sha256:{digest}"))]
    for path in (tree.project.layout("tiny").path / "blobs" / "sha256").iterdir():
        place = f"http://{registry.address}/v2/tiny/blobs/sha256:{path.name}"
        told.answers.append((f"GET .*/blobs/sha256:{path.name}", 307, {"Location": place}, b""))
    question = Question("tiny", digest=digest, registry=told.registry, offline=True)
    assert audit(tree.project, question)[0].result == "identical"


def test_redirects_have_an_end(told: ToldServer) -> None:
    send_to(told, "/v2/tiny/blobs/again")
    with pytest.raises(ImageError, match=f"sends from place to place, {MOST_HOPS + 1} times by now"):
        told.registry.blob("tiny", DIGEST)
    assert len(told.asked) == MOST_HOPS + 2


@pytest.mark.parametrize(
    "place",
    ["file:///etc/passwd", "ftp://127.0.0.1/x", "http://[", "http://a:x/", "http://a b/", "http://a\x7fb/"],
)
def test_a_place_that_is_none(told: ToldServer, place: str) -> None:
    send_to(told, place)
    with pytest.raises(ImageError, match="sends to an address that is none of HTTP"):
        told.registry.blob("tiny", DIGEST)


@pytest.mark.parametrize("place", ["/a b", "/t\xe4ny", "//a..b/x"])
def test_a_place_that_nobody_can_ask(told: ToldServer, place: str) -> None:
    send_to(told, place)
    with pytest.raises(ImageError, match=r"no path of HTTP|does not answer"):
        told.registry.blob("tiny", DIGEST)


def test_the_other_hosts_refusal_is_told_without_its_words(told: ToldServer, store: ToldServer) -> None:
    send_to(told, f"http://127.0.0.1:{store.port}/bucket?signature=s3cret")
    store.answers = [("", 403, {}, b"<SignatureProvided>s3cret</SignatureProvided>")]
    registry = told.registry
    with pytest.raises(
        ImageError, match=rf"sends to 127.0.0.1:{store.port}, which answers HTTP 403: run"
    ) as no:
        registry.blob("tiny", DIGEST)
    assert "s3cret" not in str(no.value)
    assert not registry.has_blob("tiny", DIGEST)


def test_tls_is_not_given_up(
    told: ToldServer, store: ToldServer, signer: Signer, monkeypatch: pytest.MonkeyPatch
) -> None:
    send_to(told, f"http://127.0.0.1:{store.port}/bucket")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(signer.certificate, signer.key)
    told.socket = context.wrap_socket(told.socket, server_side=True)
    registry = Registry("127.0.0.1", told.port, access=Access(USER))
    with pytest.raises(ImageError, match=r"does not answer: .*certificate verify failed"):
        registry.blob("tiny", DIGEST)
    monkeypatch.setenv("SSL_CERT_FILE", str(signer.certificate))
    with pytest.raises(
        ImageError, match=rf"sends to 127.0.0.1:{store.port} without TLS, where imagelock does"
    ):
        registry.blob("tiny", DIGEST)
    assert store.asked == []
    told.answers = [
        ("GET /v2/$", 401, {"WWW-Authenticate": f'Bearer realm="http://127.0.0.1:{store.port}"'}, b"")
    ]
    with pytest.raises(ImageError, match=r"names a token service at 127.0.0.1:\d+ without TLS"):
        Registry("127.0.0.1", told.port, access=Access(USER)).blob("tiny", DIGEST)
    assert store.asked == []
