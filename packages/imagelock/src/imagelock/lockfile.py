"""images/<name>/image.lock: every byte that flows in, by hash. Names no host, reads no network.

One line a package, sorted, so that a diff of two locks reads like a change log. What a row says goes to pip,
apt and paths, and a lock may come with a commit that nobody trusts yet (an audit), so no word may hold an
option, a line's end or a folder.
"""

from __future__ import annotations

import json
import re
import tomllib
from dataclasses import dataclass, fields
from typing import Any

from imagelock.errors import ImageError

FORMAT = 1
SHA256 = re.compile(r"[0-9a-f]{64}")
WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+~:!_-]*")  # names, versions, architectures, layers
FILE = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+~:!_%-]*\.whl")
PATH = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+~:!_%/-]*")  # pool paths, media types
KIND = re.compile(r"manifest|config|layer")
DATE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
FORMS = {"file": FILE, "pool": PATH, "media_type": PATH, "sha256": SHA256, "kind": KIND}
RESTORE = "restore it from git, or run `imagelock lock`"


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


def decode_lock(data: bytes, where: str) -> str:
    """A lock's text; ImageError when it is none."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ImageError(f"{where} is not UTF-8 ({error.reason} at byte {error.start}): {RESTORE}",
                         code="corrupt") from None  # fmt: skip


def parse_lock(text: str, where: str) -> Lock:
    """Read a lock's text; ImageError names `where` and the row."""
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ImageError(f"{where} is not valid TOML: {error}: {RESTORE}", code="corrupt") from None
    if type(raw.get("format")) is not int or raw["format"] != FORMAT:
        raise ImageError(
            f"{where} has format {raw.get('format')!r}; this imagelock reads format {FORMAT}: "
            "use the imagelock of that commit",
        )
    values: dict[str, Any] = {key.replace("-", "_"): value for key, value in raw.items()}
    try:
        for key, row_class in ROWS.items():
            values[key] = tuple(parse_row(row_class, row) for row in values.get(key, []))
        lock = Lock(**values)
        check_lock(lock)
    except (TypeError, ValueError) as error:
        raise ImageError(f"{where} is not a lock: {error}: {RESTORE}", code="corrupt") from None
    return lock


def parse_row(row_class: type, row: object) -> Any:
    """One inline table to its dataclass, every cell checked."""
    if not isinstance(row, dict):
        raise TypeError(f"{row!r} is no row")
    item = row_class(**{key.replace("-", "_"): value for key, value in row.items()})
    for cell in fields(row_class):
        value = getattr(item, cell.name)
        if cell.type == "int":
            good = type(value) is int and value >= 0
        else:
            good = isinstance(value, str) and bool(FORMS.get(cell.name, WORD).fullmatch(value))
        if not good:
            raise ValueError(f"the row {row} has no valid {cell.name.replace('_', '-')}")
    return item


def check_lock(lock: Lock) -> None:
    """TypeError, ValueError when what stands above the rows is no text or date, or a package stands twice."""
    for key in ("image", "platform", "created", "resolved_from"):
        if not isinstance(getattr(lock, key), str):
            raise TypeError(f"{key.replace('_', '-')} is no text")
    if not DATE.fullmatch(lock.created):
        raise ValueError(f"created is {lock.created!r}, no date like 2026-01-31T12:00:00Z")
    for rows in (lock.debs, lock.wheels):
        names = [row.name for row in rows]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"it names {twice[0]} twice")
