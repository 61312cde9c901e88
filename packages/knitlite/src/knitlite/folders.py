"""The folders of one engine on the disk: where things lie, and moves that survive a kill. Knows no database.

DIR/data/<knit_id>      content of finished Data; appears by one rename, read-only from then on
DIR/runs/<run_id>       a Run's own folder while it executes: root/ (its mountpoints), scratch/, log/log
DIR/incoming/<knit_id>  an upload on its way
DIR/garbage/            renamed here first, then deleted, so nothing is ever half deleted in place
"""

import contextlib
import ctypes
import errno
import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from uuid import uuid4

_LIBC: Final = ctypes.CDLL(None, use_errno=True)
_MANY: Final = 100
"""From so many files on, one flush of the whole disk costs less than one for each."""
_WRITE_BITS: Final = stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH


class Folders:
    """Paths and durable moves below one root."""

    def __init__(self, root: Path) -> None:
        """Make the folders that are missing."""
        self.root = root
        self.data = root / "data"
        self.runs = root / "runs"
        self.incoming = root / "incoming"
        self.garbage = root / "garbage"
        for path in (self.data, self.runs, self.incoming, self.garbage):
            path.mkdir(parents=True, exist_ok=True)
        sync_path(root)

    def data_path(self, knit_id: str) -> Path:
        """Where the content of finished Data lies."""
        return self.data / knit_id

    def explain_missing(self, knit_id: str) -> str:
        """What to do where finished Data have no content: only somebody else can have removed it."""
        return f"the content of Data {knit_id} is missing: restore {self.data_path(knit_id)} from a backup"

    def run_path(self, run_id: str) -> Path:
        """The folder a Run executes in."""
        return self.runs / run_id

    def incoming_path(self, knit_id: str) -> Path:
        """Where an upload is written to."""
        return self.incoming / knit_id

    def publish(self, source: Path, knit_id: str) -> None:
        """Make `source` the content of Data, durably. Repeating it after a kill is harmless.

        A missing source becomes empty content: a Run that was stopped before it wrote has outputs, too.
        """
        target = self.data_path(knit_id)
        if is_real_folder(source):
            open_tree(source)
            seal(source)
            source.rename(target)
        elif not target.exists():
            target.mkdir()
        seal_folder(target)
        sync_path(self.data)

    def publish_nothing(self, knit_id: str) -> None:
        """Make an empty folder the content of Data, unless they have some."""
        self.publish(self.incoming / "nothing", knit_id)

    def discard(self, path: Path) -> None:
        """Remove a folder and all in it; nothing happens when it does not exist.

        What can't be deleted (what a container left shut, a mount) stays in the garbage.
        """
        if not is_real_folder(path):
            path.unlink(missing_ok=True)
            return
        open_folder(path)
        doomed = self.garbage / uuid4().hex
        path.rename(doomed)
        with contextlib.suppress(OSError):
            remove_tree(doomed)

    def empty_garbage(self) -> list[OSError]:
        """Delete what an earlier process had no time to delete; why some of it can't be."""
        refused = []
        for path in self.garbage.iterdir():
            try:
                remove_tree(path)
            except OSError as error:
                refused.append(error)
        return refused

    def names(self, folder: Path) -> set[str]:
        """The names lying directly in one of the folders."""
        return {path.name for path in folder.iterdir()}


def is_real_folder(path: Path) -> bool:
    """Whether this is a folder itself, not a link to one."""
    return path.is_dir() and not path.is_symlink()


def seal(folder: Path) -> None:
    """Write every file through to the disk and take the write permission off all but the top folder.

    Only then is the content safe to be renamed into place: after a power cut it is there whole or not at all.
    """
    paths = [path for path in _walk(folder) if not path.is_symlink()]
    for path in paths:
        _change_mode(path, remove=_WRITE_BITS)
    if len(paths) > _MANY:
        sync_disk(folder)
        return
    for path in (*paths, folder):
        sync_path(path)


def seal_folder(path: Path) -> None:
    """Write one folder's list of names through to the disk and make it read-only."""
    sync_path(path)
    _change_mode(path, remove=_WRITE_BITS)


def link_tree(source: Path, target: Path) -> None:
    """The same tree at a second place, sharing its files: what is removed there stays here.

    Real folders, because tools such as `find` do not enter a linked one. A file that can not be
    shared (another owner has it) is copied.
    """
    target.mkdir(parents=True)
    with os.scandir(source) as entries:
        for entry in entries:
            place = target / entry.name
            if entry.is_dir(follow_symlinks=False):
                link_tree(Path(entry.path), place)
                continue
            try:
                os.link(entry.path, place, follow_symlinks=False)
            except OSError as error:
                if error.errno not in (errno.EPERM, errno.EMLINK, errno.EXDEV):
                    raise
                shutil.copy2(entry.path, place, follow_symlinks=False)
    _change_mode(target, remove=_WRITE_BITS)


def open_tree(folder: Path) -> None:
    """Let us read everything below a folder, whatever permissions a job gave it."""
    open_folder(folder)
    for path in _walk(folder, top_down=True):
        mode = path.lstat().st_mode
        if stat.S_ISDIR(mode):
            open_folder(path)
        elif stat.S_ISREG(mode) and not mode & stat.S_IRUSR:
            _change_mode(path, add=stat.S_IRUSR)


def open_folder(path: Path) -> None:
    """Make a folder writable for us again: only so can it be moved or emptied."""
    _change_mode(path, add=stat.S_IRWXU)


def _change_mode(path: Path, *, add: int = 0, remove: int = 0) -> None:
    old = stat.S_IMODE(path.lstat().st_mode)
    new = (old | add) & ~remove
    if new != old:
        # Another user's file, left by a container: whoever reads it next will tell if that does not work.
        with contextlib.suppress(PermissionError):
            path.chmod(new)


def sync_path(path: Path) -> None:
    """Write one file or folder through to the disk."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_disk(folder: Path) -> None:
    """Write all that waits for the folder's disk through to it.

    Thousands of files one by one would take milliseconds each.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        if _LIBC.syncfs(descriptor) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), str(folder))
    finally:
        os.close(descriptor)


def remove_tree(path: Path) -> None:
    """Delete a folder whatever permissions its content has."""
    if not is_real_folder(path):
        path.unlink(missing_ok=True)
        return
    try:
        shutil.rmtree(path)
    except PermissionError:
        open_tree(path)
        shutil.rmtree(path)


def _walk(folder: Path, *, top_down: bool = False) -> Iterator[Path]:
    """Everything below a folder, links not followed; folders before or after their content."""
    with os.scandir(folder) as entries:
        paths = [(Path(entry.path), entry.is_dir(follow_symlinks=False)) for entry in entries]
    for path, is_folder in paths:
        if is_folder and top_down:
            yield path
        if is_folder:
            yield from _walk(path, top_down=top_down)
        if not (is_folder and top_down):
            yield path
