"""Canonical bytes: the one JSON serializer, the one hash. Knows nothing about images."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
CHUNK = 1 << 16  # small enough to stay in a CPU's own cache between inflating and hashing


def canonical_json(value: object) -> bytes:
    """Sorted keys, no spaces, UTF-8, no trailing newline (an RFC 8785 subset: integers only)."""
    return CANONICAL.encode(value).encode("utf-8")


def readable_json(value: object) -> bytes:
    """Sorted keys, two spaces, a final newline: for files that people open."""
    return (json.dumps(value, sort_keys=True, indent=2, ensure_ascii=False) + "\n").encode("utf-8")


def sha256_bytes(data: bytes) -> str:
    """Hex SHA-256 of some bytes."""
    return hashlib.sha256(data).hexdigest()


def sha256_file(path: Path) -> str:
    """Hex SHA-256 of a file, read in pieces."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def read_pieces(stream: BinaryIO, length: int) -> Iterator[bytes]:
    """Yield exactly `length` bytes in pieces of at most CHUNK; EOFError when they are not there."""
    while length:
        piece = stream.read(min(CHUNK, length))
        if not piece:
            raise EOFError(f"{length} bytes are missing")
        length -= len(piece)
        yield piece
