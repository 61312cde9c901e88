"""Who may talk to the server: against DNS rebinding, other web sites, and strangers. Knows no route."""

import hmac
import ipaddress
from dataclasses import dataclass
from urllib.parse import urlsplit

from knitlite.http.exchange import HttpError, Request


@dataclass(frozen=True)
class Guard:
    """Checks every request before it is looked at."""

    host_names: frozenset[str] = frozenset({"localhost"})
    """Names the server goes by. Bare IP addresses always pass: a rebinding attack needs a name."""
    token: str | None = None
    """What `Authorization: Bearer` must hold, if anything."""

    public_paths: frozenset[str] = frozenset()
    """Given out without the token."""

    def check(self, request: Request) -> None:
        """Raises HttpError 401 or 403."""
        host = request.headers.get("host", "")
        if not self._is_ours(host):
            raise HttpError(403, f"forbidden\n caused by:this server does not go by the name {host[:80]!r}")
        origin = request.headers.get("origin")
        if origin is not None and urlsplit(origin).netloc.lower() != host.lower():
            raise HttpError(403, f"forbidden\n caused by:a page of {origin[:80]!r} may not call this server")
        if request.headers.get("sec-fetch-site") == "cross-site":
            raise HttpError(403, "forbidden\n caused by:a page of another site may not call this server")
        if self.token is not None and request.path not in self.public_paths:
            self._check_token(request.headers.get("authorization", ""))

    def _check_token(self, authorization: str) -> None:
        scheme, _, given = authorization.partition(" ")
        assert self.token is not None
        known = scheme.lower() == "bearer" and hmac.compare_digest(
            given.strip().encode(), self.token.encode()
        )
        if not known:
            text = "unauthorized\nsend the header Authorization: Bearer TOKEN"
            raise HttpError(401, text, [("WWW-Authenticate", "Bearer")])

    def _is_ours(self, host: str) -> bool:
        name = host_name(host)
        return name in self.host_names or is_address(name)


def host_name(host: str) -> str:
    """A Host header without its port and brackets, in lower case."""
    if host.startswith("["):
        return host[1:].partition("]")[0].lower()
    return host.partition(":")[0].lower()


def is_address(text: str) -> bool:
    """Whether this is an IP address rather than a name."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
