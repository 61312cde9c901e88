"""Debian packages: merged paths, plain modes, no scripts, unsound ones refused."""

from __future__ import annotations

import io
import lzma
import tarfile
from pathlib import Path

import pytest
from imagelock.deb import CONTROL_BYTES, Deb, Wanted, read_deb
from imagelock.entry import Entry
from imagelock.errors import ImageError
from imagelock.merge import read_content
from imagelock.samples import TINY_DEB, make_deb, make_tar

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


def pack(name: str, kind: bytes = tarfile.REGTYPE, target: str = "", **headers: str) -> dict[str, bytes]:
    """A data.tar.xz of a file usr/a, a link usr/l, a folder usr/d, and one member more."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
        members = [
            ("./usr/a", tarfile.REGTYPE, ""),
            ("./usr/l", tarfile.SYMTYPE, "a"),
            ("./usr/d", tarfile.DIRTYPE, ""),
        ]
        for path, type_flag, leads_to in [*members, (name, kind, target)]:
            item = tarfile.TarInfo(path)
            item.type, item.linkname = type_flag, leads_to
            item.pax_headers = headers if path == name else {}
            archive.addfile(item)
    return {"data.tar.xz": lzma.compress(out.getvalue())}


@pytest.mark.parametrize(
    ("parts", "reason"),
    [
        (pack("./usr/../../etc/x"), "leaves the archive"),
        (pack("./usr//a"), "another's second name"),
        (pack("./usr/./a"), "another's second name"),
        (pack("./usr/.wh.a"), "a whiteout"),
        (pack("./usr/caf\udce9"), r"caf\\udce9"),
        (pack("./usr/s", tarfile.SYMTYPE, linkpath="a\0b"), "which is no name"),
        (pack("./usr/h", tarfile.LNKTYPE, "/etc/passwd"), "no file before it"),
        (pack("./usr/h", tarfile.LNKTYPE, "./usr/h"), "no file before it"),
        (pack("./usr/h", tarfile.LNKTYPE, "./usr/d"), "no file before it"),
        (pack("./dev/sda", tarfile.BLKTYPE), "is a device"),
        (pack("./usr/big", size="99999999999999"), "cut short"),
        ({"control.tar.xz": lzma.compress(b"")}, "not a sound Debian package"),
        ({"data.tar.xz/": b""}, "there twice"),
    ],
)
def test_a_hostile_package_is_refused(tmp_path: Path, parts: dict[str, bytes], reason: str) -> None:
    path = make_deb(tmp_path, "tinylib", "2.0-1", TINY_DEB, parts=parts)
    with pytest.raises(ImageError, match=reason):
        read(path, tmp_path)


def test_a_control_file_that_would_fill_the_memory_is_refused(tmp_path: Path) -> None:
    control = make_tar({"control": b" " * (CONTROL_BYTES + 1)})
    path = make_deb(tmp_path, "tinylib", "2.0-1", TINY_DEB, parts={"control.tar.xz": control})
    with pytest.raises(ImageError, match="control file has 1048577 bytes"):
        read(path, tmp_path)


def test_hard_links_become_what_they_lead_to(tmp_path: Path) -> None:
    for number, (target, kind) in enumerate([("./usr/a", "file"), ("usr/l", "link")]):
        parts = pack("./usr/h", tarfile.LNKTYPE, target)
        found = read(make_deb(tmp_path, f"tinylib{number}", "2.0-1", {}, parts=parts), tmp_path)
        assert found["usr/h"].kind == kind
    assert found["usr/h"].target == "a"
