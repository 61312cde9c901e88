"""Content on real disks: sealed, discarded, and what happens when there is no room for it."""

import contextlib
import os
import shutil
import stat
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from knitfab.errors import KnitError
from knitfab.records import Mountpoint, PlanSpec, Run, Tag
from knitlite import EmbeddedEngine, EngineSettings
from knitlite.checking import check_root
from knitlite.folders import Folders

IN, OUT = Tag("way", "in"), Tag("way", "out")


def small_disk(folder: Path, options: str) -> Iterator[Path]:
    folder.mkdir()
    mount = shutil.which("mount")
    command = [mount or "mount", "-t", "tmpfs", "-o", options, "none", str(folder)]
    if mount is None or os.geteuid() != 0 or subprocess.run(command, check=False).returncode:
        pytest.skip("a small disk can only be mounted by root")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.fixture
def full_soon(tmp_path: Path) -> Iterator[Path]:
    yield from small_disk(tmp_path / "disk", "size=6m")


@pytest.fixture
def few_inodes(tmp_path: Path) -> Iterator[Path]:
    yield from small_disk(tmp_path / "disk", "size=64m,nr_inodes=100")


def make_folder(path: Path, files: int = 1, size: int = 5) -> Path:
    path.mkdir()
    for number in range(files):
        (path / f"{number}.bin").write_bytes(os.urandom(size))
    return path


def writing_plan(script: str) -> PlanSpec:
    return PlanSpec(
        image="localhost/writer:v1",
        entrypoint=("sh", "-c", script),
        args=("sh", "/out/y"),
        inputs=(Mountpoint("/in/x", (IN,)),),
        outputs=(Mountpoint("/out/y", (OUT,)),),
    )


