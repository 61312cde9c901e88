"""Uploads that break off: a proxy that hangs up, in front of our registry and of the one Debian ships."""

from __future__ import annotations

import io
import random
import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from imagelock.canonical import sha256_bytes
from imagelock.errors import ImageError
from imagelock.progress import Progress
from imagelock.push import push
from imagelock.registry import Registry, parse_registry
from imagelock.samples import TinyTree
from imagelock.upload import Upload

CHUNK = 1 << 20
SIZE = 5 * CHUNK + 17
DATA = random.Random(7).randbytes(SIZE)
DIGEST = sha256_bytes(DATA)


class CuttingProxy:
    """Passes connections on; hangs up on one after some bytes, as often as told.

    `cuts` are byte counts, each for the next connection that brings more than `least` bytes.
    """

    def __init__(self, port: int, cuts: list[int], least: int = 4096) -> None:
        self.port, self.cuts, self.least = port, cuts, least
        self.requests: list[bytes] = []
        self.passed = 0  # bytes of clients that got through
        self.listener = socket.create_server(("127.0.0.1", 0))

    @property
    def registry(self) -> Registry:
        """The registry behind, by way of us."""
        return parse_registry(f"127.0.0.1:{self.listener.getsockname()[1]}")

    def serve(self) -> None:
        """Until the listener is closed."""
        while True:
            try:
                client = self.listener.accept()[0]
            except OSError:
                return
            threading.Thread(target=self.pass_on, args=(client,), daemon=True).start()

    def pass_on(self, client: socket.socket) -> None:
        """One connection, to its end or its cut."""
        with closing(client), closing(socket.create_connection(("127.0.0.1", self.port))) as server:
            back = threading.Thread(target=pump, args=(server, client), daemon=True)
            back.start()
            seen = 0
            while piece := receive(client):
                if not seen:
                    self.requests.append(piece.split(b" ", 1)[0])
                seen += len(piece)
                if self.cuts and seen > max(self.least, self.cuts[0]):
                    self.cuts.pop(0)
                    server.shutdown(socket.SHUT_RDWR)  # close alone waits for the thread that reads
                    return
                self.passed += len(piece)
                server.sendall(piece)
            back.join(5)


def receive(source: socket.socket) -> bytes:
    """The next bytes, none at the end."""
    try:
        return source.recv(65536)
    except OSError:
        return b""


def pump(source: socket.socket, target: socket.socket) -> None:
    """Copy until either side hangs up."""
    try:
        while piece := receive(source):
            target.sendall(piece)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        return


@contextmanager
def cutting(registry: Registry, *cuts: int) -> Iterator[CuttingProxy]:
    """A proxy before a registry."""
    assert registry.port
    proxy = CuttingProxy(registry.port, list(cuts))
    thread = threading.Thread(target=proxy.serve, daemon=True)
    thread.start()
    with closing(proxy.listener):
        yield proxy


def upload(registry: Registry, source: Path | bytes = DATA) -> list[int]:
    """Send the blob; what the registry had, as it was told."""
    told: list[int] = []
    Upload(registry, "big", DIGEST, source, told.append, pause=0.01, chunk=CHUNK).complete()
    return told


@pytest.mark.parametrize("kind", ["registry", "docker_registry"])
def test_a_blob_goes_in_chunks(kind: str, request: pytest.FixtureRequest) -> None:
    registry = request.getfixturevalue(kind)
    assert upload(registry) == [0, CHUNK, 2 * CHUNK, 3 * CHUNK, 4 * CHUNK, 5 * CHUNK, SIZE, SIZE]
    assert registry.blob("big", DIGEST) == DATA


def test_a_cut_within_a_chunk_is_continued_at_the_byte_the_registry_has(registry: Registry) -> None:
    with cutting(registry, 0, CHUNK // 2, 700_000) as proxy:
        told = upload(proxy.registry)
        assert proxy.cuts == []
        assert proxy.passed < SIZE + 2 * 65536 + 20_000  # little was sent twice
    assert proxy.requests.count(b"GET") == 3
    assert proxy.requests.count(b"POST") == 1
    assert told == sorted(told)
    assert registry.blob("big", DIGEST) == DATA


def test_debians_registry_loses_a_session_that_is_cut_within_a_chunk(docker_registry: Registry) -> None:
    """It answers 404 to a session whose file is longer than it last said: the blob begins anew."""
    with cutting(docker_registry, CHUNK // 2) as proxy:
        upload(proxy.registry)
        assert proxy.cuts == []
    assert proxy.requests.count(b"POST") == 2
    assert docker_registry.blob("big", DIGEST) == DATA


def test_debians_registry_goes_on_when_the_cut_came_before_a_chunk(docker_registry: Registry) -> None:
    with cutting(docker_registry) as proxy:
        made = Upload(proxy.registry, "big", DIGEST, DATA, pause=0.01, chunk=CHUNK)
        made.find_session()
        for _ in range(3):
            made.send_chunk(io.BytesIO(DATA))
        made.complete()
    assert proxy.requests.count(b"POST") == 1
    assert proxy.requests.count(b"GET") == 1
    assert proxy.requests.count(b"PATCH") == 6
    assert docker_registry.blob("big", DIGEST) == DATA


def test_a_registry_without_chunks_gets_the_blob_whole(registry: Registry) -> None:
    made = Upload(registry, "big", DIGEST, DATA, pause=0.01, chunk=CHUNK, whole=True)
    made.complete()
    assert registry.blob("big", DIGEST) == DATA


def test_a_registry_that_stays_away_is_named_with_the_bytes_it_had(registry: Registry) -> None:
    with cutting(registry, *[0] * 40) as proxy, pytest.raises(
        ImageError, match=rf"sending sha256:{DIGEST} broke off after 0 bytes .*run the command again"
    ) as caught:  # fmt: skip
        upload(proxy.registry)
    assert caught.value.code == "unreachable"
    assert not registry.has_blob("big", DIGEST)


def test_a_push_outlives_a_cut(tree: TinyTree, registry: Registry) -> None:
    note = tree.build().note
    with cutting(registry, 5000) as proxy:
        done = push(tree.project, "tiny", proxy.registry)
        assert proxy.cuts == []
    assert done.uploaded == 4
    assert registry.manifest_digest("tiny", note["tag"]) == note["manifest_digest"]


def test_progress_tells_rate_and_time_left() -> None:
    said, reached = io.StringIO(), [0]
    progress = Progress("push", 4_000_000, lambda: reached[0], said)
    progress.tick()
    assert said.getvalue() == ""  # a log gets a line now and then, not one a chunk
    progress.pause = 0.0
    progress.begun -= 2.0
    reached[0] = 1_000_000
    progress.tick()
    assert said.getvalue().startswith("push: 1 MB, 0.5 MB/s, ")
    assert said.getvalue().endswith(" s left of 4 MB\n")
