"""The process runner with real processes."""

import os
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
from knitlite.runners import ExitStatus, Job, Mount
from knitlite.runners.limits import Processors
from knitlite.runners.process import MARK, ProcessRunner, explain_exit, map_command


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("root/out/y", "scratch", "log", "content"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "content" / "a.txt").write_text("hello")
    return tmp_path


def make_job(folder: Path, *command: str, **resources: str) -> Job:
    return Job(
        run_id="r",
        folder=folder,
        image="localhost/x:v1",
        entrypoint=command[:1],
        args=command[1:],
        inputs=(Mount("/in/x", folder / "content"),),
        outputs=(Mount("/out/y", folder / "root/out/y"),),
        cpus=3.0,
        memory_bytes=1 << 30,
        resources=resources,
        annotations=(),
    )


def run(job: Job, limits: bool = True) -> tuple[ExitStatus, str]:
    running = ProcessRunner(grace_seconds=0.3, limits=limits).start(job)
    running.release()
    return running.wait(), job.log_path.read_text()


def processes_of(folder: Path) -> list[str]:
    mark = f"{MARK}={folder}".encode()
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and mark in (entry / "environ").read_bytes():
                found.append(entry.name)
        except OSError:
            continue
    return found


def test_job_sees_its_folders(folder: Path) -> None:
    job = make_job(folder, "sh", "-c", 'cat "$1/a.txt" && echo out > "$2/b.txt"', "sh", "/in/x", "/out/y")
    assert run(job) == (ExitStatus(0, ""), "hello")
    assert (folder / "root/out/y/b.txt").read_text() == "out\n"


@pytest.mark.parametrize(
    ("word", "mapped"),
    [
        ("/in/x", True),
        ("/in/x/", True),
        ("/in/x/deep/file", True),
        ("/in", True),
        ("/out/y", True),
        ("/in/xyz", False),
        ("/", False),
        ("/usr/bin/env", False),
        ("in/x", False),
        ("/in/x/../../etc", False),
        ("see /in/x", False),
        ("", False),
    ],
)
def test_words_that_name_mountpoints(folder: Path, word: str, mapped: bool) -> None:
    plain, flagged = map_command(make_job(folder, word, f"--path={word}"))
    expected = f"{folder}/root{word}" if mapped else word
    assert (plain, flagged) == (expected, f"--path={expected}")


def test_removing_an_input_harms_no_data(folder: Path) -> None:
    """And tools that do not follow links find what is in it."""
    (folder / "content" / "deep").mkdir()
    (folder / "content" / "deep" / "b.txt").write_text("deep")
    ended, log = run(make_job(folder, "sh", "-c", 'find "$1" -type f; rm -rf "$1"', "sh", "/in/x"))
    assert ended.code in (0, 1)
    assert sorted(Path(line).name for line in log.splitlines()[:2]) == ["a.txt", "b.txt"]
    assert (folder / "content" / "deep" / "b.txt").read_text() == "deep"


def test_environment(folder: Path) -> None:
    _, log = run(make_job(folder, "env"))
    lines = log.splitlines()
    assert {"HF_HUB_OFFLINE=1", "OMP_NUM_THREADS=3", f"TMPDIR={folder}/scratch"} <= set(lines)


def test_nothing_happens_before_the_release(folder: Path) -> None:
    running = ProcessRunner(grace_seconds=0.1).start(make_job(folder, "touch", "/out/y/begun"))
    time.sleep(0.2)
    assert not (folder / "root/out/y/begun").exists()
    running.stop()
    assert running.wait().code == 143
    assert not (folder / "root/out/y/begun").exists()


@pytest.mark.parametrize(
    ("script", "code"), [("exit 7", 7), ("kill -9 $$", 137), ("kill -TERM $$", 143), ("no-such-x", 127)]
)
def test_exit_codes(folder: Path, script: str, code: int) -> None:
    ended, _ = run(make_job(folder, "sh", "-c", script))
    assert ended == ExitStatus(code, "(container main) Error")


def test_missing_program_is_named_in_the_log(folder: Path) -> None:
    ended, log = run(make_job(folder, "no-such-program"))
    assert ended.code == 127
    assert "no-such-program" in log


def test_nothing_outlives_the_job(folder: Path) -> None:
    """Neither a child in the group nor one that left it."""
    ended, _ = run(make_job(folder, "sh", "-c", "sleep 300 & setsid sleep 300 & exit 0"))
    assert ended == ExitStatus(0, "")
    assert processes_of(folder) == []


