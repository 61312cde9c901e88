"""A program: several trainings, one after the other, in an address space that may grow by little only.

Each argument is the JSON list of one training's words for `newstrain`, begun by the megabytes of growth it is
given, or null for all there is. The first should have null: it takes what a process takes once and keeps
(modules, threads, their heaps), so that the growth of the others is their own. Prints a line of JSON for
each: its exit code, and what it wrote to stderr.
"""

import contextlib
import gc
import io
import json
import resource
import sys
from pathlib import Path

from newstrain.cli import main


def limit_growth(megabytes: int | None) -> None:
    """Let this process's address space grow by so much only."""
    gc.collect()
    status = Path("/proc/self/status").read_text()
    held = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmSize")) * 1024
    most = resource.RLIM_INFINITY if megabytes is None else held + megabytes * 2**20
    resource.setrlimit(resource.RLIMIT_AS, (most, resource.RLIM_INFINITY))


if __name__ == "__main__":
    for argument in sys.argv[1:]:
        megabytes, *words = json.loads(argument)
        with contextlib.redirect_stderr(io.StringIO()) as told:
            limit_growth(megabytes)
            code = main(words)
            limit_growth(None)
        print(json.dumps([code, told.getvalue()]), flush=True)
