"""How many Runs at once, which first, and how soon."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from knitfab.records import Mountpoint, Plan, PlanSpec, Tag
from knitlite import Capacity, EmbeddedEngine, EngineSettings
from knitlite.runners import ExitStatus
from knitlite.runners.held import HeldRunner

IN = Tag("kind", "in")
GIB = 1 << 30


@pytest.fixture
def runner() -> HeldRunner:
    return HeldRunner()


@pytest.fixture
def small(tmp_path: Path, runner: HeldRunner) -> Iterator[EmbeddedEngine]:
    """An engine of two processors and four gibibytes."""
    settings = EngineSettings(tmp_path / "root", runner, Capacity(2.0, 4.0 * GIB))
    with EmbeddedEngine.open(settings) as opened:
        yield opened


def apply(engine: EmbeddedEngine, name: str, **resources: str) -> Plan:
    spec = PlanSpec(
        image=f"localhost/{name}:v1",
        entrypoint=("true",),
        inputs=(Mountpoint("/in", (IN,)),),
        resources=resources,
    )
    return engine.apply_plan(spec)


def push(engine: EmbeddedEngine, folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    engine.push_data(folder, [IN])


def running(engine: EmbeddedEngine) -> set[str]:
    return {run.plan.image or "" for run in engine.find_runs(statuses=["running"])}


def wait_for(look: Callable[[], bool], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not look():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def images(*names: str) -> set[str]:
    return {f"localhost/{name}:v1" for name in names}


def finish(engine: EmbeddedEngine, runner: HeldRunner, name: str) -> None:
    (run,) = [run for run in engine.find_runs(statuses=["running"]) if run.plan.image in images(name)]
    runner.finish(run.run_id, ExitStatus(0, ""))


def test_as_many_as_fit(small: EmbeddedEngine, runner: HeldRunner, tmp_path: Path) -> None:
    push(small, tmp_path / "data")
    for name in ("aa", "bb", "cc"):
        apply(small, name, cpu="1", memory="1Gi")
    wait_for(lambda: running(small) == images("aa", "bb"))
    time.sleep(0.1)
    assert running(small) == images("aa", "bb")
    finish(small, runner, "bb")
    wait_for(lambda: running(small) == images("aa", "cc"))


def test_memory_counts_too(small: EmbeddedEngine, runner: HeldRunner, tmp_path: Path) -> None:
    push(small, tmp_path / "data")
    for name in ("aa", "bb"):
        apply(small, name, cpu="100m", memory="3Gi")
    wait_for(lambda: running(small) == images("aa"))
    finish(small, runner, "aa")
    wait_for(lambda: running(small) == images("bb"))


def test_more_than_the_machine_runs_alone(small: EmbeddedEngine, runner: HeldRunner, tmp_path: Path) -> None:
    push(small, tmp_path / "data")
    apply(small, "aa", cpu="1")
    apply(small, "big", cpu="64", memory="1Ti")
    apply(small, "cc", cpu="1")
    wait_for(lambda: running(small) == images("aa", "cc"))
    finish(small, runner, "aa")
    finish(small, runner, "cc")
    wait_for(lambda: running(small) == images("big"))


def test_unset_limits_count_as_the_default(small: EmbeddedEngine, runner: HeldRunner, tmp_path: Path) -> None:
    plans = [apply(small, name) for name in ("aa", "bb", "cc")]
    for plan in plans:
        small.set_resources(plan.plan_id, unset=["cpu", "memory"])
    push(small, tmp_path / "data")
    wait_for(lambda: len(running(small)) == 2)
    time.sleep(0.1)
    assert len(running(small)) == 2


def test_stopped_while_waiting_never_starts(small: EmbeddedEngine, tmp_path: Path) -> None:
    push(small, tmp_path / "data")
    apply(small, "aa", cpu="2")
    wait_for(lambda: running(small) == images("aa"))
    plan = apply(small, "bb")
    (run,) = small.find_runs(plans=[plan.plan_id])
    assert small.stop_run(run.run_id, fail=True).status == "aborting"
    wait_for(lambda: small.get_run(run.run_id).status == "failed")
    assert running(small) == images("aa")


@pytest.mark.parametrize("script", ['rm -rf "$1"', 'rm -rf "$1/../.."', 'rm -r "$1"; ln -s / "$1"'])
def test_a_job_that_removes_its_folders_fails(engine: EmbeddedEngine, tmp_path: Path, script: str) -> None:
    """Its outputs would be a lie; the engine goes on."""
    spec = PlanSpec(
        image="localhost/vandal:v1",
        entrypoint=("sh", "-c", script),
        args=("sh", "/out"),
        inputs=(Mountpoint("/in", (IN,)),),
        outputs=(Mountpoint("/out", ()),),
        log=(),
    )
    plan = engine.apply_plan(spec)
    push(engine, tmp_path / "data")
    wait_for(lambda: engine.find_runs(plans=[plan.plan_id])[0].status == "failed")
    (run,) = engine.find_runs(plans=[plan.plan_id])
    assert run.exit is not None
    assert "/out" in run.exit.message or run.exit.code == 1
    engine.pull_data(run.outputs[0].knit_id, tmp_path / "pulled")
    assert list((tmp_path / "pulled").iterdir()) == []


@pytest.mark.slow
def test_a_run_that_can_not_be_prepared_fails(engine: EmbeddedEngine, tmp_path: Path) -> None:
    """Something is wrong with its folder, for good: it is tried for half a minute, then says so."""
    push(engine, tmp_path / "data")
    runs = tmp_path / "root" / "runs"
    runs.rmdir()
    runs.touch()
    plan = apply(engine, "aa", cpu="100m")
    wait_for(lambda: engine.find_runs(plans=[plan.plan_id])[0].status == "failed", seconds=60)
    (run,) = engine.find_runs(plans=[plan.plan_id])
    assert run.exit is not None
    assert run.exit.code == 255
    assert "[StartError] [Errno 20] Not a directory" in run.exit.message
    runs.unlink()
    runs.mkdir()
    engine.retry_run(run.run_id)
    wait_for(lambda: engine.get_run(run.run_id).status == "done")


@pytest.mark.slow
def test_a_run_whose_output_can_not_be_put_in_place_fails(engine: EmbeddedEngine, tmp_path: Path) -> None:
    """Something lies there, for good: it is tried for half a minute, then says so."""
    push(engine, tmp_path / "data")
    spec = PlanSpec(
        image="localhost/sleeper:v1",
        entrypoint=("sh", "-c", 'sleep 1; echo x > "$1/x"; echo written'),
        args=("sh", "/out"),
        inputs=(Mountpoint("/in", (IN,)),),
        outputs=(Mountpoint("/out", ()),),
        log=(),
    )
    plan = engine.apply_plan(spec)
    (run,) = engine.find_runs(plans=[plan.plan_id])
    obstacle = tmp_path / "root" / "data" / run.outputs[0].knit_id / "something"
    obstacle.mkdir(parents=True)
    wait_for(lambda: engine.get_run(run.run_id).status == "failed", seconds=60)
    failed = engine.get_run(run.run_id)
    assert failed.exit is not None
    assert failed.exit.code == 1
    assert "the output /out can't be put in place ([Errno 39] Directory not empty" in failed.exit.message
    assert b"".join(engine.read_log(run.run_id)) == b"written\n"
    engine.retry_run(run.run_id)
    wait_for(lambda: engine.get_run(run.run_id).status == "done")


def test_a_run_without_its_input_fails(engine: EmbeddedEngine, tmp_path: Path) -> None:
    """Somebody removed it from the disk."""
    push(engine, tmp_path / "data")
    (data,) = engine.find_data()
    with engine.open_content(data.knit_id) as content:
        content.rmdir()
    plan = apply(engine, "aa", cpu="100m")
    wait_for(lambda: engine.find_runs(plans=[plan.plan_id])[0].status == "failed")
    (run,) = engine.find_runs(plans=[plan.plan_id])
    assert run.exit is not None
    assert run.exit.code == 255
    assert "[StartError]" in run.exit.message
    assert data.knit_id in run.exit.message


def test_a_short_task_ends_at_once(engine: EmbeddedEngine, tmp_path: Path) -> None:
    """Nothing waits for a clock, which would cost each a second: ten, one after the other, take less."""
    apply(engine, "aa", cpu="100m")
    began = time.monotonic()
    for _ in range(10):
        push(engine, tmp_path / "data")
        wait_for(lambda: all(run.status == "done" for run in engine.find_runs()))
    assert time.monotonic() - began < 10
    assert len(engine.find_runs()) == 20


def test_an_end_that_can_not_be_written_holds_up_nobody(
    small: EmbeddedEngine, runner: HeldRunner, tmp_path: Path
) -> None:
    """Something is wrong with `data` as a whole: it is waited for, and meanwhile others run."""
    push(small, tmp_path / "data")
    spec = PlanSpec(
        image="localhost/aa:v1",
        entrypoint=("true",),
        inputs=(Mountpoint("/in", (IN,)),),
        outputs=(Mountpoint("/out", ()),),
        resources={"cpu": "2"},
    )
    first = small.apply_plan(spec)
    apply(small, "bb", cpu="2")
    wait_for(lambda: running(small) == images("aa"))
    contents = tmp_path / "root" / "data"
    contents.rename(tmp_path / "elsewhere")
    contents.touch()
    finish(small, runner, "aa")
    wait_for(lambda: running(small) == images("bb"))
    assert small.find_runs(plans=[first.plan_id])[0].status == "completing"
    contents.unlink()
    (tmp_path / "elsewhere").rename(contents)
    wait_for(lambda: small.find_runs(plans=[first.plan_id])[0].status == "done", seconds=90)
