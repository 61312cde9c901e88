"""How fast knitlite is and how much memory it takes, beside what the same work costs without it.

    python benchmarks/engine.py [--quick]

One run on one machine, so the ratios mean something where the seconds do not. A store of 10,000 Data and
10,000 Runs is made by one cross product (its statuses are then written into the database, so that there is
something to filter); a server of its own process answers all that is timed after that, over HTTP.
`--quick` does the same with 400 and fewer repetitions, to see that everything works.
"""

import argparse
import http.client
import json
import os
import signal
import sqlite3
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from urllib.parse import urlsplit

from knitfab.actions import preview_apply
from knitfab.client import HttpEngine
from knitfab.records import Mountpoint, PlanSpec, Tag
from knitlite import EmbeddedEngine, EngineSettings

LEFT, RIGHT, PRODUCT, JOB = (Tag("bench", name) for name in ("left", "right", "product", "job"))


@dataclass(frozen=True)
class Size:
    """How much is done."""

    side: int
    """Data on each side of the cross product."""
    runs: int
    """Runs timed against the bare process."""
    megabytes: int
    """Content of the transfer."""


FULL, QUICK = Size(100, 30, 256), Size(20, 5, 16)


@dataclass(frozen=True)
class Figure:
    """One line of the table. `bar` is what it must stay below, or reach with `at_least`; None: told only."""

    name: str
    value: float
    unit: str
    bar: float | None = None
    at_least: bool = False

    @property
    def verdict(self) -> str:
        """Whether the bar was met."""
        if self.bar is None:
            return ""
        met = self.value >= self.bar if self.at_least else self.value < self.bar
        sign = ">=" if self.at_least else "<"
        return f"{sign} {self.bar:g} {self.unit}: {'met' if met else 'MISSED'}"


def main() -> None:
    """Print a line a figure."""
    parser = argparse.ArgumentParser(description="Measure knitlite beside the same work without it.")
    parser.add_argument("--quick", action="store_true", help="a small store and few repetitions")
    size = QUICK if parser.parse_args().quick else FULL
    with TemporaryDirectory() as folder:
        for figure in measure(Path(folder), size):
            print(f"{figure.name:<58}{figure.value:>10.2f} {figure.unit:<3} {figure.verdict}", flush=True)
    print(f"load of the machine at the end: {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors")


def measure(folder: Path, size: Size) -> Iterator[Figure]:
    """Every figure, as it is known."""
    (folder / "empty").mkdir()
    yield from measure_product(folder, size.side)
    with serve(folder / "root") as (server, api_root):
        yield Figure("memory of the server before the first question", peak_of(server), "MB")
        asker = Asker(api_root)
        yield from measure_lists(asker, size.side)
        yield from measure_edits(asker, folder, size.side)
        yield Figure("memory of the server, most so far", peak_of(server), "MB", 300)
        yield from measure_runs(asker, folder, size.runs)
        yield from measure_transfers(HttpEngine(api_root), folder, size.megabytes)
        yield Figure("memory of the server, most of all", peak_of(server), "MB", 300)
        asker.close()


def seconds(act: Callable[[], object]) -> float:
    """How long one call takes."""
    began = time.perf_counter()
    act()
    return time.perf_counter() - began


def median_ms(act: Callable[[], object], times: int = 7) -> float:
    """The median of several calls, in milliseconds."""
    return statistics.median(seconds(act) for _ in range(times)) * 1000


def plan(image: str, inputs: dict[str, Tag], *, active: bool) -> PlanSpec:
    """A plan whose jobs do nothing."""
    return PlanSpec(
        image=f"localhost/{image}:v1",
        entrypoint=("true",),
        inputs=tuple(Mountpoint(path, (tag,)) for path, tag in inputs.items()),
        outputs=(Mountpoint("/out", (PRODUCT,)),),
        active=active,
    )


# The store


