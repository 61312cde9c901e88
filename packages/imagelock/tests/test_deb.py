"""Debian packages: merged paths, plain modes, no scripts, unsound ones refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from imagelock.deb import Deb, Wanted, read_deb
from imagelock.entry import Entry
from imagelock.errors import ImageError
from imagelock.merge import read_content
from imagelock.samples import TINY_DEB, make_deb

WANTED = Wanted(("usr/share/doc/*",), ("usr/share/doc/*/copyright",))


def read(path: Path, scratch: Path) -> dict[str, Entry]:
    entries = read_deb(Deb(path, "tinylib", "2.0-1"), scratch, WANTED)
    return {entry.path: entry for entry in entries}


def test_paths_are_merged_below_usr_and_modes_are_plain(tmp_path: Path) -> None:
    found = read(make_deb(tmp_path, "tinylib", "2.0-1", TINY_DEB), tmp_path)
    library = found["usr/lib/x86_64-linux-gnu/libtiny.so.1"]
    assert read_content(library) == TINY_DEB["lib/x86_64-linux-gnu/libtiny.so.1"]
    assert found["usr/bin/tiny"].mode == 0o755
    assert found["usr/bin/tiny-link"].target == "tiny"
    assert not [path for path in found if path == "lib" or path.startswith("lib/")]


def test_the_control_paragraph_is_left_for_scanners(tmp_path: Path) -> None:
    found = read(make_deb(tmp_path, "tinylib", "2.0-1", TINY_DEB), tmp_path)
    status = read_content(found["var/lib/dpkg/status.d/tinylib"])
    assert b"Version: 2.0-1" in status


def test_files_left_out_and_exceptions(tmp_path: Path) -> None:
    found = read(make_deb(tmp_path, "tinylib", "2.0-1", TINY_DEB), tmp_path)
    assert "usr/share/doc/tinylib/copyright" in found
    assert "usr/share/doc/tinylib/changelog" not in found


def test_patterns_match_as_fnmatch_does_and_none_match_nothing() -> None:
    assert "any/path" in Wanted()
    assert "usr/share/doc/x/copyright" not in Wanted(("usr/*/[a-e]oc/*",))
    assert "usr/share/Doc/x" in Wanted(("usr/*/[a-e]oc/*", "*.html"))


@pytest.mark.parametrize("fault", ["magic", "cut", "flip"])
def test_an_unsound_package_is_refused(tmp_path: Path, fault: str) -> None:
    path = make_deb(tmp_path, "tinylib", "2.0-1", TINY_DEB)
    data = bytearray(path.read_bytes())
    if fault == "magic":
        data[0] ^= 1
    elif fault == "cut":
        data = data[:-60]
    else:
        data[-100] ^= 0xFF
    path.write_bytes(bytes(data))
    with pytest.raises(ImageError, match="not a sound Debian package"):
        read(path, tmp_path)
