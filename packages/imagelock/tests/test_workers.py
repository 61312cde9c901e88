"""Children answer in order, fail loudly, and never keep the parent waiting."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from imagelock.errors import ImageError
from imagelock.workers import beside, run_tasks


def nap(number: int, seconds: float) -> int:
    time.sleep(seconds)
    return number


def touch(number: int, path: Path) -> int:
    path.touch()
    return number


def fail(code: str) -> int:
    raise ImageError("no", code=code)


def die() -> int:
    os.kill(os.getpid(), signal.SIGKILL)
    return 0


def refuse_to_go() -> int:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    time.sleep(60)
    return 0


def test_results_come_in_the_tasks_order() -> None:
    tasks = [partial(nap, number, 0.2 - number * 0.05) for number in range(4)]
    assert run_tasks(tasks, 3) == [0, 1, 2, 3]


def test_an_error_keeps_its_code_and_ends_the_others() -> None:
    begun = time.monotonic()
    tasks: list[Callable[[], int]] = [partial(nap, 0, 60.0), partial(fail, "corrupt")]
    with pytest.raises(ImageError) as caught:
        run_tasks(tasks, 2)
    assert caught.value.code == "corrupt"
    assert time.monotonic() - begun < 30


class Slow:
    """A destructor that takes its time, out of which Python lets no exception."""

    def __init__(self, entered: Path) -> None:
        self.entered = entered

    def __del__(self) -> None:
        self.entered.touch()
        time.sleep(60)


def drop(entered: Path, left: Path) -> int:
    try:
        Slow(entered)
        time.sleep(60)
    finally:
        left.touch()
    return 0


def wait_and_fail(path: Path) -> int:
    while not path.exists():
        time.sleep(0.01)
    raise ImageError("no")


def test_a_child_leaves_in_order_when_it_is_told_to_in_a_destructor(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    entered, left = tmp_path / "entered", tmp_path / "left"
    with pytest.raises(ImageError, match="no"):
        run_tasks([partial(drop, entered, left), partial(wait_and_fail, entered)], 2, grace=30.0)
    assert left.exists()
    assert capfd.readouterr().err == ""


def test_a_child_that_dies_is_told() -> None:
    with pytest.raises(RuntimeError, match="died"):
        run_tasks([die], 1)


def test_a_child_that_will_not_go_is_killed() -> None:
    tasks: list[Callable[[], int]] = [refuse_to_go, partial(late_failure, 0.5)]
    begun = time.monotonic()
    with pytest.raises(ImageError):
        run_tasks(tasks, 2, grace=0.3)
    assert time.monotonic() - begun < 30


def late_failure(seconds: float) -> int:
    time.sleep(seconds)
    raise ImageError("late")


def test_many_short_tasks_do_not_hang() -> None:
    for _ in range(20):
        assert run_tasks([partial(nap, number, 0.0) for number in range(4)], 2) == [0, 1, 2, 3]


def test_a_task_is_worked_out_while_earlier_ones_run(tmp_path: Path) -> None:
    begun, deadline = tmp_path / "begun", time.monotonic() + 20

    def tasks() -> Iterator[Callable[[], int]]:
        yield partial(touch, 0, begun)
        while not begun.exists():
            assert time.monotonic() < deadline, "the first task waits for the second to be worked out"
            time.sleep(0.01)
        yield partial(nap, 1, 0.0)

    assert run_tasks(tasks(), 2) == [0, 1]


def test_what_goes_wrong_in_working_out_a_task_ends_those_that_run() -> None:
    begun = time.monotonic()

    def tasks() -> Iterator[Callable[[], int]]:
        yield partial(nap, 0, 60.0)
        raise ImageError("no")

    with pytest.raises(ImageError):
        run_tasks(tasks(), 2)
    assert time.monotonic() - begun < 30


def test_a_task_beside_the_block_gives_its_result_as_often_as_asked() -> None:
    with beside(partial(nap, 7, 0.1)) as result:
        assert (result(), result()) == (7, 7)


def test_a_task_beside_the_block_raises_where_it_is_waited_for() -> None:
    with beside(partial(fail, "corrupt")) as result, pytest.raises(ImageError, match="no"):
        result()


def test_a_block_that_does_not_wait_ends_its_task() -> None:
    begun = time.monotonic()
    with beside(partial(nap, 1, 60.0)):
        pass
    assert time.monotonic() - begun < 30
