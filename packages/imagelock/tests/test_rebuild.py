"""Audits by the commit's own assembler: run shut in, told apart from today's, and their disagreement."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import imagelock
import pytest
from imagelock.audit import Question, audit
from imagelock.build import read_note, read_recipe
from imagelock.cli import run
from imagelock.compare import EXIT_CODES, Verdict, named_layers
from imagelock.difference import read_list
from imagelock.errors import ImageError
from imagelock.rebuild import OWN_SOURCE, Commission, find_cutter, rebuild, source_digest
from imagelock.record import read_record
from imagelock.recorded import RecordedLayout, list_layer
from imagelock.samples import TinyTree
from imagelock.statement import Audited

NOW = datetime(2026, 5, 6, 7, 8, 9, tzinfo=UTC)
TODAY = Path(imagelock.__file__).parent


def add_assembler(tree: TinyTree, old: str = "", new: str = "", file: str = "tarheader.py") -> None:
    """Put this package's source into the tree, one text in it replaced, and commit."""
    target = tree.root / OWN_SOURCE / "imagelock"
    shutil.copytree(TODAY, target, ignore=shutil.ignore_patterns("__pycache__"))
    if old:
        text = (target / file).read_text()
        assert old in text
        (target / file).write_text(text.replace(old, new))
    tree.commit("Carry the assembler")


def build_by_tree(tree: TinyTree) -> None:
    """Build the image by the assembler that the tree carries, as its maintainer did at that commit."""
    project = tree.project
    subprocess.run(
        [sys.executable, "-m", "imagelock", "--root", project.root, "--cache", project.cache,
         "--builds", project.builds, "build", "tiny", "--offline"],
        env={**os.environ, "PYTHONPATH": str(tree.root / OWN_SOURCE), "PYTHONDONTWRITEBYTECODE": "1"},
        check=True, capture_output=True,
    )  # fmt: skip


def audited(tree: TinyTree, assembler: str) -> tuple[Verdict, Audited]:
    return audit(tree.project, Question("tiny", offline=True, assembler=assembler), lambda: NOW)


@pytest.mark.parametrize("assembler", ["current", "commit", "both"])
def test_equal_assemblers_give_identical(tree: TinyTree, assembler: str) -> None:
    add_assembler(tree)
    tree.build()
    verdict, about = audited(tree, assembler)
    assert verdict.result == "identical"
    names = ["commit", "current"] if assembler == "both" else [assembler]
    assert [made.assembler for made in about.rebuilds] == names
    assert {made.source_sha256 for made in about.rebuilds} == {source_digest(TODAY)}


def test_an_older_assembler_reproduces_what_todays_does_not(
    tree: TinyTree, capsys: pytest.CaptureFixture[str]
) -> None:
    """The commit's assembler wrote another constant time: it is right about its own image."""
    add_assembler(tree, "MTIME = 315532800", "MTIME = 315532801")
    build_by_tree(tree)
    note = read_note(tree.project.layout("tiny"))
    assert note is not None
    assert audited(tree, "commit")[0].result == "identical"
    alone = audited(tree, "current")[0]
    assert alone.result not in {"identical", "same-content"}
    verdict, about = audited(tree, "both")
    assert verdict.result == "assembler"
    assert "the commit's own gives identical, today's gives " in verdict.sentence
    assert [made.result for made in about.rebuilds] == ["identical", alone.result]
    project = tree.project
    words = ["--root", str(project.root), "--cache", str(project.cache), "--builds", str(project.builds)]
    assert run([*words, "audit", "tiny", "--offline", "--assembler", "both"]) == EXIT_CODES["assembler"]
    said = capsys.readouterr().out
    assert f"by the commit's own assembler {about.rebuilds[0].source_sha256[:12]}" in said
    (path,) = (project.root / "build" / "audit").glob("*.json")
    predicate = json.loads(path.read_text())["predicate"]
    assert [row["result"] for row in predicate["imagelock"]["rebuilds"]] == ["identical", alone.result]
    assert predicate["properties"] == []


def test_todays_rebuild_writes_only_the_packages_layer(tree: TinyTree, tmp_path: Path) -> None:
    tree.build()
    recipe, commit = read_recipe(tree.root, "tiny")
    made = rebuild(Commission(tree.root, recipe, tree.cache, tmp_path, commit), "current")[0].layout
    built = tree.project.layout("tiny")
    assert made.manifest_digest() == built.manifest_digest()
    assert (made.path / "files.jsonl").read_bytes() == (built.path / "files.jsonl").read_bytes()
    assert (made.path / "sbom.cdx.json").read_bytes() == (built.path / "sbom.cdx.json").read_bytes()
    note = read_note(built)
    assert note is not None
    there = {layer["name"] for layer in note["layers"] if made.blob_path(layer["digest"]).exists()}
    assert there == {"system", "source"}
    assert len(note["layers"]) > len(there)


def test_the_list_of_files_says_what_the_tars_say(tree: TinyTree) -> None:
    tree.build()
    built = tree.project.layout("tiny")
    record = read_record(RecordedLayout(built), built.manifest_digest())
    facts, _ = read_list(built.path / "files.jsonl")
    told = {name: list_layer(record.recorded, record.layers[at]) for name, at in named_layers(record).items()}
    assert facts == told


def test_a_commit_without_an_assembler_says_so(tree: TinyTree) -> None:
    tree.build()
    for assembler in ("commit", "both"):
        with pytest.raises(ImageError, match="no assembler of its own"):
            audited(tree, assembler)


def test_a_failing_assembler_says_its_last_word(tree: TinyTree) -> None:
    add_assembler(
        tree, "def make_parser", "raise SystemExit('old and broken')\n\n\ndef make_parser", "cli.py"
    )
    tree.build()
    with pytest.raises(ImageError, match="own assembler failed with exit code 1: old and broken"):
        audited(tree, "commit")


SPY = """\
import json, os, socket, sys
seen = {"env": sorted(os.environ), "path": sys.path, "flags": [sys.flags.isolated, sys.flags.no_site]}
try:
    socket.create_connection(("127.0.0.1", PORT), 2).close()
    seen["network"] = True
except OSError:
    seen["network"] = False
open("SPOT", "w").write(json.dumps(seen))


def make_parser"""


def test_the_commits_code_runs_shut_in(
    tree: TinyTree, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No variable that may hold a credential, no library, no network where it can be cut."""
    monkeypatch.setenv("IMAGELOCK_REGISTRY_USER", "name:secret")
    spot = tmp_path / "seen.json"
    with socket.create_server(("127.0.0.1", 0)) as server:
        spy = SPY.replace("SPOT", str(spot)).replace("PORT", str(server.getsockname()[1]))
        add_assembler(tree, "def make_parser", spy, "cli.py")
        tree.build()
        _, about = audited(tree, "commit")
    seen = json.loads(spot.read_text())
    assert set(seen["env"]) <= {"PATH", "HOME", "TMPDIR", "LC_ALL"}
    assert seen["flags"] == [1, 1]
    assert not [place for place in seen["path"] if "site-packages" in place]
    assert about.rebuilds[0].network_cut == bool(find_cutter())
    assert seen["network"] != about.rebuilds[0].network_cut
