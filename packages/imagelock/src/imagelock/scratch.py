"""Scratch folders beside what they will become, and where killed processes' leftovers go.

A finished thing is renamed out of its scratch folder, so nobody ever sees half of it.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PREFIX = ".imagelock-"
STALE_SECONDS = 24 * 3600


@contextmanager
def scratch_folder(parent: Path) -> Iterator[Path]:
    """An empty folder below `parent`, removed at the end; leftovers over a day old go first."""
    parent.mkdir(parents=True, exist_ok=True)
    sweep(parent)
    path = parent / f"{PREFIX}{os.urandom(8).hex()}"  # named first, so that it is known what to remove
    try:
        path.mkdir(mode=0o700)
        yield path
    finally:
        try:
            shutil.rmtree(path, ignore_errors=True)
        finally:  # once more, since a signal may have ended the first attempt
            shutil.rmtree(path, ignore_errors=True)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A folder whose content takes the place of `path` at the end; on an error nothing changes."""
    with scratch_folder(path.parent) as scratch:
        fresh = scratch / "fresh"
        fresh.mkdir()
        yield fresh
        if path.exists():
            path.rename(scratch / "old")
        fresh.rename(path)


def sweep(parent: Path) -> None:
    """Remove what a killed process left here."""
    now = time.time()
    for path in parent.glob(f"{PREFIX}*"):
        try:
            if now - path.stat().st_mtime > STALE_SECONDS:
                shutil.rmtree(path, ignore_errors=True)
        except FileNotFoundError:
            continue
