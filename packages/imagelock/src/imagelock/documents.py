"""OCI's JSON documents, which anybody may have written: objects, descriptors, digests, read with distrust."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from imagelock.errors import ImageError

DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


def parse_object(data: bytes, what: str) -> dict[str, Any]:
    """A JSON object; ImageError when it is something else."""
    try:
        parsed = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise ImageError(f"{what} is not JSON: {error}", code="corrupt") from None
    if not isinstance(parsed, dict):
        raise ImageError(f"{what} is not a JSON object", code="corrupt")
    return parsed


def is_digest(value: object) -> bool:
    """True for `sha256:<64 hex>`."""
    return isinstance(value, str) and bool(DIGEST.fullmatch(value))


def is_descriptor(row: object) -> bool:
    """True for something with a digest and a size."""
    if not isinstance(row, dict) or not is_digest(row.get("digest")):
        return False
    size = row.get("size")
    return type(size) is int and size >= 0


def hex_of(row: Mapping[str, Any]) -> str:
    """A descriptor's digest without its prefix."""
    digest: str = row["digest"]
    return digest.removeprefix("sha256:")
