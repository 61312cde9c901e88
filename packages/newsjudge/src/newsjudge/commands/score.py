"""newsjudge score: predictions and a table in, report out. No model, no network, no torch, no deepeval."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from newscore.dataset import DataSet, read_dataset
from newscore.errors import NewsError
from newscore.folder import staged_outputs
from newscore.jsonfile import write_json, write_lines
from newscore.measurement import Measurement, write_measurement
from newscore.predictions import Predictions, read_predictions
from newscore.settings import settings_to_dict

from newsjudge.cost import cost_since
from newsjudge.deepeval_result import deepeval_result
from newsjudge.report import render_report
from newsjudge.score import Judged, judge_predictions
from newsjudge.settings import ScoreSettings
from newsjudge.table import JudgeTable, read_table, rounded

RESULT_FILE = "deepeval-result.json"


def run(settings: ScoreSettings) -> None:
    """Judge, write OUT/report and OUT/metrics, print the score."""
    started = time.monotonic()
    predictions = read_predictions(settings.predictions)
    table = read_table(settings.table)
    texts = article_texts(settings.dataset, predictions)
    judged = judge_predictions(predictions, table, threshold=settings.threshold, seed=settings.seed)
    with staged_outputs(settings.save_to, ["report", "metrics"]) as (report_path, metrics_path):
        write_report(report_path, judged, table, predictions, texts=texts)
        cost = cost_since(started)
        write_measurement(
            metrics_path,
            score_measurement(judged, table, predictions, settings_to_dict(settings), cost),
        )
    print(describe_score(judged, table))


def article_texts(dataset_path: Path | None, predictions: Predictions) -> dict[str, str]:
    """Articles by id when a data set is given. Raises NewsError when it is another data set."""
    if dataset_path is None:
        return {}
    dataset: DataSet = read_dataset(dataset_path)
    wanted = predictions.dataset.get("fingerprint", "")
    if dataset.fingerprint != wanted:
        raise NewsError(
            f"the data set {dataset_path} (fingerprint {dataset.fingerprint[:12]}) is not the one the "
            f"predictions were made on ({wanted[:12]}); give that one, or leave --dataset out",
            code="invalid",
        )
    return {article.id: article.text for article in dataset.articles}


def write_report(
    path: Path,
    judged: Judged,
    table: JudgeTable,
    predictions: Predictions,
    *,
    texts: Mapping[str, str],
) -> None:
    """Write the report's four files into the existing folder `path`; stable bytes."""
    threshold = judged.summary["threshold"]
    result = deepeval_result(judged, table, threshold=threshold, texts=texts)
    report = report_record(judged, table, predictions)
    write_json(path / RESULT_FILE, result)
    write_json(path / "report.json", report)
    write_lines(path / "verdicts.jsonl", map(asdict, judged.verdicts))
    (path / "report.html").write_text(render_report(judged, table, predictions), encoding="utf-8")


def report_record(judged: Judged, table: JudgeTable, predictions: Predictions) -> dict[str, Any]:
    """report.json: everything the page shows."""
    return {
        "schema": 1,
        "summary": rounded(judged.summary),
        "details": rounded(judged.details()),
        "labels": list(table.labels.names),
        "judge": asdict(table.judge) | {"name": table.name, "prompt_sha256": table.prompt_sha256},
        "calibration": rounded(asdict(table.calibration)),
        "level_mass": table.level_mass and rounded(asdict(table.level_mass)),
        "scores": rounded(table.scores),
        "model": dict(predictions.model),
        "dataset": dict(predictions.dataset),
        "notes": list(score_notes(judged, table)),
    }


def score_measurement(
    judged: Judged,
    table: JudgeTable,
    predictions: Predictions,
    settings: dict[str, object],
    cost: dict[str, float],
) -> Measurement:
    """The metrics folder of a judged prediction set."""
    details = judged.details() | {
        "judge": {"name": table.name, "provider": table.judge.provider, "model": table.judge.model},
        "judge_is_llm": table.judge.is_llm,
        "judge_sha256": table.judge.sha256,
        "calibration": asdict(table.calibration),
        "model": dict(predictions.model),
        "dataset": dict(predictions.dataset),
    }
    return Measurement(
        kind="judge",
        name=table.name,
        summary=judged.summary,
        details=details,
        settings=settings,
        curve=(),
        cost=cost,
        notes=score_notes(judged, table),
    )


def score_notes(judged: Judged, table: JudgeTable) -> tuple[str, ...]:
    """What a reader of the score must know."""
    notes = list(table.caveats)
    if judged.summary["unscored"]:
        notes.append(
            f"{judged.summary['unscored']:.0f} of {judged.summary['count']:.0f} documents are unscored: "
            f"the score lies between {judged.summary['judge_score_worst']:.3f} and "
            f"{judged.summary['judge_score_best']:.3f} whatever their verdicts."
        )
    return tuple(notes)


def describe_score(judged: Judged, table: JudgeTable) -> str:
    """What the command prints when it is done."""
    s = judged.summary
    mark = "" if table.calibration.reliable else "  (NOT RELIABLE)"
    lines = [
        f"judge score {s['judge_score']:.3f} ({s['judge_score_low']:.3f} to "
        f"{s['judge_score_high']:.3f}) by {table.name}{mark}",
        f"accuracy {s['accuracy']:.3f}, coverage {s['coverage']:.1%} of {s['count']:.0f} documents",
    ]
    if "error_severity" in s:
        lines.append(
            f"severity of the {s['errors']:.0f} errors: {s['error_severity']:.3f} by the judge, "
            f"{s['taxonomy_error_severity']:.3f} by the label groups"
        )
    return "\n".join([*lines, *score_notes(judged, table)])
