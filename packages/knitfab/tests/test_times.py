from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st
from knitfab.errors import KnitError
from knitfab.times import (
    format_duration,
    format_timestamp,
    parse_duration,
    parse_timestamp,
    utc_micros,
)

ZONES = st.integers(-23 * 60, 23 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
WHENS = st.datetimes(timezones=ZONES)


@pytest.mark.parametrize(
    ("micros", "shown"),
    [
        (70_000, "2025-03-03T01:02:03.07+00:00"),
        (300_999, "2025-03-03T01:02:03.3+00:00"),
        (123_999, "2025-03-03T01:02:03.123+00:00"),
        (999, "2025-03-03T01:02:03+00:00"),
        (0, "2025-03-03T01:02:03+00:00"),
    ],
)
def test_shown_to_milliseconds_without_trailing_zeros(micros: int, shown: str) -> None:
    assert format_timestamp(datetime(2025, 3, 3, 1, 2, 3, micros, UTC)) == shown


def test_naive_is_refused() -> None:
    with pytest.raises(ValueError, match="offset"):
        format_timestamp(datetime(2025, 1, 1))


@given(WHENS)
def test_round_trip_to_the_millisecond(when: datetime) -> None:
    back = parse_timestamp(format_timestamp(when))
    assert back == when.replace(microsecond=when.microsecond // 1000 * 1000)
    assert back.utcoffset() == when.utcoffset()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0001-01-01T00:00:00Z", datetime(1, 1, 1, tzinfo=UTC)),
        ("2024-10-31T01:23:00.5+09:00", datetime(2024, 10, 30, 16, 23, 0, 500_000, UTC)),
        ("2024-10-31T1:23:00+24:00", datetime(2024, 10, 30, 1, 23, tzinfo=UTC)),
        ("2024-10-31T01:23:00.123456789Z", datetime(2024, 10, 31, 1, 23, 0, 123_456, UTC)),
    ],
)
def test_reads_rfc_3339(text: str, expected: datetime) -> None:
    assert parse_timestamp(text) == expected


def test_year_one_east_of_greenwich_has_a_number() -> None:
    """datetime itself can't turn it into UTC: that would be the year 0."""
    assert utc_micros(parse_timestamp("0001-01-01T00:00:00+09:00")) == -62135596800_000_000 - 9 * 3600_000_000


@pytest.mark.parametrize(
    "text",
    [
        "2024-01-01",
        "",
        "2024-01-01T00:00:00",
        "2024-13-01T00:00:00Z",
        "2024-01-01T00:00:00+25:00",
        "2024-01-01t00:00:00z",
        "2024-01-01T00:00:00Z ",
        "2024-01-00T00:00:00Z",
        "0000-01-01T00:00:00Z",
        "0001-01-01T00:00:00+24:00",
        "now",
        "٢",
    ],
)
def test_refuses_other_forms(text: str) -> None:
    with pytest.raises(KnitError, match="parsing time") as error:
        parse_timestamp(text)
    assert error.value.code == "invalid"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("24h0m0s", timedelta(hours=24)),
        ("1h30m", timedelta(minutes=90)),
        ("300ms", timedelta(milliseconds=300)),
        ("1.5h", timedelta(minutes=90)),
        ("-1.5s", timedelta(seconds=-1.5)),
        ("+.5s", timedelta(seconds=0.5)),
        ("0", timedelta()),
        ("1us2µs3μs", timedelta(microseconds=6)),
        ("1000ns", timedelta(microseconds=1)),
    ],
)
def test_reads_go_durations(text: str, expected: timedelta) -> None:
    assert parse_duration(text) == expected


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("1d", 'time: unknown unit "d" in duration "1d"'),
        ("1", 'time: missing unit in duration "1"'),
        ("", 'time: invalid duration ""'),
        ("h", 'time: invalid duration "h"'),
        ("1h-1m", 'time: unknown unit "h-" in duration "1h-1m"'),
        ("3000000h", 'time: invalid duration "3000000h"'),
        ("9" * 5000 + "h", "invalid duration"),
    ],
)
def test_refuses_other_durations_in_gos_words(text: str, why: str) -> None:
    with pytest.raises(KnitError) as error:
        parse_duration(text)
    assert why in error.value.message


@pytest.mark.parametrize(
    ("duration", "shown"),
    [
        (timedelta(days=1), "24h0m0s"),
        (timedelta(minutes=5, seconds=1.5), "5m1.5s"),
        (timedelta(seconds=2), "2s"),
        (timedelta(milliseconds=300), "300ms"),
        (timedelta(microseconds=7), "7µs"),
        (timedelta(), "0s"),
        (timedelta(seconds=-1), "-1s"),
    ],
)
def test_shows_durations_as_go_does(duration: timedelta, shown: str) -> None:
    assert format_duration(duration) == shown


@given(st.timedeltas(min_value=timedelta(days=-100_000), max_value=timedelta(days=100_000)))
def test_durations_round_trip(duration: timedelta) -> None:
    assert parse_duration(format_duration(duration)) == duration