def test_stop_is_polite_first(folder: Path) -> None:
    script = "trap 'echo bye; exit 5' TERM; echo up; while :; do sleep 0.02; done"
    assert stop_when_up(make_job(folder, "sh", "-c", script)).code == 5
    assert (folder / "log" / "log").read_text().splitlines()[-1] == "bye"


def test_stop_is_forceful_then(folder: Path) -> None:
    script = "trap '' TERM; echo up; while :; do sleep 0.02; done"
    assert stop_when_up(make_job(folder, "sh", "-c", script)).code == 137


def stop_when_up(job: Job) -> ExitStatus:
    running = ProcessRunner(grace_seconds=0.3).start(job)
    running.release()
    while "up" not in job.log_path.read_text():
        time.sleep(0.01)
    stopper = threading.Thread(target=running.stop)
    stopper.start()
    ended = running.wait()
    stopper.join()
    return ended


HOLD = "import time; held = bytearray({size} << 20); print('up', flush=True); time.sleep({seconds})"


def test_too_much_memory_ends_the_job(folder: Path) -> None:
    """All of its processes together, in the words of Knitfab."""
    hold = HOLD.format(size=40, seconds=60)
    script = f'python -c "{hold}" & exec python -c "{hold}"'
    job = replace(make_job(folder, "sh", "-c", script, memory="64Mi"), memory_bytes=64 << 20)
    began = time.monotonic()
    assert run(job)[0] == ExitStatus(137, "(container main) OOMKilled")
    assert "its plan declares (64Mi): raise that" in job.log_path.read_text()
    assert time.monotonic() - began < 20
    assert processes_of(folder) == []


def test_memory_below_the_limit_is_left_alone(folder: Path) -> None:
    """Also when children share more pages than the limit would allow each of them to have."""
    script = f"import os; [os.fork() for _ in range(2)]; {HOLD.format(size=0, seconds=1.5)}"
    job = make_job(folder, "python", "-c", f"shared = bytearray(80 << 20); {script}", memory="160Mi")
    assert run(replace(job, memory_bytes=160 << 20))[0] == ExitStatus(0, "")


def test_memory_without_limits(folder: Path) -> None:
    job = make_job(folder, "python", "-c", HOLD.format(size=80, seconds=1.5), memory="64Mi")
    assert run(replace(job, memory_bytes=64 << 20), limits=False)[0] == ExitStatus(0, "")


COUNT = "import os; print(len(os.sched_getaffinity(0)))"


def test_processors_declared(folder: Path) -> None:
    """Rounded up."""
    job = replace(make_job(folder, "python", "-c", COUNT, cpu="500m"), cpus=0.5)
    assert run(job) == (ExitStatus(0, ""), "1\n")


def test_processors_left_open(folder: Path) -> None:
    assert run(make_job(folder, "python", "-c", COUNT))[1] == f"{len(os.sched_getaffinity(0))}\n"


def test_processors_are_spread() -> None:
    processors = Processors()
    number = len(os.sched_getaffinity(0))
    taken = [processors.take(1) for _ in range(number)]
    assert len(frozenset().union(*taken)) == number
    processors.give_back(taken[-1])
    assert processors.take(0.1) == taken[-1]


def test_orphan_is_ended(folder: Path) -> None:
    runner = ProcessRunner()
    job = make_job(folder, "sh", "-c", "echo up; setsid sleep 300 & sleep 300")
    running = runner.start(job)
    running.release()
    while not job.log_path.read_text():
        time.sleep(0.01)
    runner.end_orphan(running.handle, folder)
    assert processes_of(folder) == []
    assert running.wait().code == 137


def test_stranger_with_the_number_of_an_orphan_lives(folder: Path) -> None:
    """Numbers are used again: only number and start time together name a process."""
    ProcessRunner().end_orphan(f"{os.getpid()} 1", folder)


def test_refusals(folder: Path) -> None:
    runner = ProcessRunner()
    assert runner.refusal(make_job(folder, "true")) is None
    assert "no entrypoint" in (runner.refusal(make_job(folder)) or "")
    refusal = runner.refusal(make_job(folder, "true", **{"nvidia.com/gpu": "99"}))
    assert refusal is not None
    assert refusal.startswith("99 GPU asked for")


def test_codes_fit_into_a_byte() -> None:
    assert explain_exit(-9).code == 137
    assert explain_exit(255).code == 255
