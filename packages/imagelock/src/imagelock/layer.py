"""Entries to one layer blob and the list of what is in it. Knows no wheel, no package, no image."""

from __future__ import annotations

import hashlib
import os
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from imagelock.canonical import CHUNK, canonical_json
from imagelock.entry import Entry, Slice
from imagelock.errors import ImageError
from imagelock.members import BlobSummary, MemberWriter
from imagelock.tarheader import end_of_archive, entry_header, padding

MEDIA_TYPE = "application/vnd.oci.image.layer.v1.tar+gzip"


@dataclass(frozen=True)
class LayerResult:
    """A finished layer: its name in the lock, what it is known by, and its two files."""

    name: str
    digest: str
    size: int
    diff_id: str
    diff_size: int
    blob_path: Path | None  # None when only its digests were asked for
    files_path: Path  # JSON lines: path, kind, mode, size, sha256, target, owner, layer
    comment: str = ""
    media_type: str = MEDIA_TYPE

    def to_json(self) -> dict[str, Any]:
        """For the layer cache: everything but where the files are."""
        row = asdict(self)
        return {key: value for key, value in row.items() if not key.endswith("_path")}


class Sources:
    """The files that slices lie in, each opened once: a layer's entries come from few files."""

    def __init__(self) -> None:
        self.opened: dict[Path, int] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for number in self.opened.values():
            os.close(number)

    def pieces(self, part: Slice) -> Iterator[bytes]:
        """The bytes of a slice in pieces of at most CHUNK; EOFError when they are not there."""
        number = self.opened.get(part.path)
        if number is None:
            number = self.opened[part.path] = os.open(part.path, os.O_RDONLY | os.O_CLOEXEC)
        offset, end = part.offset, part.offset + part.length
        while offset < end:
            piece = os.pread(number, min(CHUNK, end - offset), offset)
            if not piece:
                raise EOFError(f"{end - offset} bytes are missing")
            offset += len(piece)
            yield piece


def write_layer(name: str, entries: Iterable[Entry], blob_path: Path | None, files_path: Path) -> BlobSummary:
    """Write sorted entries as a layer, or only hash what would be written when there is no `blob_path`.

    ImageError when an owner's bytes are not what it promised.
    """
    blob = blob_path or Path(os.devnull)
    with blob.open("wb", buffering=0) as out, files_path.open("wb") as files, Sources() as sources:
        writer = MemberWriter(out)
        for entry in entries:
            writer.stored(entry_header(entry))
            digest = write_content(writer, entry, sources)
            if entry.sha256 and digest != entry.sha256:
                raise unsound(entry, f"has sha256 {digest}, its RECORD says {entry.sha256}")
            files.write(canonical_json(describe(entry, digest, name)) + b"\n")
        writer.stored(end_of_archive(writer.plain_size))
        return writer.finish()


def write_content(writer: MemberWriter, entry: Entry, sources: Sources) -> str:
    """Write an entry's bytes and padding; return their hex SHA-256 (empty when it has none)."""
    if entry.content is None:
        return ""
    if isinstance(entry.content, Slice):
        try:
            digest = write_slice(writer, sources.pieces(entry.content), entry.content, entry.size)
        except (ValueError, EOFError, zlib.error) as error:
            raise unsound(entry, f"cannot be read ({error})") from None
    else:
        writer.stored(entry.content)
        digest = hashlib.sha256(entry.content).hexdigest()
    writer.stored(padding(entry.size))
    return digest


def unsound(entry: Entry, said: str) -> ImageError:
    """An owner's bytes are not what it promised: by the file in the cache, or by how it was made."""
    anew = f"delete {entry.content.path} to fetch it anew, or " if isinstance(entry.content, Slice) else ""
    return ImageError(f"{entry.owner}: {entry.path!r} {said}: {anew}pick another version", code="corrupt")


def write_slice(writer: MemberWriter, pieces: Iterable[bytes], part: Slice, size: int) -> str:
    """Copy a part of a file: transplanted when it is deflated, else stored."""
    if part.deflated:
        return writer.transplant(pieces, part.crc, size)
    digest = hashlib.sha256()
    for piece in pieces:
        digest.update(piece)
        writer.stored(piece)
    return digest.hexdigest()


def describe(entry: Entry, digest: str, layer: str) -> dict[str, object]:
    """One line of the file list."""
    return {
        "path": entry.path,
        "kind": entry.kind,
        "mode": f"{entry.mode:04o}",
        "size": entry.size,
        "sha256": digest,
        "target": entry.target,
        "owner": entry.owner,
        "layer": layer,
    }
