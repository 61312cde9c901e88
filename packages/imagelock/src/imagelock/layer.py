"""Entries to one layer blob and the list of what is in it. Knows no wheel, no package, no image."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO

from imagelock.canonical import canonical_json, read_pieces
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
    blob_path: Path
    files_path: Path | None  # JSON lines: path, kind, mode, size, sha256, target, owner, layer
    comment: str = ""
    media_type: str = MEDIA_TYPE

    def to_json(self) -> dict[str, Any]:
        """For the layer cache: everything but where the files are."""
        row = asdict(self)
        return {key: value for key, value in row.items() if not key.endswith("_path")}


def write_layer(name: str, entries: Iterable[Entry], blob_path: Path, files_path: Path) -> BlobSummary:
    """Write sorted entries as a layer; ImageError when an owner's bytes are not what it promised."""
    with blob_path.open("wb") as out, files_path.open("wb") as files:
        writer = MemberWriter(out)
        for entry in entries:
            writer.stored(entry_header(entry))
            digest = write_content(writer, entry)
            if entry.sha256 and digest != entry.sha256:
                raise ImageError(
                    f"{entry.owner}: {entry.path} has sha256 {digest}, its RECORD says "
                    f"{entry.sha256}; fetch the file again or pick another version",
                    code="corrupt",
                )
            files.write(canonical_json(describe(entry, digest, name)) + b"\n")
        writer.stored(end_of_archive(writer.plain_size))
        return writer.finish()


def write_content(writer: MemberWriter, entry: Entry) -> str:
    """Write an entry's bytes and padding; return their hex SHA-256 (empty when it has none)."""
    if entry.content is None:
        return ""
    if isinstance(entry.content, Slice):
        try:
            with entry.content.path.open("rb") as stream:
                digest = write_slice(writer, stream, entry.content, entry.size)
        except (ValueError, EOFError, zlib.error) as error:
            raise ImageError(f"{entry.owner}: {entry.path} cannot be read: {error}; fetch the file "
                             "again", code="corrupt") from None  # fmt: skip
    else:
        writer.stored(entry.content)
        digest = hashlib.sha256(entry.content).hexdigest()
    writer.stored(padding(entry.size))
    return digest


def write_slice(writer: MemberWriter, stream: BinaryIO, part: Slice, size: int) -> str:
    """Copy a part of a file: transplanted when it is deflated, else stored."""
    stream.seek(part.offset)
    pieces = read_pieces(stream, part.length)
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
