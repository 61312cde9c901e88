"""Fetching by a real pip from a folder on this machine: no network, and no address in the lock."""

from __future__ import annotations

import io
import shutil
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from imagelock.errors import ImageError
from imagelock.fetch import BATCH, BIG, Missing, count_arrived, fetch, find_missing, make_batches
from imagelock.inputs import InputCache
from imagelock.lockfile import Lock
from imagelock.progress import Progress
from imagelock.resume import partial_path
from imagelock.samples import TinyTree, lock_wheel, make_wheel


@pytest.fixture
def mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of wheels that pip is told to look into, and nowhere else."""
    folder = tmp_path / "mirror"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    return folder


@pytest.fixture
def lock(tree: TinyTree) -> Lock:
    """A lock of two wheels and no Debian package; the cache is empty."""
    tree.wheels.append(make_wheel(tree.folder, "second", "2.0", {"second.py": b"2"}))
    made = replace(tree.lock(), debs=())
    shutil.rmtree(tree.cache.folder)
    return made


def test_missing_wheels_are_fetched_and_kept(tree: TinyTree, mirror: Path, lock: Lock) -> None:
    for path in tree.wheels:
        shutil.copy(path, mirror)
    assert fetch(lock, "3.11", tree.cache) == sum(row.size for row in lock.wheels)
    assert not find_missing(lock, tree.cache).bytes
    shutil.rmtree(mirror)
    assert fetch(lock, "3.11", tree.cache) == 0


def test_a_wheel_with_another_hash_is_refused(tree: TinyTree, mirror: Path, lock: Lock) -> None:
    make_wheel(mirror, "tinypkg", "1.0", {"tinypkg/__init__.py": b"evil"})
    shutil.copy(tree.wheels[1], mirror)
    with pytest.raises(ImageError, match=r"DO NOT MATCH|tinypkg"):
        fetch(lock, "3.11", tree.cache)
    wrong = next(row for row in lock.wheels if row.name == "tinypkg")
    assert tree.cache.find(wrong) is None


def test_a_wheel_that_is_gone_names_it(tree: TinyTree, mirror: Path, lock: Lock) -> None:
    with pytest.raises(ImageError, match=r"tinypkg|second"):
        fetch(lock, "3.11", tree.cache)
    assert not list(tree.cache.folder.glob(".imagelock-*"))


def test_a_truncated_file_is_refused(tree: TinyTree, tmp_path: Path) -> None:
    row = lock_wheel(tree.wheels[0])
    cut = tmp_path / "cut.whl"
    cut.write_bytes(tree.wheels[0].read_bytes()[:-5])
    with pytest.raises(ImageError, match="cut short"):
        InputCache(tmp_path / "new").add(cut, row)
    assert not (tmp_path / "new").exists()


def test_big_wheels_come_alone_and_first(tree: TinyTree) -> None:
    row = lock_wheel(tree.wheels[0])
    rows = [replace(row, name=f"n{number}") for number in range(BATCH + 2)]
    rows.append(replace(row, name="big", size=BIG))
    batches = list(make_batches(rows))
    assert [item.name for item in batches[0]] == ["big"]
    assert [len(batch) for batch in batches[1:]] == [BATCH, 2]


def test_progress_tells_rate_and_time_left(tree: TinyTree, tmp_path: Path) -> None:
    row = replace(lock_wheel(tree.wheels[0]), size=4_000_000, sha256="0" * 64)
    said, cache = io.StringIO(), InputCache(tmp_path / "other")
    part = partial_path(cache, row)
    part.parent.mkdir(parents=True)
    part.write_bytes(bytes(1_000_000))
    missing = Missing((), (row,), ())
    progress = Progress("fetch", missing.bytes, partial(count_arrived, missing, cache, ()), said)
    progress.pause = 0.0
    progress.begun -= 2.0
    part.write_bytes(bytes(2_000_000))
    progress.tick()
    first, second = said.getvalue().splitlines()
    assert first == "fetch: 1.0 MB are here from an earlier try"
    assert second.startswith("fetch: 2 MB, 0.5 MB/s, ")
    assert second.endswith(" s left of 4 MB")


@pytest.mark.parametrize("retries", ["0", "1"])
def test_an_index_that_is_down_is_not_blamed_on_the_version(
    lock: Lock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, retries: str
) -> None:
    for name, value in {
        "CONFIG_FILE": "/dev/null",
        "INDEX_URL": "http://127.0.0.1:9/simple",
        "RETRIES": retries,
    }.items():
        monkeypatch.setenv(f"PIP_{name}", value)
    with pytest.raises(
        ImageError, match=r"the index does not answer \(.*refused\): run the command again"
    ) as caught:
        fetch(lock, "3.11", InputCache(tmp_path / "cache" / "inputs"))
    assert caught.value.code == "unreachable"
