"""newsjudge fake-server: a scripted judge over the OpenAI chat API, to rehearse a set-up without a model."""

from __future__ import annotations

import threading

from newsjudge.fake_server import FakeServer
from newsjudge.providers.fake import read_script
from newsjudge.settings import FakeServerSettings


def run(settings: FakeServerSettings) -> None:
    """Serve until interrupted; prints the base URL when ready."""
    with FakeServer(read_script(settings.script), port=settings.port) as server:
        print(f"newsjudge: serving a fake judge at {server.base_url}", flush=True)
        threading.Event().wait()