def wait_for(look: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not look():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def only_run(engine: EmbeddedEngine) -> Run:
    (run,) = [run for run in engine.find_runs() if run.plan.name is None]
    return run


def test_upload_that_does_not_fit(full_soon: Path, tmp_path: Path) -> None:
    """A clear error, nothing kept, and room for the next one."""
    root = full_soon / "root"
    with EmbeddedEngine.open(EngineSettings(root)) as engine:
        with pytest.raises(KnitError) as error:
            engine.push_data(make_folder(tmp_path / "big", size=8_000_000), [IN])
        assert error.value.code == "no_space"
        assert engine.find_data([IN]) == []
        assert [data.transient for data in engine.find_data()] == ["failed"]
        engine.push_data(make_folder(tmp_path / "small"), [IN])
        assert len(engine.find_data([IN])) == 1
    assert check_root(root) == []


def test_upload_of_too_many_files(few_inodes: Path, tmp_path: Path) -> None:
    root = few_inodes / "root"
    with EmbeddedEngine.open(EngineSettings(root)) as engine:
        with pytest.raises(KnitError) as error:
            engine.push_data(make_folder(tmp_path / "many", files=200), [IN])
        assert error.value.code == "no_space"
        engine.push_data(make_folder(tmp_path / "few"), [IN])
    assert check_root(root) == []


def test_run_that_fills_the_disk(full_soon: Path, tmp_path: Path) -> None:
    """It fails by itself; the engine lives on."""
    root = full_soon / "root"
    with EmbeddedEngine.open(EngineSettings(root)) as engine:
        engine.push_data(make_folder(tmp_path / "small"), [IN])
        engine.apply_plan(writing_plan('head -c 9000000 /dev/urandom > "$1/big" || { rm "$1/big"; exit 1; }'))
        wait_for(lambda: only_run(engine).status == "failed")
        engine.delete_run(only_run(engine).run_id)
        engine.push_data(make_folder(tmp_path / "another"))
    assert check_root(root) == []


def test_full_disk_delays_but_loses_nothing(full_soon: Path, tmp_path: Path) -> None:
    """The end of a Run that can't be written is written as soon as there is room; its job runs once."""
    root = full_soon / "root"
    go, filler, begun = tmp_path / "go", full_soon / "filler", tmp_path / "begun"
    script = f'echo x >> {begun}; echo done > "$1/result"; while ! [ -e {go} ]; do sleep 0.02; done'
    with EmbeddedEngine.open(EngineSettings(root)) as engine:
        data = engine.push_data(make_folder(tmp_path / "small"), [IN])
        engine.apply_plan(writing_plan(script))
        wait_for(lambda: only_run(engine).status == "running")
        refused = fill_up(engine, filler, data.knit_id)
        assert refused == "no_space"
        go.touch()
        time.sleep(1.5)
        filler.unlink()
        wait_for(lambda: only_run(engine).status == "done")
        assert begun.read_text() == "x\n"
        engine.pull_data(only_run(engine).outputs[0].knit_id, tmp_path / "pulled")
        assert (tmp_path / "pulled" / "result").read_text() == "done\n"
    assert check_root(root) == []


def test_no_inodes_left(few_inodes: Path, tmp_path: Path) -> None:
    """A new folder can't be made, nor a file beside the database: both are said, both heal."""
    root, filler = few_inodes / "root", few_inodes / "filler"
    with EmbeddedEngine.open(EngineSettings(root)) as engine:
        take_inodes(filler)
        with pytest.raises(KnitError, match="no space left") as error:
            engine.push_data(make_folder(tmp_path / "first"), [IN])
        assert error.value.code == "no_space"
        assert engine.find_data([IN]) == []
        shutil.rmtree(filler)
        wait_for(lambda: [data.transient for data in engine.find_data()] == ["failed"])
        engine.push_data(make_folder(tmp_path / "second"), [IN])
    assert check_root(root) == []
    take_inodes(filler)
    with pytest.raises(KnitError, match=r"can't be written|no space left|can't be used") as error:
        EmbeddedEngine.open(EngineSettings(root))
    assert error.value.code == "no_space"
    shutil.rmtree(filler)
    with EmbeddedEngine.open(EngineSettings(root)) as engine:
        assert len(engine.find_data([IN])) == 1
    assert check_root(root) == []


def take_inodes(folder: Path) -> None:
    folder.mkdir()
    with contextlib.suppress(OSError):
        for number in range(1000):
            (folder / str(number)).touch()


def fill_up(engine: EmbeddedEngine, filler: Path, knit_id: str) -> str:
    """Take all room, then make changes until one is refused; the code of that refusal."""
    with filler.open("wb", buffering=0) as file:
        try:
            while file.write(bytes(4096)) == 4096:
                pass
        except OSError:
            pass
    for number in range(2000):
        try:
            engine.tag_data(knit_id, add=[Tag("filler", f"{number}" * 500)])
        except KnitError as error:
            return error.code
    return "never refused"


def test_discard_takes_read_only_content(tmp_path: Path) -> None:
    folders = Folders(tmp_path)
    source = make_folder(tmp_path / "source", files=2)
    (source / "deep").mkdir()
    (source / "deep" / "link").symlink_to("../0.bin")
    folders.publish(source, "k")
    assert not source.exists()
    assert (folders.data_path("k") / "0.bin").stat().st_mode & 0o222 == 0
    folders.publish(source, "k")
    folders.discard(folders.data_path("k"))
    assert folders.names(folders.data) == set()
    assert folders.names(folders.garbage) == set()


def test_content_without_permissions_is_kept(tmp_path: Path) -> None:
    """Only root could read it as the job left it."""
    folders = Folders(tmp_path)
    source = make_folder(tmp_path / "source")
    (source / "deep").mkdir()
    (source / "deep" / "b").write_text("b")
    for path in (source / "deep" / "b", source / "deep", source):
        path.chmod(0)
    folders.publish(source, "k")
    published = folders.data_path("k")
    modes = [stat.S_IMODE(path.stat().st_mode) for path in (published, published / "deep" / "b")]
    assert modes == [0o500, 0o400]
    assert (published / "deep" / "b").read_text() == "b"


def test_discard_does_not_follow_links(tmp_path: Path) -> None:
    folders = Folders(tmp_path)
    (tmp_path / "precious").mkdir()
    folders.data_path("k").symlink_to(tmp_path / "precious")
    folders.discard(folders.data_path("k"))
    assert (tmp_path / "precious").is_dir()
    assert folders.names(folders.data) == set()
