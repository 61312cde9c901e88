"""How much Runs may take together, and what this machine has. Knows no Run."""

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Capacity:
    """Processors, bytes of memory, graphics cards."""

    cpus: float
    memory_bytes: float
    gpus: int = 0

    def less(self, other: "Capacity") -> "Capacity":
        """What is left."""
        return Capacity(
            self.cpus - other.cpus, self.memory_bytes - other.memory_bytes, self.gpus - other.gpus
        )

    def holds(self, other: "Capacity") -> bool:
        """Whether so much is left."""
        return other.cpus <= self.cpus and other.memory_bytes <= self.memory_bytes and other.gpus <= self.gpus

    def capped(self, other: "Capacity") -> "Capacity":
        """`other`, but not more than this."""
        return Capacity(
            min(self.cpus, other.cpus),
            min(self.memory_bytes, other.memory_bytes),
            # Nothing tells two Runs which card is whose: one that asks for any gets all of them.
            self.gpus if other.gpus else 0,
        )


def machine_capacity(cpus: float | None = None) -> Capacity:
    """What this process may use, with `cpus` instead of the processors found if given."""
    found = float(len(os.sched_getaffinity(0)))
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return Capacity(found if cpus is None else cpus, float(memory), count_gpus())


def count_gpus() -> int:
    """NVIDIA cards this machine has."""
    return len(list(Path("/dev").glob("nvidia[0-9]*")))
