"""What the mirror needs of Knitfab: four readings. Any `knitfab.engine.Engine` is a Source.

A contract only; the mirror cannot change its source because nothing here can.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

from knitfab.records import Data, Run, Tag


class Source(Protocol):
    """Reads Runs, Data and logs; every method raises KnitError."""

    def find_data(self, tags: Sequence[Tag] = ()) -> list[Data]:
        """Data that carry all `tags`."""
        ...

    def find_runs(self) -> list[Run]:
        """All Runs, deleted ones (`invalidated`) among them."""
        ...

    def pull_data(self, knit_id: str, target: Path) -> None:
        """The content into `target`, a new or empty folder."""
        ...

    def read_log(self, run_id: str) -> Iterator[bytes]:
        """The log's bytes so far."""
        ...
