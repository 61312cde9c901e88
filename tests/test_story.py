"""The whole job on a tiny twin of the demo: real plan files, real processes, real HTTP, real MLflow."""

import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

NEWSLOOM = Path(sys.executable).parent / "newsloom"
RUNS = {"train-tfidf-svm": 1, "train-tiny-bert": 1, "predict": 2, "judge-table-tiny-bert": 1, "judge": 2}


def command(state: Path) -> list[str]:
    """The demo over the twin, in the twin's folder."""
    return [str(NEWSLOOM), "demo", "--no-fetch", "--state", str(state)]


def call(twin: Path, state: Path) -> str:
    """Run the demo to its end and return what it printed."""
    result = subprocess.run(command(state), cwd=twin, check=False, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def mirrored(state: Path) -> Counter[str]:
    """How many rows MLflow holds, table by table."""
    counts: Counter[str] = Counter()
    with sqlite3.connect(state / "mlflow.db") as database:
        tables = [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for table in tables:
            if not table.startswith("sqlite_"):
                counts[table] = database.execute(f'SELECT count(*) FROM "{table}"').fetchone()[0]
    database.close()
    return counts


@pytest.fixture(scope="module")
def story(twin: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The state after one whole demo, and what it printed."""
    state = tmp_path_factory.mktemp("state")
    return state, call(twin, state)


def test_fine_tunes_are_compared_with_the_bar_in_words(story: tuple[Path, str]) -> None:
    _, printed = story
    assert f"{sum(RUNS.values())} Runs ended, {sum(RUNS.values())} done" in printed
    assert "tfidf-svm" in printed
    assert "lora" in printed
    assert any(verdict in printed for verdict in ("better", "worse", "not distinguishable"))
    assert "Open the fine-tunes in MLflow" in printed


def test_a_second_call_finds_everything_done(twin: Path, story: tuple[Path, str]) -> None:
    state, _ = story
    before = mirrored(state)
    assert before["runs"] >= sum(RUNS.values())
    printed = call(twin, state)
    assert "0 of them new" in printed
    assert "pushed" not in printed
    assert mirrored(state) == before


@pytest.mark.parametrize("seconds", [1.5, 9.0])
def test_a_killed_demo_goes_on_and_makes_nothing_twice(
    twin: Path, story: tuple[Path, str], tmp_path: Path, seconds: float
) -> None:
    state, _ = story
    process = subprocess.Popen(command(tmp_path), cwd=twin, stdout=subprocess.DEVNULL)
    time.sleep(seconds)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    printed = call(twin, tmp_path)
    assert f"{sum(RUNS.values())} Runs ended, {sum(RUNS.values())} done" in printed
    assert mirrored(tmp_path)["runs"] == mirrored(state)["runs"]


def test_ctrl_c_leaves_no_server_behind(twin: Path, tmp_path: Path) -> None:
    with subprocess.Popen(
        command(tmp_path), cwd=twin, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdout is not None
        assert any(" running " in line for line in process.stdout)  # reads no further than the first
        process.send_signal(signal.SIGINT)
        process.stdout.read()
    assert process.returncode == 130
    listed = subprocess.run(["ps", "-eo", "args"], check=True, capture_output=True, text=True).stdout
    assert str(tmp_path) not in listed
