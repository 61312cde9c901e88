"""How long images take: nothing changed, a line changed, cold, audited, pushed, and beside `docker build`.

    python benchmarks/images.py [--image NAME] [--cache DIR] [--no-docker] [--no-push] [--forms usual,…]

Everything is measured in one run on one machine, so the ratios mean something where the seconds do not.
It works on a clean clone of HEAD in a scratch folder; the images' inputs must be in the cache
(`imagelock fetch`) and are read once beforehand, so that no step waits for a disk that another has read for.
Memory is the peak of the proportional set sizes of the whole process tree. `docker_build.py` says what
Docker is given: among it the packages' layer as a base, so there is a cold build from that base too. A local
image of Docker's is compressed only when it is pushed, imagelock's layout is compressed already: so there are
ratios of building alone and of building and pushing. What is missing, a daemon or Debian's docker-registry,
is left out, and said. Writes build/benchmarks/images-<image>.json.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

from docker_build import Context, DockerSide, find_builders, import_base, serve_registry
from imagelock.build import default_cache
from imagelock.recipe import SYSTEM

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Figure:
    """One measured step: its best seconds over `runs`, its peak memory, the bar it is held to."""

    step: str
    seconds: float
    cpu_seconds: float
    megabytes: float
    runs: int
    bar: str = ""


def memory_of(process_id: int) -> float:
    """Megabytes (proportional set size) of a process and all below it; 0 for one that has gone."""
    kilobytes, todo = 0, [process_id]
    while todo:
        one = todo.pop()
        try:
            lines = Path(f"/proc/{one}/smaps_rollup").read_text().splitlines()
            kilobytes += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
            todo += map(int, Path(f"/proc/{one}/task/{one}/children").read_text().split())
        except (FileNotFoundError, ProcessLookupError):
            continue
    return kilobytes / 1024


def measure(command: Sequence[str], cwd: Path) -> tuple[float, float, float]:
    """Seconds, CPU seconds and peak megabytes of a command; it must succeed."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    begun = time.monotonic()
    with subprocess.Popen(command, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as child:
        peak = 0.0
        while child.poll() is None:
            peak = max(peak, memory_of(child.pid))
            time.sleep(0.02)
        seconds = time.monotonic() - begun
        said = child.communicate()[0]
    if child.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{said.decode()[-2000:]}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return seconds, cpu, peak


class Bench:
    """A clean clone with its own layer cache, and the steps on it."""

    def __init__(self, image: str, cache: Path, scratch: Path) -> None:
        self.image, self.scratch, self.tree = image, scratch, scratch / "tree"
        git = ["git", "clone", "-q", "--shared", str(ROOT), str(self.tree)]
        subprocess.run(git, check=True)
        (scratch / "cache").mkdir()
        (scratch / "cache" / "inputs").symlink_to(cache / "inputs")
        self.words = [sys.executable, "-m", "imagelock", "--cache", str(scratch / "cache")]

    def imagelock(self, step: str, *arguments: str, bar: str, runs: int = 1) -> Figure:
        """Measure an imagelock command, the best of some runs."""
        os.sync()  # nothing is left to write from what came before
        done = [measure([*self.words, *arguments], self.tree) for _ in range(runs)]
        seconds, cpu, _ = min(done)
        megabytes = max(peak for _, _, peak in done)
        print(f"{step}: {seconds:.3f} s, {cpu:.3f} CPU s, {megabytes:.1f} MB", file=sys.stderr, flush=True)
        return Figure(step, round(seconds, 3), round(cpu, 3), round(megabytes, 1), runs, bar)

    def change_a_line(self, number: int) -> None:
        """Commit one more line in a source file of the image."""
        text = (self.tree / "images" / self.image / "image.toml").read_text()
        folder = tomllib.loads(text)["python"]["packages"][0]
        path = next((self.tree / folder / "src").glob("*/__init__.py"))
        path.write_text(path.read_text() + f"# line {number}\n")
        words = ["git", "-c", "user.name=b", "-c", "user.email=b@example.invalid", "commit", "-qam", "x"]
        subprocess.run(words, cwd=self.tree, check=True)

    def keep_base_alone(self) -> None:
        """Remove the build and all layers but the packages', which is what Docker is given."""
        shutil.rmtree(self.tree / "build")
        for note in (self.scratch / "cache" / "layers").glob("*/layer.json"):
            if json.loads(note.read_text())["name"] != SYSTEM:
                shutil.rmtree(note.parent)

    def steps(self) -> list[Figure]:
        """Cold, unchanged, changed, audited."""
        build = ("build", self.image, "--offline")
        figures = [self.imagelock("cold, inputs cached", *build, bar="< 60 s for newstrain")]
        figures.append(self.imagelock("nothing changed", *build, bar="< 0.5 s", runs=5))
        figures.append(self.imagelock("audit", "audit", self.image, "--offline", bar="<= 1.1 x cold", runs=2))
        shutil.rmtree(self.scratch / "cache" / "layers")
        shutil.rmtree(self.tree / "build")
        figures.append(self.imagelock("cold again", *build, bar="< 60 s for newstrain"))
        self.keep_base_alone()
        figures.append(self.imagelock("cold, from the packages' layer", *build, bar=""))
        changed = []
        for number in range(3):
            self.change_a_line(number)
            changed.append(self.build_changed())
        return [*figures, min(changed, key=lambda figure: figure.seconds)]

    def build_changed(self) -> Figure:
        """Build after a changed line."""
        return self.imagelock("a line changed", "build", self.image, "--offline", bar="< 2 s")

    def push(self, step: str, address: str) -> Figure:
        """Measure a push to a registry."""
        return self.imagelock(step, "push", self.image, "--registry", address, bar="")

    def system_blob(self) -> Path:
        """The system layer of the last build."""
        layout = self.tree / "build" / "images" / self.image
        note = json.loads((layout / "build.json").read_text())
        digest: str = next(layer["digest"] for layer in note["layers"] if layer["name"] == SYSTEM)
        return layout / "blobs" / "sha256" / digest


def measure_docker(bench: Bench, forms: Sequence[str], address: str) -> list[Figure]:
    """Docker's side; `docker build` runs in a daemon, so its CPU time and memory are not known."""
    builders = find_builders()
    if not builders:
        print("docker build: not measured, since no Docker daemon answers")
        return []
    import_base(builders[0].client, bench.system_blob())
    inputs = bench.scratch / "cache" / "inputs"
    context = Context(bench.tree, bench.image, inputs, bench.scratch / "context")
    side = DockerSide(context, builders, bench.change_a_line)
    try:
        context.prepare(builders)
        found = side.cold([form for form in forms if form != "plain"]) | side.changed(forms)
        if address:
            found |= side.push(address)
    finally:
        side.clean_up()
    return [Figure(f"docker {step}", round(seconds, 3), 0.0, 0.0, 1) for step, seconds in found.items()]


def fastest(seconds: dict[str, float], form: str, step: str) -> float:
    """The faster of Docker's builders, or infinity when none was measured."""
    rows = [value for name, value in seconds.items()
            if name.startswith("docker ") and name.endswith(f", {form}, {step}")]  # fmt: skip
    return min(rows, default=float("inf"))


def make_ratios(figures: Sequence[Figure]) -> dict[str, float]:
    """The ratios the issue asks for, each over the faster of Docker's builders."""
    seconds = {figure.step: figure.seconds for figure in figures}
    cpu = {figure.step: figure.cpu_seconds for figure in figures}
    runs = ("cold, inputs cached", "cold again")
    ours = {"cold": min(seconds[run] for run in runs), "a line changed": seconds["a line changed"]}
    ratios = {
        "audit / cold": seconds["audit"] / ours["cold"],
        "audit / cold, CPU": cpu["audit"] / min(cpu[run] for run in runs),
    }
    from_base = seconds["cold, from the packages' layer"]
    for step, own in ours.items():
        for form in ("equivalent", "usual", "plain"):
            ratios[f"build, {form}, {step}"] = fastest(seconds, form, step) / own
            if step == "cold":
                ratios[f"build, {form}, cold, from one base"] = fastest(seconds, form, step) / from_base
        if f"docker push, {step}" in seconds:
            theirs = fastest(seconds, "equivalent", step) + seconds[f"docker push, {step}"]
            both = theirs / (own + seconds[f"push, {step}"])
            ratios[f"build and push, equivalent, {step}"] = both
    return {name: round(value, 2) for name, value in ratios.items() if value != float("inf")}


def run(bench: Bench, forms: Sequence[str], *, pushing: bool) -> list[Figure]:
    """All steps; `forms` are the Dockerfiles to measure with, none for imagelock alone."""
    with ExitStack() as stack:
        address = ""
        if pushing and shutil.which("docker-registry"):
            address = stack.enter_context(serve_registry(bench.scratch / "registry"))
        else:
            print("pushes: not measured, since docker-registry is not installed or --no-push was given")
        figures = bench.steps()
        if address:
            figures.append(bench.push("push, cold", address))
            bench.change_a_line(50)
            bench.build_changed()
            figures.append(bench.push("push, a line changed", address))
        return figures + measure_docker(bench, forms, address) if forms else figures


def read_inputs(bench: Bench) -> None:
    """Read every locked file once, so that they come from memory where there is enough."""
    lock = tomllib.loads((bench.tree / "images" / bench.image / "image.lock").read_text())
    for row in (*lock["debs"], *lock["wheels"]):
        with (bench.scratch / "cache" / "inputs" / row["sha256"]).open("rb") as stream:
            while stream.read(1 << 20):
                pass


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--image", default="newsjudge", help="the image to measure (newsjudge)")
    parser.add_argument(
        "--cache", type=Path, default=default_cache(os.environ), help="with the fetched inputs"
    )
    parser.add_argument("--no-docker", action="store_true", help="measure imagelock alone")
    parser.add_argument("--no-push", action="store_true", help="measure no pushes")
    parser.add_argument("--forms", default="equivalent,usual,plain", help="which Dockerfiles to measure")
    options = parser.parse_args()
    forms = [] if options.no_docker else options.forms.split(",")
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory(prefix="imagelock-benchmark-", dir=options.cache) as scratch:
        bench = Bench(options.image, options.cache.resolve(), Path(scratch))
        read_inputs(bench)
        figures = run(bench, forms, pushing=not options.no_push)
    for figure in figures:
        known = f" {figure.cpu_seconds:>9.3f} CPU s {figure.megabytes:>7.1f} MB" if figure.cpu_seconds else ""
        print(f"{figure.step:<48}{figure.seconds:>9.3f} s{known}  {figure.bar}")
    ratios = make_ratios(figures)
    for name, value in ratios.items():
        print(f"{name:<48}{value:>9.2f} x")
    print(f"load before: {load:.1f} on {os.cpu_count()} CPUs")
    report = {
        "image": options.image,
        "figures": [asdict(figure) for figure in figures],
        "ratios": ratios,
        "load_before": round(load, 2),
        "cpus": os.cpu_count(),
    }
    target = ROOT / "build" / "benchmarks" / f"images-{options.image}.json"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(report, indent=2, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
