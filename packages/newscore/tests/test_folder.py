"""staged_folder, staged_outputs: whole or not at all, on real file systems that fail."""

import errno
import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from newscore.errors import NewsError
from newscore.folder import refuse_inside, sha256_file, sha256_folder, staged_folder, staged_outputs


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A real file system of 256 KiB; only root may mount one."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(place)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("mounting a tmpfs needs root")
    yield place
    subprocess.run(["umount", str(place)], check=True)


LINGER = """
import sys, time
from pathlib import Path
from newscore.folder import staged_folder

with staged_folder(Path(sys.argv[1])) as folder:
    (folder / "half").write_text("half")
    print("ready", flush=True)
    time.sleep(60)
"""


@contextmanager
def another_writer(path: Path) -> Iterator[None]:
    """A process in the middle of writing the folder `path`; killed in the end."""
    with subprocess.Popen([sys.executable, "-c", LINGER, str(path)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        yield
        process.kill()


def fill(path: Path) -> None:
    with staged_folder(path) as folder:
        (folder / "first").write_text("small")
        (folder / "second").write_bytes(b"x" * 2**20)


def break_off(path: Path, error: BaseException) -> None:
    with staged_folder(path) as folder:
        (folder / "file").write_text("x")
        raise error


def test_a_new_folder_appears_with_its_parents(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b"
    with staged_folder(path) as folder:
        (folder / "sub").mkdir()
        (folder / "sub" / "file").write_text("x")
        assert not path.exists()
    assert (path / "sub" / "file").read_text() == "x"
    assert [entry.name for entry in path.parent.iterdir()] == ["b"]


def test_an_empty_folder_such_as_a_mountpoint_stays_the_same_folder(tmp_path: Path) -> None:
    path = tmp_path / "out"
    path.mkdir()
    number = path.stat().st_ino
    with staged_folder(path) as folder:
        (folder / "file").write_text("x")
    assert path.stat().st_ino == number
    assert [entry.name for entry in path.iterdir()] == ["file"]


def test_a_fresh_volume_counts_as_empty(tmp_path: Path) -> None:
    (tmp_path / "lost+found").mkdir()
    with staged_folder(tmp_path) as folder:
        (folder / "file").write_text("x")
    assert (tmp_path / "file").exists()


@pytest.mark.parametrize("existed", [True, False])
@pytest.mark.parametrize("error", [RuntimeError(), KeyboardInterrupt(), SystemExit(143), NewsError("x")])
def test_after_any_exception_nothing_is_left(existed: bool, error: BaseException, tmp_path: Path) -> None:
    path = tmp_path / "a" / "out"
    if existed:
        path.mkdir(parents=True)

    def fail() -> None:
        with staged_folder(path) as folder:
            (folder / "file").write_text("x")
            raise error

    with pytest.raises(type(error)):
        fail()
    assert list(path.iterdir()) == [] if existed else list(tmp_path.iterdir()) == []


def test_a_folder_with_content_is_refused_and_kept(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("x")
    with pytest.raises(NewsError, match="is not empty, it holds 'mine'"), staged_folder(tmp_path):
        pytest.fail("not reached")
    assert [entry.name for entry in tmp_path.iterdir()] == ["mine"]


@pytest.mark.parametrize("mountpoints", [(), ("model",), ("lost+found", "metrics", "model")])
def test_outputs_appear_in_an_empty_place_or_in_mountpoints(
    mountpoints: tuple[str, ...], tmp_path: Path
) -> None:
    for name in mountpoints:
        (tmp_path / "out" / name / "lost+found").mkdir(parents=True)
    with staged_outputs(tmp_path / "out", ["model", "metrics"]) as folders:
        for folder in folders:
            (folder / "file").write_text("x")
    assert [(tmp_path / "out" / name / "file").exists() for name in ("model", "metrics")] == [True, True]
    assert [entry.name for entry in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("held", ["notes.txt", "predictions/row", "model/old"])
def test_outputs_never_join_what_lies_there(held: str, tmp_path: Path) -> None:
    (tmp_path / "out" / held).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / "out" / held).write_text("mine")
    with (
        pytest.raises(NewsError, match="is not empty"),
        staged_outputs(tmp_path / "out", ["model", "metrics"]),
    ):
        pytest.fail("not reached")
    assert [path for path in (tmp_path / "out").rglob("*") if path.is_file()] == [tmp_path / "out" / held]


def test_a_folder_to_work_in_is_not_among_the_results(tmp_path: Path) -> None:
    refuse_inside(tmp_path / "out", "--scratch", tmp_path / "out2")
    with pytest.raises(NewsError, match=r"--scratch .* lies in --save-to"):
        refuse_inside(tmp_path / "out", "--scratch", tmp_path / "out" / "x" / ".." / "scratch")


def test_what_filled_the_place_meanwhile_is_kept_and_told(tmp_path: Path) -> None:
    path = tmp_path / "out"

    def meet_another() -> None:
        with staged_folder(path) as folder:
            (folder / "ours").write_text("ours")
            path.mkdir()
            (path / "theirs").write_text("theirs")

    with pytest.raises(NewsError, match="filled by another program"):
        meet_another()
    assert [entry.name for entry in tmp_path.rglob("*")] == ["out", "theirs"]


def test_a_file_in_the_way_is_refused(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("x")
    with pytest.raises(NewsError, match="is a file"), staged_folder(tmp_path / "out"):
        pytest.fail("not reached")


def test_a_place_where_no_folder_can_be_is_told() -> None:
    with pytest.raises(NewsError, match=r"^/proc/x cannot be made"), staged_folder(Path("/proc/x")):
        pass


def test_what_a_killed_process_left_inside_is_swept(tmp_path: Path) -> None:
    (tmp_path / ".partial").mkdir()
    (tmp_path / ".partial" / "old").write_text("old")
    with staged_folder(tmp_path) as folder:
        (folder / "new").write_text("new")
    assert [entry.name for entry in tmp_path.iterdir()] == ["new"]


@pytest.mark.parametrize("inside", ["", "new"])
def test_a_full_disk_leaves_nothing(inside: str, tiny_disk: Path) -> None:
    with pytest.raises(OSError, match="No space") as caught:
        fill(tiny_disk / inside if inside else tiny_disk)
    assert caught.value.errno == errno.ENOSPC
    assert list(tiny_disk.iterdir()) == []


def test_published_folders_can_be_read_by_others(tmp_path: Path) -> None:
    with staged_folder(tmp_path / "out"):
        pass
    assert (tmp_path / "out").stat().st_mode & 0o777 == 0o755


def test_sha256_file_is_sha256_of_the_bytes(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"abc")
    assert sha256_file(tmp_path / "f") == hashlib.sha256(b"abc").hexdigest()


def test_sha256_folder_depends_on_names_and_contents_alone(tmp_path: Path) -> None:
    for name, order in (("one", ("a", "b")), ("two", ("b", "a"))):
        (tmp_path / name / "sub").mkdir(parents=True)
        for file in order:
            (tmp_path / name / "sub" / file).write_text(file)
    first = sha256_folder(tmp_path / "one")
    assert first == sha256_folder(tmp_path / "two")
    os.utime(tmp_path / "two" / "sub" / "a", (0, 0))
    assert first == sha256_folder(tmp_path / "two")
    (tmp_path / "two" / "sub" / "a").write_text("changed")
    assert first != sha256_folder(tmp_path / "two")
    (tmp_path / "one" / "sub" / "a").rename(tmp_path / "one" / "sub" / "c")
    assert first != sha256_folder(tmp_path / "one")


def test_what_a_killed_process_left_is_removed_by_the_next(tmp_path: Path) -> None:
    path = tmp_path / "out"
    with another_writer(path):
        assert len(list(tmp_path.iterdir())) == 1
    assert len(list(tmp_path.iterdir())) == 1
    with staged_folder(path) as folder:
        (folder / "file").write_text("x")
    assert [entry.name for entry in tmp_path.iterdir()] == ["out"]


def test_what_another_process_is_writing_stays(tmp_path: Path) -> None:
    path = tmp_path / "out"
    with another_writer(path):
        with staged_folder(path) as folder:
            (folder / "file").write_text("x")
        names = sorted(entry.name for entry in tmp_path.iterdir())
        assert [name.partition("-")[0] for name in names] == [".out.partial", "out"]
        assert (tmp_path / names[0] / "half").exists()


def test_a_mountpoint_is_written_by_one_process_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "out"
    path.mkdir()
    with another_writer(path), pytest.raises(NewsError, match="another process"), staged_folder(path):
        pass
    with staged_folder(path) as folder:
        (folder / "file").write_text("x")
    assert [entry.name for entry in path.iterdir()] == ["file"]


def test_a_file_among_the_parents_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(NewsError, match=r"file is a file"), staged_folder(tmp_path / "file" / "out"):
        pass
