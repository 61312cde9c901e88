"""Shared by the mirror's tests: a small Knitfab, a ledger, and real MLflow stores on SQLite."""

import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from lineage.example import World, build_world
from lineage.faults import Steps
from lineage.ledger import Ledger, open_ledger
from lineage.settings import Options
from lineage.sync import Outcome, sync_once
from lineage.tracker import Tracker, open_tracker

Sync = Callable[..., Outcome]


@pytest.fixture
def world(tmp_path: Path) -> World:
    return build_world(tmp_path / "recording")


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with open_ledger(tmp_path / "ledger.db") as opened:
        yield opened


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An MLflow database with its tables: making them takes seconds, copying none."""
    path = tmp_path_factory.mktemp("mlflow") / "empty.db"
    open_tracker(f"sqlite:///{path}")
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return path


@pytest.fixture
def tracker(empty_store: Path, tmp_path: Path) -> Tracker:
    path = tmp_path / "mlflow.db"
    shutil.copy(empty_store, path)
    return open_tracker(f"sqlite:///{path}")


@pytest.fixture
def sync(world: World, tracker: Tracker, ledger: Ledger) -> Sync:
    """One sync of the world as it is now."""

    def run(options: Options = Options(), steps: Steps | None = None) -> Outcome:  # noqa: B008
        return sync_once(world.source, tracker, ledger, options, tell_nobody, steps or Steps())

    return run


def tell_nobody(_what: str, _done: int, _of: int) -> None:
    """No progress bar."""
