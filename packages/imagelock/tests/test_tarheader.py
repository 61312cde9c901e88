"""Headers are what tarfile reads and, where tarfile writes the same form, the same bytes."""

from __future__ import annotations

import io
import tarfile

import pytest
from imagelock.entry import directory, link, literal
from imagelock.tarheader import MTIME, end_of_archive, entry_header, padding


@pytest.mark.parametrize(
    "path",
    ["a", "usr/lib/x.py", "d/" * 60 + "long.py", "usr/share/größe.txt", "x" * 100, "x" * 101],
)
def test_tarfile_reads_back_what_is_written(path: str) -> None:
    data = b"hello"
    entry = literal(path, data, "owner", executable=True)
    raw = entry_header(entry) + data + padding(len(data))
    raw += end_of_archive(len(raw))
    with tarfile.open(fileobj=io.BytesIO(raw)) as archive:
        (member,) = archive.getmembers()
        stream = archive.extractfile(member)
        assert stream
        assert stream.read() == data
    assert (member.name, member.mode, member.mtime) == (path, 0o755, MTIME)
    assert (member.uid, member.gid, member.uname, member.gname) == (0, 0, "", "")
    assert len(raw) % 10240 == 0


def test_a_short_header_is_the_one_tarfile_writes() -> None:
    info = tarfile.TarInfo("usr/bin/x")
    info.size, info.mode, info.mtime = 5, 0o644, MTIME
    theirs = info.tobuf(tarfile.PAX_FORMAT)
    assert entry_header(literal("usr/bin/x", b"hello", "")) == theirs


def test_links_and_folders() -> None:
    raw = entry_header(link("bin", "usr/" + "y" * 120, "")) + entry_header(directory("tmp", "", 0o1777))
    with tarfile.open(fileobj=io.BytesIO(raw + end_of_archive(len(raw)))) as archive:
        first, second = archive.getmembers()
    assert first.issym()
    assert first.linkname == "usr/" + "y" * 120
    assert first.mode == 0o777
    assert second.isdir()
    assert second.name == "tmp"
    assert second.mode == 0o1777


def test_eight_gibibytes_need_a_record() -> None:
    entry = literal("big", b"", "")
    header = entry_header(type(entry)("big", "file", 0o644, "", size=8**11))
    assert b"size=8589934592\n" in header
    with tarfile.open(fileobj=io.BytesIO(header), mode="r:") as archive:
        member = archive.next()
        assert member
        assert member.size == 8**11
