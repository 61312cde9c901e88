"""What makes a plan acceptable, in Knitfab's own words: pure rules over a PlanSpec. Knows no engine.

Client and engine use the same rules, so a plan that passes here is not refused there for its form. The limits
of length stand for what Knitfab answers with a 500.
"""

import posixpath
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from knitfab.errors import KnitError, bad_request
from knitfab.records import (
    KNIT_ID,
    KNIT_TIMESTAMP,
    KNIT_TRANSIENT,
    Mountpoint,
    PlanSpec,
    Tag,
)
from knitfab.times import parse_timestamp

_LABEL_NAME: Final = r"[a-zA-Z0-9]([-a-zA-Z0-9]{0,61}[a-zA-Z0-9])?"
_LABEL_KEY: Final = re.compile(rf"({_LABEL_NAME}(\.{_LABEL_NAME})*/)?{_LABEL_NAME}", re.ASCII)
_LABEL_VALUE: Final = re.compile(r"[a-zA-Z0-9]([-._a-zA-Z0-9]{0,61}[a-zA-Z0-9])?", re.ASCII)
_RESERVED: Final = 'cannot have tag starting with "knit#" (reserved by system)'
_LOG: Final = "log"

TAG_KEY_LIMIT: Final = 1024
TAG_VALUE_LIMIT: Final = 1 << 20
PATH_LIMIT: Final = 4096
ANNOTATION_KEY_LIMIT: Final = 253
SERVICE_ACCOUNT_LIMIT: Final = 63
RESOURCE_LIMIT: Final = 1024


def validate_plan(spec: PlanSpec) -> PlanSpec:
    """The spec with its paths trimmed of one trailing slash; raises the first rule it breaks, as a 400."""
    for message in plan_problems(spec):
        text = f"plan spec is invalid: {message}"
        raise bad_request(text, text)
    return _trimmed(spec)


def plan_problems(spec: PlanSpec) -> Iterator[str]:
    """Every rule the spec breaks, in the order Knitfab checks them."""
    yield from _node_problems(spec)
    if not spec.image:
        yield "nameless or versionless image(:)"
    if not spec.inputs:
        yield "unreachable plan: no inputs"
    if any(not entry.path for entry in (*spec.inputs, *spec.outputs)):
        yield _bad_path("", "path is empty")
    trimmed = _trimmed(spec)
    inputs = sorted(trimmed.inputs, key=lambda entry: entry.path)
    outputs = sorted(trimmed.outputs, key=lambda entry: entry.path)
    for entry in inputs:
        yield from _path_problems(entry.path)
        yield from _input_tag_problems(entry)
        yield from _overlaps(entry, inputs, outputs)
    for entry in outputs:
        yield from _path_problems(entry.path)
        yield from _output_tag_problems(entry.path, entry.tags, f"output {_RESERVED}")
        yield from _overlaps(entry, outputs, [])
    yield from _output_tag_problems(_LOG, spec.log or (), f"log {_RESERVED}")
    yield from _length_problems(trimmed)


def tag_problem(tag: Tag) -> str | None:
    """Why an engine can't keep this tag, None when it can.

    A quote, a backslash or a control character makes Knitfab's own listings fail for everyone, so such
    tags are refused on both sides.
    """
    if not tag.key:
        return "tag key is empty"
    if any(character in '"\\' or ord(character) < 32 or ord(character) == 127 for character in str(tag)):
        return "tag has a quote, a backslash or a control character, which engines can not show"
    if ":" in tag.key:
        return "tag key has a colon"
    if len(tag.key) > TAG_KEY_LIMIT:
        return f"tag key is longer than {TAG_KEY_LIMIT} characters"
    if len(tag.value.encode("utf-8", "replace")) > TAG_VALUE_LIMIT:
        return f"tag value is longer than {TAG_VALUE_LIMIT} bytes"
    return None


def paths_overlap(path: str, other: str) -> bool:
    """Knitfab's crude check: one is a string prefix of the other and a slash, so /in/1 and /in/10 overlap."""
    return f"{path.rstrip('/')}/".startswith(other) or f"{other.rstrip('/')}/".startswith(path)


