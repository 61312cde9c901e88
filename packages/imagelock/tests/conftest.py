"""A tiny source tree and a loopback registry, both real."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from imagelock.registry import Registry, parse_registry
from imagelock.samples import TinyTree, make_tree
from imagelock.serve import LoopbackRegistry


@pytest.fixture
def tree(tmp_path: Path) -> TinyTree:
    """A committed tree with one image, locked, nothing built."""
    return make_tree(tmp_path)


@pytest.fixture
def registry_root(tmp_path: Path) -> Path:
    """Where the loopback registry keeps its blobs."""
    return tmp_path / "registry"


@pytest.fixture
def registry(registry_root: Path) -> Iterator[Registry]:
    """A running loopback registry."""
    with LoopbackRegistry(("127.0.0.1", 0), registry_root) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield parse_registry(f"127.0.0.1:{server.server_address[1]}")
        server.shutdown()
        thread.join()


@pytest.fixture
def docker_registry(tmp_path: Path) -> Iterator[Registry]:
    """The registry that Debian ships, whose repositories do not see each other's blobs."""
    if not shutil.which("docker-registry"):
        pytest.skip("docker-registry is not installed here")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    settings = {
        "version": "0.1", "http": {"addr": f"127.0.0.1:{port}"},
        "storage": {"filesystem": {"rootdirectory": str(tmp_path / "docker-registry")}},
    }  # fmt: skip
    (tmp_path / "registry.yml").write_text(json.dumps(settings))
    process = subprocess.Popen(
        ["docker-registry", "serve", tmp_path / "registry.yml"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        for _ in range(100):
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                time.sleep(0.1)
        yield parse_registry(f"127.0.0.1:{port}")
    finally:
        process.terminate()
        process.wait()
