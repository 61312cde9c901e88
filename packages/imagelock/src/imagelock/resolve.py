"""image.toml to image.lock: names become files with hashes. The only part that decides by network.

The lock keeps its date while its content stays, so that refreshing an unchanged lock changes no byte.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from imagelock.aptsource import AptSource
from imagelock.base import fetch_base, lock_base
from imagelock.closure import check_closed, marker_environment
from imagelock.declaration import Declaration
from imagelock.errors import ImageError
from imagelock.fetch import fetch
from imagelock.inputs import InputCache, locate
from imagelock.lockfile import Lock, LockedBlob, LockedDeb, LockedWheel
from imagelock.pipsource import PipSource
from imagelock.recorded import Recorded
from imagelock.requirements import full_python_version, read_constraints, root_requirements

SOLO_BYTES = 16 << 20  # a wheel of this size gets a layer of its own, shared by images and locks
SHARED_LAYER = "wheels"


@dataclass(frozen=True)
class Resolver:
    """Where resolution happens: the source tree, the cache, and a clock for `created`."""

    root: Path
    cache: InputCache
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    base_from: Recorded | None = None

    def resolve(self, declaration: Declaration, old: Lock | None) -> Lock:
        """Make a lock; the files end up in the cache, since sizes and hashes come from them."""
        debs = self.resolve_debs(declaration)
        wheels = self.resolve_wheels(declaration, debs)
        base = self.resolve_base(declaration, old)
        lock = Lock(
            declaration.name,
            declaration.platform,
            "",
            declaration.resolving_hash(),
            debs,
            wheels,
            base,
        )
        fetch(lock, declaration.python.version, self.cache)
        lock = self.add_sizes(lock)
        if old and replace(old, created="") == lock:
            return old
        return replace(lock, created=self.now().strftime("%Y-%m-%dT%H:%M:%SZ"))

    def resolve_base(self, declaration: Declaration, old: Lock | None) -> tuple[LockedBlob, ...]:
        """The declared base's blobs, from where this machine was told it lies."""
        if not declaration.base:
            return ()
        wanted = declaration.base.removeprefix("sha256:")
        if self.base_from is None:
            if old and any(row.sha256 == wanted for row in old.base):
                return old.base
            raise ImageError(f"the base {declaration.base} is not locked yet: give --base-from a folder"
                             " with its OCI layout or host[:port]/repository", code="missing")  # fmt: skip
        rows = lock_base(self.base_from, wanted)
        fetch_base(rows, self.base_from, self.cache)
        return rows

    def resolve_debs(self, declaration: Declaration) -> tuple[LockedDeb, ...]:
        """Ask apt."""
        if not declaration.debian.packages:
            return ()
        arch = declaration.platform.rpartition("/")[2]
        source = AptSource(self.cache.folder.parent / f"apt-{arch}", arch)
        with source.alone():
            source.refresh()
            return source.resolve(declaration.debian.packages, declaration.debian.leave_out)

    def resolve_wheels(self, declaration: Declaration, debs: Sequence[LockedDeb]) -> tuple[LockedWheel, ...]:
        """Ask pip, check the answer for the image's platform, and hash the files."""
        roots = root_requirements(self.root, declaration)
        if not roots:
            return ()
        source = PipSource(declaration.python.version, declaration.platform)
        limits = read_constraints(self.root, declaration, roots)
        found = source.resolve(roots, limits)
        version = full_python_version(declaration, debs)
        check_closed(found, roots, marker_environment(version, declaration.platform))
        return tuple(
            sorted(
                LockedWheel(item.name, item.version, item.file, 0, item.sha256, SHARED_LAYER)
                for item in found
            )
        )

    def add_sizes(self, lock: Lock) -> Lock:
        """Sizes from the fetched files; pip's report has none."""
        rows = (replace(row, size=locate(self.cache, row).stat().st_size) for row in lock.wheels)
        solo = (replace(row, layer=row.name) if row.size >= SOLO_BYTES else row for row in rows)
        return replace(lock, wheels=tuple(sorted(solo)))
