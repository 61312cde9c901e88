"""One HTTP request: an answer whose body breaks off loudly, and redirects by rule. Knows no registry.

Believes no server: an address that is none is refused before anyone is asked; what is private goes to the
host that was asked first and to no other; no sentence tells more of an address than its host, since the
rest may carry a signature.
"""

from __future__ import annotations

import http.client
import io
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO
from urllib.parse import urljoin, urlsplit

from imagelock.canonical import CHUNK
from imagelock.errors import ImageError

LOOPBACK = {"localhost", "127.0.0.1", "::1"}
TIMEOUT = 60.0
REDIRECTS = {301, 302, 303, 307, 308}
MOST_HOPS = 5
TARGET = re.compile(r"/[!-~]*")
HOST = re.compile(r"[A-Za-z0-9._:-]+")  # what may stand in a sentence, too


class UnansweredError(ImageError):
    """A server went away, before or within an answer, or is busy: worth another try."""

    def __init__(self, sentence: str) -> None:
        super().__init__(sentence, code="unreachable")


@dataclass(frozen=True)
class Address:
    """Where a request goes; as text it is host[:port] alone."""

    secure: bool
    host: str
    port: int | None
    target: str = "/"

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}" if self.port else host

    @property
    def origin(self) -> tuple[bool, str, int]:
        """Whom a connection to it reaches."""
        return self.secure, self.host, self.port or (443 if self.secure else 80)

    def join(self, text: str) -> Address:
        """What an address, whole or relative, means in an answer of this one; ImageError when it is none."""
        try:
            parts = urlsplit(urljoin(f"{'https' if self.secure else 'http'}://{self}{self.target}", text))
            target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
            there = Address(parts.scheme == "https", parts.hostname or "", parts.port, target)
        except ValueError:
            parts, there = urlsplit(""), self
        if parts.scheme not in {"http", "https"} or not HOST.fullmatch(there.host):
            raise ImageError(f"{self} sends to an address that is none of HTTP: ask whoever runs it",
                             code="corrupt")  # fmt: skip
        return there


class Body(io.RawIOBase):
    """An answer's body up to `most` bytes; UnansweredError when it breaks off, which http.client takes for
    its end.
    """

    def __init__(self, response: http.client.HTTPResponse, address: Address, most: int) -> None:
        self.response, self.address, self.left = response, address, most

    def readable(self) -> bool:
        """True: a body is for reading."""
        return True

    def readinto(self, buffer: Any) -> int:
        """The next bytes."""
        if not self.left:
            return 0
        try:
            count = self.response.readinto(memoryview(buffer)[: self.left])
        except (OSError, http.client.HTTPException) as error:
            raise unanswered(self.address, error) from None
        if not count and self.response.length:
            raise unanswered(self.address, "the connection was closed early")
        self.left -= count
        return count


@dataclass(frozen=True)
class Answer:
    """What a server says; a context that closes the connection."""

    address: Address
    status: int
    headers: Mapping[str, str]  # names in lower case; what is said twice stands in one line, with commas
    response: http.client.HTTPResponse
    connection: http.client.HTTPConnection

    def __enter__(self) -> Answer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Hang up. A server that hangs up itself leaves the answer open, not the connection."""
        self.response.close()
        self.connection.close()

    def stream(self, most: int) -> io.BufferedReader[Any]:
        """The body, which ends after `most` bytes at the latest: no server may keep us reading for ever."""
        return io.BufferedReader(Body(self.response, self.address, most), CHUNK)


def unanswered(address: Address, error: object) -> UnansweredError:
    """The sentence for a server that does not answer; of one that speaks no HTTP its words are not told."""
    if isinstance(error, http.client.HTTPException) and not isinstance(error, OSError):
        error = f"what it says is no HTTP ({type(error).__name__})"
    return UnansweredError(f"{address} does not answer: {error}; start it or correct the address")


def request(
    method: str, address: Address, headers: Mapping[str, str], body: BinaryIO | None = None
) -> Answer:
    """Send one request on a connection of its own."""
    if not TARGET.fullmatch(address.target):
        raise ImageError(f"{address} was to be asked for what is no path of HTTP: ask whoever runs it",
                         code="corrupt")  # fmt: skip
    kind = http.client.HTTPSConnection if address.secure else http.client.HTTPConnection
    _, host, port = address.origin  # without a port, http.client would look for one in an IPv6 address
    connection = kind(host, port, timeout=TIMEOUT, blocksize=CHUNK)
    try:
        connection.request(method, address.target, body=body, headers=dict(headers))
        answer = connection.getresponse()
    except (OSError, http.client.HTTPException, UnicodeError) as error:  # of a host that no name can have
        connection.close()
        raise unanswered(address, error) from None
    found: dict[str, str] = {}
    for key, value in answer.getheaders():
        name = key.lower()
        found[name] = f"{found[name]}, {value}" if name in found else value
    return Answer(address, answer.status, found, answer, connection)


def follow(answer: Answer, method: str, headers: Mapping[str, str], private: Mapping[str, str]) -> Answer:
    """The answer at the end of redirects, which blobs have: the registry's own bytes lie with others.

    `private` headers go to the first host only. ImageError: a redirect that gives up TLS, too many of them,
    or a refusal by the other host, whose words, which may tell a signature, are not repeated.
    """
    first, hops = answer.address, 0
    while answer.status in REDIRECTS:
        with answer:
            hops += 1
            there = answer.address.join(answer.headers.get("location", ""))
        if answer.address.secure and not there.secure:
            raise ImageError(f"{answer.address} sends to {there} without TLS, where imagelock does not "
                             "follow: ask whoever runs it", code="unreachable")  # fmt: skip
        if hops > MOST_HOPS:
            raise ImageError(f"{first} sends from place to place, {hops} times by now: ask whoever runs it",
                             code="unreachable")  # fmt: skip
        if there.origin != first.origin:
            private = {}  # for good: what another host sends back for is its own choice
        answer = request(method, there, {**headers, **private})
    if method == "GET" and answer.status >= 400 and answer.address.origin != first.origin:
        with answer:
            raise ImageError(f"{first} sends to {answer.address}, which answers HTTP {answer.status}: run "
                             "the command again, or ask whoever runs it", code="unreachable")  # fmt: skip
    return answer
