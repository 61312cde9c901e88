"""The one error of this package, its codes, and the one table code ↔ HTTP status. Knows no HTTP library.

A code is for machines, the message for people. Server and client both use the table below, so an error
raised inside an engine arrives at the caller of the client with the same code.
"""

from typing import Final

STATUS: Final[dict[str, int]] = {
    "invalid": 400,
    "unauthorized": 401,
    "forbidden": 403,
    "not_found": 404,
    "not_allowed": 405,
    "timeout": 408,
    "conflict": 409,
    "too_large": 413,
    "internal": 500,
    "unavailable": 503,
    "no_space": 507,
}
"""Codes that travel, each with its own status."""

LOCAL_STATUS: Final[dict[str, int]] = {"corrupt": 400, "missing": 400, "unreachable": 502}
"""Codes that one side uses alone; should one have to be answered, this is its status."""

_GATEWAYS: Final[dict[int, str]] = {502: "unreachable", 504: "unreachable"}
"""What a proxy says of a server that it gets no answer from (RFC 9110, 15.6.3 and 15.6.5)."""

_CODES: Final[dict[int, str]] = {status: code for code, status in STATUS.items()} | _GATEWAYS


class KnitError(Exception):
    """What went wrong: `.code` for machines, `.message` (also `str()`) for people.

    `.wire` is the text as it stands in an error body, lines and all; for an error made by an engine that is
    the message itself, for one received by a client the server's own text.
    """

    def __init__(self, message: str, *, code: str, wire: str | None = None) -> None:
        if code not in STATUS and code not in LOCAL_STATUS:
            raise ValueError(f"no such error code: {code!r}")
        super().__init__(message)
        self.message = message
        self.code = code
        self.wire = message if wire is None else wire

    @property
    def status(self) -> int:
        """The HTTP status that stands for this code."""
        return status_of(self.code)


def status_of(code: str) -> int:
    """The HTTP status of a code."""
    return STATUS.get(code) or LOCAL_STATUS[code]


def code_of(status: int) -> str:
    """The code of an HTTP status; other 4xx are `invalid`, other 5xx `internal`."""
    return _CODES.get(status, "invalid" if 400 <= status < 500 else "internal")


def error_text(reason: str, advice: str = "", cause: str = "") -> str:
    """An error body's text in Knitfab's form: `reason[\\nadvice][\\n caused by:cause]`."""
    text = f"{reason}\n{advice}" if advice else reason
    return f"{text}\n caused by:{cause}" if cause else text


def bad_request(advice: str, cause: str = "") -> KnitError:
    """A 400 in Knitfab's words: `bad request`, what to do, and why."""
    return KnitError(error_text("bad request", advice, cause), code="invalid")


def not_found() -> KnitError:
    """A 404 in Knitfab's words."""
    return KnitError("not found", code="not_found")


def conflict(reason: str, advice: str = "", cause: str = "") -> KnitError:
    """A 409 in Knitfab's form."""
    return KnitError(error_text(reason, advice, cause), code="conflict")
