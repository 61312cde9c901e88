"""Time as the engine counts it: whole milliseconds since 1970, never going back. Knows no database."""

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)


def to_milliseconds(moment: datetime) -> int:
    """Rounded down. Works from year 1 on, in any time zone."""
    return (moment - _EPOCH) // _MILLISECOND


def to_datetime(milliseconds: int) -> datetime:
    """In UTC."""
    return _EPOCH + milliseconds * _MILLISECOND


class Clock:
    """Tells the time; a machine whose clock is set back stands still until it is caught up."""

    def __init__(self, source: Callable[[], float] = time.time, not_before: int = 0) -> None:
        """`source` tells seconds since 1970; `not_before` is the latest time on record."""
        self._source = source
        self._last = not_before
        self._lock = threading.Lock()

    def now(self) -> int:
        """Milliseconds since 1970, not less than any time told before."""
        with self._lock:
            self._last = max(self._last, int(self._source() * 1000))
            return self._last
