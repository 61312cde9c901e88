"""Predictions and a judge table to a judged result. Pure arithmetic: no model, no network, no torch.

Must not know files, settings or how a report looks.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from newscore.errors import NewsError
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


def judge_predictions(
    predictions: Predictions, table: JudgeTable, *, threshold: float, seed: int = 0
) -> Judged:
    """Score = sum of C_ij * S_ij / n over the documents whose cell is scored, with coverage beside it.

    Raises NewsError when the labels differ or no document's cell is scored.
    """
    _check_labels(predictions, table)
    scores = np.array([[np.nan if s is None else s for s in row] for row in table.scores], dtype=float)
    counts = _count_pairs(predictions, table)
    if not counts[~np.isnan(scores)].sum():
        raise NewsError(
            f"table {table.name!r} has no score for any of the {counts.sum()} predictions; "
            "make the table again with a judge whose answers can be read",
            code="invalid",
        )
    taxonomy = gold_levels(table.labels) / 2.0
    return Judged(
        summary=_summarise(counts, scores, taxonomy, table, threshold=threshold, seed=seed),
        counts=tuple(tuple(int(c) for c in row) for row in counts),
        classes=tuple(_class_scores(counts, scores, table.labels.names)),
        confusions=tuple(_worst_confusions(counts, scores, taxonomy, table.labels.names)),
        rank_agreement=_rank_agreement(counts, scores, taxonomy),
        verdicts=tuple(_document_verdicts(predictions, table, threshold)),
    )


def _check_labels(predictions: Predictions, table: JudgeTable) -> None:
    ours, theirs = set(table.labels.names), set(predictions.labels.names)
    if ours == theirs:
        return
    example = sorted(ours ^ theirs)[0]
    side = "only in the table" if example in ours else "only in the predictions"
    raise NewsError(
        f"the labels of the table {table.name!r} ({len(ours)}) differ from those of the predictions "
        f"({len(theirs)}): {example!r} is {side}; make a table for these labels with: newsjudge table",
        code="invalid",
    )


def _count_pairs(predictions: Predictions, table: JudgeTable) -> np.ndarray:
    counts = np.zeros((len(table.labels), len(table.labels)), dtype=int)
    for row in predictions.rows:
        counts[table.labels.index(row.actual), table.labels.index(row.expected)] += 1
    return counts


def _summarise(
    counts: np.ndarray,
    scores: np.ndarray,
    taxonomy: np.ndarray,
    table: JudgeTable,
    *,
    threshold: float,
    seed: int,
) -> dict[str, float]:
    total, scored = int(counts.sum()), ~np.isnan(scores)
    covered = int(counts[scored].sum())
    low, high = _score_interval(counts, scores, seed)
    points = float((counts * np.nan_to_num(scores)).sum())
    errors = counts * ~np.eye(len(counts), dtype=bool)
    passed = int(counts[scored & (np.nan_to_num(scores) >= threshold)].sum())
    summary = {
        "judge_score": points / covered,
        "judge_score_low": low,
        "judge_score_high": high,
        "judge_score_worst": points / total,
        "judge_score_best": (points + total - covered) / total,
        "passed": passed / covered,
        "threshold": threshold,
        "coverage": covered / total,
        "unscored": float(total - covered),
        "count": float(total),
        "errors": float(errors.sum()),
        "accuracy": float(np.trace(counts)) / total,
        "taxonomy_score": float((counts * taxonomy).sum()) / total,
        "reliable": float(table.calibration.reliable),
        "kappa": table.calibration.kappa,
        "kappa_low": table.calibration.kappa_low,
    }
    severities = {
        "error_severity": _severity(errors, scores),
        "taxonomy_error_severity": _severity(errors, taxonomy),
    }
    known = {name: value for name, value in severities.items() if value is not None}
    return dict(sorted((summary | known).items()))


def _score_interval(counts: np.ndarray, scores: np.ndarray, seed: int) -> tuple[float, float]:
    """95 % bootstrap interval of the score over documents; the judge itself is held fixed."""
    total = int(counts.sum())
    rng = np.random.default_rng(seed)
    drawn = rng.multinomial(total, counts.ravel() / total, size=_RESAMPLES)
    flat = scores.ravel()
    covered = drawn[:, ~np.isnan(flat)].sum(1)
    points = drawn @ np.nan_to_num(flat)
    low, high = np.quantile(points[covered > 0] / covered[covered > 0], [0.025, 0.975])
    return float(low), float(high)


def _severity(errors: np.ndarray, scores: np.ndarray) -> float | None:
    """The mean of 1 - score over wrong documents with a score: 0 harmless, 1 as wrong as can be."""
    weights = errors * ~np.isnan(scores)
    if not weights.sum():
        return None
    return float((weights * (1.0 - np.nan_to_num(scores))).sum() / weights.sum())


def _class_scores(counts: np.ndarray, scores: np.ndarray, names: tuple[str, ...]) -> list[ClassScore]:
    rows = []
    for column, name in enumerate(names):
        count = int(counts[:, column].sum())
        if not count:
            continue
        scored = ~np.isnan(scores[:, column])
        covered = int(counts[scored, column].sum())
        points = float((counts[scored, column] * scores[scored, column]).sum())
        errors = counts[:, [column]].copy()
        right = int(errors[column, 0])
        errors[column, 0] = 0
        rows.append(
            ClassScore(
                label=name,
                count=count,
                accuracy=right / count,
                judge_score=points / covered if covered else None,
                error_severity=_severity(errors, scores[:, [column]]),
                unscored=count - covered,
            )
        )
    return rows


def _worst_confusions(
    counts: np.ndarray, scores: np.ndarray, taxonomy: np.ndarray, names: tuple[str, ...]
) -> list[Confusion]:
    costs = counts * (1.0 - scores) * ~np.eye(len(counts), dtype=bool)
    lost = float(np.nansum(costs))
    rows = []
    for actual, expected in np.argwhere(counts > 0):
        if actual == expected:
            continue
        cost = costs[actual, expected]
        known = not np.isnan(cost)
        rows.append(
            Confusion(
                expected=names[expected],
                actual=names[actual],
                count=int(counts[actual, expected]),
                score=float(scores[actual, expected]) if known else None,
                related=bool(taxonomy[actual, expected] > 0),
                cost=float(cost) if known else None,
                share=float(cost) / lost if known and lost else None,
            )
        )
    rows.sort(key=lambda row: (-(row.cost or 0.0), -row.count, row.expected, row.actual))
    return rows[:_CONFUSIONS_SHOWN]


def _rank_agreement(counts: np.ndarray, scores: np.ndarray, taxonomy: np.ndarray) -> float | None:
    """Spearman's rho between judge and taxonomy over the kinds of error made; None when undefined."""
    kinds = (counts > 0) & ~np.eye(len(counts), dtype=bool) & ~np.isnan(scores)
    judged, fixed = _ranks(scores[kinds]), _ranks(taxonomy[kinds])
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
    predictions: Predictions, table: JudgeTable, threshold: float
) -> list[DocumentVerdict]:
    verdicts = []
    for row in predictions.rows:
        score = table.scores[table.labels.index(row.actual)][table.labels.index(row.expected)]
        success = None if score is None else score >= threshold
        verdicts.append(DocumentVerdict(row.id, row.expected, row.actual, score, success))
    return verdicts
