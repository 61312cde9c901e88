"""A wheel's files go where pip would put them, and nothing unsound gets in."""

from __future__ import annotations

import csv
import zipfile
from pathlib import Path

import pytest
from imagelock.errors import ImageError
from imagelock.merge import read_content
from imagelock.samples import TINY_FILES, make_wheel
from imagelock.wheel import HELD_BYTES, Place, Wheel, read_wheel

PLACE = Place("site", "3.11")


def read(path: Path, *, check_record: bool = True) -> dict[str, bytes]:
    entries = read_wheel(Wheel(path, "tinypkg", "1.0", check_record), PLACE)
    return {entry.path: read_content(entry) for entry in entries}


def rewrite(path: Path, name: str, data: bytes, **kwargs: int) -> None:
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(zipfile.ZipInfo(name), data, **kwargs)


def test_files_scripts_and_programs_are_placed(tmp_path: Path) -> None:
    points = "[console_scripts]\ntinycmd = tinypkg.cli:main [extra]\n[other]\nx = y:z\n"
    found = read(make_wheel(tmp_path, "tinypkg", "1.0", TINY_FILES, points=points))
    assert found["site/tinypkg/data.bin"] == TINY_FILES["tinypkg/data.bin"]
    assert found["usr/local/bin/tiny-run"] == b"#!/usr/bin/python3 -IB\nprint('run')\n"
    program = found["usr/local/bin/tinycmd"].decode()
    assert program.startswith("#!/usr/bin/python3 -IB\n")
    assert "from tinypkg.cli import main" in program


def test_record_is_rewritten_sorted_and_complete(tmp_path: Path) -> None:
    found = read(make_wheel(tmp_path, "tinypkg", "1.0", TINY_FILES))
    rows = list(csv.reader(found["site/tinypkg-1.0.dist-info/RECORD"].decode().splitlines()))
    names = [row[0] for row in rows]
    assert names == sorted(names)
    assert "../usr/local/bin/tiny-run" in names
    assert all(row[1].startswith("sha256=") for row in rows if not row[0].endswith("RECORD"))


def test_only_the_executable_bit_survives(tmp_path: Path) -> None:
    path = make_wheel(tmp_path, "tinypkg", "1.0", TINY_FILES)
    modes = {entry.path: entry.mode for entry in read_wheel(Wheel(path, "tinypkg", "1.0"), PLACE)}
    assert modes["site/tinypkg/tool.sh"] == 0o755
    assert set(modes.values()) == {0o755, 0o644}


def test_compiled_caches_stay_out(tmp_path: Path) -> None:
    path = make_wheel(tmp_path, "tinypkg", "1.0", {"tinypkg/__pycache__/a.cpython-311.pyc": b"x"})
    assert not [name for name in read(path) if "__pycache__" in name]


@pytest.mark.parametrize("name", ["../evil.py", "/etc/passwd", "a/../../b", "a/.wh.b", "a\\b",
                                  "tinypkg//cli.py", "tinypkg/./cli.py", "./tinypkg/cli.py"])  # fmt: skip
def test_unsafe_names_are_refused(tmp_path: Path, name: str) -> None:
    path = make_wheel(tmp_path, "tinypkg", "1.0", TINY_FILES)
    rewrite(path, name, b"x")
    with pytest.raises(ImageError, match="unsafely"):
        read(path)


def test_a_file_that_record_does_not_know_is_refused_unless_excepted(tmp_path: Path) -> None:
    path = make_wheel(tmp_path, "tinypkg", "1.0", TINY_FILES)
    rewrite(path, "tinypkg/extra.py", b"x")
    with pytest.raises(ImageError, match=r"RECORD has no sha256 for 'tinypkg/extra\.py'"):
        read(path)
    assert "site/tinypkg/extra.py" in read(path, check_record=False)


def test_another_method_than_deflate_is_refused(tmp_path: Path) -> None:
    path = make_wheel(tmp_path, "tinypkg", "1.0", TINY_FILES)
    rewrite(path, "tinypkg/packed.py", b"x" * 99, compress_type=zipfile.ZIP_BZIP2)
    with pytest.raises(ImageError, match="other than deflate"):
        read(path)


def test_what_is_no_zip_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x-1.0-py3-none-any.whl"
    path.write_bytes(b"no zip at all")
    with pytest.raises(ImageError, match="not a sound wheel"):
        read(path)


@pytest.mark.parametrize(
    "record", ["tinypkg/cli.py,sha256=é,1", "tinypkg/cli.py,sha256=abcde,1", "a" * 200_000]
)
def test_a_record_that_is_none_is_refused(tmp_path: Path, record: str) -> None:
    path = tmp_path / "tinypkg-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("tinypkg/cli.py", b"x")
        archive.writestr("tinypkg-1.0.dist-info/RECORD", record)
    # How long a field may be is one setting of a whole process, which whoever reads long articles raises.
    with pytest.raises(ImageError, match=r"not a sound wheel|RECORD has no sha256"):
        read(path)


def test_a_record_that_would_fill_the_memory_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "tinypkg-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("tinypkg-1.0.dist-info/RECORD", bytes(HELD_BYTES + 1))
    with pytest.raises(ImageError, match="more than the 67108864 bytes"):
        read(path)


def test_a_wheel_of_another_distribution_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"of another distribution, 'evil-1\.0\.dist-info'"):
        read(make_wheel(tmp_path, "evil", "1.0", TINY_FILES))
