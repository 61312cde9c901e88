"""Starts waiting Runs as far as the machine has room, each in a thread of its own.

Woken by every change, so nothing waits for a clock. Which Run comes next is decided by scheduler.py.
"""

import sqlite3
import sys
import threading
import time
from collections import Counter
from collections.abc import Mapping
from itertools import count
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
from knitlite.trouble import is_passing

_LOOK_AGAIN_SECONDS: Final = 1.0
"""After trouble with the disk; otherwise news of a change wakes the thread."""

_LONGEST_PAUSE_SECONDS: Final = 60.0
"""Pauses after trouble begin with a second and double up to this."""

_TRIES: Final = 6
"""So often, half a minute in all, trouble that is the Run's own is met before the Run fails of it."""

_TROUBLE: Final = (KnitError, OSError, sqlite3.OperationalError)
"""What must not end the engine: it is told, and what it hindered is tried again."""

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
        self._failed_ends: Counter[str] = Counter()
        self._next_end: dict[str, float] = {}
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
            try:
                busy = self._finish_the_stopped() or self._start_next()
            except _TROUBLE as error:
                _tell(error)
                busy = False
            if not busy:
                self._core.changes.wait(seen, _LOOK_AGAIN_SECONDS)

    def _finish_the_stopped(self) -> bool:
        """Runs that were stopped before they had a process, or could not be finished for want of space."""
        with self._core.database.read() as tx:
            ended = find_runs(tx, RunQuery(statuses=("completing", "aborting")))
        done = False
        for run in ended:
            if not self.is_executing(run.run_id) and run.run_id not in self._core.uploading:
                done = self._finish(run.run_id) or done
        return done

    def _finish(self, run_id: str) -> bool:
        if time.monotonic() < self._next_end.get(run_id, 0.0):
            return False
        try:
            complete(self._core, run_id, hopeless=self._failed_ends[run_id] >= _TRIES)
        except _TROUBLE as error:
            self._failed_ends[run_id] += 1
            pause = _pause(self._failed_ends[run_id])
            self._next_end[run_id] = time.monotonic() + pause
            _tell(error, f"run {run_id} can't be finished, next try in {pause:.0f} s: ")
            return False
        self._failed_ends.pop(run_id, None)
        self._next_end.pop(run_id, None)
        return True

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
            self._insist(execution)
        finally:
            with self._lock:
                del self._executions[execution.run_id]
            self._core.changes.notify()

    def _insist(self, execution: Execution) -> None:
        """Try until the Run has ended, or the engine closes. Trouble of the Run's own ends in its failure."""
        for tries in count(1):
            try:
                execution.execute()
                return
            except _TROUBLE as error:
                pause = _pause(tries)
                if not is_passing(error):
                    self._let_others_pass(execution)
                    if tries >= _TRIES and execution.despair(error):
                        continue
                _tell(error, f"run {execution.run_id} can't go on, next try in {pause:.0f} s: ")
            execution.rest(pause)
            if self._closing.is_set():
                self._give_back(execution.run_id)
                return

    def _let_others_pass(self, execution: Execution) -> None:
        """A job that has ended needs no room any more, however long its content can't be put in place.

        Where the whole machine is in trouble it keeps its place: more Runs would only make that worse.
        """
        if not execution.has_ended:
            return
        with self._lock:
            _, thread, _ = self._executions[execution.run_id]
            self._executions[execution.run_id] = (execution, thread, Capacity(0.0, 0.0))
        self._core.changes.notify()

    def _give_back(self, run_id: str) -> None:
        """So that the Run goes on with the next engine; where that fails, the next engine does it itself."""
        try:
            with self._core.database.write() as tx:
                restart_if_executing(tx, run_id, self._core.clock.now())
        except _TROUBLE as error:
            _tell(error)


def _pause(tries: int) -> float:
    return min(2.0 ** (tries - 1), _LONGEST_PAUSE_SECONDS)


def _tell(error: Exception, what: str = "") -> None:
    print(f"knitlite: {what}{error}", file=sys.stderr, flush=True)
