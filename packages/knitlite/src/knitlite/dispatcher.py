"""Starts waiting Runs as far as the machine has room, each in a thread of its own.

Woken by every change, so nothing waits for a clock. Which Run comes next is decided by scheduler.py.
"""

import sqlite3
import sys
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

from knitfab.errors import KnitError

from knitlite.capacity import Capacity
from knitlite.core import Core
from knitlite.executor import Execution
from knitlite.finishing import complete
from knitlite.plan_rows import get_plan
from knitlite.quantities import cpus_of, gpus_of, memory_of
from knitlite.run_rows import RunQuery, find_runs, restart_if_executing, waiting_runs
from knitlite.runners import Runner
from knitlite.scheduler import choose_next

_LOOK_AGAIN_SECONDS: Final = 1.0
"""After trouble with the disk; otherwise news of a change wakes the thread."""

_WINDOW: Final = 200
"""So many of the oldest waiting Runs are looked at."""


class Dispatcher:
    """Owns the threads that execute Runs."""

    def __init__(self, core: Core, runner: Runner, capacity: Capacity) -> None:
        """Nothing runs before `start`."""
        self._core = core
        self._runner = runner
        self._capacity = capacity
        self._lock = threading.Lock()
        self._executions: dict[str, tuple[Execution, threading.Thread, Capacity]] = {}
        self._overtaken: Counter[str] = Counter()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="dispatcher", daemon=True)

    def start(self) -> None:
        """Begin to start Runs."""
        self._thread.start()

    def stop_run(self, run_id: str) -> None:
        """End the process of a Run whose status says so already; returns at once."""
        with self._lock:
            found = self._executions.get(run_id)
        if found is not None:
            threading.Thread(target=found[0].stop, name=f"stop {run_id}", daemon=True).start()

    def is_executing(self, run_id: str) -> bool:
        """Whether a thread is busy with the Run."""
        with self._lock:
            return run_id in self._executions

    def close(self) -> None:
        """End all processes; their Runs go back to the queue."""
        self._closing.set()
        self._core.changes.notify()
        if self._thread.is_alive():
            self._thread.join()
        with self._lock:
            running = list(self._executions.values())
        stops = [
            threading.Thread(target=execution.stop, kwargs={"give_up": True}, daemon=True)
            for execution, _, _ in running
        ]
        for stop in stops:
            stop.start()
        for thread in (*stops, *(thread for _, thread, _ in running)):
            thread.join()

    def _loop(self) -> None:
        while not self._closing.is_set():
            seen = self._core.changes.count()
            started = self._finish_the_stopped() or self._start_next()
            if not started:
                self._core.changes.wait(seen, _LOOK_AGAIN_SECONDS)

    def _finish_the_stopped(self) -> bool:
        """Runs that were stopped before they had a process, or could not be finished for want of space."""
        with self._core.database.read() as tx:
            ended = find_runs(tx, RunQuery(statuses=("completing", "aborting")))
        done = False
        for run in ended:
            if not self.is_executing(run.run_id) and run.run_id not in self._core.uploading:
                done = _survive(partial(complete, self._core, run.run_id)) or done
        return done

    def _start_next(self) -> bool:
        with self._core.database.read() as tx:
            waiting = waiting_runs(tx, _WINDOW)
            needs = {
                plan_id: self._need(get_plan(tx, plan_id).spec.resources)
                for plan_id in {run.plan_id for run in waiting}
            }
        with self._lock:
            free = self._capacity
            for _, _, taken in self._executions.values():
                free = free.less(taken)
            waiting = [run for run in waiting if run.run_id not in self._executions]
            fits = {run.run_id: free.holds(needs[run.plan_id]) for run in waiting}
            queue = [run.run_id for run in waiting]
            chosen = choose_next(queue, fits, self._overtaken)
            if chosen is None:
                return False
            self._overtaken.update(queue[: queue.index(chosen)])
            del self._overtaken[chosen]
            plan_id = next(run.plan_id for run in waiting if run.run_id == chosen)
            self._launch(chosen, needs[plan_id])
        return True

    def _need(self, resources: Mapping[str, str]) -> Capacity:
        return self._capacity.capped(Capacity(cpus_of(resources), memory_of(resources), gpus_of(resources)))

    def _launch(self, run_id: str, need: Capacity) -> None:
        execution = Execution(self._core, self._runner, run_id)
        thread = threading.Thread(target=self._execute, args=(execution,), name=f"run {run_id}", daemon=True)
        self._executions[run_id] = (execution, thread, need)
        thread.start()

    def _execute(self, execution: Execution) -> None:
        try:
            if not _survive(execution.execute):
                self._closing.wait(_LOOK_AGAIN_SECONDS)
                _survive(lambda: self._give_back(execution.run_id))
        finally:
            with self._lock:
                del self._executions[execution.run_id]
            self._core.changes.notify()

    def _give_back(self, run_id: str) -> None:
        with self._core.database.write() as tx:
            restart_if_executing(tx, run_id, self._core.clock.now())


def _survive(act: Callable[[], object]) -> bool:
    """Whether it worked. Trouble with the disk must not end the engine: it is told and tried again later."""
    try:
        act()
    except (KnitError, OSError, sqlite3.OperationalError) as error:
        print(f"knitlite: {error}", file=sys.stderr, flush=True)
        return False
    return True
