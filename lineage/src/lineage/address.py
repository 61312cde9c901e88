"""Where MLflow is: checks a tracking URI before MLflow's own client spends minutes on it.

Knows URIs, sockets and SQLite files; does not import mlflow (which takes seconds).
"""

import os
import re
import socket
import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

from newscore.errors import NewsError

DEFAULT_PORTS = {"http": 80, "https": 443, "postgresql": 5432, "mysql": 3306}
CONNECT_SECONDS = 5.0

_USER = re.compile(r"(?<=://)[^/\s'\"]*@")
_SECRET_QUERY = re.compile(r"(?<=password=)[^&\s'\"]+|(?<=token=)[^&\s'\"]+", re.IGNORECASE)

ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_TRUNCATE_LONG_VALUES": "false",
    "MLFLOW_ENABLE_ASYNC_LOGGING": "false",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "GIT_PYTHON_REFRESH": "quiet",
}
"""What MLflow reads at import or call: no telemetry, nothing cut silently, minutes of retries bounded."""


def set_environment() -> None:
    """Settle MLflow's own settings for this process; to be called before mlflow is imported."""
    os.environ.update(ENVIRONMENT)


def sqlite_path(uri: str) -> Path | None:
    """The database file of a `sqlite:///…` URI, absolute; None for any other URI."""
    match = re.fullmatch(r"sqlite(?:\+pysqlite)?:///([^?]+)(?:\?.*)?", uri)
    return Path(match[1]).absolute() if match else None


def hide_credentials(text: str) -> str:
    """`text` with the addresses in it as they may be shown: without user, password or token."""
    return _SECRET_QUERY.sub("(withheld)", _USER.sub("", text))


def check_address(uri: str, *, create: bool) -> None:
    """Refuse a tracking URI that cannot work: NewsError("invalid" | "missing" | "unreachable").

    `create` says whether a SQLite file that is absent may be made.
    """
    path = sqlite_path(uri)
    if path is not None:
        _check_file(uri, path, create)
        return
    parts = urlsplit(uri)
    scheme = parts.scheme.split("+", 1)[0]
    if scheme not in DEFAULT_PORTS or not parts.hostname:
        raise NewsError(
            f"{hide_credentials(uri)!r} is no MLflow tracking URI this mirror writes to: give "
            "sqlite:///FILE, http(s)://HOST:PORT, postgresql://… or mysql://…",
            code="invalid",
        )
    try:
        place = (parts.hostname, parts.port or DEFAULT_PORTS[scheme])
        socket.create_connection(place, timeout=CONNECT_SECONDS).close()
    except (OSError, ValueError) as error:
        raise NewsError(
            f"MLflow at {hide_credentials(uri)} cannot be reached ({error}): start it, or give another "
            "--tracking-uri.",
            code="unreachable",
        ) from error


def _check_file(uri: str, path: Path, create: bool) -> None:
    """The file is a SQLite database, or absent where it may be made."""
    if not path.exists():
        if not create:
            raise NewsError(
                f"MLflow's database {path} does not exist: run knit-mlflow sync first, or correct "
                f"--tracking-uri {uri}.",
                code="missing",
            )
        if not path.parent.is_dir() or not os.access(path.parent, os.W_OK):
            raise NewsError(
                f"MLflow's database {path} cannot be made, its folder is missing or not writable: "
                "make the folder, or give another --tracking-uri.",
                code="unreachable",
            )
        return
    try:
        with closing(sqlite3.connect(path, timeout=20)) as connection:
            connection.execute("PRAGMA schema_version").fetchone()
    except sqlite3.Error as error:
        raise NewsError(
            f"MLflow's database {path} cannot be opened ({error}): correct --tracking-uri {uri}.",
            code="unreachable",
        ) from error


def use_wal(uri: str) -> None:
    """Write-ahead logging for a SQLite store: persists in the file, doubles MLflow's write rate."""
    path = sqlite_path(uri)
    if path is not None:
        with closing(sqlite3.connect(path, timeout=20)) as connection:
            connection.execute("PRAGMA journal_mode = WAL")


def refresh_statistics(uri: str) -> None:
    """Give SQLite's planner its statistics: without, MLflow's sort by a metric grows quadratically."""
    path = sqlite_path(uri)
    if path is not None:
        with closing(sqlite3.connect(path, timeout=20)) as connection, connection:
            connection.execute("PRAGMA analysis_limit = 1000")
            connection.execute("ANALYZE")
            connection.execute("PRAGMA optimize")
