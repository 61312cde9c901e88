"""Query parameters of the WebAPI as values, refused in Knitfab's words. Knows no engine."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from knitfab.errors import KnitError, bad_request
from knitfab.image import split_tag
from knitfab.records import Tag
from knitfab.times import parse_duration, parse_timestamp

from knitlite.statuses import check_statuses

Parameters = Mapping[str, Sequence[str]]


@dataclass(frozen=True)
class Window:
    """A span of time, open at the end without a duration."""

    since: datetime | None
    duration: timedelta | None


def read_tags(parameters: Parameters, name: str) -> tuple[Tag, ...]:
    """A repeatable parameter of tags."""
    return tuple(_read_tag(text) for text in parameters.get(name, ()))


def _read_tag(text: str) -> Tag:
    try:
        return Tag.parse(text)
    except KnitError as error:
        advice = "each tag should be formatted as KEY:VALUE"
        raise bad_request(advice, f"incorrect query tag: {error.message}") from error


def read_plan_tags(parameters: Parameters, name: str) -> tuple[Tag, ...]:
    """The tags of a search for plans, which says less about a bad one."""
    try:
        return read_tags(parameters, name)
    except KnitError as error:
        cause = f"incorrect query param {name.replace('_', '-')}"
        raise bad_request("query specification is incorrect", cause) from error


def read_window(parameters: Parameters) -> Window:
    """`since` and `duration`; a duration alone is refused (Knitfab drops the connection then)."""
    since_text = first(parameters, "since")
    duration_text = first(parameters, "duration")
    since = None
    duration = None
    if since_text:
        try:
            since = parse_timestamp(since_text)
        except KnitError as error:
            raise bad_request('"since" should be a RFC3339 date-time format', error.message) from error
    if duration_text:
        try:
            duration = parse_duration(duration_text)
        except KnitError as error:
            raise bad_request('"duration" should be a Go duration format', error.message) from error
    return Window(since, duration)


def read_joined(parameters: Parameters, name: str) -> tuple[str, ...]:
    """A parameter whose values are joined by commas; of repeated ones the first counts."""
    text = first(parameters, name)
    return tuple(text.split(",")) if text else ()


def read_statuses(parameters: Parameters) -> tuple[str, ...]:
    """`status=done,failed`; refused when one is none that can be searched for."""
    statuses = read_joined(parameters, "status")
    check_statuses(statuses)
    return statuses


def read_active(parameters: Parameters) -> bool | None:
    """`active=true` or `active=false`."""
    text = first(parameters, "active")
    if text in (None, ""):
        return None
    if text not in ("true", "false"):
        raise bad_request("query specification is incorrect", "incorrect query param active")
    return text == "true"


def read_image(parameters: Parameters) -> str | None:
    """`image=[HOST/]NAME[:TAG]`; only a missing name is refused, a search for nonsense finds nothing."""
    text = first(parameters, "image")
    if text and not split_tag(text)[0].rpartition("/")[2]:
        raise bad_request("query specification is incorrect", "invalid image name: image name is empty")
    return text or None


def first(parameters: Parameters, name: str) -> str | None:
    """The first value of a parameter."""
    values = parameters.get(name)
    return values[0] if values else None
