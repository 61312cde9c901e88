"""Hundreds of alterations of everything an audit reads; every single one must be told from the original.

Two sorts: bytes altered in place (a digest no longer fits), and forgeries, where every digest above the
alteration is made anew, so that only the comparison with the rebuild can find it.
"""

from __future__ import annotations

import copy
import gzip
import io
import json
import random
import shutil
import subprocess
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from imagelock.audit import Question, audit, judge_input
from imagelock.canonical import canonical_json, sha256_bytes
from imagelock.compare import Verdict, compare
from imagelock.declaration import read_declaration
from imagelock.errors import ImageError
from imagelock.inputs import InputCache, Locked
from imagelock.layout import Layout, add_blob, write_index
from imagelock.lockfile import LockedBlob
from imagelock.recorded import RecordedLayout
from imagelock.samples import TinyTree, lock_deb, lock_wheel, make_tree
from imagelock.statement import sign, verify

SAME = {"identical", "same-content"}
NOW = datetime(2026, 5, 6, tzinfo=UTC)


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> TinyTree:
    """A tree with its image built, which is also what a rebuild gives; nobody alters it."""
    made = make_tree(tmp_path_factory.mktemp("original"))
    made.build()
    return made


@dataclass
class Forgery:
    """A copy of the image, taken apart: layers as plain tars, config and manifest as JSON."""

    layout: Layout
    rebuilt: Layout
    tars: list[bytes]
    config: dict[str, Any]
    manifest: dict[str, Any]

    def set_layer(self, number: int, plain: bytes, after: bytes = b"") -> None:
        """Put another tar in place of a layer's, its digests made anew; `after` follows the gzip member."""
        digest, size = add_blob(self.layout, gzip.compress(plain, 1, mtime=0) + after)
        self.config["rootfs"]["diff_ids"][number] = f"sha256:{sha256_bytes(plain)}"
        self.manifest["layers"][number] |= {"digest": f"sha256:{digest}", "size": size}

    def judged(self) -> Verdict:
        """Write config, manifest and index anew and compare."""
        digest, size = add_blob(self.layout, canonical_json(self.config))
        self.manifest["config"] |= {"digest": f"sha256:{digest}", "size": size}
        digest, size = add_blob(self.layout, canonical_json(self.manifest))
        write_index(self.layout, digest, size, "tiny")
        return compare(RecordedLayout(self.layout), digest, self.rebuilt)


@pytest.fixture
def forgery(original: TinyTree, tmp_path: Path) -> Forgery:
    """The image, not altered yet."""
    rebuilt = original.project.layout("tiny")
    layout = Layout(tmp_path / "forged")
    shutil.copytree(rebuilt.path, layout.path)
    for path in (layout.path / "blobs" / "sha256").iterdir():
        path.chmod(0o644)
    manifest = json.loads(layout.read_blob(layout.manifest_digest()))
    config = json.loads(layout.read_blob(manifest["config"]["digest"][7:]))
    tars = [gzip.decompress(layout.blob_path(row["digest"][7:]).read_bytes()) for row in manifest["layers"]]
    return Forgery(layout, rebuilt, tars, config, manifest)


def flipped(data: bytes, chance: random.Random) -> bytes:
    """One bit of some bytes, turned."""
    at = chance.randrange(len(data))
    return data[:at] + bytes([data[at] ^ 1 << chance.randrange(8)]) + data[at + 1 :]


def test_unaltered_it_is_identical(forgery: Forgery) -> None:
    """So that no test below passes because everything is called different."""
    assert forgery.judged().result == "identical"


