"""When to ask again: exponential back-off with full jitter, and a pause all callers share after a 429.

Must not know what is being asked.
"""

from __future__ import annotations

import asyncio
import random

_FIRST_SECONDS = 0.5
_LONGEST_SECONDS = 30.0


class Backoff:
    """Waiting times for one server; its jitter is seeded, so a rehearsal repeats."""

    def __init__(self, *, seed: int = 0, first_seconds: float = _FIRST_SECONDS) -> None:
        """`first_seconds` bounds the first wait; each further one doubles the bound."""
        self._random = random.Random(seed)
        self._first = first_seconds
        self._not_before = 0.0

    def delay(self, attempt: int) -> float:
        """Seconds to wait after failed attempt number `attempt` (0, 1, …)."""
        bound = min(_LONGEST_SECONDS, self._first * 2.0**attempt)
        return self._random.uniform(bound / 2, bound)

    def pause_all(self, seconds: float, *, now: float) -> None:
        """Let no caller start before `now + seconds`: the server said it is busy."""
        self._not_before = max(self._not_before, now + min(seconds, _LONGEST_SECONDS))

    async def wait_for_turn(self) -> None:
        """Return once no shared pause is on."""
        loop = asyncio.get_running_loop()
        while (left := self._not_before - loop.time()) > 0:
            await asyncio.sleep(left + self._random.uniform(0, self._first / 2))


def retry_after_seconds(header: str | None) -> float | None:
    """The seconds of a Retry-After header; its date form is not used by these servers (None)."""
    try:
        seconds = float(header) if header else None
    except ValueError:
        return None
    return seconds if seconds is not None and 0 <= seconds < float("inf") else None
