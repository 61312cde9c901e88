"""Ctrl-C and SIGTERM between two steps of a training, so that the step at hand can be kept."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class StopRequest:
    """Whether somebody asked the training to stop."""

    def __init__(self) -> None:
        self.signal_number: int | None = None

    def leave(self) -> None:
        """End the process the way the signal would have: KeyboardInterrupt, or exit code 143."""
        if self.signal_number == signal.SIGINT:
            raise KeyboardInterrupt
        if self.signal_number is not None:
            raise SystemExit(128 + self.signal_number)


@contextmanager
def hold_signals() -> Iterator[StopRequest]:
    """Note the first SIGTERM or Ctrl-C instead of obeying it at once; the second one is obeyed."""
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return
    earlier = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}

    def restore() -> None:
        for number, handler in earlier.items():
            signal.signal(number, handler)

    def note(number: int, _frame: FrameType | None) -> None:
        request.signal_number = number
        restore()

    for number in earlier:
        signal.signal(number, note)
    try:
        yield request
    finally:
        restore()
