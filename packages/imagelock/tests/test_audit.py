"""The auditor audited: one byte changed in every kind of input must give the right verdict."""

from __future__ import annotations

import gzip
import json
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from imagelock.audit import Question, audit
from imagelock.build import read_lock_bytes
from imagelock.canonical import canonical_json, sha256_bytes
from imagelock.cli import run
from imagelock.compare import EXIT_CODES, Verdict
from imagelock.errors import ImageError
from imagelock.layout import Layout, add_blob, write_index
from imagelock.lockfile import LockedBlob
from imagelock.push import push
from imagelock.registry import Registry
from imagelock.samples import TINY_DEB, TINY_FILES, TinyTree, lock_wheel, make_deb, make_wheel

NOW = datetime(2026, 5, 6, 7, 8, 9, tzinfo=UTC)


def verdict_of(tree: TinyTree, **question: str) -> Verdict:
    asked = Question("tiny", offline=True, **question)  # type: ignore[arg-type]
    return audit(tree.project, asked, lambda: NOW)[0]


def layout_of(tree: TinyTree) -> Layout:
    return tree.project.layout("tiny")


def replace_config(tree: TinyTree, change: Callable[[dict[str, object]], None]) -> None:
    """Record another config (and the manifest over it) in the built layout."""
    layout = layout_of(tree)
    manifest = json.loads(layout.read_blob(layout.manifest_digest()))
    config = json.loads(layout.read_blob(manifest["config"]["digest"][7:]))
    change(config)
    digest, size = add_blob(layout, canonical_json(config))
    manifest["config"] |= {"digest": f"sha256:{digest}", "size": size}
    write_index(layout, *add_blob(layout, canonical_json(manifest)), "tiny")


def test_an_untouched_image_is_identical(tree: TinyTree) -> None:
    tree.build()
    assert verdict_of(tree).result == "identical"


def test_a_later_commit_does_not_spoil_an_audit(tree: TinyTree) -> None:
    tree.build()
    tree.write("packages/app/src/app/cli.py", "def main() -> int:\n    return 3\n")
    tree.commit()
    assert verdict_of(tree).result == "identical"


def test_a_flipped_byte_in_a_cached_wheel(tree: TinyTree) -> None:
    tree.build()
    flip(tree.cache.folder / lock_wheel(tree.wheels[0]).sha256)
    found = verdict_of(tree)
    assert found.result == "input-changed"
    assert "tinypkg-1.0-py3-none-any.whl" in found.sentence


def test_a_flipped_byte_in_a_cached_package(tree: TinyTree) -> None:
    lock = tree.lock()
    tree.build()
    flip(tree.cache.folder / lock.debs[0].sha256)
    found = verdict_of(tree)
    assert found.result == "input-changed"
    assert "tinylib_2.0-1_amd64.deb" in found.sentence


def flip(path: Path, at: int = -30) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.chmod(0o644)
    path.write_bytes(bytes(data))


def test_an_input_that_is_gone(tree: TinyTree) -> None:
    tree.build()
    (tree.cache.folder / lock_wheel(tree.wheels[0]).sha256).unlink()
    assert verdict_of(tree).result == "input-gone"


def test_another_wheel_of_the_same_name_and_version(tree: TinyTree) -> None:
    """A re-uploaded wheel: the lock of another commit holds one changed byte."""
    tree.build()
    changed = dict(TINY_FILES) | {"tinypkg/__init__.py": b"VALUE = 2\n" * 50}
    points = "[console_scripts]\ntinycmd = tinypkg:main\n"
    tree.wheels = [make_wheel(tree.folder, "tinypkg", "1.0", changed, points=points)]
    tree.lock()
    found = verdict_of(tree, commit=tree.commit())
    assert found.result == "file-content"
    assert any("/tinypkg/__init__.py" in line and "from tinypkg==1.0" in line
               for line in found.differences)  # fmt: skip


def test_another_package_of_the_same_name_and_version(tree: TinyTree) -> None:
    tree.build()
    tree.debs = [make_deb(tree.folder, "tinylib", "2.0-1", TINY_DEB | {"usr/bin/tiny*": b"tiny!"})]
    tree.lock()
    found = verdict_of(tree, commit=tree.commit())
    assert found.result == "file-content"
    assert any("usr/bin/tiny" in line and "from tinylib=2.0-1" in line for line in found.differences)


