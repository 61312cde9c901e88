"""The numbered steps of a sync, and a way to die at one of them: for tests of what a kill leaves.

KNIT_MLFLOW_KILL_AT=N makes the process kill itself (SIGKILL) when it reaches step N.
"""

import os
import signal
from dataclasses import dataclass

VARIABLE = "KNIT_MLFLOW_KILL_AT"


@dataclass
class Steps:
    """Counts the points between two effects on the outside world."""

    kill_at: int | None = None
    count: int = 0

    def reach(self) -> None:
        """One more step is reached."""
        self.count += 1
        if self.count == self.kill_at:
            os.kill(os.getpid(), signal.SIGKILL)


def steps_from_environment() -> Steps:
    """Steps that end where the environment says, by default nowhere."""
    text = os.environ.get(VARIABLE, "")
    return Steps(int(text) if text.isdigit() else None)
