"""HTTP at the level of bytes: slow and broken clients, trailers, limits, many connections."""

import contextlib
import gzip
import hashlib
import io
import json
import os
import socket
import tarfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from knitfab.records import Mountpoint, PlanSpec, Tag
from knitlite import ServeSettings, Service
from knitlite.http import Limits

LIMITS = Limits(connections=8, bodies=6, idle_seconds=1.0, header_seconds=0.5, body_seconds=0.5)


@pytest.fixture(scope="module")
def hasty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A server with little patience."""
    root = tmp_path_factory.mktemp("hasty")
    with Service(ServeSettings(root, port=0, limits=LIMITS)) as started:
        yield started


def dial(service: Service) -> socket.socket:
    port = int(service.api_root.rpartition(":")[2].partition("/")[0])
    connection = socket.create_connection(("127.0.0.1", port), timeout=10)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def exchange(service: Service, request: bytes) -> bytes:
    """All that comes back until the server closes."""
    with dial(service) as connection:
        connection.sendall(request)
        return read_all(connection)


def read_all(connection: socket.socket) -> bytes:
    received = b""
    while piece := connection.recv(65536):
        received += piece
    return received


def status_of(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


def head(line: str, *more: str) -> bytes:
    return "\r\n".join([line, "Host: localhost", "Connection: close", *more, "", ""]).encode()


def archive(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def chunked(content: bytes, *trailers: str) -> bytes:
    body = b"%x\r\n%s\r\n0\r\n" % (len(content), content)
    return body + "".join(f"{trailer}\r\n" for trailer in trailers).encode() + b"\r\n"


UPLOAD = head("POST /api/data HTTP/1.1", "Transfer-Encoding: chunked")


def test_undeclared_trailer_is_verified(hasty: Service) -> None:
    content = archive({"a.txt": b"hello"})
    right = hashlib.md5(content).hexdigest()
    assert status_of(exchange(hasty, UPLOAD + chunked(content, f"X-Checksum-Md5: {right}"))) == 200
    answer = exchange(hasty, UPLOAD + chunked(content, f"X-Checksum-Md5: {'0' * 32}"))
    assert status_of(answer) == 400
    assert b'{"message":"hash is not match."}' in answer


def test_slow_headers_are_cut_off(hasty: Service) -> None:
    with dial(hasty) as connection:
        began = time.monotonic()
        connection.sendall(b"GET /api/data HTTP/1.1\r\nHost: loc")
        assert read_all(connection) == b""
        assert time.monotonic() - began < 10


def test_silence_is_cut_off(hasty: Service) -> None:
    with dial(hasty) as connection:
        assert connection.recv(100) == b""


def test_slow_body_is_refused(hasty: Service) -> None:
    """A byte now and then keeps no upload alive."""
    with dial(hasty) as connection:
        connection.sendall(UPLOAD)
        began = time.monotonic()
        answer = b""
        connection.settimeout(0.2)
        while not answer and time.monotonic() - began < 10:
            try:
                connection.sendall(b"1\r\n\x1f\r\n")
                answer = connection.recv(65536)
            except TimeoutError:
                continue
            except (BrokenPipeError, ConnectionResetError):
                break
        assert time.monotonic() - began < 8
        assert not answer or status_of(answer) in (400, 408)


def test_stalled_body_is_refused(hasty: Service) -> None:
    assert status_of(exchange(hasty, UPLOAD + b"100\r\n")) == 408


def test_half_an_upload_leaves_failed_data(hasty: Service) -> None:
    before = {data.knit_id for data in hasty.engine.find_data()}
    with dial(hasty) as connection:
        connection.sendall(UPLOAD + b"100\r\nabc")
    deadline = time.monotonic() + 20
    left: list[str | None] = []
    while left != ["failed"] and time.monotonic() < deadline:
        time.sleep(0.02)
        left = [data.transient for data in hasty.engine.find_data() if data.knit_id not in before]
    assert left == ["failed"]


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"nonsense\r\n\r\n", 400),
        (b"GET /api/data HTTP/1.1\r\n\r\n", 400),
        (head("GET * HTTP/1.1"), 400),
        (head("GET /api/data HTTP/1.1", "X: " + "x" * 1_000_000), 413),
        (head("GET /%ff%fe/../.. HTTP/1.1"), 404),
        (head("GET /api/runs/%00 HTTP/1.1"), 404),
        (head("GET /api/runs/" + "x" * 10_000 + " HTTP/1.1"), 404),
        (head("GET /api/data?" + "tag=a:b&" * 5_000 + " HTTP/1.1"), 200),
        (head("OPTIONS /api/data HTTP/1.1"), 204),
        (head("PUT /api/data/x HTTP/1.1", "Content-Length: 2") + b"[]", 400),
        (head("PUT /api/data/x HTTP/1.1", "Content-Length: 20000") + b"[" * 20_000, 400),
        (head("PUT /api/data/x HTTP/1.1", "Content-Length: 3") + b'"\xff"', 400),
        (head("PUT /api/data/x HTTP/1.1", "Content-Length: -5"), 400),
        (head("POST /api/data HTTP/1.1", "Content-Length: 0"), 400),
        (head("GET /api/data?since=0001-01-01T00%3A00%3A00%2B14%3A00 HTTP/1.1"), 200),
        (head("GET /api/runs?since=9999-12-31T23%3A59%3A59-14%3A00&duration=2562047h HTTP/1.1"), 200),
        (head("GET /api/data?since=2024-01-01T00%3A00%3A00Z&duration=-999999h HTTP/1.1"), 200),
        (head("GET /api/data?tag=knit%23timestamp%3Anever HTTP/1.1"), 400),
        (head("GET /api/plans?image=%00 HTTP/1.1"), 200),
        (head("GET /api/plans?image=UPPER%3A%3A HTTP/1.1"), 200),
    ],
)
def test_odd_requests(hasty: Service, request_bytes: bytes, status: int) -> None:
    assert status_of(exchange(hasty, request_bytes)) == status


def test_huge_json_is_refused_early(hasty: Service) -> None:
    """A body of 100 MB is announced; the answer comes after the limit, not after the body."""
    request = head("PUT /api/data/x HTTP/1.1", "Content-Length: 100000000")
    with dial(hasty) as connection:
        connection.sendall(request)
        piece = b" " * 65536
        sent = 0
        try:
            while sent < 100_000_000:
                connection.sendall(piece)
                sent += len(piece)
        except (BrokenPipeError, ConnectionResetError, TimeoutError):
            pass
        assert sent < 90_000_000


@pytest.mark.parametrize("text", ['a"b', "a\\b", "a\nb", "a\x00b", "\ud800"])
def test_poison_tags_are_refused(hasty: Service, text: str) -> None:
    body = json.dumps({"add": [{"key": "k", "value": text}]}).encode()
    request = head("PUT /api/data/x HTTP/1.1", f"Content-Length: {len(body)}") + body
    assert status_of(exchange(hasty, request)) == 400


def test_tag_of_a_mebibyte(service: Service, tmp_path: Path) -> None:
    """As long as Knitfab allows, and one byte more."""
    (tmp_path / "folder").mkdir()
    data = service.engine.push_data(tmp_path / "folder")
    for length, status in ((1 << 20, 200), ((1 << 20) + 1, 400)):
        body = json.dumps({"add": [f"k:{'v' * length}"]}).encode()
        request = head(f"PUT /api/data/{data.knit_id} HTTP/1.1", f"Content-Length: {len(body)}")
        assert status_of(exchange(service, request + body)) == status
    service.engine.delete_run(data.upstream.run.run_id)


def is_served(service: Service) -> bool:
    return status_of(exchange(service, head("GET /api/data HTTP/1.1"))) == 200


@contextlib.contextmanager
def held(service: Service, count: int) -> Iterator[list[socket.socket]]:
    """So many connections, the first of which was served already; all are silent now."""
    with contextlib.ExitStack() as stack:
        connections = [stack.enter_context(dial(service)) for _ in range(count)]
        connections[0].sendall(b"GET /api/runs HTTP/1.1\r\nHost: localhost\r\n\r\n")
        answer = b""
        while not answer.endswith(b"[]\n"):
            answer += connections[0].recv(65536)
        yield connections


def test_too_many_connections_are_turned_away(tmp_path: Path) -> None:
    limits = Limits(connections=3, idle_seconds=60.0, spare_seconds=60.0)
    with Service(ServeSettings(tmp_path / "root", port=0, limits=limits)) as service:
        with held(service, 3):
            answer = exchange(service, head("GET /api/data HTTP/1.1"))
            assert status_of(answer) == 503
            assert json.loads(answer.partition(b"\r\n\r\n")[2])["message"].startswith("service unavailable")
        wait_for(lambda: is_served(service))


def test_a_connection_that_asks_nothing_makes_room(tmp_path: Path) -> None:
    """One of them, once it was silent for a while; the others stay."""
    limits = Limits(connections=3, idle_seconds=60.0, spare_seconds=0.2)
    with Service(ServeSettings(tmp_path / "root", port=0, limits=limits)) as service:
        with held(service, 3) as silent:
            wait_for(lambda: is_served(service))
            stayed = [is_answered(connection) for connection in silent]
        assert sorted(stayed) == [False, True, True]


def is_answered(connection: socket.socket) -> bool:
    """Whether a connection still serves; its last request."""
    try:
        connection.sendall(head("GET /api/runs HTTP/1.1"))
        return status_of(read_all(connection) or b"no 0 answer") == 200
    except (BrokenPipeError, ConnectionResetError):
        return False


def test_uploads_leave_room_for_readers(tmp_path: Path) -> None:
    """Uploads that do not move take all places for bodies, and no more."""
    limits = Limits(connections=8, bodies=2)
    with Service(ServeSettings(tmp_path / "root", port=0, limits=limits)) as service:
        with dial(service) as first, dial(service) as second:
            for connection in (first, second):
                connection.sendall(UPLOAD)
            wait_for(lambda: len(service.engine.find_data()) == 2)
            for _ in range(3):
                assert status_of(exchange(service, head("GET /api/runs HTTP/1.1"))) == 200
            answer = exchange(service, head("PUT /api/data/x HTTP/1.1", "Content-Length: 2") + b"{}")
            assert status_of(answer) == 503
            assert json.loads(answer.partition(b"\r\n\r\n")[2])["message"].startswith("service unavailable")
            first.sendall(chunked(archive({"a.txt": b"hello"})))
            assert status_of(read_all(first)) == 200
            assert status_of(exchange(service, UPLOAD + chunked(archive({})))) == 200
        assert len(service.engine.find_data()) == 3


def test_bomb_is_stopped_early(hasty: Service) -> None:
    bomb = gzip.compress(bytes(1 << 20), 9) * 600
    answer = exchange(hasty, UPLOAD + chunked(bomb))
    assert status_of(answer) == 413
    assert b"compressed more than" in answer


def test_refused_upload_is_taken_to_its_end(hasty: Service) -> None:
    """Far beyond what sockets buffer; the reason comes after the last byte, and the connection stays."""
    with dial(hasty) as connection:
        connection.sendall(
            b"POST /api/data HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        connection.sendall(b"5\r\nhello\r\n")
        for _ in range(64):
            connection.sendall(b"100000\r\n" + bytes(0x100000) + b"\r\n")
        connection.sendall(b"0\r\n\r\n" + head("GET /api/runs HTTP/1.1"))
        answer = read_all(connection)
    assert status_of(answer) == 400
    assert b"is not gzip" in answer
    assert answer.count(b"HTTP/1.1 200") == 1


def test_refused_upload_that_stops_is_answered(hasty: Service) -> None:
    with dial(hasty) as connection:
        connection.sendall(UPLOAD + b"5\r\nhello\r\n")
        assert status_of(read_all(connection)) == 400


def test_refused_upload_without_end_is_cut_off(tmp_path: Path) -> None:
    limits = Limits(refused_seconds=0.5)
    with (
        Service(ServeSettings(tmp_path / "root", port=0, limits=limits)) as service,
        dial(service) as connection,
    ):
        connection.sendall(UPLOAD + b"5\r\nhello\r\n")
        began = time.monotonic()
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            while time.monotonic() - began < 20:
                connection.sendall(b"10000\r\n" + bytes(0x10000) + b"\r\n")
        assert 0.5 <= time.monotonic() - began < 10


@pytest.mark.parametrize(("mebibytes", "ends"), [(8, True), (64, False)])
def test_upload_of_a_stranger_is_not_taken_for_long(tmp_path: Path, mebibytes: int, ends: bool) -> None:
    token = tmp_path / "token"
    token.write_text("0123456789abcdef")
    token.chmod(0o600)
    settings = ServeSettings(tmp_path / "root", port=0, token_file=token)
    with Service(settings) as service, dial(service) as connection:
        taken = True
        try:
            connection.sendall(UPLOAD)
            for _ in range(mebibytes):
                connection.sendall(b"100000\r\n" + bytes(0x100000) + b"\r\n")
            connection.sendall(b"0\r\n\r\n")
            assert status_of(read_all(connection)) == 401
        except (BrokenPipeError, ConnectionResetError):
            taken = False
        assert taken is ends


def test_pipelined_requests(hasty: Service) -> None:
    one = b"GET /api/runs HTTP/1.1\r\nHost: localhost\r\n\r\n"
    answer = exchange(hasty, one + one + head("GET /api/runs HTTP/1.1"))
    assert answer.count(b"HTTP/1.1 200") == 3


def test_follower_that_leaves_frees_its_place(hasty: Service, tmp_path: Path) -> None:
    """Even when nothing more is ever logged."""
    source, tag = tmp_path / "source", Tag("follow", "me")
    source.mkdir()
    hasty.engine.push_data(source, [tag])
    spec = PlanSpec(
        image="localhost/sleeper:v1",
        entrypoint=("sleep", "600"),
        inputs=(Mountpoint("/in", (tag,)),),
        log=(),
    )
    plan = hasty.engine.apply_plan(spec)
    (run,) = wait_running(hasty, plan.plan_id)
    for _ in range(3 * LIMITS.connections):
        with dial(hasty) as connection:
            connection.sendall(head(f"GET /api/runs/{run}/log?follow HTTP/1.1"))
            connection.settimeout(0.05)
            with contextlib.suppress(TimeoutError):
                connection.recv(10)
        time.sleep(1.0 / LIMITS.connections)
    wait_for(lambda: is_served(hasty))
    hasty.engine.stop_run(run, fail=True)


def test_content_that_was_removed_is_missed(service: Service, tmp_path: Path) -> None:
    """By somebody, from the disk: the answer says what to do."""
    (tmp_path / "folder").mkdir()
    data = service.engine.push_data(tmp_path / "folder")
    with service.engine.open_content(data.knit_id) as content:
        content.rmdir()
    answer = exchange(service, head(f"GET /api/data/{data.knit_id} HTTP/1.1"))
    assert status_of(answer) == 500
    assert f"the content of Data {data.knit_id} is missing: restore {content}".encode() in answer
    service.engine.delete_run(data.upstream.run.run_id)


def test_content_that_can_not_be_sent_breaks_the_answer_off(
    service: Service, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Somebody put what no archive can hold beside it; no client may take the rest for the whole."""
    (tmp_path / "folder").mkdir()
    data = service.engine.push_data(tmp_path / "folder")
    with service.engine.open_content(data.knit_id) as content:
        content.chmod(0o755)
        os.mkfifo(content / "pipe")
    answer = exchange(service, head(f"GET /api/data/{data.knit_id} HTTP/1.1"))
    assert status_of(answer) == 200
    assert not answer.endswith(b"0\r\n\r\n")
    assert "an answer was broken off: " in capfd.readouterr().err
    service.engine.delete_run(data.upstream.run.run_id)


def wait_running(service: Service, plan_id: str) -> list[str]:
    wait_for(lambda: bool(service.engine.find_runs(plans=[plan_id], statuses=["running"])))
    return [run.run_id for run in service.engine.find_runs(plans=[plan_id])]


def wait_for(look: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not look():
        assert time.monotonic() < deadline, "it did not come about within 20 s"
        time.sleep(0.01)
