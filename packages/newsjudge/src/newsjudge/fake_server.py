"""A loopback server that speaks the OpenAI chat API and plays a FakeScript: errors, 429s, delays and all.

For tests and rehearsals of a judge set-up; no model is behind it. Must not know deepeval or tables.
"""

from __future__ import annotations

import contextlib
import json
import math
import random
import threading
import time
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any

from newscore.errors import NewsError

from newsjudge.providers.fake import FakeScript, score_json


class FakeServer:
    """`with FakeServer(script) as server: ask(server.base_url)`; port 0 takes a free one."""

    def __init__(self, script: FakeScript, *, port: int = 0, key: str = "") -> None:
        """`key`: when given, requests without it get a 401. Raises NewsError for a port that is taken."""
        try:
            self._server = ThreadingHTTPServer(("127.0.0.1", port), _Handler)
        except OSError as error:
            raise NewsError(
                f"port {port} on 127.0.0.1 cannot be served ({error.strerror}); give another --port, or 0"
                " for a free one"
            ) from error
        self._server.daemon_threads = True
        self._server.play = _Play(script, key)  # type: ignore[attr-defined]
        self._thread = threading.Thread(target=self._server.serve_forever, name="fake-judge")

    def __enter__(self) -> FakeServer:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def base_url(self) -> str:
        """What to give as --base-url."""
        return f"http://127.0.0.1:{self._server.server_port}/v1"

    @property
    def asked(self) -> list[str]:
        """The prompts of all requests so far, failed ones included."""
        play: _Play = self._server.play  # type: ignore[attr-defined]
        return list(play.asked)


class _Play:
    """The script's state, shared by all connections."""

    def __init__(self, script: FakeScript, key: str) -> None:
        self.script = script
        self.key = key
        self.asked: list[str] = []
        self._random = random.Random(script.seed)
        self._lock = threading.Lock()

    def respond(self, body: Mapping[str, Any]) -> tuple[int, dict[str, Any]]:
        """Status and body for one request."""
        prompt = str(body["messages"][-1]["content"])
        with self._lock:
            self.asked.append(prompt)
            fails, busy, mumbles = (self._random.random() for _ in range(3))
        script = self.script
        if script.delay_seconds:
            time.sleep(script.delay_seconds)
        if fails < script.error_rate:
            return 500, {"error": {"message": "the fake was told to fail"}}
        if busy < script.busy_rate:
            return 429, {"error": {"message": "the fake was told to be busy"}}
        level = script.level_for(prompt)
        text = "Well, it depends." if mumbles < script.mumble_rate else score_json(level)
        probabilities = script.probabilities_for(level) if text != "Well, it depends." else None
        return 200, _completion(text, probabilities if body.get("logprobs") else None)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        """Answer a chat completion request."""
        play: _Play = self.server.play  # type: ignore[attr-defined]
        data = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        if self.path != "/v1/chat/completions":
            self._send(404, {"error": {"message": f"no such path {self.path}"}})
        elif play.key and self.headers.get("Authorization") != f"Bearer {play.key}":
            given = self.headers.get("Authorization", "none")
            self._send(401, {"error": {"message": f"incorrect key: {given}"}})
        else:
            try:
                response = play.respond(json.loads(data))
            except (ValueError, LookupError, TypeError) as error:
                response = 400, {"error": {"message": f"no chat completion request ({error!r})"}}
            self._send(*response)

    def _send(self, status: int, body: Mapping[str, Any]) -> None:
        data = json.dumps(body).encode("utf-8")
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        if status == 429:
            self.send_header("Retry-After", "0.05")
        # A caller whose deadline has passed is gone.
        with contextlib.suppress(ConnectionError):
            self.end_headers()
            self.wfile.write(data)

    def log_message(self, *_: Any) -> None:
        """Say nothing: the caller's progress is what matters."""


def _completion(text: str, probabilities: tuple[float, ...] | None) -> dict[str, Any]:
    logprobs = None
    if probabilities is not None:
        lead, digit, rest = text.partition(text.split('"score": ')[1][0])
        shares = [
            {"token": str(level), "logprob": math.log(chance) if chance > 0 else -9999.0}
            for level, chance in enumerate(probabilities)
        ]
        tokens = [(lead, []), (digit, shares), (rest, [])]
        logprobs = {"content": [{"token": t, "logprob": 0.0, "top_logprobs": s} for t, s in tokens]}
    return {
        "object": "chat.completion",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "logprobs": logprobs}],
        "usage": {"prompt_tokens": 300, "completion_tokens": 12},
    }
