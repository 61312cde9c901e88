"""What users do to Runs: stop, retry, delete; and what protects Runs from it. Starts and ends no process."""

import contextlib
import sqlite3
from typing import Final

from knitfab.errors import conflict, not_found
from knitfab.records import Run

from knitlite import run_rows
from knitlite.core import Core
from knitlite.plan_rows import get_plan
from knitlite.run_rows import RunRow
from knitlite.statuses import UNFINISHED
from knitlite.views import show_runs

_WAIT: Final = "Wait for the run to finish, or abort it"
_IN_USE: Final = "output of the run is in use"


def stop(core: Core, run_id: str, *, fail: bool) -> Run:
    """Set the Run on its way to done ("tear off") or to failed ("abort"); conflict when it is too late."""
    code, message = (253, "aborted by user") if fail else (0, "stopped by user")
    with core.database.write() as tx:
        run = run_rows.get_run(tx, run_id)
        if not fail and get_plan(tx, run.plan_id).name is not None:
            cause = f"cannot change run state: {run.status} -> completing"
            raise conflict("prohibited operation", cause=cause)
        status = "aborting" if fail else "completing"
        run_rows.change_status(tx, run_id, status, core.clock.now())
        run_rows.set_exit(tx, run_id, code, message)
        shown = show_runs(tx, [run_rows.get_run(tx, run_id)])[0]
    core.changes.notify()
    return shown


def retry(core: Core, run_id: str) -> None:
    """Back to waiting, with new knit ids; the old outputs go. conflict while something depends on them."""
    with core.transfers.blocked():
        with core.database.write() as tx:
            run = run_rows.get_run(tx, run_id)
            plan = get_plan(tx, run.plan_id)
            _refuse_retry(core, tx, run, is_root=plan.name is not None)
            _purge_deleted_downstream(tx, run_id)
            gone = _output_ids(tx, run_id)
            tx.execute("DELETE FROM data WHERE run_id = ?", (run_id,))
            run_rows.allot_outputs(tx, run_id, plan)
            run_rows.requeue(tx, run_id, core.clock.now())
        core.faults.reach("retry.rows")
        _remove_content(core, gone)
        core.faults.reach("retry.removed")
    core.changes.notify()


def delete(core: Core, run_id: str) -> None:
    """The Run's Data go. A Run with inputs stays as `invalidated`, so its combination never comes back."""
    with core.transfers.blocked():
        with core.database.write() as tx:
            run = run_rows.get_run(tx, run_id)
            _refuse_delete(core, tx, run)
            _purge_deleted_downstream(tx, run_id)
            gone = _output_ids(tx, run_id)
            if run.input_ids:
                run_rows.invalidate(tx, run_id, core.clock.now())
            else:
                run_rows.delete_row(tx, run_id)
        core.faults.reach("delete.rows")
        _remove_content(core, gone)
        core.faults.reach("delete.removed")
    core.changes.notify()


def _refuse_retry(core: Core, tx: sqlite3.Connection, run: RunRow, *, is_root: bool) -> None:
    if run.status == "invalidated":
        raise not_found()
    if run.status in UNFINISHED:
        raise conflict("the run may not be finished", _WAIT, _possibly_running(run.run_id))
    if _is_depended_on(tx, run.run_id):
        advice = "Delete all downstreams of the run first"
        raise conflict(_IN_USE, advice, _depended_on(run.run_id))
    if core.transfers.is_open(_output_ids(tx, run.run_id)):
        raise conflict("the run may not be finished", _WAIT, _possibly_running(run.run_id))
    if is_root:
        raise conflict("prohibited operation", "Root run cannot be retried")


def _refuse_delete(core: Core, tx: sqlite3.Connection, run: RunRow) -> None:
    if run.status == "invalidated":
        raise not_found()
    if _is_depended_on(tx, run.run_id):
        raise conflict(_IN_USE, cause=_depended_on(run.run_id))
    if run.status in UNFINISHED or core.transfers.is_open(_output_ids(tx, run.run_id)):
        raise conflict(_IN_USE, cause=_possibly_running(run.run_id))


def _depended_on(run_id: str) -> str:
    return f"the run is protected: depended on by downstream runs: runId = {run_id}"


def _possibly_running(run_id: str) -> str:
    doing = "data reading or writing is ongoing"
    return f"the run is protected: possibly running: runId = {run_id}: {doing}"


def _is_depended_on(tx: sqlite3.Connection, run_id: str) -> bool:
    return any(status != "invalidated" for _, status in run_rows.downstream_runs(tx, run_id))


def _purge_deleted_downstream(tx: sqlite3.Connection, run_id: str) -> None:
    """Deleted Runs that remember Data which now go, too, have nothing left to remember."""
    for follower, _ in run_rows.downstream_runs(tx, run_id):
        run_rows.delete_row(tx, follower)


def _output_ids(tx: sqlite3.Connection, run_id: str) -> list[str]:
    return list(run_rows.output_ids(tx, [run_id])[run_id].values())


def _remove_content(core: Core, knit_ids: list[str]) -> None:
    """Rows are gone already: whatever fails here is removed at the next start."""
    for knit_id in knit_ids:
        with contextlib.suppress(OSError):
            core.folders.discard(core.folders.data_path(knit_id))
