"""What a command cost this machine: the only numbers that differ between two equal runs."""

from __future__ import annotations

import resource
import sys
import time


def cost_since(started: float) -> dict[str, float]:
    """Seconds since `started` (of `time.monotonic`), and the most memory this process ever held."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # Linux counts in KiB, macOS in bytes.
    megabytes = peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6
    return {"wall_seconds": round(time.monotonic() - started, 3), "peak_megabytes": megabytes}
