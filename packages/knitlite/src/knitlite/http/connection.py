"""One TCP connection speaking HTTP/1.1 through h11: time-outs, limits, trailers. Knows no route.

h11 because it hands over undeclared request trailers, which clients of Knitfab send and most servers drop.
"""

import contextlib
import select
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final
from urllib.parse import unquote

import h11
from knitfab.errors import KnitError

from knitlite.http.exchange import HttpError, Request, Response, error_response

_PIECE: Final = 256 * 1024
_LINGER_BYTES: Final = 16 * 1024 * 1024
_STRANGER: Final = (401, 403)

BUSY: Final = "service unavailable temporaly\nplease retry later."
"""In Knitfab's words, misspelt as they are."""


@dataclass(frozen=True)
class Limits:
    """What one client may take of the server."""

    connections: int = 64
    """Served at once; one more gets a 503."""
    bodies: int = 48
    """Requests with a body served at once: slow uploads leave room for readers. One more gets a 503."""
    idle_seconds: float = 60.0
    """Silence between two requests, and while a response is not taken."""
    spare_seconds: float = 1.0
    """Silence before a request after which a connection makes room for a new one that finds no place."""
    header_seconds: float = 10.0
    """From the first byte of a request to the end of its headers."""
    body_seconds: float = 30.0
    """Silence inside a body."""
    body_bytes_per_second: int = 1024
    """Least average speed of a body, after `body_seconds` of grace."""
    refused_seconds: float = 10.0
    """How long a refused upload is taken further before it is answered: an attack may have no end."""
    header_bytes: int = 64 * 1024


class ConnectionEndedError(Exception):
    """The client went away or fell silent; there is nobody to answer to."""


