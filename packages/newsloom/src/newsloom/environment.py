"""Makes the workspace's virtual environment from hash-locked requirements: `make setup`.

Runs under the system's Python before anything is installed, so it knows only the standard library and
nothing of ours. What it did is stamped by the hashes of its inputs; an unchanged workspace costs
milliseconds.

torch is the one package that cannot simply be named: on Linux the Python index serves its CUDA build
(gigabytes). The lock holds the CPU build's hash alone, so pip can take no other file. Where pip's own
configuration finds that build (a mirror, a find-links folder) it is used; elsewhere uv is fetched, which
knows PyTorch's index of CPU builds, or the index is asked that `NEWSLOOM_TORCH_INDEX` names.
"""

import hashlib
import os
import subprocess
import sys
import venv
from collections.abc import Sequence
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[4]
LOCKS = {
    "torch": "requirements/torch-cpu.lock",
    "uv": "requirements/uv.lock",
    "runtime": "requirements/runtime.lock",
    "dev": "requirements/dev.lock",
}


class SetupError(Exception):
    """The environment cannot be made; the text is one sentence with the remedy."""


def make_environment(project: Path, environment: Path, extras: Sequence[str]) -> list[str]:
    """Bring `environment` up to `project`'s locks; return the names of the parts that were installed."""
    check_python()
    create(environment)
    done = [name for name in ("torch", "runtime", *extras) if install_lock(project, environment, name)]
    if install_workspace(project, environment):
        done.append("workspace")
    return done


def check_python() -> None:
    """Refuse a Python for which the locks hold no wheels."""
    if sys.version_info[:2] != (3, 11):
        found = ".".join(map(str, sys.version_info[:3]))
        raise SetupError(
            f"Python {found} is running the set-up but the locks are for 3.11: "
            "install Python 3.11 and call make with PYTHON=python3.11."
        )


def create(environment: Path) -> None:
    """Make an empty virtual environment with pip, unless it stands; one that was interrupted is finished."""
    if (environment / "bin" / "pip").exists():
        return
    try:
        venv.create(environment, with_pip=True)
    except (subprocess.CalledProcessError, ImportError) as error:
        raise SetupError(
            f"{environment} could not be made because this Python has no ensurepip ({error}): "
            "install the system's package python3.11-venv."
        ) from error


def install_lock(project: Path, environment: Path, name: str) -> bool:
    """Install one lock file, wheel by wheel as pinned; return whether there was anything to do."""
    lock = project / LOCKS[name]
    stamp = Stamp(environment / f".newsloom-{name}", [lock])
    if stamp.holds():
        return False
    total = sum("==" in line and not line.startswith("#") for line in lock.read_text().splitlines())
    if name == "torch":
        install_torch(project, environment, lock)
    elif pip(environment, pinned(lock), total=total) != 0:
        raise SetupError(
            f"pip could not install {lock}, see its message above: "
            "check the network or point pip at a mirror (PIP_INDEX_URL), then call make again."
        )
    stamp.write()
    return True


def pinned(lock: Path) -> list[str]:
    """The words that install a lock: all is pinned, so resolving could only cost time or go wrong."""
    return ["install", "--no-deps", "--require-hashes", "-r", str(lock)]


def install_torch(project: Path, environment: Path, lock: Path) -> None:
    """Install the CPU build from where pip is configured to look, else from an index of CPU builds."""
    if pip(environment, pinned(lock)) == 0:
        return
    index = os.environ.get("NEWSLOOM_TORCH_INDEX")
    if index:
        failed = pip(environment, [*pinned(lock), "--index-url", index], total=1)
    else:
        install_lock(project, environment, "uv")
        tools = environment / "bin"
        chosen = ["--python", str(tools / "python"), "--torch-backend", "cpu"]
        failed = subprocess.run([str(tools / "uv"), "pip", *pinned(lock), *chosen], check=False).returncode
    if failed:
        raise SetupError(
            f"the CPU build of torch was found neither by pip's own configuration nor at "
            f"{index or 'the index of CPU builds that uv knows'}: set NEWSLOOM_TORCH_INDEX to an index that "
            "has it, or PIP_FIND_LINKS to a folder with the wheel."
        )


def install_workspace(project: Path, environment: Path) -> bool:
    """Install the workspace's own packages in place, so that an edit is live at once."""
    projects = [
        *sorted(project.glob("packages/*/pyproject.toml")),
        project / "lineage/pyproject.toml",
    ]
    folders = [path.parent for path in projects]
    stamp = Stamp(environment / ".newsloom-workspace", [folder / "pyproject.toml" for folder in folders])
    if stamp.holds():
        return False
    editable = [word for folder in folders for word in ("--editable", str(folder))]
    if (
        pip(
            environment,
            ["install", "--no-deps", "--no-build-isolation", *editable],
            total=len(folders),
        )
        != 0
    ):
        raise SetupError("pip could not install the workspace's packages, see its message above.")
    if pip(environment, ["check"]) != 0:
        raise SetupError(
            f"{environment} holds packages that contradict each other: remove it and call make again."
        )
    stamp.write()
    return True


def pip(environment: Path, arguments: Sequence[str], *, total: int = 0) -> int:
    """Run the environment's pip and return its exit code; with `total` packages, count them as they come."""
    command = [
        str(environment / "bin" / "python"),
        "-m",
        "pip",
        "--disable-pip-version-check",
        *arguments,
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout is not None
        count, complaints = 0, []
        for line in process.stdout:
            if line.startswith(("Collecting ", "Requirement already satisfied: ")):
                count += 1
                show_progress(count, total)
            elif line.startswith("ERROR"):
                complaints.append(line)
    if process.returncode and total:
        print("".join(complaints), end="", file=sys.stderr)
    return process.returncode


def show_progress(count: int, total: int) -> None:
    """Say how far the downloads are: one moving line on a terminal, every fiftieth package elsewhere."""
    if not total:
        return
    if sys.stdout.isatty():
        print(f"\rsetup: package {count} of {total}", end="\n" if count == total else "", flush=True)
    elif count % 50 == 0 or count == total:
        print(f"setup: package {count} of {total}", flush=True)


class Stamp:
    """A file that says which inputs a finished step had."""

    def __init__(self, path: Path, inputs: Sequence[Path]) -> None:
        """Name the step's inputs; absolute paths count, so a moved workspace is installed anew."""
        digest = hashlib.sha256()
        for source in inputs:
            digest.update(str(source).encode() + b"\0" + source.read_bytes() + b"\0")
        self.path, self.value = path, digest.hexdigest()

    def holds(self) -> bool:
        """Whether the step finished with just these inputs."""
        return self.path.exists() and self.path.read_text() == self.value

    def write(self) -> None:
        """Record that the step is finished."""
        self.path.write_text(self.value)


def main() -> int:
    """Make the environment named by the first argument, with the extras that follow it."""
    environment = Path(sys.argv[1] if len(sys.argv) > 1 else ".venv").absolute()
    try:
        done = make_environment(PROJECT, environment, sys.argv[2:])
    except SetupError as error:
        print(f"setup: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(
            f"setup: {environment} could not be written ({error}): mend that and call make again.",
            file=sys.stderr,
        )
        return 2
    except KeyboardInterrupt:
        print("setup: interrupted, call make again to go on", file=sys.stderr)
        return 130
    if done:
        print(f"setup: {environment.name} now has {', '.join(done)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
