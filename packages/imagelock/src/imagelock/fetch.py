"""Missing inputs into the cache: by hash, several at once, with progress, again where it broke off.

What was fetched before an interruption stays, the beginnings of files too: wheels go on by HTTP ranges
(resume.py), Debian packages by apt's own way. Where a server has no ranges, a file comes whole.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TextIO

from imagelock.aptsource import AptSource
from imagelock.errors import ImageError
from imagelock.inputs import InputCache, Locked, describe_input
from imagelock.lockfile import Lock, LockedBlob, LockedDeb, LockedWheel
from imagelock.pipindex import open_index
from imagelock.pipsource import PipSource
from imagelock.progress import Progress
from imagelock.resume import partial_path, sweep_partial
from imagelock.scratch import scratch_folder
from imagelock.workers import run_tasks

BIG = 20 << 20  # a wheel of this size is fetched alone and first
BATCH = 10
AT_ONCE = 3
KINDS = {".whl", ".deb"}


@dataclass(frozen=True)
class Missing:
    """What a lock wants and the cache lacks."""

    debs: tuple[LockedDeb, ...]
    wheels: tuple[LockedWheel, ...]
    base: tuple[LockedBlob, ...]

    @property
    def bytes(self) -> int:
        """How much is to come."""
        rows: list[Locked] = [*self.debs, *self.wheels, *self.base]
        return sum(row.size for row in rows)


def find_missing(lock: Lock, cache: InputCache) -> Missing:
    """Compare a lock with the cache."""
    return Missing(
        tuple(row for row in lock.debs if cache.find(row) is None),
        tuple(row for row in lock.wheels if cache.find(row) is None),
        tuple(row for row in lock.base if cache.find(row) is None),
    )


def fetch(lock: Lock, python_version: str, cache: InputCache, said: TextIO = sys.stderr) -> int:
    """Fetch what is missing; return the number of bytes. ImageError: gone, unreachable, changed."""
    missing = find_missing(lock, cache)
    if missing.base:
        raise ImageError(
            f"{describe_input(missing.base[0])} is not in the cache: give `imagelock fetch` a "
            "--base-from layout or registry that has it",
            code="missing",
        )
    if not missing.debs and not missing.wheels:
        return 0
    sweep_partial(cache)
    with scratch_folder(cache.folder) as scratch:
        fetch_files(missing, lock.platform, PipSource(python_version, lock.platform), cache, scratch, said)
    return missing.bytes


def fetch_files(
    missing: Missing, platform: str, source: PipSource, cache: InputCache, scratch: Path, said: TextIO
) -> None:
    """Fetch packages and wheels, a few programs at a time, and report how it goes."""
    arch = platform.rpartition("/")[2]
    apt = AptSource(cache.folder.parent / f"apt-{arch}", arch)
    arrived = partial(count_arrived, missing, cache, (scratch, apt.arrivals))
    progress = Progress("fetch", missing.bytes, arrived, said)
    tasks = [
        partial(fetch_batch, batch, source, cache, scratch / f"pip-{number}")
        for number, batch in enumerate(make_batches(missing.wheels))
    ]
    if missing.debs:
        tasks.insert(0, partial(fetch_debs, missing.debs, apt, cache))
    try:
        run_tasks(tasks, AT_ONCE, progress.tick)
    finally:
        progress.end()


def fetch_debs(rows: Sequence[LockedDeb], source: AptSource, cache: InputCache) -> None:
    """Fetch Debian packages; one apt call, which keeps several connections and beginnings itself."""
    with source.alone():
        source.refresh()
        try:
            source.download(rows)
        finally:
            for row in rows:
                keep_arrival(row, source.arrival(row), cache)


def keep_arrival(row: LockedDeb, path: Path, cache: InputCache) -> None:
    """Take a whole package file into the cache; a beginning stays for the next try."""
    if size_of(path) >= row.size:
        try:
            cache.add(path, row)
        finally:
            path.unlink(missing_ok=True)


def make_batches(rows: Iterable[LockedWheel]) -> Iterator[list[LockedWheel]]:
    """Big wheels alone and first, small ones in batches."""
    small: list[LockedWheel] = []
    for row in sorted(rows, key=lambda row: -row.size):
        if row.size >= BIG:
            yield [row]
        else:
            small.append(row)
    for start in range(0, len(small), BATCH):
        yield small[start : start + BATCH]


def fetch_batch(rows: Sequence[LockedWheel], source: PipSource, cache: InputCache, scratch: Path) -> None:
    """Fetch some wheels: resumably where pip's index tells their addresses, by `pip download` else."""
    index = open_index(source.target_flags())
    rest = [row for row in rows if index is None or not index.fetch(row, cache)]
    if not rest:
        return
    target = scratch / "got"
    target.mkdir(parents=True)
    source.download(rest, target, scratch)
    for row in rest:
        cache.add(target / row.file, row)


def count_arrived(missing: Missing, cache: InputCache, folders: Sequence[Path]) -> int:
    """How much of what lacked is there, files under way included."""
    rows: list[LockedDeb | LockedWheel] = [*missing.debs, *missing.wheels]
    done = sum(row.size if cache.find(row) else size_of(partial_path(cache, row)) for row in rows)
    under_way = (path for folder in folders for path in folder.rglob("*") if path.suffix in KINDS)
    return done + sum(size_of(path) for path in under_way)


def size_of(path: Path) -> int:
    """A file's size, or nothing when it was moved away meanwhile."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
