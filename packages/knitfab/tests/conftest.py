"""Servers for tests: one with set answers, knitlite, and a real Knitfab where KNITFAB_URL names one."""

import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import h11
import pytest
from knitfab.contract import Site, open_site


@dataclass
class Asked:
    """A request as the loopback server got it."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes = b""
    trailers: dict[str, str] = field(default_factory=dict)


@dataclass
class SetAnswer:
    """What the loopback server answers."""

    body: bytes = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    trailers: Mapping[str, str] = field(default_factory=dict)
    cut: bool = False
    """Hang up in the middle of the body."""


class Loopback:
    """A real HTTP server that gives set answers, one after the other, and remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.answers: list[SetAnswer] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.api_root = f"http://127.0.0.1:{self._listener.getsockname()[1]}/api"
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop listening."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(5)

    def _serve(self) -> None:
        while True:
            try:
                peer, _ = self._listener.accept()
            except OSError:
                return
            with peer:
                self._exchange(peer)

    def _exchange(self, peer: socket.socket) -> None:
        connection = h11.Connection(h11.SERVER)
        asked: Asked | None = None
        while True:
            event = connection.next_event()
            if event is h11.NEED_DATA:
                connection.receive_data(peer.recv(1 << 16))
            elif isinstance(event, h11.Request):
                headers = {name.decode(): value.decode() for name, value in event.headers}
                asked = Asked(event.method.decode(), event.target.decode(), headers)
            elif isinstance(event, h11.Data) and asked is not None:
                asked.body += bytes(event.data)
            elif isinstance(event, h11.EndOfMessage) and asked is not None:
                asked.trailers = {name.decode(): value.decode() for name, value in event.headers}
                break
            else:
                return
        self.asked.append(asked)
        self._answer(peer, connection, self.answers.pop(0))

    def _answer(self, peer: socket.socket, connection: h11.Connection, answer: SetAnswer) -> None:
        headers = [*({"Transfer-Encoding": "chunked", **answer.headers}).items()]
        events: list[h11.Event] = [h11.Response(status_code=answer.status, headers=headers)]
        if answer.body and answer.status != 204:
            events.append(h11.Data(data=answer.body))
        if not answer.cut:
            events.append(h11.EndOfMessage(headers=[*answer.trailers.items()]))
        for event in events:
            peer.sendall(connection.send(event) or b"")


@pytest.fixture
def loopback() -> Iterator[Loopback]:
    """A server with set answers."""
    server = Loopback()
    yield server
    server.close()


@pytest.fixture
def answer() -> Callable[..., SetAnswer]:
    """Makes a set answer."""
    return SetAnswer


@pytest.fixture(scope="session")
def api_root(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The API root of the engine under test."""
    real = os.environ.get("KNITFAB_URL")
    if real:
        yield real
        return
    command = shutil.which("knitlite", path=str(Path(sys.executable).parent))
    if command is None:
        pytest.skip("neither KNITFAB_URL nor the command knitlite is there")
    root = tmp_path_factory.mktemp("knitlite")
    with (root / "output").open("wb") as output:
        server = subprocess.Popen(
            [command, "serve", "--root", str(root / "root"), "--port", "0", "--cpus", "8"], stdout=output
        )
        try:
            yield _wait_for_root(server, root / "output")
        finally:
            server.terminate()
            server.wait(60)


def _wait_for_root(server: "subprocess.Popen[bytes]", output: Path) -> str:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and server.poll() is None:
        words = output.read_text().split()
        if "serving" in words:
            return words[words.index("serving") + 1]
        time.sleep(0.05)
    pytest.fail("knitlite does not serve")


@pytest.fixture
def site(api_root: str) -> Site:
    """The engine under test, with a scope of this test's own."""
    real = "KNITFAB_URL" in os.environ
    return open_site(
        api_root,
        mends=not real,
        settle_seconds=15.0 if real else 0.2,
        patience_seconds=300.0 if real else 120.0,
    )
