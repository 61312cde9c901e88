"""Folders that appear whole or not at all, and the hashes that name their content."""

import errno
import fcntl
import hashlib
import os
import shutil
import tempfile
from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from newscore.errors import MENDABLE, NewsError

PARTIAL = ".partial"
FULL = (errno.ENOSPC, errno.EDQUOT)
OF_THE_SYSTEM = {PARTIAL, "lost+found"}
"""What an empty folder may hold: our own leftovers after a kill, and what ext4 puts on a fresh volume."""


@contextmanager
def staged_folder(path: Path) -> Iterator[Path]:
    """Yield an empty scratch folder whose content appears at `path` at once when the block ends well.

    A folder that does not exist yet is made by one rename. An existing empty folder may be a mountpoint,
    which cannot be renamed over, so its entries are staged inside and renamed up. After any exception
    nothing is left; what a killed process left is removed by the next that writes the same folder.
    Raises NewsError when `path` holds something already, or another process is writing it.
    """
    refuse_content(path)
    existed = path.exists()
    missing_parents = [parent for parent in path.parents if not parent.exists()]
    with ExitStack() as stack:
        with making(path):
            scratch = make_scratch(path, existed, stack)
        try:
            yield scratch
            sync_folder(scratch)
            publish(scratch, path, existed)
        except BaseException as error:
            if isinstance(error, OSError) and error.errno in FULL and error.filename is None:
                error.filename = str(path)  # writing to an open file does not say which
            shutil.rmtree(scratch, ignore_errors=True)
            for parent in missing_parents:  # the innermost first
                with suppress(OSError):  # another program may have put something there meanwhile
                    parent.rmdir()
            raise
        shutil.rmtree(scratch, ignore_errors=True)


@contextmanager
def making(path: Path) -> Iterator[None]:
    """Words for a folder that cannot be made: below /proc, under a link to nowhere, where a file stands."""
    try:
        yield
    except OSError as error:
        if error.errno in MENDABLE:  # run_main has the words
            error.filename = error.filename or str(path)
            raise
        raise NewsError(f"{path} cannot be made ({error.strerror}): choose another place.") from error


@contextmanager
def staged_outputs(save_to: Path, names: Sequence[str]) -> Iterator[list[Path]]:
    """Yield an empty folder a name; on success they stand below `save_to`, after an exception nothing does.

    `save_to` holds one command's results and nothing else, so it is absent or empty. An engine may have made
    the named folders, empty, as mountpoints. Raises NewsError for whatever else lies there, and touches none
    of it: earlier results are the user's to remove.
    """
    refuse_content(save_to, names)
    with ExitStack() as stack:
        if save_to.exists():
            yield [stack.enter_context(staged_folder(save_to / name)) for name in names]
            return
        whole = stack.enter_context(staged_folder(save_to))
        folders = [whole / name for name in names]
        for folder in folders:
            folder.mkdir()
        yield folders


def refuse_content(path: Path, but: Collection[str] = ()) -> None:
    """Refuse to write where a file is, or a folder that holds more than an empty one may, and than `but`."""
    for place in (path, *path.parents):
        if place.exists() and not place.is_dir():
            raise NewsError(f"{place} is a file, but a folder is written there: choose another place.")
    names = sorted(entry.name for entry in path.iterdir()) if path.exists() else []
    if held := [name for name in names if name not in {*OF_THE_SYSTEM, *but}]:
        raise NewsError(f"{path} is not empty, it holds {held[0]!r}: choose a new or an empty folder.")


def refuse_inside(save_to: Path, flag: str, folder: Path | None) -> None:
    """Refuse a folder that a command works in among its results, which appear where nothing else is."""
    if folder is not None and folder.resolve().is_relative_to(save_to.resolve()):
        raise NewsError(f"{flag} {folder} lies in --save-to {save_to}: choose a folder outside of it.")


def make_scratch(path: Path, existed: bool, stack: ExitStack) -> Path:
    """An empty folder on the same file system as `path`, so that a rename can publish it.

    Held by this process until `stack` ends: that tells it from the leftover of a killed one.
    """
    if existed:
        scratch = path / PARTIAL
        if scratch.exists() and not remove_leftover(scratch):
            raise NewsError(f"{path} is being written by another process: wait for it, or choose another.")
        scratch.mkdir()
        stack.callback(os.close, hold(scratch))
        return scratch
    path.parent.mkdir(parents=True, exist_ok=True)
    prefix = f".{path.name}{PARTIAL}-"
    for entry in path.parent.iterdir():
        if entry.name.startswith(prefix):
            remove_leftover(entry)
    while True:
        scratch = Path(tempfile.mkdtemp(prefix=prefix, dir=path.parent))
        scratch.chmod(0o755)
        held = hold(scratch)
        if scratch.exists():
            stack.callback(os.close, held)
            return scratch
        os.close(held)  # another process took it for a leftover before it was held


def hold(folder: Path) -> int:
    """A descriptor of the folder, locked until it is closed or this process is gone, however it ends."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    with suppress(OSError):  # a file system without locks
        fcntl.flock(descriptor, fcntl.LOCK_EX)
    return descriptor


def remove_leftover(folder: Path) -> bool:
    """Remove a scratch folder that nobody holds; False where somebody does, or where nobody can tell."""
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(folder, ignore_errors=True)
        return not folder.exists()
    except OSError:
        return False
    finally:
        os.close(descriptor)


def publish(scratch: Path, path: Path, existed: bool) -> None:
    """Rename the finished content into place; interrupted half-way, take it back."""
    if not existed:
        try:
            scratch.rename(path)
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
            raise NewsError(
                f"{path} was filled by another program meanwhile: choose another place."
            ) from error
        return
    moved = []
    try:
        for entry in sorted(scratch.iterdir()):
            moved.append(path / entry.name)
            entry.rename(path / entry.name)
    except BaseException:
        for entry in moved:
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink(missing_ok=True)
        raise


def sync_folder(folder: Path) -> None:
    """Flush every file, so that a rename after a power cut shows whole files only."""
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.is_symlink():
            descriptor = os.open(path, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)


def sha256_file(path: Path) -> str:
    """sha256 of a file's bytes, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sha256_folder(path: Path) -> str:
    """sha256 over the sorted relative names and contents of all files below `path`, in hex."""
    digest = hashlib.sha256()
    for file in sorted(p for p in path.rglob("*") if p.is_file()):
        digest.update(f"{file.relative_to(path).as_posix()}\0{sha256_file(file)}\n".encode())
    return digest.hexdigest()
