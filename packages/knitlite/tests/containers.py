"""What container tests share: the programs of this machine, an image made from its shell, plans over it."""

import io
import os
import re
import shutil
import subprocess
import tarfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import pytest
from knitfab.actions import wait_for_runs
from knitfab.engine import Engine
from knitfab.errors import KnitError
from knitfab.records import Mountpoint, PlanSpec, Run, Tag
from knitlite.runners.container_program import LABEL, Program, find_program, last_line

PROGRAMS = os.environ.get("KNITLITE_CONTAINER_PROGRAMS", "docker podman").split()
"""The programs the container tests run with, each test with each of them that is here."""

IMAGE = f"newsloom-test/shell:{os.getpid()}"
TOOLS = ("sh", "cat", "cp", "id", "sleep", "ls", "touch", "mkdir", "chmod", "rm", "head", "dd")


@contextmanager
def with_image(name: str) -> Iterator[Program]:
    """A program that runs containers, with IMAGE; where it can not, the tests are skipped with its reason."""
    try:
        program = find_program(name)
    except KnitError as error:
        pytest.skip(str(error))
    make_image(program)
    try:
        tried = program.call("run", "--rm", "--network", "none", IMAGE, "sh", "-c", "exit 0")
        if tried.returncode != 0:
            pytest.skip(f"{name} is here but runs nothing: {last_line(tried)}")
        yield program
    finally:
        program.call("rmi", "--force", IMAGE)


@cache
def files_of(tool: str) -> tuple[Path, ...]:
    """A program and the libraries it is linked with."""
    path = Path(shutil.which(tool) or tool).resolve()
    listed = subprocess.run(["ldd", str(path)], check=False, capture_output=True, text=True).stdout
    return (path, *map(Path, re.findall(r"(/\S+) \(0x", listed)))


def make_image(program: Program, image: str = IMAGE, scripts: Mapping[str, str] | None = None) -> None:
    """Import a root file system with a shell, some tools and scripts by path, for a user that is not root."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", dereference=True) as archive:
        for name in sorted({str(path) for tool in TOOLS for path in files_of(tool)}):
            archive.add(name, name)
        for tool in TOOLS:
            link = tarfile.TarInfo(f"run-tools/{tool}")
            link.type, link.linkname = tarfile.SYMTYPE, str(files_of(tool)[0])
            archive.addfile(link)
        for path, text in (scripts or {}).items():
            script = tarfile.TarInfo(path.lstrip("/"))
            script.size, script.mode = len(text.encode()), 0o755
            archive.addfile(script, io.BytesIO(text.encode()))
    settings = ("USER 65532:65532", "ENV PATH=/run-tools", "WORKDIR /app")
    change = [word for setting in settings for word in ("--change", setting)]
    command = [program.name, "import", *change, "-", image]
    subprocess.run(command, input=buffer.getvalue(), check=True, capture_output=True)


def run_script(engine: Engine, tmp_path: Path, script: str, **changes: object) -> Run:
    """Push one Data, apply a plan that runs the script over it, and wait."""
    push_text(engine, tmp_path)
    plan = engine.apply_plan(plan_of(script, **changes))
    (run,) = wait_for_runs(engine, plans=[plan.plan_id])
    return run


def push_text(engine: Engine, tmp_path: Path) -> None:
    """The Data every plan here waits for."""
    source = tmp_path / "source"
    source.mkdir()
    (source / "text").write_text("hello\n")
    engine.push_data(source, [Tag("type", "text")])


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


def log_of(engine: Engine, run: Run) -> str:
    """All of a Run's log."""
    return b"".join(engine.read_log(run.run_id)).decode()


def ended_as(run: Run) -> tuple[str, int | None, str]:
    """Status, exit code, exit message."""
    return run.status, run.exit.code if run.exit else None, run.exit.message if run.exit else ""


def containers(program: Program, below: Path) -> list[str]:
    """Ids of all containers of Runs below a folder; other tests may have theirs."""
    for _ in range(10):
        listed = program.call("ps", "--all", "--quiet", "--no-trunc", "--filter", f"label={LABEL}")
        if listed.returncode == 0:
            break
    # podman stumbles over one that another test removes at that moment.
    assert listed.returncode == 0, listed.stderr
    label = f'{{{{index .Config.Labels "{LABEL}"}}}}'
    return [
        container
        for container in listed.stdout.split()
        if (program.inspect(container, label) or "").startswith(f"{below}/")
    ]
