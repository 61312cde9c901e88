"""One line with bytes, rate and time left: on a terminal it is rewritten, in a log it is rare.

Knows neither what moves nor where to: a function tells how much of it has arrived.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TextIO


class Progress:
    """How far `word` (fetch, push) is with `total` bytes."""

    def __init__(self, word: str, total: int, arrived: Callable[[], int], said: TextIO) -> None:
        self.word, self.total, self.arrived, self.said = word, total, arrived, said
        self.begun = self.last = time.monotonic()
        self.pause = 1.0 if said.isatty() else 10.0
        self.kept = arrived()
        if self.kept:
            self.say(f"{self.kept / 1e6:.1f} MB are here from an earlier try")

    def tick(self) -> None:
        """Say how far it is, if it is time."""
        now = time.monotonic()
        if now - self.last < self.pause:
            return
        self.last = now
        done = self.arrived()
        rate = max(0, done - self.kept) / (now - self.begun)
        text = f"{self.word}: {done / 1e6:.0f} MB, {rate / 1e6:.1f} MB/s"
        if self.total and rate:
            text += f", {max(0, self.total - done) / rate:.0f} s left of {self.total / 1e6:.0f} MB"
        self.said.write(f"\r{text}   " if self.said.isatty() else f"{text}\n")
        self.said.flush()

    def say(self, text: str) -> None:
        """A line that stays."""
        self.said.write(f"{chr(13) if self.said.isatty() else ''}{self.word}: {text}\n")
        self.said.flush()

    def end(self) -> None:
        """Leave the line."""
        if self.said.isatty():
            self.said.write("\n")
