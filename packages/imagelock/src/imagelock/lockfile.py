"""images/<name>/image.lock: every byte that flows in, by hash. Names no host, reads no network.

One line a package, sorted, so that a diff of two locks reads like a change log.
"""

from __future__ import annotations

import json
import re
import tomllib
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from imagelock.errors import ImageError

FORMAT = 1
SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, order=True)
class LockedDeb:
    """One Debian package file; `pool` is its place below any mirror, `archive` which archive."""

    name: str
    version: str
    arch: str
    archive: str
    pool: str
    size: int
    sha256: str

    @property
    def file(self) -> str:
        """The file's own name."""
        return self.pool.rsplit("/", 1)[-1]


@dataclass(frozen=True, order=True)
class LockedWheel:
    """One wheel file and the layer it goes to."""

    name: str
    version: str
    file: str
    size: int
    sha256: str
    layer: str


@dataclass(frozen=True, order=True)
class LockedBlob:
    """One blob of an OCI base: kind is manifest, config or layer (in order `index`)."""

    kind: str
    index: int
    media_type: str
    size: int
    sha256: str


@dataclass(frozen=True)
class Lock:
    """A whole lock. `created` is the date the image claims, moved only when the content moves."""

    image: str
    platform: str
    created: str
    resolved_from: str
    debs: tuple[LockedDeb, ...] = ()
    wheels: tuple[LockedWheel, ...] = ()
    base: tuple[LockedBlob, ...] = ()
    format: int = FORMAT

    def inputs(self) -> tuple[LockedDeb | LockedWheel | LockedBlob, ...]:
        """Everything that must be fetched."""
        return (*self.base, *self.debs, *self.wheels)


ROWS: dict[str, type] = {"debs": LockedDeb, "wheels": LockedWheel, "base": LockedBlob}


def format_lock(lock: Lock) -> str:
    """The lock's text: fixed key order, sorted rows, a final newline."""
    lines = [f"# Written by `imagelock lock {lock.image}`: do not edit, run it again."]
    for key in ("format", "image", "platform", "created", "resolved_from"):
        lines.append(f"{key.replace('_', '-')} = {json.dumps(getattr(lock, key))}")
    for key, row_class in ROWS.items():
        rows = sorted(getattr(lock, key))
        lines.append(f"{key} = [" + ("]" if not rows else ""))
        lines += [f"  {format_row(row_class, row)}," for row in rows]
        lines += ["]"] if rows else []
    return "\n".join(lines) + "\n"


def format_row(row_class: type, row: object) -> str:
    """One inline table."""
    cells = (
        f"{item.name.replace('_', '-')} = {json.dumps(getattr(row, item.name))}" for item in fields(row_class)
    )
    return "{ " + ", ".join(cells) + " }"


def read_lock(path: Path) -> Lock:
    """Read and check a lock; ImageError says to run `imagelock lock` when it is absent."""
    try:
        return parse_lock(decode_lock(path.read_bytes(), str(path)), str(path))
    except FileNotFoundError:
        raise ImageError(
            f"{path} does not exist: run `imagelock lock {path.parent.name}` first", code="missing"
        ) from None


def decode_lock(data: bytes, where: str) -> str:
    """A lock's text; ImageError when it is none."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ImageError(f"{where} is not UTF-8 ({error.reason} at byte {error.start}): restore it from git",
                         code="corrupt") from None  # fmt: skip


def parse_lock(text: str, where: str) -> Lock:
    """Read a lock's text; ImageError names `where` and the row."""
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ImageError(f"{where} is not valid TOML: {error}", code="corrupt") from None
    if raw.get("format") != FORMAT:
        raise ImageError(
            f"{where} has format {raw.get('format')!r}; this imagelock reads format {FORMAT}: "
            "use the imagelock of that commit",
        )
    values: dict[str, Any] = {key.replace("-", "_"): value for key, value in raw.items()}
    try:
        for key, row_class in ROWS.items():
            values[key] = tuple(parse_row(row_class, row, where) for row in values.get(key, []))
        lock = Lock(**values)
    except TypeError as error:
        raise ImageError(f"{where} is not a lock: {error}", code="corrupt") from None
    return lock


def parse_row(row_class: type, row: dict[str, Any], where: str) -> Any:
    """One inline table to its dataclass, hash and size checked."""
    item = row_class(**{key.replace("-", "_"): value for key, value in row.items()})
    if not SHA256.fullmatch(str(item.sha256)) or not isinstance(item.size, int) or item.size < 0:
        raise ImageError(f"{where}: the row {row} has no valid sha256 and size", code="corrupt")
    return item
