"""A gzip file made of many members without a compressor. Knows nothing about tar or wheels.

A wheel is a zip of raw deflate streams and gzip members may be concatenated, so a file of a wheel
becomes one member around the wheel's own deflate bytes. Everything else goes in as stored blocks.
No compressor runs: the bytes depend on the inputs and on this file alone.
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import BinaryIO

# gzip header: no time, no name, no extra flags, operating system unknown (255).
MEMBER_HEAD = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
STORED_BLOCK = 65535
INFLATE = 1 << 18  # how much is inflated at a time; no byte depends on it
STORED_MEMBER = 1 << 20  # stored bytes are gathered to members of this size: part of format 1
WRITE = 1 << 17  # how much of the file is hashed and written at a time; no byte depends on it


@dataclass(frozen=True)
class BlobSummary:
    """What a finished blob is known by."""

    digest: str
    size: int
    diff_id: str
    diff_size: int


class MemberWriter:
    """Writes stored and transplanted members; hashes the file and what it inflates to."""

    def __init__(self, out: BinaryIO) -> None:
        self.out = out
        self.file_hash = hashlib.sha256()
        self.plain_hash = hashlib.sha256()
        self.size = 0
        self.plain_size = 0
        self.waiting = bytearray()  # bytes of the stored member that is being gathered
        self.unwritten = bytearray()  # bytes of the file, gathered since small writes are dear

    def stored(self, data: bytes) -> None:
        """Add bytes as they are."""
        self.plain_size += len(data)
        self.waiting += data
        while len(self.waiting) >= STORED_MEMBER:
            self.write_stored(bytes(self.waiting[:STORED_MEMBER]))
            del self.waiting[:STORED_MEMBER]

    def transplant(self, pieces: Iterable[bytes], crc: int, size: int) -> str:
        """Add one raw deflate stream; return the hex SHA-256 of what it inflates to.

        ValueError when the stream, its CRC-32 or its size is not what was said.
        """
        self.flush()
        self.put(MEMBER_HEAD)
        inflate = zlib.decompressobj(-zlib.MAX_WBITS)
        file_hash = hashlib.sha256()
        seen_crc = seen_size = 0
        for piece in pieces:
            self.put(piece)
            plain = inflate.decompress(piece, INFLATE)
            # All input may be taken while output is still to come: only an empty answer is the end.
            while plain:
                self.plain_hash.update(plain)
                file_hash.update(plain)
                seen_crc = zlib.crc32(plain, seen_crc)
                seen_size += len(plain)
                plain = b"" if inflate.eof else inflate.decompress(inflate.unconsumed_tail, INFLATE)
        if not inflate.eof or inflate.unused_data or seen_crc != crc or seen_size != size:
            raise ValueError("the deflate stream does not give the bytes its directory promises")
        self.put(struct.pack("<II", crc, size & 0xFFFFFFFF))
        self.plain_size += size
        return file_hash.hexdigest()

    def flush(self) -> None:
        """End the stored member that is being gathered."""
        if self.waiting:
            self.write_stored(bytes(self.waiting))
            self.waiting.clear()

    def finish(self) -> BlobSummary:
        """Write what waits and say what the blob is."""
        self.flush()
        self.write()
        return BlobSummary(
            self.file_hash.hexdigest(), self.size, self.plain_hash.hexdigest(), self.plain_size
        )

    def write_stored(self, data: bytes) -> None:
        """One member of stored blocks."""
        self.plain_hash.update(data)
        parts = [MEMBER_HEAD]
        for start in range(0, len(data), STORED_BLOCK):
            block = data[start : start + STORED_BLOCK]
            last = start + STORED_BLOCK >= len(data)
            parts += [struct.pack("<BHH", last, len(block), len(block) ^ 0xFFFF), block]
        parts.append(struct.pack("<II", zlib.crc32(data), len(data)))
        self.put(b"".join(parts))

    def put(self, data: bytes) -> None:
        """Add bytes to the file itself."""
        self.unwritten += data
        if len(self.unwritten) >= WRITE:
            self.write()

    def write(self) -> None:
        """Hash and write what was gathered."""
        self.file_hash.update(self.unwritten)
        self.out.write(self.unwritten)
        self.size += len(self.unwritten)
        self.unwritten.clear()
