"""SBOM and provenance in a registry: any flipped bit, and forgeries under digests made anew, are found."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
from imagelock.attachment import Expected, check_attachments, named_commits
from imagelock.canonical import sha256_bytes
from imagelock.compare import Verdict
from imagelock.layercache import code_digest
from imagelock.push import push
from imagelock.recorded import RecordedRegistry
from imagelock.registry import Registry
from imagelock.samples import TinyTree


def judge(tree: TinyTree, registry: Registry) -> Verdict | None:
    """What an audit of the built image says of the documents in the registry."""
    layout = tree.project.layout("tiny")
    note = json.loads((layout.path / "build.json").read_bytes())
    digest, known = note["manifest_digest"], frozenset({code_digest()})
    expected = Expected(digest, digest, known, lambda commit: commit == note["commit"])
    return check_attachments(RecordedRegistry(registry, "tiny"), expected, layout)


@pytest.mark.parametrize("file", ["sbom.cdx.json", "provenance.json"])
def test_any_flipped_bit_is_found(tree: TinyTree, registry: Registry, registry_root: Path, file: str) -> None:
    tree.build()
    push(tree.project, "tiny", registry)
    data = (tree.project.layout("tiny").path / file).read_bytes()
    blob, chance = registry_root / "blobs" / sha256_bytes(data), random.Random(8)
    assert judge(tree, registry) is None
    for _ in range(20):
        blob.write_bytes(flipped(data, chance))
        verdict = judge(tree, registry)
        assert verdict is not None
        assert verdict.result == "attachment"
        assert sha256_bytes(data) in verdict.differences[0]


@pytest.mark.parametrize("file", ["sbom.cdx.json", "provenance.json"])
def test_a_forged_document_is_found(
    tree: TinyTree, registry: Registry, registry_root: Path, file: str
) -> None:
    """Pushed as a referrer of its own: alone it is found, beside the right one it does no harm."""
    digest = tree.build().note["manifest_digest"]
    path = tree.project.layout("tiny").path / file
    data = path.read_bytes()
    path.write_bytes(flipped(data, random.Random(9)))
    push(tree.project, "tiny", registry)
    path.write_bytes(data)
    verdict = judge(tree, registry)
    assert verdict is not None
    assert (verdict.result, file in verdict.sentence) == ("attachment", True)
    push(tree.project, "tiny", registry)
    assert judge(tree, registry) is None
    for row in registry.referrers("tiny", digest) or ():
        (registry_root / "manifests" / "tiny" / str(row["digest"]).replace(":", "@")).write_bytes(b"{}")
    assert registry.referrers("tiny", digest) == []  # damaged on the registry's disk: it has none
    assert judge(tree, registry) is None


def test_a_damaged_sbom_does_not_hide_the_provenance(
    tree: TinyTree, registry: Registry, registry_root: Path
) -> None:
    note = tree.build().note
    push(tree.project, "tiny", registry)
    sbom = (tree.project.layout("tiny").path / "sbom.cdx.json").read_bytes()
    (registry_root / "blobs" / sha256_bytes(sbom)).write_bytes(b"damaged")
    recorded = RecordedRegistry(registry, "tiny")
    assert named_commits(recorded, note["manifest_digest"]) == [note["commit"]]


def flipped(data: bytes, chance: random.Random) -> bytes:
    """One bit of some bytes, turned."""
    at = chance.randrange(len(data))
    return data[:at] + bytes([data[at] ^ 1 << chance.randrange(8)]) + data[at + 1 :]
