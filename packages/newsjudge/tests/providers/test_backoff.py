import asyncio
import time

import pytest
from newsjudge.providers.backoff import Backoff, retry_after_seconds


def test_delays_double_with_jitter_up_to_a_limit() -> None:
    backoff = Backoff()
    for attempt, bound in enumerate([0.5, 1.0, 2.0, 4.0]):
        assert bound / 2 <= backoff.delay(attempt) <= bound
    assert backoff.delay(50) <= 30.0
    assert Backoff(seed=1).delay(3) == Backoff(seed=1).delay(3)


def test_a_pause_holds_every_caller() -> None:
    async def wait() -> float:
        backoff = Backoff(first_seconds=0.01)
        backoff.pause_all(0.15, now=asyncio.get_running_loop().time())
        started = time.monotonic()
        await asyncio.gather(backoff.wait_for_turn(), backoff.wait_for_turn())
        return time.monotonic() - started

    assert asyncio.run(wait()) >= 0.14


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("3", 3.0),
        ("0.5", 0.5),
        (None, None),
        ("", None),
        ("Wed, 21 Oct 2026 07:28:00 GMT", None),
        ("-1", None),
        ("inf", None),
    ],
)
def test_retry_after(header: str | None, seconds: float | None) -> None:
    assert retry_after_seconds(header) == seconds
