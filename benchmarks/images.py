"""How long images take: nothing changed, a line changed, cold, audited, and beside `docker build`.

    python benchmarks/images.py [--image newsjudge] [--cache DIR] [--no-docker]

Everything is measured in one run on one machine, so the ratios mean something where the seconds do not.
It works on a clean clone of HEAD in a scratch folder; the images' inputs must be in the cache
(`imagelock fetch`). Memory is the peak of the proportional set sizes of the whole process tree.
`docker build` gets an equivalent Dockerfile over the same wheels and the same system layer, without a
network; it is left out, and said so, where no Docker daemon answers. Writes build/benchmarks/images.json.
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
from dataclasses import asdict, dataclass
from pathlib import Path

from imagelock.build import default_cache

ROOT = Path(__file__).resolve().parents[1]
SITE = "/usr/local/lib/python3.11/dist-packages"
DOCKERFILE = """\
FROM imagelock-benchmark-base
COPY wheels /wheels
RUN ["python3", "/wheels/{pip}/pip", "install", "--no-index", "--no-deps", "--no-cache-dir", \\
     "--break-system-packages", "-r", "/wheels/list"]
COPY sources {site}
ENV LANG=C.UTF-8
USER 65532:65532
"""
# As most people write it: everything is copied first, so a changed line installs every wheel again.
PLAIN_DOCKERFILE = """\
FROM imagelock-benchmark-base
COPY . /context
RUN ["python3", "/context/wheels/{pip}/pip", "install", "--no-index", "--no-deps", "--no-cache-dir", \\
     "--break-system-packages", "-r", "/context/wheels/plain"]
ENV LANG=C.UTF-8 PYTHONPATH=/context/sources
USER 65532:65532
"""


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
        done = [measure([*self.words, *arguments], self.tree) for _ in range(runs)]
        seconds, cpu, _ = min(done)
        megabytes = max(peak for _, _, peak in done)
        return Figure(step, round(seconds, 3), round(cpu, 3), round(megabytes, 1), runs, bar)

    def change_a_line(self, number: int) -> None:
        """Commit one more line in a source file of the image."""
        text = (self.tree / "images" / self.image / "image.toml").read_text()
        folder = tomllib.loads(text)["python"]["packages"][0]
        path = next((self.tree / folder / "src").glob("*/__init__.py"))
        path.write_text(path.read_text() + f"# line {number}\n")
        words = ["git", "-c", "user.name=b", "-c", "user.email=b@example.invalid", "commit", "-qam", "x"]
        subprocess.run(words, cwd=self.tree, check=True)

    def steps(self) -> list[Figure]:
        """Cold, unchanged, changed, audited."""
        build = ("build", self.image, "--offline")
        figures = [self.imagelock("cold, inputs cached", *build, bar="< 60 s for newstrain")]
        figures.append(self.imagelock("nothing changed", *build, bar="< 0.5 s", runs=5))
        figures.append(self.imagelock("audit", "audit", self.image, "--offline", bar="<= 1.1 x cold"))
        shutil.rmtree(self.scratch / "cache" / "layers")
        shutil.rmtree(self.tree / "build")
        figures.append(self.imagelock("cold again", *build, bar="< 60 s for newstrain"))
        changed = []
        for number in range(3):
            self.change_a_line(number)
            changed.append(self.imagelock("a line changed", *build, bar="< 2 s"))
        return [*figures, min(changed, key=lambda figure: figure.seconds)]


class DockerBench:
    """`docker build` over the same wheels; knows where the clone's build lies."""

    def __init__(self, bench: Bench) -> None:
        self.bench, self.folder = bench, bench.scratch / "context"
        self.layout = bench.tree / "build" / "images" / bench.image

    def prepare(self) -> None:
        """Import the system layer as base; lay out wheels, sources and the Dockerfile."""
        note = json.loads((self.layout / "build.json").read_text())
        system = next(layer["digest"] for layer in note["layers"] if layer["name"] == "system")
        blob = self.layout / "blobs" / "sha256" / system
        subprocess.run(["docker", "import", str(blob), "imagelock-benchmark-base"], check=True,
                       stdout=subprocess.DEVNULL)  # fmt: skip
        wheels = self.folder / "wheels"
        wheels.mkdir(parents=True)
        lock = tomllib.loads((self.bench.tree / "images" / self.bench.image / "image.lock").read_text())
        for row in lock["wheels"]:
            os.link((self.bench.scratch / "cache" / "inputs" / row["sha256"]).resolve(), wheels / row["file"])
        listed = "".join(f"/wheels/{row['file']}\n" for row in lock["wheels"])
        (wheels / "list").write_text(listed)
        words = [sys.executable, "-m", "pip", "-q", "download", "--no-deps", "--dest", str(wheels), "pip"]
        subprocess.run(words, check=True)
        (pip,) = wheels.glob("pip-*.whl")
        (wheels / "plain").write_text(listed.replace("/wheels/", "/context/wheels/"))
        (self.folder / "Dockerfile").write_text(DOCKERFILE.format(pip=pip.name, site=SITE))
        (self.folder / "Dockerfile.plain").write_text(PLAIN_DOCKERFILE.format(pip=pip.name))
        self.copy_sources()

    def copy_sources(self) -> None:
        """The workspace packages as the Dockerfile copies them."""
        shutil.rmtree(self.folder / "sources", ignore_errors=True)
        text = (self.bench.tree / "images" / self.bench.image / "image.toml").read_text()
        for folder in tomllib.loads(text)["python"]["packages"]:
            shutil.copytree(self.bench.tree / folder / "src", self.folder / "sources", dirs_exist_ok=True)

    def build(self, step: str, *flags: str) -> Figure:
        """One `docker build`; CPU and memory are the daemon's and are not measured."""
        words = ["docker", "build", "-q", "--network=none", *flags, "-t", "imagelock-benchmark", "."]
        seconds, _, _ = measure(words, self.folder)
        return Figure(step, round(seconds, 3), 0.0, 0.0, 1)

    def steps(self) -> list[Figure]:
        """Cold without any cache, then a line changed with all of Docker's own caches warm."""
        self.prepare()
        cold = self.build("docker build cold", "--no-cache")
        self.build("warm up")
        self.bench.change_a_line(99)
        self.copy_sources()
        layered = self.build("docker build, a line changed")
        self.bench.change_a_line(98)
        self.copy_sources()
        return [cold, layered, self.build("docker build, plain, a line changed", "-f", "Dockerfile.plain")]


