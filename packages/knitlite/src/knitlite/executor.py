"""One Run from waiting to finished: folder, process, status. Decides nothing about which Run or when."""

import threading
from collections.abc import Sequence

from knitfab.errors import KnitError
from knitfab.tarstream import list_entries

from knitlite import run_rows
from knitlite.core import Core
from knitlite.finishing import complete, explain_lost, mount_path, open_root
from knitlite.folders import is_real_folder, seal, sync_path
from knitlite.plan_rows import StoredPlan, get_plan
from knitlite.quantities import cpus_of, memory_of
from knitlite.runners import ExitStatus, Job, Mount, Runner, Running
from knitlite.statuses import EXECUTING
from knitlite.trouble import is_passing


class Execution:
    """The execution of one Run, by the thread that calls `execute` and `rest`. Others may call `stop`."""

    def __init__(self, core: Core, runner: Runner, run_id: str) -> None:
        """Nothing happens yet."""
        self._core = core
        self._runner = runner
        self.run_id = run_id
        self._lock = threading.Lock()
        self._running: Running | None = None
        self._given_up = False
        self._stopped = threading.Event()
        self._unwanted = threading.Event()
        self._claimed = False
        self._ended: tuple[ExitStatus, Job] | None = None
        self._verdict: ExitStatus | None = None
        self._hopeless = False

    def execute(self) -> None:
        """Until the Run is finished, or given back to the queue because the engine closes.

        After trouble with the machine it may be called again and goes on where that came up: a job that has
        ended is not run a second time.
        """
        if self._verdict is None and self._ended is None:
            claimed = self._claim()
            if claimed is None:
                return
            job = self._prepare(*claimed)
            self._ended = self._run(job), job
        if self._given_up and self._give_back():
            return
        if self._verdict is None:
            assert self._ended is not None
            self._verdict = _judge(*self._ended)
        self._record_end(self._verdict)
        complete(self._core, self.run_id, hopeless=self._hopeless)

    @property
    def has_ended(self) -> bool:
        """Whether nothing of the job runs any more: only its end has to be written."""
        return self._ended is not None

    def rest(self, seconds: float) -> None:
        """Wait; no longer when the Run is stopped meanwhile."""
        self._stopped.wait(seconds)
        self._stopped.clear()

    def despair(self, error: Exception) -> bool:
        """The next `execute` shall fail the Run with this as the reason; whether that was not so before."""
        if self._verdict is not None:
            was_hopeful, self._hopeless = not self._hopeless, True
            return was_hopeful
        if self._ended is None:
            self._verdict = ExitStatus(255, f"(pod {self.run_id}) [StartError] {error}")
        else:
            self._verdict = ExitStatus(1, f"(container main) Error: {error}")
        return True

    def stop(self, *, give_up: bool = False) -> None:
        """End the process if there is one. `give_up`: the Run shall be executed again later."""
        with self._lock:
            self._given_up = self._given_up or give_up
            running = self._running
        self._stopped.set()
        self._unwanted.set()
        if running is not None:
            running.stop()

    def _claim(self) -> tuple[StoredPlan, Sequence[str]] | None:
        """The plan and the inputs; None when the Run was stopped or held at the last moment."""
        now = self._core.clock.now()
        with self._core.database.write() as tx:
            run = run_rows.get_run(tx, self.run_id)
            if run.status == "waiting":
                run_rows.change_status(tx, self.run_id, "ready", now)
                run_rows.change_status(tx, self.run_id, "starting", now)
            elif not (self._claimed and run.status in EXECUTING):
                return None
            plan = get_plan(tx, run.plan_id)
        self._claimed = True
        self._core.changes.notify()
        self._core.faults.reach("run.starting")
        return plan, run.input_ids

    def _prepare(self, plan: StoredPlan, inputs: Sequence[str]) -> Job:
        folders = self._core.folders
        folder = folders.run_path(self.run_id)
        folders.discard(folder)
        spec = plan.spec
        job = Job(
            run_id=self.run_id,
            folder=folder,
            image=spec.image,
            entrypoint=spec.entrypoint,
            args=spec.args,
            inputs=tuple(
                Mount(mount.path, folders.data_path(knit_id))
                for mount, knit_id in zip(spec.inputs, inputs, strict=True)
            ),
            outputs=tuple(Mount(mount.path, mount_path(folder, mount.path)) for mount in spec.outputs),
            cpus=cpus_of(spec.resources),
            memory_bytes=memory_of(spec.resources),
            resources=spec.resources,
            annotations=spec.annotations,
            unwanted=self._unwanted,
        )
        for path in (folder / "root", folder / "scratch", job.log_path.parent):
            path.mkdir(parents=True)
        for mount in job.outputs:
            mount.source.mkdir(parents=True)
        job.log_path.touch()
        self._core.faults.reach("run.folder")
        return job

    def _run(self, job: Job) -> ExitStatus:
        refusal = self._runner.refusal(job)
        if refusal is not None:
            return ExitStatus(255, f"(pod {self.run_id}) [Unschedulable] {refusal}")
        try:
            running = self._runner.start(job)
        except OSError as error:
            if is_passing(error):
                raise
            return ExitStatus(255, f"(pod {self.run_id}) [StartError] {error}")
        self._core.faults.reach("run.spawned")
        with self._lock:
            self._running = running
        try:
            may_begin = self._record_start(running.handle)
        except BaseException:
            running.stop()
            running.wait()
            raise
        if may_begin:
            self._core.faults.reach("run.recorded")
            running.release()
            self._core.faults.reach("run.released")
        else:
            # In a thread of its own: `stop` waits for the end, which `wait` has to notice.
            threading.Thread(target=running.stop, name=f"stop {self.run_id}", daemon=True).start()
        return running.wait()

    def _record_start(self, handle: str) -> bool:
        """Whether the job may begin: nobody stopped the Run meanwhile."""
        with self._core.database.write() as tx:
            if self._given_up or run_rows.get_run(tx, self.run_id).status not in EXECUTING:
                return False
            tx.execute(
                "INSERT OR REPLACE INTO workers VALUES (?,?,?)",
                (self.run_id, self._runner.name, handle),
            )
            run_rows.change_status(tx, self.run_id, "running", self._core.clock.now())
        self._core.changes.notify()
        return True

    def _record_end(self, ended: ExitStatus) -> None:
        with self._core.database.write() as tx:
            if run_rows.get_run(tx, self.run_id).status in EXECUTING:
                status = "completing" if ended.code == 0 else "aborting"
                run_rows.change_status(tx, self.run_id, status, self._core.clock.now())
                run_rows.set_exit(tx, self.run_id, ended.code, ended.message)
        self._core.changes.notify()
        self._core.faults.reach("run.completing")

    def _give_back(self) -> bool:
        """Whether the Run went back to the queue; one that a user stopped is finished instead."""
        with self._core.database.write() as tx:
            return run_rows.restart_if_executing(tx, self.run_id, self._core.clock.now())


def _judge(ended: ExitStatus, job: Job) -> ExitStatus:
    """A job whose outputs can't be handed on did not succeed, whatever it says.

    They are on the disk before the row that says so: after a power cut they are whole, or the Run runs again.
    """
    if ended.code != 0:
        return ended
    open_root(job.folder)
    for mount in job.outputs:
        if not is_real_folder(mount.source):
            return ExitStatus(1, f"(container main) Error: the output folder {mount.path} is gone")
        try:
            list_entries(mount.source)
            seal(mount.source)
        except KnitError as error:
            return ExitStatus(1, f"(container main) Error: {error.message}")
        except PermissionError as error:
            return explain_lost(mount.path, error)
    sync_path(job.log_path)
    return ended
