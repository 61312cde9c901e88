"""The table of paths and methods, and how a request finds its handler. Knows no engine."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from knitlite.http.exchange import HttpError, Request, Response

Handler = Callable[..., Response]
"""Called with the request and the values of the path's placeholders."""


@dataclass(frozen=True)
class Route:
    """One method of one path; `{}` in the path stands for any one segment."""

    method: str
    path: str
    handler: Handler

    def match(self, path: str) -> tuple[str, ...] | None:
        """The values of the placeholders, None when this is another path."""
        wanted, found = self.path.split("/"), path.split("/")
        if len(wanted) != len(found):
            return None
        if any(one not in ("{}", other) for one, other in zip(wanted, found, strict=True)):
            return None
        values = [other for one, other in zip(wanted, found, strict=True) if one == "{}"]
        return None if "" in values else tuple(values)


def dispatch(routes: Sequence[Route], request: Request) -> Response:
    """Answer by the route that fits; HttpError 404, or 405 with the methods there are."""
    allowed = []
    for route in routes:
        values = route.match(request.path)
        if values is None:
            continue
        if route.method == request.method:
            return route.handler(request, *values)
        allowed.append(route.method)
    if allowed:
        headers = (("Allow", ", ".join(["OPTIONS", *sorted(allowed)])),)
        if request.method == "OPTIONS":
            return Response(204, headers)
        raise HttpError(405, headers=headers)
    raise HttpError(404)
