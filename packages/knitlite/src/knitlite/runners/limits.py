"""Holds a process to the processors and the memory it declared. Knows no Run and no database.

Processors: the scheduler of the kernel may use only so many for the job, those that fewest other jobs have.
Memory: looked at twice a second; a job that holds more than it declared is killed, as a cluster would. Only
memory that nothing but the job can give back counts (anonymous and shared pages, each by the share of those
who map it), not files the kernel keeps for it: what survives in a container of the same size survives here.

Neither needs a privilege. Control groups would limit harder, but only a privileged or specially started
server may make them, and it would have to move itself into one: so the same soft limit holds everywhere.
"""

import contextlib
import os
import signal
import threading
from collections import Counter
from collections.abc import Iterator
from math import ceil
from pathlib import Path
from typing import Final

from knitlite.runners import Job

_LOOK_SECONDS: Final = 0.5
_RESIDENT: Final = ("RssAnon:", "RssShmem:", "VmSwap:")
_PROPORTIONAL: Final = ("Pss_Anon:", "Pss_Shmem:", "SwapPss:")


class Processors:
    """Which processors the jobs of one runner may use."""

    def __init__(self) -> None:
        """All that this process may use."""
        self._lock = threading.Lock()
        self._jobs = Counter(dict.fromkeys(os.sched_getaffinity(0), 0))

    def take(self, count: float) -> frozenset[int]:
        """So many processors, rounded up: those with the fewest jobs."""
        with self._lock:
            ranked = sorted(self._jobs, key=lambda number: (self._jobs[number], number))
            taken = frozenset(ranked[: max(1, ceil(count))])
            self._jobs.update(taken)
        return taken

    def give_back(self, taken: frozenset[int]) -> None:
        """The job that had them is over."""
        with self._lock:
            self._jobs.subtract(taken)


class Limits:
    """What holds one job, from its start at the gate to its end."""

    def __init__(self, leader: int, job: Job, processors: Processors) -> None:
        """`leader` leads the job's session. What the plan leaves open is not limited."""
        self._processors = processors
        self._taken = processors.take(job.cpus) if "cpu" in job.resources else frozenset[int]()
        if self._taken:
            # Refused when a container was given other processors meanwhile: those are limit enough.
            with contextlib.suppress(OSError):
                os.sched_setaffinity(leader, self._taken)
        self._watch = MemoryWatch(leader, job.memory_bytes) if "memory" in job.resources else None
        if self._watch is not None:
            self._watch.start()

    def end(self) -> bool:
        """Whether the job was killed for its memory. Called before the leader's number is free again."""
        self._processors.give_back(self._taken)
        return self._watch is not None and self._watch.stop()


class MemoryWatch:
    """Kills the processes of one session once they hold more than `limit` bytes."""

    def __init__(self, session: int, limit: int) -> None:
        """Looks from `start` to `stop`; meanwhile the number must not become another session's."""
        self._session = session
        self._limit = limit
        self._over = threading.Event()
        self._exceeded = False
        self._thread = threading.Thread(target=self._watch, name=f"memory of {session}", daemon=True)

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def stop(self) -> bool:
        """Look no more; whether the limit was exceeded."""
        self._over.set()
        if self._thread.is_alive():
            self._thread.join()
        return self._exceeded

    def _watch(self) -> None:
        while not self._over.wait(_LOOK_SECONDS):
            if exceeds_memory(self._session, self._limit):
                self._exceeded = True
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(self._session, signal.SIGKILL)
                return


def exceeds_memory(session: int, limit: int) -> bool:
    """Whether the processes of a session hold more. A cheap sum that counts shared pages twice goes first."""
    members = list(_members(session))
    if sum(_sum_of(pid, "status", _RESIDENT) for pid in members) <= limit:
        return False
    return sum(_sum_of(pid, "smaps_rollup", _PROPORTIONAL) for pid in members) > limit


def _members(session: int) -> Iterator[int]:
    for entry in Path("/proc").iterdir():
        # Gone meanwhile: then it holds nothing.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if entry.name.isdigit() and os.getsid(int(entry.name)) == session:
                yield int(entry.name)


def _sum_of(pid: int, file: str, names: tuple[str, ...]) -> int:
    """Bytes in the lines of a file of /proc that begin with one of the names."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError, PermissionError):
        lines = Path(f"/proc/{pid}/{file}").read_text(encoding="utf-8", errors="replace").splitlines()
        return sum(int(line.split()[1]) for line in lines if line.startswith(names)) * 1024
    return 0
