"""Tells how far a long job is: a bar with rate and time left on a terminal, plain lines elsewhere.

Writes to standard error only. Must not know what is being counted.
"""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import TextIO

_BAR_WIDTH = 28
_SECONDS_BETWEEN_DRAWS = 0.1
_SECONDS_BETWEEN_LINES = 10.0


class Progress:
    """Counts up to a total: `with Progress("cells", 400) as progress: progress.advance()`."""

    def __init__(self, what: str, total: int, *, stream: TextIO | None = None) -> None:
        """`what` is the plural noun of the things counted."""
        self._what = what
        self._total = total
        self._stream = stream or sys.stderr
        self._is_terminal = self._stream.isatty()
        self._done = 0
        self._failed = 0
        self._started = time.monotonic()
        self._shown = self._started

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._done or self._is_terminal:
            self._show(last=True)

    def advance(self, *, failed: bool = False) -> None:
        """One more is done; `failed` ones are counted apart as well."""
        self._done += 1
        self._failed += failed
        pause = _SECONDS_BETWEEN_DRAWS if self._is_terminal else _SECONDS_BETWEEN_LINES
        if time.monotonic() - self._shown >= pause:
            self._show(last=False)

    def _show(self, *, last: bool) -> None:
        self._shown = time.monotonic()
        line = progress_line(self._what, self._done, self._total, self._shown - self._started, self._failed)
        if self._is_terminal:
            filled = _BAR_WIDTH * self._done // max(1, self._total)
            bar = "█" * filled + "░" * (_BAR_WIDTH - filled)
            self._stream.write(f"\r\x1b[K{bar} {line}" + ("\n" if last else ""))
        else:
            self._stream.write(line + "\n")
        self._stream.flush()


def progress_line(what: str, done: int, total: int, seconds: float, failed: int) -> str:
    """Such as "120 of 400 cells, 8.1/s, 0:35 left, 2 unscored"."""
    rate = done / seconds if seconds > 0 else 0.0
    parts = [f"{done} of {total} {what}", f"{rate:.1f}/s"]
    if rate and done < total:
        parts.append(f"{_clock((total - done) / rate)} left")
    elif done >= total:
        parts.append(f"{_clock(seconds)} in all")
    if failed:
        parts.append(f"{failed} unscored")
    return ", ".join(parts)


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
