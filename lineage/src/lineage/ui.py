"""Serves MLflow's own UI on loopback. Knows a URI and a port; nothing of what is mirrored."""

import os
import socket
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

from newscore.errors import NewsError

from .address import check_address, hide_credentials, set_environment, sqlite_path
from .views import VIEW_KEY, VIEW_TAG

HOST = "127.0.0.1"


def serve_ui(uri: str, port: int) -> None:
    """Run `mlflow server` until it is stopped (Ctrl-C, SIGTERM).

    Raises NewsError: the store is not there, or the port is in use.
    """
    check_address(uri, create=False)
    check_port(port)
    path = sqlite_path(uri)
    if uri.startswith(("http://", "https://")):
        raise NewsError(f"{hide_credentials(uri)} is a running MLflow server: open it in a browser.")
    store = f"sqlite:///{path}" if path is not None else uri
    set_environment()
    print(f"MLflow: http://{HOST}:{port}  (Ctrl-C ends it)", flush=True)
    for experiment in find_views(path) if path is not None else ():
        link = f"http://{HOST}:{port}/#/experiments/{experiment}/runs?viewStateShareKey={VIEW_KEY}"
        print(f"Fine-tunes compared: {link}", flush=True)
    arguments = ["--backend-store-uri", store, "--host", HOST, "--port", str(port), "--workers", "1"]
    process = subprocess.Popen([sys.executable, "-m", "mlflow", "server", *arguments], env=os.environ)
    try:
        code = process.wait()
    finally:
        process.terminate()
        process.wait()
    if code:
        raise NewsError(f"mlflow server ended with code {code}: see what it said above.", code="unreachable")


def find_views(path: Path) -> list[str]:
    """Ids of the experiments that carry our saved view; none where MLflow's tables look otherwise."""
    try:
        with closing(sqlite3.connect(path, timeout=20)) as connection:
            rows = connection.execute(
                "SELECT experiment_id FROM experiment_tags WHERE key = ? ORDER BY experiment_id", (VIEW_TAG,)
            ).fetchall()
    except sqlite3.Error:
        return []
    return [str(row[0]) for row in rows]


def check_port(port: int) -> None:
    """NewsError("invalid") when `port` cannot be listened on."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise NewsError(
                f"port {port} on {HOST} cannot be used ({error.strerror}): stop what listens there, or give "
                "another --port.",
                code="invalid",
            ) from error
