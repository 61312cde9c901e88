"""Is a set of wheels closed under what they require, judged for the image's own platform?

Used when a lock is made. Needs the library `packaging`, which is on no image's byte path.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from imagelock.errors import ImageError
from imagelock.pipsource import MACHINES, Found


def marker_environment(python_full_version: str, platform: str) -> dict[str, str]:
    """What environment markers are judged by: fixed values, nothing of this machine."""
    minor = ".".join(python_full_version.split(".")[:2])
    return {
        "implementation_name": "cpython",
        "implementation_version": python_full_version,
        "os_name": "posix",
        "platform_machine": MACHINES[platform.rpartition("/")[2]],
        "platform_python_implementation": "CPython",
        "platform_release": "",
        "platform_system": "Linux",
        "platform_version": "",
        "python_full_version": python_full_version,
        "python_version": minor,
        "sys_platform": "linux",
    }


def find_lacking(found: Sequence[Found], roots: Iterable[str], environment: Mapping[str, str]) -> list[str]:
    """Requirements no wheel of the set answers, walking from the roots through extras."""
    by_name = {row.name: row for row in found}
    todo = [Requirement(text) for text in roots]
    seen: set[tuple[str, frozenset[str]]] = set()
    lacking: list[str] = []
    while todo:
        wanted = todo.pop()
        key = (canonicalize_name(wanted.name), frozenset(wanted.extras))
        row = by_name.get(key[0])
        if row is None or not wanted.specifier.contains(row.version, prereleases=True):
            lacking.append(str(wanted))
        elif key not in seen:
            seen.add(key)
            todo += needed(row, wanted.extras, environment)
    return sorted(set(lacking))


def needed(row: Found, extras: set[str], environment: Mapping[str, str]) -> list[Requirement]:
    """What one wheel requires on the image's platform with these extras."""
    requirements = [Requirement(text) for text in row.requires]
    chosen = []
    for requirement in requirements:
        contexts = [dict(environment) | {"extra": extra} for extra in (*sorted(extras), "")]
        marker = requirement.marker
        if marker is None or any(marker.evaluate(context) for context in contexts):
            chosen.append(requirement)
    return chosen


def check_closed(found: Sequence[Found], roots: Sequence[str], environment: Mapping[str, str]) -> None:
    """ImageError names what is lacking and how to name it."""
    lacking = find_lacking(found, roots, environment)
    if lacking:
        raise ImageError(
            f"the image's platform needs {', '.join(lacking)}, which the resolver left out: add "
            "them to python.requirements"
        )
