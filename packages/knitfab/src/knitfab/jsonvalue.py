"""JSON bytes ↔ plain values, and typed access to them. Knows no record.

Written as Go's encoder writes (one line, `<>&` escaped, a line feed at the end): clients were built on it.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Final, NoReturn, TypeVar

from knitfab.errors import KnitError

T = TypeVar("T")

_GO_ESCAPES: Final = str.maketrans(
    {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}
)


_COMPACT: Final = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))
_PRETTY: Final = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ": "), indent=2)


def render_json(value: object, pretty: bool = False) -> bytes:
    """One line of JSON and a line feed; `pretty` indents by two."""
    return json_line(render_text(value, pretty))


def render_text(value: object, pretty: bool = False) -> str:
    """The JSON alone, for whoever puts a longer text together."""
    return (_PRETTY if pretty else _COMPACT).encode(value).translate(_GO_ESCAPES)


def json_line(text: str) -> bytes:
    """Rendered JSON as it travels."""
    return f"{text}\n".encode("utf-8", "replace")


def parse_json(body: bytes) -> object:
    """The value in `body`; not JSON, not UTF-8, too deep or not a number is `invalid`."""
    try:
        value: object = json.loads(body.decode("utf-8"), parse_constant=_refuse_constant)
    except RecursionError as error:
        raise KnitError("the JSON is nested too deeply", code="invalid") from error
    except ValueError as error:
        raise KnitError(f"not JSON: {error}", code="invalid") from error
    return value


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON number")


def as_object(value: object, what: str) -> Mapping[str, object]:
    """`value`, which must be a JSON object."""
    if not isinstance(value, dict):
        raise _wrong(what, "an object", value)
    return value


def as_fields(value: object, what: str, *names: str) -> Mapping[str, object]:
    """An object as Go reads it: these names in any case, the last of one name counts, null is empty."""
    known = {name.lower(): name for name in names}
    fields = as_object({} if value is None else value, what)
    return {known.get(key.lower(), key): item for key, item in fields.items()}


def as_list(value: object, what: str) -> Sequence[object]:
    """`value`, which must be a JSON list; null is the empty list."""
    if value is None:
        return ()
    if not isinstance(value, list):
        raise _wrong(what, "a list", value)
    return value


def as_text(value: object, what: str) -> str:
    """`value`, which must be a string that can be written as UTF-8."""
    if not isinstance(value, str):
        raise _wrong(what, "a string", value)
    if any("\ud800" <= character <= "\udfff" for character in value):
        raise KnitError(f"{what} has half of a surrogate pair", code="invalid")
    return value


def get_text(fields: Mapping[str, object], key: str) -> str:
    """The string under `key`; absent or null is an error."""
    return as_text(fields.get(key), key)


def get_optional_text(fields: Mapping[str, object], key: str) -> str | None:
    """The string under `key`; absent or null is None."""
    value = fields.get(key)
    return None if value is None else as_text(value, key)


def get_texts(fields: Mapping[str, object], key: str) -> tuple[str, ...]:
    """The list of strings under `key`; absent or null is empty."""
    return get_items(fields, key, lambda value: as_text(value, f"an item of {key}"))


def get_items(fields: Mapping[str, object], key: str, read: Callable[[object], T]) -> tuple[T, ...]:
    """The list under `key`, each item read by `read`; absent or null is empty."""
    return tuple(read(item) for item in as_list(fields.get(key), key))


def get_optional(fields: Mapping[str, object], key: str, read: Callable[[object], T]) -> T | None:
    """The value under `key` read by `read`; absent or null is None."""
    value = fields.get(key)
    return None if value is None else read(value)


def _wrong(what: str, wanted: str, value: object) -> KnitError:
    kind = "null" if value is None else type(value).__name__
    return KnitError(f"{what} must be {wanted}, not {kind}", code="invalid")
