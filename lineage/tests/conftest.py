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
    unfinished = path.with_name("empty.db.new")
    unfinished.write_text("what a kill left of an earlier attempt")
    open_tracker(f"sqlite:///{path}")
    assert not unfinished.exists()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return path


@pytest.fixture(scope="session")
def synced_store(empty_store: Path) -> Path:
    """A database that holds the mirror of `world` (whose ids are the same each time)."""
    path = empty_store.with_name("synced.db")
    world = build_world(empty_store.with_name("recording"))
    shutil.copy(empty_store, path)
    tracker = open_tracker(f"sqlite:///{path}")
    with open_ledger(empty_store.with_name("ledger.db")) as ledger:
        sync_once(world.source, tracker, ledger, Options(), tell_nobody, Steps())
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return path


@pytest.fixture
def empty_tracker(empty_store: Path, tmp_path: Path) -> Tracker:
    path = tmp_path / "empty" / "mlflow.db"
    path.parent.mkdir()
    shutil.copy(empty_store, path)
    return open_tracker(f"sqlite:///{path}")


@pytest.fixture
def tracker(synced_store: Path, tmp_path: Path) -> Tracker:
    """A store in which `world` is mirrored already; its files are shared, as MLflow's client expects."""
    path = tmp_path / "mlflow.db"
    shutil.copy(synced_store, path)
    return open_tracker(f"sqlite:///{path}")


@pytest.fixture
def sync(world: World, tracker: Tracker, ledger: Ledger) -> Sync:
    """One sync of the world as it is now, into `tracker` or another."""

    def run(options: Options | None = None, into: Tracker | None = None) -> Outcome:
        return sync_once(world.source, into or tracker, ledger, options or Options(), tell_nobody, Steps())

    return run


def tell_nobody(_what: str, _done: int, _of: int) -> None:
    """No progress bar."""
