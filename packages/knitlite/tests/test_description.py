"""The OpenAPI description: it names every route, and nothing that fits it, or does not, breaks the server."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from knitfab.client import HttpEngine
from knitlite import EmbeddedEngine, ServeSettings, Service
from knitlite.http import App, Limits
from knitlite.http.description import read_description

schema = schemathesis.openapi.from_dict(json.loads(read_description()))
schema.config.generation.update(modes=list(schemathesis.GenerationMode))


@pytest.fixture(scope="module")
def fuzzed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A server of its own: what is thrown at it stays in it."""
    root = tmp_path_factory.mktemp("fuzzed")
    limits = Limits(header_seconds=2, body_seconds=2)
    with Service(ServeSettings(root, port=0, limits=limits)) as started:
        yield started


def test_every_route_is_described(engine: EmbeddedEngine) -> None:
    described = {
        (method.upper(), f"/api{path}")
        for path, operations in json.loads(read_description())["paths"].items()
        for method in operations
        if method != "parameters"
    }
    described = {(method, re.sub(r"\{\w+\}", "{}", path)) for method, path in described}
    served = {(route.method, route.path) for route in App(engine).routes}
    api = {route for route in served if route[1].startswith("/api/")}
    assert api - described == {("GET", "/api/openapi.json")}
    assert described <= served


@schema.parametrize()
@settings(
    max_examples=8,
    deadline=None,
    derandomize=True,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_no_server_error(case: "schemathesis.Case[Any]", fuzzed: Service) -> None:
    response = case.call(base_url=fuzzed.api_root, timeout=20)
    assert response.status_code < 500 or response.status_code == 503, case.as_curl_command()
    assert HttpEngine(fuzzed.api_root).find_plans() is not None
