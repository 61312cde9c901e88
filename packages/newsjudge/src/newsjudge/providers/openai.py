"""Any server that speaks the OpenAI chat API (Ollama, vLLM, OpenAI …) as a language model.

Every call has its own deadline; failures are retried with back-off; a 429 pauses all calls; what
still fails is an unscored answer, unless the server as a whole does not work. Must not know deepeval,
tables or labels. The key is sent, never shown.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlsplit

import httpx
from newscore.errors import NewsError

from newsjudge.judge import Answer, JudgeIdentity, Question, sha256_text
from newsjudge.providers.backoff import Backoff, retry_after_seconds
from newsjudge.providers.chat_api import chat_request, read_response, without_refused

_HOW_TO_SET = "set --base-url or NEWSJUDGE_BASE_URL to a running server"
_FAILURES_IN_A_ROW = 12
_REFUSED_KEY = (401, 403)
_REFUSED_BODY = (400, 422)


@dataclass(frozen=True)
class Endpoint:
    """Where and how to ask. `key` is a secret: it is kept out of repr."""

    base_url: str
    model: str
    key: str = ""
    temperature: float = 0.0
    max_tokens: int = 200
    timeout_seconds: float = 60.0
    connect_wait_seconds: float = 5.0
    attempts: int = 6
    concurrency: int = 4

    def __repr__(self) -> str:
        return f"Endpoint({self.base_url!r}, {self.model!r})"


class ChatServer:
    """A language model behind an HTTP server."""

    def __init__(self, endpoint: Endpoint, *, backoff: Backoff | None = None) -> None:
        """No connection is made yet. Raises NewsError for a URL that cannot be one."""
        self._endpoint = checked_endpoint(endpoint)
        self._backoff = backoff or Backoff()
        self._dropped_for = ""
        self._reached = False
        self._failures_in_a_row = 0
        sampling = f"{endpoint.temperature} {endpoint.max_tokens}"
        digest = sha256_text("openai", self._endpoint.base_url, endpoint.model, sampling)
        self._identity = JudgeIdentity("openai", endpoint.model, digest, is_llm=True)

    @property
    def identity(self) -> JudgeIdentity:
        """The model's name; the digest covers server, name and sampling (the weights are not seen)."""
        return self._identity

    def answer(self, questions: Sequence[Question]) -> Iterator[tuple[int, Answer]]:
        """Answers as they come, `concurrency` at a time.

        Raises NewsError: unreachable, key refused, model unknown, or twelve failures in a row.
        """
        if questions:
            yield from _iterate_in_thread(self._answer_all, questions)

    def close(self) -> None:
        """Connections live only as long as `answer` runs."""

    async def _answer_all(self, questions: Sequence[Question], put: Any) -> None:
        waiting = iter(enumerate(questions))
        local = urlsplit(self._endpoint.base_url).hostname in ("127.0.0.1", "localhost", "::1")
        headers = {"Authorization": f"Bearer {self._endpoint.key}"} if self._endpoint.key else {}
        # A proxy is for the way out, never for a server on this machine.
        async with httpx.AsyncClient(headers=headers, timeout=None, trust_env=not local) as client:

            async def work() -> None:
                for position, question in waiting:
                    put((position, await self._answer_one(client, question)))

            async with asyncio.TaskGroup() as group:
                for _ in range(min(self._endpoint.concurrency, len(questions))):
                    group.create_task(work())

    async def _answer_one(self, client: httpx.AsyncClient, question: Question) -> Answer:
        started = asyncio.get_running_loop().time()
        attempt, cause = 0, ""
        while attempt < self._endpoint.attempts:
            await self._backoff.wait_for_turn()
            answer, cause = await self._try_once(client, question)
            if answer:
                return answer
            if self._reached:
                attempt += 1
            else:
                self._give_up_connecting(asyncio.get_running_loop().time() - started, cause)
            await asyncio.sleep(self._backoff.delay(attempt))
        return self._fail(f"{cause} (asked {attempt} times)")

    async def _try_once(self, client: httpx.AsyncClient, question: Question) -> tuple[Answer | None, str]:
        """One call within its deadline: the answer, or None and the cause to retry for."""
        try:
            async with asyncio.timeout(self._endpoint.timeout_seconds):
                response = await self._post(client, question)
        except TimeoutError:
            self._reached = True
            return None, f"no answer within {self._endpoint.timeout_seconds:g} s"
        except httpx.ConnectError as error:
            return None, self._hidden(f"{type(error).__name__}: {error}")
        except httpx.HTTPError as error:
            self._reached = True
            return None, self._hidden(f"{type(error).__name__}: {error}")
        cause = self._complaint(response)
        return (None, cause) if cause else (self._accept(response), "")

    async def _post(self, client: httpx.AsyncClient, question: Question) -> httpx.Response:
        """Send the question, leaving out optional fields this server has refused."""
        end = self._endpoint
        body = chat_request(question, model=end.model, temperature=end.temperature, max_tokens=end.max_tokens)
        while True:
            for complaint in self._dropped_for.splitlines():
                body = without_refused(body, complaint) or body
            response = await client.post(f"{end.base_url}/chat/completions", json=body)
            self._reached = True
            if response.status_code not in _REFUSED_BODY:
                return response
            complaint = " ".join(response.text.split())
            if without_refused(body, complaint) is None:
                return response
            self._dropped_for += complaint + "\n"

    def _complaint(self, response: httpx.Response) -> str:
        """ "" for a good response, else the cause to retry for. Raises NewsError when retrying is vain."""
        status = response.status_code
        if status == httpx.codes.OK:
            return ""
        text = self._shown(response)
        if status in _REFUSED_KEY:
            raise NewsError(
                f"the judge at {self._endpoint.base_url} refused the key ({status}: {text}); put a "
                "valid one into NEWSJUDGE_API_KEY or a file named by --api-key-file",
                code="unreachable",
            )
        if status == httpx.codes.TOO_MANY_REQUESTS:
            pause = retry_after_seconds(response.headers.get("retry-after"))
            now = asyncio.get_running_loop().time()
            self._backoff.pause_all(pause if pause is not None else 1.0, now=now)
        elif status < httpx.codes.INTERNAL_SERVER_ERROR and status != httpx.codes.REQUEST_TIMEOUT:
            raise NewsError(
                f"the judge at {self._endpoint.base_url} refused the request for model "
                f"{self._endpoint.model!r} ({status}: {text}); check --base-url and --judge-model",
                code="unreachable",
            )
        return f"{status}: {text}"

    def _accept(self, response: httpx.Response) -> Answer:
        self._failures_in_a_row = 0
        try:
            return read_response(response.json())
        except ValueError:
            return Answer(error=f"the response is no JSON: {self._shown(response)}")

    def _fail(self, cause: str) -> Answer:
        self._failures_in_a_row += 1
        if self._failures_in_a_row >= _FAILURES_IN_A_ROW:
            raise NewsError(
                f"the judge at {self._endpoint.base_url} failed {self._failures_in_a_row} times in a "
                f"row ({cause}); start again when it works: cells already answered are kept if "
                "--cells is given",
                code="unreachable",
            )
        return Answer(error=cause)

    def _give_up_connecting(self, waited: float, cause: str) -> None:
        if waited >= self._endpoint.connect_wait_seconds:
            raise NewsError(
                f"the judge at {self._endpoint.base_url} cannot be reached ({cause}); {_HOW_TO_SET}",
                code="unreachable",
            )

    def _shown(self, response: httpx.Response) -> str:
        return self._hidden(" ".join(response.text.split()))[:200]

    def _hidden(self, text: str) -> str:
        return text.replace(self._endpoint.key, "***") if self._endpoint.key else text


