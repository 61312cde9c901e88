"""How much Runs may take together, and what this machine has. Knows no Run."""

import os
from dataclasses import dataclass


@dataclass(frozen=True)
class Capacity:
    """Processors and bytes of memory."""

    cpus: float
    memory_bytes: float

    def less(self, other: "Capacity") -> "Capacity":
        """What is left."""
        return Capacity(self.cpus - other.cpus, self.memory_bytes - other.memory_bytes)

    def holds(self, other: "Capacity") -> bool:
        """Whether so much is left."""
        return other.cpus <= self.cpus and other.memory_bytes <= self.memory_bytes

    def capped(self, other: "Capacity") -> "Capacity":
        """`other`, but not more than this."""
        return Capacity(min(self.cpus, other.cpus), min(self.memory_bytes, other.memory_bytes))


def machine_capacity(cpus: float | None = None) -> Capacity:
    """What this process may use, with `cpus` instead of the processors found if given."""
    found = float(len(os.sched_getaffinity(0)))
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return Capacity(found if cpus is None else cpus, float(memory))
