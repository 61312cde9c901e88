"""Many owners' entries to one layer's entries: folders merge, equal bytes merge, the rest is told.

Two owners that write different bytes to one path fail here, unless image.toml names the winner.
"""

from __future__ import annotations

import hashlib
import unicodedata
import zlib
from collections import defaultdict
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase

from imagelock.canonical import read_pieces
from imagelock.entry import Entry, Slice, directory
from imagelock.errors import ImageError

PARENT_OWNER = "skeleton"


def read_content(entry: Entry) -> bytes:
    """The bytes of a small file entry."""
    content = entry.content
    if isinstance(content, Slice):
        with content.path.open("rb") as stream:
            stream.seek(content.offset)
            data = b"".join(read_pieces(stream, content.length))
        return zlib.decompress(data, -zlib.MAX_WBITS) if content.deflated else data
    return content or b""


def content_hash(entry: Entry) -> str:
    """What is at a path, as something to compare: bytes, or where a link points."""
    if entry.kind == "link":
        return f"link:{entry.target}"
    if isinstance(entry.content, bytes) or not entry.sha256:
        return hashlib.sha256(read_content(entry)).hexdigest()
    return entry.sha256


def find_losers(owners: Iterable[list[Entry]], winners: Mapping[str, str]) -> set[tuple[str, str]]:
    """(owner, path) of every file that must give way to another owner's different bytes.

    ImageError names the first path on which no winner was declared.
    """
    by_path: dict[str, list[Entry]] = defaultdict(list)
    for entries in owners:
        for entry in entries:
            if entry.kind != "directory":
                by_path[entry.path].append(entry)
    losers: set[tuple[str, str]] = set()
    for path, rivals in sorted(by_path.items()):
        if len(rivals) > 1 and len({content_hash(rival) for rival in rivals}) > 1:
            winner = pick_winner(path, rivals, winners)
            losers |= {(rival.owner, path) for rival in rivals if rival.owner != winner}
    return losers


def pick_winner(path: str, rivals: list[Entry], winners: Mapping[str, str]) -> str:
    """The owner that image.toml's [winners] names for a path."""
    owners = [rival.owner for rival in rivals]
    for pattern, name in winners.items():
        if fnmatchcase(path, pattern):
            for owner in owners:
                if owner_name(owner) == name:
                    return owner
    raise ImageError(
        f"{' and '.join(sorted(owners))} write different bytes to {path}: name the winner in "
        f'[winners] of image.toml, like "{path}" = "{owner_name(owners[0])}"',
        code="conflict",
    )


def owner_name(owner: str) -> str:
    """`numpy==2.4.6` or `libc6=2.36` without its version."""
    return owner.partition("=")[0]


def merge_entries(entries: Iterable[Entry], below: str = "") -> list[Entry]:
    """Sorted entries of one layer, each path once, with the parent folders that lie below `below`.

    The first owner of a path keeps it. ImageError: a path that is a file here and a folder there,
    a path below a link, a name that is not NFC.
    """
    merged: dict[str, Entry] = {}
    for entry in entries:
        first = merged.setdefault(entry.path, entry)
        if first.kind != entry.kind:
            raise ImageError(f"{first.owner} has {entry.path} as a {first.kind}, {entry.owner} as "
                             f"a {entry.kind}; leave one of them out", code="conflict")  # fmt: skip
    for path in list(merged):
        add_parents(merged, path, below)
        if not path.isascii() and not unicodedata.is_normalized("NFC", path):
            raise ImageError(f"{merged[path].owner}: the name {path!r} is not in NFC form")
    return [merged[path] for path in sorted(merged, key=lambda path: path.encode("utf-8"))]


def add_parents(merged: dict[str, Entry], path: str, below: str) -> None:
    """Put in the folders above a path that nobody brought, as far as they lie below `below`."""
    parent = path.rpartition("/")[0]
    while parent and parent.startswith(below):
        known = merged.get(parent)
        if known and known.kind != "directory":
            raise ImageError(f"{merged[path].owner} puts {path} below {parent}, which is a "
                             f"{known.kind} of {known.owner}", code="conflict")  # fmt: skip
        if known:
            return  # its own parents are put in when its turn comes, or were when it was put in
        merged[parent] = directory(parent, PARENT_OWNER)
        parent = parent.rpartition("/")[0]
