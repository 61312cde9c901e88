"""A gzip-compressed tar stream, read within bounds. Trusts nothing in it; writes nothing to the disk.

tarfile is not used: it reads extended headers into memory, and a hostile stream chooses their length.
"""

import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from knitfab.errors import KnitError

_BLOCK: Final = 512
_PIECE: Final = 1 << 18
_GZIP: Final = 31


@dataclass(frozen=True)
class ArchiveLimits:
    """What an archive may cost. Counted while it is read, so a bomb is stopped early."""

    members: int = 1_000_000
    """Entries of any kind."""
    total_bytes: int = 1 << 42
    """Uncompressed bytes."""
    ratio: int = 250
    """Uncompressed bytes to a compressed one, checked after `free_bytes`."""
    free_bytes: int = 1 << 28
    """Uncompressed bytes before the ratio counts: a small file of zeros is no attack."""
    name_bytes: int = 4096
    """A member's whole name."""
    depth: int = 64
    """Folders above a member."""


@dataclass(frozen=True)
class Member:
    """One entry's header. `kind`: file, folder, symlink, hardlink, other."""

    name: str
    kind: str
    size: int
    executable: bool
    target: str


class Inflater:
    """Uncompressed bytes out of compressed pieces, bounded by the limits."""

    def __init__(self, pieces: Iterable[bytes], limits: ArchiveLimits) -> None:
        self._pieces = iter(pieces)
        self._limits = limits
        self._packer = zlib.decompressobj(_GZIP)
        self._pending = b""
        self._ready = b""
        self._offset = 0
        self._packed = 0
        self._unpacked = 0

    def take(self, wanted: int) -> bytes:
        """Between 1 and `wanted` bytes; none at the end of the stream."""
        while self._offset == len(self._ready):
            if not self._pending and not self._next_piece():
                return b""
            self._inflate()
        piece = self._ready[self._offset : self._offset + wanted]
        self._offset += len(piece)
        return piece

    def take_all(self, wanted: int) -> bytes:
        """Exactly `wanted` bytes, or fewer at the end of the stream."""
        gathered = bytearray()
        while len(gathered) < wanted:
            piece = self.take(wanted - len(gathered))
            if not piece:
                break
            gathered += piece
        return bytes(gathered)

    def drain(self) -> None:
        """Reads the rest, so that a checksum over the stream covers all of it."""
        while self.take(_PIECE):
            pass

    def _next_piece(self) -> bool:
        piece = next(self._pieces, None)
        if piece is None:
            if not self._packer.eof:
                raise KnitError("the archive ends too early: send it again", code="corrupt")
            return False
        self._pending = piece
        self._packed += len(piece)
        return True

    def _inflate(self) -> None:
        if self._packer.eof:
            self._packer = zlib.decompressobj(_GZIP)
        try:
            self._ready = self._packer.decompress(self._pending, _PIECE)
            self._offset = 0
        except zlib.error as error:
            raise KnitError(f"the archive is not gzip: {error}", code="corrupt") from error
        self._pending = self._packer.unused_data if self._packer.eof else self._packer.unconsumed_tail
        self._unpacked += len(self._ready)
        limits = self._limits
        if self._unpacked > limits.total_bytes:
            raise KnitError(f"the archive holds more than {limits.total_bytes} bytes", code="too_large")
        if self._unpacked > limits.free_bytes and self._unpacked > limits.ratio * self._packed:
            raise KnitError(f"the archive is compressed more than {limits.ratio}:1", code="too_large")


@dataclass
class _Extended:
    """What extended headers (GNU, PAX) said about the next member."""

    name: str | None = None
    target: str | None = None
    size: int | None = None


def read_members(stream: Inflater, limits: ArchiveLimits) -> Iterator[tuple[Member, Iterator[bytes]]]:
    """Each member with its content; content not read is skipped. Broken headers are `corrupt`."""
    extended = _Extended()
    for _ in range(limits.members):
        header = stream.take_all(_BLOCK)
        if not header.strip(b"\0"):
            stream.drain()
            return
        size, kind = _check_header(header), header[156:157]
        if kind in b"LKxg":
            _extend(extended, kind, _text_block(stream, size, limits))
            continue
        size = extended.size if extended.size is not None else size
        member = _member(header, kind, extended, size)
        if len(member.name.encode()) > limits.name_bytes or member.name.count("/") > limits.depth:
            raise KnitError(f"the archive's member {member.name[:80]!r}… is named too long", code="invalid")
        extended = _Extended()
        content = _content(stream, member.size)
        yield member, content
        for _piece in content:
            pass
        stream.take_all(-member.size % _BLOCK)
    sentence = (
        f"the archive has more than {limits.members:,} members: put many small files into fewer large ones"
    )
    raise KnitError(sentence, code="too_large")


