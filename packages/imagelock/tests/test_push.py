"""Push: write-once tags, only what is lacking, verified, and every refusal in one sentence."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from imagelock.build import build
from imagelock.canonical import sha256_bytes
from imagelock.errors import ImageError
from imagelock.push import make_pins, push
from imagelock.registry import Registry, parse_registry
from imagelock.samples import TinyTree
from imagelock.serve import LoopbackRegistry
from imagelock.upload import Upload

from .servers import serving


@pytest.fixture
def read_only(registry_root: Path) -> Iterator[Registry]:
    """A registry that takes nothing."""
    server = LoopbackRegistry(("127.0.0.1", 0), registry_root, read_only=True)
    with serving(server):
        yield parse_registry(f"127.0.0.1:{server.server_address[1]}")


def test_a_push_sends_only_what_is_lacking(tree: TinyTree, registry: Registry) -> None:
    note = tree.build().note
    first = push(tree.project, "tiny", registry)
    assert (first.uploaded, first.skipped) == (4, 0)
    assert first.reference == f"{registry.address}/tiny:1.2.3-m{note['manifest_digest']}"
    again = push(tree.project, "tiny", registry)
    assert (again.uploaded, again.skipped) == (0, 4)
    tree.write("packages/app/src/app/cli.py", "")
    tree.commit()
    tree.build()
    assert push(tree.project, "tiny", registry).uploaded == 2


def test_a_broken_off_push_goes_on(tree: TinyTree, registry: Registry) -> None:
    note = tree.build().note
    layer = note["layers"][0]["digest"]
    Upload(registry, "tiny", layer, tree.project.layout("tiny").blob_path(layer)).complete()
    done = push(tree.project, "tiny", registry)
    assert (done.uploaded, done.skipped) == (3, 1)


def add_other(tree: TinyTree) -> dict[str, Any]:
    """A second image of the same inputs, built; its note."""
    for file, key in (("image.toml", "name"), ("image.lock", "image")):
        text = tree.image_toml.with_name(file).read_text()
        tree.write(f"images/other/{file}", text.replace(f'{key} = "tiny"', f'{key} = "other"'))
    tree.commit()
    return build(tree.project, "other", offline=True).note


def test_layers_of_another_image_are_mounted_not_sent(tree: TinyTree, docker_registry: Registry) -> None:
    tree.build()
    note = add_other(tree)
    first = push(tree.project, "tiny", docker_registry)
    assert (first.uploaded, first.mounted) == (4, 0)
    second = push(tree.project, "other", docker_registry)
    assert (second.uploaded, second.mounted) == (2, 2)  # its own: the config, and the top layer with its name
    for row in note["layers"]:
        assert len(docker_registry.blob("other", row["digest"])) == row["size"]
    assert not docker_registry.mount("tiny", "0" * 64, "other")


def test_what_is_pulled_is_what_was_built(tree: TinyTree, registry: Registry) -> None:
    note = tree.build().note
    push(tree.project, "tiny", registry)
    manifest = registry.manifest("tiny", note["tag"])
    assert sha256_bytes(manifest) == note["manifest_digest"]
    for row in json.loads(manifest)["layers"]:
        assert len(registry.blob("tiny", row["digest"][7:])) == row["size"]


def test_sbom_and_provenance_are_attached_as_referrers(tree: TinyTree, registry: Registry) -> None:
    digest = tree.build().note["manifest_digest"]
    assert push(tree.project, "tiny", registry).attached
    rows = registry.referrers("tiny", digest)
    assert rows is not None
    kinds = {str(row["artifactType"]) for row in rows}
    assert kinds == {"application/vnd.cyclonedx+json", "application/vnd.in-toto+json"}
    assert registry.manifest_digest("tiny", f"sha256-{digest}") is None


def test_a_taken_tag_is_not_moved(tree: TinyTree, registry: Registry) -> None:
    note = tree.build().note
    other = b'{"schemaVersion":2}'
    registry.put_manifest("tiny", note["tag"], other)
    with pytest.raises(ImageError, match="tags are written once") as caught:
        push(tree.project, "tiny", registry)
    assert caught.value.code == "conflict"
    assert registry.manifest("tiny", note["tag"]) == other


def test_a_read_only_registry(tree: TinyTree, read_only: Registry) -> None:
    tree.build()
    with pytest.raises(ImageError, match="it is read-only"):
        push(tree.project, "tiny", read_only)


def test_a_registry_that_is_down(tree: TinyTree) -> None:
    tree.build()
    with pytest.raises(ImageError, match="does not answer") as caught:
        push(tree.project, "tiny", parse_registry("127.0.0.1:9"))
    assert caught.value.code == "unreachable"


def test_nothing_built_says_to_build(tree: TinyTree, registry: Registry) -> None:
    with pytest.raises(ImageError, match="run `imagelock build tiny` first"):
        push(tree.project, "tiny", registry)


def test_a_wrong_digest_is_not_taken(registry: Registry) -> None:
    with pytest.raises(ImageError, match="digest mismatch"):
        Upload(registry, "tiny", "0" * 64, b"data").complete()
    assert not registry.has_blob("tiny", "0" * 64)


def test_pins_name_image_and_digests(tree: TinyTree) -> None:
    note = tree.build().note
    pins = make_pins(tree.project, ["tiny"], parse_registry("reg.example:5000/team"))
    assert pins["tiny"]["image"] == f"reg.example:5000/team/tiny:{note['tag']}"
    assert pins["tiny"]["annotations"]["image-digest"] == f"sha256:{note['manifest_digest']}"
    assert len(note["tag"]) <= 128


@pytest.mark.parametrize("text", ["", "http://x:5000", "x:port", "x/UPPER", "a b"])
def test_a_malformed_registry_is_refused(text: str) -> None:
    with pytest.raises(ImageError, match="not of the form"):
        parse_registry(text)


def test_tls_is_left_out_on_loopback_only() -> None:
    assert {parse_registry(f"{host}:5000").plain for host in ("localhost", "127.0.0.1", "[::1]")} == {True}
    assert not parse_registry("reg.example:5000").plain
    assert "secret" not in repr(parse_registry("reg.example", "me:secret"))
