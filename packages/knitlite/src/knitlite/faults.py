"""Numbered points at which the engine can be made to die: how crash safety is proven.

Every step of a protocol that changes the disk calls `faults.reach(name)`. The default does nothing.
`KillAt` ends the process there as `kill -9` would: no handlers, no buffers written. Knows nothing of what it
interrupts.
"""

import os
import signal
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from typing import Final, Protocol

STEPS: Final = (
    "upload.row",
    "upload.bytes",
    "upload.completing",
    "upload.moved",
    "upload.done",
    "run.starting",
    "run.folder",
    "run.spawned",
    "run.recorded",
    "run.released",
    "run.completing",
    "run.moved_one",
    "run.moved",
    "run.finished",
    "run.cleaned",
    "retry.rows",
    "retry.removed",
    "delete.rows",
    "delete.removed",
)
"""Every point, in the order of a life: between two of them nothing on the disk changes in two places."""


class Faults(Protocol):
    """Told about every step that was reached."""

    def reach(self, step: str) -> None:
        """A step named in STEPS was just finished."""


class NoFaults:
    """Nothing ever happens."""

    def reach(self, step: str) -> None:
        """Go on."""


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@dataclass
class KillAt:
    """Dies the n-th time (from 1) a step is reached."""

    step: str
    times: int = 1
    die: Callable[[], None] = _die
    _counter: "count[int]" = field(default_factory=lambda: count(1))

    def __post_init__(self) -> None:
        if self.step not in STEPS:
            raise ValueError(f"no step is named {self.step!r}")

    def reach(self, step: str) -> None:
        """Die when this is the step and the time."""
        if step == self.step and next(self._counter) == self.times:
            self.die()