class Connection:
    """Serves requests of one socket, one after the other, until one side closes."""

    def __init__(
        self,
        sock: socket.socket,
        handle: Callable[[Request], Response],
        limits: Limits,
        bodies: threading.Semaphore,
    ) -> None:
        """`handle` never raises: it turns every error into a response. All connections share `bodies`."""
        self._socket = sock
        self._handle = handle
        self._limits = limits
        self._bodies = bodies
        self._protocol = h11.Connection(h11.SERVER, max_incomplete_event_size=limits.header_bytes)
        self._silent_since: float | None = None

    def leave_if_silent(self, seconds: float) -> bool:
        """Close a connection that has sent nothing of a request for so long; by any thread.

        Reading alone is shut: a request whose first bytes come at this very moment is still answered.
        """
        since = self._silent_since
        if since is None or time.monotonic() - since < seconds:
            return False
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RD)
        return True

    def serve(self) -> None:
        """Until the connection is closed. Raises nothing."""
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            while self._serve_one():
                self._protocol.start_next_cycle()
        except (ConnectionEndedError, OSError):
            pass
        except KnitError as error:
            # Too late for another status: the client sees an answer without its end.
            print(f"knitlite: an answer was broken off: {error}", file=sys.stderr, flush=True)
        with contextlib.suppress(OSError):
            self._linger()
        self._socket.close()

    def _serve_one(self) -> bool:
        """Whether the connection can serve another request."""
        body = _Body(self)
        try:
            event = self._read_head()
            if not isinstance(event, h11.Request):
                return False
            request = _to_request(event, body)
        except (h11.RemoteProtocolError, HttpError) as error:
            self._refuse(error)
            return False
        if not _has_body(request):
            return self._answer(request, body)
        if not self._bodies.acquire(blocking=False):
            self._refuse(HttpError(503, BUSY))
            return False
        try:
            return self._answer(request, body)
        finally:
            self._bodies.release()

    def _answer(self, request: Request, body: "_Body") -> bool:
        response = self._handle(request)
        self._take_empty_end()
        if response.status >= 400 and "transfer-encoding" in request.headers:
            self._take_rest(body, _LINGER_BYTES if response.status in _STRANGER else sys.maxsize)
        self._send_response(response, is_head=request.method == "HEAD")
        return self._protocol.our_state is h11.DONE and self._protocol.their_state is h11.DONE

    def _take_empty_end(self) -> None:
        """A body that nobody asked for, because there is none, must not cost the connection."""
        if self._protocol.their_state is h11.SEND_BODY:
            with contextlib.suppress(h11.RemoteProtocolError):
                self._protocol.next_event()

    def _take_rest(self, body: "_Body", most: int) -> None:
        """Let an upload that is refused come to its end, as long as it is sent at speed.

        The `knit` command reads an answer at once, but when that cuts off its upload it may show the broken
        pipe instead of the reason.
        """
        protocol = self._protocol
        if protocol.their_state is not h11.SEND_BODY or protocol.they_are_waiting_for_100_continue:
            return
        deadline = time.monotonic() + self._limits.refused_seconds
        with contextlib.suppress(HttpError):
            for chunk in body.chunks():
                most -= len(chunk)
                if most < 0 or time.monotonic() > deadline:
                    return

    def _read_head(self) -> object:
        if not self._protocol.trailing_data[0]:
            self._silent_since = time.monotonic()
            try:
                self.receive(self._silent_since + self._limits.idle_seconds)
            finally:
                self._silent_since = None
        deadline = time.monotonic() + self._limits.header_seconds
        while (event := self._protocol.next_event()) is h11.NEED_DATA:
            self.receive(deadline)
        return event

    def receive(self, deadline: float) -> None:
        """Feed h11 with what comes next. Raises ConnectionEndedError at the deadline."""
        remaining = deadline - time.monotonic()
        if remaining <= 0:
            raise ConnectionEndedError
        self._socket.settimeout(remaining)
        try:
            data = self._socket.recv(_PIECE)
        except OSError as error:
            raise ConnectionEndedError from error
        self._protocol.receive_data(data)

    def next_body_event(self, deadline: float) -> object:
        """Data or EndOfMessage; HttpError 400 when the body is cut off or malformed."""
        if self._protocol.they_are_waiting_for_100_continue:
            self._send(h11.InformationalResponse(status_code=100, headers=[]))
        try:
            while (event := self._protocol.next_event()) is h11.NEED_DATA:
                self.receive(deadline)
        except h11.RemoteProtocolError as error:
            raise HttpError(400, f"bad request\n caused by:{error}") from error
        except ConnectionEndedError as error:
            raise HttpError(408) from error
        return event

    @property
    def limits(self) -> Limits:
        """What this client may take."""
        return self._limits

    def _refuse(self, error: h11.RemoteProtocolError | HttpError) -> None:
        if self._protocol.our_state not in (h11.IDLE, h11.SEND_RESPONSE):
            return
        if isinstance(error, h11.RemoteProtocolError):
            status = error.error_status_hint
            error = HttpError(413 if status == 431 else 400, f"bad request\n caused by:{error}")
        self._send_response(error_response(error), is_head=False)

    def _send_response(self, response: Response, *, is_head: bool) -> None:
        headers = [*response.headers]
        whole = response.body if isinstance(response.body, bytes) else None
        if whole is None:
            headers.append(("Transfer-Encoding", "chunked"))
        elif response.status != 204:
            headers.append(("Content-Length", str(len(whole))))
        if self._protocol.their_state not in (h11.DONE, h11.IDLE):
            # Part of the request's body is unread and will stay so.
            headers.append(("Connection", "close"))
        reason = HTTPStatus(response.status).phrase
        self._send(h11.Response(status_code=response.status, headers=headers, reason=reason))
        if whole is None:
            self._send_pieces(response)
        elif whole and not is_head:
            self._send(h11.Data(whole))
        trailers = list(response.trailers()) if response.trailers else []
        self._send(h11.EndOfMessage(headers=trailers))

    def _send_pieces(self, response: Response) -> None:
        assert not isinstance(response.body, bytes)
        pieces = response.body
        try:
            for piece in pieces:
                if piece:
                    self._send(h11.Data(piece))
                else:
                    self._stop_if_gone()
        finally:
            close = getattr(pieces, "close", None)
            if close is not None:
                close()

    def _stop_if_gone(self) -> None:
        """An empty piece means "nothing new": a good moment to see whether anybody still listens."""
        readable, _, _ = select.select([self._socket], [], [], 0)
        if readable and not self._socket.recv(1, socket.MSG_PEEK):
            raise ConnectionEndedError

    def _send(self, event: h11.Event) -> None:
        data = self._protocol.send(event)
        if data:
            self._socket.settimeout(self._limits.idle_seconds)
            self._socket.sendall(data)

    def _linger(self) -> None:
        """Take what is still sent, for a moment: a hard close could destroy our answer on its way."""
        self._socket.shutdown(socket.SHUT_WR)
        self._socket.settimeout(1.0)
        deadline = time.monotonic() + 2.0
        taken = 0
        while taken < _LINGER_BYTES and time.monotonic() < deadline:
            data = self._socket.recv(_PIECE)
            if not data:
                return
            taken += len(data)


class _Body:
    """The body of the request being served; see exchange.Body."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._trailers: dict[str, str] = {}
        self._ended = False

    def chunks(self) -> Iterator[bytes]:
        limits = self._connection.limits
        began = time.monotonic()
        received = 0
        while not self._ended:
            event = self._connection.next_body_event(time.monotonic() + limits.body_seconds)
            if isinstance(event, h11.EndOfMessage):
                self._ended = True
                self._trailers = _to_headers(event.headers)
            elif isinstance(event, h11.Data):
                received += len(event.data)
                yield bytes(event.data)
                spent = time.monotonic() - began - limits.body_seconds
                if received < spent * limits.body_bytes_per_second:
                    raise HttpError(408)
            else:
                raise HttpError(400, "bad request\n caused by:the body is incomplete")

    def trailer(self, name: str) -> str | None:
        return self._trailers.get(name.lower())


def _has_body(request: Request) -> bool:
    """Whether one is announced."""
    return "transfer-encoding" in request.headers or request.headers.get("content-length", "0") != "0"


def _to_headers(raw: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    return {name.decode("latin-1"): value.decode("latin-1") for name, value in raw}


def _to_request(event: h11.Request, body: _Body) -> Request:
    target = event.target.decode("latin-1")
    raw_path, _, query = target.partition("?")
    path = unquote(raw_path, errors="replace")
    if not path.startswith("/"):
        raise HttpError(400, f"bad request\n caused by:the target {raw_path[:80]!r} is no path")
    return Request(
        event.method.decode("latin-1"),
        path.removesuffix("/") or "/",
        query,
        _to_headers(event.headers),
        body,
    )
