"""A tiny source tree and registries, all real."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from imagelock.registry import Registry, parse_registry
from imagelock.samples import TinyTree, make_tree
from imagelock.serve import LoopbackRegistry

from .servers import Signer, ToldServer, debians_registry, serving


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
    server = LoopbackRegistry(("127.0.0.1", 0), registry_root)
    with serving(server):
        yield parse_registry(f"127.0.0.1:{server.server_address[1]}")


@pytest.fixture
def docker_registry(tmp_path: Path) -> Iterator[Registry]:
    """The registry that Debian ships, whose repositories do not see each other's blobs."""
    if not shutil.which("docker-registry"):
        pytest.skip("docker-registry is not installed here")
    with debians_registry(tmp_path) as address:
        yield parse_registry(address)


@pytest.fixture
def told() -> Iterator[ToldServer]:
    """A running server without an answer."""
    server = ToldServer()
    with serving(server):
        yield server


@pytest.fixture(scope="session")
def signer(tmp_path_factory: pytest.TempPathFactory) -> Signer:
    """A key and its certificate."""
    if not shutil.which("openssl"):
        pytest.skip("openssl is not installed here")
    return Signer(tmp_path_factory.mktemp("signer"))
