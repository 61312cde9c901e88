"""Tasks in child processes, a few at a time, gone at once when this process is told to stop.

A child that does not end on SIGTERM within seconds is killed: nothing here waits for ever, which
multiprocessing.Pool was seen to do in its terminate().
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from multiprocessing import Pipe, Process
from multiprocessing.connection import Connection, wait
from typing import Generic, TypeVar

from imagelock.errors import ImageError, end_on_signals

Result = TypeVar("Result")
GRACE_SECONDS = 5.0
SIGNALS = {signal.SIGINT, signal.SIGTERM}


@dataclass
class Child(Generic[Result]):
    """A task under way: its number, its process, and where its answer arrives."""

    number: int
    process: Process
    answer: Connection
    ended: bool = False


def run_tasks(
    tasks: Iterable[Callable[[], Result]],
    count: int,
    tick: Callable[[], None] = lambda: None,
    grace: float = GRACE_SECONDS,
) -> list[Result]:
    """Run tasks in at most `count` children; `tick` is called about once a second meanwhile.

    A task is taken from `tasks` when a child is free for it, so an iterator may still be working out
    the later ones while the first run.
    Results come in the tasks' order. The first ImageError or OSError of a child is raised here and
    ends the others; a child that dies otherwise is a RuntimeError, its traceback is on stderr.
    """
    results: dict[int, Result] = {}
    todo = enumerate(tasks)
    running: list[Child[Result]] = []
    try:
        while True:
            for number, task in islice(todo, count - len(running)):
                running.append(start(number, task))
            if not running:
                break
            ready = wait([child.answer for child in running], timeout=1.0)
            for child in [child for child in running if child.answer in ready]:
                running.remove(child)
                results[child.number] = receive(child, grace)
            tick()
    finally:
        for child in running:
            end(child, grace)
    return [results[number] for number in sorted(results)]


@contextmanager
def beside(task: Callable[[], Result], grace: float = GRACE_SECONDS) -> Iterator[Callable[[], Result]]:
    """Run one task in a child while the block goes on, which gets a function that waits for its result."""
    child = start(0, task)
    answers: list[Result] = []

    def wait_for_it() -> Result:
        if not answers:
            answers.append(receive(child, grace))
        return answers[0]

    try:
        yield wait_for_it
    finally:
        if not child.ended:
            end(child, grace)


def start(number: int, task: Callable[[], Result]) -> Child[Result]:
    """Begin one task."""
    mine, theirs = Pipe(duplex=False)
    process = Process(target=work, args=(task, theirs), daemon=True)
    # Held back until the child has its own handlers; before, it would still have the parent's.
    held = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        process.start()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, held)
    theirs.close()
    return Child(number, process, mine)


def work(task: Callable[[], Result], answer: Connection) -> None:
    """In the child. Ctrl-C is the parent's affair; SIGTERM ends it through its `finally` blocks."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    end_on_signals()
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
    try:
        answer.send((True, task()))
    except (ImageError, OSError) as error:
        answer.send((False, error))
    finally:
        answer.close()


def receive(child: Child[Result], grace: float) -> Result:
    """A finished child's result, or its error."""
    try:
        good, value = child.answer.recv()
    except EOFError:
        good, value = False, RuntimeError("a worker process died; its last words are above")
    end(child, grace)
    if not good:
        raise value
    result: Result = value
    return result


def end(child: Child[Result], grace: float) -> None:
    """Let a child go: by itself when it has answered, else by SIGTERM, at last by force."""
    if child.process.is_alive() and not child.answer.poll():
        child.process.terminate()
    child.process.join(grace)
    if child.process.is_alive():
        child.process.kill()
        child.process.join()
    child.answer.close()
    child.process.close()
    child.ended = True
