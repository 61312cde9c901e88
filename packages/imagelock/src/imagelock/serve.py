"""A small OCI registry over one folder, for loopback: push, pull, referrers. Product and test alike.

Blobs lie in `<root>/blobs`, manifests in `<root>/manifests/<repository>/<reference>`. It verifies
digests, refuses to move a tag, and serves whoever can reach the port: bind it to loopback.
"""

from __future__ import annotations

import fcntl
import json
import re
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from imagelock.canonical import canonical_json, read_pieces, sha256_bytes, sha256_file
from imagelock.layout import INDEX_TYPE, MANIFEST_TYPE

NAME = r"(?P<name>[a-z0-9]+(?:[._/-][a-z0-9]+)*)"
BLOB = re.compile(rf"^/v2/{NAME}/blobs/sha256:(?P<digest>[0-9a-f]{{64}})$")
UPLOADS = re.compile(rf"^/v2/{NAME}/blobs/uploads/(?P<id>[0-9a-f-]*)$")
MANIFEST = re.compile(rf"^/v2/{NAME}/manifests/(?P<reference>[A-Za-z0-9_][A-Za-z0-9._:-]{{0,127}})$")
REFERRERS = re.compile(rf"^/v2/{NAME}/referrers/(?P<digest>sha256:[0-9a-f]{{64}})$")


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """One thread at a time at an upload."""
    with path.open("rb") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield


class LoopbackRegistry(ThreadingHTTPServer):
    """The server; `read_only` answers 405 to every write."""

    daemon_threads = True

    def __init__(self, address: tuple[str, int], root: Path, *, read_only: bool = False) -> None:
        super().__init__(address, Handler)
        self.root, self.read_only = root, read_only
        for folder in ("blobs", "uploads"):
            (root / folder).mkdir(parents=True, exist_ok=True)

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hangs up is no event worth a traceback."""
        if not isinstance(sys.exception(), EOFError | ConnectionError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]

    def upload(self, number: str) -> Path:
        """Where the beginning of a blob lies, by the upload's number."""
        return self.root / "uploads" / number

    def blob(self, digest: str) -> Path:
        """Where a blob lies (hex digest)."""
        return self.root / "blobs" / digest

    def manifest(self, name: str, reference: str) -> Path:
        """Where a manifest lies, by tag or digest."""
        return self.root / "manifests" / name / reference.replace(":", "@")


