"""Missing inputs into the cache: by hash, several at once, with progress, again where it broke off.

What was fetched before an interruption stays; only the files under way are fetched anew.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TextIO

from imagelock.aptsource import AptSource
from imagelock.errors import ImageError
from imagelock.inputs import InputCache, Locked, describe_input
from imagelock.lockfile import Lock, LockedBlob, LockedDeb, LockedWheel
from imagelock.pipsource import PipSource
from imagelock.scratch import scratch_folder
from imagelock.workers import run_tasks

BIG = 20 << 20  # a wheel of this size is fetched alone, so that little is lost when it breaks off
BATCH = 10
AT_ONCE = 3


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
    with scratch_folder(cache.folder) as scratch:
        if missing.debs:
            fetch_debs(missing.debs, lock.platform, cache, scratch)
        if missing.wheels:
            source = PipSource(python_version, lock.platform)
            fetch_wheels(missing, source, cache, scratch, said)
    return missing.bytes


def fetch_debs(rows: Sequence[LockedDeb], platform: str, cache: InputCache, scratch: Path) -> None:
    """Fetch Debian packages; one apt call, which keeps several connections itself."""
    arch = platform.rpartition("/")[2]
    source = AptSource(cache.folder.parent / f"apt-{arch}", arch)
    source.refresh()
    target = scratch / "debs"
    target.mkdir()
    try:
        source.download(rows, target)
    finally:
        found = {path.name.split("_")[0]: path for path in target.glob("*.deb")}
        for row in rows:
            if row.name in found:
                cache.add(found[row.name], row)


def fetch_wheels(missing: Missing, source: PipSource, cache: InputCache, scratch: Path, said: TextIO) -> None:
    """Fetch wheels in batches, several pips at a time, and report how it goes."""
    total = sum(row.size for row in missing.wheels)
    progress = Progress(total, scratch, said)

    def tick() -> None:
        lacking = sum(row.size for row in missing.wheels if cache.find(row) is None)
        progress.show(total - lacking)

    tasks = [
        partial(fetch_batch, batch, source, cache, scratch / f"pip-{number}")
        for number, batch in enumerate(make_batches(missing.wheels))
    ]
    try:
        run_tasks(tasks, AT_ONCE, tick)
    finally:
        progress.end()


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
    """Fetch some wheels and take them into the cache."""
    target = scratch / "got"
    target.mkdir(parents=True)
    source.download(rows, target, scratch)
    for row in rows:
        cache.add(target / row.file, row)


class Progress:
    """One line with bytes, rate and time left; on a terminal it is rewritten, in a log it is rare."""

    def __init__(self, total: int, scratch: Path, said: TextIO) -> None:
        self.total, self.scratch, self.said = total, scratch, said
        self.begun = self.last = time.monotonic()
        self.pause = 1.0 if said.isatty() else 10.0

    def show(self, arrived: int) -> None:
        """Say how far it is, counting files under way."""
        now = time.monotonic()
        if now - self.last < self.pause:
            return
        self.last = now
        under_way = sum(size_of(path) for path in self.scratch.rglob("*.whl"))
        done = arrived + under_way
        rate = done / (now - self.begun)
        text = f"fetch: {done / 1e6:.0f} MB, {rate / 1e6:.1f} MB/s"
        if self.total and rate:
            left = max(0, self.total - done) / rate
            text += f", {left:.0f} s left of {self.total / 1e6:.0f} MB"
        self.said.write(f"\r{text}   " if self.said.isatty() else f"{text}\n")
        self.said.flush()

    def end(self) -> None:
        """Leave the line."""
        if self.said.isatty():
            self.said.write("\n")


def size_of(path: Path) -> int:
    """A file's size, or nothing when it was moved away meanwhile."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
