"""The two assemblers of an audit: today's, in this process, and the commit's own, in a process shut in.

The commit's own is code of the audited commit: asking for it is trusting that commit to run here. It gets
no network where the kernel lets us cut it, an empty home, no variable of this process but PATH, no library
but Python's own, and the files that the audit has just hashed. It is no sandbox: it runs as this user.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from imagelock.assemble import Recipe, assemble
from imagelock.build import LICENCES, write_notes
from imagelock.canonical import sha256_bytes
from imagelock.child import run_child
from imagelock.errors import ImageError
from imagelock.inputs import InputCache
from imagelock.layercache import LayerCache
from imagelock.layout import Layout
from imagelock.licences import find_licences
from imagelock.recipe import SYSTEM

ASSEMBLERS = ("current", "commit", "both")
OWN_SOURCE = "packages/imagelock/src"  # where a source tree that carries its assembler keeps it
# The module by the commit's own name; -I and -S leave no other imagelock to be found.
START = (
    "import runpy, sys; sys.path.insert(0, sys.argv.pop(1)); "
    "runpy.run_module('imagelock', run_name='__main__', alter_sys=True)"
)
CUTTERS = (["unshare", "--net"], ["unshare", "--map-root-user", "--net"])


@dataclass(frozen=True)
class Rebuilt:
    """One rebuild: by which assembler (`current`, `commit`), the hash of its source, where it lies."""

    assembler: str
    source_sha256: str
    layout: Layout
    network_cut: bool = False


@dataclass(frozen=True)
class Commission:
    """What is to be rebuilt: the clean clone, what it says, the checked inputs, an empty folder."""

    tree: Path
    recipe: Recipe
    inputs: InputCache
    scratch: Path
    commit: str


def source_digest(folder: Path) -> str:
    """Hash over an assembler's Python files, which names it."""
    return sha256_bytes(b"".join(path.read_bytes() for path in sorted(folder.glob("*.py"))))


def rebuild(commission: Commission, which: str) -> list[Rebuilt]:
    """Rebuild by the asked assembler, or by both, the commit's own first.

    When both are asked for and are the same bytes, one rebuild stands for both.
    """
    today = source_digest(Path(__file__).parent)
    if which == "current":
        return [by_current(commission, today)]
    own = own_digest(commission)
    if which == "both" and own == today:
        made = by_current(commission, today)
        return [Rebuilt("commit", own, made.layout), made]
    made = by_commit(commission, own)
    return [made] if which == "commit" else [made, by_current(commission, today)]


def by_current(commission: Commission, digest: str) -> Rebuilt:
    """Rebuild in this process, with an empty cache of layers.

    Of big layers no byte is written: their hashes and the list of their files say all that is compared.
    The packages' layer is kept, since the licences in the SBOM are read from it.
    """
    target = commission.scratch / "current"
    target.mkdir()
    layers = LayerCache(commission.scratch / "current-layers", only=frozenset({SYSTEM}))
    built = assemble(commission.recipe, commission.inputs, layers, target, os.cpu_count() or 1)
    memory = layers.folder / LICENCES
    licences = find_licences(commission.recipe.lock, commission.inputs, built, memory)
    write_notes(target, commission.recipe, built, licences, "", commission.commit)
    return Rebuilt("current", digest, Layout(target))


def own_digest(commission: Commission) -> str:
    """The hash of the commit's own assembler; ImageError when it has none."""
    folder = commission.tree / OWN_SOURCE / "imagelock"
    if not (folder / "__main__.py").is_file():
        raise ImageError(f"this commit has no assembler of its own in {OWN_SOURCE}/imagelock: audit it "
                         "with --assembler current", code="missing")  # fmt: skip
    return source_digest(folder)


def by_commit(commission: Commission, digest: str) -> Rebuilt:
    """Rebuild by the command the commit itself has, in a process of its own."""
    scratch, name = commission.scratch, commission.recipe.declaration.name
    # A cache whose inputs are the checked ones and which has no layers.
    cache_folder, builds = scratch / "commit-cache", scratch / "commit-builds"
    cache_folder.mkdir()
    (cache_folder / "inputs").symlink_to(commission.inputs.folder, target_is_directory=True)
    cutter = find_cutter()
    run_shut_in([
        *cutter, sys.executable, "-I", "-S", "-B", "-c", START, str(commission.tree / OWN_SOURCE),
        "--root", str(commission.tree), "--cache", str(cache_folder), "--builds", str(builds),
        "build", name, "--offline",
    ], scratch)  # fmt: skip
    return Rebuilt("commit", digest, Layout(builds / name), network_cut=bool(cutter))


@cache
def find_cutter() -> tuple[str, ...]:
    """The words that start a program without a network; none where the kernel allows no namespace."""
    for words in CUTTERS:
        try:
            if not subprocess.run([*words, "true"], capture_output=True, check=False).returncode:
                return tuple(words)
        except FileNotFoundError:
            return ()
    return ()


def run_shut_in(command: Sequence[str], scratch: Path) -> None:
    """Run the commit's assembler; ImageError carries its last line."""
    home, temporary = scratch / "commit-home", scratch / "commit-tmp"
    home.mkdir()
    temporary.mkdir()
    env = {
        "PATH": os.environ.get("PATH", os.defpath), "HOME": str(home), "TMPDIR": str(temporary),
        "LC_ALL": "C.UTF-8",
    }  # fmt: skip
    done = run_child(command, env, scratch)
    if done.returncode:
        lines = done.stderr.strip().splitlines()
        raise ImageError(f"the commit's own assembler failed with exit code {done.returncode}: "
                         f"{lines[-1] if lines else 'no word'}; try --assembler current")  # fmt: skip
