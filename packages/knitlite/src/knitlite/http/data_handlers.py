"""Requests about Data. Thin: reads parameters, calls the engine, renders."""

import hashlib
from collections.abc import Iterator
from contextlib import ExitStack

from knitfab.errors import KnitError, error_text
from knitfab.jsonvalue import parse_json
from knitfab.requests import TagChange, tag_change_from_json
from knitfab.tarstream import pack_folder
from knitfab.wire import data_to_json

from knitlite.engine import EmbeddedEngine
from knitlite.http.answers import JSON_LIMIT, answer, answer_list
from knitlite.http.exchange import Request, Response
from knitlite.http.queries import read_tags, read_window
from knitlite.http.routes import Route

TRAILER = "X-Checksum-Md5"


def data_routes(engine: EmbeddedEngine) -> list[Route]:
    """Everything below /api/data."""

    def find(request: Request) -> Response:
        parameters = request.parameters()
        tags = read_tags(parameters, "tag")
        window = read_window(parameters)
        return answer_list(request, engine.find_data_json(tags, window.since, window.duration))

    def upload(request: Request) -> Response:
        """`?tag=` is an extension: content and tags appear together or not at all."""
        tags = read_tags(request.parameters(), "tag")
        body = request.body
        data = engine.receive_data(body.chunks(), tags, lambda: body.trailer(TRAILER))
        return answer(request, data_to_json(data))

    def download(_: Request, knit_id: str) -> Response:
        return _send_content(engine, knit_id)

    def change_tags(request: Request, knit_id: str) -> Response:
        change = _read_tag_change(request)
        data = engine.tag_data(knit_id, change.add, change.remove, change.remove_keys)
        return answer(request, data_to_json(data))

    return [
        Route("GET", "/api/data", find),
        Route("POST", "/api/data", upload),
        Route("GET", "/api/data/{}", download),
        Route("PUT", "/api/data/{}", change_tags),
    ]


def _read_tag_change(request: Request) -> TagChange:
    """The body, whatever its Content-Type."""
    try:
        return tag_change_from_json(parse_json(request.read_body(JSON_LIMIT)))
    except KnitError as error:
        wire = error_text("format error", error.message, error.message)
        raise KnitError(wire, code="invalid") from error


def _send_content(engine: EmbeddedEngine, knit_id: str) -> Response:
    """A tar stream with the MD5 of its compressed bytes as trailer.

    No Content-Encoding: clients would unwrap it and miss the checksum.
    """
    stack = ExitStack()
    folder = stack.enter_context(engine.open_content(knit_id))
    digest = hashlib.md5(usedforsecurity=False)

    def pieces() -> Iterator[bytes]:
        with stack:
            for piece in pack_folder(folder):
                digest.update(piece)
                yield piece

    headers = (("Content-Type", "application/tar+gzip"), ("Trailer", TRAILER))
    return Response(200, headers, pieces(), lambda: [(TRAILER, digest.hexdigest())])
