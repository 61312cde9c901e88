"""An image as it was recorded: in a layout on disk or in a registry, read by digest."""

from __future__ import annotations

import gzip
import hashlib
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import IO, BinaryIO, Protocol

from imagelock.canonical import CHUNK
from imagelock.errors import ImageError
from imagelock.layout import Layout
from imagelock.registry import Registry

BROKEN = (gzip.BadGzipFile, zlib.error, EOFError, tarfile.TarError)


class Recorded(Protocol):
    """Where a recorded image's bytes come from; digests are hex."""

    def manifest(self, digest: str) -> bytes:
        """A manifest's bytes, checked against the digest."""

    def blob(self, digest: str) -> bytes:
        """A small blob's bytes, checked."""

    def open_blob(self, digest: str) -> AbstractContextManager[BinaryIO]:
        """A big blob as a stream, unchecked."""


@dataclass(frozen=True)
class RecordedLayout:
    """A layout on disk."""

    layout: Layout

    def manifest(self, digest: str) -> bytes:
        """The manifest's bytes."""
        return self.layout.read_blob(digest)

    def blob(self, digest: str) -> bytes:
        """A small blob."""
        return self.layout.read_blob(digest)

    @contextmanager
    def open_blob(self, digest: str) -> Iterator[BinaryIO]:
        """A big blob."""
        try:
            stream = self.layout.blob_path(digest).open("rb")
        except FileNotFoundError:
            raise ImageError(f"{self.layout.path} lacks the blob sha256:{digest}",
                             code="missing") from None  # fmt: skip
        with stream:
            yield stream


@dataclass(frozen=True)
class RecordedRegistry:
    """A repository of a registry."""

    registry: Registry
    repository: str

    def manifest(self, digest: str) -> bytes:
        """The manifest's bytes."""
        return self.registry.manifest(self.repository, f"sha256:{digest}")

    def blob(self, digest: str) -> bytes:
        """A small blob."""
        return self.registry.blob(self.repository, digest)

    def open_blob(self, digest: str) -> AbstractContextManager[BinaryIO]:
        """A big blob."""
        return self.registry.open_blob(self.repository, digest)


@dataclass(frozen=True)
class FileFact:
    """What there is to compare of one path."""

    kind: str
    mode: str
    sha256: str
    target: str
    owner: str = ""


def blob_digest(recorded: Recorded, digest: str) -> str:
    """The digest a recorded blob really has."""
    with recorded.open_blob(digest) as stream:
        return hash_stream(stream)


def plain_digest(recorded: Recorded, digest: str) -> str:
    """The hash of a gzip layer's inflated bytes, or empty when it does not inflate."""
    try:
        with recorded.open_blob(digest) as stream, gzip.GzipFile(fileobj=stream) as plain:
            return hash_stream(plain)
    except BROKEN:
        return ""


def hash_stream(stream: IO[bytes] | gzip.GzipFile) -> str:
    """Hex SHA-256 of a stream."""
    found = hashlib.sha256()
    while piece := stream.read(CHUNK):
        found.update(piece)
    return found.hexdigest()


def list_layer(recorded: Recorded, digest: str) -> dict[str, FileFact]:
    """Every path of a recorded layer, read from its tar."""
    with (
        recorded.open_blob(digest) as stream,
        gzip.GzipFile(fileobj=stream) as plain,
        tarfile.open(fileobj=plain, mode="r|") as archive,
    ):
        return {member.name: file_fact(archive, member) for member in archive}


def file_fact(archive: tarfile.TarFile, member: tarfile.TarInfo) -> FileFact:
    """One tar member as a fact."""
    kind = "directory" if member.isdir() else "link" if member.issym() else "file"
    stream = archive.extractfile(member) if member.isreg() else None
    digest = hash_stream(stream) if stream else ""
    return FileFact(kind, f"{member.mode:04o}", digest, member.linkname)
