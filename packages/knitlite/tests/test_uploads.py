"""Uploads are whole and tagged, or unusable."""

import io
import tarfile
import zlib
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest
from knitfab.errors import KnitError
from knitfab.records import Mountpoint, PlanSpec, Tag
from knitfab.tarstream import pack_folder
from knitlite import EmbeddedEngine, EngineSettings

TAG = Tag("type", "x")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "a.txt").write_text("hello")
    return tmp_path / "source"


def test_content_and_tags_appear_together(engine: EmbeddedEngine, source: Path) -> None:
    """While it is on its way an upload is listed, but starts nothing."""
    engine.apply_plan(PlanSpec("busybox:1", (Mountpoint("/in", (TAG,)),), entrypoint=("true",)))
    seen: list[list[str | None]] = []

    def watched() -> Iterator[bytes]:
        for piece in pack_folder(source):
            yield piece
            seen.append([data.transient for data in engine.find_data([TAG])])
            assert len(engine.find_runs()) == 1

    data = engine.receive_data(watched(), [TAG])
    assert seen == [["processing"]] * len(seen)
    assert data.transient is None
    assert data.user_tags == (TAG,)
    assert len(engine.find_runs()) == 2


def broken(kind: str, source: Path) -> Iterator[bytes]:
    if kind == "raises":
        yield from list(pack_folder(source))[:1]
        raise OSError("the client went away")
    if kind == "nothing":
        return
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        tar.add(source / "a.txt", "a.txt")
        tar.addfile(tarfile.TarInfo("../out"))
    yield buffer.getvalue() if kind == "climbs" else buffer.getvalue()[:-30]


@pytest.mark.parametrize("kind", ["raises", "nothing", "climbs", "cut"])
def test_a_broken_upload_leaves_nothing_usable(engine: EmbeddedEngine, source: Path, kind: str) -> None:
    with pytest.raises((KnitError, OSError)):
        engine.receive_data(broken(kind, source), [TAG])
    assert engine.find_data([TAG]) == []
    (left,) = engine.find_data()
    assert left.transient == "failed"
    engine.pull_data(left.knit_id, source.parent / "pulled")
    assert list((source.parent / "pulled").iterdir()) == []
    engine.delete_run(left.upstream.run.run_id)
    assert engine.find_data() == []


def test_too_many_files_are_refused_before_they_are_counted(tmp_path: Path) -> None:
    """The archive could go on for ever: what comes after the limit is not even read."""
    packer = zlib.compressobj(1, zlib.DEFLATED, 31)
    read = 0

    def endless() -> Iterator[bytes]:
        nonlocal read
        for number in count():
            read += 1
            header = tarfile.TarInfo(f"f{number}").tobuf(tarfile.USTAR_FORMAT)
            yield packer.compress(header) + packer.flush(zlib.Z_SYNC_FLUSH)

    with EmbeddedEngine.open(EngineSettings(tmp_path / "root", max_files=500)) as engine:
        with pytest.raises(KnitError, match="more than 500 members") as error:
            engine.receive_data(endless())
        assert error.value.code == "too_large"
        assert read < 600
        assert [data.transient for data in engine.find_data()] == ["failed"]
    assert list((tmp_path / "root" / "incoming").iterdir()) == []


def test_wrong_checksum(engine: EmbeddedEngine, source: Path) -> None:
    with pytest.raises(KnitError, match="hash is not match"):
        engine.receive_data(pack_folder(source), [TAG], lambda: "0" * 32)
    assert engine.find_data([TAG]) == []


def test_bad_tag_is_refused_before_anything_is_kept(engine: EmbeddedEngine, source: Path) -> None:
    for tag in (Tag("knit#id", "x"), Tag("a", 'quo"te')):
        with pytest.raises(KnitError):
            engine.push_data(source, [tag])
    assert engine.find_data() == []


def test_aborted_upload(engine: EmbeddedEngine, source: Path) -> None:
    """A user may end an upload that is on its way; it can't be torn off half."""

    def watched() -> Iterator[bytes]:
        yield from pack_folder(source)
        (run,) = engine.find_runs()
        with pytest.raises(KnitError, match="prohibited operation"):
            engine.stop_run(run.run_id)
        engine.stop_run(run.run_id, fail=True)

    with pytest.raises(KnitError, match="prohibited operation"):
        engine.receive_data(watched(), [TAG])
    assert [run.status for run in engine.find_runs()] == ["failed"]
