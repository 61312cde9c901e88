"""An image on another image: locked by digest, carried over untouched, fetched from anywhere."""

from __future__ import annotations

import json
import shutil

import pytest
from imagelock.audit import Question, audit
from imagelock.base import fetch_base, lock_base, open_base
from imagelock.build import Project, build
from imagelock.cli import run
from imagelock.errors import ImageError
from imagelock.push import push
from imagelock.registry import Registry
from imagelock.samples import TinyTree

SECOND = """\
schema = 1
name = "second"
version = "1"
base = "sha256:{digest}"

[python]
packages = ["packages/extra"]
"""
EXTRA = '[project]\nname = "extra"\nversion = "1"\n'


def add_second(tree: TinyTree, digest: str) -> list[str]:
    """A second image that stands on the first; the words that every command begins with."""
    tree.write("images/second/image.toml", SECOND.format(digest=digest))
    tree.write("packages/extra/pyproject.toml", EXTRA)
    tree.write("packages/extra/src/extra/__init__.py", '"""More."""\n')
    project = tree.project
    return ["--root", str(project.root), "--cache", str(project.cache), "--builds", str(project.builds)]


def test_a_base_is_locked_from_a_layout_and_carried_over(tree: TinyTree) -> None:
    first = tree.build().note
    words = add_second(tree, first["manifest_digest"])
    tree.commit()
    layout = str(tree.project.layout("tiny").path)
    assert run([*words, "lock", "second", "--base-from", layout]) == 0
    tree.commit()
    note = build(tree.project, "second", offline=True).note
    read = tree.project.layout("second").read_blob
    manifest = json.loads(read(note["manifest_digest"]))
    assert [row["digest"][7:] for row in manifest["layers"][:-1]] == [
        layer["digest"] for layer in first["layers"]
    ]
    config, base = json.loads(read(note["config_digest"])), json.loads(read_config(tree, first))
    assert config["history"][:-1] == base["history"]
    assert config["config"]["Labels"]["org.opencontainers.image.base.digest"].endswith(
        first["manifest_digest"]
    )
    assert run([*words, "lock", "second"]) == 0  # what is locked needs no place again
    question = Question("second", offline=True)
    assert audit(tree.project, question)[0].result == "identical"


def read_config(tree: TinyTree, note: dict[str, str]) -> bytes:
    return tree.project.layout("tiny").read_blob(note["config_digest"])


def test_a_base_is_fetched_from_a_registry(tree: TinyTree, registry: Registry) -> None:
    note = tree.build().note
    push(tree.project, "tiny", registry)
    place = open_base(f"{registry.address}/tiny")
    rows = lock_base(place, note["manifest_digest"])
    shutil.rmtree(tree.cache.folder)
    fetch_base(rows, place, tree.cache)
    assert all(tree.cache.find(row) for row in rows)
    assert [row.kind for row in sorted(rows)].count("layer") == len(note["layers"])


def test_a_base_that_is_not_locked_says_what_to_give(tree: TinyTree) -> None:
    words = add_second(tree, "a" * 64)
    with pytest.raises(ImageError, match="--base-from"):
        run([*words, "lock", "second"])


def test_a_place_that_is_none_is_refused() -> None:
    with pytest.raises(ImageError, match="neither a folder"):
        open_base("nowhere")


def test_the_project_lists_both(tree: TinyTree) -> None:
    add_second(tree, "a" * 64)
    project: Project = tree.project
    assert project.names() == ["second", "tiny"]
