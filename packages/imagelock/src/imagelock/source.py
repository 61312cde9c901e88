"""The workspace's own packages as entries: tracked files, generated dist-info, programs.

Reads the working tree and asks git what is tracked; builds nothing.
"""

from __future__ import annotations

import re
import subprocess
import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from imagelock.canonical import canonical_json, sha256_bytes
from imagelock.entry import Entry, link, literal
from imagelock.errors import ImageError, not_utf8
from imagelock.scripts import script_entries
from imagelock.wheel import Place, fresh_record, normalise

# What `git status --porcelain=v2` says before a path: of changed, unmerged and untracked ones.
WORDS_BEFORE_PATH = {"1 ": 8, "u ": 10, "? ": 1}
REQUIREMENT = re.compile(r"^\s*([A-Za-z0-9][A-Za-z0-9._-]*)")


@dataclass(frozen=True)
class Workspace:
    """A source tree: `tracked` is git's answer, or None for a tree without git (a Nix store)."""

    root: Path
    has_git: bool

    def tracked(self, folders: Iterable[str]) -> list[str]:
        """Paths (relative to the root, sorted) of the tracked files below some folders."""
        if self.has_git:
            text = run_git(self.root, "ls-files", "-z", "--", *folders)
            return sorted(name for name in text.split("\0") if name)
        found = (path for folder in folders for path in (self.root / folder).rglob("*"))
        names = (path.relative_to(self.root).as_posix() for path in found if not path.is_dir())
        return sorted(name for name in names if "__pycache__" not in name.split("/"))

    def changes(self, paths: Iterable[str]) -> list[str]:
        """What git calls modified or untracked among the paths; empty for a tree without git."""
        return self.state(paths)[1]

    def commit(self) -> str:
        """The commit checked out, or empty."""
        return run_git(self.root, "rev-parse", "HEAD").strip() if self.has_git else ""

    def state(self, paths: Iterable[str]) -> tuple[str, list[str]]:
        """The commit and the changes among the paths, by one question to git."""
        if not self.has_git:
            return "", []
        how = ("--porcelain=v2", "--branch", "-z", "--no-renames", "--no-ahead-behind")
        text = run_git(self.root, "status", *how, "--", *paths)
        return parse_state(text.split("\0"), self.root)


def parse_state(lines: Iterable[str], root: Path) -> tuple[str, list[str]]:
    """Commit and changed paths of `git status --porcelain=v2 --branch -z --no-renames`."""
    commit, changed = "", []
    for line in lines:
        if line.startswith("# branch.oid "):
            commit = line.split(" ")[2]
        elif line.startswith(tuple(WORDS_BEFORE_PATH)):
            changed.append(line.split(" ", WORDS_BEFORE_PATH[line[:2]])[-1])
    if commit == "(initial)":
        raise ImageError(f"{root} has no commit yet: commit its files first")
    return commit, sorted(changed)


def open_workspace(root: Path) -> Workspace:
    """The tree at `root`; with git when it is a work tree's top."""
    return Workspace(root, (root / ".git").exists())


