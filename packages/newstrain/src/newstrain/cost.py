"""What a command cost this machine. Knows nothing of what it did."""

import resource
import sys
import time
from collections.abc import Mapping


class CostMeter:
    """Measures from its making on."""

    def __init__(self) -> None:
        self._started = time.perf_counter()

    def read(self, more: Mapping[str, float] | None = None) -> dict[str, float]:
        """Wall seconds and peak megabytes, and the numbers given."""
        return {
            "wall_seconds": time.perf_counter() - self._started,
            "peak_megabytes": peak_megabytes(),
            **(more or {}),
        }


def peak_megabytes() -> float:
    """Most memory this process ever held at once."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # Linux counts in KiB, macOS in bytes.
    return peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6
