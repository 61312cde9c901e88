"""Runs in real containers of docker and podman: what a job is given, and what becomes of its end."""

import re
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from knitfab.actions import wait_for_runs
from knitfab.records import Mountpoint, Tag
from knitlite import EmbeddedEngine, EngineSettings
from knitlite.runners.container import ContainerRunner
from knitlite.runners.container_program import LABEL, Program
from knitlite.runners.held import HeldRunner

from .containers import (
    IMAGE,
    PROGRAMS,
    containers,
    ended_as,
    log_of,
    plan_of,
    push_text,
    run_script,
    with_image,
)


@pytest.fixture(scope="module", params=PROGRAMS)
def program(request: pytest.FixtureRequest) -> Iterator[Program]:
    with with_image(request.param) as found:
        yield found


@pytest.fixture
def engine(program: Program, tmp_path: Path) -> Iterator[EmbeddedEngine]:
    settings = EngineSettings(tmp_path / "root", ContainerRunner(program, grace_seconds=1))
    with EmbeddedEngine.open(settings) as opened:
        yield opened
    assert containers(program, tmp_path) == []


def pull(engine: EmbeddedEngine, knit_id: str, tmp_path: Path) -> Path:
    engine.pull_data(knit_id, tmp_path / "pulled")
    return tmp_path / "pulled"


def test_a_job_reads_its_input_and_its_output_becomes_data(engine: EmbeddedEngine, tmp_path: Path) -> None:
    run = run_script(engine, tmp_path, "id -u; cat /in/text/text > /out/copy/text")
    assert ended_as(run) == ("done", 0, "")
    assert log_of(engine, run) == "65532\n"
    assert (pull(engine, run.outputs[0].knit_id, tmp_path) / "text").read_text() == "hello\n"


def test_inputs_are_read_only_and_there_is_no_network(engine: EmbeddedEngine, tmp_path: Path) -> None:
    script = "touch /in/text/more || echo refused; cat /proc/net/dev > /out/copy/net"
    run = run_script(engine, tmp_path, script)
    assert "refused" in log_of(engine, run)
    text = (pull(engine, run.outputs[0].knit_id, tmp_path) / "net").read_text()
    assert "eth0" not in re.findall(r"^\s*(\S+):", text, re.MULTILINE)


def test_a_plan_that_asks_for_the_hosts_network_has_it(engine: EmbeddedEngine, tmp_path: Path) -> None:
    own = Path("/proc/self/net/dev").read_text().count(":")
    run = run_script(engine, tmp_path, "cat /proc/self/net/dev", annotations=(("knitlite/network", "host"),))
    assert log_of(engine, run).count(":") == own


def test_an_unknown_network_is_refused(engine: EmbeddedEngine, tmp_path: Path) -> None:
    run = run_script(engine, tmp_path, "true", annotations=(("knitlite/network", "moon"),))
    assert "knitlite/network=moon is none of none, host, bridge" in ended_as(run)[2]


def test_places_with_blanks_commas_and_quotes_are_mounted(engine: EmbeddedEngine, tmp_path: Path) -> None:
    run = run_script(
        engine,
        tmp_path,
        'cat "/in/a, b/text" > "/out/c d:e/text"',
        inputs=(Mountpoint("/in/a, b", (Tag("type", "text"),)),),
        outputs=(Mountpoint("/out/c d:e", (Tag("type", "copy"),)),),
    )
    assert ended_as(run)[0] == "done", log_of(engine, run)
    assert (pull(engine, run.outputs[0].knit_id, tmp_path) / "text").read_text() == "hello\n"


def test_limits_are_the_plans_and_never_more_than_the_machine(engine: EmbeddedEngine, tmp_path: Path) -> None:
    script = "cat /sys/fs/cgroup/cpu.max /sys/fs/cgroup/cpu/cpu.cfs_quota_us 2>/dev/null; exit 0"
    run = run_script(engine, tmp_path, script, resources={"cpu": "250m", "memory": "64Mi"})
    assert log_of(engine, run).split()[0] == "25000"
    plan = engine.apply_plan(plan_of(script + " # all", resources={"cpu": "4000", "memory": "999Ti"}))
    (large,) = wait_for_runs(engine, plans=[plan.plan_id])
    assert ended_as(large) == ("done", 0, "")


