"""An engine of docker, of the test's own, that is killed under a Run, comes back, or is away."""

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from knitfab.actions import wait_for_runs
from knitfab.errors import KnitError
from knitlite import EmbeddedEngine, EngineSettings
from knitlite.runners.container import ContainerRunner
from knitlite.runners.container_program import find_program

from .containers import containers, ended_as, log_of, make_image, plan_of, push_text
from .test_recovery import wait_for

SCRIPT = "echo one; sleep 6; echo two; echo x > /out/copy/x"

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@dataclass
class OwnEngine:
    """A dockerd of its own, beside any that the machine has."""

    folder: Path
    live_restore: bool
    process: "subprocess.Popen[bytes] | None" = None

    @property
    def address(self) -> str:
        return f"unix://{self.folder}/socket"

    def start(self) -> None:
        self.launch()
        wait_for(lambda: self.answers() or None, seconds=180)

    def launch(self) -> None:
        (self.folder / "pid").unlink(missing_ok=True)
        options = ["--iptables=false", "--bridge=none", "--host", self.address]
        for name in ("data-root", "exec-root", "pidfile"):
            options += [f"--{name}", str(self.folder / name.removesuffix("file"))]
        if self.live_restore:
            options.append("--live-restore")
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(["dockerd", *options], stdout=log, stderr=log)

    def answers(self) -> bool:
        if self.process is None or self.process.poll() is not None:
            # On a busy machine it gives up on its own containerd.
            self.launch()
        return find_program_or_none() is not None

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def close(self) -> None:
        assert self.process is not None
        self.process.terminate()
        self.process.wait()
        # One that was killed has left its mounts.
        points = [line.split(" ")[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
        for point in sorted(points, reverse=True):
            if point.startswith(f"{self.folder}/"):
                subprocess.run(["umount", "--lazy", point], check=True)


def find_program_or_none() -> object | None:
    try:
        return find_program("docker")
    except KnitError:
        return None


@pytest.fixture(params=[False, True], ids=["plain", "live-restore"])
def own(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Iterator[OwnEngine]:
    if shutil.which("dockerd") is None or os.getuid() != 0:
        pytest.skip("only root can start a dockerd of its own, and it must be installed")
    own = OwnEngine(tmp_path_factory.mktemp("own"), live_restore=request.param)
    monkeypatch.setenv("DOCKER_HOST", own.address)
    own.start()
    yield own
    own.close()


def test_killed_under_a_run_and_back_again(own: OwnEngine, tmp_path: Path) -> None:
    """Where it keeps containers alive the Run goes on, else it is executed again; never half a result."""
    program = find_program("docker")
    make_image(program)
    with EmbeddedEngine.open(EngineSettings(tmp_path / "root", ContainerRunner(program, 1))) as engine:
        push_text(engine, tmp_path)
        plan = engine.apply_plan(plan_of(SCRIPT))
        wait_for(lambda: containers(program, tmp_path) or None)
        time.sleep(2)
        own.kill()
        time.sleep(1)
        own.start()
        (run,) = wait_for_runs(engine, plans=[plan.plan_id])
        assert ended_as(run) == ("done", 0, "")
        assert log_of(engine, run) == "one\ntwo\n"
        engine.pull_data(run.outputs[0].knit_id, tmp_path / "pulled")
        assert (tmp_path / "pulled" / "x").read_text() == "x\n"
        assert containers(program, tmp_path) == []


def test_a_run_waits_for_an_engine_that_is_away(own: OwnEngine, tmp_path: Path) -> None:
    program = find_program("docker")
    make_image(program)
    with EmbeddedEngine.open(EngineSettings(tmp_path / "root", ContainerRunner(program, 1))) as engine:
        own.kill()
        push_text(engine, tmp_path)
        plan = engine.apply_plan(plan_of("echo one"))
        time.sleep(3)
        assert engine.find_runs(plans=[plan.plan_id])[0].status in ("waiting", "starting")
        own.start()
        (run,) = wait_for_runs(engine, plans=[plan.plan_id])
        assert ended_as(run) == ("done", 0, "")


def test_the_server_ends_while_the_engine_is_away(own: OwnEngine, tmp_path: Path) -> None:
    """It does not wait for it; what it leaves is gone once the Run has run again."""
    program = find_program("docker")
    make_image(program)
    settings = EngineSettings(tmp_path / "root", ContainerRunner(program, 1))
    with EmbeddedEngine.open(settings) as engine:
        push_text(engine, tmp_path)
        plan = engine.apply_plan(plan_of(SCRIPT))
        wait_for(lambda: containers(program, tmp_path) or None)
        own.kill()
    own.start()
    with EmbeddedEngine.open(settings) as engine:
        (run,) = wait_for_runs(engine, plans=[plan.plan_id])
        assert ended_as(run) == ("done", 0, "")
        assert log_of(engine, run) == "one\ntwo\n"
    assert containers(program, tmp_path) == []