def test_any_flipped_bit_of_an_input_is_found(original: TinyTree, tmp_path: Path) -> None:
    """Wheel, Debian package, base blob: 3 times 100."""
    chance = random.Random(1)
    blob = b"a base layer" * 100
    base = LockedBlob(
        "layer", 0, "application/vnd.oci.image.layer.v1.tar+gzip", len(blob), sha256_bytes(blob)
    )
    wheel, deb = original.wheels[0], original.debs[0]
    rows: dict[Locked, bytes] = {
        lock_wheel(wheel): wheel.read_bytes(),
        lock_deb(deb): deb.read_bytes(),
        base: blob,
    }
    cache = InputCache(tmp_path)
    for row, data in rows.items():
        for _ in range(100):
            (tmp_path / row.sha256).write_bytes(flipped(data, chance))
            found = judge_input(row, cache)
            assert found is not None
            assert found.result == ("base" if row is base else "input-changed")
        (tmp_path / row.sha256).write_bytes(data)
        assert judge_input(row, cache) is None


def test_any_flipped_bit_of_a_recorded_blob_is_found(forgery: Forgery) -> None:
    """Manifest, config and every layer, their digests left as they were: 40 times each."""
    chance, digest = random.Random(2), forgery.layout.manifest_digest()
    blobs = sorted((forgery.layout.path / "blobs" / "sha256").iterdir())
    assert len(blobs) == len(forgery.tars) + 2
    for path in blobs:
        data = path.read_bytes()
        for _ in range(40):
            path.write_bytes(flipped(data, chance))
            assert compare(RecordedLayout(forgery.layout), digest, forgery.rebuilt).result == "record-corrupt"
        path.write_bytes(data)


def test_any_flipped_bit_inside_a_forged_layer_is_found(forgery: Forgery) -> None:
    """Headers, contents, padding, the zeros at the end: 30 times in each layer, digests forged."""
    chance = random.Random(3)
    config, manifest = copy.deepcopy(forgery.config), copy.deepcopy(forgery.manifest)
    found = set()
    for number, plain in enumerate(forgery.tars):
        for _ in range(30):
            forgery.config, forgery.manifest = copy.deepcopy(config), copy.deepcopy(manifest)
            forgery.set_layer(number, flipped(plain, chance))
            verdict = forgery.judged()
            found.add(verdict.result)
            assert verdict.result in {"file-content", "file-set", "record-corrupt"}
            assert verdict.differences or verdict.result == "record-corrupt"
    assert found >= {"file-content", "file-set"}


