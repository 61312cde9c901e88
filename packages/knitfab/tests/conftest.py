"""Servers for tests: knitlite where it is installed, a real Knitfab where KNITFAB_URL names one."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from knitfab.contract import Site, open_site


@pytest.fixture(scope="session")
def api_root(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The API root of the engine under test."""
    real = os.environ.get("KNITFAB_URL")
    if real:
        yield real
        return
    command = shutil.which("knitlite", path=str(Path(sys.executable).parent))
    if command is None:
        pytest.skip("neither KNITFAB_URL nor the command knitlite is there")
    root = tmp_path_factory.mktemp("knitlite")
    output = (root / "output").open("wb")
    server = subprocess.Popen(
        [command, "serve", "--root", str(root / "root"), "--port", "0", "--cpus", "8"], stdout=output
    )
    try:
        yield _wait_for_root(server, root / "output")
    finally:
        server.terminate()
        server.wait(20)
        output.close()


def _wait_for_root(server: "subprocess.Popen[bytes]", output: Path) -> str:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and server.poll() is None:
        words = output.read_text().split()
        if "serving" in words:
            return words[words.index("serving") + 1]
        time.sleep(0.05)
    pytest.fail("knitlite does not serve")


@pytest.fixture
def site(api_root: str) -> Site:
    """The engine under test, with a scope of this test's own."""
    real = "KNITFAB_URL" in os.environ
    return open_site(
        api_root,
        mends=not real,
        settle_seconds=15.0 if real else 0.2,
        patience_seconds=300.0 if real else 30.0,
    )
