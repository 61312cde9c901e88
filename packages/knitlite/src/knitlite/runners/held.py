"""A runner that executes nothing: its jobs end when they are told to. For tests of what uses an engine."""

import threading
from typing import Final

from knitlite.runners import ExitStatus, Job, Running

_STOPPED: Final = ExitStatus(143, "(container main) Error")


class HeldRunner:
    """Keeps every job running until `finish`."""

    def __init__(self) -> None:
        """No jobs yet."""
        self._changed = threading.Condition()
        self._jobs: dict[str, HeldJob] = {}

    @property
    def name(self) -> str:
        """Never stored by a server: only tests make this runner."""
        return "held"

    def refusal(self, _: Job) -> str | None:
        """Everything is accepted."""
        return None

    def start(self, job: Job) -> Running:
        """Note the job."""
        with self._changed:
            self._jobs[job.run_id] = held = HeldJob()
            self._changed.notify_all()
        return held

    def end_orphan(self, handle: str, folder: object) -> None:
        """There is no process that could be left over."""

    def finish(self, run_id: str, ended: ExitStatus, timeout: float = 10.0) -> None:
        """End the Run's job; waits for the job to be started. TimeoutError when it is not."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._is_held(run_id), timeout):
                raise TimeoutError(f"the job of run {run_id} was not started within {timeout} s")
            self._jobs.pop(run_id).end(ended)

    def _is_held(self, run_id: str) -> bool:
        return run_id in self._jobs and not self._jobs[run_id].is_over


class HeldJob:
    """One job; see Running."""

    handle = ""

    def __init__(self) -> None:
        """Running until told."""
        self._over = threading.Event()
        self._ended = _STOPPED

    def release(self) -> None:
        """Nothing begins."""

    def wait(self) -> ExitStatus:
        """Until `end` or `stop`."""
        self._over.wait()
        return self._ended

    @property
    def is_over(self) -> bool:
        """Whether it ended."""
        return self._over.is_set()

    def stop(self) -> None:
        """End as if by SIGTERM."""
        self._over.set()

    def end(self, ended: ExitStatus) -> None:
        """End in this way."""
        self._ended = ended
        self._over.set()
