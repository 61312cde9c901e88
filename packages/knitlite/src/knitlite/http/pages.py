"""The web page at `/`: the files of the folder `page`, as they were shipped. Knows no engine.

They hold nothing that is secret and are given out without the token, which the page then asks for. The
policy lets the page load from this server alone and makes markup out of strings impossible.
"""

import hashlib
from functools import cache
from importlib import resources
from typing import Final

from knitlite.http.exchange import Request, Response
from knitlite.http.routes import Route

_KINDS: Final = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
}
_SCRIPTS: Final = ("api", "cells", "elements", "graph", "lineage", "lists", "log", "page", "records")
_FILES: Final = {
    "/": "index.html",
    "/index.html": "index.html",
    "/page/page.css": "page.css",
    **{f"/page/{name}.js": f"{name}.js" for name in _SCRIPTS},
}
PAGE_PATHS: Final = frozenset(_FILES)
"""What a browser must get before it can ask for a token."""

_POLICY: Final = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "connect-src 'self'",
        "img-src data:",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    )
)


def page_routes() -> list[Route]:
    """One route a file."""
    return [Route("GET", path, _send) for path in sorted(_FILES)]


def _send(request: Request) -> Response:
    """The file, or 304 when the browser has it already."""
    name = _FILES[request.path]
    content, version = _read(name)
    headers = (
        ("ETag", version),
        ("Cache-Control", "no-cache"),
        ("Content-Security-Policy", _POLICY),
        ("Referrer-Policy", "no-referrer"),
        ("Cross-Origin-Opener-Policy", "same-origin"),
    )
    known = {tag.strip().removeprefix("W/") for tag in request.headers.get("if-none-match", "").split(",")}
    if known & {version, "*"}:
        return Response(304, headers)
    kind = _KINDS[name.rpartition(".")[2]]
    return Response(200, (("Content-Type", kind), *headers), content)


@cache
def _read(name: str) -> tuple[bytes, str]:
    """A file's content and its entity tag."""
    content = (resources.files("knitlite.http") / "page" / name).read_bytes()
    return content, f'"{hashlib.sha256(content).hexdigest()[:20]}"'
