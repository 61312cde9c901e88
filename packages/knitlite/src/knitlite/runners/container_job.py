"""One container from `create` to its removal, whatever is killed meanwhile. Knows no plan.

What can end before the container does: the program attached to its output, which is replaced and all output
read anew; the engine, which is waited for; and podman's monitor of one container, without which nobody learns
how the job ends: it is executed again.
"""

import contextlib
import json
import os
import subprocess
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from knitfab.errors import KnitError

from knitlite.runners import ExitStatus, Job
from knitlite.runners.container_program import Program
from knitlite.runners.memory import OUT_OF_MEMORY, explain_lack

KILLED: Final = ExitStatus(137, "(container main) Error")

_NOT_STARTED: Final = frozenset({"created", "configured", "initialized"})
_OVER: Final = frozenset({"exited", "stopped", "dead", "gone"})
_STOP_AGAIN_SECONDS: Final = 0.5
_LOOK_AGAIN_SECONDS: Final = 0.2
_LOOK_AFTER_SECONDS: Final = 1.0
_TAIL: Final = 64 * 1024


class RunningContainer:
    """A container that was created; see Running."""

    def __init__(self, program: Program, container: str, job: Job, grace_seconds: float) -> None:
        """Take over a container that has not been started."""
        self._program = program
        self._container = container
        self._job = job
        self._log_path = job.log_path
        self._log_start = job.log_path.stat().st_size
        self._scratch = job.folder / "scratch"
        self._grace_seconds = grace_seconds
        self._lock = threading.Lock()
        self._stopped = False
        self._over = threading.Event()
        self._client: subprocess.Popen[bytes] | None = None
        self._monitor = 0

    @property
    def handle(self) -> str:
        """`<program> <id>`: the next engine may have been told to use another program."""
        return f"{self._program.name} {self._container}"

    def release(self) -> None:
        """Start it, its output attached from the first byte to the log."""
        with self._lock:
            if not self._stopped:
                self._attach("start", "--attach")

    def wait(self) -> ExitStatus:
        """Until the container has ended. KnitError when its engine went away with it: try again."""
        try:
            ended = KILLED if self._client is None else self._await_end(self._client)
        finally:
            self._over.set()
            if self._client is not None:
                self._client.kill()
                self._client.wait()
            # An engine that is away keeps it until the next Run starts, see `remove_left`.
            with contextlib.suppress(KnitError):
                self._program.remove(self._container)
        if ended.message == OUT_OF_MEMORY:
            explain_lack(self._job)
        return ended

    def stop(self) -> None:
        """SIGTERM to its first process, SIGKILL after the grace time."""
        with self._lock:
            self._stopped = True
        # Again and again: one that `start` was asked for but that does not run yet ignores a `stop`.
        while self._client is not None and not self._over.is_set():
            self._program.call("stop", "-t", str(int(self._grace_seconds)), self._container)
            self._over.wait(_STOP_AGAIN_SECONDS)

    def _await_end(self, client: "subprocess.Popen[bytes]") -> ExitStatus:
        was_away = False
        while True:
            told = self._await_client(client)
            try:
                state = self._read_state()
            except KnitError:
                if self._stopped:
                    return KILLED
                was_away = True
                time.sleep(_LOOK_AGAIN_SECONDS)
                continue
            status = "gone" if state is None else str(state.get("Status"))
            if status in _OVER:
                return self._explain(state, None if was_away else told)
            if status not in _NOT_STARTED:
                # What the attached program said of its own end is no output of the job: all is read anew.
                client, was_away = self._attach("logs", "--follow"), False
            elif self._stopped:
                return KILLED
            elif was_away:
                # What it began cannot be begun again: half of it may exist already.
                raise self._again()
            elif told < 0:
                client = self._attach("start", "--attach")
            else:
                return refuse(state, self._last_log_line())
            time.sleep(_LOOK_AGAIN_SECONDS)

    def _await_client(self, client: "subprocess.Popen[bytes]") -> int:
        """Its exit code, negative when it was killed. KnitError when it will wait for ever."""
        while True:
            try:
                return client.wait(_LOOK_AFTER_SECONDS)
            except subprocess.TimeoutExpired:
                if self._program.is_podman and self._is_unwatched():
                    sentence = "the monitor of a container was killed; the Run is executed again"
                    raise KnitError(f"{self._program.name}: {sentence}", code="unavailable") from None

    def _is_unwatched(self) -> bool:
        """Whether podman takes a container for running because nobody told it of the end."""
        if self._monitor and Path(f"/proc/{self._monitor}").exists():
            return False
        state = self._read_state() or {}
        known, self._monitor = self._monitor, int(str(state.get("ConmonPid") or 0))
        return bool(known and known == self._monitor and state.get("Status") == "running")

    def _attach(self, *command: str) -> "subprocess.Popen[bytes]":
        """A program that writes the container's output into the log, from its beginning."""
        os.truncate(self._log_path, self._log_start)
        with self._log_path.open("ab") as log:
            self._client = subprocess.Popen(
                [self._program.name, *command, self._container],
                # Where some of podman's monitors leave their note of a lack of memory.
                cwd=self._scratch,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            return self._client

    def _explain(self, state: Mapping[str, object] | None, told: int | None) -> ExitStatus:
        """The end, unless it was seen by nobody: an engine that was killed calls what it then ends a success.

        `told` is the exit code of the attached program, None when the engine was away meanwhile.
        """
        if state is not None and (self._scratch / "oom").exists():
            state = {**state, "OOMKilled": True}
        ended = explain_state(state)
        failed_by_kill = told is not None and told < 0 and ended.code != 0
        removed = told is not None and state is None
        if told in (0, ended.code) or failed_by_kill or removed or (state or {}).get("Error"):
            return ended
        raise self._again()

    def _again(self) -> KnitError:
        sentence = "nobody saw how the container of a Run ended; the Run is executed again"
        return KnitError(f"{self._program.name}: {sentence}", code="unavailable")

    def _read_state(self) -> Mapping[str, object] | None:
        text = self._program.inspect(self._container, "{{json .State}}")
        return None if text is None else dict(json.loads(text))

    def _last_log_line(self) -> str:
        with self._log_path.open("rb") as log:
            log.seek(max(self._log_start, log.seek(0, os.SEEK_END) - _TAIL))
            lines = log.read().decode("utf-8", "replace").strip().splitlines()
        return lines[-1] if lines else "no reason was given"


def refuse(state: Mapping[str, object] | None, told: str) -> ExitStatus:
    """The container could not be started: docker keeps the reason, podman only tells it."""
    return ExitStatus(255, f"(container main) [StartError] {(state or {}).get('Error') or told}")


def explain_state(state: Mapping[str, object] | None) -> ExitStatus:
    """A container's last state in Knitfab's words; None: somebody removed it."""
    if state is None:
        return ExitStatus(254, "worker for the run is not found")
    if error := state.get("Error"):
        return ExitStatus(255, f"(container main) [StartError] {error}")
    code = state.get("ExitCode")
    if not isinstance(code, int):
        return ExitStatus(255, f"(container main) Error: no exit code in {dict(state)}")
    if code == 0:
        return ExitStatus(0, "")
    # Also one whose first process lived on after another of its processes was killed for want of memory.
    message = OUT_OF_MEMORY if state.get("OOMKilled") else "(container main) Error"
    return ExitStatus(code & 255 or 255, message)
