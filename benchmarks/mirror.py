"""How fast a mirror into MLflow is, one that finds nothing new, and the proof; and the memory they take.

    python benchmarks/mirror.py [--fine-tunes 250] [--server] [--quick]

A real knitlite is filled with fine-tunes, each evaluated once and judged twice (four Runs): its own rows,
made by three cross products whose ends are then written into the database, and real contents. It answers
over HTTP from a process of its own, and the command `knit-mlflow` mirrors it into a new MLflow: a SQLite
file, or with `--server` an MLflow server over one. Every line is one call of the command, start and import
included; the first line says what these cost. `--quick` does all of it with 20 Runs, to see that it works.
"""

import argparse
import os
import random
import re
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from engine import serve
from knitfab.records import Data, Mountpoint, PlanSpec, Run, Tag
from knitlite import EmbeddedEngine, EngineSettings
from newscore.labels import Label, LabelSet
from newscore.measurement import Measurement, write_measurement
from newscore.predictions import Prediction, Predictions, write_predictions

LABELS = LabelSet(tuple(Label(f"topic.{number}") for number in range(5)))
ARTICLES = 200
CURVE = range(0, 200, 10)
JUDGES = ("one", "other")
BASES = 25
"""Base models; fine-tunes are these times the configs."""
BORN = 1_772_000_000_000
TICK = 60_000
"""Milliseconds between the ends of two Runs."""
METRICS = Mountpoint("/out/metrics", (Tag("type", "metrics"),))


def main() -> None:
    """Fill an engine, then print a line a call."""
    parser = argparse.ArgumentParser(description="Measure knit-mlflow.")
    parser.add_argument("--fine-tunes", type=int, default=250, help="a fourth of the Runs; multiples of 25")
    parser.add_argument("--server", action="store_true", help="through an MLflow server, not into its file")
    parser.add_argument("--quick", action="store_true", help="five fine-tunes")
    options = parser.parse_args()
    count = 5 if options.quick else options.fine_tunes
    with TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        begun = time.monotonic()
        latest = fill(folder, count)
        place = "an MLflow server" if options.server else "MLflow's SQLite file"
        print(f"{4 * count:,} Runs of a knitlite (made in {time.monotonic() - begun:.0f} s) into {place}")
        _, api_root = stack.enter_context(serve(folder / "root"))
        uri = f"sqlite:///{folder}/mlflow.db"
        if options.server:
            uri = stack.enter_context(serve_mlflow(folder, uri))
        measure(folder, ["--api-root", api_root, "--tracking-uri", uri], latest)
    print(f"load of the machine at the end: {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors")


def measure(folder: Path, where: Sequence[str], latest: str) -> None:
    """Every call in the order in which a user meets them."""
    call(folder, "sync of an empty source: start alone", ["sync", *empty_source(folder), *where[2:]])
    first = call(folder, "first sync", ["sync", *where])
    print(f"{'':<38}{first.runs / first.seconds:>8.1f} Runs/s")
    expect(call(folder, "sync, nothing new", ["sync", *where]).writes == 0, "a second sync wrote")
    with closing(sqlite3.connect(folder / "root" / "knitlite.sqlite")) as store, store:
        finish(store, "run_id = ?", latest)
    one = call(folder, "sync, one Run is new", ["sync", *where])
    expect(one.runs == first.runs + 1 and one.writes > 0, "the new Run was not mirrored")
    call(folder, "verify", ["verify", *where])


# The command


@dataclass(frozen=True)
class Call:
    """What one call took, and the numbers in its last line."""

    seconds: float
    runs: int
    writes: int


