"""Predictions and a judge table to a judged result. Pure arithmetic: no model, no network, no torch.

Must not know files, settings or how a report looks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from newscore.errors import NewsError
from newscore.labels import LabelSet
from newscore.predictions import Predictions

from newsjudge.calibration import gold_levels
from newsjudge.table import JudgeTable

_RESAMPLES = 1000
_CONFUSIONS_SHOWN = 15


@dataclass(frozen=True)
class DocumentVerdict:
    """The judge's word on one document; `score` and `success` are None when the cell is unscored."""

    id: str
    expected: str
    actual: str
    score: float | None
    success: bool | None


@dataclass(frozen=True)
class Confusion:
    """One kind of error: `count` documents of `expected` called `actual`, each scored `score`.

    `cost` is count * (1 - score): the points lost to it; `share` is its part of all points lost.
    """

    expected: str
    actual: str
    count: int
    score: float | None
    related: bool
    cost: float | None
    share: float | None


@dataclass(frozen=True)
class ClassScore:
    """The documents of one expected label."""

    label: str
    count: int
    accuracy: float
    judge_score: float | None
    error_severity: float | None
    unscored: int


@dataclass(frozen=True)
class Judged:
    """A judged prediction set. `counts[actual][expected]` in label order."""

    summary: dict[str, float]
    counts: tuple[tuple[int, ...], ...]
    classes: tuple[ClassScore, ...]
    confusions: tuple[Confusion, ...]
    rank_agreement: float | None
    verdicts: tuple[DocumentVerdict, ...]

    def details(self) -> dict[str, Any]:
        """Everything but the single documents, as JSON-safe values."""
        return {
            "counts": [list(row) for row in self.counts],
            "per_class": [asdict(row) for row in self.classes],
            "confusions": [asdict(row) for row in self.confusions],
            "rank_agreement_with_taxonomy": self.rank_agreement,
        }


@dataclass(frozen=True)
class _Tally:
    """Matrices [actual][expected]: all documents, those with a score, each pair's mean score (NaN:
    none), and what the label groups say of it."""

    counts: np.ndarray
    covered: np.ndarray
    scores: np.ndarray
    taxonomy: np.ndarray
    names: tuple[str, ...]


def judge_predictions(
    predictions: Predictions,
    table: JudgeTable,
    *,
    threshold: float,
    seed: int = 0,
    scores_by_id: Mapping[str, float | None] | None = None,
) -> Judged:
    """Score = sum of C_ij * S_ij / n over the documents that have a score, with coverage beside it.

    `scores_by_id` gives each document its own score, for a judge that saw the articles; the table
    then holds the mean of each pair. Raises NewsError when the labels differ or no document has a score.
    """
    check_labels(predictions.labels, table)
    verdicts = _document_verdicts(predictions, table, threshold, scores_by_id)
    tally = _tally(verdicts, table)
    if not tally.covered.sum():
        raise NewsError(
            f"table {table.name!r} has no score for any of the {len(verdicts)} predictions; "
            "make the table again with a judge whose answers can be read",
            code="invalid",
        )
    return Judged(
        summary=_summarise(tally, verdicts, table, threshold=threshold, seed=seed),
        counts=tuple(tuple(int(c) for c in row) for row in tally.counts),
        classes=tuple(_class_scores(tally)),
        confusions=tuple(_worst_confusions(tally)),
        rank_agreement=_rank_agreement(tally),
        verdicts=tuple(verdicts),
    )


def check_labels(labels: LabelSet, table: JudgeTable) -> None:
    """Raises NewsError where a table was not made for the labels of what it is to judge."""
    ours, theirs = set(table.labels.names), set(labels.names)
    if ours == theirs:
        return
    example = sorted(ours ^ theirs)[0]
    side = "only in the table" if example in ours else "not in the table"
    raise NewsError(
        f"the labels of the table {table.name!r} ({len(ours)}) differ from those of the data "
        f"({len(theirs)}): {example!r} is {side}; make a table for these labels with: newsjudge table",
        code="invalid",
    )


def _tally(verdicts: Sequence[DocumentVerdict], table: JudgeTable) -> _Tally:
    position = {name: index for index, name in enumerate(table.labels.names)}
    counts = np.zeros((len(position), len(position)), dtype=int)
    covered = np.zeros_like(counts)
    for verdict in verdicts:
        cell = position[verdict.actual], position[verdict.expected]
        counts[cell] += 1
        covered[cell] += verdict.score is not None
    scores = np.array([[np.nan if s is None else s for s in row] for row in table.scores], dtype=float)
    return _Tally(counts, covered, scores, gold_levels(table.labels) / 2.0, table.labels.names)


