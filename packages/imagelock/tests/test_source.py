"""What git is asked about a tree, by one call for commit and changes and one for what is tracked."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from imagelock.cli import WITHOUT_REGISTRY, find_command, make_parser
from imagelock.errors import ImageError
from imagelock.samples import TinyTree
from imagelock.source import open_workspace

SOURCE = "packages/app/src/app"


def git(root: Path, *words: str) -> str:
    done = subprocess.run(["git", "-C", str(root), *words], check=True, capture_output=True, text=True)
    return done.stdout.strip()


def test_commit_and_changes_of_every_kind(tree: TinyTree) -> None:
    workspace = open_workspace(tree.root)
    assert workspace.state([SOURCE]) == (git(tree.root, "rev-parse", "HEAD"), [])
    tree.write(f"{SOURCE}/cli.py", "changed\n")
    tree.write(f"{SOURCE}/not yet tracked ü.py", "new\n")
    tree.write(f"{SOURCE}/added.py", "new\n")
    git(tree.root, "add", f"{SOURCE}/added.py")
    git(tree.root, "mv", f"{SOURCE}/__init__.py", f"{SOURCE}/moved here.py")
    tree.write("elsewhere.py", "not asked about\n")
    names = ["__init__.py", "added.py", "cli.py", "moved here.py", "not yet tracked ü.py"]
    assert workspace.changes([SOURCE]) == [f"{SOURCE}/{name}" for name in names]


def test_a_path_in_conflict_is_a_change(tree: TinyTree) -> None:
    begin = git(tree.root, "rev-parse", "HEAD")
    for branch in ("one", "two"):
        git(tree.root, "checkout", "-q", "-b", branch, begin)
        tree.write(f"{SOURCE}/cli.py", f"{branch}\n")
        tree.commit()
    subprocess.run(["git", "-C", str(tree.root), "merge", "one"], check=False, capture_output=True)
    assert f"{SOURCE}/cli.py" in open_workspace(tree.root).changes([SOURCE])


def test_a_tree_without_a_commit_is_told(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    with pytest.raises(ImageError, match="has no commit yet"):
        open_workspace(tmp_path).state(["."])


def test_the_command_is_found_behind_the_places() -> None:
    assert find_command(["--root", "build", "push", "x"]) == "push"
    assert find_command(["--cache=/x", "build", "--offline"]) == "build"
    assert find_command(["--roo", "x", "list"]) == "list"
    assert find_command(["--help"]) == ""
    assert find_command([]) == ""
    assert find_command(["--root"]) == ""


def test_commands_that_ask_no_registry_are_told_apart_as_the_parser_has_them() -> None:
    for command in WITHOUT_REGISTRY:
        assert make_parser(command).parse_args([command, *(["x"] if command == "sbom" else [])]).handler
