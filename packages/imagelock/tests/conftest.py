"""A tiny source tree and a loopback registry, both real."""

from __future__ import annotations

import threading
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
