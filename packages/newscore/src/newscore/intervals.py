"""How sure a measured number is: Wilson's interval and seeded bootstraps over articles.

Resampling n articles with replacement is a multinomial draw over the kinds of article that a measure
tells apart. For measures of the confusion matrix those kinds are its filled cells, so a thousand resamples
of any test set cost a thousand draws over at most K² cells, and the result is exactly the bootstrap's.
"""

import math
from collections.abc import Iterator

import numpy as np

from newscore.outcomes import Floats, Ints

LEVEL = 0.95
Z_95 = 1.959963984540054
"""Quantile of the normal distribution at 97.5 %."""
CHUNK = 2**18
"""Random numbers held at once; bounds the memory whatever the number of articles and resamples."""

Interval = tuple[float, float]


def wilson_interval(successes: int, count: int) -> Interval:
    """95 % interval of a proportion (Wilson 1927); unlike the textbook one it is right near 0 and 1."""
    share, square = successes / count, Z_95**2
    centre = (share + square / (2 * count)) / (1 + square / count)
    half = Z_95 / (1 + square / count) * math.sqrt(share * (1 - share) / count + square / (4 * count**2))
    return max(0.0, centre - half), min(1.0, centre + half)


def percentile_interval(samples: Floats) -> Interval:
    """The middle 95 % of bootstrap samples, shape (R,)."""
    low, high = np.quantile(samples, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def draw_counts(counts: Ints, resamples: int, rng: np.random.Generator) -> Iterator[Ints]:
    """Resampled counts of kinds of article for the observed ones, shape (U,), in parts of shape (r, U)."""
    total = int(counts.sum())
    rows = max(1, CHUNK // len(counts))
    for start in range(0, resamples, rows):
        size = min(rows, resamples - start)
        yield np.asarray(rng.multinomial(total, counts / total, size=size), dtype=np.int64)


def bootstrap_means(values: Floats, resamples: int, rng: np.random.Generator) -> Floats:
    """Means of resampled articles, shape (R, M), for per-article values, shape (n, M)."""
    count = len(values)
    rows = max(1, CHUNK // count)
    parts = []
    for start in range(0, resamples, rows):
        size = (min(rows, resamples - start), count)
        weights = np.stack([np.bincount(draw, minlength=count) for draw in rng.integers(0, count, size=size)])
        parts.append(weights @ values / count)
    return np.concatenate(parts)


def f1_scores(true_positives: Floats, support: Floats, predicted: Floats) -> Floats:
    """F1 of each label, shape (…, K); NaN for a label that is neither expected nor predicted."""
    present = support + predicted
    return np.asarray(2 * true_positives / np.where(present > 0, present, np.nan), dtype=np.float64)


def resampled_f1(expected: Ints, actual: Ints, draws: Ints, labels: int) -> Floats:
    """F1 of each label in each resample, shape (R, K).

    `expected` and `actual`, shape (U,), say which cell of the confusion matrix each kind of article falls
    into; `draws`, shape (R, U), how often each kind was drawn.
    """
    weights = draws.astype(np.float64)
    support, predicted = (sum_by_label(weights, kinds, labels) for kinds in (expected, actual))
    return f1_scores(sum_by_label(weights * (expected == actual), expected, labels), support, predicted)


def sum_by_label(weights: Floats, labels: Ints, size: int) -> Floats:
    """Sums of the columns of `weights`, shape (R, U), that have the same label, shape (R, K)."""
    order = np.argsort(labels, kind="stable")
    present, starts = np.unique(labels[order], return_index=True)
    sums = np.zeros((len(weights), size))
    sums[:, present] = np.add.reduceat(weights[:, order], starts, axis=1)
    return sums


def macro(scores: Floats) -> Floats:
    """Mean over the labels that occur, as scikit-learn counts them; shape (…, K) to (…)."""
    return np.asarray(np.nanmean(scores, axis=-1), dtype=np.float64)
