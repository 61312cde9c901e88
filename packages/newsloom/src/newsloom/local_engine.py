"""Starts, adopts and stops the embedded engine for as long as a command needs it.

A server that a killed command left behind is adopted, not doubled: it holds the root, and its Runs are
ours. Knows the engine only by its command line and its endpoint file.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from newscore.errors import NewsError
from newscore.folder import making

START_SECONDS = 30.0
STOP_SECONDS = 20.0


@dataclass(frozen=True)
class Endpoint:
    """Where a running server answers, and its process."""

    api_root: str
    pid: int


@contextlib.contextmanager
def local_engine(root: Path) -> Iterator[Endpoint]:
    """Serve `root` while the block runs; the server is stopped however the block ends."""
    root = root.absolute()  # its name tells the server's process from that of another workspace
    with making(root):
        root.mkdir(parents=True, exist_ok=True)
    endpoint = running_endpoint(root) or start(root)
    try:
        yield endpoint
    finally:
        stop(endpoint)


def running_endpoint(root: Path) -> Endpoint | None:
    """The endpoint of a server that already serves `root`, if its process lives."""
    path = root / "endpoint"
    try:
        endpoint = Endpoint(**json.loads(path.read_text()))
        command = Path(f"/proc/{endpoint.pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError, ValueError, TypeError):
        return None
    # A process id is reused after a reboot: only a process that names the root is the server.
    return endpoint if str(root).encode() in command else None


def start(root: Path) -> Endpoint:
    """Start a server in a session of its own, so that Ctrl-C reaches it through `stop` alone."""
    (root / "endpoint").unlink(missing_ok=True)
    log = root / "server.log"
    knitlite = Path(sys.executable).parent / "knitlite"
    with log.open("ab") as sink:
        process = subprocess.Popen(
            [str(knitlite), "serve", "--root", str(root), "--port", "0"],
            stdout=sink,
            stderr=sink,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        if endpoint := running_endpoint(root):
            return endpoint
        time.sleep(0.05)
    process.kill()
    process.wait()
    last = log.read_text(errors="replace").strip().splitlines()[-1:] or ["it said nothing"]
    raise NewsError(f"knitlite did not start over {root} ({last[0]}): read {log}.", code="unreachable")


def stop(endpoint: Endpoint) -> None:
    """Ask the server to end and wait until it has; Runs that were going on run again at the next start."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(endpoint.pid, signal.SIGTERM)
    deadline = time.monotonic() + STOP_SECONDS
    while time.monotonic() < deadline and alive(endpoint.pid):
        time.sleep(0.05)
    if alive(endpoint.pid):
        with contextlib.suppress(ProcessLookupError):
            os.kill(endpoint.pid, signal.SIGKILL)


def alive(pid: int) -> bool:
    """Whether a process goes on; a child of ours that has ended is collected."""
    with contextlib.suppress(ChildProcessError):
        if os.waitpid(pid, os.WNOHANG) != (0, 0):
            return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
