"""What all handlers share: reading a JSON body, answering in JSON."""

import json
from collections.abc import Callable, Iterator, Sequence
from typing import Final, TypeVar

from knitfab.errors import KnitError, bad_request
from knitfab.jsonvalue import json_line, parse_json

from knitlite.http.exchange import JSON_TYPE, HttpError, Request, Response, json_response

T = TypeVar("T")

JSON_LIMIT: Final = 8 * 1024 * 1024
"""Bytes of a JSON body; a tag may have 1 MiB."""

_AT_ONCE: Final = 256
"""So many items of a list are sent at once: a long one as a whole would be copied again and again."""


def answer(request: Request, value: object) -> Response:
    """200 with JSON; `?pretty` indents."""
    return json_response(value, pretty="pretty" in request.parameters())


def answer_list(request: Request, items: Sequence[str]) -> Response:
    """200 with a list whose items are JSON text already; `?pretty` indents."""
    if "pretty" in request.parameters():
        return answer(request, [json.loads(item) for item in items])
    if len(items) <= _AT_ONCE:
        return Response(200, JSON_TYPE, json_line(f"[{','.join(items)}]"))
    return Response(200, JSON_TYPE, _pieces_of(items))


def _pieces_of(items: Sequence[str]) -> Iterator[bytes]:
    before = "["
    for start in range(0, len(items), _AT_ONCE):
        yield f"{before}{','.join(items[start : start + _AT_ONCE])}".encode("utf-8", "replace")
        before = ","
    yield b"]\n"


def read_json(request: Request) -> object:
    """The body as JSON, whatever its Content-Type; HttpError 413 when too large, invalid when it is none."""
    content = request.read_body(JSON_LIMIT)
    try:
        return parse_json(content)
    except KnitError as error:
        raise bad_request("can not understand the requested json", error.message) from error


def read_change(request: Request, read: Callable[[object], T], advice: str) -> T:
    """A change of a plan, declared as JSON (a charset beside it is allowed); no body changes nothing."""
    content = request.read_body(JSON_LIMIT)
    declared = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if content and declared != "application/json":
        raise bad_request(advice, "code=415, message=Unsupported Media Type")
    try:
        return read(parse_json(content) if content else {})
    except KnitError as error:
        cause = f"code=400, message={error.message}, internal={error.message}"
        raise bad_request(advice, cause) from error


def to_http_error(error: KnitError, **fields: str) -> HttpError:
    """The status that stands for the error's code, with the text an engine answers."""
    return HttpError(error.status, error.wire, (), **fields)
