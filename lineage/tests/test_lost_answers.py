"""MLflow over HTTP whose answers get lost after it did what was asked: no run is made twice."""

# ruff: noqa: N815, A002 - the names are those of http.server

import http.client
import os
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from lineage.address import ENVIRONMENT
from lineage.example import JUDGES, build_world
from lineage.faults import Steps
from lineage.ledger import Ledger
from lineage.settings import Options
from lineage.sync import sync_once
from lineage.tracker import open_tracker
from lineage.verify import verify


@pytest.fixture
def server(empty_store: Path, tmp_path: Path) -> Iterator[int]:
    """The port of a real MLflow server over a store of its own."""
    store = tmp_path / "mlflow.db"
    store.write_bytes(empty_store.read_bytes())
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    command = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", f"sqlite:///{store}"]
    command += ["--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    command += ["--default-artifact-root", str(tmp_path / "artifacts")]
    with subprocess.Popen(
        command, env={**os.environ, **ENVIRONMENT}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        try:
            wait_for(f"http://127.0.0.1:{port}/health")
            yield port
        finally:
            process.terminate()


def wait_for(url: str) -> None:
    for _ in range(180):
        try:
            with urllib.request.urlopen(url, timeout=2):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.5)
    raise AssertionError(f"{url} does not answer")


class Lossy(ThreadingHTTPServer):
    """Passes every request on; of each call that creates, the first answer is lost."""

    def __init__(self, port: int) -> None:
        super().__init__(("127.0.0.1", 0), Passing)
        self.port_behind = port
        self.lost = 0
        self.seen: set[bytes] = set()


class Passing(BaseHTTPRequestHandler):
    server: Lossy

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        behind = http.client.HTTPConnection("127.0.0.1", self.server.port_behind, timeout=60)
        kept = {key: value for key, value in self.headers.items() if key.lower() != "host"}
        behind.request(self.command, self.path, body, kept)
        answer = behind.getresponse()
        content = answer.read()
        status = answer.status
        behind.close()
        if self.path.endswith("/runs/create") and body not in self.server.seen:
            self.server.seen.add(body)
            self.server.lost += 1
            status, content = 503, b"lost"
        self.send_response(status)
        self.send_header("Content-Type", answer.headers.get("Content-Type", "application/json"))
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_PATCH = do_PUT = do_DELETE = do_POST

    def log_message(self, format: str, *args: object) -> None:
        """Silent."""


@pytest.mark.slow
def test_a_lost_answer_makes_no_second_run(server: int, tmp_path: Path, ledger: Ledger) -> None:
    world = build_world(tmp_path / "recording", fine_tunes=0, judges=JUDGES[:1])
    with Lossy(server) as lossy:
        threading.Thread(target=lossy.serve_forever, daemon=True).start()
        tracker = open_tracker(f"http://127.0.0.1:{lossy.server_address[1]}")
        outcome = sync_once(world.source, tracker, ledger, Options(), lambda *_: None, Steps())
        assert (outcome.created, lossy.lost) == (4, 4)
        assert len(tracker.read("knitfab")) == 4, "one MLflow run for each Run"
        assert sync_once(world.source, tracker, ledger, Options(), lambda *_: None, Steps()).writes == 0
        assert verify(world.source, tracker, Options(), lambda *_: None).drift == ()
        lossy.shutdown()
