"""Registries that want credentials, by Basic or by a token: who is shown what, how often, what is said."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from imagelock.audit import Question, audit
from imagelock.auth import Access, parse_challenges
from imagelock.canonical import sha256_bytes
from imagelock.errors import ImageError
from imagelock.push import push
from imagelock.registry import Registry, parse_registry
from imagelock.samples import TinyTree
from imagelock.serve import Handler, LoopbackRegistry
from imagelock.upload import Upload

from .servers import BASIC, USER, Signer, TokenService, ToldServer, debians_registry, serving
from .test_push import add_other

DIGEST = "a" * 64
DATA = b"0123456789" * 5
NAME = re.compile(r"/v2/(?P<name>[a-z0-9/]+?)/(blobs|manifests|referrers)/")


class Gate(LoopbackRegistry):
    """Our registry behind tokens that are numbers; `granted` says what each allows."""

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), folder)
        self.RequestHandlerClass = GateHandler
        self.service = TokenService(self.grant)
        self.granted: dict[str, list[str]] = {}
        self.given = 0

    def grant(self, scopes: list[str]) -> str:
        """Write a token."""
        self.given += 1
        self.granted[str(self.given)] = scopes
        return str(self.given)

    def registry(self, user: str = USER) -> Registry:
        """Us, as a client of that name."""
        return parse_registry(f"127.0.0.1:{self.server_address[1]}", user)


class GateHandler(Handler):
    """Refuses what the token in hand does not allow."""

    server: Gate

    def parse_request(self) -> bool:
        """Let a request pass, or answer it here."""
        if not super().parse_request():
            return False
        match = NAME.match(self.path)
        actions = "pull" if self.command in {"GET", "HEAD"} else "pull,push"
        scope = f"repository:{match['name']}:{actions}" if match else ""
        token = self.headers.get("Authorization", "").removeprefix("Bearer ")
        granted = self.server.granted.get(token)
        writing = scope.replace(":pull", ":pull,push")
        if granted is not None and (not scope or scope in granted or writing in granted):
            return True
        self.close_connection = True
        self.rfile.read(self.length())  # else the client may be cut off before it has read the answer
        # As registries do that name a scope of no use here; ours has to be asked for all the same.
        challenge = f'{self.server.service.challenge},scope="repository:user/image:pull"'
        self.answer(401, b"", {"WWW-Authenticate": challenge})
        return False


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Gate]:
    """A running registry that wants tokens."""
    server = Gate(tmp_path / "registry")
    with serving(server.service), serving(server):
        yield server


def test_a_push_asks_for_one_token_to_read_and_one_to_write(tree: TinyTree, gate: Gate) -> None:
    note = tree.build().note
    done = push(tree.project, "tiny", gate.registry())
    assert (done.uploaded, done.attached) == (4, True)
    assert gate.service.asked == [["repository:tiny:pull"], ["repository:tiny:pull,push"]]
    assert gate.registry().manifest_digest("tiny", note["tag"]) == note["manifest_digest"]


def test_a_token_that_was_revoked_is_renewed_and_the_body_sent_again(gate: Gate) -> None:
    registry, digest = gate.registry(), sha256_bytes(DATA)
    Upload(registry, "tiny", digest, DATA, lambda _: gate.granted.clear(), chunk=20).complete()
    assert gate.given == 5  # one for the beginning, one for each of three chunks, one for the end
    # Beside what we know to be needed goes what the registry says.
    assert gate.service.asked[1] == ["repository:tiny:pull,push", "repository:user/image:pull"]
    assert registry.blob("tiny", digest) == DATA


def test_a_token_that_never_does_is_asked_for_twice_at_most(gate: Gate) -> None:
    gate.service.sign = lambda _: "void"
    with pytest.raises(
        ImageError, match="does not grant the user of IMAGELOCK_REGISTRY_USER repository:tiny:pull: correct"
    ):
        gate.registry().manifest("tiny", "tag")
    assert len(gate.service.asked) == 2


def test_a_token_is_used_as_long_as_it_says(gate: Gate) -> None:
    registry = gate.registry()
    assert [registry.has_blob("tiny", DIGEST) for _ in range(3)] == [False] * 3
    assert gate.given == 1
    gate.service.lifetime = 5  # too short for a chunk: never used again
    registry = gate.registry()
    assert [registry.has_blob("tiny", DIGEST) for _ in range(3)] == [False] * 3
    assert gate.given == 4


def test_strangers_may_read(tree: TinyTree, gate: Gate) -> None:
    digest = tree.build().note["manifest_digest"]
    push(tree.project, "tiny", gate.registry())
    assert gate.registry(user="").manifest("tiny", f"sha256:{digest}")
    with pytest.raises(
        ImageError, match="wants credentials for repository:tiny:pull,push: set IMAGELOCK_REGISTRY_USER to"
    ):
        gate.registry(user="").put_manifest("tiny", "tag", b"{}")


def test_a_wrong_password_is_not_told(gate: Gate) -> None:
    with pytest.raises(
        ImageError, match=r"^the token service 127.0.0.1:\d+ does not grant the user of"
    ) as caught:
        gate.registry(user="me:wrong").has_blob("tiny", DIGEST)
    assert "wrong" not in str(caught.value)
    assert "wrong" not in repr(gate.registry(user="me:wrong"))


def test_debians_registry_with_tokens(tree: TinyTree, tmp_path: Path, signer: Signer) -> None:
    """Push, mount and audit, by tokens whose signature and scopes a registry of others judges."""
    if not shutil.which("docker-registry"):
        pytest.skip("docker-registry is not installed here")
    note = tree.build().note
    service = TokenService(signer)
    wants = {"token": {
        "realm": re.findall('"(.*?)"', service.challenge)[0], "service": "tests", "issuer": "tests",
        "rootcertbundle": str(signer.certificate),
    }}  # fmt: skip
    with ExitStack() as stack:
        stack.enter_context(serving(service))
        registry = parse_registry(stack.enter_context(debians_registry(tmp_path, auth=wants)), USER)
        assert push(tree.project, "tiny", registry).uploaded == 4
        assert service.asked == [["repository:tiny:pull"], ["repository:tiny:pull,push"]]
        add_other(tree)
        assert push(tree.project, "other", registry).mounted == 2
        assert ["repository:other:pull,push", "repository:tiny:pull"] in service.asked
        question = Question("tiny", tag=note["tag"], registry=registry, offline=True)
        assert audit(tree.project, question)[0].result == "identical"
        with pytest.raises(ImageError, match="wants credentials for repository:tiny:pull,push: set"):
            parse_registry(registry.address).put_manifest("tiny", "tag", b"{}")


def test_basic_goes_to_who_asks_for_it(told: ToldServer) -> None:
    """Before all else: a registry may answer 404 to strangers, and the tag would be written over."""
    told.answers = [("GET /v2/$", 401, {"WWW-Authenticate": 'Basic realm="x"'}, b"")]
    assert told.registry.manifest_digest("tiny", "tag") is None
    assert told.asked == [("GET /v2/", ""), ("HEAD /v2/tiny/manifests/tag", BASIC)]


def test_nothing_goes_to_who_asks_for_nothing(told: ToldServer) -> None:
    registry = told.registry
    assert not registry.has_blob("tiny", DIGEST)
    assert not registry.has_blob("tiny", DIGEST)
    assert [user for _, user in told.asked] == ["", "", ""]


@pytest.mark.parametrize("realm", ["http://reg.example/token", "file:///token", "http://[", "//127.0.0.1:x/"])
def test_a_realm_that_gets_no_password(told: ToldServer, realm: str) -> None:
    told.answers = [("GET /v2/$", 401, {"WWW-Authenticate": f'Bearer realm="{realm}"'}, b"")]
    with pytest.raises(ImageError, match=r"a token service at reg.example without TLS|none of HTTP"):
        told.registry.has_blob("tiny", DIGEST)


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (200, b"<html>", "gives no token"),
        (200, b"[]", "gives no token"),
        (200, b"{}", "gives no token"),
        (200, b'{"token":7}', "gives no token"),
        (200, b'{"token":"a\\r\\nb"}', "gives no token"),
        (200, b'{"token":"a","expires_in":"x"}', "gives no token"),
        (200, b'{"token":"a","expires_in":1e999}', ""),
        (200, b'{"access_token":"a"}', ""),
        (200, None, "gives no token"),
        (302, b"", r"gives no token \(HTTP 302\)"),
        (403, b"secret", "does not grant the user of IMAGELOCK_REGISTRY_USER"),
        (503, b"", "said HTTP 503: run the command again"),
    ],
)
def test_what_a_token_service_may_say(told: ToldServer, status: int, body: bytes | None, said: str) -> None:
    realm = f"http://127.0.0.1:{told.port}/token?x=1"
    told.answers = [
        ("GET /v2/$", 401, {"WWW-Authenticate": f'Bearer realm="{realm}",service="a b"'}, b""),
        (r"GET /token\?x=1&service=a\+b&scope=repository%3Atiny%3Apull$", status, {}, body),
    ]
    if not said:
        assert not told.registry.has_blob("tiny", DIGEST)
        assert told.asked[-1][1] == "Bearer a"
        return
    with pytest.raises(ImageError, match=said) as caught:
        told.registry.has_blob("tiny", DIGEST)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", {}),
        ("Basic", {"basic": {}}),
        ("Negotiate, Basic realm=x", {"negotiate": {}, "basic": {"realm": "x"}}),
        (
            'BEARER Realm="https://a/t?b=c,d", service=s ,scope="repository:x:pull,push"',
            {"bearer": {"realm": "https://a/t?b=c,d", "service": "s", "scope": "repository:x:pull,push"}},
        ),
        (
            'Bearer realm="https://a/t",error="",Basic realm="b"',
            {"bearer": {"realm": "https://a/t", "error": ""}, "basic": {"realm": "b"}},
        ),
    ],
)
def test_challenges(text: str, found: dict[str, dict[str, str]]) -> None:
    assert parse_challenges(text) == found


def test_a_password_of_any_bytes_goes_as_it_is() -> None:
    """Of a variable that is not UTF-8 Python keeps the bytes; no error may tell them."""
    assert Access("me:\udcff").basic_header() == {"Authorization": "Basic bWU6/w=="}
