"""Blobs of many gzip members: any gunzip reads them, and no byte depends on a compressor."""

from __future__ import annotations

import gzip
import hashlib
import io
import zlib

import pytest
from imagelock.members import INFLATE, STORED_MEMBER, MemberWriter


def deflate(data: bytes, level: int = 6) -> bytes:
    packer = zlib.compressobj(level, zlib.DEFLATED, -zlib.MAX_WBITS)
    return packer.compress(data) + packer.flush()


def test_gunzip_gives_the_bytes_and_the_hashes_are_right() -> None:
    out = io.BytesIO()
    writer = MemberWriter(out)
    body = b"news " * 100_000
    writer.stored(b"head")
    digest = writer.transplant([deflate(body)], zlib.crc32(body), len(body))
    writer.stored(b"x" * (STORED_MEMBER + 70_000))
    summary = writer.finish()
    plain = b"head" + body + b"x" * (STORED_MEMBER + 70_000)
    assert gzip.decompress(out.getvalue()) == plain
    assert digest == hashlib.sha256(body).hexdigest()
    assert summary.diff_id == hashlib.sha256(plain).hexdigest()
    assert summary.digest == hashlib.sha256(out.getvalue()).hexdigest()
    assert (summary.size, summary.diff_size) == (len(out.getvalue()), len(plain))


def test_an_empty_deflate_stream_is_a_member_too() -> None:
    out = io.BytesIO()
    writer = MemberWriter(out)
    writer.transplant([deflate(b"")], 0, 0)
    writer.finish()
    assert gzip.decompress(out.getvalue()) == b""


@pytest.mark.parametrize("fault", ["crc", "size", "cut", "tail"])
def test_a_stream_that_is_not_what_was_said_is_refused(fault: str) -> None:
    body = b"abc" * 1000
    packed = deflate(body)
    crc, size = zlib.crc32(body), len(body)
    if fault == "crc":
        crc ^= 1
    elif fault == "size":
        size += 1
    packed = packed[:-3] if fault == "cut" else packed + b"zz" if fault == "tail" else packed
    with pytest.raises(ValueError, match="promises"):
        MemberWriter(io.BytesIO()).transplant([packed], crc, size)


def test_output_that_is_still_to_come_when_all_input_is_taken_is_not_lost() -> None:
    """A run of one byte just longer than what is inflated at a time: its end takes a few bits of input."""
    for more in range(0, 600, 7):
        body = bytes(INFLATE + more)
        digest = MemberWriter(io.BytesIO()).transplant([deflate(body, 9)], zlib.crc32(body), len(body))
        assert digest == hashlib.sha256(body).hexdigest()


def test_how_the_pieces_were_cut_changes_nothing() -> None:
    body = b"abc" * 5000
    packed = deflate(body)
    blobs = set()
    for step in (1, 7, len(packed)):
        out = io.BytesIO()
        writer = MemberWriter(out)
        pieces = (packed[at : at + step] for at in range(0, len(packed), step))
        writer.transplant(pieces, zlib.crc32(body), len(body))
        blobs.add(writer.finish().digest)
    assert len(blobs) == 1
