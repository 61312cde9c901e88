"""An image packed by another codec: the same config, other layers. The same only where it was unpacked."""

from __future__ import annotations

import gzip
import json
import lzma
import struct
from collections.abc import Callable

import pytest
from imagelock.audit import Question, audit
from imagelock.canonical import canonical_json
from imagelock.errors import ImageError
from imagelock.layout import add_blob, write_index
from imagelock.samples import TinyTree


def repack(tree: TinyTree, pack: Callable[[bytes], bytes]) -> None:
    """Record the built image anew, each layer's tar packed by another codec."""
    layout = tree.project.layout("tiny")
    manifest = json.loads(layout.read_blob(layout.manifest_digest()))
    for row in manifest["layers"]:
        plain = gzip.decompress(layout.blob_path(row["digest"][7:]).read_bytes())
        digest, size = add_blob(layout, pack(plain))
        row |= {"digest": f"sha256:{digest}", "size": size}
    write_index(layout, *add_blob(layout, canonical_json(manifest)), "tiny")


def found(tree: TinyTree) -> str:
    """The verdict's class, or the code of a refusal."""
    try:
        return audit(tree.project, Question("tiny", offline=True))[0].result
    except ImageError as error:
        return error.code


def members(plain: bytes) -> bytes:
    """A gzip file of many members, as other builders write."""
    return b"".join(gzip.compress(plain[at : at + 999]) for at in range(0, len(plain), 999))


def raw_zstd(plain: bytes) -> bytes:
    """A zstd frame (RFC 8878) of raw blocks, which needs no compressor."""
    size = 1 << 16
    parts = [b"\x28\xb5\x2f\xfd", b"\xa0" + struct.pack("<I", len(plain))]
    for start in range(0, len(plain), size):
        block = plain[start : start + size]
        last = start + size >= len(plain)
        parts += [struct.pack("<I", len(block) << 3 | last)[:3], block]
    return b"".join(parts)


@pytest.mark.parametrize(
    "pack",
    [lambda plain: gzip.compress(plain, 1), lambda plain: gzip.compress(plain, 9, mtime=99), members, bytes],
)
def test_another_gzip_or_none_is_the_same_content(tree: TinyTree, pack: Callable[[bytes], bytes]) -> None:
    tree.build()
    repack(tree, pack)
    assert found(tree) == "same-content"


@pytest.mark.parametrize("pack", [lzma.compress, lambda plain: gzip.compress(plain)[:-9], lambda _plain: b""])
def test_what_cannot_be_unpacked_is_never_called_the_same(
    tree: TinyTree, pack: Callable[[bytes], bytes]
) -> None:
    tree.build()
    repack(tree, pack)
    assert found(tree) == "record-corrupt"


def test_zstd_is_told_to_be_repacked(tree: TinyTree) -> None:
    """zstd is a codec of OCI, but no Python of ours unpacks it."""
    tree.build()
    repack(tree, raw_zstd)
    with pytest.raises(ImageError, match=r"packed by zstd.* audit a copy packed by gzip"):
        audit(tree.project, Question("tiny", offline=True))


def test_a_codec_that_hides_other_content_is_found(tree: TinyTree) -> None:
    tree.build()
    repack(tree, lambda plain: gzip.compress(plain[:-1] + b"\x01"))
    assert found(tree) == "record-corrupt"
