"""Rows of Runs: making, changing and finding them inside a transaction.

Knows no process, no folder and no HTTP.
"""

import json
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple
from uuid import uuid4

from knitfab.errors import not_found

from knitlite.plan_rows import StoredPlan
from knitlite.scheduler import Combination
from knitlite.statuses import EXECUTING, check_transition

LOG_POSITION: Final = -1
"""The place of the log among the outputs of a Run."""

_COLUMNS: Final = "run_id, plan_id, status, updated_at, exit_code, exit_message, queued, combination"


class RunRow(NamedTuple):
    """A Run as stored."""

    run_id: str
    plan_id: str
    status: str
    updated_at: int
    exit_code: int | None
    exit_message: str | None
    queued: int
    combination: str | None

    @property
    def input_ids(self) -> list[str]:
        """The knit ids it reads, in the order of the plan's inputs."""
        return self.combination.split(",") if self.combination else []


@dataclass(frozen=True)
class RunQuery:
    """Which Runs are wanted: OR within a field, AND across; empty means any."""

    plans: tuple[str, ...] = ()
    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    statuses: tuple[str, ...] = ()
    since: int | None = None
    until: int | None = None


def get_run(tx: sqlite3.Connection, run_id: str) -> RunRow:
    """The Run, whatever its status; not_found."""
    row = tx.execute(f"SELECT {_COLUMNS} FROM runs WHERE run_id = ?", (run_id,)).fetchone()
    if row is None:
        raise not_found()
    return RunRow(*row)


def get_runs(tx: sqlite3.Connection, run_ids: Iterable[str]) -> list[RunRow]:
    """Those of the Runs that exist, in no particular order."""
    rows = tx.execute(
        f"SELECT {_COLUMNS} FROM json_each(?) CROSS JOIN runs ON run_id = value",
        (json.dumps(list(run_ids)),),
    )
    return [RunRow._make(row) for row in rows]


def find_runs(tx: sqlite3.Connection, query: RunQuery) -> list[RunRow]:
    """Matching Runs by time of their last status change, then id."""
    conditions = ["1"]
    values: list[object] = []
    for condition, wanted in (
        ("plan_id IN (SELECT value FROM json_each(?))", query.plans),
        ("status IN (SELECT value FROM json_each(?))", query.statuses),
        (
            "run_id IN (SELECT run_id FROM run_inputs JOIN json_each(?) ON knit_id = value)",
            query.inputs,
        ),
        ("run_id IN (SELECT run_id FROM data JOIN json_each(?) ON knit_id = value)", query.outputs),
    ):
        if wanted:
            conditions.append(condition)
            values.append(json.dumps(wanted))
    for condition, moment in (("updated_at >= ?", query.since), ("updated_at < ?", query.until)):
        if moment is not None:
            conditions.append(condition)
            values.append(moment)
    where = " AND ".join(conditions)
    rows = tx.execute(f"SELECT {_COLUMNS} FROM runs WHERE {where} ORDER BY updated_at, run_id", values)
    return [RunRow._make(row) for row in rows]


def create_runs(
    tx: sqlite3.Connection, plan: StoredPlan, combinations: Iterable[Combination], now: int
) -> list[str]:
    """A Run for each combination, with the ids of its outputs and log allotted."""
    status = "deactivated" if plan.spec.active is False else "waiting"
    queued = _next_place(tx)
    run_ids: list[str] = []
    for combination in combinations:
        run_id = str(uuid4())
        tx.execute(
            "INSERT INTO runs (run_id, plan_id, status, combination, updated_at, queued)"
            " VALUES (?,?,?,?,?,?)",
            (run_id, plan.plan_id, status, ",".join(combination), now, queued + len(run_ids)),
        )
        tx.executemany(
            "INSERT INTO run_inputs VALUES (?,?,?)",
            [(run_id, position, knit_id) for position, knit_id in enumerate(combination)],
        )
        allot_outputs(tx, run_id, plan)
        run_ids.append(run_id)
    return run_ids


def create_upload(tx: sqlite3.Connection, plan: StoredPlan, now: int) -> tuple[str, str]:
    """A Run of a pseudo plan, already running: (run id, knit id of its only output)."""
    run_id = str(uuid4())
    tx.execute(
        "INSERT INTO runs (run_id, plan_id, status, updated_at, queued) VALUES (?,?,?,?,?)",
        (run_id, plan.plan_id, "running", now, _next_place(tx)),
    )
    return run_id, allot_outputs(tx, run_id, plan)[0]


def allot_outputs(tx: sqlite3.Connection, run_id: str, plan: StoredPlan) -> list[str]:
    """New Data rows for all outputs and the log, carrying the plan's tags."""
    wanted = [(position, mount.tags) for position, mount in enumerate(plan.spec.outputs)]
    if plan.spec.log is not None:
        wanted.append((LOG_POSITION, plan.spec.log))
    knit_ids = []
    for position, tags in wanted:
        knit_id = str(uuid4())
        tx.execute(
            "INSERT INTO data (knit_id, run_id, position) VALUES (?,?,?)",
            (knit_id, run_id, position),
        )
        tx.executemany(
            "INSERT OR IGNORE INTO data_tags VALUES (?,?,?)",
            [(knit_id, tag.key, tag.value) for tag in tags],
        )
        knit_ids.append(knit_id)
    return knit_ids


