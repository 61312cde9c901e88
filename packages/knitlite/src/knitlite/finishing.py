"""The end of a Run: from completing or aborting to done or failed, with its content in place.

The order is: the intent is a committed status; then content is renamed into place, one datum after the
other; then one transaction makes the Run finished and lets others follow. Killed anywhere, repeating it
gives the same result. Starts no process.
"""

import contextlib
from pathlib import Path

from knitfab.records import FINISHED

from knitlite import run_rows
from knitlite.core import Core
from knitlite.folders import is_real_folder, open_tree
from knitlite.plan_rows import StoredPlan, get_plan
from knitlite.planning import finish_run
from knitlite.runners import ExitStatus
from knitlite.trouble import is_passing


def complete(core: Core, run_id: str, *, hopeless: bool = False) -> list[str]:
    """Finish a Run that is completing or aborting and has no process any more; one that is finished stays so.

    `hopeless`: content that can't be put in place was tried often enough, the Run fails without it.
    Returns the Runs that follow.
    """
    with core.database.read() as tx:
        run = run_rows.get_run(tx, run_id)
        if run.status in FINISHED:
            return []
        plan = get_plan(tx, run.plan_id)
        knit_ids = run_rows.output_ids(tx, [run_id])[run_id]
    upload = plan.name is not None
    open_root(core.folders.run_path(run_id))
    step = "upload" if upload else "run"
    lost = None
    for position, knit_id in sorted(knit_ids.items()):
        source = core.folders.incoming_path(knit_id)
        if not upload:
            source = content_path(core.folders.run_path(run_id), plan, position)
        try:
            core.folders.publish(source, knit_id)
        except OSError as error:
            # Another user's, left by a container, need not be tried again.
            if not isinstance(error, PermissionError) and (not hopeless or is_passing(error)):
                raise
            # Where it is `data` itself that is shut or broken, this fails as well.
            core.folders.publish_nothing(knit_id)
            lost = explain_lost("log" if position < 0 else plan.spec.outputs[position].path, error)
        if not upload:
            core.faults.reach("run.moved_one")
    core.faults.reach(f"{step}.moved")
    with core.database.write() as tx:
        if lost is not None:
            run_rows.fail_completing(tx, run_id, lost.code, lost.message)
        made = finish_run(tx, run_id, core.clock.now())
    core.faults.reach("upload.done" if upload else "run.finished")
    core.changes.notify()
    if not upload:
        # The Run is finished: what can't be removed now is removed at the next start.
        with contextlib.suppress(OSError):
            core.folders.discard(core.folders.run_path(run_id))
        core.faults.reach("run.cleaned")
    return made


def open_root(folder: Path) -> None:
    """Let us read what a job shut behind itself, as far as it is ours: it is wanted nevertheless."""
    root = folder / "root"
    if is_real_folder(root):
        with contextlib.suppress(PermissionError):
            open_tree(root)


def explain_lost(path: str, error: OSError) -> ExitStatus:
    """The end of a job whose output can't be handed on: another user shut it, or something is in its way."""
    what = f"the output {path} can't be put in place ({error}): mend that and retry the Run"
    if isinstance(error, PermissionError):
        what = f"the output {path} can't be read by the server ({error}): let the job open it (chmod -R a+rX)"
    return ExitStatus(1, f"(container main) Error: {what}")


def content_path(folder: Path, plan: StoredPlan, position: int) -> Path:
    """Where a Run writes one of its outputs, or its log, while it executes."""
    if position == run_rows.LOG_POSITION:
        return folder / "log"
    return mount_path(folder, plan.spec.outputs[position].path)


def mount_path(folder: Path, path: str) -> Path:
    """Where a mountpoint lies in the folder of a Run."""
    return folder / "root" / path.lstrip("/")
