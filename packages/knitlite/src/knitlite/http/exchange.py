"""A request and a response as values, apart from any socket. Knows no route."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol
from urllib.parse import parse_qs

from knitfab.jsonvalue import render_json

REASONS: Final = {
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    408: "Request Timeout",
    409: "Conflict",
    413: "Request Entity Too Large",
    415: "Unsupported Media Type",
    500: "Internal Server Error",
    503: "Service Unavailable",
    507: "Insufficient Storage",
}

_UNREADABLE: Final = re.compile("%(?![0-9A-Fa-f]{2})|;")
"""In a query parameter."""

JSON_TYPE: Final = (("Content-Type", "application/json"),)


class HttpError(Exception):
    """Ends a request with a status and the text of `message` in the body."""

    def __init__(
        self,
        status: int,
        message: str = "",
        headers: Sequence[tuple[str, str]] = (),
        **fields: str,
    ) -> None:
        """Without a message, the standard phrase of the status. `fields` are added to the body."""
        super().__init__(message or REASONS[status])
        self.status = status
        self.headers = tuple(headers)
        self.fields = fields


class Body(Protocol):
    """The body of a request, read once, bounded by the server's limits."""

    def chunks(self) -> Iterator[bytes]:
        """Pieces as they come; raises HttpError 400, 408 or 413."""

    def trailer(self, name: str) -> str | None:
        """A header sent after the body, announced or not; None before the end or when absent."""


@dataclass(frozen=True)
class Request:
    """What a handler gets."""

    method: str
    path: str
    """Decoded, without the query and without a trailing slash (`/` alone stays)."""
    query: str
    headers: Mapping[str, str]
    """Names in lower case; of repeated ones the last."""
    body: Body

    def parameters(self) -> dict[str, list[str]]:
        """Query parameters with all their values, empty ones kept; Go skips those it can't decode."""
        pieces = [piece for piece in self.query.split("&") if not _UNREADABLE.search(piece)]
        return parse_qs("&".join(pieces), keep_blank_values=True, max_num_fields=10_000)

    def read_body(self, limit: int) -> bytes:
        """The whole body; HttpError 413 beyond `limit` bytes."""
        content = bytearray()
        for chunk in self.body.chunks():
            content += chunk
            if len(content) > limit:
                raise HttpError(413)
        return bytes(content)


@dataclass(frozen=True)
class Response:
    """What a handler gives back. A body that is an iterator is sent chunked, as its pieces come."""

    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes | Iterator[bytes] = b""
    trailers: Callable[[], Sequence[tuple[str, str]]] | None = field(default=None)
    """Asked for after the last piece; to be announced in a `Trailer` header."""


def json_response(value: object, *, status: int = 200, pretty: bool = False) -> Response:
    """One line of JSON and a line feed."""
    return Response(status, JSON_TYPE, render_json(value, pretty))


def error_response(error: HttpError) -> Response:
    """The flat error body every client of Knitfab knows."""
    answer = json_response({"message": str(error), **error.fields}, status=error.status)
    return Response(answer.status, answer.headers + error.headers, answer.body)
