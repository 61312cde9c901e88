"""Static pages for browsers: files shipped in the folder `pages`, by name. Knows no engine."""

from importlib import resources
from typing import Final

from knitlite.http.exchange import HttpError, Request, Response
from knitlite.http.routes import Route

_TYPES: Final = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}


def page_routes() -> list[Route]:
    """`/` is index.html, `/pages/NAME` any other file."""

    def home(_: Request) -> Response:
        return _send("index.html")

    def page(_: Request, name: str) -> Response:
        return _send(name)

    return [Route("GET", "/", home), Route("GET", "/pages/{}", page)]


def _send(name: str) -> Response:
    folder = resources.files("knitlite") / "pages"
    shipped = {entry.name: entry for entry in folder.iterdir()} if folder.is_dir() else {}
    kind = _TYPES.get(name.rpartition(".")[2])
    if name not in shipped or kind is None:
        raise HttpError(404)
    headers = (("Content-Type", kind), ("Cache-Control", "no-cache"))
    return Response(200, headers, shipped[name].read_bytes())