class Handler(BaseHTTPRequestHandler):
    """One request."""

    protocol_version = "HTTP/1.1"
    timeout = 60.0  # of a client that says nothing
    server: LoopbackRegistry

    def do_GET(self) -> None:
        """Blobs, manifests, referrers, and the version check."""
        path = urlsplit(self.path).path
        if match := BLOB.match(path):
            self.send_file(self.server.blob(match["digest"]), f"sha256:{match['digest']}")
        elif match := MANIFEST.match(path):
            self.send_manifest(match["name"], match["reference"])
        elif match := REFERRERS.match(path):
            self.send_referrers(match["name"], match["digest"])
        elif match := UPLOADS.match(path):
            self.tell_reached(match["id"])
        else:
            self.answer(200 if path == "/v2/" else 404, b"{}")

    do_HEAD = do_GET  # noqa: N815 - the name http.server looks for

    def do_POST(self) -> None:
        """Begin an upload."""
        match = UPLOADS.match(urlsplit(self.path).path)
        if self.server.read_only or not match:
            self.answer(405 if self.server.read_only else 404, b"")
            return
        number = str(uuid.uuid4())
        self.server.upload(number).touch()
        where = f"/v2/{match['name']}/blobs/uploads/{number}"
        self.answer(202, b"", {"Location": where})

    def do_PATCH(self) -> None:
        """A part of a blob, kept as far as it arrives."""
        match = UPLOADS.match(urlsplit(self.path).path)
        path = self.server.upload(match["id"]) if match else None
        if path is None or not path.exists():
            self.refuse(404)
            return
        begin = self.headers.get("Content-Range", "").partition("-")[0]
        with alone(path):
            fits = not begin or int(begin) == path.stat().st_size
            if fits:
                self.take_body(path)
        if fits:
            self.tell_reached(path.name, 202)
        else:
            self.refuse(416)

    def tell_reached(self, number: str, status: int = 204) -> None:
        """How far an upload is; `0-0` for nothing, as other registries say it."""
        path = self.server.upload(number)
        if not number or not path.exists():
            self.answer(404, b"")
            return
        with alone(path):  # a connection that broke off may still be read to its end
            size = path.stat().st_size
        where = {"Location": urlsplit(self.path).path, "Range": f"0-{max(0, size - 1)}"}
        self.answer(status, b"", where)

    def refuse(self, status: int) -> None:
        """Answer without reading the body, which ends the connection."""
        self.close_connection = True
        self.answer(status, b"")

    def take_body(self, path: Path) -> None:
        """Append the body to a file, piece by piece."""
        with path.open("ab", buffering=0) as out:
            for piece in read_pieces(self.rfile, self.length()):  # type: ignore[arg-type]
                out.write(piece)

    def do_PUT(self) -> None:
        """End an upload, or store a manifest."""
        parts = urlsplit(self.path)
        if self.server.read_only:
            self.answer(405, b"")
        elif match := UPLOADS.match(parts.path):
            self.store_blob(match["id"], parse_qs(parts.query).get("digest", [""])[0])
        elif match := MANIFEST.match(parts.path):
            self.store_manifest(match["name"], match["reference"])
        else:
            self.answer(404, b"")

    def store_blob(self, number: str, digest: str) -> None:
        """Take a blob in when its digest is right."""
        path = self.server.upload(number)
        if not number or not path.exists():
            self.refuse(404)
            return
        self.take_body(path)
        found = f"sha256:{sha256_file(path)}"
        if found != digest:
            path.unlink()
            self.answer(400, b"digest mismatch")
            return
        path.rename(self.server.blob(found.removeprefix("sha256:")))
        self.answer(201, b"", {"Docker-Content-Digest": found})

    def store_manifest(self, name: str, reference: str) -> None:
        """Store a manifest by digest and by tag; a tag never moves."""
        data = self.rfile.read(self.length())
        digest = f"sha256:{sha256_bytes(data)}"
        target = self.server.manifest(name, reference)
        if target.exists() and target.read_bytes() != data:
            self.answer(409, b"this tag is taken")
            return
        for path in (self.server.manifest(name, digest), target):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        self.answer(201, b"", {"Docker-Content-Digest": digest})

    def send_manifest(self, name: str, reference: str) -> None:
        """A manifest's bytes with their media type."""
        path = self.server.manifest(name, reference)
        if not path.exists():
            self.answer(404, b"")
            return
        data = path.read_bytes()
        kind = json.loads(data).get("mediaType", MANIFEST_TYPE)
        digest = f"sha256:{sha256_bytes(data)}"
        self.answer(200, data, {"Content-Type": kind, "Docker-Content-Digest": digest})

    def send_referrers(self, name: str, digest: str) -> None:
        """An index of the manifests whose subject is the digest."""
        rows = []
        for path in sorted((self.server.root / "manifests" / name).glob("sha256@*")):
            data = path.read_bytes()
            if sha256_bytes(data) != path.name.removeprefix("sha256@"):
                continue  # it was damaged on this disk
            parsed = json.loads(data)
            if parsed.get("subject", {}).get("digest") == digest:
                rows.append({
                    "mediaType": MANIFEST_TYPE, "digest": f"sha256:{sha256_bytes(data)}",
                    "size": len(data), "artifactType": parsed.get("artifactType", ""),
                })  # fmt: skip
        index = {"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": rows}
        self.answer(200, canonical_json(index), {"Content-Type": INDEX_TYPE})

    def send_file(self, path: Path, digest: str) -> None:
        """Stream a blob."""
        if not path.exists():
            self.answer(404, b"")
            return
        size = path.stat().st_size
        self.send_response(200)
        self.send_header("Content-Type", "application/octet-stream")
        self.send_header("Content-Length", str(size))
        self.send_header("Docker-Content-Digest", digest)
        self.end_headers()
        if self.command != "HEAD":
            with path.open("rb") as stream:
                for piece in read_pieces(stream, size):
                    self.wfile.write(piece)

    def length(self) -> int:
        """The announced length of the request's body."""
        return int(self.headers.get("Content-Length", "0"))

    def answer(self, status: int, data: bytes, headers: dict[str, str] | None = None) -> None:
        """A whole small answer."""
        self.send_response(status)
        for key, value in (headers or {}).items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's name
        """Say nothing: the client reports."""
