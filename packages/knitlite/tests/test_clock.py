"""Milliseconds that never go back."""

from datetime import UTC, datetime, timedelta, timezone

from knitlite.clock import Clock, to_datetime, to_milliseconds


def test_year_one_in_any_zone() -> None:
    for hours in (-14, 0, 14):
        moment = datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=hours)))
        assert to_milliseconds(moment) < 0


def test_there_and_back() -> None:
    moment = datetime(2025, 3, 3, 1, 2, 3, 70_000, tzinfo=UTC)
    assert to_datetime(to_milliseconds(moment)) == moment


def test_a_clock_set_back_stands_still() -> None:
    times = iter([5.0, 3.0, 6.0])
    clock = Clock(lambda: next(times), not_before=4_000)
    assert [clock.now(), clock.now(), clock.now()] == [5_000, 5_000, 6_000]


def test_not_before() -> None:
    assert Clock(lambda: 1.0, not_before=9_000).now() == 9_000
