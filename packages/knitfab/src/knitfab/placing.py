"""A folder that appears with all its content or not at all. Knows nothing of what is written into it."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from knitfab.errors import KnitError


@contextmanager
def placed_folder(target: Path) -> Iterator[Path]:
    """An empty scratch folder whose content is at `target` (new, or an empty folder) after a clean exit.

    On any exception nothing is left. An existing empty folder may be a mountpoint, which can't be renamed
    over: there the entries are moved up one by one.
    """
    exists = target.is_dir()
    if target.is_symlink() or (target.exists() and not exists):
        raise KnitError(f"{target} is not a folder: name a new or empty one", code="invalid")
    if exists and next(target.iterdir(), None) is not None:
        raise KnitError(f"{target} is not empty: name a new or empty folder", code="invalid")
    parent = target if exists else target.parent
    try:
        parent.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=".partial-", dir=parent))
    except OSError as error:
        raise KnitError(f"{parent} can not be written: {error.strerror}", code="invalid") from error
    try:
        scratch.chmod(0o755)
        yield scratch
        if exists:
            for entry in scratch.iterdir():
                entry.rename(target / entry.name)
        else:
            scratch.rename(target)
    finally:
        if scratch.exists():
            shutil.rmtree(scratch)
