"""Runs a job as a process group of this machine, its mountpoints as folders of the Run. Knows no images.

What it can't give: inputs are read-only by file permission only (root may still write), and the network is
open. Processors and memory are held to what the plan declares, see limits.py.
"""

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Collection, Iterator
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Final

from knitlite.capacity import count_gpus
from knitlite.folders import link_tree
from knitlite.quantities import gpus_of
from knitlite.runners import ExitStatus, Job, Running
from knitlite.runners.limits import Limits, Processors
from knitlite.runners.memory import OUT_OF_MEMORY, explain_lack

MARK: Final = "KNITLITE_RUN_FOLDER"
"""Environment variable every process of a job inherits: finds those that left the process group."""

_GATE: Final = 'read -r go && exec "$@" </dev/null'
"""Wait for a line, then become the job. If the engine dies first, the read fails and nothing runs."""

_THREADS: Final = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
)


class ProcessRunner:
    """The runner that needs nothing installed."""

    def __init__(
        self, grace_seconds: float = 10.0, search_path: str | None = None, limits: bool = True
    ) -> None:
        """`search_path` is the PATH of the jobs; by default the folder of this Python, then our own.

        Without `limits` the declared cpu and memory count only for how many Runs there are at once.
        """
        self._grace_seconds = grace_seconds
        self._limits = limits
        own = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
        self._search_path = search_path if search_path is not None else own

    @property
    def name(self) -> str:
        """As in `--runner`."""
        return "process"

    def refusal(self, job: Job) -> str | None:
        """There is no image to take a command from, and only so many graphics cards."""
        if not (job.entrypoint or job.args):
            return "the plan has no entrypoint and no args, and the process runner opens no image"
        asked, found = gpus_of(job.resources), count_gpus()
        return f"{asked} GPU asked for, this machine has {found}" if asked > found else None

    def start(self, job: Job) -> Running:
        """Link the inputs in, open the log and start the gate."""
        root = job.folder / "root"
        for mount in job.inputs:
            link_tree(mount.source, root / mount.path.lstrip("/"))
        with job.log_path.open("ab") as log:
            process = subprocess.Popen(
                ["/bin/sh", "-c", _GATE, "sh", *map_command(job)],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=root,
                env=self._environment(job),
                start_new_session=True,
            )
        return RunningProcess(process, job, self._grace_seconds, self._processors if self._limits else None)

    def end_orphan(self, handle: str, folder: Path) -> None:
        """Kill the group of the recorded process, and all that carry the mark of the Run's folder."""
        pid_text, _, started = handle.partition(" ")
        if started and read_start_time(int(pid_text)) == started:
            signal_group(int(pid_text), signal.SIGKILL)
        kill_marked(folder)

    @cached_property
    def _processors(self) -> Processors:
        """Made at the first job: settings with a runner in them can be sent to another process before."""
        return Processors()

    def _environment(self, job: Job) -> dict[str, str]:
        return {
            **os.environ,
            "PATH": self._search_path,
            "HF_HUB_OFFLINE": "1",
            "PYTHONUNBUFFERED": "1",
            "TMPDIR": str(job.folder / "scratch"),
            MARK: str(job.folder),
            **dict.fromkeys(_THREADS, str(max(1, int(job.cpus)))),
        }


class RunningProcess:
    """A started process group; see Running."""

    def __init__(
        self,
        process: subprocess.Popen[bytes],
        job: Job,
        grace_seconds: float,
        processors: Processors | None,
    ) -> None:
        """Take over a process that leads its own session and waits at the gate.

        Without `processors` it is not limited, nor is it in what the plan leaves open.
        """
        self._process = process
        self._job = job
        self._limits = None if processors is None else Limits(process.pid, job, processors)
        self._grace_seconds = grace_seconds
        self._handle = f"{process.pid} {read_start_time(process.pid) or ''}"
        self._ended = threading.Event()

    @property
    def handle(self) -> str:
        """`<pid> <start time>`: a number alone may belong to somebody else by now."""
        return self._handle

    def release(self) -> None:
        """Open the gate."""
        assert self._process.stdin is not None
        # A broken pipe means it was ended before it began; wait() will tell.
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(b"go\n")
            self._process.stdin.flush()
        self._close_gate()

    def wait(self) -> ExitStatus:
        """The end of the first process is the end of the job, as in a container."""
        # Not reaped yet, so its number still names the group and no stranger.
        os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOWAIT)
        signal_group(self._process.pid, signal.SIGKILL)
        too_much = self._limits is not None and self._limits.end()
        code = self._process.wait()
        self._ended.set()
        self._close_gate()
        kill_marked(self._job.folder)
        if not too_much:
            return explain_exit(code)
        explain_lack(self._job)
        return ExitStatus(137, OUT_OF_MEMORY)

    def stop(self) -> None:
        """SIGTERM to the group, SIGKILL after the grace time."""
        signal_group(self._process.pid, signal.SIGTERM)
        if not self._ended.wait(self._grace_seconds):
            signal_group(self._process.pid, signal.SIGKILL)

    def _close_gate(self) -> None:
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()


def explain_exit(code: int) -> ExitStatus:
    """Python's return code (negative: a signal) in the words and range of Knitfab."""
    if code == 0:
        return ExitStatus(0, "")
    return ExitStatus(128 - code if code < 0 else code, "(container main) Error")


def map_command(job: Job) -> list[str]:
    """Entrypoint and args with every token that names a mountpoint turned into a path of this Run."""
    mounts = [PurePosixPath(mount.path) for mount in (*job.inputs, *job.outputs)]
    root = job.folder / "root"
    return [_map_token(token, mounts, root) for token in (*job.entrypoint, *job.args)]


def _map_token(token: str, mounts: Collection[PurePosixPath], root: Path) -> str:
    flag, equals, value = token.partition("=")
    if equals and flag.startswith("-"):
        return f"{flag}={_map_path(value, mounts, root)}"
    return _map_path(token, mounts, root)


def _map_path(text: str, mounts: Collection[PurePosixPath], root: Path) -> str:
    path = PurePosixPath(text)
    # "/" is above every mountpoint, but whoever writes it means the whole machine.
    if not path.is_absolute() or len(path.parts) == 1 or ".." in path.parts:
        return text
    if any(path.is_relative_to(mount) or mount.is_relative_to(path) for mount in mounts):
        return f"{root}{text}"
    return text


def signal_group(group: int, number: int) -> None:
    """Send a signal to a process group that may be gone already."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, number)


def read_start_time(pid: int) -> str | None:
    """When a process started, in the kernel's ticks; None when there is no such process."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The second field is the program's name in brackets and may hold blanks; start time is field 22.
    return text.rpartition(")")[2].split()[19]


def kill_marked(folder: Path) -> None:
    """Kill every process that inherited the mark of this Run, until none is left."""
    while pids := list(_find_marked(f"{MARK}={folder}".encode())):
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def _find_marked(mark: bytes) -> Iterator[int]:
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        # Gone meanwhile, or somebody else's: not ours in both cases. A dead one awaiting its parent has none.
        with contextlib.suppress(FileNotFoundError, ProcessLookupError, PermissionError):
            if mark in (entry / "environ").read_bytes().split(b"\0"):
                yield int(entry.name)