def checked_endpoint(endpoint: Endpoint) -> Endpoint:
    """The endpoint without a trailing slash. Raises NewsError for what can be no server's URL, or no key."""
    if not (endpoint.key.isascii() and endpoint.key.isprintable()):
        # The HTTP library would refuse it too, with the key in its words.
        raise NewsError(
            "the judge's key holds a line break or another character that no HTTP header can carry; put the "
            "key alone into NEWSJUDGE_API_KEY or the file named by --api-key-file",
            code="invalid",
        )
    url = endpoint.base_url.rstrip("/")
    if not url:
        raise NewsError(
            f"judge openai has no server to ask; {_HOW_TO_SET}, such as http://127.0.0.1:11434/v1",
            code="invalid",
        )
    try:
        parts = urlsplit(url)
        sound = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        httpx.URL(url)
    except (ValueError, httpx.InvalidURL):
        sound = False
    if not sound:
        raise NewsError(
            f"the base URL {url!r} is none; {_HOW_TO_SET}, such as http://127.0.0.1:11434/v1",
            code="invalid",
        )
    if parts.username or parts.password or parts.query:
        raise NewsError(
            f"the base URL of {parts.hostname} carries a user, password or query, which would be "
            "recorded; put the key into NEWSJUDGE_API_KEY or a file named by --api-key-file",
            code="invalid",
        )
    return replace(endpoint, base_url=url)


def _iterate_in_thread(produce: Any, questions: Sequence[Question]) -> Iterator[tuple[int, Answer]]:
    """Run `produce` on an event loop of its own and yield what it puts, as it comes.

    An error in it is raised here; leaving the iteration early cancels it.
    """
    results: queue.Queue[tuple[int, Answer] | BaseException | None] = queue.Queue()
    loop = asyncio.new_event_loop()
    task = loop.create_task(produce(questions, results.put))

    def run() -> None:
        loop.run_until_complete(asyncio.wait([task]))
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()
        failure = None if task.cancelled() else task.exception()
        results.put(failure.exceptions[0] if isinstance(failure, ExceptionGroup) else failure)

    thread = threading.Thread(target=run, name="newsjudge-chat")
    thread.start()
    try:
        while (result := results.get()) is not None:
            if isinstance(result, BaseException):
                raise result
            yield result
    finally:
        with contextlib.suppress(RuntimeError):  # The loop is closed: all is done.
            loop.call_soon_threadsafe(task.cancel)
        thread.join()
