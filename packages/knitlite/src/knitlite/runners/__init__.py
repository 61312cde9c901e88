"""How a Run is executed: the Runner contract and what it is told. Knows no database and no HTTP.

A runner is one file in this folder. `handle` is a short text it makes up; the engine stores it before
the job may begin, so that after a crash the next engine can find and end what is left over.
"""

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

__all__ = ["ExitStatus", "Job", "Mount", "Runner", "Running"]


@dataclass(frozen=True)
class Mount:
    """A mountpoint of the plan and the folder that shall appear there."""

    path: str
    """As in the plan, absolute and clean."""
    source: Path
    """Inputs: the folder of the Data. Outputs: a new empty folder of the Run."""


@dataclass(frozen=True)
class Job:
    """All a runner needs to know of a Run."""

    run_id: str
    folder: Path
    """The Run's own folder; holds `root`, `scratch` and `log/log`, all made by the engine."""
    image: str
    entrypoint: tuple[str, ...]
    args: tuple[str, ...]
    inputs: tuple[Mount, ...]
    outputs: tuple[Mount, ...]
    cpus: float
    memory_bytes: int
    resources: Mapping[str, str]
    annotations: tuple[tuple[str, str], ...]
    unwanted: threading.Event = field(default_factory=threading.Event)
    """Set once the Run is stopped: `Runner.start` need not finish what takes long, and may raise OSError."""

    @property
    def log_path(self) -> Path:
        """The file stdout and stderr are written to."""
        return self.folder / "log" / "log"


@dataclass(frozen=True)
class ExitStatus:
    """How a job ended."""

    code: int
    """0..255; a signal n is 128 + n."""
    message: str
    """Empty on success, else in Knitfab's words, such as `(container main) Error`."""


class Running(Protocol):
    """A job that was started. Used by one thread, but `stop` by any."""

    @property
    def handle(self) -> str:
        """What `Runner.end_orphan` needs."""

    def release(self) -> None:
        """Let the job begin: it must not do anything before, for its handle is not stored yet."""

    def wait(self) -> ExitStatus:
        """Block until the job and everything it started has ended."""

    def stop(self) -> None:
        """End the job: politely first, by force after a grace time. `wait` then returns."""


class Runner(Protocol):
    """Executes jobs in one way."""

    @property
    def name(self) -> str:
        """As in `--runner`; stored with each handle."""

    def refusal(self, job: Job) -> str | None:
        """Why this machine can't execute the job, None when it can."""

    def start(self, job: Job) -> Running:
        """Prepare the job up to the point of `release`."""

    def end_orphan(self, handle: str, folder: Path) -> None:
        """End what a killed engine left running; nothing happens when there is nothing left."""
