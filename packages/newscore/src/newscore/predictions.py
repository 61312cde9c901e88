"""The predictions folder: what a model answered for every article of a data set, with log-probabilities.

    predictions.json    schema, model, dataset, labels, count
    predictions.jsonl   one article a line: id, expected, actual, log_probs in label order

Everything later (metrics, judging, comparing) is computed from this, never by running a model again.
"""

import math
import sys
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from newscore.errors import NewsError
from newscore.folder import staged_folder
from newscore.jsonfile import check_schema, read_json, read_lines, take, write_json, write_lines
from newscore.labels import LabelSet, labels_from_json, labels_to_json
from newscore.nearest import name_nearest

SCHEMA = 1
DECIMALS = 6
LOWEST = -100.0
"""Less is counted as this, for JSON knows no infinity, and one article must not make a mean infinite."""
HIGHEST = 1e-3
"""Largest log-probability that rounding in single precision may leave instead of 0."""


@dataclass(frozen=True)
class Prediction:
    """One article's true and predicted label."""

    id: str
    expected: str
    actual: str
    log_probs: tuple[float, ...]
    """Natural logarithms of the probabilities, one a label in label order."""


@dataclass(frozen=True)
class Predictions:
    """All of a model's answers on one data set."""

    model: Mapping[str, str]
    """name, head, sha256, train_fingerprint …"""
    dataset: Mapping[str, str]
    """name, split, fingerprint"""
    labels: LabelSet
    rows: tuple[Prediction, ...]

    def __len__(self) -> int:
        """How many articles were classified."""
        return len(self.rows)


def write_predictions(predictions: Predictions, path: Path) -> None:
    """Write a predictions folder; log-probabilities are cut at LOWEST and rounded to six decimals."""
    header = {
        "schema": SCHEMA,
        "model": dict(predictions.model),
        "dataset": dict(predictions.dataset),
        "labels": labels_to_json(predictions.labels),
        "count": len(predictions),
    }
    with staged_folder(path) as folder:
        write_lines(folder / "predictions.jsonl", map(row_to_json, predictions.rows))
        write_json(folder / "predictions.json", header)


def row_to_json(row: Prediction) -> dict[str, Any]:
    """The form of one line. Raises NewsError where a model that diverged gave no probabilities."""
    if any(map(math.isnan, row.log_probs)):
        raise NewsError(
            f"the model gave no probabilities (NaN) for the article {row.id!r}, so its training diverged: "
            "train with a smaller learning rate."
        )
    log_probs = [round(max(value, LOWEST), DECIMALS) for value in row.log_probs]
    return {"id": row.id, "expected": row.expected, "actual": row.actual, "log_probs": log_probs}


def read_predictions(path: Path) -> Predictions:
    """Read and check a predictions folder."""
    if not path.is_dir():
        raise NewsError(f"predictions {path} are missing: check the path.", code="missing")
    file, lines = path / "predictions.json", path / "predictions.jsonl"
    header = read_json(file)
    check_schema(header, SCHEMA, file)
    labels = labels_from_json(take(header, "labels", list, file), file)
    rows = tuple(row_from_json(row, labels, lines, number) for number, row in read_lines(lines))
    if header.get("count") != len(rows):
        raise NewsError(
            f"{path} says it holds {header.get('count')} predictions but holds {len(rows)}: predict again.",
            code="corrupt",
        )
    twice = [key for key, count in Counter(row.id for row in rows).items() if count > 1]
    if twice:
        raise NewsError(f"{lines}: the article {twice[0]!r} is predicted twice: predict again.", "corrupt")
    model, dataset = (texts_from_json(header, key, file) for key in ("model", "dataset"))
    return Predictions(model, dataset, labels, rows)


def texts_from_json(header: Mapping[str, Any], key: str, path: Path) -> dict[str, str]:
    """An object of texts, as `model` and `dataset` are."""
    record: dict[str, Any] = take(header, key, dict, path)
    return {name: take(record, name, str, path) for name in record}


def row_from_json(row: Mapping[str, Any], labels: LabelSet, path: Path, number: int) -> Prediction:
    """Check one line."""
    log_probs = take(row, "log_probs", list, path)
    place = f"{path} line {number}"
    if len(log_probs) != len(labels):
        raise NewsError(
            f"{place} has {len(log_probs)} log-probabilities for {len(labels)} labels: predict again.",
            code="corrupt",
        )
    for value in log_probs:
        number = isinstance(value, int | float) and not isinstance(value, bool)
        # Compared before anything is computed: JSON's whole numbers may be longer than any float.
        if not number or not value <= HIGHEST or -sys.float_info.max > value > -math.inf:
            raise NewsError(
                f"{place} has {value!r} for a log-probability, which is a number up to 0: predict again.",
                code="corrupt",
            )
    expected, actual = take(row, "expected", str, path), take(row, "actual", str, path)
    for name in (expected, actual):
        if name not in labels.positions:
            raise NewsError(
                f"{place} has the label {name!r}, which is not in the label set"
                f"{name_nearest(name, labels.names)}.",
                code="corrupt",
            )
    return Prediction(take(row, "id", str, path), expected, actual, tuple(map(float, log_probs)))
