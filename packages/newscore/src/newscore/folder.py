"""Folders that appear whole or not at all, and the hashes that name their content."""

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from newscore.errors import NewsError

PARTIAL = ".partial"


@contextmanager
def staged_folder(path: Path) -> Iterator[Path]:
    """Yield an empty scratch folder whose content appears at `path` at once when the block ends well.

    A folder that does not exist yet is made by one rename. An existing empty folder may be a mountpoint,
    which cannot be renamed over, so its entries are staged inside and renamed up. After any exception
    nothing is left. Raises NewsError when `path` holds something already.
    """
    if path.exists() and not path.is_dir():
        raise NewsError(f"{path} is a file, but a folder is written there: choose another place.")
    existed = path.exists()
    if existed and any(entry.name != PARTIAL for entry in path.iterdir()):
        raise NewsError(f"{path} is not empty: remove it or choose another place.")
    if existed:
        scratch = path / PARTIAL
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir()
    else:
        path.parent.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=f".{path.name}{PARTIAL}-", dir=path.parent))
        scratch.chmod(0o755)
    try:
        yield scratch
        sync_folder(scratch)
        publish(scratch, path, existed)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def publish(scratch: Path, path: Path, existed: bool) -> None:
    """Rename the finished content into place."""
    if not existed:
        scratch.rename(path)
        return
    for entry in sorted(scratch.iterdir()):
        entry.rename(path / entry.name)


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
