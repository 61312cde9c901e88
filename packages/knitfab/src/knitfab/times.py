"""Timestamps and durations in Knitfab's forms (RFC 3339, Go). Knows no clock.

Out: `2025-03-03T01:02:03.07+00:00`, cut to milliseconds, trailing zeros trimmed, never `Z`.
In: RFC 3339 with seconds and an offset or `Z`, any fraction. Year 1 with any offset is accepted.
"""

import re
from datetime import UTC, datetime, timedelta, timezone
from fractions import Fraction
from typing import Final

from knitfab.errors import KnitError

_RFC3339: Final = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt](\d\d):(\d\d):(\d\d)(?:[.,](\d+))?(?:([Zz])|([+-])(\d\d):(\d\d))", re.ASCII
)
_UNITS: Final[dict[str, Fraction]] = {
    "ns": Fraction(1, 1000),
    "us": Fraction(1),
    "µs": Fraction(1),
    "μs": Fraction(1),
    "ms": Fraction(1000),
    "s": Fraction(1_000_000),
    "m": Fraction(60_000_000),
    "h": Fraction(3_600_000_000),
}
"""Microseconds a unit of Go's durations."""
_LONGEST: Final = Fraction((1 << 63) - 1, 1000)
"""Go keeps a duration in 64 bits of nanoseconds."""


def format_timestamp(when: datetime) -> str:
    """`when` (with an offset) as responses show it."""
    if when.tzinfo is None:
        raise ValueError("a timestamp needs an offset")
    text = when.isoformat(timespec="milliseconds")
    return text[:19] + text[19:23].rstrip("0").rstrip(".") + text[23:]


def parse_timestamp(text: str) -> datetime:
    """An RFC 3339 date-time; digits below the microsecond are cut."""
    match = _RFC3339.fullmatch(text)
    if match is None:
        raise KnitError(_not_a_time(text), code="invalid")
    fraction = int((match[7] or "0")[:6].ljust(6, "0"))
    try:
        zone = UTC if match[8] else _offset(match[9], int(match[10]), int(match[11]))
        year, month, day, hour, minute, second = (int(match[place]) for place in range(1, 7))
        return datetime(year, month, day, hour, minute, second, fraction, zone)
    except ValueError as error:
        raise KnitError(f'parsing time "{text}": {error}', code="invalid") from error


def utc_micros(when: datetime) -> int:
    """Microseconds since 1970, for any year and offset (comparing aware year-1 times can overflow)."""
    offset = when.utcoffset() or timedelta()
    return (when.replace(tzinfo=None) - datetime(1970, 1, 1) - offset) // timedelta(microseconds=1)


def _offset(sign: str, hours: int, minutes: int) -> timezone:
    if hours > 23 or minutes > 59:
        raise ValueError("offset out of range")
    offset = timedelta(hours=hours, minutes=minutes)
    return timezone(-offset if sign == "-" else offset)


def _not_a_time(text: str) -> str:
    layout = "2006-01-02T15:04:05.999999999Z07:00"
    return f'parsing time "{text}" as "{layout}": cannot parse "{text}" as RFC 3339'


def parse_duration(text: str) -> timedelta:
    """A duration in Go's syntax (`24h0m0s`, `1.5h`, `-300ms`, `0`); rounded to the microsecond."""
    rest, sign = (text[1:], -1 if text[0] == "-" else 1) if text[:1] in ("+", "-") else (text, 1)
    if rest == "0":
        return timedelta()
    if not rest:
        raise KnitError(f'time: invalid duration "{text}"', code="invalid")
    total = Fraction(0)
    while rest:
        match = re.match(r"(\d+\.?\d*|\.\d+)([^0-9.]*)", rest, re.ASCII)
        if match is None:
            raise KnitError(f'time: invalid duration "{text}"', code="invalid")
        if not match[2]:
            raise KnitError(f'time: missing unit in duration "{text}"', code="invalid")
        if match[2] not in _UNITS:
            raise KnitError(f'time: unknown unit "{match[2]}" in duration "{text}"', code="invalid")
        if len(match[1]) > 40:
            raise KnitError(f'time: invalid duration "{text}"', code="invalid")
        total += Fraction(match[1].rstrip(".")) * _UNITS[match[2]]
        rest = rest[match.end() :]
    if total > _LONGEST:
        raise KnitError(f'time: invalid duration "{text}"', code="invalid")
    return timedelta(microseconds=sign * round(total))


def format_duration(duration: timedelta) -> str:
    """As Go prints it: `24h0m0s`, `1.5s`, `300ms`, `0s`."""
    micros = duration // timedelta(microseconds=1)
    sign, micros = ("-", -micros) if micros < 0 else ("", micros)
    if micros < 1000:
        return f"{sign}{micros}µs" if micros else "0s"
    if micros < 1_000_000:
        return f"{sign}{_decimal(micros, 1000)}ms"
    minutes, rest = divmod(micros, 60_000_000)
    hours, minutes = divmod(minutes, 60)
    seconds = f"{_decimal(rest, 1_000_000)}s"
    if hours:
        return f"{sign}{hours}h{minutes}m{seconds}"
    return f"{sign}{minutes}m{seconds}" if minutes else f"{sign}{seconds}"


def _decimal(number: int, unit: int) -> str:
    whole, part = divmod(number, unit)
    digits = len(str(unit)) - 1
    return f"{whole}.{part:0{digits}d}".rstrip("0").rstrip(".")
