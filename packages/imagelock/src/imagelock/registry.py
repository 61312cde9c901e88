"""A client for the OCI distribution API: blobs and manifests by digest, streamed, bytes untouched.

Knows nothing about locks or builds. Loopback registries are spoken to without TLS, others with. Believes no
answer: redirects are not followed, so credentials go to the named host alone; what should be small is read
up to a limit; a body that breaks off is an error, never the end of the bytes.
"""

from __future__ import annotations

import base64
import http.client
import io
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import urlencode, urlsplit

from imagelock.canonical import CHUNK, sha256_bytes
from imagelock.documents import DIGEST
from imagelock.errors import ImageError
from imagelock.layout import INDEX_TYPE, MANIFEST_TYPE

LOOPBACK = {"localhost", "127.0.0.1", "[::1]"}
ADDRESS = re.compile(
    r"(?P<host>[A-Za-z0-9.-]+|\[[0-9a-f:]+\])(:(?P<port>\d{1,5}))?(/(?P<prefix>[a-z0-9._/-]+))?"
)
TIMEOUT = 60.0
MOST_SAID = 200  # of what a registry says about a refusal
MOST_BYTES = 64 << 20  # of an answer or a document: SBOMs have a few million
HINTS = {
    401: "it wants credentials: set IMAGELOCK_REGISTRY_USER to name:password",
    403: "you may not write there",
    404: "it is not there: push the image, or correct the address",
    405: "it is read-only",
    429: "it is busy: run the command again later",
}
REDIRECTED = (
    "it sends to another place, where imagelock does not follow: name the registry that has the bytes"
)


class UnansweredError(ImageError):
    """The registry went away, before or within an answer, or is busy: worth another try."""

    def __init__(self, sentence: str) -> None:
        super().__init__(sentence, code="unreachable")


class Body(io.RawIOBase):
    """An answer's body; UnansweredError when it breaks off, which http.client takes for its end."""

    def __init__(self, answer: http.client.HTTPResponse, registry: Registry) -> None:
        self.answer, self.registry = answer, registry

    def readable(self) -> bool:
        """True: a body is for reading."""
        return True

    def readinto(self, buffer: Any) -> int:
        """The next bytes."""
        try:
            count = self.answer.readinto(buffer)
        except (OSError, http.client.HTTPException) as error:
            raise self.registry.unreachable(error) from None
        if not count and self.answer.length:
            raise self.registry.unreachable("the connection was closed early")
        return count


