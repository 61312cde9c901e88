"""newsjudge evaluate: the published one-step form. A model in, deepeval-result.json out.

Predictions are made by the `newstrain predict` command as a process of its own: the packages do not
import each other and may live in different environments.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from newscore.dataset import DataSet, read_dataset, write_dataset
from newscore.errors import NewsError
from newscore.folder import staged_folder
from newscore.measurement import write_measurement
from newscore.predictions import Predictions, read_predictions
from newscore.settings import settings_to_dict
from newscore.subset import take_subset

from newsjudge.cells import Cell
from newsjudge.commands.score import RESULT_FILE, describe_score, score_measurement, write_report
from newsjudge.commands.table import make_table
from newsjudge.cost import cost_since
from newsjudge.providers import open_judge
from newsjudge.score import check_labels, judge_predictions
from newsjudge.settings import EvaluateSettings
from newsjudge.table import JudgeTable, read_table, write_table


def run(settings: EvaluateSettings) -> None:
    """Predict, judge, and write deepeval-result.json, table/, predictions/, report/ and metrics/."""
    started = time.monotonic()
    dataset = choose_samples(read_dataset(settings.dataset), settings)
    with (
        staged_folder(settings.save_to) as out,
        tempfile.TemporaryDirectory(prefix="newsjudge-") as scratch,
        ExitStack() as stack,
    ):
        # A judge that cannot be opened, or a table of other labels, is told before the minutes of predicting.
        find_table = prepare_judge(settings, dataset, stack)
        predictions = predict(settings, dataset, Path(scratch))
        table, cells = find_table()
        judged = judge_predictions(predictions, table, threshold=settings.threshold, seed=settings.seed)
        for name in ("table", "report", "metrics"):
            (out / name).mkdir()
        shutil.copytree(Path(scratch) / "out" / "predictions", out / "predictions")
        write_table(table, out / "table", cells)
        texts = {article.id: article.text for article in dataset.articles}
        write_report(out / "report", judged, table, predictions, texts=texts)
        shutil.copyfile(out / "report" / RESULT_FILE, out / RESULT_FILE)
        cost = cost_since(started)
        resolved = settings_to_dict(settings)
        write_measurement(out / "metrics", score_measurement(judged, table, predictions, resolved, cost))
    print(describe_score(judged, table))
    print(f"wrote {settings.save_to / RESULT_FILE}")


def choose_samples(dataset: DataSet, settings: EvaluateSettings) -> DataSet:
    """The documents to evaluate; says which they are, and that a data set is smaller than asked."""
    count = min(settings.num_samples, len(dataset))
    if count < settings.num_samples:
        print(
            f"newsjudge: the data set has {count} documents; evaluating all of them, not "
            f"{settings.num_samples}",
            file=sys.stderr,
        )
    if settings.sampling == "first":
        which = "the first"
        chosen = replace(dataset, articles=dataset.articles[:count])
    else:
        which = f"stratified, seed {settings.seed}:"
        chosen = take_subset(dataset, count, settings.seed)
    print(f"evaluating {which} {len(chosen)} of {len(dataset)} documents of {dataset.name}")
    return chosen


def predict(settings: EvaluateSettings, dataset: DataSet, scratch: Path) -> Predictions:
    """Run the predict command on `dataset`. Raises NewsError with its last words when it fails."""
    command = find_command(settings.predict_command)
    write_dataset(dataset, scratch / "dataset")
    arguments = [
        *(command, "predict"),
        *("--model", str(settings.model_path.absolute())),
        *("--dataset", str(scratch / "dataset")),
        *("--save-to", str(scratch / "out")),
        *("--device", settings.device),
    ]
    done = subprocess.run(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False)
    if done.returncode:
        lines = done.stderr.decode("utf-8", errors="replace").strip().splitlines()
        raise NewsError(
            f"predicting with {settings.model_path} failed (exit code {done.returncode}): "
            f"{lines[-1] if lines else 'it said nothing'}",
            code="invalid",
        )
    return read_predictions(scratch / "out" / "predictions")


def find_command(name: str) -> str:
    """The path of a command: beside this Python first, then on PATH. Raises NewsError."""
    beside = Path(sys.executable).parent / name
    found = str(beside) if beside.is_file() else shutil.which(name)
    if not found:
        raise NewsError(
            f"there is no command {name!r} to predict with; install newstrain, or name another with "
            "--predict-command",
            code="missing",
        )
    return found


def prepare_judge(
    settings: EvaluateSettings, dataset: DataSet, stack: ExitStack
) -> Callable[[], tuple[JudgeTable, list[Cell]]]:
    """What gives the table later: the one given, or the opened judge, closed with `stack`."""
    if settings.table is not None:
        given = read_table(settings.table)
        check_labels(dataset.labels, given)
        return lambda: (given, [])
    judge = open_judge(settings, dataset.labels, model_path=settings.judge_model, device=settings.device)
    stack.callback(judge.close)

    def ask() -> tuple[JudgeTable, list[Cell]]:
        table, cells, _ = make_table(settings, judge, dataset.labels)
        return table, cells

    return ask
