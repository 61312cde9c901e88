"""The temperature: it is found where it is known, and never changes an answer."""

import numpy as np
import pytest
from newstrain.temperature import fit_temperature, log_softmax, mean_nll


def test_a_known_temperature_is_found() -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 2, (20_000, 5))
    chances = np.exp(log_softmax(logits))
    targets = np.array([rng.choice(5, p=row) for row in chances])
    assert fit_temperature(3 * logits, targets) == pytest.approx(3.0, rel=0.05)


def test_probabilities_sum_to_one_even_for_huge_logits() -> None:
    scores = log_softmax(np.array([[1e6, 0.0], [-1e6, -1e6]]))
    assert np.exp(scores).sum(axis=1) == pytest.approx([1, 1])
    assert np.isfinite(scores[1]).all()


def test_all_right_or_all_wrong_stays_in_bounds() -> None:
    logits = np.eye(3)
    assert 0.01 <= fit_temperature(logits, np.arange(3)) < 0.1
    assert fit_temperature(logits, (np.arange(3) + 1) % 3) == pytest.approx(100, rel=1e-3)


def test_calibration_lowers_the_loss() -> None:
    rng = np.random.default_rng(1)
    logits = 20 * rng.normal(0, 1, (300, 4))
    targets = np.where(rng.random(300) < 0.6, logits.argmax(axis=1), rng.integers(0, 4, 300))
    temperature = fit_temperature(logits, targets)
    assert mean_nll(logits, targets, temperature) < mean_nll(logits, targets)
