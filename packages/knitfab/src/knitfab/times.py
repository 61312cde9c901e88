"""Timestamps and durations in Knitfab's forms (RFC 3339, Go). Knows no clock.

Out: `2025-03-03T01:02:03.07+00:00`, cut to milliseconds, trailing zeros trimmed, never `Z`.
In: RFC 3339 with seconds and an offset or `Z`, any fraction. Year 1 with any offset is accepted.
"""

import re
from datetime import UTC, datetime, timedelta, timezone
from fractions import Fraction
from typing import Final

from knitfab.errors import KnitError

_LAYOUT: Final = "2006-01-02T15:04:05.999999999Z07:00"
_STEPS: Final = tuple(
    (name, re.compile(pattern, re.ASCII), word, limits)
    for name, pattern, word, limits in (
        ("2006", r"(\d{4})", "year", (0, 9999)),
        ("-", "-", "", ()),
        ("01", r"(\d\d)", "month", (1, 12)),
        ("-", "-", "", ()),
        ("02", r"(\d\d)", "day", (0, 99)),
        ("T", "T", "", ()),
        ("15", r"(\d\d?)", "hour", (0, 23)),
        (":", ":", "", ()),
        ("04", r"(\d\d)", "minute", (0, 59)),
        (":", ":", "", ()),
        ("05", r"(\d\d)", "second", (0, 59)),
    )
)
"""How Go reads its layout: each part on its own, its range at once; the day's range at the end."""
_FRACTION: Final = re.compile(r"[.,](\d+)", re.ASCII)
_ZONE: Final = re.compile(r"Z|([+-])(\d\d):(\d\d)", re.ASCII)
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
    rest, numbers = text, list[int]()
    for name, pattern, word, limits in _STEPS:
        match = pattern.match(rest)
        if match is None:
            raise _not_a_time(text, rest, name)
        rest = rest[match.end() :]
        if limits:
            numbers.append(_in_range(text, int(match[1]), word, *limits))
    fraction = _FRACTION.match(rest)
    rest = rest[fraction.end() :] if fraction else rest
    zone = _ZONE.match(rest)
    if zone is None:
        raise _not_a_time(text, rest, "Z07:00")
    offset = _offset(text, zone)
    if extra := rest[zone.end() :]:
        raise _out_of_form(text, f'extra text: "{extra}"')
    year, month, day, hour, minute, second = numbers
    micros = int(fraction[1][:6].ljust(6, "0")) if fraction else 0
    try:
        if abs(offset) < timedelta(days=1):
            return datetime(year, month, day, hour, minute, second, micros, timezone(offset))
        return datetime(year, month, day, hour, minute, second, micros, UTC) - offset
    except (ValueError, OverflowError) as error:
        raise _out_of_form(text, f"{'day' if year else 'year'} out of range") from error


def utc_micros(when: datetime) -> int:
    """Microseconds since 1970, for any year and offset (comparing aware year-1 times can overflow)."""
    offset = when.utcoffset() or timedelta()
    return (when.replace(tzinfo=None) - datetime(1970, 1, 1) - offset) // timedelta(microseconds=1)


def _offset(text: str, zone: re.Match[str]) -> timedelta:
    if zone[1] is None:
        return timedelta()
    hours = _in_range(text, int(zone[2]), "time zone offset hour", 0, 24)
    minutes = _in_range(text, int(zone[3]), "time zone offset minute", 0, 60)
    offset = timedelta(hours=hours, minutes=minutes)
    return -offset if zone[1] == "-" else offset


def _in_range(text: str, number: int, word: str, lowest: int, highest: int) -> int:
    if not lowest <= number <= highest:
        raise _out_of_form(text, f"{word} out of range")
    return number


def _not_a_time(text: str, rest: str, part: str) -> KnitError:
    return KnitError(
        f'parsing time "{text}" as "{_LAYOUT}": cannot parse "{rest}" as "{part}"', code="invalid"
    )


def _out_of_form(text: str, problem: str) -> KnitError:
    return KnitError(f'parsing time "{text}": {problem}', code="invalid")


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
