"""A client for the OCI distribution API: blobs and manifests by digest, streamed, bytes untouched.

Knows nothing about locks or builds. Loopback registries are spoken to without TLS, others with. Believes no
answer: what should be small is read up to a limit, a blob up to its size; bytes are read from where it
redirects to, but sent to the named registry alone.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import urlencode

from imagelock.auth import Access
from imagelock.canonical import sha256_bytes
from imagelock.documents import DIGEST
from imagelock.errors import ImageError
from imagelock.layout import INDEX_TYPE, MANIFEST_TYPE
from imagelock.web import LOOPBACK, REDIRECTS, Address, Answer, follow, request

ADDRESS = re.compile(
    r"(?P<host>[A-Za-z0-9.-]+|\[[0-9a-f:]+\])(:(?P<port>\d{1,5}))?(/(?P<prefix>[a-z0-9._/-]+))?"
)
API_HOSTS = {"docker.io": "index.docker.io"}  # image references leave a word out
MOST_SAID = 200  # of what a registry says about a refusal
MOST_BYTES = 64 << 20  # of an answer or a document: SBOMs have a few million
HINTS = {
    403: "you may not do that there",
    404: "it is not there: push the image, or correct the address",
    405: "it is read-only",
    429: "it is busy: run the command again later",
}
REDIRECTED = "it sends to another place, where imagelock sends nothing: name the registry itself"
PULL, PUSH = "pull", "pull,push"


@dataclass(frozen=True)
class Registry:
    """One registry; `prefix` is put before every repository name."""

    host: str
    port: int | None
    prefix: str = ""
    plain: bool = False
    access: Access = field(default_factory=Access, repr=False, compare=False)

    @property
    def address(self) -> str:
        """host[:port][/prefix], as image references begin."""
        port = f":{self.port}" if self.port else ""
        return f"{self.host}{port}" + (f"/{self.prefix}" if self.prefix else "")

    def path(self, repository: str, rest: str) -> str:
        """The API path of something in a repository."""
        return f"/v2/{self.full_name(repository)}/{rest}"

    def full_name(self, repository: str) -> str:
        """A repository's name with the prefix."""
        return f"{self.prefix}/{repository}" if self.prefix else repository

    def scope(self, repository: str, actions: str = PULL) -> str:
        """What a token has to allow for these actions."""
        return f"repository:{self.full_name(repository)}:{actions}"

    def has_blob(self, repository: str, digest: str) -> bool:
        """True when the registry has a blob (hex digest)."""
        path = self.path(repository, f"blobs/sha256:{digest}")
        return self.ask("HEAD", path, (self.scope(repository),))[0] == 200

    def mount(self, repository: str, digest: str, other: str) -> bool:
        """Let a repository have a blob that another one of this registry has; False when it will not."""
        query = urlencode({"mount": f"sha256:{digest}", "from": self.full_name(other)})
        path = self.path(repository, f"blobs/uploads/?{query}")
        scopes = (self.scope(repository, PUSH), self.scope(other))
        status, headers, _ = self.ask("POST", path, scopes)
        if status == 202 and "location" in headers:  # it began an upload instead: take that back
            with suppress(ImageError):  # else the registry forgets it in time
                self.ask("DELETE", self.session_path(headers["location"]), scopes)
        return status == 201

    def session_path(self, location: str) -> str:
        """Where an upload goes on: a path of this registry, whatever host it names."""
        return self.endpoint.join(location).target

    def manifest_digest(self, repository: str, reference: str) -> str | None:
        """The digest (hex) a tag or digest stands for, or None. ImageError: the registry does not say.

        Only 404 means that there is none: a tag that cannot be seen for the moment must not be written.
        """
        status, headers, _ = self.ask_manifest("HEAD", repository, reference)
        if status == 404:
            return None
        self.expect(status, 200, b"", f"say what {repository}:{reference} is")
        said = headers.get("docker-content-digest", "")
        if DIGEST.fullmatch(said):
            return said.removeprefix("sha256:")
        return sha256_bytes(self.manifest(repository, reference))  # the header may be left out

    def manifest(self, repository: str, reference: str) -> bytes:
        """A manifest's bytes; ImageError when there is none or its digest is not the asked one."""
        status, _, data = self.ask_manifest("GET", repository, reference)
        if status == 404:
            raise ImageError(f"{self.address}/{repository} has no {reference}: push the image or "
                             "correct the tag", code="missing")  # fmt: skip
        self.expect(status, 200, data, f"read the manifest {reference}")
        if reference.startswith("sha256:") and sha256_bytes(data) != reference[7:]:
            raise ImageError(f"{self.address}/{repository} serves other bytes under {reference}",
                             code="corrupt")  # fmt: skip
        return data

    def ask_manifest(self, method: str, repository: str, reference: str) -> tuple[int, dict[str, str], bytes]:
        """One request for a manifest of a kind we can read."""
        path, accept = self.path(repository, f"manifests/{reference}"), f"{MANIFEST_TYPE}, {INDEX_TYPE}"
        return self.ask(method, path, (self.scope(repository),), {"Accept": accept})

    def put_manifest(self, repository: str, reference: str, data: bytes) -> None:
        """Store a manifest under a tag or digest, its bytes untouched."""
        sent = {"Content-Type": MANIFEST_TYPE, "Content-Length": str(len(data))}
        path = self.path(repository, f"manifests/{reference}")
        status, _, said = self.ask("PUT", path, (self.scope(repository, PUSH),), sent, io.BytesIO(data))
        self.expect(status, 201, said, f"store the manifest {reference}")

    def referrers(self, repository: str, digest: str) -> list[dict[str, object]] | None:
        """Manifests that refer to a digest; None when the registry has no referrers API."""
        path = self.path(repository, f"referrers/sha256:{digest}")
        status, _, data = self.ask("GET", path, (self.scope(repository),))
        if status != 200:
            return None
        try:
            rows = json.loads(data)["manifests"]
            return [row for row in rows if DIGEST.fullmatch(str(row["digest"]))]
        except (ValueError, LookupError, TypeError):
            return None  # something that answers 200 to every path

    def blob(self, repository: str, digest: str) -> bytes:
        """A small blob, checked."""
        with self.open_blob(repository, digest, MOST_BYTES + 1) as stream:
            data = self.read_small(stream)
        if sha256_bytes(data) != digest:
            raise ImageError(f"{self.address}/{repository} serves other bytes under sha256:{digest}",
                             code="corrupt")  # fmt: skip
        return data

    @contextmanager
    def open_blob(self, repository: str, digest: str, most: int) -> Iterator[io.BufferedReader[Any]]:
        """A blob as a stream, unchecked, which ends after `most` bytes at the latest."""
        path = self.path(repository, f"blobs/sha256:{digest}")
        with self.send("GET", path, (self.scope(repository),)) as answer:
            if answer.status != 200:
                said = answer.stream(MOST_SAID).read()
                self.expect(answer.status, 200, said, f"read the blob sha256:{digest}")
            yield answer.stream(most)

    def ask(
        self, method: str, path: str, scopes: tuple[str, ...], headers: Mapping[str, str] | None = None,
        body: BinaryIO | None = None,
    ) -> tuple[int, dict[str, str], bytes]:  # fmt: skip
        """One request, its answer read to the end: status, headers in lower case, body."""
        with self.send(method, path, scopes, headers, body) as answer:
            return answer.status, dict(answer.headers), self.read_small(answer.stream(MOST_BYTES + 1))

    def read_small(self, stream: io.BufferedReader[Any]) -> bytes:
        """A stream that may have a byte more than a document; ImageError when it has."""
        data = stream.read()
        if len(data) > MOST_BYTES:
            raise ImageError(f"{self.address} sends more than {MOST_BYTES >> 20} MB where a document was "
                             "asked for: correct the address", code="corrupt")  # fmt: skip
        return data

    def send(
        self, method: str, path: str, scopes: tuple[str, ...], headers: Mapping[str, str] | None = None,
        body: BinaryIO | None = None,
    ) -> Answer:  # fmt: skip
        """Send one request with what it needs to be let in; once more when that has become void."""
        self.introduce()
        address, start = replace(self.endpoint, target=path), body.tell() if body else 0
        for again in (True, False):
            private = self.access.header(scopes)
            answer = request(method, address, {**(headers or {}), **private}, body)
            if answer.status != 401:
                break
            with answer:
                if not again or not self.access.renew(answer, scopes):
                    raise self.access.refused(f"the registry {self.address}", scopes)
            if body:
                body.seek(start)
        return follow(answer, method, headers or {}, private) if method in {"GET", "HEAD"} else answer

    def introduce(self) -> None:
        """With credentials, ask first what it wants: it may call a tag free that it hides from strangers."""
        if self.access.user and not self.access.introduced:
            with request("GET", replace(self.endpoint, target="/v2/"), {}) as answer:
                if answer.status == 401:
                    self.access.learn(answer)
            self.access.introduced = True

    @property
    def endpoint(self) -> Address:
        """Where its API is."""
        return Address(not self.plain, API_HOSTS.get(self.host, self.host).strip("[]"), self.port)

    def expect(self, status: int, wanted: int, data: bytes, what: str) -> None:
        """ImageError unless the registry answered as wanted."""
        if status == wanted:
            return
        text = "".join(filter(str.isprintable, data[:MOST_SAID].decode("utf-8", "replace"))).strip()
        said = f"HTTP {status} {text}".rstrip()
        hint = HINTS.get(status, "see the registry's log")
        if status in REDIRECTS:
            hint = REDIRECTED
        raise ImageError(f"the registry {self.address} did not {what} ({said}): {hint}",
                         code="unreachable")  # fmt: skip


@contextmanager
def open_source(source: Path | bytes) -> Iterator[tuple[BinaryIO, int]]:
    """A body to send, and its size."""
    if isinstance(source, bytes):
        yield io.BytesIO(source), len(source)
    else:
        with source.open("rb") as stream:
            yield stream, source.stat().st_size


def parse_registry(text: str, user: str = "") -> Registry:
    """`host[:port][/prefix]` to a Registry; ImageError says the form."""
    match = ADDRESS.fullmatch(text)
    if not match or int(match["port"] or 0) >= 1 << 16:
        raise ImageError(f"the registry {text!r} is not of the form host[:port][/prefix]")
    host, port = match["host"], int(match["port"]) if match["port"] else None
    plain = host.strip("[]") in LOOPBACK
    return Registry(host, port, match["prefix"] or "", plain, Access(user))