def leaves(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The paths of everything in a JSON value that is no object and no list."""
    if isinstance(value, dict):
        return [leaf for key in value for leaf in leaves(value[key], (*path, key))]
    if isinstance(value, list):
        return [leaf for at, item in enumerate(value) for leaf in leaves(item, (*path, at))]
    return [path]


def altered(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    """A copy of a JSON value with one leaf replaced."""
    made = copy.deepcopy(value)
    spot = made
    for step in path[:-1]:
        spot = spot[step]
    spot[path[-1]] = new
    return made


@pytest.mark.parametrize("new", [None, 7, "x", [], {"a": 1}])
@pytest.mark.parametrize("which", ["config", "manifest"])
def test_any_altered_field_is_found(forgery: Forgery, which: str, new: object) -> None:
    """Every leaf of config and manifest (history, annotations' place, media types, sizes, digests)."""
    whole = getattr(forgery, which)
    config, manifest = forgery.config, forgery.manifest
    for path in leaves(whole):
        if which == "manifest" and path in {("config", "digest"), ("config", "size")}:
            continue  # judged() writes these two itself
        forgery.config, forgery.manifest = copy.deepcopy(config), copy.deepcopy(manifest)
        setattr(forgery, which, altered(whole, path, new))
        verdict = forgery.judged()
        assert verdict.result not in SAME, path
        assert verdict.differences or verdict.result == "record-corrupt", path


def change_members(plain: bytes, change: Callable[[tarfile.TarInfo], None]) -> bytes:
    """A tar with one alteration at its last regular file or link, written by tarfile."""
    out = io.BytesIO()
    with (
        tarfile.open(fileobj=io.BytesIO(plain)) as old,
        tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as new,
    ):
        members = old.getmembers()
        links = [member for member in members if member.issym()]
        wanted = (links or [member for member in members if member.isreg()])[-1]
        for member in members:
            if member is wanted:
                change(member)
            new.addfile(member, old.extractfile(member) if member.isreg() else None)
    return out.getvalue()


def add_member(plain: bytes, name: str, data: bytes = b"") -> bytes:
    """A tar with one file more."""
    out = io.BytesIO(plain)
    with tarfile.open(fileobj=out, mode="a") as archive:
        item = tarfile.TarInfo(name)
        item.size = len(data)
        archive.addfile(item, io.BytesIO(data))
    return out.getvalue()


def repeat_last(plain: bytes) -> bytes:
    """A tar whose last member, of one block, comes twice."""
    at = plain.rindex(b"ustar") - 257
    return plain[:at] + plain[at : at + 1024] * 2 + bytes(10240)


TAR_CHANGES: dict[str, tuple[str, str, Callable[[bytes], bytes]]] = {
    "mode": ("file-content", "mode", lambda tar: change_members(tar, lambda item: set_to(item, mode=0o4755))),
    "uid": ("file-content", "owner", lambda tar: change_members(tar, lambda item: set_to(item, uid=1))),
    "group name": ("file-content", "owner", lambda t: change_members(t, lambda i: set_to(i, gname="g"))),
    "mtime": ("file-content", "mtime", lambda tar: change_members(tar, lambda item: set_to(item, mtime=5))),
    "link target": (
        "file-content", "target", lambda tar: change_members(tar, lambda item: set_to(item, linkname="/x")),
    ),
    "pax header": (
        "file-content", "other",
        lambda tar: change_members(tar, lambda item: set_to(item, pax_headers={"SCHILY.xattr.a": "b"})),
    ),
    "kind": (
        "file-content", "kind", lambda tar: change_members(tar, lambda i: set_to(i, type=tarfile.LNKTYPE)),
    ),
    "whiteout": ("file-set", ".wh.python3", lambda tar: add_member(tar, "usr/bin/.wh.python3")),
    "opaque whiteout": ("file-set", ".wh..wh..opq", lambda tar: add_member(tar, "usr/.wh..wh..opq")),
    "file more": ("file-set", "usr/evil", lambda tar: add_member(tar, "usr/evil", b"x")),
    "garbage after the end": ("file-content", "another archive", lambda tar: tar + b"garbage" * 100),
    "zeros after the end": ("file-content", "another archive", lambda tar: tar + bytes(10240)),
    "a path twice": ("file-content", "another archive", repeat_last),
}  # fmt: skip


def set_to(item: tarfile.TarInfo, **values: object) -> None:
    """Set some fields of a tar member."""
    for name, value in values.items():
        setattr(item, name, value)


@pytest.mark.parametrize("what", TAR_CHANGES)
def test_a_forged_layer_is_named_by_what_it_changed(forgery: Forgery, what: str) -> None:
    result, word, change = TAR_CHANGES[what]
    forgery.set_layer(0, change(forgery.tars[0]))
    verdict = forgery.judged()
    assert verdict.result == result
    assert any(word in line for line in verdict.differences), verdict.differences


def test_bytes_after_the_gzip_member(forgery: Forgery) -> None:
    """The layer inflates to nothing else, its blob is not what any assembler wrote."""
    forgery.set_layer(0, forgery.tars[0], b"garbage")
    assert forgery.judged().result == "record-corrupt"
    forgery.set_layer(0, forgery.tars[0], b"")
    assert forgery.judged().result == "same-content"


def test_a_layer_repeated(forgery: Forgery) -> None:
    forgery.manifest["layers"].append(forgery.manifest["layers"][0])
    assert forgery.judged().result == "record-corrupt"
    forgery.config["rootfs"]["diff_ids"].append(forgery.config["rootfs"]["diff_ids"][0])
    assert forgery.judged().result == "base"
    forgery.config["history"].append(forgery.config["history"][0])
    assert forgery.judged().result == "file-set"


def test_a_layer_more(forgery: Forgery) -> None:
    plain = add_member(forgery.tars[0], "usr/evil", b"x")
    forgery.manifest["layers"].append(dict(forgery.manifest["layers"][0]))
    forgery.config["rootfs"]["diff_ids"].append("")
    forgery.config["history"].append({"created_by": "imagelock more"})
    forgery.set_layer(len(forgery.tars), plain)
    verdict = forgery.judged()
    assert verdict.result == "file-set"
    assert any("usr/evil" in line for line in verdict.differences) or len(verdict.differences) == 10


def test_layers_in_another_order(forgery: Forgery) -> None:
    for rows in (forgery.manifest["layers"], forgery.config["rootfs"]["diff_ids"], forgery.config["history"]):
        rows[0], rows[1] = rows[1], rows[0]
    verdict = forgery.judged()
    assert verdict.result == "file-content"
    assert "another order" in verdict.differences[0]


@pytest.mark.parametrize("key", ["annotations", "subject", "artifactType"])
def test_a_key_more_in_the_manifest(forgery: Forgery, key: str) -> None:
    forgery.manifest[key] = {"a": "b"}
    verdict = forgery.judged()
    assert verdict.result == "config"
    assert any(key in line for line in verdict.differences)


@pytest.mark.parametrize("file", ["sbom.cdx.json", "provenance.json"])
def test_altered_attachments_are_found(tree: TinyTree, file: str) -> None:
    """Some leaves of SBOM and provenance."""
    tree.build()
    path = tree.project.layout("tiny").path / file
    whole = json.loads(path.read_bytes())
    text = path.read_text()
    paths = leaves(whole)
    chosen = random.Random(4).sample(paths, 4)
    for leaf in chosen:
        path.write_text(json.dumps(altered(whole, leaf, "0" * 40), indent=2, sort_keys=True) + "\n")
        verdict = audit(tree.project, Question("tiny", offline=True), lambda: NOW)[0]
        assert verdict.result == "attachment", leaf
        assert file in verdict.sentence
    path.write_text(text)
    assert audit(tree.project, Question("tiny", offline=True), lambda: NOW)[0].result == "identical"


@pytest.mark.parametrize("name", ["image.lock", "image.toml", "packages/app/src/app/cli.py"])
def test_a_flipped_bit_in_a_commit(tree: TinyTree, name: str) -> None:
    """Lock, declaration and source: refused in one sentence, or not what was recorded."""
    tree.build()
    path = tree.root / name if "/" in name else tree.image_toml.with_name(name)
    whole, chance = path.read_bytes(), random.Random(5)
    declaration = read_declaration(tree.image_toml)
    tried = 0
    while tried < 6:
        path.write_bytes(flipped(whole, chance))
        if name == "image.toml" and says_the_same(tree.image_toml, declaration):
            continue  # white space, or `#`: the same declaration in other words
        tried += 1
        commit = tree.commit()
        try:
            found = audit(tree.project, Question("tiny", offline=True, commit=commit), lambda: NOW)[0].result
        except ImageError as error:
            found = error.code
        assert found not in SAME


def says_the_same(path: Path, declaration: object) -> bool:
    """True when image.toml still declares the same."""
    try:
        return read_declaration(path) == declaration
    except ImageError:
        return False


def test_an_altered_verdict_or_another_key_is_refused(tmp_path: Path) -> None:
    keys = [tmp_path / "one", tmp_path / "two"]
    for key in keys:
        subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", key], check=True)
        subprocess.run(
            ["openssl", "pkey", "-in", key, "-pubout", "-out", key.with_suffix(".pub")], check=True
        )
    payload = canonical_json({"result": "identical", "digest": "sha256:" + "a" * 64})
    envelope = sign(payload, keys[0])
    text, public = json.dumps(envelope).encode(), keys[0].with_suffix(".pub")
    assert verify(text, public)["result"] == "identical"
    with pytest.raises(ImageError):
        verify(text, keys[1].with_suffix(".pub"))
    chance = random.Random(6)
    for _ in range(60):
        changed = flipped(text, chance)
        try:
            said = verify(changed, public)
        except ImageError:
            continue
        # keyid is a hint that DSSE does not sign; all that is signed must be as it was.
        assert said == json.loads(payload)
        assert {**json.loads(changed), "signatures": 0} == {**envelope, "signatures": 0}
