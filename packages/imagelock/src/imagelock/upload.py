"""One blob to a registry, in chunks: a broken connection costs what the registry does not say it has.

Knows no image. What a registry does not allow is gone without: where chunks are refused the blob goes in one
request, where a session is lost it begins anew. The digest, which the registry checks, judges in every case.
A session lives as long as this process: another push begins its blob anew.
"""

from __future__ import annotations

import io
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO
from urllib.parse import urlencode

from imagelock.errors import ImageError
from imagelock.registry import PUSH, Registry, open_source
from imagelock.web import UnansweredError

CHUNK_BYTES = 16 << 20
MOST_CHUNK = 128 << 20  # a chunk is held in memory; a registry that wants bigger ones gets the blob whole
FRUITLESS_TRIES = 4  # tries in a row that bring no byte
REFUSED = {400, 405, 415, 416, 501}  # what registries without chunks, or with smaller ones, say to the first
LOST = {404, 416}  # the session is gone, or is at another byte than we think
RANGE = re.compile(r"(?:bytes[= ])?0-(?P<end>\d+)$")


@dataclass
class Upload:
    """A blob under way. `tell` is called with the number of bytes the registry has whenever it changes."""

    registry: Registry
    repository: str
    digest: str
    source: Path | bytes
    tell: Callable[[int], None] = lambda _: None
    pause: float = 1.0
    chunk: int = CHUNK_BYTES
    whole: bool = False  # in one request
    location: str = ""  # of the session, as the registry said last; empty: none
    have: int = 0
    best: int = 0
    fruitless: int = 0
    continued: bool = False

    @property
    def scopes(self) -> tuple[str, ...]:
        """What a token has to allow."""
        return (self.registry.scope(self.repository, PUSH),)

    def complete(self) -> None:
        """Send all of it. ImageError: refused, or the registry stays away."""
        while True:
            before = self.best
            try:
                self.send()
                return
            except UnansweredError as error:
                self.fruitless = 0 if self.best > before else self.fruitless + 1
                if self.fruitless == FRUITLESS_TRIES:
                    raise ImageError(
                        f"sending sha256:{self.digest} broke off after {self.best} bytes ({error}): run the "
                        "command again, whole blobs are not sent twice", code="unreachable",
                    ) from None  # fmt: skip
            time.sleep(self.pause * 2**self.fruitless)

    def send(self) -> None:
        """One try, from where the registry is."""
        with open_source(self.source) as (stream, size):
            if self.location and self.registry.has_blob(self.repository, self.digest):
                return  # only its answer was lost
            if size > self.chunk and not self.whole:
                self.find_session()
                self.note(self.have)
                # A registry that hangs up on chunks from the first byte on may take the blob whole.
                self.whole |= self.fruitless > 1 and not self.best
                while self.have < size and not self.whole:
                    self.send_chunk(stream)
            if size <= self.chunk or self.whole:
                self.begin()
                stream.seek(0)
                self.finish(stream, size)
            else:
                self.finish(io.BytesIO(), 0)
            self.note(size)

    def find_session(self) -> None:
        """Ask an earlier try's session how far it is, or begin one."""
        if not self.location:
            self.begin()
            return
        status, headers, _ = self.registry.ask("GET", self.location, self.scopes)
        match = RANGE.match(headers.get("range", ""))
        if status != 204 or not match:
            self.begin()
            return
        self.move(headers)
        self.continued = True
        end = int(match["end"])
        self.have = end + 1 if end else 0  # registries write 0-0 for nothing

    def begin(self) -> None:
        """A new session."""
        self.location, self.have, self.continued = "", 0, False
        path = self.registry.path(self.repository, "blobs/uploads/")
        status, headers, data = self.registry.ask("POST", path, self.scopes)
        self.expect(status, 202, data, "begin an upload")
        self.move(headers)
        if not self.location:
            raise ImageError(f"the registry {self.registry.address} began an upload and did not say where: "
                             "correct the address", code="unreachable")  # fmt: skip
        least = headers.get("oci-chunk-min-length", "")
        if re.fullmatch(r"\d{1,12}", least) and int(least) > self.chunk:
            self.chunk, self.whole = int(least), int(least) > MOST_CHUNK

    def send_chunk(self, stream: BinaryIO) -> None:
        """The next chunk."""
        stream.seek(self.have)
        data = stream.read(self.chunk)
        sent = {
            "Content-Type": "application/octet-stream", "Content-Length": str(len(data)),
            "Content-Range": f"{self.have}-{self.have + len(data) - 1}",
        }  # fmt: skip
        status, headers, said = self.registry.ask("PATCH", self.location, self.scopes, sent, io.BytesIO(data))
        if status in REFUSED and not self.have:
            self.whole = True
            return
        if status in LOST:
            self.location = ""
            raise UnansweredError(f"it has lost the upload, HTTP {status}")
        self.expect(status, 202, said, f"take a part of the blob sha256:{self.digest}")
        self.move(headers)
        self.note(self.have + len(data))

    def finish(self, body: BinaryIO, size: int) -> None:
        """Name the digest, with the body that is still to come."""
        mark = "&" if "?" in self.location else "?"
        path = f"{self.location}{mark}{urlencode({'digest': f'sha256:{self.digest}'})}"
        sent = {"Content-Type": "application/octet-stream", "Content-Length": str(size)}
        status, _, data = self.registry.ask("PUT", path, self.scopes, sent, body)
        if status in LOST or (status == 400 and self.continued):  # parts it put together wrongly
            self.location = ""
            raise UnansweredError(f"it has lost the upload, HTTP {status}")
        self.expect(status, 201, data, f"store the blob sha256:{self.digest}")

    def expect(self, status: int, wanted: int, data: bytes, what: str) -> None:
        """UnansweredError for what may pass, ImageError for what will not."""
        if status == 429 or status >= 500:
            raise UnansweredError(f"the registry {self.registry.address} said HTTP {status}")
        self.registry.expect(status, wanted, data, what)

    def move(self, headers: dict[str, str]) -> None:
        """Take over the session's newest address."""
        if where := headers.get("location"):
            self.location = self.registry.session_path(where)

    def note(self, have: int) -> None:
        """The registry has this much."""
        self.have, self.best = have, max(self.best, have)
        self.tell(have)