def measure_product(folder: Path, side: int) -> Iterator[Figure]:
    """A cross product, and the preview that tells its size before it happens."""
    with EmbeddedEngine.open(EngineSettings(folder / "root")) as engine:
        for number in range(side):
            for tag in (LEFT, RIGHT):
                engine.push_data(folder / "empty", [tag, Tag("number", str(number))])
        spec = plan("cross", {"/in/left": LEFT, "/in/right": RIGHT}, active=False)
        told: list[int] = []
        spent = seconds(lambda: told.append(preview_apply(engine, spec).runs))
        yield Figure(f"preview of an apply: warns of {told[0]:,} Runs", spent, "s", 1)
        spent = seconds(lambda: engine.apply_plan(spec))
        yield Figure(f"apply: cross product of {side * side:,} combinations", spent, "s", 10)
    spread_statuses(folder / "root" / "knitlite.sqlite")


def spread_statuses(path: Path) -> None:
    """Of a hundred Runs 90 done, 9 failed, 1 waiting for its plan, a second apart: as in an old store."""
    with closing(sqlite3.connect(path)) as store, store:
        ended = (
            "UPDATE runs SET status = ?, exit_code = ?, exit_message = '' WHERE status = 'deactivated' AND "
        )
        store.execute(f"{ended} queued % 100 < 90", ("done", 0))
        store.execute(f"{ended} queued % 100 < 99", ("failed", 1))
        store.execute("UPDATE runs SET updated_at = updated_at - queued * 1009")
        store.execute(
            "UPDATE data SET stamp = (SELECT updated_at FROM runs WHERE runs.run_id = data.run_id)"
            " WHERE run_id IN (SELECT run_id FROM runs WHERE status IN ('done', 'failed'))"
        )


# The server


@contextmanager
def serve(root: Path) -> Iterator[tuple[int, str]]:
    """`knitlite serve` in a process of its own: (its id, its API root)."""
    program = Path(sys.executable).with_name("knitlite")
    server = subprocess.Popen([program, "serve", "--root", root, "--port", "0"], stdout=subprocess.DEVNULL)
    try:
        while not (root / "endpoint").exists():
            if server.poll() is not None:
                raise SystemExit(f"the server ended with {server.returncode}")
            time.sleep(0.02)
        yield server.pid, json.loads((root / "endpoint").read_text())["api_root"]
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait()


