"""What each layer of an image is made of: the plan that the lock and image.toml give together.

Decides, writes nothing. A job holds all a worker needs, so layers can be made by any process.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from imagelock.canonical import canonical_json, sha256_bytes
from imagelock.deb import Deb, Wanted, read_deb
from imagelock.declaration import Declaration
from imagelock.entry import Entry
from imagelock.lockfile import FORMAT, Lock, LockedDeb, LockedWheel
from imagelock.merge import find_losers, merge_entries, read_content
from imagelock.skeleton import certificate_bundle, site_folder, skeleton_entries
from imagelock.wheel import Place, Wheel, read_wheel

SYSTEM = "system"
Locate = Callable[[LockedDeb | LockedWheel], Path]


@dataclass(frozen=True)
class SystemJob:
    """The layer of Debian packages and the skeleton."""

    debs: tuple[Deb, ...]
    hashes: tuple[str, ...]
    wanted: Wanted
    python_version: str
    winners: tuple[tuple[str, str], ...] = ()
    name: str = SYSTEM

    def key(self) -> str:
        """What the layer's bytes depend on."""
        files = [self.wanted.leave_out, self.wanted.keep, self.winners]
        parts = [list(self.hashes), files, self.python_version]
        return sha256_bytes(canonical_json([FORMAT, self.name, parts]))

    def weight(self) -> int:
        """Bytes to read: big layers are begun first."""
        return 4 * sum(deb.path.stat().st_size for deb in self.debs)

    def entries(self, scratch: Path) -> list[Entry]:
        """All entries, packages unpacked in `scratch`."""
        packages = [read_deb(deb, scratch, self.wanted) for deb in self.debs]
        losers = find_losers(packages, dict(self.winners))
        found = [item for entries in packages for item in entries]
        found = [item for item in found if (item.owner, item.path) not in losers]
        bundle = certificate_bundle(found, read_content)
        return merge_entries([*skeleton_entries(self.python_version), *found, *bundle])

    def comment(self) -> str:
        """For the image's history."""
        return f"{len(self.debs)} Debian packages"


class WheelReader:
    """Reads a build's wheels, each once: to settle who writes which path, and to make its layer.

    Worker processes inherit what was read before them; where processes are not forked they read again.
    """

    def __init__(self, place: Place) -> None:
        self.place = place
        self.known: dict[Wheel, list[Entry]] = {}

    def __call__(self, wheel: Wheel) -> list[Entry]:
        """The entries of a wheel."""
        if wheel not in self.known:
            self.known[wheel] = read_wheel(wheel, self.place)
        return self.known[wheel]

    def recall(self, path: Path) -> list[Entry]:
        """The entries of a wheel's file that was read; none when all of its layer was there already."""
        return next((entries for wheel, entries in self.known.items() if wheel.path == path), [])

    def __reduce__(self) -> tuple[object, ...]:
        """Send no entries to another process: reading the wheel is cheaper."""
        return WheelReader, (self.place,)


@dataclass(frozen=True)
class WheelJob:
    """One layer of wheels. `dropped` are (owner, path) that another wheel won."""

    name: str
    wheels: tuple[Wheel, ...]
    hashes: tuple[str, ...]
    read: WheelReader
    dropped: tuple[tuple[str, str], ...]

    def key(self) -> str:
        """What the layer's bytes depend on: these wheels alone."""
        checks = [wheel.check_record for wheel in self.wheels]
        place = self.read.place
        parts = [list(self.hashes), checks, place.site, place.version, self.dropped]
        return sha256_bytes(canonical_json([FORMAT, self.name, parts]))

    def weight(self) -> int:
        """Bytes to read."""
        return sum(wheel.path.stat().st_size for wheel in self.wheels)

    def entries(self, scratch: Path) -> list[Entry]:  # noqa: ARG002 - the jobs' common face
        """All entries of the layer's wheels, losers left out."""
        dropped = set(self.dropped)
        found = [entry for wheel in self.wheels for entry in self.read(wheel)]
        kept = [entry for entry in found if (entry.owner, entry.path) not in dropped]
        return merge_entries(kept, below=self.read.place.site + "/")

    def comment(self) -> str:
        """For the image's history."""
        if len(self.wheels) == 1:
            return self.wheels[0].label
        return f"{len(self.wheels)} wheels"


Job = SystemJob | WheelJob


def image_place(declaration: Declaration) -> Place:
    """Where Python packages go in this image."""
    version = declaration.python.version
    return Place(site_folder(version), version)


def open_wheels(declaration: Declaration, lock: Lock, locate: Locate) -> list[Wheel]:
    """The lock's wheels with their files and the RECORD exceptions image.toml grants."""
    excepted = set(declaration.python.record_exceptions)
    return [Wheel(locate(row), row.name, row.version, row.name not in excepted) for row in lock.wheels]


def find_dropped(
    wheels: Iterable[Wheel], declaration: Declaration, read: WheelReader
) -> list[tuple[str, str]]:
    """Read every wheel's directory and settle who writes which path."""
    return sorted(find_losers(map(read, wheels), declaration.winners))


def make_system_job(declaration: Declaration, lock: Lock, locate: Locate) -> SystemJob | None:
    """The lowest layer, or None for an image on an OCI base."""
    if not lock.debs:
        return None
    debian = declaration.debian
    return SystemJob(
        tuple(Deb(locate(row), row.name, row.version) for row in lock.debs),
        tuple(row.sha256 for row in lock.debs),
        Wanted(debian.leave_out_files, debian.keep_files),
        declaration.python.version,
        tuple(sorted(declaration.winners.items())),
    )


def make_wheel_jobs(
    lock: Lock, wheels: Iterable[Wheel], dropped: Iterable[tuple[str, str]], read: WheelReader
) -> list[WheelJob]:
    """The layers of wheels, in the order they lie in the image: least changing first."""
    jobs: list[WheelJob] = []
    pairs = sorted(zip(lock.wheels, wheels, strict=True), key=lambda pair: layer_order(pair[0]))
    for name, group in groupby(pairs, key=lambda pair: pair[0].layer):
        members = list(group)
        owners = {wheel.label for _, wheel in members}
        jobs.append(
            WheelJob(
                name,
                tuple(wheel for _, wheel in members),
                tuple(row.sha256 for row, _ in members),
                read,
                tuple(item for item in dropped if item[0] in owners),
            )
        )
    return jobs


def layer_order(row: LockedWheel) -> tuple[bool, str, str]:
    """Wheels with a layer of their own first, by name; then the shared layer."""
    return (row.layer != row.name, row.layer, row.name)
