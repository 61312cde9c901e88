"""A small file server that can break off, forget ranges and change its files: real HTTP for tests and trials.

Nothing of an image's way knows this module.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote

PIECE = 1 << 16
LAST_MODIFIED = "Mon, 01 Jan 2024 00:00:00 GMT"


@dataclass
class Site:
    """What is served by path, and how badly; `asked` collects (path, Range header) of every GET."""

    files: dict[str, bytes] = field(default_factory=dict)
    etags: dict[str, str] = field(default_factory=dict)
    ranges: bool = True
    heeds_if_range: bool = True
    cut_after: int = 0  # a body longer than this is cut here …
    cuts_left: int = 0  # … so many times
    busy: set[str] = field(default_factory=set)  # paths answered with 502
    pause: float = 0.0  # seconds after every piece
    user: str = ""  # `name:password@`, or empty when all may read
    asked: list[tuple[str, str]] = field(default_factory=list)
    port: int = 0

    @property
    def address(self) -> str:
        """The site's root, without a slash at the end."""
        return f"http://{self.user}127.0.0.1:{self.port}"

    def asked_ranges(self, end: str) -> list[str]:
        """The Range headers of the GETs whose path ends so."""
        return [span for path, span in self.asked if path.endswith(end)]


class SiteServer(ThreadingHTTPServer):
    """Serves one site on a port of its own choice."""

    daemon_threads = True

    def __init__(self, site: Site) -> None:
        super().__init__(("127.0.0.1", 0), SiteHandler)
        self.site = site
        site.port = self.server_address[1]


class SiteHandler(BaseHTTPRequestHandler):
    """One request."""

    protocol_version = "HTTP/1.1"
    server: SiteServer

    def do_GET(self) -> None:
        """A file, whole or from the asked byte on."""
        site, path, span = self.server.site, unquote(self.path), self.headers.get("Range", "")
        site.asked.append((path, span))
        if site.user and not self.headers.get("Authorization", "").startswith("Basic "):
            self.reply(401, b"", {"WWW-Authenticate": "Basic"})
        elif path in site.busy or path not in site.files:
            self.reply(502 if path in site.busy else 404, b"", {})
        else:
            self.send(site.files[path], site.etags.get(path, ""), span)

    def send(self, data: bytes, etag: str, span: str) -> None:
        """One of the three answers to a range."""
        site = self.server.site
        headers = {"Last-Modified": LAST_MODIFIED} | ({"ETag": etag} if etag else {})
        start = int(span.removeprefix("bytes=").partition("-")[0]) if span and site.ranges else 0
        if site.heeds_if_range and self.headers.get("If-Range", etag) not in {etag, LAST_MODIFIED}:
            start = 0
        if start and start >= len(data):
            self.reply(416, b"", {"Content-Range": f"bytes */{len(data)}"})
        elif start:
            headers["Content-Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
            self.reply(206, data[start:], headers)
        else:
            self.reply(200, data, headers)

    def reply(self, status: int, data: bytes, headers: dict[str, str]) -> None:
        """Send an answer, or its beginning."""
        site = self.server.site
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key, value)
        kind = "text/html" if self.path.endswith("/") else "application/octet-stream"
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        end = len(data)
        if site.cuts_left and end > site.cut_after:
            site.cuts_left -= 1
            end, self.close_connection = site.cut_after, True
        for at in range(0, end, PIECE):
            self.wfile.write(data[at : min(end, at + PIECE)])
            time.sleep(site.pause)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's name
        """Say nothing."""


@contextmanager
def serving(site: Site) -> Iterator[Site]:
    """Serve until the end of the block."""
    with SiteServer(site) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield site
        finally:
            server.shutdown()
            thread.join()