def _trimmed(spec: PlanSpec) -> PlanSpec:
    def trim(entry: Mountpoint) -> Mountpoint:
        return replace(entry, path=entry.path.removesuffix("/"))

    return replace(
        spec, inputs=tuple(trim(entry) for entry in spec.inputs), outputs=tuple(map(trim, spec.outputs))
    )


def _bad_path(path: str, why: str) -> str:
    return f"bad mountpoint path (path = {path}) {why}"


def _bad_tag(path: str, why: str) -> str:
    return f"bad tag (path = {path}): {why}"


def _path_problems(path: str) -> Iterator[str]:
    if not path.startswith("/") or path.startswith("//") or posixpath.normpath(path) != path:
        yield _bad_path(path, "not absolute or not clean")
    if "\0" in path or len(path.encode("utf-8", "replace")) > PATH_LIMIT:
        yield _bad_path(path[:80], f"has a zero byte or is longer than {PATH_LIMIT} bytes")


def _input_tag_problems(entry: Mountpoint) -> Iterator[str]:
    if not entry.tags:
        yield _bad_tag(entry.path, "no tags for input")
    for tag in entry.tags:
        if tag.key == KNIT_TRANSIENT:
            yield _bad_tag(entry.path, 'data with "knit#transient" are never used')
        elif tag.is_system and tag.key not in (KNIT_ID, KNIT_TIMESTAMP):
            yield _bad_tag(entry.path, f"unknown system tag: {tag}")
        elif tag.key == KNIT_TIMESTAMP and not _is_timestamp(tag.value):
            yield _bad_tag(entry.path, f"{tag} is no RFC3339 date-time")
        elif problem := tag_problem(tag):
            yield _bad_tag(entry.path, problem)
    for key in (KNIT_ID, KNIT_TIMESTAMP):
        if len({tag.value for tag in entry.tags if tag.key == key}) > 1:
            yield _bad_tag(entry.path, f'"{key}:..." found twice (or more)')


def _output_tag_problems(path: str, tags: tuple[Tag, ...], reserved: str) -> Iterator[str]:
    if any(tag.is_system for tag in tags):
        yield _bad_tag(path, reserved)
    for tag in tags:
        problem = None if tag.is_system else tag_problem(tag)
        if problem:
            yield _bad_tag(path, problem)


def _overlaps(entry: Mountpoint, same: list[Mountpoint], others: list[Mountpoint]) -> Iterator[str]:
    """Pairs with a later entry of its own side (so each pair is told once), or with any of the other side."""
    index = next(place for place, found in enumerate(same) if found is entry)
    for other in (*same[index + 1 :], *others):
        if paths_overlap(entry.path, other.path):
            yield f"mountpoints are overlapped: {entry.path}, {other.path}"


def _node_problems(spec: PlanSpec) -> Iterator[str]:
    for key, value in (*spec.on_node.may, *spec.on_node.prefer, *spec.on_node.must):
        if not _LABEL_KEY.fullmatch(key) or len(key.partition("/")[0]) > 253:
            shown = f"bad pattern: {key}" if key else "key is empty"
            yield f"on_node: invalid key: {shown}"
        if not _LABEL_VALUE.fullmatch(value):
            shown = f"bad pattern: {value}" if value else "value is empty"
            yield f"on_node: invalid value: {shown}"


def _length_problems(spec: PlanSpec) -> Iterator[str]:
    for key, value in spec.annotations:
        if not key or len(key) > ANNOTATION_KEY_LIMIT or len(value) > TAG_VALUE_LIMIT:
            yield f"bad annotation {key[:80]!r}: the key needs 1 to {ANNOTATION_KEY_LIMIT} characters"
    for name in spec.resources:
        if not name or len(name) > RESOURCE_LIMIT:
            yield f"bad resource name {name[:80]!r}: it needs 1 to {RESOURCE_LIMIT} characters"
    if len(spec.service_account or "") > SERVICE_ACCOUNT_LIMIT:
        yield f"service account is longer than {SERVICE_ACCOUNT_LIMIT} characters"


def _is_timestamp(text: str) -> bool:
    try:
        parse_timestamp(text)
    except KnitError:
        return False
    return True
