"""What a registry's 401 asks for: Basic, or a token of the service it names (Distribution's token auth).

Knows no image. Name and password go to the registry and to its token service, nowhere else, and never without
TLS but on loopback. No sentence tells them, nor a token, nor what a token service says.
"""

from __future__ import annotations

import base64
import json
import os
import re
import time
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from urllib.parse import urlencode
from urllib.request import parse_http_list

from imagelock.errors import ImageError
from imagelock.web import LOOPBACK, Address, Answer, UnansweredError, request

LIFETIME = 60  # seconds of a token that does not say, by the specification
MARGIN = 10.0  # a token that would end within so many seconds is not sent with a chunk any more
MOST_BYTES = 1 << 20  # of a token service's answer
VISIBLE = re.compile(r"[!-~]+")


@dataclass(frozen=True)
class Token:
    """A service's word that its bearer may do something, and how long it counts (monotonic seconds)."""

    value: str
    until: float


@dataclass
class Access:
    """What one registry wants of us and has given. `user` is `name:password`, or empty."""

    user: str = field(default="", repr=False)
    realm: Address | None = None  # of the token service, once the registry has named one
    service: str = ""
    basic: bool = False
    introduced: bool = False  # it was asked what it wants
    tokens: dict[tuple[str, ...], Token] = field(default_factory=dict, repr=False)

    def header(self, scopes: tuple[str, ...]) -> dict[str, str]:
        """What goes with a request that needs these scopes; a token is used again as long as it counts."""
        if self.realm:
            token = self.tokens.get(scopes)
            if token is None or token.until < time.monotonic():
                token = self.tokens[scopes] = self.fetch_token(self.realm, scopes)
            return {"Authorization": f"Bearer {token.value}"}
        return self.basic_header() if self.basic else {}

    def basic_header(self) -> dict[str, str]:
        """Name and password, when there are any."""
        coded = base64.b64encode(os.fsencode(self.user)).decode()
        return {"Authorization": f"Basic {coded}"} if self.user else {}

    def learn(self, answer: Answer) -> str:
        """Take in what a 401 asks for; returns the scopes it names."""
        challenges = parse_challenges(answer.headers.get("www-authenticate", ""))
        bearer = challenges.get("bearer", {})
        if "realm" in bearer:
            self.realm = self.check_realm(answer.address, bearer["realm"])
            self.service = bearer.get("service", "")
        else:
            self.realm, self.basic = None, "basic" in challenges
        return bearer.get("scope", "")

    def renew(self, answer: Answer, scopes: tuple[str, ...]) -> bool:
        """After a 401 in spite of `header`: True when another try has something else to show."""
        shown = self.basic
        more = self.learn(answer).split()
        if self.realm:
            self.tokens[scopes] = self.fetch_token(self.realm, dict.fromkeys((*scopes, *more)))
            return True
        return self.basic and not shown and bool(self.user)

    def check_realm(self, registry: Address, text: str) -> Address:
        """A token service's address; ImageError when what goes there could be read on the way."""
        realm = registry.join(text)
        if not realm.secure and (registry.secure or realm.host not in LOOPBACK):
            raise ImageError(f"{registry} names a token service at {realm} without TLS, to which no name and "
                             "password is sent: ask whoever runs it", code="unreachable")  # fmt: skip
        return realm

    def fetch_token(self, realm: Address, scopes: Iterable[str]) -> Token:
        """Ask for a token; without a user, for what anybody may."""
        asked = [("service", self.service)] if self.service else []
        query = urlencode([*asked, *(("scope", scope) for scope in scopes)])
        there = replace(realm, target=f"{realm.target}{'&' if '?' in realm.target else '?'}{query}")
        with request("GET", there, self.basic_header()) as answer:
            if answer.status in {401, 403}:
                raise self.refused(f"the token service {realm}", scopes)
            if answer.status == 429 or answer.status >= 500:
                raise UnansweredError(f"the token service {realm} said HTTP {answer.status}: run the command "
                                      "again")  # fmt: skip
            token = parse_token(answer.stream(MOST_BYTES).read()) if answer.status == 200 else None
        if token is None:
            raise ImageError(f"the token service {realm} gives no token (HTTP {answer.status}): ask whoever "
                             "runs it", code="unreachable")  # fmt: skip
        return token

    def refused(self, who: str, scopes: Iterable[str]) -> ImageError:
        """The error for whoever does not let us in."""
        what = " ".join(scopes)
        if self.user:
            sentence = (
                f"{who} does not grant the user of IMAGELOCK_REGISTRY_USER {what}: correct its name, "
                "password or rights"
            )
        else:
            sentence = f"{who} wants credentials for {what}: set IMAGELOCK_REGISTRY_USER to name:password"
        return ImageError(sentence, code="unreachable")


def parse_token(data: bytes) -> Token | None:
    """A token service's answer; None when there is no token in it that a header could carry."""
    try:
        said = json.loads(data)
        value = said.get("token") or said.get("access_token")
        lifetime = float(said.get("expires_in") or LIFETIME)
    except (ValueError, TypeError, AttributeError, ArithmeticError, RecursionError):
        return None
    if not isinstance(value, str) or not VISIBLE.fullmatch(value):
        return None
    return Token(value, time.monotonic() + lifetime - MARGIN)


def parse_challenges(text: str) -> dict[str, dict[str, str]]:
    """WWW-Authenticate's schemes with their parameters, names in lower case."""
    found: dict[str, dict[str, str]] = {}
    parameters: dict[str, str] = {}
    for item in parse_http_list(text):
        head, _, value = item.partition("=")
        *scheme, name = head.lower().split() or [""]
        if scheme or not value:
            parameters = found.setdefault(scheme[0] if scheme else name, {})
        if value:
            parameters[name] = value.strip().strip('"')
    return found
