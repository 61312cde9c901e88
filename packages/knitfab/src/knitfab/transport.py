"""One HTTP/1.1 exchange over a socket, trailers included. Knows no Knitfab.

h11 on a plain socket, because the checksum of uploads and downloads travels in a trailer, which the usual
client libraries drop. One connection an exchange.
"""

import socket
import ssl
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Final
from urllib.parse import SplitResult, urlsplit

from knitfab.errors import KnitError

if TYPE_CHECKING:
    import h11

_RECEIVE: Final = 1 << 18
_CONNECT_SECONDS: Final = 10.0


@dataclass(frozen=True)
class Request:
    """What is sent. A body of pieces goes out chunked, with the trailers asked for after the last one."""

    method: str
    target: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | Iterable[bytes] | None = None
    trailers: Callable[[], Mapping[str, str]] = dict
    read_seconds: float | None = 120.0


class Response:
    """What came back; iterate it for the body, then `trailers` is filled. Close it, or use `with`."""

    def __init__(self, connection: "Connection", head: "h11.Response") -> None:
        self._connection = connection
        self.status: int = head.status_code
        self.headers = {name.decode(): value.decode("latin-1") for name, value in head.headers}
        self.trailers: dict[str, str] = {}

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        """The next bytes of the body, as they arrive."""
        import h11

        event = self._connection.receive()
        if isinstance(event, h11.Data):
            return bytes(event.data)
        if isinstance(event, h11.EndOfMessage):
            self.trailers = {name.decode(): value.decode("latin-1") for name, value in event.headers}
        self.close()
        raise StopIteration

    def read(self) -> bytes:
        """The whole body."""
        return b"".join(self)

    def close(self) -> None:
        """Drops the connection; harmless when it is gone already."""
        self._connection.close()

    def __enter__(self) -> "Response":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def split_root(api_root: str) -> SplitResult:
    """The parts of an API root; `invalid` where it is no absolute URL."""
    with suppress(ValueError):  # brackets that do not match, a port that is no number or too large
        url = urlsplit(api_root)
        sendable = api_root.isascii() and api_root.isprintable() and " " not in api_root
        if sendable and url.scheme in ("http", "https") and url.hostname and url.port != 0:
            return url
    sentence = f"{api_root!r} is no API root: give an absolute URL such as http://127.0.0.1:8030/api"
    raise KnitError(sentence, code="invalid")


def trust(ca_file: Path | None, ca_pem: str | None) -> ssl.SSLContext:
    """Trust in this CA alone, or in the system's; the host name is checked either way."""
    try:
        return ssl.create_default_context(cafile=None if ca_file is None else str(ca_file), cadata=ca_pem)
    except (OSError, ValueError) as error:
        sentence = f"the CA of the profile ({ca_file or 'given inline'}) is no PEM certificate: {error}"
        raise KnitError(sentence, code="invalid") from error


class Connection:
    """A socket to one server, for one exchange."""

    def __init__(self, url: SplitResult, context: ssl.SSLContext | None) -> None:
        import h11

        self._url = url
        self._h11 = h11.Connection(h11.CLIENT, max_incomplete_event_size=1 << 16)
        self._closed = False
        port = url.port or (443 if url.scheme == "https" else 80)
        try:
            self._socket = socket.create_connection((url.hostname or "", port), _CONNECT_SECONDS)
        except OSError as error:
            raise self._unreachable(error) from error
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if context is not None:
            self._start_tls(context)

    def _start_tls(self, context: ssl.SSLContext) -> None:
        try:
            self._socket = context.wrap_socket(self._socket, server_hostname=self._url.hostname)
        except OSError as error:
            self.close()
            raise self._unreachable(error) from error

    def exchange(self, request: Request) -> Response:
        """Sends the request and waits for the head of the answer."""
        import h11

        self._socket.settimeout(request.read_seconds)
        try:
            try:
                self._send(request)
            except (BrokenPipeError, ConnectionResetError):
                # The server may have answered and hung up before it read everything: that answer counts.
                self._h11.send_failed()
            event = self.receive()
            while isinstance(event, h11.InformationalResponse):
                event = self.receive()
        except BaseException:
            self.close()
            raise
        if not isinstance(event, h11.Response):
            self.close()
            raise self._dropped("without an answer")
        return Response(self, event)

    def _send(self, request: Request) -> None:
        import h11

        headers = {"Host": self._url.netloc.rpartition("@")[2], "Connection": "close", **request.headers}
        body = request.body
        if isinstance(body, bytes) or body is None:
            length = (
                {} if body is None and request.method == "GET" else {"Content-Length": str(len(body or b""))}
            )
            pieces: Iterable[bytes] = (body,) if body else ()
        else:
            length, pieces = {"Transfer-Encoding": "chunked"}, body
        head = h11.Request(
            method=request.method, target=request.target, headers=[*(headers | length).items()]
        )
        self._write(head)
        for piece in pieces:
            if piece:
                self._write(h11.Data(data=piece))
        self._write(h11.EndOfMessage(headers=[*request.trailers().items()]))

    def _write(self, event: "h11.Event") -> None:
        packed = self._h11.send(event)
        if not packed:
            return
        try:
            self._socket.sendall(packed)
        except (BrokenPipeError, ConnectionResetError):
            raise
        except OSError as error:
            raise self._unreachable(error) from error

    def receive(self) -> object:
        """The next h11 event; a broken or silent connection is `unreachable`."""
        import h11

        while True:
            try:
                event = self._h11.next_event()
                if event is not h11.NEED_DATA:
                    return event
                self._h11.receive_data(self._socket.recv(_RECEIVE))
            except h11.RemoteProtocolError as error:
                self.close()
                raise self._dropped(f"in the middle of an answer ({error})") from error
            except OSError as error:
                self.close()
                raise self._unreachable(error) from error

    def close(self) -> None:
        """Hangs up."""
        if not self._closed:
            self._closed = True
            self._socket.close()

    def _unreachable(self, error: OSError) -> KnitError:
        why = "no answer in time" if isinstance(error, TimeoutError) else error.strerror or str(error)
        if isinstance(error, ssl.SSLCertVerificationError):
            why = f"its certificate is not trusted ({error.verify_message}); name its CA in the profile"
        remedy = "is the engine running there, and is this its API root?"
        return KnitError(f"{self._url.geturl()} can not be reached: {why}; {remedy}", code="unreachable")

    def _dropped(self, when: str) -> KnitError:
        return KnitError(f"{self._url.geturl()} hung up {when}: look at the engine's log", code="unreachable")