def peak_of(process_id: int) -> float:
    """Megabytes of resident memory a process had at most."""
    lines = Path(f"/proc/{process_id}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024


class Asker:
    """One connection that stays open and asks without reading more into the answers than JSON."""

    def __init__(self, api_root: str) -> None:
        """Connect to a server."""
        self.api_root = api_root
        self._connection = http.client.HTTPConnection(urlsplit(api_root).netloc)

    def raw(self, method: str, path: str, body: object = None) -> bytes:
        """The body of an answer; SystemExit when it is a refusal."""
        sent = None if body is None else json.dumps(body)
        headers = {} if body is None else {"Content-Type": "application/json"}
        self._connection.request(method, f"/api/{path}", sent, headers)
        answer = self._connection.getresponse()
        content = answer.read()
        if answer.status != 200:
            raise SystemExit(f"{method} {path}: {answer.status} {content[:300]!r}")
        return content

    def items(self, path: str) -> list[dict[str, object]]:
        """A list, parsed."""
        found: list[dict[str, object]] = json.loads(self.raw("GET", path))
        return found

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


# What is timed


def measure_lists(asker: Asker, side: int) -> Iterator[Figure]:
    """Lists with filters that let few, many or all through, and without."""
    middle = asker.items(f"data?tag=number:{side // 2}&tag=bench:left")[0]["knitId"]
    asked = {
        "Data by two tags": f"data?tag=number:{side // 2}&tag=bench:left",
        "Data by tag and failure": "data?tag=bench:product&tag=knit%23transient:failed",
        "Data by id": f"data?tag=knit%23id:{middle}",
        "Runs by an input": f"runs?knitIdInput={middle}",
        "Runs by status failed": "runs?status=failed",
        "Runs by status waiting, running": "runs?status=waiting,running",
        "Data by a tag of nearly all": "data?tag=bench:product",
        "Runs by all statuses": "runs?status=done,failed,deactivated,waiting,running",
        "all Data": "data",
        "all Runs": "runs",
    }
    for name, path in asked.items():
        count = len(asker.items(path))
        spent = median_ms(partial(asker.raw, "GET", path))
        yield Figure(f"list of {name} ({count:,} found)", spent, "ms", 300)


def measure_edits(asker: Asker, folder: Path, side: int) -> Iterator[Figure]:
    """Tag edits that leave nominations alone, and that take one away and give it back."""
    knit_id = asker.items(f"data?tag=number:{side // 2}&tag=bench:left")[0]["knitId"]
    turns = iter(range(10_000))
    path = f"data/{knit_id}"
    spent = median_ms(lambda: asker.raw("PUT", path, {"add": [f"turn:{next(turns)}"]}), 21)
    yield Figure("tag edit, nominations stay", spent, "ms", 20)
    removed, added = [], []
    for _ in range(11):
        removed.append(seconds(lambda: asker.raw("PUT", path, {"remove": ["bench:left"]})) * 1000)
        added.append(seconds(lambda: asker.raw("PUT", path, {"add": ["bench:left"]})) * 1000)
    yield Figure("tag edit that ends a nomination", statistics.median(removed), "ms", 20)
    yield Figure(f"tag edit that nominates ({side} known combinations)", statistics.median(added), "ms", 20)
    scratch = folder / "synced"
    yield Figure("for comparison: write 4 kB and fsync", median_ms(lambda: write_synced(scratch), 21), "ms")


def write_synced(path: Path) -> None:
    """The least that a durable change costs on this disk."""
    with path.open("wb") as file:
        file.write(bytes(4096))
        os.fsync(file.fileno())


def measure_runs(asker: Asker, folder: Path, times: int) -> Iterator[Figure]:
    """From the end of an upload to the end of its Run, seen by a client; against the bare process."""
    engine = HttpEngine(asker.api_root)
    engine.apply_plan(plan("job", {"/in": JOB}, active=True))
    whole, bare = [], []
    for _ in range(times):
        knit_id = engine.push_data(folder / "empty", [JOB]).knit_id
        whole.append(seconds(partial(wait_for_run, asker, knit_id)) * 1000)
        bare.append(seconds(partial(subprocess.run, ["true"], check=True)) * 1000)
    yield Figure("bare process", statistics.median(bare), "ms")
    overhead = statistics.median(whole) - statistics.median(bare)
    yield Figure(f"overhead of a Run over it, median of {times}", overhead, "ms", 100)
    yield Figure("overhead, slowest", max(whole) - statistics.median(bare), "ms")


def wait_for_run(asker: Asker, knit_id: str) -> None:
    """Until the only Run that reads the datum is done."""
    while not any(run["status"] == "done" for run in asker.items(f"runs?knitIdInput={knit_id}")):
        time.sleep(0.004)


def measure_transfers(engine: HttpEngine, folder: Path, megabytes: int) -> Iterator[Figure]:
    """Upload and download over HTTP, against `tar | gzip -1` of the same content; best of three each."""
    source = folder / "content"
    source.mkdir()
    dice = Random(0)
    for number in range(megabytes // 4):
        # Half noise, half repetition: compresses about as well as weights and text do together.
        (source / f"{number}.bin").write_bytes(dice.randbytes(1 << 21) + b"newsloom" * (1 << 18))
    packed = folder / "plain.tar.gz"
    commands = ["-c", f"tar -C '{source}' -cf - . | gzip -1 > '{packed}'"]
    plain, up, down = [], [], []
    for number in range(3):
        plain.append(seconds(partial(subprocess.run, ["sh", *commands], check=True)))
        tag = Tag("transfer", str(number))
        up.append(seconds(partial(engine.push_data, source, [tag])))
        (data,) = engine.find_data([tag])
        target = folder / f"pulled-{number}"
        down.append(seconds(partial(engine.pull_data, data.knit_id, target)))
    yield Figure(f"tar | gzip -1 of {megabytes} MB", min(plain), "s")
    yield Figure("upload", min(up), "s")
    yield Figure("download", min(down), "s")
    yield Figure("speed of the upload against tar | gzip -1", min(plain) / min(up) * 100, "%", 80, True)
    yield Figure("speed of the download against tar | gzip -1", min(plain) / min(down) * 100, "%", 80, True)


if __name__ == "__main__":
    main()