def test_a_file_more_in_a_wheel(tree: TinyTree) -> None:
    tree.build()
    tree.wheels = [make_wheel(tree.folder, "tinypkg", "1.0", TINY_FILES | {"tinypkg/more.py": b""})]
    tree.lock()
    found = verdict_of(tree, commit=tree.commit())
    assert found.result == "file-set"
    assert any("only in the rebuild, from tinypkg==1.0" in line for line in found.differences)


def test_a_changed_source_file(tree: TinyTree) -> None:
    tree.build()
    tree.write("packages/app/src/app/cli.py", "def main() -> int:\n    return 9\n")
    found = verdict_of(tree, commit=tree.commit())
    assert found.result == "file-content"
    assert any("/app/cli.py" in line and "workspace:packages/app" in line for line in found.differences)


def test_a_changed_executable_bit(tree: TinyTree) -> None:
    tree.build()
    (tree.root / "packages/app/src/app/cli.py").chmod(0o755)
    found = verdict_of(tree, commit=tree.commit())
    assert found.result == "file-content"
    assert any("mode 0644 → 0755" in line for line in found.differences)


@pytest.mark.parametrize(
    ("old", "new", "field"),
    [
        ("C.UTF-8", "C", "config.Env"),
        ('cmd = ["app"]', 'cmd = ["app", "-v"]', "config.Cmd"),
        ("A tiny image.", "A tiny picture.", "description"),
        ("[config]\n", '[config]\nuser = "1000"\n', "config.User"),
    ],
)
def test_a_changed_image_toml(tree: TinyTree, old: str, new: str, field: str) -> None:
    tree.build()
    tree.image_toml.write_text(tree.image_toml.read_text().replace(old, new))
    found = verdict_of(tree, commit=tree.commit())
    assert found.result == "config"
    assert any(field in line for line in found.differences)


def test_a_changed_lock_comment_is_told_as_config(tree: TinyTree) -> None:
    tree.build()
    path = tree.image_toml.with_name("image.lock")
    path.write_text(path.read_text() + "# x\n")
    assert verdict_of(tree, commit=tree.commit()).result == "config"


@pytest.mark.parametrize("field", ["User", "Env", "Cmd", "WorkingDir"])
def test_a_recorded_config_field(tree: TinyTree, field: str) -> None:
    tree.build()

    def change(config: dict[str, object]) -> None:
        inner = config["config"]
        assert isinstance(inner, dict)
        inner[field] = ["changed=1"] if field in {"Env", "Cmd"} else "0"

    replace_config(tree, change)
    found = verdict_of(tree)
    assert found.result == "config"
    assert any(f"config.{field}" in line for line in found.differences)


@pytest.mark.parametrize("which", ["layer", "config", "manifest"])
def test_a_flipped_byte_in_the_record(tree: TinyTree, which: str) -> None:
    note = tree.build().note
    digests = {
        "layer": note["layers"][1]["digest"],
        "config": note["config_digest"],
        "manifest": note["manifest_digest"],
    }
    path = layout_of(tree).blob_path(digests[which])
    data = path.read_bytes()
    path.unlink()  # the blob is linked to the cache: change this copy alone
    path.write_bytes(data)
    flip(path)
    assert verdict_of(tree).result == "record-corrupt"


def add_base(tree: TinyTree, text: bytes) -> None:
    """Put the image on a one-layer OCI base made of `text`."""
    layer = gzip.compress(text, mtime=0)
    config = canonical_json({
        "architecture": "amd64", "os": "linux",
        "config": {"Env": ["BASE=1"]},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{sha256_bytes(text)}"]},
        "history": [{"created_by": "base"}],
    })  # fmt: skip
    manifest = sha256_bytes(text + b"manifest")
    rows = []
    for kind, data in (("config", config), ("layer", layer)):
        row = LockedBlob(
            kind, 0, f"application/vnd.oci.image.{kind}.v1.tar+gzip", len(data), sha256_bytes(data)
        )
        spot = tree.folder / "blob"
        spot.write_bytes(data)
        tree.cache.add(spot, row)
        rows.append(row)
    tree.base = tuple(sorted(rows))
    text_toml = tree.image_toml.read_text()
    head = text_toml.partition("[debian]")[0].split("base =")[0]
    rest = "[debian]" + text_toml.partition("[debian]")[2]
    tree.image_toml.write_text(f'{head}base = "sha256:{manifest}"\n\n{rest}')
    tree.lock()


