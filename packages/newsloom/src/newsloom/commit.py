"""Which commit holds the files that pin a plan. Knows git by its command line alone, and changes nothing."""

import subprocess
from collections.abc import Sequence
from pathlib import Path


def find_commit(project: Path, paths: Sequence[str]) -> str | None:
    """HEAD where these files stand as it has them, `HEAD-dirty` where they do not, None without a commit."""
    if not (project / ".git").exists():  # HEAD would be that of a tree around ours
        return None
    command = ["git", "--no-optional-locks", "-C", str(project), "status", "--porcelain=v2", "--branch"]
    try:
        result = subprocess.run([*command, "--", *paths], check=False, capture_output=True, text=True)
    except FileNotFoundError:
        return None
    lines = result.stdout.splitlines()
    commit = next((line.split()[2] for line in lines if line.startswith("# branch.oid ")), "(initial)")
    if result.returncode != 0 or commit == "(initial)":
        return None
    changed = any(not line.startswith("# ") for line in lines)
    return f"{commit}-dirty" if changed else commit
