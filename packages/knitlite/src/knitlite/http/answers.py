"""What all handlers share: reading a JSON body, answering in JSON."""

import json
from typing import Final

from knitfab.errors import KnitError, bad_request
from knitfab.jsonvalue import json_line, parse_json

from knitlite.http.exchange import JSON_TYPE, HttpError, Request, Response, json_response

JSON_LIMIT: Final = 8 * 1024 * 1024
"""Bytes of a JSON body; a tag may have 1 MiB."""


def answer(request: Request, value: object) -> Response:
    """200 with JSON; `?pretty` indents."""
    return json_response(value, pretty="pretty" in request.parameters())


def answer_list(request: Request, text: str) -> Response:
    """200 with a list that is JSON text already; `?pretty` indents."""
    if "pretty" in request.parameters():
        return answer(request, json.loads(text))
    return Response(200, JSON_TYPE, json_line(text))


def read_json(request: Request) -> object:
    """The body as JSON, whatever its Content-Type; HttpError 413 when too large, invalid when it is none."""
    content = request.read_body(JSON_LIMIT)
    try:
        return parse_json(content)
    except KnitError as error:
        raise bad_request("can not understand the requested json", error.message) from error


def require_json_type(request: Request) -> None:
    """Refuse a body that is not declared as JSON; parameters such as a charset are allowed."""
    declared = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if declared != "application/json":
        cause = "code=415, message=Unsupported Media Type"
        raise bad_request("can not understand the requested json", cause)


def to_http_error(error: KnitError, **fields: str) -> HttpError:
    """The status that stands for the error's code, with the text an engine answers."""
    return HttpError(error.status, error.wire, (), **fields)
