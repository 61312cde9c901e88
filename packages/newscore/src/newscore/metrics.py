"""All measures of one model on one data set, computed from its predictions alone.

accuracy (Wilson interval), macro and micro F1, per-label precision, recall and F1, the confusion matrix,
accuracy by topic group and among the three most probable labels, and how far the probabilities can be
trusted: NLL, Brier score, calibration error. Knows no model and no judge.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from newscore.intervals import (
    Interval,
    bootstrap_means,
    draw_counts,
    f1_scores,
    macro,
    percentile_interval,
    resampled_f1,
    wilson_interval,
)
from newscore.outcomes import Floats, Ints, Outcomes, read_outcomes
from newscore.predictions import Predictions

TOP = 3
BINS = 15
MOST_MATRIX_LABELS = 1000
"""With more labels the confusion matrix is told by its filled cells alone: it would be nearly empty."""
COVERAGES = (0.5, 0.6, 0.7, 0.8, 0.9, 1.0)


@dataclass(frozen=True)
class Evaluation:
    """What `evaluate` found. Proportions lie in 0 … 1; NLL is in nats."""

    scores: Mapping[str, float]
    """accuracy, macro_f1, micro_f1, top3_accuracy, group_accuracy, nll, brier, ece, count"""
    intervals: Mapping[str, Interval]
    """95 % intervals by score: Wilson for accuracy, else bootstrap over articles."""
    labels: tuple[str, ...]
    per_class: Mapping[str, Mapping[str, float]]
    """By label: precision, recall, f1, f1_low, f1_high, support, predicted."""
    confusion: tuple[tuple[int, ...], ...]
    """Row = expected, column = actual, in label order; empty for more than 1,000 labels."""
    confusion_cells: tuple[tuple[int, int, int], ...]
    """The filled cells of that matrix: expected, actual, count."""
    reliability: tuple[Mapping[str, float], ...]
    """The filled bins of confidence: low, high, count, confidence, accuracy."""
    coverage: tuple[Mapping[str, float], ...]
    """Accuracy on the most confident share of the articles, and the confidence it begins at."""
    resampling: Mapping[str, int]
    """seed and resamples of the bootstrap."""

    def summary(self) -> dict[str, float]:
        """The headline numbers, flat, as metrics.json keeps them."""
        limits = {
            f"{name}_{end}": limit
            for name in ("accuracy", "macro_f1")
            for end, limit in zip(("low", "high"), self.intervals[name], strict=True)
        }
        return {**self.scores, **limits}

    def details(self) -> dict[str, Any]:
        """Everything that is not a headline, as a JSON object."""
        matrix = {"confusion": [list(row) for row in self.confusion]}
        cells = {"confusion_cells": [list(cell) for cell in self.confusion_cells]}
        return {
            "labels": list(self.labels),
            "per_class": {name: dict(scores) for name, scores in self.per_class.items()},
            **(matrix if self.confusion else cells),
            "intervals": {name: list(interval) for name, interval in self.intervals.items()},
            "reliability": [dict(item) for item in self.reliability],
            "coverage": [dict(point) for point in self.coverage],
            "bootstrap": dict(self.resampling),
        }


def evaluate(predictions: Predictions, *, seed: int = 0, resamples: int = 1000) -> Evaluation:
    """Measure a model's predictions; the same predictions and seed give the same numbers.

    Raises NewsError where there are no predictions.
    """
    outcomes = read_outcomes(predictions)
    rng = np.random.default_rng(seed)
    cells = count_cells(outcomes)
    margins = count_margins(cells, len(outcomes.names))
    f1 = f1_scores(*(counts.astype(np.float64) for counts in margins))
    f1_samples = bootstrap_f1(cells, len(outcomes.names), resamples, rng)
    values = article_values(outcomes)
    means = {
        name: float(value) for name, value in zip(values, np.mean(list(values.values()), axis=1), strict=True)
    }
    samples = bootstrap_means(np.stack(list(values.values()), axis=1), resamples, rng)
    count, right = len(outcomes.expected), int(margins[0].sum())
    reliability = bin_confidence(outcomes)
    ece = sum(item["count"] * abs(item["accuracy"] - item["confidence"]) for item in reliability) / count
    scores = {**means, "accuracy": right / count, "micro_f1": right / count, "macro_f1": float(macro(f1))}
    intervals = {name: percentile_interval(samples[:, index]) for index, name in enumerate(values)}
    return Evaluation(
        scores | {"ece": ece, "count": float(count)},
        intervals
        | {"accuracy": wilson_interval(right, count), "macro_f1": percentile_interval(macro(f1_samples))},
        outcomes.names,
        describe_labels(margins, f1, f1_samples, outcomes.names),
        make_confusion(cells, len(outcomes.names)),
        tuple((int(row), int(column), int(count)) for row, column, count in cells),
        reliability,
        trace_coverage(outcomes),
        {"seed": seed, "resamples": resamples},
    )


def count_cells(outcomes: Outcomes) -> Ints:
    """The filled cells of the confusion matrix, row by row: expected, actual, count, shape (U, 3)."""
    size = len(outcomes.names)
    codes, counts = np.unique(outcomes.expected * size + outcomes.actual, return_counts=True)
    return np.stack([codes // size, codes % size, counts], axis=1)


def count_margins(cells: Ints, size: int) -> tuple[Ints, Ints, Ints]:
    """Of each label the articles that are right, expected and predicted, each of shape (K,)."""
    expected, actual, counts = cells.T
    right = np.where(expected == actual, counts, 0)
    sums = (
        np.bincount(labels, weights=weights, minlength=size)
        for labels, weights in ((expected, right), (expected, counts), (actual, counts))
    )
    rights, support, predicted = (np.asarray(counted, dtype=np.int64) for counted in sums)
    return rights, support, predicted


def make_confusion(cells: Ints, size: int) -> tuple[tuple[int, ...], ...]:
    """The whole matrix, unless it would have millions of cells."""
    if size > MOST_MATRIX_LABELS:
        return ()
    matrix = np.zeros((size, size), dtype=np.int64)
    matrix[cells[:, 0], cells[:, 1]] = cells[:, 2]
    return tuple(tuple(map(int, row)) for row in matrix)


def bootstrap_f1(cells: Ints, size: int, resamples: int, rng: np.random.Generator) -> Floats:
    """F1 of each label in each resample of the articles, shape (R, K)."""
    expected, actual, counts = cells.T
    parts = draw_counts(counts, resamples, rng)
    return np.concatenate([resampled_f1(expected, actual, draws, size) for draws in parts])


def article_values(outcomes: Outcomes) -> dict[str, Floats]:
    """Measures that are means over articles, each of shape (n,).

    `brier` is the multi-class score of Brier (1950), the squared distance to the truth, from 0 to 2.
    """
    probs, everyone = np.exp(outcomes.log_probs), np.arange(len(outcomes.expected))
    distances = probs.copy()
    distances[everyone, outcomes.expected] -= 1
    same_group = outcomes.groups[outcomes.expected] == outcomes.groups[outcomes.actual]
    return {
        "top3_accuracy": (rank_of_truth(outcomes) < TOP).astype(np.float64),
        "group_accuracy": same_group.astype(np.float64),
        "nll": -outcomes.log_probs[everyone, outcomes.expected],
        "brier": np.asarray((distances**2).sum(axis=1)),
    }


def rank_of_truth(outcomes: Outcomes) -> Ints:
    """How many labels stand before the true one, shape (n,); of equals the first in label order does."""
    own = outcomes.log_probs[np.arange(len(outcomes.expected)), outcomes.expected][:, None]
    earlier = np.arange(len(outcomes.names))[None, :] < outcomes.expected[:, None]
    before = (outcomes.log_probs > own) | ((outcomes.log_probs == own) & earlier)
    return np.asarray(before.sum(axis=1), dtype=np.int64)


def confidence_of(outcomes: Outcomes) -> Floats:
    """Probability that the model gave to its answer, shape (n,)."""
    chosen = outcomes.log_probs[np.arange(len(outcomes.actual)), outcomes.actual]
    return np.asarray(np.exp(chosen), dtype=np.float64)


def bin_confidence(outcomes: Outcomes) -> tuple[dict[str, float], ...]:
    """Mean confidence and accuracy in 15 equal bins, (low, high], as Guo et al. (2017) take them."""
    confidence, right = confidence_of(outcomes), outcomes.expected == outcomes.actual
    place = np.clip(np.ceil(confidence * BINS).astype(np.int64) - 1, 0, BINS - 1)
    return tuple(
        {
            "low": index / BINS,
            "high": (index + 1) / BINS,
            "count": float(inside.sum()),
            "confidence": float(confidence[inside].mean()),
            "accuracy": float(right[inside].mean()),
        }
        for index in range(BINS)
        if (inside := place == index).any()
    )


def trace_coverage(outcomes: Outcomes) -> tuple[dict[str, float], ...]:
    """Accuracy where the model may leave out the articles that it is least sure of."""
    confidence = confidence_of(outcomes)
    order = np.argsort(-confidence, kind="stable")
    right = (outcomes.expected == outcomes.actual)[order]
    points = []
    for share in COVERAGES:
        kept = max(1, round(share * len(order)))
        threshold = float(confidence[order[kept - 1]])
        points.append({"coverage": share, "accuracy": float(right[:kept].mean()), "threshold": threshold})
    return tuple(points)


def describe_labels(
    margins: tuple[Ints, Ints, Ints], f1: Floats, f1_samples: Floats, names: tuple[str, ...]
) -> dict[str, dict[str, float]]:
    """Measures of each label; what has no articles to be computed from is 0, as in scikit-learn."""
    right, support, predicted = margins
    limits = np.quantile(np.nan_to_num(f1_samples), [0.025, 0.975], axis=0)
    return {
        name: {
            "precision": float(right[index] / max(1, predicted[index])),
            "recall": float(right[index] / max(1, support[index])),
            "f1": float(np.nan_to_num(f1[index])),
            "f1_low": float(limits[0, index]),
            "f1_high": float(limits[1, index]),
            "support": float(support[index]),
            "predicted": float(predicted[index]),
        }
        for index, name in enumerate(names)
    }