def call(folder: Path, what: str, arguments: Sequence[str]) -> Call:
    """One call of knit-mlflow; it must succeed. Prints its line."""
    program = str(Path(sys.executable).with_name("knit-mlflow"))
    begun = time.monotonic()
    with subprocess.Popen(
        [program, *arguments], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as child:
        assert child.stdout is not None
        said = child.stdout.read()
        _, status, used = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
    seconds = time.monotonic() - begun
    expect(child.returncode == 0, f"{' '.join(arguments)} ended with {child.returncode}: {said[-2000:]}")
    runs, writes = (re.search(rf"([\d,]+) {word}", said) for word in ("Runs", "writes"))
    cpu, peak = used.ru_utime + used.ru_stime, used.ru_maxrss / 1024
    found = Call(seconds, number(runs), number(writes))
    figures = f"{seconds:>8.1f} s{cpu:>8.1f} s of CPU{peak:>6.0f} MB{found.writes:>8,} writes"
    print(f"{what:<38}{figures}", flush=True)
    return found


def number(match: re.Match[str] | None) -> int:
    """The number found, 0 where there is none."""
    return int(match[1].replace(",", "")) if match else 0


def expect(met: bool, otherwise: str) -> None:
    """End with a sentence where something is not as it must be."""
    if not met:
        raise SystemExit(f"mirror.py: {otherwise}")


def empty_source(folder: Path) -> list[str]:
    """A recording without a Run."""
    path = folder / "empty"
    path.mkdir()
    for name in ("runs.json", "data.json"):
        (path / name).write_text("[]")
    return ["--recording", str(path), "--source", "empty"]


@contextmanager
def serve_mlflow(folder: Path, store: str) -> Iterator[str]:
    """The address of an MLflow server with one worker, as `mlflow server` starts it, but silent."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", store, "--port", str(port)]
    command += ["--workers", "1", "--default-artifact-root", str(folder / "artifacts")]
    environment = {**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true"}
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as server:
        try:
            while not answers(f"http://127.0.0.1:{port}/health"):
                expect(server.poll() is None, "the MLflow server ended")
                time.sleep(0.5)
            yield f"http://127.0.0.1:{port}"
        finally:
            server.terminate()


def answers(url: str) -> bool:
    """Whether somebody answers there."""
    try:
        with urllib.request.urlopen(url, timeout=2):
            return True
    except (urllib.error.URLError, OSError):
        return False


# The engine's store


def fill(folder: Path, fine_tunes: int) -> str:
    """Make the store in folder/root; the Run that is left out, to be new later."""
    root = folder / "root"
    nothing = folder / "nothing"
    nothing.mkdir()
    bases = min(BASES, fine_tunes)
    with EmbeddedEngine.open(EngineSettings(root)) as engine:
        for mode in ("train", "test"):
            engine.push_data(nothing, [Tag("project", "bench"), Tag("type", "dataset"), Tag("mode", mode)])
        for kind, count in (("base-model", bases), ("train-config", fine_tunes // bases)):
            for place in range(count):
                engine.push_data(nothing, [Tag("type", kind), Tag("name", f"{kind}-{place}")])
        for judge in JUDGES:
            engine.push_data(nothing, [Tag("type", "judge-table"), Tag("name", judge)])
    for name, plan, write in (
        ("train", TRAIN, write_train),
        ("predict", PREDICT, write_predict),
        ("judge", JUDGE, write_judge),
    ):
        with EmbeddedEngine.open(EngineSettings(root)) as engine:
            plan_id = engine.apply_plan(plan).plan_id
            runs = sorted(
                engine.find_runs(plans=[plan_id]), key=lambda run: [entry.knit_id for entry in run.inputs]
            )
            data = {found.knit_id: found for found in engine.find_data()}
        expect(len(runs) == fine_tunes * (2 if name == "judge" else 1), f"{len(runs)} Runs of {name}")
        for place, run in enumerate(runs):
            contents = {entry.path: root / "data" / entry.knit_id for entry in run.outputs}
            for path in contents.values():
                path.mkdir()
            write(run, place, contents, data)
            write_log(root, run)
        with closing(sqlite3.connect(root / "knitlite.sqlite")) as store, store:
            latest = runs[-1].run_id
            finish(store, "plan_id = ? AND run_id != ?", plan_id, "" if name != "judge" else latest)
    return latest


def finish(store: sqlite3.Connection, condition: str, *values: str) -> None:
    """Say of Runs that they are done, a minute apart, as the engine would have."""
    rows = f"SELECT run_id FROM runs WHERE {condition}"
    store.execute(
        "UPDATE runs SET status = 'done', exit_code = 0, exit_message = '', updated_at = ? + queued * ?"
        f" WHERE run_id IN ({rows})",
        (BORN, TICK, *values),
    )
    store.execute(
        "UPDATE data SET stamp = (SELECT updated_at FROM runs WHERE runs.run_id = data.run_id)"
        f" WHERE run_id IN ({rows})",
        values,
    )


def plan_of(name: str, inputs: dict[str, tuple[Tag, ...]], output: str, kind: str) -> PlanSpec:
    """A plan whose Runs wait for ever: their ends are written by this program."""
    return PlanSpec(
        image=f"localhost/{name}:v1",
        entrypoint=("news", name),
        args=("--save-to", "/out"),
        inputs=tuple(Mountpoint(path, tags) for path, tags in inputs.items()),
        outputs=(Mountpoint(output, (Tag("project", "bench"), Tag("type", kind))), METRICS),
        log=(Tag("type", "log"),),
        annotations=(("name", name),),
        active=False,
    )


DATASET = Tag("type", "dataset")
TRAIN = plan_of(
    "train",
    {
        "/in/dataset": (DATASET, Tag("mode", "train")),
        "/in/base": (Tag("type", "base-model"),),
        "/in/config": (Tag("type", "train-config"),),
    },
    "/out/model",
    "model",
)
PREDICT = plan_of(
    "predict",
    {"/in/model": (Tag("type", "model"),), "/in/dataset": (DATASET, Tag("mode", "test"))},
    "/out/predictions",
    "predictions",
)
JUDGE = plan_of(
    "judge",
    {"/in/predictions": (Tag("type", "predictions"),), "/in/table": (Tag("type", "judge-table"),)},
    "/out/report",
    "report",
)

Contents = dict[str, Path]
"""Mountpoint → the folder of its content."""


def write_train(_run: Run, place: int, contents: Contents, _data: dict[str, Data]) -> None:
    """A fine-tune's settings, curve and cost; the first is the bar."""
    curve = tuple(
        {"step": step, "loss": 2.5 / (1 + step / (8 + place)), "learning_rate": 2e-4} for step in CURVE
    )
    settings = {"head": head_of(place), "learning_rate": 2e-4, "epochs": 1, "seed": place, "batch_size": 32}
    settings |= {
        "lora": {"rank": 8, "alpha": 16, "dropout": 0.05},
        "max_length": 256,
        "dataset": "/in/dataset",
    }
    summary = {"validation_accuracy": 0.7, "train_loss": 0.4}
    cost = {"wall_seconds": 12.5, "peak_megabytes": 800.0}
    measured = Measurement(
        "train", f"fine-tune-{place}", summary, {"labels": list(LABELS.names)}, settings, curve, cost
    )
    write_measurement(contents["/out/metrics"], measured)


def write_predict(_run: Run, place: int, contents: Contents, _data: dict[str, Data]) -> None:
    """Predictions that are right for a share of the articles."""
    dice, names = random.Random(place), LABELS.names
    share = 0.6 + 0.3 * dice.random()
    rows = []
    for article in range(ARTICLES):
        expected = names[article % len(names)]
        actual = expected if dice.random() < share else dice.choice(names)
        rows.append(
            Prediction(
                f"a{article}", expected, actual, tuple(-0.2 if name == actual else -2.4 for name in names)
            )
        )
    model = {
        "name": f"fine-tune-{place}",
        "head": head_of(place),
        "sha256": "7" * 64,
        "train_fingerprint": "train",
    }
    dataset = {"name": "bench", "split": "test", "fingerprint": "test"}
    write_predictions(Predictions(model, dataset, LABELS, tuple(rows)), contents["/out/predictions"])
    hits = sum(row.expected == row.actual for row in rows) / ARTICLES
    summary = {"accuracy": hits, "accuracy_low": hits - 0.05, "accuracy_high": hits + 0.05, "macro_f1": hits}
    summary |= {"nll": 0.7, "ece": 0.05, "count": float(ARTICLES)}
    measured = Measurement(
        "predict", f"fine-tune-{place}", summary, {}, {"batch_size": 32}, (), {"wall_seconds": 3.0}
    )
    write_measurement(contents["/out/metrics"], measured)


def write_judge(run: Run, place: int, contents: Contents, data: dict[str, Data]) -> None:
    """What a judge thinks of the predictions."""
    table = next(entry.knit_id for entry in run.inputs if entry.path == "/in/table")
    judge = next(tag.value for tag in data[table].tags if tag.key == "name")
    summary = {"judge_score": 0.5 + place % 40 / 100, "coverage": 1.0, "unscored": 0.0, "reliable": 1.0}
    write_measurement(contents["/out/metrics"], Measurement("judge", judge, summary, {}, {"threshold": 0.5}))


def head_of(place: int) -> str:
    """The kind of a fine-tune; the first is the bar."""
    return "tfidf-svm" if place == 0 else "seqcls"


def write_log(root: Path, run: Run) -> None:
    """Some lines."""
    assert run.log is not None
    folder = root / "data" / run.log.knit_id
    folder.mkdir()
    (folder / "log").write_text("".join(f"step {step}: all is well\n" for step in range(100)))


if __name__ == "__main__":
    main()
