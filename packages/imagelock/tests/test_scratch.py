"""Scratch folders are gone afterwards, whatever happened in between."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from imagelock.errors import terminate
from imagelock.scratch import PREFIX, STALE_SECONDS, replacing, scratch_folder


def test_a_signal_while_it_is_removed_leaves_nothing(tmp_path: Path) -> None:
    before = signal.signal(signal.SIGALRM, terminate)
    try:
        with pytest.raises(SystemExit):
            fill_and_leave(tmp_path)
    finally:
        signal.signal(signal.SIGALRM, before)
    assert not list(tmp_path.iterdir())


def fill_and_leave(parent: Path) -> None:
    """A scratch folder that takes longer to remove than the signal takes to come."""
    with scratch_folder(parent) as path:
        for number in range(5000):
            (path / str(number)).touch()
        signal.setitimer(signal.ITIMER_REAL, 0.002)


def test_what_takes_the_place_of_another_does_so_whole_or_not_at_all(tmp_path: Path) -> None:
    for text in ("old", "new"):
        with replacing(tmp_path / "it") as fresh:
            (fresh / "file").write_text(text)
    with pytest.raises(ZeroDivisionError), replacing(tmp_path / "it") as fresh:
        (fresh / "file").write_text(str(1 / 0))
    assert (tmp_path / "it" / "file").read_text() == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["it"]


def test_leftovers_go_after_a_day_and_not_before(tmp_path: Path) -> None:
    for name in ("old", "young"):
        (tmp_path / f"{PREFIX}{name}").mkdir()
    long_ago = (tmp_path / f"{PREFIX}old").stat().st_mtime - STALE_SECONDS - 60
    os.utime(tmp_path / f"{PREFIX}old", (long_ago, long_ago))
    with scratch_folder(tmp_path):
        pass
    assert [path.name for path in tmp_path.iterdir()] == [f"{PREFIX}young"]
