"""Who may talk to the server."""

from collections.abc import Iterator

import pytest
from knitlite.http.exchange import HttpError, Request
from knitlite.http.guard import Guard


class NoBody:
    def chunks(self) -> Iterator[bytes]:
        return iter(())

    def trailer(self, name: str) -> str | None:
        return {"": None}.get(name)


def ask(guard: Guard, **headers: str) -> int:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    try:
        guard.check(Request("GET", "/api/data", "", named, NoBody()))
    except HttpError as error:
        return error.status
    return 200


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost", 200),
        ("LOCALHOST:8030", 200),
        ("127.0.0.1:8030", 200),
        ("[::1]:8030", 200),
        ("192.168.7.7", 200),
        ("evil.example", 403),
        ("localhost.evil.example:8030", 403),
        ("", 403),
    ],
)
def test_host(host: str, status: int) -> None:
    """A page that was rebound to this machine still sends its own name."""
    assert ask(Guard(), host=host) == status


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("http://localhost:8030", 200),
        ("http://localhost:9999", 403),
        ("https://evil.example", 403),
        ("null", 403),
    ],
)
def test_origin(origin: str, status: int) -> None:
    assert ask(Guard(), host="localhost:8030", origin=origin) == status


def test_cross_site_without_origin() -> None:
    assert ask(Guard(), host="localhost", sec_fetch_site="cross-site") == 403


@pytest.mark.parametrize(
    ("authorization", "status"),
    [
        ("Bearer 0123456789abcdef", 200),
        ("bearer 0123456789abcdef", 200),
        ("Bearer 0123456789abcdeX", 401),
        ("Basic 0123456789abcdef", 401),
        ("Bearer ünïcode", 401),
        ("", 401),
    ],
)
def test_token(authorization: str, status: int) -> None:
    guard = Guard(token="0123456789abcdef")
    assert ask(guard, host="localhost", authorization=authorization) == status
