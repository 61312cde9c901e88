"""kill -9 of the server at every numbered step and at random moments: nothing is lost, nothing half done."""

import contextlib
import json
import multiprocessing
import os
import random
import signal
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import TypeVar

import pytest
from knitfab.actions import ensure_plan
from knitfab.client import HttpEngine
from knitfab.engine import Engine
from knitfab.errors import KnitError
from knitfab.records import Mountpoint, Plan, PlanSpec, Run, Tag
from knitlite import EmbeddedEngine, EngineSettings, ServeSettings
from knitlite.checking import check_root
from knitlite.cli import serve
from knitlite.faults import STEPS, Faults, KillAt, NoFaults
from knitlite.runners import Runner
from knitlite.runners.process import MARK, ProcessRunner

from .conftest import CONTENT

T = TypeVar("T")
START, MIDDLE, END = (Tag("stage", name) for name in ("start", "middle", "end"))
COPY = 'echo copying; cp -r "$1"/. "$2"/ && sleep "$3"'
KILLS = int(os.environ.get("KNITLITE_KILLS", "200"))

processes = multiprocessing.get_context("forkserver")
processes.set_forkserver_preload(["knitlite.cli"])


@dataclass
class Server:
    """A server in a process of its own, and a client for it."""

    process: BaseProcess
    engine: HttpEngine

    def kill(self) -> None:
        self.process.kill()
        self.process.join()


@contextmanager
def started(root: Path, faults: Faults, runner: Runner | None = None) -> Iterator[Server]:
    runner = runner or ProcessRunner(grace_seconds=1)
    settings = ServeSettings(root, port=0, runner=runner, faults=faults)
    process = processes.Process(target=serve, args=(settings,))
    process.start()
    try:
        yield Server(process, HttpEngine(wait_for(lambda: read_endpoint(root, process), process)))
    finally:
        process.kill()
        process.join()
        process.close()


def read_endpoint(root: Path, process: BaseProcess) -> str | None:
    try:
        endpoint = json.loads((root / "endpoint").read_text())
    except FileNotFoundError:
        return None
    return str(endpoint["api_root"]) if endpoint["pid"] == process.pid else None


def wait_for(look: Callable[[], T | None], process: BaseProcess | None = None, seconds: float = 20) -> T:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = look()
        if found is not None:
            return found
        assert process is None or process.is_alive(), "the server ended"
        time.sleep(0.005)
    raise AssertionError(f"nothing came within {seconds:g} s")


def plan(image: str, source: Tag, product: Tag, seconds: str = "0") -> PlanSpec:
    return PlanSpec(
        image=f"localhost/{image}:v1",
        entrypoint=("sh", "-c", COPY),
        args=("sh", "/in/x", "/out/y", seconds),
        inputs=(Mountpoint("/in/x", (source,)),),
        outputs=(Mountpoint("/out/y", (product,)),),
        log=(Tag("stage", f"log-{image}"),),
    )


def drive(engine: Engine, source: Path) -> None:
    """Ask for everything once, whatever an earlier attempt got done; raises when the server dies under it."""
    if not [data for data in engine.find_data([START]) if data.transient is None]:
        engine.push_data(source, [START])
    first, _ = ensure_plan(engine, plan("first", START, MIDDLE))
    second, _ = ensure_plan(engine, plan("second", MIDDLE, END))
    wait_for(lambda: only_run(engine, first, "done"))
    run = wait_for(lambda: only_run(engine, second, "done", "invalidated"))
    if run.status == "done":
        engine.retry_run(run.run_id)
        wait_for(lambda: only_run(engine, second, "done"))
        engine.delete_run(run.run_id)


def only_run(engine: Engine, of: Plan, *statuses: str) -> Run | None:
    runs = engine.find_runs(plans=[of.plan_id])
    assert len(runs) <= 1, "a combination became two Runs"
    return runs[0] if runs and runs[0].status in statuses else None


def survive(server: Server, source: Path) -> bool:
    """Whether the server lived through all of it."""
    try:
        drive(server.engine, source)
    except KnitError as error:
        if error.code != "unreachable":
            raise
        return False
    return True


