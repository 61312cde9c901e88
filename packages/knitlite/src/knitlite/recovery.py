"""What a starting engine does about a predecessor that was killed. Runs before anything else may."""

import sqlite3
import sys
from collections.abc import Mapping

from knitfab.errors import KnitError

from knitlite import run_rows
from knitlite.core import Core
from knitlite.finishing import complete
from knitlite.plan_rows import get_plan
from knitlite.run_rows import RunQuery, RunRow, find_runs
from knitlite.runners import Runner
from knitlite.runners.kinds import find_runners
from knitlite.statuses import EXECUTING, UNFINISHED
from knitlite.trouble import is_passing
from knitlite.uploads import fail


def recover(core: Core, runners: Mapping[str, Runner]) -> None:
    """End orphans, requeue interrupted Runs, finish what was nearly finished, remove debris."""
    with core.database.read() as tx:
        unfinished = find_runs(tx, RunQuery(statuses=tuple(sorted(UNFINISHED))))
        uploads = {run.run_id for run in unfinished if get_plan(tx, run.plan_id).name is not None}
        workers = {
            run_id: (runner, handle)
            for run_id, runner, handle in tx.execute("SELECT run_id, runner, handle FROM workers")
        }
    for run in unfinished:
        if run.run_id in uploads:
            _settle_upload(core, run)
        elif run.status in (*EXECUTING, "completing", "aborting"):
            _end_orphan(core, runners, run.run_id, workers.get(run.run_id))
            _settle_run(core, run)
    _remove_debris(core)


def _end_orphan(
    core: Core, runners: Mapping[str, Runner], run_id: str, worker: tuple[str, str] | None
) -> None:
    folder = core.folders.run_path(run_id)
    if worker is None:
        # Killed before the handle was stored: the job never began, but its gate may still be waiting, or
        # its container lie there. Nobody knows by which runner, so all are asked.
        for runner in (*runners.values(), *find_runners()):
            runner.end_orphan("", folder)
        return
    name, handle = worker
    if name not in runners:
        sentence = f"run {run_id} was started by the {name} runner; start knitlite once with --runner {name}"
        raise KnitError(sentence, code="invalid")
    runners[name].end_orphan(handle, folder)


def _settle_run(core: Core, run: RunRow) -> None:
    if run.status not in EXECUTING:
        _finish(core, run.run_id)
        return
    with core.database.write() as tx:
        run_rows.restart_if_executing(tx, run.run_id, core.clock.now())


def _settle_upload(core: Core, run: RunRow) -> None:
    with core.database.read() as tx:
        (knit_id,) = run_rows.output_ids(tx, [run.run_id])[run.run_id].values()
    if run.status in EXECUTING:
        fail(core, run.run_id, knit_id)
    else:
        _finish(core, run.run_id)


def _finish(core: Core, run_id: str) -> None:
    """At once, unless something is wrong with this Run: then the dispatcher tries again, and others go on."""
    try:
        complete(core, run_id)
    except OSError as error:
        if is_passing(error):
            raise
        print(f"knitlite: run {run_id} can't be finished yet: {error}", file=sys.stderr, flush=True)


def _remove_debris(core: Core) -> None:
    """Folders no row speaks of: Runs and Data deleted just before the end."""
    folders = core.folders
    ending = "SELECT run_id FROM runs WHERE status IN ('completing', 'aborting')"
    with core.database.read() as tx:
        data = _ids(tx, "SELECT knit_id FROM data")
        wanted = _ids(tx, ending) | _ids(tx, f"SELECT knit_id FROM data WHERE run_id IN ({ending})")
    for name in folders.names(folders.data) - data:
        folders.discard(folders.data_path(name))
    for folder in (folders.runs, folders.incoming):
        for name in folders.names(folder) - wanted:
            folders.discard(folder / name)
    for error in folders.empty_garbage():
        remedy = f"its owner or root can: rm -rf {folders.garbage}/*"
        print(
            f"knitlite: a job's leftovers can't be removed ({error}); {remedy}", file=sys.stderr, flush=True
        )


def _ids(tx: sqlite3.Connection, query: str) -> set[str]:
    return {row[0] for row in tx.execute(query)}
