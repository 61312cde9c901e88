"""The mirror of a real knitlite over HTTP: Runs that it ran, a retry, a deletion."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from knitfab.client import HttpEngine
from knitfab.records import Mountpoint, PlanSpec, Run, Tag
from lineage.faults import Steps
from lineage.ledger import Ledger
from lineage.settings import Options
from lineage.sync import Outcome, sync_once
from lineage.tracker import Tracker
from lineage.verify import verify

TRAIN = """
import json, pathlib, sys
model, metrics = map(pathlib.Path, sys.argv[1:])
(model / "weights").write_text("w")
(metrics / "metrics.json").write_text(json.dumps({"schema": 1, "kind": "train", "name": "tiny",
    "summary": {"validation_accuracy": 0.5}, "details": {}, "notes": []}))
(metrics / "settings.json").write_text(json.dumps({"head": "seqcls", "learning_rate": 0.1}))
(metrics / "cost.json").write_text(json.dumps({"wall_seconds": 0.1}))
(metrics / "curve.jsonl").write_text('{"step": 0, "loss": 2.0}\\n{"step": 1, "loss": 1.0}\\n')
print("trained")
"""


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[HttpEngine]:
    """A knitlite of its own, stopped at the end."""
    root = tmp_path / "knitlite"
    command = [str(Path(sys.executable).parent / "knitlite"), "serve", "--root", str(root), "--port", "0"]
    with (
        (tmp_path / "knitlite.log").open("w") as log,
        subprocess.Popen(command, stdout=log, stderr=log) as server,
    ):
        try:
            deadline = time.monotonic() + 60
            while not (root / "endpoint").exists():
                assert server.poll() is None, (tmp_path / "knitlite.log").read_text()
                assert time.monotonic() < deadline
                time.sleep(0.1)
            yield HttpEngine(json.loads((root / "endpoint").read_text())["api_root"])
        finally:
            server.terminate()


def wait_until_done(engine: HttpEngine, plan_id: str) -> Run:
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline:
        runs = engine.find_runs(plans=[plan_id])
        if runs and all(run.is_finished for run in runs):
            assert runs[0].status == "done", b"".join(engine.read_log(runs[0].run_id))
            return runs[0]
        time.sleep(0.2)
    raise AssertionError("the Run did not end")


def test_what_knitlite_ran_is_what_mlflow_shows(
    engine: HttpEngine, empty_tracker: Tracker, ledger: Ledger, tmp_path: Path
) -> None:
    def sync() -> Outcome:
        return sync_once(engine, empty_tracker, ledger, Options(), lambda *_: None, Steps())

    (tmp_path / "dataset").mkdir()
    (tmp_path / "dataset" / "articles").write_text("news")
    dataset = engine.push_data(tmp_path / "dataset", [Tag("project", "e2e"), Tag("type", "dataset")])
    plan = engine.apply_plan(
        PlanSpec(
            image="registry.example/train:1.0",
            entrypoint=("python", "-c", TRAIN),
            args=("/out/model", "/out/metrics"),
            inputs=(Mountpoint("/in/dataset", (Tag("type", "dataset"),)),),
            outputs=(
                Mountpoint("/out/model", (Tag("type", "model"),)),
                Mountpoint("/out/metrics", (Tag("type", "metrics"),)),
            ),
            log=(Tag("type", "log"),),
            annotations=(("name", "train-tiny"),),
        )
    )
    run = wait_until_done(engine, plan.plan_id)
    assert sync().created == 1
    assert sync().writes == 0
    assert verify(engine, empty_tracker, Options(), lambda *_: None).drift == ()
    (have,) = empty_tracker.read("knitfab")
    assert (have.params["learning_rate"], have.metrics["train/curve/loss"].value) == ("0.1", 1.0)
    assert have.edges == {("dataset", dataset.knit_id)}
    log = empty_tracker.client.download_artifacts(have.mlflow_id, "knitfab/log.txt", str(tmp_path))
    assert Path(log).read_text() == "trained\n"

    engine.retry_run(run.run_id)
    wait_until_done(engine, plan.plan_id)
    outcome = sync()
    assert (outcome.created, outcome.removed) == (1, 1)
    engine.delete_run(run.run_id)
    assert sync().removed == 1
    assert [have for have in empty_tracker.read("knitfab") if not have.deleted] == []
