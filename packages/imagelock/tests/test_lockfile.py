"""Locks read back as they were written, and broken ones are refused in one sentence."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from imagelock.build import read_lock_bytes
from imagelock.errors import ImageError
from imagelock.lockfile import FORMAT, Lock, LockedBlob, format_lock, parse_lock
from imagelock.samples import TinyTree


def test_a_lock_reads_back(tree: TinyTree) -> None:
    lock = tree.lock()
    assert parse_lock(format_lock(lock), "here") == lock


def test_rows_are_one_line_each_and_sorted(tree: TinyTree) -> None:
    text = format_lock(tree.lock())
    assert sum("sha256 =" in line for line in text.splitlines()) == 2
    assert text.endswith("base = []\n")


def test_a_lock_with_a_base_reads_back() -> None:
    blob = LockedBlob("layer", 0, "application/x", 5, "a" * 64)
    lock = Lock("x", "linux/amd64", "2026-01-01T00:00:00Z", "b" * 64, base=(blob,))
    assert parse_lock(format_lock(lock), "here") == lock


def test_the_locks_of_this_tree_name_no_host() -> None:
    images = Path(__file__).parents[3] / "images"
    for path in images.glob("*/image.*"):
        assert "://" not in path.read_text(encoding="utf-8"), path


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (f"format = {FORMAT}", "format = 99", "format 99"),
        ("sha256 = ", "sha999 = ", "not a lock"),
        ("[\n", "[[\n", "not valid TOML"),
        ('sha256 = "', 'sha256 = "zz', "no valid sha256"),
        ("size = ", "size = -", "no valid size"),
        ("wheels = [", "wheels = 1\nx = [", "not a lock"),
        ("wheels = [", "wheels = ['a', ", "'a' is no row"),
        ('created = "', 'created = 2026-01-01 # "', "created is no text"),
        ('created = "', 'created = "\\u0000', "no date like 2026-01-31T12:00:00Z"),
        (f"format = {FORMAT}", "format = true", "format True"),
        (
            "base = []",
            'base = [{ kind = "x", index = 0, media-type = "a", size = 1, sha256 = "" }]',
            "valid kind",
        ),
        # pip and apt would take these as options, and write or read what they say.
        ('name = "tinypkg"', 'name = "\\n--no-binary x\\n--find-links /x\\nx"', "no valid name"),
        ('name = "tinylib"', 'name = "-oDir::Bin::methods=/x"', "no valid name"),
        ('version = "1.0"', 'version = "1.0 --hash=sha256:0"', "no valid version"),
        ('file = "tinypkg', 'file = "../../tinypkg', "no valid file"),
    ],
)
def test_a_broken_lock_is_refused(tree: TinyTree, old: str, new: str, said: str) -> None:
    text = format_lock(tree.lock()).replace(old, new)
    with pytest.raises(ImageError, match=said):
        parse_lock(text, "here")


def test_a_package_that_stands_twice_is_refused(tree: TinyTree) -> None:
    lock = tree.lock()
    text = format_lock(replace(lock, wheels=lock.wheels * 2))
    with pytest.raises(ImageError, match="names tinypkg twice: restore it from git"):
        parse_lock(text, "here")


@pytest.mark.parametrize(("old", "new"), [('image = "tiny"', 'image = "x"'), ("linux/amd64", "linux/arm64")])
def test_another_images_lock_is_refused(tree: TinyTree, old: str, new: str) -> None:
    path = tree.image_toml.with_name("image.lock")
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(
        ImageError, match=r"image\.lock is one of '\w+' for 'linux/\w+': run `imagelock lock tiny`"
    ):
        tree.build()


def test_an_absent_lock_says_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="imagelock lock"):
        read_lock_bytes(tmp_path / "tiny" / "image.lock")
