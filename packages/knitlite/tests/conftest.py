"""Real engines for the tests: in this process and behind HTTP on a free port, each over a fresh folder."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from knitfab.client import HttpEngine
from knitfab.contract import Site
from knitlite import EmbeddedEngine, EngineSettings, ServeSettings, Service
from knitlite.runners.process import ProcessRunner

CONTENT = {"a.txt": "hello", "deep/b.bin": "x" * 100_000}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A folder of CONTENT."""
    for name, text in CONTENT.items():
        path = tmp_path / "source" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path / "source"


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[EmbeddedEngine]:
    with EmbeddedEngine.open(EngineSettings(tmp_path / "root")) as opened:
        yield opened


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    runner = ProcessRunner(grace_seconds=0.5)
    root = tmp_path_factory.mktemp("service")
    with Service(ServeSettings(root, port=0, runner=runner)) as started:
        yield started


@pytest.fixture
def http_site(service: Service) -> Site:
    return Site(HttpEngine(service.api_root), service.api_root, settle_seconds=0.15)


@pytest.fixture
def embedded_site(service: Service) -> Site:
    """The same engine, called directly: what one way writes the other reads."""
    return Site(service.engine, settle_seconds=0.15)
