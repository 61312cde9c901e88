"""What an image requires of others: from its workspace packages, image.toml and constraint files.

Reads the tree; asks no network and no library outside the standard one.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from imagelock.declaration import Declaration
from imagelock.errors import ImageError, not_utf8
from imagelock.lockfile import Lock, LockedDeb
from imagelock.source import read_project, requirement_name
from imagelock.wheel import normalise

PIN = re.compile(r"^([A-Za-z0-9._-]+==[^\s;\\]+)")


def root_requirements(root: Path, declaration: Declaration) -> list[str]:
    """What the workspace packages and image.toml require of others."""
    projects = [read_project(root, folder) for folder in declaration.python.packages]
    own = {normalise(project["name"]) for project in projects}
    required = [text for project in projects for text in project.get("dependencies", [])]
    others = {text for text in required if requirement_name(text) not in own}
    for text in declaration.python.requirements:
        requirement_name(text)  # ImageError when it is none
    return sorted(others | set(declaration.python.requirements))


def read_constraints(root: Path, declaration: Declaration, roots: Sequence[str]) -> list[str]:
    """`name==version` lines of the constraint files, less those a root pins itself."""
    pinned = {requirement_name(text) for text in roots if "==" in text}
    lines: list[str] = []
    for name in declaration.python.constraints:
        try:
            text = (root / name).read_text(encoding="utf-8")
        except FileNotFoundError:
            raise ImageError(f"{root / name} does not exist: correct python.constraints",
                             code="missing") from None  # fmt: skip
        except UnicodeDecodeError as error:
            raise ImageError(not_utf8(root / name, error)) from None
        lines += [match[1] for line in text.splitlines() if (match := PIN.match(line))]
    return sorted({line for line in lines if requirement_name(line) not in pinned})


def full_python_version(declaration: Declaration, debs: Sequence[LockedDeb]) -> str:
    """3.11.2 from the python3.11 package, or the declared version with .0 on a foreign base."""
    name = f"python{declaration.python.version}"
    for row in debs:
        if row.name == name:
            return row.version.partition("-")[0]
    return f"{declaration.python.version}.0"


def check_current(root: Path, declaration: Declaration, lock: Lock) -> None:
    """ImageError when image.toml or a workspace package wants what the lock does not have."""
    remedy = f"run `imagelock lock {declaration.name}`"
    if (lock.image, lock.platform) != (declaration.name, declaration.platform):
        raise ImageError(f"images/{declaration.name}/image.lock is one of {lock.image!r} for "
                         f"{lock.platform!r}: {remedy}", code="stale")  # fmt: skip
    if lock.resolved_from != declaration.resolving_hash():
        raise ImageError(f"images/{declaration.name}/image.lock is older than its image.toml: "
                         f"{remedy}", code="stale")  # fmt: skip
    have = {row.name for row in lock.wheels}
    for text in root_requirements(root, declaration):
        if requirement_name(text) not in have:
            raise ImageError(f"images/{declaration.name}/image.lock lacks {text!r}, which a package"
                             f" of the image requires: {remedy}", code="stale")  # fmt: skip
