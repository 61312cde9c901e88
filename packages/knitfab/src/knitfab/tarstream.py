"""A folder → one deterministic gzip-compressed tar stream, without buffering it. Knows no network.

Knitfab's rules for the client: regular files and symlinks only (no directory entries, so empty folders are
lost), relative slash paths, sorted. Owner and time are zeroed and the mode reduced to the executable bit:
the same content gives the same bytes.
"""

import hashlib
import os
import posixpath
import stat
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from knitfab.errors import KnitError

_PIECE: Final = 1 << 18
_BLOCK: Final = 512
_RECORD: Final = 20 * _BLOCK
_GZIP: Final = 31
_FASTEST: Final = 1


def pack_folder(source: Path) -> Iterator[bytes]:
    """The gzip-compressed tar of the folder `source`, in pieces; bad content is refused before the first."""
    entries = list_entries(source)
    return _compress(tar_folder(source, entries))


def hash_folder(source: Path) -> str:
    """The sha256 (hex) of the folder's uncompressed tar stream: the same for the same content anywhere."""
    digest = hashlib.sha256()
    for piece in tar_folder(source, list_entries(source)):
        digest.update(piece)
    return digest.hexdigest()


def list_entries(source: Path) -> list[str]:
    """Relative names of all files and symlinks below `source`, sorted; refuses what a tar can't carry."""
    if not source.is_dir():
        kind = "is a file, not a folder" if source.exists() else "does not exist"
        raise KnitError(f"{source} {kind}: only a folder can be pushed", code="missing")
    entries: list[str] = []
    pending = [""]
    while pending:
        prefix = pending.pop()
        with os.scandir(source / prefix) as found:
            for entry in found:
                name = prefix + entry.name
                _check_entry(source, name, entry)
                if entry.is_dir(follow_symlinks=False):
                    pending.append(f"{name}/")
                else:
                    entries.append(name)
    return sorted(entries)


def _check_entry(source: Path, name: str, entry: "os.DirEntry[str]") -> None:
    try:
        name.encode("utf-8")
    except UnicodeEncodeError as error:
        raise KnitError(f"{source}: the name {name!r} is not UTF-8: rename it", code="invalid") from error
    if entry.is_symlink():
        target = str(Path(entry.path).readlink())
        inside = posixpath.normpath(posixpath.join(posixpath.dirname(name), target))
        if target.startswith("/") or inside == ".." or inside.startswith("../"):
            remedy = "copy the folder with its targets (cp -rL)"
            sentence = f"{source / name} links to {target} outside of the folder: {remedy}"
            raise KnitError(sentence, code="invalid")
    elif not entry.is_file(follow_symlinks=False) and not entry.is_dir(follow_symlinks=False):
        raise KnitError(f"{source / name} is neither file, folder nor symlink: remove it", code="invalid")


def tar_folder(source: Path, entries: list[str]) -> Iterator[bytes]:
    """The uncompressed tar of these entries, in pieces."""
    total = 0
    for name in entries:
        for piece in _tar_entry(source / name, name):
            total += len(piece)
            yield piece
    yield bytes(2 * _BLOCK + -(total + 2 * _BLOCK) % _RECORD)


def _tar_entry(path: Path, name: str) -> Iterator[bytes]:
    info = tarfile.TarInfo(name)
    status = path.lstat()
    if stat.S_ISLNK(status.st_mode):
        info.type, info.linkname, info.mode = tarfile.SYMTYPE, str(path.readlink()), 0o777
        yield _header(info)
        return
    with path.open("rb", buffering=0) as content:
        info.size = os.fstat(content.fileno()).st_size
        info.mode = 0o755 if status.st_mode & 0o100 else 0o644
        yield _header(info)
        left = info.size
        while left:
            piece = content.read(min(_PIECE, left))
            if not piece:
                raise KnitError(f"{path} got shorter while it was read: push it again", code="conflict")
            left -= len(piece)
            yield piece
    if info.size % _BLOCK:
        yield bytes(-info.size % _BLOCK)


def _header(info: tarfile.TarInfo) -> bytes:
    return info.tobuf(tarfile.GNU_FORMAT, "utf-8", "strict")


def _compress(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Gathers small pieces first: one call into zlib a header would cost more than the compression."""
    packer = zlib.compressobj(_FASTEST, zlib.DEFLATED, _GZIP)
    gathered = bytearray()
    for piece in pieces:
        gathered += piece
        if len(gathered) >= _PIECE:
            packed = packer.compress(gathered)
            gathered = bytearray()
            if packed:
                yield packed
    yield packer.compress(gathered) + packer.flush()
