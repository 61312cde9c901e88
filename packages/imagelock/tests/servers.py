"""Real servers for the tests of clients: one that says what it is told, a token service, Debian's own."""

from __future__ import annotations

import base64
import json
import re
import socketserver
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from imagelock.registry import Registry, parse_registry

USER = "me:secret"
BASIC = "Basic bWU6c2VjcmV0"


@contextmanager
def serving(server: socketserver.BaseServer) -> Iterator[None]:
    """Let a server answer while the block runs."""
    with server:
        # A server looks so often whether it shall stop, and there are many of them.
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield
        server.shutdown()
        thread.join()


class ToldServer(ThreadingHTTPServer):
    """Answers by `answers`: the first whose pattern fits `METHOD path`, as (status, headers, body).

    A body of None has no end. Notes who came with which credentials.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), ToldHandler)
        self.answers: list[tuple[str, int, dict[str, str], bytes | None]] = []
        self.asked: list[tuple[str, str]] = []

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hangs up is no event worth a traceback."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]

    @property
    def port(self) -> int:
        """Where it listens."""
        return self.server_address[1]

    @property
    def registry(self) -> Registry:
        """Us, with credentials."""
        return parse_registry(f"127.0.0.1:{self.port}", USER)


class ToldHandler(BaseHTTPRequestHandler):
    """One request."""

    protocol_version = "HTTP/1.1"
    server: ToldServer

    def handle_any(self) -> None:
        """Look the answer up."""
        line = f"{self.command} {self.path}"
        self.rfile.read(int(self.headers.get("Content-Length", "0")))
        self.server.asked.append((line, self.headers.get("Authorization", "")))
        status, headers, body = next(
            (found[1:] for found in self.server.answers if re.match(found[0], line)), (404, {}, b"")
        )
        self.send_response(status)
        self.close_connection = body is None or "Content-Length" in headers
        for key, value in ({} if body is None else {"Content-Length": str(len(body))} | headers).items():
            self.send_header(key, value)
        self.end_headers()
        if self.command != "HEAD":
            self.send_body(body)

    def send_body(self, body: bytes | None) -> None:
        """A body, or no end of one."""
        try:
            self.wfile.write(body or b"")
            while body is None:
                self.wfile.write(bytes(1 << 20))
        except ConnectionError:
            return  # the client has had enough

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = handle_any  # noqa: N815 - http.server's

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's name
        """Say nothing."""


class TokenService(ThreadingHTTPServer):
    """Gives tokens to USER for whatever is asked, to strangers for reading; `sign` writes them.

    Notes the scopes of each request.
    """

    daemon_threads = True

    def __init__(self, sign: Callable[[list[str]], str]) -> None:
        super().__init__(("127.0.0.1", 0), TokenHandler)
        self.sign = sign
        self.lifetime = 300
        self.asked: list[list[str]] = []

    @property
    def challenge(self) -> str:
        """How a registry names us."""
        realm = f"http://127.0.0.1:{self.server_address[1]}/token"
        return f'Bearer realm="{realm}",service="tests"'


class TokenHandler(BaseHTTPRequestHandler):
    """One request."""

    server: TokenService

    def do_GET(self) -> None:
        """Give a token, or refuse."""
        scopes = parse_qs(urlsplit(self.path).query).get("scope", [])
        self.server.asked.append(scopes)
        user = self.headers.get("Authorization", "")
        known = user == BASIC or not user
        if not user:
            scopes = [scope for scope in scopes if scope.endswith(":pull")]
        said = {"token": self.server.sign(scopes), "expires_in": self.server.lifetime} if known else {}
        self.send_response(200 if known else 401)
        self.end_headers()
        self.wfile.write(json.dumps(said).encode())

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's name
        """Say nothing."""


@contextmanager
def debians_registry(folder: Path, **more: Any) -> Iterator[str]:
    """The registry that Debian ships, running on a port of its choice; yields host:port."""
    settings = {
        "version": "0.1", "http": {"addr": "127.0.0.1:0"},
        "storage": {"filesystem": {"rootdirectory": str(folder / "docker-registry")}}, **more,
    }  # fmt: skip
    (folder / "registry.yml").write_text(json.dumps(settings))
    log = folder / "registry.log"
    with log.open("wb") as out:
        command = ["docker-registry", "serve", str(folder / "registry.yml")]
        process = subprocess.Popen(command, stdout=out, stderr=out)
    try:
        deadline = time.monotonic() + 60
        while not (found := re.search(r"listening on (127\.0\.0\.1:\d+)", log.read_text())):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.05)
        yield found[1]
    finally:
        process.terminate()
        process.wait()


class Signer:
    """Writes JSON Web Tokens under a key and certificate of its own, which `openssl` makes."""

    def __init__(self, folder: Path) -> None:
        self.key, self.certificate = folder / "key.pem", folder / "certificate.pem"
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=tests",
             "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", self.key, "-out", self.certificate],
            check=True, capture_output=True,
        )  # fmt: skip

    def __call__(self, scopes: list[str]) -> str:
        """A token that grants scopes, as Debian's registry reads it."""
        now = int(time.time())
        access = [dict(zip(("type", "name", "actions"), scope.split(":"), strict=True)) for scope in scopes]
        claims = {
            "iss": "tests", "aud": "tests", "sub": "me", "jti": "1", "iat": now, "nbf": now - 60,
            "exp": now + 300, "access": [{**row, "actions": row["actions"].split(",")} for row in access],
        }  # fmt: skip
        chain = "".join(self.certificate.read_text().splitlines()[1:-1])
        header = {"typ": "JWT", "alg": "RS256", "x5c": [chain]}
        text = f"{coded(json.dumps(header).encode())}.{coded(json.dumps(claims).encode())}"
        sign = ["openssl", "dgst", "-sha256", "-sign", str(self.key)]
        made = subprocess.run(sign, input=text.encode(), check=True, capture_output=True).stdout
        return f"{text}.{coded(made)}"


def coded(data: bytes) -> str:
    """Base64 as in tokens."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
