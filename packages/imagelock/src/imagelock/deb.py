"""A Debian package as entries of a layer. Runs no maintainer script, needs no dpkg.

Paths are merged below /usr as Debian 12 has them; only the executable bit of a mode survives, so
nothing in an image is setuid. The package's control paragraph goes to /var/lib/dpkg/status.d, where
vulnerability scanners look in images without a package manager.
"""

from __future__ import annotations

import gzip
import io
import lzma
import re
import shutil
import tarfile
import zlib
from dataclasses import dataclass, replace
from fnmatch import translate
from functools import cache
from pathlib import Path
from typing import IO, BinaryIO

from imagelock.canonical import CHUNK
from imagelock.entry import UNSAFE, UNSAYABLE, Entry, Slice, directory, file_mode, link, literal
from imagelock.errors import ImageError

MAGIC = b"!<arch>\n"
MERGED = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")
SUFFIXES = ("", ".gz", ".xz")
NOTHING = r"(?!)"
CONTROL_BYTES = 1 << 20  # the longest control paragraph that is believed; Debian's longest has some 20 kB
BROKEN = (tarfile.TarError, lzma.LZMAError, gzip.BadGzipFile, zlib.error, EOFError, ValueError)


@dataclass(frozen=True)
class Deb:
    """A package file, its name and version for messages and owners."""

    path: Path
    name: str
    version: str

    @property
    def label(self) -> str:
        """How the package is called as an owner of files."""
        return f"{self.name}={self.version}"


@dataclass(frozen=True)
class Wanted:
    """Which files of packages an image keeps: fnmatch patterns to leave out, and exceptions."""

    leave_out: tuple[str, ...] = ()
    keep: tuple[str, ...] = ()

    def __contains__(self, path: str) -> bool:
        """True when no pattern leaves the path out."""
        left_out, kept = match_any(self.leave_out), match_any(self.keep)
        return not left_out.match(path) or bool(kept.match(path))


@cache
def match_any(patterns: tuple[str, ...]) -> re.Pattern[str]:
    """One expression for many fnmatch patterns, where a match of any counts; none match nothing."""
    return re.compile("|".join(map(translate, patterns)) or NOTHING)


class Window(io.RawIOBase):
    """A part of a file as a file of its own, for the decompressors."""

    def __init__(self, stream: BinaryIO, offset: int, length: int) -> None:
        self.stream, self.position, self.end = stream, offset, offset + length

    def readable(self) -> bool:
        """True: windows are for reading."""
        return True

    def readinto(self, buffer: object) -> int:
        """Fill a buffer from the window."""
        view = memoryview(buffer)  # type: ignore[arg-type]
        self.stream.seek(self.position)
        piece = self.stream.read(min(len(view), self.end - self.position))
        view[: len(piece)] = piece
        self.position += len(piece)
        return len(piece)


def read_deb(deb: Deb, scratch: Path, wanted: Wanted) -> list[Entry]:
    """All entries of a package. Its data archive is unpacked to a file in `scratch`.

    ImageError: not a Debian package, a compression other than xz, gzip or none, a device file.
    """
    try:
        with deb.path.open("rb") as stream:
            parts = read_ar(stream)
            status = literal(f"var/lib/dpkg/status.d/{deb.name}", read_control(stream, parts, deb), deb.label)
            plain = scratch / f"{deb.path.name}.data.tar"
            with open_part(stream, parts, "data.tar", deb) as data, plain.open("wb") as out:
                shutil.copyfileobj(data, out, CHUNK)
        with tarfile.open(plain, "r:") as archive:
            entries = map_members(archive, plain, deb)
    except BROKEN as error:
        raise ImageError(f"{deb.label}: {deb.path.name} is not a sound Debian package: {error}",
                         code="corrupt") from None  # fmt: skip
    return [status, *(entry for entry in entries if entry.path in wanted)]


def read_ar(stream: BinaryIO) -> dict[str, tuple[int, int]]:
    """name → (offset, length) of the members of an ar archive."""
    parts: dict[str, tuple[int, int]] = {}
    if stream.read(len(MAGIC)) != MAGIC:
        raise ValueError("it does not begin like an ar archive")
    position = len(MAGIC)
    while header := stream.read(60):
        name = header[:16].decode("ascii").strip().removesuffix("/")
        length = int(header[48:58])
        position += 60
        if name in parts or length < 0:
            raise ValueError(f"its member {name!r} is there twice or has a negative length")
        parts[name] = position, length
        position += length + length % 2
        stream.seek(position)
    return parts


def open_part(stream: BinaryIO, parts: dict[str, tuple[int, int]], stem: str, deb: Deb) -> IO[bytes]:
    """Open control.tar or data.tar whatever it is packed by."""
    for suffix in SUFFIXES:
        if stem + suffix in parts:
            packed = io.BufferedReader(Window(stream, *parts[stem + suffix]), CHUNK)
            if suffix == ".gz":
                return io.BufferedReader(gzip.GzipFile(fileobj=packed))
            return lzma.LZMAFile(packed) if suffix == ".xz" else packed
    raise ImageError(f"{deb.label}: its {stem} is packed by a method other than xz, gzip or none; "
                     f"the package holds {sorted(parts)}")  # fmt: skip


def read_control(stream: BinaryIO, parts: dict[str, tuple[int, int]], deb: Deb) -> bytes:
    """The control paragraph."""
    with (
        open_part(stream, parts, "control.tar", deb) as packed,
        tarfile.open(fileobj=packed, mode="r|") as archive,
    ):
        for member in archive:
            if member.name not in {"./control", "control"} or not member.isreg():
                continue
            if member.size > CONTROL_BYTES:
                raise ValueError(f"its control file has {member.size} bytes")
            content = archive.extractfile(member)
            assert content is not None, "a regular file has content"
            return content.read()
    raise ValueError("it has no control file")


def map_members(archive: tarfile.TarFile, plain: Path, deb: Deb) -> list[Entry]:
    """Every member as an entry; hard links become copies."""
    entries: dict[str, Entry] = {}
    end = plain.stat().st_size
    for member in archive:
        path = merge_usr(member.name)
        if not path:
            continue
        if member.isdir():
            entries[path] = directory(path, deb.label)
        elif member.issym():
            if UNSAYABLE.search(member.linkname):
                raise ValueError(f"the link {member.name!r} leads to {member.linkname!r}, which is no name")
            entries[path] = link(path, member.linkname, deb.label)
        elif member.islnk():
            source = entries.get(merge_usr(member.linkname))
            if not source or source.kind == "directory":
                raise ValueError(f"{member.name!r} is a hard link to {member.linkname!r}, no file before it")
            entries[path] = replace(source, path=path)
        elif member.isreg() and not member.issparse():
            if member.offset_data + member.size > end:
                raise ValueError(f"{member.name!r} is cut short")
            entries[path] = Entry(
                path, "file", file_mode(bool(member.mode & 0o111)), deb.label, member.size,
                content=Slice(plain, member.offset_data, member.size),
            )  # fmt: skip
        else:
            raise ValueError(f"{member.name!r} is a device, a pipe or a sparse file")
    return list(entries.values())


def merge_usr(name: str) -> str:
    """`./lib/x` → `usr/lib/x`; empty for the root and for the merged folders themselves."""
    path = name.removeprefix("./").strip("/")
    first, _, rest = path.partition("/")
    if path in {"", "."} or path in MERGED:
        return ""
    if UNSAFE.search(path):
        raise ValueError(f"the name {name!r} leaves the archive, is another's second name, or a whiteout")
    return f"usr/{first}/{rest}" if first in MERGED else path
