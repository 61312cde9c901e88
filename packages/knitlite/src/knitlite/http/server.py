"""Listens on an address and serves each connection in a thread of its own, a bounded number at once.

Knows no route.
"""

import contextlib
import socket
import threading
from collections.abc import Callable
from typing import Final

from knitfab.errors import KnitError
from knitfab.jsonvalue import render_json

from knitlite.http.connection import BUSY, Connection, Limits
from knitlite.http.exchange import Request, Response

__all__ = ["Limits", "Server"]

_BUSY_BODY: Final = render_json({"message": BUSY})
_BUSY: Final = (
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nConnection: close\r\n"
    b"Content-Length: %d\r\n\r\n%s" % (len(_BUSY_BODY), _BUSY_BODY)
)

_TURN_AWAY_SECONDS: Final = 0.2
_LEAVE_SECONDS: Final = 1.0
"""A silent connection that is told to leave has done so by then."""


class Server:
    """Accepts connections from `start` to `close`."""

    def __init__(
        self,
        listener: socket.socket,
        handle: Callable[[Request], Response],
        limits: Limits | None = None,
    ) -> None:
        """Take over a socket made by `listen`."""
        self._handle = handle
        self._limits = limits or Limits()
        self._places = threading.Semaphore(self._limits.connections)
        self._bodies = threading.Semaphore(self._limits.bodies)
        self._open: dict[socket.socket, Connection] = {}
        self._open_lock = threading.Lock()
        self._threads: set[threading.Thread] = set()
        self._listener = listener
        self._closing = threading.Event()
        self._acceptor = threading.Thread(target=self._accept, name="http-accept", daemon=True)

    @property
    def port(self) -> int:
        """The port that is listened on."""
        return int(self._listener.getsockname()[1])

    def start(self) -> None:
        """Begin to accept."""
        self._acceptor.start()

    def close(self) -> None:
        """Stop accepting, cut what is open, wait for the threads."""
        self._closing.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        if self._acceptor.is_alive():
            self._acceptor.join()
        self._listener.close()
        with self._open_lock:
            for connection in self._open:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
            threads = list(self._threads)
        for thread in threads:
            thread.join(timeout=10)

    def _accept(self) -> None:
        while not self._closing.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                # Closed by close(), or out of descriptors for a moment.
                self._closing.wait(0.05)
                continue
            if self._take_place():
                self._serve_in_thread(connection)
            else:
                _turn_away(connection)

    def _take_place(self) -> bool:
        """Whether there is one, if need be that of the oldest connection that asks for nothing."""
        if self._places.acquire(blocking=False):
            return True
        with self._open_lock:
            connections = list(self._open.values())
        silent = any(connection.leave_if_silent(self._limits.spare_seconds) for connection in connections)
        return silent and self._places.acquire(timeout=_LEAVE_SECONDS)

    def _serve_in_thread(self, accepted: socket.socket) -> None:
        connection = Connection(accepted, self._handle, self._limits, self._bodies)
        thread = threading.Thread(target=self._serve, args=(accepted, connection), name="http", daemon=True)
        with self._open_lock:
            self._open[accepted] = connection
            self._threads.add(thread)
        thread.start()

    def _serve(self, accepted: socket.socket, connection: Connection) -> None:
        try:
            connection.serve()
        finally:
            accepted.close()
            with self._open_lock:
                del self._open[accepted]
                self._threads.discard(threading.current_thread())
            self._places.release()


def listen(address: tuple[str, int]) -> socket.socket:
    """A listening socket; KnitError naming the address when that is impossible."""
    host, port = address
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        listener = socket.socket(family, socket.SOCK_STREAM)
    except OSError as error:
        raise KnitError(f"{host!r} is no address of this machine: {error}", code="invalid") from error
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(128)
    except OSError as error:
        listener.close()
        sentence = (
            f"can't listen on {host}:{port} ({error.strerror}): choose another --port, or 0 for any free one"
        )
        raise KnitError(sentence, code="invalid") from error
    return listener


def _turn_away(connection: socket.socket) -> None:
    with contextlib.suppress(OSError), connection:
        connection.settimeout(_TURN_AWAY_SECONDS)
        connection.sendall(_BUSY)
        connection.shutdown(socket.SHUT_WR)
        # Closing with the request unread would reset the connection and could destroy the answer.
        while connection.recv(65536):
            pass