def run_git(root: Path, *arguments: str) -> str:
    """Run git in a tree; ImageError carries its last line."""
    command = ["git", "-c", "core.quotepath=off", "-C", str(root), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise ImageError("git is not installed; imagelock asks it which files are tracked",
                         code="missing") from None  # fmt: skip
    if done.returncode:
        said = done.stderr.strip().splitlines()
        raise ImageError(f"git {arguments[0]} failed in {root}: {said[-1] if said else 'no word'}")
    return done.stdout


def find_revision(root: Path, name: str) -> str:
    """The full name of a commit; ImageError when the repository has none of that name."""
    try:
        return run_git(root, "rev-parse", "--verify", "--quiet", f"{name}^{{commit}}").strip()
    except ImageError as error:
        if error.code == "missing":
            raise
        raise ImageError(f"{root} has no commit {name}: fetch it (`git fetch`) or name another",
                         code="missing") from None  # fmt: skip


def read_project(root: Path, folder: str) -> dict[str, Any]:
    """The [project] table of a workspace package."""
    path = root / folder / "pyproject.toml"
    try:
        project = tomllib.loads(path.read_text(encoding="utf-8"))["project"]
    except FileNotFoundError:
        raise ImageError(f"{path} does not exist: correct python.packages in image.toml",
                         code="missing") from None  # fmt: skip
    except UnicodeDecodeError as error:
        raise ImageError(not_utf8(path, error)) from None
    except (tomllib.TOMLDecodeError, KeyError) as error:
        raise ImageError(f"{path} has no readable [project] table: {error}") from None
    return dict(project)


def requirement_name(requirement: str) -> str:
    """The normalised distribution name a requirement begins with."""
    match = REQUIREMENT.match(requirement)
    if not match or not requirement.isprintable():  # a line's end would let pip read options after it
        raise ImageError(f'{requirement!r} is not a requirement: write one like "name>=1"')
    return normalise(match.group(1))


def source_entries(workspace: Workspace, folders: Sequence[str], place: Place) -> list[Entry]:
    """Workspace packages as they would be installed."""
    tracked = workspace.tracked([source_folder(folder) for folder in folders])
    return [entry for folder in folders for entry in package_entries(workspace, folder, tracked, place)]


def source_folder(folder: str) -> str:
    """Where a workspace package's modules lie, with a slash at the end."""
    return f"{folder}/src/"


def package_entries(workspace: Workspace, folder: str, tracked: Iterable[str], place: Place) -> list[Entry]:
    """One workspace package; `tracked` may hold other packages' files too."""
    project = read_project(workspace.root, folder)
    label = f"workspace:{folder}"
    source = source_folder(folder)
    entries = []
    for name in tracked:
        if name.startswith(source):
            entries.append(read_tracked(workspace.root, name, place.site, source, label))
    if not entries:
        raise ImageError(f"{workspace.root / source} holds no tracked file: git add them first",
                         code="missing")  # fmt: skip
    info = f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    scripts = project.get("scripts", {})
    points = "".join(f"{name} = {point}\n" for name, point in sorted(scripts.items()))
    text = f"[console_scripts]\n{points}"
    entries.append(literal(f"{place.site}/{info}/METADATA", format_metadata(project), label))
    if scripts:
        entries.append(literal(f"{place.site}/{info}/entry_points.txt", text.encode(), label))
        entries += script_entries(text, label)
    return [*entries, fresh_record(entries, info, label, place)]


def read_tracked(root: Path, name: str, site: str, source: str, label: str) -> Entry:
    """One tracked file: bytes and executable bit, or where a link points."""
    path = root / name
    where = f"{site}/{name.removeprefix(source)}"
    if path.is_symlink():
        return link(where, str(path.readlink()), label)
    try:
        executable = bool(path.stat().st_mode & 0o100)
        return literal(where, path.read_bytes(), label, executable=executable)
    except FileNotFoundError:
        raise ImageError(f"{path} is tracked but gone: restore it or commit its removal",
                         code="missing") from None  # fmt: skip


def format_metadata(project: dict[str, Any]) -> bytes:
    """METADATA as far as importlib.metadata and scanners read it."""
    lines = [
        "Metadata-Version: 2.1",
        f"Name: {project['name']}",
        f"Version: {project['version']}",
        f"Summary: {project.get('description', '')}",
        f"License: {project.get('license', '')}",
        *(f"Requires-Dist: {item}" for item in project.get("dependencies", [])),
    ]
    return ("\n".join(lines) + "\n").encode()


def source_hash(entries: Iterable[Entry]) -> str:
    """One hash over paths, modes and bytes of first-party entries: the label source-sha256."""
    rows = sorted(
        [item.path, item.mode, item.target, sha256_bytes(item.content)]
        if isinstance(item.content, bytes)
        else [item.path, item.mode, item.target, ""]
        for item in entries
    )
    return sha256_bytes(canonical_json(rows))
