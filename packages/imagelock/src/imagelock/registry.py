"""A client for the OCI distribution API: blobs and manifests by digest, streamed, bytes untouched.

Knows nothing about locks or builds. Loopback registries are spoken to without TLS, others with.
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
from typing import BinaryIO
from urllib.parse import urlencode, urlsplit

from imagelock.canonical import CHUNK, sha256_bytes
from imagelock.errors import ImageError
from imagelock.layout import INDEX_TYPE, MANIFEST_TYPE

LOOPBACK = {"localhost", "127.0.0.1", "[::1]"}
ADDRESS = re.compile(
    r"^(?P<host>[A-Za-z0-9.-]+|\[[0-9a-f:]+\])(:(?P<port>\d+))?(/(?P<prefix>[a-z0-9._/-]+))?$"
)
TIMEOUT = 60.0


class UnansweredError(ImageError):
    """The registry went away, before or within an answer, or is busy: worth another try."""

    def __init__(self, sentence: str) -> None:
        super().__init__(sentence, code="unreachable")


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
        """The digest (hex) a tag or digest stands for, or None."""
        accept = {"Accept": f"{MANIFEST_TYPE}, {INDEX_TYPE}"}
        status, headers, _ = self.ask("HEAD", self.path(repository, f"manifests/{reference}"), accept)
        if status != 200:
            return None
        return headers.get("docker-content-digest", "").removeprefix("sha256:")

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
        rows: list[dict[str, object]] = json.loads(data).get("manifests", [])
        return rows

    def blob(self, repository: str, digest: str) -> bytes:
        """A small blob, checked."""
        with self.open_blob(repository, digest) as stream:
            data = stream.read()
        if sha256_bytes(data) != digest:
            raise ImageError(f"{self.address}/{repository} serves other bytes under sha256:{digest}",
                             code="corrupt")  # fmt: skip
        return data

    @contextmanager
    def open_blob(self, repository: str, digest: str) -> Iterator[BinaryIO]:
        """A blob as a stream."""
        connection = self.connect()
        try:
            path = self.path(repository, f"blobs/sha256:{digest}")
            answer = self.send(connection, "GET", path, {}, None)
            if answer.status != 200:
                self.expect(answer.status, 200, answer.read(), f"read the blob sha256:{digest}")
            yield answer
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
            return answer.status, found, answer.read()
        except (OSError, http.client.HTTPException) as error:
            raise self.unreachable(error) from None
        finally:
            connection.close()

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

    def unreachable(self, error: Exception) -> UnansweredError:
        """The sentence for a registry that does not answer."""
        return UnansweredError(
            f"the registry {self.address} does not answer: {error}; start it or correct the address"
        )

    def expect(self, status: int, wanted: int, data: bytes, what: str) -> None:
        """ImageError unless the registry answered as wanted."""
        if status == wanted:
            return
        said = data[:200].decode("utf-8", "replace").strip()
        hint = {
            401: "it wants credentials: set IMAGELOCK_REGISTRY_USER to name:password",
            403: "you may not write there",
            405: "it is read-only",
        }.get(status, "see the registry's log")
        raise ImageError(f"the registry {self.address} did not {what} (HTTP {status} {said}): {hint}",
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
    match = ADDRESS.match(text)
    if not match:
        raise ImageError(f"the registry {text!r} is not of the form host[:port][/prefix]")
    host, port = match["host"], match["port"]
    return Registry(
        host, int(port) if port else None, match["prefix"] or "", plain=host in LOOPBACK, user=user
    )
