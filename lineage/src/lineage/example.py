"""A small Knitfab made up in memory and on disk: fine-tunes, evaluated and judged, as a recording.

For trying the mirror without an engine, and for tests. Every number in it is invented; ids and times
are the same each time.
"""

import hashlib
import random
import shutil
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from knitfab.records import Assignment, Data, DataLink, Exit, Mountpoint, PlanSummary, Run, Tag
from newscore.labels import Label, LabelSet
from newscore.measurement import Measurement, write_measurement
from newscore.predictions import Prediction, Predictions, write_predictions

from .recorded import Recorded

BORN = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)
LABELS = LabelSet((Label("comp.graphics"), Label("rec.autos"), Label("sci.space")))
ARTICLES = 400
DIGEST = "5" * 64


class World:
    """Runs and Data that tests add, change and take away; `source` is what the mirror reads."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.runs: dict[str, Run] = {}
        self.data: dict[str, Data] = {}
        self.count = 0

    @property
    def source(self) -> Recorded:
        return Recorded(self.path, list(self.runs.values()), list(self.data.values()))

    def next_id(self, what: str) -> str:
        self.count += 1
        return str(uuid.UUID(hashlib.sha256(f"{what} {self.count}".encode()).hexdigest()[:32]))

    def now(self) -> datetime:
        return BORN + timedelta(seconds=60 * self.count)

    def push(self, *tags: str) -> str:
        """An uploaded Data (empty)."""
        plan = PlanSummary("00000000-0000-4000-8000-000000000001", name="knit#uploaded")
        output = Assignment("/upload", (), self.next_id("data"))
        run = Run(self.next_id("run"), "done", self.now(), plan, outputs=(output,))
        self.runs[run.run_id] = run
        self._add_data(run, output, tags)
        return output.knit_id

    def run(
        self,
        name: str,
        inputs: Mapping[str, str],
        outputs: Mapping[str, Sequence[str]],
        status: str = "done",
        log: str | None = None,
    ) -> Run:
        """A Run of the plan `name`: path → knitId in, path → tags out."""
        plan = PlanSummary(
            str(uuid.UUID(hashlib.sha256(name.encode()).hexdigest()[:32])),
            image=f"registry.example/newsloom/{name}:0.1.0-m{DIGEST}",
            entrypoint=("news", name),
            args=("--save-to", "/out"),
            annotations=(("name", name), ("source-commit", "c0ffee")),
        )
        run_id = self.next_id("run")
        entries = tuple(
            Assignment(path, tuple(sorted(map(Tag.parse, tags))), self.next_id("data"))
            for path, tags in outputs.items()
        )
        exit_ = Exit(0, "") if status == "done" else Exit(1, "(container main) Error")
        run = Run(
            run_id,
            status,
            self.now(),
            plan,
            exit_ if status in {"done", "failed"} else None,
            tuple(Assignment(path, (), knit_id) for path, knit_id in inputs.items()),
            entries,
            Assignment("", (Tag("type", "log"),), self.next_id("data")),
        )
        self.runs[run_id] = run
        for entry in (*entries, *([run.log] if run.log else [])):
            self._add_data(run, entry, [str(tag) for tag in entry.tags])
        logs = self.path / "logs"
        logs.mkdir(parents=True, exist_ok=True)
        (logs / f"{run_id}.log").write_text(log if log is not None else f"{name} says hello\n")
        return run

    def content(self, run: Run, path: str) -> Path:
        """The folder that holds what `run` wrote to `path`."""
        knit_id = next(entry.knit_id for entry in run.outputs if entry.path == path)
        return self.path / "data" / knit_id

    def _add_data(self, run: Run, entry: Assignment, tags: Sequence[str]) -> None:
        system = [Tag("knit#id", entry.knit_id), Tag("knit#timestamp", run.updated_at.isoformat())]
        told = tuple(sorted({*map(Tag.parse, tags), *system}))
        link = DataLink(run.summary, Mountpoint(entry.path, entry.tags))
        self.data[entry.knit_id] = Data(entry.knit_id, told, link)
        (self.path / "data" / entry.knit_id).mkdir(parents=True, exist_ok=True)

    def change(self, run: Run, **values: object) -> Run:
        """Replace fields of a Run."""
        changed = replace(run, **values)  # type: ignore[arg-type]
        self.runs[run.run_id] = changed
        return changed

    def retry(self, run: Run) -> Run:
        """The Run as it is when a retry is done: same runId, new knitIds, same content."""
        fresh = []
        for entry in run.outputs:
            renewed = replace(entry, knit_id=self.next_id("data"))
            old = self.path / "data" / entry.knit_id
            if old.exists():
                shutil.copytree(old, self.path / "data" / renewed.knit_id)
            del self.data[entry.knit_id]
            fresh.append(renewed)
        assert run.log is not None
        changed = self.change(
            run,
            outputs=tuple(fresh),
            log=replace(run.log, knit_id=self.next_id("data")),
            updated_at=self.now(),
        )
        for entry in fresh:
            self._add_data(changed, entry, [str(tag) for tag in entry.tags])
        return changed


def add_train(world: World, name: str, head: str, inputs: Mapping[str, str], **settings: object) -> Run:
    """A finished fine-tune with a curve."""
    outputs = {
        "/out/model": ["project:newsloom", "type:model", f"base:{settings.get('base', 'none')}"],
        "/out/metrics": ["project:newsloom", "type:metrics", "of:train"],
    }
    run = world.run(f"train-{head}", inputs, outputs)
    curve = tuple(
        {"step": step, "loss": round(2.5 / (1 + step / 8), 4), "learning_rate": 2e-4 * (1 - step / 50)}
        for step in range(0, 50, 5)
    )
    measurement = Measurement(
        kind="train",
        name=name,
        summary={"validation_accuracy": 0.7, "train_loss": 0.4},
        details={"labels": list(LABELS.names)},
        settings={
            "name": name,
            "head": head,
            "epochs": 1,
            "lora": {"rank": 8, "alpha": 16},
            "dataset": "/in/dataset",
            "save_to": "/out",
            **settings,
        },
        curve=curve if head != "tfidf-svm" else (),
        cost={"wall_seconds": 12.5, "peak_megabytes": 800.0},
        notes=(),
    )
    write_measurement(world.content(run, "/out/metrics"), measurement)
    return run


def add_predict(world: World, train: Run, name: str, head: str, test: str, right: float) -> Run:
    """A finished prediction that is right for a share of the articles."""
    model = next(entry.knit_id for entry in train.outputs if entry.path == "/out/model")
    outputs = {
        "/out/predictions": ["project:newsloom", "type:predictions"],
        "/out/metrics": ["project:newsloom", "type:metrics", "of:predict"],
    }
    run = world.run("predict", {"/in/model": model, "/in/dataset": test}, outputs)
    chance, rows = random.Random(name), []
    for number in range(ARTICLES):
        expected = LABELS.names[number % len(LABELS.names)]
        wrong = LABELS.names[(number + 1) % len(LABELS.names)]
        actual = expected if chance.random() < right else wrong
        log_probs = tuple(-0.2 if label == actual else -2.4 for label in LABELS.names)
        rows.append(Prediction(f"a{number}", expected, actual, log_probs))
    header = {"name": name, "head": head, "sha256": "7" * 64, "train_fingerprint": "train-1"}
    dataset = {"name": "tiny-newsgroups", "split": "test", "fingerprint": "test-1"}
    predictions = Predictions(header, dataset, LABELS, tuple(rows))
    write_predictions(predictions, world.content(run, "/out/predictions"))
    hits = sum(row.expected == row.actual for row in rows) / ARTICLES
    summary = {
        "accuracy": hits,
        "accuracy_low": hits - 0.04,
        "accuracy_high": hits + 0.04,
        "macro_f1": hits - 0.01,
        "macro_f1_low": hits - 0.05,
        "macro_f1_high": hits + 0.03,
        "nll": 0.7,
        "ece": 0.05,
        "count": float(ARTICLES),
    }
    measurement = Measurement("predict", name, summary, {}, {"batch_size": 32}, (), {"wall_seconds": 3.0}, ())
    write_measurement(world.content(run, "/out/metrics"), measurement)
    return run


def add_judge(world: World, predict: Run, table: str, judge: str, score: float, reliable: bool) -> Run:
    """A finished judging of predictions."""
    predictions = next(entry.knit_id for entry in predict.outputs if entry.path == "/out/predictions")
    outputs = {
        "/out/report": ["project:newsloom", "type:report"],
        "/out/metrics": ["project:newsloom", "type:metrics", "of:judge"],
    }
    run = world.run("judge", {"/in/predictions": predictions, "/in/table": table}, outputs)
    summary = {"judge_score": score, "coverage": 1.0, "unscored": 0.0, "reliable": float(reliable)}
    notes = () if reliable else ("The judge is not reliable: kappa 0.02.",)
    measurement = Measurement("judge", judge, summary, {}, {"threshold": 0.5}, (), {}, notes)
    write_measurement(world.content(run, "/out/metrics"), measurement)
    return run


JUDGES = ("minilm-embedding", "smollm2-135m")


def build_world(path: Path, fine_tunes: int = 2, judges: Sequence[str] = JUDGES) -> World:
    """The bar and `fine_tunes` others (at most three) on one test set; only the first judge is reliable."""
    world = World(path)
    train = world.push("project:newsloom", "type:dataset", "mode:train", "name:tiny-newsgroups")
    test = world.push("project:newsloom", "type:dataset", "mode:test", "name:tiny-newsgroups")
    config = world.push("project:newsloom", "type:train-config", "base:none")
    labels = world.push("project:newsloom", "type:labels")
    tables = []
    for judge in judges:
        table = world.run(
            f"judge-table-{judge}",
            {"/in/labels": labels},
            {
                "/out/table": ["project:newsloom", "type:judge-table"],
                "/out/metrics": ["project:newsloom", "type:metrics", "of:judge-table"],
            },
        )
        summary = {"kappa": 0.4, "reliable": float(judge == JUDGES[0])}
        measurement = Measurement("judge-table", judge, summary, {}, {"judge": judge}, (), {}, ())
        write_measurement(world.content(table, "/out/metrics"), measurement)
        tables.append((judge, table.outputs[0].knit_id, judge == JUDGES[0]))
    kinds = [("tfidf-svm", "tfidf-svm", 0.72), ("lora-minilm-2e-04", "seqcls", 0.85)]
    kinds += [("probe-minilm", "probe", 0.70), ("lora-minilm-2e-05", "seqcls", 0.45)]
    for name, head, right in kinds[: 1 + fine_tunes]:
        run = add_train(
            world, name, head, {"/in/config": config, "/in/dataset": train}, learning_rate=2e-4, seed=0
        )
        predict = add_predict(world, run, name, head, test, right)
        for judge, table_id, reliable in tables:
            add_judge(world, predict, table_id, judge, 0.9 * right, reliable)
    return world
