"""kill -9 of the server, of the program attached to a container, of the container, of all at once."""

import contextlib
import os
import random
import signal
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from knitfab.actions import ensure_plan
from knitfab.engine import Engine
from knitfab.errors import KnitError
from knitfab.records import Mountpoint, PlanSpec, Run, Tag
from knitlite import EmbeddedEngine, EngineSettings
from knitlite.checking import check_root
from knitlite.faults import KillAt, NoFaults
from knitlite.runners.container import ContainerRunner
from knitlite.runners.container_program import Program
from knitlite.runners.held import HeldRunner

from .conftest import CONTENT
from .containers import IMAGE, PROGRAMS, containers, ended_as, log_of, with_image
from .test_recovery import Server, read_folder, started, wait_for

KILLS = int(os.environ.get("KNITLITE_KILLS", "200")) // 5
FIRST, MIDDLE, LAST = (Tag("stage", name) for name in ("first", "middle", "last"))
COPY = 'echo copying; cp "$1"/a.txt "$2"; sleep 0.5; cp -r "$1"/deep "$2"; sleep 0.2; echo end'
STEPS = ("run.spawned", "run.recorded", "run.released")
LONG_STEPS = ("run.starting", "run.folder", "run.completing", "run.moved_one", "run.finished")
# 255 is podman's word for a container whose end its killed monitor did not see.
BY_A_KILL = (137, 254, 255)


@pytest.fixture(scope="module", params=PROGRAMS)
def program(request: pytest.FixtureRequest) -> Iterator[Program]:
    with with_image(request.param) as found:
        yield found


@dataclass
class Victims:
    """What runs for the Runs below a folder, and all containers that were ever seen there."""

    program: Program
    root: Path
    seen: set[str] = field(default_factory=set)

    def strike(self, server: Server, *, whole: bool, attached: bool, container: bool) -> None:
        """kill -9 of what is named."""
        running = containers(self.program, self.root)
        self.seen.update(running)
        if whole:
            server.process.kill()
        for pid in self.processes() if attached else ():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for name in running if container else ():
            self.program.call("kill", "--signal", "KILL", name)

    def processes(self) -> list[int]:
        """Programs that were called with a container's id, and podman's monitors; not docker's engine."""
        found = []
        for entry in Path("/proc").iterdir():
            with contextlib.suppress(OSError):
                words = (entry / "cmdline").read_bytes().decode("utf-8", "replace")
                if any(name in words for name in self.seen) and "containerd" not in words:
                    found.append(int(entry.name))
        return found


def plan(of: Tag, product: Tag) -> PlanSpec:
    return PlanSpec(
        image=IMAGE,
        entrypoint=("sh", "-c", COPY),
        args=("sh", "/in/x", "/out/y"),
        inputs=(Mountpoint("/in/x", (of,)),),
        outputs=(Mountpoint("/out/y", (product,)),),
        log=(Tag("stage", "log"),),
        resources={"cpu": "500m", "memory": "64Mi"},
    )


def drive(engine: Engine, source: Path, life: int) -> None:
    """One more Data through both plans; raises when the server dies under it."""
    tags = [FIRST, Tag("life", str(life))]
    if not [data for data in engine.find_data(tags) if data.transient is None]:
        engine.push_data(source, tags)
    plans = [ensure_plan(engine, spec)[0].plan_id for spec in (plan(FIRST, MIDDLE), plan(MIDDLE, LAST))]
    wait_for(lambda: all_done(engine, plans, life) or None, seconds=300)


def all_done(engine: Engine, plans: list[str], lives: int) -> bool:
    """Whether each life has both its Runs done. One whose container was killed has failed, and is retried."""
    runs = engine.find_runs(plans=plans)
    for run in runs:
        if run.status == "failed":
            assert ended_as(run)[1] in BY_A_KILL, f"{ended_as(run)}: {log_of(engine, run)}"
            engine.retry_run(run.run_id)
    assert len(runs) <= 2 * lives, "a combination became two Runs"
    return [run.status for run in runs] == ["done"] * 2 * lives


def survive(server: Server, source: Path, life: int) -> bool:
    """Whether the server lived through all of it."""
    try:
        drive(server.engine, source, life)
    except KnitError as error:
        if error.code != "unreachable":
            raise
        return False
    return True


def check_end(victims: Victims, scratch: Path, lives: int) -> None:
    """Every Run is done, its outputs and its log are whole, and nothing is left over."""
    runner = ContainerRunner(victims.program, grace_seconds=1)
    with EmbeddedEngine.open(EngineSettings(victims.root, runner)) as engine:
        runs = [run for run in engine.find_runs() if run.plan.image]
        assert [run.status for run in runs] == ["done"] * 2 * lives
        for run in runs:
            check_run(engine, run, scratch / run.run_id)
        wait_for(lambda: not list((victims.root / "runs").iterdir()) or None)
    assert check_root(victims.root) == []
    for folder in ("runs", "incoming", "garbage"):
        assert list((victims.root / folder).iterdir()) == []
    assert containers(victims.program, victims.root) == []
    wait_for(lambda: not victims.processes() or None)


def check_run(engine: Engine, run: Run, place: Path) -> None:
    engine.pull_data(run.outputs[0].knit_id, place)
    assert read_folder(place) == CONTENT
    assert log_of(engine, run) == "copying\nend\n"


def kill_at_random(program: Program, tmp_path: Path, source: Path, kills: int) -> None:
    dice = random.Random(kills)
    victims = Victims(program, tmp_path / "root")
    runner = ContainerRunner(program, grace_seconds=1)
    life = 1
    while kills:
        with started(victims.root, NoFaults(), runner) as server:
            lives = True
            while lives and kills:
                aims = {name: dice.random() < 0.5 for name in ("whole", "attached", "container")}
                timer = threading.Timer(dice.uniform(0, 3), victims.strike, (server,), aims)
                timer.start()
                lives = survive(server, source, life)
                timer.join()
                kills -= 1
                life += lives
    with started(victims.root, NoFaults(), runner) as server:
        assert survive(server, source, life)
    check_end(victims, tmp_path / "pulled", life)


@pytest.mark.timeout(600)
def test_killed_at_random(program: Program, tmp_path: Path, source: Path) -> None:
    kill_at_random(program, tmp_path, source, kills=4)


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_killed_at_random_often(program: Program, tmp_path: Path, source: Path) -> None:
    """A fifth of KNITLITE_KILLS, which is 200 if unset."""
    kill_at_random(program, tmp_path, source, KILLS)


@pytest.mark.parametrize(
    "step", [*STEPS, *(pytest.param(step, marks=pytest.mark.slow) for step in LONG_STEPS)]
)
def test_killed_at_a_step(step: str, program: Program, tmp_path: Path, source: Path) -> None:
    """The server dies at a step; where there may be a container, the next one ends it and runs it again."""
    victims = Victims(program, tmp_path / "root")
    runner = ContainerRunner(program, grace_seconds=1)
    with started(victims.root, KillAt(step), runner) as server:
        assert not survive(server, source, 1)
    with started(victims.root, NoFaults(), runner) as server:
        assert survive(server, source, 1)
    check_end(victims, tmp_path / "pulled", 1)


def test_what_another_runner_made_is_removed(program: Program, tmp_path: Path, source: Path) -> None:
    """The server died before it had noted the container; the next one is told to use another runner."""
    root = tmp_path / "root"
    with started(root, KillAt("run.spawned"), ContainerRunner(program)) as server:
        assert not survive(server, source, 1)
    assert len(containers(program, root)) == 1
    with EmbeddedEngine.open(EngineSettings(root, HeldRunner())):
        assert containers(program, root) == []
