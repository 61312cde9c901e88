"""The mirror's own memory: which MLflow run is whose, what was intended, and what was read before.

SQLite (WAL, FULL). A cache with proof: without it a sync finds everything again in MLflow by
`kf.key`; with it, a removal that a kill cut short is completed, and no Data is read twice.
Knows neither the engine nor MLflow. One process at a time: a lock file stands beside it.
"""

import fcntl
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from newscore.errors import NewsError

SCHEMA = """
CREATE TABLE IF NOT EXISTS run (
    key TEXT PRIMARY KEY,           -- kf.key: <source>/run/<runId>/<attempt>
    mlflow_id TEXT                  -- NULL: creation was intended, its outcome is not known
) STRICT;
CREATE TABLE IF NOT EXISTS removal (
    mlflow_id TEXT PRIMARY KEY      -- a removal that was begun and not completed
) STRICT;
CREATE TABLE IF NOT EXISTS missing (
    run_id TEXT PRIMARY KEY,        -- a Run the source no longer lists
    since REAL NOT NULL             -- Unix time of the first sync that missed it
) STRICT;
CREATE TABLE IF NOT EXISTS reading (
    name TEXT PRIMARY KEY,          -- what was read, by the knitIds it came from (they never change)
    body TEXT NOT NULL              -- as JSON
) STRICT;
"""


class Ledger:
    """Every method is one transaction."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def intend(self, key: str) -> None:
        """A run is about to be created for `key`."""
        self._write("INSERT OR IGNORE INTO run (key) VALUES (?)", key)

    def settle(self, key: str, mlflow_id: str) -> None:
        """`key` is this MLflow run."""
        self._write(
            "INSERT INTO run VALUES (?, ?) ON CONFLICT DO UPDATE SET mlflow_id = excluded.mlflow_id",
            key,
            mlflow_id,
        )

    def known(self) -> dict[str, str]:
        """key → MLflow id of all settled runs."""
        rows = self._read("SELECT key, mlflow_id FROM run WHERE mlflow_id IS NOT NULL")
        return {row[0]: row[1] for row in rows}

    def begin_removal(self, mlflow_id: str) -> None:
        """A run is about to be taken away."""
        self._write("INSERT OR IGNORE INTO removal VALUES (?)", mlflow_id)

    def end_removal(self, mlflow_id: str) -> None:
        """It is away."""
        self._write("DELETE FROM removal WHERE mlflow_id = ?", mlflow_id)

    def begun_removals(self) -> set[str]:
        """MLflow ids of removals that were cut short."""
        return {row[0] for row in self._read("SELECT mlflow_id FROM removal")}

    def note_missing(self, run_id: str, now: float) -> float:
        """Since when the source has not listed this Run; now, if it is the first time."""
        self._write("INSERT OR IGNORE INTO missing VALUES (?, ?)", run_id, now)
        return float(self._read("SELECT since FROM missing WHERE run_id = ?", run_id)[0][0])

    def note_present(self, run_id: str) -> None:
        """The source lists the Run (again)."""
        self._write("DELETE FROM missing WHERE run_id = ?", run_id)

    def missing(self) -> set[str]:
        """runIds noted as missing."""
        return {row[0] for row in self._read("SELECT run_id FROM missing")}

    def recall(self, name: str) -> str | None:
        """What was read before under this name."""
        rows = self._read("SELECT body FROM reading WHERE name = ?", name)
        return str(rows[0][0]) if rows else None

    def remember(self, name: str, body: str) -> None:
        """Keep what was read."""
        self._write("INSERT OR REPLACE INTO reading VALUES (?, ?)", name, body)

    def _write(self, statement: str, *values: object) -> None:
        with self._connection:
            self._connection.execute(statement, values)

    def _read(self, statement: str, *values: object) -> list[tuple[str, ...]]:
        with closing(self._connection.execute(statement, values)) as cursor:
            return cursor.fetchall()


@contextmanager
def open_ledger(path: Path) -> Iterator[Ledger]:
    """The ledger at `path`, made if absent, held by this process alone until the end.

    Raises NewsError: another process holds it, it is none, or it fails while it is open (a full disk).
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_name(path.name + ".lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise NewsError(
                f"another knit-mlflow holds the ledger {path}: wait for it to end, or give this one "
                "its own with --ledger.",
                code="invalid",
            ) from error
        try:
            with closing(sqlite3.connect(path, timeout=30)) as connection:
                connection.execute("PRAGMA journal_mode = WAL")
                connection.execute("PRAGMA synchronous = FULL")
                connection.executescript(SCHEMA)
                yield Ledger(connection)
        except sqlite3.OperationalError as error:
            raise NewsError(
                f"the ledger {path} failed ({error}): start again when it works, or give another --ledger.",
                code="unreachable",
            ) from error
        except sqlite3.DatabaseError as error:
            raise NewsError(
                f"{path} is not a ledger of knit-mlflow ({error}): move it away, all in it is found again.",
                code="corrupt",
            ) from error