def docker_answers() -> bool:
    """True when a Docker daemon answers."""
    if shutil.which("docker") is None:
        return False
    return not subprocess.run(["docker", "info"], capture_output=True, check=False).returncode


def make_ratios(figures: Sequence[Figure]) -> dict[str, float]:
    """The ratios the issue asks for."""
    seconds = {figure.step: figure.seconds for figure in figures}
    cold = (seconds["cold, inputs cached"] + seconds["cold again"]) / 2
    cpu = {figure.step: figure.cpu_seconds for figure in figures}
    cold_cpu = (cpu["cold, inputs cached"] + cpu["cold again"]) / 2
    ratios = {"audit / cold": seconds["audit"] / cold, "audit / cold, CPU": cpu["audit"] / cold_cpu}
    if "docker build cold" in seconds:
        ratios["docker cold / cold"] = seconds["docker build cold"] / cold
        changed = seconds["a line changed"]
        ratios["docker changed / changed"] = seconds["docker build, a line changed"] / changed
        ratios["docker plain changed / changed"] = seconds["docker build, plain, a line changed"] / changed
    return {name: round(value, 2) for name, value in ratios.items()}


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--image", default="newsjudge")
    parser.add_argument("--cache", type=Path, default=default_cache(os.environ))
    parser.add_argument("--no-docker", action="store_true")
    options = parser.parse_args()
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory(prefix="imagelock-benchmark-", dir=options.cache) as scratch:
        bench = Bench(options.image, options.cache.resolve(), Path(scratch))
        figures = bench.steps()
        with_docker = not options.no_docker and docker_answers()
        if with_docker:
            figures += DockerBench(bench).steps()
    for figure in figures:
        times = f"{figure.seconds:>9.3f} s {figure.cpu_seconds:>9.3f} CPU s"
        print(f"{figure.step:<38}{times} {figure.megabytes:>8.1f} MB  {figure.bar}")
    ratios = make_ratios(figures)
    for name, value in ratios.items():
        print(f"{name:<38}{value:>9.2f}")
    if not with_docker:
        print("docker build: not measured (no daemon answers, or --no-docker)")
    print(f"load before: {load:.1f} on {os.cpu_count()} CPUs")
    report = {
        "image": options.image,
        "figures": [asdict(figure) for figure in figures],
        "ratios": ratios,
        "load_before": round(load, 2),
        "cpus": os.cpu_count(),
    }
    target = ROOT / "build" / "benchmarks" / "images.json"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(report, indent=2, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
