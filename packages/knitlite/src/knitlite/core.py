"""What all parts of an engine share: database, folders, clock, fault points, changes, open transfers."""

import threading
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from knitfab.tarreader import ArchiveLimits

from knitlite.clock import Clock
from knitlite.database import Database
from knitlite.faults import Faults, NoFaults
from knitlite.folders import Folders


class Changes:
    """Lets threads sleep until something in the database was changed."""

    def __init__(self) -> None:
        """Nothing happened yet."""
        self._condition = threading.Condition()
        self._count = 0

    def notify(self) -> None:
        """Wake everybody up; called after a commit."""
        with self._condition:
            self._count += 1
            self._condition.notify_all()

    def count(self) -> int:
        """How many changes there were: to be read before looking at the database, and given to `wait`."""
        with self._condition:
            return self._count

    def wait(self, seen: int, timeout: float) -> None:
        """Until there were more changes than `seen`, or the time is up."""
        with self._condition:
            self._condition.wait_for(lambda: self._count > seen, timeout)


class Transfers:
    """Which contents are being read, so that nobody takes them away meanwhile."""

    def __init__(self) -> None:
        """Nothing is read."""
        self._lock = threading.RLock()
        self._readers: Counter[str] = Counter()

    @contextmanager
    def blocked(self) -> Iterator[None]:
        """No reading starts inside."""
        with self._lock:
            yield

    def is_open(self, knit_ids: Iterable[str]) -> bool:
        """Whether one of them is being read."""
        with self._lock:
            return any(self._readers[knit_id] for knit_id in knit_ids)

    def begin(self, knit_id: str) -> None:
        """To be called inside `blocked`, together with the check that the content is there."""
        with self._lock:
            self._readers[knit_id] += 1

    def end(self, knit_id: str) -> None:
        """The reading is over."""
        with self._lock:
            self._readers[knit_id] -= 1


@dataclass(frozen=True)
class Core:
    """Handed to every part."""

    database: Database
    folders: Folders
    clock: Clock
    faults: Faults = field(default_factory=NoFaults)
    changes: Changes = field(default_factory=Changes)
    transfers: Transfers = field(default_factory=Transfers)
    limits: ArchiveLimits = field(default_factory=ArchiveLimits)
    """What an upload may cost."""
    uploading: set[str] = field(default_factory=set)
    """Ids of the Runs of uploads that a thread is busy with."""
