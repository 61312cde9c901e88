"""Train → predict → judge inside pinned images, run by knitlite's container runner. Run by docker.sh.

    python knitlite.py PINS.json WORK    WORK/data holds the data sets train and test

Needs the workspace's packages installed and a Docker daemon that has, or can pull, the pinned images.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

from knitfab import HttpEngine, Mountpoint, PlanSpec, Run, Tag
from knitfab.actions import push_once, wait_for_runs

LIMITS = {"cpu": "1", "memory": "1Gi"}


def tags(text: str) -> tuple[Tag, ...]:
    """`a:b c:d` as tags."""
    return tuple(Tag.parse(part) for part in text.split())


def plan(image: str, command: str, inputs: dict[str, str], outputs: dict[str, str]) -> PlanSpec:
    """A plan: its command line, and tags by path."""
    words = command.split()
    return PlanSpec(
        image=image,
        entrypoint=tuple(words[:2]),
        args=tuple(words[2:]),
        inputs=tuple(Mountpoint(path, tags(text)) for path, text in inputs.items()),
        outputs=tuple(Mountpoint(path, tags(text)) for path, text in outputs.items()),
        log=tags("type:log"),
        resources=LIMITS,
    )


def story(train: str, judge: str) -> list[PlanSpec]:
    """The four plans."""
    return [
        plan(train, "newstrain train --dataset /in/d --head tfidf-svm --min-articles 1 --save-to /out",
             {"/in/d": "type:dataset mode:train"},
             {"/out/model": "type:model", "/out/metrics": "type:metrics of:train"}),
        plan(train, "newstrain predict --model /in/m --dataset /in/d --save-to /out",
             {"/in/m": "type:model", "/in/d": "type:dataset mode:test"},
             {"/out/predictions": "type:predictions", "/out/metrics": "type:metrics of:predict"}),
        plan(judge, "newsjudge table --judge fake --labels /in/l --save-to /out",
             {"/in/l": "type:dataset mode:train"},
             {"/out/table": "type:judge-table", "/out/metrics": "type:metrics of:judge-table"}),
        plan(judge, "newsjudge score --predictions /in/p --table /in/t --save-to /out",
             {"/in/p": "type:predictions", "/in/t": "type:judge-table"},
             {"/out/report": "type:report", "/out/metrics": "type:metrics of:judge"}),
    ]  # fmt: skip


def tell(run: Run) -> None:
    """One line a change."""
    print(
        f"knitlite.py: {run.run_id[:8]} {run.status} {run.plan.image and run.plan.image.split('/')[-1][:30]}"
    )


def main() -> int:
    """Serve, push, apply, wait; 0 when all four Runs are done."""
    pins, work = json.loads(Path(sys.argv[1]).read_text()), Path(sys.argv[2])
    root = work / "knitlite"
    program = str(Path(sys.executable).with_name("knitlite"))
    command = [program, "serve", "--root", str(root), "--port", "0", "--runner", "container"]
    server = subprocess.Popen(command)
    try:
        endpoint = root / "endpoint"
        for _ in range(100):
            if endpoint.exists():
                break
            time.sleep(0.2)
        engine = HttpEngine(json.loads(endpoint.read_text())["api_root"])
        for split in ("train", "test"):
            push_once(engine, work / "data" / split, tags(f"type:dataset mode:{split}"))
        for spec in story(pins["newstrain-cpu"]["image"], pins["newsjudge"]["image"]):
            engine.apply_plan(spec)
        runs = wait_for_runs(engine, on_change=tell)
        done = [run for run in runs if run.status == "done" and run.plan.image]
        for run in runs:
            if run.status == "failed":
                print(b"".join(engine.read_log(run.run_id)).decode("utf-8", "replace"))
        print(f"knitlite.py: {len(done)} of 4 Runs done in containers")
        return 0 if len(done) == 4 else 1
    finally:
        server.terminate()
        server.wait()


if __name__ == "__main__":
    sys.exit(main())
