"""The description holds: it is complete, and what it describes is answered without a server error."""

import json
import subprocess
import sys
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from knitfab.openapi import describe_api
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import response_schema_conformance, status_code_conformance

schema = schemathesis.openapi.from_dict(describe_api())


def test_every_call_of_the_facts_is_described() -> None:
    paths = describe_api()["paths"]
    assert isinstance(paths, dict)
    calls = sorted(f"{method.upper()} {path}" for path, item in paths.items() for method in item)
    assert calls == sorted(
        [
            "GET /data",
            "POST /data",
            "GET /data/{knitId}",
            "PUT /data/{knitId}",
            "GET /plans",
            "POST /plans",
            "GET /plans/{planId}",
            "PUT /plans/{planId}/active",
            "DELETE /plans/{planId}/active",
            "PUT /plans/{planId}/resources",
            "PUT /plans/{planId}/annotations",
            "PUT /plans/{planId}/serviceaccount",
            "DELETE /plans/{planId}/serviceaccount",
            "GET /runs",
            "GET /runs/{runId}",
            "DELETE /runs/{runId}",
            "PUT /runs/{runId}/abort",
            "PUT /runs/{runId}/tearoff",
            "PUT /runs/{runId}/retry",
            "GET /runs/{runId}/log",
        ]
    )


def test_it_can_be_printed() -> None:
    program = [sys.executable, "-m", "knitfab.openapi"]
    printed = subprocess.run(program, check=True, capture_output=True).stdout
    assert json.loads(printed) == describe_api()


@schemathesis.serializer("application/tar+gzip")
def send_as_it_is(_context: Any, value: Any) -> bytes:
    """Uploads of noise: what is no archive must be refused."""
    return bytes(getattr(value, "data", value))


@pytest.mark.slow
@schema.parametrize()
@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
def test_no_request_breaks_the_engine(case: Any, api_root: str) -> None:
    response = case.call(base_url=api_root, timeout=30)
    case.validate_response(
        response, checks=[not_a_server_error, response_schema_conformance, status_code_conformance]
    )