def test_a_base_is_kept_untouched(tree: TinyTree) -> None:
    add_base(tree, b"base")
    tree.commit()
    note = tree.build().note
    config = json.loads(layout_of(tree).read_blob(note["config_digest"]))
    assert config["rootfs"]["diff_ids"][0] == f"sha256:{sha256_bytes(b'base')}"
    assert config["history"][0] == {"created_by": "base"}
    assert "BASE=1" in config["config"]["Env"]
    assert verdict_of(tree).result == "identical"


def test_a_flipped_byte_in_a_base_blob(tree: TinyTree) -> None:
    add_base(tree, b"base")
    tree.commit()
    tree.build()
    lock = read_lock_bytes(tree.image_toml.with_name("image.lock"))[0]
    flip(tree.cache.folder / next(row for row in lock.base if row.kind == "layer").sha256, -4)
    assert verdict_of(tree).result == "base"


def test_another_base(tree: TinyTree) -> None:
    add_base(tree, b"base")
    tree.commit()
    tree.build()
    add_base(tree, b"bose")
    assert verdict_of(tree, commit=tree.commit()).result == "base"


def test_a_dirty_tree_is_refused_unless_the_commit_is_named(tree: TinyTree) -> None:
    tree.build()
    for name in ("build.json", "provenance.json"):
        (layout_of(tree).path / name).unlink()
    tree.write("packages/app/src/app/cli.py", "")
    with pytest.raises(ImageError, match="the tree is dirty"):
        verdict_of(tree)
    assert verdict_of(tree, commit="HEAD").result == "identical"


def test_an_image_of_a_dirty_tree_cannot_be_audited(tree: TinyTree) -> None:
    tree.write("packages/app/src/app/cli.py", "")
    tree.build()
    with pytest.raises(ImageError, match="built from a dirty tree"):
        verdict_of(tree)


def test_an_audit_against_a_registry(tree: TinyTree, registry: Registry) -> None:
    note = tree.build().note
    push(tree.project, "tiny", registry)
    shutil.rmtree(tree.project.builds)
    asked = Question("tiny", tag=note["tag"], registry=registry, offline=True)
    assert audit(tree.project, asked, lambda: NOW)[0].result == "identical"


def test_without_a_note_the_provenance_names_the_commit(
    tree: TinyTree, registry: Registry, capsys: pytest.CaptureFixture[str]
) -> None:
    """Another machine has the registry and the repository, which has moved on."""
    note = tree.build().note
    push(tree.project, "tiny", registry)
    shutil.rmtree(tree.project.builds)
    tree.write("packages/app/src/app/cli.py", "def main() -> int:\n    return 3\n")
    tree.commit()
    asked = Question("tiny", digest=note["manifest_digest"], registry=registry, offline=True)
    verdict, audited = audit(tree.project, asked, lambda: NOW)
    assert (verdict.result, audited.commit) == ("identical", note["commit"])
    said = f"from commit {note['commit'][:12]}, which the image's provenance names"
    assert said in capsys.readouterr().err


def test_a_commit_that_is_not_here_says_to_fetch_it(tree: TinyTree) -> None:
    tree.build()
    with pytest.raises(ImageError, match="has no commit abcdef: fetch it"):
        verdict_of(tree, commit="abcdef")


def test_the_command_writes_a_verdict_and_exits_by_class(
    tree: TinyTree, capsys: pytest.CaptureFixture[str]
) -> None:
    tree.build()
    project = tree.project
    words = ["--root", str(project.root), "--cache", str(project.cache), "--builds", str(project.builds)]
    assert run([*words, "audit", "tiny", "--offline"]) == 0
    (tree.cache.folder / lock_wheel(tree.wheels[0]).sha256).unlink()
    assert run([*words, "audit", "tiny", "--offline"]) == EXIT_CODES["input-gone"]
    assert "input-gone" in capsys.readouterr().out
    (path,) = (project.root / "build" / "audit").glob("*.json")
    statement = json.loads(path.read_text())
    assert statement["predicate"]["imagelock"]["result"] == "input-gone"
    assert statement["predicate"]["properties"] == []
