import gzip
import io
import os
import tarfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from knitfab.errors import KnitError
from knitfab.extract import extract_archive
from knitfab.tarstream import hash_folder, pack_folder

PARTS = st.text(
    st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="/"), min_size=1, max_size=40
)
NAMES = PARTS.filter(lambda part: part not in (".", "..") and len(part.encode()) < 200)
TREES = st.dictionaries(
    st.lists(NAMES, min_size=1, max_size=4).map("/".join),
    st.binary(max_size=3000),
    max_size=8,
)


def _write(folder: Path, files: dict[str, bytes]) -> dict[str, bytes]:
    """Writes what fits: a name that is also a folder is left out."""
    written = {}
    for name, content in files.items():
        path = folder / name
        if path.exists() or any(parent.is_file() for parent in path.parents):
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        written[name] = content
    return written


def _read(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(TREES)
def test_any_folder_round_trips(tmp_path_factory: pytest.TempPathFactory, files: dict[str, bytes]) -> None:
    source, target = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("target")
    written = _write(source, files)
    packed = b"".join(pack_folder(source))
    extract_archive([packed], target)
    assert _read(target) == written
    assert b"".join(pack_folder(target)) == packed
    assert hash_folder(target) == hash_folder(source)
    with tarfile.open(fileobj=io.BytesIO(packed)) as tar:
        assert tar.getnames() == sorted(written)


def test_time_owner_and_mode_do_not_matter(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("x")
    before = b"".join(pack_folder(tmp_path))
    os.utime(tmp_path / "a", (0, 0))
    (tmp_path / "a").chmod(0o600)
    assert b"".join(pack_folder(tmp_path)) == before
    (tmp_path / "a").chmod(0o700)
    assert b"".join(pack_folder(tmp_path)) != before


def test_folders_are_no_entries(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "a").write_text("x")
    (tmp_path / "link").symlink_to("full")
    with tarfile.open(fileobj=io.BytesIO(b"".join(pack_folder(tmp_path)))) as tar:
        members = tar.getmembers()
    assert [(member.name, member.type) for member in members] == [
        ("full/a", tarfile.REGTYPE),
        ("link", tarfile.SYMTYPE),
    ]
    assert all(member.mtime == member.uid == member.gid == 0 for member in members)


def test_names_longer_than_a_header(tmp_path: Path) -> None:
    deep = tmp_path / "source" / ("d" * 120) / ("e" * 120)
    deep.mkdir(parents=True)
    (deep / "f").write_text("x")
    (tmp_path / "target").mkdir()
    extract_archive(pack_folder(tmp_path / "source"), tmp_path / "target")
    assert (tmp_path / "target" / ("d" * 120) / ("e" * 120) / "f").read_text() == "x"


@pytest.mark.parametrize("target", ["/etc/passwd", "../outside", "..", "a/../../x"])
def test_links_out_of_the_folder_are_refused(tmp_path: Path, target: str) -> None:
    (tmp_path / "link").symlink_to(target)
    with pytest.raises(KnitError, match="cp -rL") as error:
        pack_folder(tmp_path)
    assert error.value.code == "invalid"


def test_what_is_no_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    for path in (tmp_path / "file", tmp_path / "none"):
        with pytest.raises(KnitError, match="only a folder can be pushed"):
            pack_folder(path)


def test_a_pipe_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(KnitError, match="neither file, folder nor symlink"):
        pack_folder(tmp_path)


def test_name_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    (tmp_path / os.fsdecode(b"\xff")).write_text("x")
    with pytest.raises(KnitError, match="not UTF-8"):
        pack_folder(tmp_path)


def test_gzip_tells_no_time(tmp_path: Path) -> None:
    packed = b"".join(pack_folder(tmp_path))
    assert packed[4:8] == bytes(4)
    assert len(gzip.decompress(packed)) == 10240
