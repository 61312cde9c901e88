"""An image as it was recorded: in a layout on disk or in a registry, read by digest."""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import IO, Any, Protocol

from imagelock.canonical import CHUNK
from imagelock.documents import hex_of, is_descriptor, parse_object
from imagelock.errors import ImageError
from imagelock.layout import Layout
from imagelock.registry import Registry
from imagelock.tarheader import MTIME

# Documents that go with an image: beside a layout by name, in a registry as referrers by media type.
ATTACHED = {
    "sbom.cdx.json": "application/vnd.cyclonedx+json",
    "provenance.json": "application/vnd.in-toto+json",
}
GZIP, ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
BROKEN = (gzip.BadGzipFile, zlib.error, EOFError, tarfile.TarError)


@dataclass(frozen=True)
class Blob:
    """What a descriptor promises: digest (hex) and size."""

    digest: str
    size: int


class Recorded(Protocol):
    """Where a recorded image's bytes come from; digests are hex."""

    def manifest(self, digest: str) -> bytes:
        """A manifest's bytes, checked against the digest."""

    def blob(self, digest: str) -> bytes:
        """A small blob's bytes, checked."""

    def open_blob(self, blob: Blob) -> AbstractContextManager[io.BufferedReader[Any]]:
        """A big blob as a stream, unchecked; of one that is longer than promised, a byte more may do."""

    def attached(self, digest: str) -> dict[str, list[bytes]]:
        """The documents that go with a manifest, by the names of ATTACHED."""


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
    def open_blob(self, blob: Blob) -> Iterator[io.BufferedReader[Any]]:
        """A big blob; a file has an end, whatever was promised."""
        try:
            stream = self.layout.blob_path(blob.digest).open("rb")
        except FileNotFoundError:
            raise ImageError(f"{self.layout.path} lacks the blob sha256:{blob.digest}",
                             code="missing") from None  # fmt: skip
        with stream:
            yield stream

    def attached(self, digest: str) -> dict[str, list[bytes]]:
        """The files beside the one image of a layout."""
        if digest != self.layout.manifest_digest():
            return {}
        paths = (self.layout.path / file for file in ATTACHED)
        return {path.name: [path.read_bytes()] for path in paths if path.exists()}


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

    def open_blob(self, blob: Blob) -> AbstractContextManager[io.BufferedReader[Any]]:
        """A big blob, and of what is none at most a byte more: a registry may send for ever."""
        return self.registry.open_blob(self.repository, blob.digest, blob.size + 1)

    def attached(self, digest: str) -> dict[str, list[bytes]]:
        """The referrers of the known kinds."""
        found: dict[str, list[bytes]] = {}
        for row in self.registry.referrers(self.repository, digest) or ():
            for file, media_type in ATTACHED.items():
                if row.get("artifactType") == media_type:
                    found.setdefault(file, []).append(self.attachment(hex_of(row)))
        return found

    def attachment(self, digest: str) -> bytes:
        """The document that a referrer carries; of a damaged one, what is wrong with it."""
        try:
            return self.read_attachment(digest)
        except ImageError as error:
            if error.code != "corrupt":
                raise
            return str(error).encode()

    def read_attachment(self, digest: str) -> bytes:
        """A referrer's one layer."""
        manifest = parse_object(self.manifest(digest), f"the referrer sha256:{digest}")
        layers = manifest.get("layers")
        if not isinstance(layers, list) or len(layers) != 1 or not is_descriptor(layers[0]):
            raise ImageError(f"the referrer sha256:{digest} does not carry one document", code="corrupt")
        return self.blob(hex_of(layers[0]))


@dataclass(frozen=True)
class FileFact:
    """Everything a tar says of one path; `other` is what imagelock itself never writes."""

    kind: str
    mode: str
    sha256: str
    target: str
    owner: str
    mtime: str
    other: str


def blob_digest(recorded: Recorded, layer: Blob) -> str:
    """The digest a recorded layer really has."""
    with recorded.open_blob(layer) as stream:
        return hash_stream(stream)


@contextmanager
def open_plain(recorded: Recorded, layer: Blob) -> Iterator[io.BufferedIOBase]:
    """A layer's tar, packed by gzip or not at all; ImageError for zstd, which Python 3.11 cannot unpack."""
    with recorded.open_blob(layer) as stream:
        magic = stream.peek(len(ZSTD))
        if magic.startswith(ZSTD):
            raise ImageError(
                f"the recorded layer sha256:{layer.digest} is packed by zstd, which cannot be unpacked here: "
                "audit a copy packed by gzip, as `skopeo copy --dest-compress-format gzip` makes one"
            )
        if not magic.startswith(GZIP):
            yield stream
            return
        with gzip.GzipFile(fileobj=stream) as plain:
            yield plain


def plain_digest(recorded: Recorded, layer: Blob) -> str:
    """The hash of a layer's plain bytes, or empty when it does not inflate."""
    try:
        with open_plain(recorded, layer) as plain:
            return hash_stream(plain)
    except BROKEN:
        return ""


def hash_stream(stream: IO[bytes] | io.BufferedIOBase) -> str:
    """Hex SHA-256 of a stream."""
    found = hashlib.sha256()
    while piece := stream.read(CHUNK):
        found.update(piece)
    return found.hexdigest()


def list_layer(recorded: Recorded, layer: Blob) -> dict[str, FileFact]:
    """Every path of a recorded layer, read from its tar."""
    with open_plain(recorded, layer) as plain, tarfile.open(fileobj=plain, mode="r|") as archive:
        return {member.name: file_fact(archive, member) for member in archive}


def listed_fact(row: Mapping[str, str]) -> FileFact:
    """One row of the assembler's list of files as the fact that its tar tells of that path."""
    return FileFact(row["kind"], row["mode"], row["sha256"], row["target"], "0:0", str(MTIME), "0,0")


KINDS = {
    tarfile.DIRTYPE: "directory", tarfile.SYMTYPE: "link", tarfile.LNKTYPE: "hard link",
    tarfile.REGTYPE: "file", tarfile.AREGTYPE: "file",
}  # fmt: skip


def file_fact(archive: tarfile.TarFile, member: tarfile.TarInfo) -> FileFact:
    """One tar member as a fact."""
    stream = archive.extractfile(member) if member.isreg() else None
    digest = hash_stream(stream) if stream else ""
    owner = f"{member.uid}:{member.gid} {member.uname}:{member.gname}".rstrip(" :")
    # A path too long for the header is in a pax record too; it was compared as the path.
    pax = {key: value for key, value in member.pax_headers.items() if key not in {"path", "linkpath"}}
    other = f"{member.devmajor},{member.devminor} {pax or ''}".strip()
    return FileFact(
        KINDS.get(member.type, f"type {member.type!r}"), f"{member.mode:04o}", digest, member.linkname,
        owner, str(member.mtime), other,
    )  # fmt: skip
