"""Tells how a training goes: a bar on a terminal, a line now and then in a log. Knows no torch."""

import sys
import time
from typing import TextIO

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as RichProgress

_SECONDS_BETWEEN_LINES = 5.0


class Progress:
    """Counts steps and tokens, and reports them; `rates` is what they cost."""

    def __init__(self, total: int, stream: TextIO | None = None) -> None:
        self._total = total
        self._stream = sys.stderr if stream is None else stream
        self._started = time.perf_counter()
        self._said = self._started
        self._first = self._done = 0
        self._tokens = self._slots = 0
        self._bar = _start_bar(total, self._stream) if self._stream.isatty() else None

    def skip(self, steps: int) -> None:
        """These steps were done before this process started; they don't count for the rates."""
        self._first = self._done = steps

    def advance(self, loss: float | None, tokens: int, slots: int) -> None:
        """One step more, over so many real tokens in so many slots (tokens and padding)."""
        self._done += 1
        self._tokens += tokens
        self._slots += slots
        if self._bar is not None:
            self._bar.update(self._bar.task_ids[0], completed=self._done, description=self._describe(loss))
            return
        now = time.perf_counter()
        if now - self._said >= _SECONDS_BETWEEN_LINES or self._done == self._total:
            self._said = now
            self._say(loss)

    def close(self) -> None:
        """Leave the terminal tidy."""
        if self._bar is not None:
            self._bar.stop()

    def rates(self) -> dict[str, float]:
        """Real tokens a second, and slots computed for a real token (1 = no padding)."""
        if not self._tokens:
            return {}
        return {
            "tokens_per_second": self._tokens_per_second(),
            "slots_per_token": self._slots / self._tokens,
        }

    def _tokens_per_second(self) -> float:
        return self._tokens / max(time.perf_counter() - self._started, 1e-9)

    def _describe(self, loss: float | None) -> str:
        rate = f"{self._tokens_per_second():.0f} tokens/s"
        return rate if loss is None else f"loss {loss:.3f}, {rate}"

    def _say(self, loss: float | None) -> None:
        seconds = time.perf_counter() - self._started
        left = seconds / max(self._done - self._first, 1) * (self._total - self._done)
        print(
            f"step {self._done}/{self._total}, {self._describe(loss)}, {left:.0f} s left",
            file=self._stream,
            flush=True,
        )


def say(sentence: str) -> None:
    """One line of the log."""
    print(sentence, file=sys.stderr, flush=True)


def _start_bar(total: int, stream: TextIO) -> RichProgress:
    bar = RichProgress(
        MofNCompleteColumn(),
        BarColumn(),
        TextColumn("{task.description}"),
        TimeRemainingColumn(),
        console=Console(file=stream),
    )
    bar.add_task("starting", total=total)
    bar.start()
    return bar