def test_more_memory_than_declared_ends_the_job(engine: EmbeddedEngine, tmp_path: Path) -> None:
    run = run_script(engine, tmp_path, "echo begun; exec dd if=/dev/zero of=/dev/null bs=200M count=1")
    assert ended_as(run) == ("failed", 137, "(container main) OOMKilled")
    begun, _, advice = log_of(engine, run).partition("\n\n")
    assert begun == "begun"
    assert advice.startswith("knitlite: ended, for it held more memory than its plan declares (64Mi)")


def test_a_job_that_outlives_the_end_of_one_of_its_processes_says_how(
    engine: EmbeddedEngine, tmp_path: Path
) -> None:
    hungry = "dd if=/dev/zero of=/dev/null bs=200M count=1"
    run = run_script(engine, tmp_path, f"{hungry}; echo $?; exit 0")
    assert ended_as(run) == ("done", 0, "")
    assert "137" in log_of(engine, run).split()


def test_a_failing_job_keeps_its_exit_code_and_log(engine: EmbeddedEngine, tmp_path: Path) -> None:
    run = run_script(engine, tmp_path, "echo before; exit 7")
    assert ended_as(run) == ("failed", 7, "(container main) Error")
    assert log_of(engine, run) == "before\n"


@pytest.mark.parametrize(
    ("entrypoint", "cause"), [("no-such-program", "executable file not found"), ("/proc", "ermission denied")]
)
def test_a_program_that_can_not_be_started_fails_the_run(
    engine: EmbeddedEngine, tmp_path: Path, entrypoint: str, cause: str
) -> None:
    run = run_script(engine, tmp_path, "true", entrypoint=(entrypoint,))
    assert ended_as(run)[:2] == ("failed", 255)
    assert ended_as(run)[2].startswith("(container main) [StartError] ")
    assert cause in ended_as(run)[2]


def test_an_image_that_is_nowhere_fails_the_run_with_its_name(engine: EmbeddedEngine, tmp_path: Path) -> None:
    image = "localhost:1/newsloom-test/absent:1.0"
    run = run_script(engine, tmp_path, "true", image=image)
    assert ended_as(run)[:2] == ("failed", 255)
    assert image in ended_as(run)[2]
    assert "connection refused" in ended_as(run)[2]


def test_an_image_is_found_under_all_its_names(
    engine: EmbeddedEngine, program: Program, tmp_path: Path
) -> None:
    """Knitfab keeps `docker.io/x` as `index.docker.io/x`; without a registry it is the same image."""
    names = [f"docker.io/{IMAGE}-hub", f"{IMAGE}-hub"]
    assert program.call("tag", IMAGE, names[0]).returncode == 0
    try:
        push_text(engine, tmp_path)
        plans = [engine.apply_plan(plan_of(f"true {name}", image=name)) for name in names]
        runs = wait_for_runs(engine, plans=[plan.plan_id for plan in plans])
    finally:
        program.call("rmi", names[0])
    assert [ended_as(run) for run in runs] == [("done", 0, "")] * 2


def test_cards_that_are_not_there_are_refused(engine: EmbeddedEngine, tmp_path: Path) -> None:
    run = run_script(engine, tmp_path, "true", resources={"nvidia.com/gpu": "64"})
    assert "asks for 64 graphics card(s)" in ended_as(run)[2]


def test_what_a_job_hides_from_others_is_kept(engine: EmbeddedEngine, tmp_path: Path) -> None:
    script = "cd /out/copy; mkdir shut; echo x > shut/file; chmod 000 shut/file shut"
    run = run_script(engine, tmp_path, script)
    assert ended_as(run) == ("done", 0, ""), log_of(engine, run)
    assert (pull(engine, run.outputs[0].knit_id, tmp_path) / "shut" / "file").read_text() == "x\n"


def test_an_output_can_not_be_removed(engine: EmbeddedEngine, tmp_path: Path) -> None:
    run = run_script(engine, tmp_path, "echo x > /out/copy/x; rm -rf /out/copy 2>/dev/null || echo kept")
    assert (ended_as(run)[0], log_of(engine, run)) == ("done", "kept\n")
    assert list(pull(engine, run.outputs[0].knit_id, tmp_path).iterdir()) == []


