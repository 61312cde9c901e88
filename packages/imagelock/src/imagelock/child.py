"""Programs run to their end, or ended with us: SIGTERM first, so that they can leave their work tidy."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

GRACE_SECONDS = 10.0


def run_child(
    command: Sequence[str], env: Mapping[str, str], cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a program without input, its output captured; FileNotFoundError when it is not installed."""
    process = subprocess.Popen(
        command, env=env, cwd=cwd, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        said, complained = process.communicate()
    finally:
        end(process)
    return subprocess.CompletedProcess(command, process.returncode, said, complained)


def end(process: subprocess.Popen[str]) -> None:
    """Let a child go; after a while it is killed."""
    if process.poll() is not None:
        return
    process.terminate()
    try:
        process.wait(GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
