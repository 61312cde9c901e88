"""JSON files whose bytes depend on their content alone, and whose faults are told in one sentence."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from newscore.errors import NewsError


def dump_json(value: object) -> str:
    """Readable JSON: sorted keys, two blanks, UTF-8 as it is, a newline at the end; NaN is refused."""
    return json.dumps(value, sort_keys=True, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def dump_line(value: object) -> str:
    """One JSON value on one line with its newline."""
    return (
        json.dumps(value, sort_keys=True, ensure_ascii=False, allow_nan=False, separators=(",", ":")) + "\n"
    )


def write_json(path: Path, value: object) -> None:
    """Write `dump_json`."""
    path.write_text(dump_json(value), encoding="utf-8")


def write_lines(path: Path, values: Iterable[object]) -> None:
    """Write one JSON value a line."""
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(dump_line(value) for value in values)


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object, naming the file where it is missing, unreadable or no object."""
    try:
        text = path.read_text(encoding="utf-8")
        value = json.loads(text, object_pairs_hook=unique_keys)
    except FileNotFoundError as error:
        raise NewsError(f"{path} is missing: check the path.", code="missing") from error
    except (ValueError, RecursionError) as error:
        raise NewsError(f"{path} is no JSON ({error}): mend or replace it.", code="corrupt") from error
    if not isinstance(value, dict):
        raise NewsError(
            f"{path} holds {type(value).__name__}, but a JSON object is expected.", code="corrupt"
        )
    refuse_half_characters(text, value, str(path))
    return value


def unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object whose keys are unique; of two values for one key, a reader would not know which counts."""
    record = dict(pairs)
    if len(record) < len(pairs):
        twice = next(key for key, count in Counter(key for key, _ in pairs).items() if count > 1)
        raise ValueError(f"the key {twice!r} stands in one object twice")
    return record


def read_lines(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield (line number, object) of a file with one JSON object a line; blank lines are passed over."""
    try:
        with path.open(encoding="utf-8") as file:
            for number, line in enumerate(file, 1):
                if line.strip():
                    yield number, read_line(line, f"{path} line {number}")
    except FileNotFoundError as error:
        raise NewsError(f"{path} is missing: check the path.", code="missing") from error
    except UnicodeDecodeError as error:
        raise NewsError(f"{path} is no UTF-8 text ({error}): mend or replace it.", code="corrupt") from error


def read_line(line: str, place: str) -> dict[str, Any]:
    """One line's JSON object."""
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise NewsError(f"{place} is no JSON ({error}): mend or replace it.", code="corrupt") from error
    if not isinstance(value, dict):
        raise NewsError(f"{place} is no JSON object: mend or replace it.", code="corrupt")
    refuse_half_characters(line, value, place)
    return value


def refuse_half_characters(text: str, value: object, place: str) -> None:
    r"""Refuse lone surrogates: JSON can spell them ("\ud800"), but neither UTF-8 nor a hash can hold them."""
    if "\\ud" not in text.lower():  # no escape for a surrogate: spares long files a second pass
        return
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise NewsError(
            f"{place} has a text with half a character (a lone surrogate): mend or replace it.", "corrupt"
        ) from error


def check_schema(record: Mapping[str, Any], known: int, path: Path) -> None:
    """Refuse a file of another version of its format."""
    if record.get("schema") != known:
        raise NewsError(
            f"{path} has schema {record.get('schema')!r}, but this program reads {known}: "
            "use the version that wrote it.",
            code="corrupt",
        )


def take(record: Mapping[str, Any], key: str, kind: type, path: Path) -> Any:
    """The value of `key`, checked for its type; the file is named where it is absent or another type."""
    value = record.get(key)
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        found = "missing" if key not in record else f"{type(value).__name__}"
        raise NewsError(
            f"{path}: {key!r} is {found}, but {kind.__name__} is expected: mend or replace the file.",
            code="corrupt",
        )
    return value
