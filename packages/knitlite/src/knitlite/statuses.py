"""The statuses of a Run and the changes between them, as data. Knows no database and no process."""

from collections.abc import Iterable
from typing import Final

from knitfab.errors import bad_request, conflict

TRANSITIONS: Final[dict[str, frozenset[str]]] = {
    "deactivated": frozenset({"waiting", "aborting"}),
    "waiting": frozenset({"deactivated", "ready", "aborting"}),
    "ready": frozenset({"starting", "running", "completing", "aborting"}),
    "starting": frozenset({"running", "completing", "aborting"}),
    "running": frozenset({"completing", "aborting"}),
    "completing": frozenset({"done"}),
    "aborting": frozenset({"failed"}),
    # Out of these only retry (→ waiting) and delete (→ invalidated) lead; they have rules of their own.
    "done": frozenset(),
    "failed": frozenset(),
    "invalidated": frozenset(),
}

SEARCHABLE: Final = frozenset(TRANSITIONS) - {"invalidated"}
"""What `GET /api/runs?status=` accepts."""

UNFINISHED: Final = frozenset(
    {"deactivated", "waiting", "ready", "starting", "running", "completing", "aborting"}
)
"""Runs whose Data are shown as knit#transient:processing."""

EXECUTING: Final = frozenset({"ready", "starting", "running"})
"""Runs that hold a place on the machine."""


def transient_of(status: str) -> str | None:
    """The value of knit#transient that Data of a run in this status carry, None when done."""
    if status == "done":
        return None
    return "processing" if status in UNFINISHED else "failed"


def check_statuses(statuses: Iterable[str]) -> None:
    """Raises the 400 of a search for a status that can't be searched for."""
    if set(statuses) - SEARCHABLE:
        known = '"waiting", "deactivated", "starting", "running", "done" or "failed"'
        raise bad_request(f'"status" should be one of {known}')


def check_transition(old: str, new: str) -> bool:
    """Whether `old → new` is a change (False: already there). Raises conflict when it is forbidden."""
    if old == new:
        return False
    if new in TRANSITIONS[old]:
        return True
    raise conflict("prohibited operation", cause=f"cannot change run state: {old} -> {new}")
