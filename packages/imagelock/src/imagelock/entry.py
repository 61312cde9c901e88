"""An entry of a layer: one path with its mode, owner and where its bytes come from.

Knows nothing about tar, gzip or where layers go.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal as Choice

# What neither a path nor a link's target can hold: NUL, and bytes that were no UTF-8 (Python's surrogates).
UNSAYABLE = re.compile(r"[\0\ud800-\udfff]")
# What no path of a layer may be besides: absolute, with an empty, `.` or `..` component, which would make it
# a second name of another path, or a whiteout, which would delete a file of a lower layer (OCI, layer.md).
UNSAFE = re.compile(UNSAYABLE.pattern + r"|(^|/)\.{0,2}(/|$)|(^|/)\.wh\.")
DIRECTORY_MODE, FILE_MODE, PROGRAM_MODE, LINK_MODE = 0o755, 0o644, 0o755, 0o777


@dataclass(frozen=True, slots=True)
class Slice:
    """Bytes that lie in a file: plain, or as a raw deflate stream whose CRC-32 is known."""

    path: Path
    offset: int
    length: int  # bytes in the file
    deflated: bool = False
    crc: int = 0  # of the inflated bytes; only read when `deflated`


@dataclass(frozen=True, slots=True)
class Entry:
    """One path of a layer, without a leading slash. `content` is None for links and folders."""

    path: str
    kind: Choice["file", "directory", "link"]
    mode: int
    owner: str  # the package, wheel or workspace folder that brought it
    size: int = 0
    target: str = ""
    content: Slice | bytes | None = None
    sha256: str = ""  # what the owner says of its bytes; empty when it says nothing


def file_mode(executable: bool) -> int:
    """Only the executable bit survives: 0755 or 0644, whatever the umask was."""
    return PROGRAM_MODE if executable else FILE_MODE


def literal(path: str, data: bytes, owner: str, *, executable: bool = False) -> Entry:
    """A file whose bytes are at hand."""
    return Entry(path, "file", file_mode(executable), owner, len(data), content=data)


def directory(path: str, owner: str, mode: int = DIRECTORY_MODE) -> Entry:
    """A folder."""
    return Entry(path, "directory", mode, owner)


def link(path: str, target: str, owner: str) -> Entry:
    """A symbolic link."""
    return Entry(path, "link", LINK_MODE, owner, target=target)
