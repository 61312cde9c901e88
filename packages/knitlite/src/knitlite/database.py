"""The SQLite file: opening, migrating, checking, and transactions. Knows no plan and no run.

One writer connection behind a lock; readers have their own connections and see the last committed state
(WAL). A commit is on the disk when it returns (synchronous=FULL).
"""

import errno
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import resources
from pathlib import Path
from typing import Final

from knitfab.errors import KnitError

VERSION: Final = 1
"""PRAGMA user_version of the schema this code writes."""

_BUSY_SECONDS: Final = 30.0
_FULL: Final = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_WRITE, sqlite3.SQLITE_IOERR_SHMSIZE)
_SHUT: Final = (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY)
"""Where a file beside the database can't be made: no inodes left, or a disk that is read-only."""


def connect(path: Path) -> sqlite3.Connection:
    """A connection with the settings every connection must have."""
    connection = sqlite3.connect(path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("PRAGMA foreign_keys=ON")
    return connection


class Database:
    """All access to the file. Threads may share one."""

    def __init__(self, path: Path) -> None:
        """Open or create the file and bring its schema up to date."""
        self._path = path
        self._write_lock = threading.RLock()
        self._readers_lock = threading.Lock()
        self._idle_readers: list[sqlite3.Connection] = []
        with explain_full_disk(path), explain_damage(path):
            self._writer = connect(path)
            try:
                migrate(self._writer, path)
            except BaseException:
                self._writer.close()
                raise

    @contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """A transaction that may write; rolled back on any exception. Not to be nested."""
        with self._write_lock, explain_full_disk(self._path):
            self._writer.execute("BEGIN IMMEDIATE")
            try:
                yield self._writer
                self._writer.execute("COMMIT")
            except BaseException:
                if self._writer.in_transaction:
                    self._writer.execute("ROLLBACK")
                raise

    @contextmanager
    def read(self) -> Iterator[sqlite3.Connection]:
        """A consistent view of the last committed state."""
        with self._readers_lock:
            reader = self._idle_readers.pop() if self._idle_readers else None
        if reader is None:
            with explain_full_disk(self._path):
                reader = connect(self._path)
        reader.execute("BEGIN")
        try:
            yield reader
        finally:
            reader.execute("ROLLBACK")
            with self._readers_lock:
                self._idle_readers.append(reader)

    def check(self) -> list[str]:
        """What SQLite finds wrong with the file: damaged pages, rows that refer to nothing."""
        try:
            with self.read() as view:
                problems = [row[0] for row in view.execute("PRAGMA integrity_check")]
                orphans = [
                    f"a row of {row[0]} refers to a missing row of {row[2]}"
                    for row in view.execute("PRAGMA foreign_key_check")
                ]
        except sqlite3.DatabaseError as error:
            return [str(error)]
        return [text for text in problems if text != "ok"] + orphans

    def close(self) -> None:
        """Close every connection; the write-ahead log is folded into the file."""
        with self._readers_lock:
            while self._idle_readers:
                self._idle_readers.pop().close()
        with self._write_lock:
            self._writer.close()


def migrate(connection: sqlite3.Connection, path: Path) -> None:
    """Run the schema or the missing migrations, one transaction each."""
    found = int(connection.execute("PRAGMA user_version").fetchone()[0])
    if found > VERSION:
        known = f"schema {found}, this one knows {VERSION}"
        sentence = f"{path} was written by a newer knitlite ({known}): upgrade knitlite"
        raise KnitError(sentence, code="invalid")
    for version in range(found + 1, VERSION + 1):
        script = _script_of(version)
        connection.executescript(f"BEGIN IMMEDIATE;\n{script}\nPRAGMA user_version={version};\nCOMMIT;")


def _script_of(version: int) -> str:
    package = resources.files("knitlite")
    source = package / "schema.sql" if version == 1 else package / "migrations" / f"{version:04}.sql"
    return source.read_text(encoding="utf-8")


@contextmanager
def explain_damage(path: Path) -> Iterator[None]:
    """Turn SQLite's "malformed" and "not a database" into the sentence a user can act on."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        if error.sqlite_errorcode not in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
            raise
        sentence = f"{path} is damaged ({error}): restore {path.parent} from a backup"
        raise KnitError(sentence, code="corrupt") from error


@contextmanager
def explain_full_disk(path: Path) -> Iterator[None]:
    """Turn "no space", SQLite's or the disk's, into a sentence a user can act on; all else passes."""
    try:
        yield
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode & 0xFF in _SHUT:
            raise KnitError(_explain_shut(path, error), code="no_space") from error
        if error.sqlite_errorcode not in _FULL:
            raise
        raise KnitError(_explain_full(path), code="no_space") from error
    except OSError as error:
        if error.errno == errno.EROFS:
            raise KnitError(_explain_shut(path, error), code="no_space") from error
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise KnitError(_explain_full(path), code="no_space") from error


def _explain_full(path: Path) -> str:
    return f"no space left on the disk of {path.parent}: nothing was changed; free some space and try again"


def _explain_shut(path: Path, error: Exception) -> str:
    remedy = "free space and inodes, or make it writable, and try again"
    return f"{path.parent} can't be written ({error}): nothing was changed; {remedy}"