def change_status(tx: sqlite3.Connection, run_id: str, new: str, now: int) -> None:
    """Take one step of the status table; conflict when it is forbidden.

    The same status again changes nothing.
    """
    if check_transition(get_run(tx, run_id).status, new):
        _set_status(tx, run_id, new, now)


def set_exit(tx: sqlite3.Connection, run_id: str, code: int, message: str) -> None:
    """How the Run ended, or is going to."""
    tx.execute(
        "UPDATE runs SET exit_code = ?, exit_message = ? WHERE run_id = ?",
        (code, message[:1024], run_id),
    )


def fail_completing(tx: sqlite3.Connection, run_id: str, code: int, message: str) -> None:
    """From completing to aborting, which nobody can ask for: its content turned out to be of no use."""
    run = get_run(tx, run_id)
    if run.status == "completing":
        _set_status(tx, run_id, "aborting", run.updated_at)
        set_exit(tx, run_id, code, message)


def requeue(tx: sqlite3.Connection, run_id: str, now: int) -> None:
    """Back to waiting, at the end of the queue, without an exit."""
    tx.execute(
        "UPDATE runs SET exit_code = NULL, exit_message = NULL, queued = ? WHERE run_id = ?",
        (_next_place(tx), run_id),
    )
    _set_status(tx, run_id, "waiting", now)


def restart_if_executing(tx: sqlite3.Connection, run_id: str, now: int) -> bool:
    """Back to waiting unless somebody stopped the Run; whether it went back."""
    if get_run(tx, run_id).status not in EXECUTING:
        return False
    tx.execute("DELETE FROM workers WHERE run_id = ?", (run_id,))
    _set_status(tx, run_id, "waiting", now)
    return True


def waiting_runs(tx: sqlite3.Connection, limit: int) -> list[RunRow]:
    """The oldest Runs of the queue."""
    rows = tx.execute(
        f"SELECT {_COLUMNS} FROM runs WHERE status = 'waiting' ORDER BY queued LIMIT ?", (limit,)
    )
    return [RunRow._make(row) for row in rows]


def invalidate(tx: sqlite3.Connection, run_id: str, now: int) -> None:
    """Delete a Run but remember its combination. Its Data rows go."""
    tx.execute("DELETE FROM data WHERE run_id = ?", (run_id,))
    tx.execute("UPDATE runs SET exit_code = NULL, exit_message = NULL WHERE run_id = ?", (run_id,))
    _set_status(tx, run_id, "invalidated", now)


def made_combinations(tx: sqlite3.Connection, plan_id: str, knit_ids: Iterable[str]) -> set[Combination]:
    """Combinations of the plan's Runs, in any status, that use at least one of the data.

    CROSS JOIN keeps the order: left to itself, SQLite reads all Runs of the plan for the sake of one datum.
    """
    rows = tx.execute(
        "SELECT DISTINCT combination FROM json_each(?) CROSS JOIN run_inputs ON knit_id = value"
        " CROSS JOIN runs USING (run_id) WHERE plan_id = ?",
        (json.dumps(sorted(knit_ids)), plan_id),
    )
    return {tuple(row[0].split(",")) for row in rows}


def output_ids(tx: sqlite3.Connection, run_ids: Sequence[str]) -> dict[str, dict[int, str]]:
    """For each Run its outputs: position → knit id; empty when it was deleted."""
    found: dict[str, dict[int, str]] = {run_id: {} for run_id in run_ids}
    rows = tx.execute(
        "SELECT run_id, position, knit_id FROM data JOIN json_each(?) ON run_id = value",
        (json.dumps(list(run_ids)),),
    )
    for run_id, position, knit_id in rows:
        found[run_id][position] = knit_id
    return found


def downstream_runs(tx: sqlite3.Connection, run_id: str) -> list[tuple[str, str]]:
    """(run id, status) of every Run that reads an output of this one, deleted ones included."""
    rows = tx.execute(
        "SELECT DISTINCT r.run_id, r.status FROM data d JOIN run_inputs i USING (knit_id)"
        " JOIN runs r ON r.run_id = i.run_id WHERE d.run_id = ? ORDER BY r.run_id",
        (run_id,),
    )
    return [(row[0], row[1]) for row in rows]


def delete_row(tx: sqlite3.Connection, run_id: str) -> None:
    """Forget a Run altogether, with its Data rows."""
    tx.execute("DELETE FROM runs WHERE run_id = ?", (run_id,))


def _set_status(tx: sqlite3.Connection, run_id: str, status: str, now: int) -> None:
    tx.execute("UPDATE runs SET status = ?, updated_at = ? WHERE run_id = ?", (status, now, run_id))


def _next_place(tx: sqlite3.Connection) -> int:
    return int(tx.execute("SELECT coalesce(max(queued), 0) + 1 FROM runs").fetchone()[0])