@dataclass(frozen=True)
class Registry:
    """One registry; `prefix` is put before every repository name. `user` is `name:password`."""

    host: str
    port: int | None
    prefix: str = ""
    plain: bool = False
    user: str = field(default="", repr=False)

    @property
    def address(self) -> str:
        """host[:port][/prefix], as image references begin."""
        port = f":{self.port}" if self.port else ""
        return f"{self.host}{port}" + (f"/{self.prefix}" if self.prefix else "")

    def path(self, repository: str, rest: str) -> str:
        """The API path of something in a repository."""
        name = f"{self.prefix}/{repository}" if self.prefix else repository
        return f"/v2/{name}/{rest}"

    def has_blob(self, repository: str, digest: str) -> bool:
        """True when the registry has a blob (hex digest)."""
        status, _, _ = self.ask("HEAD", self.path(repository, f"blobs/sha256:{digest}"))
        return status == 200

    def mount(self, repository: str, digest: str, other: str) -> bool:
        """Let a repository have a blob that another one of this registry has; False when it will not."""
        name = f"{self.prefix}/{other}" if self.prefix else other
        query = urlencode({"mount": f"sha256:{digest}", "from": name})
        status, headers, _ = self.ask("POST", self.path(repository, f"blobs/uploads/?{query}"))
        if status == 202 and "location" in headers:  # it began an upload instead: take that back
            self.ask("DELETE", urlsplit(headers["location"]).path)
        return status == 201

    def manifest_digest(self, repository: str, reference: str) -> str | None:
        """The digest (hex) a tag or digest stands for, or None. ImageError: the registry does not say.

        Only 404 means that there is none: a tag that cannot be seen for the moment must not be written.
        """
        accept = {"Accept": f"{MANIFEST_TYPE}, {INDEX_TYPE}"}
        status, headers, _ = self.ask("HEAD", self.path(repository, f"manifests/{reference}"), accept)
        if status == 404:
            return None
        self.expect(status, 200, b"", f"say what {repository}:{reference} is")
        said = headers.get("docker-content-digest", "")
        if DIGEST.fullmatch(said):
            return said.removeprefix("sha256:")
        return sha256_bytes(self.manifest(repository, reference))  # the header may be left out

    def manifest(self, repository: str, reference: str) -> bytes:
        """A manifest's bytes; ImageError when there is none or its digest is not the asked one."""
        accept = {"Accept": f"{MANIFEST_TYPE}, {INDEX_TYPE}"}
        status, _, data = self.ask("GET", self.path(repository, f"manifests/{reference}"), accept)
        if status == 404:
            raise ImageError(f"{self.address}/{repository} has no {reference}: push the image or "
                             "correct the tag", code="missing")  # fmt: skip
        self.expect(status, 200, data, f"read the manifest {reference}")
        if reference.startswith("sha256:") and sha256_bytes(data) != reference[7:]:
            raise ImageError(f"{self.address}/{repository} serves other bytes under {reference}",
                             code="corrupt")  # fmt: skip
        return data

    def put_manifest(self, repository: str, reference: str, data: bytes) -> None:
        """Store a manifest under a tag or digest, its bytes untouched."""
        sent = {"Content-Type": MANIFEST_TYPE, "Content-Length": str(len(data))}
        path = self.path(repository, f"manifests/{reference}")
        status, _, said = self.ask("PUT", path, sent, io.BytesIO(data))
        self.expect(status, 201, said, f"store the manifest {reference}")

    def referrers(self, repository: str, digest: str) -> list[dict[str, object]] | None:
        """Manifests that refer to a digest; None when the registry has no referrers API."""
        status, _, data = self.ask("GET", self.path(repository, f"referrers/sha256:{digest}"))
        if status != 200:
            return None
        try:
            rows = json.loads(data)["manifests"]
            return [row for row in rows if DIGEST.fullmatch(str(row["digest"]))]
        except (ValueError, LookupError, TypeError):
            return None  # something that answers 200 to every path

    def blob(self, repository: str, digest: str) -> bytes:
        """A small blob, checked."""
        with self.open_blob(repository, digest) as stream:
            data = self.read_small(stream)
        if sha256_bytes(data) != digest:
            raise ImageError(f"{self.address}/{repository} serves other bytes under sha256:{digest}",
                             code="corrupt")  # fmt: skip
        return data

    @contextmanager
    def open_blob(self, repository: str, digest: str) -> Iterator[io.BufferedReader[Any]]:
        """A blob as a stream."""
        connection = self.connect()
        try:
            path = self.path(repository, f"blobs/sha256:{digest}")
            answer = self.send(connection, "GET", path, {}, None)
            body = io.BufferedReader(Body(answer, self), CHUNK)
            if answer.status != 200:
                self.expect(answer.status, 200, body.read(MOST_SAID), f"read the blob sha256:{digest}")
            yield body
        finally:
            connection.close()

    def ask(
        self, method: str, path: str, headers: Mapping[str, str] | None = None,
        body: BinaryIO | None = None,
    ) -> tuple[int, dict[str, str], bytes]:  # fmt: skip
        """One request on a connection of its own: status, headers in lower case, body."""
        connection = self.connect()
        try:
            answer = self.send(connection, method, path, headers or {}, body)
            found = {key.lower(): value for key, value in answer.getheaders()}
            return answer.status, found, self.read_small(io.BufferedReader(Body(answer, self)))
        finally:
            connection.close()

    def read_small(self, stream: BinaryIO) -> bytes:
        """The rest of a stream that cannot be big; ImageError when it is."""
        data = stream.read(MOST_BYTES + 1)
        if len(data) > MOST_BYTES:
            raise ImageError(f"{self.address} sends more than {MOST_BYTES >> 20} MB where a document was "
                             "asked for: correct the address", code="corrupt")  # fmt: skip
        return data

    def send(
        self, connection: http.client.HTTPConnection, method: str, path: str,
        headers: Mapping[str, str], body: BinaryIO | None,
    ) -> http.client.HTTPResponse:  # fmt: skip
        """Send one request; ImageError when the registry does not answer."""
        known = dict(headers)
        if self.user:
            known["Authorization"] = "Basic " + base64.b64encode(self.user.encode()).decode()
        try:
            connection.request(method, path, body=body, headers=known)
            return connection.getresponse()
        except (OSError, http.client.HTTPException) as error:
            raise self.unreachable(error) from None

    def connect(self) -> http.client.HTTPConnection:
        """A connection, not opened yet."""
        host = self.host.strip("[]")
        kind = http.client.HTTPConnection if self.plain else http.client.HTTPSConnection
        return kind(host, self.port, timeout=TIMEOUT, blocksize=CHUNK)

    def unreachable(self, error: object) -> UnansweredError:
        """The sentence for a registry that does not answer."""
        return UnansweredError(
            f"the registry {self.address} does not answer: {error}; start it or correct the address"
        )

    def expect(self, status: int, wanted: int, data: bytes, what: str) -> None:
        """ImageError unless the registry answered as wanted."""
        if status == wanted:
            return
        text = "".join(filter(str.isprintable, data[:MOST_SAID].decode("utf-8", "replace"))).strip()
        said = f"HTTP {status} {text}".rstrip()
        hint = REDIRECTED if 300 <= status < 400 else HINTS.get(status, "see the registry's log")
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
    host, port = match["host"], match["port"]
    return Registry(
        host, int(port) if port else None, match["prefix"] or "", plain=host in LOOPBACK, user=user
    )
