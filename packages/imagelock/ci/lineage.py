"""The mirror as a service, in its pinned image: knitlite's Runs into MLflow. Run by docker.sh.

    python lineage.py PINS.json WORK    WORK is an empty folder

Non-root, on a read-only root, with the host's network and a folder for SQLite: the first sync writes, the
second writes nothing, `--watch` picks up a new Run, and SIGTERM ends it with exit code 143.
Needs the workspace's packages installed and a Docker daemon that has, or can pull, the pinned image.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

from knitfab import HttpEngine, Mountpoint, PlanSpec, Tag
from knitfab.actions import push_once, wait_for_runs

PATIENCE = 300.0  # seconds; the image's first imports compile MLflow's modules
SAYS = "knit-mlflow: "


class Mirror:
    """The image's program, started as a service would be."""

    def __init__(self, image: str, state: Path, api_root: str) -> None:
        self.words = [
            "docker", "run", "--rm", "--network=host", "--read-only", "--tmpfs", "/tmp", "--cap-drop=ALL",
            "-v", f"{state}:/state",
        ]  # fmt: skip
        self.command = [
            image, "knit-mlflow", "sync", "--api-root", api_root, "--tracking-uri", "sqlite:////state/mlflow.db",
        ]  # fmt: skip
        self.name = f"imagelock-lineage-{state.parent.name}"

    def sync(self) -> str:
        """One sync; what it said."""
        begun = time.monotonic()
        done = subprocess.run([*self.words, *self.command], check=True, capture_output=True, text=True)
        print(f"lineage.py: {done.stdout.strip().removeprefix(SAYS)} ({time.monotonic() - begun:.1f} s)")
        return done.stdout

    def watch(self) -> subprocess.Popen[str]:
        """The service."""
        words = [*self.words, "--name", self.name, *self.command, "--watch", "1"]
        return subprocess.Popen(words, stdout=subprocess.PIPE, text=True)

    def stop(self) -> None:
        """As `docker stop` and every supervisor do: SIGTERM, and SIGKILL after a while."""
        subprocess.run(["docker", "stop", "--time", "60", self.name], check=True, capture_output=True)


def add_run(engine: HttpEngine, work: Path, word: str) -> None:
    """A data set and a plan that makes a model of it, run to its end by knitlite's process runner."""
    folder = work / word
    folder.mkdir()
    (folder / "text").write_text(word)
    tags = (Tag.parse("type:dataset"), Tag.parse(f"mode:{word}"))
    push_once(engine, folder, tags)
    engine.apply_plan(
        PlanSpec(
            image="example.invalid/copy:1",  # the process runner needs none
            entrypoint=("cp",),
            args=("/in/text", "/out/text"),
            inputs=(Mountpoint("/in", tags),),
            outputs=(Mountpoint("/out", (Tag.parse("type:model"), Tag.parse(f"of:{word}"))),),
            log=(Tag.parse("type:log"),),
            resources={"cpu": "1", "memory": "256Mi"},
        )
    )
    failed = [run.run_id for run in wait_for_runs(engine) if run.status != "done"]
    if failed:
        raise SystemExit(f"lineage.py: knitlite's Runs {failed} are not done")


def follow(service: subprocess.Popen[str], text: str) -> None:
    """Read what the service says until a line holds the text."""
    assert service.stdout
    for line in service.stdout:
        print(f"lineage.py: watching: {line.strip().removeprefix(SAYS)}", flush=True)
        if text in line:
            return
    raise SystemExit(f"lineage.py: the service ended without saying {text!r}")


def prove(engine: HttpEngine, mirror: Mirror, work: Path) -> None:
    """The four claims; SystemExit says which does not hold."""
    add_run(engine, work, "train")
    if "1 Runs mirrored, 1 new" not in mirror.sync():
        raise SystemExit("lineage.py: the first sync did not write the one Run")
    if ", 0 writes" not in mirror.sync():
        raise SystemExit("lineage.py: the second sync wrote, though nothing had changed")
    service = mirror.watch()
    try:
        follow(service, ", 0 writes")
        add_run(engine, work, "test")
        follow(service, "2 Runs mirrored, 1 new")
        begun = time.monotonic()
        mirror.stop()
        code = service.wait(PATIENCE)
    finally:
        service.kill()
        subprocess.run(["docker", "rm", "--force", mirror.name], check=False, capture_output=True)
    if code != 143:
        raise SystemExit(f"lineage.py: SIGTERM ended the service with exit code {code}, not 143")
    print(f"lineage.py: SIGTERM ended the service within {time.monotonic() - begun:.1f} s, exit code 143")


def main() -> None:
    """Serve an engine, prove, end it."""
    pins, work = json.loads(Path(sys.argv[1]).read_text()), Path(sys.argv[2])
    state, root = work / "state", work / "knitlite"
    state.mkdir()
    state.chmod(0o777)  # the image's user owns nothing here
    program = str(Path(sys.executable).with_name("knitlite"))
    server = subprocess.Popen([program, "serve", "--root", str(root), "--port", "0"])
    try:
        endpoint = root / "endpoint"
        deadline = time.monotonic() + PATIENCE
        while not endpoint.exists() and time.monotonic() < deadline:
            time.sleep(0.2)
        api_root = json.loads(endpoint.read_text())["api_root"]
        prove(HttpEngine(api_root), Mirror(pins["lineage"]["image"], state, api_root), work)
    finally:
        server.terminate()
        server.wait()


if __name__ == "__main__":
    main()
