"""How fast knitlite is and how much memory it takes; prints figures and ratios.

Run: python benchmarks/engine.py [SIDE]   (a cross product of SIDE by SIDE combinations; 100 by default)
"""

import resource
import statistics
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

from knitfab.client import HttpEngine
from knitfab.engine import Engine
from knitfab.records import Mountpoint, PlanSpec, Tag
from knitlite import EmbeddedEngine, EngineSettings, ServeSettings, Service

LEFT, RIGHT, PRODUCT, JOB = (Tag("bench", name) for name in ("left", "right", "product", "job"))


def main() -> None:
    """Print every figure, each in a line of its own."""
    side = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    with TemporaryDirectory() as scratch:
        measure_lists(Path(scratch), side)
        measure_runs(Path(scratch), 20)
        measure_transfers(Path(scratch), 64)
    megabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"memory, engine and client together: {megabytes:.0f} MB")


def seconds(act: Callable[[], object]) -> float:
    """How long one call takes."""
    began = time.perf_counter()
    act()
    return time.perf_counter() - began


def median(act: Callable[[int], object], times: int) -> float:
    """The median of several calls, each told its number."""
    return statistics.median(seconds(partial(act, number)) for number in range(times))


def plan(image: str, inputs: dict[str, Tag], *, active: bool) -> PlanSpec:
    """A plan whose jobs do nothing."""
    return PlanSpec(
        image=f"localhost/{image}:v1",
        entrypoint=("true",),
        inputs=tuple(Mountpoint(path, (tag,)) for path, tag in inputs.items()),
        outputs=(Mountpoint("/out", (PRODUCT,)),),
        active=active,
    )


def measure_lists(scratch: Path, side: int) -> None:
    """A cross product, then lists and tag edits over it."""
    (scratch / "empty").mkdir()
    with EmbeddedEngine.open(EngineSettings(scratch / "lists")) as engine:
        for number in range(side):
            for tag in (LEFT, RIGHT):
                data = engine.push_data(scratch / "empty", [tag, Tag("number", str(number))])
        spec = plan("cross", {"/in/left": LEFT, "/in/right": RIGHT}, active=False)
        spent = seconds(lambda: engine.apply_plan(spec))
        print(f"cross product of {side * side:,} combinations: {spent:.2f} s")
        middle = Tag("number", str(side // 2))
        lists: dict[str, Callable[[], object]] = {
            "Data by a tag": lambda: engine.find_data([middle]),
            "Runs by an input": lambda: engine.find_runs(inputs=[data.knit_id]),
            "Runs by status, none": lambda: engine.find_runs(statuses=["running"]),
            "all Data": engine.find_data,
            "all Runs": engine.find_runs,
        }
        for name, act in lists.items():
            print(f"list of {name}: {statistics.median(seconds(act) for _ in range(5)) * 1000:.0f} ms")
        edit = median(lambda turn: engine.tag_data(data.knit_id, [Tag("turn", str(turn))]), 30)
        print(f"tag edit with re-nomination: {edit * 1000:.1f} ms")


def measure_runs(scratch: Path, times: int) -> None:
    """From the end of an upload to the end of its Run, against the bare process."""
    with EmbeddedEngine.open(EngineSettings(scratch / "runs")) as engine:
        engine.apply_plan(plan("job", {"/in": JOB}, active=True))
        spent = []
        for _ in range(times):
            knit_id = engine.push_data(scratch / "empty", [JOB]).knit_id
            spent.append(seconds(partial(wait_for_run, engine, knit_id)))
    bare = median(lambda _: subprocess.run(["true"], check=True), times)
    overhead = statistics.median(spent) - bare
    print(f"overhead of a Run over the bare process ({bare * 1000:.0f} ms): {overhead * 1000:.0f} ms")


def wait_for_run(engine: Engine, knit_id: str) -> None:
    """Until the only Run that reads the datum is done."""
    while not any(run.status == "done" for run in engine.find_runs(inputs=[knit_id])):
        time.sleep(0.001)


def measure_transfers(scratch: Path, megabytes: int) -> None:
    """Upload and download over HTTP, against tar and gzip on the same content."""
    source = scratch / "content"
    source.mkdir()
    dice = Random(0)
    for number in range(megabytes // 4):
        # Half noise, half repetition: compresses about as well as model weights and text do together.
        (source / f"{number}.bin").write_bytes(dice.randbytes(1 << 21) + b"newsloom" * (1 << 18))

    def plain_pack() -> None:
        with tarfile.open(scratch / "plain.tar.gz", "w:gz", compresslevel=6) as tar:
            tar.add(source, ".")

    def plain_unpack() -> None:
        with tarfile.open(scratch / "plain.tar.gz") as tar:
            tar.extractall(scratch / "plain", filter="data")

    with Service(ServeSettings(scratch / "transfers", port=0)) as service:
        engine = HttpEngine(service.api_root)
        upload = seconds(lambda: engine.push_data(source, [JOB]))
        (data,) = engine.find_data([JOB])
        download = seconds(lambda: engine.pull_data(data.knit_id, scratch / "pulled"))
    pack, unpack = seconds(plain_pack), seconds(plain_unpack)
    print(f"upload of {megabytes} MB: {upload:.2f} s; tar, gzip and back: {pack + unpack:.2f} s")
    print(f"download: {download:.2f} s; speed against plain {(pack + unpack) / upload:.0%} and ", end="")
    print(f"{(pack + unpack) / download:.0%}")


if __name__ == "__main__":
    main()
