"""A registry that answers garbage: one sentence each, no blobs to others, no endless reading."""

from __future__ import annotations

import pytest
from imagelock.base import fetch_base, lock_base
from imagelock.canonical import canonical_json, sha256_bytes
from imagelock.compare import find_broken_layers
from imagelock.errors import ImageError
from imagelock.lockfile import LockedBlob
from imagelock.push import push
from imagelock.recorded import Blob, RecordedRegistry
from imagelock.registry import MOST_BYTES, parse_registry
from imagelock.samples import TinyTree
from imagelock.upload import Upload
from imagelock.web import UnansweredError

from .servers import ToldServer, serving

HTML = b"<html><body>\x1b[31mSign in\r\n</body></html>"
DIGEST = "a" * 64


@pytest.mark.parametrize(
    ("status", "headers", "body", "said"),
    [
        (200, {"Docker-Content-Digest": "garbage"}, HTML, f"already stands for sha256:{sha256_bytes(HTML)}"),
        (200, {"Docker-Content-Digest": f"sha256:{DIGEST}"}, HTML, "already stands for sha256:aaaa"),
        (429, {}, b"slow down", r"did not say what tiny:\S+ is \(HTTP 429\): it is busy: run .* again later"),
        (500, {}, b"", r"HTTP 500\): see the registry's log"),
        (401, {}, b"", "does not grant the user of IMAGELOCK_REGISTRY_USER repository:tiny:pull: correct"),
        (307, {"Location": "http://127.0.0.1:9/x"}, b"", "127.0.0.1:9 does not answer"),
    ],
)
def test_a_tag_that_cannot_be_seen_is_not_written(
    tree: TinyTree, told: ToldServer, status: int, headers: dict[str, str], body: bytes, said: str
) -> None:
    """Only 404 says that a tag is free."""
    tree.build()
    told.answers = [(r"(HEAD|GET) .*/manifests/", status, headers, body)]
    with pytest.raises(ImageError, match=said) as caught:
        push(tree.project, "tiny", told.registry)
    assert "secret" not in str(caught.value)
    assert not [line for line, _ in told.asked if line.startswith("PUT")]


def test_html_where_an_upload_should_begin(told: ToldServer) -> None:
    told.answers = [("POST", 200, {}, HTML)]
    with pytest.raises(
        ImageError, match=r"did not begin an upload \(HTTP 200 <html><body>\[31mSign in</body>"
    ):
        Upload(told.registry, "tiny", DIGEST, b"x").complete()


def test_an_upload_without_a_place(told: ToldServer) -> None:
    told.answers = [("POST", 202, {}, b"")]
    with pytest.raises(ImageError, match="began an upload and did not say where"):
        Upload(told.registry, "tiny", DIGEST, b"x").complete()


@pytest.mark.parametrize("least", ["x", "-5", "99999999999"])
def test_chunks_that_no_memory_holds_are_not_made(told: ToldServer, least: str) -> None:
    """A blob goes whole instead, in pieces that are read as they are sent."""
    where = {"Location": "/v2/tiny/blobs/uploads/1", "OCI-Chunk-Min-Length": least}
    told.answers = [("POST", 202, where, b""), ("PATCH", 202, where, b""), ("PUT", 201, {}, b"")]
    made = Upload(told.registry, "tiny", DIGEST, bytes(50), chunk=20)
    made.complete()
    assert made.chunk <= 20 or made.whole
    assert made.have == 50


def test_a_registry_whose_chunks_are_smaller_gets_the_blob_whole(told: ToldServer) -> None:
    """GitHub's takes 4 MiB at a time in chunks and says 416 to more."""
    where = {"Location": "/v2/tiny/blobs/uploads/1"}
    told.answers = [("POST", 202, where, b""), ("PATCH", 416, {}, b"too large"), ("PUT", 201, {}, b"")]
    Upload(told.registry, "tiny", DIGEST, bytes(50), chunk=20).complete()
    assert [line.split()[0] for line, _ in told.asked] == ["GET", "POST", "PATCH", "POST", "PUT"]


def test_no_one_else_gets_blobs(told: ToldServer) -> None:
    """A write is not redirected, and an upload's place is taken as a path of the named registry."""
    other = ToldServer()
    with serving(other):
        away = f"http://127.0.0.1:{other.port}/v2/tiny/blobs/uploads/1"
        told.answers = [
            ("POST .*/tiny/", 202, {"Location": away}, b""),
            ("PUT .*/blobs/", 201, {}, b""),
            ("", 307, {"Location": away}, b""),
        ]
        Upload(told.registry, "tiny", DIGEST, b"x").complete()
        with pytest.raises(
            ImageError, match=r"begin an upload .*: it sends to another place, where imagelock s"
        ):
            Upload(told.registry, "other", DIGEST, b"x").complete()
        with pytest.raises(ImageError, match=r"store the manifest .*: it sends to another place"):
            told.registry.put_manifest("tiny", "tag", b"{}")
    assert other.asked == []


