"""Set-up in a small project of its own: real pip, a wheel made here, an index served on loopback."""

import functools
import hashlib
import http.server
import os
import shutil
import subprocess
import sys
import threading
import venv
import zipfile
from collections.abc import Iterator
from pathlib import Path

import newsloom.environment
import pytest

SETUP = Path(newsloom.environment.__file__)


def make_wheel(folder: Path, name: str, version: str) -> Path:
    """A wheel with one module, as small as pip accepts."""
    wheel = folder / f"{name}-{version}-py3-none-any.whl"
    info = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr(f"{name}.py", f"VERSION = {version!r}\n")
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    return wheel


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project whose "torch" is a tiny wheel and which needs nothing else."""
    wheels = tmp_path / "index" / "torch"
    wheels.mkdir(parents=True)
    wheel = make_wheel(wheels, "torch", "2.13.0+cpu")
    (wheels / "index.html").write_text(f'<a href="{wheel.name.replace("+", "%2B")}">{wheel.name}</a>')
    root = tmp_path / "project"
    (root / "requirements").mkdir(parents=True)
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    (root / "requirements" / "torch-cpu.lock").write_text(f"torch==2.13.0+cpu --hash=sha256:{digest}\n")
    (root / "requirements" / "runtime.lock").write_text("# nothing\n")
    shutil.copy(SETUP.parents[4] / "requirements" / "uv.lock", root / "requirements")
    return root


@pytest.fixture
def index(project: Path) -> Iterator[str]:
    """The wheel's folder served as a package index."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            """Keep the test's output clean."""

    handler = functools.partial(Quiet, directory=str(project.parent / "index"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def set_up(project: Path, **settings: str) -> subprocess.CompletedProcess[str]:
    """Run the set-up's torch step in a process of its own with a bare pip configuration."""
    program = (
        "import sys; from pathlib import Path\n"
        f"sys.path.insert(0, {str(SETUP.parent)!r})\n"
        "from environment import SetupError, create, install_lock\n"
        f"project = Path({str(project)!r}); venv = project / '.venv'\n"
        "create(venv)\n"
        "try: print('did', install_lock(project, venv, 'torch'))\n"
        "except SetupError as error: sys.exit(f'setup: {error}')\n"
    )
    bare = {"PIP_CONFIG_FILE": os.devnull, "PIP_INDEX_URL": "http://127.0.0.1:9/none", "PIP_RETRIES": "0"}
    kept = {key: value for key, value in os.environ.items() if not key.startswith("PIP_")}
    return subprocess.run(
        [sys.executable, "-c", program],
        check=False,
        capture_output=True,
        text=True,
        env={**kept, **bare, **settings},
    )


def installed_torch(project: Path) -> str:
    """What the environment's Python says of its torch."""
    command = [str(project / ".venv" / "bin" / "python"), "-c", "import torch; print(torch.VERSION)"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def test_torch_comes_from_pips_own_configuration_where_that_finds_it(project: Path) -> None:
    links = str(project.parent / "index" / "torch")
    result = set_up(project, PIP_FIND_LINKS=links, NEWSLOOM_TORCH_INDEX="http://127.0.0.1:9/none")
    assert result.stdout.split()[-1] == "True", result.stderr
    assert installed_torch(project) == "2.13.0+cpu"
    again = set_up(project)
    assert again.stdout == "did False\n"


def test_torch_comes_from_the_cpu_index_where_pip_does_not_find_it(project: Path, index: str) -> None:
    result = set_up(project, NEWSLOOM_TORCH_INDEX=index)
    assert result.stdout.split()[-1] == "True", result.stderr
    assert installed_torch(project) == "2.13.0+cpu"


def test_an_environment_that_was_interrupted_is_finished(project: Path, index: str) -> None:
    venv.create(project / ".venv", with_pip=False)
    result = set_up(project, NEWSLOOM_TORCH_INDEX=index)
    assert result.stdout.split()[-1] == "True", result.stderr


def test_torch_with_other_bytes_is_refused(project: Path, index: str) -> None:
    (wheel,) = (project.parent / "index" / "torch").glob("*.whl")
    wheel.write_bytes(wheel.read_bytes() + b"changed")
    result = set_up(project, NEWSLOOM_TORCH_INDEX=index)
    assert result.returncode == 1
    assert "setup: the CPU build of torch was found neither" in result.stderr
    assert index in result.stderr


def test_without_any_index_the_remedy_is_named(project: Path) -> None:
    result = set_up(project)
    assert result.returncode == 1
    assert result.stderr.splitlines()[-1].startswith("setup: pip could not install ")
    assert "uv.lock" in result.stderr
    assert "PIP_INDEX_URL" in result.stderr
