"""Brings the inputs up to dvc.lock: names what is missing or damaged, then lets DVC mend it.

DVC decides what to run and keeps every output by content, so a warm cache needs no network. This file
only calls it and says in words what it found.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from newscore.errors import NewsError

WORDS = {
    "deleted": "missing",
    "modified": "damaged or changed",
    "new": "new",
    "not in cache": "missing from the cache",
}
"""What DVC's states mean to somebody who only wants the inputs."""


def bring_inputs(project: Path) -> list[str]:
    """Make all inputs present and unchanged; return what had to be mended, one phrase each."""
    found = list(describe(json.loads(run_dvc(project, "status", "--json", capture=True) or "{}")))
    for phrase in found:
        print(f"data: {phrase}", flush=True)
    if found:
        run_dvc(project, "repro", "--quiet")
    return found


def describe(status: Mapping[str, Sequence[object]]) -> Iterator[str]:
    """Turn `dvc status --json` into phrases: `data/x is missing`, `data/y is out of date`."""
    for stage, changes in status.items():
        outputs, causes = {}, {}
        for change in changes:
            if isinstance(change, dict):
                outputs.update(change.get("changed outs", {}))
                causes.update(change.get("changed deps", {}))
        for output, state in outputs.items():
            yield f"{output} is {WORDS.get(state, state)}"
        if not outputs:
            yield f"{stage} is out of date ({', '.join(sorted(causes)) or 'its command changed'})"


def run_dvc(project: Path, *arguments: str, capture: bool = False) -> str:
    """Run one DVC command in the project; its stages find our commands beside this Python."""
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)))
    command = [sys.executable, "-m", "dvc", *arguments]
    result = subprocess.run(
        command,
        cwd=project,
        env={**os.environ, "PATH": path},
        check=False,
        text=True,
        stdout=subprocess.PIPE if capture else None,
    )
    if result.returncode != 0:
        raise NewsError(
            f"dvc {arguments[0]} ended with {result.returncode}, see its message above: "
            "mend what it names and call make data again.",
            code="missing",
        )
    return result.stdout or ""