@pytest.mark.parametrize("place", ["", ".evil.example/x", "http://[", "/v2/t\xe4ny", "/v2/a b"])
def test_an_upload_at_no_place_of_ours(told: ToldServer, place: str) -> None:
    """Whatever it says, it is said in one sentence or asked of the registry that was named."""
    told.answers = [("POST", 202, {"Location": place}, b"")]
    with pytest.raises(ImageError):
        Upload(told.registry, "tiny", DIGEST, b"x", pause=0.0).complete()


@pytest.mark.parametrize("what", ["blobs", "manifests"])
def test_a_body_without_an_end(told: ToldServer, what: str) -> None:
    told.answers = [("GET", 200, {}, None)]
    recorded = RecordedRegistry(told.registry, "tiny")
    with pytest.raises(ImageError, match=f"sends more than {MOST_BYTES >> 20} MB where a document was"):
        (recorded.blob if what == "blobs" else recorded.manifest)(DIGEST)


def test_a_body_that_breaks_off_is_not_called_altered(told: ToldServer) -> None:
    """Else an audit would give its verdict over half a layer."""
    told.answers = [("GET", 200, {"Content-Length": "1000"}, b"half")]
    recorded = RecordedRegistry(told.registry, "tiny")
    for read in (recorded.manifest, recorded.blob):
        with pytest.raises(UnansweredError, match="closed early"):
            read(DIGEST)
    with (
        pytest.raises(UnansweredError, match="closed early"),
        recorded.open_blob(Blob(DIGEST, 1000)) as stream,
    ):
        stream.read()


@pytest.mark.parametrize(
    "body", [HTML, b"[]", b"{}", b'{"manifests":7}', b'{"manifests":[7]}', b'{"manifests":[{"digest":"x"}]}']
)
def test_referrers_that_are_none(told: ToldServer, body: bytes) -> None:
    told.answers = [("GET .*/referrers/", 200, {}, body)]
    assert not told.registry.referrers("tiny", DIGEST)
    assert RecordedRegistry(told.registry, "tiny").attached(DIGEST) == {}


@pytest.mark.parametrize(
    "body",
    [
        *(b"[]", HTML, b"{}", b'{"config":7,"layers":[]}', b'{"config":{},"layers":[]}'),
        canonical_json({"config": {"digest": f"sha256:{DIGEST}", "size": -1}, "layers": []}),
    ],
)
def test_a_base_that_is_no_image(told: ToldServer, body: bytes) -> None:
    told.answers = [("GET", 200, {}, body)]
    with pytest.raises(ImageError, match=r"is not JSON|is not a JSON object|is no image's manifest"):
        lock_base(RecordedRegistry(told.registry, "base"), sha256_bytes(body))


def test_a_base_blob_without_an_end(tree: TinyTree, told: ToldServer) -> None:
    told.answers = [("GET", 200, {}, None)]
    row = LockedBlob("layer", 0, "application/x", 5000, DIGEST)
    with pytest.raises(ImageError, match="instead of 5000"):
        fetch_base((row,), RecordedRegistry(told.registry, "base"), tree.cache)


def test_a_layer_without_an_end(told: ToldServer) -> None:
    """It is read up to the size that the manifest tells, and is then another one."""
    config = canonical_json({"rootfs": {"diff_ids": [f"sha256:{DIGEST}"]}})
    row = {"digest": f"sha256:{sha256_bytes(config)}", "size": len(config)}
    layer = {"digest": f"sha256:{DIGEST}", "size": 3 << 20}
    manifest = canonical_json({"config": row, "layers": [layer]})
    told.answers = [
        (f"GET .*{sha256_bytes(manifest)}", 200, {}, manifest),
        (f"GET .*{sha256_bytes(config)}", 200, {}, config),
        ("GET .*/blobs/", 200, {}, None),
    ]
    recorded = RecordedRegistry(told.registry, "tiny")
    assert find_broken_layers(recorded, sha256_bytes(manifest)) == [f"sha256:{DIGEST}"]
    with recorded.open_blob(Blob(DIGEST, 3 << 20)) as stream:
        assert len(stream.read()) == (3 << 20) + 1


@pytest.mark.parametrize("text", ["127.0.0.1:99999", "127.0.0.1:5000\n", "me:secret@127.0.0.1"])
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(ImageError, match="not of the form"):
        parse_registry(text)
