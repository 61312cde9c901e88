"""From logits to probabilities: one temperature, fitted on the validation split. Knows numpy only."""

import math
from typing import Any

import numpy as np
import numpy.typing as npt

Scores = npt.NDArray[np.floating[Any]]
_LOW, _HIGH = math.log(0.01), math.log(100.0)
_GOLDEN = (math.sqrt(5.0) - 1.0) / 2.0


def log_softmax(logits: Scores, temperature: float = 1.0) -> npt.NDArray[np.float64]:
    """Natural log-probabilities, (texts, labels)."""
    scaled = logits.astype(np.float64) / temperature
    scaled -= scaled.max(axis=1, keepdims=True)
    return np.asarray(scaled - np.log(np.exp(scaled).sum(axis=1, keepdims=True)))


def mean_nll(logits: Scores, targets: npt.NDArray[np.int64], temperature: float = 1.0) -> float:
    """Mean negative log-probability of the right label, in nats."""
    return float(-log_softmax(logits, temperature)[np.arange(len(targets)), targets].mean())


def fit_temperature(logits: Scores, targets: npt.NDArray[np.int64]) -> float:
    """The temperature in [0.01, 100] with the lowest NLL (Guo et al. 2017), by golden section on its log.

    It never changes which label is first. Rounded to 6 decimals, so that it is saved as it is used.
    """
    low, high = _LOW, _HIGH
    for _ in range(60):
        span = _GOLDEN * (high - low)
        left, right = high - span, low + span
        if mean_nll(logits, targets, math.exp(left)) < mean_nll(logits, targets, math.exp(right)):
            high = right
        else:
            low = left
    return round(math.exp((low + high) / 2), 6)