def _summarise(
    tally: _Tally,
    verdicts: Sequence[DocumentVerdict],
    table: JudgeTable,
    *,
    threshold: float,
    seed: int,
) -> dict[str, float]:
    total = len(verdicts)
    known = np.array([v.score for v in verdicts if v.score is not None])
    points, covered = float(known.sum()), len(known)
    low, high = _score_interval(known, total - covered, seed)
    summary = {
        "judge_score": points / covered,
        "judge_score_low": low,
        "judge_score_high": high,
        "judge_score_worst": points / total,
        "judge_score_best": (points + total - covered) / total,
        "passed": float((known >= threshold).sum()) / covered,
        "threshold": threshold,
        "coverage": covered / total,
        "unscored": float(total - covered),
        "count": float(total),
        "errors": float(_off_diagonal(tally.counts).sum()),
        "accuracy": float(np.trace(tally.counts)) / total,
        "taxonomy_score": float((tally.counts * tally.taxonomy).sum()) / total,
        "reliable": float(table.calibration.reliable),
        "kappa": table.calibration.kappa,
        "kappa_low": table.calibration.kappa_low,
    }
    severities = {
        "error_severity": _severity(_off_diagonal(tally.covered), tally.scores),
        "taxonomy_error_severity": _severity(_off_diagonal(tally.counts), tally.taxonomy),
    }
    defined = {name: value for name, value in severities.items() if value is not None}
    return dict(sorted((summary | defined).items()))


def _score_interval(known: np.ndarray, unscored: int, seed: int) -> tuple[float, float]:
    """95 % bootstrap interval of the mean score over documents; the judge itself is held fixed.

    Equal scores are drawn together, so a resample is one multinomial draw whatever the documents.
    """
    values, counts = np.unique(known, return_counts=True)
    weights = np.append(counts, unscored)
    total = int(weights.sum())
    drawn = np.random.default_rng(seed).multinomial(total, weights / total, size=_RESAMPLES)[:, :-1]
    covered = drawn.sum(1)
    means = (drawn @ values)[covered > 0] / covered[covered > 0]
    low, high = np.quantile(means, [0.025, 0.975])
    return float(low), float(high)


def _off_diagonal(counts: np.ndarray) -> np.ndarray:
    errors: np.ndarray = counts * ~np.eye(len(counts), dtype=bool)
    return errors


def _severity(errors: np.ndarray, scores: np.ndarray) -> float | None:
    """The mean of 1 - score over wrong documents with a score: 0 harmless, 1 as wrong as can be."""
    if not errors.sum():
        return None
    return float((errors * (1.0 - np.nan_to_num(scores))).sum() / errors.sum())


def _class_scores(tally: _Tally) -> list[ClassScore]:
    rows = []
    for column, name in enumerate(tally.names):
        count = int(tally.counts[:, column].sum())
        if not count:
            continue
        covered = tally.covered[:, column]
        scores = np.nan_to_num(tally.scores[:, column])
        errors = _off_diagonal(tally.covered)[:, column]
        rows.append(
            ClassScore(
                label=name,
                count=count,
                accuracy=int(tally.counts[column, column]) / count,
                judge_score=float((covered * scores).sum() / covered.sum()) if covered.any() else None,
                error_severity=_severity(errors, scores),
                unscored=count - int(covered.sum()),
            )
        )
    return rows


def _worst_confusions(tally: _Tally) -> list[Confusion]:
    costs = _off_diagonal(tally.covered) * (1.0 - tally.scores)
    lost = float(np.nansum(costs))
    rows = []
    for actual, expected in np.argwhere(_off_diagonal(tally.counts) > 0):
        cost, score = costs[actual, expected], tally.scores[actual, expected]
        known = bool(tally.covered[actual, expected])
        rows.append(
            Confusion(
                expected=tally.names[expected],
                actual=tally.names[actual],
                count=int(tally.counts[actual, expected]),
                score=float(score) if known else None,
                related=bool(tally.taxonomy[actual, expected] > 0),
                cost=float(cost) if known else None,
                share=float(cost) / lost if known and lost else None,
            )
        )
    rows.sort(key=lambda row: (-(row.cost or 0.0), -row.count, row.expected, row.actual))
    return rows[:_CONFUSIONS_SHOWN]


def _rank_agreement(tally: _Tally) -> float | None:
    """Spearman's rho between judge and taxonomy over the kinds of error made; None when undefined."""
    kinds = _off_diagonal(tally.covered) > 0
    judged, fixed = _ranks(tally.scores[kinds]), _ranks(tally.taxonomy[kinds])
    if len(judged) < 3 or not judged.std() or not fixed.std():
        return None
    return float(np.corrcoef(judged, fixed)[0, 1])


def _ranks(values: np.ndarray) -> np.ndarray:
    """Ranks with ties averaged."""
    ordered = np.sort(values)
    left = np.searchsorted(ordered, values, "left")
    right = np.searchsorted(ordered, values, "right")
    return (left + right + 1) / 2.0


def _document_verdicts(
    predictions: Predictions,
    table: JudgeTable,
    threshold: float,
    scores_by_id: Mapping[str, float | None] | None,
) -> list[DocumentVerdict]:
    position = {name: index for index, name in enumerate(table.labels.names)}
    verdicts = []
    for row in predictions.rows:
        if scores_by_id is None:
            score = table.scores[position[row.actual]][position[row.expected]]
        else:
            score = scores_by_id[row.id]
        success = None if score is None else score >= threshold
        verdicts.append(DocumentVerdict(row.id, row.expected, row.actual, score, success))
    return verdicts
