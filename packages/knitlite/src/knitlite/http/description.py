"""The OpenAPI description of the WebAPI, as shipped beside the code. Knows no engine."""

from importlib import resources

from knitlite.http.exchange import Request, Response
from knitlite.http.routes import Route


def description_routes() -> list[Route]:
    """`/api/openapi.json`."""

    def describe(_: Request) -> Response:
        return Response(200, (("Content-Type", "application/json"),), read_description())

    return [Route("GET", "/api/openapi.json", describe)]


def read_description() -> bytes:
    """The description, as JSON."""
    return (resources.files("knitlite") / "openapi.json").read_bytes()
