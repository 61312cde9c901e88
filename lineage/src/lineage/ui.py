"""Serves MLflow's own UI on loopback. Knows a URI and a port; nothing of what is mirrored."""

import os
import socket
import subprocess
import sys

from newscore.errors import NewsError

from .address import check_address, set_environment, sqlite_path

HOST = "127.0.0.1"


def serve_ui(uri: str, port: int) -> None:
    """Run `mlflow server` until it is stopped (Ctrl-C, SIGTERM).

    Raises NewsError: the store is not there, or the port is in use.
    """
    check_address(uri, create=False)
    check_port(port)
    path = sqlite_path(uri)
    store = f"sqlite:///{path}" if path is not None else uri
    set_environment()
    print(f"MLflow: http://{HOST}:{port}  (Ctrl-C ends it)", flush=True)
    arguments = ["--backend-store-uri", store, "--host", HOST, "--port", str(port), "--workers", "1"]
    process = subprocess.Popen([sys.executable, "-m", "mlflow", "server", *arguments], env=os.environ)
    try:
        code = process.wait()
    finally:
        process.terminate()
        process.wait()
    if code:
        raise NewsError(f"mlflow server ended with code {code}: see what it said above", code="unreachable")


def check_port(port: int) -> None:
    """NewsError("invalid") when `port` cannot be listened on."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise NewsError(
                f"port {port} on {HOST} cannot be used ({error.strerror}): stop what listens there, or give "
                "another --port",
                code="invalid",
            ) from error
