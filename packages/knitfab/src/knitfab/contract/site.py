"""Where a conformance test runs: an engine, its API root, and a scope that keeps tests on one engine apart.

Knows no implementation; everything goes through the Engine contract or raw HTTP.
"""

import json
import time
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar
from urllib.parse import urlsplit

from knitfab.client import HttpEngine
from knitfab.engine import Engine
from knitfab.records import FINISHED, Data, Mountpoint, Plan, PlanSpec, Run, Tag
from knitfab.transport import Connection, Request

T = TypeVar("T")


@dataclass(frozen=True)
class Answer:
    """An HTTP answer as it came."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    trailers: Mapping[str, str]

    @property
    def json(self) -> object:
        """The body's value."""
        return json.loads(self.body)

    @property
    def fields(self) -> dict[str, object]:
        """The body's value, which must be an object."""
        value = self.json
        assert isinstance(value, dict), value
        return value

    @property
    def items(self) -> list[dict[str, object]]:
        """The body's value, which must be a list of objects."""
        value = self.json
        assert isinstance(value, list), value
        return value

    @property
    def message(self) -> str:
        """The text of an error body."""
        text = self.fields["message"]
        assert isinstance(text, str), text
        return text


def _new_scope() -> str:
    return uuid.uuid4().hex[:12]


@dataclass(frozen=True)
class Site:
    """One engine, as one test sees it."""

    engine: Engine
    api_root: str | None = None
    """None for an engine without HTTP."""
    image: str = "busybox:1.36"
    """Has `sh`. Engines that run processes ignore it."""
    mends: bool = True
    """Whether the engine answers correctly where Knitfab v1.6.1 has a bug."""
    settle_seconds: float = 0.3
    """After so long, a Run that has not appeared will not appear."""
    patience_seconds: float = 30.0
    """After so long, what was awaited is a failure."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Sent with every raw request (a token)."""
    scope: str = field(default_factory=_new_scope)
    """Part of every tag's value, so that tests on one engine do not meet."""

    # Making things

    def tag(self, name: str) -> Tag:
        """A tag of this test's own."""
        return Tag("contract", f"{self.scope}.{name}")

    def push(self, *tags: Tag, files: Mapping[str, str] | None = None) -> Data:
        """New Data with these tags and text files (default: one, `a.txt`)."""
        with TemporaryDirectory() as scratch:
            for name, text in (files or {"a.txt": "hello"}).items():
                path = Path(scratch) / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text, encoding="utf-8")
            return self.engine.push_data(Path(scratch), tags)

    def read(self, knit_id: str) -> dict[str, str]:
        """The files of Data as texts."""
        with TemporaryDirectory() as scratch:
            target = Path(scratch) / "content"
            self.engine.pull_data(knit_id, target)
            found = sorted(path for path in target.rglob("*") if path.is_file())
            return {str(path.relative_to(target)): path.read_text(encoding="utf-8") for path in found}

    def spec(
        self,
        script: str = 'echo done > "$2/result"',
        *,
        inputs: Mapping[str, Sequence[Tag]] | None = None,
        outputs: Mapping[str, Sequence[Tag]] | None = None,
        log: Sequence[Tag] | None = None,
        active: bool | None = None,
    ) -> PlanSpec:
        """A plan that runs `script` in sh, its mountpoints as $1, $2, …; by default /in (tag `in`) → /out."""
        places_in = {"/in": [self.tag("in")]} if inputs is None else inputs
        places_out = {"/out": [self.tag("out")]} if outputs is None else outputs
        return PlanSpec(
            image=self.image,
            entrypoint=("sh", "-c", script),
            args=("sh", *places_in, *places_out),
            inputs=tuple(Mountpoint(path, tuple(tags)) for path, tags in places_in.items()),
            outputs=tuple(Mountpoint(path, tuple(tags)) for path, tags in places_out.items()),
            log=None if log is None else tuple(log),
            resources={"cpu": "100m", "memory": "64Mi"},
            active=active,
        )

    # Waiting

    def wait(self, what: str, look: Callable[[], T | None]) -> T:
        """What `look` finds, once it finds something."""
        deadline = time.monotonic() + self.patience_seconds
        while True:
            found = look()
            if found is not None:
                return found
            assert time.monotonic() < deadline, f"no {what} within {self.patience_seconds} s"
            time.sleep(0.03)

    def settle(self) -> None:
        """Long enough for what must not happen to happen."""
        time.sleep(self.settle_seconds)

    def runs(self, plan: Plan) -> list[Run]:
        """The plan's Runs, deleted ones left out."""
        found = self.engine.find_runs(plans=[plan.plan_id])
        return [run for run in found if run.status != "invalidated"]

    def wait_status(self, run_id: str, *statuses: str) -> Run:
        """The Run, once it is in one of these statuses."""

        def look() -> Run | None:
            run = self.engine.get_run(run_id)
            return run if run.status in statuses else None

        return self.wait(f"Run {run_id} that is {' or '.join(statuses)}", look)

    def wait_runs(self, plan: Plan, count: int, statuses: Iterable[str] = FINISHED) -> list[Run]:
        """The plan's Runs, once there are `count` in these statuses; then still no more of them."""
        wanted = frozenset(statuses)

        def look() -> list[Run] | None:
            found = self.runs(plan)
            assert len(found) <= count, f"{len(found)} Runs instead of {count}"
            ready = len(found) == count and all(run.status in wanted for run in found)
            return found if ready else None

        found = self.wait(f"{count} Runs in {sorted(wanted)}", look)
        self.settle()
        assert len(self.runs(plan)) == count
        return found

    def wait_run(self, plan: Plan, *statuses: str) -> Run:
        """The plan's only Run, once it is in one of these statuses (default: finished)."""
        return self.wait_runs(plan, 1, statuses or FINISHED)[0]

    # Raw HTTP

    def send(
        self,
        method: str,
        path: str,
        body: bytes | Iterable[bytes] | None = None,
        headers: Mapping[str, str] | None = None,
        trailers: Mapping[str, str] | None = None,
    ) -> Answer:
        """One raw exchange; `path` is below the API root and goes out as it stands."""
        assert self.api_root is not None
        url = urlsplit(self.api_root)
        request = Request(
            method,
            f"{url.path}{path}",
            {**self.headers, **(headers or {})},
            body,
            lambda: trailers or {},
            self.patience_seconds,
        )
        with Connection(url, None).exchange(request) as response:
            content = response.read()
            return Answer(response.status, response.headers, content, response.trailers)

    def get(self, path: str) -> Answer:
        """A raw GET."""
        return self.send("GET", path)

    def send_json(self, method: str, path: str, value: object) -> Answer:
        """A raw request with a JSON body."""
        headers = {"Content-Type": "application/json"}
        return self.send(method, path, json.dumps(value).encode(), headers)


def open_site(api_root: str, *, mends: bool, settle_seconds: float, patience_seconds: float) -> Site:
    """A site for an engine behind HTTP."""
    return Site(
        HttpEngine(api_root),
        api_root,
        mends=mends,
        settle_seconds=settle_seconds,
        patience_seconds=patience_seconds,
    )