def test_a_long_log_arrives_whole(engine: EmbeddedEngine, tmp_path: Path) -> None:
    run = run_script(engine, tmp_path, "head -c 30000000 /dev/zero; echo; echo end")
    assert ended_as(run)[0] == "done"
    size, end = 0, b""
    for piece in engine.read_log(run.run_id):
        size, end = size + len(piece), (end + piece)[-4:]
    assert (size, end) == (30_000_005, b"end\n")


def test_a_log_is_followed_while_the_job_writes_it(engine: EmbeddedEngine, tmp_path: Path) -> None:
    push_text(engine, tmp_path)
    script = "echo one; until [ -e /out/copy/go ]; do sleep 0.1; done; echo two"
    plan = engine.apply_plan(plan_of(script))
    run_id = wait_for_status(engine, plan.plan_id, "running")
    seen = b""
    for piece in engine.read_log(run_id, follow=True):
        seen += piece
        if seen == b"one\n":
            (tmp_path / "root" / "runs" / run_id / "root" / "out" / "copy" / "go").touch()
    assert seen == b"one\ntwo\n"
    wait_for_runs(engine, plans=[plan.plan_id])


@pytest.mark.parametrize("how", ["stop", "close"])
def test_nobody_waits_for_a_long_pull(program: Program, tmp_path: Path, how: str) -> None:
    """A registry takes the question and never answers it."""
    with socket.create_server(("127.0.0.1", 0)) as registry:
        image = f"127.0.0.1:{registry.getsockname()[1]}/newsloom-test/slow:1.0"
        settings = EngineSettings(tmp_path / "root", ContainerRunner(program, grace_seconds=1))
        with EmbeddedEngine.open(settings) as engine:
            push_text(engine, tmp_path)
            plan = engine.apply_plan(plan_of("true", image=image))
            registry.settimeout(60)
            held = registry.accept()
            began = time.monotonic()
            if how == "stop":
                (run,) = engine.find_runs(plans=[plan.plan_id])
                engine.stop_run(run.run_id, fail=True)
                (run,) = wait_for_runs(engine, plans=[plan.plan_id])
                assert ended_as(run) == ("failed", 253, "aborted by user")
        assert time.monotonic() - began < 60
        held[0].close()
    with EmbeddedEngine.open(EngineSettings(tmp_path / "root", HeldRunner())) as engine:
        (run,) = engine.find_runs(plans=[plan.plan_id])
        assert run.status in (["failed"] if how == "stop" else ["waiting", "starting", "running"])


def test_stop_ends_a_container_that_will_not_listen(
    engine: EmbeddedEngine, program: Program, tmp_path: Path
) -> None:
    push_text(engine, tmp_path)
    plan = engine.apply_plan(plan_of("trap '' TERM; echo started; while :; do sleep 600; done"))
    run_id = wait_for_status(engine, plan.plan_id, "running")
    engine.stop_run(run_id, fail=True)
    (ended,) = wait_for_runs(engine, plans=[plan.plan_id])
    assert ended_as(ended)[:2] == ("failed", 253)
    assert containers(program, tmp_path) == []


def test_orphans_of_a_killed_engine_are_removed(program: Program, tmp_path: Path) -> None:
    """The Run's own, and those whose folder is gone; not those of another Run."""
    for name in ("mine", "neighbour"):
        (tmp_path / "runs" / name).mkdir(parents=True)
    made = {}
    for name in ("mine", "neighbour", "gone"):
        label = f"{LABEL}={tmp_path / 'runs' / name}"
        command = ["run", "--detach", "--label", label, "--network", "none", IMAGE, "sleep", "600"]
        made[name] = program.call(*command).stdout.strip()
    assert sorted(containers(program, tmp_path)) == sorted(made.values())
    ContainerRunner(program).end_orphan("", tmp_path / "runs" / "mine")
    assert containers(program, tmp_path) == [made["neighbour"]]
    ContainerRunner(program).end_orphan(f"{program.name} {made['neighbour']}", tmp_path / "runs" / "mine")
    assert containers(program, tmp_path) == []


def wait_for_status(engine: EmbeddedEngine, plan_id: str, status: str) -> str:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        for run in engine.find_runs(plans=[plan_id]):
            if run.status == status:
                return run.run_id
        time.sleep(0.05)
    raise AssertionError(f"no Run of plan {plan_id} became {status} within 60 s")
