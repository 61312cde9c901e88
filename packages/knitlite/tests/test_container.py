"""Runs in real containers, of an image made here from this machine's own shell."""

import io
import os
import re
import shutil
import subprocess
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from knitfab.actions import wait_for_runs
from knitfab.errors import KnitError
from knitfab.records import Mountpoint, PlanSpec, Run, Tag
from knitlite import EmbeddedEngine, EngineSettings
from knitlite.runners import ExitStatus
from knitlite.runners.container import ContainerRunner, explain_state, find_program
from knitlite.runners.without_gpus import WithoutGpus

IMAGE = f"newsloom-test/shell:{os.getpid()}"
TOOLS = ("sh", "cat", "id", "sleep", "ls", "touch")


def find_container_program() -> str:
    """The program to test with; no engine on this machine skips the tests and says so."""
    try:
        return find_program()
    except KnitError as error:
        pytest.skip(str(error))


def files_of(tool: str) -> Iterator[Path]:
    """A program and the libraries it is linked with."""
    path = Path(shutil.which(tool) or tool).resolve()
    yield path
    listed = subprocess.run(["ldd", str(path)], check=False, capture_output=True, text=True).stdout
    yield from map(Path, re.findall(r"(/\S+) \(0x", listed))


def make_image(program: str) -> None:
    """Import a root file system with a shell, a few tools and a stand-in for python."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", dereference=True) as archive:
        for name in sorted({str(path) for tool in TOOLS for path in files_of(tool)}):
            archive.add(name, name)
        script = f"#!{Path(shutil.which('sh') or 'sh').resolve()}\nls /configs; echo result > /out/result\n"
        python = tarfile.TarInfo("run-tools/python")
        python.size, python.mode = len(script), 0o755
        archive.addfile(python, io.BytesIO(script.encode()))
        for tool in TOOLS:
            link = tarfile.TarInfo(f"run-tools/{tool}")
            link.type, link.linkname = tarfile.SYMTYPE, str(Path(shutil.which(tool) or tool).resolve())
            archive.addfile(link)
    change = ["--change", "USER 65532:65532", "--change", "ENV PATH=/run-tools"]
    command = [program, "import", *change, "-", IMAGE]
    subprocess.run(command, input=buffer.getvalue(), check=True, capture_output=True)


@pytest.fixture(scope="module")
def program() -> Iterator[str]:
    program = find_container_program()
    make_image(program)
    yield program
    subprocess.run([program, "rmi", "--force", IMAGE], check=False, capture_output=True)


@pytest.fixture
def engine(program: str, tmp_path: Path) -> Iterator[EmbeddedEngine]:
    settings = EngineSettings(tmp_path / "root", ContainerRunner(program, grace_seconds=1))
    with EmbeddedEngine.open(settings) as opened:
        yield opened


def run_script(engine: EmbeddedEngine, tmp_path: Path, script: str, **changes: object) -> Run:
    """Push one Data, apply a plan that runs the script over it, and wait."""
    source = tmp_path / "source"
    source.mkdir()
    (source / "text").write_text("hello\n")
    engine.push_data(source, [Tag("type", "text")])
    spec = plan_of(script, **changes)
    plan = engine.apply_plan(spec)
    (run,) = wait_for_runs(engine, plans=[plan.plan_id])
    return run


def plan_of(script: str, **changes: object) -> PlanSpec:
    """A plan over the image made here."""
    fields: dict[str, object] = {
        "image": IMAGE,
        "entrypoint": ("sh", "-c"),
        "args": (script,),
        "inputs": (Mountpoint("/in/text", (Tag("type", "text"),)),),
        "outputs": (Mountpoint("/out/copy", (Tag("type", "copy"),)),),
        "log": (Tag("type", "log"),),
        "resources": {"cpu": "500m", "memory": "64Mi"},
        **changes,
    }
    return PlanSpec(**fields)  # type: ignore[arg-type]


def containers(program: str, below: Path) -> list[str]:
    """Every container of a Run below a folder; other tests may have theirs."""
    label = '{{.Label "knitlite.run-folder"}}'
    command = [program, "ps", "--all", "--filter", "label=knitlite.run-folder", "--format", label]
    listed = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    return [folder for folder in listed if folder.startswith(str(below))]


def log_of(engine: EmbeddedEngine, run: Run) -> str:
    return b"".join(engine.read_log(run.run_id)).decode()


def test_a_job_reads_its_inputs_and_writes_its_outputs_as_the_images_user(
    engine: EmbeddedEngine, program: str, tmp_path: Path
) -> None:
    run = run_script(
        engine, tmp_path, "id -u; cat /in/text/text > /out/copy/text; ls /out/copy; echo wrong >&2"
    )
    assert run.status == "done"
    assert run.exit is not None
    assert run.exit.code == 0
    # Two streams, which the container program does not keep in order.
    assert sorted(log_of(engine, run).split()) == ["65532", "text", "wrong"]
    engine.pull_data(run.outputs[0].knit_id, tmp_path / "pulled")
    assert (tmp_path / "pulled" / "text").read_text() == "hello\n"
    assert containers(program, tmp_path) == []


def test_inputs_are_read_only_and_there_is_no_network(engine: EmbeddedEngine, tmp_path: Path) -> None:
    script = "touch /in/text/more || echo refused; cat /proc/net/dev > /out/copy/net"
    run = run_script(engine, tmp_path, script)
    assert "refused" in log_of(engine, run)
    engine.pull_data(run.outputs[0].knit_id, tmp_path / "pulled")
    devices = re.findall(r"^\s*(\S+):", (tmp_path / "pulled" / "net").read_text(), re.MULTILINE)
    assert "eth0" not in devices


def test_a_failing_job_keeps_its_exit_code_and_log(engine: EmbeddedEngine, tmp_path: Path) -> None:
    run = run_script(engine, tmp_path, "echo before; exit 7")
    assert (run.status, run.exit.code if run.exit else None) == ("failed", 7)
    assert log_of(engine, run) == "before\n"


def test_an_image_that_is_nowhere_fails_the_run_with_its_name(engine: EmbeddedEngine, tmp_path: Path) -> None:
    run = run_script(engine, tmp_path, "true", image="localhost:1/newsloom-test/absent:1.0")
    assert run.status == "failed"
    assert run.exit is not None
    assert run.exit.code == 255
    assert "localhost:1/newsloom-test/absent:1.0" in run.exit.message


def test_cards_that_are_not_there_are_refused(engine: EmbeddedEngine, tmp_path: Path) -> None:
    run = run_script(engine, tmp_path, "true", resources={"nvidia.com/gpu": "64"})
    assert run.exit is not None
    assert "asks for 64 graphics card(s)" in run.exit.message


def test_the_published_examples_plans_run_without_their_card(program: str, tmp_path: Path) -> None:
    """Train and evaluate of the published news-classification example, over images of the same names."""
    images = [f"localhost:30503/news-classification-{step}:v1.0" for step in ("train", "evaluate")]
    for image in images:
        subprocess.run([program, "tag", IMAGE, image], check=True, capture_output=True)
    project = Tag("project", "news-classification")
    config, model = (Tag("type", "config"), project), (Tag("type", "model"), project)
    common: dict[str, object] = {
        "entrypoint": ("python", "-u", "step.py"),
        "log": (Tag("type", "log"), project),
        "resources": {"cpu": "1", "memory": "10Gi", "nvidia.com/gpu": "1"},
    }
    train = plan_of(
        "--config-file",
        image=images[0],
        inputs=(Mountpoint("/configs", config),),
        outputs=(Mountpoint("/out", model),),
        **common,
    )
    evaluate = plan_of(
        "--config-file",
        image=images[1],
        inputs=(Mountpoint("/configs", config), Mountpoint("/in", model)),
        outputs=(Mountpoint("/out", (Tag("type", "metrics"), project)),),
        **common,
    )
    settings = EngineSettings(tmp_path / "root", WithoutGpus(ContainerRunner(program, grace_seconds=1)))
    with EmbeddedEngine.open(settings) as engine:
        source = tmp_path / "configs"
        source.mkdir()
        (source / "train-config.json").write_text("{}")
        engine.push_data(source, config)
        plans = [engine.apply_plan(spec).plan_id for spec in (train, evaluate)]
        runs = wait_for_runs(engine, plans=plans)
        logs = [log_of(engine, run) for run in runs]
    assert [run.status for run in runs] == ["done", "done"]
    for log in logs:
        assert log.startswith("knitlite: the plan asks for 1 graphics card(s); running without\n")
        assert "train-config.json" in log
    subprocess.run([program, "rmi", "--force", *images], check=True, capture_output=True)


def test_an_unknown_network_is_refused(engine: EmbeddedEngine, tmp_path: Path) -> None:
    run = run_script(engine, tmp_path, "true", annotations=(("knitlite/network", "moon"),))
    assert run.exit is not None
    assert "knitlite/network=moon is none of none, host, bridge" in run.exit.message


def test_stop_ends_the_container(engine: EmbeddedEngine, program: str, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / "text").write_text("x")
    engine.push_data(source, [Tag("type", "text")])
    plan = engine.apply_plan(plan_of("echo started; sleep 600"))
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and not containers(program, tmp_path):
        time.sleep(0.1)
    (run,) = engine.find_runs(plans=[plan.plan_id])
    engine.stop_run(run.run_id, fail=True)
    (ended,) = wait_for_runs(engine, plans=[plan.plan_id])
    assert (ended.status, ended.exit.code if ended.exit else None) == ("failed", 253)
    assert containers(program, tmp_path) == []


def test_orphans_of_a_killed_engine_are_removed(program: str, tmp_path: Path) -> None:
    command = [program, "create", "--label", f"knitlite.run-folder={tmp_path}", "--network", "none", IMAGE]
    made = subprocess.run(
        [*command, "sleep", "600"], check=True, capture_output=True, text=True
    ).stdout.strip()
    subprocess.run([program, "start", made], check=True, capture_output=True)
    ContainerRunner(program).end_orphan("", tmp_path)
    assert containers(program, tmp_path) == []


def test_states_are_told_in_knitfabs_words() -> None:
    assert explain_state({"ExitCode": 0}) == ExitStatus(0, "")
    assert explain_state({"ExitCode": 137, "OOMKilled": True}) == ExitStatus(
        137, "(container main) OOMKilled"
    )
    assert explain_state({"ExitCode": 127, "Error": "no such file"}).code == 255


def test_a_program_that_is_not_installed_is_named() -> None:
    with pytest.raises(KnitError, match="no-such-program: it is not installed"):
        find_program("no-such-program")
