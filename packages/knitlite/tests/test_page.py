"""The web page, driven in a real headless Chromium over its debugging pipe, against a real server."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import pytest
from knitfab.planfile import parse_plan
from knitfab.records import Data, Run, Tag
from knitlite import ServeSettings, Service
from knitlite.runners.process import ProcessRunner

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on the PATH")
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--disable-extensions",
    "--remote-debugging-pipe",
]
# Chromium reads commands from its descriptor 3 and writes answers to its descriptor 4.
LAUNCH = """
import fcntl, os, sys
ends = [fcntl.fcntl(int(end), fcntl.F_DUPFD, 10) for end in sys.argv[1:3]]
os.dup2(ends[0], 3)
os.dup2(ends[1], 4)
os.execv(sys.argv[3], sys.argv[3:])
"""
HASHED = f"next:1-s{'0123456789abcdef' * 4}"
HOSTILE = (
    "<img src=x onerror=document.title='owned'>",
    "</title><script>document.title='owned'</script>",
    "x: javascript:document.title='owned'",
    "ünï\u202ecödé 🧶",
)


class Browser:
    """One page of Chromium, spoken to in the DevTools protocol over a pair of pipes."""

    def __init__(self, profile: Path) -> None:
        commands, commands_end = os.pipe()
        answers_end, answers = os.pipe()
        ends = (commands, answers)
        launch = [sys.executable, "-c", LAUNCH, *map(str, ends)]
        flags = [*FLAGS, f"--user-data-dir={profile}", "about:blank"]
        self._process = subprocess.Popen(
            [*launch, str(CHROMIUM), *flags],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=ends,
        )
        for end in ends:
            os.close(end)
        self._to: BinaryIO = os.fdopen(commands_end, "wb", buffering=0)
        self._from: BinaryIO = os.fdopen(answers_end, "rb")
        self._count = 0
        self._session: str | None = None
        self.requested: list[str] = []
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Network", "Page", "Runtime"):
            self.send(f"{domain}.enable")

    def send(self, method: str, **parameters: object) -> Any:
        """The result of a command; notes the requests that the page makes meanwhile."""
        self._count += 1
        message = {"id": self._count, "method": method, "params": parameters}
        if self._session is not None:
            message["sessionId"] = self._session
        self._to.write(json.dumps(message).encode() + b"\0")
        while True:
            answer = self._receive()
            if answer.get("method") == "Network.requestWillBeSent":
                self.requested.append(answer["params"]["request"]["url"])
            if answer.get("id") == self._count:
                assert "error" not in answer, answer
                return answer["result"]

    def _receive(self) -> dict[str, Any]:
        piece = bytearray()
        while (byte := self._from.read(1)) != b"\0":
            assert byte, "the browser went away"
            piece += byte
        answer: dict[str, Any] = json.loads(piece)
        return answer

    def run(self, script: str) -> Any:
        """The value of a script; a promise is waited for, an exception fails the test."""
        answer = self.send("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def open(self, url: str) -> None:
        """Go to an address, from an empty page: a new fragment alone would not load anything."""
        self.send("Page.navigate", url="about:blank")
        self.send("Page.navigate", url=url)

    def wait(self, condition: str, seconds: float = 30.0) -> None:
        """Until a script gives a true value; what it looks at may not be there yet."""
        deadline = time.monotonic() + seconds
        while not self.run(f"(() => {{ try {{ return Boolean({condition}) }} catch {{ return false }} }})()"):
            text = self.run("document.body && document.body.innerText")
            assert time.monotonic() < deadline, f"{condition} did not come true in: {text}"
            time.sleep(0.05)

    def text(self) -> str:
        return str(self.run("document.querySelector('main').innerText"))

    def close(self) -> None:
        self._to.close()
        self._from.close()
        self._process.terminate()
        self._process.wait()


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    opened = Browser(tmp_path_factory.mktemp("chromium"))
    yield opened
    opened.close()


class Pipeline:
    """A real service with a small real history: two uploads, a done Run, a failed Run, a Run of an output."""

    def __init__(self, folder: Path) -> None:
        self.service = Service(ServeSettings(folder / "root", port=0, runner=ProcessRunner(0.5)))
        self.origin = self.service.api_root.removesuffix("/api")
        self._folder = folder
        self.apply(
            "good:1", ["sh", "-c", "echo '<b>hello</b>'; echo made > $1/file"], "kind:good", "kind:made"
        )
        self.apply(HASHED, ["sh", "-c", "sleep 0.3; cp $0/file $1/file"], "kind:made", "kind:final")
        self.apply("bad:1", ["sh", "-c", "echo no; exit 7"], "kind:bad", "kind:never")
        self.good = self.push("good", "kind:good", *(f"hostile:{text}" for text in HOSTILE))
        self.bad = self.push("bad", "kind:bad")
        self.runs = self.wait_for_runs(5)

    def apply(self, image: str, entrypoint: list[str], reads: str, makes: str) -> None:
        lines = [
            f"image: example/{image}",
            f"entrypoint: {json.dumps(entrypoint)}",
            "args: [/in, /out]",
            f"inputs: [{{path: /in, tags: ['{reads}']}}]",
            f"outputs: [{{path: /out, tags: ['{makes}']}}]",
            "log: {tags: ['kind:log']}",
        ]
        self.service.engine.apply_plan(parse_plan("\n".join(lines)))

    def push(self, name: str, *tags: str) -> Data:
        source = self._folder / name
        source.mkdir()
        (source / "file").write_text(name)
        return self.service.engine.push_data(source, [Tag.parse(text) for text in tags])

    def wait_for_runs(self, count: int) -> list[Run]:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            runs = self.service.engine.find_runs()
            if len(runs) == count and all(run.status in ("done", "failed") for run in runs):
                return runs
            time.sleep(0.05)
        raise TimeoutError(str(runs))

    def run_of(self, image: str) -> Run:
        return next(run for run in self.runs if run.plan.image and run.plan.image.endswith(image))


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pipeline]:
    made = Pipeline(tmp_path_factory.mktemp("pipeline"))
    yield made
    made.service.close()


def fetch(url: str, **headers: str) -> tuple[int, dict[str, str], bytes]:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=named)) as answer:
            return answer.status, dict(answer.headers), answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, dict(error.headers), error.read()


def test_files_and_validators(service: Service) -> None:
    origin = service.api_root.removesuffix("/api")
    for path in ("/", "/index.html", "/page/page.css", "/page/page.js", "/page/graph.js"):
        status, headers, content = fetch(origin + path)
        assert status == 200
        assert content
        assert "default-src 'none'" in headers["Content-Security-Policy"]
        assert "unsafe" not in headers["Content-Security-Policy"]
        status, again, content = fetch(origin + path, If_None_Match=f'"old", W/{headers["ETag"]}')
        assert (status, content, again["ETag"]) == (304, b"", headers["ETag"])
        assert fetch(origin + path, If_None_Match='"old"')[0] == 200
    for path in ("/page/", "/page/../pages.py", "/page/pages.py", "/page/%2e%2e/pages.py", "/favicon.ico"):
        assert fetch(origin + path)[0] == 404


def test_every_shipped_file_is_served(service: Service) -> None:
    """And by the name under which the others import it."""
    folder = Path(__file__).parents[1] / "src" / "knitlite" / "http" / "page"
    names = {path.name for path in folder.iterdir()} - {"index.html"}
    assert len(names) > 2
    for name in names:
        _, _, content = fetch(f"{service.api_root.removesuffix('/api')}/page/{name}")
        assert content == (folder / name).read_bytes()
        assert len(content.splitlines()) <= 400


@needs_browser
def test_data(browser: Browser, pipeline: Pipeline) -> None:
    browser.open(f"{pipeline.origin}/")
    browser.wait("document.querySelectorAll('tbody tr').length === 8")
    text = browser.text()
    for data in pipeline.service.engine.find_data():
        assert data.knit_id[:8] in text
    assert HASHED not in text  # the hash is cut where it is read, and whole where one points at it
    assert f"{HASHED[:20]}…" in text
    assert browser.run(f"document.querySelectorAll('[title=\"example/{HASHED}\"]').length") == 2
    assert (
        browser.run("[...document.querySelectorAll('.status')].filter(e => e.innerText === 'failed').length")
        == 2
    )


@needs_browser
def test_hostile_tags_are_text(browser: Browser, pipeline: Pipeline) -> None:
    browser.open(f"{pipeline.origin}/#/data")
    browser.wait("document.querySelectorAll('tbody tr').length === 8")
    for fragment in ("#/data", f"#/lineage/{pipeline.good.knit_id}"):
        browser.run(f"location.hash = '{fragment}'")
        browser.wait("document.querySelectorAll('.tag').length && document.querySelector('#live.live')")
        shown = browser.run("[...document.querySelectorAll('.tag')].map(e => e.textContent)")
        assert {f"hostile:{text}" for text in HOSTILE} <= set(shown)
        assert browser.run("document.querySelectorAll('main img, main script').length") == 0
        assert browser.run("document.title").endswith("knitlite")


@needs_browser
def test_plans(browser: Browser, pipeline: Pipeline) -> None:
    browser.open(f"{pipeline.origin}/#/plans")
    browser.wait("document.querySelectorAll('tbody tr').length === 3")
    text = browser.text()
    assert "example/good:1" in text
    assert "kind:made" in text
    assert browser.run("document.querySelector('nav [aria-current=page]').innerText") == "Plans"


@needs_browser
def test_filters(browser: Browser, pipeline: Pipeline) -> None:
    browser.open(f"{pipeline.origin}/#/runs?status=failed")
    browser.wait("document.querySelectorAll('tbody tr').length === 1")
    assert "exit 7 (container main) Error" in browser.text()
    browser.run("document.querySelector('#text').focus()")
    browser.send("Input.insertText", text="kind:nowhere")
    browser.wait("document.querySelector('main').innerText.includes('Nothing matches')")
    assert browser.run("location.hash") == "#/runs?text=kind%3Anowhere&status=failed"
    browser.run("document.querySelector('main button').click()")
    browser.wait("document.querySelectorAll('tbody tr').length === 5")


@needs_browser
def test_log(browser: Browser, pipeline: Pipeline) -> None:
    browser.open(f"{pipeline.origin}/#/runs")
    browser.wait("document.querySelectorAll('tbody tr').length === 5")
    run_id = pipeline.run_of("good:1").run_id
    browser.run(f"[...document.querySelectorAll('a')].find(a => a.hash === '#/run/{run_id}').click()")
    browser.wait("document.querySelector('#log-note')?.textContent === 'complete'")
    assert "<b>hello</b>" in browser.run("document.querySelector('pre').textContent")
    assert browser.run("document.querySelectorAll('pre b').length") == 0


@needs_browser
def test_lineage(browser: Browser, pipeline: Pipeline) -> None:
    """From the middle: everything before and after, not the failed Run beside; no boxes on one another."""
    made = pipeline.run_of("good:1").outputs[0].knit_id
    browser.open(f"{pipeline.origin}/#/lineage/{made}")
    browser.wait("document.querySelector('svg a')")
    keys = browser.run("[...document.querySelectorAll('.graph a')].map(a => a.dataset.key.slice(5))")
    first, after = pipeline.run_of("good:1"), pipeline.run_of(HASHED)
    assert after.log is not None
    expected = {
        pipeline.good.knit_id,
        first.run_id,
        made,
        after.run_id,
        after.outputs[0].knit_id,
        after.log.knit_id,
    }
    assert set(keys) == expected
    assert len(keys) == len(expected)
    assert browser.run("document.querySelectorAll('.graph path').length") == 5
    assert browser.run("document.querySelector('.graph .here').dataset.key") == f"node {made}"
    assert browser.run(f"({OVERLAPS})([...document.querySelectorAll('.graph rect')])") == 0
    browser.run("document.querySelector('.graph a').focus()")
    assert browser.run("document.querySelectorAll('.graph path.lit').length") > 0


OVERLAPS = """rects => {
  const boxes = rects.map(rect => rect.getBoundingClientRect());
  const meet = (a, b) => a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom;
  return boxes.filter((a, i) => boxes.some((b, k) => k > i && meet(a, b))).length;
}"""
SIXTY = """(async () => {
  const { drawGraph } = await import('/page/graph.js');
  const node = (id, kind) => ({ id, kind, href: '#', label: id, note: id, about: id, look: 'done' });
  const nodes = [], edges = [];
  for (let run = 0; run < 20; run += 1) {
    nodes.push(node(`r${run}`, 'run'), node(`a${run}`, 'data'), node(`b${run}`, 'data'));
    edges.push([`r${run}`, `a${run}`], [`r${run}`, `b${run}`]);
    if (run) edges.push([`a${(run - 1) >> 1}`, `r${run}`], [`b${run >> 2}`, `r${run}`]);
  }
  const drawing = drawGraph(nodes, edges, 'a0');
  document.querySelector('main').replaceChildren(drawing);
  return [nodes.length, edges.length - drawing.querySelectorAll('path').length];
})()"""


@needs_browser
def test_sixty_nodes_do_not_overlap(browser: Browser, pipeline: Pipeline) -> None:
    browser.open(f"{pipeline.origin}/#/plans")
    browser.wait("document.querySelectorAll('tbody tr').length === 3")
    assert browser.run(SIXTY) == [60, 0]
    assert browser.run(f"({OVERLAPS})([...document.querySelectorAll('svg rect')])") == 0


@needs_browser
def test_it_is_live(browser: Browser, tmp_path: Path) -> None:
    """An empty engine says what to do next; what is pushed then appears without a reload."""
    with Service(ServeSettings(tmp_path / "root", port=0)) as service:
        browser.open(service.api_root.removesuffix("/api"))
        browser.wait("document.querySelector('main').innerText.includes('knit data push')")
        (tmp_path / "new").mkdir()
        data = service.engine.push_data(tmp_path / "new", [Tag("a", "b")])
        browser.wait(f"document.querySelector('main').innerText.includes('{data.knit_id[:8]}')")
    browser.wait("document.querySelector('#live').textContent.includes('reached')")


@needs_browser
def test_token(browser: Browser, tmp_path: Path) -> None:
    """Asked for, refused when wrong, kept for the tab."""
    token = tmp_path / "token"
    token.write_text("0123456789abcdef")
    token.chmod(0o600)
    with Service(ServeSettings(tmp_path / "root", port=0, token_file=token)) as service:
        assert fetch(f"{service.api_root}/data")[0] == 401
        browser.open(service.api_root.removesuffix("/api"))
        for given in ("wrong wrong wrong", "0123456789abcdef"):
            browser.wait("document.querySelector('#door').open")
            browser.run(f"document.querySelector('#token').value = '{given}'")
            browser.run("document.querySelector('#door button').click()")
        browser.wait("document.querySelector('main').innerText.includes('No Data yet')")
        assert browser.run("sessionStorage.getItem('token')") == "0123456789abcdef"
        assert not browser.run("document.querySelector('#door').open")


@needs_browser
def test_nothing_leaves_the_origin(browser: Browser, pipeline: Pipeline) -> None:
    """No view asks another server, and the policy would not let it."""
    browser.open("about:blank")
    browser.wait("location.href === 'about:blank'")
    browser.requested.clear()
    for fragment in ("data", "plans", "runs", f"lineage/{pipeline.good.knit_id}"):
        browser.open(f"{pipeline.origin}/#/{fragment}")
        browser.wait("document.querySelector('#live.live')")
    strangers = [url for url in browser.requested if not url.startswith((f"{pipeline.origin}/", "data:"))]
    assert browser.requested
    assert strangers == []
    with socket.create_server(("127.0.0.1", 0)) as other:
        other.settimeout(1)
        url = f"http://127.0.0.1:{other.getsockname()[1]}/"
        refused = browser.run(f"fetch('{url}', {{mode: 'no-cors'}}).then(() => 'sent', () => 'refused')")
        assert refused == "refused"
        browser.run(f"void (document.body.append(Object.assign(new Image(), {{src: '{url}'}})))")
        with pytest.raises(TimeoutError):
            other.accept()
    markup = "try { document.body.innerHTML = '<b>x</b>'; 'taken' } catch (error) { error.name }"
    assert browser.run(markup) == "TypeError"
