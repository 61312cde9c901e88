"""Outputs that a job's own user shut: a server that is not root can neither read nor remove them."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

NOBODY = 65534

SERVER = """
import json, sys, time
from pathlib import Path
from knitfab.records import Mountpoint, PlanSpec, Tag
from knitlite import EmbeddedEngine, EngineSettings
from knitlite.runners import ExitStatus
from knitlite.runners.held import HeldRunner

place, how = Path(sys.argv[1]), sys.argv[2]
runner = HeldRunner()

def wait_for(status):
    while not (runs := engine.find_runs(statuses=[status], plans=[plan.plan_id])):
        time.sleep(0.01)
    return runs[0]

(place / "source").mkdir()
with EmbeddedEngine.open(EngineSettings(place / "root", runner)) as engine:
    engine.push_data(place / "source", [Tag("kind", "in")])
    plan = engine.apply_plan(PlanSpec(
        image="localhost/shut:v1", entrypoint=("true",), log=(),
        inputs=(Mountpoint("/in", (Tag("kind", "in"),)),), outputs=(Mountpoint("/out", ()),),
    ))
    run_id = wait_for("running").run_id
    print(run_id, flush=True)
    sys.stdin.readline()
    if how == "finish":
        runner.finish(run_id, ExitStatus(0, ""))
    else:
        engine.stop_run(run_id)
    run = wait_for("failed")
    engine.pull_data(run.outputs[0].knit_id, place / "pulled")
with EmbeddedEngine.open(EngineSettings(place / "root", runner)) as engine:
    print(json.dumps([run.exit.code, run.exit.message, len(engine.find_runs())]))
"""


@pytest.fixture
def open_place() -> Iterator[Path]:
    """A folder that the other user may enter, as pytest's own is not."""
    if os.geteuid() != 0:
        pytest.skip("only root can write as two users")
    place = Path(tempfile.mkdtemp())
    os.chown(place, NOBODY, NOBODY)
    try:
        yield place
    finally:
        shutil.rmtree(place)


@pytest.mark.parametrize("how", ["finish", "stop"])
def test_outputs_of_another_user_fail_the_run(open_place: Path, how: str) -> None:
    """It says why, its Data are empty, and the next start tells what it can't remove."""
    with subprocess.Popen(
        [sys.executable, "-c", SERVER, str(open_place), how],
        user=NOBODY,
        group=NOBODY,
        extra_groups=[],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as server:
        assert server.stdout is not None
        run_id = server.stdout.readline().strip()
        assert run_id, server.communicate()
        shut = open_place / "root" / "runs" / run_id / "root" / "out" / "shut"
        shut.mkdir()
        (shut / "secret").touch()
        shut.chmod(0o700)
        told, said = server.communicate("go\n", timeout=60)
    code, message, runs = json.loads(told)
    assert (code, runs) == (1, 2)
    assert "the output /out can't be read by the server" in message
    assert list((open_place / "pulled").iterdir()) == []
    assert "leftovers can't be removed" in said