def _content(stream: Inflater, size: int) -> Iterator[bytes]:
    left = size
    while left:
        piece = stream.take(min(left, _PIECE))
        if not piece:
            raise KnitError("the archive ends inside a file: send it again", code="corrupt")
        left -= len(piece)
        yield piece


def _check_header(header: bytes) -> int:
    """The size field of a header whose checksum is right."""
    if len(header) != _BLOCK:
        raise KnitError("the archive ends inside a header: send it again", code="corrupt")
    found = sum(header) - sum(header[148:156]) + 8 * 32
    if found != _number(header[148:156]):
        raise KnitError("the archive is no tar: a header's checksum is wrong", code="corrupt")
    return _number(header[124:136])


def _number(field: bytes) -> int:
    """Octal text, or base 256 when the first bit is set."""
    if field[0] & 0x80:
        number = int.from_bytes(field, "big") & ((1 << (8 * len(field) - 1)) - 1)
        if field[0] & 0x40:
            raise KnitError("the archive is no tar: a header has a negative number", code="corrupt")
        return number
    digits = field.split(b"\0")[0].strip()
    try:
        number = int(digits or b"0", 8)
    except ValueError as error:
        raise KnitError(f"the archive is no tar: {digits!r} is no octal number", code="corrupt") from error
    if number < 0:
        raise KnitError("the archive is no tar: a header has a negative number", code="corrupt")
    return number


def _text(field: bytes) -> str:
    try:
        return field.decode("utf-8")
    except UnicodeDecodeError as error:
        raise KnitError(f"the archive's name {field[:80]!r} is not UTF-8", code="invalid") from error


def _text_block(stream: Inflater, size: int, limits: ArchiveLimits) -> bytes:
    if size > 4 * limits.name_bytes:
        raise KnitError(f"the archive has an extended header of {size} bytes", code="too_large")
    block = stream.take_all(size)
    stream.take_all(-size % _BLOCK)
    if len(block) != size:
        raise KnitError("the archive ends inside a header: send it again", code="corrupt")
    return block


def _extend(extended: _Extended, kind: bytes, block: bytes) -> None:
    """Notes what a GNU (L, K) or PAX (x) header says; a global PAX header (g) says nothing we keep."""
    if kind == b"L":
        extended.name = _text(block.split(b"\0")[0])
    elif kind == b"K":
        extended.target = _text(block.split(b"\0")[0])
    elif kind == b"x":
        _extend_pax(extended, block)


def _extend_pax(extended: _Extended, block: bytes) -> None:
    while block.strip(b"\0"):
        length, _, rest = block.partition(b" ")
        if not length.isdigit() or len(length) > 6 or not len(length) + 1 < int(length) <= len(block):
            raise KnitError("the archive is no tar: a PAX record is broken", code="corrupt")
        key, _, value = rest[: int(length) - len(length) - 2].partition(b"=")
        block = block[int(length) :]
        if key == b"path":
            extended.name = _text(value)
        elif key == b"linkpath":
            extended.target = _text(value)
        elif key == b"size":
            if not value.isdigit() or len(value) > 18:
                raise KnitError("the archive is no tar: a PAX size is broken", code="corrupt")
            extended.size = int(value)
        elif key.startswith(b"GNU.sparse"):
            raise KnitError("the archive has a sparse file: pack it without --sparse", code="invalid")


_KINDS: Final = {b"0": "file", b"\0": "file", b"7": "file", b"5": "folder", b"2": "symlink", b"1": "hardlink"}


def _member(header: bytes, kind: bytes, extended: _Extended, size: int) -> Member:
    name = extended.name
    if name is None:
        name = _text(header[:100].split(b"\0")[0])
        prefix = _text(header[345:500].split(b"\0")[0]) if header[257:263] == b"ustar\0" else ""
        name = f"{prefix}/{name}" if prefix else name
    target = extended.target if extended.target is not None else _text(header[157:257].split(b"\0")[0])
    found = _KINDS.get(kind, "other")
    if found == "file" and name.endswith("/"):
        found = "folder"
    executable = bool(_number(header[100:108]) & 0o100)
    # Only files carry content; a size on anything else is either a mistake or an attack on the reader.
    return Member(name, found, size if found == "file" else 0, executable, target)
