"""A gzip-compressed tar stream → files below one folder, and nowhere else. Shared by client and engine.

Refused: absolute names, `..`, symlinks that leave the folder, hard links, devices, names used twice, and
archives over the limits. Every file is opened relative to its folder's descriptor, never through a symlink.
"""

import errno
import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from knitfab.errors import KnitError
from knitfab.tarreader import ArchiveLimits, Inflater, Member, read_members

_FOLDER_FLAGS: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE_FLAGS: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_DEFAULT_LIMITS: Final = ArchiveLimits()
_FULL: Final = (errno.ENOSPC, errno.EDQUOT)


def extract_archive(
    pieces: Iterable[bytes],
    target: Path,
    limits: ArchiveLimits = _DEFAULT_LIMITS,
    durable: bool = False,
) -> int:
    """Writes the archive below the existing folder `target`; returns the bytes of content written.

    `durable` flushes every file and folder to the disk. On an error (`invalid`, `corrupt`, `too_large`,
    `no_space`) part of the content may stand in `target`: the caller removes it.
    """
    root = os.open(target, _FOLDER_FLAGS)
    try:
        return _extract(root, Inflater(pieces, limits), limits, durable)
    except OSError as error:
        if error.errno in _FULL:
            raise KnitError(
                f"no space left for {target}: free some and try again", code="no_space"
            ) from error
        if error.errno in (errno.ENAMETOOLONG, errno.EILSEQ, errno.EINVAL):
            raise KnitError(
                f"the archive has a name this disk can not hold: {error}", code="invalid"
            ) from error
        raise
    finally:
        os.close(root)


def _extract(root: int, stream: Inflater, limits: ArchiveLimits, durable: bool) -> int:
    total = 0
    folders: dict[str, None] = {}
    parents = _Parents(root)
    try:
        for member, content in read_members(stream, limits):
            parts = _safe_parts(member.name)
            if not parts:
                _check_root(member)
                continue
            _write(parents.open(parts[:-1]), parts, member, content, durable)
            total += member.size
            if durable:
                folders["/".join(parts[:-1])] = None
    finally:
        parents.close()
    for folder in folders:
        _sync_upwards(root, folder)
    return total


class _Parents:
    """The folder of the last member, kept open: most members lie beside the one before."""

    def __init__(self, root: int) -> None:
        self._root = root
        self._parts: list[str] = []
        self._open = os.dup(root)

    def open(self, parts: list[str]) -> int:
        if parts != self._parts:
            inner = _open_parent(self._root, parts)
            os.close(self._open)
            self._parts, self._open = parts, inner
        return self._open

    def close(self) -> None:
        os.close(self._open)


def _safe_parts(name: str) -> list[str]:
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if name.startswith("/") or ".." in parts or "\0" in name:
        raise KnitError(f"the archive's member {name!r} leaves the folder", code="invalid")
    return parts


def _check_root(member: Member) -> None:
    """The folder itself may be a member, as `.` of tar. A file there is what `knit data push FILE` sends."""
    if member.kind != "folder":
        sentence = f"the archive's member {member.name!r} is no folder: push the folder that holds the file"
        raise KnitError(sentence, code="invalid")


def _open_parent(root: int, parts: list[str]) -> int:
    """A descriptor of the folder `parts`, made where missing; a symlink on the way is refused."""
    here = os.dup(root)
    try:
        for part in parts:
            with suppress(FileExistsError):
                os.mkdir(part, 0o755, dir_fd=here)
            here = _step(here, part)
    except BaseException:
        os.close(here)
        raise
    return here


def _step(here: int, part: str) -> int:
    try:
        inner = os.open(part, _FOLDER_FLAGS, dir_fd=here)
    except OSError as error:
        if error.errno in (errno.ENOTDIR, errno.ELOOP):
            raise KnitError(
                f"the archive writes below {part!r}, which is no folder", code="invalid"
            ) from error
        raise
    os.close(here)
    return inner


def _write(parent: int, parts: list[str], member: Member, content: Iterator[bytes], durable: bool) -> None:
    name = parts[-1]
    try:
        if member.kind == "file":
            _write_file(parent, name, member, content, durable)
        elif member.kind == "symlink":
            _check_link(parts, member)
            os.symlink(member.target, name, dir_fd=parent)
        elif member.kind == "folder":
            _make_folder(parent, name)
        else:
            sentence = f"the archive's member {member.name!r} is no file, folder or symlink"
            raise KnitError(sentence, code="invalid")
    except FileExistsError as error:
        raise KnitError(f"the archive has {member.name!r} twice", code="invalid") from error


def _make_folder(parent: int, name: str) -> None:
    try:
        os.mkdir(name, 0o755, dir_fd=parent)
    except FileExistsError:
        os.close(os.open(name, _FOLDER_FLAGS, dir_fd=parent))


def _write_file(parent: int, name: str, member: Member, content: Iterator[bytes], durable: bool) -> None:
    descriptor = os.open(name, _FILE_FLAGS, 0o755 if member.executable else 0o644, dir_fd=parent)
    try:
        for piece in content:
            rest = memoryview(piece)
            while rest:
                rest = rest[os.write(descriptor, rest) :]
        if durable:
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _check_link(parts: list[str], member: Member) -> None:
    """A target may climb first, within the folder, and then only descend.

    `a/b/../../..` is refused even where it ends inside: `a/b` may itself be a symlink, and `..` then leaves
    from its target.
    """
    steps = member.target.split("/")
    climbs = 0
    while climbs < len(steps) and steps[climbs] == "..":
        climbs += 1
    outside = member.target.startswith("/") or climbs > len(parts) - 1 or ".." in steps[climbs:]
    if outside or not member.target or "\0" in member.target:
        remedy = "link within it, or pack what is linked to (knit data push --dereference)"
        sentence = f"the archive's symlink {member.name!r} → {member.target!r} may leave the folder: {remedy}"
        raise KnitError(sentence, code="invalid")


def _sync_upwards(root: int, folder: str) -> None:
    parts = folder.split("/") if folder else []
    for depth in range(len(parts), -1, -1):
        descriptor = _open_parent(root, parts[:depth])
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
