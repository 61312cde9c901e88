"""Predictions as arrays, the form that every measure is computed from. Knows no measure."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from newscore.errors import NewsError
from newscore.predictions import LOWEST, Predictions

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Outcomes:
    """n articles and K labels."""

    expected: Ints
    """True labels as positions in the label set, shape (n,)."""
    actual: Ints
    """Predicted labels, shape (n,)."""
    log_probs: Floats
    """Normalised natural logarithms, shape (n, K), at least LOWEST."""
    names: tuple[str, ...]
    groups: Ints
    """Topic group of each label, shape (K,); a label without one is a group of its own."""


def read_outcomes(predictions: Predictions) -> Outcomes:
    """The arrays of `predictions`. Raises NewsError where there are none to measure."""
    if not predictions.rows:
        raise NewsError("the predictions hold no article: there is nothing to measure.", code="corrupt")
    positions = {name: index for index, name in enumerate(predictions.labels.names)}
    rows = predictions.rows
    return Outcomes(
        np.array([positions[row.expected] for row in rows], dtype=np.int64),
        np.array([positions[row.actual] for row in rows], dtype=np.int64),
        normalise(np.array([row.log_probs for row in rows], dtype=np.float64)),
        predictions.labels.names,
        number_groups(predictions),
    )


def normalise(log_probs: Floats) -> Floats:
    """Rows whose probabilities sum to one; rounding to six decimals has moved them a little."""
    clipped = np.maximum(log_probs, LOWEST)
    top = clipped.max(axis=1, keepdims=True)
    normal = clipped - top - np.log(np.exp(clipped - top).sum(axis=1, keepdims=True))
    return np.asarray(np.maximum(normal, LOWEST), dtype=np.float64)


def number_groups(predictions: Predictions) -> Ints:
    """A number for each label's topic group."""
    # The pair keeps a label without a group apart from a group that has the label's name.
    keys = [(label.group, "" if label.group else label.name) for label in predictions.labels.labels]
    numbers = {key: number for number, key in enumerate(dict.fromkeys(keys))}
    return np.array([numbers[key] for key in keys], dtype=np.int64)