def check_end(root: Path, scratch: Path) -> None:
    """Everything that was asked for is there, whole and once, and nothing else."""
    with EmbeddedEngine.open(EngineSettings(root)) as engine:
        first, second = (ensure_plan(engine, plan(*names))[0] for names in FINAL_PLANS)
        run = only_run(engine, first, "done")
        assert run is not None
        assert only_run(engine, second, "invalidated") is not None
        engine.pull_data(run.outputs[0].knit_id, scratch / "content")
        assert read_folder(scratch / "content") == CONTENT
        assert b"".join(engine.read_log(run.run_id)) == b"copying\n"
        (data,) = [found for found in engine.find_data([START]) if found.transient is None]
        assert [link.run.run_id for link in data.downstreams] == [run.run_id]
        wait_for(lambda: not list((root / "runs").iterdir()) or None)
    assert check_root(root) == []
    for folder in ("runs", "incoming", "garbage"):
        assert list((root / folder).iterdir()) == []
    assert marked_processes(root) == []


FINAL_PLANS = (("first", START, MIDDLE), ("second", MIDDLE, END))


def read_folder(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


def marked_processes(root: Path) -> list[str]:
    mark = f"{MARK}={root}".encode()
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and mark in (entry / "environ").read_bytes():
                found.append(entry.name)
        except OSError:
            continue
    return found


@pytest.mark.parametrize("times", [1, pytest.param(2, marks=pytest.mark.slow)])
@pytest.mark.parametrize("step", STEPS)
def test_killed_at_a_step(step: str, times: int, tmp_path: Path, source: Path) -> None:
    root = tmp_path / "root"
    with started(root, KillAt(step, times)) as server:
        survived = survive(server, source)
    assert times == 2 or not survived, "the step was never reached"
    while not survived:
        with started(root, NoFaults()) as server:
            survived = survive(server, source)
    check_end(root, tmp_path)


def test_killed_at_random(tmp_path: Path, source: Path) -> None:
    """The server dies again and again, sometimes with its job; the work gets done nevertheless."""
    kill_at_random(tmp_path, source, kills=min(KILLS, 30))


@pytest.mark.slow
def test_killed_at_random_often(tmp_path: Path, source: Path) -> None:
    """KNITLITE_KILLS says how often; 200 if unset."""
    kill_at_random(tmp_path, source, KILLS)


def kill_at_random(tmp_path: Path, source: Path, kills: int) -> None:
    dice = random.Random(kills)
    done = 0
    while kills:
        root = tmp_path / f"root-{done}"
        survived = False
        while not survived:
            with started(root, NoFaults()) as server:
                strike = kill_soon(server, root, dice)
                if not kills:
                    strike.cancel()
                survived = survive(server, source)
                strike.cancel()
                strike.join()
                kills -= not survived
        done += 1
        (tmp_path / str(done)).mkdir()
        check_end(root, tmp_path / str(done))


def kill_soon(server: Server, root: Path, dice: random.Random) -> threading.Timer:
    with_job = dice.random() < 0.3

    def strike() -> None:
        server.process.kill()
        for pid in marked_processes(root) if with_job else ():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)

    timer = threading.Timer(dice.uniform(0.0, 0.2), strike)
    timer.start()
    return timer


def test_a_run_that_can_not_be_finished_holds_up_no_start(tmp_path: Path, source: Path) -> None:
    """Something lies where its output belongs: it keeps its content until that is gone, and others go on."""
    root = tmp_path / "root"
    with started(root, KillAt("run.completing")) as server:
        assert not survive(server, source)
    with closing(sqlite3.connect(root / "knitlite.sqlite")) as store:
        query = (
            "SELECT knit_id FROM data JOIN runs USING (run_id) WHERE status = 'completing' AND position = 0"
        )
        (knit_id,) = store.execute(query).fetchone()
    obstacle = root / "data" / knit_id / "something"
    obstacle.mkdir(parents=True)
    with started(root, NoFaults()) as server:
        server.engine.push_data(source)
        obstacle.rmdir()
        assert survive(server, source)
    check_end(root, tmp_path)
