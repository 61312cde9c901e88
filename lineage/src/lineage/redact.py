"""Keeps secrets out of MLflow: whatever is mirrored is public to everyone who reads MLflow.

Pure functions over strings; knows no tracker.
"""

import re

WITHHELD = "(withheld)"

_SECRET_KEY = re.compile(
    r"(?:^|[._\-/ ])(?:password|passwd|secret|api[_-]?key|access[_-]?key|private[_-]?key"
    r"|credentials?|(?:auth|access|bearer|hf|hub)?[_-]?token)$",
    re.IGNORECASE,
)
_SECRET_VALUE = re.compile(
    r"\bsk-[A-Za-z0-9_\-]{16,}|\bhf_[A-Za-z0-9]{16,}|\bgh[pousr]_[A-Za-z0-9]{20,}"
    r"|\bAKIA[A-Z0-9]{16}\b|(?<=://)[^/\s:@]+:[^/\s@]+(?=@)|(?<=[Bb]earer )[A-Za-z0-9._\-]{16,}"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----"
)


def redact(key: str, value: str) -> str:
    """`value`, unless the key names a secret; secrets inside the value are replaced in place."""
    if value and _SECRET_KEY.search(key):
        return WITHHELD
    return redact_text(value)


def redact_text(text: str) -> str:
    """`text` with everything that has the form of a credential replaced."""
    return _SECRET_VALUE.sub(WITHHELD, text)
