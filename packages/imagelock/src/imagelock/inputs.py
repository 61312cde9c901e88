"""Locked files by hash: a cache on disk that many images share, or a list of given paths.

While a lock is being made a row may have the size 0: not known yet. Knows no address. What is in
the cache was hashed on its way in; an audit hashes it again.
"""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Protocol

from imagelock.canonical import sha256_file
from imagelock.errors import ImageError
from imagelock.lockfile import LockedBlob, LockedDeb, LockedWheel

Locked = LockedDeb | LockedWheel | LockedBlob


class Inputs(Protocol):
    """Where locked files lie."""

    def find(self, row: Locked) -> Path | None:
        """The file of a row, or None when it is not there."""


@dataclass(frozen=True)
class InputCache:
    """`<folder>/<sha256>`, read-only files."""

    folder: Path

    def find(self, row: Locked) -> Path | None:
        """The cached file when it has the locked size."""
        path = self.folder / row.sha256
        try:
            return path if row.size in {0, path.stat().st_size} else None
        except FileNotFoundError:
            return None

    def add(self, source: Path, row: Locked) -> Path:
        """Take a fetched file in; ImageError when it is not what the lock says."""
        check_input(source, row)
        self.folder.mkdir(parents=True, exist_ok=True)
        target = self.folder / row.sha256
        with NamedTemporaryFile(dir=self.folder, prefix=".adding-", delete=False) as spot:
            temporary = Path(spot.name)
        try:
            move_or_copy(source, temporary)
            temporary.chmod(0o444)
            temporary.rename(target)
        finally:
            temporary.unlink(missing_ok=True)
        return target


@dataclass(frozen=True)
class GivenInputs:
    """Paths given by hash, as a Nix derivation hands them in."""

    paths: dict[str, Path]

    def find(self, row: Locked) -> Path | None:
        """The given path."""
        return self.paths.get(row.sha256)


def read_given(path: Path) -> GivenInputs:
    """Read a JSON object sha256 → path."""
    try:
        raw = json.loads(path.read_bytes())
        return GivenInputs({str(key): Path(value) for key, value in raw.items()})
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise ImageError(f"{path} is not a JSON object of sha256 → path: {error}") from None


def locate(inputs: Inputs, row: Locked) -> Path:
    """The file of a row; ImageError says to fetch when it is not there."""
    path = inputs.find(row)
    if path is None:
        raise ImageError(f"{describe_input(row)} is not in the cache: run `imagelock fetch` with a "
                         "network first", code="missing")  # fmt: skip
    return path


def check_input(path: Path, row: Locked) -> None:
    """ImageError when a file's size or hash is not the locked one."""
    size = path.stat().st_size
    if row.size not in {0, size}:
        raise ImageError(f"{describe_input(row)} has {size} bytes instead of {row.size}: the "
                         "download was cut short or the file was replaced; fetch it again",
                         code="corrupt")  # fmt: skip
    digest = sha256_file(path)
    if digest != row.sha256:
        raise ImageError(f"{describe_input(row)} has sha256 {digest}, the lock says {row.sha256}: "
                         "fetch it from a mirror that serves the locked file", code="corrupt")  # fmt: skip


def describe_input(row: Locked) -> str:
    """A row in words."""
    if isinstance(row, LockedWheel):
        return f"the wheel {row.file}"
    if isinstance(row, LockedDeb):
        return f"the Debian package {row.file}"
    return f"the base image's {row.kind} sha256:{row.sha256}"


def move_or_copy(source: Path, target: Path) -> None:
    """Rename within a file system, copy across."""
    try:
        os.replace(source, target)  # noqa: PTH105
    except OSError:
        shutil.copyfile(source, target)
